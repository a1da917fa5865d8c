/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_jobs.c: the job that takes long, over the control interface.
 */
#include "domain_lock/job.h"
#include "supervisor/supervisor.h"

/* JobCancel */
#define CONTROL_CANCEL_MINE 1

/* --- jobs that take long ----------------------------------------------------------------- */

typedef struct {
    virSupervisorControl *control;
    GDBusMethodInvocation *invocation;
    virSupervisorLongJob job;
} virControlLong;

static gboolean
virControlLongRun(gpointer data, GError **error)
{
    virControlLong *self = data;
    virSupervisor *sup = virSupervisorControlGetSupervisor(self->control);
    gboolean ok = FALSE;

    virSupervisorControlSetJobOwner(self->control, self->invocation);
    ok = self->job.run(virSupervisorGetObj(sup), self->job.data, error);
    virSupervisorControlSetJobOwner(self->control, NULL);
    return ok;
}

static void
virControlLongDone(const GError *error, gpointer data)
{
    virControlLong *self = data;

    if (!error && self->job.after)
        self->job.after(virSupervisorControlGetSupervisor(self->control));
    if (error)
        virSupervisorControlFail(self->invocation, error);
    else
        g_dbus_method_invocation_return_value(self->invocation, NULL);
    if (self->job.free)
        self->job.free(self->job.data);
    g_free(self);
}

void
virSupervisorControlLong(virSupervisorControl *control, const virSupervisorLongJob *job,
                         GDBusMethodInvocation *invocation)
{
    virControlLong *self = g_new0(virControlLong, 1);
    virSupervisorJob entry = {.name = job->name,
                              .run = virControlLongRun,
                              .done = virControlLongDone,
                              .data = self,
                              .waitMsec = VIR_SUPERVISOR_JOB_WAIT_MSEC,
                              .flags = VIR_SUPERVISOR_JOB_LONG};

    self->control = control;
    self->invocation = invocation;
    self->job = *job;
    virSupervisorAddJobOf(virSupervisorControlGetSupervisor(control), &entry);
}

/* --- cancel ------------------------------------------------------------------------------ */

static gboolean
virControlCancelledRun(gpointer data, GError **error)
{
    return TRUE;
}

static void
virControlCancelledDone(const GError *error, gpointer data)
{
    GDBusMethodInvocation *invocation = data;

    if (error)
        virSupervisorControlFail(invocation, error);
    else
        g_dbus_method_invocation_return_value(invocation, NULL);
}

void
virSupervisorControlJobCancel(virSupervisorControl *control, GVariant *parameters,
                              GDBusMethodInvocation *invocation)
{
    virSupervisor *sup = virSupervisorControlGetSupervisor(control);
    GDBusConnection *client = g_dbus_method_invocation_get_connection(invocation);
    g_autoptr(GError) error = NULL;
    guint flags = 0;
    /* runs when the cancelled one has undone itself */
    virSupervisorJob after = {.name = "cancelling a job",
                              .run = virControlCancelledRun,
                              .done = virControlCancelledDone,
                              .data = invocation};

    g_variant_get(parameters, "(u)", &flags);
    if (flags & ~(guint)CONTROL_CANCEL_MINE)
        error = g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                            "flags %#x are not known", flags);
    else if (flags && !virSupervisorControlOwnsJob(control, client))
        error = g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                            "no job runs that this connection asked for");
    else if (virDomainLockJobAsk(virSupervisorGetObj(sup), &error))
        virSupervisorAddJobOf(sup, &after);
    if (error)
        virSupervisorControlFail(invocation, error);
}
