/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * acquire.c: taking leases for a guest, and the destination's half of a migration.
 *
 * Acquire: take the leases, then look at their bridges (§6 of the design: each side takes its
 * own first and looks at the other's afterwards, so of two strangers at most one goes on),
 * and read the use records, which cannot change any more. A slot may have been given to
 * another lease between looking it up and taking it; so the index is read again afterwards.
 */
#include "plugins/sanlock/take.h"

#include "plugins/sanlock/daemon.h"
#include "plugins/sanlock/marker.h"
#include "plugins/sanlock/owner.h"

/* "store gc" of another host moves a lease that is looked up at that moment */
#define MAX_MOVES 10
#define BUSY_NAP_USEC (300 * 1000)

/* --- marker, in a job because it talks to the daemon ------------------------------------ */

typedef struct {
    virSanlockConfig *config;
    char *uuid;
    char *name;
    pid_t pid;
} virSanlockMarkJob;

static void
virSanlockMarkJobClear(gpointer data)
{
    virSanlockMarkJob *job = data;

    virSanlockConfigUnref(job->config);
    g_free(job->uuid);
    g_free(job->name);
}

static gboolean
virSanlockMarkJobRun(gpointer data, GError **error)
{
    virSanlockMarkJob *job = data;

    return virSanlockMarkerWrite(job->config, job->uuid, job->name, job->pid, error);
}

/* Done while the leases are looked up. */
static void
virSanlockTakeMark(virSanlockTake *take)
{
    const virSanlockObject *object = take->object;
    virSanlockMarkJob *job;

    if (object->marked || take->set->beforeData)
        return;
    job = g_atomic_rc_box_new0(virSanlockMarkJob);
    job->config = virSanlockConfigRef(object->config);
    job->uuid = g_strdup(object->uuid);
    job->name = g_strdup(object->name);
    job->pid = object->pid;
    take->set->before = virSanlockMarkJobRun;
    take->set->beforeData = job;
    take->set->beforeClear = virSanlockMarkJobClear;
}

/* --- steps of an attempt ---------------------------------------------------------------------------- */

static gboolean
virSanlockTakeHasMoved(const virSanlockTake *take)
{
    for (gsize i = 0; i < take->set->n; i++)
        if (take->set->leases[i].moved)
            return TRUE;
    return FALSE;
}

/* The first time for this guest and daemon, the store itself is looked at too, and the guest
 * is noted: nothing is taken before that is done. */
static gboolean
virSanlockTakeLocate(virSanlockTake *take, GError **error)
{
    take->set->checkStore = !take->object->storeChecked;
    virSanlockTakeMark(take);
    if (!virSanlockLeaseSetLocate(take->set, &take->bounds, error))
        return FALSE;
    take->set->before = NULL;
    take->object->marked = TRUE;
    take->object->storeChecked = TRUE;
    return TRUE;
}

/* sanlock found another lease, or none, at the place of one. Is its place another one now? */
static gboolean
virSanlockTakeWasMoved(virSanlockTake *take)
{
    const virSanlockLeaseSet *set = take->set;
    g_autofree int *slots = g_new(int, set->n);

    if (!take->misplaced)
        return FALSE;
    for (gsize i = 0; i < set->n; i++)
        slots[i] = set->leases[i].slot;
    if (!virSanlockTakeLocate(take, NULL))
        return FALSE;
    for (gsize i = 0; i < set->n; i++)
        if (slots[i] != set->leases[i].slot)
            return TRUE;
    return FALSE;
}

/* Takes all parts where the index says they are. FALSE with *@moved: it says something else by
 * now; with or without an error. */
static gboolean
virSanlockTakeWhereTheyAre(virSanlockTake *take, gboolean *moved, GError **error)
{
    *moved = FALSE;
    if (!virSanlockTakeLocate(take, error) || !virSanlockTakeSuspects(take, error) ||
        (!virSanlockLeaseSetIsComplete(take->set) &&
         !virSanlockLeaseSetCreate(take->set, &take->bounds, error))) {
        *moved = virSanlockTakeWasMoved(take);
        return FALSE;
    }
    /* reclaimed as soon as they were made? */
    *moved = !virSanlockLeaseSetIsComplete(take->set);
    if (*moved)
        return FALSE;
    virSanlockBoundsProgress(&take->bounds, "taking the leases", 0, -1, NULL);
    if (!virSanlockTakeAll(take, error)) {
        *moved = virSanlockTakeWasMoved(take);
        return FALSE;
    }
    if (!virSanlockLeaseSetVerify(take->set, &take->bounds, error))
        return FALSE;
    *moved = virSanlockTakeHasMoved(take);
    return !*moved;
}

static gboolean
virSanlockTakeAndVerify(virSanlockTake *take, GError **error)
{
    for (guint moves = 0; moves < MAX_MOVES; moves++) {
        g_autoptr(GError) why = NULL;
        g_autoptr(GError) local = NULL;
        gboolean moved;

        if (virSanlockTakeWhereTheyAre(take, &moved, &why))
            return TRUE;
        if (!moved) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
        g_set_error(&local, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "the places of leases in the store changed");
        virSanlockTakeUndo(take, &local);
        if (local->code != VIR_LOCK_ERROR_UNAVAILABLE) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
    }
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "the places of leases in the store change all the time; is somebody "
                "repairing it?");
    return FALSE;
}

/* The bridge's leader names an owner. Whether that still means something, a real attempt
 * tells: what it takes it gives back at once. */
static gboolean
virSanlockTakeTryBridge(virSanlockTake *take, gsize i, GError **error)
{
    g_auto(virSanlockTake) bridge = {0};
    g_autoptr(GError) local = NULL;

    virSanlockTakeInit(&bridge, take->object, take->set, VIR_SANLOCK_PART_BRIDGE,
                       take->outer);
    if (virSanlockTakeOne(&bridge, i, &local))
        return virSanlockGiveBack(take->object, take->set, VIR_SANLOCK_PART_BRIDGE,
                                  bridge.taken, take->outer, error);
    g_propagate_error(error, g_steal_pointer(&local));
    if (bridge.holder) {
        virLockOwnerFree(take->holder);
        take->holder = g_steal_pointer(&bridge.holder);
    }
    return FALSE;
}

static gboolean
virSanlockTakeLookAtBridges(virSanlockTake *take, GError **error)
{
    for (gsize i = 0; i < take->set->n; i++) {
        const virSanlockLeader *leader = &take->set->leases[i].bridgeLeader;

        if (leader->timestamp && leader->ownerId &&
            !virSanlockTakeTryBridge(take, i, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
virSanlockTakeAttempt(virSanlockTake *take, GError **error)
{
    g_autoptr(GError) local = NULL;

    take->passing = take->misplaced = FALSE;
    if (virSanlockTakeAndVerify(take, &local) &&
        (take->part == VIR_SANLOCK_PART_BRIDGE ||
         virSanlockTakeLookAtBridges(take, &local)) &&
        virSanlockBoundsCheck(&take->bounds, "taking leases", &local))
        return TRUE;
    virSanlockTakeUndo(take, &local);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* --- waiting for a busy lease --------------------------------------------------------------------- */

/* TRUE if another attempt is due; the error is cleared then. A daemon that is taking the lease
 * for another guest says so with an error of its own, and is worth waiting for, too. */
static gboolean
virSanlockTakeWaitBusy(virSanlockTake *take, GError **error)
{
    g_autofree char *what = NULL;
    g_autoptr(GError) local = NULL;

    if (!(g_error_matches(*error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY) ||
          (g_error_matches(*error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE) &&
           take->passing)) ||
        g_get_monotonic_time() + BUSY_NAP_USEC >= take->bounds.busyUsec)
        return FALSE;
    what =
        g_strdup_printf("waiting for %s", take->holder ? take->holder->lease : "leases");
    virSanlockBoundsProgress(&take->bounds, what, -1,
                             take->holder ? take->holder->etaSec : -1, take->holder);
    if (!virSanlockBoundsSleep(&take->bounds, BUSY_NAP_USEC, what, &local) ||
        !virSanlockBoundsCheck(&take->bounds, what, &local)) {
        g_clear_error(error);
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    g_clear_error(error);
    return TRUE;
}

static gboolean
virSanlockObjectTake(virSanlockObject *object, virSanlockLeaseSet *set,
                     virSanlockPart part, const virSanlockBounds *bounds, GError **error)
{
    g_auto(virSanlockTake) take = {0};
    GError *local = NULL;

    virSanlockTakeInit(&take, object, set, part, bounds);
    while (!virSanlockTakeAttempt(&take, &local)) {
        if (virSanlockTakeWaitBusy(&take, &local))
            continue;
        g_propagate_error(error, local);
        return FALSE;
    }
    return TRUE;
}

static gboolean
virSanlockObjectTakeResources(virSanlockObject *object,
                              virLockDriverResource *const *resources, gsize n,
                              virSanlockPart part, const virLockWait *wait,
                              GError **error)
{
    g_autoptr(virSanlockLeaseSet) set = NULL;
    virSanlockBounds bounds;

    virSanlockBoundsInit(&bounds, wait);
    if (n == 0)
        return TRUE;
    if (!virSanlockObjectNeedPid(object, error))
        return FALSE;
    g_clear_pointer(&object->taken, virSanlockLeaseSetUnref);
    set = virSanlockLeaseSetNew(object->config, resources, n, error);
    if (!set || !virSanlockObjectTake(object, set, part, &bounds, error))
        return FALSE;
    for (gsize i = 0; i < n; i++)
        resources[i]->epoch = set->leases[i].use.epoch;
    object->taken = g_steal_pointer(&set);
    return TRUE;
}

gboolean
virSanlockObjectAcquire(gpointer objectData, virLockDriverResource *const *resources,
                        gsize n, guint flags, const virLockWait *wait, GError **error)
{
    return virSanlockObjectTakeResources(objectData, resources, n, VIR_SANLOCK_PART_LEASE,
                                         wait, error);
}

/* --- migration, destination ------------------------------------------------------------------------ */

gboolean
virSanlockObjectReserve(gpointer objectData, virLockDriverResource *const *resources,
                        gsize n, const virLockWait *wait, GError **error)
{
    return virSanlockObjectTakeResources(objectData, resources, n,
                                         VIR_SANLOCK_PART_BRIDGE, wait, error);
}

/* What this process has of lease @name, as sanlock says. */
static gboolean
virSanlockHeldHas(const GArray *held, const char *name)
{
    for (guint i = 0; i < held->len; i++)
        if (strcmp(g_array_index(held, virSanlockHeld, i).name, name) == 0)
            return TRUE;
    return FALSE;
}

static gboolean
virSanlockSettleOne(virSanlockTake *take, const GArray *held, gsize i, GError **error)
{
    const virSanlockLease *lease = &take->set->leases[i];
    gboolean *which = g_newa0(gboolean, take->set->n);

    which[i] = TRUE;
    if (!virSanlockHeldHas(held, lease->name)) {
        if (!virSanlockHeldHas(held, lease->bridge)) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                        "%s: guest '%s' has not reserved it", lease->label,
                        take->object->name);
            return FALSE;
        }
        if (!virSanlockTakeOne(take, i, error))
            return FALSE;
    }
    return !virSanlockHeldHas(held, lease->bridge) ||
           virSanlockGiveBack(take->object, take->set, VIR_SANLOCK_PART_BRIDGE, which,
                              take->outer, error);
}

/* Settles as many as can be; the first one that cannot is the error. */
static gboolean
virSanlockSettlePass(virSanlockTake *take, GError **error)
{
    g_autoptr(GArray) held = NULL;
    GError *first = NULL;
    int rv;

    if (!virSanlockClientInquire(take->object->pid, &held, &take->bounds, &rv, error))
        return FALSE;
    if (rv != 0) {
        virSanlockDaemonErrorSet(error, rv, "cannot ask for the leases of guest '%s'",
                                 take->object->name);
        return FALSE;
    }
    for (gsize i = 0; i < take->set->n; i++) {
        g_autoptr(GError) local = NULL;

        if (virSanlockSettleOne(take, held, i, &local))
            continue;
        if (!g_error_matches(local, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY)) {
            g_clear_error(&first);
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
        if (!first)
            first = g_steal_pointer(&local);
    }
    if (!first)
        return TRUE;
    g_propagate_error(error, first);
    return FALSE;
}

gboolean
virSanlockObjectSettle(gpointer objectData, virLockDriverResource *const *resources,
                       gsize n, const virLockWait *wait, GError **error)
{
    virSanlockObject *object = objectData;
    g_auto(virSanlockTake) take = {0};
    g_autoptr(virSanlockLeaseSet) set = NULL;
    virSanlockBounds bounds;
    GError *local = NULL;

    virSanlockBoundsInit(&bounds, wait);
    if (n == 0)
        return TRUE;
    if (!virSanlockObjectNeedPid(object, error))
        return FALSE;
    set = virSanlockLeaseSetNew(object->config, resources, n, error);
    if (!set || !virSanlockLeaseSetLocate(set, &bounds, error))
        return FALSE;
    if (!virSanlockLeaseSetIsComplete(set)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "guest '%s' has not reserved what it wants to settle", object->name);
        return FALSE;
    }
    virSanlockTakeInit(&take, object, set, VIR_SANLOCK_PART_LEASE, &bounds);
    while (!virSanlockSettlePass(&take, &local)) {
        if (virSanlockTakeWaitBusy(&take, &local))
            continue;
        g_propagate_error(error, local);
        return FALSE;
    }
    return TRUE;
}
