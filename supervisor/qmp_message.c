/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qmp_message.c: see qmp_message.h. */
#include "supervisor/qmp_message.h"
#include "common/text.h"

char *
virQmpMessageFormat(const char *name, JsonObject *args, gint64 id)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    g_autofree char *text = NULL;
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "execute", name);
    if (args)
        json_object_set_object_member(object, "arguments", json_object_ref(args));
    json_object_set_int_member(object, "id", id);
    json_node_take_object(node, object);
    text = json_to_string(node, FALSE);
    return g_strconcat(text, "\n", NULL);
}

JsonNode *
virQmpMessageResult(const char *name, JsonNode *reply, GError **error)
{
    JsonObject *object = json_node_get_object(reply);
    JsonNode *problem = json_object_get_member(object, "error");
    const char *desc = NULL;
    g_autofree char *words = NULL;

    if (json_object_has_member(object, "return"))
        return json_object_dup_member(object, "return");
    if (problem && JSON_NODE_HOLDS_OBJECT(problem))
        desc = json_object_get_string_member_with_default(json_node_get_object(problem),
                                                          "desc", NULL);
    words = virTextPrintable(desc);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL, "QEMU refused '%s': %s",
                name, words);
    return NULL;
}
