/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * deadline.h: the two things that a supervisor does by the clock because somebody asked for
 * them: to force a guest off that was asked to shut down, and to wake one that sleeps.
 *
 * Both times are part of the guest's state; the timers here only follow it. So a supervisor
 * that takes up a guest has them by looking at its state once.
 */
#ifndef LEASEHOLD_SUPERVISOR_DEADLINE_H
#define LEASEHOLD_SUPERVISOR_DEADLINE_H

#include <leasehold/domain_lock.h>

struct _virSupervisor;
typedef struct _virSupervisorDeadlines virSupervisorDeadlines;

virSupervisorDeadlines *virSupervisorDeadlinesNew(struct _virSupervisor *sup);
void virSupervisorDeadlinesFree(virSupervisorDeadlines *self);
/** Call whenever the state may have changed, and once when a guest is taken up. A time that
 * has passed meanwhile is due at once. */
void virSupervisorDeadlinesFollow(virSupervisorDeadlines *self,
                                  const virDomainLockInfo *info);

#endif
