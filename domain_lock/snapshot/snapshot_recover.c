/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshot_recover.c: a snapshot that lost its supervisor in the middle.
 *
 * QEMU goes on with its job alone, so it is waited for first. Then the images tell: one that
 * all of them have is completed, one that some have is deleted; a delete is finished; a revert
 * that QEMU was not told of is forgotten, one that QEMU has done is finished, and one that
 * QEMU could not do ends the guest, as it would have under the old supervisor. The job stays
 * in QEMU until the book is written, so that it is known whether there was one.
 */
#include "domain_lock/codec.h"
#include "snapshot.h"

enum { REVERT_LOAD = 4 }; /* steps of snapshot_revert.c */

static void
virRecoverDismiss(virSnapshotRun *run)
{
    g_autoptr(GError) none = NULL;

    if (!virSnapshotJobDismiss(run->obj, &none))
        g_debug("there is no job: %s", none->message);
}

static gboolean
virRecoverCreate(virSnapshotRun *run, guint step, const char **what, GError **error)
{
    g_autofree char *failure = NULL;
    g_autoptr(GError) why = NULL;
    gboolean there = FALSE;

    if (!virSnapshotJobJoin(run->obj, &there, &failure, error))
        return FALSE;
    if (!virSnapshotBookFind(run->book, run->spec->name)) {
        *what = "had not begun";
        return TRUE;
    }
    *what = "was completed";
    if (virSnapshotComplete(run, &why)) {
        virRecoverDismiss(run);
        return TRUE;
    }
    *what = "was undone";
    return virSnapshotForget(run, error);
}

static gboolean
virRecoverDelete(virSnapshotRun *run, guint step, const char **what, GError **error)
{
    g_autofree char *failure = NULL;
    gboolean there = FALSE;

    *what = "was finished";
    if (!virSnapshotJobJoin(run->obj, &there, &failure, error))
        return FALSE;
    return virSnapshotForget(run, error);
}

static gboolean
virRecoverNotReverted(virSnapshotRun *run, const char **what, GError **error)
{
    *what = "had not begun";
    g_clear_pointer(&run->book->reverting, g_free);
    return virSnapshotBookSave(run->book, error) &&
           (!run->wasRunning || virDomainLockCommandSimple(run->obj, "cont", error));
}

static gboolean
virRecoverRevert(virSnapshotRun *run, guint step, const char **what, GError **error)
{
    g_autofree char *failure = NULL;
    gboolean there = FALSE;

    if (!virSnapshotJobJoin(run->obj, &there, &failure, error))
        return FALSE;
    if (step < REVERT_LOAD || (step == REVERT_LOAD && !there))
        return virRecoverNotReverted(run, what, error);
    if (failure) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE, "%s", failure);
        virSnapshotRevertKill(run->obj, error);
        return FALSE;
    }
    run->found = virSnapshotLookGet(run->look, run->spec->name, error);
    if (!run->found || !run->found->entry) {
        if (run->found)
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE, "%s",
                        run->found->problem->str);
        return FALSE;
    }
    run->book = run->found->book;
    *what = "was finished";
    if (!virSnapshotReverted(run, error) ||
        !virSnapshotGoOn(run, run->found->entry, error))
        return FALSE;
    virRecoverDismiss(run);
    return TRUE;
}

typedef struct {
    const char *sequence;
    gboolean (*recover)(virSnapshotRun *run, guint step, const char **what,
                        GError **error);
} virSnapshotRecovery;

static const virSnapshotRecovery recoveries[] = {
    {"snapshot-create:", virRecoverCreate},
    {"snapshot-delete:", virRecoverDelete},
    {"snapshot-revert:", virRecoverRevert},
};

gboolean
virDomainLockSnapshotRecover(virDomainLockObj *obj, guint step, JsonObject *details,
                             const char **what, GError **error)
{
    virDomainLockSnapshotSpec spec = {
        .name = (char *)virDomainLockJsonString(details, "name"),
        .flags = (guint)virDomainLockJsonInt(details, "flags", 0)};
    virSnapshotRun run = {.obj = obj, .spec = &spec};
    gboolean ok = FALSE;

    *what = "had not begun";
    if (step < 2 || !spec.name)
        return TRUE;
    run.wasRunning =
        json_object_get_boolean_member_with_default(details, "running", FALSE);
    run.look = virSnapshotLookAt(obj->config, obj->def, error);
    run.book = run.look ? virSnapshotLookBook(run.look) : NULL;
    for (gsize i = 0; run.book && i < G_N_ELEMENTS(recoveries); i++)
        if (g_str_has_prefix(obj->status->step, recoveries[i].sequence))
            ok = recoveries[i].recover(&run, step, what, error);
    virSnapshotFoundFree(run.found);
    virSnapshotLookFree(run.look);
    return ok;
}
