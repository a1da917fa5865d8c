/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_power.c: power states and reboots over the control interface. They change neither
 * leases nor the description, so they run beside a job that takes long.
 */
#include "domain_lock/job.h"
#include "domain_lock/power_state.h"
#include "supervisor/supervisor.h"

typedef struct {
    virSupervisorControl *control;
    GDBusMethodInvocation *invocation;
    virDomainLockPowerTarget target;
    guint durationSec;
    guint flags;
    virDomainLockPower *power; /* (out) */
} virControlPower;

static void
virControlPowerFree(virControlPower *self)
{
    virDomainLockPowerFree(self->power);
    g_free(self);
}

static gboolean
virControlPowerBeside(virControlPower *self,
                      gboolean (*act)(virControlPower *self, virDomainLockObj *obj,
                                      GError **error),
                      GError **error)
{
    virDomainLockObj *obj =
        virSupervisorGetObj(virSupervisorControlGetSupervisor(self->control));
    gboolean ok = FALSE;

    if (!virDomainLockBesideBegin(obj, error))
        return FALSE;
    ok = act(self, obj, error);
    virDomainLockBesideEnd(obj);
    return ok;
}

static void
virControlPowerDone(const GError *error, gpointer data)
{
    virControlPower *self = data;

    if (error)
        virSupervisorControlFail(self->invocation, error);
    else
        g_dbus_method_invocation_return_value(self->invocation, NULL);
    virControlPowerFree(self);
}

static void
virControlPowerJob(virControlPower *self, const char *name, virSupervisorJobFunc run,
                   virSupervisorJobDone done)
{
    virSupervisorJob job = {.name = name,
                            .run = run,
                            .done = done,
                            .data = self,
                            .waitMsec = VIR_SUPERVISOR_JOB_WAIT_MSEC,
                            .flags = VIR_SUPERVISOR_JOB_QUICK};

    virSupervisorAddJobOf(virSupervisorControlGetSupervisor(self->control), &job);
}

static virControlPower *
virControlPowerNew(virSupervisorControl *control, GDBusMethodInvocation *invocation)
{
    virControlPower *self = g_new0(virControlPower, 1);

    self->control = control;
    self->invocation = invocation;
    return self;
}

/* --- reboot ------------------------------------------------------------------------- */

static gboolean
virControlRebootAct(virControlPower *self, virDomainLockObj *obj, GError **error)
{
    return virDomainLockRequestReboot(obj, self->flags, error);
}

static gboolean
virControlRebootRun(gpointer data, GError **error)
{
    return virControlPowerBeside(data, virControlRebootAct, error);
}

void
virSupervisorControlReboot(virSupervisorControl *control, GVariant *parameters,
                           GDBusMethodInvocation *invocation)
{
    virControlPower *self = virControlPowerNew(control, invocation);

    g_variant_get(parameters, "(u)", &self->flags);
    virControlPowerJob(self, "asking for a reboot", virControlRebootRun,
                       virControlPowerDone);
}

/* --- power states ------------------------------------------------------------------- */

static gboolean
virControlSetPowerAct(virControlPower *self, virDomainLockObj *obj, GError **error)
{
    gint64 wakeup = self->durationSec > 0
                        ? g_get_real_time() + (gint64)self->durationSec * G_USEC_PER_SEC
                        : 0;

    return self->target == VIR_DOMAIN_LOCK_POWER_WAKEUP
               ? virDomainLockWake(obj, error)
               : virDomainLockSleep(obj, self->target, wakeup, error);
}

static gboolean
virControlSetPowerRun(gpointer data, GError **error)
{
    return virControlPowerBeside(data, virControlSetPowerAct, error);
}

void
virSupervisorControlSetPowerState(virSupervisorControl *control, GVariant *parameters,
                                  GDBusMethodInvocation *invocation)
{
    virControlPower *self = virControlPowerNew(control, invocation);
    g_autoptr(GError) error = NULL;
    const char *name;

    g_variant_get(parameters, "(&suu)", &name, &self->durationSec, &self->flags);
    if (self->flags != 0)
        error = g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                            "flags %#x are not known", self->flags);
    else if (!virDomainLockPowerTargetFromName(name, &self->target))
        error = g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                            "there is no power state '%s': suspend, hibernate, hybrid "
                            "and wakeup are",
                            name);
    else if (self->target == VIR_DOMAIN_LOCK_POWER_WAKEUP && self->durationSec > 0)
        error = g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                            "a duration is for a sleep, not for wakeup");
    if (error) {
        virControlPowerDone(error, self);
        return;
    }
    virControlPowerJob(self, "changing the power state", virControlSetPowerRun,
                       virControlPowerDone);
}

static gboolean
virControlGetPowerAct(virControlPower *self, virDomainLockObj *obj, GError **error)
{
    self->power = virDomainLockReadPower(obj);
    return TRUE;
}

static gboolean
virControlGetPowerRun(gpointer data, GError **error)
{
    return virControlPowerBeside(data, virControlGetPowerAct, error);
}

static void
virControlGetPowerDone(const GError *error, gpointer data)
{
    virControlPower *self = data;
    GVariantBuilder whys;

    if (error) {
        virControlPowerDone(error, data);
        return;
    }
    g_variant_builder_init(&whys, G_VARIANT_TYPE("a{ss}"));
    for (guint i = 0; i < VIR_DOMAIN_LOCK_POWER_TARGETS; i++) {
        if (self->power->whyNot[i])
            g_variant_builder_add(
                &whys, "{ss}", virDomainLockPowerTargetName((virDomainLockPowerTarget)i),
                self->power->whyNot[i]);
    }
    g_dbus_method_invocation_return_value(
        self->invocation,
        g_variant_new("(sxa{ss})", virDomainLockPowerStateName(self->power->state),
                      self->power->wakeupUsec, &whys));
    virControlPowerFree(self);
}

void
virSupervisorControlGetPowerState(virSupervisorControl *control, GVariant *parameters,
                                  GDBusMethodInvocation *invocation)
{
    virControlPowerJob(virControlPowerNew(control, invocation), "reading the power state",
                       virControlGetPowerRun, virControlGetPowerDone);
}
