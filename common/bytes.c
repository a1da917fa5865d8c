/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bytes.c: checksums, by nibbles: small enough to read, fast enough for a few thousand
 * sectors.
 */
#include "common/bytes.h"

static const guint32 crc32Table[16] = {
    0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
    0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
    0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
};

static const guint32 crc32cTable[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
    0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
    0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

static guint32
virBytesCrc(const guint32 *table, guint32 crc, const guint8 *bytes, gsize len)
{
    for (gsize i = 0; i < len; i++) {
        crc = table[(crc ^ bytes[i]) & 15] ^ (crc >> 4);
        crc = table[(crc ^ (bytes[i] >> 4)) & 15] ^ (crc >> 4);
    }
    return crc;
}

guint32
virBytesCrc32(const guint8 *bytes, gsize len)
{
    return ~virBytesCrc(crc32Table, 0xffffffff, bytes, len);
}

guint32
virBytesCrc32c(guint32 seed, const guint8 *bytes, gsize len)
{
    return virBytesCrc(crc32cTable, seed, bytes, len);
}
