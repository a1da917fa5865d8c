/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_end.c: the end of one QEMU process: killed, reaped, and nothing of it left (I3).
 */
#include "supervisor/cgroup.h"
#include "supervisor/guest_priv.h"
#include "supervisor/leftovers.h"
#include "common/fd.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long a busy watcher is waited for before QEMU's end is recorded without it. */
#define TOLD_USEC (2 * G_USEC_PER_SEC)

void
virSupervisorGuestKill(virDomainLockGuest *base, gboolean graceful)
{
    virSupervisorGuest *guest = virSupervisorGuestOf(base);

    if (guest->pidfd < 0)
        return;
    (void)virPidfdSendSignal(guest->pidfd, graceful ? SIGTERM : SIGKILL);
    if (!graceful && guest->cgroup)
        virSupervisorCgroupKill(guest->cgroup);
}

/* With reapLock held; the process is known to have ended. */
static void
collectStatus(virSupervisorGuest *guest)
{
    struct rusage usage = {0};
    int status = 0;
    pid_t rc = -1;

    while (!guest->attached && (rc = wait4(guest->pid, &status, 0, &usage)) < 0 &&
           errno == EINTR)
        continue;
    guest->reaped = TRUE;
    guest->exit.known = rc == guest->pid;
    if (!guest->exit.known)
        return;
    guest->exit.waitStatus = status;
    guest->exit.userUsec =
        usage.ru_utime.tv_sec * G_USEC_PER_SEC + usage.ru_utime.tv_usec;
    guest->exit.systemUsec =
        usage.ru_stime.tv_sec * G_USEC_PER_SEC + usage.ru_stime.tv_usec;
    guest->exit.maxRssBytes = (gint64)usage.ru_maxrss * 1024;
}

static void
setStillAliveError(virSupervisorGuest *guest, GError **error)
{
    virProcessStat st = {.state = '?'};

    (void)virProcessReadStat(guest->pid, &st);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                "QEMU of guest '%s' (process %d, state %c) did not end in time%s",
                guest->name, (int)guest->pid, st.state,
                st.state == 'D' ? ": it waits in the kernel for its storage" : "");
}

/* Ends what QEMU left behind. With reapLock held. */
static gboolean
endLeftovers(virSupervisorGuest *guest, gint64 deadlineUsec, GError **error)
{
    virSupervisorLeftoversKind kind = guest->attached ? VIR_SUPERVISOR_LEFTOVERS_SESSION
                                                      : VIR_SUPERVISOR_LEFTOVERS_OURS;
    g_autofree char *alive = NULL;

    if (guest->cgroup)
        virSupervisorCgroupKill(guest->cgroup);
    alive = virSupervisorLeftoversEnd(kind, guest->pid, deadlineUsec);
    if (!alive && guest->cgroup &&
        !virSupervisorCgroupRemove(guest->cgroup, deadlineUsec))
        alive = g_strdup_printf("processes in %s", guest->cgroup);
    if (!alive)
        return TRUE;
    g_set_error(
        error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
        "QEMU of guest '%s' ended, but what it started lives on and keeps its leases: "
        "%s",
        guest->name, alive);
    return FALSE;
}

/* The pidfd wakes the watcher and us at once: what QEMU said last, that it shut down and why,
 * comes before its end in everything that is recorded. */
static void
awaitTold(virSupervisorGuest *guest)
{
    gint64 deadline = g_get_monotonic_time() + TOLD_USEC;

    if (!guest->exitSource || guest->watcher == g_thread_self())
        return;
    g_mutex_lock(&guest->reapLock);
    while (!guest->told &&
           g_cond_wait_until(&guest->toldCond, &guest->reapLock, deadline))
        continue;
    g_mutex_unlock(&guest->reapLock);
}

gboolean
virSupervisorGuestReap(virDomainLockGuest *base, gint64 deadlineUsec, virDomainLockExit *result,
          GError **error)
{
    virSupervisorGuest *guest = virSupervisorGuestOf(base);
    gboolean ok;

    if (guest->pidfd < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "guest '%s' has no process", guest->name);
        return FALSE;
    }
    if (!virPidfdWait(guest->pidfd, deadlineUsec)) {
        setStillAliveError(guest, error);
        return FALSE;
    }
    g_mutex_lock(&guest->reapLock);
    if (!guest->reaped)
        collectStatus(guest);
    ok = endLeftovers(guest, deadlineUsec, error);
    if (result)
        *result = guest->exit;
    g_mutex_unlock(&guest->reapLock);
    awaitTold(guest);
    (void)unlink(guest->qmpPath);
    return ok;
}
