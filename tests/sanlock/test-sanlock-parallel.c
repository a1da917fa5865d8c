/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-sanlock-parallel.c: several things at once in a job of the sanlock plugin.
 *
 * Seen failing: one after the other only; the last error told instead of the lowest.
 */
#include "plugins/sanlock/parallel.h"
#include "tests/lib/vir_test.h"

#define MANY 40
/* Longer than what counts as quick, and a bound for what never comes. */
#define SLOW_USEC 1000
#define EVER_USEC (20 * G_USEC_PER_SEC)

typedef struct {
    gulong usec;
    gsize failFrom; /* all from there on */
    gint calls[MANY];
    GMutex mutex;
    GCond cond;
    guint inside;
    gint64 endUsec;
    gboolean met;
} Work;

static gboolean
one(gpointer data, gsize i, GError **error)
{
    Work *work = data;

    g_usleep(work->usec);
    g_atomic_int_inc(&work->calls[i]);
    if (i < work->failFrom)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE, "%u", (guint)i);
    return FALSE;
}

static void
checkOnce(const Work *work, gsize n)
{
    for (gsize i = 0; i < MANY; i++)
        g_assert_cmpint(work->calls[i], ==, i < n ? 1 : 0);
}

static void
testEachOnce(void)
{
    for (gsize n = 0; n <= MANY; n++) {
        Work quick = {.failFrom = MANY};
        Work slow = {.failFrom = MANY, .usec = SLOW_USEC};
        g_autoptr(GError) error = NULL;

        g_assert_true(virSanlockEach(n, one, &quick, &error));
        virAssertNoError(error);
        checkOnce(&quick, n);
        g_assert_true(virSanlockEach(n, one, &slow, &error));
        virAssertNoError(error);
        checkOnce(&slow, n);
    }
}

/* Whatever order they end in: what a message says must not be a matter of chance. */
static void
testEachLowestError(void)
{
    for (gsize fails = 0; fails < 10; fails++) {
        Work work = {.failFrom = fails, .usec = SLOW_USEC};
        g_autofree char *lowest = g_strdup_printf("%u", (guint)fails);
        g_autoptr(GError) error = NULL;

        g_assert_false(virSanlockEach(MANY, one, &work, &error));
        g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE);
        g_assert_cmpstr(error->message, ==, lowest);
        g_assert_cmpint(work.calls[MANY - 1], ==, 0); /* nothing is begun after that */
    }
}

/* Returns when another one is inside, too. */
static gboolean
meet(gpointer data, gsize i, GError **error)
{
    Work *work = data;

    if (i == 0) {
        g_usleep(SLOW_USEC);
        return TRUE;
    }
    g_mutex_lock(&work->mutex);
    if (++work->inside > 1)
        work->met = TRUE;
    g_cond_broadcast(&work->cond);
    while (!work->met &&
           g_cond_wait_until(&work->cond, &work->mutex, work->endUsec))
        continue;
    work->inside--;
    g_mutex_unlock(&work->mutex);
    return TRUE;
}

static void
testEachTogether(void)
{
    Work work = {.endUsec = g_get_monotonic_time() + EVER_USEC};
    g_autoptr(GError) error = NULL;

    g_mutex_init(&work.mutex);
    g_cond_init(&work.cond);
    g_assert_true(virSanlockEach(MANY, meet, &work, &error));
    virAssertNoError(error);
    g_assert_true(work.met);
    g_mutex_clear(&work.mutex);
    g_cond_clear(&work.cond);
}

static gboolean
fail(gpointer data, GError **error)
{
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY, "%s", (const char *)data);
    return FALSE;
}

static gboolean
succeed(gpointer data, GError **error)
{
    *(gboolean *)data = TRUE;
    return TRUE;
}

static void
testAside(void)
{
    virSanlockAside good, bad;
    gboolean ran = FALSE;
    char words[] = "held by somebody";
    g_autoptr(GError) error = NULL;

    virSanlockAsideStart(&good, succeed, &ran);
    virSanlockAsideStart(&bad, fail, words);
    g_assert_true(virSanlockAsideEnd(&good, &error));
    virAssertNoError(error);
    g_assert_true(ran);
    g_assert_false(virSanlockAsideEnd(&bad, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY);
    g_assert_cmpstr(error->message, ==, words);
}

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    g_test_add_func("/sanlock/each/once", testEachOnce);
    g_test_add_func("/sanlock/each/lowest-error", testEachLowestError);
    g_test_add_func("/sanlock/each/together", testEachTogether);
    g_test_add_func("/sanlock/aside", testAside);
    return g_test_run();
}
