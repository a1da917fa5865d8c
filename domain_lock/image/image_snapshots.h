/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image_snapshots.h: the internal snapshots that a qcow2 image has, as its own table says.
 *
 * The table is read from the file and not asked of a QEMU, so that it can be read on every
 * host that sees the image, whoever uses it, and without starting anything. QEMU writes a new
 * table before it changes the header that names it: a reader that finds the same header
 * afterwards has read a whole table.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_IMAGE_SNAPSHOTS_H
#define LEASEHOLD_DOMAIN_LOCK_IMAGE_SNAPSHOTS_H

#include <glib.h>

/** virImageSnapshot: one of them. No two of an image have one id; names may occur twice. */
typedef struct _virImageSnapshot {
    char *id;
    char *name;
    gint64 dateSec; /* wall clock of whoever made it */
    guint dateNsec;
    guint64 memoryBytes; /* of the guest's memory, in this image; 0: none */
} virImageSnapshot;

virImageSnapshot *virImageSnapshotCopy(const virImageSnapshot *snapshot);
void virImageSnapshotFree(virImageSnapshot *snapshot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virImageSnapshot, virImageSnapshotFree)

/** Where the header says that the table is. */
typedef struct _virImageSnapshotTable {
    guint64 offset;
    guint32 count;
} virImageSnapshotTable;
/** How much of the file virImageSnapshotsLocate needs. */
#define VIR_IMAGE_SNAPSHOTS_HEADER 72
/** FALSE: no qcow2 header, or one that is impossible. */
gboolean virImageSnapshotsLocate(const guint8 *header, gsize len,
                                 virImageSnapshotTable *table) G_GNUC_WARN_UNUSED_RESULT;
/**
 * virImageSnapshotsParse: @data is from the table's beginning on.
 *
 * NULL without an error: the table is longer than @len. CONFIG: it is impossible. Does no I/O.
 */
GPtrArray *virImageSnapshotsParse(const guint8 *data, gsize len, guint32 count,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Elements virImageSnapshot, in the image's order. Blocks as long as the storage does. */
GPtrArray *virImageSnapshotsRead(const char *path,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
