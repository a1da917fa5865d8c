/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * media.c: another medium for a cdrom or floppy drive, or none (I2, I3).
 *
 *   media:1 look up
 *   media:2 chain            which images the new medium consists of
 *   media:3 leases           of each of them
 *   media:4 chain again      under the leases
 *   media:5 use records
 *   media:6 blockdev-add     beside the old medium, lowest node first; and QEMU lists all
 *                            that it has then
 *   media:7 audit            nothing open that no lease covers
 *   media:8 open the tray    the guest may have locked it
 *   media:9 swap             from here on the description has the new medium
 *   media:10 blockdev-del    of the old one; every node is seen gone
 *   media:11 release         of the old one
 *
 * An eject goes from 1 to 8. Both media are needed, and both sets of leases held, as long as
 * QEMU may have either open; up to the swap all can be undone without losing the old one.
 * The journal has what a later supervisor needs: media_recover.c.
 */
#include "domain_lock/codec.h"
#include "domain_lock/undo.h"
#include "plug.h"

#define MEDIA_TRAY_USEC (5 * G_USEC_PER_SEC)

typedef struct {
    virDomainLockObj *obj;
    const virDomainLockMedium *medium;
    const char *target;
    const char *id; /* of the drive; the description's */
    virLockWait wait;
    virUndo *undo;
    virImageChain *chain;    /* of the new medium, until the description has it */
    GPtrArray *needs, *had;  /* virDomainResource, of the new and the old medium */
    GPtrArray *nodes, *gone; /* JsonObject, likewise */
    JsonNode *open;          /* what QEMU has open with both */
    guint taken;             /* of needs */
    gboolean same;           /* it is the medium that is in the drive already */
    gboolean left;           /* what could not be undone keeps its leases */
} virMedia;

static void
virMediaClear(virMedia *media)
{
    virUndoFree(media->undo);
    g_clear_pointer(&media->chain, virImageChainFree);
    g_clear_pointer(&media->needs, g_ptr_array_unref);
    g_clear_pointer(&media->had, g_ptr_array_unref);
    g_clear_pointer(&media->nodes, g_ptr_array_unref);
    g_clear_pointer(&media->gone, g_ptr_array_unref);
    g_clear_pointer(&media->open, json_node_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(virMedia, virMediaClear)

/* --- the journal ------------------------------------------------------------------------ */

/* The images by path, because their leases will be held and no description has them yet; and
 * by the numbers of their nodes, uppermost first. */
static void
virMediaJournal(virMedia *media)
{
    JsonObject *details = json_object_new();
    JsonArray *images = json_array_new(), *nodes = json_array_new();

    json_object_set_string_member(details, "target", media->target);
    for (guint i = 0; media->chain && i < media->chain->images->len; i++) {
        const virImage *image = g_ptr_array_index(media->chain->images, i);

        json_array_add_string_element(images, image->path);
        if (image->dataFile)
            json_array_add_string_element(images, image->dataFile);
        json_array_add_int_element(nodes, image->node);
    }
    json_object_set_array_member(details, "images", images);
    json_object_set_array_member(details, "nodes", nodes);
    virDomainLockObjSetJournal(media->obj, details);
}

/* --- the new medium --------------------------------------------------------------------- */

static gboolean
virMediaLookUp(virMedia *media, GError **error)
{
    virDomainLockObj *obj = media->obj;
    const virImageChain *chain;
    virDomainPlug *plug;

    if (!virDomainDefCheckRemovable(obj->def, media->target, error))
        return FALSE;
    media->id = virDomainDefGetDiskId(obj->def, media->target, error);
    media->had = virPlugResources(obj, media->target);
    virMediaJournal(media);
    chain = virDomainDefGetDiskChain(obj->def, media->target);
    if (!chain)
        return TRUE;
    plug = virDomainDefFormatPlug(obj->def, media->target);
    media->gone = g_ptr_array_ref(plug->nodes);
    virDomainPlugFree(plug);
    return TRUE;
}

/* Not by its path: another file may be there by now. */
static gboolean
virMediaIsSame(const virImageChain *old, const virImageChain *new)
{
    const virImage *a = old ? g_ptr_array_index(old->images, 0) : NULL;
    const virImage *b = g_ptr_array_index(new->images, 0);

    return a && a->device == b->device && a->inode == b->inode &&
           g_str_equal(a->format, b->format) && g_str_equal(a->path, b->path);
}

static virImageChain *
virMediaRead(virMedia *media, GError **error)
{
    return virDomainDefReadMedium(media->obj->def, media->target, media->medium->path,
                                  media->medium->format, error);
}

static gboolean
virMediaReadChain(virMedia *media, GError **error)
{
    media->chain = virMediaRead(media, error);
    if (!media->chain)
        return FALSE;
    virMediaJournal(media);
    media->same = virMediaIsSame(virDomainDefGetDiskChain(media->obj->def, media->target),
                                 media->chain);
    return TRUE;
}

static gboolean
virMediaUndoLeases(gpointer data, GError **error)
{
    virMedia *media = data;

    if (media->left)
        return TRUE; /* the undo of the nodes said so */
    while (media->needs->len > 0) {
        virDomainResource *last = g_ptr_array_index(media->needs, media->needs->len - 1);

        if (media->needs->len > media->taken)
            virDomainDefDropResource(media->obj->def, last);
        else if (!virPlugGiveUp(media->obj, last, &media->wait, error))
            return FALSE;
        g_ptr_array_set_size(media->needs, (gint)media->needs->len - 1);
    }
    return TRUE;
}

static gboolean
virMediaTakeLeases(virMedia *media, GError **error)
{
    virDomainLockObj *obj = media->obj;

    media->needs = virDomainDefAddMedium(obj->def, media->target, media->chain);
    virUndoPush(media->undo, "take the leases of the medium", virMediaUndoLeases, media);
    for (guint i = 0; i < media->needs->len; i++) {
        if (!virPlugTake(obj, g_ptr_array_index(media->needs, i), &media->wait, error))
            return FALSE;
        media->taken = i + 1;
    }
    virDomainLockObjUpdateLeases(obj);
    return TRUE;
}

static gboolean
virMediaReadChainAgain(virMedia *media, GError **error)
{
    g_autoptr(virImageChain) now = virMediaRead(media, error);

    return now && virDomainDefCompareChains(media->target, media->chain, now, error);
}

static gboolean
virMediaAdvanceUse(virMedia *media, GError **error)
{
    if (!virLockManagerAdvanceUse(media->obj->man, &media->wait, error))
        return FALSE;
    virDomainLockObjUpdateLeases(media->obj);
    return TRUE;
}

static gboolean
virMediaUndoNodes(gpointer data, GError **error)
{
    virMedia *media = data;

    media->left = !virPlugDropNodes(media->obj, media->nodes, error);
    return !media->left;
}

static gboolean
virMediaAddNodes(virMedia *media, GError **error)
{
    media->nodes = virDomainDefFormatMedium(media->obj->def, media->target, media->chain);
    virUndoPush(media->undo, "open the medium in QEMU", virMediaUndoNodes, media);
    return virPlugAddNodes(media->obj, media->nodes, &media->open, error);
}

static gboolean
virMediaAudit(virMedia *media, GError **error)
{
    return virDomainLockAuditNodes(media->obj, media->open, error);
}

/* --- the drive -------------------------------------------------------------------------- */

typedef enum {
    VIR_TRAY_NONE, /* a floppy drive has none */
    VIR_TRAY_CLOSED,
    VIR_TRAY_OPEN,
} virMediaTray;

static gboolean
virMediaQueryTray(virMedia *media, virMediaTray *tray, GError **error)
{
    g_autoptr(JsonNode) list = virPlugQuery(media->obj, "query-block", NULL, error);
    JsonArray *array = list ? json_node_get_array(list) : NULL;

    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonObject *drive = json_array_get_object_element(array, i);

        if (g_strcmp0(virDomainLockJsonString(drive, "qdev"), media->id) != 0)
            continue;
        if (!json_object_has_member(drive, "tray_open"))
            *tray = VIR_TRAY_NONE;
        else
            *tray = json_object_get_boolean_member(drive, "tray_open") ? VIR_TRAY_OPEN
                                                                       : VIR_TRAY_CLOSED;
        return TRUE;
    }
    if (list)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                    "QEMU does not list drive '%s'", media->id);
    return FALSE;
}

static gboolean
virMediaUndoTray(gpointer data, GError **error)
{
    virMedia *media = data;

    return virPlugCommandOne(media->obj, "blockdev-close-tray", "id", media->id, error);
}

/* @flags: virDomainLockDeviceFlags */
static gboolean
virMediaAskTray(virMedia *media, guint flags, GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();

    json_object_set_string_member(args, "id", media->id);
    json_object_set_boolean_member(args, "force",
                                   (flags & VIR_DOMAIN_LOCK_DEVICE_FORCE) != 0);
    return virPlugCommand(media->obj, "blockdev-open-tray", args, error);
}

/* QEMU hands the request to a guest that has locked the tray, as the button on a drive does,
 * and that may open it in its own time. */
static gboolean
virMediaOpenTray(virMedia *media, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + MEDIA_TRAY_USEC;
    virMediaTray tray;

    if (!virMediaQueryTray(media, &tray, error))
        return FALSE;
    if (tray != VIR_TRAY_CLOSED)
        return TRUE;
    if (!virMediaAskTray(media, media->medium->flags, error))
        return FALSE;
    for (;;) {
        if (!virMediaQueryTray(media, &tray, error))
            return FALSE;
        if (tray == VIR_TRAY_OPEN) {
            virUndoPush(media->undo, "open the tray", virMediaUndoTray, media);
            return TRUE;
        }
        if (g_get_monotonic_time() >= deadline)
            break;
        g_usleep(VIR_PLUG_POLL_USEC);
    }
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "the guest has locked the tray; it was asked to let go of the medium and "
                "has not within %d s; --force opens it all the same",
                (int)(MEDIA_TRAY_USEC / G_USEC_PER_SEC));
    return FALSE;
}

/* @nodes: of the medium that goes in; NULL: out. */
static gboolean
virMediaMove(virMedia *media, const GPtrArray *nodes, GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();

    json_object_set_string_member(args, "id", media->id);
    if (nodes)
        json_object_set_string_member(
            args, "node-name",
            json_object_get_string_member(g_ptr_array_index(nodes, nodes->len - 1),
                                          "node-name"));
    return virPlugCommand(media->obj,
                          nodes ? "blockdev-insert-medium" : "blockdev-remove-medium",
                          args, error);
}

/* The guest, or its firmware, may close the tray at any moment, and then it is opened again:
 * an empty one by force, which takes nothing from the guest. */
static gboolean
virMediaMoveThroughTray(virMedia *media, const GPtrArray *nodes, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + MEDIA_TRAY_USEC;
    guint flags = nodes ? VIR_DOMAIN_LOCK_DEVICE_FORCE : media->medium->flags;

    for (;;) {
        g_autoptr(GError) why = NULL;
        virMediaTray tray;

        if (virMediaMove(media, nodes, &why))
            return TRUE;
        if (!virMediaQueryTray(media, &tray, error))
            return FALSE;
        if (tray != VIR_TRAY_CLOSED || g_get_monotonic_time() >= deadline) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
        if (!virMediaAskTray(media, flags, error))
            return FALSE;
        g_usleep(VIR_PLUG_POLL_USEC);
    }
}

static gboolean
virMediaUndoSwap(gpointer data, GError **error)
{
    virMedia *media = data;

    return virMediaMoveThroughTray(media, media->gone, error);
}

static gboolean
virMediaCloseTray(virMedia *media, GError **error)
{
    return virPlugCommandOne(media->obj, "blockdev-close-tray", "id", media->id, error);
}

/* An empty tray stays open, as after the button. */
static gboolean
virMediaSwap(virMedia *media, GError **error)
{
    virDomainLockObj *obj = media->obj;
    g_autoptr(GError) why = NULL;

    if (media->gone) {
        if (!virMediaMoveThroughTray(media, NULL, error))
            return FALSE;
        virUndoPush(media->undo, "take the medium out", virMediaUndoSwap, media);
    }
    if (media->chain && !virMediaMoveThroughTray(media, media->nodes, error))
        return FALSE;
    virUndoForget(media->undo);
    virDomainDefSetMedium(obj->def, media->target, g_steal_pointer(&media->chain));
    virDomainLockObjKeepDescription(obj);
    if (media->nodes && !virMediaCloseTray(media, &why))
        g_warning("the tray of drive '%s' stays open: %s", media->target, why->message);
    return TRUE;
}

/* --- the old medium --------------------------------------------------------------------- */

static gboolean
virMediaDropNodes(virMedia *media, GError **error)
{
    return !media->gone || virPlugDropNodes(media->obj, media->gone, error);
}

static gboolean
virMediaRelease(virMedia *media, GError **error)
{
    virLockWait wait = virPlugWait(VIR_PLUG_UNDO_USEC);

    for (guint i = 0; i < media->had->len; i++)
        if (!virPlugGiveUp(media->obj, g_ptr_array_index(media->had, i), &wait, error))
            return FALSE;
    return TRUE;
}

/* --- all of it -------------------------------------------------------------------------- */

#define MEDIA_FIRST_OF_NEW 2
#define MEDIA_TRAY 8

static const struct {
    gboolean (*run)(virMedia *media, GError **error);
    /* how the journal hears of it: Pass where nothing outside changes */
    void (*enter)(virDomainLockObj *obj, const char *sequence, guint number);
} mediaSteps[] = {
    {virMediaLookUp, virDomainLockObjPassStep},
    {virMediaReadChain, virDomainLockObjPassStep},
    {virMediaTakeLeases, virDomainLockObjSetStep},
    {virMediaReadChainAgain, virDomainLockObjPassStep},
    {virMediaAdvanceUse, virDomainLockObjSetStep},
    {virMediaAddNodes, virDomainLockObjSetStep},
    {virMediaAudit, virDomainLockObjPassStep},
    {virMediaOpenTray, virDomainLockObjSetStep},
    {virMediaSwap, virDomainLockObjSetStep},
    {virMediaDropNodes, virDomainLockObjSetStep},
    {virMediaRelease, virDomainLockObjSetStep},
};

static gboolean
virMediaFail(virMedia *media, guint step, GError *why, GError **error)
{
    const char *name = media->obj->status->info->name;

    virDomainLockObjSetStep(media->obj, NULL, 0);
    if (step > VIR_MEDIA_SWAP) {
        why->code = VIR_LOCK_ERROR_INDETERMINATE;
        g_propagate_prefixed_error(error, why,
                                   "guest '%s' has another medium in drive '%s', but the "
                                   "old one is still open: ",
                                   name, media->target);
        return FALSE;
    }
    if (!virUndoRun(media->undo, &why))
        why->code = VIR_LOCK_ERROR_INDETERMINATE;
    else if (why->code == VIR_LOCK_ERROR_INDETERMINATE)
        why->code = VIR_LOCK_ERROR_UNAVAILABLE;
    g_propagate_prefixed_error(
        error, why,
        "cannot change the medium of drive '%s' of guest '%s': ", media->target, name);
    return FALSE;
}

/* What is in the drive already only wants its tray closed. */
static gboolean
virMediaIsDone(virMedia *media, GError **error)
{
    return media->same && virMediaCloseTray(media, error);
}

gboolean
virDomainLockMedia(virDomainLockObj *obj, const char *target,
                   const virDomainLockMedium *medium, GError **error)
{
    g_auto(virMedia) media = {.obj = obj,
                              .target = target,
                              .medium = medium,
                              .undo = virUndoNew(),
                              .wait = virPlugWait(VIR_PLUG_TAKE_USEC)};
    GError *why = NULL;

    if (!virPlugCheckState(obj, "change a medium of", error))
        return FALSE;
    for (guint step = 1; step <= G_N_ELEMENTS(mediaSteps); step++) {
        if (!medium->path && step >= MEDIA_FIRST_OF_NEW && step < MEDIA_TRAY)
            continue;
        mediaSteps[step - 1].enter(obj, "media", step);
        if (!mediaSteps[step - 1].run(&media, &why) ||
            (media.same && !virMediaIsDone(&media, &why)))
            return virMediaFail(&media, step, why, error);
        if (media.same)
            break;
    }
    virDomainLockObjSetStep(obj, NULL, 0);
    virDomainLockObjEmit(obj, "MEDIA_CHANGED", target, medium->path);
    return TRUE;
}
