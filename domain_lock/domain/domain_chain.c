/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_chain.c: from the disks of a description to the list of everything that needs a
 * lease. The only part of the description that looks at storage.
 */
#include "config.h"
#include "common/text.h"
#include "domain_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* --- is the image what the description says? ------------------------------------------------- */

static gboolean
virDomainCheckBacking(const virDomainDisk *disk, GError **error)
{
    GPtrArray *images = disk->chain->images;

    for (guint i = 0; i < disk->backing->len; i++) {
        const virDomainBacking *want = g_ptr_array_index(disk->backing, i);
        const virImage *have =
            i + 1 < images->len ? g_ptr_array_index(images, i + 1) : NULL;

        if (!have || !g_str_equal(have->path, want->path) ||
            !g_str_equal(have->format, want->format))
            return virDomainError(
                error,
                "disk '%s': <backingStore> says '%s' (%s), but the image says "
                "%s%s%s%s%s",
                disk->target, want->path, want->format, have ? "'" : "nothing",
                have ? have->path : "", have ? "' (" : "", have ? have->format : "",
                have ? ")" : "");
    }
    if (disk->backingComplete && images->len > disk->backing->len + 1) {
        const virImage *more = g_ptr_array_index(images, disk->backing->len + 1);

        return virDomainError(error,
                              "disk '%s': <backingStore/> says that there are no more "
                              "backing files, but the image says '%s'",
                              disk->target, more->path);
    }
    return TRUE;
}

static gboolean
virDomainCheckAccess(const char *what, const char *path, gboolean writable,
                     GError **error)
{
    if (faccessat(AT_FDCWD, path, writable ? R_OK | W_OK : R_OK, AT_EACCESS) == 0)
        return TRUE;
    return virDomainError(error, "%s: '%s' cannot be opened for %s: %s", what, path,
                          writable ? "writing" : "reading", g_strerror(errno));
}

gboolean
virDomainCheckDiskChain(const virDomainDef *def, const virDomainDisk *disk,
                        const char *what, GError **error)
{
    gboolean writable = virDomainDiskIsWritable(disk);
    gboolean direct = virDomainDiskIsDirect(def, disk);

    for (guint i = 0; i < disk->chain->images->len; i++) {
        const virImage *image = g_ptr_array_index(disk->chain->images, i);
        gboolean write = writable && i == 0;

        if (!virDomainCheckAccess(what, image->path, write, error) ||
            (image->dataFile &&
             !virDomainCheckAccess(what, image->dataFile, write, error)))
            return FALSE;
        if (i == 0 && image->isBlock != disk->isBlock)
            return virDomainError(
                error, "%s: '%s' is %s, so the disk has to be of type '%s'", what,
                image->path, image->isBlock ? "a block device" : "a file",
                image->isBlock ? "block" : "file");
        if (image->encrypted)
            return virDomainError(error, "%s: '%s' is encrypted, which is not supported",
                                  what, image->path);
        if (direct && i == 0 && !image->directIo)
            return virDomainError(error,
                                  "%s: '%s' is on a file system without O_DIRECT, which "
                                  "%s; move it",
                                  what, image->path,
                                  disk->cache
                                      ? "its cache mode needs"
                                      : "leases that survive a crash of the host need");
    }
    return virDomainCheckBacking(disk, error);
}

/* --- resources ----------------------------------------------------------------------------------- */

static guint
virDomainResourceFlagsOf(const virDomainDisk *disk, guint depth)
{
    guint flags = 0;

    if (disk->readOnly || depth > 0)
        flags |= VIR_LOCK_MANAGER_RESOURCE_READONLY;
    if (disk->shareable)
        flags |= VIR_LOCK_MANAGER_RESOURCE_SHARED;
    return flags;
}

void
virDomainAddDiskResources(virDomainDef *def, const virDomainDisk *disk)
{
    for (guint i = 0; i < disk->chain->images->len; i++) {
        const virImage *image = g_ptr_array_index(disk->chain->images, i);

        for (int data = 0; data < (image->dataFile ? 2 : 1); data++) {
            virDomainResource *resource = virDomainAddResource(
                def, VIR_LOCK_RESOURCE_DISK,
                g_strdup(data ? image->dataFile : image->path), g_strdup(disk->target),
                data ? "raw" : image->format);

            resource->flags = virDomainResourceFlagsOf(disk, i);
            resource->depth = i;
            resource->directIo = virDomainDiskIsDirect(def, disk) && image->directIo;
            resource->node = virDomainNodeName(disk, image, data ? "data" : "storage");
        }
    }
}

char *
virDomainNodeName(const virDomainDisk *disk, const virImage *image, const char *layer)
{
    return g_strdup_printf("%s-%u-%s", disk->target, image->node, layer);
}

/* A description that was written while the guest ran states the numbers of all its nodes; one
 * that does not, or states one twice, has them counted. */
static void
virDomainNumberNodes(virDomainDisk *disk)
{
    GPtrArray *images = disk->chain->images;
    g_autoptr(GHashTable) seen = g_hash_table_new(g_direct_hash, g_direct_equal);
    g_autofree guint *numbers = g_new0(guint, images->len);

    if (images->len != disk->backing->len + 1)
        return;
    for (guint i = 0; i < images->len; i++) {
        guint64 index =
            i == 0 ? disk->index
                   : ((virDomainBacking *)g_ptr_array_index(disk->backing, i - 1))->index;

        if (index == 0 || !g_hash_table_add(seen, GUINT_TO_POINTER((guint)index)))
            return;
        numbers[i] = (guint)index - 1;
    }
    for (guint i = 0; i < images->len; i++)
        ((virImage *)g_ptr_array_index(images, i))->node = numbers[i];
}

/* Takes @chain, which may be NULL with @error set. */
static gboolean
virDomainTakeChain(virDomainDef *def, virDomainDisk *disk, virImageChain *chain,
                   GError **error)
{
    g_autofree char *what = g_strdup_printf("disk '%s'", disk->target);

    if (chain && disk->chain)
        virImageChainRecall(chain, disk->chain);
    virImageChainFree(disk->chain);
    disk->chain = chain;
    if (!chain || !virDomainCheckDiskChain(def, disk, what, error))
        return FALSE;
    virDomainNumberNodes(disk);
    virDomainAddDiskResources(def, disk);
    return TRUE;
}

static gboolean
virDomainReadDisk(virDomainDef *def, virDomainDisk *disk, GCancellable *cancellable,
                  GError **error)
{
    g_autofree char *what = g_strdup_printf("disk '%s'", disk->target);

    if (!disk->path) {
        g_clear_pointer(&disk->chain, virImageChainFree);
        return TRUE;
    }
    return virDomainTakeChain(
        def, disk,
        disk->chain
            ? virImageChainRead(disk->path, disk->format, what, cancellable, error)
            : virImageChainReadAndLook(disk->path, disk->format, what, cancellable,
                                       error),
        error);
}

/* For a guest that runs, whose supervisor has more to do than to wait. */
static gboolean
virDomainReadHotDisk(virDomainDef *def, virDomainDisk *disk, GError **error)
{
    g_autofree char *what = g_strdup_printf("disk '%s'", disk->target);

    return !disk->path ||
           virDomainTakeChain(def, disk,
                              virImageChainReadWithin(disk->path, disk->format, what,
                                                      VIR_IMAGE_READ_SEC, error),
                              error);
}

static gboolean
virDomainReadNvram(virDomainDef *def, GCancellable *cancellable, GError **error)
{
    g_autoptr(virImageChain) chain = NULL;
    virDomainResource *resource;
    const virImage *image;

    if (!virDomainPrepareFirmware(def, error))
        return FALSE;
    if (!def->os.nvram)
        return TRUE;
    chain = virImageChainRead(def->os.nvram, "raw", "NVRAM", cancellable, error);
    if (!chain || !virDomainCheckAccess("NVRAM", def->os.nvram, TRUE, error))
        return FALSE;
    image = g_ptr_array_index(chain->images, 0);
    def->nvramIsBlock = image->isBlock;
    if (def->directIoRequired && !image->directIo)
        return virDomainError(error,
                              "NVRAM '%s' is on a file system without O_DIRECT; move it",
                              def->os.nvram);
    resource = virDomainAddResource(def, VIR_LOCK_RESOURCE_DISK, g_strdup(def->os.nvram),
                                    g_strdup("nvram"), "raw");
    resource->directIo = def->directIoRequired;
    resource->node = g_strdup("pflash1-storage");
    return TRUE;
}

static gboolean
virDomainReadTpm(virDomainDef *def, GError **error)
{
    if (!def->tpm || !g_str_equal(def->tpm->backend, "emulator"))
        return TRUE;
    if (!g_file_test(def->tpm->sourcePath, G_FILE_TEST_IS_DIR))
        return virDomainError(error,
                              "TPM: its state directory '%s' does not exist; make it",
                              def->tpm->sourcePath);
    if (!virDomainCheckAccess("TPM", def->tpm->sourcePath, TRUE, error))
        return FALSE;
    virDomainAddResource(def, VIR_LOCK_RESOURCE_DISK, g_strdup(def->tpm->sourcePath),
                         g_strdup("tpm"), "directory");
    return TRUE;
}

virDomainResource *
virDomainAddLease(virDomainDef *def, const virDomainLease *lease)
{
    virDomainResource *resource = virDomainAddResource(def, VIR_LOCK_RESOURCE_LEASE,
                                                       g_strdup(lease->key), NULL, NULL);

    resource->lockspace = g_strdup(lease->lockspace);
    resource->leasePath = g_strdup(lease->path);
    resource->leaseOffset = g_strdup(lease->offset);
    return resource;
}

/* --- all of it ------------------------------------------------------------------------------------ */

static gboolean
virDomainReadAll(virDomainDef *def, GCancellable *cancellable, GError **error)
{
    if (def->foreign)
        return virDomainForeignReadChains(def, cancellable, error);
    for (guint i = 0; i < def->disks->len; i++)
        if (!virDomainReadDisk(def, g_ptr_array_index(def->disks, i), cancellable, error))
            return FALSE;
    if (!virDomainReadNvram(def, cancellable, error) || !virDomainReadTpm(def, error))
        return FALSE;
    for (guint i = 0; i < def->leases->len; i++)
        virDomainAddLease(def, g_ptr_array_index(def->leases, i));
    return TRUE;
}

void
virDomainFingerprintChain(GString *text, const char *target, const virImageChain *chain)
{
    for (guint i = 0; chain && i < chain->images->len; i++) {
        const virImage *image = g_ptr_array_index(chain->images, i);

        g_string_append_printf(
            text, "%s %u %s %s %" G_GINT64_MODIFIER "x:%" G_GINT64_MODIFIER "x %s\n",
            target, i, image->path, image->format, image->device, image->inode,
            image->dataFile ? image->dataFile : "-");
    }
}

static char *
virDomainFingerprint(const virDomainDef *def)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < def->disks->len; i++) {
        const virDomainDisk *disk = g_ptr_array_index(def->disks, i);

        virDomainFingerprintChain(text, disk->target, disk->chain);
    }
    for (guint i = 0; i < def->foreignImages->len; i++) {
        const virDomainForeignImage *image = g_ptr_array_index(def->foreignImages, i);

        virDomainFingerprintChain(text, image->path, image->chain);
    }
    return g_string_free(text, FALSE);
}

/* The first line of @now that is not in @before, for the message. */
static char *
virDomainFingerprintNews(const char *before, const char *now)
{
    g_auto(GStrv) old = g_strsplit(before, "\n", -1);
    g_auto(GStrv) lines = g_strsplit(now, "\n", -1);

    for (guint i = 0; lines[i]; i++)
        if (*lines[i] && !g_strv_contains((const char *const *)old, lines[i]))
            return g_strdup(lines[i]);
    return g_strdup("an image is no longer in it");
}

static gboolean
virDomainStale(const char *before, const char *now, GError **error)
{
    g_autofree char *news = virDomainFingerprintNews(before, now);
    g_autoptr(GError) err = NULL;

    virDomainError(
        &err,
        "the backing chain of a disk changed while its leases were taken, now: "
        "%s; try again",
        news);
    g_set_error_literal(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STALE, err->message);
    return FALSE;
}

void
virDomainUpdateFingerprint(virDomainDef *def)
{
    g_free(def->fingerprint);
    def->fingerprint = virDomainFingerprint(def);
}

gboolean
virDomainDefReadChains(virDomainDef *def, GCancellable *cancellable, GError **error)
{
    g_autofree char *now = NULL;

    g_ptr_array_set_size(def->resources, 0);
    if (!virDomainReadAll(def, cancellable, error))
        return FALSE;
    now = virDomainFingerprint(def);
    if (!def->fingerprint) {
        def->fingerprint = g_steal_pointer(&now);
        return TRUE;
    }
    if (g_str_equal(def->fingerprint, now))
        return TRUE;
    return virDomainStale(def->fingerprint, now, error);
}

/* --- images that may be something else ------------------------------------------------------- */

static void
virDomainAddNotes(GString *notes, const char *what, const virImageChain *chain)
{
    for (guint i = 0; chain && i < chain->images->len; i++) {
        const virImage *image = g_ptr_array_index(chain->images, i);
        g_autofree char *path = image->doubtful ? virTextPrintable(image->path) : NULL;

        if (path)
            g_string_append_printf(
                notes,
                "%s%s: '%s' begins like a qcow2 image and is used as raw; formats are "
                "never guessed, so say it if it is qcow2",
                notes->len ? "\n" : "", what, path);
    }
}

char *
virDomainDefGetNotes(const virDomainDef *def)
{
    g_autoptr(GString) notes = g_string_new(NULL);

    for (guint i = 0; i < def->disks->len; i++) {
        const virDomainDisk *disk = g_ptr_array_index(def->disks, i);
        g_autofree char *what = g_strdup_printf("disk '%s'", disk->target);

        virDomainAddNotes(notes, what, disk->chain);
    }
    for (guint i = 0; i < def->foreignImages->len; i++) {
        const virDomainForeignImage *image = g_ptr_array_index(def->foreignImages, i);

        virDomainAddNotes(notes, "an image", image->chain);
    }
    return notes->len ? g_strdup(notes->str) : NULL;
}

/* --- one disk of a running guest ------------------------------------------------------------- */

guint
virDomainDefNextNode(const virDomainDef *def, const char *target)
{
    const virImageChain *chain = virDomainDefGetDiskChain(def, target);
    guint next = 0;

    for (guint i = 0; chain && i < chain->images->len; i++)
        next =
            MAX(next, ((const virImage *)g_ptr_array_index(chain->images, i))->node + 1);
    return next;
}

const virImageChain *
virDomainDefGetDiskChain(const virDomainDef *def, const char *target)
{
    const virDomainDisk *disk = virDomainFindDisk(def, target);

    return disk ? disk->chain : NULL;
}

/* What the description says of the chain, so that reading it again finds the same. */
void
virDomainStateChain(virDomainDisk *disk)
{
    const virImage *top;

    g_ptr_array_set_size(disk->backing, 0);
    disk->backingComplete = disk->chain != NULL;
    g_clear_pointer(&disk->path, g_free);
    disk->index = 0;
    if (!disk->chain)
        return;
    top = g_ptr_array_index(disk->chain->images, 0);
    disk->path = g_strdup(top->path);
    disk->index = top->node + 1;
    disk->isBlock = top->isBlock;
    g_free(disk->format);
    disk->format = g_strdup(top->format);
    for (guint i = 1; i < disk->chain->images->len; i++) {
        const virImage *image = g_ptr_array_index(disk->chain->images, i);
        virDomainBacking *backing = g_new0(virDomainBacking, 1);

        backing->path = g_strdup(image->path);
        backing->format = g_strdup(image->format);
        backing->index = image->node + 1;
        g_ptr_array_add(disk->backing, backing);
    }
}

void
virDomainDefLeaveChainOpen(virDomainDef *def, const char *target)
{
    virDomainFindDisk(def, target)->inFlux = TRUE;
}

void
virDomainDefSetDiskChain(virDomainDef *def, const char *target, virImageChain *chain)
{
    virDomainDisk *disk = virDomainFindDisk(def, target);
    virDomainResource *resource;

    while ((resource = virDomainDefFirstOfDisk(def, target)))
        virDomainDefDropResource(def, resource);
    if (disk->chain != chain)
        virImageChainFree(disk->chain);
    disk->chain = chain;
    disk->inFlux = FALSE;
    virDomainStateChain(disk);
    if (chain)
        virDomainAddDiskResources(def, disk);
    virDomainUpdateFingerprint(def);
}

gboolean
virDomainDefCompareChains(const char *target, const virImageChain *before,
                          const virImageChain *now, GError **error)
{
    g_autoptr(GString) old = g_string_new(NULL), new = g_string_new(NULL);

    virDomainFingerprintChain(old, target, before);
    virDomainFingerprintChain(new, target, now);
    return g_str_equal(old->str, new->str) || virDomainStale(old->str, new->str, error);
}

gboolean
virDomainDefReadDiskChain(virDomainDef *def, const char *target, GError **error)
{
    virDomainDisk *disk = virDomainFindDisk(def, target);
    virImageChain *before = g_steal_pointer(&disk->chain);
    guint known = def->resources->len;
    gboolean ok = virDomainReadHotDisk(def, disk, error);

    if (before) { /* what was found first stays: its leases are held, or not yet given up */
        ok = ok && virDomainDefCompareChains(target, before, disk->chain, error);
        g_ptr_array_set_size(def->resources, (gint)known);
        virImageChainFree(disk->chain);
        disk->chain = before;
        return ok;
    }
    virDomainUpdateFingerprint(def);
    return ok;
}
