/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-plugin.c: loading plugins: size negotiation, refusals by name, the first ABI for ever.
 */
#include "tests/lib/vir_test.h"
#include "tests/lock_manager/fake.h"

#include <string.h>

/* The modules of tests/plugins. */
static virLockManagerPlugin *
loadModule(const char *name, GError **error)
{
    g_autoptr(virLockConfig) config = fakeConfig();
    const char *build = g_getenv("top_builddir");
    g_autofree char *file = g_strconcat(name, ".so", NULL);
    g_autofree char *path =
        g_build_filename(build ? build : ".", "tests/plugins/.libs", file, NULL);
    g_autofree char *absolute = g_canonicalize_filename(path, NULL);

    return virLockManagerPluginLoad(config, absolute, error);
}

static void
expectRefused(const char *module, const char *first, const char *second)
{
    g_autoptr(GError) error = NULL;
    virLockManagerPlugin *plugin = loadModule(module, &error);

    g_assert_null(plugin);
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, module));
    g_assert_nonnull(strstr(error->message, first));
    g_assert_nonnull(strstr(error->message, second));
}

static void
testFrozenAbi(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virLockManagerPlugin) plugin = loadModule("abi-v1", &error);
    g_autoptr(virLockManager) man = NULL;
    g_autoptr(GPtrArray) leases = NULL;

    virAssertNoError(error);
    g_assert_cmpstr(virLockManagerPluginGetInfo(plugin)->name, ==, "abi-v1");
    g_assert_cmpstr(virLockManagerPluginGetInfo(plugin)->threadModel, ==,
                    "serialize-all");
    g_assert_cmpstr(virLockManagerPluginGetKeys(plugin)[0].defaultValue, ==, "blue");
    man = fakeManager(plugin, 0, NULL);
    g_assert_true(virLockManagerSetParameter(man, "pid", "4711", &error));
    g_assert_true(virLockManagerAcquireObject(man, 0, NULL, &error));
    g_assert_true(virLockManagerAdvanceUse(man, NULL, &error));
    leases = virLockManagerInquire(man, NULL, &error);
    virAssertNoError(error);
    g_assert_cmpuint(leases->len, ==, 2);
    g_assert_true(
        virLockManagerReleaseResource(man, VIR_LOCK_RESOURCE_LEASE, "key", NULL, &error));
}

static void
testBroken(void)
{
    expectRefused("no-symbol", "no symbol", "virLockDriverGet");
    expectRefused("other-abi", "version 2", "version 1");
    expectRefused("missing-callback", "required callback", "'acquire'");
    expectRefused("promise", "'query-owner'", "'queryOwner'");
}

static void
testNoModule(void)
{
    g_autoptr(virLockConfig) config = fakeConfig();
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) second = NULL;
    g_autoptr(GError) third = NULL;

    g_assert_null(virLockManagerPluginLoad(config, "sanlok", &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "lockfile"));
    g_assert_null(virLockManagerPluginLoad(config, "../nop", &second));
    g_assert_error(second, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_assert_null(virLockManagerPluginLoad(config, "/dev/null", &third));
    g_assert_error(third, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
}

static void
testList(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) names = virLockManagerPluginList(&error);

    virAssertNoError(error);
    g_assert_true(g_ptr_array_find_with_equal_func(names, "lockfile", g_str_equal, NULL));
    g_assert_true(g_ptr_array_find_with_equal_func(names, "nop", g_str_equal, NULL));
    for (guint i = 1; i < names->len; i++)
        g_assert_cmpstr(names->pdata[i - 1], <, names->pdata[i]);
}

/* --- negotiation -------------------------------------------------------------------------- */

static virLockDriver
goodDriver(void)
{
    FakeStore *store = fakeStoreNew();
    g_autoptr(virLockManagerPlugin) plugin = fakePluginNew(store);
    virLockDriver driver = plugin->driver;

    driver.structSize = sizeof(driver);
    driver.abiVersion = VIR_LOCK_DRIVER_ABI_VERSION;
    fakeStoreFree(store);
    return driver;
}

/* An old plugin ends before the newest members: they are NULL here, whatever lies behind. */
static void
testSmallDriver(void)
{
    virLockDriver driver = goodDriver();
    g_autoptr(GError) error = NULL;
    virLockDriver copy;

    driver.diagnose = (gpointer)1;
    driver.structSize = G_STRUCT_OFFSET(virLockDriver, diagnose);
    g_assert_true(virLockManagerDriverNegotiate(&driver, "small", &copy, &error));
    g_assert_null(copy.diagnose);
    g_assert_nonnull(copy.renewal);

    /* what it promises has to lie within its size */
    driver.structSize = G_STRUCT_OFFSET(virLockDriver, renewal);
    g_assert_false(virLockManagerDriverNegotiate(&driver, "small", &copy, &error));
    g_assert_nonnull(strstr(error->message, "'renewal'"));
}

/* A newer plugin has members that we do not know. */
static void
testLargeDriver(void)
{
    struct {
        virLockDriver driver;
        gpointer unknown[4];
    } newer = {goodDriver(), {(gpointer)1}};
    g_autoptr(GError) error = NULL;
    virLockDriver copy;

    newer.driver.structSize = sizeof(newer);
    newer.driver.capabilities |= G_GUINT64_CONSTANT(1) << 40;
    g_assert_true(virLockManagerDriverNegotiate(&newer.driver, "large", &copy, &error));
    virAssertNoError(error);
}

typedef struct _Defect {
    const char *word;
    void (*spoil)(virLockDriver *driver);
} Defect;

#define SPOIL(name, statement)                                                           \
    static void name(virLockDriver *driver)                                              \
    {                                                                                    \
        statement;                                                                       \
    }

SPOIL(spoilName, driver->name = NULL)
SPOIL(spoilThread, driver->threadModel = 17)
SPOIL(spoilInit, driver->init = NULL)
SPOIL(spoilDeinit, driver->deinit = NULL)
SPOIL(spoilObjectNew, driver->objectNew = NULL)
SPOIL(spoilObjectFree, driver->objectFree = NULL)
SPOIL(spoilAcquire, driver->acquire = NULL)
SPOIL(spoilRelease, driver->release = NULL)
SPOIL(spoilInquire, driver->inquire = NULL)
SPOIL(spoilConvert, driver->convert = NULL)
SPOIL(spoilUseRead, driver->useRead = NULL)
SPOIL(spoilSettle, driver->settle = NULL)
SPOIL(spoilSetPid, driver->setPid = NULL)
SPOIL(spoilRecords, driver->capabilities &= ~(guint64)VIR_LOCK_CAP_USE_RECORDS)
SPOIL(spoilSerial, driver->threadModel = VIR_LOCK_THREAD_SERIALIZE_ALL)
SPOIL(spoilStore, driver->capabilities |= VIR_LOCK_CAP_STORE)
SPOIL(spoilHosts, driver->capabilities |= VIR_LOCK_CAP_HOSTS)

static void
testDefects(void)
{
    static const Defect defects[] = {
        {"no name", spoilName},
        {"thread model 17", spoilThread},
        {"'init'", spoilInit},
        {"'deinit'", spoilDeinit},
        {"'objectNew'", spoilObjectNew},
        {"'objectFree'", spoilObjectFree},
        {"'acquire'", spoilAcquire},
        {"'release'", spoilRelease},
        {"'inquire'", spoilInquire},
        {"'convert'", spoilConvert},
        {"'useRead'", spoilUseRead},
        {"'settle'", spoilSettle},
        {"'setPid'", spoilSetPid},
        {"'use-records'", spoilRecords},
        {"one call at a time", spoilSerial},
        {"'storeCreate'", spoilStore},
        {"'hostJoin'", spoilHosts},
    };

    for (guint i = 0; i < G_N_ELEMENTS(defects); i++) {
        virLockDriver driver = goodDriver();
        g_autoptr(GError) error = NULL;
        virLockDriver copy;

        defects[i].spoil(&driver);
        g_assert_false(virLockManagerDriverNegotiate(&driver, "defect", &copy, &error));
        g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
        if (!strstr(error->message, defects[i].word))
            g_error("'%s' does not say %s", error->message, defects[i].word);
    }
}

static void
testRequire(void)
{
    g_autoptr(virLockConfig) config = fakeConfig();
    g_autoptr(GError) error = NULL;
    g_autoptr(virLockManagerPlugin) plugin =
        virLockManagerPluginLoad(config, "nop", &error);
    g_autoptr(virLockManager) man = NULL;

    virAssertNoError(error);
    g_assert_true(virLockManagerPluginRequire(plugin, VIR_LOCK_CAP_HOTPLUG, "x", &error));
    g_assert_false(
        virLockManagerPluginRequire(plugin, VIR_LOCK_CAP_HOTPLUG | VIR_LOCK_CAP_MIGRATE,
                                    "migrate guest 'web'", &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "migrate guest 'web'"));
    g_assert_nonnull(strstr(error->message, "'nop'"));
    g_assert_null(strstr(error->message, "hotplug"));
    g_clear_error(&error);
    man = virLockManagerNew(plugin, VIR_LOCK_MANAGER_OBJECT_DOMAIN,
                            VIR_LOCK_MANAGER_NEW_MIGRATE, &error);
    g_assert_null(man);
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED);
}

/* An older struct; the compiler must not know its size, or it takes us for mad. */
static gpointer
shortStruct(volatile gsize size)
{
    gsize *head = g_malloc0(size);

    *head = size;
    return head;
}

/* Structs of an older plugin are shorter: what it does not know reads as zero. */
static void
testShortElements(void)
{
    GPtrArray *array = g_ptr_array_new();
    virLockOwner *owner = shortStruct(G_STRUCT_OFFSET(virLockOwner, guestName));
    g_autoptr(GPtrArray) adopted = NULL;

    owner->hostName = g_strdup("alpha");
    g_ptr_array_add(array, owner);
    adopted = virLockManagerAdoptArray(array, sizeof(virLockOwner),
                                       (GDestroyNotify)virLockOwnerFree);
    owner = adopted->pdata[0];
    g_assert_cmpstr(owner->hostName, ==, "alpha");
    g_assert_null(owner->guestName);
    g_assert_cmpint(owner->etaSec, ==, 0);
}

/* The free functions look at members within structSize only. */
static void
testShortFree(void)
{
    virLockUse *use = shortStruct(G_STRUCT_OFFSET(virLockUse, guestName));

    use->lease = g_strdup("x");
    use->hostName = g_strdup("y");
    virLockUseFree(use);
    virLockOwnerFree(NULL);
}

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    g_test_add_func("/plugin/frozen-abi", testFrozenAbi);
    g_test_add_func("/plugin/broken", testBroken);
    g_test_add_func("/plugin/no-module", testNoModule);
    g_test_add_func("/plugin/list", testList);
    g_test_add_func("/plugin/small-driver", testSmallDriver);
    g_test_add_func("/plugin/large-driver", testLargeDriver);
    g_test_add_func("/plugin/defects", testDefects);
    g_test_add_func("/plugin/require", testRequire);
    g_test_add_func("/plugin/short-elements", testShortElements);
    g_test_add_func("/plugin/short-free", testShortFree);
    return g_test_run();
}
