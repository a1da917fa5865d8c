/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * types.h: making and copying the public structures; for both sides of the control socket.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_TYPES_H
#define LEASEHOLD_DOMAIN_LOCK_TYPES_H

#include <leasehold/domain_lock.h>

gboolean virDomainLockStateFromName(const char *name, virDomainLockState *state);
gboolean virDomainLockReasonFromName(const char *name, virDomainLockReason *reason);
gboolean virDomainLockPowerStateFromName(const char *name,
                                         virDomainLockPowerState *state);
gboolean virDomainLockPowerTargetFromName(const char *name,
                                          virDomainLockPowerTarget *target);

/** An info with waitStatus -1 and no leases. */
virDomainLockInfo *virDomainLockInfoNew(void);
virDomainLockInfo *virDomainLockInfoCopy(const virDomainLockInfo *info);
virLockLease *virDomainLockLeaseCopy(const virLockLease *lease);

/** One without disks; both are freed with the public call. */
virDomainLockSnapshot *virDomainLockSnapshotNew(void);
void virDomainLockSnapshotDiskFree(virDomainLockSnapshotDisk *disk);

/** An event of now. */
virDomainLockEvent *virDomainLockEventNew(const char *name, const char *uuid,
                                          const char *event, const char *detail,
                                          const char *message);

#endif
