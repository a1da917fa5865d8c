/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshot_write.c: writes the book beside an image, or gives up on storage that does not answer
 * (I9).
 *
 * Nothing ends a call that hangs in the kernel, so a thread makes them all. Who waited and gave
 * up may give the lease of the image up, too, and then nothing may be written any more: before
 * the one call that counts, the rename, the thread and who waits agree by one compare-and-swap
 * whether it is made. If it was begun and has not returned, nobody knows.
 *
 * A thread that was left behind must not be in the way of the next one: each has a temporary file
 * with a name of its own. Those of writers that were killed or left behind are removed by the next.
 */
#include "common/fd.h"
#include "domain_lock/file.h"
#include "snapshot_book.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOOK_TEMPORARY ".tmp"

typedef enum {
    WRITE_PREPARES, /* whoever waits may still give up */
    WRITE_COUNTS,
    WRITE_LEFT,
} virBookWriteStage;

typedef struct {
    gatomicrefcount refs;
    char *path;
    char *image;
    char *temporary;
    char *text;
    gint stage; /* atomic, virBookWriteStage */
    GMutex lock;
    GCond changed;
    gboolean ended;
    GError *error;
} virBookWriter;

static void
virBookWriterUnref(virBookWriter *writer)
{
    if (!g_atomic_ref_count_dec(&writer->refs))
        return;
    g_free(writer->path);
    g_free(writer->image);
    g_free(writer->temporary);
    g_free(writer->text);
    g_mutex_clear(&writer->lock);
    g_cond_clear(&writer->changed);
    g_clear_error(&writer->error);
    g_free(writer);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virBookWriter, virBookWriterUnref)

/* --- in the thread ------------------------------------------------------------------------ */

static gboolean
virBookBeginsToCount(virBookWriter *writer)
{
    return g_atomic_int_compare_and_exchange(&writer->stage, WRITE_PREPARES,
                                             WRITE_COUNTS);
}

/* 0 or errno. A rename that is not on stable storage may be undone by a power cut. */
static int
virBookSyncFolder(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    g_auto(virFd) fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? errno : 0;
}

/* What writers left that were killed, or did not come back. Their rename, if one comes, fails. */
static void
virBookDropOld(virBookWriter *writer)
{
    g_autofree char *folder = g_path_get_dirname(writer->path);
    g_autofree char *base = g_path_get_basename(writer->path);
    g_autofree char *prefix = g_strconcat(base, ".", NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name = NULL;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *old = g_build_filename(folder, name, NULL);

        if (g_str_has_prefix(name, prefix) && g_str_has_suffix(name, BOOK_TEMPORARY))
            (void)unlink(old);
    }
}

/* 0 or errno. Owner and mode as the image has them: whoever may read that may read what it was. */
static int
virBookFill(virBookWriter *writer, int fd)
{
    struct stat st;
    int err = 0;

    if (stat(writer->image, &st) == 0 && S_ISREG(st.st_mode) &&
        (fchown(fd, st.st_uid, st.st_gid) < 0 || fchmod(fd, st.st_mode & 0666) < 0))
        g_debug("'%s' keeps our owner and mode: %s", writer->path, g_strerror(errno));
    err = virFdWriteFull(fd, writer->text, strlen(writer->text));
    return err == 0 && fsync(fd) < 0 ? errno : err;
}

static int
virBookReplace(virBookWriter *writer)
{
    g_auto(virFd) fd = -1;
    int err = 0;

    virBookDropOld(writer);
    fd = open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    err = fd < 0 ? errno : virBookFill(writer, fd);
    if (err == 0 && !virBookBeginsToCount(writer))
        err = ECANCELED;
    if (err == 0 && rename(writer->temporary, writer->path) < 0)
        err = errno;
    if (err != 0 && fd >= 0)
        (void)unlink(writer->temporary);
    return err;
}

static int
virBookDrop(virBookWriter *writer)
{
    if (access(writer->path, F_OK) < 0 && errno == ENOENT)
        return 0;
    if (!virBookBeginsToCount(writer))
        return ECANCELED;
    return unlink(writer->path) < 0 && errno != ENOENT ? errno : 0;
}

static void
virBookWriteFile(virBookWriter *writer)
{
    g_autofree char *folder = g_path_get_dirname(writer->path);
    int err = 0;

    /* of the image: it is there; of devices: in the state folder */
    if (writer->text && !g_file_test(folder, G_FILE_TEST_IS_DIR) &&
        !virFileMakeDirs(folder, 0700, &writer->error))
        return;
    err = writer->text ? virBookReplace(writer) : virBookDrop(writer);
    if (err == 0 && writer->text)
        err = virBookSyncFolder(writer->path);
    if (err != 0)
        virFileSetError(&writer->error, err, "cannot write what the snapshots are of to",
                        writer->path);
}

static gpointer
virBookWriterThread(gpointer data)
{
    g_autoptr(virBookWriter) writer = data;

    virBookWriteFile(writer);
    g_mutex_lock(&writer->lock);
    writer->ended = TRUE;
    g_cond_signal(&writer->changed);
    g_mutex_unlock(&writer->lock);
    return NULL;
}

/* --- who waits ---------------------------------------------------------------------------- */

static virBookWriter *
virBookWriterStart(const char *path, const char *image, const char *text, GError **error)
{
    g_autoptr(virBookWriter) writer = g_new0(virBookWriter, 1);
    GThread *thread = NULL;

    g_atomic_ref_count_init(&writer->refs);
    writer->path = g_strdup(path);
    writer->image = g_strdup(image);
    writer->temporary = g_strdup_printf("%s.%08x" BOOK_TEMPORARY, path, g_random_int());
    writer->text = g_strdup(text);
    g_mutex_init(&writer->lock);
    g_cond_init(&writer->changed);
    g_atomic_ref_count_inc(&writer->refs);
    thread = g_thread_try_new("snapshot-book", virBookWriterThread, writer, error);
    if (thread) {
        g_thread_unref(thread);
        return g_steal_pointer(&writer);
    }
    virBookWriterUnref(writer); /* the thread's */
    return NULL;
}

static void
virBookGiveUp(virBookWriter *writer, guint sec, GError **error)
{
    gboolean left =
        g_atomic_int_compare_and_exchange(&writer->stage, WRITE_PREPARES, WRITE_LEFT);

    g_set_error(error, VIR_LOCK_ERROR,
                left ? VIR_LOCK_ERROR_TIMEOUT : VIR_LOCK_ERROR_INDETERMINATE,
                "cannot write what the snapshots are of to '%s': its storage has not "
                "answered for %u s%s",
                writer->path, sec, left ? "" : "; whether it is written is not known");
}

gboolean
virSnapshotBookWrite(const char *path, const char *image, const char *text, guint sec,
                     GError **error)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)sec * G_USEC_PER_SEC;
    g_autoptr(virBookWriter) writer = virBookWriterStart(path, image, text, error);
    gboolean ok = FALSE;

    if (!writer)
        return FALSE;
    g_mutex_lock(&writer->lock);
    while (!writer->ended && g_cond_wait_until(&writer->changed, &writer->lock, deadline))
        ;
    ok = writer->ended && !writer->error;
    if (!writer->ended)
        virBookGiveUp(writer, sec, error);
    else if (writer->error)
        g_propagate_error(error, g_steal_pointer(&writer->error));
    g_mutex_unlock(&writer->lock);
    return ok;
}
