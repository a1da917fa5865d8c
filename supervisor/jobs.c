/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * jobs.c: one job at a time, as plain blocking code in a thread of its own, and a quick one
 * beside a long one.
 *
 * The end of a job is told to the main loop at a lower priority than what QEMU says, so that
 * the events that a command caused are handled before its caller gets the answer.
 */
#include "supervisor/jobs.h"

/* Of those that may wait only so long: more are BUSY at once. */
#define JOBS_WAITING_MAX 64

typedef struct {
    virSupervisorJobs *jobs;
    virSupervisorJob job;
    guint timer; /* while it waits */
    GThread *thread;
    GError *error;
} virJobEntry;

struct _virSupervisorJobs {
    virJobEntry *current;
    virJobEntry *beside; /* a QUICK one, while current is LONG */
    GQueue waiting;      /* virJobEntry */
    virSupervisorJobsText text;
    gpointer textData;
    void (*idle)(gpointer data);
    gpointer idleData;
    gboolean closed;
};

static void virJobsNext(virSupervisorJobs *jobs);

static void
virJobFree(virJobEntry *entry)
{
    if (entry->timer)
        g_source_remove(entry->timer);
    g_clear_error(&entry->error);
    g_free(entry);
}

virSupervisorJobs *
virSupervisorJobsNew(void (*idle)(gpointer data), gpointer idleData)
{
    virSupervisorJobs *jobs = g_new0(virSupervisorJobs, 1);

    jobs->idle = idle;
    jobs->idleData = idleData;
    g_queue_init(&jobs->waiting);
    return jobs;
}

static void
virJobTurnAway(const virSupervisorJob *job)
{
    g_autoptr(GError) error =
        g_error_new_literal(VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED,
                            "the guest has ended, or its supervisor does; ask again");

    job->done(error, job->data);
}

void
virSupervisorJobsClose(virSupervisorJobs *jobs)
{
    virJobEntry *entry = NULL;

    jobs->closed = TRUE;
    while ((entry = g_queue_pop_head(&jobs->waiting))) {
        virJobTurnAway(&entry->job);
        virJobFree(entry);
    }
}

void
virSupervisorJobsLeave(virSupervisorJobs *jobs)
{
    virSupervisorJobsClose(jobs);
    while (jobs->current || jobs->beside)
        (void)g_main_context_iteration(NULL, TRUE);
}

void
virSupervisorJobsFree(virSupervisorJobs *jobs)
{
    virSupervisorJobsClose(jobs);
    g_assert(!jobs->current && !jobs->beside);
    g_free(jobs);
}

const char *
virSupervisorJobsCurrent(virSupervisorJobs *jobs)
{
    const virJobEntry *entry = jobs->current ? jobs->current : jobs->beside;

    return entry ? entry->job.name : NULL;
}

void
virSupervisorJobsDescribe(virSupervisorJobs *jobs, virSupervisorJobsText text,
                          gpointer data)
{
    jobs->text = text;
    jobs->textData = data;
}

static gboolean
virJobEnded(gpointer data)
{
    virJobEntry *entry = data;
    virSupervisorJobs *jobs = entry->jobs;

    g_thread_join(entry->thread);
    if (jobs->beside == entry)
        jobs->beside = NULL;
    else
        jobs->current = NULL;
    entry->job.done(entry->error, entry->job.data);
    virJobFree(entry);
    virJobsNext(jobs);
    if (!jobs->current && !jobs->beside)
        jobs->idle(jobs->idleData);
    return G_SOURCE_REMOVE;
}

static gpointer
virJobThread(gpointer data)
{
    virJobEntry *entry = data;

    if (!entry->job.run(entry->job.data, &entry->error) && !entry->error)
        g_set_error(&entry->error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                    "%s failed without a reason", entry->job.name);
    g_idle_add_full(G_PRIORITY_DEFAULT_IDLE, virJobEnded, entry, NULL);
    return NULL;
}

/* The next one that may run now, or NULL. What changes leases waits for whatever runs. */
static virJobEntry *
virJobsPick(virSupervisorJobs *jobs)
{
    if (!jobs->current)
        return jobs->beside ? NULL : g_queue_pop_head(&jobs->waiting);
    if (jobs->beside || !(jobs->current->job.flags & VIR_SUPERVISOR_JOB_LONG))
        return NULL;
    for (GList *item = jobs->waiting.head; item; item = item->next) {
        virJobEntry *entry = item->data;

        if (entry->job.flags & VIR_SUPERVISOR_JOB_QUICK) {
            g_queue_delete_link(&jobs->waiting, item);
            return entry;
        }
    }
    return NULL;
}

static void
virJobsNext(virSupervisorJobs *jobs)
{
    virJobEntry *entry = NULL;

    while ((entry = virJobsPick(jobs))) {
        if (entry->timer)
            g_source_remove(entry->timer);
        entry->timer = 0;
        if (jobs->current)
            jobs->beside = entry;
        else
            jobs->current = entry;
        entry->thread = g_thread_new("job", virJobThread, entry);
    }
}

static void
virJobRefuse(virSupervisorJobs *jobs, const virSupervisorJob *job)
{
    g_autofree char *text = jobs->text ? jobs->text(jobs->textData) : NULL;
    g_autoptr(GError) error =
        g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY, "the guest is busy: %s%s",
                    text ? text : virSupervisorJobsCurrent(jobs),
                    text ? "; 'leasehold job' shows and cancels it" : "");

    job->done(error, job->data);
}

static gboolean
virJobWaitedEnough(gpointer data)
{
    virJobEntry *entry = data;

    entry->timer = 0;
    g_queue_remove(&entry->jobs->waiting, entry);
    virJobRefuse(entry->jobs, &entry->job);
    virJobFree(entry);
    return G_SOURCE_REMOVE;
}

void
virSupervisorJobsAdd(virSupervisorJobs *jobs, const virSupervisorJob *job)
{
    virJobEntry *entry = NULL;

    if (jobs->closed) {
        virJobTurnAway(job);
        return;
    }
    if (job->waitMsec > 0 && g_queue_get_length(&jobs->waiting) >= JOBS_WAITING_MAX) {
        virJobRefuse(jobs, job);
        return;
    }
    entry = g_new0(virJobEntry, 1);
    entry->jobs = jobs;
    entry->job = *job;
    g_queue_push_tail(&jobs->waiting, entry);
    if (job->waitMsec > 0)
        entry->timer = g_timeout_add(job->waitMsec, virJobWaitedEnough, entry);
    virJobsNext(jobs);
    if ((job->flags & VIR_SUPERVISOR_JOB_NOW) && g_queue_find(&jobs->waiting, entry)) {
        g_clear_handle_id(&entry->timer, g_source_remove);
        virJobWaitedEnough(entry);
    }
}
