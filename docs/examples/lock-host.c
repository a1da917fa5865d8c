/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lock-host.c: QEMU under leases with liblock_manager alone, in both of its ways, and taken up
 * again when this program was gone.
 *
 *   cc lock-host.c -o lock-host $(pkg-config --cflags --libs leasehold-lock-manager)
 *   ./lock-host fork      web c0ffee00-... web.img -- qemu-system-x86_64 ...
 *   ./lock-host supervise web c0ffee00-... web.img -- qemu-system-x86_64 ...
 *   ./lock-host attach    web c0ffee00-... web.img -- PID
 *
 * fork: this program forks QEMU itself. The child registers with the lock daemon, waits until
 * its leases are held, and becomes QEMU; the leases are QEMU's and end with it.
 * supervise: it spawns what GetSupervisorPath and GetSupervisorArgs say, with QEMU's argv
 * behind it, and is told when the guest is up.
 * attach: QEMU runs already. The lock daemon is asked what this process holds.
 *
 * Each prints what is held and by which process, waits for the end of QEMU, and checks that all
 * is free. Its exit status is QEMU's (after attach, which cannot know that, 0), 3 when another
 * host or guest holds something, and 4 when the process does not hold what it should.
 * docs/lock-manager.txt explains each step.
 */
#include <leasehold/lock_manager.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static virLockManager *
describe(virLockManagerPlugin *plugin, char *const *names, guint flags, GError **error)
{
    g_autoptr(virLockManager) man =
        virLockManagerNew(plugin, VIR_LOCK_MANAGER_OBJECT_DOMAIN, flags, error);

    if (!man || !virLockManagerSetParameter(man, "name", names[0], error) ||
        !virLockManagerSetParameter(man, "uuid", names[1], error) ||
        !virLockManagerRegisterResource(man, VIR_LOCK_RESOURCE_DISK, names[2], NULL, 0,
                                        error))
        return NULL;
    return g_steal_pointer(&man);
}

/* What the lock daemon says, whatever we believe. */
static gboolean
show(virLockManager *man, GError **error)
{
    pid_t pid = virLockManagerGetChild(man, error);
    g_autoptr(GPtrArray) leases =
        pid > 0 ? virLockManagerInquire(man, NULL, error) : NULL;

    if (!leases)
        return FALSE;
    for (guint i = 0; i < leases->len; i++) {
        const virLockLease *lease = g_ptr_array_index(leases, i);

        printf("held by %d: %s\n", (int)pid, lease->path ? lease->path : lease->name);
    }
    fflush(stdout);
    return TRUE;
}

/* --- the way of a host that forks ------------------------------------------------------- */

/* A plugin whose leases are open files gives them to the child through this. */
static gboolean
passFile(int fd, const char *name, gpointer data, GError **error)
{
    char byte = 'f';
    struct iovec bytes = {.iov_base = &byte, .iov_len = 1};
    char room[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = room,
                             .msg_controllen = sizeof(room)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(int));
    if (sendmsg(GPOINTER_TO_INT(data), &message, MSG_NOSIGNAL) == 1)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE, "the child is gone: %s",
                g_strerror(errno));
    return FALSE;
}

/* In the child: async-signal-safe calls only. Files that are passed stay open in QEMU. */
static void
childMain(virLockManager *man, int sock, char *const *qemu)
{
    const char *problem = NULL;
    char byte = 'f';
    struct iovec bytes = {.iov_base = &byte, .iov_len = 1};
    int inherit = -1;

    if (virLockManagerRegisterChild(man, &inherit, &problem) != 0 ||
        write(sock, "r", 1) != 1)
        _exit(126);
    while (byte == 'f') {
        char room[CMSG_SPACE(sizeof(int))];
        struct msghdr message = {.msg_iov = &bytes,
                                 .msg_iovlen = 1,
                                 .msg_control = room,
                                 .msg_controllen = sizeof(room)};

        if (recvmsg(sock, &message, 0) != 1)
            _exit(125);
    }
    execvp(qemu[0], qemu);
    _exit(127);
}

static gboolean
takeLeases(virLockManager *man, pid_t pid, int sock, GError **error)
{
    g_autofree char *text = g_strdup_printf("%d", (int)pid);
    char ready = 0;

    if (read(sock, &ready, 1) != 1) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "the child could not register with the lock daemon");
        return FALSE;
    }
    virLockManagerSetFdPass(man, passFile, GINT_TO_POINTER(sock));
    return virLockManagerSetParameter(man, "pid", text, error) &&
           virLockManagerAcquireObject(man, 0, NULL, error) &&
           virLockManagerAdvanceUse(man, NULL, error);
}

static gboolean
letExecute(int sock, GError **error)
{
    if (send(sock, "g", 1, MSG_NOSIGNAL) == 1)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "the child is gone: %s", g_strerror(errno));
    return FALSE;
}

static pid_t
startForked(virLockManager *man, char *const *qemu, GError **error)
{
    int pair[2];
    pid_t pid = -1;

    if (!virLockManagerPrepareChild(man, error))
        return -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0)
        pid = fork();
    if (pid == 0)
        childMain(man, pair[1], qemu);
    if (pid < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE, "cannot fork: %s",
                    g_strerror(errno));
        return -1;
    }
    close(pair[1]);
    if (!takeLeases(man, pid, pair[0], error) || !letExecute(pair[0], error)) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        pid = -1;
    }
    close(pair[0]);
    return pid;
}

/* --- the way of a host that lets the supervisor do it ----------------------------------- */

/* The child of ours is the program that stays with the guest and ends as QEMU ends. */
static pid_t
startSupervised(virLockManager *man, char *const *qemu, GError **error)
{
    g_auto(GStrv) args = virLockManagerGetSupervisorArgs(man, error);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) whole = NULL;
    GPid pid = -1;

    if (!args)
        return -1;
    g_strv_builder_add(builder, virLockManagerGetSupervisorPath(man));
    g_strv_builder_addv(builder, (const char **)args);
    g_strv_builder_addv(builder, (const char **)qemu);
    whole = g_strv_builder_end(builder);
    if (!g_spawn_async(NULL, whole, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid,
                       error))
        return -1;
    if (virLockManagerAcquireObject(man, 0, NULL, error))
        return pid;
    waitpid(pid, NULL, 0); /* it has said why, and it ends by itself */
    return -1;
}

/* --- after a restart -------------------------------------------------------------------- */

/* A host that does this for its own QEMU has kept the start time of the process with its pid, and
 * has compared it: pids are used again. Here it is the user's word. */
static pid_t
attach(virLockManager *man, const char *pid, int *pidfd, GError **error)
{
    /* opened before anything is asked: from here on we speak of one process */
    *pidfd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
    if (*pidfd < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE, "process %s: %s", pid,
                    g_strerror(errno));
        return -1;
    }
    if (!virLockManagerSetParameter(man, "pid", pid, error) ||
        !virLockManagerAcquireObject(man, 0, NULL, error))
        return -1;
    return virLockManagerGetChild(man, error);
}

/* It is not our child, so nobody tells us its status. */
static void
awaitOther(int pidfd)
{
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};

    while (poll(&ended, 1, -1) < 0 && errno == EINTR)
        continue;
}

/* --- main ------------------------------------------------------------------------------- */

static int
fail(const GError *error)
{
    fprintf(stderr, "lock-host: %s\n", error->message);
    return error->code == VIR_LOCK_ERROR_BUSY   ? 3
           : error->code == VIR_LOCK_ERROR_LOST ? 4
                                                : EXIT_FAILURE;
}

static int
awaitChild(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* QEMU is gone; then its leases are gone, and Shutdown looks whether they are. */
static int
finish(virLockManager *man, int status, GError **error)
{
    if (!virLockManagerShutdown(man, NULL, error))
        return fail(*error);
    printf("ended: all is free\n");
    return status;
}

static int
usage(void)
{
    fprintf(stderr, "usage: lock-host fork|supervise NAME UUID DISK -- QEMU ARGS...\n"
                    "       lock-host attach NAME UUID DISK -- PID\n");
    return 2;
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virLockConfig) config = NULL;
    g_autoptr(virLockManagerPlugin) plugin = NULL;
    g_autoptr(virLockManager) man = NULL;
    const char *way = argc > 6 ? argv[1] : "";
    gboolean attaches = g_str_equal(way, "attach");
    int pidfd = -1;
    pid_t pid = -1;

    if (!attaches && !g_str_equal(way, "fork") && !g_str_equal(way, "supervise"))
        return usage();
    config = virLockConfigLoad(NULL, &error);
    if (config)
        plugin = virLockManagerPluginLoad(config, NULL, &error);
    if (plugin)
        man = describe(plugin, argv + 2, attaches ? VIR_LOCK_MANAGER_NEW_ATTACH : 0,
                       &error);
    if (man)
        pid = attaches                   ? attach(man, argv[6], &pidfd, &error)
              : g_str_equal(way, "fork") ? startForked(man, argv + 6, &error)
                                         : startSupervised(man, argv + 6, &error);
    if (pid < 0 || !show(man, &error))
        return fail(error);
    if (!attaches)
        return finish(man, awaitChild(pid), &error);
    awaitOther(pidfd);
    return finish(man, 0, &error);
}
