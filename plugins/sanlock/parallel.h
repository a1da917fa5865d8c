/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * parallel.h: several things at once inside of a job (call.h).
 *
 * A read of a sector costs the same as one of many, and what a guest needs to know of its
 * leases lies apart. All of it blocks as long as storage and daemon do: the deadline is the
 * job's, which is abandoned with its threads. No thread outlives the function that began it.
 */
#ifndef LEASEHOLD_SANLOCK_PARALLEL_H
#define LEASEHOLD_SANLOCK_PARALLEL_H

#include "plugins/sanlock/call.h"

typedef struct _virSanlockAside {
    virSanlockJobFunc func;
    gpointer data;
    GThread *thread; /* NULL: it is over */
    gboolean ok;
    GError *error;
} virSanlockAside;

/** Runs @func beside the caller; at once if there is no thread to be had. @data stays valid
 * until the end. */
void virSanlockAsideStart(virSanlockAside *aside, virSanlockJobFunc func, gpointer data);
/** Waits for it, and returns what it returned. To be called exactly once. */
gboolean virSanlockAsideEnd(virSanlockAside *aside, GError **error);

typedef gboolean (*virSanlockEachFunc)(gpointer data, gsize i, GError **error);

/** Calls @func for each i below @n, several at a time if the first one took long. FALSE with
 * the error of the lowest i that failed; which of those above it were done is open then. */
gboolean virSanlockEach(gsize n, virSanlockEachFunc func, gpointer data,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
