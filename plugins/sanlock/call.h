/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * call.h: bounded calls (I9).
 *
 * No call of libsanlock has a timeout, and a read from storage may hang in the kernel for
 * ever. So whatever talks to either runs as a job in a thread of its own, and the caller
 * waits for it no longer than its deadline. A job that does not come back is abandoned: its
 * thread stays until the daemon answers or dies, touches nothing but its own data, and frees
 * that. Whether the world changed meanwhile nobody knows: for a job that changes something
 * that is INDETERMINATE, for others TIMEOUT.
 */
#ifndef LEASEHOLD_SANLOCK_CALL_H
#define LEASEHOLD_SANLOCK_CALL_H

#include <leasehold/lock_types.h>

/** virSanlockBounds: a virLockWait of the caller with every member filled in. */
typedef struct _virSanlockBounds {
    gint64 deadlineUsec; /* monotonic */
    gint64 busyUsec;
    GCancellable *cancellable; /* or NULL */
    virLockProgressFunc progress;
    gpointer progressData;
} virSanlockBounds;

/** @wait may be NULL, or of an older and smaller version. */
void virSanlockBoundsInit(virSanlockBounds *bounds, const virLockWait *wait);
/** The same, but over after @seconds at the latest, not cancellable and silent. */
virSanlockBounds virSanlockBoundsShort(const virSanlockBounds *bounds, double seconds);
/** FALSE with TIMEOUT or CANCELLED if it is over. */
gboolean virSanlockBoundsCheck(const virSanlockBounds *bounds, const char *what,
                               GError **error);
/** Sleeps; FALSE with CANCELLED if it was cancelled meanwhile. Ends early at the deadline. */
gboolean virSanlockBoundsSleep(const virSanlockBounds *bounds, gint64 usec,
                               const char *what, GError **error);
void virSanlockBoundsProgress(const virSanlockBounds *bounds, const char *what,
                              double fraction, gint64 etaSec, const virLockOwner *holder);

/** The job: blocking code. @data is its own; see virSanlockCall. */
typedef gboolean (*virSanlockJobFunc)(gpointer data, GError **error);
/** Called in the caller's thread every 200 ms while it waits. */
typedef void (*virSanlockTickFunc)(gpointer tickData, const virSanlockBounds *bounds);

typedef enum {
    /** The job changes something: cancelling waits up to 2 s for its outcome, and an unknown
     * one is INDETERMINATE. */
    VIR_SANLOCK_CALL_CHANGES = 1 << 0,
} virSanlockCallFlags;

typedef struct _virSanlockCall {
    const char *what; /* for messages: "taking the leases" */
    virSanlockJobFunc func;
    gpointer data; /* from g_atomic_rc_box_new: job and caller hold a reference each */
    GDestroyNotify
        clear; /* of the contents of @data, by whoever drops the last one; or NULL */
    guint flags;
    virSanlockTickFunc tick; /* or NULL */
    gpointer tickData;
} virSanlockCall;

/**
 * virSanlockCallRun: runs the job and waits for it. The caller's reference of data is kept;
 * what is in it may be looked at only if the job has returned: *@returned (optional) says so.
 */
gboolean virSanlockCallRun(const virSanlockCall *call, const virSanlockBounds *bounds,
                           gboolean *returned, GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
