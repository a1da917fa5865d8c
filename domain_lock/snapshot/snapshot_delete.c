/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshot_delete.c: a snapshot is deleted from the images of a guest that runs.
 *
 *   snapshot-delete:1 look up  which images have it: also one that only some of them have
 *   snapshot-delete:2 delete   from those
 *   snapshot-delete:3 book     forgets it
 *
 * There is no way back after step 1: one that was cut off is finished.
 */
#include "domain_lock/job.h"
#include "snapshot.h"

/* QEMU knows the disks that the guest has now; an image that it had once is not its business. */
gboolean
virSnapshotDeleteCheck(virSnapshotRun *run, GError **error)
{
    for (guint i = 0; i < run->found->have->len; i++) {
        const virSnapshotDisk *disk = g_ptr_array_index(run->found->have, i);
        guint index = 0;

        if (virSnapshotLookLease(run->look, disk->lease, &index))
            continue;
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "it is also in disk '%s' (%s), which the guest does not have now: "
                    "attach it, or delete it there with qemu-img first",
                    disk->target, disk->path);
        return FALSE;
    }
    return TRUE;
}

static gboolean
virSnapshotDeleteLook(virSnapshotRun *run, GError **error)
{
    return virSnapshotLookUp(run, error) && virSnapshotFind(run, error) &&
           virSnapshotDeleteCheck(run, error);
}

static gboolean
virSnapshotDeleteImages(virSnapshotRun *run, GError **error)
{
    return virDomainLockJobSeal(run->obj, error) &&
           virSnapshotJobRun(run->obj, "snapshot-delete", run->spec->name,
                             run->found->have, NULL, error) &&
           virSnapshotJobDismiss(run->obj, error);
}

gboolean
virSnapshotDeleteBook(virSnapshotRun *run, GError **error)
{
    virSnapshotBook *book = run->found->book;

    if (!book)
        return TRUE;
    virSnapshotBookRemove(book, run->spec->name);
    return virSnapshotBookSave(book, error);
}

/* Some images may still have it: "list" says which, and another "delete" goes on. */
static void
virSnapshotDeleteUndo(virSnapshotRun *run, GError **error)
{
    g_autoptr(GError) none = NULL;

    if (!virSnapshotJobDismiss(run->obj, &none))
        g_debug("there was no job: %s", none->message);
}

gboolean
virDomainLockSnapshotDrop(virDomainLockObj *obj, const virDomainLockSnapshotSpec *spec,
                          GError **error)
{
    static gboolean (*const steps[])(virSnapshotRun * run, GError * *error) = {
        virSnapshotDeleteLook,
        virSnapshotDeleteImages,
        virSnapshotDeleteBook,
    };
    static const virSnapshotSequence sequence = {.name = "snapshot-delete",
                                                 .what = "delete snapshot",
                                                 .job = "deleting a snapshot",
                                                 .event = "SNAPSHOT_DELETED",
                                                 .steps = steps,
                                                 .nSteps = G_N_ELEMENTS(steps),
                                                 .undo = virSnapshotDeleteUndo};

    return virSnapshotRunSteps(obj, &sequence, spec, error);
}
