/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * park.c: the parked child and how it is spoken to.
 *
 * Parent and child share a SEQPACKET socket pair and a region of memory, both made before the
 * fork. One message is one request or reply. The argv, unknown at the time of the fork, is
 * laid out in the region by the parent; the region is mapped at the same address in both, so
 * the pointers in it are true for the child and it needs neither allocation nor parsing.
 *
 *   parent                         child
 *   fork ------------------------> registers with the lock daemon, closes descriptors
 *        <------------------------ READY, or FAILED with errno and the step
 *   FD + descriptor -------------> keeps it, without CLOEXEC
 *        <------------------------ READY
 *   RUN + descriptor ------------> runs a program beside itself, with its output there
 *        <------------------------ STATUS: how that ended
 *   LOAD ------------------------> execve, traced (hold.h), or FAILED and goes on waiting
 *   GO --------------------------> execve
 *        <------------------------ end of file: it was executed; or FAILED with exec's errno
 *
 * The end of the parent's side of the socket ends the child, as PDEATHSIG does; that is taken
 * back right before exec, because QEMU outlives its supervisor.
 */
#include "supervisor/park.h"
#include "supervisor/hold.h"
#include "common/fd.h"
#include "common/spawn.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Twice what the kernel takes as argv and environment (a quarter of the stack limit, but at
 * most 6 MiB; by default 2 MiB). Untouched pages cost nothing. */
#define REGION_BYTES (4 * 1024 * 1024)

enum {
    REQUEST_FD = 'F',
    REQUEST_RUN = 'P',
    REQUEST_LOAD = 'L',
    REQUEST_GO = 'G',
    REPLY_READY = 'R',
    REPLY_STATUS = 'S', /* errnum is what waitpid gave */
    REPLY_FAILED = 'E'
};

typedef struct _virSupervisorParkReply {
    gint32 kind;
    gint32 errnum;
    char step[120]; /* what failed; copied, because the child's memory is not ours */
} virSupervisorParkReply;

/* At the start of the shared region; strings and pointer arrays follow. */
typedef struct _virSupervisorParkCommand {
    char *file;
    char **argv;
    char **envp;
} virSupervisorParkCommand;

struct _virSupervisorPark {
    char *name;
    virLockManager *man;
    int sock;      /* ours */
    int childSock; /* the child's; closed here after the fork */
    int qmpFd;
    pid_t pid;
    int pidfd;
    virSupervisorParkCommand *command;
    virSupervisorHold *hold; /* set: the command is loaded, or will be at once */
};

/* --- in the child ----------------------------------------------------------------------- */

static void
forkSafeReply(int sock, int kind, int errnum, const char *step)
{
    virSupervisorParkReply reply = {.kind = kind, .errnum = errnum};

    for (gsize i = 0; step && step[i] && i < sizeof(reply.step) - 1; i++)
        reply.step[i] = step[i];
    (void)virFdSend(sock, &reply, sizeof(reply), -1);
}

static int
forkSafeRegister(const virSupervisorPark *park)
{
    int keep[] = {park->childSock, park->qmpFd, -1};
    const char *step = NULL;
    int rc = 0;

    if (park->man)
        rc = virLockManagerRegisterChild(park->man, &keep[2], &step);
    /* only now: the plugin may need what it opened before the fork */
    virSpawnForkSafeCloseFds(keep, G_N_ELEMENTS(keep));
    if (rc == 0 && park->qmpFd >= 0)
        rc = virFdSetCloexec(park->qmpFd, FALSE);
    forkSafeReply(park->childSock, rc == 0 ? REPLY_READY : REPLY_FAILED, rc, step);
    return rc;
}

static void
forkSafeExec(const virSupervisorPark *park)
{
    /* QEMU outlives its supervisor from here on; a supervisor that died before this was told
     * to us by the kernel already */
    if (prctl(PR_SET_PDEATHSIG, 0) == 0)
        execve(park->command->file, park->command->argv, park->command->envp);
    forkSafeReply(park->childSock, REPLY_FAILED, errno, NULL);
}

/* Without success the thread that holds us has to hear of it, and PDEATHSIG is wanted again. */
static void
forkSafeLoad(const virSupervisorPark *park)
{
    forkSafeExec(park);
    (void)raise(SIGTRAP);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* What it runs inherits what holds the leases, so that they last as long as it does. */
static void
forkSafeRun(const virSupervisorPark *park, int outFd)
{
    const virSupervisorParkCommand *command = park->command;
    int status = 0;
    int rc = outFd < 0 ? EBADMSG
                       : virSpawnForkSafeRun(command->file, command->argv, command->envp,
                                             outFd, &status);

    virFdClose(outFd);
    forkSafeReply(park->childSock, rc == 0 ? REPLY_STATUS : REPLY_FAILED,
                  rc == 0 ? status : rc, NULL);
}

static int
parkedForkSafe(gpointer data)
{
    const virSupervisorPark *park = data;
    char request;
    gsize len;
    int fd;

    if (forkSafeRegister(park) != 0)
        return 1;
    while (virFdRecv(park->childSock, &request, 1, &len, &fd) == 0 && len == 1) {
        int rc;

        if (request == REQUEST_GO) {
            forkSafeExec(park);
            return 1;
        }
        if (request == REQUEST_LOAD) {
            forkSafeLoad(park);
            continue;
        }
        if (request == REQUEST_RUN) {
            forkSafeRun(park, fd);
            continue;
        }
        rc = request == REQUEST_FD && fd >= 0 ? virFdSetCloexec(fd, FALSE) : EBADMSG;
        forkSafeReply(park->childSock, rc == 0 ? REPLY_READY : REPLY_FAILED, rc, NULL);
    }
    return 0;
}

/* --- in the parent ------------------------------------------------------------------------ */

static gboolean
setPark(virSupervisorPark *park, GError **error)
{
    int socks[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) == 0) {
        park->sock = socks[0];
        park->childSock = socks[1];
        park->command = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (park->command != MAP_FAILED)
            return TRUE;
        park->command = NULL;
    }
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "cannot prepare the process of guest '%s': %s", park->name,
                g_strerror(errno));
    return FALSE;
}

virSupervisorPark *
virSupervisorParkNew(const virSupervisorParkOptions *options, GError **error)
{
    virSupervisorPark *park = g_new0(virSupervisorPark, 1);
    virSpawnOptions spawn = {
        .what = "the process of the guest",
        .flags = VIR_SPAWN_NEW_SESSION | VIR_SPAWN_DIE_WITH_PARENT | VIR_SPAWN_NO_WAIT,
        .stdioFds = {VIR_SPAWN_STDIO_NULL, options->logFd, options->logFd},
        .cgroupFd = options->cgroupFd,
        .childForkSafe = parkedForkSafe,
        .data = park};

    if (options->cgroupFd >= 0)
        spawn.flags |= VIR_SPAWN_IN_CGROUP;
    park->name = g_strdup(options->name);
    park->man = options->man;
    park->qmpFd = options->qmpFd;
    park->sock = park->childSock = park->pidfd = -1;
    if (!setPark(park, error) || !virSpawn(&spawn, &park->pid, &park->pidfd, error)) {
        virSupervisorParkFree(park);
        return NULL;
    }
    virFdClose(g_steal_fd(&park->childSock));
    return park;
}

void
virSupervisorParkFree(virSupervisorPark *park)
{
    if (!park)
        return;
    virSupervisorHoldFree(park->hold);
    virFdClose(park->sock);
    virFdClose(park->childSock);
    virFdClose(park->pidfd);
    if (park->command)
        (void)munmap(park->command, REGION_BYTES);
    g_free(park->name);
    g_free(park);
}

pid_t
virSupervisorParkGetPid(const virSupervisorPark *park)
{
    return park->pid;
}

int
virSupervisorParkStealPidfd(virSupervisorPark *park)
{
    return g_steal_fd(&park->pidfd);
}

/* Waits for one reply. 0, or errno: ETIMEDOUT, EPIPE when the child ended (or executed). */
static int
awaitReply(virSupervisorPark *park, gint64 deadlineUsec, virSupervisorParkReply *reply)
{
    struct pollfd poller = {.fd = park->sock, .events = POLLIN};
    gsize len = 0;
    int fd = -1;
    int rc;

    for (;;) {
        int timeoutMsec = virPollTimeoutMsec(deadlineUsec);

        if (poll(&poller, 1, timeoutMsec) > 0)
            break;
        if (timeoutMsec == 0)
            return ETIMEDOUT;
    }
    rc = virFdRecv(park->sock, reply, sizeof(*reply), &len, &fd);
    virFdClose(fd);
    if (rc != 0)
        return rc == ECONNRESET ? EPIPE : rc;
    if (len == 0)
        return EPIPE;
    reply->step[sizeof(reply->step) - 1] = '\0';
    return len == sizeof(*reply) ? 0 : EBADMSG;
}

/* What to do about it: the errors of a daemon that is not there can pass. */
static virLockErrorCode
codeOfErrno(int errnum)
{
    switch (errnum) {
    case EACCES:
    case EPERM:
    case EINVAL:
    case ENAMETOOLONG:
        return VIR_LOCK_ERROR_CONFIG;
    default:
        return VIR_LOCK_ERROR_UNAVAILABLE;
    }
}

gboolean
virSupervisorParkAwaitReady(virSupervisorPark *park, gint64 deadlineUsec, GError **error)
{
    virSupervisorParkReply reply = {0};
    int rc = awaitReply(park, deadlineUsec, &reply);

    if (rc == 0 && reply.kind == REPLY_READY)
        return TRUE;
    if (rc == ETIMEDOUT)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "cannot register guest '%s' with the lock daemon: it did not answer",
                    park->name);
    else if (rc != 0)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "the process of guest '%s' ended before it was ready", park->name);
    else
        g_set_error(error, VIR_LOCK_ERROR, codeOfErrno(reply.errnum),
                    "cannot register guest '%s' with the lock daemon: %s%s%s", park->name,
                    reply.step, *reply.step ? ": " : "", g_strerror(reply.errnum));
    return FALSE;
}

/* One that loads its program hears nothing any more, and still reads the command. */
static gboolean
isParked(const virSupervisorPark *park, GError **error)
{
    if (!park->hold)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "the process of guest '%s' is loading its program already", park->name);
    return FALSE;
}

static int
ask(virSupervisorPark *park, char request, int fd, gint64 deadlineUsec,
    virSupervisorParkReply *reply)
{
    int rc = virFdSend(park->sock, &request, 1, fd);

    return rc == 0 ? awaitReply(park, deadlineUsec, reply) : rc;
}

gboolean
virSupervisorParkPassFd(virSupervisorPark *park, int fd, gint64 deadlineUsec,
                        GError **error)
{
    virSupervisorParkReply reply = {0};
    int rc;

    if (!isParked(park, error))
        return FALSE;
    rc = ask(park, REQUEST_FD, fd, deadlineUsec, &reply);
    if (rc == 0 && reply.kind == REPLY_READY)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "cannot pass a file to the process of guest '%s': %s", park->name,
                g_strerror(rc != 0 ? rc : reply.errnum));
    return FALSE;
}

/* --- the command in the shared region ----------------------------------------------------- */

typedef struct _virSupervisorParkCursor {
    char *at;
    char *end;
} virSupervisorParkCursor;

static gpointer
take(virSupervisorParkCursor *cursor, gsize len, gsize align)
{
    gsize pad = (align - (gsize)cursor->at % align) % align;
    char *at = cursor->at + pad;

    if ((gsize)(cursor->end - cursor->at) < pad + len)
        return NULL;
    cursor->at = at + len;
    return at;
}

static char *
copyString(virSupervisorParkCursor *cursor, const char *text)
{
    gsize len = strlen(text) + 1;
    char *copy = take(cursor, len, 1);

    return copy ? memcpy(copy, text, len) : NULL;
}

static char **
copyVector(virSupervisorParkCursor *cursor, const char *const *strings)
{
    gsize n = g_strv_length((char **)strings);
    char **copy = take(cursor, (n + 1) * sizeof(*copy), sizeof(*copy));

    if (!copy)
        return NULL;
    for (gsize i = 0; i < n; i++) {
        copy[i] = copyString(cursor, strings[i]);
        if (!copy[i])
            return NULL;
    }
    copy[n] = NULL;
    return copy;
}

static gboolean
layOut(virSupervisorPark *park, const char *file, const char *const *argv,
       const char *const *envp, GError **error)
{
    virSupervisorParkCommand *command = park->command;
    virSupervisorParkCursor cursor = {.at = (char *)(command + 1),
                                      .end = (char *)command + REGION_BYTES};

    command->file = copyString(&cursor, file);
    command->argv = command->file ? copyVector(&cursor, argv) : NULL;
    command->envp = command->argv ? copyVector(&cursor, envp) : NULL;
    if (command->envp)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "the command line and environment of guest '%s' are longer than %d bytes",
                park->name, REGION_BYTES);
    return FALSE;
}

gboolean
virSupervisorParkRun(virSupervisorPark *park, const virSupervisorParkProgram *program,
                     gint64 deadlineUsec, int *waitStatus, GError **error)
{
    virSupervisorParkReply reply = {0};
    int rc;

    if (!isParked(park, error) ||
        !layOut(park, program->file, program->argv, program->envp, error))
        return FALSE;
    rc = ask(park, REQUEST_RUN, program->outFd, deadlineUsec, &reply);
    if (rc == 0 && reply.kind == REPLY_STATUS) {
        *waitStatus = reply.errnum;
        return TRUE;
    }
    g_set_error(error, VIR_LOCK_ERROR,
                rc == ETIMEDOUT ? VIR_LOCK_ERROR_TIMEOUT : VIR_LOCK_ERROR_UNAVAILABLE,
                "cannot run '%s' under the leases of guest '%s': %s", program->file,
                park->name,
                rc == ETIMEDOUT ? "it does not end"
                : rc == EPIPE   ? "the process that holds them ended"
                                : g_strerror(rc != 0 ? rc : reply.errnum));
    return FALSE;
}

/* --- exec --------------------------------------------------------------------------------- */

static gboolean
isLaidOut(const virSupervisorPark *park, const char *file, const char *const *argv,
          const char *const *envp)
{
    const virSupervisorParkCommand *command = park->command;

    return strcmp(command->file, file) == 0 &&
           g_strv_equal((const char *const *)command->argv, argv) &&
           g_strv_equal((const char *const *)command->envp, envp);
}

gboolean
virSupervisorParkHold(virSupervisorPark *park, const char *file, const char *const *argv,
                      const char *const *envp)
{
    if (park->hold || !virSupervisorHoldSuits(file) ||
        !layOut(park, file, argv, envp, NULL))
        return FALSE;
    park->hold = virSupervisorHoldNew(park->pid);
    return park->hold != NULL;
}

void
virSupervisorParkLoad(virSupervisorPark *park)
{
    const char request = REQUEST_LOAD;

    /* only a child that is dead cannot hear of it, which Go will tell */
    (void)virFdSend(park->sock, &request, 1, -1);
}

static void
setExecError(const char *file, int rc, int errnum, GError **error)
{
    if (rc == 0)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "cannot execute '%s': %s", file, g_strerror(errnum));
    else
        g_set_error(error, VIR_LOCK_ERROR,
                    rc == ETIMEDOUT ? VIR_LOCK_ERROR_TIMEOUT : VIR_LOCK_ERROR_INTERNAL,
                    "cannot execute '%s': %s", file,
                    rc == ETIMEDOUT ? "the kernel did not load it in time"
                                    : g_strerror(rc));
}

/* Lets begin what was loaded. FALSE without an error: it could not be executed that way (some
 * kernels change no security label while they are traced), and the child waits again. */
static gboolean
releaseLoaded(virSupervisorPark *park, const char *file, gint64 deadlineUsec,
              GError **error)
{
    virSupervisorParkReply reply = {0};
    int rc = awaitReply(park, deadlineUsec, &reply);

    if (rc == EPIPE && virSupervisorHoldRelease(park->hold, deadlineUsec, error))
        return TRUE;
    if (rc == EPIPE)
        g_prefix_error(error, "cannot execute '%s': ", file);
    else if (rc != 0)
        setExecError(file, rc, 0, error);
    else
        g_clear_pointer(&park->hold, virSupervisorHoldFree);
    return FALSE;
}

gboolean
virSupervisorParkGo(virSupervisorPark *park, const char *file, const char *const *argv,
                    const char *const *envp, gint64 deadlineUsec, GError **error)
{
    virSupervisorParkReply reply = {0};
    int rc;

    if (park->hold && !isLaidOut(park, file, argv, envp)) {
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
            "the command line of guest '%s' changed while its leases were taken; try "
            "again",
            park->name);
        return FALSE;
    }
    if (park->hold && releaseLoaded(park, file, deadlineUsec, error))
        return TRUE;
    if (park->hold || !layOut(park, file, argv, envp, error))
        return FALSE;
    rc = ask(park, REQUEST_GO, -1, deadlineUsec, &reply);
    if (rc == EPIPE)
        return TRUE;
    setExecError(file, rc, reply.errnum, error);
    return FALSE;
}
