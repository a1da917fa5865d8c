/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log_limit.h: the log of a guest does not grow without end.
 *
 * QEMU writes into the file itself, so that it can go on when its supervisor is gone. Some
 * libraries that it uses complain with each frame or packet, and a guest can make QEMU complain
 * as often as it likes. When the log has reached its limit it is copied to "FILE.1", over the
 * one of before, and emptied: whoever has it open for appending goes on at its beginning.
 */
#ifndef LEASEHOLD_SUPERVISOR_LOG_LIMIT_H
#define LEASEHOLD_SUPERVISOR_LOG_LIMIT_H

#include <leasehold/lock_types.h>

#define VIR_SUPERVISOR_LOG_MAX (2 * 1024 * 1024)

typedef struct _virSupervisorLogLimit virSupervisorLogLimit;

/** Watches the file in the default main context: wakes up only when something is written, and
 * at most once a second. Never fails: what cannot be watched is said in the log, once. */
virSupervisorLogLimit *virSupervisorLogLimitNew(const char *path);
void virSupervisorLogLimitFree(virSupervisorLogLimit *limit);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSupervisorLogLimit, virSupervisorLogLimitFree)

#endif
