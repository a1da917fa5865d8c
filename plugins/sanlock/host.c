/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host.c: joining and leaving the lockspace.
 *
 * Joining is one blocking call of sanlock, which takes 2 io_timeouts if the host id is free
 * or was this host's, and 10 and a minute if another host left it uncleanly. It is made in a
 * job while the caller's thread shows progress: an asynchronous join would not tell why it
 * failed. Before that everything is checked that would make it fail late, or succeed wrongly.
 */
#include "plugins/sanlock/host.h"

#include <errno.h>

#include "plugins/sanlock/call.h"
#include "plugins/sanlock/daemon.h"
#include "plugins/sanlock/errors.h"
#include "plugins/sanlock/hosts.h"
#include "plugins/sanlock/marker.h"
#include "plugins/sanlock/store.h"
#include "plugins/sanlock/libsanlock.h"

#define MIN_WATCHDOG_IO_TIMEOUT 2
#define ABORT_SEC 5.0
#define CHANGING_NAP_USEC (250 * 1000)

typedef struct {
    virSanlockConfig *config;
    virSanlockGeometry geometry;
    struct sanlk_lockspace lockspace;
    virSanlockDaemonState daemon;
    virSanlockLeader slot; /* our sector of the lockspace as it was read first */
    gboolean slotInUse;    /* it has a time: some host did not leave, or is there */
    gboolean slotChanged;  /* that host is there */
    virSanlockMember member;
    int rv;
    gint64 startUsec; /* monotonic, for the progress */
    gint64 expectSec;
} virSanlockMembership;

static void
virSanlockMembershipClear(gpointer data)
{
    virSanlockConfigUnref(((virSanlockMembership *)data)->config);
}

static void
virSanlockMembershipUnref(virSanlockMembership *membership)
{
    g_atomic_rc_box_release_full(membership, virSanlockMembershipClear);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSanlockMembership, virSanlockMembershipUnref)

static virSanlockMembership *
virSanlockMembershipNew(virSanlockConfig *config, GError **error)
{
    virSanlockMembership *membership;

    if (!virSanlockConfigNeedStore(config, error))
        return NULL;
    if (config->hostId == 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "no host id is configured: set [sanlock] host_id, a number that no "
                    "other host "
                    "has");
        return NULL;
    }
    membership = g_atomic_rc_box_new0(virSanlockMembership);
    membership->config = virSanlockConfigRef(config);
    return membership;
}

static gboolean
virSanlockMembershipRun(virSanlockMembership *membership, const char *what,
                        virSanlockJobFunc func, virSanlockTickFunc tick,
                        const virSanlockBounds *bounds, GError **error)
{
    virSanlockCall call = {
        .what = what,
        .func = func,
        .data = membership,
        .clear = virSanlockMembershipClear,
        .tick = tick,
        .tickData = membership,
    };

    return virSanlockCallRun(&call, bounds, NULL, error);
}

/* --- checks before ------------------------------------------------------------------------------ */

static gboolean
virSanlockMembershipReadSlot(virSanlockMembership *membership, virSanlockStore *store,
                             virSanlockLeader *slot, GError **error)
{
    guint hostId = membership->config->hostId;
    virSanlockLeaderVerdict verdict;

    if (!virSanlockStoreReadLeader(
            store, (guint64)(hostId - 1) * membership->geometry.sectorSize,
            VIR_SANLOCK_LEADER_HOST, slot, &verdict, error))
        return FALSE;
    if (verdict == VIR_SANLOCK_LEADER_VALID)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "the sector of host id %u in store %s is missing or damaged; see "
                "'leasehold store "
                "check'",
                hostId, store->path);
    return FALSE;
}

static gboolean
virSanlockMembershipOpenJob(gpointer data, GError **error)
{
    virSanlockMembership *membership = data;
    virSanlockConfig *config = membership->config;
    g_autoptr(virSanlockStore) store =
        virSanlockStoreOpen(config->store, config->lockspace, error);

    if (!store)
        return FALSE;
    membership->geometry = store->geometry;
    if (config->hostId > store->geometry.maxHosts) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "host_id %u is too large: store %s was created for host ids 1 to %u",
                    config->hostId, store->path, store->geometry.maxHosts);
        return FALSE;
    }
    virSanlockLockspaceInit(&membership->lockspace, config->store, &store->geometry,
                            config->hostId);
    if (!virSanlockMembershipReadSlot(membership, store, &membership->slot, error))
        return FALSE;
    membership->slotInUse = membership->slot.timestamp != 0;
    return TRUE;
}

gboolean
virSanlockHostCheckStore(virSanlockStore *store, guint hostId, GError **error)
{
    virSanlockLeaderVerdict verdict;
    virSanlockLeader slot;
    guint64 generation;

    if (!virSanlockDaemonCheckStore(store->geometry.lockspace, hostId, store->path,
                                    &generation, error))
        return FALSE;
    if (generation == 0)
        return TRUE;
    if (!virSanlockStoreReadLeader(
            store, (guint64)(hostId - 1) * store->geometry.sectorSize,
            VIR_SANLOCK_LEADER_HOST, &slot, &verdict, error))
        return FALSE;
    /* free, of that generation: the daemon is leaving, and says so itself when it is asked */
    if (verdict == VIR_SANLOCK_LEADER_VALID && slot.ownerGeneration == generation)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "store %s is not the one that this host has joined: another one was made "
                "at its path since. End the guests of this host, then 'leasehold host "
                "leave' and 'leasehold host join', on each host",
                store->path);
    return FALSE;
}

static gboolean
virSanlockMembershipDaemonJob(gpointer data, GError **error)
{
    virSanlockMembership *membership = data;
    g_autoptr(virSanlockStore) store = NULL;
    virSanlockDaemonId id;

    if (!virSanlockDaemonIdentify(&id, error) ||
        !virSanlockDaemonReadState(&membership->daemon, error) ||
        !virSanlockDaemonReadMember(membership->geometry.lockspace,
                                    membership->config->hostId, &membership->member,
                                    error))
        return FALSE;
    store = virSanlockStoreOpen(membership->config->store,
                                membership->geometry.lockspace, error);
    if (!store || !virSanlockHostCheckStore(store, membership->config->hostId, error))
        return FALSE;
    return membership->member == VIR_SANLOCK_MEMBER_JOINED ||
           virSanlockMarkerCheck(membership->config, &id, error);
}

/* A lockspace that failed is cleaned up when its last holder has ended or given up its leases;
 * before that it can neither be used nor joined again. */
static gboolean
virSanlockMembershipAskDaemon(virSanlockMembership *membership,
                              const virSanlockBounds *bounds, GError **error)
{
    static const char what[] =
        "waiting until sanlock is done with the lockspace of before";

    for (;;) {
        if (!virSanlockMembershipRun(membership, "asking the sanlock daemon",
                                     virSanlockMembershipDaemonJob, NULL, bounds, error))
            return FALSE;
        if (membership->member != VIR_SANLOCK_MEMBER_CHANGING)
            return TRUE;
        virSanlockBoundsProgress(bounds, what, -1, -1, NULL);
        if (!virSanlockBoundsSleep(bounds, CHANGING_NAP_USEC, what, error) ||
            !virSanlockBoundsCheck(bounds, what, error))
            return FALSE;
    }
}

static gboolean
virSanlockMembershipCheckWatchdog(const virSanlockMembership *membership, GError **error)
{
    if (membership->config->watchdogRequired && !membership->daemon.useWatchdog) {
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
            "the sanlock daemon runs without watchdog (-w 0): a host that hangs with its "
            "guests would not be reset. Set up wdmd and run sanlock without -w 0 (Debian: "
            "in /etc/default/sanlock), or set [sanlock] watchdog = unsafe-none if you "
            "accept that");
        return FALSE;
    }
    if (membership->daemon.useWatchdog &&
        membership->geometry.ioTimeoutSec < MIN_WATCHDOG_IO_TIMEOUT) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "store %s has io_timeout %u; with a watchdog that resets healthy "
                    "hosts. Create "
                    "it with 2 or more",
                    membership->config->store, membership->geometry.ioTimeoutSec);
        return FALSE;
    }
    return TRUE;
}

/* --- is somebody else there? --------------------------------------------------------------------- */

static gboolean
virSanlockMembershipSampleJob(gpointer data, GError **error)
{
    virSanlockMembership *membership = data;
    g_autoptr(virSanlockStore) store = virSanlockStoreOpen(
        membership->config->store, membership->geometry.lockspace, error);
    virSanlockLeader now;

    if (!store || !virSanlockMembershipReadSlot(membership, store, &now, error))
        return FALSE;
    membership->slotChanged =
        now.timestamp != 0 && (now.timestamp != membership->slot.timestamp ||
                               now.ownerGeneration != membership->slot.ownerGeneration);
    return TRUE;
}

/* sanlock takes a host id back at once if the name in it is this host's, and kills the
 * guests of the other host if two have the same name and id (cloned machines). So the sector
 * is watched for more than one renewal first. */
static gboolean
virSanlockMembershipWatchSlot(virSanlockMembership *membership,
                              const virSanlockBounds *bounds, GError **error)
{
    guint watchSec = 2 * membership->geometry.ioTimeoutSec + 1;
    g_autofree char *what = g_strdup_printf("checking that nobody uses host id %u",
                                            membership->config->hostId);

    for (guint sec = 0; membership->slotInUse && sec < watchSec; sec++) {
        virSanlockBoundsProgress(bounds, what, (double)sec / watchSec, watchSec - sec,
                                 NULL);
        if (!virSanlockBoundsSleep(bounds, G_USEC_PER_SEC, what, error) ||
            !virSanlockMembershipRun(membership, what, virSanlockMembershipSampleJob,
                                     NULL, bounds, error))
            return FALSE;
        if (membership->slotChanged) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                        "host id %u is in use by host '%s', which is alive; give each "
                        "host its own "
                        "[sanlock] host_id",
                        membership->config->hostId, membership->slot.name);
            return FALSE;
        }
    }
    return TRUE;
}

/* --- join --------------------------------------------------------------------------------------------- */

static gboolean
virSanlockMembershipJoinJob(gpointer data, GError **error)
{
    virSanlockMembership *membership = data;

    membership->rv = sanlock_add_lockspace_timeout(&membership->lockspace, 0,
                                                   membership->geometry.ioTimeoutSec);
    return TRUE;
}

static gboolean
virSanlockMembershipLeaveJob(gpointer data, GError **error)
{
    virSanlockMembership *membership = data;

    membership->rv = sanlock_rem_lockspace(&membership->lockspace, SANLK_REM_UNUSED);
    return TRUE;
}

static void
virSanlockMembershipTick(gpointer data, const virSanlockBounds *bounds)
{
    virSanlockMembership *membership = data;
    double passed =
        (double)(g_get_monotonic_time() - membership->startUsec) / G_USEC_PER_SEC;
    g_autofree char *what =
        g_strdup_printf("joining lockspace %s", membership->geometry.lockspace);

    virSanlockBoundsProgress(bounds, what, CLAMP(passed / membership->expectSec, 0, 0.99),
                             MAX(membership->expectSec - (gint64)passed, 1), NULL);
}

/* delta_lease_acquire of sanlock, with the io_timeout of the sector */
static gint64
virSanlockMembershipExpect(const virSanlockMembership *membership)
{
    guint ioTimeout = membership->slot.ioTimeoutSec ? membership->slot.ioTimeoutSec
                                                    : membership->geometry.ioTimeoutSec;

    if (membership->slotInUse &&
        strcmp(membership->slot.name, membership->daemon.hostName) != 0)
        return VIR_SANLOCK_DEAD_SEC(ioTimeout) + 2 * ioTimeout + 1;
    return 2 * ioTimeout + 1;
}

/* A join that nobody waits for any more is called back; sanlock notices within a second. It
 * is another reference of the job that hangs, so a fresh set of data is used. */
static void
virSanlockMembershipAbort(const virSanlockMembership *membership)
{
    virSanlockMembership *back = g_atomic_rc_box_new0(virSanlockMembership);
    virSanlockBounds bounds = {
        .deadlineUsec = g_get_monotonic_time() + (gint64)(ABORT_SEC * G_USEC_PER_SEC),
    };

    back->config = virSanlockConfigRef(membership->config);
    back->lockspace = membership->lockspace;
    (void)!virSanlockMembershipRun(back, "calling a join back",
                                   virSanlockMembershipLeaveJob, NULL, &bounds, NULL);
    virSanlockMembershipUnref(back);
}

static void
virSanlockMembershipSetJoinError(const virSanlockMembership *membership, GError **error)
{
    const char *lockspace = membership->geometry.lockspace;

    if (membership->rv == -EINVAL)
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
            "cannot join lockspace '%s': the daemon has joined it with another store or "
            "host id, or this store under another name; leave that first (sanlock %d)",
            lockspace, membership->rv);
    else if (membership->rv == SANLK_HOSTID_BUSY)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "cannot join lockspace '%s': host id %u is in use by host '%s'; give "
                    "each host "
                    "its own [sanlock] host_id (sanlock %d)",
                    lockspace, membership->config->hostId, membership->slot.name,
                    membership->rv);
    else
        virSanlockDaemonErrorSet(error, membership->rv, "cannot join lockspace '%s'",
                                 lockspace);
}

static gboolean
virSanlockMembershipJoin(virSanlockMembership *membership, const virSanlockBounds *bounds,
                         GError **error)
{
    membership->startUsec = g_get_monotonic_time();
    membership->expectSec = virSanlockMembershipExpect(membership);
    if (g_get_monotonic_time() + membership->expectSec * G_USEC_PER_SEC >
        bounds->deadlineUsec)
        virSanlockBoundsProgress(bounds, "the join needs longer than it is given", -1,
                                 membership->expectSec, NULL);
    if (!virSanlockMembershipRun(membership, "joining the lockspace",
                                 virSanlockMembershipJoinJob, virSanlockMembershipTick,
                                 bounds, error)) {
        virSanlockMembershipAbort(membership);
        g_prefix_error(error,
                       "the join, which takes %" G_GINT64_FORMAT " s, was called back: ",
                       membership->expectSec);
        return FALSE;
    }
    if (membership->rv == 0 || membership->rv == -EEXIST)
        return TRUE;
    virSanlockMembershipSetJoinError(membership, error);
    return FALSE;
}

gboolean
virSanlockHostJoin(gpointer driverData, const virLockWait *wait, GError **error)
{
    g_autoptr(virSanlockMembership) membership =
        virSanlockMembershipNew(driverData, error);
    virSanlockBounds bounds;

    virSanlockBoundsInit(&bounds, wait);
    if (!membership ||
        !virSanlockMembershipRun(membership, "opening the store",
                                 virSanlockMembershipOpenJob, NULL, &bounds, error) ||
        !virSanlockMembershipAskDaemon(membership, &bounds, error) ||
        !virSanlockMembershipCheckWatchdog(membership, error))
        return FALSE;
    if (membership->member == VIR_SANLOCK_MEMBER_JOINED)
        return TRUE;
    return virSanlockMembershipWatchSlot(membership, &bounds, error) &&
           virSanlockMembershipJoin(membership, &bounds, error);
}

/* --- leave -------------------------------------------------------------------------------------------- */

/* Leaving must be possible when the store cannot be read any more; sanlock goes by the
 * lockspace's name, host id and path. */
static gboolean
virSanlockMembershipFind(virSanlockMembership *membership, const virSanlockBounds *bounds,
                         GError **error)
{
    const virSanlockConfig *config = membership->config;

    if (!config->lockspace)
        return virSanlockMembershipRun(membership, "opening the store",
                                       virSanlockMembershipOpenJob, NULL, bounds, error);
    g_strlcpy(membership->geometry.lockspace, config->lockspace,
              sizeof(membership->geometry.lockspace));
    virSanlockLockspaceInit(&membership->lockspace, config->store, &membership->geometry,
                            config->hostId);
    return TRUE;
}

gboolean
virSanlockHostLeave(gpointer driverData, const virLockWait *wait, GError **error)
{
    g_autoptr(virSanlockMembership) membership =
        virSanlockMembershipNew(driverData, error);
    virSanlockBounds bounds;

    virSanlockBoundsInit(&bounds, wait);
    if (!membership || !virSanlockMembershipFind(membership, &bounds, error) ||
        !virSanlockMembershipRun(membership, "leaving the lockspace",
                                 virSanlockMembershipLeaveJob, NULL, &bounds, error))
        return FALSE;
    if (membership->rv == 0)
        return TRUE;
    if (membership->rv == -EBUSY)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "cannot leave lockspace '%s': guests of this host hold leases in it; "
                    "end them "
                    "first (sanlock %d)",
                    membership->geometry.lockspace, membership->rv);
    else if (membership->rv == -ENOENT)
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_NOT_JOINED,
            "cannot leave lockspace '%s': this host has not joined it as host id %u "
            "(sanlock %d)",
            membership->geometry.lockspace, membership->config->hostId, membership->rv);
    else
        virSanlockDaemonErrorSet(error, membership->rv, "cannot leave lockspace '%s'",
                                 membership->geometry.lockspace);
    return FALSE;
}
