/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * jobs.h: one job at a time, as plain blocking code in a thread of its own. Beside a LONG one,
 * and only there, a QUICK one may run, again one at a time.
 *
 * All calls and callbacks are in the main thread, only the job itself is not. A thread lives
 * as long as its job, so that an idle supervisor has none.
 */
#ifndef LEASEHOLD_SUPERVISOR_JOBS_H
#define LEASEHOLD_SUPERVISOR_JOBS_H

#include <leasehold/lock_types.h>

typedef struct _virSupervisorJobs virSupervisorJobs;

typedef gboolean (*virSupervisorJobFunc)(gpointer data, GError **error);
/** @error: NULL on success. Owns what the job left in @data. */
typedef void (*virSupervisorJobDone)(const GError *error, gpointer data);

typedef enum {
    VIR_SUPERVISOR_JOB_LONG =
        1 << 0, /* minutes: it publishes itself by domain_lock/job.h */
    VIR_SUPERVISOR_JOB_QUICK =
        1 << 1, /* changes neither leases nor the description, and is
                 * between BesideBegin and BesideEnd */
    VIR_SUPERVISOR_JOB_NOW = 1 << 2, /* BUSY if it cannot run at once */
} virSupervisorJobFlags;

typedef struct _virSupervisorJob {
    const char *name; /* static string for people: "suspending" */
    virSupervisorJobFunc run;
    virSupervisorJobDone done;
    gpointer data;
    guint waitMsec; /* how long it may wait for its turn before done gets BUSY;
                     * 0: as long as it takes */
    guint flags;    /* virSupervisorJobFlags */
} virSupervisorJob;

/** @idle is called whenever the last job is done. */
virSupervisorJobs *virSupervisorJobsNew(void (*idle)(gpointer data), gpointer idleData);
/** Nothing begins any more: jobs that wait, and all that come, are done with CANCELLED at once.
 * One that runs goes on. */
void virSupervisorJobsClose(virSupervisorJobs *jobs);
/** Closes, and returns when none runs any more; the main loop turns meanwhile. */
void virSupervisorJobsLeave(virSupervisorJobs *jobs);
/** Not while a job runs. */
void virSupervisorJobsFree(virSupervisorJobs *jobs);
/** Runs the job now, or when those before it are done. */
void virSupervisorJobsAdd(virSupervisorJobs *jobs, const virSupervisorJob *job);
/** The job that runs, or NULL. */
const char *virSupervisorJobsCurrent(virSupervisorJobs *jobs);
/** How a job that runs is called in the message of BUSY; NULL: by its name. g_free. */
typedef char *(*virSupervisorJobsText)(gpointer data);
void virSupervisorJobsDescribe(virSupervisorJobs *jobs, virSupervisorJobsText text,
                               gpointer data);

#endif
