/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-log-limit.c: the log of a guest is kept within its limit while somebody else writes it.
 *
 * Seen failing: without virLogLimitCheck in virLogLimitWritten, "grows"; without O_APPEND of the
 * writer there would be a hole, which is why virSupervisorLogOpen asks for it.
 */
#include "supervisor/guest_log.h"
#include "supervisor/log_limit.h"
#include "common/fd.h"
#include "tests/lib/vir_test.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    char *dir;
    char *path;
    char *oldPath;
    int writer; /* as QEMU has it */
} Fixture;

static void
setUp(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    f->dir = g_dir_make_tmp("log-limit-XXXXXX", &error);
    virAssertNoError(error);
    f->path = g_build_filename(f->dir, "web.log", NULL);
    f->oldPath = g_build_filename(f->dir, "web.log.1", NULL);
    f->writer = virSupervisorLogOpen(f->path, &error);
    virAssertNoError(error);
}

static void
tearDown(Fixture *f, gconstpointer data)
{
    virFdClose(f->writer);
    (void)g_unlink(f->path);
    (void)g_unlink(f->oldPath);
    (void)g_rmdir(f->dir);
    g_free(f->dir);
    g_free(f->path);
    g_free(f->oldPath);
}

static off_t
sizeOf(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? st.st_size : -1;
}

static void
writeLines(Fixture *f, char letter, gsize bytes)
{
    g_autofree char *text = g_strnfill(bytes, letter);

    g_assert_cmpint(virFdWriteFull(f->writer, text, bytes), ==, 0);
}

/* Runs the main loop until the log is not larger than @size; the test's own timeout ends it. */
static void
runUntilAtMost(const char *path, off_t size)
{
    while (sizeOf(path) > size)
        g_main_context_iteration(NULL, TRUE);
}

static void
testSmallLogIsLeftAlone(Fixture *f, gconstpointer data)
{
    g_autoptr(virSupervisorLogLimit) limit = NULL;

    writeLines(f, 'a', 1000);
    limit = virSupervisorLogLimitNew(f->path);
    writeLines(f, 'b', VIR_SUPERVISOR_LOG_MAX - 1000);
    g_main_context_iteration(NULL, TRUE); /* it was told of the write */
    g_assert_cmpint(sizeOf(f->path), ==, VIR_SUPERVISOR_LOG_MAX);
    g_assert_cmpint(sizeOf(f->oldPath), ==, -1);
}

static void
testLargeLogIsMovedAtTheStart(Fixture *f, gconstpointer data)
{
    g_autoptr(virSupervisorLogLimit) limit = NULL;
    g_autofree char *old = NULL;

    writeLines(f, 'a', 5000);
    writeLines(f, 'b', VIR_SUPERVISOR_LOG_MAX);
    limit = virSupervisorLogLimitNew(f->path);
    g_assert_cmpint(sizeOf(f->path), ==, 0);
    g_assert_cmpint(sizeOf(f->oldPath), ==, VIR_SUPERVISOR_LOG_MAX);
    g_assert_true(g_file_get_contents(f->oldPath, &old, NULL, NULL));
    g_assert_null(strchr(old, 'a')); /* its end is what is kept */
}

static void
testGrowingLogIsMovedAgainAndAgain(Fixture *f, gconstpointer data)
{
    g_autoptr(virSupervisorLogLimit) limit = virSupervisorLogLimitNew(f->path);
    g_autofree char *text = NULL;

    writeLines(f, 'a', VIR_SUPERVISOR_LOG_MAX + 1);
    runUntilAtMost(f->path, 0);
    writeLines(f, 'b', VIR_SUPERVISOR_LOG_MAX + 1);
    runUntilAtMost(f->path, 0);
    g_assert_true(g_file_get_contents(f->oldPath, &text, NULL, NULL));
    g_assert_cmpint(text[0], ==, 'b');

    /* the writer goes on at the beginning, without a hole before it */
    writeLines(f, 'c', 10);
    g_assert_cmpint(sizeOf(f->path), ==, 10);
}

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
#define ADD(name, func) g_test_add("/log-limit/" name, Fixture, NULL, setUp, func, tearDown)
    ADD("small", testSmallLogIsLeftAlone);
    ADD("large", testLargeLogIsMovedAtTheStart);
    ADD("grows", testGrowingLogIsMovedAgainAndAgain);
    return g_test_run();
}
