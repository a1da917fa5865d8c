/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * leases.c: <lease> elements that come to a running guest, and go. They guard what the guest
 * does by agreement, not an image that QEMU has open; so there is nothing to plug or to see
 * closed, but for an image without identity, which is guarded by them alone.
 *
 *   attach-lease:1 read         detach-lease:1 look up
 *   attach-lease:2 describe     detach-lease:2 release
 *   attach-lease:3 acquire      detach-lease:3 forget
 *   attach-lease:4 use record
 *
 * A supervisor that finds one of the two cut off undoes the first and finishes the second:
 * the same lease is given up, and forgotten.
 */
#include "audit.h"
#include "codec.h"
#include "domain_lock/device/plug.h"

static gboolean
virLeasesRelease(virDomainLockObj *obj, const virDomainResource *resource, GError **error)
{
    virLockWait wait = virPlugWait(VIR_PLUG_UNDO_USEC);

    return virLockManagerReleaseResource(obj->man, resource->type, resource->path, &wait,
                                         error);
}

static void
virLeasesForget(virDomainLockObj *obj, virDomainResource *resource)
{
    virDomainDefRemoveLease(obj->def, resource);
    virDomainLockObjUpdateLeases(obj);
    virDomainLockObjKeepDescription(obj);
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

/* Only after the journal: a lease that is described and not held is taken for a lost one. */
static gboolean
virLeasesDescribe(virDomainLockObj *obj, GError **error)
{
    if (!virDomainLockObjUpdateDescription(obj, error))
        return FALSE;
    virDomainLockObjSetStep(obj, "attach-lease", 3);
    return TRUE;
}

static gboolean
virLeasesAttach(virDomainLockObj *obj, virDomainResource *resource, GError **error)
{
    virLockWait wait = virPlugWait(VIR_PLUG_TAKE_USEC);

    virLeasesJournal(obj, resource);
    virDomainLockObjSetStep(obj, "attach-lease", 2);
    if (!virLeasesDescribe(obj, error) || !virDomainLockAcquire(obj, resource, &wait, error)) {
        virLeasesForget(obj, resource);
        return FALSE;
    }
    virDomainLockObjSetStep(obj, "attach-lease", 4);
    if (!virLockManagerAdvanceUse(obj->man, &wait, error)) {
        g_autoptr(GError) why = NULL;

        if (virLeasesRelease(obj, resource, &why)) {
            virLeasesForget(obj, resource);
        } else {
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
    if (ok) {
        virDomainLockObjSetStep(obj, "detach-lease", 3);
        virLeasesForget(obj, resource);
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
        if (virLeasesIsHeld(obj, resource) && !virLeasesRelease(obj, resource, error))
            return FALSE;
        virLeasesForget(obj, resource);
        return TRUE;
    }
    return TRUE; /* it was not described yet, or is not any more */
}
