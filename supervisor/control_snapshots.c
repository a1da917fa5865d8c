/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_snapshots.c: SnapshotCreate, SnapshotRevert, SnapshotDelete: jobs that take long.
 */
#include "supervisor/supervisor.h"

typedef gboolean (*virControlSnapshotFunc)(virDomainLockObj *obj,
                                           const virDomainLockSnapshotSpec *spec,
                                           GError **error);

typedef struct {
    virControlSnapshotFunc func;
    virDomainLockSnapshotSpec *spec;
} virControlSnapshot;

static void
virControlSnapshotFree(gpointer data)
{
    virControlSnapshot *snapshot = data;

    virDomainLockSnapshotSpecFree(snapshot->spec);
    g_free(snapshot);
}

static gboolean
virControlSnapshotRun(virDomainLockObj *obj, gpointer data, GError **error)
{
    virControlSnapshot *snapshot = data;

    return snapshot->func(obj, snapshot->spec, error);
}

/* Takes @spec. */
static void
virControlSnapshotAdd(virSupervisorControl *control, GDBusMethodInvocation *invocation,
                      const char *name, virControlSnapshotFunc func,
                      virDomainLockSnapshotSpec *spec, guint known)
{
    virControlSnapshot *snapshot = NULL;
    virSupervisorLongJob job = {
        .name = name, .run = virControlSnapshotRun, .free = virControlSnapshotFree};
    g_autoptr(GError) error = NULL;

    if (spec->flags & ~known) {
        error = g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                            "flags %#x are not known", spec->flags & ~known);
        virSupervisorControlFail(invocation, error);
        virDomainLockSnapshotSpecFree(spec);
        return;
    }
    snapshot = g_new0(virControlSnapshot, 1);
    snapshot->func = func;
    snapshot->spec = spec;
    job.data = snapshot;
    virSupervisorControlLong(control, &job, invocation);
}

void
virSupervisorControlSnapshotCreate(virSupervisorControl *control, GVariant *parameters,
                                   GDBusMethodInvocation *invocation)
{
    virDomainLockSnapshotSpec *spec = g_new0(virDomainLockSnapshotSpec, 1);

    g_variant_get(parameters, "(ssu)", &spec->name, &spec->description, &spec->flags);
    if (!*spec->description)
        g_clear_pointer(&spec->description, g_free);
    virControlSnapshotAdd(control, invocation, "taking a snapshot",
                          virDomainLockSnapshotMake, spec, 0);
}

void
virSupervisorControlSnapshotRevert(virSupervisorControl *control, GVariant *parameters,
                                   GDBusMethodInvocation *invocation)
{
    virDomainLockSnapshotSpec *spec = g_new0(virDomainLockSnapshotSpec, 1);

    g_variant_get(parameters, "(su)", &spec->name, &spec->flags);
    virControlSnapshotAdd(control, invocation, "reverting to a snapshot",
                          virDomainLockSnapshotBring, spec,
                          VIR_DOMAIN_LOCK_REVERT_RUNNING | VIR_DOMAIN_LOCK_REVERT_PAUSED);
}

void
virSupervisorControlSnapshotDelete(virSupervisorControl *control, GVariant *parameters,
                                   GDBusMethodInvocation *invocation)
{
    virDomainLockSnapshotSpec *spec = g_new0(virDomainLockSnapshotSpec, 1);

    g_variant_get(parameters, "(su)", &spec->name, &spec->flags);
    virControlSnapshotAdd(control, invocation, "deleting a snapshot",
                          virDomainLockSnapshotDrop, spec, 0);
}
