/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * slots.c: see slots.h.
 *
 * Order of a creation, so that a crash at any point leaves at worst an unreferenced area that
 * the next one uses again: the bridge is formatted, the use records are reset, sanlock formats
 * the lease, sanlock writes the index entry.
 *
 * Order of a reclaim: the lease and its bridge are taken, exclusively, which no living user
 * lets happen; the store's epoch floor is raised to the epoch of the lease, so that the next
 * lease of this name does not tell an epoch again that saved memory may remember (I7); the
 * index entry is removed; both are given back. Somebody who found the lease in the index before
 * gets it afterwards, looks into the index again, as everybody does, and gives it up. A helper
 * that dies with the entry removed leaves the daemon at giving both back, which writes into
 * their areas: whoever creates a lease there waits for that first.
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
                             "cannot change the leases of store %s: taking its guard lease",
                             store->path);
    return FALSE;
}

/* The area at @offset is free by the index. If its leader names an owner, that one may still
 * be giving it up; by the answer of sanlock it is over, or the owner is dead. What is there
 * and is no lease is nobody's. */
static gboolean
virSanlockSlotsAwaitArea(virSanlockStore *store, int sock, guint64 offset,
                         gint64 deadlineUsec, GError **error)
{
    g_autofree struct sanlk_resource *res = NULL;
    virSanlockLeaderVerdict verdict;
    virSanlockLeader leader;
    int rv;

    if (!virSanlockStoreReadLeader(store, offset, VIR_SANLOCK_LEADER_LEASE, &leader,
                                   &verdict, error))
        return FALSE;
    if (verdict != VIR_SANLOCK_LEADER_VALID || !leader.timestamp || !leader.ownerId ||
        !*leader.name)
        return TRUE;
    res = virSanlockResourceNew(store->path, &store->geometry, leader.name, offset);
    do
        rv = sanlock_acquire(sock, -1, SANLK_ACQUIRE_OWNER_NOWAIT, 1, &res, NULL);
    while (rv < 0 && virSanlockSlotsMayRetry(rv, deadlineUsec));
    if (rv == 0)
        rv = sanlock_release(sock, -1, 0, 1, &res);
    if (rv == 0 || virSanlockErrorLookup(rv)->code == VIR_LOCK_ERROR_CONFIG)
        return TRUE;
    virSanlockDaemonErrorSet(error, rv,
                             "cannot create leases in store %s: the former lease %s of "
                             "their place is still in use",
                             store->path, leader.name);
    return FALSE;
}

static gboolean
virSanlockSlotsAwait(virSanlockStore *store, int sock, guint slot, gint64 deadlineUsec,
                     GError **error)
{
    const virSanlockGeometry *g = &store->geometry;

    return virSanlockSlotsAwaitArea(store, sock, virSanlockSlotOffset(g, slot),
                                    deadlineUsec, error) &&
           virSanlockSlotsAwaitArea(store, sock, virSanlockBridgeOffset(g, slot),
                                    deadlineUsec, error);
}

static gboolean
virSanlockSlotsPrepare(virSanlockStore *store, guint slot, const char *name,
                       GError **error)
{
    const virSanlockGeometry *g = &store->geometry;
    gsize ringBytes = (gsize)VIR_USE_RING_SECTORS * g->sectorSize;
    g_autoptr(virSanlockBytes) ring = virSanlockBuffer(ringBytes);
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
    virUseRingReset(ring, g->sectorSize, name, g->epochFloor, g_get_real_time());
    return virSanlockStoreWrite(store, virSanlockUseOffset(g, slot), ring, ringBytes,
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
virSanlockSlotsCreateOne(virSanlockStore *store, int sock, const char *name,
                         gint64 deadlineUsec, GError **error)
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
                    "store %s is full: all its %u leases are in use; 'leasehold store gc' "
                    "forgets those that nobody needs any more, or create a larger one",
                    store->path, store->geometry.maxSlots);
        return FALSE;
    }
    return virSanlockSlotsAwait(store, sock, slot, deadlineUsec, error) &&
           virSanlockSlotsPrepare(store, slot, name, error) &&
           virSanlockSlotsCreateLease(store, slot, name, deadlineUsec, error);
}

/* Registers this process and takes the guard, which ends with the returned socket (or with
 * the process). What the store's header says is read again under it. Returns -1 on failure. */
static int
virSanlockSlotsBegin(virSanlockStore *store, gint64 deadlineUsec, GError **error)
{
    g_auto(virFd) sock = sanlock_register();

    if (sock < 0) {
        virSanlockDaemonErrorSet(error, sock, "cannot change the leases of store %s",
                                 store->path);
        return -1;
    }
    if (!virSanlockSlotsTakeGuard(store, sock, deadlineUsec, error) ||
        !virSanlockStoreRefresh(store, error))
        return -1;
    return g_steal_fd(&sock);
}

gboolean
virSanlockSlotsCreate(const char *path, const char *lockspace, const char *const *names,
                      gint64 deadlineUsec, GError **error)
{
    g_autoptr(virSanlockStore) store = virSanlockStoreOpen(path, lockspace, error);
    g_auto(virFd) sock = -1;

    if (!store || (sock = virSanlockSlotsBegin(store, deadlineUsec, error)) < 0)
        return FALSE;
    for (const char *const *name = names; *name; name++)
        if (!virSanlockSlotsCreateOne(store, sock, *name, deadlineUsec, error))
            return FALSE;
    return TRUE;
}

/* --- reclaiming ----------------------------------------------------------------------------- */

/* The lease of a slot, and its bridge, for sanlock. */
typedef struct {
    struct sanlk_resource *parts[2];
} virSanlockPair;

static void
virSanlockPairInit(virSanlockPair *pair, const virSanlockStore *store, guint slot,
                   const char *name)
{
    const virSanlockGeometry *g = &store->geometry;
    char bridge[VIR_SANLOCK_NAME_SIZE];

    virSanlockBridgeName(name, bridge);
    pair->parts[0] =
        virSanlockResourceNew(store->path, g, name, virSanlockSlotOffset(g, slot));
    pair->parts[1] =
        virSanlockResourceNew(store->path, g, bridge, virSanlockBridgeOffset(g, slot));
}

static void
virSanlockPairClear(virSanlockPair *pair)
{
    g_free(pair->parts[0]);
    g_free(pair->parts[1]);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(virSanlockPair, virSanlockPairClear)

/* In this order: with the entry gone and the floor not raised an epoch could be told twice. */
static gboolean
virSanlockSlotsForget(virSanlockStore *store, const guint8 *index, gsize sector,
                      guint64 epoch, GError **error)
{
    virSanlockGeometry *g = &store->geometry;

    if (epoch > g->epochFloor) {
        g->epochFloor = epoch;
        if (!virSanlockStoreWriteHeader(store, error))
            return FALSE;
    }
    return virSanlockStoreWrite(store, virSanlockIndexOffset(g) + sector, index + sector,
                                g->sectorSize, error) &&
           virSanlockStoreSync(store, error);
}

/* TRUE with *@reclaimed FALSE: somebody uses it, or has used it since it was chosen. */
static gboolean
virSanlockSlotsReclaimOne(virSanlockStore *store, int sock,
                          const virSanlockReclaim *reclaim, gboolean *reclaimed,
                          GError **error)
{
    g_autoptr(virSanlockBytes) index = virSanlockStoreReadIndex(store, error);
    g_auto(virSanlockPair) pair = {{NULL}};
    gboolean ok = TRUE;
    virUseRing use;
    gsize sector;
    int slot, rv;

    *reclaimed = FALSE;
    if (!index)
        return FALSE;
    slot = virSanlockIndexFind(index, &store->geometry, reclaim->name);
    if (slot < 0)
        return TRUE;
    sector = virSanlockIndexRemove(index, &store->geometry, slot);
    /* its name is there twice, and without the first all hosts would use the second */
    if (virSanlockIndexFind(index, &store->geometry, reclaim->name) >= 0)
        return TRUE;
    virSanlockPairInit(&pair, store, slot, reclaim->name);
    if (sanlock_acquire(sock, -1, SANLK_ACQUIRE_OWNER_NOWAIT, 2, pair.parts, NULL) < 0)
        return TRUE;
    if (virSanlockStoreReadUse(store, slot, reclaim->name, &use, NULL) &&
        use.epoch == reclaim->epoch) {
        ok = virSanlockSlotsForget(store, index, sector, use.epoch, error);
        *reclaimed = ok;
    }
    rv = sanlock_release(sock, -1, 0, 2, pair.parts);
    if (rv < 0 && ok)
        virSanlockDaemonErrorSet(error, rv, "cannot give lease %s back", reclaim->name);
    return ok && rv >= 0;
}

gboolean
virSanlockSlotsReclaim(const char *path, const char *lockspace,
                       const virSanlockReclaim *reclaims, gsize n,
                       virSanlockReclaimedFunc func, gint64 deadlineUsec, GError **error)
{
    g_autoptr(virSanlockStore) store = virSanlockStoreOpen(path, lockspace, error);
    g_auto(virFd) sock = -1;

    if (!store || (sock = virSanlockSlotsBegin(store, deadlineUsec, error)) < 0)
        return FALSE;
    for (gsize i = 0; i < n; i++) {
        gboolean reclaimed;

        if (!virSanlockSlotsReclaimOne(store, sock, &reclaims[i], &reclaimed, error))
            return FALSE;
        if (reclaimed)
            func(reclaims[i].name);
    }
    return TRUE;
}
