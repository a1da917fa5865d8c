/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cgroup.h: a control group of its own for QEMU and all that it starts, where the kernel and
 * our rights give one (a writable cgroup2 hierarchy). It limits nothing: it is there so that
 * everything in it can be killed at once and seen gone, also what left QEMU's session.
 */
#ifndef LEASEHOLD_SUPERVISOR_CGROUP_H
#define LEASEHOLD_SUPERVISOR_CGROUP_H

#include <glib.h>
#include <sys/types.h>

/**
 * virSupervisorCgroupNew:
 * @fd: (out): its directory, to fork a child into it; CLOEXEC, the caller closes it
 *
 * Makes the guest's cgroup below our own. Returns its path, or NULL where that cannot be had.
 * Empty ones that dead supervisors left are removed.
 */
char *virSupervisorCgroupNew(const char *uuid, int *fd);
/** The path of the cgroup of this guest that @pid is in, or NULL. */
char *virSupervisorCgroupFind(const char *uuid, pid_t pid);
/** SIGKILL for all in it. Any thread. */
void virSupervisorCgroupKill(const char *path);
/** Waits until nothing lives in it, then removes it. FALSE: something still does. */
gboolean virSupervisorCgroupRemove(const char *path, gint64 deadlineUsec);

#endif
