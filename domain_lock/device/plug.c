/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plug.c: see plug.h (I2, I3).
 */
#include "plug.h"
#include "domain_lock/audit.h"
#include "domain_lock/codec.h"

virLockWait
virPlugWait(gint64 usec)
{
    return (virLockWait){.structSize = sizeof(virLockWait),
                         .deadlineUsec = g_get_monotonic_time() + usec};
}

gboolean
virPlugCommand(virDomainLockObj *obj, const char *name, JsonObject *args, GError **error)
{
    g_autoptr(JsonNode) answer = obj->guest->ops->command(
        obj->guest, name, args, g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC, error);

    return answer != NULL;
}

gboolean
virPlugCommandOne(virDomainLockObj *obj, const char *name, const char *key,
                  const char *value, GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();

    json_object_set_string_member(args, key, value);
    return virPlugCommand(obj, name, args, error);
}

/* --- what QEMU has ----------------------------------------------------------------------- */

JsonNode *
virPlugQuery(virDomainLockObj *obj, const char *name, JsonObject *args, GError **error)
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

static gboolean
virPlugHas(JsonNode *list, const char *key, const char *value)
{
    JsonArray *array = json_node_get_array(list);

    for (guint i = 0; i < json_array_get_length(array); i++) {
        JsonNode *node = json_array_get_element(array, i);

        if (JSON_NODE_HOLDS_OBJECT(node) &&
            g_strcmp0(virDomainLockJsonString(json_node_get_object(node), key), value) ==
                0)
            return TRUE;
    }
    return FALSE;
}

gboolean
virPlugHasDevice(virDomainLockObj *obj, const char *id, gboolean *has, GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();
    g_autoptr(JsonNode) list = NULL;

    json_object_set_string_member(args, "path", "/machine/peripheral");
    list = virPlugQuery(obj, "qom-list", args, error);
    if (list)
        *has = virPlugHas(list, "name", id);
    return list != NULL;
}

static const char *
virPlugNodeName(const GPtrArray *nodes, guint i)
{
    return json_object_get_string_member(g_ptr_array_index(nodes, i), "node-name");
}

/* One of the nodes that QEMU still has, or NULL when all are gone. */
static gboolean
virPlugFindNode(virDomainLockObj *obj, const GPtrArray *nodes, const char **left,
                GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();
    g_autoptr(JsonNode) list = NULL;

    json_object_set_boolean_member(args, "flat", TRUE);
    list = virPlugQuery(obj, "query-named-block-nodes", args, error);
    *left = NULL;
    for (guint i = 0; list && i < nodes->len && !*left; i++) {
        if (virPlugHas(list, "node-name", virPlugNodeName(nodes, i)))
            *left = virPlugNodeName(nodes, i);
    }
    return list != NULL;
}

/* --- nodes -------------------------------------------------------------------------------- */

gboolean
virPlugAddNodes(virDomainLockObj *obj, const GPtrArray *nodes, JsonNode **open,
                GError **error)
{
    const guint n = nodes->len + 1;
    g_autofree virDomainLockGuestCommand *commands =
        g_new0(virDomainLockGuestCommand, n);
    g_autoptr(JsonObject) flat = virDomainLockAuditArgs();

    for (guint i = 0; i < nodes->len; i++)
        commands[i] = (virDomainLockGuestCommand){
            .name = "blockdev-add", .args = g_ptr_array_index(nodes, i)};
    commands[n - 1] =
        (virDomainLockGuestCommand){.name = VIR_AUDIT_QUERY, .args = flat};
    if (!obj->guest->ops->commands(
            obj->guest, commands, n,
            g_get_monotonic_time() + n * VIR_SEQUENCE_QMP_USEC, error))
        return FALSE;
    for (guint i = 0; i < nodes->len; i++)
        json_node_unref(commands[i].answer);
    *open = commands[n - 1].answer;
    return TRUE;
}

/* Whether a node went is looked at, not concluded from the answer: one that was never added
 * is an error of blockdev-del, too. */
gboolean
virPlugDropNodes(virDomainLockObj *obj, const GPtrArray *nodes, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + VIR_PLUG_UNDO_USEC;
    g_autofree char *words = NULL;
    const char *left = NULL;

    for (;;) {
        for (guint i = nodes->len; i-- > 0 && g_get_monotonic_time() < deadline;) {
            g_autoptr(GError) why = NULL;

            if (virPlugCommandOne(obj, "blockdev-del", "node-name",
                                  virPlugNodeName(nodes, i), &why))
                continue;
            g_free(words);
            words = g_strdup(why->message);
        }
        if (!virPlugFindNode(obj, nodes, &left, error))
            return FALSE;
        if (!left)
            return TRUE;
        if (g_get_monotonic_time() >= deadline)
            break;
        g_usleep(VIR_PLUG_POLL_USEC);
    }
    g_set_error(
        error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
        "QEMU still has block node '%s' open (%s); the leases of the disk stay held",
        left, words ? words : "no reason is known");
    return FALSE;
}

/* --- leases of single images ---------------------------------------------------------------- */

gboolean
virPlugTake(virDomainLockObj *obj, const virDomainResource *resource,
            const virLockWait *wait, GError **error)
{
    if (virDomainLockGuardedByKey(obj->config, virDomainDefGetResources(obj->def),
                                  resource))
        return TRUE;
    return virDomainLockAcquire(obj, resource, wait, error);
}

/* I3, whoever calls, and whatever went wrong before. */
static gboolean
virPlugSeeClosed(virDomainLockObj *obj, const char *node, GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();
    g_autoptr(JsonNode) list = NULL;

    json_object_set_boolean_member(args, "flat", TRUE);
    list = virPlugQuery(obj, "query-named-block-nodes", args, error);
    if (!list)
        return FALSE;
    if (!virPlugHas(list, "node-name", node))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                "QEMU still has block node '%s' open; its lease stays held", node);
    return FALSE;
}

/* An image that the guest's <lease> elements guard has no lease of its own to give up. */
gboolean
virPlugGiveUp(virDomainLockObj *obj, virDomainResource *resource, const virLockWait *wait,
              GError **error)
{
    g_autoptr(GError) why = NULL;

    if (resource->node && !virPlugSeeClosed(obj, resource->node, error))
        return FALSE;
    if (!virLockManagerReleaseResource(obj->man, resource->type, resource->path, wait,
                                       &why) &&
        !(g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE) &&
          virDomainLockGuardedByKey(obj->config, virDomainDefGetResources(obj->def),
                                    resource))) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    virDomainDefDropResource(obj->def, resource);
    virDomainLockObjUpdateLeases(obj);
    return TRUE;
}

gboolean
virPlugRelease(virDomainLockObj *obj, const char *target, GError **error)
{
    virLockWait wait = virPlugWait(VIR_PLUG_UNDO_USEC);
    virDomainResource *resource;

    while ((resource = virDomainDefFirstOfDisk(obj->def, target)))
        if (!virPlugGiveUp(obj, resource, &wait, error))
            return FALSE;
    return TRUE;
}

GPtrArray *
virPlugResources(virDomainLockObj *obj, const char *target)
{
    GPtrArray *all = virDomainDefGetResources(obj->def);
    GPtrArray *mine = g_ptr_array_new();

    for (guint i = 0; i < all->len; i++) {
        virDomainResource *resource = g_ptr_array_index(all, i);

        if (g_strcmp0(resource->target, target) == 0)
            g_ptr_array_add(mine, resource);
    }
    return mine;
}

/* --- state ------------------------------------------------------------------------------- */

gboolean
virPlugCheckState(virDomainLockObj *obj, const char *what, GError **error)
{
    virDomainLockReason reason;
    virDomainLockState state = virDomainLockObjGetStateAndReason(obj, &reason);

    if ((state == VIR_DOMAIN_LOCK_STATE_RUNNING ||
         state == VIR_DOMAIN_LOCK_STATE_PAUSED) &&
        reason != VIR_DOMAIN_LOCK_REASON_LEASE_LOST &&
        reason != VIR_DOMAIN_LOCK_REASON_YIELDED && !virDomainLockObjIsLeaseLost(obj))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "cannot %s guest '%s': it is %s%s", what, obj->status->info->name,
                virDomainLockStateName(state),
                virDomainLockObjIsLeaseLost(obj) ? ", and its leases are lost" : "");
    return FALSE;
}
