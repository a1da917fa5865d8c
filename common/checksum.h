/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * checksum.h: CRC-32C of streams of many gigabytes: eight bytes at a time, by tables that
 * the caller holds.
 */
#ifndef LEASEHOLD_COMMON_CHECKSUM_H
#define LEASEHOLD_COMMON_CHECKSUM_H

#include <glib.h>

typedef struct _virChecksum {
    guint32 tables[8][256];
    guint32 crc;
} virChecksum;

void virChecksumInit(virChecksum *sum);
void virChecksumAdd(virChecksum *sum, const guint8 *bytes, gsize len);
/** CRC-32C (Castagnoli, reflected, inverted) of all that was added so far. */
guint32 virChecksumGet(const virChecksum *sum);

#endif
