/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * slots.h: making new leases and reclaiming old ones, in leasehold-sanlock-helper.
 *
 * Two hosts that both find no lease for a disk must not make two. sanlock's index does not
 * prevent that (it takes a name twice), so looking up and creating happen under the guard
 * lease. The helper holds it, not QEMU's process and not the supervisor's: so it ends with
 * the helper, and a deadline is kept by killing that.
 */
#ifndef LEASEHOLD_SANLOCK_SLOTS_H
#define LEASEHOLD_SANLOCK_SLOTS_H

#include "plugins/sanlock/store.h"

/** Creates what is missing of @names (NULL-terminated); registers this process with sanlock
 * and takes the guard lease until done or until @deadlineUsec. Only for the helper. */
gboolean virSanlockSlotsCreate(const char *path, const char *lockspace,
                               const char *const *names, gint64 deadlineUsec,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** virSanlockReclaim: one lease that is not needed any more. */
typedef struct _virSanlockReclaim {
    char name[VIR_SANLOCK_NAME_SIZE];
    guint64 epoch; /* by which it was chosen: used since, it stays */
} virSanlockReclaim;

typedef void (*virSanlockReclaimedFunc)(const char *name);

/** Reclaims those that nobody holds; @func is told each. Under the guard as above. */
gboolean virSanlockSlotsReclaim(const char *path, const char *lockspace,
                                const virSanlockReclaim *reclaims, gsize n,
                                virSanlockReclaimedFunc func, gint64 deadlineUsec,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
