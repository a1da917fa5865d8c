/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshot.h: the inside of snapshots that lie in the images of a guest (internal ones), with
 * its memory when it runs. Those that are images of their own: block_snapshot.c.
 *
 *   image_snapshots.c    what snapshots an image has
 *   snapshot_book.c      what they were of
 *   snapshot_look.c      both together: which snapshots a guest has, and whether they are whole
 *   snapshot_compare.c   is the guest the one that the snapshot was of?
 *   snapshot_job.c       QEMU's snapshot jobs
 *   snapshot_create.c, snapshot_delete.c, snapshot_revert.c: of a guest that runs
 *   snapshot_offline.c   of a guest that does not run
 *   snapshot_recover.c   after a supervisor died
 *
 * I1 to I3: who changes images here holds their exclusive leases: QEMU, or the parked child of
 * a supervisor, which runs qemu-img. I7 does not hold memory back here:
 * the memory of a snapshot and the disks of the same instant are brought back together.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_SNAPSHOT_H
#define LEASEHOLD_DOMAIN_LOCK_SNAPSHOT_H

#include "domain_lock/sequence.h"
#include "snapshot_book.h"

/* --- snapshot_look.c ------------------------------------------------------------------------ */

/** What there is, at one moment. */
typedef struct _virSnapshotLook {
    virLockConfig *config;
    char *guestName;
    char *guestUuid;
    GPtrArray *disks; /* virSnapshotDisk: the guest's, as they are */
    GPtrArray
        *images; /* GPtrArray of virImageSnapshot: of each of @disks; empty for one that
                        * can have none */
    GPtrArray *books; /* virSnapshotBook: of the disks that can be in a snapshot */
} virSnapshotLook;

/** Reads the images and the books. @def: its chains are read where that was not done yet. */
virSnapshotLook *virSnapshotLookAt(virLockConfig *config, virDomainDef *def,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
void virSnapshotLookFree(virSnapshotLook *look);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSnapshotLook, virSnapshotLookFree)
/** The book of one disk, as virSnapshotBookLoad; its chain has been read. */
virSnapshotBook *virSnapshotBookOf(virLockConfig *config, virDomainDef *def,
                                   const char *target, const char *stateDir,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
virSnapshotDisk *virSnapshotLookDisk(const virSnapshotLook *look, const char *target);
/** The disk with this lease, and its index; NULL: the guest does not have it. */
virSnapshotDisk *virSnapshotLookLease(const virSnapshotLook *look, const char *lease,
                                      guint *index);
/** The snapshot of this name in disk @index; NULL: none, or (*several) more than one. */
const virImageSnapshot *virSnapshotLookMark(const virSnapshotLook *look, guint index,
                                            const char *name, gboolean *several);
/** The book that a new snapshot of this guest goes into; NULL: it has no disk for that. */
virSnapshotBook *virSnapshotLookBook(const virSnapshotLook *look);

/** One snapshot: entry and images brought together. */
typedef struct _virSnapshotFound {
    char *name;
    virSnapshotBook *book;   /* of @entry */
    virSnapshotEntry *entry; /* NULL: nobody knows what it was of */
    GPtrArray *have; /* virSnapshotDisk whose image has it: the guest's, or, where it does
                              * not have the disk any more, the entry's; not owned */
    guint64 memoryBytes;
    gint64 dateUsec;
    GString *problem; /* why the guest cannot go back to it; empty: it can */
} virSnapshotFound;

void virSnapshotFoundFree(virSnapshotFound *found);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSnapshotFound, virSnapshotFoundFree)
/** NULL: there is none of this name, in no image. */
virSnapshotFound *virSnapshotLookFind(const virSnapshotLook *look, const char *name);
/** The same; CONFIG with the names that there are. */
virSnapshotFound *virSnapshotLookGet(const virSnapshotLook *look, const char *name,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Elements virDomainLockSnapshot, oldest first. */
GPtrArray *virSnapshotLookList(const virSnapshotLook *look);

/** CONFIG: QEMU could not tell such a name from others. */
gboolean virSnapshotCheckName(const char *name, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** CONFIG or UNSUPPORTED names the first disk that cannot be in a snapshot. */
gboolean virSnapshotCheckDisks(const virSnapshotLook *look,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** A new entry, pending, with the disks as they are and their @leases' epochs. */
virSnapshotEntry *virSnapshotLookEntry(const virSnapshotLook *look, const char *name,
                                       const GPtrArray *leases);

/* --- snapshot_compare.c ---------------------------------------------------------------------- */

/** The guest has the disks of the snapshot and no other, and is the same machine: its memory
 * fits. CONFIG names the first difference. @xml: the guest as it is */
gboolean virSnapshotCompare(const virSnapshotLook *look, const virSnapshotEntry *entry,
                            const char *xml, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** The disks alone. */
gboolean virSnapshotCompareDisks(const virSnapshotLook *look,
                                 const virSnapshotEntry *entry,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- snapshot_job.c -------------------------------------------------------------------------- */

/** QEMU's job. It does nothing else while it runs one, so that it answers nothing either, and
 * such a job cannot be cancelled. */
#define VIR_SNAPSHOT_JOB "leasehold_snapshot"
/**
 * virSnapshotJobRun:
 * @command: "snapshot-save", "snapshot-load", "snapshot-delete"
 * @disks: virSnapshotDisk; the first one takes the memory
 * @begun: NULL, or whether QEMU may have been told; FALSE: images and memory are as before
 *
 * Returns when the job has concluded; it stays there to be asked, until JobDismiss. A failure
 * has QEMU's words (UNAVAILABLE); INDETERMINATE: QEMU does not answer.
 */
gboolean virSnapshotJobRun(virDomainLockObj *obj, const char *command, const char *name,
                           const GPtrArray *disks, gboolean *begun,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Waits for a job that was begun; *there: is there one? *failure: QEMU's words if it failed;
 * g_free. FALSE: QEMU does not answer. */
gboolean virSnapshotJobJoin(virDomainLockObj *obj, gboolean *there, char **failure,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean virSnapshotJobDismiss(virDomainLockObj *obj,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- what the sequences share (snapshot_create.c) ------------------------------------------- */

/** One sequence that is under way. */
typedef struct _virSnapshotRun {
    virDomainLockObj *obj;
    const virDomainLockSnapshotSpec *spec;
    virSnapshotLook *look;
    virSnapshotFound *found; /* revert, delete */
    virSnapshotBook *book;   /* of @look */
    gboolean wasRunning;
    gboolean loaded; /* revert: QEMU was told to load: there is no way back */
} virSnapshotRun;

typedef struct _virSnapshotSequence {
    const char *name; /* of its steps: "snapshot-create" */
    const char *what; /* "create snapshot" */
    const char *job;  /* "taking a snapshot" */
    const char *event;
    gboolean (*const *steps)(virSnapshotRun *run, GError **error);
    guint nSteps;
    /* a step failed: the world is as before afterwards, or *@error says what it is */
    void (*undo)(virSnapshotRun *run, GError **error);
} virSnapshotSequence;

gboolean virSnapshotRunSteps(virDomainLockObj *obj, const virSnapshotSequence *sequence,
                             const virDomainLockSnapshotSpec *spec,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** First step of each. */
gboolean virSnapshotLookUp(virSnapshotRun *run, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean virSnapshotFind(virSnapshotRun *run, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- steps that a guest that runs and one that does not have in common ------------------------ */

/** create: no image has one of this name. */
gboolean virSnapshotIsFree(virSnapshotRun *run, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** create: the book has an entry, pending. */
gboolean virSnapshotEnter(virSnapshotRun *run, const char *xml, virDomainLockState state,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Its disks that can be in a snapshot; g_ptr_array_unref. */
GPtrArray *virSnapshotIncluded(const virSnapshotEntry *entry);
/** delete: no image has it that the guest does not have. */
gboolean virSnapshotDeleteCheck(virSnapshotRun *run,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean virSnapshotDeleteBook(virSnapshotRun *run,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** revert */
gboolean virSnapshotCheckRevertFlags(guint flags,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean virSnapshotRevertBegin(virSnapshotRun *run,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean virSnapshotShallRun(const virSnapshotRun *run, const virSnapshotEntry *entry);

/* --- also for a supervisor that finds one half done ------------------------------------------ */

/** Every image has it: the book says so. */
gboolean virSnapshotComplete(virSnapshotRun *run,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Whatever there is of it is deleted, and the book forgets it. */
gboolean virSnapshotForget(virSnapshotRun *run, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The book says that the guest is there. */
gboolean virSnapshotReverted(virSnapshotRun *run,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The guest, whose memory is that of @entry, runs or stays paused. */
gboolean virSnapshotGoOn(virSnapshotRun *run, const virSnapshotEntry *entry,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Its memory and its disks may not belong together. Adds to *@error. */
void virSnapshotRevertKill(virDomainLockObj *obj, GError **error);

#endif
