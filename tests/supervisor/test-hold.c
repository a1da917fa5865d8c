/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-hold.c: a program that is loaded before it may begin (supervisor/hold.c), under
 * virDomainLockGuestOps.
 *
 * Seen failing: does-not-begin when it is let go at its exec stop, dies-with-park without
 * EXITKILL, released-early when the breakpoint stays, is-executed-later without the SIGTRAP,
 * foreign-signal without isItsOwn, another-one-is-refused without isLaidOut, executes-another
 * with one breakpoint only, ends-while-loaded when only exec looks where the log ends.
 */
#include "tests/supervisor/guest_fixture.h"
#include "common/fd.h"
#include "common/spawn.h"
#include "supervisor/hold.h"
#include "tests/lib/vir_test.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- looking at it ------------------------------------------------------------------------- */

static gboolean
isInState(pid_t pid, char state)
{
    virProcessStat st = {0};

    return virProcessReadStat(pid, &st) == 0 && st.state == state;
}

static void
awaitState(pid_t pid, char state)
{
    gint64 until = IN_SEC(20);

    while (!isInState(pid, state)) {
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        g_usleep(1000);
    }
}

static gboolean
hasMapped(pid_t pid, const char *what)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/maps", (int)pid);
    g_autofree char *maps = NULL;

    return g_file_get_contents(path, &maps, NULL, NULL) && strstr(maps, what);
}

static pid_t
guestPid(GuestFixture *fixture)
{
    return fixture->guest->ops->getPid(fixture->guest);
}

/* Until @pid stands still with its libraries mapped: nothing but its entry point comes then. */
static void
awaitLoaded(pid_t pid)
{
    gint64 until = IN_SEC(20);

    while (!(isInState(pid, 't') && hasMapped(pid, "libc.so"))) {
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        g_usleep(1000);
    }
}

static char *
markerOf(GuestFixture *fixture)
{
    return g_build_filename(fixture->dir, "marker", NULL);
}

/* A program that says that it has begun. */
static char **
markerArgv(GuestFixture *fixture)
{
    g_autofree char *marker = markerOf(fixture);
    g_autofree char *script = g_strdup_printf("echo begun >'%s'; exec sleep 60", marker);
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};

    return g_strdupv((char **)argv);
}

static gboolean
hasBegun(GuestFixture *fixture)
{
    g_autofree char *marker = markerOf(fixture);

    return g_file_test(marker, G_FILE_TEST_EXISTS);
}

static void
awaitBegun(GuestFixture *fixture)
{
    g_autofree char *marker = markerOf(fixture);
    gint64 until = IN_SEC(20);

    while (!hasBegun(fixture)) {
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        g_usleep(1000);
    }
    (void)g_unlink(marker);
}

static void
load(GuestFixture *fixture, char **argv)
{
    guestFixturePark(fixture);
    fixture->guest->ops->load(fixture->guest, (const char *const *)argv);
}

/* It has no monitor, so that exec itself cannot succeed. */
static void
assertBeginsWithoutMonitor(GuestFixture *fixture, char **argv)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(guestFixtureExec(fixture, (const char *const *)argv,
                                    g_get_monotonic_time() + G_USEC_PER_SEC / 2, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT);
    awaitBegun(fixture);
}

/* --- held ---------------------------------------------------------------------------------- */

static void
testDoesNotBegin(GuestFixture *fixture, gconstpointer data)
{
    g_auto(GStrv) argv = markerArgv(fixture);

    load(fixture, argv);
    awaitLoaded(guestPid(fixture));
    g_usleep(100 * 1000);
    g_assert_true(isInState(guestPid(fixture), 't'));
    g_assert_false(hasBegun(fixture));

    assertBeginsWithoutMonitor(fixture, argv);
    (void)guestFixtureEnd(fixture);
}

/* What this very program does before its entry point if it is told to: sanitizers execute
 * another one, and a loader that misses a library ends. */
static void
doBeforeEntry(int argc, char **argv, char **envp)
{
    if (argc > 2 && strcmp(argv[1], "--another") == 0)
        (void)execve(argv[2], &argv[2], envp);
    if (argc > 2 && strcmp(argv[1], "--say") == 0) {
        (void)virFdWriteFull(STDERR_FILENO, argv[2], strlen(argv[2]));
        _exit(127);
    }
}

__attribute__((section(".preinit_array"),
               used)) static void (*const beforeEntry)(int, char **,
                                                       char **) = doBeforeEntry;

static void
testExecutesAnother(GuestFixture *fixture, gconstpointer data)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_auto(GStrv) another = markerArgv(fixture);
    const char *const argv[] = {self,       "--another", another[0],
                                another[1], another[2],  NULL};
    gint64 until = IN_SEC(20);

    load(fixture, (char **)argv);
    while (!(isInState(guestPid(fixture), 't') && !hasMapped(guestPid(fixture), self) &&
             hasMapped(guestPid(fixture), "libc.so"))) {
        g_assert_false(hasBegun(fixture));
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        g_usleep(1000);
    }
    assertBeginsWithoutMonitor(fixture, (char **)argv);
    (void)guestFixtureEnd(fixture);
}

#define LAST_WORDS "QEMU exited with status 127 at once: no such library"

/* Whatever it is that notices the end of the process: these are the better words. */
static void
testEndsWhileLoaded(GuestFixture *fixture, gconstpointer data)
{
    const virDomainLockGuestOps *ops = fixture->guest->ops;
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    const char *const argv[] = {self, "--say", "no such library", NULL};
    g_autoptr(GError) error = NULL;

    load(fixture, (char **)argv);
    awaitState(guestPid(fixture), 'Z');
    g_set_error(&error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE, "it is gone");
    ops->explain(fixture->guest, &error);
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_assert_cmpstr(error->message, ==, LAST_WORDS);

    g_clear_error(&error);
    g_assert_false(guestFixtureExec(fixture, argv, IN_SEC(20), &error));
    g_assert_cmpstr(error->message, ==, LAST_WORDS);
    (void)guestFixtureEnd(fixture);
}

static void
testIsNotExplained(GuestFixture *fixture, gconstpointer data)
{
    const virDomainLockGuestOps *ops = fixture->guest->ops;
    g_auto(GStrv) argv = markerArgv(fixture);
    g_autoptr(GError) error = NULL;

    load(fixture, argv);
    awaitLoaded(guestPid(fixture));
    g_set_error(&error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE, "as it was");
    ops->explain(fixture->guest, &error);
    g_assert_cmpstr(error->message, ==, "as it was");
    g_assert_cmpint(kill(guestPid(fixture), SIGKILL), ==, 0);
    awaitState(guestPid(fixture), 'Z');
    ops->explain(fixture->guest, &error);
    g_assert_cmpstr(error->message, ==, "as it was");
    (void)guestFixtureEnd(fixture);
}

/* Released before it is loaded: it is waited for. */
static void
testReleasedEarly(GuestFixture *fixture, gconstpointer data)
{
    g_auto(GStrv) argv = markerArgv(fixture);

    load(fixture, argv);
    assertBeginsWithoutMonitor(fixture, argv);
    (void)guestFixtureEnd(fixture);
}

static void
testQemuGoesOnUnchanged(GuestFixture *fixture, gconstpointer data)
{
    const virDomainLockGuestOps *ops = fixture->guest->ops;
    g_auto(GStrv) argv = guestFixtureArgv(fixture, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) reply = NULL;

    load(fixture, argv);
    awaitLoaded(guestPid(fixture));
    g_assert_true(
        guestFixtureExec(fixture, (const char *const *)argv, IN_SEC(20), &error));
    virAssertNoError(error);
    reply = ops->command(fixture->guest, "query-status", NULL, IN_SEC(5), &error);
    virAssertNoError(error);
    g_assert_false(isInState(guestPid(fixture), 't'));
    (void)guestFixtureEnd(fixture);
}

static void
testKilledWhileHeld(GuestFixture *fixture, gconstpointer data)
{
    g_auto(GStrv) argv = markerArgv(fixture);
    virDomainLockExit result;

    load(fixture, argv);
    awaitLoaded(guestPid(fixture));
    result = guestFixtureEnd(fixture);
    g_assert_true(result.known);
    g_assert_true(WIFSIGNALED(result.waitStatus));
    g_assert_cmpint(WTERMSIG(result.waitStatus), ==, SIGKILL);
    g_assert_false(hasBegun(fixture));
}

/* Killed, but nobody has said so yet when it is to begin. */
static void
testDeadWhenReleased(GuestFixture *fixture, gconstpointer data)
{
    g_auto(GStrv) argv = markerArgv(fixture);
    g_autoptr(GError) error = NULL;

    load(fixture, argv);
    awaitLoaded(guestPid(fixture));
    g_assert_cmpint(kill(guestPid(fixture), SIGKILL), ==, 0);
    g_assert_false(
        guestFixtureExec(fixture, (const char *const *)argv, IN_SEC(20), &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL);
    g_assert_nonnull(strstr(error->message, "was killed by signal 9"));
    (void)guestFixtureEnd(fixture);
    g_assert_false(hasBegun(fixture));
}

/* A signal of somebody else is not swallowed. */
static void
testStoppedWhileHeld(GuestFixture *fixture, gconstpointer data)
{
    g_auto(GStrv) argv = markerArgv(fixture);
    g_autoptr(GError) error = NULL;

    load(fixture, argv);
    awaitLoaded(guestPid(fixture));
    g_assert_cmpint(kill(guestPid(fixture), SIGSTOP), ==, 0);
    g_assert_false(guestFixtureExec(fixture, (const char *const *)argv,
                                    g_get_monotonic_time() + G_USEC_PER_SEC / 2, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT);
    g_assert_true(isInState(guestPid(fixture), 'T'));
    g_assert_false(hasBegun(fixture));
    g_assert_cmpint(kill(guestPid(fixture), SIGCONT), ==, 0);
    awaitBegun(fixture);
    (void)guestFixtureEnd(fixture);
}

static void
testAnotherOneIsRefused(GuestFixture *fixture, gconstpointer data)
{
    g_auto(GStrv) argv = markerArgv(fixture);
    const char *const other[] = {"/bin/sh", "-c", "exit 3", NULL};
    g_autoptr(GError) error = NULL;

    load(fixture, argv);
    g_assert_false(guestFixtureExec(fixture, other, IN_SEC(20), &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE);
    g_assert_nonnull(strstr(error->message, "'web' changed"));
    (void)guestFixtureEnd(fixture);
    g_assert_false(hasBegun(fixture));
}

static void
testNothingReachesItAnyMore(GuestFixture *fixture, gconstpointer data)
{
    const virDomainLockGuestOps *ops = fixture->guest->ops;
    const char *const program[] = {"true", NULL};
    g_auto(GStrv) argv = markerArgv(fixture);
    g_autoptr(GError) error = NULL;

    load(fixture, argv);
    g_assert_false(ops->passFd(fixture->guest, 0, "lease", &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE);
    g_clear_error(&error);
    g_assert_false(ops->run(fixture->guest, program, IN_SEC(5), &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE);
    assertBeginsWithoutMonitor(fixture, argv);
    (void)guestFixtureEnd(fixture);
}

/* --- not to be held ------------------------------------------------------------------------- */

static void
testFailsToExecute(GuestFixture *fixture, gconstpointer data)
{
    const char *const argv[] = {"/etc/passwd", NULL};
    g_autoptr(GError) error = NULL;

    load(fixture, (char **)argv);
    g_assert_false(guestFixtureExec(fixture, argv, IN_SEC(20), &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "'/etc/passwd': Permission denied"));
    (void)guestFixtureEnd(fixture);
}

static gboolean
isTraced(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", (int)pid);
    g_autofree char *status = NULL;

    g_assert_true(g_file_get_contents(path, &status, NULL, NULL));
    return !strstr(status, "TracerPid:\t0\n");
}

/* What failed while it was traced is tried again without. */
static void
testIsExecutedLater(GuestFixture *fixture, gconstpointer data)
{
    g_autofree char *file = g_build_filename(fixture->dir, "program", NULL);
    g_autofree char *marker = markerOf(fixture);
    g_autofree char *script =
        g_strdup_printf("#!/bin/sh\necho >'%s'; exec sleep 60\n", marker);
    char *argv[] = {file, NULL};
    gint64 until = IN_SEC(20);

    g_assert_true(g_file_set_contents(file, script, -1, NULL));
    load(fixture, argv);
    while (isTraced(guestPid(fixture))) {
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        g_usleep(1000);
    }
    g_assert_cmpint(g_chmod(file, 0755), ==, 0);
    assertBeginsWithoutMonitor(fixture, argv);
    (void)guestFixtureEnd(fixture);
    (void)g_unlink(file);
}

/* The sign of a failed execve, from somebody else: it is a signal like any other then. */
static void
testForeignSignal(GuestFixture *fixture, gconstpointer data)
{
    virSupervisorHold *hold;
    virDomainLockExit result;
    pid_t pid;

    guestFixturePark(fixture);
    pid = guestPid(fixture);
    hold = virSupervisorHoldNew(pid);
    g_assert_nonnull(hold);
    g_assert_cmpint(kill(pid, SIGTRAP), ==, 0);
    g_assert_true(fixture->guest->ops->reap(fixture->guest, IN_SEC(5), &result, NULL));
    g_assert_true(WIFSIGNALED(result.waitStatus));
    g_assert_cmpint(WTERMSIG(result.waitStatus), ==, SIGTRAP);
    virSupervisorHoldFree(hold);
}

/* Who is traced already cannot be held, and is executed when it may begin. */
static void
testTracedBySomebodyElse(GuestFixture *fixture, gconstpointer data)
{
    g_auto(GStrv) argv = markerArgv(fixture);
    pid_t pid;

    guestFixturePark(fixture);
    pid = guestPid(fixture);
    g_assert_cmpint(ptrace(PTRACE_SEIZE, pid, NULL, NULL), ==, 0);
    fixture->guest->ops->load(fixture->guest, (const char *const *)argv);
    g_usleep(100 * 1000);
    g_assert_false(hasBegun(fixture));
    g_assert_false(hasMapped(pid, "/sh"));
    assertBeginsWithoutMonitor(fixture, argv);
    (void)guestFixtureEnd(fixture);
}

static void
testPrivilegesDoNotSuit(GuestFixture *fixture, gconstpointer data)
{
    g_autofree char *file = g_build_filename(fixture->dir, "program", NULL);

    g_assert_true(g_file_set_contents(file, "", 0, NULL));
    g_assert_cmpint(g_chmod(file, 0755), ==, 0);
    g_assert_true(virSupervisorHoldSuits(file));
    g_assert_cmpint(g_chmod(file, 04755), ==, 0);
    g_assert_false(virSupervisorHoldSuits(file));
    g_assert_cmpint(g_chmod(file, 02755), ==, 0);
    g_assert_false(virSupervisorHoldSuits(file));
    (void)g_unlink(file);
    g_assert_false(virSupervisorHoldSuits(file));
}

/* A whole program of the other word size, whose entry point is not looked for: _exit (7). */
/* clang-format off */
static const guint8 otherProgram[] = {
    0x7f, 'E', 'L', 'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 32 bits, little endian */
    2, 0, 3, 0, 1, 0, 0, 0,                                  /* EXEC, 386, version 1 */
    0x54, 0x80, 0x04, 0x08, 52, 0, 0, 0, 0, 0, 0, 0,         /* entry, headers at */
    0, 0, 0, 0, 52, 0, 32, 0, 1, 0, 0, 0, 0, 0, 0, 0,        /* one program header */
    1, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x04, 0x08, 0, 0x80, 0x04, 0x08, /* LOAD */
    0x60, 0, 0, 0, 0x60, 0, 0, 0, 5, 0, 0, 0, 0, 0x10, 0, 0,          /* R-X */
    0xb8, 1, 0, 0, 0, 0xbb, 7, 0, 0, 0, 0xcd, 0x80, /* mov $1,%eax; mov $7,%ebx; int $0x80 */
};
/* clang-format on */

static void
testStaysInExec(GuestFixture *fixture, gconstpointer data)
{
    g_autofree char *file = g_build_filename(fixture->dir, "other", NULL);
    const char *const argv[] = {file, NULL};
    g_autoptr(GError) error = NULL;
    gint64 until = IN_SEC(20);

    g_assert_true(g_file_set_contents(file, (const char *)otherProgram,
                                      sizeof(otherProgram), NULL));
    g_assert_cmpint(g_chmod(file, 0755), ==, 0);
    load(fixture, (char **)argv);
    while (!isInState(guestPid(fixture), 't') && g_get_monotonic_time() < until)
        g_usleep(1000);
    g_assert_true(hasMapped(guestPid(fixture), file));

    g_assert_false(guestFixtureExec(fixture, argv, IN_SEC(20), &error));
    g_assert_nonnull(strstr(error->message, "exited with status 7 at once"));
    (void)guestFixtureEnd(fixture);
    (void)g_unlink(file);
}

/* Does this kernel execute it at all? */
static gboolean
canExecuteOther(void)
{
    g_autofree char *dir = g_dir_make_tmp("leasehold-hold-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(dir, "other", NULL);
    char *argv[] = {file, NULL};
    int status = 0;
    gboolean can;

    g_assert_true(g_file_set_contents(file, (const char *)otherProgram,
                                      sizeof(otherProgram), NULL));
    g_assert_cmpint(g_chmod(file, 0755), ==, 0);
    can = g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status,
                       NULL) &&
          WIFEXITED(status) && WEXITSTATUS(status) == 7;
    (void)g_unlink(file);
    (void)g_rmdir(dir);
    return can;
}

/* --- who holds it dies ---------------------------------------------------------------------- */

typedef struct {
    GuestFixture *fixture;
    int fd;
} Supervisor;

static int
childHolds(gpointer data)
{
    Supervisor *self = data;
    g_auto(GStrv) argv = markerArgv(self->fixture);
    pid_t pid;

    load(self->fixture, argv);
    pid = guestPid(self->fixture);
    awaitLoaded(pid);
    (void)virFdWriteFull(self->fd, &pid, sizeof(pid));
    (void)pause();
    return 0;
}

static void
testDiesWithSupervisor(GuestFixture *fixture, gconstpointer data)
{
    int fds[2];
    Supervisor supervisor = {.fixture = fixture};
    const virSpawnOptions options = {
        .what = "a supervisor", .childForkSafe = childHolds, .data = &supervisor};
    pid_t pid;
    pid_t held;
    int pidfd;
    int heldFd;
    int status;

    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    supervisor.fd = fds[1];
    g_assert_true(virSpawn(&options, &pid, &pidfd, NULL));
    g_assert_cmpint(virFdReadFull(fds[0], &held, sizeof(held)), ==, 0);
    heldFd = virPidfdOpen(held);
    g_assert_cmpint(heldFd, >=, 0);
    g_assert_cmpint(virPidfdSendSignal(pidfd, SIGKILL), ==, 0);
    g_assert_true(virSpawnReap(pid, pidfd, IN_SEC(5), &status));

    g_assert_true(virPidfdWait(heldFd, IN_SEC(5)));
    g_assert_false(hasBegun(fixture));
    virFdClose(heldFd);
    virFdClose(pidfd);
    virFdClose(fds[0]);
    virFdClose(fds[1]);
}

/* The supervisor lives, but gives the child up. */
static void
testDiesWithPark(GuestFixture *fixture, gconstpointer data)
{
    g_auto(GStrv) argv = markerArgv(fixture);
    g_autoptr(GError) error = NULL;
    int pidfd;
    int status;
    pid_t pid;

    load(fixture, argv);
    pid = guestPid(fixture);
    awaitLoaded(pid);
    pidfd = virPidfdOpen(pid);
    virSupervisorGuestFree(fixture->guest);
    g_assert_true(virSpawnReap(pid, pidfd, IN_SEC(5), &status));
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==, SIGKILL);
    g_assert_false(hasBegun(fixture));
    virFdClose(pidfd);
    fixture->guest = virSupervisorGuestNew(&fixture->options, &error);
    virAssertNoError(error);
}

static void
add(const char *name, void (*func)(GuestFixture *, gconstpointer))
{
    g_autofree char *path = g_strconcat("/hold/", name, NULL);

    g_test_add(path, GuestFixture, NULL, guestFixtureUp, func, guestFixtureDown);
}

/* Not under a debugger, nor where ptrace is forbidden. */
static gboolean
canHold(void)
{
    pid_t pid = fork();
    virSupervisorHold *hold;
    gboolean can;

    if (pid == 0) {
        (void)pause();
        _exit(0);
    }
    hold = virSupervisorHoldNew(pid);
    can = hold != NULL;
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    virSupervisorHoldFree(hold);
    return can;
}

int
main(int argc, char **argv)
{
    if (!canHold()) {
        g_print("1..0 # SKIP no process can be traced here\n");
        return 0;
    }
    virTestInit(&argc, &argv);
    add("does-not-begin", testDoesNotBegin);
    add("executes-another", testExecutesAnother);
    add("ends-while-loaded", testEndsWhileLoaded);
    add("is-not-explained", testIsNotExplained);
    add("released-early", testReleasedEarly);
    add("qemu-goes-on-unchanged", testQemuGoesOnUnchanged);
    add("killed-while-held", testKilledWhileHeld);
    add("dead-when-released", testDeadWhenReleased);
    add("stopped-while-held", testStoppedWhileHeld);
    add("another-one-is-refused", testAnotherOneIsRefused);
    add("nothing-reaches-it-any-more", testNothingReachesItAnyMore);
    add("fails-to-execute", testFailsToExecute);
    add("is-executed-later", testIsExecutedLater);
    add("foreign-signal", testForeignSignal);
    add("traced-by-somebody-else", testTracedBySomebodyElse);
    add("privileges-do-not-suit", testPrivilegesDoNotSuit);
    if (canExecuteOther())
        add("stays-in-exec", testStaysInExec);
    add("dies-with-supervisor", testDiesWithSupervisor);
    add("dies-with-park", testDiesWithPark);
    return g_test_run();
}
