/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * save.h: a guest goes into a file and comes back (I7): the sequences of both.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_SAVE_H
#define LEASEHOLD_DOMAIN_LOCK_SAVE_H

#include "domain_lock/sequence.h"
#include "save_file.h"

/** state_dir/save/<uuid>.save: where managed saves are; g_free. */
char *virDomainLockManagedPath(virLockConfig *config, const char *uuid);

/**
 * virDomainLockSaveRun:
 * @path: absolute
 * @flags: virDomainLockSaveFlagsType
 *
 * The guest goes into a file, and ends (SAVED). A job that takes long (job.h).
 *
 *   save:1 check    that it can be saved
 *   save:2 file     made under another name; what the guest is, under which use of its disks
 *   save:3 stop     the guest
 *   save:4 stream   QEMU's memory to the file
 *   save:5 seal     the header; all of it on stable storage
 *   save:6 publish  the file gets its name: from here on it is the guest
 *   then the steps of an end (sequence.h)
 *
 * A failure before the end of step 6 leaves the guest as it was, and no file; in step 6, if it
 * is not known whether there is one, that file is stale. After step 6 a failure (TIMEOUT: QEMU
 * could not be reaped) is that of virDomainLockEnd, and the file is whole.
 */
gboolean virDomainLockSaveRun(virDomainLockObj *obj, const char *path, guint flags,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * virDomainLockRestoreRun: steps 4 to 11 of a guest that comes from a file; 1 to 3 are
 * virDomainLockStartPrepare's, with a spec that has "restore".
 *
 *   restore:4 leases    and the use of every disk is as the file says (STALE)
 *   restore:5 chains again
 *   restore:6 exec      QEMU, waiting for its memory; images are not opened for writing yet
 *   restore:7 audit
 *   restore:8 load      all but the last byte; the checksum is right
 *   restore:9 use       the records advance: from here on the file is stale
 *   restore:10 take     the last byte: QEMU takes over the images
 *   restore:11 cont     unless it is to stay paused
 *
 * A failure leaves the world as before; before step 9 also for the file.
 */
gboolean virDomainLockRestoreRun(virDomainLockObj *obj, const virLockWait *wait,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** Checks flags: CONFIG when RUNNING and PAUSED are both there, UNSUPPORTED for
 * one that is not @known. */
gboolean virSaveFlagsCheck(guint flags, guint known,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The use record of a lease as it is now; *@use NULL: never used. */
gboolean virSaveReadUse(virDomainLockObj *obj, const char *lease, virLockUse **use,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * virDomainLockSaveRecover: a save lost its supervisor in @step. Either the file is there, and
 * the guest is ended (*@saved), or it is not, and the guest goes on.
 * @details: what the save left in the journal
 */
gboolean virDomainLockSaveRecover(virDomainLockObj *obj, guint step, JsonObject *details,
                                  gboolean *saved,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The same for a restore: *@back: QEMU had taken over, and the guest is as it was asked for;
 * else it is ended, and was never run. */
gboolean virDomainLockRestoreRecover(virDomainLockObj *obj, guint step,
                                     JsonObject *details, gboolean *back,
                                     const virLockWait *wait,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- save_stream.c: the memory, between QEMU and a file ----------------------------------- */

/** Sends QEMU's memory, all of it at once, into *@writer. The guest is stopped. A failure has
 * the migration cancelled, and QEMU may go on; *@writer is NULL then if its storage hangs. */
gboolean virSaveStreamOut(virDomainLockObj *obj, virSaveWriter **writer,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** Whatever migration QEMU is in is cancelled; *@completed: it was over before that. */
gboolean virSaveStreamAbandon(virDomainLockObj *obj, gboolean *completed,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** A stream that is on its way into QEMU. */
typedef struct _virSaveLoad virSaveLoad;
/** Begins to load from @fd (taken). */
virSaveLoad *virSaveLoadNew(int fd, const virSaveImage *image,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;
void virSaveLoadFree(virSaveLoad *load);
/** Returns when QEMU has taken all but the last byte, and found nothing wrong with it, and the
 * checksum was right. */
gboolean virSaveLoadMost(virSaveLoad *load, virDomainLockObj *obj,
                         const virLockWait *wait,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The last byte; returns when QEMU has taken over. */
gboolean virSaveLoadRest(virSaveLoad *load, virDomainLockObj *obj,
                         const virLockWait *wait,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
