/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmp_priv.h: the inside of a virQmp, for qmp.c (who reads, who waits) and qmp_connect.c (the
 * life of the connection). The rules are at the top of qmp.c.
 */
#ifndef LEASEHOLD_SUPERVISOR_QMP_PRIV_H
#define LEASEHOLD_SUPERVISOR_QMP_PRIV_H

#include "supervisor/json_framer.h"
#include "supervisor/qmp.h"
#include "supervisor/qmp_events.h"

struct _virQmp {
    char *path;
    GMutex sendLock; /* one message at a time goes out, whole */

    GMutex lock; /* all below */
    GCond cond;  /* something arrived, or the reader is leaving */
    int fd;
    int ringFd; /* eventfd that wakes the reader */
    int pidfd;  /* of QEMU, not ours; -1: not known */
    gboolean connected;
    gboolean reading; /* a thread polls fd without the lock */
    gboolean greeted;
    GError *broken; /* why the connection ended; NULL before the first one */
    virJsonFramer framer;
    GSList *slots; /* virQmpSlot */
    gint64 lastId;
    virQmpEvents *events;

    GSource *source;
    int loopFd;      /* epoll: what the main loop polls */
    gboolean inLoop; /* fd is in it */
    virQmpEventFunc func;
    gpointer opaque;
};

/** Ends the connection, with the lock held; takes @cause. */
void virQmpBreakLocked(virQmp *qmp, GError *cause);
/** The main loop polls the socket from here on, if a loop is there and no call reads, with the
 * lock held. */
void virQmpJoinLoopLocked(virQmp *qmp);

typedef gboolean (*virQmpCondition)(virQmp *qmp, gpointer data);

/** Waits, reading if nobody else does, until @condition holds, which is looked at with the
 * lock held. FALSE: disconnected, cancelled or the deadline passed: SetWaitError tells which,
 * of "@what". */
gboolean virQmpWaitCondition(virQmp *qmp, virQmpCondition condition, gpointer data,
                             gint64 deadlineUsec, GCancellable *cancellable);
void virQmpSetWaitError(virQmp *qmp, const char *what, GCancellable *cancellable,
                        GError **error);

#endif
