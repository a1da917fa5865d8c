/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy.h: what follows when a guest is finished, reboots or panics.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_POLICY_H
#define LEASEHOLD_DOMAIN_LOCK_POLICY_H

#include "object.h"

/** @data: of QEMU's event. Main thread. */
virDomainLockFollow virPolicyPoweroff(virDomainLockObj *obj, JsonObject *data);
virDomainLockFollow virPolicyReboot(virDomainLockObj *obj, JsonObject *data);
virDomainLockFollow virPolicyCrash(virDomainLockObj *obj);

#endif
