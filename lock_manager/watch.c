/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch.c: the source that says when the leases are no longer safe.
 *
 * Three things wake it: the daemon's pidfd; a timer on CLOCK_BOOTTIME (a host that slept has
 * lost that time) once per renewal interval, or when the last good renewal becomes too old;
 * and the answer of a check. A check asks the daemon for the age of its last renewal in a
 * thread that ends with the answer, because a daemon that hangs must not hang its watcher:
 * without an answer the clock alone decides, and STALE fires expireSec after the last renewal
 * that was seen. Nothing else runs or wakes up.
 *
 * A process that was stopped itself (SIGSTOP, a debugger, a frozen cgroup) wakes up with an old
 * answer, not with an old renewal: it asks before it says STALE, for some seconds, and only
 * while half of the time is left until another host may have the leases.
 *
 * The first renewal is asked for when the source is made: "now" would be too optimistic by up
 * to expireSec.
 */
#include "lock_manager/manager.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define CHECK_DEADLINE_SEC 5
#define SLEPT_GRACE_USEC (CHECK_DEADLINE_SEC * G_USEC_PER_SEC)
/* A check that was under way when the process was stopped ends soon: the next one after it. */
#define SLEPT_AGAIN_USEC (G_USEC_PER_SEC / 10)

/* What source and check thread share; the thread may outlive the source. */
typedef struct _virLockWatchCheck {
    gatomicrefcount refs;
    virLockManager *man;
    int doneFd; /* eventfd: an answer is there */
    GMutex lock;
    gboolean running;
    virLockRenewal renewal;
    gboolean lost; /* the backend says that the leases are gone */
} virLockWatchCheck;

typedef struct _virLockWatchSource {
    GSource source;
    virLockWatchCheck *check;
    virLockRenewal renewal; /* the last good one */
    int daemonFd;
    int timerFd;
    gpointer daemonTag;
    gpointer timerTag;
    gpointer doneTag;
    gint64 nextCheckUsec; /* CLOCK_BOOTTIME */
    gint64 graceUsec;     /* not STALE before it: this process slept; 0: it did not */
    gboolean stale;       /* said already */
    gboolean lost;        /* said already */
} virLockWatchSource;

static gint64
virLockWatchNow(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

/* --- one check ---------------------------------------------------------------------------- */

static void
virLockWatchCheckUnref(virLockWatchCheck *check)
{
    if (!g_atomic_ref_count_dec(&check->refs))
        return;
    (void)close(check->doneFd);
    virLockManagerUnref(check->man);
    g_mutex_clear(&check->lock);
    g_free(check);
}

/* Asks the daemon (@callerWait NULL: for CHECK_DEADLINE_SEC). FALSE: no answer; *lost: it
 * answered that there is nothing to renew. */
static gboolean
virLockWatchAsk(virLockManager *man, virLockRenewal *renewal, gboolean *lost,
                const virLockWait *callerWait, GError **error)
{
    g_autoptr(GError) local = NULL;
    virLockWait wait;
    gboolean ok;

    virLockWaitResolve(callerWait, &wait);
    if (!callerWait)
        wait.deadlineUsec = g_get_monotonic_time() + CHECK_DEADLINE_SEC * G_USEC_PER_SEC;
    memset(renewal, 0, sizeof(*renewal));
    renewal->structSize = sizeof(*renewal);
    *lost = FALSE;
    if (!virLockManagerBorrowObject(man)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE, "guest '%s' has ended",
                    man->name);
        return FALSE;
    }
    ok = man->plugin->driver.renewal(man->object, renewal, &wait, &local);
    virLockManagerReturnObject(man);
    if (ok)
        return TRUE;
    *lost = g_error_matches(local, VIR_LOCK_ERROR, VIR_LOCK_ERROR_LOST) ||
            g_error_matches(local, VIR_LOCK_ERROR, VIR_LOCK_ERROR_NOT_JOINED);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

static gpointer
virLockWatchThread(gpointer data)
{
    virLockWatchCheck *check = data;
    virLockRenewal renewal;
    gboolean lost;
    gboolean ok = virLockWatchAsk(check->man, &renewal, &lost, NULL, NULL);
    guint64 one = 1;

    g_mutex_lock(&check->lock);
    if (ok)
        check->renewal = renewal;
    check->lost = lost;
    check->running = FALSE;
    g_mutex_unlock(&check->lock);
    (void)!write(check->doneFd, &one, sizeof(one));
    virLockWatchCheckUnref(check);
    return NULL;
}

/* At most one at a time: a plugin that overstays its deadline does not pile up threads. FALSE:
 * the last one is not over yet. */
static gboolean
virLockWatchStartCheck(virLockWatchCheck *check)
{
    GThread *thread;
    gboolean running;

    g_mutex_lock(&check->lock);
    running = check->running;
    check->running = TRUE;
    g_mutex_unlock(&check->lock);
    if (running)
        return FALSE;
    g_atomic_ref_count_inc(&check->refs);
    thread = g_thread_try_new("leasehold-watch", virLockWatchThread, check, NULL);
    if (thread) {
        g_thread_unref(thread);
        return TRUE;
    }
    /* no thread to be had is like no answer: the clock goes on */
    g_mutex_lock(&check->lock);
    check->running = FALSE;
    g_mutex_unlock(&check->lock);
    virLockWatchCheckUnref(check);
    return TRUE;
}

/* --- the source --------------------------------------------------------------------------- */

static gint64
virLockWatchExpiry(const virLockWatchSource *watch)
{
    return watch->renewal.lastUsec + (gint64)watch->renewal.expireSec * G_USEC_PER_SEC;
}

/* When STALE is due. */
static gint64
virLockWatchDue(const virLockWatchSource *watch)
{
    gint64 expiry = virLockWatchExpiry(watch);
    gint64 takeover =
        watch->renewal.lastUsec + (gint64)watch->renewal.takeoverSec * G_USEC_PER_SEC;

    return MAX(expiry, MIN(watch->graceUsec, expiry + (takeover - expiry) / 2));
}

/* Whether a check should have been made long ago, and nobody was there to make it. */
static gboolean
virLockWatchHasSlept(const virLockWatchSource *watch, gint64 now)
{
    return now - watch->nextCheckUsec >
           (gint64)watch->renewal.intervalSec * G_USEC_PER_SEC / 2;
}

static void
virLockWatchCheckAgain(virLockWatchSource *watch, gint64 now)
{
    gint64 after = (gint64)watch->renewal.intervalSec * G_USEC_PER_SEC;

    if (virLockWatchHasSlept(watch, now))
        watch->graceUsec = now + SLEPT_GRACE_USEC;
    if (!virLockWatchStartCheck(watch->check) && now < watch->graceUsec)
        after = SLEPT_AGAIN_USEC;
    watch->nextCheckUsec = now + after;
}

static void
virLockWatchSetTimer(virLockWatchSource *watch)
{
    gint64 when = watch->nextCheckUsec;
    struct itimerspec spec = {0};

    if (!watch->stale)
        when = MIN(when, virLockWatchDue(watch));
    /* 0 would stop the timer */
    when = MAX(when, 1);
    spec.it_value.tv_sec = when / G_USEC_PER_SEC;
    spec.it_value.tv_nsec = when % G_USEC_PER_SEC * 1000;
    (void)timerfd_settime(watch->timerFd, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void
virLockWatchTakeAnswer(virLockWatchSource *watch)
{
    virLockWatchCheck *check = watch->check;
    guint64 count;

    (void)!read(check->doneFd, &count, sizeof(count));
    g_mutex_lock(&check->lock);
    if (check->renewal.structSize && check->renewal.lastUsec > watch->renewal.lastUsec)
        watch->renewal = check->renewal;
    if (!check->lost)
        watch->lost = FALSE;
    g_mutex_unlock(&check->lock);
    if (virLockWatchNow() < virLockWatchExpiry(watch))
        watch->stale = FALSE;
}

static gboolean
virLockWatchFire(virLockWatchSource *watch, virLockWatchEvent event, GSourceFunc callback,
                 gpointer data)
{
    virLockRenewal renewal = watch->renewal;

    if (!callback)
        return G_SOURCE_CONTINUE;
    return ((virLockManagerWatchFunc)(void (*)(void))callback)(watch->check->man, event,
                                                               &renewal, data);
}

static gboolean
virLockWatchCheckLost(virLockWatchSource *watch)
{
    gboolean lost;

    g_mutex_lock(&watch->check->lock);
    lost = watch->check->lost;
    g_mutex_unlock(&watch->check->lock);
    return lost;
}

static gboolean
virLockWatchDispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    virLockWatchSource *watch = (virLockWatchSource *)source;
    gboolean goOn = G_SOURCE_CONTINUE;
    gint64 now = virLockWatchNow();
    guint64 count;

    if (watch->daemonTag && g_source_query_unix_fd(source, watch->daemonTag)) {
        /* a pidfd stays readable for ever */
        g_source_remove_unix_fd(source, g_steal_pointer(&watch->daemonTag));
        goOn = virLockWatchFire(watch, VIR_LOCK_WATCH_DAEMON_GONE, callback, data);
    }
    if (g_source_query_unix_fd(source, watch->doneTag))
        virLockWatchTakeAnswer(watch);
    if (g_source_query_unix_fd(source, watch->timerTag))
        (void)!read(watch->timerFd, &count, sizeof(count));
    if (now >= watch->nextCheckUsec)
        virLockWatchCheckAgain(watch, now);
    if (goOn && !watch->lost && virLockWatchCheckLost(watch)) {
        watch->lost = TRUE;
        goOn = virLockWatchFire(watch, VIR_LOCK_WATCH_LOST, callback, data);
    }
    if (goOn && !watch->stale && now >= virLockWatchDue(watch)) {
        watch->stale = TRUE;
        goOn = virLockWatchFire(watch, VIR_LOCK_WATCH_STALE, callback, data);
    }
    virLockWatchSetTimer(watch);
    return goOn;
}

static void
virLockWatchFinalize(GSource *source)
{
    virLockWatchSource *watch = (virLockWatchSource *)source;
    virLockManager *man = watch->check->man;

    g_mutex_lock(&man->lock);
    g_ptr_array_remove_fast(man->watches, source);
    g_mutex_unlock(&man->lock);
    if (watch->daemonFd >= 0)
        (void)close(watch->daemonFd);
    if (watch->timerFd >= 0)
        (void)close(watch->timerFd);
    virLockWatchCheckUnref(watch->check);
}

static GSourceFuncs virLockWatchFuncs = {
    .dispatch = virLockWatchDispatch,
    .finalize = virLockWatchFinalize,
};

static gboolean
virLockWatchOpen(virLockWatchSource *watch, virLockManager *man, GError **error)
{
    gboolean lost;

    if (!man->plugin->driver.watchDaemon(man->object, &watch->daemonFd, error) ||
        !virLockWatchAsk(man, &watch->renewal, &lost, NULL, error)) {
        g_prefix_error(error, "cannot watch the leases of guest '%s': ", man->name);
        return FALSE;
    }
    if (watch->renewal.intervalSec == 0 || watch->renewal.expireSec == 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                    "plugin '%s' does not say how often it renews",
                    man->plugin->driver.name);
        return FALSE;
    }
    watch->timerFd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (watch->timerFd >= 0 && watch->check->doneFd >= 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "cannot watch the leases of guest '%s': %s", man->name,
                g_strerror(errno));
    return FALSE;
}

static virLockWatchCheck *
virLockWatchCheckNew(virLockManager *man)
{
    virLockWatchCheck *check = g_new0(virLockWatchCheck, 1);

    g_atomic_ref_count_init(&check->refs);
    g_mutex_init(&check->lock);
    check->man = virLockManagerRef(man);
    check->doneFd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return check;
}

static gboolean
virLockManagerWatchPermitted(virLockManager *man, const char *call, GError **error)
{
    virLockManagerState state;

    if (!virLockManagerCheckOwner(man, VIR_LOCK_CALL_WATCH, error))
        return FALSE;
    g_mutex_lock(&man->lock);
    state = man->state;
    g_mutex_unlock(&man->lock);
    if (virLockManagerStateNext(state, VIR_LOCK_CALL_WATCH) == VIR_LOCK_STATE_FORBIDDEN) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "%s is not permitted in state %s", call,
                    virLockManagerStateName(state));
        return FALSE;
    }
    return virLockManagerPluginRequire(man->plugin, VIR_LOCK_CAP_LOSS_EVENTS, call,
                                       error);
}

GSource *
virLockManagerWatch(virLockManager *man, GError **error)
{
    virLockWatchSource *watch;
    GSource *source;

    if (!virLockManagerWatchPermitted(man, "Watch", error))
        return NULL;
    source = g_source_new(&virLockWatchFuncs, sizeof(virLockWatchSource));
    watch = (virLockWatchSource *)source;
    watch->check = virLockWatchCheckNew(man);
    watch->daemonFd = -1;
    watch->timerFd = -1;
    if (!virLockWatchOpen(watch, man, error)) {
        g_source_unref(source);
        return NULL;
    }
    g_source_set_name(source, "leasehold-watch");
    watch->daemonTag = g_source_add_unix_fd(source, watch->daemonFd, G_IO_IN);
    watch->timerTag = g_source_add_unix_fd(source, watch->timerFd, G_IO_IN);
    watch->doneTag = g_source_add_unix_fd(source, watch->check->doneFd, G_IO_IN);
    watch->nextCheckUsec =
        virLockWatchNow() + (gint64)watch->renewal.intervalSec * G_USEC_PER_SEC;
    virLockWatchSetTimer(watch);
    g_mutex_lock(&man->lock);
    g_ptr_array_add(man->watches, source);
    g_mutex_unlock(&man->lock);
    return source;
}

gboolean
virLockManagerGetRenewal(virLockManager *man, virLockRenewal *renewal,
                         const virLockWait *wait, GError **error)
{
    gboolean lost;

    if (!virLockManagerWatchPermitted(man, "GetRenewal", error))
        return FALSE;
    if (virLockWatchAsk(man, renewal, &lost, wait, error))
        return TRUE;
    g_prefix_error(error,
                   "cannot ask how fresh the leases of guest '%s' are: ", man->name);
    return FALSE;
}
