/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_qemu.h: virDomainLockGuest with a real QEMU behind it.
 *
 * Files, all in the guest's runtime directory: "qmp", the monitor's socket. QEMU inherits it
 * as a listening descriptor, so that a later supervisor can connect again.
 */
#ifndef LEASEHOLD_SUPERVISOR_GUEST_QEMU_H
#define LEASEHOLD_SUPERVISOR_GUEST_QEMU_H

#include "domain_lock/guest.h"

typedef struct _virSupervisorGuestOptions {
    const char *name;
    const char *uuid;
    const char *runDir;    /* of this guest; exists */
    const char *logPath;   /* QEMU's stdout and stderr are appended; its folder exists */
    GMainContext *context; /* in which watch delivers; NULL: the default one */
} virSupervisorGuestOptions;

/** A guest that is not there yet: creates the QMP socket, opens the log. CONFIG if the
 * runtime directory's path is too long for a socket. */
virDomainLockGuest *virSupervisorGuestNew(const virSupervisorGuestOptions *options,
                                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
/**
 * virSupervisorGuestAttach:
 * @pid, @startTime: as they were kept in the state file
 *
 * A guest that runs: STATE if there is no such process any more. We are not its parent: how
 * it ends is "unknown". QMP is tried until @deadlineUsec; a QEMU that does not answer is no
 * error here (it must be possible to kill it): virSupervisorGuestCheckQmp tells.
 */
virDomainLockGuest *virSupervisorGuestAttach(const virSupervisorGuestOptions *options,
                                             pid_t pid, guint64 startTime,
                                             gint64 deadlineUsec,
                                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Does not end QEMU; a child that still is parked ends. In the context's thread. */
void virSupervisorGuestFree(virDomainLockGuest *guest);

/** Connects QMP if it is not connected. */
gboolean virSupervisorGuestCheckQmp(virDomainLockGuest *guest, gint64 deadlineUsec,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The number that the listening QMP socket has in QEMU (virDomainArgvContext.qmpFd). */
int virSupervisorGuestGetQmpFd(virDomainLockGuest *guest);
/** Start time of the process (clock ticks), to be kept beside its pid; 0 before park. */
guint64 virSupervisorGuestGetStartTime(virDomainLockGuest *guest);
/** The guest's cgroup, or NULL where none could be had. */
const char *virSupervisorGuestGetCgroup(virDomainLockGuest *guest);

#endif
