/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * resource.c: from images, keys and uuids to lease names, and the list of an object's leases.
 *
 * Lease names are the same on every host: "guest-<uuid>" for the right to run a guest,
 * "disk-<hash>" of what an image is (common/identity), "lease-<key>" for a <lease> element.
 * A key that does not fit is hashed to 41 digits; no key that fits is that long, so that the
 * two can not meet.
 */
#include "lock_manager/manager.h"

#include "common/identity.h"

#include <string.h>

#define KEY_DIGITS 41
#define KEY_MAX (KEY_DIGITS - 1)

/* --- names -------------------------------------------------------------------------------- */

static gboolean
virLockManagerIsPlain(const char *text, gsize max)
{
    return *text && strlen(text) <= max &&
           strspn(text, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "._-") == strlen(text);
}

static char *
virLockManagerRunName(const char *uuid, char **why, GError **error)
{
    g_autofree char *lower = g_ascii_strdown(uuid, -1);

    if (!g_uuid_string_is_valid(uuid)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, "'%s' is not a UUID",
                    uuid);
        return NULL;
    }
    if (why)
        *why = g_strdup_printf("the right to run the guest with UUID %s", lower);
    return g_strconcat("guest-", lower, NULL);
}

static char *
virLockManagerDiskName(virLockConfig *config, const char *path, char **why,
                       GError **error)
{
    gboolean local = g_str_equal(virLockConfigGet(config, "host", "identity"), "local");
    g_autofree char *identity = virIdentityOfPath(path, local, why, error);

    if (!identity)
        return NULL;
    return virIdentityLeaseName(identity);
}

static char *
virLockManagerKeyName(const char *key, char **why, GError **error)
{
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, key, -1);

    if (!*key) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, "a lease needs a key");
        return NULL;
    }
    if (why)
        *why = g_strdup_printf("the lease key '%s'", key);
    if (virLockManagerIsPlain(key, KEY_MAX))
        return g_strconcat("lease-", key, NULL);
    sum[KEY_DIGITS] = '\0';
    return g_strconcat("lease-", sum, NULL);
}

char *
virLockManagerResourceName(virLockConfig *config, virLockResourceType type,
                           const char *name, char **why, GError **error)
{
    if (why)
        *why = NULL;
    switch (type) {
    case VIR_LOCK_RESOURCE_RUN:
        return virLockManagerRunName(name, why, error);
    case VIR_LOCK_RESOURCE_DISK:
        return virLockManagerDiskName(config, name, why, error);
    case VIR_LOCK_RESOURCE_LEASE:
        return virLockManagerKeyName(name, why, error);
    default:
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "resource type %u of '%s' is not known", (guint)type, name);
        return NULL;
    }
}

/* --- parameters of a <lease> -------------------------------------------------------------- */

typedef struct _virLockManagerLeaseParams {
    const char *lockspace;
    const char *path;
    const char *offset;
} virLockManagerLeaseParams;

static gboolean
virLockManagerReadParams(virLockResourceType type, const char *name,
                         const virLockManagerParam *params,
                         virLockManagerLeaseParams *out, GError **error)
{
    memset(out, 0, sizeof(*out));
    for (; params && params->key; params++) {
        const char **where = NULL;

        if (type == VIR_LOCK_RESOURCE_LEASE && g_str_equal(params->key, "lockspace"))
            where = &out->lockspace;
        else if (type == VIR_LOCK_RESOURCE_LEASE && g_str_equal(params->key, "path"))
            where = &out->path;
        else if (type == VIR_LOCK_RESOURCE_LEASE && g_str_equal(params->key, "offset"))
            where = &out->offset;
        if (!where) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                        "resource '%s': unknown parameter '%s'", name, params->key);
            return FALSE;
        }
        *where = params->value;
    }
    if (out->lockspace && !virLockManagerIsPlain(out->lockspace, VIR_LOCK_NAME_MAX)) {
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
            "lease '%s': '%s' cannot be the name of a lockspace (1 to %d characters of "
            "A-Z a-z 0-9 . _ -)",
            name, out->lockspace, VIR_LOCK_NAME_MAX);
        return FALSE;
    }
    return TRUE;
}

static char *
virLockManagerLabel(virLockManager *man, virLockResourceType type, const char *name,
                    const virLockManagerLeaseParams *params)
{
    if (type == VIR_LOCK_RESOURCE_RUN)
        return g_strdup_printf("the run lease of guest '%s'", man->name);
    if (type == VIR_LOCK_RESOURCE_DISK)
        return g_strdup_printf("disk %s", name);
    if (params->path)
        return g_strdup_printf("lease '%s' (%s:%s)", name, params->path,
                               params->offset ? params->offset : "0");
    return g_strdup_printf("lease '%s'", name);
}

/* --- the list ----------------------------------------------------------------------------- */

void
virLockManagerResourceFree(virLockManagerResource *resource)
{
    g_free(resource->lease);
    g_free(resource->label);
    g_free(resource->lockspace);
    g_ptr_array_unref(resource->users);
    g_free(resource);
}

/* The run lease first, then by name: two starters that want the same leases meet at the first
 * one and not crosswise. */
static int
virLockManagerResourceCompare(gconstpointer a, gconstpointer b)
{
    const virLockDriverResource *x = &(*(virLockManagerResource *const *)a)->driver;
    const virLockDriverResource *y = &(*(virLockManagerResource *const *)b)->driver;

    if ((x->type == VIR_LOCK_RESOURCE_RUN) != (y->type == VIR_LOCK_RESOURCE_RUN))
        return x->type == VIR_LOCK_RESOURCE_RUN ? -1 : 1;
    return strcmp(x->name, y->name);
}

static virLockManagerResource *
virLockManagerResourceNew(virLockManager *man, virLockResourceType type, const char *name,
                          const virLockManagerLeaseParams *params, guint flags)
{
    const guint sharedFlags =
        VIR_LOCK_MANAGER_RESOURCE_READONLY | VIR_LOCK_MANAGER_RESOURCE_SHARED;
    virLockManagerResource *resource = g_new0(virLockManagerResource, 1);

    resource->label = virLockManagerLabel(man, type, name, params);
    resource->lockspace = g_strdup(params->lockspace);
    resource->flags = flags;
    resource->users = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(resource->users, g_strdup(name));
    resource->driver = (virLockDriverResource){
        .structSize = sizeof(resource->driver),
        .type = type,
        .mode = (flags & sharedFlags) ? VIR_LOCK_MODE_SHARED : VIR_LOCK_MODE_EXCLUSIVE,
        .path = resource->users->pdata[0],
        .label = resource->label,
        .lockspace = resource->lockspace,
    };
    return resource;
}

/* The same lease a second time: only readers can share one. */
static gboolean
virLockManagerJoinResource(virLockManager *man, virLockManagerResource *resource,
                           const char *name, guint flags, GError **error)
{
    if (resource->flags == VIR_LOCK_MANAGER_RESOURCE_READONLY &&
        flags == VIR_LOCK_MANAGER_RESOURCE_READONLY) {
        g_mutex_lock(&man->lock);
        g_ptr_array_add(resource->users, g_strdup(name));
        g_mutex_unlock(&man->lock);
        return TRUE;
    }
    g_set_error(
        error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
        "guest '%s' has the same resource twice: '%s' and '%s' are one (lease %s), and "
        "not both are read-only",
        man->name, (char *)resource->users->pdata[0], name, resource->lease);
    return FALSE;
}

static gboolean
virLockManagerCheckFlags(virLockManager *man, const char *name, guint flags,
                         GError **error)
{
    const guint known =
        VIR_LOCK_MANAGER_RESOURCE_READONLY | VIR_LOCK_MANAGER_RESOURCE_SHARED;
    g_autofree char *what = NULL;

    if (flags & ~known) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "resource '%s': flags %#x are not known", name, flags & ~known);
        return FALSE;
    }
    if (flags == 0)
        return TRUE;
    what = g_strdup_printf("guest '%s' uses '%s' read-only or shared", man->name, name);
    return virLockManagerPluginRequire(man->plugin, VIR_LOCK_CAP_SHARED, what, error);
}

gboolean
virLockManagerAddResource(virLockManager *man, virLockResourceType type, const char *name,
                          const virLockManagerParam *params, guint flags,
                          virLockManagerResource **added, GError **error)
{
    virLockManagerLeaseParams lease;
    virLockManagerResource *resource;
    g_autofree char *leaseName = NULL;

    *added = NULL;
    if (!virLockManagerCheckFlags(man, name, flags, error) ||
        !virLockManagerReadParams(type, name, params, &lease, error) ||
        !(leaseName =
              virLockManagerResourceName(man->plugin->config, type, name, NULL, error)))
        return FALSE;
    resource = virLockManagerFindLease(man, leaseName);
    if (resource)
        return virLockManagerJoinResource(man, resource, name, flags, error);

    resource = virLockManagerResourceNew(man, type, name, &lease, flags);
    resource->lease = g_steal_pointer(&leaseName);
    resource->driver.name = resource->lease;
    g_mutex_lock(&man->lock);
    g_ptr_array_add(man->resources, resource);
    g_ptr_array_sort(man->resources, virLockManagerResourceCompare);
    g_mutex_unlock(&man->lock);
    *added = resource;
    return TRUE;
}

void
virLockManagerRemoveResource(virLockManager *man, virLockManagerResource *resource)
{
    g_mutex_lock(&man->lock);
    g_ptr_array_remove(man->resources, resource);
    g_mutex_unlock(&man->lock);
}

virLockManagerResource *
virLockManagerFindLease(virLockManager *man, const char *lease)
{
    for (guint i = 0; i < man->resources->len; i++) {
        virLockManagerResource *resource = man->resources->pdata[i];

        if (g_str_equal(resource->lease, lease))
            return resource;
    }
    return NULL;
}

virLockManagerResource *
virLockManagerRunResource(virLockManager *man)
{
    return man->noRun ? NULL : man->resources->pdata[0];
}

virLockManagerResource *
virLockManagerFindResource(virLockManager *man, virLockResourceType type,
                           const char *name, GError **error)
{
    g_autofree char *lease = NULL;
    virLockManagerResource *resource;

    /* by the name that it was registered under: an image may have been renamed or removed */
    for (guint i = 0; i < man->resources->len; i++) {
        resource = man->resources->pdata[i];
        if (resource->driver.type == type &&
            g_ptr_array_find_with_equal_func(resource->users, name, g_str_equal, NULL))
            return resource;
    }
    lease = virLockManagerResourceName(man->plugin->config, type, name, NULL, NULL);
    resource = lease ? virLockManagerFindLease(man, lease) : NULL;
    if (!resource)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "guest '%s' has no resource '%s'", man->name, name);
    return resource;
}

/* --- filters ------------------------------------------------------------------------------ */

gboolean
virLockManagerIsExclusive(const virLockManagerResource *resource)
{
    return resource->driver.mode == VIR_LOCK_MODE_EXCLUSIVE;
}

gboolean
virLockManagerIsShared(const virLockManagerResource *resource)
{
    return resource->driver.mode == VIR_LOCK_MODE_SHARED;
}

gboolean
virLockManagerIsBridge(const virLockManagerResource *resource)
{
    return resource->hold == VIR_LOCK_HOLD_BRIDGE;
}

gboolean
virLockManagerIsHeld(const virLockManagerResource *resource)
{
    return resource->hold != VIR_LOCK_HOLD_NONE;
}

static virLockDriverResource *
virLockManagerCopyDriver(const virLockManagerResource *resource)
{
    return g_memdup2(&resource->driver, sizeof(resource->driver));
}

GPtrArray *
virLockManagerSelect(virLockManager *man, virLockManagerResourceFilter wanted)
{
    GPtrArray *selected = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < man->resources->len; i++) {
        virLockManagerResource *resource = man->resources->pdata[i];

        if (!wanted || wanted(resource))
            g_ptr_array_add(selected, virLockManagerCopyDriver(resource));
    }
    return selected;
}

GPtrArray *
virLockManagerSelectOne(virLockManagerResource *resource)
{
    GPtrArray *selected = g_ptr_array_new_with_free_func(g_free);

    g_ptr_array_add(selected, virLockManagerCopyDriver(resource));
    return selected;
}

void
virLockManagerMark(virLockManager *man, GPtrArray *selected, virLockHold hold)
{
    g_mutex_lock(&man->lock);
    for (guint i = 0; i < selected->len; i++) {
        const virLockDriverResource *copy = selected->pdata[i];
        virLockManagerResource *resource = virLockManagerFindLease(man, copy->name);

        resource->hold = hold;
        resource->driver.epoch = copy->epoch;
        resource->driver.mode = copy->mode;
    }
    g_mutex_unlock(&man->lock);
}

/* --- public ------------------------------------------------------------------------------- */

gboolean
virLockManagerRegisterResource(virLockManager *man, virLockResourceType type,
                               const char *name, const virLockManagerParam *params,
                               guint flags, GError **error)
{
    virLockManagerResource *added;
    virLockManagerCall call;

    if (!virLockManagerCallBegin(&call, man, VIR_LOCK_CALL_REGISTER_RESOURCE, NULL,
                                 error))
        return FALSE;
    return virLockManagerCallEnd(
        &call,
        virLockManagerEnsureRun(man, error) &&
            virLockManagerAddResource(man, type, name, params, flags, &added, error));
}

static virLockLease *
virLockManagerLeaseOf(const virLockManagerResource *resource)
{
    virLockLease *lease = g_new0(virLockLease, 1);

    lease->structSize = sizeof(*lease);
    lease->lockspace = g_strdup(resource->lockspace);
    lease->name = g_strdup(resource->lease);
    lease->type = resource->driver.type;
    lease->mode = resource->driver.mode;
    lease->hold = resource->hold;
    lease->epoch = resource->driver.epoch;
    lease->path = g_strdup(resource->users->pdata[0]);
    return lease;
}

GPtrArray *
virLockManagerGetLeases(virLockManager *man)
{
    GPtrArray *leases = g_ptr_array_new_with_free_func((GDestroyNotify)virLockLeaseFree);

    g_mutex_lock(&man->lock);
    for (guint i = 0; i < man->resources->len; i++)
        g_ptr_array_add(leases, virLockManagerLeaseOf(man->resources->pdata[i]));
    g_mutex_unlock(&man->lock);
    return leases;
}
