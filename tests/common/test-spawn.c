/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-spawn.c: what the one forking function promises.
 *
 * Seen failing: without forkSafeResetSignals (signals), without PDEATHSIG
 * (dies-with-its-parent), without closing (only-named-descriptors).
 */
#include "common/fd.h"
#include "common/spawn.h"
#include "tests/lib/vir_test.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE (g_get_monotonic_time() + 10 * G_USEC_PER_SEC)

/* Runs a shell line and returns what it wrote to its stdout. */
static char *
runShell(const char *line, const int *keepFds, gsize nKeepFds, int *waitStatus)
{
    const char *const argv[] = {"/bin/sh", "-c", line, NULL};
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    virSpawnOptions options = {.what = "a shell",
                               .flags = VIR_SPAWN_CLOSE_FDS,
                               .argv = argv,
                               .keepFds = keepFds,
                               .nKeepFds = nKeepFds};
    int fds[2];
    pid_t pid;
    int pidfd;
    char c;
    gboolean ok;

    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    options.stdioFds[0] = VIR_SPAWN_STDIO_NULL;
    options.stdioFds[1] = fds[1];
    options.stdioFds[2] = VIR_SPAWN_STDIO_INHERIT;
    ok = virSpawn(&options, &pid, &pidfd, &error);
    virAssertNoError(error);
    g_assert_true(ok);
    virFdClose(fds[1]);
    while (virFdReadFull(fds[0], &c, 1) == 0)
        g_string_append_c(text, c);
    virFdClose(fds[0]);
    g_assert_true(virSpawnReap(pid, pidfd, DEADLINE, waitStatus));
    virFdClose(pidfd);
    return g_strdup(text->str);
}

static void
testStatusIsKept(void)
{
    int status = -1;
    g_autofree char *text = runShell("echo out; exit 7", NULL, 0, &status);
    g_autofree char *words = virSpawnDescribeStatus(status);
    g_autofree char *killed = NULL;

    g_assert_cmpstr(text, ==, "out\n");
    g_assert_cmpint(WEXITSTATUS(status), ==, 7);
    g_assert_cmpstr(words, ==, "exited with status 7");

    g_free(runShell("kill -9 $$", NULL, 0, &status));
    killed = virSpawnDescribeStatus(status);
    g_assert_true(g_str_has_prefix(killed, "was killed by signal 9 (Killed)"));
}

static void
testOnlyNamedDescriptorsSurvive(void)
{
    int wanted = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    int leaked = open("/dev/zero", O_RDONLY); /* without CLOEXEC, as libraries do */
    int status;
    /* the shell's own glob opens the directory: dash does so with a number above */
    g_autofree char *line =
        g_strdup_printf("test -e /proc/self/fd/%d && echo wanted;"
                        "test -e /proc/self/fd/%d && echo leaked; true",
                        wanted, leaked);
    g_autofree char *text = runShell(line, &wanted, 1, &status);

    g_assert_cmpint(status, ==, 0);
    g_assert_cmpstr(text, ==, "wanted\n");
    virFdClose(wanted);
    virFdClose(leaked);
}

/* The lines of /proc/PID/status are what the kernel thinks, whatever the shell does. */
static void
testSignalsAreReset(void)
{
    sigset_t blocked;
    int status;
    guint64 ignored;
    g_autofree char *text = NULL;

    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    text = runShell("exec grep -E 'SigBlk|SigIgn' /proc/self/status", NULL, 0, &status);
    g_assert_true(g_str_has_prefix(text, "SigBlk:\t0000000000000000\nSigIgn:\t"));
    /* 32 and 33 are glibc's own: it lets nobody touch them, whoever started us set them
     */
    ignored = g_ascii_strtoull(strrchr(text, '\t') + 1, NULL, 16);
    g_assert_cmphex(ignored & ~G_GUINT64_CONSTANT(0x180000000), ==, 0);

    /* and the parent's own mask is as it was */
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    g_assert_true(sigismember(&blocked, SIGTERM));
    sigdelset(&blocked, SIGTERM);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    signal(SIGPIPE, SIG_DFL);
}

static void
assertExecFails(const char *program, int errnum)
{
    const char *const argv[] = {program, NULL};
    const virSpawnOptions options = {.what = "the program", .argv = argv};
    g_autoptr(GError) error = NULL;
    pid_t pid;

    g_assert_false(virSpawn(&options, &pid, NULL, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, program));
    g_assert_nonnull(strstr(error->message, g_strerror(errnum)));
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1); /* nothing is left behind */
    g_assert_cmpint(errno, ==, ECHILD);
}

static void
testExecErrorIsTheKernels(void)
{
    g_autofree char *dir = g_dir_make_tmp("leasehold-spawn-XXXXXX", NULL);
    g_autofree char *plain = g_build_filename(dir, "plain", NULL);
    g_autofree char *noise = g_build_filename(dir, "noise", NULL);

    g_assert_true(g_file_set_contents(plain, "x", 1, NULL));
    g_assert_true(g_file_set_contents(noise, "\177NOT", 4, NULL));
    g_assert_cmpint(g_chmod(noise, 0755), ==, 0);
    assertExecFails("/nonexistent/qemu", ENOENT);
    assertExecFails(plain, EACCES);
    assertExecFails(noise, ENOEXEC);
    (void)g_unlink(plain);
    (void)g_unlink(noise);
    (void)g_rmdir(dir);
}

static int
childSleeps(gpointer data)
{
    while (pause() < 0)
        continue;
    return 0;
}

/* Its "supervisor": starts a child that dies with it, tells its pid, waits to be killed.
 */
static int
childHasAChild(gpointer data)
{
    const virSpawnOptions options = {.what = "grandchild",
                                     .flags = VIR_SPAWN_DIE_WITH_PARENT |
                                              VIR_SPAWN_NEW_SESSION,
                                     .childForkSafe = childSleeps};
    pid_t pid = -1;

    if (!virSpawn(&options, &pid, NULL, NULL))
        return 1;
    (void)virFdWriteFull(*(int *)data, &pid, sizeof(pid));
    while (pause() < 0)
        continue;
    return 0;
}

static void
testDiesWithItsParent(void)
{
    int fds[2];
    const virSpawnOptions options = {
        .what = "child", .childForkSafe = childHasAChild, .data = &fds[1]};
    pid_t child;
    pid_t grandchild;
    int childFd;
    int grandchildFd;
    int status;

    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    g_assert_true(virSpawn(&options, &child, &childFd, NULL));
    g_assert_cmpint(virFdReadFull(fds[0], &grandchild, sizeof(grandchild)), ==, 0);
    grandchildFd = virPidfdOpen(grandchild);
    g_assert_cmpint(grandchildFd, >=, 0);
    g_assert_cmpint(getsid(grandchild), ==, grandchild);

    g_assert_cmpint(virPidfdSendSignal(childFd, SIGKILL), ==, 0);

    g_assert_true(virPidfdWait(grandchildFd, DEADLINE));
    g_assert_true(virSpawnReap(child, childFd, DEADLINE, &status));
    virFdClose(fds[0]);
    virFdClose(fds[1]);
    virFdClose(childFd);
    virFdClose(grandchildFd);
}

static void
testReapKeepsItsDeadline(void)
{
    const virSpawnOptions options = {.what = "child", .childForkSafe = childSleeps};
    pid_t pid;
    int pidfd;
    int status;

    g_assert_true(virSpawn(&options, &pid, &pidfd, NULL));
    g_assert_false(virSpawnReap(pid, pidfd, g_get_monotonic_time() + 30000, &status));
    g_assert_cmpint(virPidfdSendSignal(pidfd, SIGKILL), ==, 0);
    g_assert_true(virSpawnReap(pid, pidfd, DEADLINE, &status));
    virFdClose(pidfd);
}

/* Its parent is not us, and we have no child to reap. */
static void
testDetachedIsNobodysChild(void)
{
    const char *const argv[] = {"/bin/sh", "-c", "read go; echo $PPID", NULL};
    const char *const missing[] = {"/nonexistent", NULL};
    g_autoptr(GError) error = NULL;
    g_autofree char *us = g_strdup_printf("%d\n", (int)getpid());
    virSpawnOptions options = {.what = "a shell",
                               .flags = VIR_SPAWN_CLOSE_FDS | VIR_SPAWN_DETACHED |
                                        VIR_SPAWN_NEW_SESSION,
                               .argv = argv};
    char text[32] = "";
    int in[2], out[2];

    g_assert_cmpint(pipe2(in, O_CLOEXEC), ==, 0);
    g_assert_cmpint(pipe2(out, O_CLOEXEC), ==, 0);
    options.stdioFds[0] = in[0];
    options.stdioFds[1] = out[1];
    options.stdioFds[2] = VIR_SPAWN_STDIO_INHERIT;
    g_assert_true(virSpawn(&options, NULL, NULL, &error));
    virAssertNoError(error);
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
    g_assert_cmpint(errno, ==, ECHILD);
    g_assert_cmpint(write(in[1], "\n", 1), ==, 1);
    g_assert_cmpint(read(out[0], text, sizeof(text) - 1), >, 1);
    g_assert_cmpstr(text, !=, us);

    options.argv = missing;
    g_assert_false(virSpawn(&options, NULL, NULL, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
    for (int i = 0; i < 2; i++) {
        virFdClose(in[i]);
        virFdClose(out[i]);
    }
}

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    g_test_add_func("/spawn/status-is-kept", testStatusIsKept);
    g_test_add_func("/spawn/only-named-descriptors-survive",
                    testOnlyNamedDescriptorsSurvive);
    g_test_add_func("/spawn/signals-are-reset", testSignalsAreReset);
    g_test_add_func("/spawn/exec-error-is-the-kernels", testExecErrorIsTheKernels);
    g_test_add_func("/spawn/dies-with-its-parent", testDiesWithItsParent);
    g_test_add_func("/spawn/reap-keeps-its-deadline", testReapKeepsItsDeadline);
    g_test_add_func("/spawn/detached-is-nobodys-child", testDetachedIsNobodysChild);
    return g_test_run();
}
