/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image_chain.c: follows backing files from the top image down.
 *
 * Each image is opened, never by a name that QEMU would understand as a protocol, and never
 * twice: an image that comes back in its own chain is a loop. Messages name the chain so far.
 */
#include "image_chain.h"
#include "common/fd.h"
#include "common/text.h"
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <leasehold/lock_types.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VIR_IMAGE_ALIGN 4096

typedef struct _virImageReader {
    const char *what;
    virImageChain *chain;
    GCancellable *cancellable;
    gboolean looks; /* at raw images, too */
} virImageReader;

virImage *
virImageCopy(const virImage *image)
{
    virImage *copy = g_memdup2(image, sizeof(*image));

    copy->path = g_strdup(image->path);
    copy->format = g_strdup(image->format);
    copy->dataFile = g_strdup(image->dataFile);
    return copy;
}

virImageChain *
virImageChainNew(void)
{
    virImageChain *chain = g_new0(virImageChain, 1);

    chain->images = g_ptr_array_new_with_free_func((GDestroyNotify)virImageFree);
    return chain;
}

void
virImageFree(virImage *image)
{
    if (!image)
        return;
    g_free(image->path);
    g_free(image->format);
    g_free(image->dataFile);
    g_free(image);
}

void
virImageChainFree(virImageChain *chain)
{
    if (!chain)
        return;
    g_ptr_array_unref(chain->images);
    g_free(chain);
}

/* --- messages --------------------------------------------------------------------------- */

static char *
virImageChainSoFar(const virImageReader *reader)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < reader->chain->images->len; i++) {
        virImage *image = g_ptr_array_index(reader->chain->images, i);

        g_string_append_printf(text, "%s'%s'", i ? " -> " : "", image->path);
    }
    return g_string_free(text, FALSE);
}

static gboolean virImageError(const virImageReader *reader, int code, GError **error,
                              const char *format, ...) G_GNUC_PRINTF(4, 5);

static gboolean
virImageError(const virImageReader *reader, int code, GError **error, const char *format,
              ...)
{
    g_autofree char *chain = virImageChainSoFar(reader);
    g_autofree char *words = NULL;
    g_autofree char *message = NULL;
    g_autofree char *printable = NULL;
    va_list args;

    va_start(args, format);
    words = g_strdup_vprintf(format, args);
    va_end(args);
    message = g_strdup_printf("%s: %s%s%s", reader->what, words,
                              *chain ? "; its chain so far: " : "", chain);
    printable = virTextPrintable(message);
    g_set_error_literal(error, VIR_LOCK_ERROR, code, printable);
    return FALSE;
}

static int
virImageCodeOfErrno(int err)
{
    return err == EIO || err == ESTALE || err == ETIMEDOUT || err == ENXIO ||
                   err == EMFILE || err == ENFILE || err == ENOMEM
               ? VIR_LOCK_ERROR_UNAVAILABLE
               : VIR_LOCK_ERROR_CONFIG;
}

/* --- one file --------------------------------------------------------------------------- */

/* Opens for reading, around the page cache if the storage can do that. */
static int
virImageOpen(const virImageReader *reader, const char *path, gboolean *directIo,
             struct stat *st, GError **error)
{
    int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    int fd = open(path, flags | O_DIRECT);

    *directIo = fd >= 0;
    if (fd < 0 && errno == EINVAL)
        fd = open(path, flags);
    if (fd < 0) {
        int err = errno;

        virImageError(reader, virImageCodeOfErrno(err), error, "cannot open '%s': %s",
                      path, g_strerror(err));
        return -1;
    }
    if (fstat(fd, st) == 0 && (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode)))
        return fd;
    virImageError(reader, VIR_LOCK_ERROR_CONFIG, error,
                  "'%s' is neither a file nor a block device", path);
    close(fd);
    return -1;
}

/* Up to @size bytes from the start; fewer only at the end of the file. -1: errno. */
static gssize
virImageReadStart(int fd, guint8 *buffer, gsize size)
{
    gsize done = 0;

    while (done < size) {
        gssize n = pread(fd, buffer + done, size - done, (off_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (gsize)n;
        if (done % VIR_IMAGE_ALIGN)
            break; /* the tail of the file: O_DIRECT cannot go on from here, nor need it */
    }
    return (gssize)done;
}

static gboolean
virImageReadQcow2(const virImageReader *reader, int fd, const char *path,
                  virImageHeader *header, GError **error)
{
    g_autoptr(GError) err = NULL;
    void *buffer = NULL;
    gsize want = VIR_IMAGE_ALIGN;
    gssize have;
    gboolean ok = FALSE;

    for (;;) {
        free(buffer);
        buffer = aligned_alloc(VIR_IMAGE_ALIGN, want);
        have = buffer ? virImageReadStart(fd, buffer, want) : -1;
        if (have < 0) {
            int e = buffer ? errno : ENOMEM;

            virImageError(reader, virImageCodeOfErrno(e), error, "cannot read '%s': %s",
                          path, g_strerror(e));
            break;
        }
        if ((gsize)have == want && want < virImageQcow2HeaderSize(buffer, (gsize)have)) {
            want = virImageQcow2HeaderSize(buffer, (gsize)have);
            continue;
        }
        ok = virImageQcow2Parse(buffer, (gsize)have, header, &err);
        if (!ok)
            virImageError(reader, VIR_LOCK_ERROR_CONFIG, error, "'%s': %s", path,
                          err->message);
        break;
    }
    free(buffer);
    return ok;
}

/* -1: it cannot be read. */
static int
virImageLooksQcow2(int fd)
{
    void *buffer = aligned_alloc(VIR_IMAGE_ALIGN, VIR_IMAGE_ALIGN);
    gssize have = buffer ? virImageReadStart(fd, buffer, VIR_IMAGE_ALIGN) : -1;
    int looks = have < 0 ? -1 : virImageQcow2HeaderSize(buffer, (gsize)have) > 0;

    free(buffer);
    return looks;
}

static gboolean
virImageReadHeader(const virImageReader *reader, int fd, virImage *image,
                   virImageHeader *header, GError **error)
{
    g_autoptr(GError) err = NULL;

    memset(header, 0, sizeof(*header));
    if (g_str_equal(image->format, "raw")) {
        image->doubtful = reader->looks && virImageLooksQcow2(fd) > 0;
        return TRUE;
    }
    if (g_str_equal(image->format, "qcow2"))
        return virImageReadQcow2(reader, fd, image->path, header, error);
    if (!virImageInfoKnows(image->format))
        return virImageError(reader, VIR_LOCK_ERROR_CONFIG, error,
                             "'%s' has format '%s', which is not supported", image->path,
                             image->format);
    if (virImageInfoRead(image->path, image->format, image->isBlock, reader->cancellable,
                         header, &err))
        return TRUE;
    return virImageError(reader, err->code, error, "'%s': %s", image->path, err->message);
}

/* --- names ------------------------------------------------------------------------------- */

/* The absolute path of @name as stored in @image's header: relative names are relative to
 * the image's folder, "file:" is permitted, every other protocol is not. */
static char *
virImageResolve(const virImageReader *reader, const virImage *image, const char *name,
                GError **error)
{
    g_autofree char *dir = g_path_get_dirname(image->path);
    gsize protocol;

    if (g_str_has_prefix(name, "file:"))
        name += strlen("file:");
    protocol = strcspn(name, ":/");
    if (name[protocol] == ':') {
        virImageError(reader, VIR_LOCK_ERROR_CONFIG, error,
                      "'%s' names '%s' as its backing or data file; only files and block "
                      "devices are supported, not '%.*s:'",
                      image->path, name, (int)protocol, name);
        return NULL;
    }
    if (!*name) {
        virImageError(reader, VIR_LOCK_ERROR_CONFIG, error,
                      "'%s' names an empty backing file", image->path);
        return NULL;
    }
    return g_path_is_absolute(name) ? g_strdup(name) : g_build_filename(dir, name, NULL);
}

static const char *
virImageBackingFormat(const virImageReader *reader, const virImage *image,
                      const virImageHeader *header, GError **error)
{
    const char *format = header->backingFormat;

    if (!format) {
        virImageError(
            reader, VIR_LOCK_ERROR_CONFIG, error,
            "'%s' has backing file '%s' but does not say its format, and formats are "
            "never guessed; say it with: qemu-img rebase -u -b '%s' -F FORMAT '%s'",
            image->path, header->backing, header->backing, image->path);
        return NULL;
    }
    /* what old qemu-img wrote for raw */
    if (g_str_equal(format, "file") || g_str_equal(format, "host_device"))
        return "raw";
    return format;
}

/* --- the chain ---------------------------------------------------------------------------- */

static gboolean
virImageTakeDataFile(const virImageReader *reader, virImage *image,
                     const virImageHeader *header, GError **error)
{
    struct stat st;
    gboolean directIo;
    int fd;

    if (!header->dataFile)
        return TRUE;
    image->dataFile = virImageResolve(reader, image, header->dataFile, error);
    if (!image->dataFile)
        return FALSE;
    fd = virImageOpen(reader, image->dataFile, &directIo, &st, error);
    if (fd < 0)
        return FALSE;
    close(fd);
    image->dataFileIsBlock = S_ISBLK(st.st_mode);
    image->directIo = image->directIo && directIo;
    return TRUE;
}

static gboolean
virImageCheckNew(const virImageReader *reader, const virImage *image, GError **error)
{
    GPtrArray *images = reader->chain->images;

    for (guint i = 0; i < images->len; i++) {
        virImage *above = g_ptr_array_index(images, i);

        if (above->device == image->device && above->inode == image->inode)
            return virImageError(reader, VIR_LOCK_ERROR_CONFIG, error,
                                 "backing chain is a loop: '%s' is in it already",
                                 image->path);
    }
    if (images->len >= VIR_IMAGE_MAX_DEPTH)
        return virImageError(reader, VIR_LOCK_ERROR_CONFIG, error,
                             "backing chain has more than %d images",
                             VIR_IMAGE_MAX_DEPTH);
    return TRUE;
}

/* Adds the image @path to the chain; *next and *nextFormat: the one below, or NULL. */
static gboolean
virImageAdd(virImageReader *reader, const char *path, const char *format, char **next,
            char **nextFormat, GError **error)
{
    g_auto(virImageHeader) header = {NULL};
    struct stat st;
    gboolean directIo;
    virImage *image;
    gboolean ok;
    int fd;

    fd = virImageOpen(reader, path, &directIo, &st, error);
    if (fd < 0)
        return FALSE;
    image = g_new0(virImage, 1);
    image->path = g_strdup(path);
    image->format = g_strdup(format);
    image->isBlock = S_ISBLK(st.st_mode);
    image->device = image->isBlock ? st.st_rdev : st.st_dev;
    image->inode = image->isBlock ? 0 : st.st_ino;
    image->directIo = directIo;
    ok = virImageCheckNew(reader, image, error) &&
         virImageReadHeader(reader, fd, image, &header, error) &&
         virImageTakeDataFile(reader, image, &header, error);
    close(fd);
    if (!ok) {
        virImageFree(image);
        return FALSE;
    }
    image->encrypted = header.encrypted;
    image->node = reader->chain->images->len;
    g_ptr_array_add(reader->chain->images, image);
    if (!header.backing)
        return TRUE;
    format = virImageBackingFormat(reader, image, &header, error);
    *next = format ? virImageResolve(reader, image, header.backing, error) : NULL;
    *nextFormat = g_strdup(format);
    return *next != NULL;
}

static virImageChain *
virImageChainFollow(const char *path, const char *format, const virImageReader *how,
                    GError **error)
{
    g_autoptr(virImageChain) chain = virImageChainNew();
    virImageReader reader = *how;
    g_autofree char *next = g_strdup(path);
    g_autofree char *nextFormat = g_strdup(format);

    reader.chain = chain;
    while (next) {
        g_autofree char *here = g_steal_pointer(&next);
        g_autofree char *hereFormat = g_steal_pointer(&nextFormat);

        if (g_cancellable_is_cancelled(reader.cancellable)) {
            virImageError(&reader, VIR_LOCK_ERROR_CANCELLED, error, "cancelled");
            return NULL;
        }
        if (!virImageAdd(&reader, here, hereFormat, &next, &nextFormat, error))
            return NULL;
    }
    return g_steal_pointer(&chain);
}

virImageChain *
virImageChainRead(const char *path, const char *format, const char *what,
                  GCancellable *cancellable, GError **error)
{
    const virImageReader reader = {.what = what, .cancellable = cancellable};

    return virImageChainFollow(path, format, &reader, error);
}

virImageChain *
virImageChainReadAndLook(const char *path, const char *format, const char *what,
                         GCancellable *cancellable, GError **error)
{
    const virImageReader reader = {
        .what = what, .cancellable = cancellable, .looks = TRUE};

    return virImageChainFollow(path, format, &reader, error);
}

void
virImageChainRecall(virImageChain *chain, const virImageChain *seen)
{
    for (guint i = 0; i < MIN(chain->images->len, seen->images->len); i++) {
        virImage *image = g_ptr_array_index(chain->images, i);
        const virImage *before = g_ptr_array_index(seen->images, i);

        image->doubtful = before->doubtful && g_str_equal(image->path, before->path) &&
                          g_str_equal(image->format, before->format);
    }
}

/* --- looking, without believing ------------------------------------------------------------- */

GPtrArray *
virImagePeek(const char *path, const char *what, GError **error)
{
    g_autoptr(virImageChain) chain = virImageChainNew();
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    g_auto(virImageHeader) header = {NULL};
    virImageReader reader = {.what = what, .chain = chain};
    virImage image = {.path = (char *)path};
    struct stat st;
    gboolean directIo;
    g_auto(virFd) fd = virImageOpen(&reader, path, &directIo, &st, error);

    /* unreadable: the real reader says why */
    if (fd < 0 || (virImageLooksQcow2(fd) != 0 &&
                   !virImageReadQcow2(&reader, fd, path, &header, error)))
        return NULL;
    for (int data = 0; data < 2; data++) {
        const char *name = data ? header.dataFile : header.backing;
        char *file = name ? virImageResolve(&reader, &image, name, error) : NULL;

        if (name && !file)
            return NULL;
        if (file)
            g_ptr_array_add(files, file);
    }
    return g_steal_pointer(&files);
}
