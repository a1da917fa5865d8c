/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client.c: handles, lookup and list.
 */
#include "client.h"
#include "common/fd.h"
#include "domain_lock/save/archive.h"
#include <string.h>

virDomainLock *
virDomainLockNew(virLockConfig *config, const char *name, const char *uuid)
{
    virDomainLock *dom = g_new0(virDomainLock, 1);

    g_atomic_ref_count_init(&dom->refs);
    dom->config = virLockConfigRef(config);
    dom->name = g_strdup(name);
    dom->uuid = g_strdup(uuid);
    return dom;
}

virDomainLock *
virDomainLockRef(virDomainLock *dom)
{
    g_atomic_ref_count_inc(&dom->refs);
    return dom;
}

void
virDomainLockFree(virDomainLock *dom)
{
    if (!dom || !g_atomic_ref_count_dec(&dom->refs))
        return;
    virLockConfigUnref(dom->config);
    virDomainLockInfoFree(dom->startInfo);
    virDomainLockInfoFree(dom->lookupInfo);
    g_free(dom->name);
    g_free(dom->uuid);
    g_free(dom);
}

const char *
virDomainLockGetName(virDomainLock *dom)
{
    return dom->name;
}

const char *
virDomainLockGetUuid(virDomainLock *dom)
{
    return dom->uuid;
}

const virDomainLockInfo *
virDomainLockGetStartInfo(virDomainLock *dom)
{
    return dom->startInfo;
}

const virDomainLockInfo *
virDomainLockGetLookupInfo(virDomainLock *dom)
{
    return dom->lookupInfo;
}

static const char *
virClientRunDir(virLockConfig *config)
{
    return virLockConfigGet(config, "host", "run_dir");
}

static const char *
virClientStateDir(virLockConfig *config)
{
    return virLockConfigGet(config, "host", "state_dir");
}

char *
virDomainLockDir(virDomainLock *dom)
{
    return virDomainLockRuntimePath(virClientRunDir(dom->config), dom->uuid);
}

/* --- one guest from its files ------------------------------------------------------- */

static void
virClientSetMessage(virDomainLockInfo *info, const char *message)
{
    g_free(info->message);
    info->message = g_strdup(message);
}

/* Nobody holds the folder: the supervisor died, or ends just now. */
static void
virClientJudgeOrphan(const virDomainLockStatus *status)
{
    virDomainLockInfo *info = status->info;

    info->supervisorPid = 0;
    if (info->state == VIR_DOMAIN_LOCK_STATE_SHUTOFF)
        return;
    if (virDomainLockStatusQemuAlive(status)) {
        info->state = VIR_DOMAIN_LOCK_STATE_UNSUPERVISED;
        info->reason = VIR_DOMAIN_LOCK_REASON_NONE;
        virClientSetMessage(info,
                            "QEMU runs under its leases, but its supervisor is gone");
        return;
    }
    info->state = VIR_DOMAIN_LOCK_STATE_SHUTOFF;
    info->reason = virDomainLockStatusEndReason(status);
    info->pid = 0;
    info->deadlineUsec = 0;
    info->wakeupUsec = 0;
    g_ptr_array_set_size(info->leases, 0);
    virClientSetMessage(info, "its supervisor died; nobody saw how the guest ended");
}

static void
virClientJudgeHeld(const virDomainLockStatus *status)
{
    virProcessStat st;

    if (virProcessReadStat((pid_t)status->supervisor.pid, &st) == 0 &&
        (st.state == 'T' || st.state == 't'))
        virClientSetMessage(status->info,
                            "its supervisor is stopped (SIGSTOP or a debugger): "
                            "this is what was known before");
}

static virDomainLockInfo *
virClientReadRunning(virLockConfig *config, const char *uuid)
{
    g_autofree char *dir = virDomainLockRuntimePath(virClientRunDir(config), uuid);
    gboolean held = virDomainLockRuntimeIsHeld(dir);
    g_autoptr(virDomainLockStatus) status = virDomainLockStatusLoad(dir, NULL);

    if (!status || !status->info->uuid)
        return NULL;
    if (held)
        virClientJudgeHeld(status);
    else
        virClientJudgeOrphan(status);
    return g_steal_pointer(&status->info);
}

virDomainLockInfo *
virDomainLockReadInfo(virLockConfig *config, const char *uuid)
{
    virDomainLockInfo *info = virClientReadRunning(config, uuid);

    return info ? info : virArchiveLoadInfo(virClientStateDir(config), uuid);
}

virDomainLockInfo *
virDomainLockPeekInfo(virDomainLock *dom, GError **error)
{
    virDomainLockInfo *info = virDomainLockReadInfo(dom->config, dom->uuid);

    if (!info)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "nothing is known of guest '%s' on this host any more", dom->name);
    return info;
}

/* --- all guests --------------------------------------------------------------------- */

static void
virClientCollectRunning(virLockConfig *config, GHashTable *found)
{
    g_autofree char *path = g_build_filename(virClientRunDir(config), "guests", NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *uuid = NULL;

    while (dir && (uuid = g_dir_read_name(dir))) {
        virDomainLockInfo *info = virClientReadRunning(config, uuid);

        if (info)
            g_hash_table_insert(found, g_strdup(uuid), info);
    }
}

static void
virClientCollectEnded(virLockConfig *config, GHashTable *found)
{
    g_autoptr(GPtrArray) uuids = virArchiveListUuids(virClientStateDir(config));

    for (guint i = 0; i < uuids->len; i++) {
        const char *uuid = g_ptr_array_index(uuids, i);
        virDomainLockInfo *info = NULL;

        if (!g_hash_table_contains(found, uuid) &&
            (info = virArchiveLoadInfo(virClientStateDir(config), uuid)))
            g_hash_table_insert(found, g_strdup(uuid), info);
    }
}

static gint
virClientCompare(gconstpointer a, gconstpointer b)
{
    const virDomainLockInfo *first = *(virDomainLockInfo *const *)a;
    const virDomainLockInfo *second = *(virDomainLockInfo *const *)b;
    int byName = g_strcmp0(first->name, second->name);

    return byName != 0 ? byName : g_strcmp0(first->uuid, second->uuid);
}

GPtrArray *
virDomainLockList(virLockConfig *config, guint flags, GError **error)
{
    g_autoptr(GHashTable) found =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GPtrArray *list =
        g_ptr_array_new_with_free_func((GDestroyNotify)virDomainLockInfoFree);
    GHashTableIter iter;
    gpointer value = NULL;

    virClientCollectRunning(config, found);
    if (flags & VIR_DOMAIN_LOCK_LIST_ALL)
        virClientCollectEnded(config, found);
    g_hash_table_iter_init(&iter, found);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        virDomainLockInfo *info = value;

        if (info->state == VIR_DOMAIN_LOCK_STATE_SHUTOFF &&
            !(flags & VIR_DOMAIN_LOCK_LIST_ALL))
            virDomainLockInfoFree(info);
        else
            g_ptr_array_add(list, info);
    }
    g_ptr_array_sort(list, virClientCompare);
    return list;
}

/* --- lookup ------------------------------------------------------------------------- */

static virDomainLock *
virClientFound(virLockConfig *config, virDomainLockInfo *info)
{
    virDomainLock *dom = virDomainLockNew(config, info->name, info->uuid);

    dom->lookupInfo = info;
    return dom;
}

static virDomainLock *
virClientLookupUuid(virLockConfig *config, const char *text)
{
    g_autofree char *uuid = g_ascii_strdown(text, -1);
    virDomainLockInfo *info = virDomainLockReadInfo(config, uuid);

    return info ? virClientFound(config, info) : NULL;
}

/* Two guests may have had the same name; one that lives counts first, then the latest. */
static gboolean
virClientPrefers(const virDomainLockInfo *a, const virDomainLockInfo *b)
{
    gboolean aEnded = a->state == VIR_DOMAIN_LOCK_STATE_SHUTOFF;
    gboolean bEnded = b->state == VIR_DOMAIN_LOCK_STATE_SHUTOFF;

    if (aEnded != bEnded)
        return bEnded;
    return a->endedUsec >= b->endedUsec;
}

virDomainLock *
virDomainLockLookup(virLockConfig *config, const char *nameOrUuid, GError **error)
{
    g_autoptr(GPtrArray) list = NULL;
    guint best = G_MAXUINT;
    virDomainLock *dom = NULL;

    if (g_uuid_string_is_valid(nameOrUuid) &&
        (dom = virClientLookupUuid(config, nameOrUuid)))
        return dom;
    list = virDomainLockList(config, VIR_DOMAIN_LOCK_LIST_ALL, error);
    for (guint i = 0; list && i < list->len; i++) {
        const virDomainLockInfo *info = g_ptr_array_index(list, i);

        if (g_strcmp0(info->name, nameOrUuid) == 0 &&
            (best == G_MAXUINT || !virClientPrefers(list->pdata[best], info)))
            best = i;
    }
    if (best != G_MAXUINT)
        return virClientFound(config, g_ptr_array_steal_index(list, best));
    if (list)
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
            "there is no guest '%s' on this host; 'leasehold list --all' shows those "
            "that run or have run here",
            nameOrUuid);
    return NULL;
}
