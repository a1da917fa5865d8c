/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor_start.c: the first job of a supervisor: its guest is started from its disks or from
 * a file, comes from another host, or is taken up because it has lost its supervisor.
 *
 * The job has a deadline and can be cancelled, and then undoes what it did. One that does not even
 * do that is stuck in the kernel: this process ends with the worker in it.
 */
#include "domain_lock/save/save.h"
#include "domain_lock/step.h"
#include "supervisor/supervisor_priv.h"
#include <gio/gunixsocketaddress.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* After the deadline of a start the worker gets this long to undo; then it counts as stuck
 * on storage that does not answer. */
#define START_GRACE_SEC 15

/* --- what a start may take --------------------------------------------------------------- */

/* The guest was there before this process, and stays. */
static void G_GNUC_NORETURN
virSupervisorAttachStuck(virSupervisor *sup)
{
    g_autoptr(GError) error = NULL;

    g_set_error(&error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                "cannot attach to guest '%s': a storage that the guest needs does not "
                "answer; the guest is left as it is, unsupervised",
                sup->obj->status->info->name);
    g_warning("%s", error->message);
    virSupervisorStarterFail(sup->starter, error);
    _exit(EXIT_FAILURE);
}

/* The worker is stuck in the kernel: it will never undo anything. The parked child or QEMU
 * is killed here, its leases end with it, and this process ends with the worker in it. */
static gboolean
virSupervisorStartStuck(gpointer data)
{
    virSupervisor *sup = data;
    gboolean cancelled = g_cancellable_is_cancelled(sup->startCancellable);
    virDomainLockExit how;
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) why = NULL;

    if (sup->obj->attaching)
        virSupervisorAttachStuck(sup);
    sup->obj->guest->ops->kill(sup->obj->guest, FALSE);
    (void)sup->obj->guest->ops->reap(
        sup->obj->guest, g_get_monotonic_time() + 5 * G_USEC_PER_SEC, &how, &why);
    g_set_error(&error, VIR_LOCK_ERROR,
                why         ? VIR_LOCK_ERROR_INDETERMINATE
                : cancelled ? VIR_LOCK_ERROR_CANCELLED
                            : VIR_LOCK_ERROR_TIMEOUT,
                "cannot start guest '%s': %s and %s does not return: a "
                "storage that the guest needs does not answer%s%s",
                sup->obj->status->info->name,
                cancelled ? "it was cancelled" : "the deadline passed",
                sup->obj->status->step, why ? "; " : "", why ? why->message : "");
    g_warning("%s", error->message);
    virSupervisorStarterFail(sup->starter, error);
    if (!why && !virDomainLockRuntimeRemove(sup->obj->runtime, &why))
        g_warning("%s", why->message);
    _exit(EXIT_FAILURE);
}

static void
virSupervisorStartTimer(virSupervisor *sup, guint sec)
{
    if (sup->startTimer)
        g_source_remove(sup->startTimer);
    sup->startTimer =
        sec > 0 ? g_timeout_add_seconds(sec, virSupervisorStartStuck, sup) : 0;
}

/* Whoever gave up waiting is not to wait for the deadline either. */
static void
virSupervisorStartCancelled(GCancellable *cancellable, gpointer data)
{
    virSupervisor *sup = data;

    (void)cancellable;
    if (!sup->starting)
        return;
    virSupervisorStartTimer(sup, START_GRACE_SEC);
}

void
virSupervisorCancelStart(virSupervisor *sup)
{
    if (sup->starting)
        g_cancellable_cancel(sup->startCancellable);
}

/* --- it is ready ------------------------------------------------------------------------- */

/* Type=notify of systemd: one datagram, no library. */
static void
virSupervisorNotifyReady(void)
{
    const char *path = g_getenv("NOTIFY_SOCKET");
    g_autoptr(GSocketAddress) address = NULL;
    g_autoptr(GSocket) socket = NULL;
    g_autofree char *text = NULL;
    g_autoptr(GError) why = NULL;

    if (!path)
        return;
    text = g_strdup_printf("READY=1\nMAINPID=%d\n", (int)getpid());
    address = *path == '@' ? g_unix_socket_address_new_with_type(
                                 path + 1, -1, G_UNIX_SOCKET_ADDRESS_ABSTRACT)
                           : g_unix_socket_address_new(path);
    socket = g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_DATAGRAM, 0, &why);
    if (!socket || g_socket_send_to(socket, address, text, strlen(text), NULL, &why) < 0)
        g_warning("cannot tell systemd that the guest runs: %s", why->message);
}

static void
virSupervisorTellReady(virSupervisor *sup)
{
    g_autoptr(virDomainLockInfo) info = virDomainLockObjGetInfo(sup->obj);

    virSupervisorStarterReady(sup->starter, info);
    g_clear_pointer(&sup->starter, virSupervisorStarterFree);
    virSupervisorNotifyReady();
}

/* --- a start from disks or a file -------------------------------------------------------- */

static gboolean
virSupervisorStartRun(gpointer data, GError **error)
{
    virSupervisor *sup = data;

    if (sup->obj->spec->snapshot)
        return virDomainLockOfflineRun(sup->obj, &sup->startWait, error);
    return sup->obj->spec->restore
               ? virDomainLockRestoreRun(sup->obj, &sup->startWait, error)
               : virDomainLockStartRun(sup->obj, &sup->startWait, error);
}

static void
virSupervisorStartDone(const GError *error, gpointer data)
{
    virSupervisor *sup = data;

    virSupervisorStartTimer(sup, 0);
    sup->starting = FALSE;
    if (error) {
        virSupervisorStarterFail(sup->starter, error);
        virSupervisorFinish(sup);
        return;
    }
    if (sup->obj->spec->restore)
        virStepStop("restore", 12);
    else if (!sup->obj->spec->snapshot)
        virStepStop("start", 10);
    virSupervisorTellReady(sup);
    if (virDomainLockObjGetState(sup->obj) == VIR_DOMAIN_LOCK_STATE_SHUTOFF) {
        virSupervisorFinish(sup); /* only its snapshots were worked on */
        return;
    }
    virSupervisorMigrationResume(sup->migration);
    g_clear_pointer(&sup->in, virMigrateInFree);
    virSupervisorFollow(sup, virDomainLockObjHandleDeferred(sup->obj));
}

/* --- a start that comes from another host ------------------------------------------------ */

static gboolean
virSupervisorReserveRun(gpointer data, GError **error)
{
    virSupervisor *sup = data;

    return virDomainLockIncomingReserve(sup->obj, sup->in, &sup->startWait, error);
}

static gboolean
virSupervisorReceiveRun(gpointer data, GError **error)
{
    virSupervisor *sup = data;

    return virDomainLockIncomingReceive(sup->obj, sup->in, sup->startCancellable, error);
}

/* The bounds were those of the reservation: the memory takes as long as it takes. */
static void
virSupervisorReserveDone(const GError *error, gpointer data)
{
    virSupervisor *sup = data;
    virSupervisorJob job = {.name = "receiving the guest",
                            .run = virSupervisorReceiveRun,
                            .done = virSupervisorStartDone,
                            .data = sup};

    if (error) {
        virSupervisorStartDone(error, sup);
        return;
    }
    virSupervisorStartTimer(sup, 0);
    virSupervisorJobsAdd(sup->jobs, &job);
}

gboolean
virSupervisorTakeChannel(virSupervisor *sup, const virDomainLockSpec *spec,
                         GError **error)
{
    if (!spec->incoming || spec->attach)
        return TRUE;
    sup->in = virMigrateInFromRequest(spec->incoming, error);
    if (!sup->in)
        return FALSE;
    sup->in->channel = virMigrateChannelNew(spec->channel[0], spec->channel[1]);
    return TRUE;
}

/* --- taking up a guest that has lost its supervisor -------------------------------------- */

static gboolean
virSupervisorAttachRun(gpointer data, GError **error)
{
    virSupervisor *sup = data;

    if (!virDomainLockReattachRun(sup->obj, &sup->startWait, error))
        return FALSE;
    if (sup->watch || virDomainLockObjIsLeaseLost(sup->obj))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_NOT_JOINED,
                "cannot watch the leases of guest '%s': this host has left the lockspace",
                sup->obj->status->info->name);
    return FALSE;
}

static gboolean
virSupervisorAskAgainRun(gpointer data, GError **error)
{
    virSupervisor *sup = data;

    return virDomainLockAskAgain(sup->obj, error);
}

static void
virSupervisorAskAgainDone(const GError *error, gpointer data)
{
    if (error)
        g_warning("%s", error->message);
}

/* A guest that ended, or was killed because its leases were lost, is followed to its end; one
 * that runs and could not be taken up stays as it was found, unsupervised. */
static void
virSupervisorAttachDone(const GError *error, gpointer data)
{
    virSupervisor *sup = data;

    virSupervisorStartTimer(sup, 0);
    sup->starting = FALSE;
    if (error) {
        g_warning("%s", error->message);
        virSupervisorStarterFail(sup->starter, error);
        if (virDomainLockStatusQemuAlive(sup->obj->status) &&
            sup->obj->status->endReason == VIR_DOMAIN_LOCK_REASON_NONE)
            g_main_loop_quit(sup->loop);
        else
            virSupervisorEnd(sup);
        return;
    }
    virSupervisorTellReady(sup);
    virSupervisorMigrationResume(sup->migration);
    virSupervisorFollow(sup, virDomainLockReattachFollow(sup->obj));
    virSupervisorDeadlinesFollow(sup->deadlines, sup->obj->status->info);
    if (sup->obj->status->askBy != 0)
        virSupervisorAddJob(sup, "asking the guest again", virSupervisorAskAgainRun,
                            virSupervisorAskAgainDone, sup);
}

/* --- the first job ----------------------------------------------------------------------- */

static void
virSupervisorProgress(const virLockProgress *progress, gpointer data)
{
    virSupervisorStarterProgress(data, progress);
}

void
virSupervisorStart(virSupervisor *sup, const virDomainLockSpec *spec)
{
    gint64 now = g_get_monotonic_time();
    gint64 deadline = spec->deadlineUsec > 0 && !sup->in
                          ? spec->deadlineUsec
                          : now + VIR_LOCK_WAIT_DEFAULT_SEC * G_USEC_PER_SEC;
    virSupervisorJob job = {.name = "starting",
                            .run = virSupervisorStartRun,
                            .done = virSupervisorStartDone,
                            .data = sup};

    if (spec->attach) {
        job.name = "attaching";
        job.run = virSupervisorAttachRun;
        job.done = virSupervisorAttachDone;
    } else if (sup->in) {
        job.run = virSupervisorReserveRun;
        job.done = virSupervisorReserveDone;
    }
    sup->startWait = (virLockWait){.structSize = sizeof(virLockWait),
                                   .deadlineUsec = deadline,
                                   .busyUsec = spec->busyUsec,
                                   .cancellable = sup->startCancellable,
                                   .progress = virSupervisorProgress,
                                   .progressData = sup->starter};
    sup->starting = TRUE;
    virSupervisorStartTimer(sup, (guint)(MAX(deadline - now, 0) / G_USEC_PER_SEC) +
                                     START_GRACE_SEC);
    g_signal_connect(sup->startCancellable, "cancelled",
                     G_CALLBACK(virSupervisorStartCancelled), sup);
    virSupervisorStarterWatch(sup->starter, sup->startCancellable);
    virSupervisorJobsAdd(sup->jobs, &job);
}
