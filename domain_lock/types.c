/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * types.c: the words for states and reasons, and the ends of the public structures.
 */
#include "types.h"

static const char *const stateNames[] = {
    [VIR_DOMAIN_LOCK_STATE_STARTING] = "starting",
    [VIR_DOMAIN_LOCK_STATE_RUNNING] = "running",
    [VIR_DOMAIN_LOCK_STATE_PAUSED] = "paused",
    [VIR_DOMAIN_LOCK_STATE_SHUTDOWN] = "in-shutdown",
    [VIR_DOMAIN_LOCK_STATE_PMSUSPENDED] = "pmsuspended",
    [VIR_DOMAIN_LOCK_STATE_SHUTOFF] = "shut-off",
    [VIR_DOMAIN_LOCK_STATE_UNSUPERVISED] = "unsupervised",
};

static const char *const reasonNames[] = {
    [VIR_DOMAIN_LOCK_REASON_NONE] = "",
    [VIR_DOMAIN_LOCK_REASON_USER] = "user",
    [VIR_DOMAIN_LOCK_REASON_SHUTDOWN_REQUESTED] = "shutdown-requested",
    [VIR_DOMAIN_LOCK_REASON_LEASE_LOST] = "lease-lost",
    [VIR_DOMAIN_LOCK_REASON_IO_ERROR] = "io-error",
    [VIR_DOMAIN_LOCK_REASON_SHUTDOWN] = "shutdown",
    [VIR_DOMAIN_LOCK_REASON_DESTROYED] = "destroyed",
    [VIR_DOMAIN_LOCK_REASON_CRASHED] = "crashed",
    [VIR_DOMAIN_LOCK_REASON_FAILED] = "failed",
    [VIR_DOMAIN_LOCK_REASON_MIGRATED] = "migrated",
    [VIR_DOMAIN_LOCK_REASON_SAVED] = "saved",
    [VIR_DOMAIN_LOCK_REASON_UNKNOWN] = "unknown",
    [VIR_DOMAIN_LOCK_REASON_MIGRATING] = "migrating",
    [VIR_DOMAIN_LOCK_REASON_YIELDED] = "yielded",
    [VIR_DOMAIN_LOCK_REASON_SAVING] = "saving",
    [VIR_DOMAIN_LOCK_REASON_SNAPSHOT] = "snapshot",
    [VIR_DOMAIN_LOCK_REASON_REBOOT_REQUESTED] = "reboot-requested",
    [VIR_DOMAIN_LOCK_REASON_HIBERNATED] = "hibernated",
};

static const char *const powerNames[] = {
    [VIR_DOMAIN_LOCK_POWER_OFF] = "off",
    [VIR_DOMAIN_LOCK_POWER_ON] = "on",
    [VIR_DOMAIN_LOCK_POWER_SUSPENDED] = "suspended",
    [VIR_DOMAIN_LOCK_POWER_HIBERNATED] = "hibernated",
};

static const char *const targetNames[] = {
    [VIR_DOMAIN_LOCK_POWER_SUSPEND] = "suspend",
    [VIR_DOMAIN_LOCK_POWER_HIBERNATE] = "hibernate",
    [VIR_DOMAIN_LOCK_POWER_HYBRID] = "hybrid",
    [VIR_DOMAIN_LOCK_POWER_WAKEUP] = "wakeup",
};

G_STATIC_ASSERT(G_N_ELEMENTS(targetNames) == VIR_DOMAIN_LOCK_POWER_TARGETS);
G_STATIC_ASSERT(G_N_ELEMENTS(stateNames) == VIR_DOMAIN_LOCK_STATE_UNSUPERVISED + 1);
G_STATIC_ASSERT(G_N_ELEMENTS(reasonNames) == VIR_DOMAIN_LOCK_REASON_HIBERNATED + 1);

const char *
virDomainLockStateName(virDomainLockState state)
{
    return (guint)state < G_N_ELEMENTS(stateNames) ? stateNames[state] : "unknown";
}

const char *
virDomainLockReasonName(virDomainLockReason reason)
{
    return (guint)reason < G_N_ELEMENTS(reasonNames) ? reasonNames[reason] : "unknown";
}

const char *
virDomainLockPowerStateName(virDomainLockPowerState state)
{
    return (guint)state < G_N_ELEMENTS(powerNames) ? powerNames[state] : "unknown";
}

const char *
virDomainLockPowerTargetName(virDomainLockPowerTarget target)
{
    return (guint)target < G_N_ELEMENTS(targetNames) ? targetNames[target] : NULL;
}

static int
virDomainLockNameFind(const char *const *names, gsize n, const char *name)
{
    for (gsize i = 0; i < n; i++) {
        if (g_strcmp0(names[i], name) == 0)
            return (int)i;
    }
    return -1;
}

gboolean
virDomainLockStateFromName(const char *name, virDomainLockState *state)
{
    int found = virDomainLockNameFind(stateNames, G_N_ELEMENTS(stateNames), name);

    if (found < 0)
        return FALSE;
    *state = (virDomainLockState)found;
    return TRUE;
}

gboolean
virDomainLockReasonFromName(const char *name, virDomainLockReason *reason)
{
    int found = virDomainLockNameFind(reasonNames, G_N_ELEMENTS(reasonNames), name);

    if (found < 0)
        return FALSE;
    *reason = (virDomainLockReason)found;
    return TRUE;
}

gboolean
virDomainLockPowerStateFromName(const char *name, virDomainLockPowerState *state)
{
    int found = virDomainLockNameFind(powerNames, G_N_ELEMENTS(powerNames), name);

    if (found < 0)
        return FALSE;
    *state = (virDomainLockPowerState)found;
    return TRUE;
}

gboolean
virDomainLockPowerTargetFromName(const char *name, virDomainLockPowerTarget *target)
{
    int found = virDomainLockNameFind(targetNames, G_N_ELEMENTS(targetNames), name);

    if (found < 0)
        return FALSE;
    *target = (virDomainLockPowerTarget)found;
    return TRUE;
}

virDomainLockInfo *
virDomainLockInfoNew(void)
{
    virDomainLockInfo *info = g_new0(virDomainLockInfo, 1);

    info->structSize = sizeof(*info);
    info->waitStatus = -1;
    info->leases = g_ptr_array_new_with_free_func((GDestroyNotify)virLockLeaseFree);
    return info;
}

void
virDomainLockInfoFree(virDomainLockInfo *info)
{
    if (!info)
        return;
    g_free(info->name);
    g_free(info->uuid);
    g_free(info->plugin);
    g_free(info->hostName);
    g_free(info->onLockfailure);
    g_free(info->job);
    g_free(info->jobDetail);
    g_free(info->message);
    g_free(info->logPath);
    g_free(info->notes);
    if (info->leases)
        g_ptr_array_unref(info->leases);
    g_free(info);
}

virLockLease *
virDomainLockLeaseCopy(const virLockLease *lease)
{
    virLockLease *copy = g_new0(virLockLease, 1);

    *copy = *lease;
    copy->structSize = sizeof(*copy);
    copy->lockspace = g_strdup(lease->lockspace);
    copy->name = g_strdup(lease->name);
    copy->path = g_strdup(lease->path);
    return copy;
}

virDomainLockInfo *
virDomainLockInfoCopy(const virDomainLockInfo *info)
{
    virDomainLockInfo *copy = virDomainLockInfoNew();
    GPtrArray *leases = copy->leases;

    *copy = *info;
    copy->structSize = sizeof(*copy);
    copy->name = g_strdup(info->name);
    copy->uuid = g_strdup(info->uuid);
    copy->plugin = g_strdup(info->plugin);
    copy->hostName = g_strdup(info->hostName);
    copy->onLockfailure = g_strdup(info->onLockfailure);
    copy->job = g_strdup(info->job);
    copy->jobDetail = g_strdup(info->jobDetail);
    copy->message = g_strdup(info->message);
    copy->logPath = g_strdup(info->logPath);
    copy->notes = g_strdup(info->notes);
    copy->leases = leases;
    for (guint i = 0; i < info->leases->len; i++)
        g_ptr_array_add(leases,
                        virDomainLockLeaseCopy(g_ptr_array_index(info->leases, i)));
    return copy;
}

virDomainLockEvent *
virDomainLockEventNew(const char *name, const char *uuid, const char *event,
                      const char *detail, const char *message)
{
    virDomainLockEvent *self = g_new0(virDomainLockEvent, 1);

    self->structSize = sizeof(*self);
    self->name = g_strdup(name);
    self->uuid = g_strdup(uuid);
    self->timeUsec = g_get_real_time();
    self->event = g_strdup(event);
    self->detail = g_strdup(detail);
    self->message = g_strdup(message);
    return self;
}

void
virDomainLockEventFree(virDomainLockEvent *event)
{
    if (!event)
        return;
    g_free(event->name);
    g_free(event->uuid);
    g_free(event->event);
    g_free(event->detail);
    g_free(event->message);
    g_free(event);
}

/* --- snapshots ------------------------------------------------------------------------ */

void
virDomainLockSnapshotDiskFree(virDomainLockSnapshotDisk *disk)
{
    if (!disk)
        return;
    g_free(disk->target);
    g_free(disk->path);
    g_free(disk->lease);
    g_free(disk);
}

virDomainLockSnapshot *
virDomainLockSnapshotNew(void)
{
    virDomainLockSnapshot *snapshot = g_new0(virDomainLockSnapshot, 1);

    snapshot->structSize = sizeof(*snapshot);
    snapshot->disks =
        g_ptr_array_new_with_free_func((GDestroyNotify)virDomainLockSnapshotDiskFree);
    return snapshot;
}

void
virDomainLockSnapshotFree(virDomainLockSnapshot *snapshot)
{
    if (!snapshot)
        return;
    g_free(snapshot->name);
    g_free(snapshot->description);
    g_free(snapshot->parent);
    g_free(snapshot->hostName);
    g_free(snapshot->problem);
    g_free(snapshot->xml);
    g_ptr_array_unref(snapshot->disks);
    g_free(snapshot);
}
