/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * owner.h: a guest that belongs to a program (AUTODESTROY) ends when that has ended.
 *
 * The program is known as a process and not as a connection: it may keep none, and another
 * supervisor that takes up the guest finds it again by what spec.json says.
 */
#ifndef LEASEHOLD_SUPERVISOR_OWNER_H
#define LEASEHOLD_SUPERVISOR_OWNER_H

#include "domain_lock/spec.h"

struct _virSupervisor;
typedef struct _virSupervisorOwner virSupervisorOwner;

/** NULL if @spec names no owner. One that is gone already ends the guest as soon as the main
 * loop runs. */
virSupervisorOwner *virSupervisorOwnerNew(struct _virSupervisor *sup,
                                          const virDomainLockSpec *spec);
void virSupervisorOwnerFree(virSupervisorOwner *self);

#endif
