/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * power_state.h: sleep and waking up, as the power states of the machine that the guest sees.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_POWER_STATE_H
#define LEASEHOLD_DOMAIN_LOCK_POWER_STATE_H

#include "object.h"

/**
 * virDomainLockSleep: SUSPEND, HIBERNATE or HYBRID, by the guest's agent. Returns when the
 * guest sleeps. Steps: power:1 the wakeup is in the state, power:2 the agent is asked.
 * @wakeupUsec: wall clock at which the supervisor wakes it (power:3); 0: it does not
 */
gboolean virDomainLockSleep(virDomainLockObj *obj, virDomainLockPowerTarget target,
                            gint64 wakeupUsec, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Returns when the guest runs; STATE if it does not sleep. */
gboolean virDomainLockWake(virDomainLockObj *obj,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Free: virDomainLockPowerFree. */
virDomainLockPower *
virDomainLockReadPower(virDomainLockObj *obj) G_GNUC_WARN_UNUSED_RESULT;

#endif
