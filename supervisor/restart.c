/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * restart.c: on_lockfailure = restart: a guest that lost its leases is started over, from its
 * disks, in a freshly executed supervisor: nothing that this process believed is carried on.
 */
#include "supervisor/restart.h"
#include "domain_lock/client/client.h"
#include "domain_lock/describe.h"
#include <signal.h>

#define RESTART_PAUSE_SEC 5

gboolean
virSupervisorWantsRestart(virDomainLockObj *obj)
{
    g_autoptr(virDomainLockInfo) info = virDomainLockObjGetInfo(obj);

    return info->state == VIR_DOMAIN_LOCK_STATE_SHUTOFF &&
           info->reason == VIR_DOMAIN_LOCK_REASON_LEASE_LOST &&
           g_strcmp0(info->onLockfailure, "restart") == 0;
}

/* Storage or daemon may come back; all else does not change by waiting. BUSY is final: the
 * guest runs elsewhere, and must not come back here when it is shut down there. */
static gboolean
virRestartMayHelp(const GError *error)
{
    return g_error_matches(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE) ||
           g_error_matches(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_NOT_JOINED) ||
           g_error_matches(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT);
}

/* FALSE: told to end. SIGTERM is blocked in this process, so it is waited for here. */
static gboolean
virRestartPause(void)
{
    const struct timespec pause = {.tv_sec = RESTART_PAUSE_SEC};
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    return sigtimedwait(&signals, NULL, &pause) != SIGTERM;
}

gboolean
virSupervisorRestart(virDomainLockObj *obj, virDomainLockSpec *spec)
{
    gint64 end = g_get_monotonic_time() + VIR_SUPERVISOR_RESTART_SEC * G_USEC_PER_SEC;
    g_autoptr(GError) error = NULL;
    char *now = virDomainLockObjGetDescription(obj, NULL);

    if (now) { /* disks have come and gone since it was started */
        g_free(spec->xml);
        spec->xml = now;
    }
    g_clear_pointer(&spec->attach, g_free); /* it is a start now */
    /* the memory that it came with is gone */
    g_clear_pointer(&spec->restore, json_object_unref);
    g_clear_pointer(&spec->snapshot, json_object_unref);
    g_clear_pointer(&spec->incoming, json_object_unref);
    g_clear_pointer(&spec->discard, g_free);
    virDomainLockObjEmit(obj, "RESTARTING", "lease-lost", NULL);
    do {
        g_autoptr(virDomainLock) dom = NULL;

        g_clear_error(&error);
        dom = virDomainLockCreateSpec(obj->config, spec, NULL, &error);
        if (dom)
            return TRUE;
    } while (virRestartMayHelp(error) && g_get_monotonic_time() < end &&
             virRestartPause());
    g_warning("the guest is not started again: %s", error->message);
    virDomainLockObjEmit(obj, "RESTART_FAILED", NULL, error->message);
    return FALSE;
}
