/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * leases.c: <lease> elements that come to a running guest, and go. They guard what the guest
 * does by agreement, not an image that QEMU has open; so there is nothing to plug or to see
 * closed, but for an image without identity, which is guarded by them alone.
 *
 *   attach-lease:1 describe     detach-lease:1 look up
 *   attach-lease:2 acquire      detach-lease:2 release
 *   attach-lease:3 use record
 *
 * A supervisor that finds one of the two cut off undoes the first and finishes the second:
 * the same lease is given up, and forgotten.
 */
#include "audit.h"
#include "codec.h"
#include "plug.h"

static gboolean
virLeasesAcquire(virDomainLockObj *obj, const virDomainResource *resource, GError **error)
{
    virLockManagerParam params[4] = {{NULL, NULL}};
    const char *values[][2] = {{"lockspace", resource->lockspace},
                               {"path", resource->leasePath},
                               {"offset", resource->leaseOffset}};
    virLockWait wait = virPlugWait(VIR_PLUG_TAKE_USEC);
    gsize n = 0;

    for (gsize i = 0; i < G_N_ELEMENTS(values); i++)
        if (values[i][1])
            params[n++] = (virLockManagerParam){values[i][0], values[i][1]};
    return virLockManagerAcquireResource(obj->man, resource->type, resource->path,
                                         n > 0 ? params : NULL, resource->flags, &wait,
                                         error);
}

static gboolean
virLeasesRelease(virDomainLockObj *obj, virDomainResource *resource, GError **error)
{
    virLockWait wait = virPlugWait(VIR_PLUG_UNDO_USEC);

    if (!virLockManagerReleaseResource(obj->man, resource->type, resource->path, &wait,
                                       error))
        return FALSE;
    virDomainDefRemoveLease(obj->def, resource);
    virDomainLockObjUpdateLeases(obj);
    virDomainLockObjKeepDescription(obj);
    return TRUE;
}

static void
virLeasesJournal(virDomainLockObj *obj, const virDomainResource *resource)
{
    JsonObject *details = json_object_new();

    json_object_set_string_member(details, "key", resource->path);
    if (resource->lockspace)
        json_object_set_string_member(details, "lockspace", resource->lockspace);
    virDomainLockObjSetJournal(obj, details);
}

static gboolean
virLeasesAttach(virDomainLockObj *obj, virDomainResource *resource, GError **error)
{
    virLockWait wait = virPlugWait(VIR_PLUG_TAKE_USEC);

    virLeasesJournal(obj, resource);
    virDomainLockObjSetStep(obj, "attach-lease", 2);
    if (!virDomainLockObjUpdateDescription(obj, error) ||
        !virLeasesAcquire(obj, resource, error)) {
        virDomainDefRemoveLease(obj->def, resource);
        virDomainLockObjKeepDescription(obj);
        return FALSE;
    }
    virDomainLockObjSetStep(obj, "attach-lease", 3);
    if (!virLockManagerAdvanceUse(obj->man, &wait, error)) {
        g_autoptr(GError) why = NULL;

        if (!virLeasesRelease(obj, resource, &why)) {
            (*error)->code = VIR_LOCK_ERROR_INDETERMINATE;
            g_prefix_error(error, "%s; and it stays held, because: ", why->message);
        }
        return FALSE;
    }
    virDomainLockObjUpdateLeases(obj);
    return TRUE;
}

gboolean
virDomainLockTakeLease(virDomainLockObj *obj, const char *xml, GError **error)
{
    virDomainResource *resource = NULL;
    GError *why = NULL;
    gboolean ok;

    if (!virPlugCheckState(obj, "attach a lease to", error))
        return FALSE;
    virDomainLockObjPassStep(obj, "attach-lease", 1);
    resource = virDomainDefAddLease(obj->def, xml, &why);
    ok = resource && virLeasesAttach(obj, resource, &why);
    virDomainLockObjSetStep(obj, NULL, 0);
    if (ok)
        virDomainLockObjEmit(obj, "LEASE_ATTACHED", resource->path, NULL);
    else
        g_propagate_prefixed_error(
            error, why, "cannot attach a lease to guest '%s': ", obj->status->info->name);
    return ok;
}

/* An image without identity has no lease but these. */
static gboolean
virLeasesCheckNotAlone(virDomainLockObj *obj, GError **error)
{
    GPtrArray *all = virDomainDefGetResources(obj->def);

    for (guint i = 0; i < all->len; i++) {
        const virDomainResource *resource = g_ptr_array_index(all, i);

        if (resource->type != VIR_LOCK_RESOURCE_DISK ||
            !virDomainLockGuardedByKey(obj->config, all, resource))
            continue;
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
            "image '%s' has no identity: nothing but the <lease> elements of this "
            "guest guards it, so none of them can go while it is open; detach "
            "disk '%s' first",
            resource->path, resource->target ? resource->target : "(unknown)");
        return FALSE;
    }
    return TRUE;
}

gboolean
virDomainLockDropLease(virDomainLockObj *obj, const char *lockspace, const char *key,
                       GError **error)
{
    virDomainResource *resource = NULL;
    GError *why = NULL;
    gboolean ok;

    if (!virPlugCheckState(obj, "detach a lease from", error))
        return FALSE;
    virDomainLockObjPassStep(obj, "detach-lease", 1);
    resource = virDomainDefFindLease(obj->def, lockspace, key, &why);
    ok = resource && virLeasesCheckNotAlone(obj, &why);
    if (ok) {
        virLeasesJournal(obj, resource);
        virDomainLockObjSetStep(obj, "detach-lease", 2);
        ok = virLeasesRelease(obj, resource, &why);
    }
    virDomainLockObjSetStep(obj, NULL, 0);
    if (ok)
        virDomainLockObjEmit(obj, "LEASE_DETACHED", key, NULL);
    else
        g_propagate_prefixed_error(error, why,
                                   "cannot detach lease '%s' from guest '%s': ", key,
                                   obj->status->info->name);
    return ok;
}

/* --- after a supervisor died ------------------------------------------------------------ */

gboolean
virDomainLockLeaseIsJournaled(JsonObject *journal, const virDomainResource *resource)
{
    return resource->type == VIR_LOCK_RESOURCE_LEASE &&
           g_strcmp0(virDomainLockJsonString(journal, "key"), resource->path) == 0 &&
           g_strcmp0(virDomainLockJsonString(journal, "lockspace"),
                     resource->lockspace) == 0;
}

static gboolean
virLeasesIsHeld(virDomainLockObj *obj, const virDomainResource *resource)
{
    g_autoptr(GPtrArray) leases = virLockManagerGetLeases(obj->man);

    for (guint i = 0; i < leases->len; i++) {
        const virLockLease *lease = g_ptr_array_index(leases, i);

        if (lease->type == resource->type && lease->hold != VIR_LOCK_HOLD_NONE &&
            g_strcmp0(lease->path, resource->path) == 0)
            return TRUE;
    }
    return FALSE;
}

gboolean
virDomainLockLeaseRecover(virDomainLockObj *obj, JsonObject *journal, GError **error)
{
    GPtrArray *all = virDomainDefGetResources(obj->def);

    for (guint i = 0; i < all->len; i++) {
        virDomainResource *resource = g_ptr_array_index(all, i);

        if (!virDomainLockLeaseIsJournaled(journal, resource))
            continue;
        if (virLeasesIsHeld(obj, resource))
            return virLeasesRelease(obj, resource, error);
        virDomainDefRemoveLease(obj->def, resource);
        virDomainLockObjKeepDescription(obj);
        return TRUE;
    }
    return TRUE; /* it was not described yet, or is not any more */
}
