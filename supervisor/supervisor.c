/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor.c: what happens when, for one guest: what QEMU says, what clients ask, the end.
 * How it begins is in supervisor_start.c.
 *
 * Killing QEMU waits for nothing: it needs neither the job nor a lock. That QEMU is dead is
 * then heard like any other death, and the end job follows from that.
 */
#include "supervisor/supervisor_priv.h"
#include "common/fd.h"
#include "domain_lock/codec.h"
#include "domain_lock/job.h"
#include <glib-unix.h>
#include <malloc.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define END_RETRY_SEC 10

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

void
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

void
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
