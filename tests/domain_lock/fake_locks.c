/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake_locks.c: the calls of the lock manager that the sequences make, with no backend.
 */
#include "tests/domain_lock/fake.h"
#include <string.h>
#include <leasehold/lock_driver.h>

struct _virLockManager {
    GPtrArray *leases;
};
static char theConfig;
static char thePlugin;

virLockConfig *
fakeConfig(void)
{
    return (virLockConfig *)(gpointer)&theConfig;
}

virLockConfig *
virLockConfigRef(virLockConfig *config)
{
    return config;
}

void
virLockConfigUnref(virLockConfig *config)
{
}

const char *
virLockConfigGet(virLockConfig *config, const char *group, const char *key)
{
    if (g_str_equal(key, "run_dir"))
        return fake->runDir;
    if (g_str_equal(key, "state_dir"))
        return fake->stateDir;
    if (g_str_equal(key, "on_lockfailure"))
        return "pause";
    return "alpha";
}

virLockManagerPlugin *
virLockManagerPluginLoad(virLockConfig *config, const char *name, GError **error)
{
    return fakeCall("plugin", error) ? (virLockManagerPlugin *)(gpointer)&thePlugin
                                     : NULL;
}

void
virLockManagerPluginUnload(virLockManagerPlugin *plugin)
{
}

const virLockManagerPluginInfo *
virLockManagerPluginGetInfo(virLockManagerPlugin *plugin)
{
    static virLockManagerPluginInfo info = {.structSize = sizeof(info), .name = "fake"};

    info.capabilities = fake->capabilities;
    return &info;
}

virLockManager *
virLockManagerNew(virLockManagerPlugin *plugin, virLockManagerObjectType type,
                  guint flags, GError **error)
{
    virLockManager *man = g_new0(virLockManager, 1);

    man->leases = g_ptr_array_new_with_free_func((GDestroyNotify)virLockLeaseFree);
    return man;
}

void
virLockManagerFree(virLockManager *man)
{
    if (!man)
        return;
    g_ptr_array_unref(man->leases);
    g_free(man);
}

gboolean
virLockManagerSetParameter(virLockManager *man, const char *key, const char *value,
                           GError **error)
{
    return TRUE;
}

void
virLockManagerSetFdPass(virLockManager *man, virLockManagerFdPassFunc func, gpointer data)
{
}

gboolean
virLockManagerRegisterResource(virLockManager *man, virLockResourceType type,
                               const char *name, const virLockManagerParam *params,
                               guint flags, GError **error)
{
    virLockLease *lease = g_new0(virLockLease, 1);

    lease->structSize = sizeof(*lease);
    lease->type = type;
    lease->name = g_strconcat("lease-of-", name, NULL);
    lease->path = g_strdup(name);
    lease->mode = flags ? VIR_LOCK_MODE_SHARED : VIR_LOCK_MODE_EXCLUSIVE;
    g_ptr_array_add(man->leases, lease);
    return fakeCall("register", error);
}

/* No sequence that is tested with fakes takes single leases. */
gboolean
virLockManagerAcquireResource(virLockManager *man, virLockResourceType type,
                              const char *name, const virLockManagerParam *params,
                              guint flags, const virLockWait *wait, GError **error)
{
    g_assert_not_reached();
}

gboolean
virLockManagerAcquireObject(virLockManager *man, guint flags, const virLockWait *wait,
                            GError **error)
{
    const virLockProgress progress = {.structSize = sizeof(progress),
                                      .fraction = fake->progress ? *fake->progress : 0};

    if (!fakeCall("acquire", error))
        return FALSE;
    if (fake->progress && wait->progress)
        wait->progress(&progress, wait->progressData);
    for (guint i = 0; i < man->leases->len; i++)
        ((virLockLease *)g_ptr_array_index(man->leases, i))->hold = VIR_LOCK_HOLD_LEASE;
    fake->held = TRUE;
    return TRUE;
}

gboolean
virLockManagerAdvanceUse(virLockManager *man, const virLockWait *wait, GError **error)
{
    return fakeCall("advance", error);
}

gboolean
virLockManagerAdvanceRun(virLockManager *man, const virLockWait *wait, GError **error)
{
    return fakeCall("advance-run", error);
}

GPtrArray *
virLockManagerGetLeases(virLockManager *man)
{
    return g_ptr_array_ref(man->leases);
}

char *
virLockManagerResourceName(virLockConfig *config, virLockResourceType type,
                           const char *name, char **why, GError **error)
{
    if (!strstr(name, "no-identity"))
        return g_strconcat("lease-of-", name, NULL);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, "no identity");
    return NULL;
}

gboolean
virLockManagerShutdown(virLockManager *man, const virLockWait *wait, GError **error)
{
    if (!fakeCall("shutdown", error))
        return FALSE;
    if (!fake->held)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY, "leases are still held");
    return FALSE;
}
