/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * use.c: the use records of leases.
 */
#include "plugins/sanlock/object.h"

#include "plugins/sanlock/errors.h"
#include "plugins/sanlock/daemon.h"
#include "plugins/sanlock/libsanlock.h"

typedef struct {
    virSanlockConfig *config;
    char name[VIR_SANLOCK_NAME_SIZE];
    virUseRing use;
} virSanlockUseQuery;

static void
virSanlockUseQueryClear(gpointer data)
{
    virSanlockConfigUnref(((virSanlockUseQuery *)data)->config);
}

static gboolean
virSanlockUseQueryJob(gpointer data, GError **error)
{
    virSanlockUseQuery *query = data;
    g_autoptr(virSanlockStore) store =
        virSanlockStoreOpen(query->config->store, query->config->lockspace, error);
    g_autoptr(virSanlockBytes) index =
        store ? virSanlockStoreReadIndex(store, error) : NULL;
    int slot;

    if (!index)
        return FALSE;
    slot = virSanlockIndexFind(index, &store->geometry, query->name);
    return slot < 0 ||
           virSanlockStoreReadUse(store, slot, query->name, &query->use, error);
}

gboolean
virSanlockUseRead(gpointer driverData, const virLockDriverResource *resource,
                  guint maxHistory, GPtrArray **uses, const virLockWait *wait,
                  GError **error)
{
    virSanlockConfig *config = driverData;
    virLockDriverResource *one = (virLockDriverResource *)resource;
    g_autoptr(virSanlockLeaseSet) set = virSanlockLeaseSetNew(config, &one, 1, error);
    virSanlockUseQuery *query;
    virSanlockBounds bounds;
    virSanlockCall call;
    gboolean ok;

    if (!set)
        return FALSE;
    virSanlockBoundsInit(&bounds, wait);
    query = g_atomic_rc_box_new0(virSanlockUseQuery);
    query->config = virSanlockConfigRef(config);
    g_strlcpy(query->name, resource->name, sizeof(query->name));
    call = (virSanlockCall){
        .what = "reading a use record",
        .func = virSanlockUseQueryJob,
        .data = query,
        .clear = virSanlockUseQueryClear,
    };
    ok = virSanlockCallRun(&call, &bounds, NULL, error);
    if (ok)
        *uses = virUseRingToUses(&query->use, maxHistory);
    g_atomic_rc_box_release_full(query, virSanlockUseQueryClear);
    return ok;
}

static void
virSanlockObjectFillUser(const virSanlockObject *object, virUseRecord *user)
{
    user->hostId = object->config->hostId;
    user->pid = object->pid;
    user->timeUsec = g_get_real_time();
    user->reason = VIR_USE_REASON_START;
    g_strlcpy(user->hostName, object->config->hostName, sizeof(user->hostName));
    g_strlcpy(user->guestName, object->name, sizeof(user->guestName));
    g_strlcpy(user->guestUuid, object->uuid ? object->uuid : "", sizeof(user->guestUuid));
}

gboolean
virSanlockObjectUseAdvance(gpointer objectData, virLockDriverResource *const *resources,
                           gsize n, const virLockWait *wait, GError **error)
{
    virSanlockObject *object = objectData;
    g_autoptr(virSanlockLeaseSet) set = NULL;
    virUseRecord user = {0};
    virSanlockBounds bounds;

    virSanlockBoundsInit(&bounds, wait);
    if (n == 0)
        return TRUE;
    set = virSanlockLeaseSetNew(object->config, resources, n, error);
    virSanlockObjectFillUser(object, &user);
    if (set && object->taken)
        (void)virSanlockLeaseSetAdopt(set, object->taken);
    g_clear_pointer(&object->taken, virSanlockLeaseSetUnref);
    if (!set || !virSanlockLeaseSetAdvance(set, &user, &bounds, error))
        return FALSE;
    for (gsize i = 0; i < n; i++)
        resources[i]->epoch = set->leases[i].use.epoch;
    return TRUE;
}
