/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * record.c: reading the payload's records from the host's side, past the page cache: a guest
 * on another host, or one with cache=none on this one, does not pass through it.
 */
#include "payload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* O_DIRECT wants the alignment of the device, which is 4096 at most. */
#define ALIGNMENT 4096

bool
payloadOpen(PayloadDisk *disk, const char *path)
{
    disk->fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    /* a file system without O_DIRECT has nothing below its page cache */
    if (disk->fd < 0 && errno == EINVAL)
        disk->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (disk->fd < 0)
        return false;
    disk->buffer = aligned_alloc(ALIGNMENT, ALIGNMENT);
    if (disk->buffer)
        return true;
    close(disk->fd);
    errno = ENOMEM;
    return false;
}

void
payloadClose(PayloadDisk *disk)
{
    free(disk->buffer);
    close(disk->fd);
}

/* The same sum as in payload.S: the position of each word counts. */
static uint32_t
payloadSum(const PayloadRecord *record)
{
    const uint32_t *word = (const uint32_t *)record;
    uint32_t sum = 0;

    for (int i = 0; i < PAYLOAD_SUM / 4; i++)
        sum = (sum << 1 | sum >> 31) + word[i];
    return sum;
}

PayloadRead
payloadReadRecord(PayloadDisk *disk, uint32_t lba, PayloadRecord *record)
{
    static const PayloadRecord empty;
    const uint32_t perBlock = ALIGNMENT / PAYLOAD_SECTOR;
    off_t block = (off_t)(lba / perBlock) * ALIGNMENT;
    ssize_t got = pread(disk->fd, disk->buffer, ALIGNMENT, block);

    if (got < 0)
        return PAYLOAD_READ_ERROR;
    if ((size_t)got < (lba % perBlock + 1) * PAYLOAD_SECTOR) {
        errno = ENODATA; /* the image is shorter than a payload disk */
        return PAYLOAD_READ_ERROR;
    }
    *record = disk->buffer[lba % perBlock];
    if (!memcmp(record, &empty, sizeof(empty)))
        return PAYLOAD_READ_EMPTY;
    if (record->magic[0] != PAYLOAD_MAGIC_LOW || record->magic[1] != PAYLOAD_MAGIC_HIGH ||
        record->seq != record->seqAgain || record->sum != payloadSum(record))
        return PAYLOAD_READ_TORN;
    return PAYLOAD_READ_OK;
}

bool
payloadSameBoot(const PayloadRecord *a, const PayloadRecord *b)
{
    return a->boots == b->boots && !memcmp(a->nonce, b->nonce, sizeof(a->nonce));
}

bool
payloadSameWriter(const PayloadRecord *a, const PayloadRecord *b)
{
    return payloadSameBoot(a, b) && !memcmp(a->uuid, b->uuid, sizeof(a->uuid)) &&
           !memcmp(a->label, b->label, sizeof(a->label));
}

const char *
payloadWriterName(const PayloadRecord *record, char name[PAYLOAD_NAME_SIZE])
{
    const uint8_t *n = record->nonce, *u = record->uuid;

    snprintf(name, PAYLOAD_NAME_SIZE,
             "boot=%u nonce=%02x%02x%02x%02x%02x%02x%02x uuid=%02x%02x%02x%02x..%02x%02x "
             "label=%.16s",
             record->boots, n[0], n[1], n[2], n[3], n[4], n[5], n[6], u[0], u[1], u[2], u[3],
             u[14], u[15], record->label[0] ? record->label : "-");
    return name;
}
