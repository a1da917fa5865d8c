/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * marker.c: see marker.h. A marker is one line: "1 PID START DAEMON-PID DAEMON-START NAME".
 * It need not survive a crash of the host, which ends all these processes; so no fsync.
 */
#include "plugins/sanlock/marker.h"

#include <errno.h>
#include <stdio.h>

#include <glib/gstdio.h>

#include "common/fd.h"
#include "common/text.h"

#define MARKER_VERSION 1

typedef struct {
    int version;
    int pid;
    guint64 startTime;
    int daemonPid;
    guint64 daemonStartTime;
    char *name;
} virSanlockMarker;

static char *
virSanlockMarkerFolder(const virSanlockConfig *config)
{
    return g_build_filename(config->stateDir, "sanlock-guests", NULL);
}

static char *
virSanlockMarkerPath(const virSanlockConfig *config, const char *uuid)
{
    return g_build_filename(config->stateDir, "sanlock-guests", uuid, NULL);
}

gboolean
virSanlockMarkerWrite(const virSanlockConfig *config, const char *uuid, const char *name,
                      pid_t pid, GError **error)
{
    g_autofree char *folder = virSanlockMarkerFolder(config);
    g_autofree char *path = virSanlockMarkerPath(config, uuid);
    g_autofree char *printable = virTextPrintable(name);
    g_autofree char *text = NULL;
    g_autoptr(GError) local = NULL;
    virSanlockDaemonId daemon;
    virProcessStat stat;
    int rc = virProcessReadStat(pid, &stat);

    if (rc != 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "the process of guest '%s' (pid %d) ended: %s", name, (int)pid,
                    g_strerror(rc));
        return FALSE;
    }
    if (!virSanlockDaemonIdentify(&daemon, error))
        return FALSE;
    text = g_strdup_printf("%d %d %" G_GUINT64_FORMAT " %d %" G_GUINT64_FORMAT " %s\n",
                           MARKER_VERSION, (int)pid, stat.startTime, (int)daemon.pid,
                           daemon.startTime, printable);
    if (g_mkdir_with_parents(folder, 0700) == 0 &&
        g_file_set_contents_full(path, text, -1,
                                 G_FILE_SET_CONTENTS_CONSISTENT |
                                     G_FILE_SET_CONTENTS_ONLY_EXISTING,
                                 0600, &local))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "cannot note in %s that guest '%s' will hold leases: %s", folder, name,
                local ? local->message : g_strerror(errno));
    return FALSE;
}

static gboolean
virSanlockMarkerRead(const char *path, virSanlockMarker *marker)
{
    g_autofree char *text = NULL;
    int end = 0;

    if (!g_file_get_contents(path, &text, NULL, NULL) ||
        sscanf(text, "%d %d %" G_GUINT64_FORMAT " %d %" G_GUINT64_FORMAT " %n",
               &marker->version, &marker->pid, &marker->startTime, &marker->daemonPid,
               &marker->daemonStartTime, &end) != 5 ||
        marker->version != MARKER_VERSION || end == 0)
        return FALSE;
    marker->name = g_strchomp(g_strdup(text + end));
    return TRUE;
}

/* By pidfd: that is readable only when the last thread is gone, and a thread that is stuck
 * in the kernel may still write when /proc already calls the process a zombie. */
static gboolean
virSanlockProcessIsAlive(int pid, guint64 startTime)
{
    g_auto(virFd) pidfd = virPidfdOpenExact(pid, startTime);

    if (pidfd < 0)
        return errno != ESRCH; /* if in doubt, alive */
    return !virPidfdWait(pidfd, 0);
}

void
virSanlockMarkerForget(const virSanlockConfig *config, const char *uuid)
{
    g_autofree char *path = virSanlockMarkerPath(config, uuid);
    virSanlockMarker marker = {0};

    if (virSanlockMarkerRead(path, &marker) &&
        !virSanlockProcessIsAlive(marker.pid, marker.startTime))
        g_unlink(path);
    g_free(marker.name);
}

/* Appends the guest to @living if it belongs to another daemon and lives. */
static void
virSanlockMarkerJudge(const char *path, const virSanlockDaemonId *now, GString *living)
{
    virSanlockMarker marker = {0};

    if (!virSanlockMarkerRead(path, &marker)) {
        g_string_append_printf(living, "%s%s (unreadable)", living->len ? ", " : "",
                               path);
        return;
    }
    if (!virSanlockProcessIsAlive(marker.pid, marker.startTime))
        g_unlink(path);
    else if (marker.daemonPid != now->pid || marker.daemonStartTime != now->startTime)
        g_string_append_printf(living, "%s'%s' (pid %d)", living->len ? ", " : "",
                               marker.name, marker.pid);
    g_free(marker.name);
}

gboolean
virSanlockMarkerCheck(const virSanlockConfig *config, const virSanlockDaemonId *now,
                      GError **error)
{
    g_autofree char *folder = virSanlockMarkerFolder(config);
    g_autoptr(GString) living = g_string_new(NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *entry;

    while (dir && (entry = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, entry, NULL);

        if (strchr(entry, '.')) /* a temporary file of somebody who writes one now */
            continue;
        virSanlockMarkerJudge(path, now, living);
    }
    if (living->len == 0)
        return TRUE;
    g_set_error(
        error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
        "guests of an earlier sanlock daemon still run on this host: %s; their leases "
        "would be free for other hosts as soon as it joins. Destroy them first",
        living->str);
    return FALSE;
}
