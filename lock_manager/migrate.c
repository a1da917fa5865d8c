/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate.c: handing a guest's leases from one host to another (design.md §7, Migrate; I5, I6,
 * I7). Nothing here knows of a particular backend: bridges, owners and use records are the
 * plugin's, what they mean together is decided in this file.
 *
 * Theory of operation. While the guest runs at the source S, the destination D takes the
 * bridge of every exclusive lease (reserve). "Take your own, then look at the other's": D has
 * its bridges first and only then looks that the leases are still S's at the epochs of the
 * ticket; a stranger who takes a lease looks at the bridge afterwards and gives up. When S has
 * given its word, D advances the epoch of the run record and may run; it takes the leases
 * behind its bridges when S has let go (settle). S may take its word back only while D can not
 * have run: it holds the bridge of the run lease itself and the epoch has not moved.
 */
#include "lock_manager/manager.h"

/* --- source ------------------------------------------------------------------------------- */

/* The owner of the run lease tells us our own host id and generation. */
static gboolean
virLockManagerTicketSource(virLockManager *man, virLockTicket *ticket,
                           const virLockWait *wait, GError **error)
{
    const virLockDriver *driver = &man->plugin->driver;
    virLockManagerResource *run = virLockManagerRunResource(man);
    g_autoptr(GPtrArray) owners = NULL;
    GPtrArray *raw = NULL;

    if (!driver->queryOwner(man->plugin->data, &run->driver, &raw, wait, error))
        return FALSE;
    owners = virLockManagerAdoptArray(raw, sizeof(virLockOwner),
                                      (GDestroyNotify)virLockOwnerFree);
    for (guint i = 0; i < owners->len; i++) {
        const virLockOwner *owner = owners->pdata[i];

        if (owner->hold != VIR_LOCK_HOLD_LEASE)
            continue;
        ticket->hostId = owner->hostId;
        ticket->generation = owner->generation;
        ticket->hostName =
            g_strdup(virLockConfigGet(man->plugin->config, "host", "name"));
        return TRUE;
    }
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_LOST,
                "%s: the backend knows of no owner", run->label);
    return FALSE;
}

/* A guest whose record somebody else has advanced must not be sent anywhere. */
static gboolean
virLockManagerCheckOwnEpoch(virLockManager *man, virLockManagerResource *resource,
                            const virLockWait *wait, GError **error)
{
    const virLockDriver *driver = &man->plugin->driver;
    g_autoptr(GPtrArray) uses = NULL;
    GPtrArray *raw = NULL;
    guint64 epoch;

    if (!driver->useRead(man->plugin->data, &resource->driver, 0, &raw, wait, error))
        return FALSE;
    uses =
        virLockManagerAdoptArray(raw, sizeof(virLockUse), (GDestroyNotify)virLockUseFree);
    epoch = uses->len > 0 ? ((virLockUse *)uses->pdata[0])->epoch : 0;
    if (epoch == resource->driver.epoch)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STALE,
                "%s has epoch %" G_GUINT64_FORMAT
                ", guest '%s' used it at %" G_GUINT64_FORMAT,
                resource->label, epoch, man->name, resource->driver.epoch);
    return FALSE;
}

static gboolean
virLockManagerTicketLeases(virLockManager *man, virLockTicket *ticket,
                           const virLockWait *wait, GError **error)
{
    for (guint i = 0; i < man->resources->len; i++) {
        virLockManagerResource *resource = man->resources->pdata[i];
        virLockTicketLease *lease = virLockTicketAddLease(ticket, resource->lease);

        if (virLockManagerIsExclusive(resource) &&
            !virLockManagerCheckOwnEpoch(man, resource, wait, error))
            return FALSE;
        lease->type = resource->driver.type;
        lease->mode = resource->driver.mode;
        lease->epoch = resource->driver.epoch;
        lease->path = g_strdup(resource->users->pdata[0]);
    }
    return TRUE;
}

static gboolean
virLockManagerMakeTicket(virLockManager *man, const char *uri, const virLockWait *wait,
                         GError **error)
{
    g_autoptr(virLockTicket) ticket = virLockTicketNew();
    g_autoptr(GPtrArray) leases = NULL;

    ticket->nonce = g_uuid_string_random();
    ticket->uuid = g_strdup(man->uuid);
    ticket->guestName = g_strdup(man->name);
    ticket->uri = g_strdup(uri);
    ticket->plugin = g_strdup(man->plugin->driver.name);
    if (!virLockManagerInquireDriver(man, &leases, wait, error) ||
        !virLockManagerVerifyHeld(man, leases, error) ||
        !virLockManagerTicketSource(man, ticket, wait, error) ||
        !virLockManagerTicketLeases(man, ticket, wait, error))
        return FALSE;
    virLockTicketFree(man->ticket);
    man->ticket = g_steal_pointer(&ticket);
    return TRUE;
}

gboolean
virLockManagerPrepareMigrate(virLockManager *man, const char *uri, guint flags,
                             char **ticket, const virLockWait *wait, GError **error)
{
    virLockManagerCall call;
    gboolean ok;

    *ticket = NULL;
    if (!virLockManagerCallBegin(&call, man, VIR_LOCK_CALL_PREPARE_MIGRATE, wait, error))
        return FALSE;
    if (flags != 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "PrepareMigrate: flags %#x are not known", flags);
        return virLockManagerCallEnd(&call, FALSE);
    }
    ok = virLockManagerPluginRequire(man->plugin, VIR_LOCK_CAP_MIGRATE, "PrepareMigrate",
                                     error) &&
         virLockManagerRequireRun(man, "PrepareMigrate", error) &&
         virLockManagerMakeTicket(man, uri, &call.wait, error);
    if (ok)
        *ticket = virLockTicketFormat(man->ticket);
    return virLockManagerCallEnd(&call, ok);
}

/* After the word was given: holding the run lease's bridge, D can not start to run; the epoch
 * tells whether it has run already. */
static gboolean
virLockManagerTakeBack(virLockManager *man, const virLockWait *wait, GError **error)
{
    const virLockDriver *driver = &man->plugin->driver;
    virLockManagerResource *run = virLockManagerRunResource(man);
    g_autoptr(GPtrArray) one = virLockManagerSelectOne(run);
    virLockDriverResource **bridge = (virLockDriverResource **)one->pdata;
    virLockWait undo;
    gboolean ours;

    /* a destination that ran keeps the bridge until our leases are free: no waiting for it */
    if (!virLockManagerCheckOwnEpoch(man, run, wait, error))
        return FALSE;
    if (!driver->reserve(man->object, bridge, 1, wait, error)) {
        g_prefix_error(
            error, "guest '%s' cannot be taken back from its destination: ", man->name);
        return FALSE;
    }
    ours = virLockManagerCheckOwnEpoch(man, run, wait, error);
    virLockManagerUndoWait(&undo);
    return driver->unreserve(man->object, bridge, 1, &undo, ours ? error : NULL) && ours;
}

gboolean
virLockManagerCompleteMigrateOut(virLockManager *man, guint flags, char **cookie,
                                 const virLockWait *wait, GError **error)
{
    gboolean cancel = (flags & VIR_LOCK_MANAGER_MIGRATE_CANCEL) != 0;
    virLockManagerCall call;
    gboolean ok = TRUE;

    if (cookie)
        *cookie = NULL;
    if (!virLockManagerCallBegin(&call, man,
                                 cancel ? VIR_LOCK_CALL_MIGRATE_OUT_CANCEL
                                        : VIR_LOCK_CALL_MIGRATE_OUT,
                                 wait, error))
        return FALSE;
    if (cancel && man->state == VIR_LOCK_STATE_YIELDED)
        ok = virLockManagerTakeBack(man, &call.wait, error);
    else if (!cancel && cookie)
        *cookie = virLockCookieFormat(man->ticket);
    return virLockManagerCallEnd(&call, ok);
}

/* --- destination -------------------------------------------------------------------------- */

/* The guest as described here has to be the guest that comes: the same leases, by what the
 * images are and not by their paths. */
static gboolean
virLockManagerMatchTicket(virLockManager *man, GError **error)
{
    virLockTicket *ticket = man->ticket;

    if (!ticket || !g_str_equal(ticket->uuid, man->uuid)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    ticket ? "the ticket is for another guest than '%s'"
                           : "the destination of guest '%s' has no ticket",
                    man->name);
        return FALSE;
    }
    if (ticket->plugin && !g_str_equal(ticket->plugin, man->plugin->driver.name)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "guest '%s' has its leases by plugin '%s' on host '%s', and here the "
                    "plugin is '%s'",
                    man->name, ticket->plugin, ticket->hostName, man->plugin->driver.name);
        return FALSE;
    }
    for (guint i = 0; i < ticket->leases->len; i++) {
        const virLockTicketLease *lease = ticket->leases->pdata[i];

        if (!virLockManagerFindLease(man, lease->name)) {
            g_set_error(
                error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "guest '%s' has '%s' on host '%s', but here no resource of it is the "
                "same (lease %s)",
                man->name, lease->path ? lease->path : "?", ticket->hostName,
                lease->name);
            return FALSE;
        }
    }
    for (guint i = 0; i < man->resources->len; i++) {
        const virLockManagerResource *resource = man->resources->pdata[i];
        const virLockTicketLease *lease = virLockTicketFindLease(ticket, resource->lease);

        if (!lease || lease->mode != resource->driver.mode ||
            lease->type != resource->driver.type) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                        "%s of guest '%s' is not what the guest has on host '%s' (%s)",
                        resource->label, man->name, ticket->hostName,
                        lease ? "it is used in another way there"
                              : "it has no such resource");
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
virLockManagerIsSource(virLockManager *man, const virLockOwner *owner)
{
    return owner->hold == VIR_LOCK_HOLD_LEASE && owner->hostId == man->ticket->hostId &&
           owner->generation == man->ticket->generation &&
           (!owner->guestUuid || g_str_equal(owner->guestUuid, man->uuid));
}

static gboolean
virLockManagerHasOwner(GPtrArray *owners)
{
    for (guint i = 0; i < owners->len; i++)
        if (((const virLockOwner *)owners->pdata[i])->hold == VIR_LOCK_HOLD_LEASE)
            return TRUE;
    return FALSE;
}

/* With the bridge in hand: the lease itself is still the source's, at the ticket's epoch. */
static gboolean
virLockManagerCheckSource(virLockManager *man, const virLockDriverResource *resource,
                          const virLockWait *wait, GError **error)
{
    const virLockTicketLease *lease = virLockTicketFindLease(man->ticket, resource->name);
    g_autoptr(GPtrArray) owners = NULL;
    g_autofree char *who = NULL;
    GPtrArray *raw = NULL;

    if (!man->plugin->driver.queryOwner(man->plugin->data, resource, &raw, wait, error))
        return FALSE;
    owners = virLockManagerAdoptArray(raw, sizeof(virLockOwner),
                                      (GDestroyNotify)virLockOwnerFree);
    if (resource->epoch == lease->epoch)
        for (guint i = 0; i < owners->len; i++)
            if (virLockManagerIsSource(man, owners->pdata[i]))
                return TRUE;
    if (!virLockManagerHasOwner(owners)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STALE,
                    "%s is held by nobody, as this host sees it, and was to be held by host "
                    "'%s': it has ended there, or the two do not use the same store",
                    resource->label, man->ticket->hostName);
        return FALSE;
    }
    who = virLockManagerDescribeUse(man, resource, wait);
    g_set_error(
        error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STALE,
        "%s is not any more as host '%s' said: last used by %s, epoch %" G_GUINT64_FORMAT
        " (ticket %" G_GUINT64_FORMAT ")",
        resource->label, man->ticket->hostName, who, resource->epoch, lease->epoch);
    return FALSE;
}

/* Gives back what was reserved; TRUE if all of it went. */
static gboolean
virLockManagerUnreserve(virLockManager *man, GPtrArray *bridges, GPtrArray *shared,
                        const virLockWait *wait, GError **error)
{
    const virLockDriver *driver = &man->plugin->driver;
    gboolean ok = TRUE;

    if (bridges->len > 0)
        ok = driver->unreserve(man->object, (virLockDriverResource **)bridges->pdata,
                               bridges->len, wait, error);
    if (ok && shared->len > 0)
        ok = driver->release(man->object, (virLockDriverResource **)shared->pdata,
                             shared->len, wait, error);
    return ok;
}

/* The reservation failed at some step: what it had taken goes back. */
static gboolean
virLockManagerUndoReserve(virLockManager *man, GPtrArray *bridges, GPtrArray *shared,
                          GError **error)
{
    g_autoptr(GError) undo = NULL;
    virLockWait wait;

    virLockManagerUndoWait(&wait);
    if (virLockManagerUnreserve(man, bridges, shared, &wait, &undo))
        return FALSE;
    g_prefix_error(error,
                   "the reservation of guest '%s' could not be given back (%s) after: ",
                   man->name, undo->message);
    if (error && *error)
        (*error)->code = VIR_LOCK_ERROR_INDETERMINATE;
    return FALSE;
}

gboolean
virLockManagerReserve(virLockManager *man, const virLockWait *wait, GError **error)
{
    const virLockDriver *driver = &man->plugin->driver;
    g_autoptr(GPtrArray) shared = virLockManagerSelect(man, virLockManagerIsShared);
    g_autoptr(GPtrArray) bridges = virLockManagerSelect(man, virLockManagerIsExclusive);
    g_autoptr(GPtrArray) none = g_ptr_array_new();

    if (!virLockManagerMatchTicket(man, error))
        return FALSE;
    if (shared->len > 0 &&
        !driver->acquire(man->object, (virLockDriverResource **)shared->pdata,
                         shared->len, 0, wait, error))
        return FALSE;
    if (!driver->reserve(man->object, (virLockDriverResource **)bridges->pdata,
                         bridges->len, wait, error))
        return virLockManagerUndoReserve(man, none, shared, error);
    for (guint i = 0; i < bridges->len; i++)
        if (!virLockManagerCheckSource(man, bridges->pdata[i], wait, error))
            return virLockManagerUndoReserve(man, bridges, shared, error);
    virLockManagerMark(man, shared, VIR_LOCK_HOLD_LEASE);
    virLockManagerMark(man, bridges, VIR_LOCK_HOLD_BRIDGE);
    return TRUE;
}

/* Inside the downtime: one question to the daemon, one sector. */
static gboolean
virLockManagerTakeOver(virLockManager *man, const char *cookie, const virLockWait *wait,
                       GError **error)
{
    virLockManagerResource *run = virLockManagerRunResource(man);
    guint64 epoch = virLockTicketFindLease(man->ticket, run->lease)->epoch;
    g_autoptr(GPtrArray) one = virLockManagerSelectOne(run);
    virLockDriverResource *copy = one->pdata[0];
    g_autoptr(GPtrArray) leases = NULL;
    virLockWait advance = *wait;

    if (!cookie) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "guest '%s' cannot run here without the word of its source",
                    man->name);
        return FALSE;
    }
    if (!virLockCookieCheck(cookie, man->ticket, error) ||
        !virLockManagerInquireDriver(man, &leases, wait, error) ||
        !virLockManagerVerifyHeld(man, leases, error))
        return FALSE;
    /* a daemon that answers so late may have made the caller give up; afterwards it is done */
    if (g_cancellable_is_cancelled(wait->cancellable)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED,
                    "guest '%s' is not taken over: cancelled", man->name);
        return FALSE;
    }
    advance.cancellable = NULL;
    if (!man->plugin->driver.useAdvance(man->object, (virLockDriverResource **)one->pdata,
                                        1, &advance, error))
        return FALSE;
    if (copy->epoch != epoch + 1) {
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STALE,
            "guest '%s' was used elsewhere while it moved (epoch %" G_GUINT64_FORMAT
            " after %" G_GUINT64_FORMAT ")",
            man->name, copy->epoch, epoch);
        return FALSE;
    }
    virLockManagerMark(man, one, VIR_LOCK_HOLD_BRIDGE);
    run->advanced = TRUE;
    return TRUE;
}

static gboolean
virLockManagerGiveBack(virLockManager *man, const virLockWait *wait, GError **error)
{
    g_autoptr(GPtrArray) bridges = virLockManagerSelect(man, virLockManagerIsBridge);
    g_autoptr(GPtrArray) shared = virLockManagerSelect(man, virLockManagerIsShared);

    if (!virLockManagerUnreserve(man, bridges, shared, wait, error))
        return FALSE;
    virLockManagerMark(man, bridges, VIR_LOCK_HOLD_NONE);
    virLockManagerMark(man, shared, VIR_LOCK_HOLD_NONE);
    return TRUE;
}

gboolean
virLockManagerCompleteMigrateIn(virLockManager *man, const char *cookie, guint flags,
                                const virLockWait *wait, GError **error)
{
    gboolean cancel = (flags & VIR_LOCK_MANAGER_MIGRATE_CANCEL) != 0;
    virLockManagerCall call;

    if (!virLockManagerCallBegin(&call, man,
                                 cancel ? VIR_LOCK_CALL_MIGRATE_IN_CANCEL
                                        : VIR_LOCK_CALL_MIGRATE_IN,
                                 wait, error))
        return FALSE;
    return virLockManagerCallEnd(
        &call, cancel ? virLockManagerGiveBack(man, &call.wait, error)
                      : virLockManagerTakeOver(man, cookie, &call.wait, error));
}

/* --- settling ----------------------------------------------------------------------------- */

/* Which of the bridges became leases, when not all of them did. */
static void
virLockManagerNoteSettled(virLockManager *man, GPtrArray *bridges)
{
    g_autoptr(GPtrArray) leases = NULL;
    virLockWait wait;

    virLockManagerUndoWait(&wait);
    if (!virLockManagerInquireDriver(man, &leases, &wait, NULL))
        return;
    for (guint i = 0; i < bridges->len; i++) {
        const virLockDriverResource *copy = bridges->pdata[i];

        if (virLockManagerFindHeld(leases, copy->name, VIR_LOCK_HOLD_LEASE) &&
            !virLockManagerFindHeld(leases, copy->name, VIR_LOCK_HOLD_BRIDGE)) {
            g_autoptr(GPtrArray) one =
                virLockManagerSelectOne(virLockManagerFindLease(man, copy->name));

            virLockManagerMark(man, one, VIR_LOCK_HOLD_LEASE);
        }
    }
}

gboolean
virLockManagerSettle(virLockManager *man, const virLockWait *wait, GError **error)
{
    g_autoptr(GPtrArray) bridges = NULL;
    virLockManagerCall call;
    gboolean ok;

    if (!virLockManagerCallBegin(&call, man, VIR_LOCK_CALL_SETTLE, wait, error))
        return FALSE;
    bridges = virLockManagerSelect(man, virLockManagerIsBridge);
    ok = bridges->len == 0 ||
         man->plugin->driver.settle(man->object, (virLockDriverResource **)bridges->pdata,
                                    bridges->len, &call.wait, error);
    if (ok)
        virLockManagerMark(man, bridges, VIR_LOCK_HOLD_LEASE);
    else
        virLockManagerNoteSettled(man, bridges);
    return virLockManagerCallEnd(&call, ok);
}
