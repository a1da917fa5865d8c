/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_qemu.c: the life of one QEMU process.
 *
 *   New --> park [--> load] --> exec --> command, waitEvent ... --> kill --> reap --> Free
 *   Attach --------------------------------^
 *
 * Three things end the life of QEMU and each is good enough alone: SIGKILL by pidfd, the
 * cgroup's kill, and, before it begins, the end of this process. It is dead only when the kernel
 * says so by the pidfd (all threads gone, all files closed) and nothing that it started is
 * left (I3).
 *
 * pid, pidfd and cgroup are written in the main thread before any other thread exists and
 * never change afterwards, so kill needs no lock.
 */
#include "supervisor/guest_qemu.h"
#include "supervisor/cgroup.h"
#include "supervisor/guest_log.h"
#include "supervisor/guest_priv.h"
#include "supervisor/park.h"
#include "supervisor/qmp.h"
#include "common/fd.h"
#include "common/spawn.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long the lock daemon may take to accept the child. Its socket is local. */
#define PARK_TIMEOUT_SEC 10
/* How long the parked child, or QEMU, may take to accept a file. */
#define PASS_TIMEOUT_SEC 10
/* A QEMU that closed its monitor is ending; this long it may take to be gone. */
#define ENDING_USEC (2 * G_USEC_PER_SEC)
/* The lock daemon sees the files of a process closed a moment before it is gone. */
#define LOADED_END_USEC (G_USEC_PER_SEC / 5)
/* As ENDING_USEC, on a busy host: its last words are worth more than a quick answer. */
#define LAST_WORDS_USEC (10 * G_USEC_PER_SEC)

/* --- events -------------------------------------------------------------------------------- */

static gboolean
onExited(gint fd, GIOCondition condition, gpointer data)
{
    virSupervisorGuest *guest = data;

    guest->func(VIR_DOMAIN_LOCK_GUEST_EXITED, NULL, guest->opaque);
    g_mutex_lock(&guest->reapLock);
    guest->told = TRUE;
    g_cond_broadcast(&guest->toldCond);
    g_mutex_unlock(&guest->reapLock);
    return G_SOURCE_REMOVE;
}

static void
watchExit(virSupervisorGuest *guest)
{
    if (!guest->func || guest->pidfd < 0 || guest->exitSource)
        return;
    guest->exitSource = g_unix_fd_source_new(guest->pidfd, G_IO_IN);
    /* after the last words of QEMU's monitor, which are in its socket by then */
    g_source_set_priority(guest->exitSource, G_PRIORITY_DEFAULT + 10);
    g_source_set_static_name(guest->exitSource, "guest-exit");
    g_source_set_callback(guest->exitSource, G_SOURCE_FUNC(onExited), guest, NULL);
    g_source_attach(guest->exitSource, guest->context);
}

static void
guestWatch(virDomainLockGuest *base, virDomainLockGuestFunc func, gpointer opaque)
{
    virSupervisorGuest *guest = virSupervisorGuestOf(base);

    guest->func = func;
    guest->opaque = opaque;
    guest->watcher = g_thread_self();
    virQmpWatch(guest->qmp, guest->context, func, opaque);
    watchExit(guest);
}

/* --- before exec ----------------------------------------------------------------------------- */

/* Ends a child that nobody else knows of yet. */
static void
discardChild(virSupervisorGuest *guest)
{
    int status;

    (void)virPidfdSendSignal(guest->pidfd, SIGKILL);
    while (waitpid(guest->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (guest->cgroup)
        (void)virSupervisorCgroupRemove(guest->cgroup,
                                        g_get_monotonic_time() + ENDING_USEC);
    g_clear_pointer(&guest->cgroup, g_free);
    g_clear_pointer(&guest->park, virSupervisorParkFree);
    virFdClose(g_steal_fd(&guest->pidfd));
    guest->pid = 0;
}

static gboolean
tellPid(virSupervisorGuest *guest, virLockManager *man, GError **error)
{
    g_autofree char *number = g_strdup_printf("%d", (int)guest->pid);

    return !man || virLockManagerSetParameter(man, "pid", number, error);
}

static void
dropCgroup(virSupervisorGuest *guest)
{
    if (guest->cgroup)
        (void)virSupervisorCgroupRemove(guest->cgroup, g_get_monotonic_time());
    g_clear_pointer(&guest->cgroup, g_free);
}

static gboolean
forkParked(virSupervisorGuest *guest, virLockManager *man, GError **error)
{
    g_auto(virFd) cgroupFd = -1;
    virSupervisorParkOptions options = {
        .name = guest->name, .man = man, .logFd = guest->logFd, .qmpFd = guest->listenFd};

    guest->cgroup = virSupervisorCgroupNew(guest->uuid, &cgroupFd);
    options.cgroupFd = cgroupFd;
    if (guest->cgroup)
        guest->park = virSupervisorParkNew(&options, NULL);
    if (!guest->park) {
        /* also where a container's filter forbids clone3: the cgroup is only an extra */
        dropCgroup(guest);
        options.cgroupFd = -1;
        guest->park = virSupervisorParkNew(&options, error);
    }
    if (!guest->park)
        return FALSE;
    guest->pid = virSupervisorParkGetPid(guest->park);
    guest->pidfd = virSupervisorParkStealPidfd(guest->park);
    return TRUE;
}

static gboolean
guestPark(virDomainLockGuest *base, virLockManager *man, GError **error)
{
    virSupervisorGuest *guest = virSupervisorGuestOf(base);
    virProcessStat st = {0};

    /* what QEMU starts and leaves behind becomes our child, to be found and ended */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "cannot become subreaper: %s", g_strerror(errno));
        return FALSE;
    }
    if (man && !virLockManagerPrepareChild(man, error))
        return FALSE;
    if (!forkParked(guest, man, error))
        return FALSE;
    if (!tellPid(guest, man, error)) {
        discardChild(guest);
        return FALSE;
    }
    (void)virProcessReadStat(guest->pid, &st);
    guest->startTime = st.startTime;
    virQmpSetProcess(guest->qmp, guest->pidfd);
    watchExit(guest);
    return TRUE;
}

static gboolean
guestAwaitParked(virDomainLockGuest *base, GError **error)
{
    virSupervisorGuest *guest = virSupervisorGuestOf(base);

    /* one that is attached was parked by another supervisor */
    return !guest->park ||
           virSupervisorParkAwaitReady(
               guest->park, g_get_monotonic_time() + PARK_TIMEOUT_SEC * G_USEC_PER_SEC,
               error);
}

static gboolean
guestPassFd(virDomainLockGuest *base, int fd, const char *name, GError **error)
{
    virSupervisorGuest *guest = virSupervisorGuestOf(base);
    gint64 deadline = g_get_monotonic_time() + PASS_TIMEOUT_SEC * G_USEC_PER_SEC;
    g_autoptr(JsonObject) args = NULL;
    g_autoptr(JsonNode) reply = NULL;

    if (guest->park)
        return virSupervisorParkPassFd(guest->park, fd, deadline, error);
    if (!virSupervisorGuestCheckQmp(base, deadline, error))
        return FALSE;
    args = json_object_new();
    json_object_set_string_member(args, "fdname", name);
    reply = virQmpCommand(guest->qmp, "getfd", args, fd, deadline, error);
    return reply != NULL;
}

/* --- exec -------------------------------------------------------------------------------------- */

static char *
findProgram(const char *name, GError **error)
{
    char *path;

    /* a path is left to the kernel: its errno says more than "not found" */
    if (strchr(name, '/'))
        return g_strdup(name);
    path = g_find_program_in_path(name);
    if (!path)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "cannot execute '%s': there is no such program in %s", name,
                    g_getenv("PATH") ? g_getenv("PATH") : "the default PATH");
    return path;
}

/* Our environment without what is meant for this process alone. */
static char **
guestEnvironment(void)
{
    static const char *const ours[] = {
        "NOTIFY_SOCKET", "WATCHDOG_USEC",  "WATCHDOG_PID",     "LISTEN_FDS",
        "LISTEN_PID",    "LISTEN_FDNAMES", "LEASEHOLD_STEP_FD"};
    char **env = g_get_environ();

    for (gsize i = 0; i < G_N_ELEMENTS(ours); i++)
        env = g_environ_unsetenv(env, ours[i]);
    return env;
}

/* The wait status of a child that ended, without reaping it; -1 if it cannot be had. */
static int
peekStatus(virSupervisorGuest *guest)
{
    siginfo_t info = {0};

    if (guest->attached ||
        waitid(P_PIDFD, (id_t)guest->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
        info.si_pid == 0)
        return -1;
    return info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0)
                                      : W_EXITCODE(0, info.si_status);
}

/* QEMU did not come up: if it ended, its status and last words are the better message. */
static void
explainEarlyEnd(virSupervisorGuest *guest, GError **error)
{
    g_autofree char *how = NULL;
    g_autofree char *words = NULL;
    gboolean cancelled = (*error)->code == VIR_LOCK_ERROR_CANCELLED;
    gboolean silent = cancelled || (*error)->code == VIR_LOCK_ERROR_TIMEOUT;
    int status;

    /* a monitor that closed means a QEMU that is ending, one that is silent does not */
    if (!virPidfdWait(guest->pidfd,
                      silent ? 0 : g_get_monotonic_time() + LAST_WORDS_USEC))
        return;
    status = peekStatus(guest);
    /* its own end cancels the start; but who cancels has it killed */
    if (cancelled && (status < 0 || !WIFEXITED(status)))
        return;
    how = status < 0 ? g_strdup("ended") : virSpawnDescribeStatus(status);
    words = virSupervisorLogTail(guest->logFd, guest->logStart);
    g_clear_error(error);
    g_set_error(error, VIR_LOCK_ERROR,
                status >= 0 && WIFEXITED(status) ? VIR_LOCK_ERROR_CONFIG
                                                 : VIR_LOCK_ERROR_INTERNAL,
                "QEMU %s at once%s%s", how, *words ? ": " : " and said nothing", words);
}

/* What a program has left in @fd, for one line of a message. */
static char *
runOutput(int fd)
{
    char buffer[2048];
    gssize n = pread(fd, buffer, sizeof(buffer) - 1, 0);

    buffer[MAX(n, 0)] = '\0';
    return g_strdup(g_strstrip(buffer));
}

static gboolean
guestRun(virDomainLockGuest *base, const char *const *argv, gint64 deadlineUsec,
         GError **error)
{
    virSupervisorGuest *guest = virSupervisorGuestOf(base);
    g_auto(GStrv) env = guestEnvironment();
    g_autofree char *file = findProgram(argv[0], error);
    g_auto(virFd) out = memfd_create("output", MFD_CLOEXEC);
    virSupervisorParkProgram program = {
        .file = file, .argv = argv, .envp = (const char *const *)env, .outFd = out};
    g_autofree char *how = NULL;
    g_autofree char *words = NULL;
    int status = 0;

    if (!file)
        return FALSE;
    if (!guest->park || out < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "guest '%s' has no parked process that could run '%s'", guest->name,
                    argv[0]);
        return FALSE;
    }
    virSupervisorLogCommand(guest->logFd, file, argv);
    if (!virSupervisorParkRun(guest->park, &program, deadlineUsec, &status, error))
        return FALSE;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return TRUE;
    how = virSpawnDescribeStatus(status);
    words = runOutput(out);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE, "%s %s%s%s", argv[0],
                how, *words ? ": " : "", words);
    return FALSE;
}

static void
logCommand(virSupervisorGuest *guest, const char *file, const char *const *argv)
{
    virSupervisorLogCommand(guest->logFd, file, argv);
    guest->logStart = virSupervisorLogEnd(guest->logFd);
}

static void
guestLoad(virDomainLockGuest *base, const char *const *argv)
{
    virSupervisorGuest *guest = virSupervisorGuestOf(base);
    g_auto(GStrv) env = guestEnvironment();
    g_autofree char *file = findProgram(argv[0], NULL);

    if (!guest->park || !file ||
        !virSupervisorParkHold(guest->park, file, argv, (const char *const *)env))
        return;
    /* its loader may have something to say */
    logCommand(guest, file, argv);
    guest->loaded = TRUE;
    virSupervisorParkLoad(guest->park);
}

static void
guestExplain(virDomainLockGuest *base, GError **error)
{
    virSupervisorGuest *guest = virSupervisorGuestOf(base);

    switch ((*error)->code) {
    case VIR_LOCK_ERROR_UNAVAILABLE:
    case VIR_LOCK_ERROR_STATE:
    case VIR_LOCK_ERROR_INTERNAL:
        break;
    default: /* says more than the end of a process does */
        return;
    }
    /* who lost its leases to a signal knows more than the signal tells */
    if (guest->park && guest->loaded &&
        virPidfdWait(guest->pidfd, g_get_monotonic_time() + LOADED_END_USEC) &&
        WIFEXITED(peekStatus(guest)))
        explainEarlyEnd(guest, error);
}

static gboolean
guestExec(virDomainLockGuest *base, const char *const *argv,
          virDomainLockGuestCommand *first, const virLockWait *wait, GError **error)
{
    virSupervisorGuest *guest = virSupervisorGuestOf(base);
    g_autofree char *file = NULL;
    g_auto(GStrv) env = guestEnvironment();
    GError *cause = NULL;

    if (!guest->park) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "guest '%s' has no parked process", guest->name);
        return FALSE;
    }
    file = findProgram(argv[0], error);
    if (!file)
        return FALSE;
    if (!guest->loaded)
        logCommand(guest, file, argv);
    if (!virSupervisorParkGo(guest->park, file, argv, (const char *const *)env,
                             wait->deadlineUsec, error))
        return FALSE;
    g_clear_pointer(&guest->park, virSupervisorParkFree);
    /* now only QEMU has the socket: when it ends, the connection does */
    virFdClose(g_steal_fd(&guest->listenFd));
    if (virQmpConnect(guest->qmp, first, wait->deadlineUsec, wait->cancellable, &cause))
        return TRUE;
    explainEarlyEnd(guest, &cause);
    g_propagate_error(error, cause);
    return FALSE;
}

/* --- QMP ----------------------------------------------------------------------------------------- */

gboolean
virSupervisorGuestCheckQmp(virDomainLockGuest *base, gint64 deadlineUsec, GError **error)
{
    virSupervisorGuest *guest = virSupervisorGuestOf(base);
    gboolean ok = TRUE;

    if (guest->park || guest->pidfd < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "QEMU of guest '%s' is not executed yet", guest->name);
        return FALSE;
    }
    g_mutex_lock(&guest->connectLock);
    if (!virQmpIsConnected(guest->qmp)) {
        if (virPidfdWait(guest->pidfd, 0)) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                        "QEMU of guest '%s' has ended", guest->name);
            ok = FALSE;
        } else {
            ok = virQmpConnect(guest->qmp, NULL, deadlineUsec, NULL, error);
        }
    }
    g_mutex_unlock(&guest->connectLock);
    return ok;
}

static JsonNode *
guestCommand(virDomainLockGuest *base, const char *name, JsonObject *args,
             gint64 deadlineUsec, GError **error)
{
    if (!virSupervisorGuestCheckQmp(base, deadlineUsec, error))
        return NULL;
    return virQmpCommand(virSupervisorGuestOf(base)->qmp, name, args, -1, deadlineUsec, error);
}

static gboolean
guestCommands(virDomainLockGuest *base, virDomainLockGuestCommand *commands, gsize n,
              gint64 deadlineUsec, GError **error)
{
    return virSupervisorGuestCheckQmp(base, deadlineUsec, error) &&
           virQmpCommands(virSupervisorGuestOf(base)->qmp, commands, n, deadlineUsec,
                          error);
}

static JsonNode *
guestWaitEvent(virDomainLockGuest *base, const char *event, guint64 since,
               gint64 deadlineUsec, GCancellable *cancellable, GError **error)
{
    if (!virSupervisorGuestCheckQmp(base, deadlineUsec, error))
        return NULL;
    return virQmpWaitEvent(virSupervisorGuestOf(base)->qmp, event, since, deadlineUsec, cancellable,
                           error);
}

static JsonNode *
guestWaitEventOf(virDomainLockGuest *base, const virDomainLockEventOf *of,
                 gint64 deadlineUsec, GCancellable *cancellable, GError **error)
{
    virQmpWanted wanted = {
        .name = of->event, .key = of->key, .value = of->value, .since = of->since};

    if (!virSupervisorGuestCheckQmp(base, deadlineUsec, error))
        return NULL;
    return virQmpWaitWanted(virSupervisorGuestOf(base)->qmp, &wanted, deadlineUsec, cancellable,
                            error);
}

static guint64
guestEventSerial(virDomainLockGuest *base)
{
    return virQmpEventSerial(virSupervisorGuestOf(base)->qmp);
}

static pid_t
guestGetPid(virDomainLockGuest *base)
{
    return virSupervisorGuestOf(base)->pid;
}

/* --- making one ---------------------------------------------------------------------------------- */

static const virDomainLockGuestOps guestOps = {
    .park = guestPark,
    .awaitParked = guestAwaitParked,
    .passFd = guestPassFd,
    .load = guestLoad,
    .explain = guestExplain,
    .exec = guestExec,
    .command = guestCommand,
    .commands = guestCommands,
    .waitEvent = guestWaitEvent,
    .eventSerial = guestEventSerial,
    .waitEventOf = guestWaitEventOf,
    .kill = virSupervisorGuestKill,
    .reap = virSupervisorGuestReap,
    .watch = guestWatch,
    .getPid = guestGetPid,
    .run = guestRun,
};

static virSupervisorGuest *
newGuest(const virSupervisorGuestOptions *options, GError **error)
{
    virSupervisorGuest *guest = g_new0(virSupervisorGuest, 1);

    guest->base.ops = &guestOps;
    guest->name = g_strdup(options->name);
    guest->uuid = g_strdup(options->uuid);
    guest->qmpPath = g_build_filename(options->runDir, "qmp", NULL);
    guest->context = options->context;
    guest->listenFd = guest->pidfd = -1;
    guest->qmp = virQmpNew(guest->qmpPath);
    g_mutex_init(&guest->connectLock);
    g_mutex_init(&guest->reapLock);
    g_cond_init(&guest->toldCond);
    guest->logFd = virSupervisorLogOpen(options->logPath, error);
    if (guest->logFd >= 0)
        return guest;
    virSupervisorGuestFree(&guest->base);
    return NULL;
}

virDomainLockGuest *
virSupervisorGuestNew(const virSupervisorGuestOptions *options, GError **error)
{
    virSupervisorGuest *guest = newGuest(options, error);

    if (!guest)
        return NULL;
    guest->listenFd = virUnixListen(guest->qmpPath, SOCK_STREAM, error);
    if (guest->listenFd >= 0)
        return &guest->base;
    virSupervisorGuestFree(&guest->base);
    return NULL;
}

virDomainLockGuest *
virSupervisorGuestAttach(const virSupervisorGuestOptions *options, pid_t pid,
                         guint64 startTime, gint64 deadlineUsec, GError **error)
{
    virSupervisorGuest *guest = newGuest(options, error);
    g_autoptr(GError) cause = NULL;

    if (!guest)
        return NULL;
    guest->attached = TRUE;
    guest->pid = pid;
    guest->startTime = startTime;
    guest->pidfd = virPidfdOpenExact(pid, startTime);
    if (guest->pidfd < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "guest '%s' does not run any more: process %d is %s", guest->name,
                    (int)pid, errno == ESRCH ? "gone" : g_strerror(errno));
        virSupervisorGuestFree(&guest->base);
        return NULL;
    }
    guest->cgroup = virSupervisorCgroupFind(guest->uuid, pid);
    virQmpSetProcess(guest->qmp, guest->pidfd);
    if (!virQmpConnect(guest->qmp, NULL, deadlineUsec, NULL, &cause))
        g_clear_error(&cause);
    return &guest->base;
}

void
virSupervisorGuestFree(virDomainLockGuest *base)
{
    virSupervisorGuest *guest = virSupervisorGuestOf(base);

    if (!guest)
        return;
    if (guest->exitSource) {
        g_source_destroy(guest->exitSource);
        g_source_unref(guest->exitSource);
    }
    virSupervisorParkFree(guest->park);
    virQmpFree(guest->qmp);
    virFdClose(guest->logFd);
    virFdClose(guest->listenFd);
    virFdClose(guest->pidfd);
    g_mutex_clear(&guest->connectLock);
    g_mutex_clear(&guest->reapLock);
    g_cond_clear(&guest->toldCond);
    g_free(guest->cgroup);
    g_free(guest->qmpPath);
    g_free(guest->uuid);
    g_free(guest->name);
    g_free(guest);
}

int
virSupervisorGuestGetQmpFd(virDomainLockGuest *base)
{
    return virSupervisorGuestOf(base)->listenFd;
}

guint64
virSupervisorGuestGetStartTime(virDomainLockGuest *base)
{
    return virSupervisorGuestOf(base)->startTime;
}

const char *
virSupervisorGuestGetCgroup(virDomainLockGuest *base)
{
    return virSupervisorGuestOf(base)->cgroup;
}
