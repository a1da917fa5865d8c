/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * acquire.c: taking, giving up and asking for leases (I2, I4, I7, I8).
 *
 * The plugin takes a set whole or not at all. What is decided here on top of that: the order
 * (run lease first, then by name), whether the epochs are still those that memory state was
 * saved under (I7), and on re-attach whether the child really holds what it should.
 */
#include "lock_manager/manager.h"

#include <string.h>

#define UNDO_SEC 10

void
virLockManagerUndoWait(virLockWait *wait)
{
    memset(wait, 0, sizeof(*wait));
    wait->structSize = sizeof(*wait);
    wait->deadlineUsec = g_get_monotonic_time() + UNDO_SEC * G_USEC_PER_SEC;
}

/* --- asking the backend ------------------------------------------------------------------- */

gboolean
virLockManagerInquireDriver(virLockManager *man, GPtrArray **leases,
                            const virLockWait *wait, GError **error)
{
    GPtrArray *raw = NULL;

    if (!man->plugin->driver.inquire(man->object, &raw, wait, error))
        return FALSE;
    *leases = virLockManagerAdoptArray(raw, sizeof(virLockLease),
                                       (GDestroyNotify)virLockLeaseFree);
    return TRUE;
}

const virLockLease *
virLockManagerFindHeld(GPtrArray *leases, const char *name, virLockHold hold)
{
    for (guint i = 0; i < leases->len; i++) {
        const virLockLease *lease = leases->pdata[i];

        if (lease->hold == hold && g_strcmp0(lease->name, name) == 0)
            return lease;
    }
    return NULL;
}

gboolean
virLockManagerVerifyHeld(virLockManager *man, GPtrArray *leases, GError **error)
{
    g_autoptr(GString) missing = g_string_new(NULL);

    for (guint i = 0; i < man->resources->len; i++) {
        const virLockManagerResource *resource = man->resources->pdata[i];
        const virLockLease *held =
            virLockManagerFindHeld(leases, resource->lease, resource->hold);

        if (resource->hold != VIR_LOCK_HOLD_NONE &&
            (!held || held->mode < resource->driver.mode))
            g_string_append_printf(missing, "%s%s", missing->len ? ", " : "",
                                   resource->label);
    }
    if (missing->len == 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_LOST,
                "process %d of guest '%s' does not hold: %s", (int)man->pid, man->name,
                missing->str);
    return FALSE;
}

/* --- epochs ------------------------------------------------------------------------------- */

char *
virLockManagerDescribeUse(virLockManager *man, const virLockDriverResource *resource,
                          const virLockWait *wait)
{
    const virLockDriver *driver = &man->plugin->driver;
    g_autoptr(GPtrArray) uses = NULL;
    g_autoptr(GDateTime) when = NULL;
    g_autofree char *at = NULL;
    GPtrArray *raw = NULL;
    const virLockUse *use;

    if (!driver->useRead(man->plugin->data, resource, 0, &raw, wait, NULL))
        return g_strdup("somebody who is not known");
    uses =
        virLockManagerAdoptArray(raw, sizeof(virLockUse), (GDestroyNotify)virLockUseFree);
    if (uses->len == 0)
        return g_strdup("nobody: it has no use record");
    use = uses->pdata[0];
    if (!use->guestName)
        return g_strdup("somebody who is not known");
    when = g_date_time_new_from_unix_local(use->timeUsec / G_USEC_PER_SEC);
    at = when ? g_date_time_format(when, "%F %T") : g_strdup("an unknown time");
    return g_strdup_printf("guest '%s' on host '%s' at %s", use->guestName,
                           use->hostName ? use->hostName : "?", at);
}

/* STALE unless each exclusive lease has the epoch that SetEpoch gave for it. */
static gboolean
virLockManagerCompareEpochs(virLockManager *man, GPtrArray *selected,
                            const virLockWait *wait, GError **error)
{
    for (guint i = 0; i < selected->len; i++) {
        const virLockDriverResource *resource = selected->pdata[i];
        const guint64 *wanted = g_hash_table_lookup(man->epochs, resource->name);
        g_autofree char *who = NULL;

        if (!wanted || resource->mode != VIR_LOCK_MODE_EXCLUSIVE ||
            *wanted == resource->epoch)
            continue;
        who = virLockManagerDescribeUse(man, resource, wait);
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STALE,
                    "%s was used since by %s (epoch %" G_GUINT64_FORMAT
                    ", expected %" G_GUINT64_FORMAT ")",
                    resource->label, who, resource->epoch, *wanted);
        return FALSE;
    }
    return TRUE;
}

/* An epoch that is compared with nothing would be a check that can not fire. */
static gboolean
virLockManagerCheckEpochNames(virLockManager *man, GError **error)
{
    GHashTableIter iter;
    gpointer lease;

    if (!virLockManagerPluginRequire(man->plugin, VIR_LOCK_CAP_USE_RECORDS,
                                     "AcquireObject with CHECK_EPOCH", error))
        return FALSE;
    g_hash_table_iter_init(&iter, man->epochs);
    while (g_hash_table_iter_next(&iter, &lease, NULL)) {
        virLockManagerResource *resource = virLockManagerFindLease(man, lease);

        if (!resource || resource->driver.mode != VIR_LOCK_MODE_EXCLUSIVE) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                        "an epoch was given for lease %s, which guest '%s' does not use "
                        "exclusively",
                        (const char *)lease, man->name);
            return FALSE;
        }
    }
    return TRUE;
}

/* --- all of the object -------------------------------------------------------------------- */

/* Gives back a set that was just taken. What can not be given back is told, not hidden. */
static void
virLockManagerUndoAcquire(virLockManager *man, GPtrArray *selected, GError **error)
{
    g_autoptr(GError) undo = NULL;
    virLockWait wait;

    virLockManagerUndoWait(&wait);
    if (man->plugin->driver.release(man->object,
                                    (virLockDriverResource **)selected->pdata,
                                    selected->len, &wait, &undo))
        return;
    g_prefix_error(error,
                   "leases of guest '%s' could not be given back (%s) after: ", man->name,
                   undo->message);
    if (error && *error)
        (*error)->code = VIR_LOCK_ERROR_INDETERMINATE;
}

static gboolean
virLockManagerTakeAll(virLockManager *man, guint flags, const virLockWait *wait,
                      GError **error)
{
    gboolean check = (flags & VIR_LOCK_MANAGER_ACQUIRE_CHECK_EPOCH) != 0;
    g_autoptr(GPtrArray) all = virLockManagerSelect(man, NULL);

    if (all->len == 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "'%s' has neither a run lease nor resources: there is nothing to hold",
                    man->name);
        return FALSE;
    }
    if (check && !virLockManagerCheckEpochNames(man, error))
        return FALSE;
    if (!man->plugin->driver.acquire(man->object, (virLockDriverResource **)all->pdata,
                                     all->len, 0, wait, error))
        return FALSE;
    if (check && !virLockManagerCompareEpochs(man, all, wait, error)) {
        virLockManagerUndoAcquire(man, all, error);
        return FALSE;
    }
    virLockManagerMark(man, all, VIR_LOCK_HOLD_LEASE);
    return TRUE;
}

/* The epoch of a lease that the child has had all the time; @advanced: the guest's own. */
static gboolean
virLockManagerReadEpoch(virLockManager *man, virLockManagerResource *resource,
                        const virLockWait *wait, GError **error)
{
    const virLockDriver *driver = &man->plugin->driver;
    g_autoptr(GPtrArray) uses = NULL;
    GPtrArray *raw = NULL;

    if (!(driver->capabilities & VIR_LOCK_CAP_USE_RECORDS))
        return TRUE;
    if (!driver->useRead(man->plugin->data, &resource->driver, 0, &raw, wait, error))
        return FALSE;
    uses =
        virLockManagerAdoptArray(raw, sizeof(virLockUse), (GDestroyNotify)virLockUseFree);
    if (uses->len > 0) {
        const virLockUse *use = uses->pdata[0];

        g_mutex_lock(&man->lock);
        resource->driver.epoch = use->epoch;
        g_mutex_unlock(&man->lock);
        resource->advanced = g_strcmp0(use->guestUuid, man->uuid) == 0;
    }
    return TRUE;
}

/* NEW_ATTACH: the child holds its leases since before this object existed. Who holds a lease and
 * its bridge, too, died between taking the one and freeing the other: that is finished by Settle. */
static gboolean
virLockManagerAttach(virLockManagerCall *call, GError **error)
{
    virLockManager *man = call->man;
    g_autoptr(GPtrArray) leases = NULL;
    gboolean bridges = FALSE;

    if (!virLockManagerInquireDriver(man, &leases, &call->wait, error))
        return FALSE;
    for (guint i = 0; i < man->resources->len; i++) {
        virLockManagerResource *resource = man->resources->pdata[i];
        gboolean bridge =
            virLockManagerFindHeld(leases, resource->lease, VIR_LOCK_HOLD_BRIDGE) != NULL;

        g_mutex_lock(&man->lock);
        resource->hold = bridge ? VIR_LOCK_HOLD_BRIDGE : VIR_LOCK_HOLD_LEASE;
        g_mutex_unlock(&man->lock);
        bridges = bridges || bridge;
    }
    if (!virLockManagerVerifyHeld(man, leases, error))
        return FALSE;
    for (guint i = 0; i < man->resources->len; i++)
        if (virLockManagerIsExclusive(man->resources->pdata[i]) &&
            !virLockManagerReadEpoch(man, man->resources->pdata[i], &call->wait, error))
            return FALSE;
    if (bridges && !(man->flags & VIR_LOCK_MANAGER_NEW_MIGRATE))
        call->next = VIR_LOCK_STATE_UNSETTLED;
    return TRUE;
}

static virLockManagerCallKind
virLockManagerAcquireKind(virLockManager *man)
{
    if (man->flags & VIR_LOCK_MANAGER_NEW_MIGRATE)
        return VIR_LOCK_CALL_RESERVE_OBJECT;
    return man->supervised ? VIR_LOCK_CALL_ACQUIRE_SUPERVISED
                           : VIR_LOCK_CALL_ACQUIRE_OBJECT;
}

static gboolean
virLockManagerAcquireByKind(virLockManagerCall *call, guint flags, GError **error)
{
    virLockManager *man = call->man;

    if (flags & ~VIR_LOCK_MANAGER_ACQUIRE_CHECK_EPOCH) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "AcquireObject: flags %#x are not known", flags);
        return FALSE;
    }
    if (call->kind == VIR_LOCK_CALL_ACQUIRE_SUPERVISED)
        return virLockManagerAwaitSupervised(man, &call->wait, error) &&
               virLockManagerAttach(call, error);
    if (man->flags & VIR_LOCK_MANAGER_NEW_ATTACH)
        return virLockManagerAttach(call, error);
    if (call->kind == VIR_LOCK_CALL_RESERVE_OBJECT)
        return virLockManagerReserve(man, &call->wait, error);
    return virLockManagerTakeAll(man, flags, &call->wait, error);
}

gboolean
virLockManagerAcquireObject(virLockManager *man, guint flags, const virLockWait *wait,
                            GError **error)
{
    virLockManagerCall call;

    if (!virLockManagerCallBegin(&call, man, virLockManagerAcquireKind(man), wait, error))
        return FALSE;
    return virLockManagerCallEnd(&call, virLockManagerAcquireByKind(&call, flags, error));
}

/* --- one resource ------------------------------------------------------------------------- */

static gboolean
virLockManagerTakeOne(virLockManager *man, virLockManagerResource *resource,
                      const virLockWait *wait, GError **error)
{
    g_autoptr(GPtrArray) one = virLockManagerSelectOne(resource);

    if (!man->plugin->driver.acquire(man->object, (virLockDriverResource **)one->pdata,
                                     one->len, 0, wait, error))
        return FALSE;
    virLockManagerMark(man, one, VIR_LOCK_HOLD_LEASE);
    return TRUE;
}

/* The run lease stays on the list when it is given up, so taking it again adds nothing. */
static gboolean
virLockManagerTakeRunAgain(virLockManager *man, const virLockWait *wait, GError **error)
{
    virLockManagerResource *run = virLockManagerRunResource(man);

    if (!virLockManagerRequireRun(man, "AcquireResource of the run lease", error))
        return FALSE;
    if (run->hold == VIR_LOCK_HOLD_NONE)
        return virLockManagerTakeOne(man, run, wait, error);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE, "%s is held already",
                run->label);
    return FALSE;
}

gboolean
virLockManagerAcquireResource(virLockManager *man, virLockResourceType type,
                              const char *name, const virLockManagerParam *params,
                              guint flags, const virLockWait *wait, GError **error)
{
    virLockManagerResource *added = NULL;
    virLockManagerCall call;
    gboolean ok;

    if (!virLockManagerCallBegin(&call, man, VIR_LOCK_CALL_ACQUIRE_RESOURCE, wait, error))
        return FALSE;
    if (type == VIR_LOCK_RESOURCE_RUN)
        return virLockManagerCallEnd(&call,
                                     virLockManagerTakeRunAgain(man, &call.wait, error));
    ok = virLockManagerPluginRequire(man->plugin, VIR_LOCK_CAP_HOTPLUG, "AcquireResource",
                                     error) &&
         virLockManagerAddResource(man, type, name, params, flags, &added, error);
    /* nothing added: a lease that is held already serves this one too */
    if (ok && added && !virLockManagerTakeOne(man, added, &call.wait, error)) {
        virLockManagerRemoveResource(man, added);
        ok = FALSE;
    }
    return virLockManagerCallEnd(&call, ok);
}

static gboolean
virLockManagerGiveUp(virLockManager *man, virLockManagerResource *resource,
                     const char *name, const virLockWait *wait, GError **error)
{
    g_autoptr(GPtrArray) one = virLockManagerSelectOne(resource);
    guint user = 0;

    if (resource->users->len > 1) {
        /* others still read through this lease */
        (void)g_ptr_array_find_with_equal_func(resource->users, name, g_str_equal, &user);
        g_mutex_lock(&man->lock);
        g_ptr_array_remove_index(resource->users, user);
        resource->driver.path = resource->users->pdata[0];
        g_mutex_unlock(&man->lock);
        return TRUE;
    }
    if (!man->plugin->driver.release(man->object, (virLockDriverResource **)one->pdata,
                                     one->len, wait, error))
        return FALSE;
    if (resource != virLockManagerRunResource(man)) {
        virLockManagerRemoveResource(man, resource);
        return TRUE;
    }
    virLockManagerMark(man, one, VIR_LOCK_HOLD_NONE);
    resource->advanced = FALSE;
    return TRUE;
}

gboolean
virLockManagerReleaseResource(virLockManager *man, virLockResourceType type,
                              const char *name, const virLockWait *wait, GError **error)
{
    virLockManagerResource *resource;
    virLockManagerCall call;

    if (!virLockManagerCallBegin(&call, man, VIR_LOCK_CALL_RELEASE_RESOURCE, wait, error))
        return FALSE;
    return virLockManagerCallEnd(
        &call, virLockManagerPluginRequire(man->plugin, VIR_LOCK_CAP_HOTPLUG,
                                           "ReleaseResource", error) &&
                   (resource = virLockManagerFindResource(man, type, name, error)) &&
                   virLockManagerGiveUp(man, resource, name, &call.wait, error));
}

static gboolean
virLockManagerConvertOne(virLockManager *man, virLockManagerResource *resource,
                         virLockMode mode, const virLockWait *wait, GError **error)
{
    g_autoptr(GPtrArray) one = virLockManagerSelectOne(resource);
    virLockDriverResource *copy = one->pdata[0];

    if (mode != VIR_LOCK_MODE_SHARED && mode != VIR_LOCK_MODE_EXCLUSIVE) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "ConvertResource: mode %u is not known", (guint)mode);
        return FALSE;
    }
    if (resource->driver.mode == mode)
        return TRUE;
    if (resource->users->len > 1) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY,
                    "%s cannot become exclusive: %u images of guest '%s' use it",
                    resource->label, resource->users->len, man->name);
        return FALSE;
    }
    if (!man->plugin->driver.convert(man->object, copy, mode, wait, error))
        return FALSE;
    copy->mode = mode;
    virLockManagerMark(man, one, VIR_LOCK_HOLD_LEASE);
    resource->advanced = FALSE;
    resource->flags =
        mode == VIR_LOCK_MODE_SHARED ? VIR_LOCK_MANAGER_RESOURCE_READONLY : 0;
    return TRUE;
}

gboolean
virLockManagerConvertResource(virLockManager *man, virLockResourceType type,
                              const char *name, virLockMode mode, const virLockWait *wait,
                              GError **error)
{
    virLockManagerResource *resource;
    virLockManagerCall call;

    if (!virLockManagerCallBegin(&call, man, VIR_LOCK_CALL_CONVERT_RESOURCE, wait, error))
        return FALSE;
    return virLockManagerCallEnd(
        &call, virLockManagerPluginRequire(man->plugin, VIR_LOCK_CAP_CONVERT,
                                           "ConvertResource", error) &&
                   (resource = virLockManagerFindResource(man, type, name, error)) &&
                   virLockManagerConvertOne(man, resource, mode, &call.wait, error));
}

/* --- use records -------------------------------------------------------------------------- */

static gboolean
virLockManagerNeedsAdvance(const virLockManagerResource *resource)
{
    return resource->hold == VIR_LOCK_HOLD_LEASE && !resource->advanced &&
           virLockManagerIsExclusive(resource);
}

static gboolean
virLockManagerAdvance(virLockManager *man, const virLockWait *wait, GError **error)
{
    g_autoptr(GPtrArray) due = virLockManagerSelect(man, virLockManagerNeedsAdvance);

    if (!(man->plugin->driver.capabilities & VIR_LOCK_CAP_USE_RECORDS) || due->len == 0)
        return TRUE;
    if (!man->plugin->driver.useAdvance(man->object, (virLockDriverResource **)due->pdata,
                                        due->len, wait, error))
        return FALSE;
    virLockManagerMark(man, due, VIR_LOCK_HOLD_LEASE);
    for (guint i = 0; i < due->len; i++) {
        const virLockDriverResource *copy = due->pdata[i];

        virLockManagerFindLease(man, copy->name)->advanced = TRUE;
    }
    return TRUE;
}

gboolean
virLockManagerAdvanceUse(virLockManager *man, const virLockWait *wait, GError **error)
{
    virLockManagerCall call;

    if (!virLockManagerCallBegin(&call, man, VIR_LOCK_CALL_ADVANCE_USE, wait, error))
        return FALSE;
    return virLockManagerCallEnd(&call, virLockManagerAdvance(man, &call.wait, error));
}

gboolean
virLockManagerAdvanceRun(virLockManager *man, const virLockWait *wait, GError **error)
{
    virLockManagerResource *run = NULL;
    virLockManagerCall call;
    gboolean ok;

    if (!virLockManagerCallBegin(&call, man, VIR_LOCK_CALL_ADVANCE_USE, wait, error))
        return FALSE;
    ok = virLockManagerRequireRun(man, "AdvanceRun", error);
    if (ok) {
        run = virLockManagerRunResource(man);
        run->advanced = FALSE;
        ok = virLockManagerAdvance(man, &call.wait, error);
    }
    return virLockManagerCallEnd(&call, ok);
}

/* --- inquire ------------------------------------------------------------------------------ */

/* The backend knows names; what they stand for is known here. */
static void
virLockManagerNameLeases(virLockManager *man, GPtrArray *leases)
{
    for (guint i = 0; i < leases->len; i++) {
        virLockLease *lease = leases->pdata[i];
        virLockManagerResource *resource =
            lease->name ? virLockManagerFindLease(man, lease->name) : NULL;

        if (!resource)
            continue;
        lease->type = resource->driver.type;
        lease->epoch = resource->driver.epoch;
        if (!lease->path)
            lease->path = g_strdup(resource->users->pdata[0]);
    }
}

GPtrArray *
virLockManagerInquire(virLockManager *man, const virLockWait *wait, GError **error)
{
    g_autoptr(GPtrArray) leases = NULL;
    virLockManagerCall call;
    gboolean ok;

    if (!virLockManagerCallBegin(&call, man, VIR_LOCK_CALL_INQUIRE, wait, error))
        return NULL;
    ok = virLockManagerInquireDriver(man, &leases, &call.wait, error);
    if (ok)
        virLockManagerNameLeases(man, leases);
    return virLockManagerCallEnd(&call, ok) ? g_steal_pointer(&leases) : NULL;
}
