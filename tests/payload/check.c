/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * payload-check: proves from the disk alone that its writers came one after the other.
 *
 *     payload-check IMG         list the writers, then OK (0) or SPLIT BRAIN (1)
 *     payload-check --seq IMG   print the newest sequence number only, 0 on a fresh disk
 *
 * Exit status 2: there is nothing to judge, which is never OK. The proof has three parts, each
 * enough alone to tell two writers: no guest found the head changed by another (I1), the chain
 * of checksums in the ring has no hole, and no boot comes back after another one wrote. What
 * it can not see is a late write of the very newest record; payload-watch is for that. It judges
 * a disk that nobody writes to now: of a running guest, head and ring do not fit each other.
 */
#include "payload.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FINDINGS_SHOWN 10

typedef struct {
    PayloadDisk disk;
    PayloadRecord head;
    PayloadRecord *boots; /* first record of each boot */
    size_t nBoots;
    unsigned nWriters;
    unsigned nRecords;
    unsigned nFindings;
} Judge;

static void __attribute__((format(printf, 2, 3)))
finding(Judge *judge, const char *format, ...)
{
    va_list args;

    if (judge->nFindings++ >= FINDINGS_SHOWN)
        return;
    va_start(args, format);
    fputs("  finding: ", stdout);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
}

static PayloadRead
readRing(Judge *judge, uint32_t seq, PayloadRecord *record)
{
    return payloadReadRecord(&judge->disk, PAYLOAD_RING_LBA + seq % PAYLOAD_RING_SECTORS,
                             record);
}

static void
judgeConflict(Judge *judge)
{
    PayloadRecord mine = { 0 }, other = { 0 };
    char a[PAYLOAD_NAME_SIZE], b[PAYLOAD_NAME_SIZE];
    PayloadRead got = payloadReadRecord(&judge->disk, PAYLOAD_CONFLICT_LBA, &mine);

    if (got == PAYLOAD_READ_EMPTY)
        return;
    payloadReadRecord(&judge->disk, PAYLOAD_CONFLICT_LBA + 1, &other);
    finding(judge, "a guest wrote seq %u as [%s] and then read seq %u of [%s]", mine.seq,
            payloadWriterName(&mine, a), other.seq, payloadWriterName(&other, b));
}

/* A boot that begins must be the next one, and must not have been here before. */
static void
judgeBoot(Judge *judge, const PayloadRecord *record, const PayloadRecord *before)
{
    char name[PAYLOAD_NAME_SIZE];

    for (size_t i = 0; i < judge->nBoots; i++)
        if (payloadSameBoot(&judge->boots[i], record)) {
            finding(judge, "[%s] comes back at seq %u", payloadWriterName(record, name),
                    record->seq);
            return;
        }
    if (before && record->boots != before->boots + 1)
        finding(judge, "[%s] at seq %u did not see boot %u",
                payloadWriterName(record, name), record->seq, before->boots);
    judge->boots = realloc(judge->boots, (judge->nBoots + 1) * sizeof(*judge->boots));
    if (!judge->boots)
        abort();
    judge->boots[judge->nBoots++] = *record;
}

/* @before: the newest good record before this one, or NULL; after a hole it is not the
 * predecessor. */
static void
judgeRecord(Judge *judge, const PayloadRecord *record, const PayloadRecord *before)
{
    const PayloadRecord *adjacent = before && before->seq + 1 == record->seq ? before : NULL;
    char name[PAYLOAD_NAME_SIZE];

    if (adjacent && (record->prevSum != before->sum || record->prevSeq != before->seq))
        finding(judge, "the writer of seq %u had not read this seq %u", record->seq,
                before->seq);
    if (record->conflicts && (!before || record->conflicts != before->conflicts))
        finding(judge, "%u conflicts seen by [%s] at seq %u", record->conflicts,
                payloadWriterName(record, name), record->seq);
    if (!before || !payloadSameBoot(record, before))
        judgeBoot(judge, record, adjacent);
    if (!before || !payloadSameWriter(record, before)) {
        printf("writer %s from seq %u\n", payloadWriterName(record, name), record->seq);
        judge->nWriters++;
    }
    judge->nRecords++;
}

/* The records up to the head: as many as the ring holds. */
static void
judgeChain(Judge *judge)
{
    uint32_t head = judge->head.seq;
    uint32_t seq = head > PAYLOAD_RING_SECTORS ? head - PAYLOAD_RING_SECTORS + 1 : 1;
    PayloadRecord records[2], *before = NULL;

    /* the oldest one may have been replaced by the one after the head, see judgeFuture */
    if (seq > 1)
        seq++;
    for (int turn = 0; seq <= head; seq++) {
        PayloadRecord *record = &records[turn];
        PayloadRead got = readRing(judge, seq, record);

        if (got != PAYLOAD_READ_OK || record->seq != seq) {
            finding(judge, got == PAYLOAD_READ_OK ? "seq %u was replaced by seq %u"
                                                  : "seq %u is missing or torn",
                    seq, record->seq);
            continue;
        }
        judgeRecord(judge, record, before);
        before = record;
        turn = !turn;
    }
    if (!before || memcmp(before, &judge->head, sizeof(judge->head)) != 0)
        finding(judge, "the head (seq %u) is not the newest record of the ring", head);
}

/* Beyond the head there may be one record, if its writer ended before it wrote the head. The
 * other sectors are of the chain, or this is the first round of the ring and they are empty. */
static void
judgeFuture(Judge *judge)
{
    uint32_t head = judge->head.seq;
    PayloadRecord next;
    PayloadRead got = readRing(judge, head + 1, &next);
    bool inFlight = got == PAYLOAD_READ_OK && next.seq == head + 1 &&
                    next.prevSum == judge->head.sum;
    bool old = head < PAYLOAD_RING_SECTORS
                   ? got == PAYLOAD_READ_EMPTY
                   : got == PAYLOAD_READ_OK && next.seq == head + 1 - PAYLOAD_RING_SECTORS;

    if (!inFlight && !old)
        finding(judge, "the sector after the head (seq %u) holds something else", head);
    for (uint32_t seq = head + 2; seq <= PAYLOAD_RING_SECTORS; seq++)
        if (readRing(judge, seq, &next) != PAYLOAD_READ_EMPTY)
            finding(judge, "the sector of seq %u, beyond the head (seq %u), was written", seq,
                    head);
}

static int
judgeDisk(Judge *judge)
{
    judgeConflict(judge);
    judgeChain(judge);
    judgeFuture(judge);
    if (judge->nFindings) {
        printf("SPLIT BRAIN: %u findings in %u records of %u writers\n", judge->nFindings,
               judge->nRecords, judge->nWriters);
        return 1;
    }
    printf("OK: %u records up to seq %u, %u writers one after the other\n", judge->nRecords,
           judge->head.seq, judge->nWriters);
    return 0;
}

/* True when there is a head; else *status is what to exit with. */
static bool
readHead(Judge *judge, bool seqOnly, const char *path, int *status)
{
    PayloadRead got = payloadReadRecord(&judge->disk, PAYLOAD_HEAD_LBA, &judge->head);

    *status = 2;
    switch (got) {
    case PAYLOAD_READ_OK:
        return true;
    case PAYLOAD_READ_EMPTY:
        if (seqOnly) {
            puts("0");
            *status = 0;
        } else {
            fprintf(stderr, "payload-check: %s: no guest has written here\n", path);
        }
        return false;
    case PAYLOAD_READ_TORN:
        fprintf(stderr, "payload-check: %s: the head record is torn\n", path);
        *status = 1;
        return false;
    case PAYLOAD_READ_ERROR:
    default:
        fprintf(stderr, "payload-check: %s: %s\n", path, strerror(errno));
        return false;
    }
}

int
main(int argc, char **argv)
{
    bool seqOnly = argc == 3 && !strcmp(argv[1], "--seq");
    Judge judge = { 0 };
    int status;

    if (argc != 2 && !seqOnly) {
        fprintf(stderr, "usage: payload-check [--seq] IMG\n");
        return 2;
    }
    if (!payloadOpen(&judge.disk, argv[argc - 1])) {
        fprintf(stderr, "payload-check: %s: %s\n", argv[argc - 1], strerror(errno));
        return 2;
    }
    if (readHead(&judge, seqOnly, argv[argc - 1], &status)) {
        if (seqOnly) {
            printf("%u\n", judge.head.seq);
            status = 0;
        } else {
            status = judgeDisk(&judge);
        }
    }
    free(judge.boots);
    payloadClose(&judge.disk);
    return status;
}
