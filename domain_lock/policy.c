/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy.c: what follows when a guest is finished, reboots, hibernates or panics: what its
 * description says (on_poweroff, on_reboot, on_crash), and what somebody asked for.
 */
#include "policy.h"
#include "codec.h"

/* Goes into state.json with the state that follows: another supervisor does it then. */
static void
virPolicySetAfter(virDomainLockObj *obj, virDomainLockAfter after)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    obj->status->after = after;
}

static virDomainLockFollow
virPolicyFinish(virDomainLockObj *obj, virDomainAction action, const char *detail,
                virDomainLockReason reason)
{
    static const virDomainLockAfter afters[] = {
        [VIR_DOMAIN_ACTION_DESTROY] = VIR_DOMAIN_LOCK_AFTER_NONE,
        [VIR_DOMAIN_ACTION_RESTART] = VIR_DOMAIN_LOCK_AFTER_RESTART,
        [VIR_DOMAIN_ACTION_PRESERVE] = VIR_DOMAIN_LOCK_AFTER_KEEP,
    };

    if (action == VIR_DOMAIN_ACTION_DESTROY)
        virDomainLockObjSetEndReason(obj, reason);
    virPolicySetAfter(obj, afters[action]);
    virDomainLockObjSetState(obj, VIR_DOMAIN_LOCK_STATE_SHUTDOWN, reason, NULL);
    virDomainLockObjEmit(obj, "SHUTDOWN_FINISHED", detail, NULL);
    switch (action) {
    case VIR_DOMAIN_ACTION_DESTROY:
        return VIR_DOMAIN_LOCK_FOLLOW_END;
    case VIR_DOMAIN_ACTION_RESTART:
        virDomainLockObjDropRequest(obj, VIR_LOCK_ERROR_STATE,
                                    "it shut down and is started again, as its "
                                    "description says");
        return VIR_DOMAIN_LOCK_FOLLOW_RESTART;
    case VIR_DOMAIN_ACTION_PRESERVE:
        virDomainLockObjDropRequest(obj, VIR_LOCK_ERROR_STATE,
                                    "it shut down and is kept, as its description says");
        virDomainLockObjSetMessage(obj, "the guest is finished and kept as its description "
                                        "says; 'destroy' ends it");
        return VIR_DOMAIN_LOCK_FOLLOW_NONE;
    }
    g_assert_not_reached();
}

/* Asked for by the power button: the guest switched itself off in order to be switched on
 * again. */
static virDomainLockFollow
virPolicyOffForReboot(virDomainLockObj *obj)
{
    virDomainAction action = virDomainDefGetOnReboot(obj->def);

    virDomainLockObjDropRequest(obj, VIR_LOCK_ERROR_STATE, "it rebooted");
    if (action != VIR_DOMAIN_ACTION_RESTART)
        return virPolicyFinish(obj, action, "guest", VIR_DOMAIN_LOCK_REASON_SHUTDOWN);
    virPolicySetAfter(obj, VIR_DOMAIN_LOCK_AFTER_RESTART);
    virDomainLockObjSetState(obj, VIR_DOMAIN_LOCK_STATE_SHUTDOWN,
                             VIR_DOMAIN_LOCK_REASON_REBOOT_REQUESTED, NULL);
    virDomainLockObjEmit(obj, "REBOOTED", "guest", "as it was asked to");
    return VIR_DOMAIN_LOCK_FOLLOW_RESTART;
}

/* Its memory is on its own disk. One that is to be woken keeps its QEMU, and with it its
 * leases: nobody else may boot from that disk in between. */
static virDomainLockFollow
virPolicyHibernated(virDomainLockObj *obj)
{
    gboolean wakes = virDomainLockObjGetWakeup(obj) != 0;

    virDomainLockObjDropRequest(obj, VIR_LOCK_ERROR_STATE, "it hibernated");
    if (!wakes)
        virDomainLockObjSetEndReason(obj, VIR_DOMAIN_LOCK_REASON_HIBERNATED);
    virPolicySetAfter(obj,
                      wakes ? VIR_DOMAIN_LOCK_AFTER_KEEP : VIR_DOMAIN_LOCK_AFTER_NONE);
    virDomainLockObjSetState(obj, VIR_DOMAIN_LOCK_STATE_SHUTDOWN,
                             VIR_DOMAIN_LOCK_REASON_HIBERNATED,
                             wakes ? "its leases stay held until it is woken" : NULL);
    virDomainLockObjEmit(obj, "HIBERNATED", "guest", NULL);
    return wakes ? VIR_DOMAIN_LOCK_FOLLOW_NONE : VIR_DOMAIN_LOCK_FOLLOW_END;
}

static virDomainLockReason
virPolicyGetEndReason(virDomainLockObj *obj)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    return obj->status->endReason;
}

/* QEMU's SHUTDOWN: the reason tells a reboot (with -no-reboot), a panic (with panic=pause
 * unset) and an order of the host from a guest that switched itself off. One that no supervisor
 * heard has no reason: what was asked of the guest tells then. */
virDomainLockFollow
virPolicyPoweroff(virDomainLockObj *obj, JsonObject *data)
{
    const char *why = virDomainLockJsonString(data, "reason");
    gboolean byGuest = data && json_object_has_member(data, "guest") &&
                       json_object_get_boolean_member(data, "guest");
    const char *detail = byGuest ? "guest" : "host";
    gboolean hibernates = byGuest && (obj->status->hibernating ||
                                      (!why && virDomainLockObjGetWakeup(obj) != 0));
    virDomainLockReason ended;

    obj->status->hibernating = FALSE;
    if (hibernates)
        return virPolicyHibernated(obj);
    if (byGuest && (!why || g_str_equal(why, "guest-shutdown")) &&
        virDomainLockObjGetRequest(obj, NULL) == VIR_DOMAIN_LOCK_REASON_REBOOT_REQUESTED)
        return virPolicyOffForReboot(obj);
    if (why && g_str_equal(why, "guest-reset"))
        return virPolicyFinish(obj, virDomainDefGetOnReboot(obj->def), detail,
                               VIR_DOMAIN_LOCK_REASON_SHUTDOWN);
    if (why && g_str_equal(why, "guest-panic"))
        return virPolicyFinish(obj, virDomainDefGetOnCrash(obj->def), detail,
                               VIR_DOMAIN_LOCK_REASON_CRASHED);
    if (byGuest)
        return virPolicyFinish(obj, virDomainDefGetOnPoweroff(obj->def), detail,
                               VIR_DOMAIN_LOCK_REASON_SHUTDOWN);
    /* SIGTERM or quit: QEMU ends by itself whatever the description says */
    ended = virPolicyGetEndReason(obj);
    return virPolicyFinish(obj, VIR_DOMAIN_ACTION_DESTROY, detail,
                           ended != VIR_DOMAIN_LOCK_REASON_NONE
                               ? ended
                               : VIR_DOMAIN_LOCK_REASON_DESTROYED);
}

/* What a reboot means for what was asked of the guest: a deadline stands, because who set it
 * wants the guest off by then; without one nothing is left to wait for. */
static const char *
virPolicyRebootMeans(virDomainLockObj *obj)
{
    gint64 deadline = 0;

    switch ((guint)virDomainLockObjGetRequest(obj, &deadline)) {
    case VIR_DOMAIN_LOCK_REASON_REBOOT_REQUESTED:
        virDomainLockObjDropRequest(obj, VIR_LOCK_ERROR_STATE, "it rebooted");
        return "as it was asked to";
    case VIR_DOMAIN_LOCK_REASON_SHUTDOWN_REQUESTED:
        if (deadline > 0)
            return "instead of shutting down; it will be forced off in time";
        virDomainLockObjDropRequest(obj, VIR_LOCK_ERROR_STATE,
                                    "it rebooted instead of shutting down");
        return "instead of shutting down";
    default:
        return NULL;
    }
}

virDomainLockFollow
virPolicyReboot(virDomainLockObj *obj, JsonObject *data)
{
    gboolean byGuest = data && json_object_has_member(data, "guest") &&
                       json_object_get_boolean_member(data, "guest");

    if (g_atomic_int_get(&obj->resetting))
        byGuest = FALSE;
    virDomainLockObjEmit(obj, "REBOOTED", byGuest ? "guest" : "host",
                         virPolicyRebootMeans(obj));
    if (!byGuest || virDomainDefGetOnReboot(obj->def) == VIR_DOMAIN_ACTION_RESTART)
        return VIR_DOMAIN_LOCK_FOLLOW_NONE;
    /* QEMU was told to turn a reboot into a shutdown (-action); this is one that does
     * not know how */
    if (virDomainDefGetOnReboot(obj->def) == VIR_DOMAIN_ACTION_PRESERVE)
        return VIR_DOMAIN_LOCK_FOLLOW_PRESERVE;
    virDomainLockObjSetEndReason(obj, VIR_DOMAIN_LOCK_REASON_SHUTDOWN);
    return VIR_DOMAIN_LOCK_FOLLOW_END;
}

virDomainLockFollow
virPolicyCrash(virDomainLockObj *obj)
{
    virDomainLockObjEmit(obj, "CRASHED", "guest", "the guest panicked");
    switch (virDomainDefGetOnCrash(obj->def)) {
    case VIR_DOMAIN_ACTION_DESTROY:
        virDomainLockObjSetEndReason(obj, VIR_DOMAIN_LOCK_REASON_CRASHED);
        return VIR_DOMAIN_LOCK_FOLLOW_END;
    case VIR_DOMAIN_ACTION_RESTART:
        return VIR_DOMAIN_LOCK_FOLLOW_RESTART;
    case VIR_DOMAIN_ACTION_PRESERVE:
        virDomainLockObjSetPauseReason(obj, VIR_DOMAIN_LOCK_REASON_CRASHED);
        return VIR_DOMAIN_LOCK_FOLLOW_PRESERVE;
    }
    g_assert_not_reached();
}
