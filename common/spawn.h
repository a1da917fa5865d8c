/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spawn.h: the one place that forks.
 *
 * The child runs either a program (argv) or a function of the caller (child), which then
 * may call only async-signal-safe functions, because the parent may have threads whose
 * locks the child inherited locked. Such functions carry ForkSafe in their name.
 */
#ifndef LEASEHOLD_COMMON_SPAWN_H
#define LEASEHOLD_COMMON_SPAWN_H

#include <leasehold/lock_types.h>
#include <sys/types.h>

typedef enum {
    VIR_SPAWN_NEW_SESSION = 1 << 0,
    /** SIGKILL for the child when the parent dies. The kernel means the forking *thread*:
     * only for threads that live as long as the process. Kept across exec. */
    VIR_SPAWN_DIE_WITH_PARENT = 1 << 1,
    /** Closes all descriptors but 0-2 and keepFds before anything else runs. Always
     * wanted with argv; a child function may need more and close the rest itself. */
    VIR_SPAWN_CLOSE_FDS = 1 << 2,
    /** The child is born in cgroupFd. A move afterwards waits for the whole kernel (an RCU
     * grace period): 11 ms measured, against 0.1 ms. */
    VIR_SPAWN_IN_CGROUP = 1 << 3,
    /** With argv: nobody's child. The child forks once more before exec and ends; it is reaped
     * here, and @pid and @pidfd are of no use. Of a program whose exec takes longer than
     * VIR_SPAWN_TIMEOUT_SEC nothing is known: it needs a sign of its own that it was given
     * up, like the end of a socket. */
    VIR_SPAWN_DETACHED = 1 << 4,
    /** With childForkSafe: returns at once. That the child could not be set up is known only
     * by its end, before its function has given a sign of its own. */
    VIR_SPAWN_NO_WAIT = 1 << 5,
} virSpawnFlags;

/** For stdioFds: /dev/null, or what the parent has. */
#define VIR_SPAWN_STDIO_NULL 0
#define VIR_SPAWN_STDIO_INHERIT (-1)

/** VIR_SPAWN_TIMEOUT_SEC: how long exec may take (a program on a dead NFS server). */
#define VIR_SPAWN_TIMEOUT_SEC 10

#define VIR_SPAWN_MAX_KEEP 16

typedef struct _virSpawnOptions {
    const char *what;   /* for messages: "QEMU", "the lease helper" */
    guint flags;        /* virSpawnFlags */
    int stdioFds[3];    /* a descriptor > 2, or one of VIR_SPAWN_STDIO_ */
    int cgroupFd;       /* with IN_CGROUP: the cgroup2 directory that the child is born in */
    const int *keepFds; /* stay open at their numbers, without CLOEXEC */
    gsize nKeepFds;

    /* a program: argv[0] is executed as it is (no PATH search); envp NULL: ours */
    const char *const *argv;
    const char *const *envp;
    /* or a function; what it returns is the exit status */
    int (*childForkSafe)(gpointer data);
    gpointer data;
} virSpawnOptions;

/**
 * virSpawn:
 * @pid: (out) (optional): for waitpid: the caller reaps
 * @pidfd: (out) (optional): CLOEXEC, the caller closes it
 *
 * With argv it returns TRUE when exec succeeded. FALSE: there is no child (any more);
 * CONFIG if the program cannot be executed (message with exec's reason), else
 * UNAVAILABLE.
 */
gboolean virSpawn(const virSpawnOptions *options, pid_t *pid, int *pidfd,
                  GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** A child that was forked and may not have executed its program yet. */
typedef struct _virSpawnBegun {
    pid_t pid;
    int pidfd;
    int errnoFd;
} virSpawnBegun;

/**
 * virSpawnBegin: the first half of virSpawn, for who has other work while a program is loaded.
 *
 * FALSE: there is no child. TRUE: virSpawnFinish has to follow.
 */
gboolean virSpawnBegin(const virSpawnOptions *options, virSpawnBegun *begun,
                       GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The second half: waits for exec. Of @options it needs what, flags and argv[0]. On success
 * @begun has pid and pidfd, which belong to the caller; of a detached one neither. */
gboolean virSpawnFinish(const virSpawnOptions *options, virSpawnBegun *begun,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** Closes everything from 3 on except @keep (any order). Fork-safe. */
void virSpawnForkSafeCloseFds(const int *keep, gsize nKeep);

/**
 * virSpawnForkSafeRun: for a child function: runs a program to its end, beside whatever it has
 * open without CLOEXEC. Fork-safe.
 * @outFd: its standard output and error
 * @waitStatus: (out): as waitpid gave it; status 127: it could not be executed
 *
 * The program dies with the caller. Returns 0 or errno.
 */
int virSpawnForkSafeRun(const char *file, char *const *argv, char *const *envp, int outFd,
                        int *waitStatus);

/**
 * virSpawnReap: waits for the child by @deadlineUsec (monotonic) and reaps it.
 * @waitStatus: (out): as waitpid gave it
 * Returns FALSE if it still runs; it is not killed.
 */
gboolean virSpawnReap(pid_t pid, int pidfd, gint64 deadlineUsec,
                      int *waitStatus) G_GNUC_WARN_UNUSED_RESULT;

/** "exited with status 3", "was killed by signal 9 (Killed)"; free with g_free. */
char *virSpawnDescribeStatus(int waitStatus);

#endif
