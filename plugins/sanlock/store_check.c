/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_check.c: what a store is, and whether it is whole.
 *
 * The check only reads, and may run while hosts use the store: what changes under it (an
 * entry that appears, a lease that changes hands) is never reported as damage.
 */
#include "plugins/sanlock/store_admin.h"

#include "plugins/sanlock/call.h"
#include "plugins/sanlock/store.h"

typedef struct {
    virSanlockConfig *config;
    virLockStoreInfo *info;
    GPtrArray *findings;
} virSanlockInspection;

static void
virSanlockInspectionClear(gpointer data)
{
    virSanlockInspection *inspection = data;

    virSanlockConfigUnref(inspection->config);
    virLockStoreInfoFree(inspection->info);
    g_clear_pointer(&inspection->findings, g_ptr_array_unref);
}

static gboolean
virSanlockInspectionRun(virSanlockInspection *inspection, const char *what,
                        virSanlockJobFunc func, const virLockWait *wait, GError **error)
{
    virSanlockBounds bounds;
    virSanlockCall call = {
        .what = what,
        .func = func,
        .data = inspection,
        .clear = virSanlockInspectionClear,
    };

    virSanlockBoundsInit(&bounds, wait);
    return virSanlockCallRun(&call, &bounds, NULL, error);
}

static virSanlockInspection *
virSanlockInspectionNew(virSanlockConfig *config)
{
    virSanlockInspection *inspection = g_atomic_rc_box_new0(virSanlockInspection);

    inspection->config = virSanlockConfigRef(config);
    return inspection;
}

/* --- info --------------------------------------------------------------------------------------- */

static gboolean
virSanlockInfoJob(gpointer data, GError **error)
{
    virSanlockInspection *inspection = data;
    g_autoptr(virSanlockStore) store = virSanlockStoreOpen(
        inspection->config->store, inspection->config->lockspace, error);
    g_autoptr(virSanlockBytes) index =
        store ? virSanlockStoreReadIndex(store, error) : NULL;
    virLockStoreInfo *info;

    if (!index)
        return FALSE;
    info = inspection->info = g_new0(virLockStoreInfo, 1);
    info->structSize = sizeof(*info);
    info->path = g_strdup(store->path);
    info->lockspace = g_strdup(store->geometry.lockspace);
    info->version = store->geometry.version;
    info->maxHosts = store->geometry.maxHosts;
    info->maxLeases = store->geometry.maxSlots;
    info->ioTimeoutSec = store->geometry.ioTimeoutSec;
    info->sectorSize = store->geometry.sectorSize;
    info->alignBytes = store->geometry.alignBytes;
    for (guint slot = 0; slot < store->geometry.maxSlots; slot++) {
        virSanlockIndexEntry entry;

        virSanlockIndexGet(index, &store->geometry, slot, &entry);
        info->usedLeases += *entry.name != '\0';
    }
    return TRUE;
}

gboolean
virSanlockStoreGetInfo(gpointer driverData, virLockStoreInfo **info,
                       const virLockWait *wait, GError **error)
{
    virSanlockInspection *inspection;
    gboolean ok;

    if (!virSanlockConfigNeedStore(driverData, error))
        return FALSE;
    inspection = virSanlockInspectionNew(driverData);
    ok = virSanlockInspectionRun(inspection, "reading the store", virSanlockInfoJob, wait,
                                 error);
    if (ok)
        *info = g_steal_pointer(&inspection->info);
    g_atomic_rc_box_release_full(inspection, virSanlockInspectionClear);
    return ok;
}

/* --- check ---------------------------------------------------------------------------------------- */

void
virSanlockFindingAdd(GPtrArray *findings, virLockFindingLevel level, const char *subject,
                     const char *advice, const char *format, ...)
{
    virLockFinding *finding = g_new0(virLockFinding, 1);
    va_list args;

    finding->structSize = sizeof(*finding);
    finding->level = level;
    finding->subject = g_strdup(subject);
    finding->advice = g_strdup(advice);
    va_start(args, format);
    finding->text = g_strdup_vprintf(format, args);
    va_end(args);
    g_ptr_array_add(findings, finding);
}

#define ADVICE_COPY                                                                      \
    "stop using the store on all hosts and create a new one; a backup is of no use, it " \
    "would "                                                                             \
    "bring old owners back"

/* One lease area of a slot; @what: "lease" or "bridge". */
static gboolean
virSanlockCheckArea(virSanlockStore *store, GPtrArray *findings, guint slot,
                    const char *what, guint64 offset, const char *name, GError **error)
{
    g_autofree char *subject = g_strdup_printf("slot %u", slot);
    virSanlockLeaderVerdict verdict;
    virSanlockLeader leader;

    if (!virSanlockStoreReadLeader(store, offset, VIR_SANLOCK_LEADER_LEASE, &leader,
                                   &verdict, error))
        return FALSE;
    if (verdict != VIR_SANLOCK_LEADER_VALID)
        virSanlockFindingAdd(
            findings, VIR_LOCK_FINDING_ERROR, subject, ADVICE_COPY, "the %s of %s is %s",
            what, name, verdict == VIR_SANLOCK_LEADER_DAMAGED ? "damaged" : "missing");
    else if (strcmp(leader.name, name) != 0 ||
             strcmp(leader.lockspace, store->geometry.lockspace) != 0)
        virSanlockFindingAdd(findings, VIR_LOCK_FINDING_ERROR, subject, ADVICE_COPY,
                             "the %s should be %s:%s but is %s:%s", what,
                             store->geometry.lockspace, name, leader.lockspace,
                             leader.name);
    else if (leader.sectorSize != store->geometry.sectorSize)
        virSanlockFindingAdd(findings, VIR_LOCK_FINDING_ERROR, subject, ADVICE_COPY,
                             "the %s of %s has sectors of %u bytes, the store of %u",
                             what, name, leader.sectorSize, store->geometry.sectorSize);
    else if (leader.numHosts < store->geometry.maxHosts)
        virSanlockFindingAdd(findings, VIR_LOCK_FINDING_WARNING, subject, NULL,
                             "the %s of %s is for %" G_GUINT64_FORMAT
                             " hosts, the store for %u",
                             what, name, leader.numHosts, store->geometry.maxHosts);
    return TRUE;
}

static void
virSanlockCheckUse(virSanlockStore *store, GPtrArray *findings, guint slot,
                   const char *name)
{
    g_autofree char *subject = g_strdup_printf("slot %u", slot);
    g_autoptr(GError) local = NULL;
    virUseRing use;

    if (!virSanlockStoreReadUse(store, slot, name, &use, &local))
        virSanlockFindingAdd(findings, VIR_LOCK_FINDING_ERROR, subject,
                             "saved memory of guests of this lease must not be resumed",
                             "%s", local->message);
    else if (use.doubtful)
        virSanlockFindingAdd(
            findings, VIR_LOCK_FINDING_WARNING, subject, "the next start repairs it",
            "the last use record of %s was torn; it counts as a use by somebody "
            "unknown",
            name);
    else if (use.nDamaged)
        virSanlockFindingAdd(findings, VIR_LOCK_FINDING_NOTE, subject, NULL,
                             "%u old use records of %s are damaged", use.nDamaged, name);
}

static gboolean
virSanlockCheckSlot(virSanlockStore *store, const guint8 *index, GHashTable *names,
                    guint slot, GPtrArray *findings, GError **error)
{
    const virSanlockGeometry *g = &store->geometry;
    g_autofree char *subject = g_strdup_printf("slot %u", slot);
    char bridge[VIR_SANLOCK_NAME_SIZE];
    virSanlockIndexEntry entry;
    gpointer first;

    virSanlockIndexGet(index, g, slot, &entry);
    if (!*entry.name)
        return TRUE;
    if (!virSanlockNameIsValid(entry.name)) {
        virSanlockFindingAdd(findings, VIR_LOCK_FINDING_ERROR, subject, ADVICE_COPY,
                             "its entry in the index has an impossible name");
        return TRUE;
    }
    if (g_hash_table_lookup_extended(names, entry.name, NULL, &first))
        virSanlockFindingAdd(findings, VIR_LOCK_FINDING_ERROR, subject,
                             "another program created it twice; all hosts use the first",
                             "the index has %s twice: in slot %u and here", entry.name,
                             GPOINTER_TO_UINT(first));
    else
        g_hash_table_insert(names, g_strdup(entry.name), GUINT_TO_POINTER(slot));
    if (entry.offset != virSanlockSlotOffset(g, slot))
        virSanlockFindingAdd(findings, VIR_LOCK_FINDING_ERROR, subject, ADVICE_COPY,
                             "its entry points to byte %" G_GUINT64_FORMAT
                             " instead of %" G_GUINT64_FORMAT,
                             entry.offset, virSanlockSlotOffset(g, slot));
    virSanlockBridgeName(entry.name, bridge);
    if (!virSanlockCheckArea(store, findings, slot, "lease",
                             virSanlockSlotOffset(g, slot), entry.name, error) ||
        !virSanlockCheckArea(store, findings, slot, "bridge",
                             virSanlockBridgeOffset(g, slot), bridge, error))
        return FALSE;
    virSanlockCheckUse(store, findings, slot, entry.name);
    return TRUE;
}

static gboolean
virSanlockCheckHosts(virSanlockStore *store, GPtrArray *findings, GError **error)
{
    const virSanlockGeometry *g = &store->geometry;
    g_autoptr(GHashTable) names =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    gsize len = (gsize)g->maxHosts * g->sectorSize;
    g_autoptr(virSanlockBytes) bytes = virSanlockBuffer(len);

    if (!virSanlockStoreRead(store, 0, bytes, len, error))
        return FALSE;
    for (guint i = 0; i < g->maxHosts; i++) {
        g_autofree char *subject = g_strdup_printf("host id %u", i + 1);
        virSanlockLeader leader;
        gpointer first;

        if (virSanlockLeaderDecode(bytes + (gsize)i * g->sectorSize,
                                   VIR_SANLOCK_LEADER_HOST,
                                   &leader) != VIR_SANLOCK_LEADER_VALID ||
            strcmp(leader.lockspace, g->lockspace) != 0) {
            virSanlockFindingAdd(findings, VIR_LOCK_FINDING_ERROR, subject, ADVICE_COPY,
                                 "its sector in the lockspace is damaged");
            continue;
        }
        if (leader.timestamp && leader.ioTimeoutSec &&
            leader.ioTimeoutSec != g->ioTimeoutSec)
            virSanlockFindingAdd(
                findings, VIR_LOCK_FINDING_WARNING, subject,
                "join with 'leasehold host join', which takes the store's",
                "host '%s' uses io_timeout %u, the store is for %u", leader.name,
                leader.ioTimeoutSec, g->ioTimeoutSec);
        if (!leader.timestamp || !*leader.name)
            continue;
        if (g_hash_table_lookup_extended(names, leader.name, NULL, &first))
            virSanlockFindingAdd(findings, VIR_LOCK_FINDING_WARNING, subject,
                                 "give each host its own name and one host_id",
                                 "host '%s' also has host id %u", leader.name,
                                 GPOINTER_TO_UINT(first));
        else
            g_hash_table_insert(names, g_strdup(leader.name), GUINT_TO_POINTER(i + 1));
    }
    return TRUE;
}

static gboolean
virSanlockCheckLeases(virSanlockStore *store, GPtrArray *findings, GError **error)
{
    g_autoptr(GHashTable) names =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(virSanlockBytes) index = virSanlockStoreReadIndex(store, error);
    virSanlockLeaderVerdict verdict;
    virSanlockLeader guard;

    if (!index ||
        !virSanlockStoreReadLeader(store, virSanlockGuardOffset(&store->geometry),
                                   VIR_SANLOCK_LEADER_LEASE, &guard, &verdict, error))
        return FALSE;
    if (verdict != VIR_SANLOCK_LEADER_VALID ||
        strcmp(guard.name, VIR_SANLOCK_GUARD_NAME) != 0)
        virSanlockFindingAdd(findings, VIR_LOCK_FINDING_ERROR, "guard", ADVICE_COPY,
                             "the lease that guards the index is missing or damaged");
    for (guint slot = 0; slot < store->geometry.maxSlots; slot++)
        if (!virSanlockCheckSlot(store, index, names, slot, findings, error))
            return FALSE;
    if (findings->len == 0)
        virSanlockFindingAdd(findings, VIR_LOCK_FINDING_OK, "store", NULL,
                             "%s is whole: %u of %u leases in use", store->path,
                             g_hash_table_size(names), store->geometry.maxSlots);
    return TRUE;
}

/* A store that cannot even be opened is a finding, not a failure of the check. */
static gboolean
virSanlockCheckJob(gpointer data, GError **error)
{
    virSanlockInspection *inspection = data;
    g_autoptr(GError) local = NULL;
    g_autoptr(virSanlockStore) store = virSanlockStoreOpen(
        inspection->config->store, inspection->config->lockspace, &local);

    if (!store || !virSanlockCheckHosts(store, inspection->findings, &local) ||
        !virSanlockCheckLeases(store, inspection->findings, &local))
        virSanlockFindingAdd(inspection->findings, VIR_LOCK_FINDING_ERROR, "store", NULL,
                             "%s", local->message);
    return TRUE;
}

gboolean
virSanlockStoreCheck(gpointer driverData, GPtrArray **findings, const virLockWait *wait,
                     GError **error)
{
    virSanlockInspection *inspection;
    gboolean ok;

    if (!virSanlockConfigNeedStore(driverData, error))
        return FALSE;
    inspection = virSanlockInspectionNew(driverData);
    inspection->findings =
        g_ptr_array_new_with_free_func((GDestroyNotify)virLockFindingFree);
    ok = virSanlockInspectionRun(inspection, "checking the store", virSanlockCheckJob,
                                 wait, error);
    if (ok)
        *findings = g_steal_pointer(&inspection->findings);
    g_atomic_rc_box_release_full(inspection, virSanlockInspectionClear);
    return ok;
}
