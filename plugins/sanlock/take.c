/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * take.c: see take.h.
 *
 * Refusing must be quick: a batch of 8 takes 20 ms, and finding out at the eighth that it is
 * held, as long. So a lease whose leader names an owner is looked at first, alone. If the
 * daemon sees the host of that owner alive, in the same generation, its answer is known: to
 * ask for it would make it read the whole area of the lease, 1 MiB. Otherwise the leader is
 * only a hint (its owner may be dead, or have released it and been overwritten), and sanlock
 * decides. Nothing is ever taken on such grounds.
 */
#include "plugins/sanlock/take.h"

#include <errno.h>

#include "plugins/sanlock/daemon.h"
#include "plugins/sanlock/errors.h"
#include "plugins/sanlock/libsanlock.h"
#include "plugins/sanlock/owner.h"

/* For how long sanlock may answer that it is still busy giving a lease up. After a QEMU was
 * killed that takes some 10 ms, on slow storage more. */
#define SHORTLY_USEC (500 * 1000)
#define SHORTLY_NAP_USEC (10 * 1000)
#define MAX_BALLOTS 8
/* At most this is kept of the caller's time for undoing. */
#define UNDO_USEC G_USEC_PER_SEC

void
virSanlockTakeInit(virSanlockTake *take, virSanlockObject *object,
                   virSanlockLeaseSet *set, virSanlockPart part,
                   const virSanlockBounds *bounds)
{
    gint64 left = bounds->deadlineUsec - g_get_monotonic_time();

    memset(take, 0, sizeof(*take));
    take->object = object;
    take->set = set;
    take->part = part;
    take->outer = bounds;
    take->bounds = *bounds;
    take->bounds.deadlineUsec -= CLAMP(left / 4, 0, UNDO_USEC);
    take->taken = g_new0(gboolean, set->n);
}

void
virSanlockTakeClear(virSanlockTake *take)
{
    g_free(take->taken);
    virLockOwnerFree(take->holder);
}

/* --- why not ----------------------------------------------------------------------------------- */

static gboolean
virSanlockOwnerConflicts(const virSanlockTake *take, const virSanlockLease *lease,
                         const virLockOwner *owner)
{
    virLockHold wanted = take->part == VIR_SANLOCK_PART_BRIDGE ? VIR_LOCK_HOLD_BRIDGE
                                                               : VIR_LOCK_HOLD_LEASE;

    return owner->hold == wanted && (owner->mode == VIR_LOCK_MODE_EXCLUSIVE ||
                                     lease->mode == VIR_LOCK_MODE_EXCLUSIVE);
}

/* The first of the batch that somebody holds; its holder goes to take->holder. */
static const virSanlockLease *
virSanlockTakeFindHolder(virSanlockTake *take, const virSanlockBatch *batch)
{
    g_clear_pointer(&take->holder, virLockOwnerFree);
    for (gsize b = 0; b < batch->n; b++) {
        const virSanlockLease *lease = &take->set->leases[batch->index[b]];
        g_autoptr(virSanlockLeaseSet) one =
            virSanlockLeaseSetNewOne(take->set->config, lease->name, lease->label);
        g_autoptr(GPtrArray) owners = virSanlockOwnersRead(one, &take->bounds, NULL);

        for (guint i = 0; owners && i < owners->len; i++)
            if (virSanlockOwnerConflicts(take, lease, owners->pdata[i])) {
                take->holder = g_ptr_array_steal_index(owners, i);
                return lease;
            }
    }
    return NULL;
}

static char *
virSanlockBatchLabels(const virSanlockTake *take, const virSanlockBatch *batch)
{
    GString *text = g_string_new(NULL);

    for (gsize b = 0; b < batch->n; b++)
        g_string_append_printf(text, "%s%s", b ? ", " : "",
                               take->set->leases[batch->index[b]].label);
    return g_string_free(text, FALSE);
}

static void
virSanlockTakeSetError(virSanlockTake *take, const virSanlockBatch *batch, int rv,
                       GError **error)
{
    const virSanlockLease *lease = NULL;
    g_autofree char *labels = NULL;

    take->passing = virSanlockErrorLookup(rv)->retry == VIR_SANLOCK_RETRY_SHORTLY;
    take->misplaced = rv == SANLK_LEADER_MAGIC || rv == SANLK_LEADER_RESOURCE;
    if (virSanlockErrorLookup(rv)->code == VIR_LOCK_ERROR_BUSY)
        lease = virSanlockTakeFindHolder(take, batch);
    if (lease) {
        virSanlockOwnerSetBusy(error, lease->label, take->holder, rv);
        return;
    }
    labels = virSanlockBatchLabels(take, batch);
    virSanlockDaemonErrorSet(
        error, rv, "cannot take %s%s",
        take->part == VIR_SANLOCK_PART_BRIDGE ? "the bridge of " : "", labels);
}

/* --- one batch ------------------------------------------------------------------------------------- */

/* -EAGAIN is both "still giving it up" and "held shared": other hosts' shared holders are in
 * the store, and waiting for them is not a matter of a moment. */
static gboolean
virSanlockTakeIsHeldShared(virSanlockTake *take, const virSanlockBatch *batch)
{
    return virSanlockTakeFindHolder(take, batch) &&
           take->holder->mode == VIR_LOCK_MODE_SHARED &&
           take->holder->hostId != take->object->config->hostId;
}

static gboolean
virSanlockTakeBatch(virSanlockTake *take, const virSanlockBatch *batch, GError **error)
{
    gint64 shortlyUntil = g_get_monotonic_time() + SHORTLY_USEC;
    gboolean looked = FALSE;

    for (guint ballots = 0;;) {
        const virSanlockError *answer;
        int rv;

        if (!virSanlockClientAcquire(take->object->pid, take->object->name, batch,
                                     &take->bounds, &rv, error))
            return FALSE;
        if (rv == 0)
            break;
        answer = virSanlockErrorLookup(rv);
        if (rv == -EAGAIN && !looked) {
            looked = TRUE;
            if (virSanlockTakeIsHeldShared(take, batch))
                shortlyUntil = 0;
        }
        if (!(answer->retry == VIR_SANLOCK_RETRY_AT_ONCE && ++ballots < MAX_BALLOTS) &&
            !(answer->retry == VIR_SANLOCK_RETRY_SHORTLY &&
              g_get_monotonic_time() < shortlyUntil)) {
            virSanlockTakeSetError(take, batch, rv, error);
            return FALSE;
        }
        if (!virSanlockBoundsSleep(
                &take->bounds, SHORTLY_NAP_USEC + g_random_int_range(0, SHORTLY_NAP_USEC),
                "taking leases", error))
            return FALSE;
    }
    for (gsize b = 0; b < batch->n; b++)
        take->taken[batch->index[b]] = TRUE;
    return TRUE;
}

gboolean
virSanlockTakeOne(virSanlockTake *take, gsize i, GError **error)
{
    virSanlockBatch batch = {.set = take->set, .part = take->part, .n = 1, .index = {i}};

    return virSanlockTakeBatch(take, &batch, error);
}

/* --- all ---------------------------------------------------------------------------------------------- */

static gboolean
virSanlockTakeLooksOwned(const virSanlockTake *take, gsize i)
{
    const virSanlockLeader *leader = &take->set->leases[i].leader;

    return take->set->leases[i].slot >= 0 && take->part == VIR_SANLOCK_PART_LEASE &&
           leader->timestamp && leader->ownerId;
}

/* Own leases are the daemon's to judge: it may be giving one up at this moment. */
static gboolean
virSanlockTakeIsHopeless(virSanlockTake *take, gsize i)
{
    virSanlockBatch batch = {.set = take->set, .part = take->part, .n = 1, .index = {i}};

    return take->set->leases[i].leader.ownerId != take->object->config->hostId &&
           virSanlockTakeFindHolder(take, &batch) &&
           take->holder->hostId != take->object->config->hostId &&
           take->holder->hostState == VIR_LOCK_HOST_LIVE;
}

gboolean
virSanlockTakeSuspects(virSanlockTake *take, GError **error)
{
    for (gsize i = 0; i < take->set->n; i++) {
        if (take->taken[i] || !virSanlockTakeLooksOwned(take, i))
            continue;
        if (virSanlockTakeIsHopeless(take, i)) {
            take->passing = FALSE;
            virSanlockOwnerSetBusy(error, take->set->leases[i].label, take->holder, 0);
            return FALSE;
        }
        if (!virSanlockTakeOne(take, i, error))
            return FALSE;
    }
    return TRUE;
}

/* Whose bridges may be looked at while the next batch is taken: leases that are held. */
static virSanlockLeaseSet *
virSanlockTakeAhead(virSanlockTake *take)
{
    virSanlockLeaseSet *ahead = NULL;

    for (gsize i = 0; i < take->set->n; i++) {
        if (!take->taken[i] || take->part != VIR_SANLOCK_PART_LEASE)
            continue;
        take->set->leases[i].bridgeDue = TRUE;
        ahead = take->set;
    }
    return ahead;
}

gboolean
virSanlockTakeAll(virSanlockTake *take, GError **error)
{
    virSanlockBatch batch = {.set = take->set, .part = take->part};

    for (gsize i = 0; i < take->set->n; i++) {
        if (!take->taken[i])
            batch.index[batch.n++] = i;
        if (batch.n == 0 || (batch.n < VIR_SANLOCK_BATCH && i + 1 < take->set->n))
            continue;
        batch.ahead = virSanlockTakeAhead(take);
        if (!virSanlockTakeBatch(take, &batch, error))
            return FALSE;
        batch.n = 0;
    }
    return TRUE;
}

/* --- back --------------------------------------------------------------------------------------------- */

gboolean
virSanlockGiveBack(virSanlockObject *object, const virSanlockLeaseSet *set,
                   virSanlockPart part, const gboolean *which,
                   const virSanlockBounds *bounds, GError **error)
{
    virSanlockBatch batch = {.set = set, .part = part};
    int rv;

    for (gsize i = 0; i < set->n; i++) {
        if (!which || which[i])
            batch.index[batch.n++] = i;
        if (batch.n == 0 || (batch.n < VIR_SANLOCK_BATCH && i + 1 < set->n))
            continue;
        if (!virSanlockClientRelease(object->pid, &batch, bounds, &rv, error))
            return FALSE;
        if (rv == -ESRCH)
            return TRUE; /* the process is gone, and its leases with it */
        if (rv != 0) {
            virSanlockDaemonErrorSet(error, rv, "cannot give up leases of guest '%s'",
                                     object->name);
            return FALSE;
        }
        batch.n = 0;
    }
    return TRUE;
}

void
virSanlockTakeUndo(virSanlockTake *take, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GError) failure = NULL;
    virSanlockBounds bounds = *take->outer;

    /* a call that did not come back blocks every other one for this process */
    if (g_error_matches(*error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE))
        return;
    bounds.cancellable = NULL;
    if (virSanlockGiveBack(take->object, take->set, take->part, take->taken, &bounds,
                           &failure)) {
        memset(take->taken, 0, take->set->n * sizeof(*take->taken));
        return;
    }
    why = g_steal_pointer(error);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE,
                "%s; and the leases taken before could not be given up again: %s",
                why->message, failure->message);
}
