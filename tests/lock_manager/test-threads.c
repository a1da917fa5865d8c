/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-threads.c: the thread models, from what a plugin sees, and calls that wait for their
 * turn no longer than their deadline.
 *
 * Seen failing: with virLockManagerPluginEnter made empty, and with the turn of an object
 * taken without its deadline.
 */
#include "tests/lib/vir_test.h"
#include "tests/lock_manager/fake.h"

#define N_THREADS 4

static FakeStore *store;
static virLockManagerPlugin *plugin;

/* What the plugin sees. */
static int inside;
static int most;

static void
enter(void)
{
    int now = g_atomic_int_add(&inside, 1) + 1;
    int seen = g_atomic_int_get(&most);

    while (now > seen && !g_atomic_int_compare_and_exchange(&most, seen, now))
        seen = g_atomic_int_get(&most);
    g_usleep(50 * 1000);
    (void)g_atomic_int_add(&inside, -1);
}

static gboolean
slowAdvance(gpointer objectData, virLockDriverResource *const *resources, gsize n,
            const virLockWait *wait, GError **error)
{
    enter();
    return TRUE;
}

static virLockManager *
heldManager(void)
{
    g_autoptr(GError) error = NULL;
    virLockManager *man = fakeManager(plugin, 0, NULL);

    g_assert_true(virLockManagerSetParameter(man, "pid", "4711", &error));
    g_assert_true(virLockManagerAcquireObject(man, 0, NULL, &error));
    return man;
}

static gpointer
advance(gpointer data)
{
    g_autoptr(GError) error = NULL;
    virLockManager *man = data;

    g_assert_true(virLockManagerAdvanceUse(man, NULL, &error));
    return NULL;
}

/* The most calls that were inside the plugin at once, with @nObjects objects. */
static int
mostInside(virLockThreadModel model, guint nObjects)
{
    virLockManager *men[N_THREADS];
    GThread *threads[N_THREADS];

    plugin->driver.threadModel = model;
    plugin->driver.useAdvance = slowAdvance;
    g_atomic_int_set(&most, 0);
    for (guint i = 0; i < nObjects; i++)
        men[i] = heldManager();
    for (guint i = 0; i < N_THREADS; i++)
        threads[i] = g_thread_new("advance", advance, men[i % nObjects]);
    for (guint i = 0; i < N_THREADS; i++)
        (void)g_thread_join(threads[i]);
    for (guint i = 0; i < nObjects; i++)
        virLockManagerFree(men[i]);
    return g_atomic_int_get(&most);
}

static void
testModels(void)
{
    g_assert_cmpint(mostInside(VIR_LOCK_THREAD_SERIALIZE_ALL, N_THREADS), ==, 1);
    g_assert_cmpint(mostInside(VIR_LOCK_THREAD_SERIALIZE_OBJECT, N_THREADS), >, 1);
    g_assert_cmpint(mostInside(VIR_LOCK_THREAD_PARALLEL, N_THREADS), >, 1);
    /* calls on one object are never at once */
    g_assert_cmpint(mostInside(VIR_LOCK_THREAD_SERIALIZE_OBJECT, 1), ==, 1);
    g_assert_cmpint(mostInside(VIR_LOCK_THREAD_PARALLEL, 1), ==, 1);
}

/* --- bounds of the turn ------------------------------------------------------------------- */

static int waiting;
static int goOn;

static gboolean
hangingAdvance(gpointer objectData, virLockDriverResource *const *resources, gsize n,
               const virLockWait *wait, GError **error)
{
    g_atomic_int_set(&waiting, 1);
    while (!g_atomic_int_get(&goOn))
        g_usleep(1000);
    return TRUE;
}

static GThread *
startHanging(virLockManager *man)
{
    GThread *thread;

    plugin->driver.useAdvance = hangingAdvance;
    g_atomic_int_set(&waiting, 0);
    g_atomic_int_set(&goOn, 0);
    thread = g_thread_new("hang", advance, man);
    while (!g_atomic_int_get(&waiting))
        g_usleep(1000);
    return thread;
}

static void
stopHanging(GThread *thread)
{
    g_atomic_int_set(&goOn, 1);
    (void)g_thread_join(thread);
}

static void
expectTimeout(virLockManager *man)
{
    gint64 start = g_get_monotonic_time();
    virLockWait wait = {.structSize = sizeof(wait), .deadlineUsec = start + 200 * 1000};
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) leases = virLockManagerInquire(man, &wait, &error);

    g_assert_null(leases);
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 5 * G_USEC_PER_SEC);
}

static void
testDeadlineOfTurn(void)
{
    g_autoptr(virLockManager) man = heldManager();
    GThread *thread = startHanging(man);
    g_autoptr(GPtrArray) leases = NULL;
    g_autoptr(GError) error = NULL;

    expectTimeout(man);
    /* these do not wait for a call that runs */
    leases = virLockManagerGetLeases(man);
    g_assert_cmpuint(leases->len, ==, 2);
    g_assert_cmpint(virLockManagerGetChild(man, &error), ==, 4711);
    stopHanging(thread);
}

static void
testDeadlineOfPlugin(void)
{
    g_autoptr(virLockManager) man = heldManager();
    g_autoptr(virLockManager) other = heldManager();
    GThread *thread;

    plugin->driver.threadModel = VIR_LOCK_THREAD_SERIALIZE_ALL;
    thread = startHanging(man);
    expectTimeout(other);
    stopHanging(thread);
    plugin->driver.threadModel = VIR_LOCK_THREAD_PARALLEL;
}

static gboolean (*inquire)(gpointer objectData, GPtrArray **leases, const virLockWait *wait,
                           GError **error);
static int questions;

/* Answers once; then the time runs out during the question. */
static gboolean
inquireOnce(gpointer objectData, GPtrArray **leases, const virLockWait *wait,
            GError **error)
{
    if (questions++ == 0)
        return inquire(objectData, leases, wait, error);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT, "no answer");
    return FALSE;
}

/* What the child still has is told by the last answer, not lost with the next one. */
static void
testDeadlineOfShutdown(void)
{
    g_autoptr(virLockManager) man = heldManager();
    g_autoptr(GError) error = NULL;

    inquire = plugin->driver.inquire;
    plugin->driver.inquire = inquireOnce;
    g_assert_false(virLockManagerShutdown(man, NULL, &error));
    plugin->driver.inquire = inquire;
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, "still has"));
    g_assert_cmpint(questions, ==, 2);
}

static gpointer
cancelSoon(gpointer data)
{
    g_usleep(100 * 1000);
    g_cancellable_cancel(data);
    return NULL;
}

static void
testCancelOfTurn(void)
{
    g_autoptr(virLockManager) man = heldManager();
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    virLockWait wait = {.structSize = sizeof(wait), .cancellable = cancellable};
    GThread *thread = startHanging(man);
    GThread *canceller = g_thread_new("cancel", cancelSoon, cancellable);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) leases = virLockManagerInquire(man, &wait, &error);

    g_assert_null(leases);
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED);
    (void)g_thread_join(canceller);
    stopHanging(thread);
}

/* --- what plugins are given --------------------------------------------------------------- */

static virLockWait seen;

static gboolean
noteWait(gpointer objectData, GPtrArray **leases, const virLockWait *wait, GError **error)
{
    seen = *wait;
    *leases = NULL;
    return TRUE;
}

static void
testWaitIsComplete(void)
{
    g_autoptr(virLockManager) man = heldManager();
    virLockDriver saved = plugin->driver;
    gint64 now = g_get_monotonic_time();
    /* an older caller's struct ends early; a busy time never exceeds the deadline */
    virLockWait old = {.structSize = G_STRUCT_OFFSET(virLockWait, cancellable),
                       .deadlineUsec = now + G_USEC_PER_SEC,
                       .busyUsec = now + 5 * G_USEC_PER_SEC,
                       .cancellable = (gpointer)1};
    g_autoptr(GError) error = NULL;

    plugin->driver.inquire = noteWait;
    g_ptr_array_unref(virLockManagerInquire(man, NULL, &error));
    g_assert_cmpint(seen.deadlineUsec, >=,
                    now + (VIR_LOCK_WAIT_DEFAULT_SEC - 1) * G_USEC_PER_SEC);
    g_assert_cmpint(seen.busyUsec, ==, 0);
    g_ptr_array_unref(virLockManagerInquire(man, &old, &error));
    g_assert_cmpint(seen.deadlineUsec, ==, old.deadlineUsec);
    g_assert_cmpint(seen.busyUsec, ==, old.deadlineUsec);
    g_assert_null(seen.cancellable);
    g_assert_cmpuint(seen.structSize, ==, sizeof(seen));
    plugin->driver = saved;
}

int
main(int argc, char **argv)
{
    int rc;

    virTestInit(&argc, &argv);
    store = fakeStoreNew();
    plugin = fakePluginNew(store);
    g_test_add_func("/threads/models", testModels);
    g_test_add_func("/threads/deadline-of-turn", testDeadlineOfTurn);
    g_test_add_func("/threads/deadline-of-plugin", testDeadlineOfPlugin);
    g_test_add_func("/threads/deadline-of-shutdown", testDeadlineOfShutdown);
    g_test_add_func("/threads/cancel-of-turn", testCancelOfTurn);
    g_test_add_func("/threads/wait-is-complete", testWaitIsComplete);
    rc = g_test_run();
    virLockManagerPluginUnload(plugin);
    fakeStoreFree(store);
    return rc;
}
