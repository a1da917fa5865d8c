/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * park.h: the child that is QEMU-to-be: forked and registered with the lock daemon first. Its
 * program is executed, or begins if it is loaded already, only when all its leases are held (I2).
 */
#ifndef LEASEHOLD_SUPERVISOR_PARK_H
#define LEASEHOLD_SUPERVISOR_PARK_H

#include <leasehold/lock_manager.h>

typedef struct _virSupervisorPark virSupervisorPark;

typedef struct _virSupervisorParkOptions {
    const char *name;    /* guest name, for messages */
    virLockManager *man; /* registers the child; NULL: nothing to register with */
    int logFd;           /* its stdout and stderr */
    int qmpFd;           /* kept open for QEMU, at the same number */
    int cgroupFd;        /* directory of the cgroup to be born in, or -1 */
} virSupervisorParkOptions;

/**
 * virSupervisorParkNew:
 *
 * Forks the child; in the main thread, before any other thread exists. It does not wait:
 * virSupervisorParkAwaitReady does. The child dies if this process does before Go.
 */
virSupervisorPark *virSupervisorParkNew(const virSupervisorParkOptions *options,
                                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Frees our side; a child that still is parked ends by itself. Does not reap. */
void virSupervisorParkFree(virSupervisorPark *park);

pid_t virSupervisorParkGetPid(const virSupervisorPark *park);
/** Owned by the park until stolen; CLOEXEC. */
int virSupervisorParkStealPidfd(virSupervisorPark *park);

/** Waits until the child said that the lock daemon accepted it. UNAVAILABLE or CONFIG with
 * the step that failed otherwise. */
gboolean virSupervisorParkAwaitReady(virSupervisorPark *park, gint64 deadlineUsec,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Gives the child a copy of @fd that exec keeps; TRUE when it said that it has it. */
gboolean virSupervisorParkPassFd(virSupervisorPark *park, int fd, gint64 deadlineUsec,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
typedef struct _virSupervisorParkProgram {
    const char *file; /* executed as it is (no PATH search) */
    const char *const *argv;
    const char *const *envp;
    int outFd; /* its standard output and error */
} virSupervisorParkProgram;
/**
 * virSupervisorParkRun: the child runs a program beside itself, under its leases, and goes on
 * being parked. A child that is killed takes the program along.
 * @waitStatus: (out): of the program, as waitpid gave it
 *
 * FALSE with TIMEOUT: it still runs; only to end the child is left then.
 */
gboolean virSupervisorParkRun(virSupervisorPark *park,
                              const virSupervisorParkProgram *program,
                              gint64 deadlineUsec, int *waitStatus,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** What Load is to load; it has to follow. FALSE: that cannot be had, and Go does it all. In
 * the thread of Go. */
gboolean virSupervisorParkHold(virSupervisorPark *park, const char *file,
                               const char *const *argv, const char *const *envp);
/**
 * virSupervisorParkLoad: the child executes the program, and is held before its first own
 * instruction until Go says the same (hold.h). It waits for nothing. After it PassFd and Run
 * fail. Where execve fails, Go does it all.
 */
void virSupervisorParkLoad(virSupervisorPark *park);
/**
 * virSupervisorParkGo:
 * @file: executed as it is (no PATH search)
 *
 * TRUE: exec succeeded, or the child died in this instant: its pidfd tells. FALSE: nothing
 * of the program ran, and nothing will once the park is freed; UNAVAILABLE if it is another
 * one than was loaded.
 */
gboolean virSupervisorParkGo(virSupervisorPark *park, const char *file,
                             const char *const *argv, const char *const *envp,
                             gint64 deadlineUsec,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
