/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_disks.c: AttachDisk, DetachDisk, ChangeMedia, AttachLease, DetachLease.
 *
 * A detach is two jobs with a wait between them that is no job: the guest is asked, and
 * whenever it lets go, be it long after the caller was told that it has not, QEMU's
 * DEVICE_DELETED brings the job that closes the images and gives up the leases.
 */
#include "supervisor/supervisor.h"

/* How long a change of disks or leases waits for its turn: longer than any of them takes. */
#define CONTROL_DISK_WAIT_MSEC 60000

typedef struct {
    virSupervisorControl *control;
    GDBusMethodInvocation *invocation;
    char *text; /* the element, the target, or the key */
    char *path, *format, *lockspace;
    char *device;
    guint timeoutSec;
    guint flags; /* virDomainLockDeviceFlags */
} virControlDisk;

static void
virControlDiskFree(virControlDisk *disk)
{
    g_free(disk->text);
    g_free(disk->path);
    g_free(disk->format);
    g_free(disk->lockspace);
    g_free(disk->device);
    g_free(disk);
}

static virDomainLockObj *
virControlDiskObj(virControlDisk *disk)
{
    return virSupervisorGetObj(virSupervisorControlGetSupervisor(disk->control));
}

/* @known: which flags the method has; the job answers. */
static void
virControlDiskStart(virSupervisorControl *control, virControlDisk *disk,
                    GDBusMethodInvocation *invocation, guint known, virSupervisorJob job)
{
    guint unknown = disk->flags & ~(known | VIR_DOMAIN_LOCK_DEVICE_NO_WAIT);
    g_autoptr(GError) error = NULL;

    disk->control = control;
    disk->invocation = invocation;
    job.data = disk;
    job.waitMsec = CONTROL_DISK_WAIT_MSEC;
    if (disk->flags & VIR_DOMAIN_LOCK_DEVICE_NO_WAIT)
        job.flags |= VIR_SUPERVISOR_JOB_NOW;
    if (unknown == 0) {
        virSupervisorAddJobOf(virSupervisorControlGetSupervisor(control), &job);
        return;
    }
    error = g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                        "flags %#x are not known", unknown);
    virSupervisorControlFail(invocation, error);
    virControlDiskFree(disk);
}

static void
virControlDiskAnswer(const GError *error, gpointer data)
{
    virControlDisk *disk = data;

    if (error)
        virSupervisorControlFail(disk->invocation, error);
    else
        g_dbus_method_invocation_return_value(disk->invocation, NULL);
    virControlDiskFree(disk);
}

/* --- attach ------------------------------------------------------------------------------ */

static gboolean
virControlAttachRun(gpointer data, GError **error)
{
    virControlDisk *disk = data;

    return virDomainLockPlugDisk(virControlDiskObj(disk), disk->text, error);
}

void
virSupervisorControlAttachDisk(virSupervisorControl *control, GVariant *parameters,
                               GDBusMethodInvocation *invocation)
{
    virControlDisk *disk = g_new0(virControlDisk, 1);
    g_variant_get(parameters, "(su)", &disk->text, &disk->flags);
    virControlDiskStart(control, disk, invocation, 0,
                        (virSupervisorJob){.name = "attaching a disk",
                                           .run = virControlAttachRun,
                                           .done = virControlDiskAnswer});
}

/* --- detach ------------------------------------------------------------------------------ */

static gboolean
virControlDetachRun(gpointer data, GError **error)
{
    virControlDisk *disk = data;

    return virDomainLockDetach(virControlDiskObj(disk), disk->text, disk->flags,
                               &disk->device, error);
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
    g_variant_get(parameters, "(suu)", &disk->text, &disk->timeoutSec, &disk->flags);
    virControlDiskStart(control, disk, invocation, VIR_DOMAIN_LOCK_DEVICE_FORCE,
                        (virSupervisorJob){.name = "detaching a disk",
                                           .run = virControlDetachRun,
                                           .done = virControlDetachDone});
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

/* --- media ------------------------------------------------------------------------------- */

static gboolean
virControlMediaRun(gpointer data, GError **error)
{
    virControlDisk *disk = data;
    const virDomainLockMedium medium = {
        .path = *disk->path ? disk->path : NULL,
        .format = *disk->format ? disk->format : "raw",
        .flags = disk->flags,
    };

    return virDomainLockMedia(virControlDiskObj(disk), disk->text, &medium, error);
}

void
virSupervisorControlChangeMedia(virSupervisorControl *control, GVariant *parameters,
                                GDBusMethodInvocation *invocation)
{
    virControlDisk *disk = g_new0(virControlDisk, 1);

    g_variant_get(parameters, "(sssu)", &disk->text, &disk->path, &disk->format,
                  &disk->flags);
    virControlDiskStart(control, disk, invocation, VIR_DOMAIN_LOCK_DEVICE_FORCE,
                        (virSupervisorJob){.name = "changing a medium",
                                           .run = virControlMediaRun,
                                           .done = virControlDiskAnswer});
}

/* --- leases ------------------------------------------------------------------------------ */

static gboolean
virControlTakeLeaseRun(gpointer data, GError **error)
{
    virControlDisk *disk = data;

    return virDomainLockTakeLease(virControlDiskObj(disk), disk->text, error);
}

void
virSupervisorControlAttachLease(virSupervisorControl *control, GVariant *parameters,
                                GDBusMethodInvocation *invocation)
{
    virControlDisk *disk = g_new0(virControlDisk, 1);

    g_variant_get(parameters, "(su)", &disk->text, &disk->flags);
    virControlDiskStart(control, disk, invocation, 0,
                        (virSupervisorJob){.name = "attaching a lease",
                                           .run = virControlTakeLeaseRun,
                                           .done = virControlDiskAnswer});
}

static gboolean
virControlDropLeaseRun(gpointer data, GError **error)
{
    virControlDisk *disk = data;

    return virDomainLockDropLease(virControlDiskObj(disk),
                                  *disk->lockspace ? disk->lockspace : NULL, disk->text,
                                  error);
}

void
virSupervisorControlDetachLease(virSupervisorControl *control, GVariant *parameters,
                                GDBusMethodInvocation *invocation)
{
    virControlDisk *disk = g_new0(virControlDisk, 1);

    g_variant_get(parameters, "(ssu)", &disk->lockspace, &disk->text, &disk->flags);
    virControlDiskStart(control, disk, invocation, 0,
                        (virSupervisorJob){.name = "detaching a lease",
                                           .run = virControlDropLeaseRun,
                                           .done = virControlDiskAnswer});
}
