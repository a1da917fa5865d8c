/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * convert.c: shared <-> exclusive of a lease that is held, without letting go of it.
 *
 * To become exclusive is to take the lease once more: the bridge is looked at and the use
 * record read, and if somebody is on the bridge the lease becomes shared again.
 */
#include "plugins/sanlock/take.h"

#include <errno.h>

#include "plugins/sanlock/daemon.h"
#include "plugins/sanlock/errors.h"
#include "plugins/sanlock/owner.h"

#define MAX_TRIES 50
#define NAP_USEC (10 * 1000)

/* The first other holder of the lease, if there is one. */
static virLockOwner *
virSanlockFindOther(virSanlockObject *object, virSanlockLeaseSet *set,
                    const virSanlockBounds *bounds)
{
    g_autoptr(GPtrArray) owners = virSanlockOwnersRead(set, bounds, NULL);

    for (guint i = 0; owners && i < owners->len; i++) {
        virLockOwner *owner = owners->pdata[i];

        if (owner->hold == VIR_LOCK_HOLD_LEASE && owner->hostId != object->config->hostId)
            return g_ptr_array_steal_index(owners, i);
    }
    return NULL;
}

static void
virSanlockConvertSetError(virSanlockObject *object, virSanlockLeaseSet *set, int rv,
                          const virSanlockBounds *bounds, GError **error)
{
    g_autoptr(virLockOwner) other = NULL;
    const char *label = set->leases[0].label;

    if (virSanlockErrorLookup(rv)->code == VIR_LOCK_ERROR_BUSY)
        other = virSanlockFindOther(object, set, bounds);
    if (other)
        virSanlockOwnerSetBusy(error, label, other, rv);
    else if (rv == -ENOENT)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "%s is not held by guest '%s' (sanlock %d)", label, object->name, rv);
    else
        virSanlockDaemonErrorSet(error, rv, "cannot change the mode of %s", label);
}

static gboolean
virSanlockConvertTo(virSanlockObject *object, virSanlockLeaseSet *set, virLockMode mode,
                    const virSanlockBounds *bounds, GError **error)
{
    int rv;

    for (guint tries = 0; tries < MAX_TRIES; tries++) {
        virSanlockRetry retry;

        if (!virSanlockClientConvert(object->pid, set, mode, bounds, &rv, error))
            return FALSE;
        if (rv == 0 || rv == -EALREADY)
            return TRUE;
        retry = virSanlockErrorLookup(rv)->retry;
        if ((retry != VIR_SANLOCK_RETRY_AT_ONCE && retry != VIR_SANLOCK_RETRY_SHORTLY) ||
            rv == -EAGAIN)
            break;
        if (!virSanlockBoundsSleep(bounds, NAP_USEC, "converting a lease", error))
            return FALSE;
    }
    virSanlockConvertSetError(object, set, rv, bounds, error);
    return FALSE;
}

static gboolean
virSanlockConvertLook(virSanlockObject *object, virSanlockLeaseSet *set,
                      const virSanlockBounds *bounds, GError **error)
{
    g_auto(virSanlockTake) bridge = {0};
    const virSanlockLeader *leader = &set->leases[0].bridgeLeader;

    if (!virSanlockLeaseSetVerify(set, bounds, error))
        return FALSE;
    if (!leader->timestamp || !leader->ownerId)
        return TRUE;
    virSanlockTakeInit(&bridge, object, set, VIR_SANLOCK_PART_BRIDGE, bounds);
    return virSanlockTakeOne(&bridge, 0, error) &&
           virSanlockGiveBack(object, set, VIR_SANLOCK_PART_BRIDGE, NULL, bounds, error);
}

gboolean
virSanlockObjectConvert(gpointer objectData, virLockDriverResource *resource,
                        virLockMode mode, const virLockWait *wait, GError **error)
{
    virSanlockObject *object = objectData;
    g_autoptr(virSanlockLeaseSet) set = NULL;
    g_autoptr(GError) local = NULL;
    virSanlockBounds bounds;

    virSanlockBoundsInit(&bounds, wait);
    if (!virSanlockObjectNeedPid(object, error))
        return FALSE;
    set = virSanlockLeaseSetNew(object->config, &resource, 1, error);
    if (!set || !virSanlockLeaseSetLocate(set, &bounds, error))
        return FALSE;
    if (!virSanlockLeaseSetIsComplete(set)) {
        virSanlockConvertSetError(object, set, -ENOENT, &bounds, error);
        return FALSE;
    }
    if (!virSanlockConvertTo(object, set, mode, &bounds, error))
        return FALSE;
    if (mode != VIR_LOCK_MODE_EXCLUSIVE)
        return TRUE;
    if (virSanlockConvertLook(object, set, &bounds, &local)) {
        resource->epoch = set->leases[0].use.epoch;
        return TRUE;
    }
    bounds.cancellable = NULL;
    if (!virSanlockConvertTo(object, set, VIR_LOCK_MODE_SHARED, &bounds, error)) {
        g_prefix_error(error,
                       "%s; and it could not be made shared again: ", local->message);
        return FALSE;
    }
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}
