/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * job.h: the job of a guest that takes long: what it is called, how far it is, who may cancel
 * it, and what may be done with the guest beside it.
 *
 *   virDomainLockJobBegin (obj, "copying a disk", "vda", 0)         worker
 *   loop:  virDomainLockJobProgress (obj, done, total)              worker
 *          waits take virDomainLockJobCancellable (obj)             worker
 *   virDomainLockJobSeal (obj, &error)   no way back from here      worker
 *   virDomainLockJobEnd (obj)            after all is undone, too   worker
 *
 * Cancelling is a request: the cancellable fires, the sequence undoes what it did and fails
 * with CANCELLED. Each guest has at most one such job, because the worker has one job at a
 * time (supervisor/jobs.h; the job has the flag LONG there). Quick commands (suspend, resume,
 * reset, a shutdown request) run beside it in a thread of their own, but not while the job is
 * sealed or began ALONE: they wait then, bounded, and are BUSY after that.
 *
 * What is published (virDomainLockInfo, state.json, the control interface): job, jobDetail,
 * jobStartedUsec, jobDone, jobTotal.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_JOB_H
#define LEASEHOLD_DOMAIN_LOCK_JOB_H

#include "object.h"

typedef enum {
    /** nothing may resume, suspend or reset the guest while the job runs (save) */
    VIR_DOMAIN_LOCK_JOB_ALONE = 1 << 0,
} virDomainLockJobFlags;

/**
 * virDomainLockJobBegin:
 * @name: for people: "copying a disk"
 * @detail: what it is about: "vda", a host's name; or NULL
 * @flags: virDomainLockJobFlags
 */
void virDomainLockJobBegin(virDomainLockObj *obj, const char *name, const char *detail,
                           guint flags);
/** Bytes; @total 0: not known yet. May be called as often as one likes: clients hear of it
 * twice a second. */
void virDomainLockJobProgress(virDomainLockObj *obj, gint64 done, gint64 total);
/** Fires when somebody cancels the job, or the guest has to end. Valid until JobEnd; NULL when
 * there is no job. */
GCancellable *virDomainLockJobCancellable(virDomainLockObj *obj);
/** From here on the job cannot be cancelled, and nothing runs beside it: waits for quick
 * commands that are under way. CANCELLED: somebody was faster. */
gboolean virDomainLockJobSeal(virDomainLockObj *obj,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** From here on nothing runs beside it, as if it had begun ALONE; it may be cancelled still, or
 * have been: for undoing it. */
void virDomainLockJobAlone(virDomainLockObj *obj);
void virDomainLockJobEnd(virDomainLockObj *obj);

/** Any thread: asks the job to end. STATE: there is none, or it is too late. */
gboolean virDomainLockJobAsk(virDomainLockObj *obj,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** Around a quick command, in its thread. BUSY: the job that runs permits none, and did not
 * end or go on within some seconds. */
gboolean virDomainLockBesideBegin(virDomainLockObj *obj,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
void virDomainLockBesideEnd(virDomainLockObj *obj);

/** "copying a disk (vda, 42 %)", or NULL; g_free. */
char *virDomainLockJobText(virDomainLockObj *obj);

#endif
