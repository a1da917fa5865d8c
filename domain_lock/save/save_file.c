/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * save_file.c: files with a saved guest: whole, or not there (I7).
 *
 * A file is written under another name and has no header until everything else in it is on
 * stable storage, so a crash at any byte leaves something that nobody takes for a saved guest.
 * It has room for two headers; a new one replaces the older of them, and counts from when it
 * is whole.
 */
#include "save_file.h"
#include "common/checksum.h"
#include "common/fd.h"
#include "domain_lock/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct _virSaveWriter {
    char *path;
    char *temporary; /* NULL once it is published */
    int fd;
    guint flags;
    guint64 offset; /* of the stream */
    guint64 length; /* of the stream so far */
    guint8 *buffer; /* VIR_SAVE_CHUNK bytes, aligned */
    gsize used;
    virChecksum sum;
};

static int
virSavePwrite(int fd, const guint8 *bytes, gsize len, guint64 offset)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, bytes, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        bytes += n;
        len -= (gsize)n;
        offset += (guint64)n;
    }
    return 0;
}

/* @wanted bytes or, @len being whole blocks for O_DIRECT's sake, some more; fewer only at the
 * end of the file. */
static int
virSavePread(int fd, guint8 *bytes, gsize len, gsize wanted, guint64 offset, gsize *got)
{
    *got = 0;
    while (*got < wanted) {
        ssize_t n = pread(fd, bytes + *got, len - *got, (off_t)(offset + *got));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            return 0;
        *got += (gsize)n;
    }
    return 0;
}

static guint8 *
virSaveBuffer(gsize size)
{
    return aligned_alloc(VIR_SAVE_ALIGN, size);
}

static gboolean
virSaveFail(GError **error, int err, const char *what, const char *path)
{
    virFileSetError(error, err, what, path);
    return FALSE;
}

/* --- writing ------------------------------------------------------------------------ */

/* Over a file only, not over a device or a folder: what looks like a typing error may be a
 * disk. */
static gboolean
virSaveCheckTarget(const char *path, GError **error)
{
    struct stat st;

    if (!g_path_is_absolute(path)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "'%s' is no absolute path", path);
        return FALSE;
    }
    if (lstat(path, &st) < 0)
        return errno == ENOENT || virSaveFail(error, errno, "cannot look at", path);
    if (S_ISREG(st.st_mode))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "cannot save to '%s': it exists and is no plain file", path);
    return FALSE;
}

static char *
virSaveTemporary(const char *path, const char *tag)
{
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *base = g_path_get_basename(path);

    return g_strdup_printf("%s/.%s.%s.saving", dir, base, tag);
}

void
virSaveWriterSweep(const char *path, const char *tag)
{
    g_autofree char *temporary = virSaveTemporary(path, tag);

    (void)unlink(temporary);
}

virSaveWriter *
virSaveWriterNew(const char *path, const char *tag, guint64 offset, guint flags,
                 GError **error)
{
    g_autoptr(virSaveWriter) writer = g_new0(virSaveWriter, 1);
    int direct = flags & VIR_SAVE_FILE_DIRECT ? O_DIRECT : 0;

    writer->fd = -1;
    if (!virSaveCheckTarget(path, error))
        return NULL;
    writer->path = g_strdup(path);
    writer->flags = flags;
    writer->offset = offset;
    writer->temporary = virSaveTemporary(path, tag);
    writer->buffer = virSaveBuffer(VIR_SAVE_CHUNK);
    virChecksumInit(&writer->sum);
    if (unlink(writer->temporary) < 0 && errno != ENOENT) {
        virFileSetError(error, errno, "cannot remove", writer->temporary);
        return NULL;
    }
    writer->fd = open(writer->temporary,
                      O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | direct, 0600);
    if (writer->fd >= 0)
        return g_steal_pointer(&writer);
    if (errno == EINVAL && direct)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "the file system of '%s' cannot bypass the page cache", path);
    else
        virFileSetError(error, errno, "cannot make", writer->temporary);
    g_clear_pointer(&writer->temporary, g_free);
    return NULL;
}

void
virSaveWriterFree(virSaveWriter *writer)
{
    if (!writer)
        return;
    if (writer->temporary)
        (void)unlink(writer->temporary);
    virFdClose(writer->fd);
    free(writer->buffer);
    g_free(writer->temporary);
    g_free(writer->path);
    g_free(writer);
}

/* What is in the buffer goes out; the end of a direct file is rounded up and cut off again
 * by Seal. */
static int
virSaveFlush(virSaveWriter *writer)
{
    gsize len = writer->used;
    int err = 0;

    if (len == 0)
        return 0;
    virChecksumAdd(&writer->sum, writer->buffer, len);
    if (writer->flags & VIR_SAVE_FILE_DIRECT && len % VIR_SAVE_ALIGN != 0) {
        gsize rounded = (len + VIR_SAVE_ALIGN - 1) / VIR_SAVE_ALIGN * VIR_SAVE_ALIGN;

        memset(writer->buffer + len, 0, rounded - len);
        len = rounded;
    }
    err = virSavePwrite(writer->fd, writer->buffer, len, writer->offset + writer->length);
    writer->length += writer->used;
    writer->used = 0;
    return err;
}

gboolean
virSaveWriterFill(virSaveWriter *writer, int fd, gint64 *moved, GError **error)
{
    int err = 0;

    for (;;) {
        ssize_t n =
            read(fd, writer->buffer + writer->used, VIR_SAVE_CHUNK - writer->used);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return virSaveFail(error, errno, "cannot read the memory for", writer->path);
        writer->used += (gsize)n;
        if (n == 0 || writer->used == VIR_SAVE_CHUNK)
            err = virSaveFlush(writer);
        if (err != 0)
            return virSaveFail(error, err, "cannot write", writer->path);
        __atomic_store_n(moved, (gint64)(writer->length + writer->used),
                         __ATOMIC_RELAXED);
        if (n == 0)
            return TRUE;
    }
}

static int
virSaveWriteHeader(int fd, const virSaveImage *image, guint64 offset, GError **error)
{
    g_autofree guint8 *slot = virSaveImageEncode(image, error);
    guint8 *aligned = NULL;
    int err = 0;

    if (!slot)
        return -1;
    aligned = virSaveBuffer(image->slotSize);
    memcpy(aligned, slot, image->slotSize);
    err = virSavePwrite(fd, aligned, image->slotSize, offset);
    free(aligned);
    if (err == 0 && fsync(fd) < 0)
        err = errno;
    return err;
}

gboolean
virSaveWriterSeal(virSaveWriter *writer, virSaveImage *image, GError **error)
{
    int err = 0;

    image->streamOffset = writer->offset;
    image->streamLength = writer->length;
    image->streamCrc = virChecksumGet(&writer->sum);
    if (ftruncate(writer->fd, (off_t)(writer->offset + writer->length)) < 0 ||
        fsync(writer->fd) < 0)
        err = errno;
    if (err == 0)
        err = virSaveWriteHeader(writer->fd, image, 0, error);
    if (err < 0)
        return FALSE;
    return err == 0 || virSaveFail(error, err, "cannot write", writer->path);
}

static int
virSaveSyncDir(const char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);
    g_auto(virFd) fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? errno : 0;
}

gboolean
virSaveWriterPublish(virSaveWriter *writer, gboolean *uncertain, GError **error)
{
    int err = 0;

    *uncertain = TRUE;
    if (rename(writer->temporary, writer->path) < 0)
        return virSaveFail(error, errno, "cannot give its name to", writer->path);
    g_clear_pointer(&writer->temporary, g_free);
    err = virSaveSyncDir(writer->path);
    *uncertain = err != 0;
    return err == 0 || virSaveFail(error, err, "cannot make sure of", writer->path);
}

/* --- reading ------------------------------------------------------------------------ */

static int
virSaveOpenPlain(const char *path, int mode, struct stat *st, GError **error)
{
    /* a FIFO must not stop us, and a device is no file */
    g_auto(virFd) fd = open(path, mode | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 || fstat(fd, st) < 0) {
        virFileSetError(error, errno, "cannot open", path);
        return -1;
    }
    if (!S_ISREG(st->st_mode)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "'%s' is no plain file, so no saved guest", path);
        return -1;
    }
    return g_steal_fd(&fd);
}

/* The header in the slot at @offset, if there is one. */
static virSaveImage *
virSaveReadSlot(int fd, guint64 offset, guint64 size, GError **error)
{
    g_autofree guint8 *bytes = g_malloc(size);
    gsize got = 0;
    int err = virSavePread(fd, bytes, size, size, offset, &got);

    if (err != 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "it cannot be read: %s", g_strerror(err));
        return NULL;
    }
    return virSaveImageDecode(bytes, got, error);
}

static gboolean
virSavePeekSlot(int fd, guint64 offset, guint64 *size, virSaveSlot *judged)
{
    guint8 fixed[VIR_SAVE_IMAGE_FIXED];
    gsize got = 0;

    if (virSavePread(fd, fixed, sizeof(fixed), sizeof(fixed), offset, &got) != 0)
        return FALSE;
    *judged = virSaveImagePeek(fixed, got, size);
    return *judged == VIR_SAVE_SLOT_GOOD;
}

/* The first slot says where the second one is; if the first was torn, the second one is at
 * one of a few places. */
static guint64
virSaveSlotSize(int fd, virSaveSlot *judged)
{
    guint64 size = 0;
    virSaveSlot second = VIR_SAVE_SLOT_FOREIGN;

    if (virSavePeekSlot(fd, 0, &size, judged))
        return size;
    if (*judged == VIR_SAVE_SLOT_NEWER)
        return 0;
    for (guint64 at = VIR_SAVE_IMAGE_MIN_SLOT; at <= VIR_SAVE_IMAGE_MAX_SLOT; at *= 2) {
        if (virSavePeekSlot(fd, at, &size, &second) && size == at)
            return size;
    }
    return 0;
}

static virSaveImage *
virSaveReadHeader(int fd, GError **error)
{
    virSaveSlot judged = VIR_SAVE_SLOT_FOREIGN;
    guint64 size = virSaveSlotSize(fd, &judged);
    g_autoptr(virSaveImage) first = NULL;
    g_autoptr(virSaveImage) second = NULL;
    g_autoptr(GError) why = NULL;

    if (size == 0 && judged == VIR_SAVE_SLOT_NEWER)
        return virSaveReadSlot(fd, 0, VIR_SAVE_IMAGE_FIXED, error);
    if (size == 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "it is no saved guest, or one whose saving was never finished");
        return NULL;
    }
    first = virSaveReadSlot(fd, 0, size, &why);
    second = virSaveReadSlot(fd, size, size, NULL);
    if (!first && !second) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    if (!first || (second && second->generation > first->generation))
        return g_steal_pointer(&second);
    return g_steal_pointer(&first);
}

static gboolean
virSaveCheckLength(const virSaveImage *image, const struct stat *st, GError **error)
{
    guint64 wanted = image->streamOffset + image->streamLength;

    if ((guint64)st->st_size == wanted)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "it is not whole: it should have %" G_GUINT64_FORMAT
                " bytes and has %" G_GUINT64_FORMAT,
                wanted, (guint64)st->st_size);
    return FALSE;
}

static int
virSaveOpenChecked(const char *path, int mode, virSaveImage **image, GError **error)
{
    struct stat st;
    g_auto(virFd) fd = virSaveOpenPlain(path, mode, &st, error);
    g_autoptr(virSaveImage) found = NULL;

    if (fd < 0)
        return -1;
    found = virSaveReadHeader(fd, error);
    if (!found || !virSaveCheckLength(found, &st, error)) {
        g_prefix_error(error, "'%s' cannot be used: ", path);
        return -1;
    }
    *image = g_steal_pointer(&found);
    return g_steal_fd(&fd);
}

int
virSaveFileOpen(const char *path, guint flags, virSaveImage **image, GError **error)
{
    g_autoptr(virSaveImage) found = NULL;
    g_auto(virFd) fd = virSaveOpenChecked(path, O_RDONLY, &found, error);
    int status = fd >= 0 ? fcntl(fd, F_GETFL) : -1;
    int wanted = flags & VIR_SAVE_FILE_DIRECT ? O_DIRECT : 0;

    if (fd < 0)
        return -1;
    if (status < 0 || fcntl(fd, F_SETFL, (status & ~O_NONBLOCK) | wanted) < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "the file system of '%s' cannot bypass the page cache: %s", path,
                    g_strerror(errno));
        return -1;
    }
    *image = g_steal_pointer(&found);
    return g_steal_fd(&fd);
}

virSaveImage *
virSaveFileRead(const char *path, GError **error)
{
    g_autoptr(virSaveImage) found = NULL;
    g_auto(virFd) fd = virSaveOpenChecked(path, O_RDONLY, &found, error);

    return fd >= 0 ? g_steal_pointer(&found) : NULL;
}

gboolean
virSaveFileRewrite(const char *path, virSaveImage *image, GError **error)
{
    g_autoptr(virSaveImage) found = NULL;
    g_auto(virFd) fd = virSaveOpenChecked(path, O_RDWR, &found, error);
    int err = 0;

    if (fd < 0)
        return FALSE;
    if (!g_str_equal(found->id, image->id) || found->generation != image->generation) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY,
                    "'%s' was changed by somebody else meanwhile", path);
        return FALSE;
    }
    image->generation++;
    err =
        virSaveWriteHeader(fd, image, image->generation % 2 ? image->slotSize : 0, error);
    if (err < 0)
        return FALSE;
    return err == 0 || virSaveFail(error, err, "cannot write", path);
}

static int
virSaveWriteAll(int out, const guint8 *bytes, gsize len, gint64 *moved)
{
    int err = virFdWriteFull(out, bytes, len);

    if (err == 0)
        __atomic_add_fetch(moved, (gint64)len, __ATOMIC_RELAXED);
    return err;
}

gboolean
virSaveFileDrain(int fd, const virSaveImage *image, int out, guint8 *last, gint64 *moved,
                 GError **error)
{
    g_autofree virChecksum *sum = g_new(virChecksum, 1);
    guint8 *buffer = virSaveBuffer(VIR_SAVE_CHUNK);
    guint64 left = image->streamLength;
    int err = 0;

    virChecksumInit(sum);
    while (left > 0 && err == 0) {
        gsize wanted = (gsize)MIN(left, VIR_SAVE_CHUNK);
        gsize got = 0;

        err = virSavePread(fd, buffer, VIR_SAVE_CHUNK, wanted,
                           image->streamOffset + image->streamLength - left, &got);
        if (err == 0 && got < wanted)
            err = EIO;
        if (err != 0)
            break;
        virChecksumAdd(sum, buffer, wanted);
        left -= wanted;
        *last = buffer[wanted - 1];
        err = virSaveWriteAll(out, buffer, left > 0 ? wanted : wanted - 1, moved);
    }
    free(buffer);
    if (err == EPIPE)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "QEMU does not take the saved state");
    else if (err != 0)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "the file cannot be read: %s", g_strerror(err));
    else if (virChecksumGet(sum) != image->streamCrc)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "the memory in the file is damaged: its checksum is wrong");
    return err == 0 && virChecksumGet(sum) == image->streamCrc;
}
