/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hotplug.c: disks that come and go while the guest runs (I2, I3).
 *
 *   attach:1 describe         the <disk> element, a place on a bus; text only
 *   attach:2 chain            which images it consists of
 *   attach:3 leases           each image of the chain
 *   attach:4 chain again      under the leases
 *   attach:5 use records      the epochs advance before QEMU opens an image
 *   attach:6 blockdev-add     lowest node first; and QEMU lists all that it has then
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
 *
 * Of the steps of an attach only the sixth is written down. How far one came that was cut off
 * is seen in QEMU and asked of the lock daemon (recover.c); but the epochs have to be in the
 * state before QEMU opens an image: by them it is known again as the guest's.
 */
#include "domain_lock/undo.h"
#include "plug.h"

/* --- attach ------------------------------------------------------------------------------ */

typedef struct {
    virDomainLockObj *obj;
    const char *xml;
    virLockWait wait;
    virUndo *undo;
    const char *target; /* the description's */
    guint taken;        /* of its resources */
    virDomainPlug *plug;
    JsonNode *open; /* what QEMU has open with it */
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
    return virDomainDefReadDiskChain(attach->obj->def, attach->target, error) &&
           virDomainLockObjUpdateDescription(attach->obj, error);
}

/* What was found first stays, or this fails: the description is what it was. */
static gboolean
virAttachReadChainAgain(virAttach *attach, GError **error)
{
    return virDomainDefReadDiskChain(attach->obj->def, attach->target, error);
}

static gboolean
virAttachUndoLeases(gpointer data, GError **error)
{
    virAttach *attach = data;
    g_autoptr(GPtrArray) mine = virPlugResources(attach->obj, attach->target);

    if (attach->left)
        return TRUE; /* the undo of the nodes said so */
    while (mine->len > attach->taken)
        virDomainDefDropResource(attach->obj->def,
                                 g_ptr_array_steal_index(mine, mine->len - 1));
    attach->left = !virPlugRelease(attach->obj, attach->target, error);
    return !attach->left;
}

static gboolean
virAttachTakeLeases(virAttach *attach, GError **error)
{
    virDomainLockObj *obj = attach->obj;
    g_autoptr(GPtrArray) mine = virPlugResources(attach->obj, attach->target);

    virUndoPush(attach->undo, "take the leases of the disk", virAttachUndoLeases, attach);
    for (guint i = 0; i < mine->len; i++) {
        if (!virPlugTake(obj, g_ptr_array_index(mine, i), &attach->wait, error))
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

    attach->left = !virPlugDropNodes(attach->obj, attach->plug->nodes, error);
    return !attach->left;
}

static gboolean
virAttachAddNodes(virAttach *attach, GError **error)
{
    attach->plug = virDomainDefFormatPlug(attach->obj->def, attach->target);
    virUndoPush(attach->undo, "open the images in QEMU", virAttachUndoNodes, attach);
    if (virPlugAddNodes(attach->obj, attach->plug->nodes, &attach->open, error))
        return TRUE;
    virDomainLockObjAddNotes(attach->obj, attach->target, error);
    return FALSE;
}

static gboolean
virAttachAudit(virAttach *attach, GError **error)
{
    return virDomainLockAuditNodes(attach->obj, attach->open, error);
}

static gboolean
virAttachAddDevice(virAttach *attach, GError **error)
{
    if (virPlugCommand(attach->obj, "device_add", attach->plug->device, error))
        return TRUE;
    virDomainLockObjAddNotes(attach->obj, attach->target, error);
    return FALSE;
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

gboolean
virDomainLockPlugDisk(virDomainLockObj *obj, const char *xml, GError **error)
{
    static const struct {
        gboolean (*run)(virAttach *attach, GError **error);
        void (*enter)(virDomainLockObj *obj, const char *sequence, guint number);
    } steps[] = {
        {virAttachDescribe, virDomainLockObjPassStep},
        {virAttachReadChain, virDomainLockObjPassStep},
        {virAttachTakeLeases, virDomainLockObjPassStep},
        {virAttachReadChainAgain, virDomainLockObjPassStep},
        {virAttachAdvanceUse, virDomainLockObjPassStep},
        {virAttachAddNodes, virDomainLockObjSetStep},
        {virAttachAudit, virDomainLockObjPassStep},
        {virAttachAddDevice, virDomainLockObjPassStep},
    };
    g_autoptr(virUndo) undo = virUndoNew();
    virAttach attach = {
        .obj = obj, .xml = xml, .undo = undo, .wait = virPlugWait(VIR_PLUG_TAKE_USEC)};
    GError *why = NULL;
    gboolean ok = virPlugCheckState(obj, "attach a disk to", error);

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
    g_clear_pointer(&attach.open, json_node_unref);
    return ok;
}

/* --- detach ------------------------------------------------------------------------------ */

gboolean
virDomainLockDetach(virDomainLockObj *obj, const char *target, guint flags, char **id,
                    GError **error)
{
    const char *found = NULL;
    g_autoptr(GError) why = NULL;
    gboolean there = FALSE;

    *id = NULL;
    if (!virPlugCheckState(obj, "detach a disk from", error))
        return FALSE;
    virDomainLockObjSetStep(obj, "detach", 1);
    found = virDomainDefGetDiskId(obj->def, target, &why);
    if (found && !(flags & VIR_DOMAIN_LOCK_DEVICE_FORCE) &&
        virDomainDefIsBootDisk(obj->def, target)) {
        g_set_error(&why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "the guest boots from it; --force detaches it all the same, and the "
                    "next start boots from another one");
        found = NULL;
    }
    if (found && virPlugHasDevice(obj, found, &there, &why) && there) {
        virDomainLockObjSetStep(obj, "detach", 2);
        /* QEMU refuses to ask again while the guest has not answered: it was asked then */
        if (!virPlugCommandOne(obj, "device_del", "id", found, &why) &&
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
    ok = virPlugDropNodes(obj, plug->nodes, error);
    if (ok) {
        virDomainLockObjSetStep(obj, "detach", 4);
        ok = virPlugRelease(obj, target, error);
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
