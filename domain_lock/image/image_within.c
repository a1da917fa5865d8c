/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image_within.c: reads a chain, or gives up on storage that does not answer (I9).
 *
 * Nothing ends a read that hangs in the kernel. It is left to a thread of its own, which frees
 * what it found when the storage answers after all; whoever waited goes on without it.
 */
#include "config.h"
#include "image_chain.h"

#include <leasehold/lock_types.h>

typedef struct _virImageRead {
    gint refs;
    char *path;
    char *format;
    char *what;
    GMutex mutex;
    GCond ended;
    gboolean done;
    virImageChain *chain; /* the reader's, until it is taken */
    GError *error;
} virImageRead;

static void
virImageReadUnref(virImageRead *read)
{
    if (!g_atomic_int_dec_and_test(&read->refs))
        return;
    g_free(read->path);
    g_free(read->format);
    g_free(read->what);
    g_mutex_clear(&read->mutex);
    g_cond_clear(&read->ended);
    virImageChainFree(read->chain);
    g_clear_error(&read->error);
    g_free(read);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virImageRead, virImageReadUnref)

static gpointer
virImageReadThread(gpointer data)
{
    g_autoptr(virImageRead) read = data;
    g_autoptr(GError) error = NULL;
    virImageChain *chain =
        virImageChainReadAndLook(read->path, read->format, read->what, NULL, &error);

    g_mutex_lock(&read->mutex);
    read->chain = chain;
    read->error = g_steal_pointer(&error);
    read->done = TRUE;
    g_cond_signal(&read->ended);
    g_mutex_unlock(&read->mutex);
    return NULL;
}

static virImageRead *
virImageReadBegin(const char *path, const char *format, const char *what, GError **error)
{
    virImageRead *read = g_new0(virImageRead, 1);
    GThread *thread = NULL;

    read->refs = 2;
    read->path = g_strdup(path);
    read->format = g_strdup(format);
    read->what = g_strdup(what);
    g_mutex_init(&read->mutex);
    g_cond_init(&read->ended);
    thread = g_thread_try_new("read", virImageReadThread, read, error);
    if (thread) {
        g_thread_unref(thread);
        return read;
    }
    read->refs = 1;
    virImageReadUnref(read);
    return NULL;
}

virImageChain *
virImageChainReadWithin(const char *path, const char *format, const char *what, guint sec,
                        GError **error)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)sec * G_USEC_PER_SEC;
    g_autoptr(virImageRead) read = virImageReadBegin(path, format, what, error);
    virImageChain *chain = NULL;

    if (!read)
        return NULL;
    g_mutex_lock(&read->mutex);
    while (!read->done && g_cond_wait_until(&read->ended, &read->mutex, deadline))
        ;
    chain = g_steal_pointer(&read->chain);
    if (!read->done)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                    "%s: the storage of '%s', or of an image below it, has not answered "
                    "for %u s",
                    what, path, sec);
    else if (read->error)
        g_propagate_error(error, g_steal_pointer(&read->error));
    g_mutex_unlock(&read->mutex);
    return chain;
}
