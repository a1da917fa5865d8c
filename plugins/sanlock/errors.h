/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * errors.h: from sanlock's return codes to what the caller has to do, in words.
 */
#ifndef LEASEHOLD_SANLOCK_ERRORS_H
#define LEASEHOLD_SANLOCK_ERRORS_H

#include <leasehold/lock_types.h>

/** What the plugin itself does with a return code of a lease operation. */
typedef enum {
    VIR_SANLOCK_RETRY_NEVER = 0,
    VIR_SANLOCK_RETRY_AT_ONCE, /* a ballot without a winner: run it again */
    VIR_SANLOCK_RETRY_SHORTLY, /* this host is still giving it up, or another call is active */
    VIR_SANLOCK_RETRY_BUSY, /* held: again only as long as the caller wants to wait */
} virSanlockRetry;

typedef struct _virSanlockError {
    int rv;
    virLockErrorCode code;
    virSanlockRetry retry;
    const char *text; /* what it means, lower case, no full stop */
} virSanlockError;

/** The entry for @rv; never NULL: an unknown number is INTERNAL. */
const virSanlockError *virSanlockErrorLookup(int rv);
/** Sets "<prefix>: <text> (sanlock <rv>)" with the table's code. */
void virSanlockErrorSet(GError **error, int rv, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/** TRUE if @rv says that the daemon cannot be talked to. */
gboolean virSanlockErrorIsConnection(int rv);

#endif
