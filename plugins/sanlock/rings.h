/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rings.h: the use records of a set of leases as they are in the store, read with as few reads
 * as there are, and parsed when it is known which of them mean something.
 */
#ifndef LEASEHOLD_SANLOCK_RINGS_H
#define LEASEHOLD_SANLOCK_RINGS_H

#include "plugins/sanlock/lease.h"

typedef struct _virSanlockRings {
    virSanlockBytes *bytes;
    gsize ringBytes;
    gboolean together; /* with all that lie between, from the one of slot @first on */
    guint first;
} virSanlockRings;

/** All of @set have a slot. @rings: zeroed. */
gboolean virSanlockRingsRead(virSanlockRings *rings, const virSanlockLeaseSet *set,
                             virSanlockStore *store,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Into the leases of the same set that have not moved. */
gboolean virSanlockRingsParse(const virSanlockRings *rings, virSanlockLeaseSet *set,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
void virSanlockRingsClear(virSanlockRings *rings);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(virSanlockRings, virSanlockRingsClear)

#endif
