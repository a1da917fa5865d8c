/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * request.c: what was asked of a guest, which does it or not, in its own time: a shutdown,
 * perhaps with a deadline, or a reboot.
 *
 * A request is part of the state (running, shutdown-requested) and so in state.json with its
 * deadline: it stands when the supervisor is replaced. It ends when the guest has ended, when
 * somebody withdraws it, or when the guest does something else instead; the last two leave a
 * word for those who wait for the end.
 */
#include "sequence.h"

/* Under the lock. */
static void
virRequestSet(virDomainLockObj *obj, virDomainLockReason what, gint64 deadlineUsec)
{
    virDomainLockInfo *info = obj->status->info;

    obj->status->request = what;
    obj->status->askBy = 0;
    info->deadlineUsec = deadlineUsec;
    if (info->state == VIR_DOMAIN_LOCK_STATE_RUNNING)
        info->reason = what;
}

void
virDomainLockObjSetRequest(virDomainLockObj *obj, virDomainLockReason what,
                           gint64 deadlineUsec, guint askBy)
{
    g_mutex_lock(&obj->lock);
    virRequestSet(obj, what, deadlineUsec);
    obj->status->askBy = askBy;
    g_clear_error(&obj->requestOver);
    g_mutex_unlock(&obj->lock);
    virDomainLockObjChanged(obj);
}

void
virDomainLockObjSetAskedFor(virDomainLockObj *obj)
{
    g_mutex_lock(&obj->lock);
    obj->status->askBy = 0;
    g_mutex_unlock(&obj->lock);
    virDomainLockObjChanged(obj);
}

virDomainLockReason
virDomainLockObjGetRequest(virDomainLockObj *obj, gint64 *deadlineUsec)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    if (deadlineUsec)
        *deadlineUsec = obj->status->info->deadlineUsec;
    return obj->status->request;
}

void
virDomainLockObjDropRequest(virDomainLockObj *obj, virLockErrorCode code, const char *why)
{
    g_mutex_lock(&obj->lock);
    if (obj->status->request == VIR_DOMAIN_LOCK_REASON_SHUTDOWN_REQUESTED &&
        !obj->requestOver)
        obj->requestOver = g_error_new(VIR_LOCK_ERROR, code, "guest '%s' goes on: %s",
                                       obj->status->info->name, why);
    virRequestSet(obj, VIR_DOMAIN_LOCK_REASON_NONE, 0);
    g_mutex_unlock(&obj->lock);
    virDomainLockObjChanged(obj);
}

GError *
virDomainLockObjGetRequestOver(virDomainLockObj *obj)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    return obj->requestOver ? g_error_copy(obj->requestOver) : NULL;
}
