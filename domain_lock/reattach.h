/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reattach.h: taking up a guest whose supervisor is gone. Shared by the parts of the sequence;
 * callers use sequence.h.
 *
 * How another job of a guest survives its supervisor:
 *  1. Before its first effect outside, it writes what has to be known to finish or undo it:
 *     virDomainLockObjSetJournal (obj, details), then virDomainLockObjSetStep (obj,
 *     "blockcopy", 1), which saves both. SetStep before each further step; SetStep (NULL) at
 *     the end forgets both.
 *  2. Leases are taken before, and given up after, what needs them, so that at any moment the
 *     set that is held covers what QEMU has open. Every image has to be in the description, or
 *     among the leases of state.json (virDomainLockObjUpdateLeases, then SetStep), or in the
 *     array "images" of the journal, before its lease is taken: a lease alone does not tell its
 *     image.
 *  3. Its row in the table of recover.c: a function that looks at what QEMU has, and finishes
 *     or undoes. It runs when all that QEMU has open is known to be covered, and may be called
 *     again after a crash of its own: whatever it does it must find done the second time.
 *  4. Leases that nothing needs any more are given up afterwards by the sequence itself; the
 *     row need not do it.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_REATTACH_H
#define LEASEHOLD_DOMAIN_LOCK_REATTACH_H

#include "sequence.h"

typedef struct _virReattach {
    virDomainLockObj *obj;
    const virLockWait *wait;
    GPtrArray *recorded; /* virLockLease: what state.json said */
    GPtrArray *held;     /* virLockLease: what the lock daemon says */
    GPtrArray *open;     /* virAuditFile: what QEMU has open */
    gboolean openIsAll;  /* it is certain that there is nothing else */
    GPtrArray *found;    /* strings: what was not as it should be, and what was done */
} virReattach;

/** Notes a difference, for show and the history. */
void virReattachNote(virReattach *re, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* --- reattach_leases.c --- */

/** Asks the lock daemon for what the process holds, and QEMU for what it has open. */
gboolean virReattachAsk(virReattach *re, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/**
 * virReattachVerify: all that QEMU has open is held, or is taken again, if nobody had it in
 * between. LOST if not: QEMU was killed then, because whatever it writes may land in a disk
 * that is another host's by now.
 */
gboolean virReattachVerify(virReattach *re, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Gives up what is held for images that QEMU provably does not have open. */
gboolean virReattachRelease(virReattach *re, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- recover.c --- */

/** The sequence that was interrupted: finished or undone. */
gboolean virReattachRecover(virReattach *re, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Disks that are described and that the guest does not have: forgotten. */
gboolean virReattachDisks(virReattach *re, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- the two sides of a migration: migrate_back.c, migrate_in.c --- */

/** From this step of "migrate" on QEMU may have been told to send the guest's memory. */
#define VIR_MIGRATE_STEP_STREAM 3
/** From this step of "migrate" on the source's word may have been given. */
#define VIR_MIGRATE_STEP_WORD 4
/** This step of "incoming" advances the epoch. */
#define VIR_MIGRATE_STEP_TAKE 10
/** The guest goes on here, or is yielded still (PAUSED, yielded; virSupervisorMigration asks
 * on), or ran elsewhere: then there is an end reason. */
gboolean virMigrateOutRecover(virReattach *re, guint step,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The guest had been taken over, and runs here; or had not: then QEMU was killed, and FALSE. */
gboolean virMigrateInRecover(virReattach *re, guint step, JsonObject *details,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Did anybody run the guest since state.json was written? */
gboolean virMigrateEpochMoved(virReattach *re);

#endif
