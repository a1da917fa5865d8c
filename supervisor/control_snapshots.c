/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_snapshots.c: SnapshotCreate, SnapshotRevert, SnapshotDelete, which are jobs that take
 * long, and SnapshotList, which reads the images.
 */
#include "domain_lock/snapshot/snapshot.h"
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

/* --- list ------------------------------------------------------------------------------------ */

typedef struct {
    virSupervisorControl *control;
    GDBusMethodInvocation *invocation;
    GPtrArray *list; /* virDomainLockSnapshot */
} virControlList;

/* From the description and not from what the guest's jobs work with: it may run beside them. */
static gboolean
virControlListRun(gpointer data, GError **error)
{
    virControlList *self = data;
    virDomainLockObj *obj =
        virSupervisorGetObj(virSupervisorControlGetSupervisor(self->control));
    g_autofree char *xml = virDomainLockObjGetDescription(obj, error);
    g_autoptr(virDomainDef) def =
        xml ? virDomainDefParseXML(xml, -1, VIR_DOMAIN_LOCK_CREATE_UNSAFE_CACHE, error)
            : NULL;
    g_autoptr(virSnapshotLook) look =
        def ? virSnapshotLookAt(obj->config, def, error) : NULL;

    self->list = look ? virSnapshotLookList(look) : NULL;
    return self->list != NULL;
}

static const char *
virControlOrEmpty(const char *text)
{
    return text ? text : "";
}

static GVariant *
virControlSnapshotDisks(const virDomainLockSnapshot *snapshot)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a(sssbbt)"));
    for (guint i = 0; i < snapshot->disks->len; i++) {
        const virDomainLockSnapshotDisk *disk = g_ptr_array_index(snapshot->disks, i);

        g_variant_builder_add(&builder, "(sssbbt)", disk->target, disk->path, disk->lease,
                              disk->included, disk->present, disk->epoch);
    }
    return g_variant_builder_end(&builder);
}

static GVariant *
virControlSnapshotVariant(const virDomainLockSnapshot *snapshot)
{
    GVariantDict dict;

    g_variant_dict_init(&dict, NULL);
    g_variant_dict_insert(&dict, "name", "s", snapshot->name);
    g_variant_dict_insert(&dict, "created", "x", snapshot->createdUsec);
    g_variant_dict_insert(&dict, "state", "s", virDomainLockStateName(snapshot->state));
    g_variant_dict_insert(&dict, "memory_bytes", "t", snapshot->memoryBytes);
    g_variant_dict_insert(&dict, "current", "b", snapshot->current);
    g_variant_dict_insert(&dict, "unfinished", "b", snapshot->unfinished);
    g_variant_dict_insert(&dict, "problem", "s", virControlOrEmpty(snapshot->problem));
    g_variant_dict_insert(&dict, "description", "s",
                          virControlOrEmpty(snapshot->description));
    g_variant_dict_insert(&dict, "parent", "s", virControlOrEmpty(snapshot->parent));
    g_variant_dict_insert(&dict, "host", "s", virControlOrEmpty(snapshot->hostName));
    g_variant_dict_insert(&dict, "xml", "s", virControlOrEmpty(snapshot->xml));
    g_variant_dict_insert_value(&dict, "disks", virControlSnapshotDisks(snapshot));
    return g_variant_dict_end(&dict);
}

static void
virControlListDone(const GError *error, gpointer data)
{
    virControlList *self = data;
    GVariantBuilder builder;

    if (error) {
        virSupervisorControlFail(self->invocation, error);
    } else {
        g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
        for (guint i = 0; i < self->list->len; i++)
            g_variant_builder_add_value(
                &builder, virControlSnapshotVariant(g_ptr_array_index(self->list, i)));
        g_dbus_method_invocation_return_value(self->invocation,
                                              g_variant_new("(aa{sv})", &builder));
    }
    g_clear_pointer(&self->list, g_ptr_array_unref);
    g_free(self);
}

void
virSupervisorControlSnapshotList(virSupervisorControl *control, GVariant *parameters,
                                 GDBusMethodInvocation *invocation)
{
    virControlList *self = NULL;
    virSupervisorJob job = {.name = "reading the snapshots",
                            .run = virControlListRun,
                            .done = virControlListDone,
                            .waitMsec = VIR_SUPERVISOR_JOB_WAIT_MSEC,
                            .flags = VIR_SUPERVISOR_JOB_QUICK};
    g_autoptr(GError) error = NULL;
    guint flags = 0;

    g_variant_get(parameters, "(u)", &flags);
    if (flags != 0) {
        error = g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                            "flags %#x are not known", flags);
        virSupervisorControlFail(invocation, error);
        return;
    }
    self = g_new0(virControlList, 1);
    self->control = control;
    self->invocation = invocation;
    job.data = self;
    virSupervisorAddJobOf(virSupervisorControlGetSupervisor(control), &job);
}
