/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate_check.c: what keeps a guest from being sent to another host, each by its name.
 */
#include "domain_lock/sequence.h"
#include "migrate_priv.h"

static gboolean
virOutCheckState(virMigrateOut *out, GError **error)
{
    virDomainLockReason reason;
    virDomainLockState state = virDomainLockObjGetStateAndReason(out->obj, &reason);

    gboolean held = state == VIR_DOMAIN_LOCK_STATE_PAUSED &&
                    (reason == VIR_DOMAIN_LOCK_REASON_USER ||
                     reason == VIR_DOMAIN_LOCK_REASON_NONE);

    virDomainLockObjSetHeld(out->obj, held);
    if (!virDomainLockObjIsLeaseLost(out->obj) &&
        (held || state == VIR_DOMAIN_LOCK_STATE_RUNNING))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE, "it is %s%s%s%s",
                virDomainLockStateName(state),
                reason != VIR_DOMAIN_LOCK_REASON_NONE ? " (" : "",
                virDomainLockReasonName(reason),
                reason != VIR_DOMAIN_LOCK_REASON_NONE ? ")" : "");
    return FALSE;
}

static gboolean
virOutCheckUnplug(virMigrateOut *out, GError **error)
{
    virDomainLockObj *obj = out->obj;
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);
    GHashTableIter iter;
    gpointer id = NULL;
    const char *target;

    g_hash_table_iter_init(&iter, obj->status->asked);
    if (!g_hash_table_iter_next(&iter, &id, NULL))
        return TRUE;
    target = virDomainDefFindDiskById(obj->def, id);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "it was asked to let go of disk '%s' and has not yet: wait until it has",
                target ? target : (const char *)id);
    return FALSE;
}

static gboolean
virOutCheckBlockJobs(virMigrateOut *out, GError **error)
{
    g_autoptr(JsonNode) answer = out->obj->guest->ops->command(
        out->obj->guest, "query-block-jobs", NULL,
        g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC, error);
    JsonArray *jobs =
        answer && JSON_NODE_HOLDS_ARRAY(answer) ? json_node_get_array(answer) : NULL;
    JsonNode *first =
        jobs && json_array_get_length(jobs) > 0 ? json_array_get_element(jobs, 0) : NULL;
    JsonObject *job =
        first && JSON_NODE_HOLDS_OBJECT(first) ? json_node_get_object(first) : NULL;

    if (!answer)
        return FALSE;
    if (!first)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "block job '%s' (%s) runs: wait for its end, or cancel it",
                job ? virDomainLockJsonString(job, "device") : "?",
                job ? virDomainLockJsonString(job, "type") : "?");
    return FALSE;
}

/* Its state is in a process beside QEMU, which would have to come along. */
static gboolean
virOutCheckTpm(virMigrateOut *out, GError **error)
{
    g_autoptr(virDomainTpmEmulator) tpm = virDomainDefGetTpmEmulator(
        out->obj->def, virDomainLockRuntimeGetPath(out->obj->runtime));

    if (!tpm)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                "it has an emulated TPM, which cannot move while it runs");
    return FALSE;
}

/* Its deadline is this supervisor's, and whoever waits for the end waits here. */
gboolean
virMigrateOutCheckRequest(virMigrateOut *out, GError **error)
{
    virDomainLockReason what = virDomainLockObjGetRequest(out->obj, NULL);

    if (what == VIR_DOMAIN_LOCK_REASON_NONE)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "it was asked to %s; 'leasehold shutdown %s --abort' withdraws that",
                what == VIR_DOMAIN_LOCK_REASON_REBOOT_REQUESTED ? "reboot" : "shut down",
                out->obj->status->info->name);
    return FALSE;
}

static gboolean
virOutCheckOwner(virMigrateOut *out, GError **error)
{
    gint64 pid = out->obj->spec->owner.pid;

    if (pid == 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                "it belongs to a program of this host (pid %" G_GINT64_FORMAT
                ", autodestroy), with which it ends",
                pid);
    return FALSE;
}

gboolean
virMigrateOutCheck(virMigrateOut *out, GError **error)
{
    return virOutCheckState(out, error) && virMigrateOutCheckRequest(out, error) &&
           virOutCheckOwner(out, error) &&
           virOutCheckUnplug(out, error) &&
           virOutCheckBlockJobs(out, error) && virOutCheckTpm(out, error);
}
