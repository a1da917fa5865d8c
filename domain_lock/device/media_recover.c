/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * media_recover.c: a change of medium that lost its supervisor, for the next one (media.c).
 *
 * Before the swap was begun it is undone, afterwards finished. A drive that the swap had left
 * empty gets the new medium: it is open already, under its leases, and was looked at by the
 * audit. What QEMU says is in the drive goes into the description; all other nodes of the
 * drive go. Each step finds done what it did before.
 */
#include "domain_lock/block/block.h"
#include "domain_lock/codec.h"
#include "plug.h"

typedef struct {
    virDomainLockObj *obj;
    const char *target;
    const char *id;
    JsonArray *numbers; /* of the new medium's nodes, uppermost first; empty: an eject */
    char *top;          /* node in the drive; NULL: it is empty */
} virMediaRecovery;

static gboolean
virMediaAskDrive(virMediaRecovery *re, GError **error)
{
    g_autoptr(JsonNode) list = virPlugQuery(re->obj, "query-block", NULL, error);
    JsonObject *drive = list ? virBlockFind(list, "qdev", re->id) : NULL;

    if (list && !drive)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                    "QEMU does not list drive '%s'", re->id);
    if (drive)
        re->top = g_strdup(virDomainLockJsonString(
            virDomainLockJsonObject(drive, "inserted"), "node-name"));
    return drive != NULL;
}

static guint
virMediaNumber(const virMediaRecovery *re, guint i)
{
    return (guint)json_array_get_int_element(re->numbers, i);
}

/* The guest may have closed the empty tray. */
static gboolean
virMediaFinishSwap(virMediaRecovery *re, GError **error)
{
    g_autofree char *name = virBlockNodeName(re->target, virMediaNumber(re, 0), "format");
    g_autoptr(JsonObject) tray = json_object_new();
    g_autoptr(JsonObject) args = json_object_new();

    json_object_set_string_member(tray, "id", re->id);
    json_object_set_boolean_member(tray, "force", TRUE);
    json_object_set_string_member(args, "id", re->id);
    json_object_set_string_member(args, "node-name", name);
    if (!virPlugCommand(re->obj, "blockdev-open-tray", tray, error) ||
        !virPlugCommand(re->obj, "blockdev-insert-medium", args, error))
        return FALSE;
    re->top = g_steal_pointer(&name);
    return TRUE;
}

static gboolean
virMediaIsNew(const virMediaRecovery *re)
{
    guint number;

    if (!virBlockNodeNumber(re->top, re->target, "format", &number))
        return FALSE;
    return json_array_get_length(re->numbers) > 0 && number == virMediaNumber(re, 0);
}

static gboolean
virMediaDescribe(virMediaRecovery *re, GError **error)
{
    g_autoptr(JsonNode) nodes = virBlockNodes(re->obj, error);
    virImageChain *chain = NULL;

    if (!nodes)
        return FALSE;
    if (re->top) {
        chain = virImageChainNew();
        for (guint i = 0; i < json_array_get_length(re->numbers); i++)
            g_ptr_array_add(chain->images,
                            virBlockImageFrom(nodes, re->target, virMediaNumber(re, i)));
    }
    virDomainDefSetDiskChain(re->obj->def, re->target, chain);
    virDomainLockObjKeepDescription(re->obj);
    return TRUE;
}

static gboolean
virMediaDropOther(virMediaRecovery *re, GError **error)
{
    virBlockDisk disk = {.obj = re->obj, .target = (char *)re->target};
    g_autoptr(GArray) left = NULL;

    return virBlockDropUnused(&disk, &left, error);
}

static gboolean
virMediaRecover(virMediaRecovery *re, guint step, GError **error)
{
    gboolean begun = step >= VIR_MEDIA_SWAP;
    gboolean ejects = json_array_get_length(re->numbers) == 0;

    if (!virMediaAskDrive(re, error) ||
        (begun && !re->top && !ejects && !virMediaFinishSwap(re, error)))
        return FALSE;
    if (((begun && !re->top) || virMediaIsNew(re)) && !virMediaDescribe(re, error))
        return FALSE;
    return virMediaDropOther(re, error) &&
           (!re->top ||
            virPlugCommandOne(re->obj, "blockdev-close-tray", "id", re->id, error));
}

gboolean
virDomainLockMediaRecover(virDomainLockObj *obj, guint step, JsonObject *journal,
                          GError **error)
{
    virMediaRecovery re = {
        .obj = obj,
        .target = virDomainLockJsonString(journal, "target"),
        .numbers = virDomainLockJsonArray(journal, "nodes"),
    };
    gboolean ok = FALSE;

    if (!re.target || !re.numbers)
        return TRUE; /* the first step: nothing was done yet */
    re.id = virDomainDefGetDiskId(obj->def, re.target, error);
    ok = re.id && virMediaRecover(&re, step, error);
    g_free(re.top);
    return ok;
}
