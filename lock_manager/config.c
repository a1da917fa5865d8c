/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * config.c: the configuration file (leasehold.conf, GKeyFile syntax).
 *
 * A misspelt key would silently select a default, and with it perhaps another store: every
 * group and key is known or refused. The groups of plugins are known by the modules in the
 * plugin directory, their keys by the plugin itself when it is loaded.
 */
#include "lock_manager/config.h"
#include "common/text.h"

#include <string.h>
#include <unistd.h>

struct _virLockConfig {
    gatomicrefcount refs;
    char *path; /* NULL: no file */
    GKeyFile *file;
    GHashTable *values;   /* "group/key" -> value, for strings that outlive a call */
    GHashTable *defaults; /* the same for keys whose default is computed */
    GData *data;          /* of layers above */
};

typedef gboolean (*virLockConfigCheckFunc)(const char *value, const char **expected);

static gboolean
virLockConfigCheckName(const char *value, const char **expected)
{
    *expected = "1 to 47 characters of A-Z a-z 0-9 . _ -";
    return *value && strlen(value) <= VIR_LOCK_NAME_MAX &&
           strspn(value, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "._-") == strlen(value);
}

static gboolean
virLockConfigCheckDir(const char *value, const char **expected)
{
    *expected = "an absolute path";
    return g_path_is_absolute(value);
}

static gboolean
virLockConfigCheckPlugin(const char *value, const char **expected)
{
    *expected = "the name of a plugin or an absolute path of a module";
    return g_path_is_absolute(value) ||
           (*value &&
            strspn(value, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "_-") == strlen(value));
}

static gboolean
virLockConfigCheckIdentity(const char *value, const char **expected)
{
    *expected = "storage or local";
    return g_str_equal(value, "storage") || g_str_equal(value, "local");
}

static gboolean
virLockConfigCheckLockfailure(const char *value, const char **expected)
{
    *expected = "pause, poweroff or restart (a guest that goes on without its leases "
                "is not to be had)";
    return g_str_equal(value, "pause") || g_str_equal(value, "poweroff") ||
           g_str_equal(value, "restart");
}

static gboolean
virLockConfigCheckText(const char *value, const char **expected)
{
    *expected = "some text";
    return *value != '\0';
}

/* The groups that are not plugins' (design.md §10); a NULL default is computed or none. */
static const struct {
    const char *group;
    const char *key;
    const char *defaultValue;
    virLockConfigCheckFunc check;
} virLockConfigKeys[] = {
    {"host", "name", NULL, virLockConfigCheckName},
    {"host", "run_dir", NULL, virLockConfigCheckDir},
    {"host", "state_dir", NULL, virLockConfigCheckDir},
    {"host", "identity", NULL, virLockConfigCheckIdentity},
    {"lock", "plugin", "lockfile", virLockConfigCheckPlugin},
    {"lock", "on_lockfailure", "pause", virLockConfigCheckLockfailure},
    {"migrate", "rsh", "ssh", virLockConfigCheckText},
    {"migrate", "address", NULL, virLockConfigCheckText},
};

const char *
virLockConfigPluginDir(void)
{
    const char *dir = g_getenv("LEASEHOLD_PLUGIN_DIR");

    return dir && *dir ? dir : LEASEHOLD_PLUGINDIR;
}

/* --- reading ------------------------------------------------------------------------------ */

/* "host", "lock", "migrate" and every plugin that is installed. */
static GPtrArray *
virLockConfigGroups(virLockConfig *config)
{
    g_autoptr(GPtrArray) plugins = virLockManagerPluginList(NULL);
    GPtrArray *groups = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *plugin = g_key_file_get_string(config->file, "lock", "plugin", NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(virLockConfigKeys); i++)
        if (!g_ptr_array_find_with_equal_func(groups, virLockConfigKeys[i].group,
                                              g_str_equal, NULL))
            g_ptr_array_add(groups, g_strdup(virLockConfigKeys[i].group));
    for (guint i = 0; plugins && i < plugins->len; i++)
        g_ptr_array_add(groups, g_strdup(plugins->pdata[i]));
    if (plugin && g_path_is_absolute(plugin)) {
        g_autofree char *base = g_path_get_basename(plugin);

        if (g_str_has_suffix(base, ".so"))
            base[strlen(base) - 3] = '\0';
        g_ptr_array_add(groups, g_steal_pointer(&base));
    }
    g_ptr_array_add(groups, NULL);
    return groups;
}

static gssize
virLockConfigFindKey(const char *group, const char *key)
{
    for (gsize i = 0; i < G_N_ELEMENTS(virLockConfigKeys); i++)
        if (g_str_equal(virLockConfigKeys[i].group, group) &&
            g_str_equal(virLockConfigKeys[i].key, key))
            return i;
    return -1;
}

static gboolean
virLockConfigIsOwnGroup(const char *group)
{
    for (gsize i = 0; i < G_N_ELEMENTS(virLockConfigKeys); i++)
        if (g_str_equal(virLockConfigKeys[i].group, group))
            return TRUE;
    return FALSE;
}

static gboolean
virLockConfigUnknownKey(virLockConfig *config, const char *group, const char *key,
                        GPtrArray *known, GError **error)
{
    const char *nearest;

    g_ptr_array_add(known, NULL);
    nearest = virTextNearest(key, (const char *const *)known->pdata);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "%s: unknown key '%s' in group [%s]%s%s%s", config->path, key, group,
                nearest ? "; the nearest known key is '" : "; this group has no keys",
                nearest ? nearest : "", nearest ? "'" : "");
    return FALSE;
}

/* One "key = value" of one of our own groups. */
static gboolean
virLockConfigCheckOwn(virLockConfig *config, const char *group, const char *key,
                      const char *value, GError **error)
{
    gssize i = virLockConfigFindKey(group, key);
    const char *expected = NULL;

    if (i < 0) {
        g_autoptr(GPtrArray) known = g_ptr_array_new();

        for (gsize k = 0; k < G_N_ELEMENTS(virLockConfigKeys); k++)
            if (g_str_equal(virLockConfigKeys[k].group, group))
                g_ptr_array_add(known, (char *)virLockConfigKeys[k].key);
        return virLockConfigUnknownKey(config, group, key, known, error);
    }
    if (virLockConfigKeys[i].check(value, &expected))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "%s: bad value '%s' of key '%s' in group [%s]: expected %s", config->path,
                value, key, group, expected);
    return FALSE;
}

static gboolean
virLockConfigTakeGroup(virLockConfig *config, const char *group, GError **error)
{
    g_auto(GStrv) keys = g_key_file_get_keys(config->file, group, NULL, NULL);
    gboolean own = virLockConfigIsOwnGroup(group);

    for (char **key = keys; key && *key; key++) {
        g_autoptr(GError) local = NULL;
        g_autofree char *value = g_key_file_get_string(config->file, group, *key, &local);

        if (!value) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                        "%s: cannot read key '%s' in group [%s]: %s", config->path, *key,
                        group, local->message);
            return FALSE;
        }
        g_strchomp(value);
        if (own && !virLockConfigCheckOwn(config, group, *key, value, error))
            return FALSE;
        g_hash_table_insert(config->values, g_strdup_printf("%s/%s", group, *key),
                            g_steal_pointer(&value));
    }
    return TRUE;
}

static gboolean
virLockConfigTakeFile(virLockConfig *config, GError **error)
{
    g_auto(GStrv) groups = g_key_file_get_groups(config->file, NULL);
    g_autoptr(GPtrArray) known = virLockConfigGroups(config);

    for (char **group = groups; *group; group++) {
        if (!g_strv_contains((const char *const *)known->pdata, *group)) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                        "%s: unknown group [%s]: neither one of leasehold nor a plugin "
                        "in %s; the nearest known group is [%s]",
                        config->path, *group, virLockConfigPluginDir(),
                        virTextNearest(*group, (const char *const *)known->pdata));
            return FALSE;
        }
        if (!virLockConfigTakeGroup(config, *group, error))
            return FALSE;
    }
    return TRUE;
}

/* Who writes a [sanlock] group means sanlock's leases. The default would be locks of this host
 * only, and its guests would run beside those of other hosts. */
static gboolean
virLockConfigCheckChoice(virLockConfig *config, GError **error)
{
    const char *plugin = virLockConfigGet(config, "lock", "plugin");
    g_auto(GStrv) groups = g_key_file_get_groups(config->file, NULL);

    if (virLockConfigIsSet(config, "lock", "plugin"))
        return TRUE;
    for (char **group = groups; *group; group++) {
        if (virLockConfigIsOwnGroup(*group) || g_str_equal(*group, plugin))
            continue;
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "%s: there is a group [%s], but [lock] plugin is not set and would be "
                    "'%s'; say which one is meant: plugin = %s or plugin = %s",
                    config->path, *group, plugin, *group, plugin);
        return FALSE;
    }
    return TRUE;
}

/* --- defaults ----------------------------------------------------------------------------- */

static char *
virLockConfigUserRunDir(void)
{
    const char *runtime = g_getenv("XDG_RUNTIME_DIR");

    if (runtime && g_path_is_absolute(runtime))
        return g_build_filename(runtime, "leasehold", NULL);
    return g_strdup_printf("%s/leasehold-%u", g_get_tmp_dir(), (guint)geteuid());
}

/* The kernel's name of this host up to the first dot, with what is not permitted replaced. */
static char *
virLockConfigHostName(void)
{
    char *name = g_strndup(g_get_host_name(), VIR_LOCK_NAME_MAX);
    char *dot = strchr(name, '.');

    if (dot && dot != name)
        *dot = '\0';
    g_strcanon(name, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "._-", '-');
    if (!*name) {
        g_free(name);
        name = g_strdup("localhost");
    }
    return name;
}

/* Leases of the lockfile and nop plugins mean this machine only, unless their directory is
 * said to be on a network: there device and inode number are a complete identity, and files
 * without any other identity (tmpfs, overlayfs) work. */
static const char *
virLockConfigIdentity(virLockConfig *config)
{
    const char *plugin = virLockConfigGet(config, "lock", "plugin");
    const char *network = virLockConfigGet(config, "lockfile", "unsafe_network");

    if (g_str_equal(plugin, "nop"))
        return "local";
    if (g_str_equal(plugin, "lockfile") && g_strcmp0(network, "true") != 0)
        return "local";
    return "storage";
}

static void
virLockConfigComputeDefaults(virLockConfig *config)
{
    gboolean root = geteuid() == 0;

    g_hash_table_insert(config->defaults, g_strdup("host/name"), virLockConfigHostName());
    g_hash_table_insert(config->defaults, g_strdup("host/run_dir"),
                        root ? g_strdup("/run/leasehold") : virLockConfigUserRunDir());
    g_hash_table_insert(
        config->defaults, g_strdup("host/state_dir"),
        root ? g_strdup(LEASEHOLD_LOCALSTATEDIR "/lib/leasehold")
             : g_build_filename(g_get_user_state_dir(), "leasehold", NULL));
    g_hash_table_insert(config->defaults, g_strdup("host/identity"),
                        g_strdup(virLockConfigIdentity(config)));
}

static char *
virLockConfigDefaultPath(void)
{
    if (geteuid() == 0)
        return g_strdup(LEASEHOLD_SYSCONFDIR "/leasehold/leasehold.conf");
    return g_build_filename(g_get_user_config_dir(), "leasehold", "leasehold.conf", NULL);
}

/* --- the object --------------------------------------------------------------------------- */

static virLockConfig *
virLockConfigNew(void)
{
    virLockConfig *config = g_new0(virLockConfig, 1);

    g_atomic_ref_count_init(&config->refs);
    config->file = g_key_file_new();
    g_datalist_init(&config->data);
    config->values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    config->defaults = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return config;
}

virLockConfig *
virLockConfigLoad(const char *path, GError **error)
{
    g_autoptr(virLockConfig) config = virLockConfigNew();
    g_autoptr(GError) local = NULL;
    gboolean named = TRUE;

    if (!path)
        path = g_getenv("LEASEHOLD_CONFIG");
    if (path && *path) {
        config->path = g_canonicalize_filename(path, NULL);
    } else {
        config->path = virLockConfigDefaultPath();
        named = FALSE;
    }

    if (g_key_file_load_from_file(config->file, config->path, G_KEY_FILE_NONE, &local)) {
        if (!virLockConfigTakeFile(config, error) || !virLockConfigCheckChoice(config, error))
            return NULL;
    } else if (!named && g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        g_clear_pointer(&config->path, g_free);
    } else {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "cannot read the configuration %s: %s", config->path, local->message);
        return NULL;
    }
    virLockConfigComputeDefaults(config);
    return g_steal_pointer(&config);
}

virLockConfig *
virLockConfigRef(virLockConfig *config)
{
    g_atomic_ref_count_inc(&config->refs);
    return config;
}

void
virLockConfigUnref(virLockConfig *config)
{
    if (!config || !g_atomic_ref_count_dec(&config->refs))
        return;
    g_datalist_clear(&config->data);
    g_free(config->path);
    g_key_file_unref(config->file);
    g_hash_table_unref(config->values);
    g_hash_table_unref(config->defaults);
    g_free(config);
}

void
virLockConfigSetData(virLockConfig *config, const char *key, gpointer data,
                     GDestroyNotify destroy)
{
    g_datalist_set_data_full(&config->data, key, data, destroy);
}

gpointer
virLockConfigStealData(virLockConfig *config, const char *key)
{
    return g_datalist_id_remove_no_notify(&config->data, g_quark_from_string(key));
}

const char *
virLockConfigGetPath(virLockConfig *config)
{
    return config->path;
}

const char *
virLockConfigGet(virLockConfig *config, const char *group, const char *key)
{
    g_autofree char *id = g_strdup_printf("%s/%s", group, key);
    const char *value = g_hash_table_lookup(config->values, id);
    gssize i;

    if (!value)
        value = g_hash_table_lookup(config->defaults, id);
    if (value)
        return value;
    i = virLockConfigFindKey(group, key);
    return i < 0 ? NULL : virLockConfigKeys[i].defaultValue;
}

gboolean
virLockConfigIsSet(virLockConfig *config, const char *group, const char *key)
{
    g_autofree char *id = g_strdup_printf("%s/%s", group, key);

    return g_hash_table_contains(config->values, id);
}

virLockDriverParam *
virLockConfigPluginParams(virLockConfig *config, const char *plugin,
                          const virLockDriverKey *keys, GError **error)
{
    g_auto(GStrv) set = g_key_file_get_keys(config->file, plugin, NULL, NULL);
    g_autoptr(GPtrArray) known = g_ptr_array_new();
    g_autofree virLockDriverParam *params = NULL;
    gsize n = 0;

    for (gsize i = 0; keys && keys[i].name; i++)
        g_ptr_array_add(known, (char *)keys[i].name);
    for (char **key = set; key && *key; key++)
        if (!g_ptr_array_find_with_equal_func(known, *key, g_str_equal, NULL)) {
            (void)virLockConfigUnknownKey(config, plugin, *key, known, error);
            return NULL;
        }

    params = g_new0(virLockDriverParam, known->len + 1);
    for (guint i = 0; i < known->len; i++) {
        const char *value = virLockConfigGet(config, plugin, keys[i].name);

        if (!value)
            value = keys[i].defaultValue;
        if (value)
            params[n++] = (virLockDriverParam){keys[i].name, value};
    }
    return g_steal_pointer(&params);
}
