/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fake.c: see fake.h. */
#include "tests/lock_manager/fake.h"
#include "tests/lib/vir_test.h"

#include <string.h>
#include <unistd.h>

typedef struct _FakeObject {
    FakeStore *store;
    GPtrArray *held; /* "lease" or "+lease" for a bridge */
} FakeObject;

FakeStore *
fakeStoreNew(void)
{
    FakeStore *store = g_new0(FakeStore, 1);

    store->epochs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    store->ownerUuid = g_strdup(FAKE_UUID);
    store->daemonFd = -1;
    g_mutex_init(&store->lock);
    return store;
}

void
fakeStoreFree(FakeStore *store)
{
    g_hash_table_unref(store->epochs);
    g_free(store->ownerUuid);
    g_mutex_clear(&store->lock);
    g_free(store);
}

static void
fakeDeinit(gpointer driverData)
{
}

static gboolean
fakeObjectNew(gpointer driverData, const virLockDriverObject *info, guint flags,
              gpointer *objectData, GError **error)
{
    FakeObject *object = g_new0(FakeObject, 1);

    object->store = driverData;
    object->held = g_ptr_array_new_with_free_func(g_free);
    *objectData = object;
    return TRUE;
}

static void
fakeObjectFree(gpointer objectData)
{
    FakeObject *object = objectData;

    g_ptr_array_unref(object->held);
    g_free(object);
}

static void
fakeAdd(FakeObject *object, const char *prefix, virLockDriverResource *resource)
{
    g_ptr_array_add(object->held, g_strconcat(prefix, resource->name, NULL));
    resource->epoch =
        GPOINTER_TO_SIZE(g_hash_table_lookup(object->store->epochs, resource->name));
}

static void
fakeRemove(FakeObject *object, const char *prefix, const virLockDriverResource *resource)
{
    g_autofree char *name = g_strconcat(prefix, resource->name, NULL);
    guint at;

    g_assert_true(g_ptr_array_find_with_equal_func(object->held, name, g_str_equal, &at));
    g_ptr_array_remove_index(object->held, at);
}

static gboolean
fakeAcquire(gpointer objectData, virLockDriverResource *const *resources, gsize n,
            guint flags, const virLockWait *wait, GError **error)
{
    for (gsize i = 0; i < n; i++)
        fakeAdd(objectData, "", resources[i]);
    return TRUE;
}

static gboolean
fakeRelease(gpointer objectData, virLockDriverResource *const *resources, gsize n,
            const virLockWait *wait, GError **error)
{
    for (gsize i = 0; i < n; i++)
        fakeRemove(objectData, "", resources[i]);
    return TRUE;
}

static gboolean
fakeReserve(gpointer objectData, virLockDriverResource *const *resources, gsize n,
            const virLockWait *wait, GError **error)
{
    for (gsize i = 0; i < n; i++)
        fakeAdd(objectData, "+", resources[i]);
    return TRUE;
}

static gboolean
fakeUnreserve(gpointer objectData, virLockDriverResource *const *resources, gsize n,
              const virLockWait *wait, GError **error)
{
    for (gsize i = 0; i < n; i++)
        fakeRemove(objectData, "+", resources[i]);
    return TRUE;
}

static gboolean
fakeSettle(gpointer objectData, virLockDriverResource *const *resources, gsize n,
           const virLockWait *wait, GError **error)
{
    return fakeUnreserve(objectData, resources, n, wait, error) &&
           fakeAcquire(objectData, resources, n, 0, wait, error);
}

/* The "child" of these tests never dies; a test that ends it empties the list. */
static gboolean
fakeInquire(gpointer objectData, GPtrArray **leases, const virLockWait *wait,
            GError **error)
{
    FakeObject *object = objectData;

    *leases = g_ptr_array_new();
    for (guint i = 0; i < object->held->len; i++) {
        const char *name = object->held->pdata[i];
        virLockLease *lease = g_new0(virLockLease, 1);

        lease->structSize = sizeof(*lease);
        lease->hold = *name == '+' ? VIR_LOCK_HOLD_BRIDGE : VIR_LOCK_HOLD_LEASE;
        lease->mode = VIR_LOCK_MODE_EXCLUSIVE;
        lease->name = g_strdup(*name == '+' ? name + 1 : name);
        g_ptr_array_add(*leases, lease);
    }
    return TRUE;
}

static gboolean
fakePrepareChild(gpointer objectData, GError **error)
{
    return TRUE;
}

static int
fakeRegisterChild(gpointer objectData, int *inheritFd, const char **message)
{
    return 0;
}

static gboolean
fakeSetPid(gpointer objectData, pid_t pid, GError **error)
{
    return TRUE;
}

static gboolean
fakeConvert(gpointer objectData, virLockDriverResource *resource, virLockMode mode,
            const virLockWait *wait, GError **error)
{
    return TRUE;
}

static gboolean
fakeUseRead(gpointer driverData, const virLockDriverResource *resource, guint maxHistory,
            GPtrArray **uses, const virLockWait *wait, GError **error)
{
    FakeStore *store = driverData;
    virLockUse *use = g_new0(virLockUse, 1);

    use->structSize = sizeof(*use);
    use->epoch = GPOINTER_TO_SIZE(g_hash_table_lookup(store->epochs, resource->name));
    use->guestUuid = g_strdup(store->ownerUuid);
    *uses = g_ptr_array_new();
    g_ptr_array_add(*uses, use);
    return TRUE;
}

static gboolean
fakeUseAdvance(gpointer objectData, virLockDriverResource *const *resources, gsize n,
               const virLockWait *wait, GError **error)
{
    FakeObject *object = objectData;

    for (gsize i = 0; i < n; i++) {
        gsize epoch = GPOINTER_TO_SIZE(g_hash_table_lookup(object->store->epochs,
                                                           resources[i]->name)) +
                      1;

        g_hash_table_replace(object->store->epochs, g_strdup(resources[i]->name),
                             GSIZE_TO_POINTER(epoch));
        resources[i]->epoch = epoch;
    }
    return TRUE;
}

static gboolean
fakeQueryOwner(gpointer driverData, const virLockDriverResource *resource,
               GPtrArray **owners, const virLockWait *wait, GError **error)
{
    FakeStore *store = driverData;
    virLockOwner *owner = g_new0(virLockOwner, 1);

    owner->structSize = sizeof(*owner);
    owner->hold = VIR_LOCK_HOLD_LEASE;
    owner->mode = VIR_LOCK_MODE_EXCLUSIVE;
    owner->hostId = 1;
    owner->generation = 7;
    owner->guestUuid = g_strdup(store->ownerUuid);
    *owners = g_ptr_array_new();
    g_ptr_array_add(*owners, owner);
    return TRUE;
}

static gboolean
fakeWatchDaemon(gpointer objectData, int *fd, GError **error)
{
    FakeObject *object = objectData;

    *fd = dup(object->store->daemonFd);
    return *fd >= 0;
}

static gboolean
fakeRenewal(gpointer objectData, virLockRenewal *renewal, const virLockWait *wait,
            GError **error)
{
    FakeObject *object = objectData;

    g_mutex_lock(&object->store->lock);
    *renewal = object->store->renewal;
    g_mutex_unlock(&object->store->lock);
    return TRUE;
}

virLockConfig *
fakeConfig(void)
{
    static const char path[] = "fake.conf";
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("lh-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(dir, path, NULL);
    virLockConfig *config;

    g_assert_true(g_file_set_contents(file, "[host]\nname = alpha\n", -1, NULL));
    config = virLockConfigLoad(file, &error);
    virAssertNoError(error);
    (void)unlink(file);
    (void)rmdir(dir);
    return config;
}

virLockManagerPlugin *
fakePluginNew(FakeStore *store)
{
    g_autoptr(virLockConfig) config = fakeConfig();
    g_autoptr(GError) error = NULL;
    virLockManagerPlugin *plugin = virLockManagerPluginLoad(config, "nop", &error);
    virLockDriver *driver;

    virAssertNoError(error);
    driver = &plugin->driver;
    plugin->data = store;
    driver->capabilities =
        VIR_LOCK_CAP_SHARED | VIR_LOCK_CAP_HOTPLUG | VIR_LOCK_CAP_CONVERT |
        VIR_LOCK_CAP_USE_RECORDS | VIR_LOCK_CAP_MIGRATE | VIR_LOCK_CAP_QUERY_OWNER |
        VIR_LOCK_CAP_CHILD_REGISTER | VIR_LOCK_CAP_LOSS_EVENTS | VIR_LOCK_CAP_ATTACH;
    driver->deinit = fakeDeinit;
    driver->objectNew = fakeObjectNew;
    driver->objectFree = fakeObjectFree;
    driver->acquire = fakeAcquire;
    driver->release = fakeRelease;
    driver->inquire = fakeInquire;
    driver->prepareChild = fakePrepareChild;
    driver->registerChild = fakeRegisterChild;
    driver->setPid = fakeSetPid;
    driver->convert = fakeConvert;
    driver->useRead = fakeUseRead;
    driver->useAdvance = fakeUseAdvance;
    driver->reserve = fakeReserve;
    driver->unreserve = fakeUnreserve;
    driver->settle = fakeSettle;
    driver->queryOwner = fakeQueryOwner;
    driver->watchDaemon = fakeWatchDaemon;
    driver->renewal = fakeRenewal;
    return plugin;
}

virLockManager *
fakeManager(virLockManagerPlugin *plugin, guint flags, const char *ticket)
{
    g_autoptr(GError) error = NULL;
    virLockManager *man =
        virLockManagerNew(plugin, VIR_LOCK_MANAGER_OBJECT_DOMAIN, flags, &error);

    virAssertNoError(error);
    g_assert_true(virLockManagerSetParameter(man, "uuid", FAKE_UUID, &error));
    g_assert_true(virLockManagerSetParameter(man, "name", "web", &error));
    if (ticket)
        g_assert_true(virLockManagerSetParameter(man, "ticket", ticket, &error));
    g_assert_true(virLockManagerRegisterResource(man, VIR_LOCK_RESOURCE_LEASE, "key",
                                                 NULL, 0, &error));
    virAssertNoError(error);
    return man;
}
