/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * end.c: how a guest ends (I3: dead before free).
 *
 *   1 quit       unless QEMU is dead already; SIGKILL when it does not follow
 *   2 reap       with everything that is left of its process group
 *   3 leases     seen free, not assumed
 *   4 record     SHUTOFF with the reason, last state kept, folder removed
 *
 * Leases end with QEMU's file table, so nothing here gives one up; step 3 only looks. If the
 * kernel does not let QEMU die, it still may write: the sequence stops at step 2, the state
 * says so, and the supervisor tries again when the process has ended.
 */
#include "domain_lock/save/archive.h"
#include "sequence.h"
#include "step.h"
#include <sys/wait.h>

/* QEMU flushes its images at quit: as long as healthy storage can take, and no longer. */
#define END_QUIT_USEC (60 * G_USEC_PER_SEC)
#define END_KILL_USEC (30 * G_USEC_PER_SEC)
#define END_FREE_USEC (30 * G_USEC_PER_SEC)

/* QEMU answers quit before it has quit, so the answer proves nothing and is not awaited for
 * long; what counts is the reaping. */
static void
virEndQuit(virDomainLockObj *obj)
{
    g_autoptr(GError) why = NULL;

    /* a quit flushes: into the disk of another host, if the lease is gone */
    if (virDomainLockObjIsLeaseLost(obj))
        obj->guest->ops->kill(obj->guest, FALSE);
    else if (!virDomainLockCommandSimple(obj, "quit", &why))
        obj->guest->ops->kill(obj->guest, TRUE);
}

static gboolean
virEndReap(virDomainLockObj *obj, virDomainLockExit *how, GError **error)
{
    const virDomainLockGuestOps *ops = obj->guest->ops;

    if (ops->reap(obj->guest, g_get_monotonic_time() + END_QUIT_USEC, how, NULL))
        return TRUE;
    ops->kill(obj->guest, FALSE);
    return ops->reap(obj->guest, g_get_monotonic_time() + END_KILL_USEC, how, error);
}

static char *
virEndSeeLeasesFree(virDomainLockObj *obj)
{
    virLockWait wait = {.structSize = sizeof(wait),
                        .deadlineUsec = g_get_monotonic_time() + END_FREE_USEC};
    g_autoptr(GError) why = NULL;

    if (virLockManagerShutdown(obj->man, &wait, &why))
        return NULL;
    return g_strdup_printf("QEMU is dead, but its leases were not seen free: %s",
                           why->message);
}

static virDomainLockReason
virEndReason(virDomainLockObj *obj, const virDomainLockExit *how)
{
    if (obj->status->endReason != VIR_DOMAIN_LOCK_REASON_NONE)
        return obj->status->endReason;
    return how->known ? VIR_DOMAIN_LOCK_REASON_CRASHED : VIR_DOMAIN_LOCK_REASON_UNKNOWN;
}

/* "QEMU exited with status 1" is for the reader of list --all and events; a wait status that
 * was asked for (quit, kill) needs no words. */
static char *
virEndDescribe(virDomainLockObj *obj, const virDomainLockExit *how,
               virDomainLockReason reason)
{
    g_autofree char *peer = virDomainLockObjGetPeer(obj);

    if (reason == VIR_DOMAIN_LOCK_REASON_MIGRATED)
        return g_strdup_printf("it went to host '%s'", peer);
    if (!how->known)
        return g_strdup("nobody saw how QEMU ended");
    if (reason != VIR_DOMAIN_LOCK_REASON_CRASHED)
        return NULL;
    if (WIFSIGNALED(how->waitStatus))
        return g_strdup_printf("QEMU was killed by signal %d (%s)",
                               WTERMSIG(how->waitStatus),
                               g_strsignal(WTERMSIG(how->waitStatus)));
    return g_strdup_printf("QEMU exited with status %d", WEXITSTATUS(how->waitStatus));
}

static void
virEndRecord(virDomainLockObj *obj, const virDomainLockExit *how, const char *notFree)
{
    virDomainLockReason reason = virEndReason(obj, how);
    g_autofree char *message = notFree ? g_strdup(notFree) : virEndDescribe(obj, how, reason);
    g_autoptr(virDomainLockInfo) last = NULL;
    g_autoptr(GError) why = NULL;
    virDomainLockInfo *info = obj->status->info;

    g_mutex_lock(&obj->lock);
    info->endedUsec = g_get_real_time();
    info->deadlineUsec = 0;
    info->waitStatus = how->known ? how->waitStatus : -1;
    info->wakeupUsec = 0;
    info->userUsec = how->known ? how->userUsec : 0;
    info->systemUsec = how->known ? how->systemUsec : 0;
    info->maxRssBytes = how->known ? how->maxRssBytes : 0;
    g_ptr_array_set_size(info->leases, 0);
    g_clear_pointer(&info->job, g_free);
    g_clear_pointer(&info->jobDetail, g_free);
    info->jobStartedUsec = 0;
    info->jobDone = 0;
    info->jobTotal = 0;
    g_mutex_unlock(&obj->lock);
    virDomainLockObjSetState(obj, VIR_DOMAIN_LOCK_STATE_SHUTOFF, reason, message);

    last = virDomainLockObjGetInfo(obj);
    last->pid = 0;
    last->supervisorPid = 0;
    if (!virArchiveSaveInfo(obj->stateDir, last, &why))
        g_warning("the last state of the guest could not be kept: %s", why->message);
    g_clear_error(&why);
    if (obj->description && !virArchiveSaveDescription(obj->stateDir, last->uuid,
                                                       obj->description, &why))
        g_warning("the last description of the guest could not be kept: %s",
                  why->message);
    g_clear_error(&why);
    if (!virDomainLockRuntimeRemove(obj->runtime, &why))
        g_warning("the runtime folder of the guest is left: %s", why->message);
    virDomainLockObjEmit(obj, "STOPPED", virDomainLockReasonName(reason), message);
}

gboolean
virDomainLockEnd(virDomainLockObj *obj, GError **error)
{
    virDomainLockExit how = {0};
    g_autofree char *notFree = NULL;

    if (virDomainLockObjGetState(obj) == VIR_DOMAIN_LOCK_STATE_SHUTOFF)
        return TRUE;
    virDomainLockObjSetStep(obj, "end", 1);
    virEndQuit(obj);

    virDomainLockObjSetStep(obj, "end", 2);
    if (!virEndReap(obj, &how, error)) {
        g_prefix_error(error, "guest '%s' cannot be ended, its leases stay held: ",
                       obj->status->info->name);
        virDomainLockObjSetMessage(obj, (*error)->message);
        return FALSE;
    }
    virDomainLockObjSetStep(obj, "end", 3);
    notFree = virEndSeeLeasesFree(obj);

    virDomainLockObjSetStep(obj, "end", 4);
    virEndRecord(obj, &how, notFree);
    return TRUE;
}
