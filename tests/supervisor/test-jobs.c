/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-jobs.c: which job runs when (supervisor/jobs.h), and what may be done to one that takes
 * long (domain_lock/job.h).
 */
#include "domain_lock/job.h"
#include "supervisor/jobs.h"
#include "tests/lib/vir_test.h"

typedef struct {
    GMainLoop *loop;
    virSupervisorJobs *jobs;
    GMutex lock;
    GCond changed;
    gboolean released; /* the gated job may end */
    GString *order;    /* letters of jobs as they end */
    guint idle;
} Bench;

typedef struct {
    Bench *bench;
    char letter;
    gboolean gated;
    GError *error;
} Work;

static gboolean
workRun(gpointer data, GError **error)
{
    Work *work = data;
    Bench *bench = work->bench;

    g_mutex_lock(&bench->lock);
    while (work->gated && !bench->released)
        g_cond_wait(&bench->changed, &bench->lock);
    g_mutex_unlock(&bench->lock);
    return TRUE;
}

static void
workDone(const GError *error, gpointer data)
{
    Work *work = data;

    g_string_append_c(work->bench->order, work->letter);
    if (error)
        work->error = g_error_copy(error);
}

static void
release(Bench *bench)
{
    g_mutex_lock(&bench->lock);
    bench->released = TRUE;
    g_cond_broadcast(&bench->changed);
    g_mutex_unlock(&bench->lock);
}

static void
onIdle(gpointer data)
{
    ((Bench *)data)->idle++;
}

static Bench *
benchNew(void)
{
    Bench *bench = g_new0(Bench, 1);

    bench->order = g_string_new(NULL);
    bench->jobs = virSupervisorJobsNew(onIdle, bench);
    return bench;
}

static void
benchFree(Bench *bench)
{
    virSupervisorJobsFree(bench->jobs);
    g_string_free(bench->order, TRUE);
    g_free(bench);
}

static void
add(Bench *bench, Work *work, guint flags, guint waitMsec)
{
    virSupervisorJob job = {.name = "working",
                            .run = workRun,
                            .done = workDone,
                            .data = work,
                            .waitMsec = waitMsec,
                            .flags = flags};

    work->bench = bench;
    virSupervisorJobsAdd(bench->jobs, &job);
}

static void
spinUntil(Bench *bench, const char *order)
{
    gint64 deadline = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;

    while (strcmp(bench->order->str, order) != 0 && g_get_monotonic_time() < deadline) {
        (void)g_main_context_iteration(NULL, FALSE);
        g_thread_yield();
    }
    g_assert_cmpstr(bench->order->str, ==, order);
}

static void
testQuickRunsBesideLong(void)
{
    Bench *bench = benchNew();
    Work jobLong = {.letter = 'L', .gated = TRUE}, other = {.letter = 'o'},
         quick = {.letter = 'q'};

    add(bench, &jobLong, VIR_SUPERVISOR_JOB_LONG, 0);
    add(bench, &other, 0, 0);
    add(bench, &quick, VIR_SUPERVISOR_JOB_QUICK, 0);

    spinUntil(bench, "q");
    g_assert_cmpuint(bench->idle, ==, 0);

    release(bench);
    spinUntil(bench, "qLo");
    g_assert_cmpuint(bench->idle, ==, 1);
    benchFree(bench);
}

static void
testQuickWaitsForOther(void)
{
    Bench *bench = benchNew();
    Work other = {.letter = 'o', .gated = TRUE}, quick = {.letter = 'q'};

    add(bench, &other, 0, 0);
    add(bench, &quick, VIR_SUPERVISOR_JOB_QUICK, 0);
    for (int i = 0; i < 1000; i++)
        (void)g_main_context_iteration(NULL, FALSE);
    g_assert_cmpstr(bench->order->str, ==, "");

    release(bench);
    spinUntil(bench, "oq");
    benchFree(bench);
}

/* A quick job outlives the long one: what changes leases must not begin before it ends. */
static void
testNothingBeginsBesideQuick(void)
{
    Bench *bench = benchNew();
    Work jobLong = {.letter = 'L'}, quick = {.letter = 'q', .gated = TRUE},
         other = {.letter = 'o'};

    add(bench, &jobLong, VIR_SUPERVISOR_JOB_LONG, 0);
    add(bench, &quick, VIR_SUPERVISOR_JOB_QUICK, 0);
    add(bench, &other, 0, 0);
    spinUntil(bench, "L");
    for (int i = 0; i < 1000; i++)
        (void)g_main_context_iteration(NULL, FALSE);
    g_assert_cmpstr(bench->order->str, ==, "L");

    release(bench);
    spinUntil(bench, "Lqo");
    benchFree(bench);
}

static char *
describe(gpointer data)
{
    return g_strdup("copying a disk (vda, 42 %)");
}

static void
testBusyNamesTheJob(void)
{
    Bench *bench = benchNew();
    Work jobLong = {.letter = 'L', .gated = TRUE}, other = {.letter = 'o'};

    virSupervisorJobsDescribe(bench->jobs, describe, NULL);
    add(bench, &jobLong, VIR_SUPERVISOR_JOB_LONG, 0);
    add(bench, &other, 0, 50);

    spinUntil(bench, "o");
    g_assert_error(other.error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY);
    g_assert_nonnull(strstr(other.error->message, "copying a disk (vda, 42 %)"));

    release(bench);
    spinUntil(bench, "oL");
    g_clear_error(&other.error);
    benchFree(bench);
}

/* The supervisor ends: nothing that waits begins, nothing that comes does. */
static void
testClosedBeginsNothing(void)
{
    Bench *bench = benchNew();
    Work jobLong = {.letter = 'L', .gated = TRUE}, other = {.letter = 'o'},
         quick = {.letter = 'q'};

    add(bench, &jobLong, VIR_SUPERVISOR_JOB_LONG, 0);
    add(bench, &other, 0, 60000);
    virSupervisorJobsClose(bench->jobs);
    g_assert_error(other.error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED);
    add(bench, &quick, VIR_SUPERVISOR_JOB_QUICK, 0);
    g_assert_error(quick.error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED);

    release(bench);
    spinUntil(bench, "oqL");
    g_assert_no_error(jobLong.error);
    g_clear_error(&other.error);
    g_clear_error(&quick.error);
    benchFree(bench);
}

static gpointer
releaseThread(gpointer data)
{
    g_usleep(20000);
    release(data);
    return NULL;
}

/* A quick one that runs when the supervisor ends is waited for. */
static void
testLeftByTheLast(void)
{
    Bench *bench = benchNew();
    Work jobLong = {.letter = 'L'}, quick = {.letter = 'q', .gated = TRUE},
         other = {.letter = 'o'};
    GThread *thread = NULL;

    add(bench, &jobLong, VIR_SUPERVISOR_JOB_LONG, 0);
    add(bench, &quick, VIR_SUPERVISOR_JOB_QUICK, 0);
    spinUntil(bench, "L");
    add(bench, &other, 0, 0);
    thread = g_thread_new("release", releaseThread, bench);

    virSupervisorJobsLeave(bench->jobs);
    g_assert_cmpstr(bench->order->str, ==, "Loq");
    g_assert_error(other.error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED);

    (void)g_thread_join(thread);
    g_clear_error(&other.error);
    benchFree(bench);
}

/* --- domain_lock/job.h ---------------------------------------------------------------------- */

/* Only what job.c looks at. */
static virDomainLockObj *
objNew(void)
{
    virDomainLockObj *obj = g_new0(virDomainLockObj, 1);

    g_mutex_init(&obj->lock);
    g_cond_init(&obj->job.changed);
    obj->status = g_new0(virDomainLockStatus, 1);
    obj->status->info = g_new0(virDomainLockInfo, 1);
    obj->status->info->name = g_strdup("web");
    return obj;
}

static void
objFree(virDomainLockObj *obj)
{
    g_free(obj->status->info->name);
    g_free(obj->status->info);
    g_free(obj->status);
    g_cond_clear(&obj->job.changed);
    g_mutex_clear(&obj->lock);
    g_free(obj);
}

static void
testCancelBeforeSeal(void)
{
    virDomainLockObj *obj = objNew();
    g_autoptr(GError) error = NULL;

    virDomainLockJobBegin(obj, "copying a disk", "vda", 0);
    g_assert_true(virDomainLockJobAsk(obj, &error));
    g_assert_no_error(error);

    g_assert_true(g_cancellable_is_cancelled(virDomainLockJobCancellable(obj)));
    g_assert_false(virDomainLockJobSeal(obj, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED);

    virDomainLockJobEnd(obj);
    objFree(obj);
}

static void
testCancelAfterSeal(void)
{
    virDomainLockObj *obj = objNew();
    g_autoptr(GError) error = NULL;

    virDomainLockJobBegin(obj, "copying a disk", "vda", 0);
    g_assert_true(virDomainLockJobSeal(obj, &error));
    g_assert_false(virDomainLockJobAsk(obj, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE);
    g_assert_false(g_cancellable_is_cancelled(virDomainLockJobCancellable(obj)));

    virDomainLockJobEnd(obj);
    g_clear_error(&error);
    g_assert_false(virDomainLockJobAsk(obj, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE);
    objFree(obj);
}

static gpointer
besideThread(gpointer data)
{
    virDomainLockObj *obj = data;
    g_autoptr(GError) error = NULL;

    g_assert_true(virDomainLockBesideBegin(obj, &error));
    virDomainLockBesideEnd(obj);
    return GINT_TO_POINTER(obj->status->info->job == NULL);
}

/* Seal waits for who is beside the job; who comes after that waits for the job. */
static void
testBesideWaitsForSealedJob(void)
{
    virDomainLockObj *obj = objNew();
    g_autoptr(GError) error = NULL;
    GThread *thread;

    virDomainLockJobBegin(obj, "copying a disk", "vda", 0);
    g_assert_true(virDomainLockBesideBegin(obj, &error));
    virDomainLockBesideEnd(obj);
    g_assert_true(virDomainLockJobSeal(obj, &error));

    thread = g_thread_new("beside", besideThread, obj);
    g_usleep(50000);
    virDomainLockJobEnd(obj);
    g_assert_true(GPOINTER_TO_INT(g_thread_join(thread)));
    objFree(obj);
}

/* What undoes a job that was cancelled is not disturbed. */
static void
testBesideWaitsForUndoing(void)
{
    virDomainLockObj *obj = objNew();
    g_autoptr(GError) error = NULL;
    GThread *thread;

    virDomainLockJobBegin(obj, "migrating", "beta", 0);
    g_assert_true(virDomainLockJobAsk(obj, &error));
    virDomainLockJobAlone(obj);
    g_assert_true(virDomainLockJobAsk(obj, &error));

    thread = g_thread_new("beside", besideThread, obj);
    g_usleep(50000);
    virDomainLockJobEnd(obj);
    g_assert_true(GPOINTER_TO_INT(g_thread_join(thread)));
    objFree(obj);
}

static void
testText(void)
{
    virDomainLockObj *obj = objNew();
    g_autofree char *none = virDomainLockJobText(obj);
    g_autofree char *text = NULL;

    g_assert_null(none);
    virDomainLockJobBegin(obj, "copying a disk", "vda", 0);
    virDomainLockJobProgress(obj, 42, 100);
    text = virDomainLockJobText(obj);
    g_assert_cmpstr(text, ==, "copying a disk (vda, 42 %)");
    virDomainLockJobEnd(obj);
    objFree(obj);
}

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    g_test_add_func("/jobs/a-quick-one-runs-beside-a-long-one", testQuickRunsBesideLong);
    g_test_add_func("/jobs/a-quick-one-waits-for-any-other", testQuickWaitsForOther);
    g_test_add_func("/jobs/nothing-begins-beside-a-quick-one",
                    testNothingBeginsBesideQuick);
    g_test_add_func("/jobs/busy-names-the-job", testBusyNamesTheJob);
    g_test_add_func("/jobs/closed-begins-nothing", testClosedBeginsNothing);
    g_test_add_func("/jobs/left-by-the-last", testLeftByTheLast);
    g_test_add_func("/job/cancelled-before-it-is-sealed", testCancelBeforeSeal);
    g_test_add_func("/job/sealed-before-it-is-cancelled", testCancelAfterSeal);
    g_test_add_func("/job/a-quick-command-waits-for-a-sealed-job",
                    testBesideWaitsForSealedJob);
    g_test_add_func("/job/a-quick-command-waits-for-one-that-is-undone",
                    testBesideWaitsForUndoing);
    g_test_add_func("/job/as-text", testText);
    return g_test_run();
}
