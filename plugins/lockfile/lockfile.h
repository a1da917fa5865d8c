/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lockfile.h: the inside of the lockfile plugin.
 *
 * A lease is a file in one directory, and two bytes of it that are locked with locks of the
 * open file description (OFD): byte 0 is the lease, byte 1 its bridge. The description is
 * passed to the child, so that the lock lives as long as the child's file table; we keep a
 * descriptor of the same description to unlock or convert it. The file's bytes are the use
 * records: a ring (common/use_record.h) and behind it one sector with the base that is added
 * to its epochs. Files are never removed.
 */
#ifndef LEASEHOLD_PLUGINS_LOCKFILE_LOCKFILE_H
#define LEASEHOLD_PLUGINS_LOCKFILE_LOCKFILE_H

#include "common/use_record.h"

#include <leasehold/lock_driver.h>
#include <sys/stat.h>

#define VIR_LOCKFILE_BYTE_LEASE 0
#define VIR_LOCKFILE_BYTE_BRIDGE 1

#define VIR_LOCKFILE_SECTOR 512
#define VIR_LOCKFILE_RING_BYTES (VIR_USE_RING_SECTORS * VIR_LOCKFILE_SECTOR)
#define VIR_LOCKFILE_BYTES (VIR_LOCKFILE_RING_BYTES + VIR_LOCKFILE_SECTOR)

/** The plugin's data; does not change after init. */
typedef struct _virLockfile {
    char *dir;
    char *hostName;
    gboolean unsafeNetwork;
} virLockfile;

/** One lease file that this object has open with at least one lock on it. */
typedef struct _virLockfileHeld {
    char *file; /* name in the directory */
    int fd;
    virLockMode mode; /* of the lease; NONE: only the bridge is held */
    gboolean bridge;
    gboolean passed; /* the child has the description */
} virLockfileHeld;

typedef struct _virLockfileObject {
    virLockfile *plugin;
    char *name;
    char *uuid;
    pid_t pid;
    guint64 startTime; /* of pid, so that a recycled pid is not taken for it */
    virLockFdPassFunc passFd;
    gpointer passFdData;
    gboolean adopt;   /* NEW_ATTACH: the child's descriptions are still to be fetched */
    GHashTable *held; /* file -> virLockfileHeld */
} virLockfileObject;

/* --- file.c: the directory and the files in it ------------------------------------------- */

/** Makes the directory if need be and checks that locks in it can be trusted. -1: error. */
int virLockfileOpenDir(const virLockfile *plugin,
                       GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** "name" or "lockspace@name". */
char *virLockfileName(const virLockDriverResource *resource);
/** The reverse; *lockspace is NULL without one. Both are to be freed. */
void virLockfileSplitName(const char *file, char **lockspace, char **name);
/** The lease file, made if need be, safe to lock and to write. -1: error. */
int virLockfileOpen(const virLockfile *plugin, int dirFd, const char *file,
                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** For asking only; FALSE with *fd == -1 and no error: there is no such file. */
gboolean virLockfileOpenReadOnly(const virLockfile *plugin, const char *file, int *fd,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The name still leads to the file that is open. */
gboolean virLockfileIsCurrent(int dirFd, const char *file, int fd);
/** Is a file system of this statfs type shared by hosts that may lose each other? */
gboolean virLockfileIsNetwork(gint64 fsType);

/* --- record.c: use records ---------------------------------------------------------------- */

gboolean virLockfileReadRing(int fd, const char *lease, virUseRing *ring, guint64 *base,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** ring->epoch with its base: what callers see; 0: never used. */
guint64 virLockfileEpoch(const virUseRing *ring, guint64 base);
gboolean virLockfileReadEpoch(int fd, virLockDriverResource *resource,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean virLockfileUseRead(gpointer driverData, const virLockDriverResource *resource,
                            guint maxHistory, GPtrArray **uses, const virLockWait *wait,
                            GError **error);
gboolean virLockfileUseAdvance(gpointer objectData,
                               virLockDriverResource *const *resources, gsize n,
                               const virLockWait *wait, GError **error);

/* --- lock.c: taking and giving -------------------------------------------------------------- */

void virLockfileHeldFree(virLockfileHeld *held);
virLockfileHeld *virLockfileFindHeld(virLockfileObject *object,
                                     const virLockDriverResource *resource);
gboolean virLockfileAcquire(gpointer objectData, virLockDriverResource *const *resources,
                            gsize n, guint flags, const virLockWait *wait,
                            GError **error);
gboolean virLockfileRelease(gpointer objectData, virLockDriverResource *const *resources,
                            gsize n, const virLockWait *wait, GError **error);
gboolean virLockfileConvert(gpointer objectData, virLockDriverResource *resource,
                            virLockMode mode, const virLockWait *wait, GError **error);
gboolean virLockfileReserve(gpointer objectData, virLockDriverResource *const *resources,
                            gsize n, const virLockWait *wait, GError **error);
gboolean virLockfileUnreserve(gpointer objectData,
                              virLockDriverResource *const *resources, gsize n,
                              const virLockWait *wait, GError **error);
gboolean virLockfileSettle(gpointer objectData, virLockDriverResource *const *resources,
                           gsize n, const virLockWait *wait, GError **error);

/* --- process.c: locks as /proc shows them ------------------------------------------------- */

/** One descriptor with one of our locks on it. */
typedef struct _virLockfileSeen {
    pid_t pid;
    pid_t parent;
    int fd;
    dev_t dev;
    ino_t ino;
    char *target; /* path of the file as /proc shows it */
    gboolean byte[2];
    gboolean write[2];
} virLockfileSeen;

guint64 virLockfileStartTime(pid_t pid);
/** Descriptors of @pid with OFD locks on byte 0 or 1; if @file is given only of this file.
 * Elements virLockfileSeen. A process that is gone has none; UNAVAILABLE if it lives and can
 * not be looked at. */
gboolean virLockfileScanProcess(pid_t pid, const struct stat *file, GPtrArray *seen,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The same for every process that can be looked at. */
GPtrArray *virLockfileScanAll(const struct stat *file);
gboolean virLockfileInquire(gpointer objectData, GPtrArray **leases,
                            const virLockWait *wait, GError **error);
/** Fetches the child's descriptions after a re-attach. */
gboolean virLockfileAdopt(virLockfileObject *object,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- owner.c: who holds it ---------------------------------------------------------------- */

GPtrArray *virLockfileOwners(const virLockfile *plugin,
                             const virLockDriverResource *resource, int fd);
gboolean virLockfileQueryOwner(gpointer driverData, const virLockDriverResource *resource,
                               GPtrArray **owners, const virLockWait *wait,
                               GError **error);
/** BUSY: @resource is held by the first of @owners who has @hold. */
void virLockfileSetBusy(GError **error, const virLockDriverResource *resource,
                        virLockHold hold, GPtrArray *owners);

#endif
