/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_admin.h: creating, describing, checking and tidying up a store.
 */
#ifndef LEASEHOLD_SANLOCK_STORE_ADMIN_H
#define LEASEHOLD_SANLOCK_STORE_ADMIN_H

#include "plugins/sanlock/settings.h"

gboolean virSanlockStoreCreate(gpointer driverData, const virLockStoreOptions *options,
                               const virLockWait *wait, GError **error);
gboolean virSanlockStoreGetInfo(gpointer driverData, virLockStoreInfo **info,
                                const virLockWait *wait, GError **error);
gboolean virSanlockStoreCheck(gpointer driverData, GPtrArray **findings,
                              const virLockWait *wait, GError **error);
gboolean virSanlockStoreReclaim(gpointer driverData, const virLockReclaimOptions *options,
                                GPtrArray **leases, const virLockWait *wait,
                                GError **error);

/** Appends a finding; texts are copied; @advice may be NULL. */
void virSanlockFindingAdd(GPtrArray *findings, virLockFindingLevel level,
                          const char *subject, const char *advice, const char *format,
                          ...) G_GNUC_PRINTF(5, 6);

#endif
