/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * block_graph.c: the nodes of a disk in QEMU.
 *
 * Which image is in use is not concluded from names in headers or from what a job has said:
 * QEMU deletes a node only when nothing uses it.
 */
#include "block.h"
#include "domain_lock/codec.h"
#include <string.h>

gboolean
virBlockCommand(virDomainLockObj *obj, const char *name, JsonObject *args, GError **error)
{
    g_autoptr(JsonNode) answer = obj->guest->ops->command(
        obj->guest, name, args, g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC, error);

    return answer != NULL;
}

JsonNode *
virBlockQuery(virDomainLockObj *obj, const char *name, JsonObject *args, GError **error)
{
    g_autoptr(JsonNode) list = obj->guest->ops->command(
        obj->guest, name, args, g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC, error);

    if (!list)
        return NULL;
    if (JSON_NODE_HOLDS_ARRAY(list))
        return g_steal_pointer(&list);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                "QEMU's answer to %s is no list", name);
    return NULL;
}

JsonNode *
virBlockNodes(virDomainLockObj *obj, GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();

    json_object_set_boolean_member(args, "flat", TRUE);
    return virBlockQuery(obj, "query-named-block-nodes", args, error);
}

static JsonObject *
virBlockElement(JsonNode *list, guint i)
{
    JsonNode *node = json_array_get_element(json_node_get_array(list), i);

    return JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

static guint
virBlockLength(JsonNode *list)
{
    return json_array_get_length(json_node_get_array(list));
}

JsonObject *
virBlockFind(JsonNode *list, const char *key, const char *value)
{
    for (guint i = 0; i < virBlockLength(list); i++) {
        JsonObject *object = virBlockElement(list, i);

        if (object && g_strcmp0(virDomainLockJsonString(object, key), value) == 0)
            return object;
    }
    return NULL;
}

char *
virBlockNodeName(const char *target, guint number, const char *layer)
{
    return g_strdup_printf("%s-%u-%s", target, number, layer);
}

/* "virtio-disk0", or the path "/machine/peripheral/virtio-disk0/virtio-backend" */
static gboolean
virBlockIsDevice(const char *qdev, const char *id)
{
    g_auto(GStrv) parts = g_strsplit(qdev ? qdev : "", "/", -1);

    return g_strv_contains((const char *const *)parts, id);
}

char *
virBlockTopNode(virDomainLockObj *obj, const char *target, GError **error)
{
    const char *id = virDomainDefGetDiskId(obj->def, target, error);
    g_autoptr(JsonNode) list = id ? virBlockQuery(obj, "query-block", NULL, error) : NULL;

    for (guint i = 0; list && i < virBlockLength(list); i++) {
        JsonObject *device = virBlockElement(list, i);
        JsonObject *inserted = virDomainLockJsonObject(device, "inserted");
        const char *node = virDomainLockJsonString(inserted, "node-name");

        if (node && virBlockIsDevice(virDomainLockJsonString(device, "qdev"), id))
            return g_strdup(node);
    }
    if (list)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "QEMU has no medium in device '%s'", id);
    return NULL;
}

gint64
virBlockVirtualSize(virDomainLockObj *obj, const char *node, GError **error)
{
    g_autoptr(JsonNode) nodes = virBlockNodes(obj, error);
    JsonObject *found = nodes ? virBlockFind(nodes, "node-name", node) : NULL;
    JsonObject *image = virDomainLockJsonObject(found, "image");
    gint64 size = virDomainLockJsonInt(image, "virtual-size", -1);

    if (nodes && size < 0)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                    "QEMU does not say how large block node '%s' is", node);
    return size;
}

/* --- deleting ------------------------------------------------------------------------ */

gboolean
virBlockNodeNumber(const char *name, const char *target, const char *layer, guint *number)
{
    g_autofree char *prefix = g_strconcat(target, "-", NULL);
    g_autofree char *suffix = g_strconcat("-", layer, NULL);
    g_autofree char *digits = NULL;
    guint64 value = 0;

    if (!name || !g_str_has_prefix(name, prefix) || !g_str_has_suffix(name, suffix) ||
        strlen(name) <= strlen(prefix) + strlen(suffix))
        return FALSE;
    digits =
        g_strndup(name + strlen(prefix), strlen(name) - strlen(prefix) - strlen(suffix));
    if (!g_ascii_string_to_unsigned(digits, 10, 0, G_MAXUINT, &value, NULL))
        return FALSE;
    *number = (guint)value;
    return TRUE;
}

/* An upper layer uses the lower one: in this order one round is enough for one image. */
static const char *const layers[] = {"format", "storage", "data"};

static void
virBlockTryDelete(virBlockDisk *disk, JsonNode *nodes, const char *layer)
{
    for (guint i = 0; i < virBlockLength(nodes); i++) {
        const char *name =
            virDomainLockJsonString(virBlockElement(nodes, i), "node-name");
        g_autoptr(JsonObject) args = json_object_new();
        g_autoptr(GError) inUse = NULL;
        guint number;

        if (!virBlockNodeNumber(name, disk->target, layer, &number))
            continue;
        json_object_set_string_member(args, "node-name", name);
        if (!virBlockCommand(disk->obj, "blockdev-del", args, &inUse))
            g_debug("%s stays: %s", name, inUse->message);
    }
}

static GArray *
virBlockNumbers(virBlockDisk *disk, JsonNode *nodes)
{
    GArray *numbers = g_array_new(FALSE, FALSE, sizeof(guint));
    g_autoptr(GHashTable) seen = g_hash_table_new(g_direct_hash, g_direct_equal);

    for (guint i = 0; i < virBlockLength(nodes); i++) {
        const char *name =
            virDomainLockJsonString(virBlockElement(nodes, i), "node-name");
        guint number;

        for (gsize k = 0; k < G_N_ELEMENTS(layers); k++)
            if (virBlockNodeNumber(name, disk->target, layers[k], &number) &&
                g_hash_table_add(seen, GUINT_TO_POINTER(number)))
                g_array_append_val(numbers, number);
    }
    return numbers;
}

/* Backing files become free only when what is above them is gone: until a round deletes
 * nothing. */
gboolean
virBlockDropUnused(virBlockDisk *disk, GArray **left, GError **error)
{
    guint before = G_MAXUINT;

    for (;;) {
        g_autoptr(JsonNode) nodes = virBlockNodes(disk->obj, error);
        guint now = nodes ? virBlockLength(nodes) : 0;

        if (!nodes)
            return FALSE;
        if (now >= before) {
            *left = virBlockNumbers(disk, nodes);
            return TRUE;
        }
        before = now;
        for (gsize k = 0; k < G_N_ELEMENTS(layers); k++)
            virBlockTryDelete(disk, nodes, layers[k]);
    }
}

/* --- reopening ------------------------------------------------------------------------ */

static gboolean
virBlockIsOpenFor(JsonNode *nodes, const char *name, virBlockAccess access)
{
    JsonObject *node = virBlockFind(nodes, "node-name", name);

    return node && json_object_get_boolean_member_with_default(node, "ro", FALSE) ==
                       (access == VIR_BLOCK_READ);
}

static JsonObject *
virBlockOptions(GPtrArray *options, const char *name)
{
    for (guint i = 0; i < options->len; i++) {
        JsonObject *object = g_ptr_array_index(options, i);

        if (g_strcmp0(virDomainLockJsonString(object, "node-name"), name) == 0)
            return object;
    }
    return NULL;
}

gboolean
virBlockReopen(virBlockDisk *disk, const virImage *image, virBlockAccess access,
               GError **error)
{
    virDomainLockObj *obj = disk->obj;
    g_autoptr(JsonNode) nodes = virBlockNodes(obj, error);
    g_autoptr(GPtrArray) options = NULL;
    g_autoptr(JsonObject) args = json_object_new();
    JsonArray *list = json_array_new();

    json_object_set_array_member(args, "options", list);
    if (!nodes)
        return FALSE;
    options = virDomainDefFormatNodes(
        obj->def, disk->target,
        (virImageChain *)virDomainDefGetDiskChain(obj->def, disk->target));
    for (gsize k = access == VIR_BLOCK_READ ? 0 : 1; k < G_N_ELEMENTS(layers); k++) {
        g_autofree char *name = virBlockNodeName(disk->target, image->node, layers[k]);
        JsonObject *object = virBlockOptions(options, name);

        if (!object || virBlockIsOpenFor(nodes, name, access))
            continue;
        json_object_set_boolean_member(object, "read-only", access == VIR_BLOCK_READ);
        json_array_add_object_element(list, json_object_ref(object));
    }
    return json_array_get_length(list) == 0 ||
           virBlockCommand(obj, "blockdev-reopen", args, error);
}
