/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * object.c: one guest as its supervisor knows it: its state, kept in state.json, and what
 * follows from the things that QEMU says.
 */
#include "object.h"
#include "codec.h"
#include "domain_lock/save/archive.h"
#include "policy.h"
#include "step.h"
#include <string.h>
#include <unistd.h>

static const char *const lockfailureNames[] = {
    [VIR_DOMAIN_LOCKFAILURE_PAUSE] = "pause",
    [VIR_DOMAIN_LOCKFAILURE_POWEROFF] = "poweroff",
    [VIR_DOMAIN_LOCKFAILURE_RESTART] = "restart",
};

/* What a guest did while it was being started. */
typedef struct {
    virInput input;
    JsonObject *data;
} virDeferred;

static void
virDeferredFree(gpointer data)
{
    virDeferred *deferred = data;

    g_clear_pointer(&deferred->data, json_object_unref);
    g_free(deferred);
}

static char *
virDomainLockObjLockfailure(virLockConfig *config, const virDomainDef *def)
{
    gboolean isSet = FALSE;
    virDomainLockfailure action = virDomainDefGetLockfailure(def, &isSet);

    return g_strdup(isSet ? lockfailureNames[action]
                          : virLockConfigGet(config, "lock", "on_lockfailure"));
}

virDomainLockObj *
virDomainLockObjNew(virLockConfig *config, virDomainDef *def, guint flags)
{
    virDomainLockObj *obj = g_new0(virDomainLockObj, 1);
    virDomainLockInfo *info = virDomainLockInfoNew();

    obj->config = virLockConfigRef(config);
    obj->def = def;
    obj->flags = flags;
    obj->qmpFd = -1;
    obj->stateDir = g_strdup(virLockConfigGet(config, "host", "state_dir"));
    g_mutex_init(&obj->lock);
    g_cond_init(&obj->job.changed);
    obj->deferred = g_ptr_array_new_with_free_func(virDeferredFree);
    obj->status = virDomainLockStatusNew();
    obj->status->info = info;
    obj->status->supervisor = virDomainLockProcessOf(getpid());
    info->name = g_strdup(virDomainDefGetName(def));
    info->uuid = g_strdup(virDomainDefGetUuid(def));
    info->supervisorPid = getpid();
    info->hostName = g_strdup(virLockConfigGet(config, "host", "name"));
    info->onLockfailure = virDomainLockObjLockfailure(config, def);
    info->logPath = virArchiveLogPath(obj->stateDir, info->name, info->uuid);
    return obj;
}

void
virDomainLockObjFree(virDomainLockObj *obj)
{
    if (!obj)
        return;
    virLockManagerFree(obj->man);
    if (obj->plugin)
        virLockManagerPluginUnload(obj->plugin);
    virDomainLockRuntimeFree(obj->runtime);
    virDomainDefFree(obj->def);
    virLockConfigUnref(obj->config);
    virDomainLockStatusFree(obj->status);
    g_ptr_array_unref(obj->deferred);
    g_clear_pointer(&obj->opened, json_node_unref);
    g_clear_object(&obj->job.cancellable);
    g_cond_clear(&obj->job.changed);
    g_clear_error(&obj->requestOver);
    g_mutex_clear(&obj->lock);
    g_free(obj->description);
    g_free(obj->danger);
    g_free(obj->stateDir);
    g_free(obj);
}

/* --- reading ------------------------------------------------------------------------ */

virDomainLockInfo *
virDomainLockObjGetInfo(virDomainLockObj *obj)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    return virDomainLockInfoCopy(obj->status->info);
}

virDomainLockState
virDomainLockObjGetStateAndReason(virDomainLockObj *obj, virDomainLockReason *reason)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    if (reason)
        *reason = obj->status->info->reason;
    return obj->status->info->state;
}

virDomainLockState
virDomainLockObjGetState(virDomainLockObj *obj)
{
    return virDomainLockObjGetStateAndReason(obj, NULL);
}

/* --- changing ----------------------------------------------------------------------- */

static gboolean
virDomainLockObjSaveLocked(virDomainLockObj *obj, GError **error)
{
    pid_t pid = obj->guest ? obj->guest->ops->getPid(obj->guest) : 0;

    if (!obj->runtime)
        return TRUE;
    if (pid > 0 && obj->status->qemu.pid != pid)
        obj->status->qemu = virDomainLockProcessOf(pid);
    obj->status->info->pid = obj->status->info->endedUsec ? 0 : obj->status->qemu.pid;
    return virDomainLockRuntimeSaveStatus(obj->runtime, obj->status, error);
}

gboolean
virDomainLockObjSave(virDomainLockObj *obj, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    return virDomainLockObjSaveLocked(obj, error);
}

static void
virDomainLockObjSaveOrWarn(virDomainLockObj *obj)
{
    g_autoptr(GError) why = NULL;

    if (!virDomainLockObjSaveLocked(obj, &why))
        g_warning("the state of the guest could not be kept: %s", why->message);
}

/* Told to the listener without the lock, so that it may ask for the state. */
static void
virDomainLockObjTell(virDomainLockObj *obj, const virDomainLockEvent *event)
{
    if (obj->listener)
        obj->listener(obj, event, obj->listenerData);
}

void
virDomainLockObjSetState(virDomainLockObj *obj, virDomainLockState state,
                         virDomainLockReason reason, const char *message)
{
    virDomainLockInfo *info = obj->status->info;

    g_mutex_lock(&obj->lock);
    if (state == VIR_DOMAIN_LOCK_STATE_RUNNING &&
        obj->status->request != VIR_DOMAIN_LOCK_REASON_NONE)
        reason = obj->status->request;
    if (info->state == VIR_DOMAIN_LOCK_STATE_PMSUSPENDED && state != info->state)
        info->wakeupUsec = 0;
    if (state == VIR_DOMAIN_LOCK_STATE_RUNNING)
        obj->status->after = VIR_DOMAIN_LOCK_AFTER_NONE;
    info->state = state;
    info->reason = reason;
    g_free(info->message);
    info->message = g_strdup(message);
    virDomainLockObjSaveOrWarn(obj);
    g_mutex_unlock(&obj->lock);
    virDomainLockObjTell(obj, NULL);
}

void
virDomainLockObjSetMessage(virDomainLockObj *obj, const char *message)
{
    g_mutex_lock(&obj->lock);
    g_free(obj->status->info->message);
    obj->status->info->message = g_strdup(message);
    virDomainLockObjSaveOrWarn(obj);
    g_mutex_unlock(&obj->lock);
    virDomainLockObjTell(obj, NULL);
}

void
virDomainLockObjChanged(virDomainLockObj *obj)
{
    g_mutex_lock(&obj->lock);
    virDomainLockObjSaveOrWarn(obj);
    g_mutex_unlock(&obj->lock);
    virDomainLockObjTell(obj, NULL);
}

void
virDomainLockObjSetJob(virDomainLockObj *obj, const char *job)
{
    g_mutex_lock(&obj->lock);
    g_free(obj->status->info->job);
    obj->status->info->job = g_strdup(job);
    /* of a long one that an earlier supervisor had */
    g_clear_pointer(&obj->status->info->jobDetail, g_free);
    obj->status->info->jobStartedUsec = 0;
    obj->status->info->jobDone = 0;
    obj->status->info->jobTotal = 0;
    virDomainLockObjSaveOrWarn(obj);
    g_mutex_unlock(&obj->lock);
    virDomainLockObjTell(obj, NULL);
}

void
virDomainLockObjUpdateLeases(virDomainLockObj *obj)
{
    GPtrArray *leases = virLockManagerGetLeases(obj->man);
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    g_ptr_array_unref(obj->status->info->leases);
    obj->status->info->leases = leases;
}

void
virDomainLockObjPassStep(virDomainLockObj *obj, const char *sequence, guint number)
{
    g_mutex_lock(&obj->lock);
    g_free(obj->status->step);
    obj->status->step = g_strdup_printf("%s:%u", sequence, number);
    g_mutex_unlock(&obj->lock);
    virStepStop(sequence, number);
}

void
virDomainLockObjEndSequence(virDomainLockObj *obj)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    g_clear_pointer(&obj->status->step, g_free);
    g_clear_pointer(&obj->status->journal, json_object_unref);
    g_clear_pointer(&obj->status->info->job, g_free);
    virDomainLockObjSaveOrWarn(obj);
}

void
virDomainLockObjSetStep(virDomainLockObj *obj, const char *sequence, guint number)
{
    g_mutex_lock(&obj->lock);
    g_free(obj->status->step);
    obj->status->step = sequence ? g_strdup_printf("%s:%u", sequence, number) : NULL;
    if (!sequence)
        g_clear_pointer(&obj->status->journal, json_object_unref);
    virDomainLockObjSaveOrWarn(obj);
    g_mutex_unlock(&obj->lock);
    if (sequence)
        virStepStop(sequence, number);
}

void
virDomainLockObjSetJournal(virDomainLockObj *obj, JsonObject *details)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    g_clear_pointer(&obj->status->journal, json_object_unref);
    obj->status->journal = details;
}

void
virDomainLockObjEmit(virDomainLockObj *obj, const char *name, const char *detail,
                     const char *message)
{
    virDomainLockInfo *info = obj->status->info; /* name and uuid never change */
    g_autoptr(virDomainLockEvent) event =
        virDomainLockEventNew(info->name, info->uuid, name, detail, message);
    g_autoptr(GError) why = NULL;

    if (!virArchiveAddEvent(obj->stateDir, event, &why))
        g_warning("event %s is not in the history: %s", name, why->message);
    virDomainLockObjTell(obj, event);
}

void
virDomainLockObjSetEndReason(virDomainLockObj *obj, virDomainLockReason reason)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    if (obj->status->endReason != VIR_DOMAIN_LOCK_REASON_NONE)
        return;
    obj->status->endReason = reason;
    virDomainLockObjSaveOrWarn(obj);
}

void
virDomainLockObjSetDanger(virDomainLockObj *obj, const char *why)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    if (!obj->danger)
        obj->danger = g_strdup(why ? why : "the lock daemon says so");
}

void
virDomainLockObjSetLeaseLost(virDomainLockObj *obj)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    obj->status->leaseLost = TRUE;
    virDomainLockObjSaveOrWarn(obj);
}

gboolean
virDomainLockObjIsLeaseLost(virDomainLockObj *obj)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    return obj->status->leaseLost;
}

gboolean
virDomainLockObjCheckLive(virDomainLockObj *obj, GError **error)
{
    virDomainLockReason reason;
    virDomainLockState state = virDomainLockObjGetStateAndReason(obj, &reason);
    gboolean lost = virDomainLockObjIsLeaseLost(obj);

    if ((state == VIR_DOMAIN_LOCK_STATE_RUNNING ||
         state == VIR_DOMAIN_LOCK_STATE_PAUSED) &&
        reason != VIR_DOMAIN_LOCK_REASON_LEASE_LOST &&
        reason != VIR_DOMAIN_LOCK_REASON_YIELDED && !lost)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE, "it is %s%s",
                virDomainLockStateName(state), lost ? ", and its leases are lost" : "");
    return FALSE;
}

gboolean
virDomainLockObjMayRun(virDomainLockObj *obj)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    return !obj->status->leaseLost && obj->pauseReason != VIR_DOMAIN_LOCK_REASON_LEASE_LOST &&
           obj->status->info->reason != VIR_DOMAIN_LOCK_REASON_LEASE_LOST;
}

void
virDomainLockObjSetHeld(virDomainLockObj *obj, gboolean held)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    if (obj->status->held == held)
        return;
    obj->status->held = held;
    virDomainLockObjSaveOrWarn(obj);
}

gboolean
virDomainLockObjIsHeld(virDomainLockObj *obj)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    return obj->status->held;
}

void
virDomainLockObjSetPeer(virDomainLockObj *obj, const char *host)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    g_free(obj->status->peer);
    obj->status->peer = g_strdup(host);
}

char *
virDomainLockObjGetPeer(virDomainLockObj *obj)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    return g_strdup(obj->status->peer ? obj->status->peer : "another host");
}

void
virDomainLockObjSetAsked(virDomainLockObj *obj, const char *id, gboolean asked)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    if (asked)
        g_hash_table_add(obj->status->asked, g_strdup(id));
    else
        g_hash_table_remove(obj->status->asked, id);
    virDomainLockObjSaveOrWarn(obj);
}

gboolean
virDomainLockObjIsAsked(virDomainLockObj *obj, const char *id)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    return g_hash_table_contains(obj->status->asked, id);
}

void
virDomainLockObjSetPauseReason(virDomainLockObj *obj, virDomainLockReason reason)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    if (obj->pauseReason != VIR_DOMAIN_LOCK_REASON_LEASE_LOST)
        obj->pauseReason = reason;
}

void
virDomainLockObjChangePauseReason(virDomainLockObj *obj, virDomainLockReason from,
                                  virDomainLockReason reason)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    if (obj->pauseReason == from)
        obj->pauseReason = reason;
}

/* --- what QEMU says ----------------------------------------------------------------- */

static virDomainLockReason
virDomainLockObjTakePauseReason(virDomainLockObj *obj)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);
    virDomainLockReason reason = obj->pauseReason;

    obj->pauseReason = VIR_DOMAIN_LOCK_REASON_NONE;
    return reason;
}

static void
virDomainLockObjMove(virDomainLockObj *obj, virInput input, virDomainLockState next)
{
    static const char *const events[VIR_INPUT_COUNT] = {
        [VIR_INPUT_STOP] = "SUSPENDED",      [VIR_INPUT_RESUME] = "RESUMED",
        [VIR_INPUT_SUSPEND] = "PMSUSPENDED", [VIR_INPUT_WAKEUP] = "WAKEUP",
        [VIR_INPUT_RESET] = "REBOOTED",
    };
    virDomainLockReason reason = VIR_DOMAIN_LOCK_REASON_NONE;
    const char *detail = NULL;

    if (input == VIR_INPUT_STOP)
        reason = virDomainLockObjTakePauseReason(obj);
    if (reason != VIR_DOMAIN_LOCK_REASON_NONE)
        detail = virDomainLockReasonName(reason);
    virDomainLockObjSetState(obj, next, reason, NULL);
    virDomainLockObjEmit(obj, events[input], detail, NULL);
}

static void
virDomainLockObjNote(virDomainLockObj *obj, JsonObject *data)
{
    const char *action = virDomainLockJsonString(data, "action");
    const char *node = virDomainLockJsonString(data, "node-name");

    if (g_strcmp0(action, "stop") == 0)
        virDomainLockObjSetPauseReason(obj, VIR_DOMAIN_LOCK_REASON_IO_ERROR);
    virDomainLockObjEmit(obj, "IO_ERROR", action, node);
}

/* The services of a guest end before its kernel does: the agent's port closes. */
static void
virDomainLockObjPort(virDomainLockObj *obj, JsonObject *data)
{
    g_autofree char *id = virDomainDefGetAgentId(obj->def);
    gboolean isOpen = data && json_object_has_member(data, "open") &&
                      json_object_get_boolean_member(data, "open");

    if (!isOpen && id && g_strcmp0(virDomainLockJsonString(data, "id"), id) == 0 &&
        virDomainLockObjGetRequest(obj, NULL) != VIR_DOMAIN_LOCK_REASON_NONE)
        virDomainLockObjEmit(obj, "SHUTDOWN_STARTED", "guest", NULL);
}

static void
virDomainLockObjDefer(virDomainLockObj *obj, virInput input, JsonObject *data)
{
    virDeferred *deferred = g_new0(virDeferred, 1);

    deferred->input = input;
    deferred->data = data ? json_object_ref(data) : NULL;
    g_ptr_array_add(obj->deferred, deferred);
}

static virDomainLockFollow
virDomainLockObjAct(virDomainLockObj *obj, virInput input, JsonObject *data)
{
    const virTransition *cell = virTransitionFor(virDomainLockObjGetState(obj), input);

    if (obj->attaching) {
        virDomainLockObjDefer(obj, input, data);
        return VIR_DOMAIN_LOCK_FOLLOW_NONE;
    }
    switch (cell->act) {
    case VIR_ACT_MOVE:
        virDomainLockObjMove(obj, input, cell->next);
        return VIR_DOMAIN_LOCK_FOLLOW_NONE;
    case VIR_ACT_NOTE:
        virDomainLockObjNote(obj, data);
        return VIR_DOMAIN_LOCK_FOLLOW_NONE;
    case VIR_ACT_DEFER:
        virDomainLockObjDefer(obj, input, data);
        return VIR_DOMAIN_LOCK_FOLLOW_NONE;
    case VIR_ACT_POWEROFF:
        return virPolicyPoweroff(obj, data);
    case VIR_ACT_REBOOT:
        return virPolicyReboot(obj, data);
    case VIR_ACT_CRASH:
        return virPolicyCrash(obj);
    case VIR_ACT_HIBERNATE:
        obj->status->hibernating = TRUE;
        return VIR_DOMAIN_LOCK_FOLLOW_NONE;
    case VIR_ACT_PORT:
        virDomainLockObjPort(obj, data);
        return VIR_DOMAIN_LOCK_FOLLOW_NONE;
    case VIR_ACT_END:
        return VIR_DOMAIN_LOCK_FOLLOW_END;
    case VIR_ACT_IGNORE:
    case VIR_ACT_NONE:
        break;
    }
    return VIR_DOMAIN_LOCK_FOLLOW_NONE;
}

virDomainLockFollow
virDomainLockObjHandle(virDomainLockObj *obj, const char *event, JsonObject *data)
{
    virInput input;

    return virInputFromEvent(event, &input) ? virDomainLockObjAct(obj, input, data)
                                            : VIR_DOMAIN_LOCK_FOLLOW_NONE;
}

virDomainLockFollow
virDomainLockObjHandleDeferred(virDomainLockObj *obj)
{
    virDomainLockFollow follow = VIR_DOMAIN_LOCK_FOLLOW_NONE;

    while (follow == VIR_DOMAIN_LOCK_FOLLOW_NONE && obj->deferred->len > 0) {
        virDeferred *first = g_ptr_array_steal_index(obj->deferred, 0);

        follow = virDomainLockObjAct(obj, first->input, first->data);
        virDeferredFree(first);
    }
    return follow;
}
