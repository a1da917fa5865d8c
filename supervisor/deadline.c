/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * deadline.c: forced stops and wakeups.
 *
 * The times are kept as wall clock, which is what a restarted supervisor can compare. Within
 * the life of one supervisor they run by the monotonic clock, from when they were first seen:
 * setting the host's clock moves none of them.
 */
#include "supervisor/deadline.h"
#include "domain_lock/job.h"
#include "domain_lock/power_state.h"
#include "domain_lock/step.h"
#include "supervisor/supervisor.h"

/* What QEMU gets to write its caches after SIGTERM, before SIGKILL. */
#define FORCE_GRACE_SEC 10
#define WAKE_RETRY_SEC 10
/* A guest whose time of waking comes before it sleeps: so long it may still fall asleep. */
#define WAKE_LATE_USEC (120 * G_USEC_PER_SEC)

typedef struct {
    gint64 whenUsec; /* wall clock; 0: not set */
    GSource *source;
} virDeadline;

struct _virSupervisorDeadlines {
    virSupervisor *sup;
    virDeadline force;
    virDeadline wake;
    guint graceTimer;
    guint retryTimer;
};

/* --- timers ------------------------------------------------------------------------- */

static void
virDeadlineClear(virDeadline *deadline)
{
    if (deadline->source) {
        g_source_destroy(deadline->source);
        g_source_unref(deadline->source);
    }
    deadline->source = NULL;
    deadline->whenUsec = 0;
}

static void
virDeadlineSet(virDeadline *deadline, gint64 whenUsec, GSourceFunc func, gpointer data)
{
    gint64 left = MAX(whenUsec - g_get_real_time(), 0);

    if (whenUsec == deadline->whenUsec)
        return;
    virDeadlineClear(deadline);
    if (whenUsec == 0)
        return;
    deadline->whenUsec = whenUsec;
    /* not g_timeout_add: its milliseconds are an unsigned int, and overflow after 49 days */
    deadline->source = g_timeout_source_new(0);
    g_source_set_ready_time(deadline->source, g_get_monotonic_time() + left);
    g_source_set_callback(deadline->source, func, data, NULL);
    g_source_attach(deadline->source, NULL);
}

/* Its time is not forgotten, so that it is due once. */
static void
virDeadlineFired(virDeadline *deadline)
{
    g_source_unref(deadline->source);
    deadline->source = NULL;
}

/* --- forced off --------------------------------------------------------------------- */

static gboolean
virDeadlineGraceOver(gpointer data)
{
    virSupervisorDeadlines *self = data;
    virDomainLockObj *obj = virSupervisorGetObj(self->sup);

    self->graceTimer = 0;
    g_message("QEMU does not end by SIGTERM; it is killed");
    obj->guest->ops->kill(obj->guest, FALSE);
    return G_SOURCE_REMOVE;
}

/* The signal waits for no job, so a job that hangs keeps no guest alive beyond its deadline. */
static gboolean
virDeadlineForce(gpointer data)
{
    virSupervisorDeadlines *self = data;
    virDomainLockObj *obj = virSupervisorGetObj(self->sup);
    gboolean graceful = !virDomainLockObjIsLeaseLost(obj);

    virDeadlineFired(&self->force);
    if (virSupervisorIsEnding(self->sup)) /* it was quick enough, and is being flushed */
        return G_SOURCE_REMOVE;
    virStepStop("shutdown", 3);
    virDomainLockObjEmit(obj, "SHUTDOWN_TIMEOUT", "host",
                         "the guest did not shut itself down in time; it is forced off");
    virDomainLockObjSetEndReason(obj, VIR_DOMAIN_LOCK_REASON_DESTROYED);
    obj->guest->ops->kill(obj->guest, graceful);
    if (graceful && self->graceTimer == 0)
        self->graceTimer =
            g_timeout_add_seconds(FORCE_GRACE_SEC, virDeadlineGraceOver, self);
    virSupervisorEnd(self->sup);
    return G_SOURCE_REMOVE;
}

/* --- woken -------------------------------------------------------------------------- */

static gboolean virDeadlineWakeAgain(gpointer data);

static gboolean
virDeadlineWakeRun(gpointer data, GError **error)
{
    virSupervisorDeadlines *self = data;
    virDomainLockObj *obj = virSupervisorGetObj(self->sup);
    gboolean ok = FALSE;

    if (!virDomainLockBesideBegin(obj, error))
        return FALSE;
    virStepStop("power", 3);
    ok = virDomainLockWake(obj, error);
    virDomainLockBesideEnd(obj);
    return ok;
}

static void
virDeadlineWakeDone(const GError *error, gpointer data)
{
    virSupervisorDeadlines *self = data;
    virDomainLockObj *obj = virSupervisorGetObj(self->sup);
    gint64 due = virDomainLockObjGetWakeup(obj);
    gboolean awake = g_error_matches(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE);

    if (!error || due == 0 || virSupervisorIsEnding(self->sup))
        return;
    if (awake && g_get_real_time() > due + WAKE_LATE_USEC) {
        virDomainLockObjSetWakeup(obj, 0);
        return;
    }
    if (!awake)
        g_warning("%s", error->message);
    self->retryTimer =
        g_timeout_add_seconds(awake ? 1 : WAKE_RETRY_SEC, virDeadlineWakeAgain, self);
}

static void
virDeadlineAddWake(virSupervisorDeadlines *self)
{
    virSupervisorJob job = {.name = "waking the guest",
                            .run = virDeadlineWakeRun,
                            .done = virDeadlineWakeDone,
                            .data = self,
                            .flags = VIR_SUPERVISOR_JOB_QUICK};

    virSupervisorAddJobOf(self->sup, &job);
}

static gboolean
virDeadlineWake(gpointer data)
{
    virSupervisorDeadlines *self = data;

    virDeadlineFired(&self->wake);
    virDeadlineAddWake(self);
    return G_SOURCE_REMOVE;
}

static gboolean
virDeadlineWakeAgain(gpointer data)
{
    virSupervisorDeadlines *self = data;

    self->retryTimer = 0;
    virDeadlineAddWake(self);
    return G_SOURCE_REMOVE;
}

/* --- life --------------------------------------------------------------------------- */

virSupervisorDeadlines *
virSupervisorDeadlinesNew(virSupervisor *sup)
{
    virSupervisorDeadlines *self = g_new0(virSupervisorDeadlines, 1);

    self->sup = sup;
    return self;
}

void
virSupervisorDeadlinesFree(virSupervisorDeadlines *self)
{
    virDeadlineClear(&self->force);
    virDeadlineClear(&self->wake);
    if (self->graceTimer)
        g_source_remove(self->graceTimer);
    if (self->retryTimer)
        g_source_remove(self->retryTimer);
    g_free(self);
}

void
virSupervisorDeadlinesFollow(virSupervisorDeadlines *self, const virDomainLockInfo *info)
{
    virDeadlineSet(&self->force, info->deadlineUsec, virDeadlineForce, self);
    virDeadlineSet(&self->wake, info->wakeupUsec, virDeadlineWake, self);
}
