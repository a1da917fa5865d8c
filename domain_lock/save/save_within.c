/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * save_within.c: what is done with a file whose storage may not answer (I9).
 *
 * Nothing ends a call that hangs in the kernel, so each is made in a thread. Whoever waits goes
 * on without it when somebody cancels, or when the time is over; the thread keeps what it works
 * with, and removes the file when the storage answers after all, unless that had its name by
 * then: the guest that goes on makes such a file stale (virDomainLockContinueQemu).
 */
#include "save_file.h"

#define WITHIN_POLL_USEC (100 * 1000)

typedef struct {
    gatomicrefcount refs;
    GMutex lock;
    GCond changed;
    gboolean ended;
    gboolean ok;
    GError *error;
    gint abandoned; /* atomic */
    virSaveAction action;
    virSaveWork work;
} virSaveTask;

static void
virSaveWorkClear(virSaveWork *work)
{
    g_clear_pointer(&work->writer, virSaveWriterFree);
    g_clear_pointer(&work->image, virSaveImageFree);
    g_clear_pointer(&work->path, g_free);
}

static void
virSaveTaskUnref(virSaveTask *task)
{
    if (!g_atomic_ref_count_dec(&task->refs))
        return;
    virSaveWorkClear(&task->work);
    g_clear_error(&task->error);
    g_mutex_clear(&task->lock);
    g_cond_clear(&task->changed);
    g_free(task);
}

static gpointer
virSaveTaskRun(gpointer data)
{
    virSaveTask *task = data;
    GError *error = NULL;
    gboolean ok = task->action(&task->work, &task->abandoned, &error);

    g_mutex_lock(&task->lock);
    task->ok = ok;
    task->error = error;
    task->ended = TRUE;
    g_cond_signal(&task->changed);
    g_mutex_unlock(&task->lock);
    virSaveTaskUnref(task);
    return NULL;
}

/* With the lock held. FALSE: it has not ended, and is not waited for any more. */
static gboolean
virSaveTaskWait(virSaveTask *task, GCancellable *cancellable, guint sec, GError **error)
{
    gint64 end = g_get_monotonic_time() + (gint64)sec * G_USEC_PER_SEC;

    while (!task->ended) {
        gint64 now = g_get_monotonic_time();

        if (cancellable && g_cancellable_is_cancelled(cancellable)) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED,
                        "it was cancelled");
            return FALSE;
        }
        if (sec > 0 && now >= end) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                        "the storage of the file has not answered for %u s", sec);
            return FALSE;
        }
        (void)g_cond_wait_until(&task->changed, &task->lock, now + WITHIN_POLL_USEC);
    }
    return TRUE;
}

gboolean
virSaveWithin(virSaveWork *work, virSaveAction action, GCancellable *cancellable,
              guint sec, GError **error)
{
    virSaveTask *task = g_new0(virSaveTask, 1);
    gboolean ok = FALSE;

    g_atomic_ref_count_init(&task->refs);
    g_atomic_ref_count_inc(&task->refs);
    g_mutex_init(&task->lock);
    g_cond_init(&task->changed);
    task->action = action;
    task->work = *work;
    *work = (virSaveWork){NULL};
    g_thread_unref(g_thread_new("save-file", virSaveTaskRun, task));
    g_mutex_lock(&task->lock);
    if (virSaveTaskWait(task, cancellable, sec, error)) {
        *work = task->work;
        task->work = (virSaveWork){NULL};
        ok = task->ok;
        if (!ok)
            g_propagate_error(error, g_steal_pointer(&task->error));
    } else {
        g_atomic_int_set(&task->abandoned, TRUE);
    }
    g_mutex_unlock(&task->lock);
    virSaveTaskUnref(task);
    return ok;
}

/* --- the actions --------------------------------------------------------------------- */

gboolean
virSaveActionNew(virSaveWork *work, const gint *abandoned, GError **error)
{
    work->writer =
        virSaveWriterNew(work->path, work->image->uuid, 2 * work->image->slotSize,
                         work->flags, error);
    return work->writer != NULL;
}

gboolean
virSaveActionSeal(virSaveWork *work, const gint *abandoned, GError **error)
{
    return virSaveWriterSeal(work->writer, work->image, error);
}

gboolean
virSaveActionPublish(virSaveWork *work, const gint *abandoned, GError **error)
{
    if (g_atomic_int_get(abandoned))
        return FALSE; /* nobody hears it */
    return virSaveWriterPublish(work->writer, &work->uncertain, error);
}
