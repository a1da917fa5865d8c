/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * save.c: a guest goes into a file (I7, I8, I9).
 *
 *   1 check     RUNNING or PAUSED, every lease its own, no block job
 *   2 file      under another name; the use records of every lease
 *   3 stop
 *   4 stream
 *   5 seal      header, fsync
 *   6 publish   rename, fsync of the folder
 *
 * and the guest ends, in the same job: after step 6 memory and file are the same guest, and
 * only one of them may go on. Should QEMU go on all the same (the rename failed in a way that
 * leaves it open; a later supervisor undoes), it does so through virDomainLockContinueQemu,
 * which makes the file stale first.
 */
#include "save.h"
#include "domain_lock/job.h"
#include "domain_lock/undo.h"
#include <leasehold/lock_driver.h>
#include <string.h>

#define SAVE_LEASE_USEC (30 * G_USEC_PER_SEC)
/* Making a file, and giving it its name; what lies between takes as long as it takes. */
#define SAVE_OPEN_SEC 20
#define SAVE_RENAME_SEC 120

typedef struct {
    virDomainLockObj *obj;
    const char *path;
    guint flags;
    virUndo *undo;
    virSaveWork work; /* file and header */
    gboolean ran;     /* it was running */
} virSave;

static virLockWait
virSaveWait(void)
{
    return (virLockWait){.structSize = sizeof(virLockWait),
                         .deadlineUsec = g_get_monotonic_time() + SAVE_LEASE_USEC};
}

static JsonNode *
virSaveAsk(virDomainLockObj *obj, const char *query, GError **error)
{
    return obj->guest->ops->command(
        obj->guest, query, NULL, g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC, error);
}

/* --- 1 check --------------------------------------------------------------------------- */

static gboolean
virSaveCheckFlags(virSave *save, GError **error)
{
    const guint known = VIR_DOMAIN_LOCK_SAVE_BYPASS_CACHE | VIR_DOMAIN_LOCK_SAVE_RUNNING |
                        VIR_DOMAIN_LOCK_SAVE_PAUSED;

    return virSaveFlagsCheck(save->flags, known, error);
}

static gboolean
virSaveCheckState(virSave *save, GError **error)
{
    virDomainLockReason reason;
    virDomainLockState state = virDomainLockObjGetStateAndReason(save->obj, &reason);
    const char *why = virDomainLockReasonName(reason);

    save->ran = state == VIR_DOMAIN_LOCK_STATE_RUNNING;
    if ((save->ran || state == VIR_DOMAIN_LOCK_STATE_PAUSED) &&
        reason != VIR_DOMAIN_LOCK_REASON_LEASE_LOST &&
        reason != VIR_DOMAIN_LOCK_REASON_YIELDED &&
        !virDomainLockObjIsLeaseLost(save->obj))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE, "it is %s%s%s%s",
                virDomainLockStateName(state), *why ? " (" : "", why, *why ? ")" : "");
    return FALSE;
}

static gboolean
virSaveCheckLeases(virSave *save, GError **error)
{
    g_autoptr(GPtrArray) leases = virLockManagerGetLeases(save->obj->man);

    for (guint i = 0; i < leases->len; i++) {
        const virLockLease *lease = g_ptr_array_index(leases, i);

        if (lease->hold == VIR_LOCK_HOLD_LEASE)
            continue;
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "it does not have the lease of '%s' for itself yet",
                    lease->path ? lease->path : lease->name);
        return FALSE;
    }
    return TRUE;
}

/* A block job goes on while the guest is stopped, and would be lost with QEMU. */
static gboolean
virSaveCheckBlockJobs(virSave *save, GError **error)
{
    g_autoptr(JsonNode) answer = virSaveAsk(save->obj, "query-block-jobs", error);

    if (!answer)
        return FALSE;
    if (JSON_NODE_HOLDS_ARRAY(answer) &&
        json_array_get_length(json_node_get_array(answer)) == 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY,
                "a block job works on its disks");
    return FALSE;
}

static gboolean
virSaveCheck(virSave *save, GError **error)
{
    return virSaveCheckFlags(save, error) && virSaveCheckState(save, error) &&
           virSaveCheckLeases(save, error) && virSaveCheckBlockJobs(save, error);
}

/* --- 2 file ---------------------------------------------------------------------------- */

static gboolean
virSaveIsShareable(virSave *save, const char *path)
{
    GPtrArray *resources = virDomainDefGetResources(save->obj->def);

    for (guint i = 0; i < resources->len; i++) {
        const virDomainResource *resource = g_ptr_array_index(resources, i);

        if (resource->flags & VIR_LOCK_MANAGER_RESOURCE_SHARED &&
            g_strcmp0(resource->path, path) == 0)
            return TRUE;
    }
    return FALSE;
}

gboolean
virSaveReadUse(virDomainLockObj *obj, const char *lease, virLockUse **use, GError **error)
{
    virLockWait wait = virSaveWait();
    GPtrArray *uses = virLockManagerReadUse(obj->plugin, lease, 0, &wait, error);

    if (!uses)
        return FALSE;
    *use = uses->len > 0 ? g_ptr_array_steal_index(uses, 0) : NULL;
    g_ptr_array_unref(uses);
    return TRUE;
}

/* What the file will be compared with: the record as it is now. That of an exclusive lease is
 * the one that this guest wrote. */
static gboolean
virSaveAddLease(virSave *save, const virLockLease *held, GError **error)
{
    g_autoptr(virLockUse) use = NULL;
    virSaveLease *lease = NULL;

    if (virSaveIsShareable(save, held->path)) {
        g_ptr_array_add(save->work.image->shareable, g_strdup(held->path));
        return TRUE;
    }
    if (save->work.image->checked && !virSaveReadUse(save->obj, held->name, &use, error))
        return FALSE;
    if (save->work.image->checked && held->mode == VIR_LOCK_MODE_EXCLUSIVE &&
        (!use || use->epoch != held->epoch)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STALE,
                    "the use record of '%s' is not that of this guest any more",
                    held->path ? held->path : held->name);
        return FALSE;
    }
    lease = virSaveImageAddLease(save->work.image, held->name, held->path);
    lease->type = held->type;
    lease->mode = held->mode;
    lease->epoch = use ? use->epoch : 0;
    lease->hostId = use ? use->hostId : 0;
    lease->timeUsec = use ? use->timeUsec : 0;
    return TRUE;
}

static gboolean
virSaveAddLeases(virSave *save, GError **error)
{
    g_autoptr(GPtrArray) leases = virLockManagerGetLeases(save->obj->man);
    const virLockManagerPluginInfo *plugin =
        virLockManagerPluginGetInfo(save->obj->plugin);

    save->work.image->checked = (plugin->capabilities & VIR_LOCK_CAP_USE_RECORDS) != 0;
    for (guint i = 0; i < leases->len; i++) {
        if (!virSaveAddLease(save, g_ptr_array_index(leases, i), error))
            return FALSE;
    }
    return TRUE;
}

static char *
virSaveQemuVersion(virDomainLockObj *obj, GError **error)
{
    g_autoptr(JsonNode) answer = virSaveAsk(obj, "query-version", error);
    JsonObject *qemu = NULL;

    if (!answer)
        return NULL;
    qemu = JSON_NODE_HOLDS_OBJECT(answer)
               ? virDomainLockJsonObject(json_node_get_object(answer), "qemu")
               : NULL;
    return g_strdup_printf("%d.%d.%d", (int)virDomainLockJsonInt(qemu, "major", 0),
                           (int)virDomainLockJsonInt(qemu, "minor", 0),
                           (int)virDomainLockJsonInt(qemu, "micro", 0));
}

static gboolean
virSaveDescribe(virSave *save, GError **error)
{
    virSaveImage *image = save->work.image;
    virDomainLockObj *obj = save->obj;
    const virDomainLockInfo *info = obj->status->info;

    image->name = g_strdup(info->name);
    image->uuid = g_strdup(info->uuid);
    image->hostName = g_strdup(info->hostName);
    image->plugin = g_strdup(info->plugin);
    image->savedUsec = g_get_real_time();
    image->paused = save->flags & VIR_DOMAIN_LOCK_SAVE_PAUSED ||
                    (!save->ran && !(save->flags & VIR_DOMAIN_LOCK_SAVE_RUNNING));
    image->spec = virDomainLockSpecCopyGuest(obj->spec);
    if (image->spec->xml) {
        g_free(image->spec->xml);
        image->spec->xml = virDomainLockDescribe(obj, error);
        if (!image->spec->xml)
            return FALSE;
    }
    image->qemuVersion = virSaveQemuVersion(obj, error);
    return image->qemuVersion && virSaveAddLeases(save, error);
}

static gboolean
virSaveUndoFile(gpointer data, GError **error)
{
    virSave *save = data;

    g_clear_pointer(&save->work.writer, virSaveWriterFree);
    return TRUE;
}

static gboolean
virSaveMakeFile(virSave *save, GError **error)
{
    virSaveWork *work = &save->work;

    if (!virSaveDescribe(save, error))
        return FALSE;
    work->path = g_strdup(save->path);
    work->flags =
        save->flags & VIR_DOMAIN_LOCK_SAVE_BYPASS_CACHE ? VIR_SAVE_FILE_DIRECT : 0;
    work->image->slotSize = virSaveImageRoom(work->image);
    if (!virSaveWithin(work, virSaveActionNew, virDomainLockJobCancellable(save->obj),
                       SAVE_OPEN_SEC, error))
        return FALSE;
    virUndoPush(save->undo, "make the file", virSaveUndoFile, save);
    return TRUE;
}

/* --- 3 stop, 4 stream ------------------------------------------------------------------- */

static gboolean
virSaveUndoStop(gpointer data, GError **error)
{
    virSave *save = data;

    if (!save->ran || !virDomainLockObjMayRun(save->obj))
        return TRUE;
    return virDomainLockContinueQemu(save->obj, error);
}

static gboolean
virSaveStop(virSave *save, GError **error)
{
    if (save->ran)
        virDomainLockObjSetPauseReason(save->obj, VIR_DOMAIN_LOCK_REASON_SAVING);
    virUndoPush(save->undo, "stop the guest", virSaveUndoStop, save);
    /* also of a guest that is stopped: it waits for all requests in flight */
    return virDomainLockCommandSimple(save->obj, "stop", error);
}

static gboolean
virSaveStream(virSave *save, GError **error)
{
    return virSaveStreamOut(save->obj, &save->work.writer, error);
}

/* --- 5 seal, 6 publish ------------------------------------------------------------------ */

static gboolean
virSaveSeal(virSave *save, GError **error)
{
    return virSaveWithin(&save->work, virSaveActionSeal,
                         virDomainLockJobCancellable(save->obj), 0, error);
}

static gboolean
virSavePublish(virSave *save, GError **error)
{
    if (!virDomainLockJobSeal(save->obj, error))
        return FALSE;
    if (virSaveWithin(&save->work, virSaveActionPublish, NULL, SAVE_RENAME_SEC, error))
        return TRUE;
    /* left behind, it may get its name yet */
    if (save->work.uncertain || !save->work.writer)
        g_prefix_error(error, "a file that may be there is stale, the guest goes on: ");
    return FALSE;
}

/* --- the sequence ------------------------------------------------------------------------ */

static gboolean
virSaveSteps(virSave *save, GError **error)
{
    static gboolean (*const steps[])(virSave * save, GError * *error) = {
        virSaveCheck,  virSaveMakeFile, virSaveStop,
        virSaveStream, virSaveSeal,     virSavePublish,
    };
    GError *why = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
        virDomainLockObjSetStep(save->obj, "save", i + 1);
        if (steps[i](save, &why))
            continue;
        if (!virUndoRun(save->undo, &why))
            why->code = VIR_LOCK_ERROR_INDETERMINATE;
        else if (why->code == VIR_LOCK_ERROR_INDETERMINATE)
            why->code = VIR_LOCK_ERROR_UNAVAILABLE;
        virDomainLockObjSetStep(save->obj, NULL, 0);
        g_propagate_prefixed_error(
            error, why, "cannot save guest '%s': ", save->obj->status->info->name);
        return FALSE;
    }
    virUndoForget(save->undo);
    return TRUE;
}

static void
virSavePublished(virDomainLockObj *obj, const char *path)
{
    virDomainLockObjSetEndReason(obj, VIR_DOMAIN_LOCK_REASON_SAVED);
    /* nothing resumes it from this state */
    virDomainLockObjSetState(obj, VIR_DOMAIN_LOCK_STATE_SHUTDOWN,
                             VIR_DOMAIN_LOCK_REASON_SAVED, NULL);
    virDomainLockObjEmit(obj, "SAVED", NULL, path);
}

/* For a supervisor that has to finish or undo this. */
static void
virSaveKeepJournal(virSave *save)
{
    JsonObject *details = json_object_new();

    json_object_set_string_member(details, "path", save->path);
    json_object_set_string_member(details, "id", save->work.image->id);
    json_object_set_boolean_member(details, "ran",
                                   virDomainLockObjGetState(save->obj) ==
                                       VIR_DOMAIN_LOCK_STATE_RUNNING);
    virDomainLockObjSetJournal(save->obj, details);
}

gboolean
virDomainLockSaveRun(virDomainLockObj *obj, const char *path, guint flags, GError **error)
{
    g_autoptr(virUndo) undo = virUndoNew();
    virSave save = {.obj = obj,
                    .path = path,
                    .flags = flags,
                    .undo = undo,
                    .work = {.image = virSaveImageNew()}};
    gboolean ok;

    save.work.image->id = g_uuid_string_random();
    virDomainLockJobBegin(obj, "saving", path, VIR_DOMAIN_LOCK_JOB_ALONE);
    virSaveKeepJournal(&save);
    ok = virSaveSteps(&save, error);
    if (ok) {
        virSavePublished(obj, path);
        ok = virDomainLockEnd(obj, error);
    }
    virDomainLockJobEnd(obj);
    virSaveWriterFree(save.work.writer);
    virSaveImageFree(save.work.image);
    g_free(save.work.path);
    return ok;
}

/* --- after a crash ------------------------------------------------------------------------ */

/* The file has its name only when it is whole; another one may have had it before. */
static gboolean
virSaveWasPublished(const char *path, const char *id)
{
    g_autoptr(virSaveImage) image = path ? virSaveFileRead(path, NULL) : NULL;

    return image && g_strcmp0(image->id, id) == 0;
}

gboolean
virDomainLockSaveRecover(virDomainLockObj *obj, guint step, JsonObject *details,
                         gboolean *saved, GError **error)
{
    const char *path = virDomainLockJsonString(details, "path");
    const char *id = virDomainLockJsonString(details, "id");
    JsonNode *ran = details ? json_object_get_member(details, "ran") : NULL;
    gboolean completed = FALSE;

    *saved = FALSE;
    if (!virSaveStreamAbandon(obj, &completed, error))
        return FALSE;
    if (completed && virSaveWasPublished(path, id)) {
        *saved = TRUE;
        virSavePublished(obj, path);
        return TRUE;
    }
    if (path)
        virSaveWriterSweep(path, obj->status->info->uuid);
    if (step < 3 || !ran || !json_node_get_boolean(ran) || !virDomainLockObjMayRun(obj))
        return TRUE;
    return virDomainLockContinueQemu(obj, error);
}
