/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshot_offline.c: the snapshots of a guest that does not run (I1, I2, I3, I8).
 *
 * Like a start: a supervisor, a parked child, all leases of the guest. The child runs qemu-img
 * beside itself, so that whatever writes holds the leases, and is gone before they are. Then it
 * ends; or, where the guest is to run afterwards, it becomes QEMU, and nobody could come in
 * between. 1 to 3 are virDomainLockStartPrepare's.
 *
 *   offline:4 leases         all of the guest's
 *   offline:5 chains again
 *   offline:6 look up        as the images are under their leases
 *   offline:7 use records    revert: memory that was saved with what the disks have now is stale
 *   offline:8 book           says what begins
 *   offline:9 images         qemu-img, one after the other; not where QEMU does it
 *   offline:10 exec          QEMU, paused: where the guest is to run ...
 *   offline:11 audit
 *   offline:12 load          ... with its memory, which sets the disks back, too
 *   offline:13 book          says what is
 *   offline:14 cont          or the end of the child
 *
 * To make or to delete a snapshot changes nothing that a guest can see, so that no epoch
 * advances. What was not completed is deleted again; a delete can be repeated. A revert that
 * has begun has no way back: until it is repeated, the book says so and the guest is not
 * started.
 */
#include "domain_lock/codec.h"
#include "domain_lock/save/archive.h"
#include "domain_lock/start_steps.h"
#include "snapshot.h"
#include <string.h>

/* qemu-img writes some megabytes of tables at most */
#define OFFLINE_IMAGE_USEC (120 * G_USEC_PER_SEC)
#define OFFLINE_END_USEC (30 * G_USEC_PER_SEC)

typedef enum {
    VIR_OFFLINE_CREATE = 0,
    VIR_OFFLINE_REVERT,
    VIR_OFFLINE_DELETE,
    VIR_OFFLINE_OPS,
} virOfflineOp;

static const struct {
    const char *name;
    const char *what;
    const char *job;
    const char *event;
} operations[VIR_OFFLINE_OPS] = {
    [VIR_OFFLINE_CREATE] = {"create", "create snapshot", "taking a snapshot",
                            "SNAPSHOT_CREATED"},
    [VIR_OFFLINE_REVERT] = {"revert", "revert to snapshot", "reverting to a snapshot",
                            "SNAPSHOT_REVERTED"},
    [VIR_OFFLINE_DELETE] = {"delete", "delete snapshot", "deleting a snapshot",
                            "SNAPSHOT_DELETED"},
};

typedef struct {
    virStart start;
    virOfflineOp op;
    virDomainLockSnapshotSpec spec;
    virSnapshotRun run;
    gboolean starts;  /* the guest is to run or to be paused afterwards */
    gboolean touched; /* images may have been changed */
} virOffline;

typedef struct {
    guint number;
    const char *what;
    gboolean (*run)(virOffline *offline, GError **error);
} virOfflineStep;

static virOfflineOp
virOfflineOpOf(const char *name)
{
    virOfflineOp op = 0;

    while (op < VIR_OFFLINE_OPS && g_strcmp0(operations[op].name, name) != 0)
        op++;
    return op;
}

const char *
virDomainLockOfflineJob(const char *name)
{
    virOfflineOp op = virOfflineOpOf(name);

    return op < VIR_OFFLINE_OPS ? operations[op].job : "working on snapshots";
}

/* --- 4 to 8 --------------------------------------------------------------------------------- */

static gboolean
virOfflineLeases(virOffline *offline, GError **error)
{
    return virStartTakeLeases(&offline->start, error);
}

static gboolean
virOfflineChains(virOffline *offline, GError **error)
{
    return virStartReadChainsAgain(&offline->start, error);
}

static gboolean
virOfflineLookRevert(virOffline *offline, GError **error)
{
    virSnapshotRun *run = &offline->run;

    if (!virSnapshotCheckRevertFlags(offline->spec.flags, error) ||
        !virSnapshotFind(run, error))
        return FALSE;
    if (run->found->problem->len > 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, "%s",
                    run->found->problem->str);
        return FALSE;
    }
    run->book = run->found->book;
    offline->starts = run->found->memoryBytes > 0 || offline->spec.flags != 0;
    return virSnapshotCompareDisks(run->look, run->found->entry, error);
}

static gboolean
virOfflineLook(virOffline *offline, GError **error)
{
    virSnapshotRun *run = &offline->run;

    if (!virSnapshotCheckName(offline->spec.name, error))
        return FALSE;
    run->look = virSnapshotLookAt(run->obj->config, run->obj->def, error);
    if (!run->look)
        return FALSE;
    run->book = virSnapshotLookBook(run->look);
    if (offline->op == VIR_OFFLINE_REVERT)
        return virOfflineLookRevert(offline, error);
    if (offline->op == VIR_OFFLINE_DELETE)
        return virSnapshotFind(run, error) && virSnapshotDeleteCheck(run, error);
    return virSnapshotCheckDisks(run->look, error) && virSnapshotIsFree(run, error);
}

static gboolean
virOfflineUse(virOffline *offline, GError **error)
{
    return offline->op != VIR_OFFLINE_REVERT ||
           virStartAdvanceUse(&offline->start, error);
}

static gboolean
virOfflineBegin(virOffline *offline, GError **error)
{
    g_autofree char *xml = NULL;

    if (offline->op == VIR_OFFLINE_DELETE)
        return TRUE;
    if (offline->op == VIR_OFFLINE_REVERT)
        return virSnapshotRevertBegin(&offline->run, error);
    xml = virDomainDefFormatXML(offline->run.obj->def, error);
    return xml &&
           virSnapshotEnter(&offline->run, xml, VIR_DOMAIN_LOCK_STATE_SHUTOFF, error);
}

/* --- 9: qemu-img ------------------------------------------------------------------------------ */

/* The image as it is described; nothing is probed, and nothing of it stays in the page cache
 * of this host when qemu-img is gone. */
static char *
virOfflineImage(virDomainLockObj *obj, const virSnapshotDisk *disk)
{
    const virImageChain *chain = virDomainDefGetDiskChain(obj->def, disk->target);
    const virImage *top = g_ptr_array_index(chain->images, 0);
    g_auto(GStrv) parts = g_strsplit(top->path, ",", -1);
    g_autofree char *path = g_strjoinv(",,", parts);

    return g_strdup_printf("driver=qcow2,file.driver=%s,file.filename=%s%s",
                           top->isBlock ? "host_device" : "file", path,
                           top->directIo ? ",cache.direct=on" : "");
}

static gboolean
virOfflineQemuImg(virOffline *offline, const virSnapshotDisk *disk, const char *option,
                  const char *argument, GError **error)
{
    virDomainLockObj *obj = offline->run.obj;
    g_autofree char *image = virOfflineImage(obj, disk);
    const char *argv[] = {"qemu-img", "snapshot", "--image-opts", option, argument,
                          image,      NULL};

    offline->touched = TRUE;
    if (obj->guest->ops->run(obj->guest, argv,
                             g_get_monotonic_time() + OFFLINE_IMAGE_USEC, error))
        return TRUE;
    g_prefix_error(error, "disk '%s' (%s): ", disk->target, disk->path);
    return FALSE;
}

static gboolean
virOfflineQemuImgAll(virOffline *offline, const GPtrArray *disks, const char *option,
                     GError **error)
{
    for (guint i = 0; i < disks->len; i++) {
        const virSnapshotDisk *disk = g_ptr_array_index(disks, i);
        const char *argument = offline->spec.name;
        guint index = 0;

        /* of two that are called alike by name and by id it takes the id */
        if (g_str_equal(option, "-a") &&
            virSnapshotLookLease(offline->run.look, disk->lease, &index))
            argument = virSnapshotLookMark(offline->run.look, index, argument, NULL)->id;
        if (!virOfflineQemuImg(offline, disk, option, argument, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
virOfflineImages(virOffline *offline, GError **error)
{
    virSnapshotRun *run = &offline->run;
    g_autoptr(GPtrArray) disks = NULL;

    if (offline->op == VIR_OFFLINE_DELETE)
        return virOfflineQemuImgAll(offline, run->found->have, "-d", error);
    if (offline->op == VIR_OFFLINE_REVERT)
        return run->found->memoryBytes > 0 ||
               virOfflineQemuImgAll(offline, run->found->have, "-a", error);
    disks = virSnapshotIncluded(virSnapshotBookFind(run->book, offline->spec.name));
    return virOfflineQemuImgAll(offline, disks, "-c", error);
}

/* --- 10 to 14 ------------------------------------------------------------------------------------ */

static gboolean
virOfflineExec(virOffline *offline, GError **error)
{
    return !offline->starts || virStartExec(&offline->start, error);
}

static gboolean
virOfflineAudit(virOffline *offline, GError **error)
{
    return !offline->starts || virStartAudit(&offline->start, error);
}

static gboolean
virOfflineLoad(virOffline *offline, GError **error)
{
    virSnapshotRun *run = &offline->run;

    if (!offline->starts || run->found->memoryBytes == 0)
        return TRUE;
    offline->touched = TRUE;
    return virSnapshotJobRun(run->obj, "snapshot-load", offline->spec.name,
                             run->found->have, NULL, error) &&
           virSnapshotJobDismiss(run->obj, error);
}

static gboolean
virOfflineDone(virOffline *offline, GError **error)
{
    if (offline->op == VIR_OFFLINE_CREATE)
        return virSnapshotComplete(&offline->run, error);
    if (offline->op == VIR_OFFLINE_DELETE)
        return virSnapshotDeleteBook(&offline->run, error);
    return virSnapshotReverted(&offline->run, error);
}

/* As for the guest that it is, so that what runs next is what was reverted to. */
static void
virOfflineKeepDescription(virOffline *offline)
{
    virDomainLockObj *obj = offline->run.obj;
    g_autoptr(GError) why = NULL;

    if (offline->op == VIR_OFFLINE_REVERT &&
        !virArchiveSaveDescription(obj->stateDir, obj->status->info->uuid,
                                   offline->run.found->entry->xml, &why))
        g_warning("the description of the guest could not be kept: %s", why->message);
}

static gboolean
virOfflineEnd(virOffline *offline, GError **error)
{
    virDomainLockObj *obj = offline->run.obj;
    virLockWait wait = {.structSize = sizeof(wait),
                        .deadlineUsec = g_get_monotonic_time() + OFFLINE_END_USEC};
    virDomainLockExit how;

    obj->guest->ops->kill(obj->guest, FALSE);
    if (!obj->guest->ops->reap(obj->guest, wait.deadlineUsec, &how, error) ||
        !virLockManagerShutdown(obj->man, &wait, error) ||
        !virDomainLockRuntimeRemove(obj->runtime, error))
        return FALSE;
    g_mutex_lock(&obj->lock); /* not saved: the folder is gone, and it ended as it had */
    obj->status->info->state = VIR_DOMAIN_LOCK_STATE_SHUTOFF;
    g_clear_pointer(&obj->status->info->job, g_free);
    g_mutex_unlock(&obj->lock);
    return TRUE;
}

static gboolean
virOfflineGoOn(virOffline *offline, GError **error)
{
    virDomainLockObj *obj = offline->run.obj;

    virOfflineKeepDescription(offline);
    if (!offline->starts)
        return virOfflineEnd(offline, error);
    obj->flags &= ~(guint)VIR_DOMAIN_LOCK_CREATE_PAUSED;
    if (!virSnapshotShallRun(&offline->run, offline->run.found->entry))
        obj->flags |= VIR_DOMAIN_LOCK_CREATE_PAUSED;
    return virStartCont(&offline->start, error);
}

/* --- the leases, from step to step ---------------------------------------------------------------- */

/* What is done beside the child (books, QEMU's answers) has the leases only as long as it lives
 * and they are safe. */
static gboolean
virOfflineIsHeld(virOffline *offline, GError **error)
{
    virDomainLockObj *obj = offline->run.obj;
    virDomainLockProcess holder;
    g_autofree char *danger = NULL;

    g_mutex_lock(&obj->lock);
    danger = g_strdup(obj->danger);
    holder = obj->status->qemu;
    g_mutex_unlock(&obj->lock);
    if (danger)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "the leases of this host are in danger: %s", danger);
    else if (!virDomainLockProcessAlive(&holder))
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "the process that held its leases has ended");
    else
        return TRUE;
    return FALSE;
}

/* When images have been changed it is too late to be cancelled. */
static gboolean
virOfflineMayGoOn(virOffline *offline, const virOfflineStep *step, GError **error)
{
    if (!offline->touched && !virStartCheckBounds(offline->start.wait, step->what, error))
        return FALSE;
    /* the last step of those that start nothing is to end it */
    return step->number < 5 || (step->number == 14 && !offline->starts) ||
           virOfflineIsHeld(offline, error);
}

/* --- failing ------------------------------------------------------------------------------------- */

/* What there is of a new one is deleted by the child, which still has the leases. */
static gboolean
virOfflineForget(virOffline *offline, GError **error)
{
    virSnapshotRun *run = &offline->run;
    g_autoptr(virSnapshotLook) now =
        virSnapshotLookAt(run->obj->config, run->obj->def, error);
    g_autoptr(virSnapshotFound) found =
        now ? virSnapshotLookFind(now, offline->spec.name) : NULL;

    if (!now || (found && !virOfflineQemuImgAll(offline, found->have, "-d", error)))
        return FALSE;
    virSnapshotBookRemove(run->book, offline->spec.name);
    return virSnapshotBookSave(run->book, error);
}

/* *@left: what could not be undone; NULL: all was. */
static void
virOfflineUndo(virOffline *offline, const GError *why, guint step, char **left)
{
    virSnapshotRun *run = &offline->run;
    g_autoptr(GError) problem = NULL;

    if (step < 8 || offline->op == VIR_OFFLINE_DELETE)
        return;
    if (offline->op == VIR_OFFLINE_REVERT && offline->touched) {
        *left = g_strdup("its disks may not belong together now, and it is not started; "
                         "revert to the snapshot again");
    } else if (offline->op == VIR_OFFLINE_REVERT) {
        g_clear_pointer(&run->book->reverting, g_free);
        if (!virSnapshotBookSave(run->book, &problem))
            *left = g_strdup(problem->message);
    } else if (why->code == VIR_LOCK_ERROR_TIMEOUT ||
               !virOfflineIsHeld(offline, &problem)) {
        *left =
            g_strdup("what there is of it is left; 'leasehold snapshot delete' removes "
                     "it");
    } else if (!virOfflineForget(offline, &problem)) {
        *left = g_strdup_printf("what there is of it could not be deleted: %s",
                                problem->message);
    }
}

static const virOfflineStep offlineSteps[] = {
    {4, "taking the leases", virOfflineLeases},
    {5, "reading the images again", virOfflineChains},
    {6, "looking for the snapshot", virOfflineLook},
    {7, "advancing the use records", virOfflineUse},
    {8, "writing down what begins", virOfflineBegin},
    {9, "changing the images", virOfflineImages},
    {10, "executing QEMU", virOfflineExec},
    {11, "checking what QEMU has open", virOfflineAudit},
    {12, "loading the memory", virOfflineLoad},
    {13, "writing down what is", virOfflineDone},
    {14, "letting the guest go on", virOfflineGoOn},
};

/* Takes @why. */
static void
virOfflineFail(virOffline *offline, guint step, GError *why, GError **error)
{
    g_autofree char *left = NULL;
    g_autofree char *what =
        g_strdup_printf("%s '%s'", operations[offline->op].what, offline->spec.name);

    virOfflineUndo(offline, why, step, &left);
    virStartFailWork(offline->run.obj, offline->start.undo, what, &why);
    if (left) {
        g_autofree char *first = g_steal_pointer(&why->message);

        why->code = VIR_LOCK_ERROR_INDETERMINATE;
        why->message = g_strdup_printf("%s\n%s", first, left);
    }
    g_propagate_error(error, why);
}

static gboolean
virOfflineWalk(virOffline *offline, GError **error)
{
    virStart *start = &offline->start;

    for (gsize i = 0; i < G_N_ELEMENTS(offlineSteps); i++) {
        const virOfflineStep *step = &offlineSteps[i];
        GError *why = NULL;

        virDomainLockObjSetStep(start->obj, "offline", step->number);
        if (virOfflineMayGoOn(offline, step, &why) && step->run(offline, &why))
            continue;
        virOfflineFail(offline, step->number, why, error);
        return FALSE;
    }
    return TRUE;
}

gboolean
virDomainLockOfflineRun(virDomainLockObj *obj, const virLockWait *wait, GError **error)
{
    JsonObject *request = obj->spec->snapshot;
    g_autoptr(virUndo) undo = virStartPreparedUndo(obj);
    virOffline offline = {
        .start = {obj, wait, undo},
        .op = virOfflineOpOf(virDomainLockJsonString(request, "op")),
        .spec = {.name = (char *)virDomainLockJsonString(request, "name"),
                 .description = (char *)virDomainLockJsonString(request, "description"),
                 .flags = (guint)virDomainLockJsonInt(request, "flags", 0)},
        .run = {.obj = obj}};
    gboolean ok = FALSE;

    offline.run.spec = &offline.spec;
    if (offline.op == VIR_OFFLINE_OPS || !offline.spec.name) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "what is to be done with the snapshot is not known");
        virStartFailWork(obj, undo, "work on a snapshot", error);
        return FALSE;
    }
    ok = virOfflineWalk(&offline, error);
    if (ok) {
        virUndoForget(undo);
        virDomainLockObjEmit(obj, operations[offline.op].event, offline.spec.name, NULL);
    }
    if (ok && offline.starts)
        virStartFinish(obj, "reverted");
    virSnapshotFoundFree(offline.run.found);
    virSnapshotLookFree(offline.run.look);
    return ok;
}

/* --- others ---------------------------------------------------------------------------------------- */

/* QEMU had been executed, so it was a revert. */
gboolean
virDomainLockOfflineRecover(virDomainLockObj *obj, guint step, gboolean *back,
                            GError **error)
{
    JsonObject *request = obj->spec->snapshot;
    virDomainLockSnapshotSpec spec = {
        .name = (char *)virDomainLockJsonString(request, "name"),
        .flags = (guint)virDomainLockJsonInt(request, "flags", 0)};
    virSnapshotRun run = {.obj = obj, .spec = &spec};
    gboolean ok = TRUE;

    *back = step >= 13 && spec.name;
    if (!*back) {
        virDomainLockObjSetEndReason(obj, VIR_DOMAIN_LOCK_REASON_FAILED);
        return TRUE;
    }
    run.look = virSnapshotLookAt(obj->config, obj->def, error);
    run.found = run.look ? virSnapshotLookGet(run.look, spec.name, error) : NULL;
    if (run.found && run.found->entry) {
        run.book = run.found->book;
        ok = virSnapshotReverted(&run, error) &&
             virSnapshotGoOn(&run, run.found->entry, error);
    } else if (run.found) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE, "%s",
                    run.found->problem->str);
    }
    ok = ok && run.found && run.found->entry;
    virSnapshotFoundFree(run.found);
    virSnapshotLookFree(run.look);
    return ok;
}

gboolean
virDomainLockSnapshotCheckStart(virDomainLockObj *obj, GError **error)
{
    const char *stateDir = virLockConfigGet(obj->config, "host", "state_dir");
    GPtrArray *resources = virDomainDefGetResources(obj->def);

    for (guint i = 0; i < resources->len && !virDomainDefIsForeign(obj->def); i++) {
        const virDomainResource *resource = g_ptr_array_index(resources, i);
        g_autoptr(virSnapshotBook) book = NULL;

        if (resource->depth > 0 || !resource->target ||
            g_strcmp0(resource->format, "qcow2") != 0 ||
            resource->flags & VIR_LOCK_MANAGER_RESOURCE_READONLY)
            continue;
        book =
            virSnapshotBookOf(obj->config, obj->def, resource->target, stateDir, error);
        if (!book)
            return FALSE;
        if (!book->reverting)
            continue;
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
            "a revert to snapshot '%s' has begun and was not finished, so that its "
            "disks may not belong together; 'leasehold snapshot revert %s %s' "
            "finishes it, and 'leasehold snapshot delete' of it leaves them as they "
            "are",
            book->reverting, virDomainDefGetName(obj->def), book->reverting);
        return FALSE;
    }
    return TRUE;
}
