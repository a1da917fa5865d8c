/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bytes.h: little-endian numbers in byte arrays of any alignment.
 */
#ifndef LEASEHOLD_COMMON_BYTES_H
#define LEASEHOLD_COMMON_BYTES_H

#include <glib.h>
#include <string.h>

#define VIR_BYTES_DEFINE(bits)                                                           \
    static inline guint##bits virBytesGet##bits(const guint8 *at)                        \
    {                                                                                    \
        guint##bits value;                                                               \
        memcpy(&value, at, sizeof(value));                                               \
        return GUINT##bits##_FROM_LE(value);                                             \
    }                                                                                    \
    static inline void virBytesPut##bits(guint8 *at, guint##bits value)                  \
    {                                                                                    \
        value = GUINT##bits##_TO_LE(value);                                              \
        memcpy(at, &value, sizeof(value));                                               \
    }

VIR_BYTES_DEFINE(16)
VIR_BYTES_DEFINE(32)
VIR_BYTES_DEFINE(64)

#undef VIR_BYTES_DEFINE

/** CRC-32 (IEEE 802.3, reflected, as zlib's). */
guint32 virBytesCrc32(const guint8 *bytes, gsize len);
/** CRC-32C (Castagnoli, reflected) with @seed and no final inversion: sanlock's. */
guint32 virBytesCrc32c(guint32 seed, const guint8 *bytes, gsize len);

static inline gboolean
virBytesAreZero(const guint8 *bytes, gsize len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

#endif
