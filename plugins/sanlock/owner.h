/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * owner.h: who holds a lease, as the store and the daemon tell it together.
 */
#ifndef LEASEHOLD_SANLOCK_OWNER_H
#define LEASEHOLD_SANLOCK_OWNER_H

#include "plugins/sanlock/lease.h"

/** Holders of the lease and of its bridge: elements virLockOwner. @set has one lease and
 * need not be located; a lease without a slot has no owners. */
GPtrArray *virSanlockOwnersRead(virSanlockLeaseSet *set, const virSanlockBounds *bounds,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** Sets the error for a lease that is held: what, by whom, since when, until when.
 * @action: "cannot take"; @rv: sanlock's number, 0 if it was not sanlock who said so. */
void virSanlockOwnerSetBusy(GError **error, const char *label, const virLockOwner *owner,
                            int rv);

/** Driver calls. */
gboolean virSanlockQueryOwner(gpointer driverData, const virLockDriverResource *resource,
                              GPtrArray **owners, const virLockWait *wait,
                              GError **error);
gboolean virSanlockStoreList(gpointer driverData, GPtrArray **leases,
                             const virLockWait *wait, GError **error);
gboolean virSanlockHostList(gpointer driverData, GPtrArray **hosts,
                            const virLockWait *wait, GError **error);

#endif
