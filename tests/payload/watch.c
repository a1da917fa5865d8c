/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * payload-watch: looks at the head of a payload disk some thousand times a second and tells,
 * with the host's wall time, when who wrote. It needs nothing from the program under test and
 * sees what the disk alone can not prove afterwards: a late write of the newest record.
 *
 *     payload-watch IMG [SECONDS]      until then, SIGTERM or SIGINT
 *
 * One line an event:   TIME writer SEQ gap=MS WRITER | TIME stall SEQ | TIME resume SEQ gap=MS
 *                      TIME backwards SEQ from=SEQ | TIME returns SEQ WRITER | TIME conflict SEQ
 * and at the end       TIME end SEQ writers=N longest_gap=MS verdict=OK|SPLIT-BRAIN|NOTHING
 * Exit status 0, 1 or 2 by the verdict.
 */
#include "payload.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STALL_USEC 250000
#define PAUSE_NSEC 200000
#define BOOTS_MAX 256

typedef struct {
    PayloadRecord last;  /* the newest record that was seen */
    int64_t lastUsec;    /* when; 0: none yet */
    int64_t longestUsec; /* between two records */
    PayloadRecord boots[BOOTS_MAX];
    unsigned nBoots;
    unsigned nWriters;
    bool stalled;
    bool bad;
} Watch;

static volatile sig_atomic_t stopped;

static void
onSignal(int number)
{
    (void)number;
    stopped = 1;
}

static int64_t
nowUsec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void
printTime(int64_t usec)
{
    printf("%" PRId64 ".%06" PRId64 " ", usec / 1000000, usec % 1000000);
}

static double
gapMsec(const Watch *watch, int64_t now)
{
    return watch->lastUsec ? (double)(now - watch->lastUsec) / 1000 : 0;
}

static void
noteWriter(Watch *watch, const PayloadRecord *record, int64_t now)
{
    char name[PAYLOAD_NAME_SIZE];
    bool known = false;

    if (watch->nWriters && payloadSameWriter(record, &watch->last))
        return;
    for (unsigned i = 0; i < watch->nBoots; i++)
        known |= payloadSameBoot(&watch->boots[i], record);
    printTime(now);
    /* another writer of the same boot is a migration, an earlier boot is a second writer */
    if (known && !payloadSameBoot(record, &watch->last)) {
        printf("returns %u %s\n", record->seq, payloadWriterName(record, name));
        watch->bad = true;
        return;
    }
    printf("writer %u gap=%.1f %s\n", record->seq, gapMsec(watch, now),
           payloadWriterName(record, name));
    watch->nWriters++;
    if (!known && watch->nBoots < BOOTS_MAX)
        watch->boots[watch->nBoots++] = *record;
}

static void
noteRecord(Watch *watch, const PayloadRecord *record, int64_t now)
{
    noteWriter(watch, record, now);
    if (watch->stalled) {
        printTime(now);
        printf("resume %u gap=%.1f\n", record->seq, gapMsec(watch, now));
    }
    if (watch->lastUsec && record->seq <= watch->last.seq) {
        printTime(now);
        printf("backwards %u from=%u\n", record->seq, watch->last.seq);
        watch->bad = true;
    }
    if (record->conflicts && record->conflicts != watch->last.conflicts) {
        printTime(now);
        printf("conflict %u\n", record->seq);
        watch->bad = true;
    }
    if (watch->lastUsec && now - watch->lastUsec > watch->longestUsec)
        watch->longestUsec = now - watch->lastUsec;
    watch->last = *record;
    watch->lastUsec = now;
    watch->stalled = false;
}

static void
noteSilence(Watch *watch, int64_t now)
{
    if (!watch->lastUsec || watch->stalled || now - watch->lastUsec < STALL_USEC)
        return;
    printTime(watch->lastUsec);
    printf("stall %u\n", watch->last.seq);
    watch->stalled = true;
}

static int
watchDisk(PayloadDisk *disk, Watch *watch, int64_t endUsec)
{
    const struct timespec pause = { .tv_nsec = PAUSE_NSEC };
    int64_t now;

    while (!stopped && (now = nowUsec()) < endUsec) {
        PayloadRecord record;
        PayloadRead got = payloadReadRecord(disk, PAYLOAD_HEAD_LBA, &record);

        if (got == PAYLOAD_READ_ERROR) {
            perror("payload-watch");
            return 2;
        }
        if (got == PAYLOAD_READ_OK && memcmp(&record, &watch->last, sizeof(record)) != 0)
            noteRecord(watch, &record, now);
        else
            noteSilence(watch, now);
        nanosleep(&pause, NULL);
    }
    printTime(nowUsec());
    printf("end %u writers=%u longest_gap=%.1f verdict=%s\n", watch->last.seq,
           watch->nWriters, (double)watch->longestUsec / 1000,
           watch->bad        ? "SPLIT-BRAIN"
           : watch->lastUsec ? "OK"
                             : "NOTHING");
    return watch->bad ? 1 : watch->lastUsec ? 0 : 2;
}

int
main(int argc, char **argv)
{
    const struct sigaction action = { .sa_handler = onSignal };
    static Watch watch;
    PayloadDisk disk;
    int status;

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: payload-watch IMG [SECONDS]\n");
        return 2;
    }
    if (!payloadOpen(&disk, argv[1])) {
        fprintf(stderr, "payload-watch: %s: %s\n", argv[1], strerror(errno));
        return 2;
    }
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    status = watchDisk(&disk, &watch,
                       argc > 2 ? nowUsec() + (int64_t)(atof(argv[2]) * 1e6) : INT64_MAX);
    payloadClose(&disk);
    return status;
}
