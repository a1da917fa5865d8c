/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_save.c: Save and ManagedSave.
 *
 * The job ends the guest itself: between a file that is whole and the end of QEMU nothing may
 * come that resumes the guest. What is left here is to notice that it has ended.
 */
#include "domain_lock/file.h"
#include "domain_lock/save/save.h"
#include "supervisor/supervisor.h"

typedef struct {
    char *path; /* NULL: the managed one */
    guint flags;
} virControlSave;

static void
virControlSaveFree(gpointer data)
{
    virControlSave *save = data;

    g_free(save->path);
    g_free(save);
}

static gboolean
virControlSaveRun(virDomainLockObj *obj, gpointer data, GError **error)
{
    virControlSave *save = data;
    g_autofree char *managed = NULL;
    g_autofree char *dir = NULL;

    if (save->path)
        return virDomainLockSaveRun(obj, save->path, save->flags, error);
    managed = virDomainLockManagedPath(obj->config, obj->status->info->uuid);
    dir = g_path_get_dirname(managed);
    return virFileMakeDirs(dir, 0700, error) &&
           virDomainLockSaveRun(obj, managed, save->flags, error);
}

static void
virControlSaveStart(virSupervisorControl *control, char *path, guint flags,
                    GDBusMethodInvocation *invocation)
{
    virControlSave *save = g_new0(virControlSave, 1);
    virSupervisorLongJob job = {.name = "saving",
                                .run = virControlSaveRun,
                                .free = virControlSaveFree,
                                .data = save,
                                .after = virSupervisorEnd};

    save->path = path;
    save->flags = flags;
    virSupervisorControlLong(control, &job, invocation);
}

void
virSupervisorControlSave(virSupervisorControl *control, GVariant *parameters,
                         GDBusMethodInvocation *invocation)
{
    char *path = NULL;
    guint flags = 0;

    g_variant_get(parameters, "(su)", &path, &flags);
    virControlSaveStart(control, path, flags, invocation);
}

void
virSupervisorControlManagedSave(virSupervisorControl *control, GVariant *parameters,
                                GDBusMethodInvocation *invocation)
{
    guint flags = 0;

    g_variant_get(parameters, "(u)", &flags);
    virControlSaveStart(control, NULL, flags, invocation);
}
