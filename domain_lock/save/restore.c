/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * restore.c: a guest comes back from a file (I2, I4, I7, I8); see save.h for the steps.
 *
 * Memory may go on only where the disks are as it left them. The run lease and every image of
 * every chain have a use record, and each must be the one that the file names: same epoch,
 * same time, same host. The records advance when QEMU has everything but the last byte of its
 * memory, so a file that QEMU cannot load stays good; and before it opens an image for writing.
 */
#include "common/fd.h"
#include "domain_lock/start_steps.h"
#include "save.h"
#include <string.h>

/* From this step on the file is stale. */
#define RESTORE_TAKE 10

typedef struct {
    virStart start;
    const char *path;
    guint flags;
    virSaveImage *image;
    int fd;
    virSaveLoad *load;
} virRestore;

static gboolean
virRestoreIsForced(const virRestore *restore)
{
    return (restore->flags & VIR_DOMAIN_LOCK_SAVE_FORCE) != 0;
}

/* --- 4 leases ---------------------------------------------------------------------------- */

/* The file was read once by whoever asked, for the description. Is it still the same? */
static gboolean
virRestoreOpen(virRestore *restore, GError **error)
{
    JsonObject *request = restore->start.obj->spec->restore;
    guint flags =
        restore->flags & VIR_DOMAIN_LOCK_SAVE_BYPASS_CACHE ? VIR_SAVE_FILE_DIRECT : 0;

    restore->fd = virSaveFileOpen(restore->path, flags, &restore->image, error);
    if (restore->fd < 0)
        return FALSE;
    if (g_strcmp0(restore->image->id, virDomainLockJsonString(request, "id")) == 0 &&
        (gint64)restore->image->generation ==
            virDomainLockJsonInt(request, "generation", -1))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY,
                "'%s' was changed by somebody else meanwhile", restore->path);
    return FALSE;
}

static gboolean
virRestoreCheckPlugin(virRestore *restore, GError **error)
{
    const virLockManagerPluginInfo *plugin =
        virLockManagerPluginGetInfo(restore->start.obj->plugin);

    if (!restore->image->checked) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STALE,
                    "it was saved under plugin '%s', which keeps no use records: nobody "
                    "can tell whether its disks were used since; --force restores it all "
                    "the same",
                    restore->image->plugin);
        return FALSE;
    }
    if (g_str_equal(restore->image->plugin, plugin->name))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STALE,
                "it was saved under plugin '%s', and this is plugin '%s', which knows "
                "nothing of the use of its disks; --force restores it all the same",
                restore->image->plugin, plugin->name);
    return FALSE;
}

static gboolean
virRestoreTakes(GPtrArray *leases, const char *name)
{
    for (guint i = 0; i < leases->len; i++) {
        if (g_str_equal(((virLockLease *)g_ptr_array_index(leases, i))->name, name))
            return TRUE;
    }
    return FALSE;
}

static gboolean
virRestoreIsShareable(virRestore *restore, const char *path)
{
    GPtrArray *resources = virDomainDefGetResources(restore->start.obj->def);

    for (guint i = 0; path && i < resources->len; i++) {
        const virDomainResource *resource = g_ptr_array_index(resources, i);

        if (resource->flags & VIR_LOCK_MANAGER_RESOURCE_SHARED &&
            g_str_equal(resource->path, path))
            return TRUE;
    }
    return FALSE;
}

/* The same leases on both sides, and the epochs of the exclusive ones for AcquireObject, which
 * refuses before anything was done under them. */
static gboolean
virRestoreExpect(virRestore *restore, GError **error)
{
    virDomainLockObj *obj = restore->start.obj;
    g_autoptr(GPtrArray) leases = virLockManagerGetLeases(obj->man);

    for (guint i = 0; i < restore->image->leases->len; i++) {
        const virSaveLease *lease = g_ptr_array_index(restore->image->leases, i);

        if (!virRestoreTakes(leases, lease->name)) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STALE,
                        "'%s' is not the image that the guest had when it was saved, or "
                        "is not in its description any more; --force restores it all the "
                        "same",
                        lease->path ? lease->path : lease->name);
            return FALSE;
        }
        if (lease->mode == VIR_LOCK_MODE_EXCLUSIVE &&
            !virLockManagerSetEpoch(obj->man, lease->name, lease->epoch, error))
            return FALSE;
    }
    for (guint i = 0; i < leases->len; i++) {
        const virLockLease *lease = g_ptr_array_index(leases, i);

        if (virSaveImageFindLease(restore->image, lease->name) ||
            virRestoreIsShareable(restore, lease->path))
            continue;
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STALE,
                    "the guest did not have '%s' when it was saved; --force restores it "
                    "all the same",
                    lease->path ? lease->path : lease->name);
        return FALSE;
    }
    return TRUE;
}

static void
virRestoreSetStale(const virSaveLease *lease, const virLockUse *use, GError **error)
{
    g_autoptr(GDateTime) when =
        g_date_time_new_from_unix_local((use ? use->timeUsec : 0) / G_USEC_PER_SEC);
    g_autofree char *at = when ? g_date_time_format(when, "%F %T") : NULL;
    const char *what = lease->path ? lease->path : lease->name;

    if (!use)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STALE,
                    "'%s' has no use record any more: the leases were made anew since",
                    what);
    else
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STALE,
                    "'%s' was used since by guest '%s' on host '%s' at %s", what,
                    use->guestName ? use->guestName : "?",
                    use->hostName ? use->hostName : "?", at ? at : "an unknown time");
}

/* Under the leases: the record itself, also of what is only read. */
static gboolean
virRestoreCompare(virRestore *restore, GError **error)
{
    for (guint i = 0; i < restore->image->leases->len; i++) {
        const virSaveLease *lease = g_ptr_array_index(restore->image->leases, i);
        g_autoptr(virLockUse) use = NULL;

        if (!virSaveReadUse(restore->start.obj, lease->name, &use, error))
            return FALSE;
        if (lease->epoch == (use ? use->epoch : 0) &&
            (!use || (lease->hostId == use->hostId && lease->timeUsec == use->timeUsec)))
            continue;
        virRestoreSetStale(lease, use, error);
        return FALSE;
    }
    return TRUE;
}

static gboolean
virRestoreTakeLeases(virRestore *restore, GError **error)
{
    virStart *start = &restore->start;

    if (!virRestoreOpen(restore, error) || !virStartRegister(start, error))
        return FALSE;
    if (virRestoreIsForced(restore))
        return virStartAcquire(start, 0, error);
    return virRestoreCheckPlugin(restore, error) && virRestoreExpect(restore, error) &&
           virStartAcquire(start, VIR_LOCK_MANAGER_ACQUIRE_CHECK_EPOCH, error) &&
           virRestoreCompare(restore, error);
}

/* Is it to stay paused? For the last step, and for a supervisor that has to do that. */
static void
virRestoreDecide(virRestore *restore)
{
    virDomainLockObj *obj = restore->start.obj;
    gboolean paused =
        restore->flags & VIR_DOMAIN_LOCK_SAVE_PAUSED ||
        (restore->image->paused && !(restore->flags & VIR_DOMAIN_LOCK_SAVE_RUNNING));
    JsonObject *details = json_object_new();

    obj->flags &= ~(guint)VIR_DOMAIN_LOCK_CREATE_PAUSED;
    if (paused)
        obj->flags |= VIR_DOMAIN_LOCK_CREATE_PAUSED;
    json_object_set_boolean_member(details, "paused", paused);
    virDomainLockObjSetJournal(obj, details);
}

static gboolean
virRestoreLeases(virRestore *restore, GError **error)
{
    if (!virRestoreTakeLeases(restore, error))
        return FALSE;
    virRestoreDecide(restore);
    return TRUE;
}

/* --- 5 to 11 ------------------------------------------------------------------------------ */

static gboolean
virRestoreReadChains(virRestore *restore, GError **error)
{
    return virStartReadChainsAgain(&restore->start, error);
}

static gboolean
virRestoreExec(virRestore *restore, GError **error)
{
    return virStartExec(&restore->start, error);
}

static gboolean
virRestoreAudit(virRestore *restore, GError **error)
{
    return virStartAudit(&restore->start, error);
}

static gboolean
virRestoreLoad(virRestore *restore, GError **error)
{
    restore->load = virSaveLoadNew(g_steal_fd(&restore->fd), restore->image, error);
    return restore->load &&
           virSaveLoadMost(restore->load, restore->start.obj, restore->start.wait, error);
}

static gboolean
virRestoreAdvanceUse(virRestore *restore, GError **error)
{
    return virStartAdvanceUse(&restore->start, error);
}

static gboolean
virRestoreTake(virRestore *restore, GError **error)
{
    if (virSaveLoadRest(restore->load, restore->start.obj, restore->start.wait, error))
        return TRUE;
    g_prefix_error(error, "the file is stale now, only --force restores it: ");
    return FALSE;
}

static gboolean
virRestoreCont(virRestore *restore, GError **error)
{
    return virStartCont(&restore->start, error);
}

typedef struct {
    guint number;
    const char *what;
    gboolean (*run)(virRestore *restore, GError **error);
} virRestoreStep;

static const virRestoreStep restoreSteps[] = {
    {4, "taking the leases", virRestoreLeases},
    {5, "reading the images again", virRestoreReadChains},
    {6, "executing QEMU", virRestoreExec},
    {7, "checking what QEMU has open", virRestoreAudit},
    {8, "reading the memory", virRestoreLoad},
    {9, "advancing the use records", virRestoreAdvanceUse},
    {RESTORE_TAKE, "giving QEMU the guest", virRestoreTake},
    {11, "letting the guest run", virRestoreCont},
};

static gboolean
virRestoreSteps(virRestore *restore, GError **error)
{
    virStart *start = &restore->start;
    GError *why = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS(restoreSteps); i++) {
        const virRestoreStep *step = &restoreSteps[i];

        virDomainLockObjSetStep(start->obj, "restore", step->number);
        if (virStartCheckBounds(start->wait, step->what, &why) &&
            step->run(restore, &why))
            continue;
        g_prefix_error(&why, "%s cannot be restored: ", restore->path);
        virStartFail(start->obj, start->undo, &why);
        g_propagate_error(error, why);
        return FALSE;
    }
    virStartFinish(start->obj, "restored");
    return TRUE;
}

gboolean
virDomainLockRestoreRun(virDomainLockObj *obj, const virLockWait *wait, GError **error)
{
    JsonObject *request = obj->spec->restore;
    g_autoptr(virUndo) undo = virStartPreparedUndo(obj);
    virRestore restore = {
        .start = {obj, wait, undo},
        .path = virDomainLockJsonString(request, "path"),
        .flags = (guint)virDomainLockJsonInt(request, "flags", 0),
        .fd = -1,
    };
    gboolean ok = virRestoreSteps(&restore, error);

    if (ok)
        virUndoForget(undo);
    virSaveLoadFree(restore.load);
    virSaveImageFree(restore.image);
    virFdClose(restore.fd);
    return ok;
}

/* --- after a crash -------------------------------------------------------------------------- */

static char *
virRestoreMigration(virDomainLockObj *obj, gint64 deadlineUsec, GError **error)
{
    g_autoptr(JsonNode) answer = obj->guest->ops->command(obj->guest, "query-migrate",
                                                          NULL, deadlineUsec, error);

    const char *status = NULL;

    if (!answer)
        return NULL;
    if (JSON_NODE_HOLDS_OBJECT(answer))
        status = virDomainLockJsonString(json_node_get_object(answer), "status");
    return g_strdup(status ? status : "none");
}

/* The pipe is gone, which QEMU takes for the last byte: that belongs to what it reads and does
 * not use. So a QEMU that had all but that byte has taken over, and may go on if the records
 * had advanced before; that step is journalled when they have. Any other one never ran, and
 * has not written anything: the file is as good as it was. */
gboolean
virDomainLockRestoreRecover(virDomainLockObj *obj, guint step, JsonObject *details,
                            gboolean *back, const virLockWait *wait, GError **error)
{
    virStart start = {.obj = obj, .wait = wait};
    JsonNode *paused = details ? json_object_get_member(details, "paused") : NULL;
    g_autofree char *status = virRestoreMigration(obj, wait->deadlineUsec, error);

    *back = FALSE;
    if (!status)
        return FALSE;
    if (step < RESTORE_TAKE || !g_str_equal(status, "completed")) {
        virDomainLockObjSetEndReason(obj, VIR_DOMAIN_LOCK_REASON_FAILED);
        return TRUE;
    }
    *back = TRUE;
    obj->flags &= ~(guint)VIR_DOMAIN_LOCK_CREATE_PAUSED;
    if (!paused || json_node_get_boolean(paused))
        obj->flags |= VIR_DOMAIN_LOCK_CREATE_PAUSED;
    if (!virStartCont(&start, error))
        return FALSE;
    virStartFinish(obj, "restored");
    return TRUE;
}
