/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nop.c: the plugin that takes nothing.
 *
 * For guests whose disks cannot be reached from elsewhere, by explicit choice only. It keeps
 * no promise but the ones that are trivial: nothing is held, so nothing is found, lost or in
 * the way. It does not promise MIGRATE, USE_RECORDS or QUERY_OWNER, so whatever depends on
 * these is refused by name.
 */
#include "config.h"

#include <leasehold/lock_driver.h>

static gboolean
virNopInit(const virLockDriverConfig *config, gpointer *driverData, GError **error)
{
    *driverData = NULL;
    return TRUE;
}

static void
virNopDeinit(gpointer driverData)
{
}

static gboolean
virNopObjectNew(gpointer driverData, const virLockDriverObject *object, guint flags,
                gpointer *objectData, GError **error)
{
    *objectData = NULL;
    return TRUE;
}

static void
virNopObjectFree(gpointer objectData)
{
}

static gboolean
virNopAcquire(gpointer objectData, virLockDriverResource *const *resources, gsize n,
              guint flags, const virLockWait *wait, GError **error)
{
    return TRUE;
}

static gboolean
virNopRelease(gpointer objectData, virLockDriverResource *const *resources, gsize n,
              const virLockWait *wait, GError **error)
{
    return TRUE;
}

static gboolean
virNopInquire(gpointer objectData, GPtrArray **leases, const virLockWait *wait,
              GError **error)
{
    *leases = g_ptr_array_new();
    return TRUE;
}

static gboolean
virNopConvert(gpointer objectData, virLockDriverResource *resource, virLockMode mode,
              const virLockWait *wait, GError **error)
{
    return TRUE;
}

static gboolean
virNopDiagnose(gpointer driverData, GPtrArray **findings, const virLockWait *wait,
               GError **error)
{
    virLockFinding *finding = g_new0(virLockFinding, 1);

    finding->structSize = sizeof(*finding);
    finding->level = VIR_LOCK_FINDING_WARNING;
    finding->subject = g_strdup("plugin nop");
    finding->text =
        g_strdup("guests run without any lease: nothing keeps a second one away");
    finding->advice =
        g_strdup("set [lock] plugin = lockfile (one host) or sanlock (several)");
    *findings = g_ptr_array_new();
    g_ptr_array_add(*findings, finding);
    return TRUE;
}

static virLockDriver virNopDriver = {
    .threadModel = VIR_LOCK_THREAD_PARALLEL,
    .capabilities = VIR_LOCK_CAP_SHARED | VIR_LOCK_CAP_HOTPLUG | VIR_LOCK_CAP_CONVERT,
    .name = "nop",
    .version = PACKAGE_VERSION,
    .summary = "no leases at all: nothing protects the disks",
    .init = virNopInit,
    .deinit = virNopDeinit,
    .objectNew = virNopObjectNew,
    .objectFree = virNopObjectFree,
    .acquire = virNopAcquire,
    .release = virNopRelease,
    .inquire = virNopInquire,
    .convert = virNopConvert,
    .diagnose = virNopDiagnose,
};

VIR_LOCK_DRIVER_REGISTER(virNopDriver)
