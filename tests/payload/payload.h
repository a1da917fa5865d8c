/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * payload.h: what the boot payload (payload.S) writes and its judges (check.c, watch.c) read.
 *
 * The disk, in sectors of 512 bytes: the code, the head (the newest record), the first
 * conflict (two sectors: what the guest had written, what it found instead) and a ring, in
 * which the record of sequence number s is sector s mod PAYLOAD_RING_SECTORS.
 *
 * Every record is written to the ring, then to the head. A guest reads the head before each
 * record and compares all of it with what it wrote last: any difference means that somebody
 * else wrote, since a migrated or restored guest brings the memory of its last record along.
 * Each record carries the checksum of the one before it, as it was read from the head, so the
 * ring is a chain: it is whole only if each writer began where the one before had ended.
 *
 * This header is read by the assembler too: plain #defines first.
 */
#ifndef LEASEHOLD_TESTS_PAYLOAD_H
#define LEASEHOLD_TESTS_PAYLOAD_H

#define PAYLOAD_CODE_SECTORS 8
#define PAYLOAD_HEAD_LBA 8
#define PAYLOAD_CONFLICT_LBA 10 /* and the next one */
#define PAYLOAD_RING_LBA 2048
#define PAYLOAD_RING_SECTORS 65536
#define PAYLOAD_DISK_SECTORS (PAYLOAD_RING_LBA + PAYLOAD_RING_SECTORS)

/* Settings, little-endian words in the boot sector, for tests to patch. */
#define PAYLOAD_PAUSE_OFFSET 0x1f0 /* milliseconds after each record; 0: as fast as it can */
#define PAYLOAD_FLAGS_OFFSET 0x1f2
#define PAYLOAD_FLAG_DEAF 1 /* ignores the power button */

/* Offsets in a record. */
#define PAYLOAD_MAGIC 0
#define PAYLOAD_SEQ 8
#define PAYLOAD_PREV_SEQ 12
#define PAYLOAD_PREV_SUM 16
#define PAYLOAD_BOOTS 20     /* how often this disk was booted */
#define PAYLOAD_CONFLICTS 24 /* that this boot has seen */
#define PAYLOAD_PMTIMER 28   /* 3.579545 MHz, 24 bits, the guest's time */
#define PAYLOAD_RTC 32       /* BCD second, minute, hour of the host's clock; 0 */
#define PAYLOAD_NONCE 40     /* 8 bytes drawn at boot; they move with a migrated guest */
#define PAYLOAD_UUID 48      /* -uuid of the QEMU process, read for each record */
#define PAYLOAD_LABEL 64     /* fw_cfg file PAYLOAD_LABEL_FILE, read for each record */
#define PAYLOAD_SUM 504
#define PAYLOAD_SEQ_AGAIN 508

#define PAYLOAD_SECTOR 512
#define PAYLOAD_MAGIC_LOW 0x4150484c /* "LHPALOD1" in a hex dump */
#define PAYLOAD_MAGIC_HIGH 0x31444f4c
#define PAYLOAD_LABEL_FILE "opt/leasehold/label"

#ifndef __ASSEMBLER__

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint32_t magic[2];
    uint32_t seq;
    uint32_t prevSeq;
    uint32_t prevSum;
    uint32_t boots;
    uint32_t conflicts;
    uint32_t pmTimer;
    uint8_t rtc[4];
    uint32_t reserved1;
    uint8_t nonce[8];
    uint8_t uuid[16];
    char label[16];
    uint8_t reserved2[424];
    uint32_t sum;
    uint32_t seqAgain;
} PayloadRecord;

_Static_assert(sizeof(PayloadRecord) == PAYLOAD_SECTOR, "a record is a sector");

/** A disk that is open for judging; see payloadOpen. */
typedef struct {
    int fd;
    PayloadRecord *buffer; /* aligned for O_DIRECT */
} PayloadDisk;

/** Opens a raw image or device for reading, past the page cache. False with errno. */
bool payloadOpen(PayloadDisk *disk, const char *path);
void payloadClose(PayloadDisk *disk);

typedef enum {
    PAYLOAD_READ_OK = 0,
    PAYLOAD_READ_EMPTY, /* all zeroes: never written */
    PAYLOAD_READ_TORN,  /* neither empty nor whole */
    PAYLOAD_READ_ERROR, /* errno says why */
} PayloadRead;
PayloadRead payloadReadRecord(PayloadDisk *disk, uint32_t lba, PayloadRecord *record);

/** Same boot of the same guest: nonce and count of boots. */
bool payloadSameBoot(const PayloadRecord *a, const PayloadRecord *b);
/** Same boot in the same QEMU process (as far as uuid and label tell). */
bool payloadSameWriter(const PayloadRecord *a, const PayloadRecord *b);

#define PAYLOAD_NAME_SIZE 96
/** "2f1c…:boot 3:uuid 8ac1…:label alpha", for people. */
const char *payloadWriterName(const PayloadRecord *record, char name[PAYLOAD_NAME_SIZE]);

#endif
#endif
