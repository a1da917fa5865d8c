/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host.h: this host in the lockspace: joining, leaving, listing, diagnosing.
 */
#ifndef LEASEHOLD_SANLOCK_HOST_H
#define LEASEHOLD_SANLOCK_HOST_H

#include "plugins/sanlock/settings.h"
#include "plugins/sanlock/store.h"

gboolean virSanlockHostJoin(gpointer driverData, const virLockWait *wait, GError **error);
gboolean virSanlockHostLeave(gpointer driverData, const virLockWait *wait,
                             GError **error);
gboolean virSanlockHostList(gpointer driverData, GPtrArray **hosts,
                            const virLockWait *wait, GError **error);
gboolean virSanlockDiagnose(gpointer driverData, GPtrArray **findings,
                            const virLockWait *wait, GError **error);

/** CONFIG if this host has joined, but not this store: a copy of it, or one that was replaced at
 * its path by this one. Its daemon would renew itself where hosts that join later do not look.
 * Reads the storage. */
gboolean virSanlockHostCheckStore(virSanlockStore *store, guint hostId,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
