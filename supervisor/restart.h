/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * restart.h: on_lockfailure = restart.
 */
#ifndef LEASEHOLD_SUPERVISOR_RESTART_H
#define LEASEHOLD_SUPERVISOR_RESTART_H

#include "domain_lock/object.h"
#include "domain_lock/spec.h"

/** TRUE if the guest ended because it lost its leases and is to be started again. */
gboolean virSupervisorWantsRestart(virDomainLockObj *obj);

/**
 * virSupervisorRestart: after the end. Starts the guest from @spec in a supervisor of its own,
 * again and again while the lease storage or the lock daemon does not answer, for
 * VIR_SUPERVISOR_RESTART_SEC. Gives up when another host has the guest. Ends by SIGTERM.
 */
gboolean virSupervisorRestart(virDomainLockObj *obj, virDomainLockSpec *spec);
#define VIR_SUPERVISOR_RESTART_SEC 600

#endif
