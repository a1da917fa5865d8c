/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest_log.h: the file that QEMU's stdout and stderr go to. */
#ifndef LEASEHOLD_SUPERVISOR_GUEST_LOG_H
#define LEASEHOLD_SUPERVISOR_GUEST_LOG_H

#include <leasehold/lock_types.h>

/** Opened for appending, mode 0600, CLOEXEC; -1 with CONFIG. */
int virSupervisorLogOpen(const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** A line that says when what was executed, so that a log of many starts can be read. */
void virSupervisorLogCommand(int fd, const char *file, const char *const *argv);
/** Where it ends now: what comes later is read by virSupervisorLogTail. */
goffset virSupervisorLogEnd(int fd);
/** The last lines (few, printable, in one line) written after @since; "" if none. */
char *virSupervisorLogTail(int fd, goffset since);

#endif
