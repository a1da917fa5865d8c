/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hosts.h: how this host's daemon sees the hosts of the lockspace.
 */
#ifndef LEASEHOLD_SANLOCK_HOSTS_H
#define LEASEHOLD_SANLOCK_HOSTS_H

#include "plugins/sanlock/call.h"
#include "plugins/sanlock/settings.h"
#include "plugins/sanlock/format.h"

/** What sanlock waits for beyond 8 io_timeouts before a host counts as dead: the watchdog's
 * time to fire. A constant of 3.8.5 (WATCHDOG_FIRE_TIMEOUT); later ones may have less. */
#define VIR_SANLOCK_WATCHDOG_SEC 60
#define VIR_SANLOCK_DEAD_SEC(ioTimeout)                                                  \
    (8 * (gint64)(ioTimeout) + VIR_SANLOCK_WATCHDOG_SEC)

typedef struct _virSanlockHostView {
    guint hostId;
    guint64 generation;
    guint64 timestamp;
    guint ioTimeoutSec;
    virLockHostState state;
    gint64 seenSec; /* -1: unknown */
    gint64 etaSec;  /* -1: unknown, or not silent */
} virSanlockHostView;

/** virSanlockHostsView: a snapshot. Without a daemon, or not joined: empty. */
typedef struct _virSanlockHostsView {
    guint selfId;
    gboolean complete; /* a host that is not in it has left or never joined */
    GArray *hosts;     /* virSanlockHostView */
} virSanlockHostsView;

/** Takes a second at most and never fails: who does not answer knows nothing. */
virSanlockHostsView *virSanlockHostsViewNew(const virSanlockConfig *config,
                                            const char *lockspace,
                                            const virSanlockBounds *bounds);
void virSanlockHostsViewFree(virSanlockHostsView *view);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSanlockHostsView, virSanlockHostsViewFree)

/** NULL if the daemon does not know the host. */
const virSanlockHostView *virSanlockHostsViewGet(const virSanlockHostsView *view,
                                                 guint hostId);
/** Fills the members of @owner that depend on how its host is. */
void virSanlockHostsViewJudge(const virSanlockHostsView *view, virLockOwner *owner);

#endif
