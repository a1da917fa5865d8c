/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate_back.c: a guest that was to go to another host goes on here, or turns out to have
 * gone (I6, I7).
 *
 * Before the source's word that is a matter of cancelling the stream (migrate_go_on.c). After
 * it, the storage decides: the destination advances the epoch of the run record before it runs
 * the guest, and holds the bridge of the run lease as long as it can. So the source may run it
 * again if it gets that bridge and the epoch has not moved, and never if it has.
 */
#include "domain_lock/job.h"
#include "domain_lock/reattach.h"
#include "domain_lock/sequence.h"
#include "migrate_priv.h"
#include <leasehold/lock_driver.h>

/* A QEMU that hangs may answer again, and its guest is nobody else's. */
#define OUT_REACH_USEC (120 * G_USEC_PER_SEC)
#define OUT_POLL_USEC (G_USEC_PER_SEC / 2)
#define OUT_LEAVE_USEC (15 * G_USEC_PER_SEC)
/* The lock daemon of a destination that gave up may take this long to free its bridges. */
#define OUT_BACK_USEC (10 * G_USEC_PER_SEC)
#define OUT_BACK_BUSY_USEC (3 * G_USEC_PER_SEC)

/* --- before the word ---------------------------------------------------------------- */

static gint64
virOutReach(void)
{
    return g_get_monotonic_time() + OUT_REACH_USEC;
}

gboolean
virMigrateOutSayCancel(virMigrateOut *out)
{
    g_autoptr(JsonObject) cancel = virMigrateMessageNew("cancel");

    return virMigrateChannelSend(out->channel, cancel, NULL);
}

/* The other side has undone everything when it closes the channel. */
static void
virOutSeeOff(virMigrateOut *out)
{
    gint64 deadline = g_get_monotonic_time() + OUT_LEAVE_USEC;
    gboolean more = virMigrateOutSayCancel(out);

    while (more && !virMigrateChannelPeerFailed(out->channel)) {
        g_autoptr(JsonObject) message =
            virMigrateChannelReceive(out->channel, deadline, NULL, NULL);

        more = message != NULL;
    }
}

/* Before the word: the guest stays, as if nothing had been. */
void
virMigrateOutGoBack(virMigrateOut *out)
{
    virDomainLockObj *obj = out->obj;
    g_autoptr(GError) why = NULL;

    virDomainLockJobAlone(obj);
    if (out->streaming)
        virMigrateOutCut(out);
    if (out->streaming && !virMigrateOutGoOn(obj, OUT_REACH_USEC, &why))
        virMigrateOutShowStuck(obj, why);
    g_clear_error(&why);
    if (!virDomainLockMigrateIsStuck(obj))
        virMigrateOutForget(obj);
    if (!virLockManagerCompleteMigrateOut(obj->man, VIR_LOCK_MANAGER_MIGRATE_CANCEL, NULL,
                                          NULL, &why) &&
        !g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE))
        g_warning("%s", why->message);
    virOutSeeOff(out);
}

/* --- after the word ----------------------------------------------------------------- */

void
virMigrateOutShowYielded(virMigrateOut *out)
{
    virDomainLockState state = virDomainLockObjGetState(out->obj);
    g_autofree char *message = g_strdup_printf(
        "yielded to host '%s': it runs there, or comes back when that host gives it up",
        out->host);

    /* one that has finished stays finished */
    if (state != VIR_DOMAIN_LOCK_STATE_RUNNING && state != VIR_DOMAIN_LOCK_STATE_PAUSED)
        return;
    virDomainLockObjSetState(out->obj, VIR_DOMAIN_LOCK_STATE_PAUSED,
                             VIR_DOMAIN_LOCK_REASON_YIELDED, message);
}

/* What it waits for: who has the bridge, and until when that host may be thought alive. */
static void
virOutShowWaiting(virMigrateOut *out, const GError *why)
{
    g_autofree char *message =
        g_strdup_printf("yielded to host '%s': %s", out->host, why->message);

    virDomainLockObjSetMessage(out->obj, message);
}

gboolean
virMigrateOutDrain(virDomainLockObj *obj, gint64 deadlineUsec, GError **error)
{
    static const char *const follows[] = {"active", "device", "postcopy-active", NULL};
    g_auto(virMigrateProgress) progress = {0};

    for (;;) {
        guint64 serial = obj->guest->ops->eventSerial(obj->guest);

        if (!virMigrateStreamQuery(obj, &progress, error))
            return FALSE;
        if (g_str_equal(progress.status, "completed"))
            return TRUE;
        if (!g_strv_contains(follows, progress.status) ||
            g_get_monotonic_time() >= deadlineUsec) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                        "%" G_GINT64_FORMAT " bytes of its memory have not followed (%s)",
                        progress.remainingBytes, progress.status);
            return FALSE;
        }
        virMigrateStreamAwait(obj, serial, g_get_monotonic_time() + OUT_POLL_USEC, NULL);
    }
}

gboolean
virMigrateOutFinish(virDomainLockObj *obj, gint64 deadlineUsec, GError **error)
{
    if (virMigrateOutDrain(obj, deadlineUsec, error))
        return TRUE;
    /* a QEMU whose stream broke may have activated its images again: no quit, which flushes */
    obj->guest->ops->kill(obj->guest, FALSE);
    return FALSE;
}

gboolean
virMigrateOutEnd(virMigrateOut *out, GError **error)
{
    virDomainLockObjSetEndReason(out->obj, VIR_DOMAIN_LOCK_REASON_MIGRATED);
    virDomainLockObjEmit(out->obj, "MIGRATED", out->host, NULL);
    return virDomainLockEnd(out->obj, error);
}

virMigrateFate
virDomainLockMigrateTakeBack(virMigrateOut *out, GError **error)
{
    gint64 now = g_get_monotonic_time();
    virLockWait wait = {.structSize = sizeof(wait),
                        .deadlineUsec = now + OUT_BACK_USEC,
                        .busyUsec = now + OUT_BACK_BUSY_USEC};
    virDomainLockObj *obj = out->obj;
    g_autoptr(GError) why = NULL;

    if (virLockManagerCompleteMigrateOut(obj->man, VIR_LOCK_MANAGER_MIGRATE_CANCEL, NULL,
                                         &wait, &why)) {
        g_autoptr(GError) stuck = NULL;

        out->yielded = FALSE;
        /* it stands still since the word, for QEMU "finish-migrate" as long as memory follows */
        if (!virMigrateOutCancelStream(obj, virOutReach(), &stuck) ||
            !virMigrateOutContinue(obj, virOutReach(), &stuck))
            virMigrateOutShowStuck(obj, stuck);
        if (!virDomainLockMigrateIsStuck(obj))
            virMigrateStreamTearDown(obj);
        virDomainLockObjEmit(obj, "MIGRATION_FAILED", out->host,
                             "it did not run there, and goes on here");
        return VIR_MIGRATE_FATE_HERE;
    }
    if (g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STALE)) {
        g_autoptr(GError) cut = NULL;

        if (!virMigrateOutFinish(obj, G_MAXINT64, &cut))
            g_warning("%s", cut->message);
        if (virMigrateOutEnd(out, error))
            return VIR_MIGRATE_FATE_THERE;
        return VIR_MIGRATE_FATE_UNKNOWN;
    }
    virOutShowWaiting(out, why);
    g_propagate_prefixed_error(
        error, g_steal_pointer(&why),
        "guest '%s' was yielded to host '%s', which has not said that it runs: ",
        obj->status->info->name, out->host);
    return VIR_MIGRATE_FATE_UNKNOWN;
}

/* --- a new supervisor --------------------------------------------------------------- */

static const virLockLease *
virOutRunLease(GPtrArray *leases)
{
    for (guint i = 0; i < leases->len; i++) {
        const virLockLease *lease = g_ptr_array_index(leases, i);

        if (lease->type == VIR_LOCK_RESOURCE_RUN)
            return lease;
    }
    return NULL;
}

gboolean
virMigrateEpochMoved(virReattach *re)
{
    g_autoptr(GPtrArray) leases = virLockManagerGetLeases(re->obj->man);
    const virLockLease *before = virOutRunLease(re->recorded);
    const virLockLease *now = virOutRunLease(leases);

    return !before || !now || before->epoch != now->epoch;
}

/* As the old supervisor left it: yielded, unless it is clear by now that the guest ran there. */
static gboolean
virOutRecoverYielded(virReattach *re, GError **error)
{
    virDomainLockObj *obj = re->obj;
    g_autofree char *host = virDomainLockObjGetPeer(obj);
    virMigrateOut out = {.obj = obj, .host = host};
    g_autofree char *ticket = NULL;
    g_autoptr(GError) cut = NULL;

    if (virMigrateEpochMoved(re)) {
        if (!virMigrateOutFinish(obj, G_MAXINT64, &cut))
            g_warning("%s", cut->message);
        virReattachNote(re, "it runs, or ran, on host '%s'", host);
        virDomainLockObjSetEndReason(obj, VIR_DOMAIN_LOCK_REASON_MIGRATED);
        virDomainLockObjEmit(obj, "MIGRATED", host, NULL);
        return TRUE;
    }
    if (!virLockManagerPrepareMigrate(obj->man, host, 0, &ticket, re->wait, error) ||
        !virLockManagerCompleteMigrateOut(obj->man, 0, NULL, re->wait, error))
        return FALSE;
    virMigrateOutShowYielded(&out);
    return TRUE;
}

/* The word was not given: the other side has lost its channel and gives up. */
static gboolean
virOutRecoverStreaming(virReattach *re, guint step, GError **error)
{
    virDomainLockObj *obj = re->obj;
    g_autofree char *host = virDomainLockObjGetPeer(obj);
    gint64 until = MIN(virOutReach(), re->wait->deadlineUsec);

    if (step >= VIR_MIGRATE_STEP_STREAM) {
        if (!virMigrateOutStopStream(obj, until, error))
            return FALSE;
        virMigrateStreamTearDown(obj);
    }
    virReattachNote(re, "its migration to host '%s' was cut off; it stays here", host);
    virDomainLockObjEmit(obj, "MIGRATION_FAILED", host, "its supervisor died");
    return step < VIR_MIGRATE_STEP_STREAM || virMigrateOutContinue(obj, until, error);
}

gboolean
virMigrateOutRecover(virReattach *re, guint step, GError **error)
{
    g_autofree char *status = NULL;

    if (step < VIR_MIGRATE_STEP_WORD)
        return virOutRecoverStreaming(re, step, error);
    status = virMigrateStreamGetRunState(re->obj, error);
    if (!status)
        return FALSE;
    /* a guest that runs is not bound by a word: it was not given, or was taken back */
    if (g_str_equal(status, "running") && !virMigrateEpochMoved(re))
        return virOutRecoverStreaming(re, step, error);
    return virOutRecoverYielded(re, error);
}
