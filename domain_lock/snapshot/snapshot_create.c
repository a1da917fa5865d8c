/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshot_create.c: a snapshot of a guest that runs: its memory and its disks, at one instant.
 *
 *   snapshot-create:1 look up   every disk that is written to can hold one; the name is free
 *   snapshot-create:2 book      says what it is of, and that it is not there yet
 *   snapshot-create:3 save      QEMU stops the guest, writes its memory into the first disk,
 *                               then the snapshot into all, and lets the guest go on
 *   snapshot-create:4 complete  every image has it; the book says so
 *
 * What all the sequences of snapshots share is in here, too.
 */
#include "domain_lock/describe.h"
#include "domain_lock/job.h"
#include "snapshot.h"

void
virDomainLockSnapshotSpecFree(virDomainLockSnapshotSpec *spec)
{
    if (!spec)
        return;
    g_free(spec->name);
    g_free(spec->description);
    g_free(spec);
}

/* --- what the sequences share ---------------------------------------------------------------- */

static gboolean
virSnapshotCheckUnplugs(virSnapshotRun *run, GError **error)
{
    for (guint i = 0; i < run->look->disks->len; i++) {
        const virSnapshotDisk *disk = g_ptr_array_index(run->look->disks, i);
        const char *id = virDomainDefGetDiskId(run->obj->def, disk->target, error);

        if (!id)
            return FALSE;
        if (!virDomainLockObjIsAsked(run->obj, id))
            continue;
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "the guest is asked to let go of disk '%s'", disk->target);
        return FALSE;
    }
    return TRUE;
}

gboolean
virSnapshotLookUp(virSnapshotRun *run, GError **error)
{
    if (!virSnapshotCheckName(run->spec->name, error) ||
        !virDomainLockObjCheckLive(run->obj, error))
        return FALSE;
    run->look = virSnapshotLookAt(run->obj->config, run->obj->def, error);
    if (!run->look || !virSnapshotCheckUnplugs(run, error))
        return FALSE;
    run->book = virSnapshotLookBook(run->look);
    return TRUE;
}

gboolean
virSnapshotFind(virSnapshotRun *run, GError **error)
{
    run->found = virSnapshotLookGet(run->look, run->spec->name, error);
    return run->found != NULL;
}

static void
virSnapshotJournal(virSnapshotRun *run)
{
    JsonObject *details = json_object_new();

    json_object_set_string_member(details, "name", run->spec->name);
    json_object_set_int_member(details, "flags", run->spec->flags);
    json_object_set_boolean_member(details, "running", run->wasRunning);
    virDomainLockObjSetJournal(run->obj, details);
}

static gboolean
virSnapshotWalk(virSnapshotRun *run, const virSnapshotSequence *sequence, GError **error)
{
    for (guint i = 0; i < sequence->nSteps; i++) {
        virDomainLockObjSetStep(run->obj, sequence->name, i + 1);
        if (!sequence->steps[i](run, error)) {
            if (i > 0)
                sequence->undo(run, error);
            return FALSE;
        }
        if (i == 0)
            virSnapshotJournal(run);
    }
    return TRUE;
}

gboolean
virSnapshotRunSteps(virDomainLockObj *obj, const virSnapshotSequence *sequence,
                    const virDomainLockSnapshotSpec *spec, GError **error)
{
    virSnapshotRun run = {.obj = obj, .spec = spec};
    gboolean ok = FALSE;

    run.wasRunning = virDomainLockObjGetState(obj) == VIR_DOMAIN_LOCK_STATE_RUNNING;
    virDomainLockJobBegin(obj, sequence->job, spec->name, VIR_DOMAIN_LOCK_JOB_ALONE);
    ok = virSnapshotWalk(&run, sequence, error);
    if (!ok) /* the STOP that it was for may not have come */
        virDomainLockObjSetPauseReason(obj, VIR_DOMAIN_LOCK_REASON_NONE);
    virDomainLockObjSetStep(obj, NULL, 0);
    virDomainLockJobEnd(obj);
    if (ok)
        virDomainLockObjEmit(obj, sequence->event, spec->name, NULL);
    else
        g_prefix_error(error, "cannot %s '%s' of guest '%s': ", sequence->what,
                       spec->name, obj->status->info->name);
    virSnapshotFoundFree(run.found);
    virSnapshotLookFree(run.look);
    return ok;
}

/* --- the steps ------------------------------------------------------------------------------- */

/* Wherever it is, in one disk only or made by somebody else: two of one name cannot be told
 * apart. */
gboolean
virSnapshotIsFree(virSnapshotRun *run, GError **error)
{
    g_autoptr(virSnapshotFound) found = virSnapshotLookFind(run->look, run->spec->name);

    if (!found)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "there is one of this name%s%s; delete it, or choose another name",
                found->problem->len ? " already: " : " already", found->problem->str);
    return FALSE;
}

static gboolean
virSnapshotCreateLook(virSnapshotRun *run, GError **error)
{
    return virSnapshotLookUp(run, error) && virSnapshotCheckDisks(run->look, error) &&
           virSnapshotIsFree(run, error);
}

gboolean
virSnapshotEnter(virSnapshotRun *run, const char *xml, virDomainLockState state,
                 GError **error)
{
    g_autoptr(GPtrArray) leases = virLockManagerGetLeases(run->obj->man);
    virSnapshotEntry *entry = NULL;

    /* of a snapshot that is in no image any more */
    virSnapshotBookRemove(run->book, run->spec->name);
    entry = virSnapshotLookEntry(run->look, run->spec->name, leases);
    entry->xml = g_strdup(xml);
    entry->description = g_strdup(run->spec->description);
    entry->state = state;
    /* without QEMU the flag says nothing about the guest */
    entry->unsafeCache = state != VIR_DOMAIN_LOCK_STATE_SHUTOFF &&
                         (run->obj->flags & VIR_DOMAIN_LOCK_CREATE_UNSAFE_CACHE);
    g_ptr_array_add(run->book->entries, entry);
    return virSnapshotBookSave(run->book, error);
}

static gboolean
virSnapshotCreateBook(virSnapshotRun *run, GError **error)
{
    g_autofree char *xml = virDomainLockDescribe(run->obj, error);

    return xml && virSnapshotEnter(run, xml,
                                   run->wasRunning ? VIR_DOMAIN_LOCK_STATE_RUNNING
                                                   : VIR_DOMAIN_LOCK_STATE_PAUSED,
                                   error);
}

GPtrArray *
virSnapshotIncluded(const virSnapshotEntry *entry)
{
    GPtrArray *disks = g_ptr_array_new();

    for (guint i = 0; i < entry->disks->len; i++) {
        virSnapshotDisk *disk = g_ptr_array_index(entry->disks, i);

        if (disk->included)
            g_ptr_array_add(disks, disk);
    }
    return disks;
}

static gboolean
virSnapshotCreateSave(virSnapshotRun *run, GError **error)
{
    g_autoptr(GPtrArray) disks =
        virSnapshotIncluded(virSnapshotBookFind(run->book, run->spec->name));

    if (!virDomainLockJobSeal(run->obj, error))
        return FALSE;
    if (run->wasRunning)
        virDomainLockObjSetPauseReason(run->obj, VIR_DOMAIN_LOCK_REASON_SNAPSHOT);
    return virSnapshotJobRun(run->obj, "snapshot-save", run->spec->name, disks, NULL,
                             error);
}

gboolean
virSnapshotComplete(virSnapshotRun *run, GError **error)
{
    g_autoptr(virSnapshotLook) now =
        virSnapshotLookAt(run->obj->config, run->obj->def, error);
    virSnapshotEntry *entry = virSnapshotBookFind(run->book, run->spec->name);

    for (guint i = 0; now && i < entry->disks->len; i++) {
        virSnapshotDisk *disk = g_ptr_array_index(entry->disks, i);
        const virImageSnapshot *mark = NULL;
        guint index = 0;

        if (!disk->included)
            continue;
        if (virSnapshotLookLease(now, disk->lease, &index))
            mark = virSnapshotLookMark(now, index, entry->name, NULL);
        if (!mark) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                        "QEMU said that it was made, and disk '%s' (%s) does not have it",
                        disk->target, disk->path);
            return FALSE;
        }
        virImageSnapshotFree(disk->mark);
        disk->mark = virImageSnapshotCopy(mark);
    }
    if (!now)
        return FALSE;
    entry->pending = FALSE;
    g_free(run->book->current);
    run->book->current = g_strdup(entry->name);
    return virSnapshotBookSave(run->book, error);
}

static gboolean
virSnapshotCreateComplete(virSnapshotRun *run, GError **error)
{
    return virSnapshotComplete(run, error) && virSnapshotJobDismiss(run->obj, error);
}

/* Whatever QEMU has made of it is deleted, and the book forgets it. */
gboolean
virSnapshotForget(virSnapshotRun *run, GError **error)
{
    g_autoptr(GError) none = NULL;
    g_autoptr(virSnapshotLook) now = NULL;
    g_autoptr(virSnapshotFound) found = NULL;

    if (!virSnapshotJobDismiss(run->obj, &none))
        g_debug("there was no job: %s", none->message);
    now = virSnapshotLookAt(run->obj->config, run->obj->def, error);
    if (!now)
        return FALSE;
    found = virSnapshotLookFind(now, run->spec->name);
    if (found && (!virSnapshotJobRun(run->obj, "snapshot-delete", run->spec->name,
                                     found->have, NULL, error) ||
                  !virSnapshotJobDismiss(run->obj, error)))
        return FALSE;
    virSnapshotBookRemove(run->book, run->spec->name);
    return virSnapshotBookSave(run->book, error);
}

static void
virSnapshotCreateUndo(virSnapshotRun *run, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (virSnapshotForget(run, &why))
        return;
    (*error)->code = VIR_LOCK_ERROR_INDETERMINATE;
    g_prefix_error(error,
                   "what there is of it could not be deleted (%s): ", why->message);
}

gboolean
virDomainLockSnapshotMake(virDomainLockObj *obj, const virDomainLockSnapshotSpec *spec,
                          GError **error)
{
    static gboolean (*const steps[])(virSnapshotRun * run, GError * *error) = {
        virSnapshotCreateLook,
        virSnapshotCreateBook,
        virSnapshotCreateSave,
        virSnapshotCreateComplete,
    };
    static const virSnapshotSequence sequence = {.name = "snapshot-create",
                                                 .what = "create snapshot",
                                                 .job = "taking a snapshot",
                                                 .event = "SNAPSHOT_CREATED",
                                                 .steps = steps,
                                                 .nSteps = G_N_ELEMENTS(steps),
                                                 .undo = virSnapshotCreateUndo};

    return virSnapshotRunSteps(obj, &sequence, spec, error);
}
