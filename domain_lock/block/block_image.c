/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * block_image.c: an image that comes to a disk, and the leases of images.
 *
 * The file is made first, empty, because a lease is that of a file; then the lease is taken,
 * exclusively; and only then does QEMU open it, and QEMU writes its header (I2). So whatever is
 * in the file was written under its lease.
 */
#include "block.h"
#include "common/fd.h"
#include "domain_lock/audit.h"
#include "domain_lock/codec.h"
#include "domain_lock/job.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the file -------------------------------------------------------------------------- */

/* As the image is that it comes beside: readable for QEMU, and for nobody else. */
static gboolean
virBlockFileCreate(virBlockDisk *disk, const char *path, GError **error)
{
    const virImage *top = g_ptr_array_index(disk->known, 0);
    struct stat st = {.st_mode = 0600};
    g_auto(virFd) fd =
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0 && errno == EEXIST) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, "'%s' exists already",
                    path);
        return FALSE;
    }
    if (fd < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "'%s' cannot be made: %s", path, g_strerror(errno));
        return FALSE;
    }
    disk->created = TRUE;
    (void)stat(top->path, &st);
    if (S_ISREG(st.st_mode) &&
        (fchown(fd, st.st_uid, st.st_gid) < 0 || fchmod(fd, st.st_mode & 0777) < 0))
        g_debug("'%s' keeps our owner and mode: %s", path, g_strerror(errno));
    return TRUE;
}

static gboolean
virBlockIsDevicePath(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISBLK(st.st_mode);
}

/* An image that is reused has to look as the operation will leave it. */
static gboolean
virBlockCheckReused(const virBlockNew *image, const char *what, GError **error)
{
    g_autoptr(virImageChain) chain =
        virImageChainReadWithin(image->path, image->format,
                                what, VIR_IMAGE_READ_SEC, error);
    const virImage *below = NULL;

    if (!chain)
        return FALSE;
    if (chain->images->len > 1)
        below = g_ptr_array_index(chain->images, 1);
    if (g_strcmp0(below ? below->path : NULL,
                  image->backing ? image->backing->path : NULL) == 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "'%s' has %s%s%s as its backing file, and %s%s%s is needed", image->path,
                below ? "'" : "nothing", below ? below->path : "", below ? "'" : "",
                image->backing ? "'" : "none", image->backing ? image->backing->path : "",
                image->backing ? "'" : "");
    return FALSE;
}

static gboolean
virBlockCheckNew(const virBlockNew *image, GError **error)
{
    gboolean qcow2 = g_str_equal(image->format, "qcow2");

    if (!g_path_is_absolute(image->path))
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "'%s' is no absolute path", image->path);
    else if (!qcow2 && !g_str_equal(image->format, "raw"))
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "an image of format '%s' cannot be made: raw and qcow2 can",
                    image->format);
    else if (!qcow2 && image->backing)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "a raw image has no backing file: the new image has to be qcow2");
    else
        return TRUE;
    return FALSE;
}

/* What there is to know of the file itself; its header is not looked at. */
static gboolean
virBlockReadFile(virBlockDisk *disk, const virBlockNew *image, const char *what,
                 GError **error)
{
    const virDomainResource *top = virDomainDefFirstOfDisk(disk->obj->def, disk->target);
    g_autoptr(virImageChain) chain =
        virImageChainReadWithin(image->path, "raw", what, VIR_IMAGE_READ_SEC, error);

    if (!chain)
        return FALSE;
    disk->extra = virImageCopy(g_ptr_array_index(chain->images, 0));
    g_free(disk->extra->format);
    disk->extra->format = g_strdup(image->format);
    disk->extra->node = virDomainDefNextNode(disk->obj->def, disk->target);
    if (!top->directIo || disk->extra->directIo)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "'%s' is on a file system without O_DIRECT, which the disk needs",
                image->path);
    return FALSE;
}

gboolean
virBlockImageFind(virBlockDisk *disk, const virBlockNew *image, GError **error)
{
    g_autofree char *what = g_strdup_printf("disk '%s'", disk->target);

    if (!virBlockCheckNew(image, error))
        return FALSE;
    if (!image->reuse && !virBlockIsDevicePath(image->path) &&
        !virBlockFileCreate(disk, image->path, error))
        return FALSE;
    if (image->reuse && !virBlockCheckReused(image, what, error))
        return FALSE;
    return virBlockReadFile(disk, image, what, error);
}

/* --- leases ---------------------------------------------------------------------------- */

/* An image that the guest's <lease> elements guard has no lease of its own. */
static gboolean
virBlockIsGuarded(virDomainLockObj *obj, const char *path)
{
    const virDomainResource resource = {.type = VIR_LOCK_RESOURCE_DISK,
                                        .path = (char *)path};

    return virDomainLockGuardedByKey(obj->config, virDomainDefGetResources(obj->def),
                                     &resource);
}

gboolean
virBlockImageTake(virBlockDisk *disk, const virLockWait *wait, GError **error)
{
    virDomainLockObj *obj = disk->obj;
    const char *path = disk->extra->path;

    if (!virBlockIsGuarded(obj, path) &&
        !virLockManagerAcquireResource(obj->man, VIR_LOCK_RESOURCE_DISK, path, NULL, 0,
                                       wait, error))
        return FALSE;
    disk->held = TRUE;
    if (!virLockManagerAdvanceUse(obj->man, wait, error))
        return FALSE;
    virDomainLockObjUpdateLeases(obj);
    return TRUE;
}

static gboolean
virBlockConvertOne(virDomainLockObj *obj, const char *path, virLockMode mode,
                   const virLockWait *wait, GError **error)
{
    return virBlockIsGuarded(obj, path) ||
           virLockManagerConvertResource(obj->man, VIR_LOCK_RESOURCE_DISK, path, mode,
                                         wait, error);
}

gboolean
virBlockLeaseConvert(virDomainLockObj *obj, const virImage *image, virLockMode mode,
                     const virLockWait *wait, GError **error)
{
    gboolean ok =
        virBlockConvertOne(obj, image->path, mode, wait, error) &&
        (!image->dataFile || virBlockConvertOne(obj, image->dataFile, mode, wait, error));

    virDomainLockObjUpdateLeases(obj);
    return ok;
}

static gboolean
virBlockReleaseOne(virDomainLockObj *obj, const char *path, const virLockWait *wait,
                   GError **error)
{
    g_autoptr(GError) why = NULL;

    if (virLockManagerReleaseResource(obj->man, VIR_LOCK_RESOURCE_DISK, path, wait, &why))
        return TRUE;
    /* not taken yet, given up at an earlier try, or guarded by a <lease> element */
    if (g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

gboolean
virBlockLeaseRelease(virDomainLockObj *obj, const virImage *image,
                     const virLockWait *wait, GError **error)
{
    gboolean ok =
        virBlockReleaseOne(obj, image->path, wait, error) &&
        (!image->dataFile || virBlockReleaseOne(obj, image->dataFile, wait, error));

    virDomainLockObjUpdateLeases(obj);
    return ok;
}

gboolean
virBlockAudit(virDomainLockObj *obj, const virBlockDisk *disks, guint n, GError **error)
{
    g_autoptr(JsonNode) nodes = virBlockNodes(obj, error);
    g_autoptr(GPtrArray) leases = virLockManagerGetLeases(obj->man);
    g_autoptr(GPtrArray) resources =
        g_ptr_array_copy(virDomainDefGetResources(obj->def), NULL, NULL);
    g_autofree virDomainResource *extra = g_new0(virDomainResource, n);

    if (!nodes)
        return FALSE;
    g_ptr_array_set_free_func(resources, NULL);
    for (guint i = 0; i < n; i++) {
        extra[i].type = VIR_LOCK_RESOURCE_DISK;
        extra[i].path = disks[i].extra ? disks[i].extra->path : NULL;
        if (disks[i].extra)
            g_ptr_array_add(resources, &extra[i]);
    }
    return virDomainLockAudit(obj->config, json_node_get_array(nodes), resources, leases,
                              0, error);
}

/* --- in QEMU --------------------------------------------------------------------------- */

static gboolean
virBlockAddNode(virBlockDisk *disk, GPtrArray *nodes, const char *layer,
                gboolean withoutBacking, GError **error)
{
    g_autofree char *name = virBlockNodeName(disk->target, disk->extra->node, layer);

    for (guint i = 0; i < nodes->len; i++) {
        JsonObject *node = g_ptr_array_index(nodes, i);

        if (!g_str_equal(virDomainLockJsonString(node, "node-name"), name))
            continue;
        if (withoutBacking && json_object_has_member(node, "backing"))
            json_object_set_null_member(node, "backing");
        return virBlockCommand(disk->obj, "blockdev-add", node, error);
    }
    g_assert_not_reached();
}

static gboolean
virBlockFormatQcow2(virBlockDisk *disk, const virBlockNew *image, gint64 size,
                    GError **error)
{
    g_autofree char *file = virBlockNodeName(disk->target, disk->extra->node, "storage");
    g_autofree char *id = g_strconcat(VIR_BLOCK_JOB_PREFIX, file, NULL);
    g_autoptr(JsonObject) args = json_object_new();
    g_autoptr(GError) left = NULL;
    JsonObject *options = json_object_new();

    json_object_set_string_member(options, "driver", "qcow2");
    json_object_set_string_member(options, "file", file);
    json_object_set_int_member(options, "size", size);
    if (image->backing) {
        json_object_set_string_member(options, "backing-file", image->backing->path);
        json_object_set_string_member(options, "backing-fmt", image->backing->format);
    }
    json_object_set_object_member(args, "options", options);
    if (virBlockJobStart(disk->obj, id, "blockdev-create", args, error) &&
        virBlockJobAwait(disk->obj, id, "concluded", error) &&
        virBlockJobTell(disk->obj, id, "job-dismiss", error))
        return TRUE;
    if (!virBlockJobRemove(disk->obj, id, &left))
        g_message("%s", left->message);
    return FALSE;
}

static gboolean
virBlockResizeRaw(const virBlockDisk *disk, gint64 size, GError **error)
{
    if (!disk->created || truncate(disk->extra->path, size) == 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "'%s' cannot be made %" G_GINT64_FORMAT " bytes large: %s",
                disk->extra->path, size, g_strerror(errno));
    return FALSE;
}

/* The chain as it will be, to have the words for its nodes. */
static virImageChain *
virBlockChainWith(virBlockDisk *disk, const virImage *backing)
{
    virImageChain *chain = virImageChainNew();
    gboolean below = FALSE;

    g_ptr_array_add(chain->images, virImageCopy(disk->extra));
    for (guint i = 0; i < disk->known->len; i++) {
        const virImage *image = g_ptr_array_index(disk->known, i);

        below |= image == backing;
        if (below)
            g_ptr_array_add(chain->images, virImageCopy(image));
    }
    return chain;
}

gboolean
virBlockImageOpen(virBlockDisk *disk, const virBlockNew *image, gboolean attach,
                  GError **error)
{
    const virImage *top = g_ptr_array_index(disk->known, 0);
    g_autofree char *node = virBlockNodeName(disk->target, top->node, "format");
    g_autoptr(virImageChain) chain = virBlockChainWith(disk, image->backing);
    g_autoptr(GPtrArray) nodes =
        virDomainDefFormatNodes(disk->obj->def, disk->target, chain);
    gint64 size = virBlockVirtualSize(disk->obj, node, error);
    gboolean qcow2 = g_str_equal(image->format, "qcow2");

    return size >= 0 && (image->reuse || qcow2 || virBlockResizeRaw(disk, size, error)) &&
           virBlockAddNode(disk, nodes, "storage", FALSE, error) &&
           (image->reuse || !qcow2 || virBlockFormatQcow2(disk, image, size, error)) &&
           virBlockAddNode(disk, nodes, "format", !attach, error);
}
