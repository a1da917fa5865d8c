/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hold.h: a program that is executed, loaded and linked, and does not begin.
 *
 * QEMU spends 8 of the 36 ms of its start on its libraries, before its first own instruction. Held
 * there it can wait for its leases as well as the parked child can: it has opened no image
 * and cannot (I2). Whoever holds it takes it along when he dies.
 */
#ifndef LEASEHOLD_SUPERVISOR_HOLD_H
#define LEASEHOLD_SUPERVISOR_HOLD_H

#include <leasehold/lock_types.h>
#include <sys/types.h>

typedef struct _virSupervisorHold virSupervisorHold;

/** FALSE: the program gains privileges from its file (set-user-ID, capabilities), which the
 * kernel does not give it while it is traced. */
gboolean virSupervisorHoldSuits(const char *file);

/**
 * virSupervisorHoldNew:
 * @pid: a child of this process, with one thread, that has not executed anything yet
 *
 * From now on the child cannot get further than to the entry point of the program that it
 * executes next, or, where no breakpoint can be set, than through execve itself. NULL: it
 * cannot be held (it is traced already, or ptrace is forbidden here), and nothing happened to it.
 *
 * A child whose execve failed tells by a SIGTRAP to itself, which does not reach it; it is not
 * held any more then.
 */
virSupervisorHold *virSupervisorHoldNew(pid_t pid) G_GNUC_WARN_UNUSED_RESULT;

/**
 * virSupervisorHoldRelease: waits until the program is loaded, and lets it begin. At most once,
 * and only when it may begin.
 *
 * TRUE: it goes on, or has died; its pidfd tells. TIMEOUT: it is not loaded by @deadlineUsec
 * (monotonic), or is just being let go. INTERNAL: it cannot be let go; Free ends it.
 */
gboolean virSupervisorHoldRelease(virSupervisorHold *hold, gint64 deadlineUsec,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** Kills a program that still is held. */
void virSupervisorHoldFree(virSupervisorHold *hold);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSupervisorHold, virSupervisorHoldFree)

#endif
