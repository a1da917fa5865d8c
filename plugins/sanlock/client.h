/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client.h: libsanlock's calls on behalf of a registered process, each bounded.
 *
 * A function here returns FALSE only if the outcome is not known (or no thread could be
 * started): then the error is INDETERMINATE or as call.h says. Otherwise sanlock's answer is
 * in *rv, and what it means is the caller's to judge.
 */
#ifndef LEASEHOLD_SANLOCK_CLIENT_H
#define LEASEHOLD_SANLOCK_CLIENT_H

#include "plugins/sanlock/call.h"
#include "plugins/sanlock/daemon.h"
#include "plugins/sanlock/lease.h"

/** SANLK_MAX_RESOURCES: the daemon overruns its stack when told to release more. */
#define VIR_SANLOCK_BATCH 8

/** virSanlockBatch: at most VIR_SANLOCK_BATCH parts of one set. */
typedef struct _virSanlockBatch {
    const virSanlockLeaseSet *set;
    virSanlockPart part;
    gsize n;
    gsize index[VIR_SANLOCK_BATCH];
    virSanlockLeaseSet *ahead; /* Acquire: the set, to be read ahead meanwhile; or NULL */
} virSanlockBatch;

/** Takes all of the batch or none, for process @pid; never waits for another host. */
gboolean virSanlockClientAcquire(pid_t pid, const char *ownerName,
                                 const virSanlockBatch *batch,
                                 const virSanlockBounds *bounds, int *rv,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean virSanlockClientRelease(pid_t pid, const virSanlockBatch *batch,
                                 const virSanlockBounds *bounds, int *rv,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** To @mode; the set's own mode of the lease is ignored. */
gboolean virSanlockClientConvert(pid_t pid, const virSanlockLeaseSet *set,
                                 virLockMode mode, const virSanlockBounds *bounds,
                                 int *rv, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** @held: elements virSanlockHeld, set if *rv is 0. */
gboolean virSanlockClientInquire(pid_t pid, GArray **held, const virSanlockBounds *bounds,
                                 int *rv, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** virSanlockDaemonReadSelf, bounded. */
gboolean virSanlockClientReadSelf(const char *lockspace, guint hostId,
                                  virSanlockSelf *self, const virSanlockBounds *bounds,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
