/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reattach.c: a new supervisor takes up a guest whose old one is gone (I1, I3, I8).
 *
 *   1 runtime folder     the kernel says that its holder is dead; state.json, spec.json
 *   2 process            exactly the QEMU that is written there, by pidfd
 *   3 ask                the lock daemon what it holds, QEMU what it has open
 *   4 verify             everything open is held; else taken again; else QEMU is killed
 *   5 recover            the sequence that was interrupted is finished or undone
 *   6 disks              half plugged, half unplugged: forgotten
 *   7 release            leases of images that QEMU provably does not have
 *   8 audit              the start's
 *   9 state              what QEMU is doing now
 *
 * 1 and 2 run in the main thread and touch no storage. Only steps 4 to 7 change anything, and
 * each of them finds what it did before done: a supervisor that dies in here is replaced by
 * the next one, which begins again. The journal of the interrupted sequence stays in
 * state.json until step 5 is through with it.
 *
 * Between the old supervisor and this one nobody watched the leases. The lock daemon did: if
 * it lost them, its failure helper has killed QEMU, because nobody else was there.
 */
#include "reattach.h"
#include "codec.h"
#include "domain_lock/save/archive.h"
#include "freed.h"
#include "step.h"
#include <leasehold/lock_driver.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A child that was parked, or a QEMU that was told to quit, may still be about to end. */
#define REATTACH_ENDING_USEC (2 * G_USEC_PER_SEC)
#define REATTACH_ENDING_POLL_USEC 20000

void
virReattachNote(virReattach *re, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(re->found, g_strdup_vprintf(format, args));
    va_end(args);
}

/* --- a guest that ended meanwhile --------------------------------------------------------- */

static void
virReattachRecordEnd(virLockConfig *config, const virDomainLockStatus *status,
                     const char *message)
{
    const char *stateDir = virLockConfigGet(config, "host", "state_dir");
    g_autoptr(virDomainLockInfo) info = virDomainLockInfoCopy(status->info);
    g_autoptr(virDomainLockEvent) event = NULL;
    g_autoptr(GError) why = NULL;

    info->state = VIR_DOMAIN_LOCK_STATE_SHUTOFF;
    info->reason = virDomainLockStatusEndReason(status);
    info->endedUsec = g_get_real_time();
    info->deadlineUsec = 0;
    info->pid = info->supervisorPid = 0;
    info->waitStatus = -1;
    g_clear_pointer(&info->job, g_free);
    g_clear_pointer(&info->jobDetail, g_free);
    info->jobStartedUsec = 0;
    info->jobDone = 0;
    info->jobTotal = 0;
    g_free(info->message);
    info->message = g_strdup(message);
    g_ptr_array_set_size(info->leases, 0);
    event = virDomainLockEventNew(info->name, info->uuid, "STOPPED",
                                  virDomainLockReasonName(info->reason), message);
    if (!virArchiveSaveInfo(stateDir, info, &why) ||
        !virArchiveAddEvent(stateDir, event, &why))
        g_warning("the end of the guest is not recorded: %s", why->message);
}

static void
virReattachKeepLastDescription(virLockConfig *config, virDomainLockRuntime *runtime,
                               const char *uuid)
{
    g_autofree char *path =
        g_build_filename(virDomainLockRuntimeGetPath(runtime), VIR_DESCRIBE_FILE, NULL);
    g_autofree char *xml = NULL;
    g_autoptr(GError) why = NULL;

    if (g_file_get_contents(path, &xml, NULL, NULL) &&
        !virArchiveSaveDescription(virLockConfigGet(config, "host", "state_dir"), uuid,
                                   xml, &why))
        g_warning("the last description of the guest could not be kept: %s",
                  why->message);
}

/* Nothing to take up: the end is written down, in the words that are true. */
static void
virReattachEnded(virLockConfig *config, virDomainLockRuntime *runtime,
                 const virDomainLockStatus *status, GError **error)
{
    virLockWait wait = {.structSize = sizeof(wait),
                        .deadlineUsec = g_get_monotonic_time() + REATTACH_ENDING_USEC};
    g_autofree char *held = virFreedStillHeld(config, status, &wait, NULL);
    g_autofree char *message = g_strdup_printf(
        "%s%s%s",
        virDomainLockStatusWasStarting(status)
            ? "its supervisor died while it started the guest, which never ran"
            : "its supervisor died, and nobody saw how QEMU ended",
        held ? "; its leases were not seen free: " : "", held ? held : "");
    g_autoptr(GError) why = NULL;

    virReattachRecordEnd(config, status, message);
    virReattachKeepLastDescription(config, runtime, status->info->uuid);
    if (!virDomainLockRuntimeRemove(runtime, &why))
        g_warning("the runtime folder of the guest is left: %s", why->message);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "guest '%s' does not run any more: %s", status->info->name, message);
}

/* --- steps 1 and 2 ------------------------------------------------------------------------ */

/* Another configuration may mean another lock daemon, which would know nothing of this QEMU:
 * as if its leases were lost. */
static gboolean
virReattachCheckConfig(const virDomainLockSpec *asked, const virDomainLockSpec *saved,
                       GError **error)
{
    struct stat a, b;

    if (g_strcmp0(asked->configPath, saved->configPath) == 0 ||
        (asked->configPath && saved->configPath && stat(asked->configPath, &a) == 0 &&
         stat(saved->configPath, &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "the guest was started with the configuration '%s', and this is '%s'",
                saved->configPath ? saved->configPath : "(none)",
                asked->configPath ? asked->configPath : "(none)");
    return FALSE;
}

/* What the guest was started from, or has become since, with who asks now, and for how long. */
static virDomainLockSpec *
virReattachLoadSpec(virDomainLockRuntime *runtime, const virDomainLockSpec *asked,
                    GError **error)
{
    g_autofree char *text = virDomainLockRuntimeLoadSpec(runtime, error);
    g_autoptr(JsonObject) object = text ? virDomainLockJsonParse(text, -1, error) : NULL;
    g_autoptr(virDomainLockSpec) saved =
        object ? virDomainLockSpecFromJson(object, error) : NULL;
    g_autofree char *path = NULL;
    g_autofree char *now = NULL;

    if (!saved || !virReattachCheckConfig(asked, saved, error))
        return NULL;
    path =
        g_build_filename(virDomainLockRuntimeGetPath(runtime), VIR_DESCRIBE_FILE, NULL);
    if (saved->xml && g_file_get_contents(path, &now, NULL, NULL)) {
        g_free(saved->xml);
        saved->xml = g_steal_pointer(&now);
    }
    saved->attach = g_strdup(asked->attach);
    saved->deadlineUsec = asked->deadlineUsec;
    saved->busyUsec = asked->busyUsec;
    return g_steal_pointer(&saved);
}

/* Before QEMU was executed: step 7 of a start, 6 of a guest that comes from another host, 10 of
 * one that goes back to a snapshot. */
static gboolean
virReattachIsParked(const virDomainLockStatus *status)
{
    const char *colon =
        virDomainLockStatusWasStarting(status) ? strchr(status->step, ':') : NULL;

    return colon && atoi(colon + 1) < (*status->step == 'i'   ? 6
                                       : *status->step == 'o' ? 10
                                                              : 7);
}

/* The parked child ends with its supervisor, but not in the same instant. */
static gboolean
virReattachIsAlive(const virDomainLockStatus *status)
{
    gint64 until = g_get_monotonic_time() + REATTACH_ENDING_USEC;
    gboolean parked = virReattachIsParked(status);

    while (virDomainLockStatusQemuAlive(status)) {
        if (!parked || g_get_monotonic_time() >= until)
            return TRUE;
        g_usleep(REATTACH_ENDING_POLL_USEC);
    }
    return FALSE;
}

/* What was known goes on to be known; only who says so changes. */
static void
virReattachRestore(virDomainLockObj *obj, virDomainLockStatus *status)
{
    virDomainLockStatus *fresh = obj->status;

    virDomainLockStatusMoveSupervisor(status, fresh);
    g_free(status->info->logPath);
    status->info->logPath = g_strdup(fresh->info->logPath);
    obj->status = status;
    obj->attaching = TRUE;
    virDomainLockStatusFree(fresh);
}

/* A plugin without ATTACH that registers no child keeps no leases for it either: they are
 * simply taken again. */
static gboolean
virReattachMakeManager(virDomainLockObj *obj, GError **error)
{
    guint64 capabilities = virLockManagerPluginGetInfo(obj->plugin)->capabilities;
    guint flags = capabilities & (VIR_LOCK_CAP_ATTACH | VIR_LOCK_CAP_CHILD_REGISTER)
                      ? VIR_LOCK_MANAGER_NEW_ATTACH
                      : 0;
    g_autofree char *pid = g_strdup_printf("%" G_GINT64_FORMAT, obj->status->qemu.pid);

    return virDomainLockMakeManager(obj, flags, error) &&
           virLockManagerSetParameter(obj->man, "pid", pid, error);
}

static virDomainLockObj *
virReattachMakeObj(virLockConfig *config, virDomainLockStatus *status,
                   const virDomainLockSpec *spec, GError **error)
{
    virDomainDef *def = virDomainLockDefFromSpec(spec, error);
    g_autoptr(virDomainLockObj) obj = NULL;

    if (!def) {
        virDomainLockStatusFree(status);
        return NULL;
    }
    obj = virDomainLockObjNew(config, def, spec->flags);
    obj->spec = spec;
    virReattachRestore(obj, status);
    obj->description = g_strdup(spec->xml);
    obj->spec = spec;
    obj->plugin = virLockManagerPluginLoad(config, status->info->plugin, error);
    return obj->plugin ? g_steal_pointer(&obj) : NULL;
}

virDomainLockObj *
virDomainLockReattachPrepare(virLockConfig *config, virDomainLockSpec **spec,
                             virDomainLockAttachFactory factory, gpointer data,
                             GError **error)
{
    const char *runDir = virLockConfigGet(config, "host", "run_dir");
    g_autoptr(virDomainLockRuntime) runtime = NULL;
    g_autoptr(virDomainLockStatus) status = NULL;
    g_autoptr(virDomainLockSpec) saved = NULL;
    g_autoptr(virDomainLockObj) obj = NULL;

    virStepStop("reattach", 1);
    runtime = virDomainLockRuntimeAdopt(runDir, (*spec)->attach, error);
    status = runtime
                 ? virDomainLockStatusLoad(virDomainLockRuntimeGetPath(runtime), error)
                 : NULL;
    if (!status)
        return NULL;
    if (!virReattachIsAlive(status)) {
        virReattachEnded(config, runtime, status, error);
        return NULL;
    }
    virStepStop("reattach", 2);
    saved = virReattachLoadSpec(runtime, *spec, error);
    obj =
        saved ? virReattachMakeObj(config, g_steal_pointer(&status), saved, error) : NULL;
    if (!obj)
        return NULL;
    obj->runtime = g_steal_pointer(&runtime);
    obj->guest = factory(obj, data, error);
    if (!obj->guest || !virReattachMakeManager(obj, error))
        return NULL;
    virDomainLockSpecFree(*spec);
    *spec = g_steal_pointer(&saved);
    return g_steal_pointer(&obj);
}

/* --- steps 8 and 9 ------------------------------------------------------------------------ */

/* Nothing uncovered is open: Verify saw to that. What can differ is the description. */
static gboolean
virReattachAudit(virReattach *re, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (virDomainLockAuditQemu(re->obj, re->wait->deadlineUsec, &why))
        return TRUE;
    if (!g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    virReattachNote(re, "%s", why->message);
    return TRUE;
}

typedef struct {
    const char *status; /* QEMU's */
    virDomainLockState state;
    virDomainLockReason reason;
    const char *missed; /* the event that nobody heard */
} virReattachStatus;

static const virReattachStatus reattachStatuses[] = {
    {"running", VIR_DOMAIN_LOCK_STATE_RUNNING, VIR_DOMAIN_LOCK_REASON_NONE, NULL},
    {"paused", VIR_DOMAIN_LOCK_STATE_PAUSED, VIR_DOMAIN_LOCK_REASON_NONE, NULL},
    {"prelaunch", VIR_DOMAIN_LOCK_STATE_PAUSED, VIR_DOMAIN_LOCK_REASON_NONE, NULL},
    {"io-error", VIR_DOMAIN_LOCK_STATE_PAUSED, VIR_DOMAIN_LOCK_REASON_IO_ERROR, NULL},
    {"suspended", VIR_DOMAIN_LOCK_STATE_PMSUSPENDED, VIR_DOMAIN_LOCK_REASON_NONE, NULL},
    {"shutdown", VIR_DOMAIN_LOCK_STATE_RUNNING, VIR_DOMAIN_LOCK_REASON_NONE, "SHUTDOWN"},
    {"guest-panicked", VIR_DOMAIN_LOCK_STATE_PAUSED, VIR_DOMAIN_LOCK_REASON_CRASHED,
     "GUEST_PANICKED"},
};

/* Every other one (postmigrate, internal-error, ...) is a guest that does not run. */
static const virReattachStatus *
virReattachFindStatus(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(reattachStatuses); i++) {
        if (g_strcmp0(reattachStatuses[i].status, name) == 0)
            return &reattachStatuses[i];
    }
    return &reattachStatuses[1];
}

static gboolean
virReattachState(virReattach *re, GError **error)
{
    virDomainLockObj *obj = re->obj;
    virDomainLockReason reason;
    virDomainLockState known = virDomainLockObjGetStateAndReason(obj, &reason);
    const virReattachStatus *now = NULL;
    g_autoptr(JsonNode) answer = obj->guest->ops->command(
        obj->guest, "query-status", NULL, re->wait->deadlineUsec, error);
    const char *name = NULL;

    if (!answer)
        return FALSE;
    name = JSON_NODE_HOLDS_OBJECT(answer)
               ? virDomainLockJsonString(json_node_get_object(answer), "status")
               : NULL;
    now = virReattachFindStatus(name);
    if (known == VIR_DOMAIN_LOCK_STATE_SHUTDOWN && now->missed)
        return TRUE; /* it was heard; what follows from it is the main thread's */
    obj->missed = now->missed;
    if (known == now->state && now->reason == VIR_DOMAIN_LOCK_REASON_NONE)
        return TRUE;
    if (known != now->state && !now->missed)
        virReattachNote(re, "the guest is %s, and was %s when its supervisor died",
                        name ? name : "in an unknown state",
                        virDomainLockStateName(known));
    virDomainLockObjSetState(obj, now->state, now->reason, NULL);
    return TRUE;
}

/* --- the sequence ------------------------------------------------------------------------- */

/* A guest whose leases were given up stays as it is: paused, to be looked at or destroyed. */
static gboolean
virReattachLeaseLost(virReattach *re)
{
    virDomainLockObj *obj = re->obj;
    GPtrArray *held = virLockManagerInquire(obj->man, re->wait, NULL);

    if (held) {
        g_mutex_lock(&obj->lock);
        g_ptr_array_unref(obj->status->info->leases);
        obj->status->info->leases = held;
        g_mutex_unlock(&obj->lock);
    }
    virDomainLockObjSetState(obj, VIR_DOMAIN_LOCK_STATE_PAUSED,
                             VIR_DOMAIN_LOCK_REASON_LEASE_LOST,
                             "its leases were given up: another host may use its disks; "
                             "destroy it and start it anew where its storage answers");
    return TRUE;
}

static void
virReattachDone(virReattach *re)
{
    g_autofree char *found = NULL;

    g_ptr_array_add(re->found, NULL);
    found = g_strjoinv("; ", (char **)re->found->pdata);
    virDomainLockObjKeepDescription(re->obj);
    virDomainLockObjSetJob(re->obj, NULL);
    if (*found)
        virDomainLockObjSetMessage(re->obj, found);
    virDomainLockObjEmit(re->obj, "SUPERVISOR_ATTACHED", *found ? "differences" : NULL,
                         *found ? found : NULL);
}

static gboolean
virReattachRunSteps(virReattach *re, GError **error)
{
    static gboolean (*const steps[])(virReattach * re, GError * *error) = {
        virReattachAsk,     virReattachVerify, virReattachRecover, virReattachDisks,
        virReattachRelease, virReattachAudit,  virReattachState,
    };

    for (gsize i = 0; i < G_N_ELEMENTS(steps); i++) {
        virStepStop("reattach", (guint)i + 3);
        if (!steps[i](re, error))
            return FALSE;
    }
    return TRUE;
}

static void
virReattachClear(virReattach *re)
{
    g_clear_pointer(&re->recorded, g_ptr_array_unref);
    g_clear_pointer(&re->held, g_ptr_array_unref);
    g_clear_pointer(&re->open, g_ptr_array_unref);
    g_clear_pointer(&re->found, g_ptr_array_unref);
}

gboolean
virDomainLockReattachRun(virDomainLockObj *obj, const virLockWait *wait, GError **error)
{
    virReattach re = {.obj = obj,
                      .wait = wait,
                      .recorded = g_ptr_array_ref(obj->status->info->leases),
                      .found = g_ptr_array_new_with_free_func(g_free)};
    gboolean ok;

    virDomainLockObjSetJob(obj, "attaching");
    ok = virDomainLockObjIsLeaseLost(obj) ? virReattachLeaseLost(&re)
                                          : virReattachRunSteps(&re, error);
    if (ok)
        virReattachDone(&re);
    else
        g_prefix_error(error, "cannot attach to guest '%s': ", obj->status->info->name);
    virReattachClear(&re);
    return ok;
}

/* --- what QEMU said meanwhile, or before --------------------------------------------------- */

virDomainLockFollow
virDomainLockReattachFollow(virDomainLockObj *obj)
{
    g_autoptr(JsonObject) data = json_object_new();
    virDomainLockFollow follow = VIR_DOMAIN_LOCK_FOLLOW_NONE;

    obj->attaching = FALSE;
    if (obj->status->endReason != VIR_DOMAIN_LOCK_REASON_NONE)
        return VIR_DOMAIN_LOCK_FOLLOW_END;
    /* it had finished, and what follows from that was not done yet, or only half */
    if (obj->status->after == VIR_DOMAIN_LOCK_AFTER_RESTART)
        return VIR_DOMAIN_LOCK_FOLLOW_RESTART;
    if (virDomainLockObjGetState(obj) == VIR_DOMAIN_LOCK_STATE_SHUTDOWN)
        return VIR_DOMAIN_LOCK_FOLLOW_NONE;
    /* a QEMU that the host told to end would be gone: the guest did it itself */
    json_object_set_boolean_member(data, "guest", TRUE);
    if (obj->missed)
        follow = virDomainLockObjHandle(obj, obj->missed, data);
    return follow != VIR_DOMAIN_LOCK_FOLLOW_NONE ? follow
                                                 : virDomainLockObjHandleDeferred(obj);
}
