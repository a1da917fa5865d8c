/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor.c: what happens when, for one guest: the start, what QEMU says, what clients
 * ask, the end.
 *
 * Killing QEMU waits for nothing: it needs neither the job nor a lock. That QEMU is dead is
 * then heard like any other death, and the end job follows from that.
 */
#include "supervisor/supervisor.h"
#include "common/fd.h"
#include "domain_lock/codec.h"
#include "domain_lock/save/save.h"
#include "domain_lock/job.h"
#include "domain_lock/step.h"
#include "supervisor/migration.h"
#include <gio/gunixsocketaddress.h>
#include <glib-unix.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* After the deadline of a start the worker gets this long to undo; then it counts as stuck
 * on storage that does not answer. */
#define START_GRACE_SEC 15
#define END_RETRY_SEC 10

struct _virSupervisor {
    GMainLoop *loop;
    virDomainLockObj *obj;
    virSupervisorJobs *jobs;
    virSupervisorControl *control;
    virSupervisorWatch *watch;
    virSupervisorDeadlines *deadlines;
    virSupervisorOwner *owner; /* NULL: none */
    virSupervisorStarter *starter; /* until the start is through */
    virMigrateIn *in;              /* until a guest from another host has arrived */
    virSupervisorMigration *migration;
    GCancellable *startCancellable;
    virLockWait startWait;
    guint startTimer;
    guint retryTimer;
    int signalFd;
    guint signalSource;
    gboolean starting;
    gboolean ending; /* an end job waits or runs */
    gboolean ended;  /* SHUTOFF */
    gboolean told;   /* to leave the guest alone */
    gboolean leaving;
};

static void virSupervisorFollow(virSupervisor *sup, virDomainLockFollow follow);
static gboolean virSupervisorStartStuck(gpointer data);

virDomainLockObj *
virSupervisorGetObj(virSupervisor *sup)
{
    return sup->obj;
}

virSupervisorMigration *
virSupervisorGetMigration(virSupervisor *sup)
{
    return sup->migration;
}

/* --- the end ------------------------------------------------------------------------ */

static void
virSupervisorQuit(gpointer data)
{
    virSupervisor *sup = data;

    g_main_loop_quit(sup->loop);
}

static void
virSupervisorFinish(virSupervisor *sup)
{
    sup->ended = TRUE;
    virSupervisorJobsClose(sup->jobs);
    virSupervisorControlFinish(sup->control, virSupervisorQuit, sup);
}

static gboolean
virSupervisorEndRun(gpointer data, GError **error)
{
    virSupervisor *sup = data;

    return virDomainLockEnd(sup->obj, error);
}

static gboolean
virSupervisorEndRetry(gpointer data)
{
    virSupervisor *sup = data;

    sup->retryTimer = 0;
    virSupervisorEnd(sup);
    return G_SOURCE_REMOVE;
}

static void
virSupervisorEndDone(const GError *error, gpointer data)
{
    virSupervisor *sup = data;

    sup->ending = FALSE;
    if (sup->leaving)
        return;
    if (!error) {
        virSupervisorFinish(sup);
        return;
    }
    g_warning("%s", error->message);
    sup->retryTimer = g_timeout_add_seconds(END_RETRY_SEC, virSupervisorEndRetry, sup);
}

void
virSupervisorEnd(virSupervisor *sup)
{
    virSupervisorJob job = {.name = "ending the guest",
                            .run = virSupervisorEndRun,
                            .done = virSupervisorEndDone,
                            .data = sup};

    if (sup->ending || sup->ended)
        return;
    if (sup->retryTimer)
        g_source_remove(sup->retryTimer);
    sup->retryTimer = 0;
    sup->ending = TRUE;
    virSupervisorInterruptJob(sup);
    virSupervisorJobsAdd(sup->jobs, &job);
}

gboolean
virSupervisorDestroy(virSupervisor *sup, guint flags, GError **error)
{
    if (!virDomainLockKill(sup->obj, flags, error))
        return FALSE;
    virSupervisorCancelStart(sup);
    return TRUE;
}

void
virSupervisorInterruptJob(virSupervisor *sup)
{
    g_autoptr(GError) none = NULL;

    if (virDomainLockJobAsk(sup->obj, &none))
        g_message("the job of the guest is cancelled");
}

void
virSupervisorCancelStart(virSupervisor *sup)
{
    if (sup->starting)
        g_cancellable_cancel(sup->startCancellable);
}

gboolean
virSupervisorIsEnding(virSupervisor *sup)
{
    return sup->ending || sup->ended;
}

/* --- what QEMU says ----------------------------------------------------------------- */

static gboolean
virSupervisorRestartRun(gpointer data, GError **error)
{
    virSupervisor *sup = data;

    return virDomainLockRestart(sup->obj, error);
}

static gboolean
virSupervisorPreserveRun(gpointer data, GError **error)
{
    virSupervisor *sup = data;

    return virDomainLockPreserve(sup->obj, error);
}

/* A guest that can neither be restarted nor stopped must not stay half alive. */
static void
virSupervisorPolicyDone(const GError *error, gpointer data)
{
    virSupervisor *sup = data;

    if (!error || sup->leaving)
        return;
    g_warning("%s", error->message);
    virDomainLockObjSetEndReason(sup->obj, VIR_DOMAIN_LOCK_REASON_CRASHED);
    virSupervisorEnd(sup);
}

static void
virSupervisorPolicy(virSupervisor *sup, const char *name, virSupervisorJobFunc run)
{
    virSupervisorJob job = {
        .name = name, .run = run, .done = virSupervisorPolicyDone, .data = sup};

    virSupervisorJobsAdd(sup->jobs, &job);
}

static void
virSupervisorFollow(virSupervisor *sup, virDomainLockFollow follow)
{
    switch (follow) {
    case VIR_DOMAIN_LOCK_FOLLOW_END:
        virSupervisorEnd(sup);
        break;
    case VIR_DOMAIN_LOCK_FOLLOW_RESTART:
        virSupervisorPolicy(sup, "restarting the guest", virSupervisorRestartRun);
        break;
    case VIR_DOMAIN_LOCK_FOLLOW_PRESERVE:
        virSupervisorPolicy(sup, "preserving the guest", virSupervisorPreserveRun);
        break;
    case VIR_DOMAIN_LOCK_FOLLOW_NONE:
        break;
    }
}

static void
virSupervisorGuestSays(const char *event, JsonObject *data, gpointer opaque)
{
    virSupervisor *sup = opaque;
    const char *device = NULL;

    if (g_str_equal(event, VIR_DOMAIN_LOCK_GUEST_EXITED)) {
        if (sup->watch)
            virSupervisorWatchEnded(sup->watch);
        /* what waits for its memory waits for no QEMU that has ended */
        if (sup->in)
            virSupervisorCancelStart(sup);
    }
    if (g_str_equal(event, "DEVICE_DELETED") &&
        (device = virDomainLockJsonString(data, "device")))
        virSupervisorControlDeviceDeleted(sup->control, device);
    virSupervisorFollow(sup, virDomainLockObjHandle(sup->obj, event, data));
}

/* --- telling the clients ------------------------------------------------------------ */

typedef struct {
    virSupervisor *sup;
    virDomainLockEvent *event;
} virSupervisorNews;

static gboolean
virSupervisorTell(gpointer data)
{
    virSupervisorNews *news = data;
    g_autoptr(virDomainLockInfo) info = virDomainLockObjGetInfo(news->sup->obj);
    g_autoptr(GError) over = virDomainLockObjGetRequestOver(news->sup->obj);

    /* an attach must know first whether the guest has ended in time */
    if (!news->sup->obj->attaching)
        virSupervisorDeadlinesFollow(news->sup->deadlines, info);
    virSupervisorControlTell(news->sup->control, news->event, info);
    if (over)
        virSupervisorControlShutdownOver(news->sup->control, over);
    return G_SOURCE_REMOVE;
}

static void
virSupervisorNewsFree(gpointer data)
{
    virSupervisorNews *news = data;

    virDomainLockEventFree(news->event);
    g_free(news);
}

static void
virSupervisorNewsFrom(virDomainLockObj *obj, const virDomainLockEvent *event,
                      gpointer opaque)
{
    virSupervisorNews *news = g_new0(virSupervisorNews, 1);

    news->sup = opaque;
    if (event) {
        news->event = virDomainLockEventNew(event->name, event->uuid, event->event,
                                            event->detail, event->message);
        news->event->timeUsec = event->timeUsec;
    }
    g_main_context_invoke_full(NULL, G_PRIORITY_DEFAULT, virSupervisorTell, news,
                               virSupervisorNewsFree);
}

/* --- the start ---------------------------------------------------------------------- */

static gboolean
virSupervisorStartRun(gpointer data, GError **error)
{
    virSupervisor *sup = data;

    if (sup->obj->spec->snapshot)
        return virDomainLockOfflineRun(sup->obj, &sup->startWait, error);
    return sup->obj->spec->restore
               ? virDomainLockRestoreRun(sup->obj, &sup->startWait, error)
               : virDomainLockStartRun(sup->obj, &sup->startWait, error);
}

/* Type=notify of systemd: one datagram, no library. */
static void
virSupervisorNotifyReady(void)
{
    const char *path = g_getenv("NOTIFY_SOCKET");
    g_autoptr(GSocketAddress) address = NULL;
    g_autoptr(GSocket) socket = NULL;
    g_autofree char *text = NULL;
    g_autoptr(GError) why = NULL;

    if (!path)
        return;
    text = g_strdup_printf("READY=1\nMAINPID=%d\n", (int)getpid());
    address = *path == '@' ? g_unix_socket_address_new_with_type(
                                 path + 1, -1, G_UNIX_SOCKET_ADDRESS_ABSTRACT)
                           : g_unix_socket_address_new(path);
    socket = g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_DATAGRAM, 0, &why);
    if (!socket || g_socket_send_to(socket, address, text, strlen(text), NULL, &why) < 0)
        g_warning("cannot tell systemd that the guest runs: %s", why->message);
}

static void
virSupervisorTellReady(virSupervisor *sup)
{
    g_autoptr(virDomainLockInfo) info = virDomainLockObjGetInfo(sup->obj);

    virSupervisorStarterReady(sup->starter, info);
    g_clear_pointer(&sup->starter, virSupervisorStarterFree);
    virSupervisorNotifyReady();
}

static void
virSupervisorStartTimer(virSupervisor *sup, guint sec)
{
    if (sup->startTimer)
        g_source_remove(sup->startTimer);
    sup->startTimer =
        sec > 0 ? g_timeout_add_seconds(sec, virSupervisorStartStuck, sup) : 0;
}

static void
virSupervisorStartDone(const GError *error, gpointer data)
{
    virSupervisor *sup = data;

    virSupervisorStartTimer(sup, 0);
    sup->starting = FALSE;
    if (error) {
        virSupervisorStarterFail(sup->starter, error);
        virSupervisorFinish(sup);
        return;
    }
    if (sup->obj->spec->restore)
        virStepStop("restore", 12);
    else if (!sup->obj->spec->snapshot)
        virStepStop("start", 10);
    virSupervisorTellReady(sup);
    if (virDomainLockObjGetState(sup->obj) == VIR_DOMAIN_LOCK_STATE_SHUTOFF) {
        virSupervisorFinish(sup); /* only its snapshots were worked on */
        return;
    }
    virSupervisorMigrationResume(sup->migration);
    g_clear_pointer(&sup->in, virMigrateInFree);
    virSupervisorFollow(sup, virDomainLockObjHandleDeferred(sup->obj));
}

/* The worker is stuck in the kernel: it will never undo anything. The parked child or QEMU
 * is killed here, its leases end with it, and this process ends with the worker in it. */
static gboolean
virSupervisorStartStuck(gpointer data)
{
    virSupervisor *sup = data;
    gboolean cancelled = g_cancellable_is_cancelled(sup->startCancellable);
    virDomainLockExit how;
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) why = NULL;

    if (sup->obj->attaching) {
        g_set_error(
            &error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
            "cannot attach to guest '%s': a storage that the guest needs does not "
            "answer; the guest is left as it is, unsupervised",
            sup->obj->status->info->name);
        g_warning("%s", error->message);
        virSupervisorStarterFail(sup->starter, error);
        _exit(EXIT_FAILURE);
    }
    sup->obj->guest->ops->kill(sup->obj->guest, FALSE);
    (void)sup->obj->guest->ops->reap(
        sup->obj->guest, g_get_monotonic_time() + 5 * G_USEC_PER_SEC, &how, &why);
    g_set_error(&error, VIR_LOCK_ERROR,
                why         ? VIR_LOCK_ERROR_INDETERMINATE
                : cancelled ? VIR_LOCK_ERROR_CANCELLED
                            : VIR_LOCK_ERROR_TIMEOUT,
                "cannot start guest '%s': %s and %s does not return: a "
                "storage that the guest needs does not answer%s%s",
                sup->obj->status->info->name,
                cancelled ? "it was cancelled" : "the deadline passed",
                sup->obj->status->step, why ? "; " : "", why ? why->message : "");
    g_warning("%s", error->message);
    virSupervisorStarterFail(sup->starter, error);
    if (!why && !virDomainLockRuntimeRemove(sup->obj->runtime, &why))
        g_warning("%s", why->message);
    _exit(EXIT_FAILURE);
}

/* Whoever gave up waiting is not to wait for the deadline either. */
static void
virSupervisorStartCancelled(GCancellable *cancellable, gpointer data)
{
    virSupervisor *sup = data;

    (void)cancellable;
    if (!sup->starting)
        return;
    virSupervisorStartTimer(sup, START_GRACE_SEC);
}

/* --- taking up a guest that has lost its supervisor ---------------------------------- */

static gboolean
virSupervisorAttachRun(gpointer data, GError **error)
{
    virSupervisor *sup = data;

    if (!virDomainLockReattachRun(sup->obj, &sup->startWait, error))
        return FALSE;
    if (sup->watch || virDomainLockObjIsLeaseLost(sup->obj))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_NOT_JOINED,
                "cannot watch the leases of guest '%s': this host has left the lockspace",
                sup->obj->status->info->name);
    return FALSE;
}

static gboolean
virSupervisorAskAgainRun(gpointer data, GError **error)
{
    virSupervisor *sup = data;

    return virDomainLockAskAgain(sup->obj, error);
}

static void
virSupervisorAskAgainDone(const GError *error, gpointer data)
{
    if (error)
        g_warning("%s", error->message);
}

/* A guest that ended, or was killed because its leases were lost, is followed to its end; one
 * that runs and could not be taken up stays as it was found, unsupervised. */
static void
virSupervisorAttachDone(const GError *error, gpointer data)
{
    virSupervisor *sup = data;

    g_source_remove(sup->startTimer);
    sup->startTimer = 0;
    sup->starting = FALSE;
    if (error) {
        g_warning("%s", error->message);
        virSupervisorStarterFail(sup->starter, error);
        if (virDomainLockStatusQemuAlive(sup->obj->status) &&
            sup->obj->status->endReason == VIR_DOMAIN_LOCK_REASON_NONE)
            g_main_loop_quit(sup->loop);
        else
            virSupervisorEnd(sup);
        return;
    }
    virSupervisorTellReady(sup);
    virSupervisorMigrationResume(sup->migration);
    virSupervisorFollow(sup, virDomainLockReattachFollow(sup->obj));
    virSupervisorDeadlinesFollow(sup->deadlines, sup->obj->status->info);
    if (sup->obj->status->askBy != 0)
        virSupervisorAddJob(sup, "asking the guest again", virSupervisorAskAgainRun,
                            virSupervisorAskAgainDone, sup);
}

/* --- the first job --------------------------------------------------------------------- */

static void
virSupervisorProgress(const virLockProgress *progress, gpointer data)
{
    virSupervisorStarterProgress(data, progress);
}

/* --- a start that comes from another host ------------------------------------------- */

static gboolean
virSupervisorReserveRun(gpointer data, GError **error)
{
    virSupervisor *sup = data;

    return virDomainLockIncomingReserve(sup->obj, sup->in, &sup->startWait, error);
}

static gboolean
virSupervisorReceiveRun(gpointer data, GError **error)
{
    virSupervisor *sup = data;

    return virDomainLockIncomingReceive(sup->obj, sup->in, sup->startCancellable, error);
}

/* The bounds were those of the reservation: the memory takes as long as it takes. */
static void
virSupervisorReserveDone(const GError *error, gpointer data)
{
    virSupervisor *sup = data;
    virSupervisorJob job = {.name = "receiving the guest",
                            .run = virSupervisorReceiveRun,
                            .done = virSupervisorStartDone,
                            .data = sup};

    if (error) {
        virSupervisorStartDone(error, sup);
        return;
    }
    virSupervisorStartTimer(sup, 0);
    virSupervisorJobsAdd(sup->jobs, &job);
}

/* --- the start ---------------------------------------------------------------------- */

static void
virSupervisorStart(virSupervisor *sup, const virDomainLockSpec *spec)
{
    gint64 now = g_get_monotonic_time();
    gint64 deadline = spec->deadlineUsec > 0 && !sup->in
                          ? spec->deadlineUsec
                          : now + VIR_LOCK_WAIT_DEFAULT_SEC * G_USEC_PER_SEC;
    virSupervisorJob job = {.name = "starting",
                            .run = virSupervisorStartRun,
                            .done = virSupervisorStartDone,
                            .data = sup};

    if (spec->attach) {
        job.name = "attaching";
        job.run = virSupervisorAttachRun;
        job.done = virSupervisorAttachDone;
    } else if (sup->in) {
        job.run = virSupervisorReserveRun;
        job.done = virSupervisorReserveDone;
    }
    sup->startWait = (virLockWait){.structSize = sizeof(virLockWait),
                                   .deadlineUsec = deadline,
                                   .busyUsec = spec->busyUsec,
                                   .cancellable = sup->startCancellable,
                                   .progress = virSupervisorProgress,
                                   .progressData = sup->starter};
    sup->starting = TRUE;
    virSupervisorStartTimer(sup, (guint)(MAX(deadline - now, 0) / G_USEC_PER_SEC) +
                                     START_GRACE_SEC);
    g_signal_connect(sup->startCancellable, "cancelled",
                     G_CALLBACK(virSupervisorStartCancelled), sup);
    virSupervisorStarterWatch(sup->starter, sup->startCancellable);
    virSupervisorJobsAdd(sup->jobs, &job);
}

/* --- jobs, signals, life ------------------------------------------------------------ */

void
virSupervisorAddJob(virSupervisor *sup, const char *name, virSupervisorJobFunc run,
                    virSupervisorJobDone done, gpointer data)
{
    virSupervisorJob job = {.name = name,
                            .run = run,
                            .done = done,
                            .data = data,
                            .waitMsec = VIR_SUPERVISOR_JOB_WAIT_MSEC};

    virSupervisorJobsAdd(sup->jobs, &job);
}

void
virSupervisorAddJobOf(virSupervisor *sup, const virSupervisorJob *job)
{
    virSupervisorJobsAdd(sup->jobs, job);
}

const char *
virSupervisorGetJobName(virSupervisor *sup)
{
    return virSupervisorJobsCurrent(sup->jobs);
}

/* Nothing to do: the memory of the last job goes back to the kernel; and if we were told to
 * go, we go. */
static void
virSupervisorIdle(gpointer data)
{
    virSupervisor *sup = data;

    malloc_trim(0);
    if (sup->told && !sup->ended)
        g_main_loop_quit(sup->loop);
}

static gboolean
virSupervisorSignal(gint fd, GIOCondition condition, gpointer data)
{
    virSupervisor *sup = data;
    struct signalfd_siginfo info;

    if (read(fd, &info, sizeof(info)) != sizeof(info) || info.ssi_signo != SIGTERM)
        return G_SOURCE_CONTINUE;
    g_message("told to end by pid %u: the guest goes on under its leases, unsupervised",
              info.ssi_pid);
    sup->told = TRUE;
    virSupervisorCancelStart(sup);
    virSupervisorInterruptJob(sup);
    if (!virSupervisorJobsCurrent(sup->jobs))
        g_main_loop_quit(sup->loop);
    return G_SOURCE_CONTINUE;
}

static char *
virSupervisorJobText(gpointer data)
{
    virSupervisor *sup = data;

    return virDomainLockJobText(sup->obj);
}

virSupervisor *
virSupervisorNew(virDomainLockObj *obj, virSupervisorStarter *starter)
{
    virSupervisor *sup = g_new0(virSupervisor, 1);
    sigset_t signals;

    sup->loop = g_main_loop_new(NULL, FALSE);
    sup->obj = obj;
    sup->jobs = virSupervisorJobsNew(virSupervisorIdle, sup);
    sup->migration = virSupervisorMigrationNew(sup);
    virSupervisorJobsDescribe(sup->jobs, virSupervisorJobText, sup);
    sup->starter = starter;
    sup->startCancellable = g_cancellable_new();
    sup->deadlines = virSupervisorDeadlinesNew(sup);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sup->signalFd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    g_assert(sup->signalFd >= 0);
    sup->signalSource = g_unix_fd_add(sup->signalFd, G_IO_IN, virSupervisorSignal, sup);
    return sup;
}

void
virSupervisorFree(virSupervisor *sup)
{
    sup->leaving = TRUE;
    virSupervisorJobsLeave(sup->jobs);
    sup->obj->listener = NULL;
    g_source_remove(sup->signalSource);
    virFdClose(sup->signalFd);
    if (sup->retryTimer)
        g_source_remove(sup->retryTimer);
    virSupervisorDeadlinesFree(sup->deadlines);
    virSupervisorOwnerFree(sup->owner);
    virSupervisorJobsFree(sup->jobs);
    virSupervisorMigrationFree(sup->migration);
    virMigrateInFree(sup->in);
    virSupervisorWatchFree(sup->watch);
    virSupervisorControlFree(sup->control);
    virSupervisorStarterFree(sup->starter);
    g_object_unref(sup->startCancellable);
    g_main_loop_unref(sup->loop);
    g_free(sup);
}

/* A guest whose leases were given up has none to watch. And where a lock daemon is new and
 * has joined nothing, a guest that is taken up holds nothing: the attach has to see that, and
 * end the guest, rather than fail here. */
static gboolean
virSupervisorOpenWatch(virSupervisor *sup, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (virDomainLockObjIsLeaseLost(sup->obj))
        return TRUE;
    sup->watch = virSupervisorWatchLeases(sup, &why);
    if (sup->watch || (sup->obj->attaching &&
                       g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_NOT_JOINED)))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* The child registers meanwhile; if it cannot, that is the better message. */
static gboolean
virSupervisorOpenLeases(virSupervisor *sup, GError **error)
{
    virDomainLockGuest *guest = sup->obj->guest;
    g_autoptr(GError) why = NULL;
    gboolean watched = virSupervisorOpenWatch(sup, &why);

    if (guest->ops->awaitParked && !guest->ops->awaitParked(guest, error))
        return FALSE;
    if (!watched)
        g_propagate_error(error, g_steal_pointer(&why));
    return watched;
}

static gboolean
virSupervisorOpen(virSupervisor *sup, GError **error)
{
    g_autofree char *path =
        g_build_filename(virDomainLockRuntimeGetPath(sup->obj->runtime), "control", NULL);

    sup->control = virSupervisorControlNew(sup, path, error);
    if (!sup->control)
        return FALSE;
    sup->obj->listener = virSupervisorNewsFrom;
    sup->obj->listenerData = sup;
    return virSupervisorOpenLeases(sup, error);
}

static gboolean
virSupervisorTakeChannel(virSupervisor *sup, const virDomainLockSpec *spec,
                         GError **error)
{
    if (!spec->incoming || spec->attach)
        return TRUE;
    sup->in = virMigrateInFromRequest(spec->incoming, error);
    if (!sup->in)
        return FALSE;
    sup->in->channel = virMigrateChannelNew(spec->channel[0], spec->channel[1]);
    return TRUE;
}

gboolean
virSupervisorRun(virSupervisor *sup, const virDomainLockSpec *spec)
{
    g_autoptr(GError) error = NULL;

    if (!virSupervisorTakeChannel(sup, spec, &error) || !virSupervisorOpen(sup, &error)) {
        if (!spec->attach)
            virDomainLockStartAbandon(sup->obj, &error);
        virSupervisorStarterFail(sup->starter, error);
        return FALSE;
    }
    sup->obj->guest->ops->watch(sup->obj->guest, virSupervisorGuestSays, sup);
    sup->owner = virSupervisorOwnerNew(sup, spec);
    virSupervisorStart(sup, spec);
    g_main_loop_run(sup->loop);
    return sup->ended;
}
