/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * query.c: calls that need no object: owners, use records, the store and its hosts.
 *
 * Each asks for the capability first, keeps the plugin's thread model and makes what comes
 * back the caller's own.
 */
#include "lock_manager/manager.h"

#include <string.h>

/* Resolves the bounds and enters the plugin. */
static gboolean
virLockManagerQueryBegin(virLockManagerPlugin *plugin, guint64 capability,
                         const char *what, const virLockWait *wait, virLockWait *bounds,
                         GError **error)
{
    virLockWaitResolve(wait, bounds);
    return virLockManagerPluginRequire(plugin, capability, what, error) &&
           virLockManagerPluginEnter(plugin, what, bounds, error);
}

/* --- owners and use records --------------------------------------------------------------- */

static virLockDriverResource
virLockManagerNamedResource(virLockResourceType type, const char *lease, const char *path,
                            const char *label)
{
    return (virLockDriverResource){
        .structSize = sizeof(virLockDriverResource),
        .name = lease,
        .type = type,
        .mode = VIR_LOCK_MODE_NONE,
        .path = path,
        .label = label,
    };
}

static GPtrArray *
virLockManagerQueryResource(virLockManagerPlugin *plugin,
                            const virLockDriverResource *resource,
                            const virLockWait *wait, GError **error)
{
    GPtrArray *raw = NULL;
    virLockWait bounds;
    gboolean ok;

    if (!virLockManagerQueryBegin(plugin, VIR_LOCK_CAP_QUERY_OWNER, "QueryOwner", wait,
                                  &bounds, error))
        return NULL;
    ok = plugin->driver.queryOwner(plugin->data, resource, &raw, &bounds, error);
    virLockManagerPluginLeave(plugin);
    if (!ok)
        return NULL;
    return virLockManagerAdoptArray(raw, sizeof(virLockOwner),
                                    (GDestroyNotify)virLockOwnerFree);
}

GPtrArray *
virLockManagerQueryOwner(virLockManagerPlugin *plugin, virLockResourceType type,
                         const char *name, const virLockWait *wait, GError **error)
{
    g_autofree char *lease =
        virLockManagerResourceName(plugin->config, type, name, NULL, error);
    virLockDriverResource resource = virLockManagerNamedResource(type, lease, name, name);

    return lease ? virLockManagerQueryResource(plugin, &resource, wait, error) : NULL;
}

/* Lease names come from people here. */
static gboolean
virLockManagerCheckLeaseName(const char *lease, GError **error)
{
    gsize length = strspn(lease, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "._-");

    if (length > 0 && length <= VIR_LOCK_NAME_MAX && lease[length] == '\0' &&
        *lease != '.')
        return TRUE;
    g_set_error(
        error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
        "'%s' cannot be the name of a lease (1 to %d characters of A-Z a-z 0-9 . _ -)",
        lease, VIR_LOCK_NAME_MAX);
    return FALSE;
}

GPtrArray *
virLockManagerQueryOwnerByLease(virLockManagerPlugin *plugin, const char *lease,
                                const virLockWait *wait, GError **error)
{
    virLockDriverResource resource =
        virLockManagerNamedResource(VIR_LOCK_RESOURCE_LEASE, lease, NULL, lease);

    if (!virLockManagerCheckLeaseName(lease, error))
        return NULL;
    return virLockManagerQueryResource(plugin, &resource, wait, error);
}

GPtrArray *
virLockManagerReadUse(virLockManagerPlugin *plugin, const char *lease, guint maxHistory,
                      const virLockWait *wait, GError **error)
{
    virLockDriverResource resource =
        virLockManagerNamedResource(VIR_LOCK_RESOURCE_LEASE, lease, NULL, lease);
    GPtrArray *raw = NULL;
    virLockWait bounds;
    gboolean ok;

    if (!virLockManagerCheckLeaseName(lease, error) ||
        !virLockManagerQueryBegin(plugin, VIR_LOCK_CAP_USE_RECORDS, "ReadUse", wait,
                                  &bounds, error))
        return NULL;
    ok =
        plugin->driver.useRead(plugin->data, &resource, maxHistory, &raw, &bounds, error);
    virLockManagerPluginLeave(plugin);
    if (!ok)
        return NULL;
    return virLockManagerAdoptArray(raw, sizeof(virLockUse),
                                    (GDestroyNotify)virLockUseFree);
}

/* --- store and hosts ---------------------------------------------------------------------- */

gboolean
virLockManagerStoreCreate(virLockManagerPlugin *plugin,
                          const virLockStoreOptions *options, const virLockWait *wait,
                          GError **error)
{
    virLockStoreOptions complete = {0};
    virLockWait bounds;
    gboolean ok;

    memcpy(&complete, options, MIN(options->structSize, sizeof(complete)));
    complete.structSize = sizeof(complete);
    if (!virLockManagerQueryBegin(plugin, VIR_LOCK_CAP_STORE, "StoreCreate", wait,
                                  &bounds, error))
        return FALSE;
    ok = plugin->driver.storeCreate(plugin->data, &complete, &bounds, error);
    virLockManagerPluginLeave(plugin);
    return ok;
}

virLockStoreInfo *
virLockManagerStoreGetInfo(virLockManagerPlugin *plugin, const virLockWait *wait,
                           GError **error)
{
    virLockStoreInfo *info = NULL;
    virLockWait bounds;
    gboolean ok;

    if (!virLockManagerQueryBegin(plugin, VIR_LOCK_CAP_STORE, "StoreGetInfo", wait,
                                  &bounds, error))
        return NULL;
    ok = plugin->driver.storeInfo(plugin->data, &info, &bounds, error);
    virLockManagerPluginLeave(plugin);
    return ok ? virLockManagerAdoptStruct(info, sizeof(*info)) : NULL;
}

/* The callbacks of this shape: the plugin's data in, an array out. */
typedef gboolean (*virLockManagerListFunc)(gpointer driverData, GPtrArray **array,
                                           const virLockWait *wait, GError **error);

typedef struct _virLockManagerList {
    const char *what;
    guint64 capability;
    virLockManagerListFunc func;
    gsize elementSize;
    GDestroyNotify freeFunc;
} virLockManagerList;

static GPtrArray *
virLockManagerQueryList(virLockManagerPlugin *plugin, const virLockManagerList *list,
                        const virLockWait *wait, GError **error)
{
    GPtrArray *raw = NULL;
    virLockWait bounds;
    gboolean ok;

    if (!virLockManagerQueryBegin(plugin, list->capability, list->what, wait, &bounds,
                                  error))
        return NULL;
    ok = list->func(plugin->data, &raw, &bounds, error);
    virLockManagerPluginLeave(plugin);
    return ok ? virLockManagerAdoptArray(raw, list->elementSize, list->freeFunc) : NULL;
}

GPtrArray *
virLockManagerStoreList(virLockManagerPlugin *plugin, const virLockWait *wait,
                        GError **error)
{
    const virLockManagerList list = {"StoreList", VIR_LOCK_CAP_STORE,
                                     plugin->driver.storeList, sizeof(virLockOwner),
                                     (GDestroyNotify)virLockOwnerFree};

    return virLockManagerQueryList(plugin, &list, wait, error);
}

GPtrArray *
virLockManagerStoreCheck(virLockManagerPlugin *plugin, const virLockWait *wait,
                         GError **error)
{
    const virLockManagerList list = {"StoreCheck", VIR_LOCK_CAP_STORE,
                                     plugin->driver.storeCheck, sizeof(virLockFinding),
                                     (GDestroyNotify)virLockFindingFree};

    return virLockManagerQueryList(plugin, &list, wait, error);
}

GPtrArray *
virLockManagerStoreReclaim(virLockManagerPlugin *plugin,
                           const virLockReclaimOptions *options, const virLockWait *wait,
                           GError **error)
{
    virLockReclaimOptions complete = {0};
    GPtrArray *raw = NULL;
    virLockWait bounds;
    gboolean ok;

    memcpy(&complete, options, MIN(options->structSize, sizeof(complete)));
    complete.structSize = sizeof(complete);
    if (!virLockManagerQueryBegin(plugin, VIR_LOCK_CAP_RECLAIM, "StoreReclaim", wait,
                                  &bounds, error))
        return NULL;
    ok = plugin->driver.storeReclaim(plugin->data, &complete, &raw, &bounds, error);
    virLockManagerPluginLeave(plugin);
    return ok ? virLockManagerAdoptArray(raw, sizeof(virLockUse),
                                         (GDestroyNotify)virLockUseFree)
              : NULL;
}

GPtrArray *
virLockManagerHostList(virLockManagerPlugin *plugin, const virLockWait *wait,
                       GError **error)
{
    const virLockManagerList list = {"HostList", VIR_LOCK_CAP_HOSTS,
                                     plugin->driver.hostList, sizeof(virLockHost),
                                     (GDestroyNotify)virLockHostFree};

    return virLockManagerQueryList(plugin, &list, wait, error);
}

GPtrArray *
virLockManagerDiagnose(virLockManagerPlugin *plugin, const virLockWait *wait,
                       GError **error)
{
    const virLockManagerList list = {"Diagnose", 0, plugin->driver.diagnose,
                                     sizeof(virLockFinding),
                                     (GDestroyNotify)virLockFindingFree};

    /* a plugin that has nothing to say has nothing to complain of */
    if (!plugin->driver.diagnose)
        return g_ptr_array_new_with_free_func((GDestroyNotify)virLockFindingFree);
    return virLockManagerQueryList(plugin, &list, wait, error);
}

static gboolean
virLockManagerHostCall(virLockManagerPlugin *plugin, const char *what,
                       gboolean (*func)(gpointer, const virLockWait *, GError **),
                       const virLockWait *wait, GError **error)
{
    virLockWait bounds;
    gboolean ok;

    if (!virLockManagerQueryBegin(plugin, VIR_LOCK_CAP_HOSTS, what, wait, &bounds, error))
        return FALSE;
    ok = func(plugin->data, &bounds, error);
    virLockManagerPluginLeave(plugin);
    return ok;
}

gboolean
virLockManagerHostJoin(virLockManagerPlugin *plugin, const virLockWait *wait,
                       GError **error)
{
    return virLockManagerHostCall(plugin, "HostJoin", plugin->driver.hostJoin, wait,
                                  error);
}

gboolean
virLockManagerHostLeave(virLockManagerPlugin *plugin, const virLockWait *wait,
                        GError **error)
{
    return virLockManagerHostCall(plugin, "HostLeave", plugin->driver.hostLeave, wait,
                                  error);
}
