/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test-fd.c: exact reads, passed descriptors, and processes named by pid and start time.
 */
#include "common/fd.h"
#include "common/spawn.h"
#include "tests/lib/vir_test.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int
childPauses(gpointer data)
{
    while (pause() < 0)
        continue;
    return 0;
}

static pid_t
startPausing(int *pidfd)
{
    const virSpawnOptions options = {.what = "a child", .childForkSafe = childPauses};
    g_autoptr(GError) error = NULL;
    pid_t pid = -1;
    gboolean ok;

    ok = virSpawn(&options, &pid, pidfd, &error);
    virAssertNoError(error);
    g_assert_true(ok);
    return pid;
}

static void
testReadFullTellsTheEnd(void)
{
    char buffer[8];
    int fds[2];

    g_assert_cmpint(pipe(fds), ==, 0);
    g_assert_cmpint(virFdWriteFull(fds[1], "abcdef", 6), ==, 0);
    virFdClose(fds[1]);
    g_assert_cmpint(virFdReadFull(fds[0], buffer, 4), ==, 0);
    g_assert_cmpmem(buffer, 4, "abcd", 4);
    g_assert_cmpint(virFdReadFull(fds[0], buffer, 4), ==, ENODATA);
    virFdClose(fds[0]);
}

static void
testPassesDescriptor(void)
{
    int socks[2];
    char text[16];
    gsize len;
    int passed;
    int devnull = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct stat a;
    struct stat b;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks), ==, 0);
    g_assert_cmpint(virFdSend(socks[0], "F", 1, devnull), ==, 0);
    g_assert_cmpint(virFdRecv(socks[1], text, sizeof(text), &len, &passed), ==, 0);

    g_assert_cmpuint(len, ==, 1);
    g_assert_cmpint(passed, >=, 0);
    g_assert_cmpint(fcntl(passed, F_GETFD) & FD_CLOEXEC, !=, 0);
    g_assert_cmpint(fstat(devnull, &a), ==, 0);
    g_assert_cmpint(fstat(passed, &b), ==, 0);
    g_assert_true(a.st_ino == b.st_ino && a.st_dev == b.st_dev);

    g_assert_cmpint(virFdSend(socks[0], "too long for it!", 17, devnull), ==, 0);
    g_assert_cmpint(virFdRecv(socks[1], text, sizeof(text), &len, &passed), ==, EMSGSIZE);
    g_assert_cmpint(passed, ==, -1);

    virFdClose(socks[0]);
    g_assert_cmpint(virFdRecv(socks[1], text, sizeof(text), &len, &passed), ==, 0);
    g_assert_cmpuint(len, ==, 0);
    virFdClose(socks[1]);
    virFdClose(devnull);
}

static void
testProcessIsNamedByItsStart(void)
{
    int pidfd = -1;
    pid_t pid = startPausing(&pidfd);
    virProcessStat st;
    int other;

    g_assert_cmpint(virProcessReadStat(pid, &st), ==, 0);
    g_assert_cmpint(st.ppid, ==, getpid());
    g_assert_cmpint(st.session, ==, getsid(0));
    g_assert_cmpuint(st.startTime, >, 0);
    other = virPidfdOpenExact(pid, st.startTime);
    g_assert_cmpint(other, >=, 0);
    virFdClose(other);
    g_assert_cmpint(virPidfdOpenExact(pid, st.startTime + 1), ==, -1);
    g_assert_cmpint(errno, ==, ESRCH);

    g_assert_false(virPidfdWait(pidfd, g_get_monotonic_time() + 20000));
    g_assert_cmpint(virPidfdSendSignal(pidfd, SIGKILL), ==, 0);
    g_assert_true(virPidfdWait(pidfd, g_get_monotonic_time() + 5 * G_USEC_PER_SEC));
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    g_assert_cmpint(virPidfdSendSignal(pidfd, SIGKILL), ==, ESRCH);
    g_assert_cmpint(virProcessReadStat(pid, &st), ==, ENOENT);
    virFdClose(pidfd);
}

/* A process may call itself anything; "1 (a) Z 1 1) S ..." must not fool the parser. */
static void
testStatWithParenthesesInTheName(void)
{
    virProcessStat st;
    int fd = open("/proc/self/comm", O_WRONLY);

    g_assert_cmpint(virFdWriteFull(fd, "x) Z 1 1 (", 10), ==, 0);
    virFdClose(fd);
    g_assert_cmpint(virProcessReadStat(getpid(), &st), ==, 0);
    g_assert_cmpint(st.state, ==, 'R');
    g_assert_cmpint(st.ppid, ==, getppid());
    g_assert_cmpstr(st.comm, ==, "x) Z 1 1 (");
}

static void
testCopiesADescriptorOfAProcess(void)
{
    int pidfd = virPidfdOpen(getpid());
    int copy = virPidfdGetFd(pidfd, 2);

    if (copy < 0 && errno == EPERM) {
        g_test_skip("pidfd_getfd is not permitted here");
        virFdClose(pidfd);
        return;
    }
    g_assert_cmpint(copy, >, 2);
    g_assert_cmpint(virPidfdGetFd(pidfd, 9999), ==, -1);
    g_assert_cmpint(errno, ==, EBADF);
    virFdClose(copy);
    virFdClose(pidfd);
}

static void
testSocketIsPrivateAndPathBounded(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("leasehold-fd-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    g_autofree char *filler = g_strnfill(120, 'x');
    g_autofree char *longPath = g_build_filename(dir, filler, NULL);
    int listener = virUnixListen(path, SOCK_STREAM, &error);
    int client;
    struct stat st;

    virAssertNoError(error);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 0777, ==, 0600);
    client = virUnixConnect(path, SOCK_STREAM, &error);
    virAssertNoError(error);
    virFdClose(client);
    virFdClose(listener);

    g_assert_cmpint(virUnixConnect(path, SOCK_STREAM, &error), ==, -1);
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE);
    g_clear_error(&error);
    g_assert_cmpint(virUnixListen(longPath, SOCK_STREAM, &error), ==, -1);
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "107"));
    g_assert_nonnull(strstr(error->message, longPath));
    (void)g_unlink(path);
    (void)g_rmdir(dir);
}

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    g_test_add_func("/fd/read-full-tells-the-end", testReadFullTellsTheEnd);
    g_test_add_func("/fd/passes-descriptor", testPassesDescriptor);
    g_test_add_func("/fd/process-is-named-by-its-start", testProcessIsNamedByItsStart);
    g_test_add_func("/fd/stat-with-parentheses", testStatWithParenthesesInTheName);
    g_test_add_func("/fd/copies-a-descriptor", testCopiesADescriptorOfAProcess);
    g_test_add_func("/fd/socket-is-private-and-bounded",
                    testSocketIsPrivateAndPathBounded);
    return g_test_run();
}
