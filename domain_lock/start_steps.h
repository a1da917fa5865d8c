/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * start_steps.h: the steps of a start (start.c) that other ways of bringing a guest here share
 * with it: from another host (migrate_in.c), from a file (restore.c).
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_START_STEPS_H
#define LEASEHOLD_DOMAIN_LOCK_START_STEPS_H

#include "object.h"
#include "undo.h"

typedef struct _virStart {
    virDomainLockObj *obj;
    const virLockWait *wait;
    virUndo *undo;
    gboolean ahead; /* QEMU may be loaded while its leases are taken */
} virStart;

/** With what StartPrepare did on it. */
virUndo *virStartPreparedUndo(virDomainLockObj *obj);
/** Reads the chains and names every resource to the lock manager. */
gboolean virStartRegister(virStart *start, GError **error);
/** @flags: virLockManagerAcquireFlags */
gboolean virStartAcquire(virStart *start, guint flags, GError **error);
/** Both of them. */
gboolean virStartTakeLeases(virStart *start, GError **error);
gboolean virStartReadChainsAgain(virStart *start, GError **error);
gboolean virStartAdvanceUse(virStart *start, GError **error);
gboolean virStartExec(virStart *start, GError **error);
gboolean virStartAudit(virStart *start, GError **error);
/** Runs the guest, or leaves it paused: virDomainLockObj.flags. */
gboolean virStartCont(virStart *start, GError **error);
/** CANCELLED or TIMEOUT before a step whose name is @what. */
gboolean virStartCheckBounds(const virLockWait *wait, const char *what, GError **error);
/** Undoes everything, adds to *@error what could not be undone; SHUTOFF (FAILED). */
void virStartFail(virDomainLockObj *obj, virUndo *undo, GError **error);
/** The same where no guest was to be started: "cannot @what of guest ..."; no event. */
void virStartFailWork(virDomainLockObj *obj, virUndo *undo, const char *what,
                      GError **error);
/** All is done: says so. */
void virStartFinish(virDomainLockObj *obj, const char *detail);

#endif
