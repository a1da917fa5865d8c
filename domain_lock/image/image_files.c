/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image_files.c: which files a program that is no guest opens with its images.
 *
 * Nothing looks afterwards at what it has open, as the audit does with a QEMU. So an image whose
 * format nobody said is refused if it looks as if it had other files; it is never followed for
 * that, because its looks may be the work of a guest.
 */
#include "config.h"
#include "image_chain.h"

#include <leasehold/domain_lock.h>
#include <sys/stat.h>

virDomainLockImage *
virDomainLockImageNew(const char *path, const char *format, guint flags)
{
    virDomainLockImage *image = g_new0(virDomainLockImage, 1);

    image->path = g_strdup(path);
    image->format = g_strdup(format);
    image->flags = flags;
    return image;
}

void
virDomainLockImageFree(virDomainLockImage *image)
{
    if (!image)
        return;
    g_free(image->path);
    g_free(image->format);
    g_free(image);
}

static gboolean
virImageSameFile(const char *a, const char *b)
{
    struct stat first, second;

    return g_str_equal(a, b) ||
           (stat(a, &first) == 0 && stat(b, &second) == 0 &&
            first.st_dev == second.st_dev && first.st_ino == second.st_ino);
}

static gboolean
virImageIsAmong(GPtrArray *images, const char *path)
{
    for (guint i = 0; i < images->len; i++) {
        const virDomainLockImage *image = g_ptr_array_index(images, i);

        if (virImageSameFile(image->path, path))
            return TRUE;
    }
    return FALSE;
}

/* An image whose format is not known. */
static gboolean
virImageAddUnknown(GPtrArray *all, GPtrArray *images, const virDomainLockImage *image,
                   const char *what, GError **error)
{
    g_autoptr(GPtrArray) files = virImagePeek(image->path, what, error);

    if (!files) {
        g_prefix_error(error, "(if its content is a guest's own, say format=raw) ");
        return FALSE;
    }
    for (guint i = 0; i < files->len; i++) {
        const char *file = g_ptr_array_index(files, i);

        if (virImageIsAmong(images, file))
            continue;
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "%s looks like a qcow2 image that needs '%s', for which no lease is "
                    "asked: '%s,format=qcow2' takes those of all its files; if it only "
                    "looks so, say format=raw",
                    what, file, image->path);
        return FALSE;
    }
    g_ptr_array_add(all, virDomainLockImageNew(image->path, NULL, image->flags));
    return TRUE;
}

static gboolean
virImageAddChain(GPtrArray *all, const virDomainLockImage *image, const char *what,
                 GCancellable *cancellable, GError **error)
{
    g_autoptr(virImageChain) chain =
        virImageChainRead(image->path, image->format, what, cancellable, error);

    for (guint i = 0; chain && i < chain->images->len; i++) {
        const virImage *one = g_ptr_array_index(chain->images, i);
        guint flags = i == 0 ? image->flags : VIR_LOCK_MANAGER_RESOURCE_READONLY;

        g_ptr_array_add(all, virDomainLockImageNew(one->path, one->format, flags));
        if (one->dataFile)
            g_ptr_array_add(all, virDomainLockImageNew(one->dataFile, "raw", flags));
    }
    return chain != NULL;
}

GPtrArray *
virDomainLockResolveImages(GPtrArray *images, GCancellable *cancellable, GError **error)
{
    g_autoptr(GPtrArray) all =
        g_ptr_array_new_with_free_func((GDestroyNotify)virDomainLockImageFree);

    for (guint i = 0; i < images->len; i++) {
        const virDomainLockImage *image = g_ptr_array_index(images, i);
        g_autofree char *what = g_strdup_printf("disk '%s'", image->path);

        if (image->format ? !virImageAddChain(all, image, what, cancellable, error)
                          : !virImageAddUnknown(all, images, image, what, error))
            return NULL;
    }
    return g_steal_pointer(&all);
}
