/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * driver.c: is this struct a driver that we can call?
 *
 * Order matters: structSize and abiVersion stand at the same place in every ABI and are all
 * that is read of a struct of another one. Then min (sizes) is copied into a zeroed struct,
 * so that callbacks that the plugin does not know are NULL. Required callbacks and those that
 * a capability promises are missed by name here, not by a crash in the middle of a start.
 */
#include "lock_manager/plugin.h"

#include <string.h>

typedef struct _virLockDriverCallback {
    const char *name;
    gsize offset;
} virLockDriverCallback;

#define CALLBACK(member)                                                                 \
    {                                                                                    \
#member, G_STRUCT_OFFSET(virLockDriver, member)                                  \
    }

static const virLockDriverCallback virLockDriverRequired[] = {
    CALLBACK(init),    CALLBACK(deinit),  CALLBACK(objectNew), CALLBACK(objectFree),
    CALLBACK(acquire), CALLBACK(release), CALLBACK(inquire),
};

/* What each capability promises: up to four callbacks and other capabilities. */
static const struct {
    guint64 capability;
    const char *name;
    guint64 needs;
    virLockDriverCallback callbacks[4];
} virLockDriverPromises[] = {
    {VIR_LOCK_CAP_SHARED, "shared", 0, {{NULL, 0}}},
    {VIR_LOCK_CAP_HOTPLUG, "hotplug", 0, {{NULL, 0}}},
    {VIR_LOCK_CAP_CONVERT, "convert", VIR_LOCK_CAP_SHARED, {CALLBACK(convert)}},
    {VIR_LOCK_CAP_USE_RECORDS,
     "use-records",
     0,
     {CALLBACK(useRead), CALLBACK(useAdvance)}},
    {VIR_LOCK_CAP_MIGRATE,
     "migrate",
     VIR_LOCK_CAP_USE_RECORDS | VIR_LOCK_CAP_QUERY_OWNER,
     {CALLBACK(reserve), CALLBACK(unreserve), CALLBACK(settle)}},
    {VIR_LOCK_CAP_QUERY_OWNER, "query-owner", 0, {CALLBACK(queryOwner)}},
    {VIR_LOCK_CAP_CHILD_REGISTER,
     "child-register",
     0,
     {CALLBACK(prepareChild), CALLBACK(registerChild), CALLBACK(setPid)}},
    {VIR_LOCK_CAP_LOSS_EVENTS,
     "loss-events",
     0,
     {CALLBACK(watchDaemon), CALLBACK(renewal)}},
    {VIR_LOCK_CAP_ATTACH, "attach", 0, {{NULL, 0}}},
    {VIR_LOCK_CAP_MULTI_HOST, "multi-host", 0, {{NULL, 0}}},
    {VIR_LOCK_CAP_STORE,
     "store",
     0,
     {CALLBACK(storeCreate), CALLBACK(storeInfo), CALLBACK(storeList),
      CALLBACK(storeCheck)}},
    {VIR_LOCK_CAP_HOSTS,
     "hosts",
     0,
     {CALLBACK(hostJoin), CALLBACK(hostLeave), CALLBACK(hostList)}},
    {VIR_LOCK_CAP_FENCED_CACHE, "fenced-cache", 0, {{NULL, 0}}},
    {VIR_LOCK_CAP_RECLAIM, "reclaim", VIR_LOCK_CAP_STORE, {CALLBACK(storeReclaim)}},
};

const char *
virLockManagerCapabilityName(guint64 bit)
{
    for (gsize i = 0; i < G_N_ELEMENTS(virLockDriverPromises); i++)
        if (virLockDriverPromises[i].capability == bit)
            return virLockDriverPromises[i].name;
    return NULL;
}

static char *
virLockManagerCapabilityNames(guint64 capabilities)
{
    g_autoptr(GString) names = g_string_new(NULL);

    for (guint bit = 0; bit < 64; bit++) {
        const char *name = virLockManagerCapabilityName(G_GUINT64_CONSTANT(1) << bit);

        if (!(capabilities & (G_GUINT64_CONSTANT(1) << bit)))
            continue;
        g_string_append(names, names->len ? ", " : "");
        if (name)
            g_string_append(names, name);
        else
            g_string_append_printf(names, "bit %u", bit);
    }
    return g_string_free(g_steal_pointer(&names), FALSE);
}

gboolean
virLockManagerPluginRequire(virLockManagerPlugin *plugin, guint64 capabilities,
                            const char *operation, GError **error)
{
    guint64 missing = capabilities & ~plugin->driver.capabilities;
    g_autofree char *names = NULL;

    if (missing == 0)
        return TRUE;
    names = virLockManagerCapabilityNames(missing);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                "%s: the lock manager plugin '%s' does not promise: %s", operation,
                plugin->driver.name, names);
    return FALSE;
}

/* --- checks ------------------------------------------------------------------------------- */

static gboolean
virLockDriverHas(const virLockDriver *driver, const virLockDriverCallback *callback)
{
    return G_STRUCT_MEMBER(gpointer, driver, callback->offset) != NULL;
}

G_GNUC_PRINTF(3, 4)
static gboolean
virLockDriverBad(GError **error, const char *path, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "the lock manager plugin %s cannot be used: %s", path, text);
    return FALSE;
}

static gboolean
virLockDriverCheckRequired(const virLockDriver *driver, const char *path, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(virLockDriverRequired); i++)
        if (!virLockDriverHas(driver, &virLockDriverRequired[i]))
            return virLockDriverBad(error, path, "the required callback '%s' is missing",
                                    virLockDriverRequired[i].name);
    return TRUE;
}

static gboolean
virLockDriverCheckPromises(const virLockDriver *driver, const char *path, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(virLockDriverPromises); i++) {
        guint64 missing = virLockDriverPromises[i].needs & ~driver->capabilities;

        if (!(driver->capabilities & virLockDriverPromises[i].capability))
            continue;
        if (missing) {
            g_autofree char *names = virLockManagerCapabilityNames(missing);

            return virLockDriverBad(error, path, "it promises '%s' without '%s'",
                                    virLockDriverPromises[i].name, names);
        }
        for (gsize j = 0; j < G_N_ELEMENTS(virLockDriverPromises[i].callbacks); j++) {
            const virLockDriverCallback *callback =
                &virLockDriverPromises[i].callbacks[j];

            if (callback->name && !virLockDriverHas(driver, callback))
                return virLockDriverBad(error, path,
                                        "it promises '%s' but has no callback '%s'",
                                        virLockDriverPromises[i].name, callback->name);
        }
    }
    return TRUE;
}

static gboolean
virLockDriverCheckValues(const virLockDriver *driver, const char *path, GError **error)
{
    if (!driver->name || !*driver->name)
        return virLockDriverBad(error, path, "it has no name");
    if ((guint)driver->threadModel > VIR_LOCK_THREAD_PARALLEL)
        return virLockDriverBad(error, path, "its thread model %u is not known here",
                                (guint)driver->threadModel);
    if ((driver->capabilities & VIR_LOCK_CAP_LOSS_EVENTS) &&
        driver->threadModel == VIR_LOCK_THREAD_SERIALIZE_ALL)
        return virLockDriverBad(
            error, path, "it promises 'loss-events' but permits one call at a time only");
    return TRUE;
}

gboolean
virLockManagerDriverNegotiate(const virLockDriver *driver, const char *path,
                              virLockDriver *copy, GError **error)
{
    if (!driver)
        return virLockDriverBad(error, path, "%s returned NULL", VIR_LOCK_DRIVER_SYMBOL);
    if (driver->abiVersion != VIR_LOCK_DRIVER_ABI_VERSION)
        return virLockDriverBad(
            error, path,
            "it was built for version %u of the plugin ABI, this lock "
            "manager has version %u",
            driver->abiVersion, VIR_LOCK_DRIVER_ABI_VERSION);
    memset(copy, 0, sizeof(*copy));
    memcpy(copy, driver, MIN(driver->structSize, sizeof(*copy)));
    return virLockDriverCheckRequired(copy, path, error) &&
           virLockDriverCheckValues(copy, path, error) &&
           virLockDriverCheckPromises(copy, path, error);
}
