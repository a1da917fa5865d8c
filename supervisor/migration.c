/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migration.c: see migration.h.
 */
#include "supervisor/migration.h"
#include "supervisor/supervisor.h"

#define MIGRATION_AGAIN_SEC 2

struct _virSupervisorMigration {
    virSupervisor *sup;
    virMigrateOut *out; /* yielded, and not heard of */
    virMigrateFate fate;
    guint timer;
    guint goOnTimer;
};

static gboolean
virMigrationEnded(virSupervisorMigration *migration)
{
    return virDomainLockObjGetState(virSupervisorGetObj(migration->sup)) ==
           VIR_DOMAIN_LOCK_STATE_SHUTOFF;
}

/* A guest that is yielded is settled: what is wanted last is all that is left to be done. */
static void
virMigrationAgain(virSupervisorMigration *migration, GSourceFunc func)
{
    g_clear_handle_id(&migration->timer, g_source_remove);
    migration->timer = g_timeout_add_seconds(MIGRATION_AGAIN_SEC, func, migration);
}

/* --- given up, and QEMU did not answer ------------------------------------------------ */

static gboolean
virMigrationGoOnRun(gpointer data, GError **error)
{
    virSupervisorMigration *migration = data;

    return virMigrationEnded(migration) ||
           virDomainLockMigrateGoOn(virSupervisorGetObj(migration->sup), error);
}

static void virMigrationCheckStuck(virSupervisorMigration *migration);

static void
virMigrationGoOnDone(const GError *error, gpointer data)
{
    if (error)
        g_message("%s", error->message);
    virMigrationCheckStuck(data);
}

static gboolean
virMigrationGoOn(gpointer data)
{
    virSupervisorMigration *migration = data;
    virSupervisorJob job = {.name = "letting it go on",
                            .run = virMigrationGoOnRun,
                            .done = virMigrationGoOnDone,
                            .data = migration};

    migration->goOnTimer = 0;
    virSupervisorAddJobOf(migration->sup, &job);
    return G_SOURCE_REMOVE;
}

static void
virMigrationCheckStuck(virSupervisorMigration *migration)
{
    if (migration->goOnTimer == 0 && !virMigrationEnded(migration) &&
        virDomainLockMigrateIsStuck(virSupervisorGetObj(migration->sup)))
        migration->goOnTimer =
            g_timeout_add_seconds(MIGRATION_AGAIN_SEC, virMigrationGoOn, migration);
}

/* --- settling ----------------------------------------------------------------------- */

/* A migration that was asked for since the last attempt has settled it first. */
static gboolean
virMigrationSettleRun(gpointer data, GError **error)
{
    virSupervisorMigration *migration = data;
    virDomainLockObj *obj = virSupervisorGetObj(migration->sup);

    return virMigrationEnded(migration) || virDomainLockIsSettled(obj) ||
           virDomainLockSettle(obj, error);
}

static gboolean
virMigrationSettleAgain(gpointer data)
{
    virSupervisorMigration *migration = data;

    migration->timer = 0;
    virSupervisorMigrationSettle(migration);
    return G_SOURCE_REMOVE;
}

static void
virMigrationSettleDone(const GError *error, gpointer data)
{
    virSupervisorMigration *migration = data;

    if (!error || virMigrationEnded(migration))
        return;
    g_message("%s", error->message);
    virMigrationAgain(migration, virMigrationSettleAgain);
}

void
virSupervisorMigrationSettle(virSupervisorMigration *migration)
{
    virSupervisorJob job = {.name = "taking its leases over",
                            .run = virMigrationSettleRun,
                            .done = virMigrationSettleDone,
                            .data = migration};

    virSupervisorAddJobOf(migration->sup, &job);
}

/* --- yielded ------------------------------------------------------------------------ */

static void virMigrationAsk(virSupervisorMigration *migration);

static gboolean
virMigrationAskRun(gpointer data, GError **error)
{
    virSupervisorMigration *migration = data;

    if (virMigrationEnded(migration))
        return TRUE;
    migration->fate = virDomainLockMigrateTakeBack(migration->out, error);
    return migration->fate != VIR_MIGRATE_FATE_UNKNOWN;
}

static gboolean
virMigrationAskAgain(gpointer data)
{
    virSupervisorMigration *migration = data;

    migration->timer = 0;
    virMigrationAsk(migration);
    return G_SOURCE_REMOVE;
}

static void
virMigrationAskDone(const GError *error, gpointer data)
{
    virSupervisorMigration *migration = data;

    if (error && !virMigrationEnded(migration)) {
        g_message("%s", error->message);
        virMigrationAgain(migration, virMigrationAskAgain);
        return;
    }
    g_clear_pointer(&migration->out, virMigrateOutFree);
    virMigrationCheckStuck(migration);
    if (virMigrationEnded(migration))
        virSupervisorEnd(migration->sup);
}

static void
virMigrationAsk(virSupervisorMigration *migration)
{
    virSupervisorJob job = {.name = "asking whether the guest runs elsewhere",
                            .run = virMigrationAskRun,
                            .done = virMigrationAskDone,
                            .data = migration};

    virSupervisorAddJobOf(migration->sup, &job);
}

void
virSupervisorMigrationSent(virSupervisorMigration *migration, virMigrateOut *out)
{
    if (out->yielded && !virMigrationEnded(migration)) {
        migration->out = out;
        virMigrationAgain(migration, virMigrationAskAgain);
        return;
    }
    virMigrateOutFree(out);
    virMigrationCheckStuck(migration);
    if (virMigrationEnded(migration))
        virSupervisorEnd(migration->sup);
}

/* --- both ---------------------------------------------------------------------------- */

static gboolean
virMigrationIsYielded(virDomainLockObj *obj)
{
    virDomainLockReason reason;

    return virDomainLockObjGetStateAndReason(obj, &reason) ==
               VIR_DOMAIN_LOCK_STATE_PAUSED &&
           reason == VIR_DOMAIN_LOCK_REASON_YIELDED;
}

void
virSupervisorMigrationResume(virSupervisorMigration *migration)
{
    virDomainLockObj *obj = virSupervisorGetObj(migration->sup);
    g_autofree char *host = virDomainLockObjGetPeer(obj);

    if (obj->status->endReason != VIR_DOMAIN_LOCK_REASON_NONE)
        return;
    if (virMigrationIsYielded(obj)) {
        migration->out = virMigrateOutNew(obj, NULL, host);
        virMigrationAsk(migration);
    } else if (!virDomainLockIsSettled(obj)) {
        virSupervisorMigrationSettle(migration);
    }
}

/* --- life --------------------------------------------------------------------------- */

virSupervisorMigration *
virSupervisorMigrationNew(virSupervisor *sup)
{
    virSupervisorMigration *migration = g_new0(virSupervisorMigration, 1);

    migration->sup = sup;
    return migration;
}

void
virSupervisorMigrationFree(virSupervisorMigration *migration)
{
    if (migration->timer)
        g_source_remove(migration->timer);
    if (migration->goOnTimer)
        g_source_remove(migration->goOnTimer);
    virMigrateOutFree(migration->out);
    g_free(migration);
}
