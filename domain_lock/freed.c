/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * freed.c: see freed.h.
 *
 * Shared leases are not looked for: nothing in the store says whose they are.
 */
#include "freed.h"
#include <leasehold/lock_manager.h>

#define FREED_POLL_USEC (G_USEC_PER_SEC / 10)
/* Of one look at one lease. */
#define FREED_LOOK_USEC (5 * G_USEC_PER_SEC)

/* What others can take at once (etaSec) stands there only because the lock daemon that would have
 * freed it is gone. */
static gboolean
virFreedIsOwner(const virDomainLockStatus *status, GPtrArray *owners)
{
    for (guint i = 0; i < owners->len; i++) {
        const virLockOwner *owner = g_ptr_array_index(owners, i);

        if (owner->pid == status->qemu.pid && owner->etaSec != 0 &&
            g_strcmp0(owner->guestUuid, status->info->uuid) == 0)
            return TRUE;
    }
    return FALSE;
}

static char *
virFreedLook(virLockManagerPlugin *plugin, const virDomainLockStatus *status,
             const virLockWait *wait, GError **error)
{
    g_autoptr(GString) held = g_string_new(NULL);

    for (guint i = 0; i < status->info->leases->len; i++) {
        const virLockLease *lease = g_ptr_array_index(status->info->leases, i);
        g_autoptr(GPtrArray) owners = NULL;
        GError *why = NULL;

        if (lease->mode != VIR_LOCK_MODE_EXCLUSIVE)
            continue;
        owners = virLockManagerQueryOwnerByLease(plugin, lease->name, wait, &why);
        if (owners && virFreedIsOwner(status, owners))
            g_string_append_printf(held, "%s%s", held->len ? ", " : "",
                                   lease->path ? lease->path : lease->name);
        if (why && error && !*error)
            g_propagate_error(error, why);
        else
            g_clear_error(&why);
    }
    return held->len > 0 ? g_string_free(g_steal_pointer(&held), FALSE) : NULL;
}

char *
virFreedStillHeld(virLockConfig *config, const virDomainLockStatus *status,
                  const virLockWait *wait, GError **error)
{
    virLockManagerPlugin *plugin =
        virLockManagerPluginLoad(config, status->info->plugin, error);
    char *held = plugin ? virFreedLook(plugin, status, wait, error) : NULL;

    if (plugin)
        virLockManagerPluginUnload(plugin);
    return held;
}

/* A plugin that cannot tell promised nothing. */
static gboolean
virFreedMayBeHeld(const char *held, const GError *why)
{
    return held || (why && !g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED));
}

gboolean
virFreedAwait(virLockConfig *config, const virDomainLockStatus *status, gint64 deadlineUsec,
              GError **error)
{
    for (;;) {
        gint64 now = g_get_monotonic_time();
        virLockWait wait = {.structSize = sizeof(wait),
                            .deadlineUsec = MIN(now + FREED_LOOK_USEC, deadlineUsec)};
        g_autoptr(GError) why = NULL;
        g_autofree char *held = virFreedStillHeld(config, status, &wait, &why);

        if (!virFreedMayBeHeld(held, why))
            return TRUE;
        if (g_get_monotonic_time() + FREED_POLL_USEC >= deadlineUsec) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                        "QEMU of guest '%s' is dead, but its leases were not seen free: %s%s; the "
                        "lock daemon frees them, and 'leasehold who' tells when",
                        status->info->name, held ? "it still has " : "",
                        held ? held : why->message);
            return FALSE;
        }
        g_usleep(FREED_POLL_USEC);
    }
}
