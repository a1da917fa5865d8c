/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plugin.c: finding, loading and describing plugins.
 *
 * A plugin is a module with one symbol that returns its virLockDriver. The struct begins with
 * its size and its ABI version; nothing else of it is read before these two were found good
 * (driver.c). Modules are never unmapped (RTLD_NODELETE): a library below one of them may
 * have left a thread or an exit handler.
 */
#include "lock_manager/plugin.h"
#include "common/helper.h"
#include "lock_manager/config.h"

#include <dlfcn.h>
#include <string.h>

static const char *const virLockThreadModelNames[] = {
    [VIR_LOCK_THREAD_SERIALIZE_ALL] = "serialize-all",
    [VIR_LOCK_THREAD_SERIALIZE_OBJECT] = "serialize-object",
    [VIR_LOCK_THREAD_PARALLEL] = "parallel",
};

/* --- finding ------------------------------------------------------------------------------ */

static int
virLockManagerPluginCompare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *
virLockManagerPluginList(GError **error)
{
    const char *dirName = virLockConfigPluginDir();
    g_autoptr(GError) local = NULL;
    g_autoptr(GDir) dir = g_dir_open(dirName, 0, &local);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *file;

    if (!dir) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "cannot list the plugins in %s: %s", dirName, local->message);
        return NULL;
    }
    while ((file = g_dir_read_name(dir)))
        if (g_str_has_suffix(file, ".so"))
            g_ptr_array_add(names, g_strndup(file, strlen(file) - strlen(".so")));
    g_ptr_array_sort(names, virLockManagerPluginCompare);
    return g_steal_pointer(&names);
}

static char *
virLockManagerPluginNames(void)
{
    g_autoptr(GPtrArray) names = virLockManagerPluginList(NULL);

    if (!names || names->len == 0)
        return g_strdup("none");
    g_ptr_array_add(names, NULL);
    return g_strjoinv(", ", (char **)names->pdata);
}

/* A name becomes a file of the plugin directory; it can not lead out of it. */
static char *
virLockManagerPluginFile(const char *name, GError **error)
{
    g_autofree char *base = NULL;
    g_autofree char *path = NULL;
    g_autofree char *names = NULL;

    if (g_path_is_absolute(name))
        return g_strdup(name);
    base = g_strconcat(name, ".so", NULL);
    path = g_build_filename(virLockConfigPluginDir(), base, NULL);
    if (*name && !strchr(name, '/') && *name != '.' &&
        g_file_test(path, G_FILE_TEST_IS_REGULAR))
        return g_steal_pointer(&path);
    names = virLockManagerPluginNames();
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "there is no lock manager plugin '%s' in %s (plugins there: %s)", name,
                virLockConfigPluginDir(), names);
    return NULL;
}

/* --- loading ------------------------------------------------------------------------------ */

static void *
virLockManagerPluginMap(const char *path)
{
    return dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

static gboolean
virLockManagerPluginOpen(virLockManagerPlugin *plugin, GError **error)
{
    void *module = virLockManagerPluginMap(plugin->path);
    virLockDriverGetFunc get;

    if (!module) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "cannot load the lock manager plugin %s: %s", plugin->path,
                    dlerror());
        return FALSE;
    }
    get = (virLockDriverGetFunc)dlsym(module, VIR_LOCK_DRIVER_SYMBOL);
    /* NODELETE keeps the mapping; only the handle goes */
    (void)dlclose(module);
    if (!get) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "%s is not a lock manager plugin: it has no symbol %s", plugin->path,
                    VIR_LOCK_DRIVER_SYMBOL);
        return FALSE;
    }
    return virLockManagerDriverNegotiate(get(), plugin->path, &plugin->driver, error);
}

/* "sanlock.so" has to call itself sanlock: its group of the configuration has that name. */
static gboolean
virLockManagerPluginCheckName(virLockManagerPlugin *plugin, const char *name,
                              GError **error)
{
    if (g_path_is_absolute(name) || g_str_equal(name, plugin->driver.name))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "the lock manager plugin %s calls itself '%s', not '%s'", plugin->path,
                plugin->driver.name, name);
    return FALSE;
}

static gboolean
virLockManagerPluginInit(virLockManagerPlugin *plugin, GError **error)
{
    const virLockDriver *driver = &plugin->driver;
    virLockConfig *config = plugin->config;
    g_autofree virLockDriverParam *params =
        virLockConfigPluginParams(config, driver->name, driver->keys, error);
    virLockDriverConfig driverConfig = {
        .structSize = sizeof(driverConfig),
        .params = params,
        .hostName = virLockConfigGet(config, "host", "name"),
        .stateDir = virLockConfigGet(config, "host", "state_dir"),
        .runDir = virLockConfigGet(config, "host", "run_dir"),
        .helperDir = virHelperDir(),
    };

    if (!params)
        return FALSE;
    if (!driver->init(&driverConfig, &plugin->data, error)) {
        g_prefix_error(error, "plugin '%s': ", driver->name);
        return FALSE;
    }
    plugin->initialised = TRUE;
    return TRUE;
}

static void
virLockManagerPluginDescribe(virLockManagerPlugin *plugin)
{
    const virLockDriver *driver = &plugin->driver;
    gsize n = 0;

    while (driver->keys && driver->keys[n].name)
        n++;
    plugin->keys = g_new0(virLockManagerPluginKey, n + 1);
    for (gsize i = 0; i < n; i++)
        plugin->keys[i] = (virLockManagerPluginKey){
            driver->keys[i].name, driver->keys[i].defaultValue, driver->keys[i].help};
    plugin->info = (virLockManagerPluginInfo){
        .structSize = sizeof(plugin->info),
        .name = driver->name,
        .path = plugin->path,
        .version = driver->version ? driver->version : "unknown",
        .summary = driver->summary ? driver->summary : "",
        .abiVersion = driver->abiVersion,
        .threadModel = virLockThreadModelNames[driver->threadModel],
        .capabilities = driver->capabilities,
    };
}

virLockManagerPlugin *
virLockManagerPluginLoad(virLockConfig *config, const char *name, GError **error)
{
    g_autoptr(virLockManagerPlugin) plugin = g_new0(virLockManagerPlugin, 1);

    g_atomic_ref_count_init(&plugin->refs);
    plugin->config = virLockConfigRef(config);
    virLockTurnInit(&plugin->all);
    if (!name)
        name = virLockConfigGet(config, "lock", "plugin");
    if (!(plugin->path = virLockManagerPluginFile(name, error)) ||
        !virLockManagerPluginOpen(plugin, error) ||
        !virLockManagerPluginCheckName(plugin, name, error) ||
        !virLockManagerPluginInit(plugin, error))
        return NULL;
    virLockManagerPluginDescribe(plugin);
    return g_steal_pointer(&plugin);
}

void
virLockManagerPluginPreload(virLockConfig *config)
{
    const char *name = virLockConfigGet(config, "lock", "plugin");
    g_autofree char *path = virLockManagerPluginFile(name, NULL);
    void *module = path ? virLockManagerPluginMap(path) : NULL;

    if (module)
        (void)dlclose(module);
}

virLockManagerPlugin *
virLockManagerPluginRef(virLockManagerPlugin *plugin)
{
    g_atomic_ref_count_inc(&plugin->refs);
    return plugin;
}

void
virLockManagerPluginUnload(virLockManagerPlugin *plugin)
{
    if (!plugin || !g_atomic_ref_count_dec(&plugin->refs))
        return;
    if (plugin->initialised && plugin->driver.deinit)
        plugin->driver.deinit(plugin->data);
    virLockTurnClear(&plugin->all);
    virLockConfigUnref(plugin->config);
    g_free(plugin->keys);
    g_free(plugin->path);
    g_free(plugin);
}

const virLockManagerPluginInfo *
virLockManagerPluginGetInfo(virLockManagerPlugin *plugin)
{
    return &plugin->info;
}

const virLockManagerPluginKey *
virLockManagerPluginGetKeys(virLockManagerPlugin *plugin)
{
    return plugin->keys;
}

/* --- calling ------------------------------------------------------------------------------ */

gboolean
virLockManagerPluginEnter(virLockManagerPlugin *plugin, const char *what,
                          const virLockWait *wait, GError **error)
{
    if (plugin->driver.threadModel != VIR_LOCK_THREAD_SERIALIZE_ALL)
        return TRUE;
    return virLockTurnTake(&plugin->all, what, wait, error);
}

void
virLockManagerPluginLeave(virLockManagerPlugin *plugin)
{
    if (plugin->driver.threadModel == VIR_LOCK_THREAD_SERIALIZE_ALL)
        virLockTurnGive(&plugin->all);
}

gpointer
virLockManagerAdoptStruct(gpointer element, gsize elementSize)
{
    gsize size = *(gsize *)element;
    char *enlarged;

    if (size >= elementSize)
        return element;
    enlarged = g_realloc(element, elementSize);
    memset(enlarged + size, 0, elementSize - size);
    *(gsize *)enlarged = elementSize;
    return enlarged;
}

GPtrArray *
virLockManagerAdoptArray(GPtrArray *array, gsize elementSize, GDestroyNotify freeFunc)
{
    if (!array)
        return g_ptr_array_new_with_free_func(freeFunc);
    for (guint i = 0; i < array->len; i++)
        array->pdata[i] = virLockManagerAdoptStruct(array->pdata[i], elementSize);
    g_ptr_array_set_free_func(array, freeFunc);
    return array;
}
