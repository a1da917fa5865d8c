/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lock_types.c: the free functions of lock_types.h, for the library and for plugins.
 *
 * Whoever made a struct may be older than this code: only members that lie within its
 * structSize exist.
 */
#include <leasehold/lock_types.h>

#define HAS_MEMBER(p, member)                                                            \
    ((p)->structSize >= G_STRUCT_OFFSET(__typeof__(*(p)), member) + sizeof((p)->member))

#define FREE_MEMBER(p, member)                                                           \
    G_STMT_START                                                                         \
    {                                                                                    \
        if (HAS_MEMBER(p, member))                                                       \
            g_free((p)->member);                                                         \
    }                                                                                    \
    G_STMT_END

const char *
virLockErrorCodeName(int code)
{
    static const char *const names[] = {
        [VIR_LOCK_ERROR_INTERNAL] = "INTERNAL",
        [VIR_LOCK_ERROR_BUSY] = "BUSY",
        [VIR_LOCK_ERROR_UNAVAILABLE] = "UNAVAILABLE",
        [VIR_LOCK_ERROR_NOT_JOINED] = "NOT_JOINED",
        [VIR_LOCK_ERROR_CONFIG] = "CONFIG",
        [VIR_LOCK_ERROR_UNSUPPORTED] = "UNSUPPORTED",
        [VIR_LOCK_ERROR_STATE] = "STATE",
        [VIR_LOCK_ERROR_STALE] = "STALE",
        [VIR_LOCK_ERROR_LOST] = "LOST",
        [VIR_LOCK_ERROR_TIMEOUT] = "TIMEOUT",
        [VIR_LOCK_ERROR_CANCELLED] = "CANCELLED",
        [VIR_LOCK_ERROR_INDETERMINATE] = "INDETERMINATE",
    };

    if (code < 0 || code >= (int)G_N_ELEMENTS(names))
        return names[VIR_LOCK_ERROR_INTERNAL];
    return names[code];
}

void
virLockOwnerFree(virLockOwner *owner)
{
    if (!owner)
        return;
    FREE_MEMBER(owner, lockspace);
    FREE_MEMBER(owner, lease);
    FREE_MEMBER(owner, hostName);
    FREE_MEMBER(owner, guestName);
    FREE_MEMBER(owner, guestUuid);
    g_free(owner);
}

void
virLockUseFree(virLockUse *use)
{
    if (!use)
        return;
    FREE_MEMBER(use, lease);
    FREE_MEMBER(use, hostName);
    FREE_MEMBER(use, guestName);
    FREE_MEMBER(use, guestUuid);
    g_free(use);
}

void
virLockLeaseFree(virLockLease *lease)
{
    if (!lease)
        return;
    FREE_MEMBER(lease, lockspace);
    FREE_MEMBER(lease, name);
    FREE_MEMBER(lease, path);
    g_free(lease);
}

void
virLockHostFree(virLockHost *host)
{
    if (!host)
        return;
    FREE_MEMBER(host, name);
    g_free(host);
}

void
virLockFindingFree(virLockFinding *finding)
{
    if (!finding)
        return;
    FREE_MEMBER(finding, subject);
    FREE_MEMBER(finding, text);
    FREE_MEMBER(finding, advice);
    g_free(finding);
}

void
virLockStoreInfoFree(virLockStoreInfo *info)
{
    if (!info)
        return;
    FREE_MEMBER(info, path);
    FREE_MEMBER(info, lockspace);
    g_free(info);
}
