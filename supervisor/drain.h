/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * drain.h: "drained" as I3 means it: the guest is stopped, no job and no export of its block
 * layer exists, and everything in flight was written and flushed. Then, and only then, a
 * lease may be given up while QEMU lives.
 */
#ifndef LEASEHOLD_SUPERVISOR_DRAIN_H
#define LEASEHOLD_SUPERVISOR_DRAIN_H

#include "domain_lock/guest.h"

/** TRUE: drained. Otherwise, also because a migration that is about to complete could let it go
 * on (TIMEOUT), the guest may be stopped, and some jobs cancelled, or not. */
gboolean virSupervisorDrain(virDomainLockGuest *guest, gint64 deadlineUsec,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
