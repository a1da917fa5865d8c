/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * power_state.c: sleep and waking up.
 *
 * Only the guest can send itself to sleep, so its agent is asked. Suspended (S3), QEMU keeps
 * its memory; hibernated (S4), the guest has written it to its own disk and switched itself
 * off. Either way the guest is woken by the host alone: by system_wakeup, or by switching it
 * on again, and it finds its memory by itself. The disk of a hibernated guest is no more
 * guarded against other hosts than that of one that was shut down, unless it is to be woken:
 * then its QEMU stays, stopped, and with it the leases.
 */
#include "power_state.h"
#include "agent.h"
#include "codec.h"
#include "sequence.h"
#include "step.h"

/* The agent looks for programs first, and devices take their time to freeze. */
#define SLEEP_USEC (60 * G_USEC_PER_SEC)
#define WAKE_USEC (10 * G_USEC_PER_SEC)
#define WAKE_NAP_USEC (G_USEC_PER_SEC / 50)

static const char *const commands[] = {
    [VIR_DOMAIN_LOCK_POWER_SUSPEND] = "guest-suspend-ram",
    [VIR_DOMAIN_LOCK_POWER_HIBERNATE] = "guest-suspend-disk",
    [VIR_DOMAIN_LOCK_POWER_HYBRID] = "guest-suspend-hybrid",
};

/* --- the time of waking ------------------------------------------------------------- */

void
virDomainLockObjSetWakeup(virDomainLockObj *obj, gint64 wakeupUsec)
{
    g_mutex_lock(&obj->lock);
    obj->status->info->wakeupUsec = wakeupUsec;
    g_mutex_unlock(&obj->lock);
    virDomainLockObjChanged(obj);
}

gint64
virDomainLockObjGetWakeup(virDomainLockObj *obj)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    return obj->status->info->wakeupUsec;
}

/* --- what can be asked for ---------------------------------------------------------- */

static gboolean
virPowerIsHibernated(virDomainLockObj *obj)
{
    virDomainLockReason reason;

    return virDomainLockObjGetStateAndReason(obj, &reason) ==
               VIR_DOMAIN_LOCK_STATE_SHUTDOWN &&
           reason == VIR_DOMAIN_LOCK_REASON_HIBERNATED;
}

static gboolean
virPowerSleeps(virDomainLockObj *obj)
{
    return virDomainLockObjGetState(obj) == VIR_DOMAIN_LOCK_STATE_PMSUSPENDED ||
           virPowerIsHibernated(obj);
}

/* The machine may have no wakeup (a machine without ACPI sleep): then nobody would ever be
 * able to end the sleep. */
static gboolean
virPowerCheckMachine(virDomainLockObj *obj, GError **error)
{
    g_autoptr(JsonNode) answer =
        obj->guest->ops->command(obj->guest, "query-current-machine", NULL,
                                 g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC, error);
    JsonObject *machine =
        answer && JSON_NODE_HOLDS_OBJECT(answer) ? json_node_get_object(answer) : NULL;

    if (!answer)
        return FALSE;
    if (machine && json_object_has_member(machine, "wakeup-suspend-support") &&
        json_object_get_boolean_member(machine, "wakeup-suspend-support"))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                "its machine cannot be woken from suspend (S3)");
    return FALSE;
}

/* QEMU knows whether something in the guest has the agent's port open: no need to ask into
 * the void and to wait for that. */
static gboolean
virPowerCheckAgent(virDomainLockObj *obj, GError **error)
{
    g_autofree char *id = virDomainDefGetAgentId(obj->def);
    g_autofree char *label = g_strdup_printf("char%s", id ? id : "");
    g_autoptr(JsonNode) answer = NULL;

    if (!id) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "its description has no channel 'org.qemu.guest_agent.0', and only a "
                    "guest agent can send a guest to sleep");
        return FALSE;
    }
    answer =
        obj->guest->ops->command(obj->guest, "query-chardev", NULL,
                                 g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC, error);
    if (!answer)
        return FALSE;
    for (guint i = 0; JSON_NODE_HOLDS_ARRAY(answer) &&
                      i < json_array_get_length(json_node_get_array(answer));
         i++) {
        JsonObject *one = json_array_get_object_element(json_node_get_array(answer), i);

        if (g_strcmp0(virDomainLockJsonString(one, "label"), label) == 0 &&
            json_object_has_member(one, "frontend-open") &&
            json_object_get_boolean_member(one, "frontend-open"))
            return TRUE;
    }
    g_set_error(
        error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
        "no agent runs in the guest (qemu-guest-agent), and only that can send it "
        "to sleep");
    return FALSE;
}

static gboolean
virPowerCheckTarget(virDomainLockObj *obj, virDomainLockPowerTarget target,
                    GError **error)
{
    virDomainLockState state = virDomainLockObjGetState(obj);
    gboolean disk = target != VIR_DOMAIN_LOCK_POWER_SUSPEND;
    gboolean ram = target != VIR_DOMAIN_LOCK_POWER_HIBERNATE;
    const char *forbidden = virDomainDefForbidsSleep(obj->def, ram, disk);

    if (target == VIR_DOMAIN_LOCK_POWER_WAKEUP ? virPowerSleeps(obj)
                                               : state == VIR_DOMAIN_LOCK_STATE_RUNNING) {
        if (target == VIR_DOMAIN_LOCK_POWER_WAKEUP)
            return TRUE;
    } else {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    target == VIR_DOMAIN_LOCK_POWER_WAKEUP ? "it does not sleep, it is %s"
                                                           : "it is %s",
                    virDomainLockStateName(state));
        return FALSE;
    }
    if (forbidden) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "its description forbids it: <pm> has %s enabled='no'", forbidden);
        return FALSE;
    }
    return virPowerCheckAgent(obj, error) && (!ram || virPowerCheckMachine(obj, error));
}

virDomainLockPower *
virDomainLockReadPower(virDomainLockObj *obj)
{
    virDomainLockPower *power = g_new0(virDomainLockPower, 1);

    power->structSize = sizeof(*power);
    power->wakeupUsec = virDomainLockObjGetWakeup(obj);
    switch (virDomainLockObjGetState(obj)) {
    case VIR_DOMAIN_LOCK_STATE_PMSUSPENDED:
        power->state = VIR_DOMAIN_LOCK_POWER_SUSPENDED;
        break;
    case VIR_DOMAIN_LOCK_STATE_SHUTDOWN:
        power->state = virPowerIsHibernated(obj) ? VIR_DOMAIN_LOCK_POWER_HIBERNATED
                                                 : VIR_DOMAIN_LOCK_POWER_OFF;
        break;
    case VIR_DOMAIN_LOCK_STATE_SHUTOFF:
    case VIR_DOMAIN_LOCK_STATE_STARTING:
        power->state = VIR_DOMAIN_LOCK_POWER_OFF;
        break;
    case VIR_DOMAIN_LOCK_STATE_RUNNING:
    case VIR_DOMAIN_LOCK_STATE_PAUSED:
    case VIR_DOMAIN_LOCK_STATE_UNSUPERVISED:
        power->state = VIR_DOMAIN_LOCK_POWER_ON;
        break;
    }
    for (guint i = 0; i < VIR_DOMAIN_LOCK_POWER_TARGETS; i++) {
        g_autoptr(GError) why = NULL;

        if (!virPowerCheckTarget(obj, (virDomainLockPowerTarget)i, &why))
            power->whyNot[i] = g_strdup(why->message);
    }
    return power;
}

/* --- sleep -------------------------------------------------------------------------- */

static gboolean
virPowerIsAsleep(gpointer data)
{
    return virDomainLockObjGetState(data) != VIR_DOMAIN_LOCK_STATE_RUNNING;
}

static gboolean
virPowerAskForSleep(virDomainLockObj *obj, virDomainLockPowerTarget target,
                    GError **error)
{
    g_autofree char *socket =
        virDomainDefGetAgentSocket(obj->def, virDomainLockRuntimeGetPath(obj->runtime));
    virAgentRequest request = {
        .path = socket,
        .command = commands[target],
        .syncUsec = g_get_monotonic_time() + VIR_SEQUENCE_AGENT_USEC,
        .refusalUsec = SLEEP_USEC,
        .done = virPowerIsAsleep,
        .data = obj,
    };

    return virAgentAsk(&request, error);
}

gboolean
virDomainLockSleep(virDomainLockObj *obj, virDomainLockPowerTarget target,
                   gint64 wakeupUsec, GError **error)
{
    const char *name = virDomainLockPowerTargetName(target);

    if (!virPowerCheckTarget(obj, target, error)) {
        g_prefix_error(error, "cannot %s guest '%s': ", name, obj->status->info->name);
        return FALSE;
    }
    virStepStop("power", 1);
    virDomainLockObjSetWakeup(obj, wakeupUsec);
    virStepStop("power", 2);
    if (!virPowerAskForSleep(obj, target, error)) {
        g_prefix_error(error, "cannot %s guest '%s': ", name, obj->status->info->name);
        virDomainLockObjSetWakeup(obj, 0);
        return FALSE;
    }
    if (virPowerIsAsleep(obj))
        return TRUE;
    /* it may fall asleep yet, so the wakeup stands */
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                "guest '%s' took the request to %s, and does not sleep yet",
                obj->status->info->name, name);
    return FALSE;
}

/* --- waking up ---------------------------------------------------------------------- */

static gboolean
virPowerWaitAwake(virDomainLockObj *obj, GError **error)
{
    gint64 end = g_get_monotonic_time() + WAKE_USEC;

    while (virPowerSleeps(obj)) {
        if (g_get_monotonic_time() > end) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                        "guest '%s' was woken and does not run yet",
                        obj->status->info->name);
            return FALSE;
        }
        g_usleep(WAKE_NAP_USEC);
    }
    return TRUE;
}

gboolean
virDomainLockWake(virDomainLockObj *obj, GError **error)
{
    gboolean hibernated = virPowerIsHibernated(obj);

    if (!virPowerCheckTarget(obj, VIR_DOMAIN_LOCK_POWER_WAKEUP, error)) {
        g_prefix_error(error, "cannot wake guest '%s': ", obj->status->info->name);
        return FALSE;
    }
    if (hibernated) {
        if (!virDomainLockRestart(obj, error))
            return FALSE;
        virDomainLockObjSetWakeup(obj, 0);
        virDomainLockObjEmit(obj, "WAKEUP", "host", NULL);
    } else if (!virDomainLockCommandSimple(obj, "system_wakeup", error)) {
        g_prefix_error(error, "cannot wake guest '%s': ", obj->status->info->name);
        return FALSE;
    }
    return virPowerWaitAwake(obj, error);
}
