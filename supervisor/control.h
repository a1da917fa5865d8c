/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control.h: the control interface io.leasehold.Guest1 on the guest's socket.
 *
 * Peer-to-peer D-Bus. Only root and our own user get as far as D-Bus; a client that does not
 * authenticate, read or go away costs one of a bounded number of connections and nothing
 * else. Nothing of GDBus is initialised before the first client comes.
 */
#ifndef LEASEHOLD_SUPERVISOR_CONTROL_H
#define LEASEHOLD_SUPERVISOR_CONTROL_H

#include "domain_lock/object.h"
#include <leasehold/domain_lock.h>

struct _virSupervisor;
typedef struct _virSupervisorControl virSupervisorControl;

/** Listens on @path (mode 0600). */
virSupervisorControl *virSupervisorControlNew(struct _virSupervisor *sup,
                                              const char *path,
                                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
void virSupervisorControlFree(virSupervisorControl *control);
/** An event (or NULL), and what has changed with it, for every client. */
void virSupervisorControlTell(virSupervisorControl *control,
                              const virDomainLockEvent *event,
                              const virDomainLockInfo *info);
/** The guest is gone: answers all who wait for that, and calls @done when they have it (or
 * after a second). */
void virSupervisorControlFinish(virSupervisorControl *control,
                                void (*done)(gpointer data), gpointer data);
/** A shutdown came to nothing: those who blocked for it are told why. */
void virSupervisorControlShutdownOver(virSupervisorControl *control, const GError *why);
/** QEMU let go of @device, and it is detached, or not (@error): answers who waits for it. */
void virSupervisorControlUnplugged(virSupervisorControl *control, const char *device,
                                   const GError *error);

/* --- control_methods.c --- */

typedef enum {
    VIR_CONTROL_WAIT_GONE,              /* Destroy */
    VIR_CONTROL_WAIT_GONE_OR_WITHDRAWN, /* Shutdown with BLOCK */
    VIR_CONTROL_WAIT_UNPLUGGED          /* DetachDisk */
} virSupervisorControlWait;
/** Answers @invocation when the guest is gone; TIMEOUT after @timeoutSec (0: never). */
void virSupervisorControlAwait(virSupervisorControl *control,
                               GDBusMethodInvocation *invocation,
                               virSupervisorControlWait what, guint timeoutSec);
/** Answers @invocation when @device is detached; TIMEOUT after @timeoutSec. */
void virSupervisorControlAwaitUnplug(virSupervisorControl *control,
                                     GDBusMethodInvocation *invocation,
                                     const char *device, const char *target,
                                     guint timeoutSec);
struct _virSupervisor *virSupervisorControlGetSupervisor(virSupervisorControl *control);
/** Takes @invocation. */
void virSupervisorControlCall(virSupervisorControl *control, const char *method,
                              GVariant *parameters, GDBusMethodInvocation *invocation);
/** Takes @invocation. */
void virSupervisorControlFail(GDBusMethodInvocation *invocation, const GError *error);

/* --- control_power.c: these take @invocation --- */

void virSupervisorControlReboot(virSupervisorControl *control, GVariant *parameters,
                                GDBusMethodInvocation *invocation);
void virSupervisorControlSetPowerState(virSupervisorControl *control,
                                       GVariant *parameters,
                                       GDBusMethodInvocation *invocation);
void virSupervisorControlGetPowerState(virSupervisorControl *control,
                                       GVariant *parameters,
                                       GDBusMethodInvocation *invocation);

/* --- control_disks.c: these take @invocation --- */

void virSupervisorControlAttachDisk(virSupervisorControl *control, GVariant *parameters,
                                    GDBusMethodInvocation *invocation);
void virSupervisorControlDetachDisk(virSupervisorControl *control, GVariant *parameters,
                                    GDBusMethodInvocation *invocation);
void virSupervisorControlChangeMedia(virSupervisorControl *control, GVariant *parameters,
                                     GDBusMethodInvocation *invocation);
void virSupervisorControlAttachLease(virSupervisorControl *control, GVariant *parameters,
                                     GDBusMethodInvocation *invocation);
void virSupervisorControlDetachLease(virSupervisorControl *control, GVariant *parameters,
                                     GDBusMethodInvocation *invocation);
/** QEMU says DEVICE_DELETED. */
void virSupervisorControlDeviceDeleted(virSupervisorControl *control, const char *device);

/** The job that takes long and runs now was asked for by @invocation; NULL: none. From the
 * job's thread; the invocation is answered after it was set back to NULL. */
void virSupervisorControlSetJobOwner(virSupervisorControl *control,
                                     GDBusMethodInvocation *invocation);
gboolean virSupervisorControlOwnsJob(virSupervisorControl *control,
                                     GDBusConnection *client);

/* --- control_save.c: these take @invocation --- */

void virSupervisorControlSave(virSupervisorControl *control, GVariant *parameters,
                              GDBusMethodInvocation *invocation);
void virSupervisorControlManagedSave(virSupervisorControl *control, GVariant *parameters,
                                     GDBusMethodInvocation *invocation);

/* --- control_jobs.c --- */

/** A method that becomes a job that takes long (domain_lock/job.h). */
typedef struct _virSupervisorLongJob {
    const char *name; /* static string for people */
    gboolean (*run)(virDomainLockObj *obj, gpointer data, GError **error);
    GDestroyNotify free; /* of @data */
    gpointer data;
    /** Main thread, after a success and before the answer; may be NULL. */
    void (*after)(struct _virSupervisor *sup);
} virSupervisorLongJob;
/** Runs @job when its turn comes, and answers @invocation (taken) with nothing or the error. */
void virSupervisorControlLong(virSupervisorControl *control, const virSupervisorLongJob *job,
                              GDBusMethodInvocation *invocation);
/** Takes @invocation. */
void virSupervisorControlJobCancel(virSupervisorControl *control, GVariant *parameters,
                                   GDBusMethodInvocation *invocation);

/* --- control_blocks.c: these take @invocation --- */

void virSupervisorControlSnapshotDisk(virSupervisorControl *control, GVariant *parameters,
                                      GDBusMethodInvocation *invocation);
void virSupervisorControlBlockCommit(virSupervisorControl *control, GVariant *parameters,
                                     GDBusMethodInvocation *invocation);
void virSupervisorControlBlockPull(virSupervisorControl *control, GVariant *parameters,
                                   GDBusMethodInvocation *invocation);
void virSupervisorControlBlockCopy(virSupervisorControl *control, GVariant *parameters,
                                   GDBusMethodInvocation *invocation);

/* --- control_snapshots.c: these take @invocation --- */

void virSupervisorControlSnapshotCreate(virSupervisorControl *control, GVariant *parameters,
                                        GDBusMethodInvocation *invocation);
void virSupervisorControlSnapshotList(virSupervisorControl *control, GVariant *parameters,
                                      GDBusMethodInvocation *invocation);
void virSupervisorControlSnapshotRevert(virSupervisorControl *control, GVariant *parameters,
                                        GDBusMethodInvocation *invocation);
void virSupervisorControlSnapshotDelete(virSupervisorControl *control, GVariant *parameters,
                                        GDBusMethodInvocation *invocation);

/* --- control_migrate.c: takes @invocation --- */

void virSupervisorControlMigrate(virSupervisorControl *control, GVariant *parameters,
                                 GDBusMethodInvocation *invocation);

#endif
