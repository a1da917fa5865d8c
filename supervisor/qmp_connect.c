/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmp_connect.c: the life of a connection to QEMU's monitor: made, lost, made again.
 */
#include "supervisor/qmp_priv.h"
#include "common/fd.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

virQmp *
virQmpNew(const char *path)
{
    virQmp *qmp = g_new0(virQmp, 1);

    qmp->path = g_strdup(path);
    qmp->fd = -1;
    qmp->ringFd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    qmp->loopFd = epoll_create1(EPOLL_CLOEXEC);
    qmp->pidfd = -1;
    qmp->events = virQmpEventsNew();
    g_mutex_init(&qmp->sendLock);
    g_mutex_init(&qmp->lock);
    g_cond_init(&qmp->cond);
    return qmp;
}

void
virQmpFree(virQmp *qmp)
{
    if (!qmp)
        return;
    virQmpDisconnect(qmp);
    if (qmp->source) {
        g_source_destroy(qmp->source);
        g_source_unref(qmp->source);
    }
    virFdClose(qmp->fd);
    virFdClose(qmp->ringFd);
    virFdClose(qmp->loopFd);
    g_clear_error(&qmp->broken);
    virQmpEventsFree(qmp->events);
    g_mutex_clear(&qmp->sendLock);
    g_mutex_clear(&qmp->lock);
    g_cond_clear(&qmp->cond);
    g_free(qmp->path);
    g_free(qmp);
}

void
virQmpSetProcess(virQmp *qmp, int pidfd)
{
    g_mutex_lock(&qmp->lock);
    qmp->pidfd = pidfd;
    g_mutex_unlock(&qmp->lock);
}

gboolean
virQmpIsConnected(virQmp *qmp)
{
    gboolean connected;

    g_mutex_lock(&qmp->lock);
    connected = qmp->connected && qmp->greeted;
    g_mutex_unlock(&qmp->lock);
    return connected;
}

void
virQmpDisconnect(virQmp *qmp)
{
    g_mutex_lock(&qmp->lock);
    virQmpBreakLocked(qmp, g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                                       "the connection to QEMU was closed"));
    g_mutex_unlock(&qmp->lock);
}

static gboolean
isGreeted(virQmp *qmp, gpointer data)
{
    return qmp->greeted;
}

/* Installs a fresh socket in place of the broken one. */
static gboolean
replaceSocket(virQmp *qmp, int fd, GError **error)
{
    gboolean first;

    g_mutex_lock(&qmp->lock);
    if (qmp->connected) {
        g_mutex_unlock(&qmp->lock);
        virFdClose(fd);
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "QMP is connected already");
        return FALSE;
    }
    while (qmp->reading)
        g_cond_wait(&qmp->cond, &qmp->lock);
    first = qmp->fd < 0;
    virFdClose(qmp->fd);
    qmp->fd = fd;
    qmp->greeted = FALSE;
    qmp->connected = TRUE;
    if (!first)
        virQmpEventsMarkGap(qmp->events);
    virQmpJoinLoopLocked(qmp);
    g_mutex_unlock(&qmp->lock);
    return TRUE;
}

static gboolean
negotiate(virQmp *qmp, virDomainLockGuestCommand *first, gint64 deadlineUsec,
          GError **error)
{
    virDomainLockGuestCommand commands[] = {{.name = "qmp_capabilities"}, {0}};

    if (first)
        commands[1] = *first;
    if (!virQmpCommands(qmp, commands, first ? 2 : 1, deadlineUsec, error))
        return FALSE;
    json_node_unref(commands[0].answer);
    if (first)
        first->answer = commands[1].answer;
    return TRUE;
}

gboolean
virQmpConnect(virQmp *qmp, virDomainLockGuestCommand *first, gint64 deadlineUsec,
              GCancellable *cancellable, GError **error)
{
    gboolean replaced;
    int fd;

    if (qmp->ringFd < 0 || qmp->loopFd < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "there was no file descriptor left to wait for QEMU's monitor with");
        return FALSE;
    }
    fd = virUnixConnect(qmp->path, SOCK_STREAM | SOCK_NONBLOCK, error);
    if (fd < 0)
        return FALSE;
    g_mutex_lock(&qmp->sendLock);
    replaced = replaceSocket(qmp, fd, error);
    g_mutex_unlock(&qmp->sendLock);
    if (!replaced)
        return FALSE;
    if (!virQmpWaitCondition(qmp, isGreeted, NULL, deadlineUsec, cancellable)) {
        virQmpSetWaitError(qmp, "the greeting of QEMU's monitor", cancellable, error);
        virQmpDisconnect(qmp);
        return FALSE;
    }
    if (negotiate(qmp, first, deadlineUsec, error))
        return TRUE;
    virQmpDisconnect(qmp);
    return FALSE;
}
