/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * call.c: see call.h.
 *
 * The state of a running job is reference counted, one reference for the thread and one for
 * the waiting caller, so that either may be the last to leave.
 */
#include "plugins/sanlock/call.h"

#define TICK_USEC (200 * 1000)
/* How long a job that changes something may go on after it was cancelled. An acquire of 8
 * leases takes 20 ms, on slow storage some hundreds. */
#define CANCEL_GRACE_USEC (2 * G_USEC_PER_SEC)

#define HAS_MEMBER(p, member)                                                            \
    ((p)->structSize >= G_STRUCT_OFFSET(__typeof__(*(p)), member) + sizeof((p)->member))

void
virSanlockBoundsInit(virSanlockBounds *bounds, const virLockWait *wait)
{
    memset(bounds, 0, sizeof(*bounds));
    if (!wait || !HAS_MEMBER(wait, deadlineUsec) || wait->deadlineUsec == 0) {
        bounds->deadlineUsec =
            g_get_monotonic_time() + VIR_LOCK_WAIT_DEFAULT_SEC * G_USEC_PER_SEC;
    } else {
        bounds->deadlineUsec = wait->deadlineUsec;
    }
    if (!wait)
        return;
    if (HAS_MEMBER(wait, busyUsec))
        bounds->busyUsec = MIN(wait->busyUsec, bounds->deadlineUsec);
    if (HAS_MEMBER(wait, cancellable))
        bounds->cancellable = wait->cancellable;
    if (HAS_MEMBER(wait, progressData)) {
        bounds->progress = wait->progress;
        bounds->progressData = wait->progressData;
    }
}

virSanlockBounds
virSanlockBoundsShort(const virSanlockBounds *bounds, double seconds)
{
    gint64 end = g_get_monotonic_time() + (gint64)(seconds * G_USEC_PER_SEC);
    virSanlockBounds result = {.deadlineUsec = MIN(bounds->deadlineUsec, end)};

    return result;
}

gboolean
virSanlockBoundsCheck(const virSanlockBounds *bounds, const char *what, GError **error)
{
    if (g_cancellable_is_cancelled(bounds->cancellable)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED, "%s: cancelled",
                    what);
        return FALSE;
    }
    if (g_get_monotonic_time() >= bounds->deadlineUsec) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                    "%s: not done within the time allowed", what);
        return FALSE;
    }
    return TRUE;
}

void
virSanlockBoundsProgress(const virSanlockBounds *bounds, const char *what,
                         double fraction, gint64 etaSec, const virLockOwner *holder)
{
    virLockProgress progress = {
        .structSize = sizeof(progress),
        .what = what,
        .fraction = fraction,
        .etaSec = etaSec,
        .holder = holder,
    };

    if (bounds->progress)
        bounds->progress(&progress, bounds->progressData);
}

/* --- waiting that a cancel wakes ------------------------------------------------------------ */

typedef struct {
    gatomicrefcount refs;
    GMutex mutex;
    GCond cond;
    gboolean done;
    gboolean ok;
    GError *error;
    virSanlockJobFunc func;
    gpointer data;
    GDestroyNotify clear;
} virSanlockJob;

static virSanlockJob *
virSanlockJobNew(const virSanlockCall *call)
{
    virSanlockJob *job = g_new0(virSanlockJob, 1);

    g_atomic_ref_count_init(&job->refs);
    g_mutex_init(&job->mutex);
    g_cond_init(&job->cond);
    if (call) {
        job->func = call->func;
        job->data = g_atomic_rc_box_acquire(call->data);
        job->clear = call->clear;
    }
    return job;
}

static void
virSanlockJobUnref(virSanlockJob *job)
{
    if (!g_atomic_ref_count_dec(&job->refs))
        return;
    if (job->data && job->clear)
        g_atomic_rc_box_release_full(job->data, job->clear);
    else if (job->data)
        g_atomic_rc_box_release(job->data);
    g_clear_error(&job->error);
    g_mutex_clear(&job->mutex);
    g_cond_clear(&job->cond);
    g_free(job);
}

static gpointer
virSanlockJobThread(gpointer data)
{
    virSanlockJob *job = data;
    GError *error = NULL;
    gboolean ok = job->func(job->data, &error);

    g_mutex_lock(&job->mutex);
    job->ok = ok;
    job->error = error;
    job->done = TRUE;
    g_cond_broadcast(&job->cond);
    g_mutex_unlock(&job->mutex);
    virSanlockJobUnref(job);
    return NULL;
}

static void
virSanlockJobWake(GCancellable *cancellable, gpointer data)
{
    virSanlockJob *job = data;

    g_mutex_lock(&job->mutex);
    g_cond_broadcast(&job->cond);
    g_mutex_unlock(&job->mutex);
}

/* Waits for the job, for the deadline or for a cancel; calls the ticks. */
static void
virSanlockJobWait(virSanlockJob *job, const virSanlockCall *call,
                  const virSanlockBounds *bounds)
{
    gint64 endUsec = bounds->deadlineUsec;
    gboolean cancelled = FALSE;

    g_mutex_lock(&job->mutex);
    while (!job->done && g_get_monotonic_time() < endUsec) {
        gint64 wakeUsec = endUsec;

        if (!cancelled && g_cancellable_is_cancelled(bounds->cancellable)) {
            cancelled = TRUE;
            if (!call || !(call->flags & VIR_SANLOCK_CALL_CHANGES))
                break;
            endUsec = MIN(endUsec, g_get_monotonic_time() + CANCEL_GRACE_USEC);
        }
        if (call && call->tick) {
            g_mutex_unlock(&job->mutex);
            call->tick(call->tickData, bounds);
            g_mutex_lock(&job->mutex);
            wakeUsec = MIN(endUsec, g_get_monotonic_time() + TICK_USEC);
        }
        if (!job->done)
            g_cond_wait_until(&job->cond, &job->mutex, MIN(wakeUsec, endUsec));
    }
    g_mutex_unlock(&job->mutex);
}

static void
virSanlockJobWaitCancellable(virSanlockJob *job, const virSanlockCall *call,
                             const virSanlockBounds *bounds)
{
    gulong id = 0;

    if (bounds->cancellable)
        id = g_cancellable_connect(bounds->cancellable, G_CALLBACK(virSanlockJobWake),
                                   job, NULL);
    virSanlockJobWait(job, call, bounds);
    if (id)
        g_cancellable_disconnect(bounds->cancellable, id);
}

static void
virSanlockCallSetAbandoned(const virSanlockCall *call, const virSanlockBounds *bounds,
                           GError **error)
{
    gboolean cancelled = g_cancellable_is_cancelled(bounds->cancellable);

    if (call->flags & VIR_SANLOCK_CALL_CHANGES)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE,
                    "%s: no answer within the time allowed; the outcome is unknown",
                    call->what);
    else if (cancelled)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED, "%s: cancelled",
                    call->what);
    else
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                    "%s: no answer within the time allowed", call->what);
}

gboolean
virSanlockCallRun(const virSanlockCall *call, const virSanlockBounds *bounds,
                  gboolean *returned, GError **error)
{
    virSanlockJob *job;
    g_autoptr(GError) threadError = NULL;
    GThread *thread;
    gboolean done, ok = FALSE;

    if (returned)
        *returned = FALSE;
    if (!virSanlockBoundsCheck(bounds, call->what, error))
        return FALSE;

    job = virSanlockJobNew(call);
    g_atomic_ref_count_inc(&job->refs);
    thread = g_thread_try_new("sanlock-call", virSanlockJobThread, job, &threadError);
    if (!thread) {
        virSanlockJobUnref(job);
        virSanlockJobUnref(job);
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "%s: cannot start a thread: %s", call->what, threadError->message);
        return FALSE;
    }
    g_thread_unref(thread);
    virSanlockJobWaitCancellable(job, call, bounds);

    g_mutex_lock(&job->mutex);
    done = job->done;
    if (done) {
        ok = job->ok;
        if (job->error)
            g_propagate_error(error, g_steal_pointer(&job->error));
    }
    g_mutex_unlock(&job->mutex);
    if (!done)
        virSanlockCallSetAbandoned(call, bounds, error);
    virSanlockJobUnref(job);
    if (returned)
        *returned = done;
    return ok;
}

gboolean
virSanlockBoundsSleep(const virSanlockBounds *bounds, gint64 usec, const char *what,
                      GError **error)
{
    virSanlockJob *nothing = virSanlockJobNew(NULL);
    virSanlockBounds nap = *bounds;

    nap.deadlineUsec = MIN(bounds->deadlineUsec, g_get_monotonic_time() + usec);
    virSanlockJobWaitCancellable(nothing, NULL, &nap);
    virSanlockJobUnref(nothing);
    if (g_cancellable_is_cancelled(bounds->cancellable))
        return virSanlockBoundsCheck(bounds, what, error);
    return TRUE;
}
