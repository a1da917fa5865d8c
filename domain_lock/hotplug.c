/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hotplug.c: disks that come and go while the guest runs (I2, I3).
 *
 *   attach:1 describe         the <disk> element, a place on a bus; text only
 *   attach:2 chain            which images it consists of
 *   attach:3 leases           each image of the chain
 *   attach:4 chain again      under the leases
 *   attach:5 use records      the epochs advance before QEMU opens an image
 *   attach:6 blockdev-add     lowest node first
 *   attach:7 audit            nothing open that no lease covers
 *   attach:8 device_add       the guest sees the disk
 *
 *   detach:1 look up
 *   detach:2 device_del       a request: the guest answers it when it likes, or never
 *   detach:3 blockdev-del     at DEVICE_DELETED; every node is seen gone
 *   detach:4 release, and the description is without the disk
 *
 * The audit comes before device_add because all that QEMU will have open is open then, and a
 * failure can still be undone without asking the guest. A lease is given up only after the
 * nodes of the disk were seen gone; where that cannot be seen, disk and lease stay in the
 * description, and detach can be tried again.
 */
#include "audit.h"
#include "codec.h"
#include "sequence.h"
#include "undo.h"

#define HOTPLUG_ATTACH_USEC (60 * G_USEC_PER_SEC)
#define HOTPLUG_UNDO_USEC (10 * G_USEC_PER_SEC)
#define HOTPLUG_POLL_USEC 10000

static virLockWait
virHotplugWait(gint64 usec)
{
    return (virLockWait){.structSize = sizeof(virLockWait),
                         .deadlineUsec = g_get_monotonic_time() + usec};
}

static gboolean
virHotplugCommand(virDomainLockObj *obj, const char *name, JsonObject *args,
                  GError **error)
{
    g_autoptr(JsonNode) answer = obj->guest->ops->command(
        obj->guest, name, args, g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC, error);

    return answer != NULL;
}

static gboolean
virHotplugCommandOne(virDomainLockObj *obj, const char *name, const char *key,
                     const char *value, GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();

    json_object_set_string_member(args, key, value);
    return virHotplugCommand(obj, name, args, error);
}

/* --- what QEMU has ----------------------------------------------------------------------- */

/* The list that a query answers, or NULL. */
static JsonNode *
virHotplugQuery(virDomainLockObj *obj, const char *name, JsonObject *args, GError **error)
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
virHotplugHas(JsonNode *list, const char *key, const char *value)
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

static gboolean
virHotplugHasDevice(virDomainLockObj *obj, const char *id, gboolean *has, GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();
    g_autoptr(JsonNode) list = NULL;

    json_object_set_string_member(args, "path", "/machine/peripheral");
    list = virHotplugQuery(obj, "qom-list", args, error);
    if (list)
        *has = virHotplugHas(list, "name", id);
    return list != NULL;
}

static const char *
virHotplugNodeName(const virDomainPlug *plug, guint i)
{
    return json_object_get_string_member(g_ptr_array_index(plug->nodes, i), "node-name");
}

/* One of the nodes that QEMU still has, or NULL when all are gone. */
static gboolean
virHotplugFindNode(virDomainLockObj *obj, const virDomainPlug *plug, const char **left,
                   GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();
    g_autoptr(JsonNode) list = NULL;

    json_object_set_boolean_member(args, "flat", TRUE);
    list = virHotplugQuery(obj, "query-named-block-nodes", args, error);
    *left = NULL;
    for (guint i = 0; list && i < plug->nodes->len && !*left; i++) {
        if (virHotplugHas(list, "node-name", virHotplugNodeName(plug, i)))
            *left = virHotplugNodeName(plug, i);
    }
    return list != NULL;
}

/* --- taking away ------------------------------------------------------------------------- */

/* Whether a node went is looked at, not concluded from the answer: one that was never added
 * is an error of blockdev-del, too. */
static gboolean
virHotplugDropNodes(virDomainLockObj *obj, const virDomainPlug *plug, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + HOTPLUG_UNDO_USEC;
    g_autofree char *words = NULL;
    const char *left = NULL;

    for (;;) {
        for (guint i = plug->nodes->len; i-- > 0 && g_get_monotonic_time() < deadline;) {
            g_autoptr(GError) why = NULL;

            if (virHotplugCommandOne(obj, "blockdev-del", "node-name",
                                     virHotplugNodeName(plug, i), &why))
                continue;
            g_free(words);
            words = g_strdup(why->message);
        }
        if (!virHotplugFindNode(obj, plug, &left, error))
            return FALSE;
        if (!left)
            return TRUE;
        if (g_get_monotonic_time() >= deadline)
            break;
        g_usleep(HOTPLUG_POLL_USEC);
    }
    g_set_error(
        error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
        "QEMU still has block node '%s' open (%s); the leases of the disk stay held",
        left, words ? words : "no reason is known");
    return FALSE;
}

/* An image that the guest's <lease> elements guard has no lease of its own to give up. */
static gboolean
virHotplugGiveUp(virDomainLockObj *obj, const virDomainResource *resource,
                 const virLockWait *wait, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (virLockManagerReleaseResource(obj->man, resource->type, resource->path, wait,
                                      &why) ||
        (g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE) &&
         virDomainLockGuardedByKey(obj->config, virDomainDefGetResources(obj->def),
                                   resource)))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* Gives up what the disk needs, one by one; what was given up is not needed any more, so that
 * another try goes on where this one failed. */
static gboolean
virHotplugRelease(virDomainLockObj *obj, const char *target, GError **error)
{
    virLockWait wait = virHotplugWait(HOTPLUG_UNDO_USEC);
    virDomainResource *resource;

    while ((resource = virDomainDefFirstOfDisk(obj->def, target))) {
        if (!virHotplugGiveUp(obj, resource, &wait, error))
            return FALSE;
        virDomainDefDropResource(obj->def, resource);
        virDomainLockObjUpdateLeases(obj);
    }
    return TRUE;
}

/* --- attach ------------------------------------------------------------------------------ */

typedef struct {
    virDomainLockObj *obj;
    const char *xml;
    virLockWait wait;
    virUndo *undo;
    const char *target; /* the description's */
    guint taken;        /* of its resources */
    virDomainPlug *plug;
    gboolean left; /* what could not be undone needs the description */
} virAttach;

static gboolean
virAttachUndoDescribe(gpointer data, GError **error)
{
    virAttach *attach = data;

    if (!attach->left)
        virDomainDefRemoveDisk(attach->obj->def, attach->target);
    virDomainLockObjKeepDescription(attach->obj);
    return TRUE;
}

static gboolean
virAttachDescribe(virAttach *attach, GError **error)
{
    attach->target = virDomainDefAddDisk(attach->obj->def, attach->xml, error);
    if (!attach->target)
        return FALSE;
    virUndoPush(attach->undo, "describe the disk", virAttachUndoDescribe, attach);
    return TRUE;
}

static gboolean
virAttachReadChain(virAttach *attach, GError **error)
{
    return virDomainDefReadDiskChain(attach->obj->def, attach->target, NULL, error) &&
           virDomainLockObjUpdateDescription(attach->obj, error);
}

static GPtrArray *
virAttachResources(virAttach *attach)
{
    GPtrArray *all = virDomainDefGetResources(attach->obj->def);
    GPtrArray *mine = g_ptr_array_new();

    for (guint i = 0; i < all->len; i++) {
        virDomainResource *resource = g_ptr_array_index(all, i);

        if (g_strcmp0(resource->target, attach->target) == 0)
            g_ptr_array_add(mine, resource);
    }
    return mine;
}

static gboolean
virAttachUndoLeases(gpointer data, GError **error)
{
    virAttach *attach = data;
    g_autoptr(GPtrArray) mine = virAttachResources(attach);

    if (attach->left)
        return TRUE; /* the undo of the nodes said so */
    while (mine->len > attach->taken)
        virDomainDefDropResource(attach->obj->def,
                                 g_ptr_array_steal_index(mine, mine->len - 1));
    attach->left = !virHotplugRelease(attach->obj, attach->target, error);
    return !attach->left;
}

static gboolean
virAttachTakeLeases(virAttach *attach, GError **error)
{
    virDomainLockObj *obj = attach->obj;
    GPtrArray *all = virDomainDefGetResources(obj->def);
    g_autoptr(GPtrArray) mine = virAttachResources(attach);

    virUndoPush(attach->undo, "take the leases of the disk", virAttachUndoLeases, attach);
    for (guint i = 0; i < mine->len; i++) {
        const virDomainResource *resource = g_ptr_array_index(mine, i);

        if (!virDomainLockGuardedByKey(obj->config, all, resource) &&
            !virLockManagerAcquireResource(obj->man, resource->type, resource->path, NULL,
                                           resource->flags, &attach->wait, error))
            return FALSE;
        attach->taken = i + 1;
    }
    virDomainLockObjUpdateLeases(obj);
    return TRUE;
}

static gboolean
virAttachAdvanceUse(virAttach *attach, GError **error)
{
    if (!virLockManagerAdvanceUse(attach->obj->man, &attach->wait, error))
        return FALSE;
    virDomainLockObjUpdateLeases(attach->obj);
    return TRUE;
}

static gboolean
virAttachUndoNodes(gpointer data, GError **error)
{
    virAttach *attach = data;

    attach->left = !virHotplugDropNodes(attach->obj, attach->plug, error);
    return !attach->left;
}

static gboolean
virAttachAddNodes(virAttach *attach, GError **error)
{
    attach->plug = virDomainDefFormatPlug(attach->obj->def, attach->target);
    virUndoPush(attach->undo, "open the images in QEMU", virAttachUndoNodes, attach);
    for (guint i = 0; i < attach->plug->nodes->len; i++) {
        if (!virHotplugCommand(attach->obj, "blockdev-add",
                               g_ptr_array_index(attach->plug->nodes, i), error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
virAttachAudit(virAttach *attach, GError **error)
{
    return virDomainLockAuditQemu(attach->obj, attach->wait.deadlineUsec, error);
}

static gboolean
virAttachAddDevice(virAttach *attach, GError **error)
{
    return virHotplugCommand(attach->obj, "device_add", attach->plug->device, error);
}

static gboolean
virAttachFail(virAttach *attach, GError *why, GError **error)
{
    if (!virUndoRun(attach->undo, &why))
        why->code = VIR_LOCK_ERROR_INDETERMINATE;
    else if (why->code == VIR_LOCK_ERROR_INDETERMINATE)
        why->code = VIR_LOCK_ERROR_UNAVAILABLE;
    virDomainLockObjSetStep(attach->obj, NULL, 0);
    g_propagate_prefixed_error(error, why, "cannot attach a disk to guest '%s': ",
                               attach->obj->status->info->name);
    return FALSE;
}

static gboolean
virHotplugCheckState(virDomainLockObj *obj, const char *what, GError **error)
{
    virDomainLockReason reason;
    virDomainLockState state = virDomainLockObjGetStateAndReason(obj, &reason);

    if ((state == VIR_DOMAIN_LOCK_STATE_RUNNING ||
         state == VIR_DOMAIN_LOCK_STATE_PAUSED) &&
        reason != VIR_DOMAIN_LOCK_REASON_LEASE_LOST && !virDomainLockObjIsLeaseLost(obj))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "cannot %s guest '%s': it is %s%s", what, obj->status->info->name,
                virDomainLockStateName(state),
                virDomainLockObjIsLeaseLost(obj) ? ", and its leases are lost" : "");
    return FALSE;
}

gboolean
virDomainLockPlugDisk(virDomainLockObj *obj, const char *xml, GError **error)
{
    static const struct {
        gboolean (*run)(virAttach *attach, GError **error);
        void (*enter)(virDomainLockObj *obj, const char *sequence, guint number);
    } steps[] = {
        {virAttachDescribe, virDomainLockObjPassStep},
        {virAttachReadChain, virDomainLockObjPassStep},
        {virAttachTakeLeases, virDomainLockObjSetStep},
        {virAttachReadChain, virDomainLockObjPassStep},
        {virAttachAdvanceUse, virDomainLockObjSetStep},
        {virAttachAddNodes, virDomainLockObjSetStep},
        {virAttachAudit, virDomainLockObjPassStep},
        {virAttachAddDevice, virDomainLockObjSetStep},
    };
    g_autoptr(virUndo) undo = virUndoNew();
    virAttach attach = {.obj = obj,
                        .xml = xml,
                        .undo = undo,
                        .wait = virHotplugWait(HOTPLUG_ATTACH_USEC)};
    GError *why = NULL;
    gboolean ok = virHotplugCheckState(obj, "attach a disk to", error);

    for (guint i = 0; ok && i < G_N_ELEMENTS(steps); i++) {
        steps[i].enter(obj, "attach", i + 1);
        if (!steps[i].run(&attach, &why))
            ok = virAttachFail(&attach, why, error);
    }
    if (ok) {
        virUndoForget(undo);
        virDomainLockObjSetStep(obj, NULL, 0);
        virDomainLockObjEmit(obj, "DISK_ATTACHED", attach.target, NULL);
    }
    virDomainPlugFree(attach.plug);
    return ok;
}

/* --- detach ------------------------------------------------------------------------------ */

gboolean
virDomainLockDetach(virDomainLockObj *obj, const char *target, char **id, GError **error)
{
    const char *found = NULL;
    g_autoptr(GError) why = NULL;
    gboolean there = FALSE;

    *id = NULL;
    if (!virHotplugCheckState(obj, "detach a disk from", error))
        return FALSE;
    virDomainLockObjSetStep(obj, "detach", 1);
    found = virDomainDefGetDiskId(obj->def, target, &why);
    if (found && virHotplugHasDevice(obj, found, &there, &why) && there) {
        virDomainLockObjSetStep(obj, "detach", 2);
        /* QEMU refuses to ask again while the guest has not answered: it was asked then */
        if (!virHotplugCommandOne(obj, "device_del", "id", found, &why) &&
            virDomainLockObjIsAsked(obj, found))
            g_clear_error(&why);
    }
    virDomainLockObjSetStep(obj, NULL, 0);
    if (why) {
        g_propagate_prefixed_error(error, g_steal_pointer(&why),
                                   "cannot detach disk '%s' from guest '%s': ", target,
                                   obj->status->info->name);
        return FALSE;
    }
    *id = g_strdup(found);
    virDomainLockObjSetAsked(obj, found, there);
    return there || virDomainLockDetachFinish(obj, found, error);
}

gboolean
virDomainLockDetachFinish(virDomainLockObj *obj, const char *id, GError **error)
{
    const char *found = virDomainDefFindDiskById(obj->def, id);
    g_autofree char *target = g_strdup(found);
    g_autoptr(virDomainPlug) plug = NULL;
    gboolean ok;

    virDomainLockObjSetAsked(obj, id, FALSE);
    if (!target)
        return TRUE; /* no disk, or one that is forgotten already */
    plug = virDomainDefFormatPlug(obj->def, target);
    virDomainLockObjSetStep(obj, "detach", 3);
    ok = virHotplugDropNodes(obj, plug, error);
    if (ok) {
        virDomainLockObjSetStep(obj, "detach", 4);
        ok = virHotplugRelease(obj, target, error);
    }
    virDomainLockObjSetStep(obj, NULL, 0);
    if (!ok) {
        g_prefix_error(error,
                       "disk '%s' of guest '%s' is unplugged, but not detached: ", target,
                       obj->status->info->name);
        return FALSE;
    }
    virDomainDefRemoveDisk(obj->def, target);
    virDomainLockObjKeepDescription(obj);
    virDomainLockObjEmit(obj, "DISK_DETACHED", target, NULL);
    return TRUE;
}
