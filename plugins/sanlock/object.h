/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * object.h: one guest in the sanlock plugin.
 *
 * The plugin remembers nothing of what a guest holds: sanlock knows, and is asked. So a
 * plugin that was loaded a moment ago (attach) knows as much as one that took the leases. What
 * it keeps is where the leases are that it took last, for the use records to be advanced soon.
 */
#ifndef LEASEHOLD_SANLOCK_OBJECT_H
#define LEASEHOLD_SANLOCK_OBJECT_H

#include "plugins/sanlock/client.h"

typedef struct _virSanlockObject {
    virSanlockConfig *config;
    char *name;
    char *uuid;
    char *lossHelper;
    char *lossHelperArgs;
    pid_t pid;             /* 0: not yet known */
    gboolean storeChecked; /* the daemon has joined the store that is configured */
    gboolean marked;       /* its marker names the present daemon */
    virSanlockLeaseSet *taken; /* verified and held, use records not yet advanced, or NULL */

    GMutex renewalMutex; /* guards the following; see renewal.c */
    guint64 renewalTimestamp;
    gint64 renewalLastUsec;
    gint64 renewalOffsetUsec;
    gboolean renewalKnown;
    char lockspace[VIR_SANLOCK_NAME_SIZE]; /* of the store, when not configured */
} virSanlockObject;

gboolean virSanlockObjectNew(gpointer driverData, const virLockDriverObject *from,
                             guint flags, gpointer *objectData, GError **error);
void virSanlockObjectFree(gpointer objectData);
gboolean virSanlockObjectPrepareChild(gpointer objectData, GError **error);
int virSanlockObjectRegisterChild(gpointer objectData, int *inheritFd,
                                  const char **message);
gboolean virSanlockObjectSetPid(gpointer objectData, pid_t pid, GError **error);
gboolean virSanlockObjectInquire(gpointer objectData, GPtrArray **leases,
                                 const virLockWait *wait, GError **error);
/** STATE unless the pid is known. */
gboolean virSanlockObjectNeedPid(const virSanlockObject *object,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* acquire.c */
gboolean virSanlockObjectAcquire(gpointer objectData,
                                 virLockDriverResource *const *resources, gsize n,
                                 guint flags, const virLockWait *wait, GError **error);
gboolean virSanlockObjectReserve(gpointer objectData,
                                 virLockDriverResource *const *resources, gsize n,
                                 const virLockWait *wait, GError **error);
gboolean virSanlockObjectSettle(gpointer objectData,
                                virLockDriverResource *const *resources, gsize n,
                                const virLockWait *wait, GError **error);

/* release.c */
gboolean virSanlockObjectRelease(gpointer objectData,
                                 virLockDriverResource *const *resources, gsize n,
                                 const virLockWait *wait, GError **error);
gboolean virSanlockObjectUnreserve(gpointer objectData,
                                   virLockDriverResource *const *resources, gsize n,
                                   const virLockWait *wait, GError **error);
gboolean virSanlockObjectConvert(gpointer objectData, virLockDriverResource *resource,
                                 virLockMode mode, const virLockWait *wait,
                                 GError **error);

/* use.c */
gboolean virSanlockUseRead(gpointer driverData, const virLockDriverResource *resource,
                           guint maxHistory, GPtrArray **uses, const virLockWait *wait,
                           GError **error);
gboolean virSanlockObjectUseAdvance(gpointer objectData,
                                    virLockDriverResource *const *resources, gsize n,
                                    const virLockWait *wait, GError **error);

/* renewal.c */
gboolean virSanlockObjectWatchDaemon(gpointer objectData, int *fd, GError **error);
gboolean virSanlockObjectRenewal(gpointer objectData, virLockRenewal *renewal,
                                 const virLockWait *wait, GError **error);

#endif
