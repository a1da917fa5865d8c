/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host.h: this host in the lockspace: joining, leaving, listing, diagnosing.
 */
#ifndef LEASEHOLD_SANLOCK_HOST_H
#define LEASEHOLD_SANLOCK_HOST_H

#include "plugins/sanlock/settings.h"

gboolean virSanlockHostJoin(gpointer driverData, const virLockWait *wait, GError **error);
gboolean virSanlockHostLeave(gpointer driverData, const virLockWait *wait,
                             GError **error);
gboolean virSanlockHostList(gpointer driverData, GPtrArray **hosts,
                            const virLockWait *wait, GError **error);
gboolean virSanlockDiagnose(gpointer driverData, GPtrArray **findings,
                            const virLockWait *wait, GError **error);

#endif
