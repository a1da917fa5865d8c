/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshot_revert.c: a guest that runs goes back to a snapshot, in the same QEMU and under the
 * same leases: nothing is given up, so nobody can come in between.
 *
 *   snapshot-revert:1 look up  the snapshot is whole, and the guest is still what it was then
 *   snapshot-revert:2 stop     the guest
 *   snapshot-revert:3 book     says that a revert has begun
 *   snapshot-revert:4 load     QEMU sets the disks back, and its memory and devices
 *   snapshot-revert:5 book     says where the guest is
 *   snapshot-revert:6 run      or stay paused: as it was then, or as somebody says
 *
 * Up to step 3 a failure lets the guest go on as if nothing had been. In step 4 there is no
 * way back: disks may be set back, and memory half; such a guest must not run, and it must
 * not flush anything either, so it is killed. Its disks then are those of the snapshot or
 * those of before, each of them as a whole; "revert" again, and it is that of the snapshot.
 */
#include "domain_lock/describe.h"
#include "domain_lock/job.h"
#include "snapshot.h"

#define REVERT_STOP_USEC (60 * G_USEC_PER_SEC)

static gboolean
virRevertCommand(virDomainLockObj *obj, const char *command, GError **error)
{
    g_autoptr(JsonNode) answer = obj->guest->ops->command(
        obj->guest, command, NULL, g_get_monotonic_time() + REVERT_STOP_USEC, error);

    return answer != NULL;
}

/* --- 1: look up -------------------------------------------------------------------------------- */

gboolean
virSnapshotCheckRevertFlags(guint flags, GError **error)
{
    const guint both = VIR_DOMAIN_LOCK_REVERT_RUNNING | VIR_DOMAIN_LOCK_REVERT_PAUSED;

    if ((flags & both) != both)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "the flags 'running' and 'paused' are mutually exclusive");
    return FALSE;
}

/* A deadline belongs to the time line that is given up, and would end the guest in this one. */
static gboolean
virRevertCheckDeadline(virDomainLockObj *obj, GError **error)
{
    g_autoptr(virDomainLockInfo) info = virDomainLockObjGetInfo(obj);

    if (info->deadlineUsec == 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "it is being shut down and will be forced off; 'leasehold shutdown %s "
                "--abort' withdraws that",
                info->name);
    return FALSE;
}

static gboolean
virRevertCheckFound(virSnapshotRun *run, GError **error)
{
    const virSnapshotFound *found = run->found;

    if (found->problem->len > 0)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, "%s",
                    found->problem->str);
    else if (found->memoryBytes == 0)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "the snapshot has no memory in it, and the guest runs");
    else
        return TRUE;
    return FALSE;
}

static gboolean
virRevertLook(virSnapshotRun *run, GError **error)
{
    g_autofree char *xml = NULL;

    if (!virSnapshotCheckRevertFlags(run->spec->flags, error) ||
        !virSnapshotLookUp(run, error) || !virSnapshotFind(run, error) ||
        !virRevertCheckDeadline(run->obj, error) || !virRevertCheckFound(run, error))
        return FALSE;
    xml = virDomainLockDescribe(run->obj, error);
    if (!xml || !virSnapshotCompare(run->look, run->found->entry, xml, error))
        return FALSE;
    run->book = run->found->book;
    return TRUE;
}

/* --- 2 to 6 -------------------------------------------------------------------------------------- */

static gboolean
virRevertStop(virSnapshotRun *run, GError **error)
{
    if (!virDomainLockJobSeal(run->obj, error))
        return FALSE;
    if (!run->wasRunning)
        return TRUE;
    virDomainLockObjSetPauseReason(run->obj, VIR_DOMAIN_LOCK_REASON_SNAPSHOT);
    return virRevertCommand(run->obj, "stop", error);
}

gboolean
virSnapshotRevertBegin(virSnapshotRun *run, GError **error)
{
    g_free(run->book->reverting);
    run->book->reverting = g_strdup(run->spec->name);
    return virSnapshotBookSave(run->book, error);
}

static gboolean
virRevertLoad(virSnapshotRun *run, GError **error)
{
    return virSnapshotJobRun(run->obj, "snapshot-load", run->spec->name, run->found->have,
                             &run->loaded, error);
}

gboolean
virSnapshotReverted(virSnapshotRun *run, GError **error)
{
    g_clear_pointer(&run->book->reverting, g_free);
    g_free(run->book->current);
    run->book->current = g_strdup(run->spec->name);
    return virSnapshotBookSave(run->book, error);
}

static gboolean
virRevertEnd(virSnapshotRun *run, GError **error)
{
    g_autoptr(GError) why = NULL;

    /* the guest is back, whatever the book says */
    if (!virSnapshotReverted(run, &why))
        g_warning("%s", why->message);
    return TRUE;
}

gboolean
virSnapshotShallRun(const virSnapshotRun *run, const virSnapshotEntry *entry)
{
    if (run->spec->flags & VIR_DOMAIN_LOCK_REVERT_RUNNING)
        return TRUE;
    return !(run->spec->flags & VIR_DOMAIN_LOCK_REVERT_PAUSED) &&
           entry->state == VIR_DOMAIN_LOCK_STATE_RUNNING;
}

gboolean
virSnapshotGoOn(virSnapshotRun *run, const virSnapshotEntry *entry, GError **error)
{
    virDomainLockObj *obj = run->obj;
    gboolean shallRun = virSnapshotShallRun(run, entry);

    /* a shutdown was asked of the guest that it is not any more */
    virDomainLockObjDropRequest(obj, VIR_LOCK_ERROR_STATE, "it went back to a snapshot");
    virDomainLockObjSetHeld(obj, !shallRun);
    if (shallRun)
        return virRevertCommand(obj, "cont", error);
    virDomainLockObjSetState(obj, VIR_DOMAIN_LOCK_STATE_PAUSED,
                             VIR_DOMAIN_LOCK_REASON_USER, NULL);
    return TRUE;
}

static gboolean
virRevertRun(virSnapshotRun *run, GError **error)
{
    g_autoptr(GError) none = NULL;

    if (!virSnapshotGoOn(run, run->found->entry, error))
        return FALSE;
    if (!virSnapshotJobDismiss(run->obj, &none))
        g_debug("the job of the revert stays: %s", none->message);
    return TRUE;
}

/* --- failing ---------------------------------------------------------------------------------------- */

void
virSnapshotRevertKill(virDomainLockObj *obj, GError **error)
{
    virDomainLockObjSetEndReason(obj, VIR_DOMAIN_LOCK_REASON_FAILED);
    obj->guest->ops->kill(obj->guest, FALSE);
    (*error)->code = VIR_LOCK_ERROR_INDETERMINATE;
    g_prefix_error(error, "the guest was ended, because its memory and its disks may not "
                          "belong together; revert to the snapshot again: ");
}

static void
virRevertUndo(virSnapshotRun *run, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (run->loaded) {
        virSnapshotRevertKill(run->obj, error);
        return;
    }
    if (run->book && run->book->reverting) {
        g_clear_pointer(&run->book->reverting, g_free);
        if (!virSnapshotBookSave(run->book, &why))
            g_warning("%s", why->message);
    }
    g_clear_error(&why);
    if (run->wasRunning && !virRevertCommand(run->obj, "cont", &why)) {
        (*error)->code = VIR_LOCK_ERROR_INDETERMINATE;
        g_prefix_error(error, "the guest does not go on (%s): ", why->message);
    }
}

gboolean
virDomainLockSnapshotBring(virDomainLockObj *obj, const virDomainLockSnapshotSpec *spec,
                           GError **error)
{
    static gboolean (*const steps[])(virSnapshotRun * run, GError * *error) = {
        virRevertLook, virRevertStop, virSnapshotRevertBegin,
        virRevertLoad, virRevertEnd,  virRevertRun,
    };
    static const virSnapshotSequence sequence = {.name = "snapshot-revert",
                                                 .what = "revert to snapshot",
                                                 .job = "reverting to a snapshot",
                                                 .event = "SNAPSHOT_REVERTED",
                                                 .steps = steps,
                                                 .nSteps = G_N_ELEMENTS(steps),
                                                 .undo = virRevertUndo};

    return virSnapshotRunSteps(obj, &sequence, spec, error);
}
