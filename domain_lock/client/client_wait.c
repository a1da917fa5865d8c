/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client_wait.c: waiting for the end of a guest.
 *
 * The supervisor ends when it has recorded the end, so its pidfd is what is waited for; if it
 * died early, another one is started, and if that fails it is QEMU's. Nobody else is asked
 * anything, so thousands may wait.
 */
#include "client.h"
#include "common/fd.h"
#include <errno.h>
#include <poll.h>

static gboolean
virWaitForExit(int pidfd, const virLockWait *wait, GError **error)
{
    GCancellable *cancellable = wait ? wait->cancellable : NULL;
    GPollFD cancelFd = {.fd = -1};
    gboolean watchCancel =
        cancellable && g_cancellable_make_pollfd(cancellable, &cancelFd);
    struct pollfd fds[2] = {{.fd = pidfd, .events = POLLIN},
                            {.fd = watchCancel ? cancelFd.fd : -1, .events = POLLIN}};
    gboolean bounded = wait && wait->deadlineUsec > 0;
    int n = 0;

    do {
        n = poll(fds, 2, bounded ? virPollTimeoutMsec(wait->deadlineUsec) : -1);
    } while ((n < 0 && errno == EINTR) ||
             (n == 0 && bounded && g_get_monotonic_time() < wait->deadlineUsec));
    if (watchCancel)
        g_cancellable_release_fd(cancellable);
    if (n > 0 && fds[0].revents)
        return TRUE;
    if (n > 0)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED,
                    "cancelled; the guest goes on");
    else
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                    "the guest has not ended by the deadline");
    return FALSE;
}

/* Supervisor if it lives, else QEMU; -1 when neither does (any more). */
static int
virWaitOpen(virDomainLock *dom)
{
    g_autofree char *dir = virDomainLockDir(dom);
    g_autoptr(virDomainLockStatus) status = virDomainLockStatusLoad(dir, NULL);
    int pidfd = -1;

    if (!status)
        return -1;
    pidfd =
        virPidfdOpenExact((pid_t)status->supervisor.pid, status->supervisor.startTime);
    if (pidfd < 0 && virDomainLockStatusQemuAlive(status))
        pidfd = virPidfdOpenExact((pid_t)status->qemu.pid, status->qemu.startTime);
    return pidfd;
}

gboolean
virDomainLockWait(virDomainLock *dom, virDomainLockInfo **info, const virLockWait *wait,
                  GError **error)
{
    for (;;) {
        g_autoptr(GError) why = NULL;
        g_auto(virFd) pidfd = -1;

        /* who waits wants to know how it ends: somebody has to be there to see it */
        if (!virDomainLockAttachIfOrphan(dom, &why))
            g_debug("guest '%s' stays unsupervised: %s", dom->name, why->message);
        pidfd = virWaitOpen(dom);
        if (pidfd < 0)
            break;
        if (!virWaitForExit(pidfd, wait, error))
            return FALSE;
    }
    if (!info)
        return TRUE;
    *info = virDomainLockReadInfo(dom->config, dom->uuid);
    if (*info)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "guest '%s' has ended, and nothing is known of how", dom->name);
    return FALSE;
}
