/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client.h: the inside of a virDomainLock handle.
 *
 * What is asked often (list, lookup, wait, events) is answered from the files that supervisors
 * publish and from what the kernel knows of locks and processes, without waking anybody; what
 * changes a guest goes over its control socket.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_CLIENT_H
#define LEASEHOLD_DOMAIN_LOCK_CLIENT_H

#include "domain_lock/runtime.h"
#include "domain_lock/spec.h"

struct _virDomainLock {
    gatomicrefcount refs; /* all that follows never changes */
    virLockConfig *config;
    char *name;
    char *uuid;
    virDomainLockInfo *startInfo;  /* of a handle that a start returned */
    virDomainLockInfo *lookupInfo; /* of one that a lookup returned */
};

virDomainLock *virDomainLockNew(virLockConfig *config, const char *name,
                                const char *uuid);
/** run_dir/guests/<uuid>; free with g_free. */
char *virDomainLockDir(virDomainLock *dom);

/**
 * virDomainLockReadInfo: the guest of this uuid from its files. A guest whose supervisor is
 * gone is UNSUPERVISED while its QEMU lives and SHUTOFF (UNKNOWN) after that. NULL when
 * nothing is known here.
 */
virDomainLockInfo *virDomainLockReadInfo(virLockConfig *config, const char *uuid);

/** The guest's name as far as it is seen before anybody has looked closer: what ps shows. */
char *virDomainLockSpecLabel(const virDomainLockSpec *spec);

/**
 * virDomainLockSpareSpawn: as virDomainLockSpareNew.
 * @channel: of a guest that comes from another host: two descriptors that it inherits; else NULL
 *
 * That it could not be executed is said by virDomainLockSpareAwait.
 */
virDomainLockSpare *virDomainLockSpareSpawn(const int *channel,
                                            GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean virDomainLockSpareAwait(virDomainLockSpare *spare,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Where it listens; closed with @spare. */
int virDomainLockSpareGetSocket(virDomainLockSpare *spare);
/** Before it is told anything. */
gboolean virDomainLockSpareIsGone(virDomainLockSpare *spare);

/** As virDomainLockCreateXML; path of the configuration and bounds in @spec are set here. */
virDomainLock *virDomainLockCreateSpec(virLockConfig *config, virDomainLockSpec *spec,
                                       const virLockWait *wait,
                                       GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** The same, but from the guest's managed save if it has one. */
virDomainLock *virDomainLockCreateOrResume(virLockConfig *config, virDomainLockSpec *spec,
                                           const virLockWait *wait,
                                           GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** A connection to the supervisor, its handshake done, or -1. */
int virDomainLockOpen(virDomainLock *dom, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The same, after virDomainLockAttachIfOrphan. */
int virDomainLockOpenAttached(virDomainLock *dom,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** As virDomainLockOpen, for whoever listens to signals, or calls more than once; or NULL. */
GDBusConnection *virDomainLockConnect(virDomainLock *dom,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The folder has a holder, and its state still names a supervisor that is dead: a thread of
 * that has not ended yet, or a new one has not opened its socket yet. */
gboolean virDomainLockChangesHands(const char *dir);
/** Takes up the guest if it is UNSUPERVISED; TRUE if it has a supervisor afterwards, of ours
 * or of somebody who was quicker. */
gboolean virDomainLockAttachIfOrphan(virDomainLock *dom,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** One method of io.leasehold.Guest1; @parameters may be floating or NULL. */
gboolean virDomainLockCall(virDomainLock *dom, const char *method, GVariant *parameters,
                           gint timeoutMsec, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/**
 * virDomainLockCallJob: a method that becomes a job that takes long.
 * @wait: progress; its deadline and its cancellable ask for the job to be cancelled, and the
 *   call returns when the job has ended: CANCELLED, TIMEOUT, or TRUE if it was too late.
 *   NULL: for as long as it takes
 */
gboolean virDomainLockCallJob(virDomainLock *dom, const char *method,
                              GVariant *parameters, const virLockWait *wait,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Told once, when the job that is called @job was seen to have begun. */
typedef struct _virDomainLockBegun {
    const char *job;
    void (*func)(gpointer data);
    gpointer data;
} virDomainLockBegun;
gboolean virDomainLockCallJobBegun(virDomainLock *dom, const char *method,
                                   GVariant *parameters, const virDomainLockBegun *begun,
                                   const virLockWait *wait,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Properties of the guest, or NULL. */
virDomainLockInfo *virDomainLockCallInfo(virDomainLock *dom,
                                         GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** The only call on a connection of virDomainLockOpen; @parameters as for virDomainLockCall. */
GVariant *virDomainLockCallOn(int fd, const char *interface, const char *method,
                              GVariant *parameters, gint timeoutMsec,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** @interface: the one that has @method. */
GVariant *virDomainLockCallReply(virDomainLock *dom, const char *interface,
                                 const char *method, GVariant *parameters,
                                 gint timeoutMsec,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** What the guest's supervisor, or the last one, has kept; NULL: nothing. */
char *virDomainLockReadDescription(virDomainLock *dom);

#endif
