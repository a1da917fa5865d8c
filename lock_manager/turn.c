/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* turn.c: see turn.h. */
#include "lock_manager/turn.h"

#include <string.h>

void
virLockTurnInit(virLockTurn *turn)
{
    g_mutex_init(&turn->mutex);
    g_cond_init(&turn->cond);
    turn->taken = FALSE;
}

void
virLockTurnClear(virLockTurn *turn)
{
    g_mutex_clear(&turn->mutex);
    g_cond_clear(&turn->cond);
}

static void
virLockTurnWake(GCancellable *cancellable, gpointer data)
{
    virLockTurn *turn = data;

    g_mutex_lock(&turn->mutex);
    g_cond_broadcast(&turn->cond);
    g_mutex_unlock(&turn->mutex);
}

gboolean
virLockTurnTake(virLockTurn *turn, const char *what, const virLockWait *wait,
                GError **error)
{
    gulong handler = 0;
    gboolean inTime = TRUE;
    gboolean taken;

    if (wait->cancellable)
        handler = g_cancellable_connect(wait->cancellable, G_CALLBACK(virLockTurnWake),
                                        turn, NULL);
    g_mutex_lock(&turn->mutex);
    while (turn->taken && inTime && !g_cancellable_is_cancelled(wait->cancellable))
        inTime = g_cond_wait_until(&turn->cond, &turn->mutex, wait->deadlineUsec);
    taken = !turn->taken && !g_cancellable_is_cancelled(wait->cancellable);
    if (taken)
        turn->taken = TRUE;
    g_mutex_unlock(&turn->mutex);
    if (wait->cancellable)
        g_cancellable_disconnect(wait->cancellable, handler);

    if (taken)
        return TRUE;
    if (g_cancellable_is_cancelled(wait->cancellable))
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED,
                    "%s was cancelled before it began", what);
    else
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                    "%s did not begin: another call was still running at the deadline",
                    what);
    return FALSE;
}

void
virLockTurnTakeUnbounded(virLockTurn *turn)
{
    g_mutex_lock(&turn->mutex);
    while (turn->taken)
        g_cond_wait(&turn->cond, &turn->mutex);
    turn->taken = TRUE;
    g_mutex_unlock(&turn->mutex);
}

void
virLockTurnGive(virLockTurn *turn)
{
    g_mutex_lock(&turn->mutex);
    turn->taken = FALSE;
    g_cond_broadcast(&turn->cond);
    g_mutex_unlock(&turn->mutex);
}

void
virLockWaitResolve(const virLockWait *in, virLockWait *out)
{
    memset(out, 0, sizeof(*out));
    if (in)
        memcpy(out, in, MIN(in->structSize, sizeof(*out)));
    out->structSize = sizeof(*out);
    if (out->deadlineUsec == 0)
        out->deadlineUsec =
            g_get_monotonic_time() + VIR_LOCK_WAIT_DEFAULT_SEC * G_USEC_PER_SEC;
    if (out->busyUsec > out->deadlineUsec)
        out->busyUsec = out->deadlineUsec;
}
