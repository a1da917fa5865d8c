/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor_loss.c: what the guest's state shows while the ladder of lost leases
 * (lease_loss.h) is climbed. The ladder itself stops, releases and kills; the end that
 * follows from QEMU's death is the usual one.
 */
#include "supervisor/supervisor.h"

static virDomainLockfailure
virLossPolicy(virDomainLockObj *obj)
{
    const char *name = obj->status->info->onLockfailure;

    if (g_strcmp0(name, "poweroff") == 0)
        return VIR_DOMAIN_LOCKFAILURE_POWEROFF;
    if (g_strcmp0(name, "restart") == 0)
        return VIR_DOMAIN_LOCKFAILURE_RESTART;
    return VIR_DOMAIN_LOCKFAILURE_PAUSE;
}

static void
virLossBegins(virSupervisor *sup, const char *detail, const char *why)
{
    virDomainLockObjEmit(virSupervisorGetObj(sup), "LEASE_LOST", detail, why);
    virDomainLockObjSetDanger(virSupervisorGetObj(sup), why);
    virSupervisorCancelStart(sup);
    virSupervisorInterruptJob(sup);
}

static void
virLossPaused(virDomainLockObj *obj, const char *why)
{
    virDomainLockObjUpdateLeases(obj);
    virDomainLockObjSetState(obj, VIR_DOMAIN_LOCK_STATE_PAUSED,
                             VIR_DOMAIN_LOCK_REASON_LEASE_LOST,
                             "its leases were given up: another host may use its disks; "
                             "destroy it and start it anew where its storage answers");
    virDomainLockObjEmit(obj, "SUSPENDED", "lease-lost", why);
}

static void
virLossEntered(virLeaseLossState state, const char *why, gpointer opaque)
{
    virSupervisor *sup = opaque;
    virDomainLockObj *obj = virSupervisorGetObj(sup);

    switch (state) {
    case VIR_LEASE_LOSS_FREEZING:
        virDomainLockObjSetPauseReason(obj, VIR_DOMAIN_LOCK_REASON_LEASE_LOST);
        virLossBegins(sup, "freezing", why);
        break;
    case VIR_LEASE_LOSS_RELEASING:
        virDomainLockObjSetLeaseLost(obj);
        break;
    case VIR_LEASE_LOSS_PAUSED:
        virLossPaused(obj, why);
        break;
    case VIR_LEASE_LOSS_TERMINATING:
        virDomainLockObjSetEndReason(obj, VIR_DOMAIN_LOCK_REASON_LEASE_LOST);
        virLossBegins(sup, "terminating", why);
        break;
    case VIR_LEASE_LOSS_KILLING:
        virDomainLockObjSetLeaseLost(obj);
        virDomainLockObjSetEndReason(obj, VIR_DOMAIN_LOCK_REASON_LEASE_LOST);
        virLossBegins(sup, "killing", why);
        break;
    case VIR_LEASE_LOSS_STUCK:
        virDomainLockObjSetMessage(obj,
                                   "QEMU does not die, and another host may use its "
                                   "disks by now: only this host's watchdog can help");
        virDomainLockObjEmit(obj, "LEASE_LOST", "stuck", why);
        break;
    case VIR_LEASE_LOSS_FROZEN:
    case VIR_LEASE_LOSS_SAFE:
    case VIR_LEASE_LOSS_GONE:
    case VIR_LEASE_LOSS_N_STATES:
        break;
    }
}

virSupervisorWatch *
virSupervisorWatchLeases(virSupervisor *sup, GError **error)
{
    virDomainLockObj *obj = virSupervisorGetObj(sup);
    virSupervisorWatchOptions options = {
        .guest = obj->guest,
        .man = obj->man,
        .policy = virLossPolicy(obj),
        .runDir = virDomainLockRuntimeGetPath(obj->runtime),
        .func = virLossEntered,
        .opaque = sup,
    };

    return virSupervisorWatchNew(&options, error);
}
