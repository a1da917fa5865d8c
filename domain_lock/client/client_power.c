/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client_power.c: power states, for those who use the library.
 */
#include "client.h"
#include "domain_lock/types.h"

/* Longer than a guest may take to fall asleep, so that the supervisor's words arrive. */
#define POWER_MSEC 90000

void
virDomainLockPowerFree(virDomainLockPower *power)
{
    if (!power)
        return;
    for (guint i = 0; i < VIR_DOMAIN_LOCK_POWER_TARGETS; i++)
        g_free(power->whyNot[i]);
    g_free(power);
}

gboolean
virDomainLockSetPowerState(virDomainLock *dom, virDomainLockPowerTarget target,
                           guint durationSec, guint flags, GError **error)
{
    const char *name = virDomainLockPowerTargetName(target);

    if (!name) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "there is no power state with the number %d", (int)target);
        return FALSE;
    }
    return virDomainLockCall(dom, "SetPowerState",
                             g_variant_new("(suu)", name, durationSec, flags), POWER_MSEC,
                             error);
}

/* A guest that has ended has nobody to be asked. */
static virDomainLockPower *
virPowerOff(virDomainLock *dom)
{
    g_autoptr(virDomainLockInfo) info = virDomainLockReadInfo(dom->config, dom->uuid);
    virDomainLockPower *power = NULL;

    if (!info || info->state != VIR_DOMAIN_LOCK_STATE_SHUTOFF)
        return NULL;
    power = g_new0(virDomainLockPower, 1);
    power->structSize = sizeof(*power);
    power->state = info->reason == VIR_DOMAIN_LOCK_REASON_HIBERNATED
                       ? VIR_DOMAIN_LOCK_POWER_HIBERNATED
                       : VIR_DOMAIN_LOCK_POWER_OFF;
    for (guint i = 0; i < VIR_DOMAIN_LOCK_POWER_TARGETS; i++)
        power->whyNot[i] = g_strdup("it is shut-off; 'leasehold run' starts it");
    return power;
}

static virDomainLockPower *
virPowerFromVariant(GVariant *reply)
{
    virDomainLockPower *power = g_new0(virDomainLockPower, 1);
    g_autoptr(GVariantIter) whys = NULL;
    const char *state, *target, *why;
    virDomainLockPowerTarget index;

    power->structSize = sizeof(*power);
    g_variant_get(reply, "(&sxa{ss})", &state, &power->wakeupUsec, &whys);
    (void)virDomainLockPowerStateFromName(state, &power->state);
    while (g_variant_iter_next(whys, "{&s&s}", &target, &why)) {
        if (virDomainLockPowerTargetFromName(target, &index) && !power->whyNot[index])
            power->whyNot[index] = g_strdup(why);
    }
    return power;
}

virDomainLockPower *
virDomainLockGetPowerState(virDomainLock *dom, GError **error)
{
    virDomainLockPower *power = virPowerOff(dom);
    g_autoptr(GVariant) reply = NULL;

    if (power)
        return power;
    reply = virDomainLockCallReply(dom, "io.leasehold.Guest1", "GetPowerState", NULL,
                                   POWER_MSEC, error);
    if (!reply)
        return NULL;
    if (g_variant_is_of_type(reply, G_VARIANT_TYPE("(sxa{ss})")))
        return virPowerFromVariant(reply);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                "the supervisor of guest '%s' answers '%s'", dom->name,
                g_variant_get_type_string(reply));
    return NULL;
}
