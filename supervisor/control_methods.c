/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_methods.c: the methods of io.leasehold.Guest1. Most are a job; Destroy is not, so
 * that nothing that hangs can keep a guest alive. Those that only tell QEMU to stop or go on
 * are quick: they run beside a job that takes long.
 */
#include "domain_lock/codec.h"
#include "domain_lock/job.h"
#include "supervisor/supervisor.h"

/* Destroy answers an error after this; the guest is ended all the same when it can be. */
#define CONTROL_DESTROY_SEC 30

/* A method that became a job. */
typedef struct {
    virSupervisorControl *control;
    GDBusMethodInvocation *invocation;
    gboolean (*run)(virDomainLockObj *obj, GError **error);
    guint timeoutSec; /* Shutdown */
    guint flags;
} virControlJob;

void
virSupervisorControlFail(GDBusMethodInvocation *invocation, const GError *error)
{
    g_autofree char *name = virDomainLockErrorName(error);

    g_dbus_method_invocation_return_dbus_error(invocation, name, error->message);
}

static virDomainLockObj *
virControlObj(virControlJob *job)
{
    return virSupervisorGetObj(virSupervisorControlGetSupervisor(job->control));
}

static gboolean
virControlJobRun(gpointer data, GError **error)
{
    virControlJob *job = data;
    virDomainLockObj *obj = virControlObj(job);
    gboolean ok = FALSE;

    if (!virDomainLockBesideBegin(obj, error))
        return FALSE;
    ok = job->run(obj, error);
    virDomainLockBesideEnd(obj);
    return ok;
}

static void
virControlQuick(virControlJob *job, const char *name, virSupervisorJobFunc run,
                virSupervisorJobDone done)
{
    virSupervisorJob quick = {.name = name,
                              .run = run,
                              .done = done,
                              .data = job,
                              .waitMsec = VIR_SUPERVISOR_JOB_WAIT_MSEC,
                              .flags = VIR_SUPERVISOR_JOB_QUICK};

    virSupervisorAddJobOf(virSupervisorControlGetSupervisor(job->control), &quick);
}

static void
virControlJobDone(const GError *error, gpointer data)
{
    virControlJob *job = data;

    if (error)
        virSupervisorControlFail(job->invocation, error);
    else
        g_dbus_method_invocation_return_value(job->invocation, NULL);
    g_free(job);
}

static void
virControlSimple(virSupervisorControl *control, GDBusMethodInvocation *invocation,
                 const char *name, gboolean (*run)(virDomainLockObj *obj, GError **error))
{
    virControlJob *job = g_new0(virControlJob, 1);

    job->control = control;
    job->invocation = invocation;
    job->run = run;
    virControlQuick(job, name, virControlJobRun, virControlJobDone);
}

/* --- shutdown ----------------------------------------------------------------------- */

static gboolean
virControlShutdownRun(gpointer data, GError **error)
{
    virControlJob *job = data;
    virDomainLockObj *obj = virControlObj(job);
    gint64 deadline = 0;
    gboolean ok = FALSE;

    if (!virDomainLockBesideBegin(obj, error))
        return FALSE;
    if (job->timeoutSec > 0)
        deadline = g_get_real_time() + (gint64)job->timeoutSec * G_USEC_PER_SEC;
    ok = virDomainLockRequestShutdown(obj, job->flags, deadline, error);
    virDomainLockBesideEnd(obj);
    return ok;
}

static void
virControlShutdownDone(const GError *error, gpointer data)
{
    virControlJob *job = data;

    g_autoptr(GError) over =
        error ? NULL : virDomainLockObjGetRequestOver(virControlObj(job));

    if (!error && !over && (job->flags & VIR_DOMAIN_LOCK_SHUTDOWN_BLOCK)) {
        virSupervisorControlAwait(job->control, job->invocation,
                                  VIR_CONTROL_WAIT_GONE_OR_WITHDRAWN, 0);
        g_free(job);
        return;
    }
    if (over && (job->flags & VIR_DOMAIN_LOCK_SHUTDOWN_BLOCK)) {
        virControlJobDone(over, job);
        return;
    }
    virControlJobDone(error, job);
}

/* Asks nothing, so it is no job. */
static void
virControlShutdownJoin(virControlJob *job)
{
    g_autofree virControlJob *owned = job;
    virDomainLockObj *obj = virControlObj(job);
    g_autoptr(GError) why = virDomainLockObjGetRequestOver(obj);

    if (job->timeoutSec != 0 || job->flags != (VIR_DOMAIN_LOCK_SHUTDOWN_JOIN |
                                               VIR_DOMAIN_LOCK_SHUTDOWN_BLOCK)) {
        g_clear_error(&why);
        why = g_error_new_literal(VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                                  "JOIN only waits: it goes with BLOCK, and with nothing "
                                  "else");
    } else if (!why && virDomainLockObjGetRequest(obj, NULL) !=
                           VIR_DOMAIN_LOCK_REASON_SHUTDOWN_REQUESTED) {
        why = g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                          "guest '%s' was not asked to shut down",
                          obj->status->info->name);
    }
    if (why)
        virSupervisorControlFail(job->invocation, why);
    else
        virSupervisorControlAwait(job->control, job->invocation,
                                  VIR_CONTROL_WAIT_GONE_OR_WITHDRAWN, 0);
}

static void
virControlShutdown(virSupervisorControl *control, GVariant *parameters,
                   GDBusMethodInvocation *invocation)
{
    virControlJob *job = g_new0(virControlJob, 1);

    job->control = control;
    job->invocation = invocation;
    g_variant_get(parameters, "(uu)", &job->timeoutSec, &job->flags);
    if (job->flags & VIR_DOMAIN_LOCK_SHUTDOWN_JOIN) {
        virControlShutdownJoin(job);
        return;
    }
    virControlQuick(job, "asking for a shutdown", virControlShutdownRun,
                    virControlShutdownDone);
}

static void
virControlShutdownAbort(virSupervisorControl *control, GVariant *parameters,
                        GDBusMethodInvocation *invocation)
{
    virSupervisor *sup = virSupervisorControlGetSupervisor(control);
    g_autoptr(GError) error = NULL;

    if (!virDomainLockWithdrawRequest(virSupervisorGetObj(sup), &error)) {
        virSupervisorControlFail(invocation, error);
        return;
    }
    g_dbus_method_invocation_return_value(invocation, NULL);
}

/* --- the others --------------------------------------------------------------------- */

static void
virControlDestroy(virSupervisorControl *control, GVariant *parameters,
                  GDBusMethodInvocation *invocation)
{
    g_autoptr(GError) error = NULL;
    guint flags = 0;

    g_variant_get(parameters, "(u)", &flags);
    if (virSupervisorDestroy(virSupervisorControlGetSupervisor(control), flags, &error))
        virSupervisorControlAwait(control, invocation, VIR_CONTROL_WAIT_GONE,
                                  CONTROL_DESTROY_SEC);
    else
        virSupervisorControlFail(invocation, error);
}

static void
virControlSuspend(virSupervisorControl *control, GVariant *parameters,
                  GDBusMethodInvocation *invocation)
{
    virControlSimple(control, invocation, "suspending", virDomainLockPause);
}

static void
virControlResume(virSupervisorControl *control, GVariant *parameters,
                 GDBusMethodInvocation *invocation)
{
    virControlSimple(control, invocation, "resuming", virDomainLockContinue);
}

static void
virControlReset(virSupervisorControl *control, GVariant *parameters,
                GDBusMethodInvocation *invocation)
{
    virControlSimple(control, invocation, "resetting", virDomainLockHardReset);
}

/* Not a job: what was kept last is right, whatever is under way. */
static void
virControlGetXMLDesc(virSupervisorControl *control, GVariant *parameters,
                     GDBusMethodInvocation *invocation)
{
    virDomainLockObj *obj =
        virSupervisorGetObj(virSupervisorControlGetSupervisor(control));
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = NULL;
    guint flags = 0;

    g_variant_get(parameters, "(u)", &flags);
    if (flags != 0)
        g_set_error(&error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "flags %#x are not known", flags);
    else
        xml = virDomainLockObjGetDescription(obj, &error);
    if (xml)
        g_dbus_method_invocation_return_value(invocation, g_variant_new("(s)", xml));
    else
        virSupervisorControlFail(invocation, error);
}

typedef struct {
    const char *name;
    void (*call)(virSupervisorControl *control, GVariant *parameters,
                 GDBusMethodInvocation *invocation);
} virControlMethodEntry;

static const virControlMethodEntry methods[] = {
    {"Shutdown", virControlShutdown},
    {"ShutdownAbort", virControlShutdownAbort},
    {"Destroy", virControlDestroy},
    {"Suspend", virControlSuspend},
    {"Resume", virControlResume},
    {"Reset", virControlReset},
    {"Reboot", virSupervisorControlReboot},
    {"SetPowerState", virSupervisorControlSetPowerState},
    {"GetPowerState", virSupervisorControlGetPowerState},
    {"AttachDisk", virSupervisorControlAttachDisk},
    {"DetachDisk", virSupervisorControlDetachDisk},
    {"ChangeMedia", virSupervisorControlChangeMedia},
    {"AttachLease", virSupervisorControlAttachLease},
    {"DetachLease", virSupervisorControlDetachLease},
    {"JobCancel", virSupervisorControlJobCancel},
    {"SnapshotDisk", virSupervisorControlSnapshotDisk},
    {"BlockCommit", virSupervisorControlBlockCommit},
    {"BlockPull", virSupervisorControlBlockPull},
    {"BlockCopy", virSupervisorControlBlockCopy},
    {"SnapshotCreate", virSupervisorControlSnapshotCreate},
    {"SnapshotList", virSupervisorControlSnapshotList},
    {"SnapshotRevert", virSupervisorControlSnapshotRevert},
    {"SnapshotDelete", virSupervisorControlSnapshotDelete},
    {"GetXMLDesc", virControlGetXMLDesc},
    {"Migrate", virSupervisorControlMigrate},
    {"Save", virSupervisorControlSave},
    {"ManagedSave", virSupervisorControlManagedSave},
};

void
virSupervisorControlCall(virSupervisorControl *control, const char *method,
                         GVariant *parameters, GDBusMethodInvocation *invocation)
{
    for (gsize i = 0; i < G_N_ELEMENTS(methods); i++) {
        if (g_str_equal(methods[i].name, method)) {
            methods[i].call(control, parameters, invocation);
            return;
        }
    }
    g_dbus_method_invocation_return_error(invocation, G_DBUS_ERROR,
                                          G_DBUS_ERROR_UNKNOWN_METHOD,
                                          "there is no method '%s'", method);
}
