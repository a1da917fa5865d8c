/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log_limit.c: see log_limit.h.
 *
 * What is written between the copy and the emptying is lost; that is better than a writer that
 * has to be asked to open the file again, which QEMU cannot.
 */
#include "supervisor/log_limit.h"
#include "common/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAUSE_MSEC 1000

struct _virSupervisorLogLimit {
    char *path;
    char *oldPath;
    int notifyFd;
    guint source;
    guint pause;
};

/* At most the limit, from its end: a log that grew while nobody watched may be larger. */
static gboolean
virLogLimitCopy(virSupervisorLogLimit *limit, int fd, off_t size)
{
    off_t offset = MAX(size - VIR_SUPERVISOR_LOG_MAX, 0);
    g_auto(virFd) out =
        open(limit->oldPath, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (out < 0)
        return FALSE;
    while (offset < size) {
        ssize_t n = sendfile(out, fd, &offset, (size_t)(size - offset));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return FALSE;
    }
    return TRUE;
}

/* A copy that fails, on a full disk perhaps, is no reason to let the log grow. */
static void
virLogLimitCheck(virSupervisorLogLimit *limit)
{
    g_auto(virFd) fd = open(limit->path, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        st.st_size <= VIR_SUPERVISOR_LOG_MAX)
        return;
    if (!virLogLimitCopy(limit, fd, st.st_size))
        (void)unlink(limit->oldPath);
    if (ftruncate(fd, 0) < 0)
        g_warning("cannot empty the log '%s': %s", limit->path, g_strerror(errno));
}

/* --- watching ----------------------------------------------------------------------------- */

static gboolean virLogLimitWritten(gint fd, GIOCondition condition, gpointer data);

static gboolean
virLogLimitResume(gpointer data)
{
    virSupervisorLogLimit *limit = data;

    limit->pause = 0;
    limit->source = g_unix_fd_add(limit->notifyFd, G_IO_IN, virLogLimitWritten, limit);
    return G_SOURCE_REMOVE;
}

/* A writer without end must not keep us busy, too. */
static gboolean
virLogLimitWritten(gint fd, GIOCondition condition, gpointer data)
{
    virSupervisorLogLimit *limit = data;
    char events[4096];

    (void)condition;
    while (read(fd, events, sizeof(events)) > 0)
        continue;
    virLogLimitCheck(limit);
    limit->source = 0;
    limit->pause = g_timeout_add(PAUSE_MSEC, virLogLimitResume, limit);
    return G_SOURCE_REMOVE;
}

virSupervisorLogLimit *
virSupervisorLogLimitNew(const char *path)
{
    virSupervisorLogLimit *limit = g_new0(virSupervisorLogLimit, 1);

    limit->path = g_strdup(path);
    limit->oldPath = g_strconcat(path, ".1", NULL);
    virLogLimitCheck(limit);
    limit->notifyFd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (limit->notifyFd >= 0 &&
        inotify_add_watch(limit->notifyFd, path, IN_MODIFY) >= 0)
        limit->source = g_unix_fd_add(limit->notifyFd, G_IO_IN, virLogLimitWritten, limit);
    else
        g_warning("cannot watch the log '%s', which may grow without limit: %s", path,
                  g_strerror(errno));
    return limit;
}

void
virSupervisorLogLimitFree(virSupervisorLogLimit *limit)
{
    if (!limit)
        return;
    if (limit->source)
        g_source_remove(limit->source);
    if (limit->pause)
        g_source_remove(limit->pause);
    virFdClose(limit->notifyFd);
    g_free(limit->path);
    g_free(limit->oldPath);
    g_free(limit);
}
