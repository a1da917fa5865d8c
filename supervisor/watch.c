/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch.c: lease_loss.h with real parts: a timerfd on CLOCK_BOOTTIME (a host that slept has
 * lost that time, and the timer fires when it wakes), QMP, the lock manager, signals.
 *
 * Everything is in the main thread but freeze and release, which block: each runs in a
 * thread of its own that ends with its answer. Killing waits for neither.
 */
#include "supervisor/watch.h"
#include "supervisor/drain.h"
#include "common/fd.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* How long the daemon may take to say how fresh the leases are; it does no I/O for that. */
#define RENEWAL_USEC G_USEC_PER_SEC

struct _virSupervisorWatch {
    gatomicrefcount refs; /* answers that are on their way hold one */
    gboolean closed;
    virLeaseLoss loss;
    virDomainLockGuest *guest;
    virLockManager *man;
    GMainContext *context;
    virSupervisorWatchFunc func;
    gpointer opaque;
    char *lossPath;
    int lossFd;
    int timerFd;
    GSource *lossSource;
    GSource *timerSource;
    GSource *lockSource;
    GThread *freezer;
    GThread *releaser;
};

/* What a thread has to tell the main loop. */
typedef struct _virSupervisorAnswer {
    virSupervisorWatch *watch;
    virLeaseLossEvent event;
    gboolean isRenewal; /* only that, no event */
    virLockRenewal renewal;
    char *why;
} virSupervisorAnswer;

typedef struct _virSupervisorStep {
    virSupervisorWatch *watch;
    gint64 deadlineUsec; /* monotonic */
} virSupervisorStep;

static void
handle(virSupervisorWatch *watch, virLeaseLossEvent event, const char *why)
{
    virLeaseLossHandle(&watch->loss, event, virBoottimeUsec(), why);
}

static void
unref(virSupervisorWatch *watch)
{
    if (g_atomic_ref_count_dec(&watch->refs))
        g_free(watch);
}

static gboolean
onAnswer(gpointer data)
{
    virSupervisorAnswer *answer = data;

    if (answer->watch->closed)
        return G_SOURCE_REMOVE;
    if (answer->isRenewal)
        virLeaseLossSetRenewal(&answer->watch->loss, &answer->renewal);
    else
        handle(answer->watch, answer->event, answer->why);
    return G_SOURCE_REMOVE;
}

static void
freeAnswer(gpointer data)
{
    virSupervisorAnswer *answer = data;

    unref(answer->watch);
    g_free(answer->why);
    g_free(answer);
}

static virSupervisorAnswer *
newAnswer(virSupervisorWatch *watch)
{
    virSupervisorAnswer *answer = g_new0(virSupervisorAnswer, 1);

    g_atomic_ref_count_inc(&watch->refs);
    answer->watch = watch;
    return answer;
}

/* From a thread; the source belongs to the watch's context and dies with the loop. */
static void
post(virSupervisorAnswer *answer)
{
    GSource *source = g_idle_source_new();

    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, onAnswer, answer, freeAnswer);
    g_source_attach(source, answer->watch->context);
    g_source_unref(source);
}

static void
postEvent(virSupervisorWatch *watch, gboolean ok, virLeaseLossEvent good,
          virLeaseLossEvent bad, const GError *why)
{
    virSupervisorAnswer *answer = newAnswer(watch);

    answer->event = ok ? good : bad;
    answer->why = why ? g_strdup(why->message) : NULL;
    post(answer);
}

/* --- freeze ----------------------------------------------------------------------------------- */

/* What the watch knows of the last renewal is up to an interval old: with the present one the
 * guest gets the time that it really has. */
static void
askRenewal(virSupervisorWatch *watch)
{
    virSupervisorAnswer *answer = newAnswer(watch);
    const virLockWait wait = {.structSize = sizeof(wait),
                              .deadlineUsec = g_get_monotonic_time() + RENEWAL_USEC};

    answer->isRenewal = TRUE;
    answer->renewal.structSize = sizeof(answer->renewal);
    if (virLockManagerGetRenewal(watch->man, &answer->renewal, &wait, NULL))
        post(answer);
    else
        freeAnswer(answer);
}

static gpointer
freezeThread(gpointer data)
{
    g_autofree virSupervisorStep *step = data;
    g_autoptr(GError) error = NULL;
    gboolean ok;

    askRenewal(step->watch);
    ok = virSupervisorDrain(step->watch->guest, step->deadlineUsec, &error);
    postEvent(step->watch, ok, VIR_LEASE_LOSS_EV_FROZEN, VIR_LEASE_LOSS_EV_FREEZE_FAILED,
              error);
    return NULL;
}

/* --- release ---------------------------------------------------------------------------------- */

/* The last one that is held: the run lease is the first of the list, so the right to run the
 * guest goes last. A lease of several paths is on the list until each was released. */
static virLockLease *
findHeld(GPtrArray *leases)
{
    for (guint i = leases->len; i > 0; i--) {
        virLockLease *lease = g_ptr_array_index(leases, i - 1);

        if (lease->hold != VIR_LOCK_HOLD_NONE)
            return lease;
    }
    return NULL;
}

static gboolean
releaseAll(virSupervisorWatch *watch, const virLockWait *wait, GError **error)
{
    for (;;) {
        g_autoptr(GPtrArray) leases = virLockManagerGetLeases(watch->man);
        const virLockLease *lease = findHeld(leases);

        if (!lease)
            return TRUE;
        if (!virLockManagerReleaseResource(watch->man, lease->type, lease->path, wait,
                                           error))
            return FALSE;
    }
}

static gpointer
releaseThread(gpointer data)
{
    g_autofree virSupervisorStep *step = data;
    const virLockWait wait = {.structSize = sizeof(wait),
                              .deadlineUsec = step->deadlineUsec};
    g_autoptr(GError) error = NULL;
    gboolean ok = releaseAll(step->watch, &wait, &error);

    postEvent(step->watch, ok, VIR_LEASE_LOSS_EV_RELEASED,
              VIR_LEASE_LOSS_EV_RELEASE_FAILED, error);
    return NULL;
}

/* --- what the ladder calls ---------------------------------------------------------------------- */

static GThread *
startStep(virSupervisorWatch *watch, GThreadFunc run, gint64 deadline,
          virLeaseLossEvent bad)
{
    virSupervisorStep *step = g_new0(virSupervisorStep, 1);
    g_autoptr(GError) error = NULL;
    GThread *thread;

    step->watch = watch;
    step->deadlineUsec = g_get_monotonic_time() + MAX(deadline - virBoottimeUsec(), 0);
    thread = g_thread_try_new("lease-loss", run, step, &error);
    if (!thread) {
        g_free(step);
        postEvent(watch, FALSE, bad, bad, error);
    }
    return thread;
}

static void
lossFreeze(gint64 deadline, gpointer data)
{
    virSupervisorWatch *watch = data;

    watch->freezer =
        startStep(watch, freezeThread, deadline, VIR_LEASE_LOSS_EV_FREEZE_FAILED);
}

static void
lossRelease(gint64 deadline, gpointer data)
{
    virSupervisorWatch *watch = data;

    watch->releaser =
        startStep(watch, releaseThread, deadline, VIR_LEASE_LOSS_EV_RELEASE_FAILED);
}

static void
lossKill(gboolean graceful, gpointer data)
{
    virSupervisorWatch *watch = data;

    watch->guest->ops->kill(watch->guest, graceful);
}

static void
lossSetTimer(gint64 when, gpointer data)
{
    virSupervisorWatch *watch = data;
    struct itimerspec spec = {0};

    spec.it_value.tv_sec = when / G_USEC_PER_SEC;
    spec.it_value.tv_nsec = when % G_USEC_PER_SEC * 1000;
    if (watch->timerFd >= 0)
        (void)timerfd_settime(watch->timerFd, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void
lossEntered(virLeaseLossState state, const char *why, gpointer data)
{
    virSupervisorWatch *watch = data;

    if (watch->func)
        watch->func(state, why, watch->opaque);
}

static const virLeaseLossOps lossOps = {
    .freeze = lossFreeze,
    .release = lossRelease,
    .kill = lossKill,
    .setTimer = lossSetTimer,
    .entered = lossEntered,
};

/* --- sources -------------------------------------------------------------------------------------- */

static gboolean
onTimer(gint fd, GIOCondition condition, gpointer data)
{
    guint64 count;

    if (read(fd, &count, sizeof(count)) == sizeof(count))
        handle(data, VIR_LEASE_LOSS_EV_TIMER, "it took too long");
    return G_SOURCE_CONTINUE;
}

static gboolean
onLockEvent(virLockManager *man, virLockWatchEvent event, const virLockRenewal *renewal,
            gpointer data)
{
    virSupervisorWatch *watch = data;

    if (renewal && renewal->lastUsec > 0)
        virLeaseLossSetRenewal(&watch->loss, renewal);
    switch (event) {
    case VIR_LOCK_WATCH_LOST:
        handle(watch, VIR_LEASE_LOSS_EV_LOST, "the lock daemon gave its leases up");
        break;
    case VIR_LOCK_WATCH_STALE:
        handle(
            watch, VIR_LEASE_LOSS_EV_STALE,
            "its leases were not renewed in time: the lease storage or the lock daemon "
            "does not answer");
        break;
    case VIR_LOCK_WATCH_DAEMON_GONE:
        handle(watch, VIR_LEASE_LOSS_EV_DAEMON_GONE, "the lock daemon ended");
        break;
    case VIR_LOCK_WATCH_REQUEST:
        break;
    }
    return G_SOURCE_CONTINUE;
}

/* Only root and ourselves may say so; the mode of the socket says the same. */
static gboolean
mayTell(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static gboolean
onLossHelper(gint listener, GIOCondition condition, gpointer data)
{
    g_auto(virFd) fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0 || !mayTell(fd))
        return G_SOURCE_CONTINUE;
    handle(data, VIR_LEASE_LOSS_EV_LOST,
           "the lock daemon says that it cannot keep its leases");
    (void)virFdSend(fd, VIR_SUPERVISOR_LOSS_ANSWER, strlen(VIR_SUPERVISOR_LOSS_ANSWER),
                    -1);
    return G_SOURCE_CONTINUE;
}

static GSource *
addFd(virSupervisorWatch *watch, int fd, GUnixFDSourceFunc func, const char *name)
{
    GSource *source = g_unix_fd_source_new(fd, G_IO_IN);

    g_source_set_static_name(source, name);
    /* before all else that the main loop does */
    g_source_set_priority(source, G_PRIORITY_HIGH);
    g_source_set_callback(source, G_SOURCE_FUNC(func), watch, NULL);
    g_source_attach(source, watch->context);
    return source;
}

static gboolean
openSources(virSupervisorWatch *watch, const char *runDir, GError **error)
{
    watch->lossPath = g_build_filename(runDir, VIR_SUPERVISOR_LOSS_SOCKET, NULL);
    watch->lossFd = virUnixListen(watch->lossPath, SOCK_SEQPACKET | SOCK_NONBLOCK, error);
    if (watch->lossFd < 0)
        return FALSE;
    watch->timerFd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (watch->timerFd < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "cannot make a timer to watch leases: %s", g_strerror(errno));
        return FALSE;
    }
    watch->lossSource = addFd(watch, watch->lossFd, onLossHelper, "lease-loss-helper");
    watch->timerSource = addFd(watch, watch->timerFd, onTimer, "lease-loss-timer");
    g_source_set_priority(watch->lockSource, G_PRIORITY_HIGH);
    g_source_set_callback(watch->lockSource, G_SOURCE_FUNC(onLockEvent), watch, NULL);
    g_source_attach(watch->lockSource, watch->context);
    return TRUE;
}

virSupervisorWatch *
virSupervisorWatchNew(const virSupervisorWatchOptions *options, GError **error)
{
    virSupervisorWatch *watch = g_new0(virSupervisorWatch, 1);
    g_autoptr(GError) why = NULL;

    g_atomic_ref_count_init(&watch->refs);
    watch->guest = options->guest;
    watch->man = options->man;
    watch->context = options->context;
    watch->func = options->func;
    watch->opaque = options->opaque;
    watch->lossFd = watch->timerFd = -1;
    virLeaseLossInit(&watch->loss, options->policy, &lossOps, watch);
    watch->lockSource = virLockManagerWatch(watch->man, &why);
    if (!watch->lockSource &&
        g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED))
        return watch;
    if (watch->lockSource && openSources(watch, options->runDir, error))
        return watch;
    if (why)
        g_propagate_error(error, g_steal_pointer(&why));
    virSupervisorWatchFree(watch);
    return NULL;
}

static void
dropSource(GSource *source)
{
    if (!source)
        return;
    g_source_destroy(source);
    g_source_unref(source);
}

void
virSupervisorWatchFree(virSupervisorWatch *watch)
{
    if (!watch)
        return;
    if (watch->freezer)
        g_thread_join(watch->freezer);
    if (watch->releaser)
        g_thread_join(watch->releaser);
    dropSource(watch->lockSource);
    dropSource(watch->lossSource);
    dropSource(watch->timerSource);
    if (watch->lossFd >= 0)
        (void)unlink(watch->lossPath);
    virFdClose(watch->lossFd);
    virFdClose(watch->timerFd);
    g_free(watch->lossPath);
    watch->closed = TRUE;
    unref(watch);
}

void
virSupervisorWatchEnded(virSupervisorWatch *watch)
{
    handle(watch, VIR_LEASE_LOSS_EV_ENDED, "QEMU ended");
}

virLeaseLossState
virSupervisorWatchGetState(virSupervisorWatch *watch)
{
    return watch->loss.state;
}
