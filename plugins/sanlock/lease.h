/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lease.h: a set of leases on its way through an operation: where they are, what the store
 * says of them, and the jobs that find that out.
 *
 * One job handles the whole set with one open store and as few reads as there are: starting
 * a guest must not pay for each disk twice.
 */
#ifndef LEASEHOLD_SANLOCK_LEASE_H
#define LEASEHOLD_SANLOCK_LEASE_H

#include "plugins/sanlock/call.h"
#include "plugins/sanlock/settings.h"
#include "plugins/sanlock/store.h"

typedef struct _virSanlockLease {
    char name[VIR_SANLOCK_NAME_SIZE];
    char bridge[VIR_SANLOCK_NAME_SIZE];
    char *label; /* how messages call it */
    virLockMode mode;
    int slot; /* -1: there is none */

    /* as read from the store last, a hint */
    virSanlockLeader leader;
    gboolean bridgeDue; /* the lease is held: its bridge may be looked at */
    virSanlockLeader bridgeLeader;
    gboolean bridgeIsThere; /* that was read since then, and is the leader of that bridge */
    virUseRing use;
    gboolean moved; /* another slot than when it was acquired */
} virSanlockLease;

typedef struct _virSanlockLeaseSet {
    virSanlockConfig *config;
    gboolean checkStore; /* Locate: is the daemon in the lockspace of this very store? */
    gboolean located;    /* geometry and slots are known */
    /* Locate: what has to be done before leases are taken, too; or NULL */
    virSanlockJobFunc before;
    gpointer beforeData; /* from g_atomic_rc_box_new; the set has a reference */
    GDestroyNotify beforeClear;
    virSanlockGeometry geometry;
    virSanlockStore *store; /* of Verify, or adopted; NULL: not open */
    guint64 generation;     /* this host's, when the leases were verified; 0: not known */
    virUseRecord user;      /* for virSanlockLeaseSetAdvance */
    gsize n;
    virSanlockLease *leases;
} virSanlockLeaseSet;

/** CONFIG for a lease of another lockspace than the configured one, or a bad name. */
virSanlockLeaseSet *virSanlockLeaseSetNew(virSanlockConfig *config,
                                          virLockDriverResource *const *resources,
                                          gsize n,
                                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** A set of one lease, by name. */
virSanlockLeaseSet *virSanlockLeaseSetNewOne(virSanlockConfig *config, const char *name,
                                             const char *label);
void virSanlockLeaseSetUnref(virSanlockLeaseSet *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSanlockLeaseSet, virSanlockLeaseSetUnref)

/** Finds the slots and reads the leaders. Leases that have no slot keep slot -1. What is to be
 * done before is done meanwhile; if it fails that is the error. */
gboolean virSanlockLeaseSetLocate(virSanlockLeaseSet *set, const virSanlockBounds *bounds,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** TRUE if every lease has a slot. */
gboolean virSanlockLeaseSetIsComplete(const virSanlockLeaseSet *set);
/** For a thread beside one that takes the rest of the set: reads the bridges that are due. What
 * it cannot read or does not understand is left to Verify. */
gboolean virSanlockLeaseSetReadAhead(gpointer set, GError **error);
/** After the leases were taken: reads index (sets moved), bridges and use records; and asks for
 * this host's generation, which cannot change while it holds them. */
gboolean virSanlockLeaseSetVerify(virSanlockLeaseSet *set, const virSanlockBounds *bounds,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
/**
 * virSanlockLeaseSetAdopt:
 * @from: verified, and held ever since: its store stays open for @set
 *
 * What is held has a place that nobody changes, so @set, if all of it is in @from, need not
 * look for it again. TRUE if so.
 */
gboolean virSanlockLeaseSetAdopt(virSanlockLeaseSet *set, virSanlockLeaseSet *from);
/** Advances all use records by one in the name of @user (and this host's generation), durably.
 * The caller holds the leases exclusively, or their bridges; the set need not be located.
 * set->leases[i].use is what was written; STATE if there is no such lease. */
gboolean virSanlockLeaseSetAdvance(virSanlockLeaseSet *set, const virUseRecord *user,
                                   const virSanlockBounds *bounds,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Creates the slots that are missing, through the helper program; located afterwards. */
gboolean virSanlockLeaseSetCreate(virSanlockLeaseSet *set, const virSanlockBounds *bounds,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef enum {
    VIR_SANLOCK_PART_LEASE = 0,
    VIR_SANLOCK_PART_BRIDGE,
} virSanlockPart;

/** For libsanlock: the lease or its bridge. Free: g_free. */
struct sanlk_resource *virSanlockLeaseToResource(const virSanlockLeaseSet *set, gsize i,
                                                 virSanlockPart part);

#endif
