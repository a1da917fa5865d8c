/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate_back.c: a guest that was to go to another host goes on here, or turns out to have
 * gone (I6, I7).
 *
 * Before the source's word that is a matter of cancelling the stream. After it, the storage
 * decides: the destination advances the epoch of the run record before it runs the guest, and
 * holds the bridge of the run lease as long as it can. So the source may run it again if it
 * gets that bridge and the epoch has not moved, and never if it has.
 */
#include "domain_lock/job.h"
#include "domain_lock/reattach.h"
#include "domain_lock/sequence.h"
#include "migrate_priv.h"
#include <leasehold/lock_driver.h>

#define OUT_POLL_USEC (G_USEC_PER_SEC / 2)
/* A QEMU that hangs may answer again, and its guest is nobody else's. */
#define OUT_REACH_USEC (120 * G_USEC_PER_SEC)
/* What has begun to complete is over in a moment, unless the other side says nothing. */
#define OUT_FINISH_USEC (10 * G_USEC_PER_SEC)
#define OUT_STOP_USEC (2 * G_USEC_PER_SEC)
#define OUT_STOP_NAP_USEC 2000
#define OUT_LEAVE_USEC (15 * G_USEC_PER_SEC)
/* The lock daemon of a destination that gave up may take this long to free its bridges. */
#define OUT_BACK_USEC (10 * G_USEC_PER_SEC)
#define OUT_BACK_BUSY_USEC (3 * G_USEC_PER_SEC)

/* --- the stream ends ---------------------------------------------------------------- */

/* TRUE: *why was that QEMU did not answer, and is forgotten: ask again. */
static gboolean
virOutMayAnswer(gint64 untilUsec, GError **why)
{
    if (!g_error_matches(*why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE) ||
        g_get_monotonic_time() >= untilUsec)
        return FALSE;
    g_clear_error(why);
    return TRUE;
}

static gboolean
virOutInsist(virDomainLockObj *obj, const char *command, gint64 untilUsec, GError **error)
{
    GError *why = NULL;

    while (!virDomainLockCommandSimple(obj, command, &why)) {
        if (virOutMayAnswer(untilUsec, &why))
            continue;
        g_propagate_error(error, why);
        return FALSE;
    }
    return TRUE;
}

/* QEMU's run state, when it is not about to complete; g_free. */
static char *
virOutAskRunState(virDomainLockObj *obj, gint64 untilUsec, GError **error)
{
    GError *why = NULL;
    char *status;

    while (!(status = virMigrateStreamGetRunState(obj, &why)) &&
           virOutMayAnswer(untilUsec, &why))
        ;
    if (why)
        g_propagate_error(error, why);
    return status;
}

/* QEMU 7.2 aborts when a cancel meets the completion: it starts a guest again that it found
 * running, whose images it has given up by then. It starts none that stood still before, so the
 * guest is stopped, and a completion that was faster is let through. One that breaks starts the
 * guest again: then it is stopped once more. */
static gboolean
virOutHoldStill(virDomainLockObj *obj, gint64 untilUsec, GError **error)
{
    gint64 finish = g_get_monotonic_time() + OUT_FINISH_USEC;

    for (;;) {
        g_autofree char *status = NULL;
        gboolean finishes;

        virDomainLockObjChangePauseReason(obj, VIR_DOMAIN_LOCK_REASON_NONE,
                                          VIR_DOMAIN_LOCK_REASON_MIGRATING);
        if (!virOutInsist(obj, "stop", untilUsec, error) ||
            !(status = virOutAskRunState(obj, untilUsec, error)))
            return FALSE;
        finishes = g_str_equal(status, "finish-migrate");
        if (!finishes && !g_str_equal(status, "running"))
            return TRUE;
        if (finishes && g_get_monotonic_time() >= finish)
            return TRUE;
        if (g_get_monotonic_time() >= untilUsec) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                        "it does not stand still (%s)", status);
            return FALSE;
        }
    }
}

/* Until QEMU's migration is over in one way or another. */
static gboolean
virOutIsOver(const virMigrateProgress *progress)
{
    static const char *const ends[] = {"none", "cancelled", "failed", "completed", NULL};

    return g_strv_contains(ends, progress->status);
}

/* Of a guest that stands still. */
static gboolean
virOutCancelStream(virDomainLockObj *obj, gint64 untilUsec, GError **error)
{
    g_auto(virMigrateProgress) progress = {0};

    if (!virOutInsist(obj, "migrate_cancel", untilUsec, error))
        return FALSE;
    for (;;) {
        guint64 serial = obj->guest->ops->eventSerial(obj->guest);
        GError *why = NULL;

        if (virMigrateStreamQuery(obj, &progress, &why)) {
            if (virOutIsOver(&progress))
                return TRUE;
            virMigrateStreamAwait(obj, serial, g_get_monotonic_time() + OUT_POLL_USEC, NULL);
            if (g_get_monotonic_time() < untilUsec)
                continue;
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                        "the stream of its memory does not end (%s)", progress.status);
            return FALSE;
        }
        if (virOutMayAnswer(untilUsec, &why))
            continue;
        g_propagate_error(error, why);
        return FALSE;
    }
}

/* The word was not given, so nobody else can run the guest, which stands still afterwards. One
 * whose leases are given up was stopped before that. */
static gboolean
virOutStopStream(virDomainLockObj *obj, gint64 untilUsec, GError **error)
{
    return (virDomainLockObjIsLeaseLost(obj) || virOutHoldStill(obj, untilUsec, error)) &&
           virOutCancelStream(obj, untilUsec, error);
}

/* --- going on here ------------------------------------------------------------------ */

/* QEMU's events are handled by another thread: not before that are state and reason known. */
static void
virOutAwaitHeard(virDomainLockObj *obj, virDomainLockState before)
{
    gint64 deadline = g_get_monotonic_time() + OUT_STOP_USEC;

    while (virDomainLockObjGetState(obj) == before && g_get_monotonic_time() < deadline)
        g_usleep(OUT_STOP_NAP_USEC);
}

/* Does it stand still because of the migration, or of its end? QEMU knows of an I/O error, or of
 * a guest that finished, until it has sent everything; then only what was heard tells. */
static gboolean
virOutStandsForUs(virDomainLockObj *obj, const char *status)
{
    virDomainLockReason reason;
    virDomainLockState state = virDomainLockObjGetStateAndReason(obj, &reason);

    if (!g_str_equal(status, "postmigrate"))
        return g_str_equal(status, "paused");
    return (state == VIR_DOMAIN_LOCK_STATE_RUNNING ||
            state == VIR_DOMAIN_LOCK_STATE_PAUSED) &&
           reason != VIR_DOMAIN_LOCK_REASON_IO_ERROR &&
           reason != VIR_DOMAIN_LOCK_REASON_CRASHED;
}

static void
virOutShowPaused(virDomainLockObj *obj, const char *message)
{
    if (virDomainLockObjGetState(obj) == VIR_DOMAIN_LOCK_STATE_PAUSED &&
        virDomainLockObjMayRun(obj))
        virDomainLockObjSetState(obj, VIR_DOMAIN_LOCK_STATE_PAUSED,
                                 VIR_DOMAIN_LOCK_REASON_USER, message);
}

static void
virOutShowStuck(virDomainLockObj *obj, const GError *why)
{
    g_message("the guest may stand still: %s", why->message);
    virOutShowPaused(obj, why->message);
}

/* Not once more after the leases were lost meanwhile: that stop comes first then. */
static gboolean
virOutCont(virDomainLockObj *obj, gint64 untilUsec, GError **error)
{
    GError *why = NULL;

    while (virDomainLockObjMayRun(obj) && !virDomainLockCommandSimple(obj, "cont", &why)) {
        if (virOutMayAnswer(untilUsec, &why))
            continue;
        g_propagate_error(error, why);
        return FALSE;
    }
    return TRUE;
}

/* The guest went into the migration running, or somebody had paused it, or has since: that is
 * known, while the reason of the last STOP may be that of any of several. */
static gboolean
virOutContinue(virDomainLockObj *obj, gint64 untilUsec, GError **error)
{
    g_autofree char *status = virOutAskRunState(obj, untilUsec, error);

    if (!status)
        return FALSE;
    if (!virOutStandsForUs(obj, status))
        return TRUE;
    if (!virDomainLockObjIsHeld(obj))
        return virOutCont(obj, untilUsec, error);
    virOutShowPaused(obj, NULL);
    return TRUE;
}

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

static void
virOutGoOn(virDomainLockObj *obj)
{
    g_autoptr(GError) why = NULL;

    if (!virOutStopStream(obj, virOutReach(), &why)) {
        virOutShowStuck(obj, why);
        return;
    }
    virOutAwaitHeard(obj, VIR_DOMAIN_LOCK_STATE_RUNNING);
    if (!virOutContinue(obj, virOutReach(), &why))
        virOutShowStuck(obj, why);
    else if (!virDomainLockObjIsHeld(obj) && virDomainLockObjMayRun(obj))
        virOutAwaitHeard(obj, VIR_DOMAIN_LOCK_STATE_PAUSED);
}

/* Before the word: the guest stays, as if nothing had been. */
void
virMigrateOutGoBack(virMigrateOut *out)
{
    virDomainLockObj *obj = out->obj;
    g_autoptr(GError) why = NULL;

    virDomainLockJobAlone(obj);
    if (out->streaming)
        virOutGoOn(obj);
    virMigrateStreamTearDown(obj);
    virDomainLockObjChangePauseReason(obj, VIR_DOMAIN_LOCK_REASON_MIGRATING,
                                      VIR_DOMAIN_LOCK_REASON_NONE);
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
        if (!virOutCancelStream(obj, virOutReach(), &stuck) ||
            !virOutContinue(obj, virOutReach(), &stuck))
            virOutShowStuck(obj, stuck);
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
        if (!virOutStopStream(obj, until, error))
            return FALSE;
        virMigrateStreamTearDown(obj);
    }
    virReattachNote(re, "its migration to host '%s' was cut off; it stays here", host);
    virDomainLockObjEmit(obj, "MIGRATION_FAILED", host, "its supervisor died");
    return step < VIR_MIGRATE_STEP_STREAM || virOutContinue(obj, until, error);
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
