/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hosts.c: see hosts.h.
 *
 * The state of a host comes from sanlock_get_hosts. When it was last seen is known to the
 * daemon only (it compares the host's sector at each of its own renewals), and it tells that
 * in its status; both are answered from memory, without I/O.
 */
#include "plugins/sanlock/hosts.h"

#include <errno.h>
#include <stdlib.h>

#include "plugins/sanlock/daemon.h"
#include "plugins/sanlock/libsanlock.h"

#define ANSWER_SEC 1.0

typedef struct {
    char lockspace[VIR_SANLOCK_NAME_SIZE];
    guint selfId;
    virSanlockSelf self;
    gboolean selfOnly; /* joined so lately that the others are not known yet */
    struct sanlk_host *hosts;
    int nHosts;
    GArray *seen;
    gint64 nowSec;
} virSanlockHostsQuery;

static void
virSanlockHostsQueryClear(gpointer data)
{
    virSanlockHostsQuery *query = data;

    free(query->hosts);
    g_clear_pointer(&query->seen, g_array_unref);
}

static gboolean
virSanlockHostsQueryJob(gpointer data, GError **error)
{
    virSanlockHostsQuery *query = data;
    virSanlockDaemonState state;
    int rv = sanlock_get_hosts(query->lockspace, 0, &query->hosts, &query->nHosts, 0);

    if (rv == -EAGAIN) {
        query->selfOnly = TRUE;
        return virSanlockDaemonReadSelf(query->lockspace, query->selfId, &query->self,
                                        error);
    }
    if (rv < 0) {
        query->nHosts = 0;
        virSanlockDaemonErrorSet(error, rv, "cannot ask for the hosts of the lockspace");
        return FALSE;
    }
    if (virSanlockDaemonReadState(&state, NULL)) {
        query->nowSec = state.monotimeSec;
        query->seen = virSanlockDaemonReadSeen(query->lockspace, NULL);
    }
    return TRUE;
}

static virLockHostState
virSanlockHostState(guint32 flags)
{
    switch (flags & SANLK_HOST_MASK) {
    case SANLK_HOST_FREE:
        return VIR_LOCK_HOST_FREE;
    case SANLK_HOST_LIVE:
        return VIR_LOCK_HOST_LIVE;
    case SANLK_HOST_FAIL:
        return VIR_LOCK_HOST_FAIL;
    case SANLK_HOST_DEAD:
        return VIR_LOCK_HOST_DEAD;
    default:
        return VIR_LOCK_HOST_UNKNOWN;
    }
}

static const virSanlockSeen *
virSanlockHostsQueryFindSeen(const virSanlockHostsQuery *query, guint hostId)
{
    for (guint i = 0; query->seen && i < query->seen->len; i++) {
        const virSanlockSeen *seen = &g_array_index(query->seen, virSanlockSeen, i);

        if (seen->hostId == hostId)
            return seen;
    }
    return NULL;
}

static void
virSanlockHostViewInit(virSanlockHostView *view, const virSanlockHostsQuery *query,
                       const struct sanlk_host *host)
{
    const virSanlockSeen *seen = virSanlockHostsQueryFindSeen(query, host->host_id);

    view->hostId = host->host_id;
    view->generation = host->generation;
    view->timestamp = host->timestamp;
    view->ioTimeoutSec = host->io_timeout;
    view->state = virSanlockHostState(host->flags);
    view->seenSec = -1;
    view->etaSec = -1;
    if (seen && seen->lastLiveSec > 0)
        view->seenSec = MAX(query->nowSec - seen->lastLiveSec, 0);
    if (view->state == VIR_LOCK_HOST_DEAD || view->state == VIR_LOCK_HOST_FREE)
        view->etaSec = 0;
    else if (view->seenSec >= 0 && host->io_timeout > 0)
        view->etaSec = MAX(VIR_SANLOCK_DEAD_SEC(host->io_timeout) - view->seenSec, 1);
}

static void
virSanlockHostsViewFill(virSanlockHostsView *view, const virSanlockHostsQuery *query)
{
    virSanlockHostView host = {0};

    if (query->selfOnly) {
        host.hostId = query->selfId;
        host.generation = query->self.generation;
        host.ioTimeoutSec = query->self.ioTimeoutSec;
        host.state = VIR_LOCK_HOST_LIVE;
        host.seenSec = 0;
        host.etaSec = -1;
        g_array_append_val(view->hosts, host);
        return;
    }
    for (int i = 0; i < query->nHosts; i++) {
        virSanlockHostViewInit(&host, query, &query->hosts[i]);
        g_array_append_val(view->hosts, host);
    }
    view->complete = TRUE;
}

virSanlockHostsView *
virSanlockHostsViewNew(const virSanlockConfig *config, const char *lockspace,
                       const virSanlockBounds *bounds)
{
    virSanlockHostsQuery *query = g_atomic_rc_box_new0(virSanlockHostsQuery);
    virSanlockHostsView *view = g_new0(virSanlockHostsView, 1);
    virSanlockBounds brief = virSanlockBoundsShort(bounds, ANSWER_SEC);
    virSanlockCall call = {
        .what = "asking sanlock for the hosts",
        .func = virSanlockHostsQueryJob,
        .data = query,
        .clear = virSanlockHostsQueryClear,
    };

    g_strlcpy(query->lockspace, lockspace, sizeof(query->lockspace));
    query->selfId = config->hostId;
    view->selfId = config->hostId;
    view->hosts = g_array_new(FALSE, TRUE, sizeof(virSanlockHostView));
    if (virSanlockCallRun(&call, &brief, NULL, NULL))
        virSanlockHostsViewFill(view, query);
    g_atomic_rc_box_release_full(query, virSanlockHostsQueryClear);
    return view;
}

void
virSanlockHostsViewFree(virSanlockHostsView *view)
{
    if (!view)
        return;
    g_array_unref(view->hosts);
    g_free(view);
}

const virSanlockHostView *
virSanlockHostsViewGet(const virSanlockHostsView *view, guint hostId)
{
    for (guint i = 0; i < view->hosts->len; i++) {
        const virSanlockHostView *host =
            &g_array_index(view->hosts, virSanlockHostView, i);

        if (host->hostId == hostId)
            return host;
    }
    return NULL;
}

/* An owner of an earlier generation of its host id is gone for good: the host came back
 * since, which it can only after it was dead or had left in order. A host that left is not
 * in the daemon's list at all. */
void
virSanlockHostsViewJudge(const virSanlockHostsView *view, virLockOwner *owner)
{
    const virSanlockHostView *host = virSanlockHostsViewGet(view, owner->hostId);

    owner->hostState = VIR_LOCK_HOST_UNKNOWN;
    owner->seenSec = -1;
    owner->etaSec = -1;
    if (!host && !view->complete)
        return; /* not joined, or not for long enough: nothing is known of any host */
    if (!host || host->generation > owner->generation) {
        owner->hostState = host ? VIR_LOCK_HOST_DEAD : VIR_LOCK_HOST_FREE;
        owner->etaSec = 0;
        return;
    }
    if (host->generation < owner->generation)
        return; /* it came back a moment ago; the daemon has not seen it yet */
    owner->hostState = host->state;
    owner->seenSec = host->seenSec;
    owner->etaSec = host->hostId == view->selfId ? -1 : host->etaSec;
}
