/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * power.c: what an operator asks of a running guest: shutdown, destroy, suspend, resume,
 * reset; and what the description wants after a guest has finished: restart, preserve.
 *
 * State follows QEMU's events (transitions.c), not what was asked for; the functions here
 * set it only where they saw the effect themselves.
 */
#include "agent.h"
#include "codec.h"
#include "sequence.h"

/* A guest agent that lives answers within this, also under load. */
#define AGENT_USEC (5 * G_USEC_PER_SEC)
/* One sector of the lease storage. */
#define ADVANCE_USEC (30 * G_USEC_PER_SEC)

gboolean
virDomainLockCommandSimple(virDomainLockObj *obj, const char *name, GError **error)
{
    g_autoptr(JsonNode) answer = obj->guest->ops->command(
        obj->guest, name, NULL, g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC, error);

    return answer != NULL;
}

static gboolean
virPowerFail(virDomainLockObj *obj, const char *what, GError **error)
{
    virDomainLockReason reason;
    virDomainLockState state = virDomainLockObjGetStateAndReason(obj, &reason);
    const char *why = virDomainLockReasonName(reason);

    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "cannot %s guest '%s': it is %s%s%s%s", what, obj->status->info->name,
                virDomainLockStateName(state), *why ? " (" : "", why, *why ? ")" : "");
    return FALSE;
}

static gboolean
virPowerCommand(virDomainLockObj *obj, const char *command, const char *what,
                GError **error)
{
    if (virDomainLockCommandSimple(obj, command, error))
        return TRUE;
    g_prefix_error(error, "cannot %s guest '%s': ", what, obj->status->info->name);
    return FALSE;
}

/* --- shutdown ----------------------------------------------------------------------- */

/* By the agent where that was asked for, else by the power button; both means both are
 * tried, the agent first, as with virsh. */
static gboolean
virPowerAskGuest(virDomainLockObj *obj, guint flags, GError **error)
{
    gboolean acpi = !(flags & VIR_DOMAIN_LOCK_SHUTDOWN_AGENT) ||
                    (flags & VIR_DOMAIN_LOCK_SHUTDOWN_ACPI);
    g_autofree char *socket = NULL;
    g_autoptr(GError) why = NULL;

    if (flags & VIR_DOMAIN_LOCK_SHUTDOWN_AGENT) {
        socket = virDomainDefGetAgentSocket(obj->def,
                                            virDomainLockRuntimeGetPath(obj->runtime));
        if (!socket)
            g_set_error(&why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                        "its description has no channel 'org.qemu.guest_agent.0'");
        else if (virAgentShutdown(socket, g_get_monotonic_time() + AGENT_USEC, &why))
            return TRUE;
    }
    if (acpi)
        return virPowerCommand(obj, "system_powerdown", "shut down", error);
    g_propagate_prefixed_error(error, g_steal_pointer(&why),
                               "cannot shut down guest '%s': ", obj->status->info->name);
    return FALSE;
}

gboolean
virDomainLockRequestShutdown(virDomainLockObj *obj, guint flags, gint64 deadlineUsec,
                             GError **error)
{
    if (virDomainLockObjGetState(obj) != VIR_DOMAIN_LOCK_STATE_RUNNING)
        return virPowerFail(obj, "shut down", error);
    if (!virPowerAskGuest(obj, flags, error))
        return FALSE;
    g_mutex_lock(&obj->lock);
    obj->shutdownRequested = TRUE;
    /* a guest that was quick is already further on */
    if (obj->status->info->state == VIR_DOMAIN_LOCK_STATE_RUNNING)
        obj->status->info->reason = VIR_DOMAIN_LOCK_REASON_SHUTDOWN_REQUESTED;
    g_mutex_unlock(&obj->lock);
    virDomainLockObjSetDeadline(obj, deadlineUsec);
    virDomainLockObjEmit(obj, "SHUTDOWN_REQUESTED", "host", NULL);
    return TRUE;
}

gboolean
virDomainLockWithdrawDeadline(virDomainLockObj *obj, GError **error)
{
    gint64 deadline = 0;

    g_mutex_lock(&obj->lock);
    deadline = obj->status->info->deadlineUsec;
    g_mutex_unlock(&obj->lock);
    if (deadline == 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "guest '%s' has no deadline that could be withdrawn",
                    obj->status->info->name);
        return FALSE;
    }
    virDomainLockObjSetDeadline(obj, 0);
    virDomainLockObjEmit(obj, "SHUTDOWN_ABORTED", "host",
                         "it will not be forced off; the guest may still shut down");
    return TRUE;
}

gboolean
virDomainLockKill(virDomainLockObj *obj, guint flags, GError **error)
{
    gboolean graceful = (flags & VIR_DOMAIN_LOCK_DESTROY_GRACEFUL) != 0;

    if (graceful && virDomainLockObjIsLeaseLost(obj)) {
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
            "guest '%s' lost its leases: to end it gracefully would write to a disk "
            "that may be another host's by now; destroy it without --graceful",
            obj->status->info->name);
        return FALSE;
    }
    virDomainLockObjSetEndReason(obj, VIR_DOMAIN_LOCK_REASON_DESTROYED);
    obj->guest->ops->kill(obj->guest, graceful);
    return TRUE;
}

/* --- suspend, resume, reset --------------------------------------------------------- */

gboolean
virDomainLockPause(virDomainLockObj *obj, GError **error)
{
    if (virDomainLockObjGetState(obj) == VIR_DOMAIN_LOCK_STATE_PAUSED)
        return TRUE;
    if (virDomainLockObjGetState(obj) != VIR_DOMAIN_LOCK_STATE_RUNNING)
        return virPowerFail(obj, "suspend", error);
    virDomainLockObjSetPauseReason(obj, VIR_DOMAIN_LOCK_REASON_USER);
    if (virPowerCommand(obj, "stop", "suspend", error)) {
        virDomainLockObjSetHeld(obj, TRUE);
        return TRUE;
    }
    virDomainLockObjSetPauseReason(obj, VIR_DOMAIN_LOCK_REASON_NONE);
    return FALSE;
}

gboolean
virDomainLockContinueQemu(virDomainLockObj *obj, GError **error)
{
    virLockWait wait = {.structSize = sizeof(wait),
                        .deadlineUsec = g_get_monotonic_time() + ADVANCE_USEC};
    g_autoptr(JsonNode) answer =
        obj->guest->ops->command(obj->guest, "query-status", NULL,
                                 g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC, error);
    const char *status = NULL;

    if (!answer)
        return FALSE;
    if (JSON_NODE_HOLDS_OBJECT(answer))
        status = virDomainLockJsonString(json_node_get_object(answer), "status");
    if (g_strcmp0(status, "postmigrate") == 0 &&
        !virLockManagerAdvanceRun(obj->man, &wait, error)) {
        g_prefix_error(error, "its memory has left it, and wherever that is cannot be made "
                              "stale: ");
        return FALSE;
    }
    return virDomainLockCommandSimple(obj, "cont", error);
}

gboolean
virDomainLockContinue(virDomainLockObj *obj, GError **error)
{
    virDomainLockReason reason;
    virDomainLockState state = virDomainLockObjGetStateAndReason(obj, &reason);

    if (state == VIR_DOMAIN_LOCK_STATE_RUNNING)
        return TRUE;
    if (state != VIR_DOMAIN_LOCK_STATE_PAUSED ||
        reason == VIR_DOMAIN_LOCK_REASON_LEASE_LOST ||
        reason == VIR_DOMAIN_LOCK_REASON_YIELDED)
        return virPowerFail(obj, "resume", error);
    if (!virDomainLockContinueQemu(obj, error)) {
        g_prefix_error(error, "cannot resume guest '%s': ", obj->status->info->name);
        return FALSE;
    }
    virDomainLockObjSetHeld(obj, FALSE);
    return TRUE;
}

gboolean
virDomainLockHardReset(virDomainLockObj *obj, GError **error)
{
    virDomainLockReason reason;
    virDomainLockState state = virDomainLockObjGetStateAndReason(obj, &reason);

    if ((state != VIR_DOMAIN_LOCK_STATE_RUNNING &&
         state != VIR_DOMAIN_LOCK_STATE_PAUSED &&
         state != VIR_DOMAIN_LOCK_STATE_PMSUSPENDED) ||
        reason == VIR_DOMAIN_LOCK_REASON_LEASE_LOST ||
        reason == VIR_DOMAIN_LOCK_REASON_YIELDED)
        return virPowerFail(obj, "reset", error);
    return virPowerCommand(obj, "system_reset", "reset", error);
}

/* --- what the description wants ----------------------------------------------------- */

gboolean
virDomainLockRestart(virDomainLockObj *obj, GError **error)
{
    if (virDomainLockObjGetState(obj) == VIR_DOMAIN_LOCK_STATE_SHUTOFF)
        return TRUE;
    g_mutex_lock(&obj->lock);
    obj->shutdownRequested = FALSE;
    g_mutex_unlock(&obj->lock);
    virDomainLockObjSetDeadline(obj, 0);
    return virPowerCommand(obj, "system_reset", "restart", error) &&
           virPowerCommand(obj, "cont", "restart", error);
}

gboolean
virDomainLockPreserve(virDomainLockObj *obj, GError **error)
{
    if (virDomainLockObjGetState(obj) == VIR_DOMAIN_LOCK_STATE_SHUTOFF)
        return TRUE;
    if (!virPowerCommand(obj, "stop", "preserve", error))
        return FALSE;
    virDomainLockObjSetMessage(obj, "kept as its description says; 'destroy' ends it");
    return TRUE;
}
