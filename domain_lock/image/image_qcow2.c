/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image_qcow2.c: the part of a qcow2 header that says which other files belong to the image.
 *
 * QEMU's docs/interop/qcow2.txt is the source of all offsets. The header may come from
 * anyone: every length is checked against the buffer and against the bounds that the format
 * sets (name and extensions lie in the first cluster, names have at most 1023 bytes).
 */
#include "config.h"
#include "image_chain.h"

#include <leasehold/lock_types.h>
#include <string.h>

#define VIR_QCOW2_MAGIC 0x514649fbu
#define VIR_QCOW2_V2_LENGTH 72u
#define VIR_QCOW2_V3_LENGTH 104u
#define VIR_QCOW2_MAX_NAME 1023u

#define VIR_QCOW2_EXT_END 0u
#define VIR_QCOW2_EXT_BACKING_FORMAT 0xe2792acau
#define VIR_QCOW2_EXT_DATA_FILE 0x44415441u

/* Incompatible features: dirty, corrupt, external data file, compression type, extended L2. */
#define VIR_QCOW2_INCOMPAT_DATA_FILE (G_GUINT64_CONSTANT(1) << 2)
#define VIR_QCOW2_INCOMPAT_KNOWN G_GUINT64_CONSTANT(0x1f)

enum {
    VIR_QCOW2_AT_VERSION = 4,
    VIR_QCOW2_AT_BACKING_OFFSET = 8,
    VIR_QCOW2_AT_BACKING_SIZE = 16,
    VIR_QCOW2_AT_CLUSTER_BITS = 20,
    VIR_QCOW2_AT_CRYPT = 32,
    VIR_QCOW2_AT_INCOMPAT = 72,
    VIR_QCOW2_AT_HEADER_LENGTH = 100,
};

static guint32
virQcow2Get32(const guint8 *at)
{
    guint32 value;

    memcpy(&value, at, sizeof(value));
    return GUINT32_FROM_BE(value);
}

static guint64
virQcow2Get64(const guint8 *at)
{
    guint64 value;

    memcpy(&value, at, sizeof(value));
    return GUINT64_FROM_BE(value);
}

static gboolean
virQcow2Error(GError **error, const char *what)
{
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, "bad qcow2 header: %s",
                what);
    return FALSE;
}

void
virImageHeaderClear(virImageHeader *header)
{
    g_clear_pointer(&header->backing, g_free);
    g_clear_pointer(&header->backingFormat, g_free);
    g_clear_pointer(&header->dataFile, g_free);
}

gsize
virImageQcow2HeaderSize(const guint8 *data, gsize len)
{
    guint32 bits;

    if (len < VIR_QCOW2_V2_LENGTH || virQcow2Get32(data) != VIR_QCOW2_MAGIC)
        return 0;
    bits = virQcow2Get32(data + VIR_QCOW2_AT_CLUSTER_BITS);
    return bits < 9 || bits > 21 ? 0 : (gsize)1 << bits;
}

/* A name of the header as a string: not empty, not too long, no NUL in it. */
static gboolean
virQcow2TakeName(const guint8 *at, gsize size, const char *what, char **name,
                 GError **error)
{
    if (size == 0 || size > VIR_QCOW2_MAX_NAME) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "bad qcow2 header: the %s has a length of %" G_GSIZE_FORMAT " bytes",
                    what, size);
        return FALSE;
    }
    if (memchr(at, '\0', size)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "bad qcow2 header: the %s has a NUL in it", what);
        return FALSE;
    }
    g_free(*name);
    *name = g_strndup((const char *)at, size);
    return TRUE;
}

static gboolean
virQcow2TakeExtension(guint32 type, const guint8 *at, gsize size, virImageHeader *header,
                      GError **error)
{
    if (type == VIR_QCOW2_EXT_BACKING_FORMAT)
        return virQcow2TakeName(at, size, "backing format", &header->backingFormat,
                                error);
    if (type == VIR_QCOW2_EXT_DATA_FILE)
        return virQcow2TakeName(at, size, "data file's name", &header->dataFile, error);
    return TRUE;
}

/* Extensions: type, length, data, padding to 8; up to @end, or to one of type 0. */
static gboolean
virQcow2ReadExtensions(const guint8 *data, gsize at, gsize end, virImageHeader *header,
                       GError **error)
{
    while (at < end) {
        guint32 type, size;

        if (end - at < 8)
            return virQcow2Error(error, "an extension is cut off");
        type = virQcow2Get32(data + at);
        size = virQcow2Get32(data + at + 4);
        if (type == VIR_QCOW2_EXT_END)
            return TRUE;
        at += 8;
        if (size > end - at)
            return virQcow2Error(error, "an extension is longer than the header");
        if (!virQcow2TakeExtension(type, data + at, size, header, error))
            return FALSE;
        at += MIN(((gsize)size + 7) & ~(gsize)7, end - at);
    }
    return TRUE;
}

/* What the version field implies: length of the fixed part, incompatible features. */
static gboolean
virQcow2ReadVersion(const guint8 *data, gsize len, gsize *fixed, guint64 *incompatible,
                    GError **error)
{
    guint32 version = virQcow2Get32(data + VIR_QCOW2_AT_VERSION);

    *fixed = VIR_QCOW2_V2_LENGTH;
    *incompatible = 0;
    if (version == 2)
        return TRUE;
    if (version != 3) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "qcow2 version %u is not supported (2 and 3 are)", version);
        return FALSE;
    }
    if (len < VIR_QCOW2_V3_LENGTH)
        return virQcow2Error(error, "it is cut off");
    *fixed = virQcow2Get32(data + VIR_QCOW2_AT_HEADER_LENGTH);
    *incompatible = virQcow2Get64(data + VIR_QCOW2_AT_INCOMPAT);
    if (*fixed < VIR_QCOW2_V3_LENGTH || *fixed > len)
        return virQcow2Error(error, "its length field is impossible");
    if (*incompatible & ~VIR_QCOW2_INCOMPAT_KNOWN) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "this qcow2 image has incompatible features that are not known "
                    "(0x%" G_GINT64_MODIFIER "x)",
                    *incompatible & ~VIR_QCOW2_INCOMPAT_KNOWN);
        return FALSE;
    }
    return TRUE;
}

static gboolean
virQcow2ReadNames(const guint8 *data, gsize len, virImageHeader *header, GError **error)
{
    guint64 offset = virQcow2Get64(data + VIR_QCOW2_AT_BACKING_OFFSET);
    guint32 size = virQcow2Get32(data + VIR_QCOW2_AT_BACKING_SIZE);
    guint64 incompatible;
    gsize fixed;

    if (!virQcow2ReadVersion(data, len, &fixed, &incompatible, error))
        return FALSE;
    if (offset && (offset < fixed || offset > len || size > len - offset))
        return virQcow2Error(error, "the backing file's name lies outside of it");
    if (!virQcow2ReadExtensions(data, fixed, offset ? offset : len, header, error))
        return FALSE;
    if (offset && size &&
        !virQcow2TakeName(data + offset, size, "backing file's name", &header->backing,
                          error))
        return FALSE;
    if (!(incompatible & VIR_QCOW2_INCOMPAT_DATA_FILE))
        g_clear_pointer(&header->dataFile,
                        g_free); /* a left-over name: QEMU ignores it too */
    else if (!header->dataFile)
        return virQcow2Error(error, "it has an external data file but no name of it");
    header->encrypted = virQcow2Get32(data + VIR_QCOW2_AT_CRYPT) != 0;
    return TRUE;
}

gboolean
virImageQcow2Parse(const guint8 *data, gsize len, virImageHeader *header, GError **error)
{
    gsize cluster = virImageQcow2HeaderSize(data, len);

    memset(header, 0, sizeof(*header));
    if (cluster == 0) {
        gboolean magic = len >= 4 && virQcow2Get32(data) == VIR_QCOW2_MAGIC;

        if (magic)
            return virQcow2Error(error, len < VIR_QCOW2_V2_LENGTH
                                            ? "it is cut off"
                                            : "its cluster size is impossible");
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "it is described as qcow2, but does not begin like a qcow2 image");
        return FALSE;
    }
    if (virQcow2ReadNames(data, MIN(len, cluster), header, error))
        return TRUE;
    virImageHeaderClear(header);
    return FALSE;
}
