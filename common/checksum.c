/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * checksum.c: CRC-32C, "slicing by eight": tables[k] advances a byte by k further bytes, so
 * that eight lookups that do not wait for each other replace eight that do.
 */
#include "common/checksum.h"
#include "common/bytes.h"

#define CASTAGNOLI 0x82f63b78u

void
virChecksumInit(virChecksum *sum)
{
    sum->crc = 0xffffffff;
    for (guint i = 0; i < 256; i++) {
        guint32 crc = i;

        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? (crc >> 1) ^ CASTAGNOLI : crc >> 1;
        sum->tables[0][i] = crc;
    }
    for (guint i = 0; i < 256; i++) {
        for (int k = 1; k < 8; k++) {
            guint32 before = sum->tables[k - 1][i];

            sum->tables[k][i] = (before >> 8) ^ sum->tables[0][before & 255];
        }
    }
}

void
virChecksumAdd(virChecksum *sum, const guint8 *bytes, gsize len)
{
    guint32(*const t)[256] = sum->tables;
    guint32 crc = sum->crc;

    for (; len >= 8; bytes += 8, len -= 8) {
        guint32 low = crc ^ virBytesGet32(bytes);
        guint32 high = virBytesGet32(bytes + 4);

        crc = t[7][low & 255] ^ t[6][low >> 8 & 255] ^ t[5][low >> 16 & 255] ^
              t[4][low >> 24] ^ t[3][high & 255] ^ t[2][high >> 8 & 255] ^
              t[1][high >> 16 & 255] ^ t[0][high >> 24];
    }
    for (; len > 0; bytes++, len--)
        crc = (crc >> 8) ^ t[0][(crc ^ *bytes) & 255];
    sum->crc = crc;
}

guint32
virChecksumGet(const virChecksum *sum)
{
    return ~sum->crc;
}
