/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate_settle.c: the destination after the guest has arrived (I5): from its bridges to the
 * leases themselves.
 *
 * The source frees those when its QEMU was reaped, or when it is dead. Each attempt takes what is
 * free by then and frees the bridge only after that, so that a disk is never without either.
 */
#include "domain_lock/sequence.h"
#include "migrate.h"

#define SETTLE_USEC (4 * G_USEC_PER_SEC)
/* Within that: for a lease that the source still has. */
#define SETTLE_BUSY_USEC (3 * G_USEC_PER_SEC)

/* A guest whose memory stays away can neither go on nor go back. When it is whole, what QEMU says
 * of a migration is of something else: "failed" of a snapshot. */
static gboolean
virSettleCheckMemory(virDomainLockObj *obj, GError **error)
{
    g_autofree char *host = virDomainLockObjGetPeer(obj);
    g_auto(virMigrateProgress) progress = {0};
    g_autofree char *message = NULL;
    gboolean postcopy = FALSE;

    if (obj->isWhole)
        return TRUE;
    if (!virMigrateStreamIsPostcopy(obj, &postcopy, error) ||
        !virMigrateStreamQuery(obj, &progress, error))
        return FALSE;
    obj->isWhole = !postcopy || g_str_equal(progress.status, "completed");
    if (obj->isWhole || (!g_str_equal(progress.status, "postcopy-paused") &&
                         !g_str_equal(progress.status, "failed")))
        return TRUE;
    message = g_strdup_printf("the rest of its memory did not come from host '%s'; start it "
                              "anew from its disks",
                              host);
    virDomainLockObjSetEndReason(obj, VIR_DOMAIN_LOCK_REASON_FAILED);
    virDomainLockObjEmit(obj, "MIGRATION_FAILED", host, message);
    obj->guest->ops->kill(obj->guest, FALSE);
    g_set_error_literal(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_LOST, message);
    return FALSE;
}

gboolean
virDomainLockSettle(virDomainLockObj *obj, GError **error)
{
    gint64 now = g_get_monotonic_time();
    virLockWait wait = {.structSize = sizeof(wait),
                        .deadlineUsec = now + SETTLE_USEC,
                        .busyUsec = now + SETTLE_BUSY_USEC};
    g_autofree char *message = NULL;
    g_autofree char *host = virDomainLockObjGetPeer(obj);
    gboolean settled;

    if (!virSettleCheckMemory(obj, error))
        return FALSE;
    virDomainLockObjSetStep(obj, "settle", 1);
    settled = virLockManagerSettle(obj->man, &wait, error);
    if (settled) {
        g_autoptr(GError) why = NULL;

        virDomainLockObjSetStep(obj, "settle", 2);
        if (!virLockManagerAdvanceUse(obj->man, NULL, &why))
            g_warning("the use records name the host where it was before: %s",
                      why->message);
    }
    virDomainLockObjUpdateLeases(obj);
    virDomainLockObjSetStep(obj, NULL, 0);
    if (!settled && error && *error)
        message = g_strdup_printf("behind its bridge leases: host '%s' has not freed the "
                                  "leases themselves yet: %s",
                                  host, (*error)->message);
    virDomainLockObjSetMessage(obj, message);
    return settled;
}

gboolean
virDomainLockIsSettled(virDomainLockObj *obj)
{
    g_autoptr(GPtrArray) leases = virLockManagerGetLeases(obj->man);

    for (guint i = 0; i < leases->len; i++) {
        const virLockLease *lease = g_ptr_array_index(leases, i);

        if (lease->hold == VIR_LOCK_HOLD_BRIDGE)
            return FALSE;
    }
    return TRUE;
}
