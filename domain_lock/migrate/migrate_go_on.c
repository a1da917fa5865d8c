/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate_go_on.c: QEMU's side of a migration that is given up: its stream ends, and the
 * guest, which nobody else may run, goes on here, or stays suspended (I6, I9).
 *
 * A QEMU that gives no answer (its storage hangs, or the other side of the stream) is waited
 * for, and asked again and again when that took too long: what it did with the last command
 * nobody knows.
 */
#include "domain_lock/sequence.h"
#include "migrate_priv.h"

#define OUT_POLL_USEC (G_USEC_PER_SEC / 2)
/* One attempt of many. */
#define OUT_AGAIN_USEC (5 * G_USEC_PER_SEC)
/* What has begun to complete is over in a moment, unless the other side says nothing. */
#define OUT_FINISH_USEC (10 * G_USEC_PER_SEC)
#define OUT_STOP_USEC (2 * G_USEC_PER_SEC)
#define OUT_STOP_NAP_USEC 2000

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
gboolean
virMigrateOutCancelStream(virDomainLockObj *obj, gint64 untilUsec, GError **error)
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
gboolean
virMigrateOutStopStream(virDomainLockObj *obj, gint64 untilUsec, GError **error)
{
    return (virDomainLockObjIsLeaseLost(obj) || virOutHoldStill(obj, untilUsec, error)) &&
           virMigrateOutCancelStream(obj, untilUsec, error);
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

/* A QEMU that gave no answer is asked again (virDomainLockMigrateGoOn). */
void
virMigrateOutShowStuck(virDomainLockObj *obj, const GError *why)
{
    g_autofree char *message = NULL;

    g_message("the guest may stand still: %s", why->message);
    if (!g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE) &&
        !g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT)) {
        virOutShowPaused(obj, why->message);
        return;
    }
    message = g_strdup_printf("it stays here, and goes on as soon as QEMU answers: %s",
                              why->message);
    if (virDomainLockObjGetState(obj) == VIR_DOMAIN_LOCK_STATE_PAUSED &&
        virDomainLockObjMayRun(obj))
        virDomainLockObjSetState(obj, VIR_DOMAIN_LOCK_STATE_PAUSED,
                                 VIR_DOMAIN_LOCK_REASON_MIGRATING, message);
    else
        virDomainLockObjSetMessage(obj, message);
    g_atomic_int_set(&obj->stuck, TRUE);
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

/* A guest that QEMU had stopped for the end of its stream it lets go on by itself when that is
 * cancelled, whether somebody has suspended it meanwhile or not. */
static gboolean
virOutHold(virDomainLockObj *obj, gboolean stands, gint64 untilUsec, GError **error)
{
    if (stands) {
        virOutShowPaused(obj, NULL);
        return TRUE;
    }
    virDomainLockObjSetPauseReason(obj, VIR_DOMAIN_LOCK_REASON_USER);
    return virOutInsist(obj, "stop", untilUsec, error);
}

/* The guest went into the migration running, or somebody had paused it, or has since: that is
 * known, while the reason of the last STOP may be that of any of several. */
gboolean
virMigrateOutContinue(virDomainLockObj *obj, gint64 untilUsec, GError **error)
{
    g_autofree char *status = virOutAskRunState(obj, untilUsec, error);
    gboolean stands;

    if (!status)
        return FALSE;
    stands = virOutStandsForUs(obj, status);
    if (virDomainLockObjIsHeld(obj) && (stands || g_str_equal(status, "running")))
        return virOutHold(obj, stands, untilUsec, error);
    return !stands || virOutCont(obj, untilUsec, error);
}

gboolean
virMigrateOutGoOn(virDomainLockObj *obj, gint64 reachUsec, GError **error)
{
    if (!virMigrateOutStopStream(obj, g_get_monotonic_time() + reachUsec, error))
        return FALSE;
    virOutAwaitHeard(obj, VIR_DOMAIN_LOCK_STATE_RUNNING);
    if (!virMigrateOutContinue(obj, g_get_monotonic_time() + reachUsec, error))
        return FALSE;
    if (!virDomainLockObjIsHeld(obj) && virDomainLockObjMayRun(obj))
        virOutAwaitHeard(obj, VIR_DOMAIN_LOCK_STATE_PAUSED);
    return TRUE;
}

/* QEMU's migration is over, whatever came of it. */
void
virMigrateOutForget(virDomainLockObj *obj)
{
    virMigrateStreamTearDown(obj);
    virDomainLockObjChangePauseReason(obj, VIR_DOMAIN_LOCK_REASON_MIGRATING,
                                      VIR_DOMAIN_LOCK_REASON_NONE);
}

gboolean
virDomainLockMigrateIsStuck(virDomainLockObj *obj)
{
    return g_atomic_int_get(&obj->stuck);
}

gboolean
virDomainLockMigrateGoOn(virDomainLockObj *obj, GError **error)
{
    if (!virDomainLockMigrateIsStuck(obj))
        return TRUE;
    if (!virMigrateOutGoOn(obj, OUT_AGAIN_USEC, error))
        return FALSE;
    g_atomic_int_set(&obj->stuck, FALSE);
    virMigrateOutForget(obj);
    return TRUE;
}
