/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * minimal.c: the smallest plugin there can be, and what can be wrong with one.
 *
 * Built with nothing defined against tests/abi/v1, the frozen headers of the first release: as
 * long as this loads and works, plugins of that release do. The other builds have one defect
 * each, named by the macro.
 */
#include <leasehold/lock_driver.h>

#ifndef PLUGIN_NAME
#define PLUGIN_NAME "abi-v1"
#endif

static gboolean
minimalInit(const virLockDriverConfig *config, gpointer *driverData, GError **error)
{
    *driverData = g_strdup(config->hostName);
    return TRUE;
}

static void
minimalDeinit(gpointer driverData)
{
    g_free(driverData);
}

static gboolean
minimalObjectNew(gpointer driverData, const virLockDriverObject *object, guint flags,
                 gpointer *objectData, GError **error)
{
    *objectData = g_ptr_array_new_with_free_func((GDestroyNotify)g_free);
    return TRUE;
}

static void
minimalObjectFree(gpointer objectData)
{
    g_ptr_array_unref(objectData);
}

#ifndef WITHOUT_ACQUIRE
static gboolean
minimalAcquire(gpointer objectData, virLockDriverResource *const *resources, gsize n,
               guint flags, const virLockWait *wait, GError **error)
{
    for (gsize i = 0; i < n; i++)
        g_ptr_array_add(objectData, g_strdup(resources[i]->name));
    return TRUE;
}
#endif

static gboolean
minimalRelease(gpointer objectData, virLockDriverResource *const *resources, gsize n,
               const virLockWait *wait, GError **error)
{
    for (gsize i = 0; i < n; i++) {
        guint at;

        if (g_ptr_array_find_with_equal_func(objectData, resources[i]->name, g_str_equal,
                                             &at))
            g_ptr_array_remove_index(objectData, at);
    }
    return TRUE;
}

static gboolean
minimalInquire(gpointer objectData, GPtrArray **leases, const virLockWait *wait,
               GError **error)
{
    GPtrArray *held = objectData;

    *leases = g_ptr_array_new();
    for (guint i = 0; i < held->len; i++) {
        virLockLease *lease = g_new0(virLockLease, 1);

        lease->structSize = sizeof(*lease);
        lease->name = g_strdup(held->pdata[i]);
        lease->hold = VIR_LOCK_HOLD_LEASE;
        lease->mode = VIR_LOCK_MODE_EXCLUSIVE;
        g_ptr_array_add(*leases, lease);
    }
    return TRUE;
}

static const virLockDriverKey minimalKeys[] = {
    {"colour", "blue", "a key with a default"},
    {NULL, NULL, NULL},
};

static virLockDriver minimalDriver = {
    .threadModel = VIR_LOCK_THREAD_SERIALIZE_ALL,
#ifdef WITH_PROMISE
    .capabilities = VIR_LOCK_CAP_QUERY_OWNER,
#else
    .capabilities = VIR_LOCK_CAP_HOTPLUG,
#endif
    .name = PLUGIN_NAME,
    .version = "1",
    .summary = "for tests: keeps a list in memory",
    .keys = minimalKeys,
    .init = minimalInit,
    .deinit = minimalDeinit,
    .objectNew = minimalObjectNew,
    .objectFree = minimalObjectFree,
#ifndef WITHOUT_ACQUIRE
    .acquire = minimalAcquire,
#endif
    .release = minimalRelease,
    .inquire = minimalInquire,
};

#if defined(WITHOUT_SYMBOL)
G_MODULE_EXPORT const void *somethingElse(void);
const void *
somethingElse(void)
{
    return &minimalDriver;
}
#elif defined(WITH_OTHER_ABI)
G_MODULE_EXPORT const virLockDriver *virLockDriverGet(void);
const virLockDriver *
virLockDriverGet(void)
{
    minimalDriver.structSize = sizeof(minimalDriver);
    minimalDriver.abiVersion = VIR_LOCK_DRIVER_ABI_VERSION + 1;
    /* whoever reads more than the head of another ABI deserves this */
    minimalDriver.name = (const char *)1;
    return &minimalDriver;
}
#else
VIR_LOCK_DRIVER_REGISTER(minimalDriver)
#endif
