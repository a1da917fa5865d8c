/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_command.c: a foreign command line ("run --name NAME --disk PATH -- qemu ..."): what
 * must not be in it, what we add, and what it says about the declared disks.
 *
 * Options are looked for at every place of the line, also where another option has its value:
 * an odd line may be refused for that, but no option hides. What the line opens and nobody
 * declared is found by the audit before the guest runs.
 */
#include "config.h"
#include "domain_argv.h"

#include <json-glib/json-glib.h>
#include <string.h>

static const struct {
    const char *option;
    const char *why;
} virForeignRefused[] = {
    {"daemonize", "the supervisor has to stay QEMU's parent"},
    {"S", "the guest is started by the supervisor, paused with 'run --paused'"},
    {"no-shutdown", "the supervisor gives it"},
    {"preconfig", "the machine would not be there when it is audited"},
    {"incoming", "a migration needs its leases handed over"},
    {"loadvm", "memory state is stale once another host used the disks"},
    {"snapshot", "QEMU would write to temporary files that no lease guards"},
    {"sandbox", "the supervisor gives it"},
    {"runas", "the sandbox forbids it; run the supervisor as that user"},
    {"chroot", "the sandbox forbids it"},
};

void
virDomainForeignImageFree(virDomainForeignImage *image)
{
    g_free(image->path);
    g_free(image->format);
    virImageChainFree(image->chain);
    g_free(image);
}

/* The option at argv[i] without its dashes, or NULL. */
static const char *
virForeignOption(const char *arg)
{
    if (arg[0] != '-')
        return NULL;
    return arg[1] == '-' ? arg + 2 : arg + 1;
}

static gboolean
virForeignCheckOptions(const char *const *argv, GError **error)
{
    for (gsize i = 1; argv[i]; i++) {
        const char *option = virForeignOption(argv[i]);

        for (gsize j = 0; option && j < G_N_ELEMENTS(virForeignRefused); j++)
            if (g_str_equal(option, virForeignRefused[j].option))
                return virDomainError(error, "'%s' cannot be in the command line: %s",
                                      argv[i], virForeignRefused[j].why);
        if (option && g_str_equal(option, "action") && argv[i + 1] &&
            strstr(argv[i + 1], "shutdown="))
            return virDomainError(error,
                                  "'%s %s' cannot be in the command line: the supervisor "
                                  "decides what a shutdown does",
                                  argv[i], argv[i + 1]);
    }
    return TRUE;
}

static gboolean
virForeignTakeUuid(virDomainDef *def, const virDomainLockCommand *command, GError **error)
{
    const char *given = command->uuid;
    g_autofree char *fromLine = NULL;

    for (gsize i = 1; command->argv[i]; i++) {
        const char *option = virForeignOption(command->argv[i]);

        if (!option || !g_str_equal(option, "uuid") || !command->argv[i + 1])
            continue;
        g_clear_pointer(&fromLine, g_free);
        if (!virDomainCheckUuid(command->argv[i + 1], &fromLine, error))
            return FALSE;
        def->foreignHasUuid = TRUE;
    }
    if (given && !virDomainCheckUuid(given, &def->uuid, error))
        return FALSE;
    if (given && fromLine && !g_str_equal(def->uuid, fromLine))
        return virDomainError(error,
                              "the command line has -uuid %s, but %s was asked for",
                              fromLine, def->uuid);
    if (!given)
        def->uuid =
            fromLine ? g_steal_pointer(&fromLine) : virDomainUuidOfName(def->name);
    return TRUE;
}

/* --- what the line says about images ------------------------------------------------------------ */

/** One block node of the command line. */
typedef struct _virForeignNode {
    char *name;   /* node-name, or NULL */
    char *driver; /* "qcow2", "file", ...; of a -drive: its format */
    char *path;
    char *below; /* name of the node in "file" */
    gboolean direct;
} virForeignNode;

static void
virForeignNodeFree(virForeignNode *node)
{
    g_free(node->name);
    g_free(node->driver);
    g_free(node->path);
    g_free(node->below);
    g_free(node);
}

/* Splits "a=b,c=d,,e" at single commas; the first may have no key. */
static GHashTable *
virForeignParseOpts(const char *text)
{
    GHashTable *opts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GString) one = g_string_new(NULL);

    for (const char *p = text;; p++) {
        const char *equal;

        if (*p == ',' && p[1] == ',') {
            g_string_append_c(one, *p++);
            continue;
        }
        if (*p && *p != ',') {
            g_string_append_c(one, *p);
            continue;
        }
        equal = strchr(one->str, '=');
        if (equal)
            g_hash_table_insert(opts, g_strndup(one->str, (gsize)(equal - one->str)),
                                g_strdup(equal + 1));
        g_string_truncate(one, 0);
        if (!*p)
            return opts;
    }
}

static gboolean
virForeignIsOn(const char *value)
{
    return value && (g_str_equal(value, "on") || g_str_equal(value, "true") ||
                     g_str_equal(value, "yes"));
}

static virForeignNode *
virForeignNodeOfOpts(GHashTable *opts)
{
    virForeignNode *node = g_new0(virForeignNode, 1);
    const char *file = g_hash_table_lookup(opts, "filename");

    node->name = g_strdup(g_hash_table_lookup(opts, "node-name"));
    node->driver = g_strdup(g_hash_table_lookup(opts, "driver"));
    node->path = g_strdup(file ? file : g_hash_table_lookup(opts, "file.filename"));
    node->below = g_strdup(g_hash_table_lookup(opts, "file"));
    node->direct = virForeignIsOn(g_hash_table_lookup(opts, "cache.direct")) ||
                   virForeignIsOn(g_hash_table_lookup(opts, "file.cache.direct"));
    return node;
}

static void
virForeignFlatten(JsonObject *object, const char *prefix, GHashTable *opts, guint depth)
{
    g_autoptr(GList) members = json_object_get_members(object);

    for (GList *m = members; m; m = m->next) {
        JsonNode *value = json_object_get_member(object, m->data);
        g_autofree char *key = g_strdup_printf("%s%s", prefix, (char *)m->data);
        g_autofree char *below = g_strdup_printf("%s.", key);

        if (JSON_NODE_HOLDS_OBJECT(value) && depth < 8)
            virForeignFlatten(json_node_get_object(value), below, opts, depth + 1);
        else if (JSON_NODE_HOLDS_VALUE(value) &&
                 json_node_get_value_type(value) == G_TYPE_STRING)
            g_hash_table_insert(opts, g_steal_pointer(&key),
                                g_strdup(json_node_get_string(value)));
        else if (JSON_NODE_HOLDS_VALUE(value) &&
                 json_node_get_value_type(value) == G_TYPE_BOOLEAN)
            g_hash_table_insert(opts, g_steal_pointer(&key),
                                g_strdup(json_node_get_boolean(value) ? "on" : "off"));
    }
}

static GHashTable *
virForeignParseBlockdev(const char *text)
{
    g_autoptr(JsonParser) parser = NULL;
    GHashTable *opts;

    if (*text != '{')
        return virForeignParseOpts(text);
    parser = json_parser_new_immutable();
    opts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (json_parser_load_from_data(parser, text, -1, NULL) &&
        json_parser_get_root(parser) &&
        JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser)))
        virForeignFlatten(json_node_get_object(json_parser_get_root(parser)), "", opts,
                          0);
    return opts; /* what is not JSON is QEMU's to complain about */
}

static virForeignNode *
virForeignNodeOfDrive(const char *text)
{
    g_autoptr(GHashTable) opts = virForeignParseOpts(text);
    virForeignNode *node = g_new0(virForeignNode, 1);
    const char *cache = g_hash_table_lookup(opts, "cache");
    const char *format = g_hash_table_lookup(opts, "format");
    const char *file = g_hash_table_lookup(opts, "file");

    node->driver = g_strdup(format ? format : g_hash_table_lookup(opts, "driver"));
    node->path = g_strdup(file ? file : g_hash_table_lookup(opts, "file.filename"));
    node->direct = virForeignIsOn(g_hash_table_lookup(opts, "cache.direct")) ||
                   (cache && (g_str_equal(cache, "none") || g_str_equal(cache, "off") ||
                              g_str_equal(cache, "directsync")));
    return node;
}

static GPtrArray *
virForeignNodes(const char *const *argv)
{
    static const char *const plain[] = {"hda",    "hdb",      "hdc", "hdd",
                                        "cdrom",  "fda",      "fdb", "sd",
                                        "pflash", "mtdblock", NULL};
    GPtrArray *nodes = g_ptr_array_new_with_free_func((GDestroyNotify)virForeignNodeFree);

    for (gsize i = 1; argv[i] && argv[i + 1]; i++) {
        const char *option = virForeignOption(argv[i]);

        if (!option)
            continue;
        if (g_str_equal(option, "drive")) {
            g_ptr_array_add(nodes, virForeignNodeOfDrive(argv[i + 1]));
        } else if (g_str_equal(option, "blockdev")) {
            g_autoptr(GHashTable) opts = virForeignParseBlockdev(argv[i + 1]);

            g_ptr_array_add(nodes, virForeignNodeOfOpts(opts));
        } else if (g_strv_contains(plain, option)) {
            virForeignNode *node = g_new0(virForeignNode, 1);

            node->path = g_strdup(argv[i + 1]);
            g_ptr_array_add(nodes, node);
        }
    }
    return nodes;
}

static char *
virForeignAbsolute(const char *path)
{
    g_autofree char *cwd = g_get_current_dir();

    return g_path_is_absolute(path) ? g_strdup(path) : g_build_filename(cwd, path, NULL);
}

static const virForeignNode *
virForeignNodeAbove(GPtrArray *nodes, const virForeignNode *storage)
{
    for (guint i = 0; storage->name && i < nodes->len; i++) {
        const virForeignNode *node = g_ptr_array_index(nodes, i);

        if (g_strcmp0(node->below, storage->name) == 0)
            return node;
    }
    return NULL;
}

static gboolean
virForeignIsStorage(const char *driver)
{
    return g_strcmp0(driver, "file") == 0 || g_strcmp0(driver, "host_device") == 0;
}

/* Finds what the line says about a declared image: the node that opens it, and through it
 * the one that gives it a format. */
static void
virForeignMatch(virDomainForeignImage *image, GPtrArray *nodes)
{
    for (guint i = 0; i < nodes->len; i++) {
        const virForeignNode *node = g_ptr_array_index(nodes, i);
        g_autofree char *path = node->path ? virForeignAbsolute(node->path) : NULL;
        const virForeignNode *above;
        const char *format = node->driver;

        if (g_strcmp0(path, image->path) != 0)
            continue;
        above =
            virForeignIsStorage(node->driver) ? virForeignNodeAbove(nodes, node) : NULL;
        if (above)
            format = above->driver;
        else if (virForeignIsStorage(format))
            format = "raw"; /* used without a format layer */
        image->found = TRUE;
        image->direct = node->direct;
        if (format) {
            g_free(image->format);
            image->format = g_strdup(format);
        }
        return;
    }
}

static gboolean
virForeignTakeDisks(virDomainDef *def, const virDomainLockCommand *command,
                    GError **error)
{
    g_autoptr(GPtrArray) nodes = virForeignNodes(command->argv);

    for (gsize i = 0; i < command->nDisks; i++) {
        virDomainForeignImage *image;

        if (!command->disks[i].path || !*command->disks[i].path)
            return virDomainError(error, "a disk has an empty path");
        image = g_new0(virDomainForeignImage, 1);
        g_ptr_array_add(def->foreignImages, image);
        image->path = virForeignAbsolute(command->disks[i].path);
        image->format = g_strdup("raw");
        image->flags = command->disks[i].flags;
        virForeignMatch(image, nodes);
    }
    return TRUE;
}

virDomainDef *
virDomainDefFromCommand(const virDomainLockCommand *command, guint flags, GError **error)
{
    g_autoptr(virDomainDef) def = virDomainDefNew(flags);

    def->foreign = TRUE;
    def->name = g_strdup(command->name);
    if (!command->name || !command->argv || !command->argv[0] || !*command->argv[0]) {
        virDomainError(error, "a name and a command are needed");
        return NULL;
    }
    if (!virDomainCheckName(def->name, error) ||
        !virForeignCheckOptions(command->argv, error) ||
        !virForeignTakeUuid(def, command, error) ||
        !virForeignTakeDisks(def, command, error))
        return NULL;
    def->foreignArgv = g_strdupv((char **)command->argv);
    return g_steal_pointer(&def);
}

/* --- images, argv ---------------------------------------------------------------------------------- */

gboolean
virDomainForeignCheckCache(const virDomainDef *def, GError **error)
{
    for (guint i = 0; i < def->foreignImages->len && def->directIoRequired; i++) {
        const virDomainForeignImage *image = g_ptr_array_index(def->foreignImages, i);

        if ((image->flags & VIR_LOCK_MANAGER_RESOURCE_READONLY) || image->direct)
            continue;
        return virDomainError(
            error,
            "disk '%s': the command line %s; use cache=none (or cache.direct=on), or "
            "--unsafe-cache",
            image->path,
            image->found
                ? "opens it through this host's page cache, from where writes reach the "
                  "storage after another host has taken the lease"
                : "does not name it in a way that tells its cache mode");
    }
    return TRUE;
}

gboolean
virDomainForeignReadChains(virDomainDef *def, GCancellable *cancellable, GError **error)
{
    for (guint i = 0; i < def->foreignImages->len; i++) {
        virDomainForeignImage *image = g_ptr_array_index(def->foreignImages, i);
        g_autofree char *what = g_strdup_printf("disk '%s'", image->path);
        g_autoptr(virImageChain) seen = g_steal_pointer(&image->chain);

        image->chain =
            seen ? virImageChainRead(image->path, image->format, what, cancellable, error)
                 : virImageChainReadAndLook(image->path, image->format, what, cancellable,
                                            error);
        if (!image->chain)
            return FALSE;
        if (seen)
            virImageChainRecall(image->chain, seen);
        for (guint depth = 0; depth < image->chain->images->len; depth++) {
            const virImage *one = g_ptr_array_index(image->chain->images, depth);

            for (int data = 0; data < (one->dataFile ? 2 : 1); data++) {
                virDomainResource *resource =
                    virDomainAddResource(def, VIR_LOCK_RESOURCE_DISK,
                                         g_strdup(data ? one->dataFile : one->path), NULL,
                                         data ? "raw" : one->format);

                resource->flags = image->flags;
                if (depth)
                    resource->flags |= VIR_LOCK_MANAGER_RESOURCE_READONLY;
                resource->depth = depth;
                resource->directIo = image->direct;
            }
        }
    }
    return TRUE;
}

char **
virDomainForeignFormatArgv(const virDomainDef *def, const virDomainArgvContext *context,
                           GError **error)
{
    g_autoptr(GPtrArray) args = g_ptr_array_new_with_free_func(g_free);
    virArgv argv = {def, context, args};
    const char *program = def->foreignArgv[0];
    g_autofree char *found = g_find_program_in_path(program);
    g_autofree char *absolute = found ? virForeignAbsolute(found) : NULL;

    if (!absolute) {
        virDomainError(error, "cannot find the program '%s'", program);
        return NULL;
    }
    virArgvAdd(&argv, absolute, NULL);
    for (gsize i = 1; def->foreignArgv[i]; i++)
        virArgvAdd(&argv, def->foreignArgv[i], NULL);
    virArgvAdd(&argv, "-S", NULL);
    virArgvAdd(&argv, "-no-shutdown", NULL);
    virArgvActions(&argv);
    virArgvAdd(&argv, "-sandbox",
               "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    if (!def->foreignHasUuid)
        virArgvAdd(&argv, "-uuid", def->uuid);
    virArgvMonitor(&argv);
    g_ptr_array_add(args, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&args), FALSE);
}
