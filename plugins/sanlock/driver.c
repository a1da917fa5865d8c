/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * driver.c: the sanlock plugin's table of callbacks.
 */
#include "config.h"

#include "plugins/sanlock/settings.h"
#include "plugins/sanlock/host.h"
#include "plugins/sanlock/object.h"
#include "plugins/sanlock/owner.h"
#include "plugins/sanlock/store_admin.h"

static gboolean
virSanlockInit(const virLockDriverConfig *config, gpointer *driverData, GError **error)
{
    *driverData = virSanlockConfigNew(config, error);
    return *driverData != NULL;
}

static void
virSanlockDeinit(gpointer driverData)
{
    virSanlockConfigUnref(driverData);
}

/* PARALLEL: the watch of a guest asks for the renewal while a job takes leases, and must
 * not wait for it. Objects change only in setPid and under their own mutex. */
static virLockDriver sanlockDriver = {
    .threadModel = VIR_LOCK_THREAD_PARALLEL,
    .capabilities = VIR_LOCK_CAP_SHARED | VIR_LOCK_CAP_HOTPLUG | VIR_LOCK_CAP_CONVERT |
                    VIR_LOCK_CAP_USE_RECORDS | VIR_LOCK_CAP_MIGRATE |
                    VIR_LOCK_CAP_QUERY_OWNER | VIR_LOCK_CAP_CHILD_REGISTER |
                    VIR_LOCK_CAP_LOSS_EVENTS | VIR_LOCK_CAP_ATTACH |
                    VIR_LOCK_CAP_MULTI_HOST | VIR_LOCK_CAP_STORE | VIR_LOCK_CAP_HOSTS |
                    VIR_LOCK_CAP_FENCED_CACHE | VIR_LOCK_CAP_RECLAIM,
    .name = "sanlock",
    .version = PACKAGE_VERSION,
    .summary = "leases on shared storage, for several hosts, by the sanlock daemon",
    .keys = virSanlockConfigKeys,
    .init = virSanlockInit,
    .deinit = virSanlockDeinit,
    .objectNew = virSanlockObjectNew,
    .objectFree = virSanlockObjectFree,
    .acquire = virSanlockObjectAcquire,
    .release = virSanlockObjectRelease,
    .inquire = virSanlockObjectInquire,
    .prepareChild = virSanlockObjectPrepareChild,
    .registerChild = virSanlockObjectRegisterChild,
    .setPid = virSanlockObjectSetPid,
    .convert = virSanlockObjectConvert,
    .useRead = virSanlockUseRead,
    .useAdvance = virSanlockObjectUseAdvance,
    .reserve = virSanlockObjectReserve,
    .unreserve = virSanlockObjectUnreserve,
    .settle = virSanlockObjectSettle,
    .queryOwner = virSanlockQueryOwner,
    .watchDaemon = virSanlockObjectWatchDaemon,
    .renewal = virSanlockObjectRenewal,
    .storeCreate = virSanlockStoreCreate,
    .storeInfo = virSanlockStoreGetInfo,
    .storeList = virSanlockStoreList,
    .storeCheck = virSanlockStoreCheck,
    .hostJoin = virSanlockHostJoin,
    .hostLeave = virSanlockHostLeave,
    .hostList = virSanlockHostList,
    .diagnose = virSanlockDiagnose,
    .storeReclaim = virSanlockStoreReclaim,
};

VIR_LOCK_DRIVER_REGISTER(sanlockDriver)
