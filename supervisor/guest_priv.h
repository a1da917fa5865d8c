/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_priv.h: what guest_qemu.c and guest_end.c share.
 */
#ifndef LEASEHOLD_SUPERVISOR_GUEST_PRIV_H
#define LEASEHOLD_SUPERVISOR_GUEST_PRIV_H

#include "supervisor/guest_qemu.h"
#include "supervisor/park.h"
#include "supervisor/qmp.h"

typedef struct _virSupervisorGuest {
    virDomainLockGuest base;
    char *name;
    char *uuid;
    char *qmpPath;
    GMainContext *context;
    int logFd;
    int listenFd; /* the monitor's socket; closed here once QEMU has it */

    pid_t pid;
    int pidfd;
    guint64 startTime;
    char *cgroup;
    gboolean attached; /* not our child */

    virSupervisorPark *park; /* until exec */
    gboolean loaded;         /* or about to be: its command is in the log */
    goffset logStart;        /* what it says comes behind this */
    GMutex connectLock;      /* one thread reconnects */
    virQmp *qmp;

    GMutex reapLock;
    GCond toldCond; /* with reapLock */
    gboolean reaped;
    gboolean told; /* the watcher has handled all that QEMU said, and its end */
    virDomainLockExit exit;

    virDomainLockGuestFunc func;
    gpointer opaque;
    GThread *watcher; /* whose context calls func; NULL: nobody watches */
    GSource *exitSource;
} virSupervisorGuest;

static inline virSupervisorGuest *
virSupervisorGuestOf(virDomainLockGuest *base)
{
    return (virSupervisorGuest *)base;
}

/** From any thread. @graceful: SIGTERM to QEMU alone, otherwise SIGKILL to all that is there. */
void virSupervisorGuestKill(virDomainLockGuest *base, gboolean graceful);
/** virDomainLockGuestOps.reap. The watcher has handled QEMU's last events when it returns,
 * unless the watcher is who calls, or hangs for two seconds. */
gboolean virSupervisorGuestReap(virDomainLockGuest *base, gint64 deadlineUsec,
                                virDomainLockExit *result,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
