/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * leftovers.h: ends what QEMU started and left behind. Such a process inherited the connection
 * to the lock daemon, or an open disk: while one lives the leases are not free (I3).
 */
#ifndef LEASEHOLD_SUPERVISOR_LEFTOVERS_H
#define LEASEHOLD_SUPERVISOR_LEFTOVERS_H

#include <glib.h>
#include <sys/types.h>

typedef enum {
    /** QEMU was our child and we are its subreaper: leftovers are our children now, in
     * another session than ours. Helper programs of our own must stay in our session. */
    VIR_SUPERVISOR_LEFTOVERS_OURS,
    /** QEMU was somebody else's child: leftovers are what is in its session. */
    VIR_SUPERVISOR_LEFTOVERS_SESSION,
} virSupervisorLeftoversKind;

/** SIGKILL for them, until none is left. Returns NULL, or a description of those that live on
 * at @deadlineUsec (monotonic); free with g_free. */
char *virSupervisorLeftoversEnd(virSupervisorLeftoversKind kind, pid_t qemuPid,
                                gint64 deadlineUsec);

#endif
