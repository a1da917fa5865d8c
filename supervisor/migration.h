/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migration.h: what a supervisor goes on doing after a migration, for as long as it takes: at
 * the destination, taking the leases behind the bridges; at the source, when nobody said that
 * the guest runs, finding out who may run it, and where QEMU did not answer when a migration was
 * given up, letting it go on.
 *
 * All are jobs of a few seconds that are repeated, so that shutdown and destroy get in between.
 */
#ifndef LEASEHOLD_SUPERVISOR_MIGRATION_H
#define LEASEHOLD_SUPERVISOR_MIGRATION_H

#include "domain_lock/migrate/migrate.h"

struct _virSupervisor;
typedef struct _virSupervisorMigration virSupervisorMigration;

virSupervisorMigration *virSupervisorMigrationNew(struct _virSupervisor *sup);
void virSupervisorMigrationFree(virSupervisorMigration *migration);

/** A guest was taken up whose migration had lost its supervisor: goes on with either. */
void virSupervisorMigrationResume(virSupervisorMigration *migration);
/** The guest arrived: settles until all its leases are held. */
void virSupervisorMigrationSettle(virSupervisorMigration *migration);
/** The job that sent the guest has ended (transfer full); goes on if its word was given and
 * nothing was heard. */
void virSupervisorMigrationSent(virSupervisorMigration *migration, virMigrateOut *out);

#endif
