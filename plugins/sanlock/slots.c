/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * slots.c: see slots.h.
 *
 * Order, so that a crash at any point leaves at worst an unreferenced area that the next one
 * uses again: the bridge is formatted, the use records are zeroed, sanlock formats the lease,
 * sanlock writes the index entry.
 */
#include "plugins/sanlock/slots.h"

#include <errno.h>
#include <unistd.h>

#include "common/fd.h"
#include "plugins/sanlock/daemon.h"
#include "plugins/sanlock/errors.h"
#include "plugins/sanlock/libsanlock.h"

#define NAP_USEC (10 * 1000)

/* What sanlock refuses while another host or another process of this one is at it. */
static gboolean
virSanlockSlotsMayRetry(int rv, gint64 deadlineUsec)
{
    gboolean passing = virSanlockErrorLookup(rv)->retry != VIR_SANLOCK_RETRY_NEVER ||
                       rv == -EEXIST; /* the guard: another helper of this host has it */

    if (!passing || g_get_monotonic_time() >= deadlineUsec)
        return FALSE;
    g_usleep(NAP_USEC + g_random_int_range(0, 3 * NAP_USEC));
    return TRUE;
}

static gboolean
virSanlockSlotsTakeGuard(virSanlockStore *store, int sock, gint64 deadlineUsec,
                         GError **error)
{
    g_autofree struct sanlk_resource *guard =
        virSanlockResourceNew(store->path, &store->geometry, VIR_SANLOCK_GUARD_NAME,
                              virSanlockGuardOffset(&store->geometry));
    int rv;

    do
        rv = sanlock_acquire(sock, -1, SANLK_ACQUIRE_OWNER_NOWAIT, 1, &guard, NULL);
    while (rv < 0 && virSanlockSlotsMayRetry(rv, deadlineUsec));
    if (rv == 0)
        return TRUE;
    virSanlockDaemonErrorSet(error, rv,
                             "cannot create leases in store %s: taking its guard lease",
                             store->path);
    return FALSE;
}

static gboolean
virSanlockSlotsPrepare(virSanlockStore *store, guint slot, const char *name,
                       GError **error)
{
    const virSanlockGeometry *g = &store->geometry;
    gsize ringBytes = (gsize)VIR_USE_RING_SECTORS * g->sectorSize;
    g_autoptr(virSanlockBytes) zeroes = virSanlockBuffer(ringBytes);
    g_autofree struct sanlk_resource *bridge = NULL;
    char bridgeName[VIR_SANLOCK_NAME_SIZE];
    int rv;

    virSanlockBridgeName(name, bridgeName);
    bridge = virSanlockResourceNew(store->path, g, bridgeName,
                                   virSanlockBridgeOffset(g, slot));
    rv = sanlock_direct_write_resource(bridge, g->maxHosts, g->maxHosts, 0);
    if (rv < 0) {
        virSanlockErrorSet(error, rv, "cannot format a lease in store %s", store->path);
        return FALSE;
    }
    return virSanlockStoreWrite(store, virSanlockUseOffset(g, slot), zeroes, ringBytes,
                                error) &&
           virSanlockStoreSync(store, error);
}

static gboolean
virSanlockSlotsCreateLease(virSanlockStore *store, guint slot, const char *name,
                           gint64 deadlineUsec, GError **error)
{
    const virSanlockGeometry *g = &store->geometry;
    struct sanlk_rindex index = {.max_resources = g->maxSlots};
    struct sanlk_rentry entry = {0};
    int rv;

    index.flags = g->sectorSize == 4096 ? SANLK_RIF_SECTOR4K | SANLK_RIF_ALIGN8M
                                        : SANLK_RIF_SECTOR512 | SANLK_RIF_ALIGN1M;
    g_strlcpy(index.lockspace_name, g->lockspace, sizeof(index.lockspace_name));
    g_strlcpy(index.disk.path, store->path, sizeof(index.disk.path));
    index.disk.offset = virSanlockIndexOffset(g);
    g_strlcpy(entry.name, name, sizeof(entry.name));

    /* 3.8.5 takes the first of the two numbers for the second; so both are the same */
    do
        rv = sanlock_create_resource(&index, 0, &entry, g->maxHosts, g->maxHosts);
    while (rv < 0 && virSanlockSlotsMayRetry(rv, deadlineUsec));
    if (rv < 0) {
        virSanlockDaemonErrorSet(error, rv, "cannot create lease %s in store %s", name,
                                 store->path);
        return FALSE;
    }
    if (entry.offset == virSanlockSlotOffset(g, slot))
        return TRUE;
    /* Another program changed the index without the guard. The entry without bridge must
     * not stay. */
    (void)!sanlock_delete_resource(&index, 0, &entry);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "another program changes the lease index of store %s", store->path);
    return FALSE;
}

static gboolean
virSanlockSlotsCreateOne(virSanlockStore *store, const char *name, gint64 deadlineUsec,
                         GError **error)
{
    g_autoptr(virSanlockBytes) index = virSanlockStoreReadIndex(store, error);
    int slot;

    if (!index)
        return FALSE;
    if (virSanlockIndexFind(index, &store->geometry, name) >= 0)
        return TRUE;
    slot = virSanlockIndexFindFree(index, &store->geometry);
    if (slot < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "store %s is full: all its %u leases are in use; create a larger one "
                    "(store create --max-leases)",
                    store->path, store->geometry.maxSlots);
        return FALSE;
    }
    return virSanlockSlotsPrepare(store, slot, name, error) &&
           virSanlockSlotsCreateLease(store, slot, name, deadlineUsec, error);
}

gboolean
virSanlockSlotsCreate(const char *path, const char *lockspace, const char *const *names,
                      gint64 deadlineUsec, GError **error)
{
    g_autoptr(virSanlockStore) store = virSanlockStoreOpen(path, lockspace, error);
    g_auto(virFd) sock = -1;

    if (!store)
        return FALSE;
    sock = sanlock_register();
    if (sock < 0) {
        virSanlockDaemonErrorSet(error, sock, "cannot create leases");
        return FALSE;
    }
    if (!virSanlockSlotsTakeGuard(store, sock, deadlineUsec, error))
        return FALSE;
    for (const char *const *name = names; *name; name++)
        if (!virSanlockSlotsCreateOne(store, *name, deadlineUsec, error))
            return FALSE;
    /* the guard ends with the connection */
    return TRUE;
}
