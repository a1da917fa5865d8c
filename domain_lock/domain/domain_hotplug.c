/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_hotplug.c: disks that come to the description of a running guest, and go.
 *
 * A disk is read, checked and laid out by the same functions as at the start; what QEMU gets
 * over QMP are the options of its command line, word for word, so that a disk that was plugged
 * cannot differ from one that was there.
 */
#include "config.h"
#include "domain_argv.h"

#include <string.h>

virDomainDisk *
virDomainFindDisk(const virDomainDef *def, const char *target)
{
    for (guint i = 0; i < def->disks->len; i++) {
        virDomainDisk *disk = g_ptr_array_index(def->disks, i);

        if (g_strcmp0(disk->target, target) == 0)
            return disk;
    }
    return NULL;
}

gboolean
virDomainCheckPlugs(const virDomainDef *def, GError **error)
{
    if (!def->foreign)
        return TRUE;
    g_set_error(
        error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
        "guest '%s' was started with a command line of its own: its disks are not "
        "known by target, so none can come or go while it runs",
        def->name);
    return FALSE;
}

/* --- adding -------------------------------------------------------------------------------- */

/* Another disk of this name, which is not @disk itself. */
static gboolean
virDomainCheckTargetIsFree(virDomainDef *def, const virDomainDisk *disk, GError **error)
{
    const virDomainDisk *other = virDomainFindDisk(def, disk->target);

    return other == disk ||
           virDomainError(error, "target '%s' is in use: disk '%s' has it", disk->target,
                          other->path ? other->path : "without a medium");
}

static gboolean
virDomainReadNewDisk(virDomainDef *def, virXmlNode *root, GError **error)
{
    virDomainDisk *disk;

    if (!g_str_equal(root->name, "disk") || root->ns)
        return virXmlError(root, error, "the root element is not <disk>");
    if (!virDomainParseDisk(root, def, error))
        return FALSE;
    disk = g_ptr_array_index(def->disks, def->disks->len - 1);
    return virDomainCheckTargetIsFree(def, disk, error) &&
           virDomainCheckDisks(def, error) &&
           (!def->directIoRequired || virDomainDefRequireDirectIo(def, error)) &&
           virDomainPlaceHotDisk(def, disk, error);
}

const char *
virDomainDefAddDisk(virDomainDef *def, const char *xml, GError **error)
{
    g_autoptr(virXmlNode) root = NULL;
    guint before = def->disks->len;
    virDomainDisk *disk;

    if (!virDomainCheckPlugs(def, error))
        return NULL;
    root = virXmlParse(xml, -1, error);
    if (!root)
        return NULL;
    if (!virDomainReadNewDisk(def, root, error)) {
        g_ptr_array_set_size(def->disks, (gint)before);
        return NULL;
    }
    disk = g_ptr_array_index(def->disks, before);
    disk->dev.xml = virDomainLiveAdopt(def, root);
    return disk->target;
}

void
virDomainDefRemoveDisk(virDomainDef *def, const char *target)
{
    virDomainDisk *disk = virDomainFindDisk(def, target);
    virDomainResource *resource;

    while ((resource = virDomainDefFirstOfDisk(def, target)))
        virDomainDefDropResource(def, resource);
    virDomainLiveForget(&disk->dev.xml);
    g_ptr_array_remove(def->disks, disk);
    virDomainUpdateFingerprint(def);
}

/* --- asking -------------------------------------------------------------------------------- */

char **
virDomainDefGetDiskTargets(const virDomainDef *def)
{
    g_autoptr(GStrvBuilder) targets = g_strv_builder_new();

    for (guint i = 0; i < def->disks->len; i++)
        g_strv_builder_add(targets,
                           ((virDomainDisk *)g_ptr_array_index(def->disks, i))->target);
    return g_strv_builder_end(targets);
}

static char *
virDomainListTargets(const virDomainDef *def)
{
    g_auto(GStrv) targets = virDomainDefGetDiskTargets(def);

    return g_strjoinv(", ", targets);
}

const char *
virDomainDefGetDiskId(const virDomainDef *def, const char *target, GError **error)
{
    const virDomainDisk *disk = virDomainFindDisk(def, target);
    g_autofree char *targets = NULL;

    if (!virDomainCheckPlugs(def, error))
        return NULL;
    if (disk)
        return disk->dev.id;
    targets = virDomainListTargets(def);
    virDomainError(error, "there is no disk '%s'; the guest has %s", target,
                   *targets ? targets : "no disks");
    return NULL;
}

gboolean
virDomainDefIsBootDisk(const virDomainDef *def, const char *target)
{
    const virDomainDisk *first = NULL;

    for (guint i = 0; i < def->disks->len; i++) {
        const virDomainDisk *disk = g_ptr_array_index(def->disks, i);

        if (disk->device == VIR_DOMAIN_DISK_DISK && disk->dev.bootOrder &&
            (!first || disk->dev.bootOrder < first->dev.bootOrder))
            first = disk;
    }
    return first && g_str_equal(first->target, target);
}

const char *
virDomainDefFindDiskById(const virDomainDef *def, const char *id)
{
    for (guint i = 0; i < def->disks->len; i++) {
        const virDomainDisk *disk = g_ptr_array_index(def->disks, i);

        if (g_strcmp0(disk->dev.id, id) == 0)
            return disk->target;
    }
    return NULL;
}

virDomainResource *
virDomainDefFirstOfDisk(const virDomainDef *def, const char *target)
{
    for (guint i = 0; i < def->resources->len; i++) {
        virDomainResource *resource = g_ptr_array_index(def->resources, i);

        if (g_strcmp0(resource->target, target) == 0)
            return resource;
    }
    return NULL;
}

void
virDomainDefDropResource(virDomainDef *def, virDomainResource *resource)
{
    g_ptr_array_remove(def->resources, resource);
}

/* --- the words of the command line for QMP ------------------------------------------------- */

/* A value of -device in JSON: numbers and booleans as QMP has them, all else is text. */
static void
virPlugSet(JsonObject *object, const char *key, const char *value)
{
    static const char *const numbers[] = {"channel",
                                          "scsi-id",
                                          "lun",
                                          "bootindex",
                                          "num-queues",
                                          "queue-size",
                                          "logical_block_size",
                                          "physical_block_size",
                                          "rotation_rate",
                                          "wwn",
                                          NULL};
    static const char *const booleans[] = {"ioeventfd", "event_idx", "packed",
                                           "share-rw",  "removable", "multifunction",
                                           NULL};
    guint64 number = 0;

    if (g_strv_contains(booleans, key))
        json_object_set_boolean_member(object, key, g_str_equal(value, "on"));
    else if (g_strv_contains(numbers, key) && virXmlParseNumber(value, 0, &number))
        json_object_set_int_member(object, key, (gint64)number);
    else
        json_object_set_string_member(object, key, value);
}

/* "driver,key=value,...": a comma in a value is doubled. */
static JsonObject *
virPlugDevice(const char *options)
{
    JsonObject *object = json_object_new();
    g_autoptr(GString) word = g_string_new(NULL);

    for (const char *p = options;; p++) {
        char *equals;

        if (*p && *p != ',') {
            g_string_append_c(word, *p);
            continue;
        }
        if (*p == ',' && p[1] == ',') {
            g_string_append_c(word, *p++);
            continue;
        }
        equals = strchr(word->str, '=');
        if (equals)
            *equals = '\0';
        virPlugSet(object, equals ? word->str : "driver",
                   equals ? equals + 1 : word->str);
        g_string_truncate(word, 0);
        if (!*p)
            return object;
    }
}

GPtrArray *
virDomainDefFormatNodes(const virDomainDef *def, const char *target, virImageChain *chain)
{
    const virDomainArgvContext context = {NULL};
    g_autoptr(GPtrArray) args = g_ptr_array_new_with_free_func(g_free);
    GPtrArray *nodes = g_ptr_array_new_with_free_func((GDestroyNotify)json_object_unref);
    virArgv argv = {def, &context, args};
    virDomainDisk disk = *virDomainFindDisk(def, target);

    disk.chain = chain;
    virArgvDiskNodes(&argv, &disk);
    for (guint i = 1; i < args->len; i += 2) {
        g_autoptr(JsonNode) node = json_from_string(g_ptr_array_index(args, i), NULL);

        g_ptr_array_add(nodes, json_node_dup_object(node));
    }
    return nodes;
}

static void
virPlugDropFalse(JsonObject *object, const char *key)
{
    if (json_object_has_member(object, key) &&
        !json_object_get_boolean_member(object, key))
        json_object_remove_member(object, key);
}

/* Without what blockdev-add assumes anyway: QEMU reads its monitor byte by byte, and each costs
 * 2 us. (blockdev-reopen does not assume the same.) */
static JsonObject *
virPlugNode(const char *text)
{
    g_autoptr(JsonNode) node = json_from_string(text, NULL);
    JsonObject *object = json_node_dup_object(node);

    virPlugDropFalse(object, "read-only");
    virPlugDropFalse(object, "auto-read-only");
    virPlugDropFalse(json_object_get_object_member(object, "cache"), "no-flush");
    return object;
}

virDomainPlug *
virDomainPlugOfDisk(const virDomainDef *def, const virDomainDisk *disk)
{
    const virDomainArgvContext context = {NULL};
    g_autoptr(GPtrArray) args = g_ptr_array_new_with_free_func(g_free);
    virArgv argv = {def, &context, args};
    virDomainPlug *plug = g_new0(virDomainPlug, 1);

    plug->nodes = g_ptr_array_new_with_free_func((GDestroyNotify)json_object_unref);
    virArgvDisk(&argv, disk);
    for (guint i = 0; i < args->len; i += 2) {
        const char *value = g_ptr_array_index(args, i + 1);

        if (g_str_equal(g_ptr_array_index(args, i), "-blockdev"))
            g_ptr_array_add(plug->nodes, virPlugNode(value));
        else
            plug->device = virPlugDevice(value);
    }
    return plug;
}

virDomainPlug *
virDomainDefFormatPlug(const virDomainDef *def, const char *target)
{
    return virDomainPlugOfDisk(def, virDomainFindDisk(def, target));
}

void
virDomainPlugFree(virDomainPlug *plug)
{
    if (!plug)
        return;
    g_ptr_array_unref(plug->nodes);
    json_object_unref(plug->device);
    g_free(plug);
}
