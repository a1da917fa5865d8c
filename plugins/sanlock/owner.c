/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * owner.c: see owner.h.
 *
 * The store says which host holds a lease and which guest used it last; that needs no daemon.
 * How the host is, and when its leases could be taken, is the daemon's to say. It is asked
 * afterwards and may be silent.
 */
#include "plugins/sanlock/owner.h"

#include "plugins/sanlock/hosts.h"

typedef struct {
    virSanlockConfig *config;
    char name[VIR_SANLOCK_NAME_SIZE]; /* empty: every lease of the store */
    gboolean wantFree; /* also one owner with mode NONE for each free lease */
    /* answers */
    virSanlockGeometry geometry;
    GArray *hostNames;
    GPtrArray *owners;
} virSanlockOwnersQuery;

static void
virSanlockOwnersQueryClear(gpointer data)
{
    virSanlockOwnersQuery *query = data;

    virSanlockConfigUnref(query->config);
    g_clear_pointer(&query->hostNames, g_array_unref);
    g_clear_pointer(&query->owners, g_ptr_array_unref);
}

static void
virSanlockOwnersQueryUnref(virSanlockOwnersQuery *query)
{
    g_atomic_rc_box_release_full(query, virSanlockOwnersQueryClear);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSanlockOwnersQuery, virSanlockOwnersQueryUnref)

static virSanlockOwnersQuery *
virSanlockOwnersQueryNew(virSanlockConfig *config, const char *name)
{
    virSanlockOwnersQuery *query = g_atomic_rc_box_new0(virSanlockOwnersQuery);

    query->config = virSanlockConfigRef(config);
    query->owners = g_ptr_array_new_with_free_func((GDestroyNotify)virLockOwnerFree);
    g_strlcpy(query->name, name ? name : "", sizeof(query->name));
    return query;
}

/* --- from the store ---------------------------------------------------------------------------- */

static virLockOwner *
virSanlockOwnersAdd(virSanlockOwnersQuery *query, const char *lease, guint hostId,
                    guint64 generation)
{
    virLockOwner *owner = g_new0(virLockOwner, 1);

    owner->structSize = sizeof(*owner);
    owner->lockspace = g_strdup(query->geometry.lockspace);
    owner->lease = g_strdup(lease);
    owner->hostId = hostId;
    owner->generation = generation;
    owner->seenSec = -1;
    owner->etaSec = -1;
    if (hostId >= 1 && hostId <= query->hostNames->len)
        owner->hostName =
            g_strdup(query->hostNames->data + (hostId - 1) * VIR_SANLOCK_NAME_SIZE);
    g_ptr_array_add(query->owners, owner);
    return owner;
}

/* The record tells the guest only if the same life of the same host wrote it. */
static void
virSanlockOwnerSetGuest(virLockOwner *owner, const virUseRing *use)
{
    const virUseRecord *record =
        use->nRecords && !use->doubtful ? &use->records[0] : NULL;

    if (!record || record->hostId != owner->hostId ||
        record->generation != owner->generation)
        return;
    owner->guestName = g_strdup(record->guestName);
    owner->guestUuid = g_strdup(record->guestUuid);
    owner->sinceUsec = record->timeUsec;
    owner->pid = record->pid;
    if (*record->hostName) {
        g_free(owner->hostName);
        owner->hostName = g_strdup(record->hostName);
    }
}

static guint8 *
virSanlockHostSector(guint8 *area, const virSanlockGeometry *geometry, guint64 hostId)
{
    return area + (1 + hostId) * geometry->sectorSize;
}

static gboolean
virSanlockLeaderIsOwned(const virSanlockLeader *leader, guint8 *area,
                        const virSanlockGeometry *geometry)
{
    if (!leader->timestamp || !leader->ownerId || leader->ownerId > geometry->maxHosts)
        return FALSE;
    return leader->writerId == leader->ownerId ||
           !virSanlockBallotIsReleased(
               virSanlockHostSector(area, geometry, leader->ownerId));
}

/* Reads one lease area (the leader and a sector for each host) and adds who holds it. */
static gboolean
virSanlockOwnersReadArea(virSanlockOwnersQuery *query, virSanlockStore *store,
                         guint64 offset, const char *lease, virLockHold hold,
                         const virUseRing *use, GError **error)
{
    const virSanlockGeometry *g = &store->geometry;
    gsize len = (gsize)(2 + g->maxHosts) * g->sectorSize;
    g_autoptr(virSanlockBytes) area = virSanlockBuffer(len);
    virSanlockLeader leader;
    gboolean owned;

    if (!virSanlockStoreRead(store, offset, area, len, error))
        return FALSE;
    if (virSanlockLeaderDecode(area, VIR_SANLOCK_LEADER_LEASE, &leader) !=
        VIR_SANLOCK_LEADER_VALID) {
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
            "lease %s in store %s is missing or damaged; see 'leasehold store check'",
            lease, store->path);
        return FALSE;
    }
    owned = virSanlockLeaderIsOwned(&leader, area, g);
    if (owned) {
        virLockOwner *owner =
            virSanlockOwnersAdd(query, lease, leader.ownerId, leader.ownerGeneration);

        owner->mode = VIR_LOCK_MODE_EXCLUSIVE;
        owner->hold = hold;
        virSanlockOwnerSetGuest(owner, use);
    }
    for (guint hostId = 1; hostId <= MIN(leader.numHosts, g->maxHosts); hostId++) {
        guint64 generation;
        virLockOwner *owner;

        if (!virSanlockModeIsShared(virSanlockHostSector(area, g, hostId), &generation) ||
            (owned && leader.ownerId == hostId))
            continue;
        owner = virSanlockOwnersAdd(query, lease, hostId, generation);
        owner->mode = VIR_LOCK_MODE_SHARED;
        owner->hold = hold;
    }
    return TRUE;
}

static gboolean
virSanlockOwnersReadSlot(virSanlockOwnersQuery *query, virSanlockStore *store, guint slot,
                         const char *lease, GError **error)
{
    guint before = query->owners->len;
    virUseRing use;

    if (!virSanlockStoreReadUse(store, slot, lease, &use, NULL))
        memset(&use, 0, sizeof(use)); /* whoever holds it matters more than its name */
    if (!virSanlockOwnersReadArea(query, store,
                                  virSanlockSlotOffset(&store->geometry, slot), lease,
                                  VIR_LOCK_HOLD_LEASE, &use, error) ||
        !virSanlockOwnersReadArea(query, store,
                                  virSanlockBridgeOffset(&store->geometry, slot), lease,
                                  VIR_LOCK_HOLD_BRIDGE, &use, error))
        return FALSE;
    if (query->wantFree && query->owners->len == before) {
        virLockOwner *owner = virSanlockOwnersAdd(query, lease, 0, 0);

        if (use.nRecords && *use.records[0].guestName)
            owner->guestName = g_strdup(use.records[0].guestName);
    }
    return TRUE;
}

static gboolean
virSanlockOwnersJob(gpointer data, GError **error)
{
    virSanlockOwnersQuery *query = data;
    g_autoptr(virSanlockStore) store =
        virSanlockStoreOpen(query->config->store, query->config->lockspace, error);
    g_autoptr(virSanlockBytes) index =
        store ? virSanlockStoreReadIndex(store, error) : NULL;

    if (!index)
        return FALSE;
    query->geometry = store->geometry;
    query->hostNames = virSanlockStoreReadHostNames(store, error);
    if (!query->hostNames)
        return FALSE;
    if (*query->name) {
        int slot = virSanlockIndexFind(index, &store->geometry, query->name);

        return slot < 0 ||
               virSanlockOwnersReadSlot(query, store, slot, query->name, error);
    }
    for (guint slot = 0; slot < store->geometry.maxSlots; slot++) {
        virSanlockIndexEntry entry;

        virSanlockIndexGet(index, &store->geometry, slot, &entry);
        if (*entry.name &&
            !virSanlockOwnersReadSlot(query, store, slot, entry.name, error))
            return FALSE;
    }
    return TRUE;
}

/* --- together ------------------------------------------------------------------------------------ */

static GPtrArray *
virSanlockOwnersRun(virSanlockOwnersQuery *query, const virSanlockBounds *bounds,
                    GError **error)
{
    g_autoptr(virSanlockHostsView) view = NULL;
    virSanlockCall call = {
        .what = "reading the owners of leases",
        .func = virSanlockOwnersJob,
        .data = query,
        .clear = virSanlockOwnersQueryClear,
    };

    if (!virSanlockCallRun(&call, bounds, NULL, error))
        return NULL;
    if (query->owners->len > 0)
        view = virSanlockHostsViewNew(query->config, query->geometry.lockspace, bounds);
    for (guint i = 0; i < query->owners->len; i++) {
        virLockOwner *owner = query->owners->pdata[i];

        if (owner->mode != VIR_LOCK_MODE_NONE)
            virSanlockHostsViewJudge(view, owner);
        if (owner->hostId != query->config->hostId)
            owner->pid = 0;
    }
    return g_steal_pointer(&query->owners);
}

GPtrArray *
virSanlockOwnersRead(virSanlockLeaseSet *set, const virSanlockBounds *bounds,
                     GError **error)
{
    g_autoptr(virSanlockOwnersQuery) query =
        virSanlockOwnersQueryNew(set->config, set->leases[0].name);

    return virSanlockOwnersRun(query, bounds, error);
}

gboolean
virSanlockQueryOwner(gpointer driverData, const virLockDriverResource *resource,
                     GPtrArray **owners, const virLockWait *wait, GError **error)
{
    virSanlockConfig *config = driverData;
    virLockDriverResource *one = (virLockDriverResource *)resource;
    g_autoptr(virSanlockLeaseSet) set = virSanlockLeaseSetNew(config, &one, 1, error);
    virSanlockBounds bounds;

    virSanlockBoundsInit(&bounds, wait);
    *owners = set ? virSanlockOwnersRead(set, &bounds, error) : NULL;
    return *owners != NULL;
}

gboolean
virSanlockStoreList(gpointer driverData, GPtrArray **leases, const virLockWait *wait,
                    GError **error)
{
    virSanlockConfig *config = driverData;
    g_autoptr(virSanlockOwnersQuery) query = NULL;
    virSanlockBounds bounds;

    virSanlockBoundsInit(&bounds, wait);
    if (!virSanlockConfigNeedStore(config, error))
        return FALSE;
    query = virSanlockOwnersQueryNew(config, NULL);
    query->wantFree = TRUE;
    *leases = virSanlockOwnersRun(query, &bounds, error);
    return *leases != NULL;
}

/* --- in words -------------------------------------------------------------------------------------- */

static void
virSanlockOwnerAppendSince(GString *text, gint64 sinceUsec)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autoptr(GDateTime) utc = NULL;
    g_autoptr(GDateTime) since = NULL;
    g_autofree char *words = NULL;

    if (sinceUsec <= 0)
        return;
    utc = g_date_time_new_from_unix_utc(sinceUsec / G_USEC_PER_SEC);
    since = utc ? g_date_time_to_local(utc) : NULL;
    if (!since)
        return;
    words = g_date_time_format(since, g_date_time_difference(now, since) < G_TIME_SPAN_DAY
                                          ? "%H:%M:%S"
                                          : "%F %H:%M:%S");
    g_string_append_printf(text, " since %s", words);
}

static void
virSanlockOwnerAppendOutlook(GString *text, const virLockOwner *owner)
{
    const char *name = owner->hostName ? owner->hostName : "?";

    if (owner->hostState == VIR_LOCK_HOST_UNKNOWN && owner->seenSec < 0)
        g_string_append_printf(text, "\nhow host '%s' is cannot be told now", name);
    else if (owner->etaSec == 0)
        g_string_append_printf(text, "\nhost '%s' is gone; the lease can be taken now",
                               name);
    else if (owner->etaSec > 0 && owner->seenSec >= 0)
        g_string_append_printf(
            text,
            "\nhost '%s' was last seen alive %" G_GINT64_FORMAT
            " s ago; if it is dead the lease can be taken in %" G_GINT64_FORMAT " s",
            name, owner->seenSec, owner->etaSec);
}

void
virSanlockOwnerSetBusy(GError **error, const char *label, const virLockOwner *owner,
                       int rv)
{
    g_autoptr(GString) text = g_string_new(label);

    g_string_append_printf(text, " is %s by host '%s' (host id %u)",
                           owner->hold == VIR_LOCK_HOLD_BRIDGE
                               ? "reserved for a migration"
                           : owner->mode == VIR_LOCK_MODE_SHARED ? "held shared"
                                                                 : "held",
                           owner->hostName ? owner->hostName : "?", owner->hostId);
    if (owner->guestName && *owner->guestName && owner->hold == VIR_LOCK_HOLD_LEASE)
        g_string_append_printf(text, " for guest '%s'", owner->guestName);
    virSanlockOwnerAppendSince(text, owner->sinceUsec);
    if (rv != 0)
        g_string_append_printf(text, " (sanlock %d)", rv);
    virSanlockOwnerAppendOutlook(text, owner);
    g_set_error_literal(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY, text->str);
}
