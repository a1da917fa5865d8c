/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helper_run.c: see helper_run.h.
 */
#include "plugins/sanlock/helper_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/fd.h"
#include "common/spawn.h"

#define HELPER_NAME "leasehold-sanlock-helper"
#define REAP_USEC G_USEC_PER_SEC

GPtrArray *
virSanlockHelperArgv(const virSanlockConfig *config, const char *command,
                     const char *lockspace, const virSanlockBounds *bounds)
{
    gint64 left = bounds->deadlineUsec - g_get_monotonic_time();
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);

    g_ptr_array_add(argv, g_build_filename(config->helperDir, HELPER_NAME, NULL));
    g_ptr_array_add(argv, g_strdup(command));
    g_ptr_array_add(argv, g_strdup(config->store));
    g_ptr_array_add(argv, g_strdup(lockspace));
    g_ptr_array_add(argv, g_strdup_printf("%" G_GINT64_FORMAT, MAX(left, 0) / 1000));
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
        if (got > 0 && answer->len < VIR_SANLOCK_HELPER_MAX_ANSWER)
            g_string_append_len(answer, buffer, got);
        ended = got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN);
    }
    if (cancellable)
        g_cancellable_release_fd(bounds->cancellable);
    return ended;
}

/* The line that begins with a number and a space: names of leases have none. */
static const char *
virSanlockHelperErrorLine(const char *answer)
{
    const char *at = strchr(answer, ' ');

    if (!at)
        return answer;
    while (at > answer && at[-1] != '\n')
        at--;
    return at;
}

static gboolean
virSanlockHelperJudge(int waitStatus, GString *answer, GError **error)
{
    g_autofree char *ending = NULL;
    char *message = NULL;
    gint64 code = strtoll(virSanlockHelperErrorLine(answer->str), &message, 10);

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

gboolean
virSanlockHelperRun(GPtrArray *argv, GString *answer, const virSanlockBounds *bounds,
                    GError **error)
{
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
                    "changing the leases of the store: %s",
                    g_cancellable_is_cancelled(bounds->cancellable)
                        ? "cancelled"
                        : "not done within the time allowed");
        return FALSE;
    }
    return virSanlockHelperJudge(waitStatus, answer, error);
}
