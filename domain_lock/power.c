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
#include "step.h"

/* One sector of the lease storage. */
#define ADVANCE_USEC (30 * G_USEC_PER_SEC)
/* An agent that refuses does so at once. */
#define REFUSAL_USEC (G_USEC_PER_SEC / 2)
/* SeaBIOS resets a machine that it has started before once or twice more, at once. */
#define FIRMWARE_USEC (2 * G_USEC_PER_SEC)
#define FIRMWARE_MAX_USEC (10 * G_USEC_PER_SEC)

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

/* --- shutdown and reboot ------------------------------------------------------------ */

/* The power button of a guest that is asleep wakes it at best, so a reboot or shutdown is
 * asked of guests that run. */
static gboolean
virPowerCheck(virDomainLockObj *obj, const char *what, guint flags, guint known,
              GError **error)
{
    if (virDomainLockObjGetState(obj) != VIR_DOMAIN_LOCK_STATE_RUNNING)
        return virPowerFail(obj, what, error);
    if ((flags & ~known) == 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                "cannot %s guest '%s': flags %#x are not known", what,
                obj->status->info->name, flags & ~known);
    return FALSE;
}

static gboolean
virPowerGuestIsGone(gpointer data)
{
    return virDomainLockObjGetState(data) != VIR_DOMAIN_LOCK_STATE_RUNNING;
}

static gboolean
virPowerAskAgent(virDomainLockObj *obj, const char *mode, GError **error)
{
    g_autofree char *socket =
        virDomainDefGetAgentSocket(obj->def, virDomainLockRuntimeGetPath(obj->runtime));
    virAgentRequest request = {
        .path = socket,
        .command = "guest-shutdown",
        .mode = mode,
        .syncUsec = g_get_monotonic_time() + VIR_SEQUENCE_AGENT_USEC,
        .refusalUsec = REFUSAL_USEC,
        .done = virPowerGuestIsGone,
        .data = obj,
    };

    if (socket)
        return virAgentAsk(&request, error);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "its description has no channel 'org.qemu.guest_agent.0'");
    return FALSE;
}

/* By the agent where that was asked for, else by the power button; both means both are
 * tried, the agent first, as with virsh. @mode: the agent's word. */
static gboolean
virPowerAskGuest(virDomainLockObj *obj, guint flags, const char *what, const char *mode,
                 GError **error)
{
    gboolean acpi = !(flags & VIR_DOMAIN_LOCK_SHUTDOWN_AGENT) ||
                    (flags & VIR_DOMAIN_LOCK_SHUTDOWN_ACPI);
    g_autoptr(GError) why = NULL;

    if ((flags & VIR_DOMAIN_LOCK_SHUTDOWN_AGENT) && virPowerAskAgent(obj, mode, &why))
        return TRUE;
    if (acpi)
        return virPowerCommand(obj, "system_powerdown", what, error);
    g_propagate_prefixed_error(error, g_steal_pointer(&why),
                               "cannot %s guest '%s': ", what, obj->status->info->name);
    return FALSE;
}

static guint
virPowerAskBy(guint flags)
{
    guint by = flags & (VIR_DOMAIN_LOCK_SHUTDOWN_ACPI | VIR_DOMAIN_LOCK_SHUTDOWN_AGENT);

    return by ? by : VIR_DOMAIN_LOCK_SHUTDOWN_ACPI;
}

/* The deadline of an earlier request stands, unless there is a new one: what somebody asked
 * for is not withdrawn by somebody else's asking for less. */
gboolean
virDomainLockRequestShutdown(virDomainLockObj *obj, guint flags, gint64 deadlineUsec,
                             GError **error)
{
    gint64 before = 0;
    virDomainLockReason last = virDomainLockObjGetRequest(obj, &before);
    gint64 deadline = deadlineUsec > 0 ? deadlineUsec : before;

    if (!virPowerCheck(obj, "shut down", flags,
                       VIR_DOMAIN_LOCK_SHUTDOWN_ACPI | VIR_DOMAIN_LOCK_SHUTDOWN_AGENT |
                           VIR_DOMAIN_LOCK_SHUTDOWN_BLOCK,
                       error))
        return FALSE;
    virStepStop("shutdown", 1);
    virDomainLockObjSetRequest(obj, VIR_DOMAIN_LOCK_REASON_SHUTDOWN_REQUESTED, deadline,
                               virPowerAskBy(flags));
    virDomainLockObjEmit(obj, "SHUTDOWN_REQUESTED", "host", NULL);

    virStepStop("shutdown", 2);
    if (virPowerAskGuest(obj, flags, "shut down", "powerdown", error)) {
        virDomainLockObjSetAskedFor(obj);
        return TRUE;
    }
    virDomainLockObjEmit(obj, "SHUTDOWN_FAILED", "host", (*error)->message);
    /* unless somebody withdrew it meanwhile */
    if (virDomainLockObjGetRequest(obj, NULL) != VIR_DOMAIN_LOCK_REASON_NONE)
        virDomainLockObjSetRequest(obj, last, before, 0);
    return FALSE;
}

/* By the power button a guest can only be told to switch itself off, so that is what it does,
 * and the same QEMU is reset and run again then. */
gboolean
virDomainLockRequestReboot(virDomainLockObj *obj, guint flags, GError **error)
{
    if (!virPowerCheck(obj, "reboot", flags,
                       VIR_DOMAIN_LOCK_SHUTDOWN_ACPI | VIR_DOMAIN_LOCK_SHUTDOWN_AGENT,
                       error))
        return FALSE;
    if (virDomainLockObjGetRequest(obj, NULL) ==
        VIR_DOMAIN_LOCK_REASON_SHUTDOWN_REQUESTED) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "cannot reboot guest '%s': it was asked to shut down; 'leasehold "
                    "shutdown %s --abort' withdraws that",
                    obj->status->info->name, obj->status->info->name);
        return FALSE;
    }
    virStepStop("reboot", 1);
    virDomainLockObjSetRequest(obj, VIR_DOMAIN_LOCK_REASON_REBOOT_REQUESTED, 0,
                               virPowerAskBy(flags));
    virDomainLockObjEmit(obj, "REBOOT_REQUESTED", "host", NULL);
    virStepStop("reboot", 2);
    if (virPowerAskGuest(obj, flags, "reboot", "reboot", error)) {
        virDomainLockObjSetAskedFor(obj);
        return TRUE;
    }
    virDomainLockObjEmit(obj, "REBOOT_FAILED", "host", (*error)->message);
    virDomainLockObjDropRequest(obj, VIR_LOCK_ERROR_STATE, "its reboot failed");
    return FALSE;
}

/* Twice is harmless: the last supervisor may have come as far as asking. A deadline stands
 * whatever comes of it. */
gboolean
virDomainLockAskAgain(virDomainLockObj *obj, GError **error)
{
    gint64 deadline = 0;
    gboolean reboot = virDomainLockObjGetRequest(obj, &deadline) ==
                      VIR_DOMAIN_LOCK_REASON_REBOOT_REQUESTED;

    if (obj->status->askBy == 0 ||
        virDomainLockObjGetState(obj) != VIR_DOMAIN_LOCK_STATE_RUNNING)
        return TRUE;
    if (virPowerAskGuest(obj, obj->status->askBy, reboot ? "reboot" : "shut down",
                         reboot ? "reboot" : "powerdown", error)) {
        virDomainLockObjSetAskedFor(obj);
        return TRUE;
    }
    virDomainLockObjEmit(obj, reboot ? "REBOOT_FAILED" : "SHUTDOWN_FAILED", "host",
                         (*error)->message);
    if (deadline == 0)
        virDomainLockObjDropRequest(obj, VIR_LOCK_ERROR_STATE, "it could not be asked");
    return FALSE;
}

gboolean
virDomainLockWithdrawRequest(virDomainLockObj *obj, GError **error)
{
    virDomainLockReason what = virDomainLockObjGetRequest(obj, NULL);

    if (what == VIR_DOMAIN_LOCK_REASON_NONE ||
        virDomainLockObjGetState(obj) == VIR_DOMAIN_LOCK_STATE_SHUTDOWN) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    what == VIR_DOMAIN_LOCK_REASON_NONE
                        ? "guest '%s' was not asked to shut down"
                        : "guest '%s' has shut itself down already",
                    obj->status->info->name);
        return FALSE;
    }
    virDomainLockObjDropRequest(obj, VIR_LOCK_ERROR_CANCELLED,
                                "its shutdown was withdrawn");
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

/* It may run there by now, or soon: whoever is told that it is suspended would be told wrong. */
static gboolean
virPowerFailYielded(virDomainLockObj *obj, GError **error)
{
    g_autofree char *host = virDomainLockObjGetPeer(obj);

    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "cannot suspend guest '%s': it was yielded to host '%s', and runs there or "
                "comes back; 'leasehold suspend %s' there suspends it",
                obj->status->info->name, host, obj->status->info->name);
    return FALSE;
}

gboolean
virDomainLockPause(virDomainLockObj *obj, GError **error)
{
    virDomainLockReason reason;
    virDomainLockState state = virDomainLockObjGetStateAndReason(obj, &reason);
    gboolean held = virDomainLockObjIsHeld(obj);

    if (state == VIR_DOMAIN_LOCK_STATE_PAUSED && reason == VIR_DOMAIN_LOCK_REASON_YIELDED)
        return virPowerFailYielded(obj, error);
    if (state == VIR_DOMAIN_LOCK_STATE_PAUSED) {
        /* which would let it go on by and by, on one host or the other */
        if (reason == VIR_DOMAIN_LOCK_REASON_MIGRATING)
            virDomainLockObjSetHeld(obj, TRUE);
        return TRUE;
    }
    if (state != VIR_DOMAIN_LOCK_STATE_RUNNING)
        return virPowerFail(obj, "suspend", error);
    virDomainLockObjSetPauseReason(obj, VIR_DOMAIN_LOCK_REASON_USER);
    /* before: another supervisor, in the middle of a migration, goes by that */
    virDomainLockObjSetHeld(obj, TRUE);
    if (virPowerCommand(obj, "stop", "suspend", error))
        return TRUE;
    virDomainLockObjSetHeld(obj, held);
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

    if (state == VIR_DOMAIN_LOCK_STATE_RUNNING) {
        virDomainLockObjSetHeld(obj, FALSE);
        return TRUE;
    }
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

static gboolean
virPowerSetRebootAction(virDomainLockObj *obj, const char *action, GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();
    g_autoptr(JsonNode) answer = NULL;

    json_object_set_string_member(args, "reboot", action);
    answer =
        obj->guest->ops->command(obj->guest, "set-action", args,
                                 g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC, error);
    return answer != NULL;
}

/* Until there is no reset for a while. */
static void
virPowerAwaitFirmware(virDomainLockObj *obj)
{
    gint64 end = g_get_monotonic_time() + FIRMWARE_MAX_USEC;
    guint64 since = obj->guest->ops->eventSerial(obj->guest);
    JsonNode *event = NULL;

    while (g_get_monotonic_time() < end &&
           (event = obj->guest->ops->waitEvent(obj->guest, "RESET", since,
                                               g_get_monotonic_time() + FIRMWARE_USEC,
                                               NULL, NULL))) {
        since = obj->guest->ops->eventSerial(obj->guest);
        json_node_unref(event);
    }
}

/* Where <on_reboot> does not let the guest reboot, QEMU was told to take every reset for the
 * end (start.c). Not this one, which is not the guest's, nor the one by which the firmware
 * answers it. */
static gboolean
virPowerReset(virDomainLockObj *obj, const char *what, gboolean cont, GError **error)
{
    guint64 since = obj->guest->ops->eventSerial(obj->guest);
    g_autoptr(JsonNode) event = NULL;
    gboolean ok = FALSE;

    if (virDomainDefGetOnReboot(obj->def) == VIR_DOMAIN_ACTION_RESTART)
        return virPowerCommand(obj, "system_reset", what, error) &&
               (!cont || virPowerCommand(obj, "cont", what, error));
    if (!virPowerSetRebootAction(obj, "reset", error))
        return FALSE;
    g_atomic_int_set(&obj->resetting, TRUE);
    ok = virPowerCommand(obj, "system_reset", what, error) &&
         (event = obj->guest->ops->waitEvent(
              obj->guest, "RESET", since, g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC,
              NULL, error)) &&
         (!cont || virPowerCommand(obj, "cont", what, error));
    if (ok)
        virPowerAwaitFirmware(obj);
    g_atomic_int_set(&obj->resetting, FALSE);
    return virPowerSetRebootAction(obj, "shutdown", ok ? error : NULL) && ok;
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
    return virPowerReset(obj, "reset", FALSE, error);
}

/* --- what the description wants ----------------------------------------------------- */

gboolean
virDomainLockRestart(virDomainLockObj *obj, GError **error)
{
    if (virDomainLockObjGetState(obj) == VIR_DOMAIN_LOCK_STATE_SHUTOFF)
        return TRUE;
    return virPowerReset(obj, "restart", TRUE, error);
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
