/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * block_settle.c: everything else follows from what QEMU has (block.h).
 *
 *   1 nodes that nothing uses are deleted
 *   2 what is left is the chain: into the description
 *   3 what is only read is reopened for reading
 *   4 leases of what was closed are given up, those of backing files become shared
 *
 * The order is I3: a lease is given up or made shared after QEMU has closed the file or cannot
 * write it any more. Each step can be repeated.
 */
#include "block.h"
#include "domain_lock/codec.h"
#include "domain_lock/describe.h"
#include "domain_lock/job.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_SETTLE_USEC (30 * G_USEC_PER_SEC)
/* A node may be used for a moment longer than the job that used it. */
#define BLOCK_CLOSE_USEC (10 * G_USEC_PER_SEC)
#define BLOCK_POLL_USEC 10000

void
virBlockDiskClear(virBlockDisk *disk)
{
    g_clear_pointer(&disk->target, g_free);
    g_clear_pointer(&disk->known, g_ptr_array_unref);
    g_clear_pointer(&disk->extra, virImageFree);
}

static const virImage *
virBlockFindImage(const GPtrArray *images, guint number)
{
    for (guint i = 0; i < images->len; i++) {
        const virImage *image = g_ptr_array_index(images, i);

        if (image->node == number)
            return image;
    }
    return NULL;
}

static gboolean
virBlockHasNumber(const GArray *numbers, guint number)
{
    for (guint i = 0; i < numbers->len; i++) {
        if (g_array_index(numbers, guint, i) == number)
            return TRUE;
    }
    return FALSE;
}

/* --- 1: nodes ------------------------------------------------------------------------------ */

static gboolean
virBlockSettleNodes(virBlockDisk *disk, GArray **left, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + BLOCK_CLOSE_USEC;

    for (;;) {
        g_autoptr(GArray) now = NULL;

        if (!virBlockDropUnused(disk, &now, error))
            return FALSE;
        if (disk->expect == 0 || now->len == disk->expect) {
            *left = g_steal_pointer(&now);
            return TRUE;
        }
        if (g_get_monotonic_time() >= deadline) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                        "QEMU has %u images of disk '%s' open, not %u; all their leases "
                        "stay held",
                        now->len, disk->target, disk->expect);
            return FALSE;
        }
        g_usleep(BLOCK_POLL_USEC);
    }
}

/* --- 2: the chain ------------------------------------------------------------------------ */

static gboolean
virBlockCheckExtra(virBlockDisk *disk, const GArray *left, const char *top,
                   GError **error)
{
    g_autofree char *name = NULL;

    if (!disk->extra || !virBlockHasNumber(left, disk->extra->node))
        return TRUE;
    name = virBlockNodeName(disk->target, disk->extra->node, "format");
    if (g_str_equal(name, top))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                "QEMU still has block node '%s' open on '%s'; its lease stays held", name,
                disk->extra->path);
    return FALSE;
}

/* NULL: QEMU's device uses a node that is none of the images that could be there. */
static virImageChain *
virBlockChainOf(virBlockDisk *disk, const GArray *left, const char *top, GError **error)
{
    g_autoptr(virImageChain) chain = virImageChainNew();
    g_autofree char *name = NULL;

    if (disk->extra && virBlockHasNumber(left, disk->extra->node))
        g_ptr_array_add(chain->images, virImageCopy(disk->extra));
    for (guint i = 0; i < disk->known->len; i++) {
        const virImage *image = g_ptr_array_index(disk->known, i);

        if (virBlockHasNumber(left, image->node))
            g_ptr_array_add(chain->images, virImageCopy(image));
    }
    if (chain->images->len > 0)
        name = virBlockNodeName(disk->target,
                                ((virImage *)g_ptr_array_index(chain->images, 0))->node,
                                "format");
    if (g_strcmp0(name, top) == 0)
        return g_steal_pointer(&chain);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE,
                "QEMU has block node '%s' on top of disk '%s', not '%s'", top,
                disk->target, name ? name : "any of its own");
    return NULL;
}

static gboolean
virBlockSettleChain(virBlockDisk *disk, const GArray *left, GError **error)
{
    g_autofree char *top = virBlockTopNode(disk->obj, disk->target, error);
    virImageChain *chain = NULL;

    if (!top || !virBlockCheckExtra(disk, left, top, error))
        return FALSE;
    chain = virBlockChainOf(disk, left, top, error);
    if (!chain)
        return FALSE;
    virDomainDefSetDiskChain(disk->obj->def, disk->target, chain);
    virDomainLockObjKeepDescription(disk->obj);
    return TRUE;
}

/* --- 3, 4: files and leases ----------------------------------------------------------------- */

static gboolean
virBlockSettleReaders(virBlockDisk *disk, const virLockWait *wait, GError **error)
{
    GPtrArray *images = virDomainDefGetDiskChain(disk->obj->def, disk->target)->images;

    for (guint i = 1; i < images->len; i++) {
        const virImage *image = g_ptr_array_index(images, i);

        if (!virBlockReopen(disk, image, VIR_BLOCK_READ, error) ||
            !virBlockLeaseConvert(disk->obj, image, VIR_LOCK_MODE_SHARED, wait, error))
            return FALSE;
    }
    return TRUE;
}

/* What was closed. The file that an operation made and the disk does not need goes with its
 * lease, and before it: afterwards it may be somebody's. */
static gboolean
virBlockSettleClosed(virBlockDisk *disk, const GArray *left, const virLockWait *wait,
                     GError **error)
{
    for (guint i = 0; i < disk->known->len; i++) {
        const virImage *image = g_ptr_array_index(disk->known, i);

        if (!virBlockHasNumber(left, image->node) &&
            !virBlockLeaseRelease(disk->obj, image, wait, error))
            return FALSE;
    }
    if (!disk->extra || virBlockHasNumber(left, disk->extra->node))
        return TRUE;
    if (disk->created && disk->discard && unlink(disk->extra->path) < 0)
        g_message("'%s' is left: %s", disk->extra->path, g_strerror(errno));
    /* an image that could not be taken may be held for another disk of this guest */
    if (disk->held && !virBlockLeaseRelease(disk->obj, disk->extra, wait, error))
        return FALSE;
    disk->held = FALSE;
    return TRUE;
}

gboolean
virBlockSettle(virBlockDisk *disk, GError **error)
{
    virLockWait wait = {.structSize = sizeof(wait),
                        .deadlineUsec = g_get_monotonic_time() + BLOCK_SETTLE_USEC};
    g_autoptr(GArray) left = NULL;

    return virBlockSettleNodes(disk, &left, error) &&
           virBlockSettleChain(disk, left, error) &&
           virBlockSettleReaders(disk, &wait, error) &&
           virBlockSettleClosed(disk, left, &wait, error);
}

/* --- after a supervisor died ------------------------------------------------------------------ */

virImage *
virBlockImageFrom(JsonNode *nodes, const char *target, guint number)
{
    g_autofree char *format = virBlockNodeName(target, number, "format");
    g_autofree char *storage = virBlockNodeName(target, number, "storage");
    g_autofree char *data = virBlockNodeName(target, number, "data");
    JsonObject *upper = virBlockFind(nodes, "node-name", format);
    JsonObject *lower = virBlockFind(nodes, "node-name", storage);
    JsonObject *beside = virBlockFind(nodes, "node-name", data);
    JsonObject *cache = virDomainLockJsonObject(lower, "cache");
    virImage *image = g_new0(virImage, 1);
    struct stat st = {0};

    image->node = number;
    image->path = g_strdup(virDomainLockJsonString(lower, "file"));
    image->format = g_strdup(upper ? virDomainLockJsonString(upper, "drv") : "raw");
    image->dataFile = g_strdup(virDomainLockJsonString(beside, "file"));
    image->isBlock = g_strcmp0(virDomainLockJsonString(lower, "drv"), "host_device") == 0;
    image->dataFileIsBlock =
        g_strcmp0(virDomainLockJsonString(beside, "drv"), "host_device") == 0;
    image->directIo =
        cache && json_object_get_boolean_member_with_default(cache, "direct", FALSE);
    if (image->path && stat(image->path, &st) == 0) {
        image->device = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
        image->inode = S_ISBLK(st.st_mode) ? 0 : st.st_ino;
    }
    return image;
}

/* The numbers of the images as they lay when the operation began; else as they are described. */
static GArray *
virBlockOrder(const virImageChain *chain, JsonObject *journal, const char *target)
{
    JsonArray *array =
        virDomainLockJsonArray(virDomainLockJsonObject(journal, "chains"), target);
    GArray *order = g_array_new(FALSE, FALSE, sizeof(guint));

    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        guint number = (guint)json_array_get_int_element(array, i);

        g_array_append_val(order, number);
    }
    for (guint i = 0; !array && chain && i < chain->images->len; i++)
        g_array_append_val(order,
                           ((virImage *)g_ptr_array_index(chain->images, i))->node);
    return order;
}

/* What the chain may consist of: an image that came comes first, on top of those before. */
static GPtrArray *
virBlockCandidates(const virImageChain *chain, JsonNode *nodes, const GArray *order,
                   const char *target)
{
    GPtrArray *images = g_ptr_array_new_with_free_func((GDestroyNotify)virImageFree);
    JsonArray *array = json_node_get_array(nodes);

    for (guint i = 0; i < json_array_get_length(array); i++) {
        JsonObject *node = json_array_get_object_element(array, i);
        guint number;

        if (virBlockNodeNumber(virDomainLockJsonString(node, "node-name"), target,
                               "storage", &number) &&
            !virBlockHasNumber(order, number))
            g_ptr_array_add(images, virBlockImageFrom(nodes, target, number));
    }
    for (guint i = 0; i < order->len; i++) {
        guint number = g_array_index(order, guint, i);
        const virImage *image = chain ? virBlockFindImage(chain->images, number) : NULL;
        g_autofree char *name = virBlockNodeName(target, number, "storage");

        /* a description that was left open counts its images anew: QEMU knows better */
        if (virBlockFind(nodes, "node-name", name))
            g_ptr_array_add(images, virBlockImageFrom(nodes, target, number));
        else if (image)
            g_ptr_array_add(images, virImageCopy(image));
    }
    return images;
}

static gboolean
virBlockRecoverDisk(virDomainLockObj *obj, const char *target, JsonObject *journal,
                    GError **error)
{
    const virImageChain *chain = virDomainDefGetDiskChain(obj->def, target);
    virBlockDisk disk = {.obj = obj, .target = g_strdup(target)};
    g_autoptr(GArray) order = virBlockOrder(chain, journal, target);
    g_autoptr(JsonNode) nodes = virBlockNodes(obj, error);
    gboolean ok = FALSE;

    if (nodes) {
        disk.known = virBlockCandidates(chain, nodes, order, target);
        ok = virBlockSettle(&disk, error);
    }
    virBlockDiskClear(&disk);
    return ok;
}

static gboolean
virBlockRecoverJobs(virDomainLockObj *obj, GError **error)
{
    g_autoptr(JsonNode) jobs = virBlockQuery(obj, "query-jobs", NULL, error);

    for (guint i = 0; jobs && i < json_array_get_length(json_node_get_array(jobs)); i++) {
        JsonObject *job = json_array_get_object_element(json_node_get_array(jobs), i);
        const char *id = virDomainLockJsonString(job, "id");

        if (id && g_str_has_prefix(id, VIR_BLOCK_JOB_PREFIX) &&
            !virBlockJobRemove(obj, id, error))
            return FALSE;
    }
    return jobs != NULL;
}

gboolean
virDomainLockBlockRecover(virDomainLockObj *obj, JsonObject *journal, GError **error)
{
    GPtrArray *resources = virDomainDefGetResources(obj->def);
    g_autoptr(GPtrArray) targets = g_ptr_array_new_with_free_func(g_free);

    if (virDomainDefIsForeign(obj->def))
        return TRUE;
    for (guint i = 0; i < resources->len; i++) {
        const virDomainResource *resource = g_ptr_array_index(resources, i);

        if (resource->depth == 0 && resource->target &&
            virDomainDefGetDiskChain(obj->def, resource->target) &&
            !g_ptr_array_find_with_equal_func(targets, resource->target, g_str_equal,
                                              NULL))
            g_ptr_array_add(targets, g_strdup(resource->target));
    }
    if (!virBlockRecoverJobs(obj, error))
        return FALSE;
    for (guint i = 0; i < targets->len; i++)
        if (!virBlockRecoverDisk(obj, g_ptr_array_index(targets, i), journal, error))
            return FALSE;
    return TRUE;
}
