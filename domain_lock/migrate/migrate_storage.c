/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate_storage.c: does the storage of a guest answer on the host where it is to go on (I9)?
 *
 * A destination that has taken the guest over cannot give it back: where its storage hangs then,
 * QEMU does not get the images activated, and the guest's memory is lost. So the first block of
 * each image is read from the storage itself: before the memory is sent, each second while it
 * comes, and once more when the source has given its word. That last time is in the downtime,
 * beside what QEMU is asked there, and all images at once.
 *
 * Nothing ends a read that hangs in the kernel. Each image has a thread of its own, which
 * frees what it needs when the storage answers after all; whoever waits goes on without it.
 */
#include "common/fd.h"
#include "domain_lock/domain/domain_def.h"
#include "migrate_storage.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Longer than storage stalls while another path to it is chosen by who is in a hurry; shorter
 * than the source waits for the destination to run the guest. */
#define STORAGE_PATIENCE_SEC 5
#define STORAGE_AGAIN_USEC G_USEC_PER_SEC
#define STORAGE_POLL_USEC (G_USEC_PER_SEC / 10)
/* As large, and as aligned, as any storage wants it. */
#define STORAGE_BLOCK 4096

typedef struct {
    char *path;
    guint answered;   /* the last round in which it did */
    gint64 sinceUsec; /* of the read that is under way, or 0 */
    int rc;           /* of the last one: 0 or errno */
} virStorageImage;

struct _virMigrateStorage {
    gatomicrefcount refs; /* of each thread, and of who watches */
    GMutex lock;
    GCond changed;
    gboolean over;
    guint round; /* counts up when somebody wants to know */
    guint n;
    virStorageImage images[];
};

typedef struct {
    virMigrateStorage *storage;
    virStorageImage *image;
} virStorageReader;

static void
virStorageUnref(virMigrateStorage *storage)
{
    if (!g_atomic_ref_count_dec(&storage->refs))
        return;
    for (guint i = 0; i < storage->n; i++)
        g_free(storage->images[i].path);
    g_mutex_clear(&storage->lock);
    g_cond_clear(&storage->changed);
    g_free(storage);
}

/* --- the threads -------------------------------------------------------------------- */

static int
virStorageOpen(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);

    /* a file system without it */
    return fd < 0 && errno == EINVAL ? open(path, O_RDONLY | O_CLOEXEC) : fd;
}

static int
virStorageRead(virFd *fd, const char *path, void *block)
{
    if (*fd < 0)
        *fd = virStorageOpen(path);
    if (*fd < 0)
        return errno;
    (void)posix_fadvise(*fd, 0, STORAGE_BLOCK, POSIX_FADV_DONTNEED);
    return pread(*fd, block, STORAGE_BLOCK, 0) < 0 ? errno : 0;
}

/* With the lock held. */
static void
virStorageRest(virMigrateStorage *storage, guint round)
{
    gint64 until = g_get_monotonic_time() + STORAGE_AGAIN_USEC;

    while (!storage->over && storage->round == round &&
           g_cond_wait_until(&storage->changed, &storage->lock, until))
        ;
}

static gpointer
virStorageThread(gpointer data)
{
    g_autofree virStorageReader *reader = data;
    virMigrateStorage *storage = reader->storage;
    virStorageImage *image = reader->image;
    g_auto(virFd) fd = -1;
    void *block = NULL;
    int rc = posix_memalign(&block, STORAGE_BLOCK, STORAGE_BLOCK);

    g_mutex_lock(&storage->lock);
    while (!storage->over) {
        guint round = storage->round;

        image->sinceUsec = g_get_monotonic_time();
        g_mutex_unlock(&storage->lock);
        if (block)
            rc = virStorageRead(&fd, image->path, block);
        g_mutex_lock(&storage->lock);
        image->sinceUsec = 0;
        image->rc = rc;
        image->answered = round;
        g_cond_broadcast(&storage->changed);
        virStorageRest(storage, round);
    }
    g_mutex_unlock(&storage->lock);
    free(block);
    virStorageUnref(storage);
    return NULL;
}

static gboolean
virStorageStart(virMigrateStorage *storage, virStorageImage *image, GError **error)
{
    virStorageReader *reader = g_new(virStorageReader, 1);
    GThread *thread = NULL;

    *reader = (virStorageReader){storage, image};
    g_atomic_ref_count_inc(&storage->refs);
    thread = g_thread_try_new("storage", virStorageThread, reader, error);
    if (thread) {
        g_thread_unref(thread);
        return TRUE;
    }
    virStorageUnref(storage);
    g_free(reader);
    return FALSE;
}

/* --- who watches -------------------------------------------------------------------- */

virMigrateStorage *
virMigrateStorageWatch(GPtrArray *resources, GError **error)
{
    virMigrateStorage *storage =
        g_malloc0(sizeof(*storage) + resources->len * sizeof(storage->images[0]));

    g_atomic_ref_count_init(&storage->refs);
    g_mutex_init(&storage->lock);
    g_cond_init(&storage->changed);
    storage->round = 1;
    for (guint i = 0; i < resources->len; i++) {
        const virDomainResource *resource = g_ptr_array_index(resources, i);

        if (resource->type == VIR_LOCK_RESOURCE_DISK &&
            g_strcmp0(resource->format, "directory") != 0)
            storage->images[storage->n++].path = g_strdup(resource->path);
    }
    for (guint i = 0; i < storage->n; i++) {
        if (virStorageStart(storage, &storage->images[i], error))
            continue;
        virMigrateStorageUnwatch(storage);
        return NULL;
    }
    return storage;
}

void
virMigrateStorageUnwatch(virMigrateStorage *storage)
{
    if (!storage)
        return;
    g_mutex_lock(&storage->lock);
    storage->over = TRUE;
    g_cond_broadcast(&storage->changed);
    g_mutex_unlock(&storage->lock);
    virStorageUnref(storage);
}

void
virMigrateStorageAsk(virMigrateStorage *storage)
{
    g_mutex_lock(&storage->lock);
    storage->round++;
    g_cond_broadcast(&storage->changed);
    g_mutex_unlock(&storage->lock);
}

/* With the lock held. */
static gboolean
virStorageCheckImages(virMigrateStorage *storage, GError **error)
{
    gint64 late = g_get_monotonic_time() - STORAGE_PATIENCE_SEC * G_USEC_PER_SEC;

    for (guint i = 0; i < storage->n; i++) {
        const virStorageImage *image = &storage->images[i];

        if (image->rc != 0) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                        "the storage of '%s' fails on this host: %s", image->path,
                        g_strerror(image->rc));
            return FALSE;
        }
        if (image->sinceUsec != 0 && image->sinceUsec < late) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                        "the storage of '%s' has not answered on this host for %d s",
                        image->path, STORAGE_PATIENCE_SEC);
            return FALSE;
        }
    }
    return TRUE;
}

/* With the lock held. */
static gboolean
virStorageHasAnswered(virMigrateStorage *storage)
{
    for (guint i = 0; i < storage->n; i++) {
        if (storage->images[i].answered != storage->round)
            return FALSE;
    }
    return TRUE;
}

gboolean
virMigrateStorageCheck(virMigrateStorage *storage, GError **error)
{
    gboolean ok;

    g_mutex_lock(&storage->lock);
    ok = virStorageCheckImages(storage, error);
    g_mutex_unlock(&storage->lock);
    return ok;
}

gboolean
virMigrateStorageAwait(virMigrateStorage *storage, GCancellable *cancellable,
                       GError **error)
{
    gboolean ok;

    g_mutex_lock(&storage->lock);
    while ((ok = virStorageCheckImages(storage, error)) &&
           !virStorageHasAnswered(storage)) {
        if (g_cancellable_is_cancelled(cancellable)) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED,
                        "it was cancelled");
            ok = FALSE;
            break;
        }
        (void)g_cond_wait_until(&storage->changed, &storage->lock,
                                g_get_monotonic_time() + STORAGE_POLL_USEC);
    }
    g_mutex_unlock(&storage->lock);
    return ok;
}
