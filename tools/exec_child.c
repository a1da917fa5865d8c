/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * exec_child.c: one message is one request or reply, over a SEQPACKET socket pair:
 *
 *   us                             child
 *   fork ------------------------> registers with the lock daemon
 *        <------------------------ its errno and the step that failed, or 0
 *   'F' + descriptor ------------> keeps it, without CLOEXEC (leases that are open files)
 *        <------------------------ 0
 *   'G' -------------------------> execve
 *        <------------------------ end of file: it was executed; or exec's errno
 *
 * The command stays in our process group and session, so the terminal and job control are what
 * they would be without us. Its descendants are found through /proc: we are their subreaper.
 */
#include "config.h"

#include "common/fd.h"
#include "common/spawn.h"
#include "tools/exec_child.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long a child may take to answer; exec of a program on a dead NFS server is the worst. */
#define REPLY_USEC (10 * G_USEC_PER_SEC)

const int virToolExecSignals[6] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

typedef struct _virToolExecReply {
    gint32 errnum;
    char step[120]; /* what failed; copied, because the child's memory is not ours */
} virToolExecReply;

extern char **environ;

/* --- in the child ------------------------------------------------------------------------- */

static void
forkSafeReply(int sock, int errnum, const char *step)
{
    virToolExecReply reply = {.errnum = errnum};

    for (gsize i = 0; step && step[i] && i < sizeof(reply.step) - 1; i++)
        reply.step[i] = step[i];
    (void)virFdSend(sock, &reply, sizeof(reply), -1);
}

static void
forkSafeExec(const virToolExecChild *child)
{
    for (gsize i = 0; i < G_N_ELEMENTS(virToolExecSignals); i++) {
        if (child->ignored[i])
            (void)signal(virToolExecSignals[i], SIG_IGN);
    }
    /* a parent that died before this was told to us by the kernel already */
    if (prctl(PR_SET_PDEATHSIG, 0) == 0)
        (void)execve(child->file, child->argv, environ);
    forkSafeReply(child->childSock, errno, NULL);
}

static int
parkedForkSafe(gpointer data)
{
    const virToolExecChild *child = data;
    const char *step = NULL;
    int inheritFd = -1;
    char request;
    gsize len;
    int fd;
    int rc = virLockManagerRegisterChild(child->man, &inheritFd, &step);

    forkSafeReply(child->childSock, rc, step);
    while (rc == 0 && virFdRecv(child->childSock, &request, 1, &len, &fd) == 0 && len == 1) {
        if (request == 'G') {
            forkSafeExec(child);
            return 1;
        }
        rc = fd >= 0 ? virFdSetCloexec(fd, FALSE) : EBADMSG;
        forkSafeReply(child->childSock, rc, NULL);
    }
    return 1;
}

/* --- in the parent ------------------------------------------------------------------------ */

/* 0, or errno: ETIMEDOUT, EPIPE when the child ended (or executed the command). */
static int
awaitReply(virToolExecChild *child, virToolExecReply *reply)
{
    gint64 deadline = g_get_monotonic_time() + REPLY_USEC;
    struct pollfd poller = {.fd = child->sock, .events = POLLIN};
    gsize len = 0;
    int fd = -1;
    int rc;

    while (poll(&poller, 1, virPollTimeoutMsec(deadline)) <= 0) {
        if (g_get_monotonic_time() >= deadline)
            return ETIMEDOUT;
    }
    rc = virFdRecv(child->sock, reply, sizeof(*reply), &len, &fd);
    virFdClose(fd);
    if (rc == ECONNRESET || (rc == 0 && len == 0))
        return EPIPE;
    reply->step[sizeof(reply->step) - 1] = '\0';
    return rc != 0 ? rc : len == sizeof(*reply) ? 0 : EBADMSG;
}

static gboolean
passFd(int fd, const char *name, gpointer data, GError **error)
{
    virToolExecChild *child = data;
    virToolExecReply reply = {0};
    int rc = virFdSend(child->sock, "F", 1, fd);

    if (rc == 0)
        rc = awaitReply(child, &reply);
    if (rc == 0)
        rc = reply.errnum;
    if (rc == 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "cannot pass lease %s to the process of the command: %s", name,
                g_strerror(rc));
    return FALSE;
}

static gboolean
awaitRegistered(virToolExecChild *child, GError **error)
{
    virToolExecReply reply = {0};
    int rc = awaitReply(child, &reply);

    if (rc == 0 && reply.errnum == 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "cannot register the process of the command with the lock daemon: %s%s%s",
                reply.step, *reply.step ? ": " : "",
                g_strerror(rc != 0 ? rc : reply.errnum));
    return FALSE;
}

static gboolean
tellPid(virToolExecChild *child, GError **error)
{
    g_autofree char *number = g_strdup_printf("%d", (int)child->pid);

    return virLockManagerSetParameter(child->man, "pid", number, error);
}

gboolean
virToolExecChildPark(virToolExecChild *child, GError **error)
{
    virSpawnOptions spawn = {.what = "the process of the command",
                             .flags = VIR_SPAWN_DIE_WITH_PARENT,
                             .stdioFds = {VIR_SPAWN_STDIO_INHERIT, VIR_SPAWN_STDIO_INHERIT,
                                          VIR_SPAWN_STDIO_INHERIT},
                             .childForkSafe = parkedForkSafe,
                             .data = child};
    int socks[2];

    child->sock = child->childSock = child->pidfd = -1;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "cannot prepare the process of the command: %s", g_strerror(errno));
        return FALSE;
    }
    child->sock = socks[0];
    child->childSock = socks[1];
    virLockManagerSetFdPass(child->man, passFd, child);
    if (!virLockManagerPrepareChild(child->man, error) ||
        !virSpawn(&spawn, &child->pid, &child->pidfd, error))
        return FALSE;
    virFdClose(g_steal_fd(&child->childSock));
    return awaitRegistered(child, error) && tellPid(child, error);
}

gboolean
virToolExecChildGo(virToolExecChild *child, GError **error)
{
    virToolExecReply reply = {0};
    int rc = virFdSend(child->sock, "G", 1, -1);

    if (rc == 0)
        rc = awaitReply(child, &reply);
    if (rc == EPIPE)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR,
                rc == 0 ? VIR_LOCK_ERROR_CONFIG : VIR_LOCK_ERROR_UNAVAILABLE,
                "cannot execute '%s': %s", child->file,
                g_strerror(rc == 0 ? reply.errnum : rc));
    return FALSE;
}

void
virToolExecChildClear(virToolExecChild *child)
{
    if (child->pid > 0) {
        (void)virPidfdSendSignal(child->pidfd, SIGKILL);
        while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        child->pid = 0;
    }
    virFdClose(g_steal_fd(&child->sock));
    virFdClose(g_steal_fd(&child->childSock));
    virFdClose(g_steal_fd(&child->pidfd));
}

/* --- all that it started ------------------------------------------------------------------ */

static void addChildren(GArray *stats, pid_t pid);

static void
addNumbers(GArray *stats, const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);

    for (gsize i = 0; words[i]; i++) {
        virProcessStat st;

        if (!*words[i] || virProcessReadStat(atoi(words[i]), &st) != 0)
            continue;
        g_array_append_val(stats, st);
        addChildren(stats, st.pid);
    }
}

/* The children of all threads of @pid, and theirs. */
static void
addChildren(GArray *stats, pid_t pid)
{
    g_autofree char *folder = g_strdup_printf("/proc/%d/task", (int)pid);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, "children", NULL);
        g_autofree char *text = NULL;

        if (g_file_get_contents(path, &text, NULL, NULL))
            addNumbers(stats, text);
    }
}

guint
virToolExecTreeSignal(int signum)
{
    g_autoptr(GArray) stats = g_array_new(FALSE, FALSE, sizeof(virProcessStat));
    guint living = 0;

    addChildren(stats, getpid());
    for (guint i = 0; i < stats->len; i++) {
        const virProcessStat *st = &g_array_index(stats, virProcessStat, i);
        g_auto(virFd) pidfd = virPidfdOpenExact(st->pid, st->startTime);

        /* a zombie whose other threads still run is not dead: the pidfd knows */
        if (pidfd >= 0 && !virPidfdWait(pidfd, 0) && virPidfdSendSignal(pidfd, signum) == 0)
            living++;
    }
    return living;
}

gboolean
virToolExecTreeEnd(gint64 deadlineUsec, guint *ended)
{
    guint living;

    *ended = 0;
    /* a process that dies hands its children to us: round until nothing is found */
    while ((living = virToolExecTreeSignal(SIGKILL)) > 0) {
        *ended = MAX(*ended, living);
        if (g_get_monotonic_time() >= deadlineUsec)
            return FALSE;
        g_usleep(2000);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
    }
    return TRUE;
}
