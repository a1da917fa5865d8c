/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spawn.c: fork, done once and with care.
 *
 * Order, and why:
 *  1. all signals are blocked before the fork, so that no handler of the parent runs in
 * the child and no SIGTERM is lost between;
 *  2. the child resets dispositions (an ignored SIGCHLD or SIGPIPE would survive exec)
 * and only then unblocks;
 *  3. PDEATHSIG is set, then the parent's pid compared: a parent that died before the
 * call sends nothing;
 *  4. stdio, then the other descriptors;
 *  5. the program; why exec failed goes through a CLOEXEC pipe: its end is exec's
 * success. The child leaves with _exit only: exit would run the parent's atexit handlers.
 */
#include "common/spawn.h"
#include "common/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* The exit status of a child that failed before its function or program; never reported
 * as the program's own, because the pipe says more. */
#define CHILD_FAILED 127

static void
forkSafeResetSignals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;

    /* fails for SIGKILL, SIGSTOP and glibc's own two: they have no handler to reset */
    for (int signum = 1; signum < NSIG; signum++)
        (void)sigaction(signum, &action, NULL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int
forkSafeSetStdio(const int *fds)
{
    for (int i = 0; i < 3; i++) {
        int fd = fds[i];

        if (fd == VIR_SPAWN_STDIO_INHERIT)
            continue;
        if (fd == VIR_SPAWN_STDIO_NULL)
            fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fd < 0)
            return errno;
        if (fd == i ? virFdSetCloexec(fd, FALSE) != 0 : dup2(fd, i) < 0)
            return errno;
    }
    return 0;
}

static void
forkSafeCloseRange(unsigned first, unsigned last)
{
    struct rlimit limit;

    if (first > last || close_range(first, last, 0) == 0)
        return;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur <= last)
        last = (unsigned)limit.rlim_cur;
    for (unsigned fd = first; fd <= last; fd++)
        (void)close((int)fd);
}

void
virSpawnForkSafeCloseFds(const int *keep, gsize nKeep)
{
    unsigned first = 3;

    for (;;) {
        unsigned next = G_MAXUINT;

        for (gsize i = 0; i < nKeep; i++) {
            if (keep[i] >= 0 && (unsigned)keep[i] >= first && (unsigned)keep[i] < next)
                next = (unsigned)keep[i];
        }
        if (next == G_MAXUINT)
            break;
        forkSafeCloseRange(first, next - 1);
        first = next + 1;
    }
    forkSafeCloseRange(first, G_MAXUINT);
}

static int
forkSafePrepare(const virSpawnOptions *options, pid_t parent)
{
    int rc;

    forkSafeResetSignals();
    if (options->flags & VIR_SPAWN_NEW_SESSION && setsid() < 0)
        return errno;
    if (options->flags & VIR_SPAWN_DIE_WITH_PARENT) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
            return errno;
        if (getppid() != parent)
            _exit(CHILD_FAILED);
    }
    rc = forkSafeSetStdio(options->stdioFds);
    for (gsize i = 0; rc == 0 && i < options->nKeepFds; i++)
        rc = virFdSetCloexec(options->keepFds[i], FALSE);
    return rc;
}

/* @errnoFd: write end of the CLOEXEC pipe */
static G_GNUC_NORETURN void
forkSafeExec(const virSpawnOptions *options, pid_t parent, int errnoFd)
{
    int keep[VIR_SPAWN_MAX_KEEP + 1];
    gsize n = 0;
    int rc = forkSafePrepare(options, parent);

    for (; n < options->nKeepFds; n++)
        keep[n] = options->keepFds[n];
    keep[n++] = errnoFd;
    if (rc == 0 && options->flags & VIR_SPAWN_CLOSE_FDS)
        virSpawnForkSafeCloseFds(keep, n);
    if (rc == 0 && options->childForkSafe) {
        virFdClose(errnoFd);
        _exit(options->childForkSafe(options->data));
    }
    if (rc == 0) {
        execve(options->argv[0], (char *const *)options->argv,
               options->envp ? (char *const *)options->envp : environ);
        rc = errno;
    }
    (void)virFdWriteFull(errnoFd, &rc, sizeof(rc));
    _exit(CHILD_FAILED);
}

/* A detached one is the child of this process, which has nothing else to do. So it is forked
 * with the same memory: copying that once more is a good part of a start. This process stands
 * still until its child has executed the program or has ended, which also is why neither may
 * return from here. */
static G_GNUC_NORETURN void
forkSafeChild(const virSpawnOptions *options, pid_t parent, int errnoFd)
{
    if (options->flags & VIR_SPAWN_DETACHED) {
        pid_t pid = vfork();

        if (pid != 0) {
            int rc = pid < 0 ? errno : 0;

            if (rc != 0)
                (void)virFdWriteFull(errnoFd, &rc, sizeof(rc));
            _exit(rc == 0 ? 0 : CHILD_FAILED);
        }
    }
    forkSafeExec(options, parent, errnoFd);
}

int
virSpawnForkSafeRun(const char *file, char *const *argv, char *const *envp, int outFd,
                    int *waitStatus)
{
    pid_t parent = getpid();
    pid_t pid = _Fork();

    if (pid < 0)
        return errno;
    if (pid == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent &&
            dup2(outFd, STDOUT_FILENO) >= 0 && dup2(outFd, STDERR_FILENO) >= 0)
            execve(file, argv, envp);
        _exit(CHILD_FAILED);
    }
    while (waitpid(pid, waitStatus, 0) < 0) {
        if (errno != EINTR)
            return errno;
    }
    return 0;
}

static gboolean
checkOptions(const virSpawnOptions *options, GError **error)
{
    gboolean ok = options->nKeepFds <= VIR_SPAWN_MAX_KEEP;

    /* a program started with 0-2 closed would get the pipe there */
    for (int i = 0; i < 3; i++)
        ok = ok && fcntl(i, F_GETFD) >= 0;
    /* a source below 3 that is not its own target would be overwritten before it is used
     */
    for (int i = 0; i < 3; i++)
        ok = ok && (options->stdioFds[i] <= 0 || options->stdioFds[i] > 2);
    for (gsize i = 0; i < options->nKeepFds; i++)
        ok = ok && options->keepFds[i] > 2;
    ok = ok && (options->argv != NULL) != (options->childForkSafe != NULL);
    ok = ok && !(options->flags & VIR_SPAWN_DETACHED &&
                 (!options->argv || options->flags & VIR_SPAWN_DIE_WITH_PARENT));
    ok = ok && !(options->flags & VIR_SPAWN_NO_WAIT && options->argv);
    if (!ok)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                    "cannot start %s: bad descriptors or no program were given",
                    options->what);
    return ok;
}

/* Waits for exec, or for the child's function to begin. Returns 0, the child's errno, or
 * ETIMEDOUT. */
static int
awaitExec(int errnoFd)
{
    gint64 deadline = g_get_monotonic_time() + VIR_SPAWN_TIMEOUT_SEC * G_USEC_PER_SEC;
    struct pollfd poller = {.fd = errnoFd, .events = POLLIN};
    int rc;
    int childErrno;

    do {
        int timeoutMsec = virPollTimeoutMsec(deadline);

        rc = poll(&poller, 1, timeoutMsec);
        if (rc == 0 || (rc < 0 && timeoutMsec == 0))
            return ETIMEDOUT;
    } while (rc < 0);
    rc = virFdReadFull(errnoFd, &childErrno, sizeof(childErrno));
    return rc == ENODATA ? 0 : rc != 0 ? rc : childErrno;
}

static void
setSpawnError(const virSpawnOptions *options, int errnum, GError **error)
{
    gboolean retry = errnum == EAGAIN || errnum == ENOMEM || errnum == ETIMEDOUT ||
                     errnum == EMFILE || errnum == ENFILE || errnum == ETXTBSY;

    g_set_error(error, VIR_LOCK_ERROR,
                retry ? VIR_LOCK_ERROR_UNAVAILABLE : VIR_LOCK_ERROR_CONFIG,
                "cannot start %s%s%s%s: %s", options->what, options->argv ? " (" : "",
                options->argv ? options->argv[0] : "", options->argv ? ")" : "",
                g_strerror(errnum));
}

/* fork, or the same by the system call that knows cgroups. glibc's fork handlers (locks of
 * malloc and stdio) are not run then: one more reason why the child may use neither. */
static pid_t
forkHow(const virSpawnOptions *options)
{
    struct clone_args args = {.flags = CLONE_INTO_CGROUP,
                              .exit_signal = SIGCHLD,
                              .cgroup = (guint64)options->cgroupFd};

    if (!(options->flags & VIR_SPAWN_IN_CGROUP))
        return fork();
    return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static pid_t
forkBlocked(const virSpawnOptions *options, int errnoFd)
{
    sigset_t all;
    sigset_t saved;
    pid_t parent = getpid();
    pid_t pid;
    int forkErrno;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &saved);
    pid = forkHow(options);
    forkErrno = errno;
    if (pid == 0)
        forkSafeChild(options, parent, errnoFd);
    pthread_sigmask(SIG_SETMASK, &saved, NULL);
    errno = forkErrno;
    return pid;
}

/* Not reaped yet, so the number is still the child's. */
static void
endChild(pid_t child)
{
    (void)kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
}

gboolean
virSpawnBegin(const virSpawnOptions *options, virSpawnBegun *begun, GError **error)
{
    int pipeFds[2];
    g_auto(virFd) readFd = -1;
    g_auto(virFd) writeFd = -1;
    int rc;

    if (!checkOptions(options, error))
        return FALSE;
    if (pipe2(pipeFds, O_CLOEXEC) < 0) {
        setSpawnError(options, errno, error);
        return FALSE;
    }
    readFd = pipeFds[0];
    writeFd = pipeFds[1];
    begun->pid = forkBlocked(options, writeFd);
    rc = begun->pid < 0 ? errno : 0;
    if (rc == 0 && (begun->pidfd = virPidfdOpen(begun->pid)) < 0) {
        rc = errno;
        endChild(begun->pid);
    }
    if (rc != 0) {
        setSpawnError(options, rc, error);
        return FALSE;
    }
    begun->errnoFd = g_steal_fd(&readFd);
    return TRUE;
}

gboolean
virSpawnFinish(const virSpawnOptions *options, virSpawnBegun *begun, GError **error)
{
    gboolean detached = (options->flags & VIR_SPAWN_DETACHED) != 0;
    int rc = options->flags & VIR_SPAWN_NO_WAIT ? 0 : awaitExec(begun->errnoFd);

    virFdClose(g_steal_fd(&begun->errnoFd));
    if (rc != 0 || detached) {
        /* of a detached one this is the first process: it ends anyway */
        endChild(begun->pid);
        virFdClose(g_steal_fd(&begun->pidfd));
    }
    if (rc != 0)
        setSpawnError(options, rc, error);
    return rc == 0;
}

gboolean
virSpawn(const virSpawnOptions *options, pid_t *pid, int *pidfd, GError **error)
{
    virSpawnBegun begun;

    if (!virSpawnBegin(options, &begun, error) || !virSpawnFinish(options, &begun, error))
        return FALSE;
    if (pid)
        *pid = begun.pid;
    if (pidfd)
        *pidfd = begun.pidfd;
    else
        virFdClose(begun.pidfd);
    return TRUE;
}

gboolean
virSpawnReap(pid_t pid, int pidfd, gint64 deadlineUsec, int *waitStatus)
{
    pid_t rc;

    if (!virPidfdWait(pidfd, deadlineUsec))
        return FALSE;
    do {
        rc = waitpid(pid, waitStatus, 0);
    } while (rc < 0 && errno == EINTR);
    return rc == pid;
}

char *
virSpawnDescribeStatus(int waitStatus)
{
    if (WIFEXITED(waitStatus))
        return g_strdup_printf("exited with status %d", WEXITSTATUS(waitStatus));
    if (WIFSIGNALED(waitStatus))
        return g_strdup_printf("was killed by signal %d (%s)%s", WTERMSIG(waitStatus),
                               g_strsignal(WTERMSIG(waitStatus)),
                               WCOREDUMP(waitStatus) ? ", core dumped" : "");
    return g_strdup_printf("ended with wait status 0x%x", (unsigned)waitStatus);
}
