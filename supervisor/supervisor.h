/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor.h: the parts of one supervisor process, tied together.
 *
 * Everything here is in the main thread. What blocks is a job.
 */
#ifndef LEASEHOLD_SUPERVISOR_SUPERVISOR_H
#define LEASEHOLD_SUPERVISOR_SUPERVISOR_H

#include "domain_lock/sequence.h"
#include "supervisor/control.h"
#include "supervisor/deadline.h"
#include "supervisor/jobs.h"
#include "supervisor/owner.h"
#include "supervisor/starter.h"
#include "supervisor/watch.h"

typedef struct _virSupervisor virSupervisor;

/** @starter (transfer full): who asked for the guest, or NULL. */
virSupervisor *virSupervisorNew(virDomainLockObj *obj, virSupervisorStarter *starter);
void virSupervisorFree(virSupervisor *sup);
/** Opens the control socket, runs the start job and then serves the guest until it has ended
 * (TRUE), or this process is told to leave it alone by SIGTERM (FALSE). */
gboolean virSupervisorRun(virSupervisor *sup, const virDomainLockSpec *spec);

virDomainLockObj *virSupervisorGetObj(virSupervisor *sup);
struct _virSupervisorMigration *virSupervisorGetMigration(virSupervisor *sup);
/** A job of the control interface: waits VIR_SUPERVISOR_JOB_WAIT_MSEC for its turn. */
#define VIR_SUPERVISOR_JOB_WAIT_MSEC 10000
void virSupervisorAddJob(virSupervisor *sup, const char *name, virSupervisorJobFunc run,
                         virSupervisorJobDone done, gpointer data);
/** A job of our own, which waits as long as it takes. */
void virSupervisorAddJobOf(virSupervisor *sup, const virSupervisorJob *job);
/** The job that runs now, or NULL. */
const char *virSupervisorGetJobName(virSupervisor *sup);
/** Kills QEMU at once; a start that runs is cancelled. The end follows. */
gboolean virSupervisorDestroy(virSupervisor *sup, guint flags,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** A job that takes long is asked to undo itself, if there is one. */
void virSupervisorInterruptJob(virSupervisor *sup);
/** A start that runs comes to nothing. */
void virSupervisorCancelStart(virSupervisor *sup);
/** An end job waits, runs or is through. */
gboolean virSupervisorIsEnding(virSupervisor *sup);
/** The guest must go, in good order: an end job. */
void virSupervisorEnd(virSupervisor *sup);

/* --- supervisor_loss.c --- */

/** Watches the leases of the guest; before it gets them. */
virSupervisorWatch *virSupervisorWatchLeases(virSupervisor *sup,
                                             GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
