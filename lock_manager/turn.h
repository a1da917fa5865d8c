/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * turn.h: a lock that is waited for no longer than the caller's deadline (I9) and no longer
 * than until it is cancelled. It serialises calls, some of which last minutes; plain data is
 * under a GMutex instead.
 */
#ifndef LEASEHOLD_LOCK_MANAGER_TURN_H
#define LEASEHOLD_LOCK_MANAGER_TURN_H

#include <leasehold/lock_types.h>

typedef struct _virLockTurn {
    GMutex mutex;
    GCond cond;
    gboolean taken;
} virLockTurn;

void virLockTurnInit(virLockTurn *turn);
void virLockTurnClear(virLockTurn *turn);
/** TIMEOUT or CANCELLED: the turn was not taken. @what is for the message. */
gboolean virLockTurnTake(virLockTurn *turn, const char *what, const virLockWait *wait,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** For calls without a deadline that last no longer than the one that runs. */
void virLockTurnTakeUnbounded(virLockTurn *turn);
void virLockTurnGive(virLockTurn *turn);

/** Fills in what the caller left open: @out is complete and has a deadline. @in may be NULL
 * or of an older size. */
void virLockWaitResolve(const virLockWait *in, virLockWait *out);

#endif
