/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-wait.c: progress and cancellation of a call that takes its time.
 *
 * Each case runs in a child process with its stderr in a pipe or on a terminal of its own, so
 * that signals and lines are those that a user sees.
 */
#include "config.h"

#include "tests/lib/vir_test.h"
#include "tools/tool.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPORT_FOR_USEC (1600 * 1000) /* progress shows after one second */

/** What a child does: a call of a library that reports progress until it is cancelled. */
typedef struct {
    gboolean json;
    gboolean quiet;
    gboolean raise; /* SIGINT to itself in the middle */
    const char *onInterrupt;
    gint64 forUsec;
} Case;

/* Exit status 0: it was left alone; 10: it was cancelled. */
static int
slowCall(const Case *how)
{
    virTool tool = {.json = how->json, .quiet = how->quiet};
    virToolWait *wait = virToolWaitNew(&tool, 60, 0, how->onInterrupt);
    const virLockWait *bounds = virToolWaitGet(wait);
    gint64 end = g_get_monotonic_time() + how->forUsec;
    gboolean cancelled;

    if (how->raise)
        raise(SIGINT);
    while (g_get_monotonic_time() < end &&
           !g_cancellable_is_cancelled(bounds->cancellable)) {
        virLockProgress progress = {sizeof(progress), "joining \033[1mlockspace", 0.5,
                                    128, NULL};

        bounds->progress(&progress, bounds->progressData);
        g_usleep(50 * 1000);
    }
    cancelled = virToolWaitInterrupted(wait);
    virToolWaitFree(wait);
    return cancelled ? 10 : 0;
}

/* Runs @how in a child with @errFd as stderr; returns its wait status. */
static int
runChild(const Case *how, int errFd)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        dup2(errFd, STDERR_FILENO);
        _exit(slowCall(how));
    }
    close(errFd);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return status;
}

static char *
readAll(int fd)
{
    GString *text = g_string_new(NULL);
    char buffer[4096];
    ssize_t n;

    /* a terminal whose other end is closed ends with EIO */
    while ((n = read(fd, buffer, sizeof(buffer))) > 0)
        g_string_append_len(text, buffer, n);
    close(fd);
    return g_string_free(text, FALSE);
}

static char *
runInPipe(const Case *how, int *status)
{
    int fds[2];

    g_assert_cmpint(pipe(fds), ==, 0);
    *status = runChild(how, fds[1]);
    return readAll(fds[0]);
}

static void
testLines(void)
{
    Case how = {.forUsec = REPORT_FOR_USEC};
    g_autofree char *text = NULL;
    int status = 0;

    text = runInPipe(&how, &status);
    g_assert_cmpint(status, ==, 0);
    /* one line: the next is due five seconds later */
    g_assert_cmpstr(text, ==, "leasehold: joining \\x1b[1mlockspace, 128 s left\n");
}

static void
testJson(void)
{
    Case how = {.forUsec = REPORT_FOR_USEC, .json = TRUE};
    g_autofree char *text = NULL;
    int status = 0;

    text = runInPipe(&how, &status);
    g_assert_cmpint(status, ==, 0);
    g_assert_cmpstr(
        text, ==,
        "{\"progress\":{\"what\":\"joining \\u001b[1mlockspace\",\"fraction\":0.5,"
        "\"eta_sec\":128}}\n");
}

static void
testQuiet(void)
{
    Case how = {.forUsec = REPORT_FOR_USEC, .quiet = TRUE};
    g_autofree char *text = NULL;
    int status = 0;

    text = runInPipe(&how, &status);
    g_assert_cmpint(status, ==, 0);
    g_assert_cmpstr(text, ==, "");
}

/* What is over within a second shows nothing. */
static void
testShort(void)
{
    Case how = {.forUsec = 300 * 1000};
    g_autofree char *text = NULL;
    int status = 0;

    text = runInPipe(&how, &status);
    g_assert_cmpint(status, ==, 0);
    g_assert_cmpstr(text, ==, "");
}

static void
testBar(void)
{
    Case how = {.forUsec = REPORT_FOR_USEC};
    g_autofree char *text = NULL;
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    int other;

    g_assert_cmpint(terminal, >=, 0);
    g_assert_cmpint(grantpt(terminal), ==, 0);
    g_assert_cmpint(unlockpt(terminal), ==, 0);
    other = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    g_assert_cmpint(other, >=, 0);
    g_assert_cmpint(runChild(&how, other), ==, 0);
    text = readAll(terminal);
    g_assert_nonnull(strstr(text, "[############............]  50%  128 s left"));
    /* nothing of it stays */
    g_assert_true(g_str_has_suffix(text, "\r\033[K"));
}

static void
testInterrupt(void)
{
    Case how = {.forUsec = 30 * G_USEC_PER_SEC, .raise = TRUE};
    g_autofree char *text = NULL;
    int status = 0;

    text = runInPipe(&how, &status);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 10);
}

/* A call that cannot be taken back says so and ends at once. */
static void
testInterruptSays(void)
{
    Case how = {
        .forUsec = 30 * G_USEC_PER_SEC, .raise = TRUE, .onInterrupt = "it stands"};
    g_autofree char *text = NULL;
    int status = 0;

    text = runInPipe(&how, &status);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, VIR_TOOL_EXIT_FAILURE);
    g_assert_cmpstr(text, ==, "leasehold: it stands\n");
}

/* After a wait the signals are what they were before. */
static void
testInterruptRestored(void)
{
    virTool tool = {0};
    struct sigaction now;

    virToolWaitFree(virToolWaitNew(&tool, 60, 0, NULL));
    g_assert_cmpint(sigaction(SIGINT, NULL, &now), ==, 0);
    g_assert_true(now.sa_handler == SIG_DFL);
    g_assert_null(tool.wait);
}

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    g_test_add_func("/tools/wait/lines", testLines);
    g_test_add_func("/tools/wait/json", testJson);
    g_test_add_func("/tools/wait/quiet", testQuiet);
    g_test_add_func("/tools/wait/short", testShort);
    g_test_add_func("/tools/wait/bar", testBar);
    g_test_add_func("/tools/wait/interrupt", testInterrupt);
    g_test_add_func("/tools/wait/interrupt-says", testInterruptSays);
    g_test_add_func("/tools/wait/interrupt-restored", testInterruptRestored);
    return g_test_run();
}
