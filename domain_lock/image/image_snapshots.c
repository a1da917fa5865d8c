/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image_snapshots.c: the snapshot table of a qcow2 image; QEMU's docs/interop/qcow2.txt is the
 * source of all offsets. It may come from anyone: every length is checked against the buffer.
 */
#include "image_snapshots.h"
#include <errno.h>
#include <fcntl.h>
#include <leasehold/lock_types.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SNAPSHOTS_MAGIC 0x514649fbu
#define SNAPSHOTS_ALIGN 4096
/* QEMU's own limit */
#define SNAPSHOTS_MAX_COUNT 65536u
/* A table with 65536 names of 20 characters; read in growing pieces, so that the usual one
 * costs one page. */
#define SNAPSHOTS_MAX_BYTES (8 * 1024 * 1024)
#define SNAPSHOTS_ATTEMPTS 5

enum {
    SNAPSHOTS_AT_VERSION = 4,
    SNAPSHOTS_AT_COUNT = 60,
    SNAPSHOTS_AT_OFFSET = 64,
    /* in an entry */
    SNAPSHOT_AT_ID_SIZE = 12,
    SNAPSHOT_AT_NAME_SIZE = 14,
    SNAPSHOT_AT_SEC = 16,
    SNAPSHOT_AT_NSEC = 20,
    SNAPSHOT_AT_MEMORY = 32,
    SNAPSHOT_AT_EXTRA_SIZE = 36,
    SNAPSHOT_FIXED = 40,
};

static guint16
virSnapshotsGet16(const guint8 *at)
{
    return (guint16)(at[0] << 8 | at[1]);
}

static guint32
virSnapshotsGet32(const guint8 *at)
{
    return (guint32)virSnapshotsGet16(at) << 16 | virSnapshotsGet16(at + 2);
}

static guint64
virSnapshotsGet64(const guint8 *at)
{
    return (guint64)virSnapshotsGet32(at) << 32 | virSnapshotsGet32(at + 4);
}

void
virImageSnapshotFree(virImageSnapshot *snapshot)
{
    if (!snapshot)
        return;
    g_free(snapshot->id);
    g_free(snapshot->name);
    g_free(snapshot);
}

virImageSnapshot *
virImageSnapshotCopy(const virImageSnapshot *snapshot)
{
    virImageSnapshot *copy = g_memdup2(snapshot, sizeof(*snapshot));

    copy->id = g_strdup(snapshot->id);
    copy->name = g_strdup(snapshot->name);
    return copy;
}

/* --- bytes -------------------------------------------------------------------------------- */

gboolean
virImageSnapshotsLocate(const guint8 *header, gsize len, virImageSnapshotTable *table)
{
    guint32 version;

    if (len < VIR_IMAGE_SNAPSHOTS_HEADER || virSnapshotsGet32(header) != SNAPSHOTS_MAGIC)
        return FALSE;
    version = virSnapshotsGet32(header + SNAPSHOTS_AT_VERSION);
    table->count = virSnapshotsGet32(header + SNAPSHOTS_AT_COUNT);
    table->offset = virSnapshotsGet64(header + SNAPSHOTS_AT_OFFSET);
    return (version == 2 || version == 3) && table->count <= SNAPSHOTS_MAX_COUNT &&
           table->offset <= G_MAXINT64 - SNAPSHOTS_MAX_BYTES;
}

/* One entry; *used: its length with the padding. NULL: it is longer than @len. */
static virImageSnapshot *
virSnapshotsTake(const guint8 *at, gsize len, gsize *used)
{
    virImageSnapshot *snapshot = NULL;
    gsize extra, idSize, nameSize, all;
    const guint8 *id = NULL;

    if (len < SNAPSHOT_FIXED)
        return NULL;
    extra = virSnapshotsGet32(at + SNAPSHOT_AT_EXTRA_SIZE);
    idSize = virSnapshotsGet16(at + SNAPSHOT_AT_ID_SIZE);
    nameSize = virSnapshotsGet16(at + SNAPSHOT_AT_NAME_SIZE);
    all = SNAPSHOT_FIXED + extra + idSize + nameSize;
    if (all > len)
        return NULL;
    snapshot = g_new0(virImageSnapshot, 1);
    snapshot->dateSec = virSnapshotsGet32(at + SNAPSHOT_AT_SEC);
    snapshot->dateNsec = virSnapshotsGet32(at + SNAPSHOT_AT_NSEC);
    /* the first of the extra fields is the whole size, in 64 bits */
    snapshot->memoryBytes = extra >= 8 ? virSnapshotsGet64(at + SNAPSHOT_FIXED)
                                       : virSnapshotsGet32(at + SNAPSHOT_AT_MEMORY);
    id = at + SNAPSHOT_FIXED + extra;
    snapshot->id = g_strndup((const char *)id, idSize);
    snapshot->name = g_strndup((const char *)id + idSize, nameSize);
    *used = MIN((all + 7) & ~(gsize)7, len);
    return snapshot;
}

GPtrArray *
virImageSnapshotsParse(const guint8 *data, gsize len, guint32 count, GError **error)
{
    g_autoptr(GPtrArray) snapshots =
        g_ptr_array_new_with_free_func((GDestroyNotify)virImageSnapshotFree);
    gsize at = 0;

    for (guint32 i = 0; i < count; i++) {
        gsize used = 0;
        virImageSnapshot *snapshot = virSnapshotsTake(data + at, len - at, &used);

        if (!snapshot && len >= SNAPSHOTS_MAX_BYTES)
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                        "its table of snapshots is impossibly long");
        if (!snapshot)
            return NULL;
        g_ptr_array_add(snapshots, snapshot);
        at += used;
    }
    return g_steal_pointer(&snapshots);
}

/* --- the file ------------------------------------------------------------------------------ */

/* Around this host's page cache where that is possible: another host may have written it. */
static int
virSnapshotsOpen(const char *path, GError **error)
{
    int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    int fd = open(path, flags | O_DIRECT);

    if (fd < 0 && errno == EINVAL)
        fd = open(path, flags);
    if (fd < 0)
        g_set_error(error, VIR_LOCK_ERROR,
                    errno == EIO || errno == ESTALE ? VIR_LOCK_ERROR_UNAVAILABLE
                                                    : VIR_LOCK_ERROR_CONFIG,
                    "cannot open '%s': %s", path, g_strerror(errno));
    return fd;
}

/* Aligned, from @offset on; fewer bytes at the end of the file. -1: errno. */
static gssize
virSnapshotsPread(int fd, guint8 *buffer, gsize size, guint64 offset)
{
    gsize done = 0;

    while (done < size) {
        gssize n = pread(fd, buffer + done, size - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        done += (gsize)n;
        if (n == 0 || done % SNAPSHOTS_ALIGN)
            break; /* the end of the file */
    }
    return (gssize)done;
}

static gboolean
virSnapshotsReadError(const char *path, GError **error)
{
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE, "cannot read '%s': %s",
                path, g_strerror(errno));
    return FALSE;
}

static gboolean
virSnapshotsLocateIn(int fd, const char *path, guint8 *buffer,
                     virImageSnapshotTable *table, GError **error)
{
    gssize have = virSnapshotsPread(fd, buffer, SNAPSHOTS_ALIGN, 0);

    if (have < 0)
        return virSnapshotsReadError(path, error);
    if (virImageSnapshotsLocate(buffer, (gsize)have, table))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "'%s' has no qcow2 header that makes sense", path);
    return FALSE;
}

/* The table where @table says. An impossible one may be a table that is being replaced. */
static GPtrArray *
virSnapshotsReadTable(int fd, const char *path, guint8 *buffer,
                      const virImageSnapshotTable *table, GError **error)
{
    guint64 start = table->offset & ~(guint64)(SNAPSHOTS_ALIGN - 1);
    gsize skip = (gsize)(table->offset - start);

    for (gsize want = SNAPSHOTS_ALIGN;; want = MIN(want * 16, SNAPSHOTS_MAX_BYTES)) {
        gssize have = virSnapshotsPread(fd, buffer, want, start);
        GPtrArray *snapshots = NULL;

        if (have < 0) {
            virSnapshotsReadError(path, error);
            return NULL;
        }
        if ((gsize)have >= skip)
            snapshots = virImageSnapshotsParse(buffer + skip, (gsize)have - skip,
                                               table->count, NULL);
        if (snapshots)
            return snapshots;
        if ((gsize)have < want || want >= SNAPSHOTS_MAX_BYTES)
            break;
    }
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "the table of snapshots of '%s' is damaged", path);
    return NULL;
}

static GPtrArray *
virSnapshotsReadFile(int fd, const char *path, guint8 *buffer, GError **error)
{
    virImageSnapshotTable before = {0}, after = {0};
    g_autoptr(GError) why = NULL;

    for (guint i = 0; i < SNAPSHOTS_ATTEMPTS; i++) {
        g_autoptr(GPtrArray) snapshots = NULL;

        g_clear_error(&why);
        if (!virSnapshotsLocateIn(fd, path, buffer, &before, error))
            return NULL;
        snapshots = virSnapshotsReadTable(fd, path, buffer, &before, &why);
        if (!virSnapshotsLocateIn(fd, path, buffer, &after, error))
            return NULL;
        if (before.offset != after.offset || before.count != after.count)
            continue;
        if (!snapshots)
            g_propagate_error(error, g_steal_pointer(&why));
        return g_steal_pointer(&snapshots);
    }
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "the snapshots of '%s' change faster than they can be read", path);
    return NULL;
}

GPtrArray *
virImageSnapshotsRead(const char *path, GError **error)
{
    int fd = virSnapshotsOpen(path, error);
    guint8 *buffer = NULL;
    GPtrArray *snapshots = NULL;

    if (fd < 0)
        return NULL;
    buffer = aligned_alloc(SNAPSHOTS_ALIGN, SNAPSHOTS_MAX_BYTES);
    if (buffer)
        snapshots = virSnapshotsReadFile(fd, path, buffer, error);
    else
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE, "no memory");
    free(buffer);
    (void)close(fd);
    return snapshots;
}
