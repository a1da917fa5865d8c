/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sequence.h: the life of a guest as sequences of numbered steps (design: leases around each
 * of them, nothing is let go before the process that used it is dead).
 *
 * All but StartPrepare block and run in the worker thread as the one job of the moment. The
 * numbers of the steps are those that LEASEHOLD_STEP_FD shows and that state.json journals.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_SEQUENCE_H
#define LEASEHOLD_DOMAIN_LOCK_SEQUENCE_H

#include "describe.h"
#include "object.h"
#include "spec.h"

/**
 * virDomainLockGuestFactory: makes the guest process' object once its folder is known.
 * @qmpFd: (out): the number under which QEMU will find its listening QMP socket
 */
typedef virDomainLockGuest *(*virDomainLockGuestFactory)(virDomainLockObj *obj,
                                                         int *qmpFd, gpointer data,
                                                         GError **error);

/**
 * virDomainLockStartPrepare: steps 1 to 3 of a start, in the main thread of a process
 * without other threads: describe, take the runtime folder, fork the parked child. No
 * storage is touched.
 *
 * A failure leaves the world as before.
 */
virDomainLockObj *virDomainLockStartPrepare(virLockConfig *config,
                                            const virDomainLockSpec *spec,
                                            virDomainLockGuestFactory factory,
                                            gpointer data,
                                            GError **error) G_GNUC_WARN_UNUSED_RESULT;
/**
 * virDomainLockStartRun: steps 4 to 9: leases, chains again, use records, QEMU paused,
 * audit, cont. Afterwards the guest is RUNNING (or PAUSED, if that was asked for).
 *
 * A failure leaves the world as before: the child is reaped, the leases were seen free, the
 * runtime folder is gone, and the state is SHUTOFF (FAILED).
 */
gboolean virDomainLockStartRun(virDomainLockObj *obj, const virLockWait *wait,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** Steps 8 and 9 for a start whose supervisor died after it executed QEMU. */
gboolean virDomainLockStartResume(virDomainLockObj *obj, const virLockWait *wait,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** After StartPrepare, instead of StartRun: undoes steps 2 and 3. @error, which is set, says
 * why, and afterwards also what could not be undone. */
void virDomainLockStartAbandon(virDomainLockObj *obj, GError **error);

/* --- parts of a start that other sequences need --- */

/** From XML or a command line; text only. */
virDomainDef *virDomainLockDefFromSpec(const virDomainLockSpec *spec,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** obj->man, of @flags (virLockManagerNewFlags), with all its parameters but "pid". */
gboolean virDomainLockMakeManager(virDomainLockObj *obj, guint flags,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Reads the chains; virDomainDefGetResources is complete then. */
gboolean virDomainLockFindResources(virDomainLockObj *obj, GCancellable *cancellable,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean virDomainLockRegister(virDomainLockObj *obj, const virDomainResource *resource,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** At once, of an object that has been acquired. */
gboolean virDomainLockAcquire(virDomainLockObj *obj, const virDomainResource *resource,
                              const virLockWait *wait,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- taking up a guest whose supervisor is gone (reattach.c) --- */

/** Makes the guest process' object from the process that obj->status names. */
typedef virDomainLockGuest *(*virDomainLockAttachFactory)(virDomainLockObj *obj,
                                                          gpointer data, GError **error);
/**
 * virDomainLockReattachPrepare: in the main thread, no storage is touched: takes the runtime
 * folder, finds the process. BUSY: there is a supervisor; STATE: QEMU has ended, which is
 * recorded now. A failure leaves a guest that runs as it is.
 * @spec: (inout): names the guest (attach); afterwards also what it was started from
 */
virDomainLockObj *virDomainLockReattachPrepare(virLockConfig *config,
                                               virDomainLockSpec **spec,
                                               virDomainLockAttachFactory factory,
                                               gpointer data,
                                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The rest, in the worker. LOST: QEMU had something open whose lease it no longer had, and
 * was killed. Other failures leave the guest running, and the call may be repeated. */
gboolean virDomainLockReattachRun(virDomainLockObj *obj, const virLockWait *wait,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Afterwards, in the main thread: what follows from what the guest did meanwhile. */
virDomainLockFollow virDomainLockReattachFollow(virDomainLockObj *obj);

/**
 * virDomainLockEnd: the guest is finished or has to be: quit (end:1) unless it is dead
 * already, SIGKILL when it does not follow, reap (end:2), leases seen free (end:3), SHUTOFF,
 * last state kept, folder removed (end:4).
 *
 * FALSE with TIMEOUT: QEMU could not be reaped (stuck in the kernel): its leases are still
 * held, as they must be, and the call may be repeated.
 */
gboolean virDomainLockEnd(virDomainLockObj *obj,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** <on_poweroff>, <on_crash> restart: the same QEMU, reset and run again, leases kept. */
gboolean virDomainLockRestart(virDomainLockObj *obj,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Stopped, and left for somebody to look at. */
gboolean virDomainLockPreserve(virDomainLockObj *obj,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** Asks the guest to shut itself down (shutdown:2), which is in the state before it is asked
 * (shutdown:1). @deadlineUsec: wall clock of the forced stop, which the supervisor arranges
 * (shutdown:3); 0: as before. */
gboolean virDomainLockRequestShutdown(virDomainLockObj *obj, guint flags,
                                      gint64 deadlineUsec,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Asks the guest to reboot; STATE while it is asked to shut down. */
gboolean virDomainLockRequestReboot(virDomainLockObj *obj, guint flags,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** For a new supervisor: asks the guest what the last one was about to ask, if anything. */
gboolean virDomainLockAskAgain(virDomainLockObj *obj,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** No job: withdraws what the guest is asked; STATE when that is nothing. */
gboolean virDomainLockWithdrawRequest(virDomainLockObj *obj,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** No job, any thread: SIGKILL, or SIGTERM when graceful. End follows from QEMU's end. */
gboolean virDomainLockKill(virDomainLockObj *obj, guint flags,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean virDomainLockPause(virDomainLockObj *obj,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean virDomainLockContinue(virDomainLockObj *obj,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** For QEMU's "cont" of a guest whose memory may have left it: a QEMU that has sent its memory
 * goes on only after the run record advanced, so that whatever holds that memory is stale. */
gboolean virDomainLockContinueQemu(virDomainLockObj *obj,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean virDomainLockHardReset(virDomainLockObj *obj,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * virDomainLockPlugDisk: one more disk, from a <disk> element: leases first, audit, then the
 * guest sees it. A failure undoes all; what could not be undone (INDETERMINATE) keeps its
 * leases, and the disk can be detached.
 */
gboolean virDomainLockPlugDisk(virDomainLockObj *obj, const char *xml,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
/**
 * virDomainLockDetach: asks the guest to let go of a disk; of the one that it boots from with
 * VIR_DOMAIN_LOCK_DEVICE_FORCE only. Leases stay held until QEMU says
 * DEVICE_DELETED, whenever that is; then call DetachFinish.
 * @id: (out): QEMU's id of the disk, which that event has; g_free. When the guest had let go
 *   already, all is done on return: virDomainLockObjIsAsked is FALSE.
 */
gboolean virDomainLockDetach(virDomainLockObj *obj, const char *target, guint flags,
                             char **id, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** QEMU let go of device @id: its nodes are removed and seen gone, then its leases are given
 * up. Nothing to do when it is no disk of ours. */
gboolean virDomainLockDetachFinish(virDomainLockObj *obj, const char *id,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** What a block operation is told; members that it has no use for are NULL or 0. */
typedef struct _virDomainLockBlockSpec {
    char **targets;    /* one, but for snapshots */
    char **paths;      /* copy, snapshot: the image that comes to each */
    char *top, *base;  /* commit, pull: images of the chain */
    char *format;      /* copy */
    guint64 bandwidth; /* bytes/s; 0: as fast as it goes */
    guint flags;       /* virDomainLockBlockFlags */
} virDomainLockBlockSpec;
void virDomainLockBlockSpecFree(virDomainLockBlockSpec *spec);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainLockBlockSpec, virDomainLockBlockSpecFree)

/** Jobs that take long (job.h). A failure leaves the disk as it was, unless the message says
 * otherwise (INDETERMINATE): leases that may be needed stay held. See block.h. */
gboolean virDomainLockDiskCopy(virDomainLockObj *obj, const virDomainLockBlockSpec *spec,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean virDomainLockDiskCommit(virDomainLockObj *obj,
                                  const virDomainLockBlockSpec *spec,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean virDomainLockDiskPull(virDomainLockObj *obj, const virDomainLockBlockSpec *spec,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Of several disks: all or none, at one instant. */
gboolean virDomainLockDiskSnapshot(virDomainLockObj *obj, const virDomainLockBlockSpec *spec,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** A snapshot in the images of the disks (snapshot.h). */
typedef struct _virDomainLockSnapshotSpec {
    char *name;
    char *description; /* create; or NULL */
    guint flags;       /* virDomainLockRevertFlags */
} virDomainLockSnapshotSpec;
void virDomainLockSnapshotSpecFree(virDomainLockSnapshotSpec *spec);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainLockSnapshotSpec, virDomainLockSnapshotSpecFree)

/** Jobs that take long (job.h) and permit nothing beside them: QEMU does nothing else meanwhile.
 * A failure leaves all as it was; INDETERMINATE says what could not be undone. */
gboolean virDomainLockSnapshotMake(virDomainLockObj *obj,
                                   const virDomainLockSnapshotSpec *spec,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean virDomainLockSnapshotDrop(virDomainLockObj *obj,
                                   const virDomainLockSnapshotSpec *spec,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The guest goes back to it, in the same QEMU. One that could not be brought back whole was
 * killed (INDETERMINATE). */
gboolean virDomainLockSnapshotBring(virDomainLockObj *obj,
                                    const virDomainLockSnapshotSpec *spec,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** A guest of which a revert has begun and not ended is not started: STATE. Under its leases. */
gboolean virDomainLockSnapshotCheckStart(virDomainLockObj *obj,
                                         GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * virDomainLockOfflineRun: works on the snapshots of a guest that does not run, as obj->spec
 * says, under its leases; steps 4 to 14 after virDomainLockStartPrepare (snapshot_offline.c).
 * Afterwards the guest is RUNNING or PAUSED, where that was asked for, or SHUTOFF as before.
 */
gboolean virDomainLockOfflineRun(virDomainLockObj *obj, const virLockWait *wait,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** What that is called: "create": "taking a snapshot". */
const char *virDomainLockOfflineJob(const char *op);
/** Its supervisor died in @step: *back: QEMU has all of the guest, which goes on; else it never
 * ran, and is to be ended. */
gboolean virDomainLockOfflineRecover(virDomainLockObj *obj, guint step, gboolean *back,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** For a supervisor that finds one of them half done: QEMU's job is waited for, then it is
 * finished or undone: *@what says which. @details: of the journal */
gboolean virDomainLockSnapshotRecover(virDomainLockObj *obj, guint step,
                                      JsonObject *details, const char **what,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * virDomainLockBlockRecover: for a supervisor that finds a QEMU which an earlier one has left:
 * cancels block jobs that are half done, takes the chains as QEMU has them into the
 * description, deletes nodes that nothing uses and gives up their leases. Every lease that
 * QEMU holds has to be known to the lock manager before.
 */
gboolean virDomainLockBlockRecover(virDomainLockObj *obj, JsonObject *journal,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** virDomainLockMedium: what a drive gets. */
typedef struct _virDomainLockMedium {
    const char *path;   /* absolute; NULL: the drive is emptied */
    const char *format; /* not NULL with a path */
    guint flags;        /* virDomainLockDeviceFlags */
} virDomainLockMedium;
/**
 * virDomainLockMedia: another medium for a cdrom or floppy. A failure leaves the old one in
 * the drive; INDETERMINATE: the drive has the new one, but QEMU still has the old one open
 * (both keep their leases), or what was begun could not be undone.
 */
gboolean virDomainLockMedia(virDomainLockObj *obj, const char *target,
                            const virDomainLockMedium *medium,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The step of "media" from which on it is finished by a later supervisor, not undone. */
#define VIR_MEDIA_SWAP 9
/** For a supervisor that finds the sequence cut off at @step. */
gboolean virDomainLockMediaRecover(virDomainLockObj *obj, guint step, JsonObject *journal,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** One more <lease> element; a failure undoes all. */
gboolean virDomainLockTakeLease(virDomainLockObj *obj, const char *xml,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** @lockspace: NULL: of any. */
gboolean virDomainLockDropLease(virDomainLockObj *obj, const char *lockspace,
                                const char *key,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** For a supervisor that finds one of the two cut off: the lease is given up, and forgotten. */
gboolean virDomainLockLeaseRecover(virDomainLockObj *obj, JsonObject *journal,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Is it the one that was on its way? It may be described and not held. */
gboolean virDomainLockLeaseIsJournaled(JsonObject *journal,
                                       const virDomainResource *resource);
/** What QEMU is asked for an audit, and its arguments (transfer full). */
#define VIR_AUDIT_QUERY "query-named-block-nodes"
JsonObject *virDomainLockAuditArgs(void);
/** Has QEMU anything open that no lease covers? @nodes: what it answered. */
gboolean virDomainLockAuditNodes(virDomainLockObj *obj, JsonNode *nodes,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Asks it. */
gboolean virDomainLockAuditQemu(virDomainLockObj *obj, gint64 deadlineUsec,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** How long a QMP command that does no I/O may take. */
#define VIR_SEQUENCE_QMP_USEC (10 * G_USEC_PER_SEC)
/** A guest agent that lives answers within this, also under load. */
#define VIR_SEQUENCE_AGENT_USEC (5 * G_USEC_PER_SEC)
/** One QMP command without arguments whose answer is of no interest. */
gboolean virDomainLockCommandSimple(virDomainLockObj *obj, const char *name,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
