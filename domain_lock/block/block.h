/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * block.h: the inside of the block operations (snapshot, commit, pull, copy).
 *
 * All of them have one shape, and one undo:
 *
 *   look up -> leases of what will be written -> nodes -> audit -> QEMU's job -> the changed
 *   chain into the description -> the job's last step -> settle
 *
 * Settle makes everything else follow from what QEMU has: it deletes the nodes that nothing
 * uses (QEMU refuses the others), takes what is left as the chain of the disk, has what is only
 * read reopened for reading, and then, and only then, gives up the leases of images that were
 * closed and makes those of backing files shared (I3). It is the last step of an operation that
 * went well, the undo of one that failed at any step, and what a new supervisor does with one
 * that it finds half done. So at every moment QEMU holds the leases of both chains, the old and
 * the new one.
 *
 *   block_graph.c     what nodes QEMU has; deleting and reopening them
 *   block_job.c       one job of QEMU: start, wait, finalize, cancel
 *   block_image.c     an image that comes: file, lease, node, format
 *   block_settle.c    settle, and recovery after a supervisor died
 *   block_run.c       a sequence: its steps, its undo, its words
 *   block_copy.c, block_commit.c (and pull), block_snapshot.c: the steps
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_BLOCK_H
#define LEASEHOLD_DOMAIN_LOCK_BLOCK_H

#include "domain_lock/image/image_chain.h"
#include "domain_lock/sequence.h"

/** One disk of an operation. */
typedef struct _virBlockDisk {
    virDomainLockObj *obj;
    char *target;
    GPtrArray *known; /* virImage: the chain before, uppermost first */
    virImage *extra;  /* the image that comes; NULL: none */
    gboolean held;    /* with a lease that was taken for it */
    gboolean created; /* its file is ours ... */
    gboolean discard; /* ... and is removed again unless the disk needs it */
    guint expect;     /* images that the chain has in the end; 0: whatever QEMU has */
} virBlockDisk;

void virBlockDiskClear(virBlockDisk *disk);

/* --- block_graph.c ------------------------------------------------------------------------- */

/** Answer of no interest. */
gboolean virBlockCommand(virDomainLockObj *obj, const char *name, JsonObject *args,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** A query whose answer is a list; its array is valid as long as the node. */
JsonNode *virBlockQuery(virDomainLockObj *obj, const char *name, JsonObject *args,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** query-named-block-nodes, flat. */
JsonNode *virBlockNodes(virDomainLockObj *obj, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The member of a list whose @key is @value, or NULL. */
JsonObject *virBlockFind(JsonNode *list, const char *key, const char *value);
/** "vda-2-format"; g_free. */
char *virBlockNodeName(const char *target, guint number, const char *layer);
/** The number in "vda-12-format"; FALSE for a node of another disk or layer. */
gboolean virBlockNodeNumber(const char *name, const char *target, const char *layer,
                            guint *number);
/** Name of the node that the guest's device uses; g_free. */
char *virBlockTopNode(virDomainLockObj *obj, const char *target,
                      GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Size that the guest sees, of a format node. -1 with an error. */
gint64 virBlockVirtualSize(virDomainLockObj *obj, const char *node, GError **error);
/** Deletes all nodes of the disk that nothing uses. *left: numbers (guint) of its images that
 * still have one. */
gboolean virBlockDropUnused(virBlockDisk *disk, GArray **left,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;
typedef enum { VIR_BLOCK_READ, VIR_BLOCK_WRITE } virBlockAccess;
/** Reopens the files of an image of the present chain. For reading: its format, too; for
 * writing QEMU's jobs do that themselves. Nothing to do when they are so already. */
gboolean virBlockReopen(virBlockDisk *disk, const virImage *image, virBlockAccess access,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- block_job.c ------------------------------------------------------------------------------ */

/** QEMU's job of this disk: "leasehold-vda"; g_free. */
#define VIR_BLOCK_JOB_PREFIX "leasehold-"
char *virBlockJobId(const char *target);
/** @args: of @command, without job-id and without anything automatic. */
gboolean virBlockJobStart(virDomainLockObj *obj, const char *id, const char *command,
                          JsonObject *args, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Waits until the job is in one of the states of @wanted ("ready,pending"), and publishes its
 * progress. QEMU's words when it failed; CANCELLED by the guest's job. */
gboolean virBlockJobAwait(virDomainLockObj *obj, const char *id, const char *wanted,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** "job-complete", "job-finalize", ... */
gboolean virBlockJobTell(virDomainLockObj *obj, const char *id, const char *command,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Finalizes a pending job and sees it concluded. Cannot be cancelled. */
gboolean virBlockJobFinalize(virDomainLockObj *obj, const char *id,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Cancels the job by force unless it has concluded, and sees it gone. No job: nothing. */
gboolean virBlockJobRemove(virDomainLockObj *obj, const char *id,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- block_image.c ---------------------------------------------------------------------------- */

typedef struct _virBlockNew {
    const char *path;
    const char *format;      /* "raw", "qcow2" */
    gboolean reuse;          /* the file is there, with what is in it */
    const virImage *backing; /* of the present chain; NULL: none */
} virBlockNew;

/** Finds the file, or makes an empty one. */
gboolean virBlockImageFind(virBlockDisk *disk, const virBlockNew *image,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Its lease, exclusive, and its use record. */
gboolean virBlockImageTake(virBlockDisk *disk, const virLockWait *wait,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** QEMU opens it, formats it unless it is reused, and has a format node for it. @attach: on the
 * node of its backing image, else on none (blockdev-snapshot does that). */
gboolean virBlockImageOpen(virBlockDisk *disk, const virBlockNew *image, gboolean attach,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** A lease of a whole image (its data file, too) that is held: its mode. */
gboolean virBlockLeaseConvert(virDomainLockObj *obj, const virImage *image,
                              virLockMode mode, const virLockWait *wait,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean virBlockLeaseRelease(virDomainLockObj *obj, const virImage *image,
                              const virLockWait *wait,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Has QEMU anything open that no lease covers? Knows of @disks' images that come. */
gboolean virBlockAudit(virDomainLockObj *obj, const virBlockDisk *disks, guint n,
                       GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- block_settle.c --------------------------------------------------------------------------- */

gboolean virBlockSettle(virBlockDisk *disk, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The image that QEMU has under this number, from the answer of virBlockNodes. */
virImage *virBlockImageFrom(JsonNode *nodes, const char *target, guint number);

/* --- block_run.c ------------------------------------------------------------------------------ */

typedef struct _virBlock {
    virDomainLockObj *obj;
    const virDomainLockBlockSpec *spec;
    virBlockDisk *disks;
    guint n;
    virLockWait wait;
    char *jobId;
    guint top, base;    /* commit, pull: indexes in the chain */
    gboolean started;   /* the job */
    gboolean finalized; /* it was told to: how it ends is QEMU's word */
} virBlock;

typedef gboolean (*virBlockStep)(virBlock *block, GError **error);

typedef struct _virBlockSequence {
    const char *name;  /* of its steps: "copy" */
    const char *what;  /* "copy disk" */
    const char *job;   /* "copying a disk" */
    const char *event; /* "DISK_COPIED" */
    const virBlockStep *steps;
    guint nSteps;
} virBlockSequence;

gboolean virBlockRun(virDomainLockObj *obj, const virBlockSequence *sequence,
                     const virDomainLockBlockSpec *spec,
                     GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** First step of each: the disk is there, is written by this guest alone, and at rest. */
gboolean virBlockLookUp(virBlock *block, guint i, const char *target,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The description says that the disk has this chain from now on. Takes @chain. */
gboolean virBlockDescribe(virBlockDisk *disk, virImageChain *chain,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean virBlockSeal(virBlock *block, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** CONFIG, with the names of the chain, unless @path is one of its images. */
gboolean virBlockFindInChain(const virBlockDisk *disk, const char *path, guint *index,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Options of one of QEMU's jobs; json_object_unref. */
JsonObject *virBlockJobArgs(const virBlock *block);

#endif
