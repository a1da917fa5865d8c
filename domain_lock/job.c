/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * job.c: the job of a guest that takes long; see job.h.
 *
 * Everything is under the object's lock, but for firing the cancellable, which runs the
 * callbacks of whoever waits on it.
 */
#include "job.h"

/* Clients hear of progress this often. */
#define JOB_TELL_USEC (G_USEC_PER_SEC / 2)
/* A quick command waits this long for a job that permits none beside it. */
#define JOB_BESIDE_USEC (10 * G_USEC_PER_SEC)

void
virDomainLockJobBegin(virDomainLockObj *obj, const char *name, const char *detail,
                      guint flags)
{
    virDomainLockInfo *info = obj->status->info;

    g_mutex_lock(&obj->lock);
    g_assert(!obj->job.cancellable);
    obj->job.cancellable = g_cancellable_new();
    obj->job.asked = FALSE;
    obj->job.sealed = FALSE;
    obj->job.alone = (flags & VIR_DOMAIN_LOCK_JOB_ALONE) != 0;
    obj->job.toldUsec = g_get_monotonic_time();
    g_free(info->job);
    info->job = g_strdup(name);
    g_free(info->jobDetail);
    info->jobDetail = g_strdup(detail);
    info->jobStartedUsec = g_get_real_time();
    info->jobDone = 0;
    info->jobTotal = 0;
    while (obj->job.alone && obj->job.beside > 0)
        g_cond_wait(&obj->job.changed, &obj->lock);
    g_mutex_unlock(&obj->lock);
    virDomainLockObjChanged(obj);
}

void
virDomainLockJobProgress(virDomainLockObj *obj, gint64 done, gint64 total)
{
    virDomainLockInfo *info = obj->status->info;
    gint64 now = g_get_monotonic_time();
    gboolean tell;

    g_mutex_lock(&obj->lock);
    info->jobDone = MAX(done, 0);
    info->jobTotal = MAX(total, 0);
    tell = now - obj->job.toldUsec >= JOB_TELL_USEC;
    if (tell)
        obj->job.toldUsec = now;
    g_mutex_unlock(&obj->lock);
    if (tell)
        virDomainLockObjChanged(obj);
}

GCancellable *
virDomainLockJobCancellable(virDomainLockObj *obj)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    return obj->job.cancellable;
}

gboolean
virDomainLockJobSeal(virDomainLockObj *obj, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    if (obj->job.asked) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED, "it was cancelled");
        return FALSE;
    }
    obj->job.sealed = TRUE;
    while (obj->job.beside > 0)
        g_cond_wait(&obj->job.changed, &obj->lock);
    return TRUE;
}

void
virDomainLockJobAlone(virDomainLockObj *obj)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    obj->job.alone = TRUE;
    while (obj->job.beside > 0)
        g_cond_wait(&obj->job.changed, &obj->lock);
}

void
virDomainLockJobEnd(virDomainLockObj *obj)
{
    virDomainLockInfo *info = obj->status->info;

    g_mutex_lock(&obj->lock);
    g_clear_object(&obj->job.cancellable);
    obj->job.sealed = FALSE;
    obj->job.alone = FALSE;
    g_clear_pointer(&info->job, g_free);
    g_clear_pointer(&info->jobDetail, g_free);
    info->jobStartedUsec = 0;
    info->jobDone = 0;
    info->jobTotal = 0;
    g_cond_broadcast(&obj->job.changed);
    g_mutex_unlock(&obj->lock);
    virDomainLockObjChanged(obj);
}

gboolean
virDomainLockJobAsk(virDomainLockObj *obj, GError **error)
{
    virDomainLockInfo *info = obj->status->info;
    g_autoptr(GCancellable) cancellable = NULL;

    g_mutex_lock(&obj->lock);
    if (!obj->job.cancellable)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "guest '%s' has no job that could be cancelled", info->name);
    else if (obj->job.sealed)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "it is too late to cancel: %s of guest '%s' is being completed",
                    info->job, info->name);
    else
        cancellable = g_object_ref(obj->job.cancellable);
    obj->job.asked |= cancellable != NULL;
    g_mutex_unlock(&obj->lock);
    if (cancellable)
        g_cancellable_cancel(cancellable);
    return cancellable != NULL;
}

/* --- beside it ---------------------------------------------------------------------- */

/* With the lock held. */
static char *
virJobText(virDomainLockObj *obj)
{
    virDomainLockInfo *info = obj->status->info;
    GString *text = NULL;

    if (!info->job)
        return NULL;
    text = g_string_new(info->job);
    if (info->jobDetail || info->jobTotal > 0)
        g_string_append(text, " (");
    if (info->jobDetail)
        g_string_append(text, info->jobDetail);
    if (info->jobTotal > 0)
        g_string_append_printf(
            text, "%s%d %%", info->jobDetail ? ", " : "",
            (int)(100.0 * (double)info->jobDone / (double)info->jobTotal));
    if (info->jobDetail || info->jobTotal > 0)
        g_string_append(text, ")");
    return g_string_free(text, FALSE);
}

char *
virDomainLockJobText(virDomainLockObj *obj)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    return virJobText(obj);
}

gboolean
virDomainLockBesideBegin(virDomainLockObj *obj, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);
    gint64 deadline = g_get_monotonic_time() + JOB_BESIDE_USEC;
    g_autofree char *text = NULL;

    while (obj->job.sealed || obj->job.alone) {
        if (g_cond_wait_until(&obj->job.changed, &obj->lock, deadline))
            continue;
        text = virJobText(obj);
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY,
                    "guest '%s' is busy, and nothing may be done beside that: %s",
                    obj->status->info->name, text ? text : "a job that ends just now");
        return FALSE;
    }
    obj->job.beside++;
    return TRUE;
}

void
virDomainLockBesideEnd(virDomainLockObj *obj)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    obj->job.beside--;
    g_cond_broadcast(&obj->job.changed);
}
