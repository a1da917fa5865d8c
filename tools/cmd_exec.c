/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_exec.c: leasehold exec --disk PATH... -- COMMAND ARGS: any program under the leases of the
 * disks that it uses, and no run lease: it is no guest that could run twice.
 *
 *  1. fork the command, parked and registered with the lock daemon (exec_child.h);
 *  2. take the leases for it and advance the use records: memory that a guest saved with the
 *     old content of a disk is stale from here on (I7);
 *  3. watch the leases, let it execute the command, pass signals on, wait;
 *  4. end what it has left behind, see the leases free, return its status.
 *
 * When the leases are not safe any more the command and all that it started get SIGTERM at
 * once, and SIGKILL in the middle between the moment when the lock daemon gives up and the one
 * when another host may write (I1).
 */
#include "config.h"

#include "common/fd.h"
#include "common/text.h"
#include "tools/exec_child.h"
#include "tools/exec_disks.h"
#include "tools/tool.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_SEC 60 /* taking the leases, besides waiting for busy ones */
#define END_SEC 10   /* ending what is left, seeing the leases free */
/* SIGKILL after SIGTERM where the lock daemon is dead, so that nothing renews, and where it
 * never said how fresh the leases are */
#define DAEMON_GONE_USEC G_USEC_PER_SEC
#define UNKNOWN_USEC (5 * G_USEC_PER_SEC)
#define KILL_AGAIN_USEC (G_USEC_PER_SEC / 20) /* until nothing is left */

typedef struct _virToolExec {
    virTool *tool;
    GStrv options;
    GPtrArray *disks; /* virDomainLockImage: the options */
    GPtrArray *files; /* virDomainLockImage: what they stand for */
    int timeoutSec;
    char *file; /* the command as it is executed */
    virLockManagerPlugin *plugin;
    virLockManager *man;
    virToolExecChild child;
    GMainLoop *loop;
    int signalFd;
    int timerFd;
    gint64 killUsec; /* CLOCK_BOOTTIME; 0: the leases are safe */
    int waitStatus;
} virToolExec;

/* --- options ------------------------------------------------------------------------------ */

static gboolean
virToolExecParse(virToolExec *self)
{
    virTool *tool = self->tool;
    const GOptionEntry entries[] = {
        {"disk", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &self->options,
         "an image that the command uses; once for each",
         "PATH[,readonly|,shared][,format=FORMAT]"},
        {"timeout", 0, 0, G_OPTION_ARG_INT, &self->timeoutSec,
         "wait this long for a busy lease (default: refuse at once)", "SEC"},
        {NULL},
    };
    const char *problem = NULL;

    tool->exitBase = VIR_TOOL_EXIT_FOREGROUND;
    if (!virToolParse(tool, entries, 0, 0))
        return FALSE;
    if (!tool->tail || !tool->tail[0])
        problem = "the command is missing: end with '-- COMMAND ARGS...'";
    else if (!self->options)
        problem = "--disk PATH is needed, once for each image that the command uses";
    else if (self->timeoutSec < 0)
        problem = "--timeout needs a number of seconds, 0 or more";
    if (!problem)
        return TRUE;
    tool->exitStatus = virToolUsage(tool, "%s", problem);
    return FALSE;
}

/* --- before it runs ----------------------------------------------------------------------- */

static gboolean
virToolExecDescribe(virToolExec *self, GError **error)
{
    g_autofree char *uuid = g_uuid_string_random();
    g_autofree char *base = g_path_get_basename(self->tool->tail[0]);
    g_autofree char *shown = virTextPrintable(base);
    /* what other hosts see of us: "held by host 'alpha' for guest 'exec qemu-img'" */
    g_autofree char *name = g_strdup_printf("exec %.200s", shown);

    self->man = virLockManagerNew(self->plugin, VIR_LOCK_MANAGER_OBJECT_DOMAIN, 0, error);
    return self->man && virLockManagerSetParameter(self->man, "uuid", uuid, error) &&
           virLockManagerSetParameter(self->man, "name", name, error) &&
           virLockManagerSetParameter(self->man, "run_lease", "none", error);
}

static gboolean
virToolExecRegister(virToolExec *self, GError **error)
{
    self->disks = virToolExecDisksParse(self->tool, self->options);
    if (!self->disks)
        return FALSE;
    self->files = virDomainLockResolveImages(self->disks, NULL, error);
    for (guint i = 0; self->files && i < self->files->len; i++) {
        const virDomainLockImage *file = g_ptr_array_index(self->files, i);

        if (!virLockManagerRegisterResource(self->man, VIR_LOCK_RESOURCE_DISK, file->path,
                                            NULL, file->flags, error))
            return FALSE;
    }
    return self->files != NULL;
}

/* Who had the images before us may have changed what they consist of. */
static gboolean
virToolExecReadAgain(virToolExec *self, GCancellable *cancellable, GError **error)
{
    g_autoptr(GPtrArray) now =
        virDomainLockResolveImages(self->disks, cancellable, error);

    if (!now)
        return FALSE;
    if (virToolExecDisksEqual(self->files, now))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "the backing files of the disks changed while their leases were waited "
                "for; try again");
    return FALSE;
}

static gboolean
virToolExecFindFile(virToolExec *self, GError **error)
{
    self->file = g_find_program_in_path(self->tool->tail[0]);
    if (self->file)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "there is no program '%s' that could be executed", self->tool->tail[0]);
    return FALSE;
}

/* Signals cancel this, as in every command; from here on they are the command's. */
static gboolean
virToolExecAcquire(virToolExec *self, GError **error)
{
    g_autoptr(virToolWait) wait = virToolWaitNew(self->tool, self->timeoutSec + START_SEC,
                                                 self->timeoutSec, NULL);

    const virLockWait *bounds = virToolWaitGet(wait);

    return virLockManagerAcquireObject(self->man, 0, bounds, error) &&
           virToolExecReadAgain(self, bounds->cancellable, error) &&
           virLockManagerAdvanceUse(self->man, bounds, error) &&
           !g_cancellable_set_error_if_cancelled(bounds->cancellable, error);
}

/* --- lost leases -------------------------------------------------------------------------- */

static void
virToolExecSetTimer(virToolExec *self, gint64 whenUsec)
{
    const struct itimerspec when = {
        .it_value = {.tv_sec = whenUsec / G_USEC_PER_SEC,
                     .tv_nsec = whenUsec % G_USEC_PER_SEC * 1000 + 1}};

    (void)timerfd_settime(self->timerFd, TFD_TIMER_ABSTIME, &when, NULL);
}

static gint64
virToolExecKillTime(virLockWatchEvent event, const virLockRenewal *renewal)
{
    gint64 now = virBoottimeUsec();
    gint64 when = now + UNKNOWN_USEC;

    if (renewal && renewal->lastUsec > 0)
        when = renewal->lastUsec + ((gint64)renewal->expireSec + renewal->takeoverSec) *
                                       G_USEC_PER_SEC / 2;
    return event == VIR_LOCK_WATCH_DAEMON_GONE ? MIN(when, now + DAEMON_GONE_USEC) : when;
}

static gboolean
virToolExecOnLoss(virLockManager *man, virLockWatchEvent event,
                  const virLockRenewal *renewal, gpointer data)
{
    static const char *const whys[] = {
        [VIR_LOCK_WATCH_LOST] = "the lock daemon gave them up",
        [VIR_LOCK_WATCH_DAEMON_GONE] = "the lock daemon is gone",
        [VIR_LOCK_WATCH_STALE] = "the lock daemon did not renew them in time",
    };
    virToolExec *self = data;
    g_autoptr(GError) error = NULL;
    gint64 when;

    if (event == VIR_LOCK_WATCH_REQUEST)
        return G_SOURCE_CONTINUE;
    when = virToolExecKillTime(event, renewal);
    if (self->killUsec == 0) {
        /* a stopped process ends only when it goes on */
        (void)virToolExecTreeSignal(SIGTERM);
        (void)virToolExecTreeSignal(SIGCONT);
        error = g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_LOST,
                            "ending '%s': its leases are not safe any more: %s",
                            self->tool->tail[0], whys[event]);
        (void)virToolFail(self->tool, error);
    }
    self->killUsec = self->killUsec == 0 ? when : MIN(self->killUsec, when);
    virToolExecSetTimer(self, self->killUsec);
    return G_SOURCE_CONTINUE;
}

static gboolean
virToolExecOnTimer(gint fd, GIOCondition condition, gpointer data)
{
    virToolExec *self = data;
    guint64 times;

    (void)!read(fd, &times, sizeof(times));
    (void)virToolExecTreeSignal(SIGKILL);
    virToolExecSetTimer(self, virBoottimeUsec() + KILL_AGAIN_USEC);
    return G_SOURCE_CONTINUE;
}

/* A plugin without LOSS_EVENTS cannot lose leases: then nothing is watched. */
static GSource *
virToolExecWatch(virToolExec *self, GError **error)
{
    g_autoptr(GError) local = NULL;
    GSource *source = virLockManagerWatch(self->man, &local);

    if (source) {
        g_source_set_callback(source, G_SOURCE_FUNC(virToolExecOnLoss), self, NULL);
        g_source_attach(source, NULL);
    } else if (!g_error_matches(local, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED)) {
        g_propagate_error(error, g_steal_pointer(&local));
    }
    return source;
}

/* --- signals ------------------------------------------------------------------------------ */

/* A signal handler has no other way to its context. */
static volatile sig_atomic_t virToolExecSignalFd = -1;

/* What the terminal sends (SI_KERNEL) the command has got itself: it is in our group. */
static void
virToolExecHandler(int signum, siginfo_t *info, void *context)
{
    int saved = errno;
    char byte = (char)signum;

    if (info->si_code != SI_KERNEL)
        (void)!write(virToolExecSignalFd, &byte, 1);
    errno = saved;
}

static gboolean
virToolExecCatchSignals(virToolExec *self, GError **error)
{
    struct sigaction action = {.sa_sigaction = virToolExecHandler,
                               .sa_flags = SA_RESTART | SA_SIGINFO};
    int fds[2];

    if (!g_unix_open_pipe(fds, FD_CLOEXEC, error))
        return FALSE;
    self->signalFd = fds[0];
    (void)virFdSetNonblock(fds[1], TRUE); /* a handler must not wait */
    virToolExecSignalFd = fds[1];
    for (gsize i = 0; i < G_N_ELEMENTS(virToolExecSignals); i++) {
        if (!self->child.ignored[i])
            (void)sigaction(virToolExecSignals[i], &action, NULL);
    }
    return TRUE;
}

static void
virToolExecReadIgnored(virToolExec *self)
{
    for (gsize i = 0; i < G_N_ELEMENTS(virToolExecSignals); i++) {
        struct sigaction before = {.sa_handler = SIG_DFL};

        (void)sigaction(virToolExecSignals[i], NULL, &before);
        self->child.ignored[i] = before.sa_handler == SIG_IGN;
    }
}

static gboolean
virToolExecOnSignal(gint fd, GIOCondition condition, gpointer data)
{
    virToolExec *self = data;
    char byte;

    if (read(fd, &byte, 1) == 1)
        (void)virPidfdSendSignal(self->child.pidfd, byte);
    return G_SOURCE_CONTINUE;
}

/* --- while it runs ------------------------------------------------------------------------ */

static gboolean
virToolExecOnExited(gint fd, GIOCondition condition, gpointer data)
{
    virToolExec *self = data;

    while (waitpid(self->child.pid, &self->waitStatus, 0) < 0 && errno == EINTR)
        continue;
    self->child.pid = 0;
    g_main_loop_quit(self->loop);
    return G_SOURCE_REMOVE;
}

static void
virToolExecLoop(virToolExec *self)
{
    guint exited = g_unix_fd_add(self->child.pidfd, G_IO_IN, virToolExecOnExited, self);
    guint signals = g_unix_fd_add(self->signalFd, G_IO_IN, virToolExecOnSignal, self);
    guint timer = g_unix_fd_add(self->timerFd, G_IO_IN, virToolExecOnTimer, self);

    self->loop = g_main_loop_new(NULL, FALSE);
    g_main_loop_run(self->loop);
    g_clear_pointer(&self->loop, g_main_loop_unref);
    (void)exited; /* it has removed itself */
    g_source_remove(signals);
    g_source_remove(timer);
}

/* What the command has left running would go on to write without anybody watching. */
static void
virToolExecEndRest(virToolExec *self)
{
    guint ended = 0;

    if (!virToolExecTreeEnd(g_get_monotonic_time() + END_SEC * G_USEC_PER_SEC, &ended))
        virToolNote(self->tool, "processes that '%s' started do not die; they hold its leases",
                    self->tool->tail[0]);
    else if (ended > 0 && self->killUsec == 0)
        virToolNote(self->tool, "ended what '%s' left running: %u processes",
                    self->tool->tail[0], ended);
}

static void
virToolExecSeeFree(virToolExec *self)
{
    const virLockWait wait = {.structSize = sizeof(wait),
                              .deadlineUsec =
                                  g_get_monotonic_time() + END_SEC * G_USEC_PER_SEC};
    g_autoptr(GError) error = NULL;

    if (self->killUsec == 0 && !virLockManagerShutdown(self->man, &wait, &error))
        virToolNote(self->tool, "the leases of '%s' were not seen free: %s",
                    self->tool->tail[0], error->message);
}

static int
virToolExecStatus(virToolExec *self)
{
    if (WIFSIGNALED(self->waitStatus))
        return VIR_TOOL_EXIT_SIGNAL + WTERMSIG(self->waitStatus);
    /* a command that took SIGTERM for a reason to end well has not done its work */
    if (self->killUsec != 0 && WEXITSTATUS(self->waitStatus) == 0)
        return VIR_TOOL_EXIT_FOREGROUND + VIR_TOOL_EXIT_FAILURE;
    return WEXITSTATUS(self->waitStatus);
}

/* --- the sequence ------------------------------------------------------------------------- */

static gboolean
virToolExecPrepare(virToolExec *self, GError **error)
{
    self->plugin = virToolPlugin(self->tool);
    if (!self->plugin || !virToolExecFindFile(self, error) ||
        !virToolExecDescribe(self, error) || !virToolExecRegister(self, error))
        return FALSE;
    virToolExecReadIgnored(self);
    self->child.man = self->man;
    self->child.file = self->file;
    self->child.argv = self->tool->tail;
    return virToolExecChildPark(&self->child, error) && virToolExecAcquire(self, error);
}

static gboolean
virToolExecStart(virToolExec *self, GSource **watch, GError **error)
{
    g_autoptr(GError) local = NULL;

    self->timerFd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (self->timerFd < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE, "no timer: %s",
                    g_strerror(errno));
        return FALSE;
    }
    *watch = virToolExecWatch(self, &local);
    if (local) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    return virToolExecCatchSignals(self, error) &&
           virToolExecChildGo(&self->child, error);
}

static int
virToolExecRun(virToolExec *self)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GSource) watch = NULL;

    if (!virToolExecPrepare(self, &error) || !virToolExecStart(self, &watch, &error)) {
        /* without an error it was reported already */
        int status = error ? virToolFail(self->tool, error) : self->tool->exitStatus;

        virToolExecChildClear(&self->child);
        return status;
    }
    virToolExecLoop(self);
    if (watch)
        g_source_destroy(watch);
    virToolExecEndRest(self);
    virToolExecSeeFree(self);
    return virToolExecStatus(self);
}

int
virToolCmdExec(virTool *tool)
{
    virToolExec self = {.tool = tool,
                        .signalFd = -1,
                        .timerFd = -1,
                        .child = {.sock = -1, .childSock = -1, .pidfd = -1}};
    int status = 0;

    if (virToolExecParse(&self))
        status = virToolConfig(tool) ? virToolExecRun(&self) : tool->exitStatus;
    else
        status = tool->exitStatus;
    virToolExecChildClear(&self.child);
    if (self.man)
        virLockManagerFree(self.man);
    if (self.plugin)
        virLockManagerPluginUnload(self.plugin);
    virFdClose(self.signalFd);
    virFdClose(self.timerFd);
    g_clear_pointer(&self.disks, g_ptr_array_unref);
    g_clear_pointer(&self.files, g_ptr_array_unref);
    g_strfreev(self.options);
    g_free(self.file);
    return status;
}
