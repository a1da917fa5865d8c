/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rings.c: see rings.h.
 */
#include "plugins/sanlock/rings.h"

/* The rings of leases that were created together lie together, and one read costs the same for
 * one as for some: it pays until there are this many times more between them. */
#define WASTE_MAX 8

void
virSanlockRingsClear(virSanlockRings *rings)
{
    g_aligned_free(rings->bytes);
}

gboolean
virSanlockRingsRead(virSanlockRings *rings, const virSanlockLeaseSet *set,
                    virSanlockStore *store, GError **error)
{
    guint first = G_MAXUINT, last = 0;

    for (gsize i = 0; i < set->n; i++) {
        first = MIN(first, (guint)set->leases[i].slot);
        last = MAX(last, (guint)set->leases[i].slot);
    }
    rings->first = first;
    rings->ringBytes = (gsize)VIR_USE_RING_SECTORS * store->geometry.sectorSize;
    rings->together = last - first < set->n * WASTE_MAX;
    rings->bytes =
        virSanlockBuffer((rings->together ? last - first + 1 : set->n) * rings->ringBytes);
    if (rings->together)
        return virSanlockStoreRead(store, virSanlockUseOffset(&store->geometry, first),
                                   rings->bytes, (last - first + 1) * rings->ringBytes,
                                   error);
    for (gsize i = 0; i < set->n; i++)
        if (!virSanlockStoreRead(
                store, virSanlockUseOffset(&store->geometry, set->leases[i].slot),
                rings->bytes + i * rings->ringBytes, rings->ringBytes, error))
            return FALSE;
    return TRUE;
}

gboolean
virSanlockRingsParse(const virSanlockRings *rings, virSanlockLeaseSet *set,
                     GError **error)
{
    for (gsize i = 0; i < set->n; i++) {
        virSanlockLease *lease = &set->leases[i];
        gsize place = rings->together ? (guint)lease->slot - rings->first : i;

        if (!lease->moved &&
            !virUseRingParse(rings->bytes + place * rings->ringBytes,
                             set->geometry.sectorSize, lease->name, &lease->use, error))
            return FALSE;
    }
    return TRUE;
}
