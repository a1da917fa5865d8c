/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reclaim.c: choosing leases that nobody needs any more, and having the helper reclaim them.
 *
 * What is chosen here is only worth an attempt. Whether somebody uses a lease the helper finds
 * out by taking it (slots.c), and that saved memory of its guest is refused afterwards rather
 * than believed follows from the epochs, not from the choice. The choice is for not refusing
 * it without need.
 */
#include "plugins/sanlock/store_admin.h"

#include "plugins/sanlock/helper_run.h"
#include "plugins/sanlock/hosts.h"
#include "plugins/sanlock/owner.h"
#include "plugins/sanlock/slots.h"

/* So many are reclaimed under one hold of the guard lease: whoever wants to create a lease has
 * to wait so long. Each takes some 10 ms. */
#define RECLAIM_BATCH 16

typedef struct {
    virSanlockConfig *config;
    GHashTable *busy; /* names of leases that somebody holds, as far as can be seen */
    gint64 beforeUsec;
    gboolean neverUsed;
    /* answers */
    virSanlockGeometry geometry;
    GPtrArray *uses; /* virLockUse of each lease that is worth an attempt */
} virSanlockChoice;

static void
virSanlockChoiceClear(gpointer data)
{
    virSanlockChoice *choice = data;

    virSanlockConfigUnref(choice->config);
    g_clear_pointer(&choice->busy, g_hash_table_unref);
    g_clear_pointer(&choice->uses, g_ptr_array_unref);
}

static void
virSanlockChoiceUnref(virSanlockChoice *choice)
{
    g_atomic_rc_box_release_full(choice, virSanlockChoiceClear);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSanlockChoice, virSanlockChoiceUnref)

/* Owners that are dead hold nothing back: an attempt succeeds. */
static GHashTable *
virSanlockReclaimFindBusy(gpointer driverData, const virLockWait *wait, GError **error)
{
    GPtrArray *owners = NULL;
    GHashTable *busy;

    if (!virSanlockStoreList(driverData, &owners, wait, error))
        return NULL;
    busy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < owners->len; i++) {
        const virLockOwner *owner = owners->pdata[i];

        if (owner->mode != VIR_LOCK_MODE_NONE && owner->etaSec != 0)
            g_hash_table_add(busy, g_strdup(owner->lease));
    }
    g_ptr_array_unref(owners);
    return busy;
}

/* --- choosing ------------------------------------------------------------------------------ */

/* What is damaged is left for "store check" and whoever repairs it. */
static void
virSanlockChoiceLook(virSanlockChoice *choice, virSanlockStore *store, guint slot,
                     const char *name)
{
    const virUseRecord *last = NULL;
    virLockUse *found;
    virUseRing ring;

    if (g_hash_table_contains(choice->busy, name) || !virSanlockNameIsValid(name) ||
        !virSanlockStoreReadUse(store, slot, name, &ring, NULL))
        return;
    if (ring.nRecords)
        last = &ring.records[0];
    if (last ? last->timeUsec >= choice->beforeUsec : !choice->neverUsed)
        return;
    found = last ? virUseRecordToUse(last) : g_new0(virLockUse, 1);
    if (!last) {
        found->structSize = sizeof(*found);
        found->lease = g_strdup(name);
    }
    found->epoch = ring.epoch;
    g_ptr_array_add(choice->uses, found);
}

static gboolean
virSanlockChoiceJob(gpointer data, GError **error)
{
    virSanlockChoice *choice = data;
    g_autoptr(virSanlockStore) store =
        virSanlockStoreOpen(choice->config->store, choice->config->lockspace, error);
    g_autoptr(virSanlockBytes) index =
        store ? virSanlockStoreReadIndex(store, error) : NULL;

    if (!index)
        return FALSE;
    choice->geometry = store->geometry;
    for (guint slot = 0; slot < store->geometry.maxSlots; slot++) {
        virSanlockIndexEntry entry;

        virSanlockIndexGet(index, &store->geometry, slot, &entry);
        if (*entry.name)
            virSanlockChoiceLook(choice, store, slot, entry.name);
    }
    return TRUE;
}

static virSanlockChoice *
virSanlockReclaimChoose(gpointer driverData, const virLockReclaimOptions *options,
                        const virLockWait *wait, GError **error)
{
    g_autoptr(virSanlockChoice) choice = g_atomic_rc_box_new0(virSanlockChoice);
    virSanlockCall call = {
        .what = "looking for leases that are not needed",
        .func = virSanlockChoiceJob,
        .data = choice,
        .clear = virSanlockChoiceClear,
    };
    virSanlockBounds bounds;

    virSanlockBoundsInit(&bounds, wait);
    choice->config = virSanlockConfigRef(driverData);
    choice->beforeUsec = options->beforeUsec;
    choice->neverUsed = (options->flags & VIR_LOCK_RECLAIM_NEVER_USED) != 0;
    choice->uses = g_ptr_array_new_with_free_func(virUseRecordFreeUse);
    choice->busy = virSanlockReclaimFindBusy(driverData, wait, error);
    if (!choice->busy || !virSanlockCallRun(&call, &bounds, NULL, error))
        return NULL;
    return g_steal_pointer(&choice);
}

/* --- reclaiming ---------------------------------------------------------------------------- */

/* Moves those of the batch that the helper named to @reclaimed. */
static void
virSanlockReclaimCount(virSanlockChoice *choice, guint first, guint end,
                       const char *answer, GPtrArray *reclaimed)
{
    g_auto(GStrv) lines = g_strsplit(answer, "\n", -1);

    for (guint i = first; i < end; i++) {
        virLockUse *use = choice->uses->pdata[i];

        if (!g_strv_contains((const char *const *)lines, use->lease))
            continue;
        choice->uses->pdata[i] = g_new0(virLockUse, 1);
        g_ptr_array_add(reclaimed, use);
    }
}

static gboolean
virSanlockReclaimBatch(virSanlockChoice *choice, guint first, guint end,
                       const virSanlockBounds *bounds, GPtrArray *reclaimed,
                       GError **error)
{
    g_autoptr(GString) answer = g_string_new(NULL);
    g_autoptr(GPtrArray) argv = virSanlockHelperArgv(choice->config, "reclaim-slots",
                                                     choice->geometry.lockspace, bounds);
    gboolean ok;

    for (guint i = first; i < end; i++) {
        const virLockUse *use = choice->uses->pdata[i];

        g_ptr_array_add(argv, g_strdup_printf("%s=%" G_GUINT64_FORMAT, use->lease,
                                              use->epoch));
    }
    g_ptr_array_add(argv, NULL);
    ok = virSanlockHelperRun(argv, answer, bounds, error);
    virSanlockReclaimCount(choice, first, end, answer->str, reclaimed);
    return ok;
}

static gboolean
virSanlockReclaimAll(virSanlockChoice *choice, const virLockWait *wait,
                     GPtrArray *reclaimed, GError **error)
{
    virSanlockBounds bounds;

    virSanlockBoundsInit(&bounds, wait);
    for (guint first = 0; first < choice->uses->len; first += RECLAIM_BATCH) {
        guint end = MIN(first + RECLAIM_BATCH, choice->uses->len);

        virSanlockBoundsProgress(&bounds, "reclaiming leases",
                                 (double)first / choice->uses->len, -1, NULL);
        if (virSanlockBoundsCheck(&bounds, "reclaiming leases", error) &&
            virSanlockReclaimBatch(choice, first, end, &bounds, reclaimed, error))
            continue;
        g_prefix_error(error, "%u of %u leases were reclaimed: ", reclaimed->len,
                       choice->uses->len);
        return FALSE;
    }
    return TRUE;
}

gboolean
virSanlockStoreReclaim(gpointer driverData, const virLockReclaimOptions *options,
                       GPtrArray **leases, const virLockWait *wait, GError **error)
{
    g_autoptr(virSanlockChoice) choice = NULL;
    g_autoptr(GPtrArray) reclaimed = NULL;

    if (!virSanlockConfigNeedStore(driverData, error))
        return FALSE;
    choice = virSanlockReclaimChoose(driverData, options, wait, error);
    if (!choice)
        return FALSE;
    if (options->flags & VIR_LOCK_RECLAIM_DRY_RUN) {
        *leases = g_steal_pointer(&choice->uses);
        return TRUE;
    }
    reclaimed = g_ptr_array_new_with_free_func(virUseRecordFreeUse);
    if (!virSanlockReclaimAll(choice, wait, reclaimed, error))
        return FALSE;
    *leases = g_steal_pointer(&reclaimed);
    return TRUE;
}
