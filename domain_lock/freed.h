/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * freed.h: the leases of a QEMU that is dead and was nobody's child (I3). They are seen free in the
 * store, as the other hosts see them: a lock daemon frees them there some time after the end.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_FREED_H
#define LEASEHOLD_DOMAIN_LOCK_FREED_H

#include "runtime.h"

/** What of its exclusive leases this very QEMU still has; g_free. NULL: nothing, or with @error:
 * the store did not say. */
char *virFreedStillHeld(virLockConfig *config, const virDomainLockStatus *status,
                        const virLockWait *wait, GError **error);

/** Waits until it has none. TIMEOUT names those that it has, or why that is not known. */
gboolean virFreedAwait(virLockConfig *config, const virDomainLockStatus *status,
                       gint64 deadlineUsec, GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
