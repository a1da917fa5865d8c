/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lease.c: see lease.h.
 */
#include "plugins/sanlock/lease.h"
#include "plugins/sanlock/daemon.h"
#include "plugins/sanlock/host.h"
#include "plugins/sanlock/libsanlock.h"
#include "plugins/sanlock/parallel.h"
#include "plugins/sanlock/rings.h"

static virSanlockLeaseSet *
virSanlockLeaseSetAlloc(virSanlockConfig *config, gsize n)
{
    virSanlockLeaseSet *set = g_atomic_rc_box_new0(virSanlockLeaseSet);

    set->config = virSanlockConfigRef(config);
    set->n = n;
    set->leases = g_new0(virSanlockLease, n);
    return set;
}

static void
virSanlockLeaseSetClear(gpointer data)
{
    virSanlockLeaseSet *set = data;

    for (gsize i = 0; i < set->n; i++)
        g_free(set->leases[i].label);
    g_free(set->leases);
    if (set->beforeData)
        g_atomic_rc_box_release_full(set->beforeData, set->beforeClear);
    virSanlockStoreFree(set->store);
    virSanlockConfigUnref(set->config);
}

void
virSanlockLeaseSetUnref(virSanlockLeaseSet *set)
{
    g_atomic_rc_box_release_full(set, virSanlockLeaseSetClear);
}

static void
virSanlockLeaseInit(virSanlockLease *lease, const char *name, const char *label,
                    virLockMode mode)
{
    g_strlcpy(lease->name, name, sizeof(lease->name));
    virSanlockBridgeName(name, lease->bridge);
    lease->label = label ? g_strdup(label) : g_strdup_printf("lease %s", name);
    lease->mode = mode;
    lease->slot = -1;
}

virSanlockLeaseSet *
virSanlockLeaseSetNewOne(virSanlockConfig *config, const char *name, const char *label)
{
    virSanlockLeaseSet *set = virSanlockLeaseSetAlloc(config, 1);

    virSanlockLeaseInit(&set->leases[0], name, label, VIR_LOCK_MODE_EXCLUSIVE);
    return set;
}

static gboolean
virSanlockLeaseCheck(virSanlockConfig *config, const virLockDriverResource *resource,
                     GError **error)
{
    if (!virSanlockNameIsValid(resource->name)) {
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
            "'%s' cannot be the name of a lease: 1 to %u of A-Z a-z 0-9 . _ - are "
            "permitted",
            resource->name, VIR_LOCK_NAME_MAX);
        return FALSE;
    }
    if (resource->lockspace && config->lockspace &&
        strcmp(resource->lockspace, config->lockspace) != 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "%s is in lockspace '%s', but this host is configured for '%s' only",
                    resource->label ? resource->label : resource->name,
                    resource->lockspace, config->lockspace);
        return FALSE;
    }
    return TRUE;
}

virSanlockLeaseSet *
virSanlockLeaseSetNew(virSanlockConfig *config, virLockDriverResource *const *resources,
                      gsize n, GError **error)
{
    g_autoptr(virSanlockLeaseSet) set = NULL;

    if (!virSanlockConfigNeedStore(config, error))
        return NULL;
    set = virSanlockLeaseSetAlloc(config, n);
    for (gsize i = 0; i < n; i++) {
        if (!virSanlockLeaseCheck(config, resources[i], error))
            return NULL;
        virSanlockLeaseInit(&set->leases[i], resources[i]->name, resources[i]->label,
                            resources[i]->mode);
    }
    return g_steal_pointer(&set);
}

gboolean
virSanlockLeaseSetIsComplete(const virSanlockLeaseSet *set)
{
    for (gsize i = 0; i < set->n; i++)
        if (set->leases[i].slot < 0)
            return FALSE;
    return TRUE;
}

struct sanlk_resource *
virSanlockLeaseToResource(const virSanlockLeaseSet *set, gsize i, virSanlockPart part)
{
    const virSanlockLease *lease = &set->leases[i];
    struct sanlk_resource *res;

    if (part == VIR_SANLOCK_PART_BRIDGE)
        return virSanlockResourceNew(set->config->store, &set->geometry, lease->bridge,
                                     virSanlockBridgeOffset(&set->geometry, lease->slot));
    res = virSanlockResourceNew(set->config->store, &set->geometry, lease->name,
                                virSanlockSlotOffset(&set->geometry, lease->slot));
    if (lease->mode == VIR_LOCK_MODE_SHARED)
        res->flags |= SANLK_RES_SHARED;
    return res;
}

/* --- locate ---------------------------------------------------------------------------------- */

/* Geometry and slots by the index of @store. */
static gboolean
virSanlockLeaseSetFind(virSanlockLeaseSet *set, virSanlockStore *store, GError **error)
{
    g_autoptr(virSanlockBytes) index = virSanlockStoreReadIndex(store, error);

    if (!index)
        return FALSE;
    set->geometry = store->geometry;
    for (gsize i = 0; i < set->n; i++) {
        set->leases[i].slot =
            virSanlockIndexFind(index, &store->geometry, set->leases[i].name);
        set->leases[i].moved = FALSE;
        set->leases[i].bridgeDue = set->leases[i].bridgeIsThere = FALSE;
    }
    return TRUE;
}

typedef struct {
    virSanlockLeaseSet *set;
    virSanlockStore *store;
} virSanlockLeaseWork;

static gboolean
virSanlockLeaseReadLeader(gpointer data, gsize i, GError **error)
{
    virSanlockLeaseWork *work = data;
    virSanlockLease *lease = &work->set->leases[i];
    virSanlockLeaderVerdict verdict;

    memset(&lease->leader, 0, sizeof(lease->leader));
    return lease->slot < 0 ||
           virSanlockStoreReadLeader(
               work->store, virSanlockSlotOffset(&work->store->geometry, lease->slot),
               VIR_SANLOCK_LEADER_LEASE, &lease->leader, &verdict, error);
}

/* Up to the first that another host owns: it will be looked at first, and mostly it decides. To
 * the others nothing is lost: that their leaders name nobody is a hint only (take.c). */
static gboolean
virSanlockLeaseSetReadLeaders(virSanlockLeaseSet *set, virSanlockStore *store,
                              GError **error)
{
    virSanlockLeaseWork work = {set, store};
    gboolean owned = FALSE;

    if (!virSanlockEach(set->n, virSanlockLeaseReadLeader, &work, error))
        return FALSE;
    for (gsize i = 0; i < set->n; i++) {
        virSanlockLeader *leader = &set->leases[i].leader;

        if (owned)
            memset(leader, 0, sizeof(*leader));
        owned = owned || (leader->timestamp && leader->ownerId &&
                          leader->ownerId != set->config->hostId);
    }
    return TRUE;
}

/* Leaves @set without a store, or with the one that its path leads to now. */
static gboolean
virSanlockLeaseSetOpen(virSanlockLeaseSet *set, const char *lockspace, GError **error)
{
    g_clear_pointer(&set->store, virSanlockStoreFree);
    set->store = virSanlockStoreOpen(set->config->store, lockspace, error);
    return set->store != NULL;
}

static gboolean
virSanlockLeaseCheckStore(gpointer data, GError **error)
{
    virSanlockLeaseWork *work = data;

    return virSanlockHostCheckStore(work->store, work->set->config->hostId, error);
}

/* The leaders are read while the daemon is asked about the store. */
static gboolean
virSanlockLeaseSetLook(virSanlockLeaseSet *set, virSanlockStore *store, GError **error)
{
    virSanlockLeaseWork work = {set, store};
    g_autoptr(GError) why = NULL;
    virSanlockAside check;
    gboolean read;

    if (!set->checkStore)
        return virSanlockLeaseSetReadLeaders(set, store, error);
    virSanlockAsideStart(&check, virSanlockLeaseCheckStore, &work);
    read = virSanlockLeaseSetReadLeaders(set, store, &why);
    if (!virSanlockAsideEnd(&check, error))
        return FALSE;
    if (!read)
        g_propagate_error(error, g_steal_pointer(&why));
    return read;
}

static gboolean
virSanlockLeaseSetLocateNow(virSanlockLeaseSet *set, GError **error)
{
    g_autoptr(virSanlockStore) store =
        virSanlockStoreOpen(set->config->store, set->config->lockspace, error);

    if (!store || !virSanlockLeaseSetFind(set, store, error) ||
        !virSanlockLeaseSetLook(set, store, error))
        return FALSE;
    set->located = TRUE;
    return TRUE;
}

static gboolean
virSanlockLeaseSetLocateJob(gpointer data, GError **error)
{
    virSanlockLeaseSet *set = data;
    g_autoptr(GError) why = NULL;
    virSanlockAside before;
    gboolean located;

    if (!set->before)
        return virSanlockLeaseSetLocateNow(set, error);
    virSanlockAsideStart(&before, set->before, set->beforeData);
    located = virSanlockLeaseSetLocateNow(set, &why);
    if (!virSanlockAsideEnd(&before, error))
        return FALSE;
    if (!located)
        g_propagate_error(error, g_steal_pointer(&why));
    return located;
}

static gboolean
virSanlockLeaseSetRun(virSanlockLeaseSet *set, const char *what, virSanlockJobFunc func,
                      guint flags, const virSanlockBounds *bounds, GError **error)
{
    virSanlockCall call = {
        .what = what,
        .func = func,
        .data = set,
        .clear = virSanlockLeaseSetClear,
        .flags = flags,
    };

    return virSanlockCallRun(&call, bounds, NULL, error);
}

gboolean
virSanlockLeaseSetLocate(virSanlockLeaseSet *set, const virSanlockBounds *bounds,
                         GError **error)
{
    return virSanlockLeaseSetRun(set, "looking up leases in the store",
                                 virSanlockLeaseSetLocateJob, 0, bounds, error);
}

/* --- verify ---------------------------------------------------------------------------------- */

static gboolean
virSanlockLeaseSetGenerationJob(gpointer data, GError **error)
{
    virSanlockLeaseSet *set = data;
    virSanlockSelf self;

    if (!virSanlockDaemonReadSelf(set->geometry.lockspace, set->config->hostId, &self,
                                  error))
        return FALSE;
    set->generation = self.generation;
    return TRUE;
}

/* What is read side by side, because each costs the same. None of it needs another: the set
 * knows from Locate where everything is, and whether that still held is judged when all is
 * there. The use records are read afterwards: who holds a bridge may write them until it is
 * free, and a read that is begun first may well be the last to look. */
enum {
    VERIFY_HEADER,
    VERIFY_INDEX,
    VERIFY_BRIDGES, /* one each */
};

typedef struct {
    virSanlockLeaseSet *set;
    virSanlockStore *store;
    virSanlockBytes *index;
    virSanlockRings rings;
} virSanlockVerify;

static void
virSanlockVerifyClear(virSanlockVerify *verify)
{
    g_aligned_free(verify->index);
    virSanlockRingsClear(&verify->rings);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(virSanlockVerify, virSanlockVerifyClear)

static gboolean
virSanlockVerifyHeader(const virSanlockVerify *verify, GError **error)
{
    virSanlockStore copy = *verify->store; /* others read the geometry */

    return virSanlockStoreRefresh(&copy, error);
}

static gboolean
virSanlockVerifyIndex(virSanlockVerify *verify, GError **error)
{
    verify->index = virSanlockStoreReadIndex(verify->store, error);
    return verify->index != NULL;
}

/* Once it was seen it need not be seen again: who takes it later finds the lease taken. */
static gboolean
virSanlockLeaseReadBridge(virSanlockLease *lease, virSanlockStore *store, GError **error)
{
    virSanlockLeaderVerdict verdict;

    if (lease->bridgeIsThere)
        return TRUE;
    if (!virSanlockStoreReadLeader(
            store, virSanlockBridgeOffset(&store->geometry, lease->slot),
            VIR_SANLOCK_LEADER_LEASE, &lease->bridgeLeader, &verdict, error))
        return FALSE;
    lease->bridgeIsThere = verdict == VIR_SANLOCK_LEADER_VALID &&
                           strcmp(lease->bridgeLeader.name, lease->bridge) == 0;
    return TRUE;
}

static gboolean
virSanlockVerifyRead(gpointer data, gsize i, GError **error)
{
    virSanlockVerify *verify = data;

    switch (i) {
    case VERIFY_HEADER:
        return virSanlockVerifyHeader(verify, error);
    case VERIFY_INDEX:
        return virSanlockVerifyIndex(verify, error);
    default:
        return virSanlockLeaseReadBridge(&verify->set->leases[i - VERIFY_BRIDGES],
                                         verify->store, error);
    }
}

static gboolean
virSanlockVerifyJudge(const virSanlockVerify *verify, GError **error)
{
    virSanlockLeaseSet *set = verify->set;

    for (gsize i = 0; i < set->n; i++) {
        virSanlockLease *lease = &set->leases[i];

        lease->moved = virSanlockIndexFind(verify->index, &set->geometry, lease->name) !=
                       lease->slot;
        if (lease->moved || lease->bridgeIsThere)
            continue;
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
            "%s: its bridge lease (slot %d of store %s) is missing or damaged; see "
            "'leasehold store check'",
            lease->label, lease->slot, verify->store->path);
        return FALSE;
    }
    return virSanlockRingsParse(&verify->rings, set, error);
}

static gboolean
virSanlockVerifyOnce(virSanlockLeaseSet *set, GError **error)
{
    g_auto(virSanlockVerify) verify = {.set = set, .store = set->store};

    return virSanlockEach(VERIFY_BRIDGES + set->n, virSanlockVerifyRead, &verify, error) &&
           virSanlockRingsRead(&verify.rings, set, set->store, error) &&
           virSanlockVerifyJudge(&verify, error);
}

/* What was read before the index may be older than that: of a lease that was made at this
 * moment. So a fault has to be there twice. */
static gboolean
virSanlockVerifyTwice(virSanlockLeaseSet *set, GError **error)
{
    return virSanlockVerifyOnce(set, NULL) || virSanlockVerifyOnce(set, error);
}

/* The daemon is asked meanwhile, for Advance. Not to be known now is no fault: that asks
 * again. */
static gboolean
virSanlockVerifyBesideGeneration(virSanlockLeaseSet *set, GError **error)
{
    g_autoptr(GError) unknown = NULL;
    virSanlockAside generation;
    gboolean verified;

    set->generation = 0;
    virSanlockAsideStart(&generation, virSanlockLeaseSetGenerationJob, set);
    verified = virSanlockVerifyTwice(set, error);
    if (!virSanlockAsideEnd(&generation, &unknown))
        g_debug("%s", unknown->message);
    return verified;
}

static gboolean
virSanlockLeaseSetVerifyJob(gpointer data, GError **error)
{
    virSanlockLeaseSet *set = data;

    g_clear_pointer(&set->store, virSanlockStoreFree);
    set->store = virSanlockStoreOpenAgain(set->config->store, &set->geometry, error);
    return set->store && virSanlockVerifyBesideGeneration(set, error);
}

gboolean
virSanlockLeaseSetVerify(virSanlockLeaseSet *set, const virSanlockBounds *bounds,
                         GError **error)
{
    return virSanlockLeaseSetRun(set, "checking the leases in the store",
                                 virSanlockLeaseSetVerifyJob, 0, bounds, error);
}

gboolean
virSanlockLeaseSetReadAhead(gpointer data, GError **error)
{
    virSanlockLeaseSet *set = data;
    g_autoptr(virSanlockStore) store =
        virSanlockStoreOpenAgain(set->config->store, &set->geometry, error);
    gboolean ok = store != NULL;

    for (gsize i = 0; ok && i < set->n; i++)
        ok = !set->leases[i].bridgeDue ||
             virSanlockLeaseReadBridge(&set->leases[i], store, error);
    return ok;
}

/* --- what was verified and is held ------------------------------------------------------------ */

static const virSanlockLease *
virSanlockLeaseSetFindName(const virSanlockLeaseSet *set, const char *name)
{
    for (gsize i = 0; i < set->n; i++)
        if (strcmp(set->leases[i].name, name) == 0)
            return &set->leases[i];
    return NULL;
}

gboolean
virSanlockLeaseSetAdopt(virSanlockLeaseSet *set, virSanlockLeaseSet *from)
{
    if (!from->store)
        return FALSE;
    for (gsize i = 0; i < set->n; i++)
        if (!virSanlockLeaseSetFindName(from, set->leases[i].name))
            return FALSE;
    for (gsize i = 0; i < set->n; i++)
        set->leases[i].slot =
            virSanlockLeaseSetFindName(from, set->leases[i].name)->slot;
    set->geometry = from->geometry;
    set->generation = from->generation;
    set->store = g_steal_pointer(&from->store);
    return TRUE;
}

/* --- use records ------------------------------------------------------------------------------- */

static gboolean
virSanlockLeaseWriteUse(virSanlockStore *store, const virSanlockLease *lease,
                        const virUseRecord *record, GError **error)
{
    gsize sectorSize = store->geometry.sectorSize;
    g_autoptr(virSanlockBytes) sector = virSanlockBuffer(sectorSize);

    virUseRecordEncode(record, sector);
    return virSanlockStoreWrite(store,
                                virSanlockUseOffset(&store->geometry, lease->slot) +
                                    virUseRingOffset(record->epoch, sectorSize),
                                sector, sectorSize, error);
}

static gboolean
virSanlockLeaseAdvance(gpointer data, gsize which, GError **error)
{
    virSanlockLeaseWork *work = data;
    virSanlockLease *lease = &work->set->leases[which];
    virUseRecord records[2];
    guint n;

    n = virUseRingAdvance(&lease->use, &work->set->user, lease->name, records);
    for (guint i = 0; i < n; i++) {
        /* the replacement of a damaged record must be there before the one that follows */
        if (!virSanlockLeaseWriteUse(work->store, lease, &records[i], error) ||
            (i + 1 < n && !virSanlockStoreSync(work->store, error)))
            return FALSE;
    }
    lease->use.epoch = records[n - 1].epoch;
    return TRUE;
}

static gboolean
virSanlockLeaseSetNeedAll(const virSanlockLeaseSet *set, GError **error)
{
    for (gsize i = 0; i < set->n; i++) {
        if (set->leases[i].slot >= 0)
            continue;
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "%s: guest '%s' wants to advance its use record without having the "
                    "lease",
                    set->leases[i].label, set->user.guestName);
        return FALSE;
    }
    return TRUE;
}

/* The store and the place of each lease in it, unless they were adopted. */
static gboolean
virSanlockLeaseSetFindAgain(virSanlockLeaseSet *set, GError **error)
{
    if (set->store && virSanlockStoreIsThere(set->store))
        return TRUE;
    set->generation = 0;
    return virSanlockLeaseSetOpen(set, set->config->lockspace, error) &&
           virSanlockLeaseSetFind(set, set->store, error) &&
           virSanlockLeaseSetNeedAll(set, error);
}

static gboolean
virSanlockLeaseSetReadUses(virSanlockLeaseSet *set, virSanlockStore *store,
                           GError **error)
{
    g_auto(virSanlockRings) rings = {0};

    return virSanlockRingsRead(&rings, set, store, error) &&
           virSanlockRingsParse(&rings, set, error);
}

/* What the records say now, and the generation of this host in the lockspace, which tells one
 * of its lives from the next. */
static gboolean
virSanlockLeaseSetReadBefore(virSanlockLeaseSet *set, GError **error)
{
    g_autoptr(GError) why = NULL;
    virSanlockAside aside;
    gboolean read;

    if (set->generation != 0)
        return virSanlockLeaseSetReadUses(set, set->store, error);
    virSanlockAsideStart(&aside, virSanlockLeaseSetGenerationJob, set);
    read = virSanlockLeaseSetReadUses(set, set->store, &why);
    if (!virSanlockAsideEnd(&aside, error))
        return FALSE;
    if (!read)
        g_propagate_error(error, g_steal_pointer(&why));
    return read;
}

/* One flush for the whole set: the writes are to sectors that exist, so it costs what one
 * durable write costs. */
static gboolean
virSanlockLeaseSetAdvanceJob(gpointer data, GError **error)
{
    virSanlockLeaseSet *set = data;
    virSanlockLeaseWork work = {.set = set};

    if (!virSanlockLeaseSetFindAgain(set, error) ||
        !virSanlockLeaseSetReadBefore(set, error))
        return FALSE;
    work.store = set->store;
    set->user.generation = set->generation;
    return virSanlockEach(set->n, virSanlockLeaseAdvance, &work, error) &&
           virSanlockStoreSync(set->store, error);
}

gboolean
virSanlockLeaseSetAdvance(virSanlockLeaseSet *set, const virUseRecord *user,
                          const virSanlockBounds *bounds, GError **error)
{
    set->user = *user;
    return virSanlockLeaseSetRun(set, "advancing the use records",
                                 virSanlockLeaseSetAdvanceJob, VIR_SANLOCK_CALL_CHANGES,
                                 bounds, error);
}
