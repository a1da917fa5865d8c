/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz-snapshots.c: the snapshot table of a qcow2 image, and the book beside it.
 */
#include "config.h"
#include "domain_lock/snapshot/snapshot_book.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
fuzzTable(const uint8_t *data, size_t size)
{
    virImageSnapshotTable table = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) snapshots =
        size > 0 ? virImageSnapshotsParse(data + 1, size - 1, data[0], &error) : NULL;

    g_assert(!snapshots || (!error && snapshots->len == data[0]));
    if (virImageSnapshotsLocate(data, size, &table))
        g_assert(size >= VIR_IMAGE_SNAPSHOTS_HEADER && table.offset <= G_MAXINT64);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(virSnapshotBook) book = g_new0(virSnapshotBook, 1);
    g_autoptr(GError) error = NULL;
    gboolean ok;

    fuzzTable(data, size);
    book->path = g_strdup("/book");
    book->entries = g_ptr_array_new_with_free_func((GDestroyNotify)virSnapshotEntryFree);
    ok = virSnapshotBookParse(book, text, &error);
    g_assert(ok == (error == NULL));
    for (guint i = 0; i < book->entries->len; i++) {
        const virSnapshotEntry *entry = g_ptr_array_index(book->entries, i);

        g_assert(entry->name && entry->xml && entry->guestUuid && entry->disks->len > 0);
    }
    return 0;
}
