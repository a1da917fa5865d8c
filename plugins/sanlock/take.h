/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * take.h: taking a set of leases, or their bridges, all or nothing (I4).
 *
 * sanlock takes at most 8 in one call; a larger set is taken in several and given back as a
 * whole if one of them fails.
 */
#ifndef LEASEHOLD_SANLOCK_TAKE_H
#define LEASEHOLD_SANLOCK_TAKE_H

#include "plugins/sanlock/object.h"

typedef struct _virSanlockTake {
    virSanlockObject *object;
    virSanlockLeaseSet *set;
    virSanlockPart part;
    const virSanlockBounds *outer; /* of the caller */
    virSanlockBounds bounds;       /* the same, less the time to undo */
    gboolean *taken;
    virLockOwner *holder; /* who was in the way, if somebody was */
    gboolean passing;     /* the daemon's last refusal was for a moment only */
    gboolean misplaced;   /* it was that another lease, or none, is at the place of one */
} virSanlockTake;

void virSanlockTakeInit(virSanlockTake *take, virSanlockObject *object,
                        virSanlockLeaseSet *set, virSanlockPart part,
                        const virSanlockBounds *bounds);
void virSanlockTakeClear(virSanlockTake *take);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(virSanlockTake, virSanlockTakeClear)

/** Takes one, retrying what is over in a moment; nothing changed if it fails, unless
 * INDETERMINATE. */
gboolean virSanlockTakeOne(virSanlockTake *take, gsize i,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Takes those that the store says are owned: if somebody is to be refused, then soon. */
gboolean virSanlockTakeSuspects(virSanlockTake *take,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Takes all that are not taken yet. On failure those that were taken stay so: Undo. */
gboolean virSanlockTakeAll(virSanlockTake *take,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Gives back what was taken, because of *@error, which is set. If that fails too the error
 * becomes INDETERMINATE. */
void virSanlockTakeUndo(virSanlockTake *take, GError **error);
/** Gives all parts of the set back, in calls of 8. */
gboolean virSanlockGiveBack(virSanlockObject *object, const virSanlockLeaseSet *set,
                            virSanlockPart part, const gboolean *which,
                            const virSanlockBounds *bounds,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
