/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * start.c: the start of a guest (I2, I4, I8, I9).
 *
 *   1 describe           XML or command line to a definition; text only
 *   2 runtime folder     one supervisor per uuid on this host
 *   3 park               fork the child; it registers and waits for "go"
 *   4 leases             read the chains, then the run lease and every disk, all or none;
 *                        meanwhile QEMU is loaded, and held before its first instruction
 *   5 chains again       under the leases: what was read before may be old
 *   6 use records        the epochs advance before QEMU opens an image
 *   7 exec               QEMU begins, paused; it lists what it has open
 *   8 audit              nothing open that no lease covers
 *   9 cont               unless the guest is to stay paused
 *
 * 1 to 3 run in the main thread before any other thread exists, because a fork of a process
 * with threads is a gamble, and touch no storage, so they cannot hang. 4 to 9 run in the
 * worker. A failure undoes what was done, newest first. Whatever was reached, the leases are
 * looked at only after the child is reaped (I3).
 */
#include "audit.h"
#include "common/helper.h"
#include "domain_lock/save/archive.h"
#include "sequence.h"
#include "start_steps.h"
#include "step.h"
#include <errno.h>
#include <leasehold/lock_driver.h>
#include <string.h>
#include <unistd.h>

/* How long undoing may take beyond the deadline of the start itself. */
#define START_UNDO_USEC (10 * G_USEC_PER_SEC)

/* --- undoing ------------------------------------------------------------------------ */

static gboolean
virStartUndoRuntime(gpointer data, GError **error)
{
    virDomainLockObj *obj = data;

    if (!obj->reaped) {
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
            "process %d still lives and holds its leases; 'leasehold destroy' ends it",
            (int)obj->guest->ops->getPid(obj->guest));
        return FALSE;
    }
    return virDomainLockRuntimeRemove(obj->runtime, error);
}

/* Where there is an error to report already. */
static void
virStartDropRuntime(virDomainLockObj *obj)
{
    g_autoptr(GError) why = NULL;

    if (!virDomainLockRuntimeRemove(obj->runtime, &why))
        g_warning("the runtime folder of the guest is left: %s", why->message);
}

static gboolean
virStartUndoChild(gpointer data, GError **error)
{
    virDomainLockObj *obj = data;
    virDomainLockExit how;

    obj->guest->ops->kill(obj->guest, FALSE);
    obj->reaped = obj->guest->ops->reap(
        obj->guest, g_get_monotonic_time() + START_UNDO_USEC, &how, error);
    return obj->reaped;
}

static gboolean
virStartUndoLeases(gpointer data, GError **error)
{
    virDomainLockObj *obj = data;
    virLockWait wait = {.structSize = sizeof(wait),
                        .deadlineUsec = g_get_monotonic_time() + START_UNDO_USEC};

    return virStartUndoChild(obj, error) &&
           virLockManagerShutdown(obj->man, &wait, error);
}

/* --- steps 1 to 3 ------------------------------------------------------------------- */

virDomainDef *
virDomainLockDefFromSpec(const virDomainLockSpec *spec, GError **error)
{
    virDomainLockCommand command = {
        .structSize = sizeof(command),
        .name = spec->name,
        .uuid = spec->uuid,
        .disks = (const virDomainLockDisk *)(gpointer)spec->disks->data,
        .nDisks = spec->disks->len,
        .argv = (const char *const *)spec->argv,
    };

    if (spec->xml)
        return virDomainDefParseXML(spec->packed ? spec->packed : spec->xml, -1,
                                    spec->flags, error);
    return virDomainDefFromCommand(&command, spec->flags, error);
}

/* For the supervisor that may have to take this guest up. */
static gboolean
virStartSaveSpec(virDomainLockObj *obj, const virDomainLockSpec *spec, GError **error)
{
    g_autoptr(JsonObject) object = virDomainLockSpecToJson(spec);
    g_autofree char *text = virDomainLockJsonLine(object);

    return virDomainLockRuntimeSaveSpec(obj->runtime, text, error);
}

static gboolean
virStartTakeRuntime(virDomainLockObj *obj, const virDomainLockSpec *spec, GError **error)
{
    const char *runDir = virLockConfigGet(obj->config, "host", "run_dir");
    virDomainLockInfo *info = obj->status->info;
    g_autoptr(virDomainLockStatus) last = NULL;

    obj->runtime = virDomainLockRuntimeTake(runDir, info->uuid, info->name, &last, error);
    if (!obj->runtime)
        return FALSE;
    if (last) {
        last->info->state = VIR_DOMAIN_LOCK_STATE_SHUTOFF;
        last->info->reason = virDomainLockStatusEndReason(last);
        virDomainLockObjEmit(obj, "STOPPED", virDomainLockReasonName(last->info->reason),
                             "its supervisor died; nobody saw how the guest ended");
    }
    if (!virStartSaveSpec(obj, spec, error) || !virDomainLockObjSave(obj, error)) {
        virStartDropRuntime(obj);
        return FALSE;
    }
    return TRUE;
}

static gboolean
virStartPassFd(int fd, const char *name, gpointer data, GError **error)
{
    virDomainLockObj *obj = data;

    return obj->guest->ops->passFd(obj->guest, fd, name, error);
}

/* One argument of the failure helper, as lock_driver.h wants it. */
static char *
virStartHelperArgument(const char *text)
{
    GString *escaped = g_string_new(NULL);

    for (; *text; text++) {
        if (*text == ' ' || *text == '\\')
            g_string_append_c(escaped, '\\');
        g_string_append_c(escaped, *text);
    }
    return g_string_free(escaped, FALSE);
}

gboolean
virDomainLockMakeManager(virDomainLockObj *obj, guint flags, GError **error)
{
    g_autofree char *helper = virHelperPath("leasehold-lockfailure");
    g_autofree char *dir =
        virStartHelperArgument(virDomainLockRuntimeGetPath(obj->runtime));
    const virDomainLockInfo *info = obj->status->info;
    const char *ticket = obj->spec ? virDomainLockJsonString(obj->spec->incoming, "ticket")
                                   : NULL;

    obj->man =
        virLockManagerNew(obj->plugin, VIR_LOCK_MANAGER_OBJECT_DOMAIN, flags, error);
    if (!obj->man)
        return FALSE;
    virLockManagerSetFdPass(obj->man, virStartPassFd, obj);
    return virLockManagerSetParameter(obj->man, "uuid", info->uuid, error) &&
           virLockManagerSetParameter(obj->man, "name", info->name, error) &&
           (!(flags & VIR_LOCK_MANAGER_NEW_MIGRATE) ||
            virLockManagerSetParameter(obj->man, "ticket", ticket ? ticket : "", error)) &&
           virLockManagerSetParameter(obj->man, "loss_helper", helper, error) &&
           virLockManagerSetParameter(obj->man, "loss_helper_args", dir, error);
}

static gboolean
virStartPark(virDomainLockObj *obj, virDomainLockGuestFactory factory, gpointer data,
             GError **error)
{
    if (!virDomainLockMakeManager(
            obj, obj->incoming ? VIR_LOCK_MANAGER_NEW_MIGRATE : 0, error))
        return FALSE;
    obj->guest = factory(obj, &obj->qmpFd, data, error);
    return obj->guest && obj->guest->ops->park(obj->guest, obj->man, error);
}

static const char *
virStartSequence(const virDomainLockSpec *spec)
{
    return spec->incoming   ? "incoming"
           : spec->restore  ? "restore"
           : spec->snapshot ? "offline"
                            : "start";
}

static const char *
virStartJob(const virDomainLockSpec *spec)
{
    return spec->incoming  ? "coming from another host"
           : spec->restore ? "restoring"
           : spec->snapshot
               ? virDomainLockOfflineJob(virDomainLockJsonString(spec->snapshot, "op"))
               : "starting";
}

virDomainLockObj *
virDomainLockStartPrepare(virLockConfig *config, const virDomainLockSpec *spec,
                          virDomainLockGuestFactory factory, gpointer data,
                          GError **error)
{
    const char *sequence = virStartSequence(spec);
    g_autoptr(virDomainLockObj) obj = NULL;
    virDomainDef *def = NULL;

    virStepStop(sequence, 1);
    def = virDomainLockDefFromSpec(spec, error);
    if (!def)
        return NULL;
    obj = virDomainLockObjNew(config, def, spec->flags);
    obj->spec = spec;
    obj->incoming = spec->incoming != NULL;
    obj->plugin = virLockManagerPluginLoad(config, NULL, error);
    if (!obj->plugin)
        return NULL;
    obj->status->info->plugin = g_strdup(virLockManagerPluginGetInfo(obj->plugin)->name);

    virDomainLockObjSetJob(obj, virStartJob(spec));

    virStepStop(sequence, 2);
    if (!virStartTakeRuntime(obj, spec, error))
        return NULL;

    virDomainLockObjSetStep(obj, sequence, 3);
    if (!virStartPark(obj, factory, data, error)) {
        virStartDropRuntime(obj);
        return NULL;
    }
    return g_steal_pointer(&obj);
}

/* --- steps 4 to 9 ------------------------------------------------------------------- */

static gboolean
virStartWantsDirectIo(virDomainLockObj *obj)
{
    return (virLockManagerPluginGetInfo(obj->plugin)->capabilities &
            VIR_LOCK_CAP_FENCED_CACHE) != 0;
}

gboolean
virDomainLockFindResources(virDomainLockObj *obj, GCancellable *cancellable,
                           GError **error)
{
    return (!virStartWantsDirectIo(obj) ||
            virDomainDefRequireDirectIo(obj->def, error)) &&
           virDomainDefReadChains(obj->def, cancellable, error);
}

gboolean
virStartRegister(virStart *start, GError **error)
{
    virDomainLockObj *obj = start->obj;
    GPtrArray *resources = NULL;

    if (!virDomainLockFindResources(obj, start->wait->cancellable, error))
        return FALSE;
    resources = virDomainDefGetResources(obj->def);
    for (guint i = 0; i < resources->len; i++) {
        const virDomainResource *resource = g_ptr_array_index(resources, i);

        if (virDomainLockGuardedByKey(obj->config, resources, resource))
            continue;
        if (!virDomainLockRegister(obj, resource, error))
            return FALSE;
    }
    return TRUE;
}

/* QEMU's command line; with an emulated TPM behind a program that starts swtpm first. */
static char **
virStartArgv(virDomainLockObj *obj, GError **error)
{
    const char *runDir = virDomainLockRuntimeGetPath(obj->runtime);
    virDomainArgvContext context = {.runDir = runDir,
                                    .qmpFd = obj->qmpFd,
                                    .incoming = obj->incoming ||
                                                obj->spec->restore != NULL};
    g_autoptr(virDomainTpmEmulator) tpm = virDomainDefGetTpmEmulator(obj->def, runDir);
    g_auto(GStrv) qemu = virDomainDefFormatArgv(obj->def, &context, error);
    g_autoptr(GStrvBuilder) builder = NULL;
    g_autofree char *helper = NULL;

    if (!qemu || !tpm)
        return g_steal_pointer(&qemu);
    helper = virHelperPath("leasehold-with-swtpm");
    builder = g_strv_builder_new();
    g_strv_builder_add_many(builder, helper, tpm->socketPath, tpm->statePath,
                            tpm->version2 ? "2" : "1", "--", NULL);
    g_strv_builder_addv(builder, (const char **)qemu);
    return g_strv_builder_end(builder);
}

/* The plugin knows of nothing in the way: the guest will most likely start. QEMU's libraries
 * take as long to link as four leases to take. One that registers no child may have files
 * to pass to it, which has to be before. */
static void
virStartLoad(virStart *start)
{
    virDomainLockObj *obj = start->obj;
    guint64 capabilities = virLockManagerPluginGetInfo(obj->plugin)->capabilities;
    g_auto(GStrv) argv = NULL;

    start->ahead = FALSE;
    if (!(capabilities & VIR_LOCK_CAP_CHILD_REGISTER) || !obj->guest->ops->load)
        return;
    argv = virStartArgv(obj, NULL);
    if (argv)
        obj->guest->ops->load(obj->guest, (const char *const *)argv);
}

static void
virStartProgress(const virLockProgress *progress, gpointer data)
{
    virStart *start = data;

    if (start->ahead && progress->fraction >= 0)
        virStartLoad(start);
    if (start->wait->progress)
        start->wait->progress(progress, start->wait->progressData);
}

gboolean
virStartAcquire(virStart *start, guint flags, GError **error)
{
    virDomainLockObj *obj = start->obj;
    virLockWait wait = *start->wait;

    wait.progress = virStartProgress;
    wait.progressData = start;
    virUndoPush(start->undo, "take the leases", virStartUndoLeases, obj);
    if (!virLockManagerAcquireObject(obj->man, flags, &wait, error))
        return FALSE;
    virDomainLockObjUpdateLeases(obj);
    return TRUE;
}

gboolean
virStartTakeLeases(virStart *start, GError **error)
{
    return virStartRegister(start, error) && virStartAcquire(start, 0, error);
}

gboolean
virStartReadChainsAgain(virStart *start, GError **error)
{
    return virDomainDefReadChains(start->obj->def, start->wait->cancellable, error);
}

gboolean
virStartAdvanceUse(virStart *start, GError **error)
{
    if (!virLockManagerAdvanceUse(start->obj->man, start->wait, error))
        return FALSE;
    virDomainLockObjUpdateLeases(start->obj);
    return TRUE;
}

gboolean
virStartExec(virStart *start, GError **error)
{
    virDomainLockObj *obj = start->obj;
    g_auto(GStrv) argv = virStartArgv(obj, error);
    g_autoptr(JsonObject) flat = virDomainLockAuditArgs();
    virDomainLockGuestCommand first = {.name = VIR_AUDIT_QUERY, .args = flat};

    if (!argv || !virDomainLockObjUpdateDescription(obj, error))
        return FALSE;
    virUndoPush(start->undo, "execute QEMU", virStartUndoChild, obj);
    if (obj->guest->ops->exec(obj->guest, (const char *const *)argv, &first, start->wait,
                              error)) {
        obj->opened = first.answer;
        return TRUE;
    }
    virDomainLockObjAddNotes(obj, NULL, error);
    return FALSE;
}

JsonObject *
virDomainLockAuditArgs(void)
{
    JsonObject *args = json_object_new();

    json_object_set_boolean_member(args, "flat", TRUE);
    return args;
}

gboolean
virDomainLockAuditNodes(virDomainLockObj *obj, JsonNode *nodes, GError **error)
{
    g_autoptr(GPtrArray) leases = virLockManagerGetLeases(obj->man);

    if (!JSON_NODE_HOLDS_ARRAY(nodes)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                    "QEMU's list of block nodes is no list");
        return FALSE;
    }
    return virDomainLockAudit(
        obj->config, json_node_get_array(nodes), virDomainDefGetResources(obj->def),
        leases, virDomainDefIsForeign(obj->def) ? VIR_AUDIT_FOREIGN : 0, error);
}

gboolean
virDomainLockAuditQemu(virDomainLockObj *obj, gint64 deadlineUsec, GError **error)
{
    g_autoptr(JsonObject) args = virDomainLockAuditArgs();
    g_autoptr(JsonNode) nodes = obj->guest->ops->command(obj->guest, VIR_AUDIT_QUERY,
                                                         args, deadlineUsec, error);

    return nodes && virDomainLockAuditNodes(obj, nodes, error);
}

gboolean
virStartAudit(virStart *start, GError **error)
{
    virDomainLockObj *obj = start->obj;
    g_autoptr(JsonNode) nodes = g_steal_pointer(&obj->opened);

    return nodes ? virDomainLockAuditNodes(obj, nodes, error)
                 : virDomainLockAuditQemu(obj, start->wait->deadlineUsec, error);
}

gboolean
virStartCont(virStart *start, GError **error)
{
    virDomainLockObj *obj = start->obj;

    obj->status->info->startedUsec = g_get_real_time();
    if (obj->flags & VIR_DOMAIN_LOCK_CREATE_PAUSED) {
        virDomainLockObjSetState(obj, VIR_DOMAIN_LOCK_STATE_PAUSED,
                                 VIR_DOMAIN_LOCK_REASON_USER, NULL);
        return TRUE;
    }
    if (!virDomainLockCommandSimple(obj, "cont", error))
        return FALSE;
    virDomainLockObjSetState(obj, VIR_DOMAIN_LOCK_STATE_RUNNING,
                             VIR_DOMAIN_LOCK_REASON_NONE, NULL);
    return TRUE;
}

gboolean
virDomainLockStartResume(virDomainLockObj *obj, const virLockWait *wait, GError **error)
{
    virStart start = {.obj = obj, .wait = wait};

    if (!virStartAudit(&start, error) || !virStartCont(&start, error))
        return FALSE;
    virDomainLockObjEmit(obj, "STARTED", NULL, NULL);
    return TRUE;
}

typedef struct {
    guint number;
    const char *what; /* "cannot start guest 'web': <what>: ..." if the error needs it */
    gboolean (*run)(virStart *start, GError **error);
    /* how the journal hears of it: Pass where nothing outside changes */
    void (*enter)(virDomainLockObj *obj, const char *sequence, guint number);
} virStartStep;

static gboolean
virStartReadAgain(virStart *start, GError **error)
{
    return virStartReadChainsAgain(start, error) &&
           virDomainLockSnapshotCheckStart(start->obj, error);
}

static const virStartStep startSteps[] = {
    {4, "taking the leases", virStartTakeLeases, virDomainLockObjSetStep},
    {5, "reading the images again", virStartReadAgain, virDomainLockObjPassStep},
    {6, "advancing the use records", virStartAdvanceUse, virDomainLockObjSetStep},
    {7, "executing QEMU", virStartExec, virDomainLockObjSetStep},
    {8, "checking what QEMU has open", virStartAudit, virDomainLockObjPassStep},
    {9, "letting the guest run", virStartCont, virDomainLockObjSetStep},
};

gboolean
virStartCheckBounds(const virLockWait *wait, const char *what, GError **error)
{
    if (wait->cancellable && g_cancellable_is_cancelled(wait->cancellable)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED,
                    "cancelled before %s", what);
        return FALSE;
    }
    if (g_get_monotonic_time() >= wait->deadlineUsec) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                    "the deadline passed before %s", what);
        return FALSE;
    }
    return TRUE;
}

/* " with disk /vm/web.img and 7 more": what a refusal of the guest as a whole is about; a
 * message that names a disk itself needs no more. */
static char *
virStartNameDisks(virDomainLockObj *obj, const GError *why)
{
    GPtrArray *resources = virDomainDefGetResources(obj->def);
    const char *first = NULL;
    guint more = 0;

    if (why->code != VIR_LOCK_ERROR_BUSY)
        return g_strdup("");
    for (guint i = 0; i < resources->len; i++) {
        const virDomainResource *resource = g_ptr_array_index(resources, i);

        if (strstr(why->message, resource->path))
            return g_strdup("");
        if (resource->type != VIR_LOCK_RESOURCE_DISK || resource->depth > 0)
            continue;
        if (first)
            more++;
        else
            first = resource->path;
    }
    if (!first)
        return g_strdup("");
    return more == 0 ? g_strdup_printf(" with disk %s", first)
                     : g_strdup_printf(" with disk %s and %u more", first, more);
}

/* Whoever asked for the guest did not cancel it: the watch of the leases did. */
static void
virStartNameDanger(virDomainLockObj *obj, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    if (!obj->danger || (*error)->code != VIR_LOCK_ERROR_CANCELLED)
        return;
    (*error)->code = VIR_LOCK_ERROR_UNAVAILABLE;
    g_free((*error)->message);
    (*error)->message =
        g_strdup_printf("the leases of this host are in danger: %s", obj->danger);
}

/* What one step left open (an answer of QEMU that did not come) is settled once everything
 * was undone and seen: the guest was not started. And it is open when it was not. */
static void
virStartUndoAll(virDomainLockObj *obj, virUndo *undo, GError **error)
{
    virStartNameDanger(obj, error);
    if (!virUndoRun(undo, error))
        (*error)->code = VIR_LOCK_ERROR_INDETERMINATE;
    else if ((*error)->code == VIR_LOCK_ERROR_INDETERMINATE)
        (*error)->code = VIR_LOCK_ERROR_UNAVAILABLE;
    g_mutex_lock(&obj->lock); /* not saved: the folder is gone */
    if (obj->status->endReason == VIR_DOMAIN_LOCK_REASON_NONE)
        obj->status->endReason = VIR_DOMAIN_LOCK_REASON_FAILED;
    obj->status->info->state = VIR_DOMAIN_LOCK_STATE_SHUTOFF;
    obj->status->info->reason = VIR_DOMAIN_LOCK_REASON_FAILED;
    g_mutex_unlock(&obj->lock);
}

void
virStartFailWork(virDomainLockObj *obj, virUndo *undo, const char *what, GError **error)
{
    g_autofree char *disks = virStartNameDisks(obj, *error);

    virStartUndoAll(obj, undo, error);
    g_prefix_error(error, "cannot %s of guest '%s'%s: ", what, obj->status->info->name,
                   disks);
}

void
virStartFail(virDomainLockObj *obj, virUndo *undo, GError **error)
{
    g_autofree char *disks = virStartNameDisks(obj, *error);

    virStartUndoAll(obj, undo, error);
    g_prefix_error(error, "cannot start guest '%s'%s: ", obj->status->info->name, disks);
    virDomainLockObjEmit(obj, "START_FAILED", NULL, (*error)->message);
}

virUndo *
virStartPreparedUndo(virDomainLockObj *obj)
{
    virUndo *undo = virUndoNew();

    virUndoPush(undo, "make the runtime folder", virStartUndoRuntime, obj);
    virUndoPush(undo, "fork the child", virStartUndoChild, obj);
    return undo;
}

void
virDomainLockStartAbandon(virDomainLockObj *obj, GError **error)
{
    g_autoptr(virUndo) undo = virStartPreparedUndo(obj);

    virStartFail(obj, undo, error);
}

void
virStartFinish(virDomainLockObj *obj, const char *detail)
{
    const char *discard = obj->spec->discard;

    virDomainLockObjEndSequence(obj);
    virDomainLockObjEmit(obj, "STARTED", detail, NULL);
    /* stale by now, so that leaving it is a nuisance and no danger */
    if (discard && unlink(discard) < 0 && errno != ENOENT)
        g_warning("the saved guest '%s' is left: %s", discard, g_strerror(errno));
}

gboolean
virDomainLockStartRun(virDomainLockObj *obj, const virLockWait *wait, GError **error)
{
    g_autoptr(virUndo) undo = virStartPreparedUndo(obj);
    virStart start = {.obj = obj, .wait = wait, .undo = undo, .ahead = TRUE};
    GError *why = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS(startSteps); i++) {
        const virStartStep *step = &startSteps[i];

        step->enter(obj, "start", step->number);
        if (virStartCheckBounds(wait, step->what, &why) && step->run(&start, &why))
            continue;
        if (obj->guest->ops->explain)
            obj->guest->ops->explain(obj->guest, &why);
        virStartFail(obj, undo, &why);
        g_propagate_error(error, why);
        return FALSE;
    }
    virUndoForget(undo);
    virStartFinish(obj, NULL);
    return TRUE;
}
