/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * create.c: running the helper that creates missing lease slots.
 */
#include "plugins/sanlock/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/fd.h"
#include "common/spawn.h"

#define HELPER_NAME "leasehold-sanlock-helper"
#define MAX_ANSWER 4096
#define REAP_USEC G_USEC_PER_SEC

/* From the job's data to argv. Free: g_ptr_array_unref. */
static GPtrArray *
virSanlockHelperArgv(const virSanlockLeaseSet *set, gint64 msec)
{
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);

    g_ptr_array_add(argv, g_build_filename(set->config->helperDir, HELPER_NAME, NULL));
    g_ptr_array_add(argv, g_strdup("create-slots"));
    g_ptr_array_add(argv, g_strdup(set->config->store));
    g_ptr_array_add(argv, g_strdup(set->geometry.lockspace));
    g_ptr_array_add(argv, g_strdup_printf("%" G_GINT64_FORMAT, msec));
    for (gsize i = 0; i < set->n; i++)
        if (set->leases[i].slot < 0)
            g_ptr_array_add(argv, g_strdup(set->leases[i].name));
    g_ptr_array_add(argv, NULL);
    return argv;
}

/* Reads the helper's answer until it ends, the deadline passes or it is cancelled. */
static gboolean
virSanlockHelperRead(int fd, GString *answer, const virSanlockBounds *bounds)
{
    GPollFD cancel = {.fd = -1};
    gboolean cancellable =
        bounds->cancellable && g_cancellable_make_pollfd(bounds->cancellable, &cancel);
    gboolean ended = FALSE;

    while (!ended) {
        struct pollfd fds[2] = {{.fd = fd, .events = POLLIN},
                                {.fd = cancellable ? cancel.fd : -1, .events = POLLIN}};
        char buffer[512];
        ssize_t got;
        int n = poll(fds, 2, virPollTimeoutMsec(bounds->deadlineUsec));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || fds[1].revents)
            break;
        got = read(fd, buffer, sizeof(buffer));
        if (got > 0 && answer->len < MAX_ANSWER)
            g_string_append_len(answer, buffer, got);
        ended = got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN);
    }
    if (cancellable)
        g_cancellable_release_fd(bounds->cancellable);
    return ended;
}

static gboolean
virSanlockHelperJudge(int waitStatus, GString *answer, GError **error)
{
    g_autofree char *ending = NULL;
    char *message = NULL;
    gint64 code = strtoll(answer->str, &message, 10);

    if (WIFEXITED(waitStatus) && WEXITSTATUS(waitStatus) == 0)
        return TRUE;
    g_strchomp(answer->str);
    if (message && *message == ' ' && code >= 0 && code <= VIR_LOCK_ERROR_INDETERMINATE) {
        g_set_error_literal(error, VIR_LOCK_ERROR, code, message + 1);
        return FALSE;
    }
    ending = virSpawnDescribeStatus(waitStatus);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL, "%s %s", HELPER_NAME,
                ending);
    return FALSE;
}

static gboolean
virSanlockHelperRun(GPtrArray *argv, const virSanlockBounds *bounds, GError **error)
{
    g_autoptr(GString) answer = g_string_new(NULL);
    virSpawnOptions options = {
        .what = "the lease helper",
        .flags = VIR_SPAWN_CLOSE_FDS | VIR_SPAWN_NEW_SESSION,
        .argv = (const char *const *)argv->pdata,
    };
    g_auto(virFd) pidfd = -1;
    g_auto(virFd) readEnd = -1;
    g_auto(virFd) writeEnd = -1;
    int ends[2], waitStatus;
    gboolean ended;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "cannot make a pipe: %s", g_strerror(errno));
        return FALSE;
    }
    readEnd = ends[0];
    writeEnd = ends[1];
    options.stdioFds[0] = options.stdioFds[2] = VIR_SPAWN_STDIO_NULL;
    options.stdioFds[1] = writeEnd;
    if (!virSpawn(&options, &pid, &pidfd, error))
        return FALSE;
    close(g_steal_fd(&writeEnd));
    ended = virSanlockHelperRead(readEnd, answer, bounds);
    if (!ended)
        virPidfdSendSignal(pidfd, SIGKILL);
    if (!virSpawnReap(pid, pidfd, g_get_monotonic_time() + REAP_USEC, &waitStatus) ||
        !ended) {
        g_set_error(error, VIR_LOCK_ERROR,
                    g_cancellable_is_cancelled(bounds->cancellable)
                        ? VIR_LOCK_ERROR_CANCELLED
                        : VIR_LOCK_ERROR_TIMEOUT,
                    "creating leases: %s",
                    g_cancellable_is_cancelled(bounds->cancellable)
                        ? "cancelled"
                        : "not done within the time allowed");
        return FALSE;
    }
    return virSanlockHelperJudge(waitStatus, answer, error);
}

gboolean
virSanlockLeaseSetCreate(virSanlockLeaseSet *set, const virSanlockBounds *bounds,
                         GError **error)
{
    gint64 left = bounds->deadlineUsec - g_get_monotonic_time();
    g_autoptr(GPtrArray) argv = virSanlockHelperArgv(set, MAX(left, 0) / 1000);

    if (!virSanlockHelperRun(argv, bounds, error) ||
        !virSanlockLeaseSetLocate(set, bounds, error))
        return FALSE;
    if (virSanlockLeaseSetIsComplete(set))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "leases that were created in store %s a moment ago are gone again",
                set->config->store);
    return FALSE;
}
