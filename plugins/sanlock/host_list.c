/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host_list.c: the hosts of the lockspace, and what doctor should know of sanlock here.
 */
#include "plugins/sanlock/host.h"

#include "plugins/sanlock/daemon.h"
#include "plugins/sanlock/hosts.h"
#include "plugins/sanlock/marker.h"
#include "plugins/sanlock/store.h"
#include "plugins/sanlock/store_admin.h"

#define MIN_WATCHDOG_IO_TIMEOUT 2
/* Each start or stop of a guest keeps one worker of the daemon busy for some 20 ms. */
#define MIN_WORKERS 8

typedef struct {
    virSanlockConfig *config;
    virSanlockGeometry geometry;
    GArray *leaders; /* virSanlockLeader by host id - 1 */
} virSanlockRoster;

static void
virSanlockRosterClear(gpointer data)
{
    virSanlockRoster *roster = data;

    virSanlockConfigUnref(roster->config);
    g_clear_pointer(&roster->leaders, g_array_unref);
}

static void
virSanlockRosterUnref(virSanlockRoster *roster)
{
    g_atomic_rc_box_release_full(roster, virSanlockRosterClear);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSanlockRoster, virSanlockRosterUnref)

static gboolean
virSanlockRosterJob(gpointer data, GError **error)
{
    virSanlockRoster *roster = data;
    g_autoptr(virSanlockStore) store =
        virSanlockStoreOpen(roster->config->store, roster->config->lockspace, error);
    g_autoptr(virSanlockBytes) bytes = NULL;
    gsize len;

    if (!store)
        return FALSE;
    roster->geometry = store->geometry;
    len = (gsize)store->geometry.maxHosts * store->geometry.sectorSize;
    bytes = virSanlockBuffer(len);
    if (!virSanlockStoreRead(store, 0, bytes, len, error))
        return FALSE;
    for (guint i = 0; i < store->geometry.maxHosts; i++) {
        virSanlockLeader leader;

        /* a damaged sector is the check's business */
        (void)virSanlockLeaderDecode(bytes + (gsize)i * store->geometry.sectorSize,
                                     VIR_SANLOCK_LEADER_HOST, &leader);
        g_array_append_val(roster->leaders, leader);
    }
    return TRUE;
}

static virSanlockRoster *
virSanlockRosterRead(virSanlockConfig *config, const virSanlockBounds *bounds,
                     GError **error)
{
    g_autoptr(virSanlockRoster) roster = NULL;
    virSanlockCall call = {
        .what = "reading the hosts of the lockspace",
        .func = virSanlockRosterJob,
        .clear = virSanlockRosterClear,
    };

    if (!virSanlockConfigNeedStore(config, error))
        return NULL;
    roster = g_atomic_rc_box_new0(virSanlockRoster);
    roster->config = virSanlockConfigRef(config);
    roster->leaders = g_array_new(FALSE, TRUE, sizeof(virSanlockLeader));
    call.data = roster;
    return virSanlockCallRun(&call, bounds, NULL, error) ? g_steal_pointer(&roster)
                                                         : NULL;
}

static virLockHost *
virSanlockHostNew(const virSanlockRoster *roster, guint hostId,
                  const virSanlockHostsView *view)
{
    const virSanlockLeader *leader =
        &g_array_index(roster->leaders, virSanlockLeader, hostId - 1);
    const virSanlockHostView *seen = virSanlockHostsViewGet(view, hostId);
    virLockHost *host = g_new0(virLockHost, 1);

    host->structSize = sizeof(*host);
    host->hostId = hostId;
    host->generation = leader->ownerGeneration;
    host->name = g_strdup(leader->name);
    host->self = hostId == roster->config->hostId;
    host->ioTimeoutSec = leader->ioTimeoutSec;
    host->seenSec = -1;
    host->etaSec = -1;
    host->state = leader->timestamp ? VIR_LOCK_HOST_UNKNOWN : VIR_LOCK_HOST_FREE;
    if (seen && leader->timestamp) {
        host->state = seen->state;
        host->seenSec = seen->seenSec;
        host->etaSec = host->self ? -1 : seen->etaSec;
    }
    return host;
}

/* Hosts that ever joined; a free host id that nobody had is not a host. */
gboolean
virSanlockHostList(gpointer driverData, GPtrArray **hosts, const virLockWait *wait,
                   GError **error)
{
    virSanlockConfig *config = driverData;
    g_autoptr(virSanlockRoster) roster = NULL;
    g_autoptr(virSanlockHostsView) view = NULL;
    virSanlockBounds bounds;

    virSanlockBoundsInit(&bounds, wait);
    roster = virSanlockRosterRead(config, &bounds, error);
    if (!roster)
        return FALSE;
    view = virSanlockHostsViewNew(config, roster->geometry.lockspace, &bounds);
    *hosts = g_ptr_array_new_with_free_func((GDestroyNotify)virLockHostFree);
    for (guint hostId = 1; hostId <= roster->leaders->len; hostId++)
        if (g_array_index(roster->leaders, virSanlockLeader, hostId - 1).name[0])
            g_ptr_array_add(*hosts, virSanlockHostNew(roster, hostId, view));
    return TRUE;
}

/* --- diagnose --------------------------------------------------------------------------------------- */

typedef struct {
    virSanlockConfig *config;
    virSanlockDaemonId id;
    virSanlockDaemonState state;
    gboolean wdmdListens;
    GError *markers; /* guests of another daemon */
} virSanlockDaemonQuery;

static void
virSanlockDaemonQueryClear(gpointer data)
{
    virSanlockDaemonQuery *query = data;

    virSanlockConfigUnref(query->config);
    g_clear_error(&query->markers);
}

static gboolean
virSanlockDaemonQueryJob(gpointer data, GError **error)
{
    virSanlockDaemonQuery *query = data;

    if (!virSanlockDaemonIdentify(&query->id, error) ||
        !virSanlockDaemonReadState(&query->state, error))
        return FALSE;
    query->wdmdListens = virSanlockDaemonWdmdListens();
    (void)!virSanlockMarkerCheck(query->config, &query->id, &query->markers);
    return TRUE;
}

static void
virSanlockDiagnoseWatchdog(const virSanlockDaemonQuery *query,
                           const virSanlockRoster *roster, GPtrArray *findings)
{
    if (!query->state.useWatchdog)
        virSanlockFindingAdd(
            findings,
            query->config->watchdogRequired ? VIR_LOCK_FINDING_ERROR : VIR_LOCK_FINDING_WARNING,
            "watchdog",
            "set up wdmd and run sanlock without -w 0 (Debian: in /etc/default/sanlock)",
            "the sanlock daemon uses no watchdog: a host that hangs together with "
            "its guests is not reset, and may write after its leases were taken");
    else if (!query->wdmdListens)
        virSanlockFindingAdd(findings, VIR_LOCK_FINDING_ERROR, "watchdog",
                             "start wdmd.service; it needs a watchdog device",
                             "wdmd does not run, and without it sanlock joins nothing");
    else if (roster && roster->geometry.ioTimeoutSec < MIN_WATCHDOG_IO_TIMEOUT)
        virSanlockFindingAdd(findings, VIR_LOCK_FINDING_ERROR, "watchdog",
                             "create the store with io_timeout 2 or more",
                             "io_timeout %u with a watchdog resets healthy hosts",
                             roster->geometry.ioTimeoutSec);
    else
        virSanlockFindingAdd(findings, VIR_LOCK_FINDING_OK, "watchdog", NULL,
                             "the sanlock daemon uses the watchdog");
}

static void
virSanlockDiagnoseDaemon(virSanlockConfig *config, const virSanlockRoster *roster,
                         const virSanlockBounds *bounds, GPtrArray *findings)
{
    virSanlockDaemonQuery *query = g_atomic_rc_box_new0(virSanlockDaemonQuery);
    virSanlockBounds brief = virSanlockBoundsShort(bounds, 4);
    g_autoptr(GError) local = NULL;
    virSanlockCall call = {
        .what = "asking the sanlock daemon",
        .func = virSanlockDaemonQueryJob,
        .data = query,
        .clear = virSanlockDaemonQueryClear,
    };

    query->config = virSanlockConfigRef(config);
    if (!virSanlockCallRun(&call, &brief, NULL, &local)) {
        virSanlockFindingAdd(findings, VIR_LOCK_FINDING_ERROR, "daemon", NULL, "%s",
                             local->message);
    } else {
        virSanlockFindingAdd(findings, VIR_LOCK_FINDING_OK, "daemon", NULL,
                             "sanlock %s runs (pid %d) as host '%s'",
                             query->state.version, (int)query->id.pid,
                             query->state.hostName);
        if (query->state.maxWorkerThreads < MIN_WORKERS)
            virSanlockFindingAdd(
                findings, VIR_LOCK_FINDING_NOTE, "daemon",
                "raise max_worker_threads in sanlock.conf",
                "it has %u worker threads; many guests that start at once wait",
                query->state.maxWorkerThreads);
        if (query->markers)
            virSanlockFindingAdd(findings, VIR_LOCK_FINDING_ERROR, "guests", NULL, "%s",
                                 query->markers->message);
        virSanlockDiagnoseWatchdog(query, roster, findings);
    }
    g_atomic_rc_box_release_full(query, virSanlockDaemonQueryClear);
}

static void
virSanlockDiagnoseMembership(virSanlockConfig *config, const virSanlockRoster *roster,
                             const virSanlockBounds *bounds, GPtrArray *findings)
{
    g_autoptr(virSanlockHostsView) view =
        virSanlockHostsViewNew(config, roster->geometry.lockspace, bounds);
    const virSanlockHostView *self = virSanlockHostsViewGet(view, config->hostId);
    guint ioTimeout = roster->geometry.ioTimeoutSec;

    if (self)
        virSanlockFindingAdd(findings, VIR_LOCK_FINDING_OK, "lockspace", NULL,
                             "joined '%s' as host id %u", roster->geometry.lockspace,
                             config->hostId);
    else
        virSanlockFindingAdd(findings, VIR_LOCK_FINDING_ERROR, "lockspace",
                             "run 'leasehold host join'",
                             "this host has not joined '%s' as host id %u",
                             roster->geometry.lockspace, config->hostId);
    virSanlockFindingAdd(
        findings, VIR_LOCK_FINDING_NOTE, "timeline", NULL,
        "if storage is lost: guests are stopped after %u s, killed after %u s, and "
        "another host can take their leases after %" G_GINT64_FORMAT " s",
        8 * ioTimeout, 8 * ioTimeout + 40, VIR_SANLOCK_DEAD_SEC(ioTimeout));
}

gboolean
virSanlockDiagnose(gpointer driverData, GPtrArray **findings, const virLockWait *wait,
                   GError **error)
{
    virSanlockConfig *config = driverData;
    g_autoptr(virSanlockRoster) roster = NULL;
    g_autoptr(GError) local = NULL;
    virSanlockBounds bounds;

    virSanlockBoundsInit(&bounds, wait);
    *findings = g_ptr_array_new_with_free_func((GDestroyNotify)virLockFindingFree);
    roster = virSanlockRosterRead(config, &bounds, &local);
    if (roster)
        virSanlockFindingAdd(*findings, VIR_LOCK_FINDING_OK, "store", NULL,
                             "%s: lockspace '%s', io_timeout %u, %u hosts, %u leases",
                             config->store, roster->geometry.lockspace,
                             roster->geometry.ioTimeoutSec, roster->geometry.maxHosts,
                             roster->geometry.maxSlots);
    else
        virSanlockFindingAdd(*findings, VIR_LOCK_FINDING_ERROR, "store", NULL, "%s",
                             local->message);
    virSanlockDiagnoseDaemon(config, roster, &bounds, *findings);
    if (roster)
        virSanlockDiagnoseMembership(config, roster, &bounds, *findings);
    return TRUE;
}
