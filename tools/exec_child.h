/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * exec_child.h: the process that `leasehold exec` runs, from its fork to its last descendant.
 *
 * It is forked parked: it registers itself with the lock daemon, waits until its leases are
 * there and only then executes the command, so that the command itself holds them. Until then
 * it dies with us; afterwards it outlives us, under its leases.
 */
#ifndef LEASEHOLD_TOOLS_EXEC_CHILD_H
#define LEASEHOLD_TOOLS_EXEC_CHILD_H

#include <leasehold/lock_manager.h>
#include <signal.h>

/** The signals that are passed on. */
extern const int virToolExecSignals[6];

typedef struct _virToolExecChild {
    virLockManager *man;
    const char *file; /* as it is executed */
    char *const *argv;
    /* what was ignored when we were called stays ignored (nohup) */
    gboolean ignored[G_N_ELEMENTS(virToolExecSignals)];
    int sock;
    int childSock;
    pid_t pid;
    int pidfd;
} virToolExecChild;

/** Forks and registers the child, and tells @child->man its pid. FALSE: there is none. */
gboolean virToolExecChildPark(virToolExecChild *child, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
/** Lets it execute the command. CONFIG with exec's reason when that fails. */
gboolean virToolExecChildGo(virToolExecChild *child, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
/** Ends a child that has not executed anything, and closes what is open. */
void virToolExecChildClear(virToolExecChild *child);

/** Sends @signum to all descendants of this process; returns how many there are. */
guint virToolExecTreeSignal(int signum);
/** SIGKILL for all descendants until none is left. FALSE: some live on at @deadlineUsec
 * (monotonic). Reaps those that are our own children. */
gboolean virToolExecTreeEnd(gint64 deadlineUsec, guint *ended);

#endif
