/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shutdown.c: the end of an object: its child is dead, and its leases are seen free.
 *
 * I3 in reverse: that leases are free is not concluded from the death of the process but asked,
 * of the backend's daemon and then of its storage, where another host would look.
 */
#include "lock_manager/manager.h"

#include <errno.h>
#include <signal.h>

#define SHUTDOWN_POLL_USEC (5 * G_TIME_SPAN_MILLISECOND)

static void
virLockManagerSetStillHas(virLockManager *man, const char *holder, GError **error)
{
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY,
                "process %d of guest '%s' still has %s", (int)man->pid, man->name,
                holder);
}

/* Time that runs out during a question does not undo what the last answer said: @holder, or
 * NULL before the first. Takes @why. */
static void
virLockManagerShutdownFail(virLockManager *man, const char *holder, GError *why,
                           GError **error)
{
    if (!holder || !g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT)) {
        g_propagate_error(error, why);
        return;
    }
    g_error_free(why);
    virLockManagerSetStillHas(man, holder, error);
}

static gboolean
virLockManagerShutdownPause(virLockManager *man, const virLockWait *wait,
                            const char *holder, GError **error)
{
    if (g_cancellable_is_cancelled(wait->cancellable)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED,
                    "the end of guest '%s' was not awaited: cancelled; it still has %s",
                    man->name, holder);
        return FALSE;
    }
    if (g_get_monotonic_time() + SHUTDOWN_POLL_USEC >= wait->deadlineUsec) {
        virLockManagerSetStillHas(man, holder, error);
        return FALSE;
    }
    g_usleep(SHUTDOWN_POLL_USEC);
    return TRUE;
}

static char *
virLockManagerLeaseNames(virLockManager *man, GPtrArray *leases)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < leases->len; i++) {
        const virLockLease *lease = leases->pdata[i];
        virLockManagerResource *resource = virLockManagerFindLease(man, lease->name);

        g_string_append_printf(text, "%s%s%s", text->len ? ", " : "",
                               lease->hold == VIR_LOCK_HOLD_BRIDGE ? "the bridge of "
                                                                   : "",
                               resource ? resource->label : lease->name);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* The child has nothing any more, says the backend. */
static gboolean
virLockManagerAwaitChildGone(virLockManager *man, const virLockWait *wait, GError **error)
{
    g_autofree char *names = NULL;

    for (;;) {
        g_autoptr(GPtrArray) leases = NULL;
        GError *why = NULL;

        if (!virLockManagerInquireDriver(man, &leases, wait, &why)) {
            virLockManagerShutdownFail(man, names, why, error);
            return FALSE;
        }
        if (leases->len == 0)
            return TRUE;
        g_free(names);
        names = virLockManagerLeaseNames(man, leases);
        if (!virLockManagerShutdownPause(man, wait, names, error))
            return FALSE;
    }
}

/* Of our child, which is dead: the backend has not freed it on storage yet. Who got a lease and
 * had not used it is known by nothing but its host; where the record is of an earlier use, by a
 * process that has ended too (EPERM: one of another user lives). */
static gboolean
virLockManagerMayBeOurs(virLockManager *man, const virLockOwner *owner)
{
    const char *host = virLockConfigGet(man->plugin->config, "host", "name");

    if (owner->pid == man->pid && g_strcmp0(owner->guestUuid, man->uuid) == 0)
        return TRUE;
    if (owner->hostId == 0 || owner->mode != VIR_LOCK_MODE_EXCLUSIVE ||
        g_strcmp0(owner->hostName, host) != 0)
        return FALSE;
    return owner->pid > 0 ? kill((pid_t)owner->pid, 0) < 0 && errno == ESRCH
                          : !owner->guestUuid;
}

/* A backend may free a lease on storage a moment after it forgot the process. */
static gboolean
virLockManagerAwaitFree(virLockManager *man, const virLockDriverResource *resource,
                        const virLockWait *wait, GError **error)
{
    const virLockDriver *driver = &man->plugin->driver;
    gboolean ours = FALSE;

    for (;;) {
        GPtrArray *raw = NULL;
        g_autoptr(GPtrArray) owners = NULL;
        GError *why = NULL;

        if (!driver->queryOwner(man->plugin->data, resource, &raw, wait, &why)) {
            virLockManagerShutdownFail(man, ours ? resource->label : NULL, why, error);
            return FALSE;
        }
        ours = FALSE;
        owners = virLockManagerAdoptArray(raw, sizeof(virLockOwner),
                                          (GDestroyNotify)virLockOwnerFree);
        for (guint i = 0; i < owners->len; i++)
            ours = ours || virLockManagerMayBeOurs(man, owners->pdata[i]);
        if (!ours)
            return TRUE;
        if (!virLockManagerShutdownPause(man, wait, resource->label, error))
            return FALSE;
    }
}

static gboolean
virLockManagerEnd(virLockManager *man, const virLockWait *wait, GError **error)
{
    g_autoptr(GPtrArray) held = virLockManagerSelect(man, virLockManagerIsHeld);

    if (man->objectMade) {
        if (man->pid > 0 && !virLockManagerAwaitChildGone(man, wait, error))
            return FALSE;
        virLockManagerFreeObject(man);
    }
    for (guint i = 0; man->plugin->driver.queryOwner && i < held->len; i++) {
        const virLockDriverResource *resource = held->pdata[i];

        /* who reads beside us can not be told from us */
        if (resource->mode == VIR_LOCK_MODE_EXCLUSIVE &&
            !virLockManagerAwaitFree(man, resource, wait, error))
            return FALSE;
    }
    virLockManagerMark(man, held, VIR_LOCK_HOLD_NONE);
    return TRUE;
}

gboolean
virLockManagerShutdown(virLockManager *man, const virLockWait *wait, GError **error)
{
    virLockManagerCall call;

    if (!virLockManagerCallBegin(&call, man, VIR_LOCK_CALL_SHUTDOWN, wait, error))
        return FALSE;
    return virLockManagerCallEnd(&call, virLockManagerEnd(man, &call.wait, error));
}
