/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_disks.c: AttachDisk and DetachDisk.
 *
 * A detach is two jobs with a wait between them that is no job: the guest is asked, and
 * whenever it lets go, be it long after the caller was told that it has not, QEMU's
 * DEVICE_DELETED brings the job that closes the images and gives up the leases.
 */
#include "supervisor/supervisor.h"

typedef struct {
    virSupervisorControl *control;
    GDBusMethodInvocation *invocation;
    char *text; /* the <disk> element, or the target */
    char *device;
    guint timeoutSec;
} virControlDisk;

static void
virControlDiskFree(virControlDisk *disk)
{
    g_free(disk->text);
    g_free(disk->device);
    g_free(disk);
}

static virDomainLockObj *
virControlDiskObj(virControlDisk *disk)
{
    return virSupervisorGetObj(virSupervisorControlGetSupervisor(disk->control));
}

static void
virControlDiskStart(virSupervisorControl *control, virControlDisk *disk,
                    GDBusMethodInvocation *invocation, guint flags, const char *name,
                    virSupervisorJobFunc run, virSupervisorJobDone done)
{
    g_autoptr(GError) error = NULL;

    disk->control = control;
    disk->invocation = invocation;
    if (flags == 0) {
        virSupervisorAddJob(virSupervisorControlGetSupervisor(control), name, run, done,
                            disk);
        return;
    }
    error = g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                        "flags %#x are not known", flags);
    virSupervisorControlFail(invocation, error);
    virControlDiskFree(disk);
}

/* --- attach ------------------------------------------------------------------------------ */

static gboolean
virControlAttachRun(gpointer data, GError **error)
{
    virControlDisk *disk = data;

    return virDomainLockPlugDisk(virControlDiskObj(disk), disk->text, error);
}

static void
virControlAttachDone(const GError *error, gpointer data)
{
    virControlDisk *disk = data;

    if (error)
        virSupervisorControlFail(disk->invocation, error);
    else
        g_dbus_method_invocation_return_value(disk->invocation, NULL);
    virControlDiskFree(disk);
}

void
virSupervisorControlAttachDisk(virSupervisorControl *control, GVariant *parameters,
                               GDBusMethodInvocation *invocation)
{
    virControlDisk *disk = g_new0(virControlDisk, 1);
    guint flags = 0;

    g_variant_get(parameters, "(su)", &disk->text, &flags);
    virControlDiskStart(control, disk, invocation, flags, "attaching a disk",
                        virControlAttachRun, virControlAttachDone);
}

/* --- detach ------------------------------------------------------------------------------ */

static gboolean
virControlDetachRun(gpointer data, GError **error)
{
    virControlDisk *disk = data;

    return virDomainLockDetach(virControlDiskObj(disk), disk->text, &disk->device, error);
}

static void
virControlDetachDone(const GError *error, gpointer data)
{
    virControlDisk *disk = data;

    if (error)
        virSupervisorControlFail(disk->invocation, error);
    else if (virDomainLockObjIsAsked(virControlDiskObj(disk), disk->device))
        virSupervisorControlAwaitUnplug(disk->control, disk->invocation, disk->device,
                                        disk->text, MAX(disk->timeoutSec, 1));
    else
        g_dbus_method_invocation_return_value(disk->invocation, NULL);
    virControlDiskFree(disk);
}

void
virSupervisorControlDetachDisk(virSupervisorControl *control, GVariant *parameters,
                               GDBusMethodInvocation *invocation)
{
    virControlDisk *disk = g_new0(virControlDisk, 1);
    guint flags = 0;

    g_variant_get(parameters, "(suu)", &disk->text, &disk->timeoutSec, &flags);
    virControlDiskStart(control, disk, invocation, flags, "detaching a disk",
                        virControlDetachRun, virControlDetachDone);
}

static gboolean
virControlUnpluggedRun(gpointer data, GError **error)
{
    virControlDisk *disk = data;

    return virDomainLockDetachFinish(virControlDiskObj(disk), disk->device, error);
}

static void
virControlUnpluggedDone(const GError *error, gpointer data)
{
    virControlDisk *disk = data;

    if (error)
        g_warning("%s", error->message);
    virSupervisorControlUnplugged(disk->control, disk->device, error);
    virControlDiskFree(disk);
}

void
virSupervisorControlDeviceDeleted(virSupervisorControl *control, const char *device)
{
    virControlDisk *disk = g_new0(virControlDisk, 1);
    virSupervisorJob job = {.name = "releasing a detached disk",
                            .run = virControlUnpluggedRun,
                            .done = virControlUnpluggedDone,
                            .data = disk};

    disk->control = control;
    disk->device = g_strdup(device);
    virSupervisorAddJobOf(virSupervisorControlGetSupervisor(control), &job);
}
