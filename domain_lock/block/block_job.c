/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * block_job.c: one job of QEMU.
 *
 * Nothing is automatic: a job that has done its work waits ("pending") until the changed chain
 * is written down, and one that ended ("concluded") is still there to be asked how. So no event
 * has to be caught, and a supervisor that comes later finds the job as it is.
 */
#include "block.h"
#include "domain_lock/codec.h"
#include "domain_lock/job.h"
#include <string.h>

#define BLOCK_JOB_POLL_USEC (G_USEC_PER_SEC / 2)
/* Requests that are in flight when a job is cancelled have to end. */
#define BLOCK_JOB_END_USEC (60 * G_USEC_PER_SEC)

char *
virBlockJobId(const char *target)
{
    return g_strconcat(VIR_BLOCK_JOB_PREFIX, target, NULL);
}

gboolean
virBlockJobStart(virDomainLockObj *obj, const char *id, const char *command,
                 JsonObject *args, GError **error)
{
    json_object_set_string_member(args, "job-id", id);
    if (!g_str_equal(command, "blockdev-create")) {
        json_object_set_boolean_member(args, "auto-finalize", FALSE);
        json_object_set_boolean_member(args, "auto-dismiss", FALSE);
    }
    return virBlockCommand(obj, command, args, error);
}

gboolean
virBlockJobTell(virDomainLockObj *obj, const char *id, const char *command,
                GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();

    json_object_set_string_member(args, "id", id);
    return virBlockCommand(obj, command, args, error);
}

/* --- waiting ------------------------------------------------------------------------ */

typedef struct {
    char *status; /* NULL: there is no such job */
    char *error;
    gint64 done, total;
} virBlockJobStatus;

static void
virBlockJobStatusClear(virBlockJobStatus *status)
{
    g_free(status->status);
    g_free(status->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(virBlockJobStatus, virBlockJobStatusClear)

static gboolean
virBlockJobLook(virDomainLockObj *obj, const char *id, virBlockJobStatus *status,
                GError **error)
{
    g_autoptr(JsonNode) jobs = virBlockQuery(obj, "query-jobs", NULL, error);
    JsonObject *job = jobs ? virBlockFind(jobs, "id", id) : NULL;

    status->status = g_strdup(virDomainLockJsonString(job, "status"));
    status->error = g_strdup(virDomainLockJsonString(job, "error"));
    status->done = virDomainLockJsonInt(job, "current-progress", 0);
    status->total = virDomainLockJsonInt(job, "total-progress", 0);
    return jobs != NULL;
}

/* Until the job changes, or for a moment. */
static gboolean
virBlockJobNap(virDomainLockObj *obj, const char *id, guint64 since,
               GCancellable *cancellable, GError **error)
{
    virDomainLockEventOf wanted = {
        .event = "JOB_STATUS_CHANGE", .key = "id", .value = id, .since = since};
    g_autoptr(GError) why = NULL;
    g_autoptr(JsonNode) event = obj->guest->ops->waitEventOf(
        obj->guest, &wanted, g_get_monotonic_time() + BLOCK_JOB_POLL_USEC, cancellable,
        &why);

    /* that it may have been missed is as good as the event: the job is asked again */
    if (event || g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT) ||
        g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE))
        return TRUE;
    if (g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED))
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED, "it was cancelled");
    else
        g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

static gboolean
virBlockJobIsIn(const virBlockJobStatus *status, const char *wanted)
{
    g_auto(GStrv) names = g_strsplit(wanted, ",", -1);

    return status->status && g_strv_contains((const char *const *)names, status->status);
}

static gboolean
virBlockJobFailed(const virBlockJobStatus *status, GError **error)
{
    if (!status->status)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE,
                    "QEMU's job is gone, and nobody saw how it ended");
    else if (g_strcmp0(status->error, "Operation canceled") == 0)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED,
                    "QEMU's job was cancelled");
    else
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "QEMU's job failed: %s",
                    status->error ? status->error : "it ended too early");
    return FALSE;
}

static gboolean
virBlockJobWait(virDomainLockObj *obj, const char *id, const char *wanted,
                gint64 deadlineUsec, GCancellable *cancellable, GError **error)
{
    for (;;) {
        guint64 since = obj->guest->ops->eventSerial(obj->guest);
        g_auto(virBlockJobStatus) status = {0};

        if (!virBlockJobLook(obj, id, &status, error))
            return FALSE;
        if (deadlineUsec == 0)
            virDomainLockJobProgress(obj, status.done, status.total);
        if (virBlockJobIsIn(&status, wanted) && !status.error)
            return TRUE;
        if (!status.status || virBlockJobIsIn(&status, "concluded,null"))
            return virBlockJobFailed(&status, error);
        if (deadlineUsec > 0 && g_get_monotonic_time() >= deadlineUsec) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                        "QEMU's job '%s' does not end (%s)", id, status.status);
            return FALSE;
        }
        if (!virBlockJobNap(obj, id, since, cancellable, error))
            return FALSE;
    }
}

gboolean
virBlockJobAwait(virDomainLockObj *obj, const char *id, const char *wanted,
                 GError **error)
{
    return virBlockJobWait(obj, id, wanted, 0, virDomainLockJobCancellable(obj), error);
}

gboolean
virBlockJobFinalize(virDomainLockObj *obj, const char *id, GError **error)
{
    return virBlockJobTell(obj, id, "job-finalize", error) &&
           virBlockJobWait(obj, id, "concluded",
                           g_get_monotonic_time() + BLOCK_JOB_END_USEC, NULL, error) &&
           virBlockJobTell(obj, id, "job-dismiss", error);
}

gboolean
virBlockJobRemove(virDomainLockObj *obj, const char *id, GError **error)
{
    g_auto(virBlockJobStatus) status = {0};
    g_autoptr(GError) how = NULL;

    if (!virBlockJobLook(obj, id, &status, error))
        return FALSE;
    if (!status.status)
        return TRUE;
    /* how it ends is of no interest; that it has is what "dismiss" sees */
    if (!virBlockJobIsIn(&status, "concluded") &&
        virBlockJobTell(obj, id, "job-cancel", &how))
        (void)virBlockJobWait(obj, id, "concluded",
                              g_get_monotonic_time() + BLOCK_JOB_END_USEC, NULL, &how);
    if (virBlockJobTell(obj, id, "job-dismiss", error))
        return TRUE;
    if (how)
        g_prefix_error(error, "%s; ", how->message);
    return FALSE;
}
