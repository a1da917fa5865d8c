/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * starter.h: the line to the process that asked for this guest (domain_lock/spec.h).
 *
 * The starter is not waited for: what it does not read is dropped, and its death changes
 * nothing. Only its "cancel" does.
 */
#ifndef LEASEHOLD_SUPERVISOR_STARTER_H
#define LEASEHOLD_SUPERVISOR_STARTER_H

#include "domain_lock/spec.h"

typedef struct _virSupervisorStarter virSupervisorStarter;

/** Takes over the socket @fd. */
virSupervisorStarter *virSupervisorStarterNew(int fd);
void virSupervisorStarterFree(virSupervisorStarter *starter);
/** Waits for the start specification: before the main loop runs. */
virDomainLockSpec *virSupervisorStarterReadSpec(virSupervisorStarter *starter,
                                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Cancels @cancellable when the starter says so; needs the main loop. */
void virSupervisorStarterWatch(virSupervisorStarter *starter, GCancellable *cancellable);
/** From any thread, like the two below. */
void virSupervisorStarterProgress(virSupervisorStarter *starter,
                                  const virLockProgress *progress);
void virSupervisorStarterReady(virSupervisorStarter *starter,
                               const virDomainLockInfo *info);
void virSupervisorStarterFail(virSupervisorStarter *starter, const GError *error);

#endif
