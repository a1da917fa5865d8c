/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * release.c: giving leases up, and changing their mode.
 *
 * sanlock releases what it finds and answers -1 for the rest, so it is asked first what the
 * process holds: either all of a set is given up or nothing.
 */
#include "plugins/sanlock/take.h"

#include <errno.h>

#include "plugins/sanlock/daemon.h"
#include "plugins/sanlock/errors.h"

static gboolean
virSanlockCheckHeld(virSanlockObject *object, const virSanlockLeaseSet *set,
                    virSanlockPart part, const virSanlockBounds *bounds, GError **error)
{
    g_autoptr(GArray) held = NULL;
    int rv;

    if (!virSanlockClientInquire(object->pid, &held, bounds, &rv, error))
        return FALSE;
    if (rv != 0) {
        virSanlockDaemonErrorSet(error, rv, "cannot give up leases of guest '%s'",
                                 object->name);
        return FALSE;
    }
    for (gsize i = 0; i < set->n; i++) {
        const virSanlockLease *lease = &set->leases[i];
        const char *name = part == VIR_SANLOCK_PART_BRIDGE ? lease->bridge : lease->name;
        gboolean found = FALSE;

        for (guint k = 0; k < held->len && !found; k++)
            found = strcmp(g_array_index(held, virSanlockHeld, k).name, name) == 0;
        if (!found) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                        "%s%s is not held by guest '%s'", lease->label,
                        part == VIR_SANLOCK_PART_BRIDGE ? " (its bridge)" : "",
                        object->name);
            return FALSE;
        }
    }
    return TRUE;
}

/* sanlock forgets a lease even if it could not write that to the store: then it writes later,
 * or the lease ends with this host's right to it. */
static void
virSanlockReleaseAdjustError(GError **error)
{
    if (error && g_error_matches(*error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE))
        (*error)->code = VIR_LOCK_ERROR_INDETERMINATE;
}

static gboolean
virSanlockObjectGiveUp(virSanlockObject *object, virLockDriverResource *const *resources,
                       gsize n, virSanlockPart part, const virLockWait *wait,
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
    if (!set)
        return FALSE;
    /* sanlock goes by lockspace and name; storage need not answer to find the slot */
    if (object->config->lockspace)
        g_strlcpy(set->geometry.lockspace, object->config->lockspace,
                  sizeof(set->geometry.lockspace));
    else if (!virSanlockLeaseSetLocate(set, &bounds, error))
        return FALSE;
    if (!virSanlockCheckHeld(object, set, part, &bounds, error))
        return FALSE;
    if (virSanlockGiveBack(object, set, part, NULL, &bounds, error))
        return TRUE;
    virSanlockReleaseAdjustError(error);
    return FALSE;
}

gboolean
virSanlockObjectRelease(gpointer objectData, virLockDriverResource *const *resources,
                        gsize n, const virLockWait *wait, GError **error)
{
    return virSanlockObjectGiveUp(objectData, resources, n, VIR_SANLOCK_PART_LEASE, wait,
                                  error);
}

gboolean
virSanlockObjectUnreserve(gpointer objectData, virLockDriverResource *const *resources,
                          gsize n, const virLockWait *wait, GError **error)
{
    return virSanlockObjectGiveUp(objectData, resources, n, VIR_SANLOCK_PART_BRIDGE, wait,
                                  error);
}
