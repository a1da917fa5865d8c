/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * leftovers.c: a killed process hands its own children to us, so this goes round until
 * nothing is found. A child of ours that was not reaped keeps its number: signalling it by
 * number is exact. Others are signalled by pidfd.
 */
#include "supervisor/leftovers.h"
#include "common/fd.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void
addNumbers(GArray *stats, const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);

    for (gsize i = 0; words[i]; i++) {
        virProcessStat st;

        if (*words[i] && virProcessReadStat(atoi(words[i]), &st) == 0)
            g_array_append_val(stats, st);
    }
}

/* The children of all our threads. */
static void
collectChildren(GArray *stats)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/task", 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_strdup_printf("/proc/self/task/%s/children", name);
        g_autofree char *text = NULL;

        if (g_file_get_contents(path, &text, NULL, NULL))
            addNumbers(stats, text);
    }
}

static void
collectAll(GArray *stats)
{
    g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        if (g_ascii_isdigit(*name))
            addNumbers(stats, name);
    }
}

/* Those to be ended. */
static GArray *
findLeftovers(virSupervisorLeftoversKind kind, pid_t qemuPid)
{
    GArray *stats = g_array_new(FALSE, FALSE, sizeof(virProcessStat));
    pid_t session = getsid(0);

    if (kind == VIR_SUPERVISOR_LEFTOVERS_OURS)
        collectChildren(stats);
    else
        collectAll(stats);
    for (guint i = stats->len; i > 0; i--) {
        const virProcessStat *st = &g_array_index(stats, virProcessStat, i - 1);
        gboolean theirs = kind == VIR_SUPERVISOR_LEFTOVERS_OURS
                              ? st->session != session && st->ppid == getpid()
                              : st->session == qemuPid && st->state != 'Z';

        if (!theirs || st->pid == qemuPid)
            g_array_remove_index_fast(stats, i - 1);
    }
    return stats;
}

static void
endOne(virSupervisorLeftoversKind kind, const virProcessStat *st, gint64 deadlineUsec)
{
    g_auto(virFd) pidfd = virPidfdOpenExact(st->pid, st->startTime);
    /* one that cannot die (stuck in the kernel) must not keep the others alive */
    gint64 patience = MIN(deadlineUsec, g_get_monotonic_time() + G_USEC_PER_SEC / 10);

    if (pidfd < 0)
        return;
    (void)virPidfdSendSignal(pidfd, SIGKILL);
    if (virPidfdWait(pidfd, patience) && kind == VIR_SUPERVISOR_LEFTOVERS_OURS)
        (void)waitpid(st->pid, NULL, WNOHANG);
}

static char *
describe(const GArray *stats)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < stats->len; i++) {
        const virProcessStat *st = &g_array_index(stats, virProcessStat, i);

        g_string_append_printf(text, "%sprocess %d (%s, state %c)", i > 0 ? ", " : "",
                               (int)st->pid, st->comm, st->state);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

char *
virSupervisorLeftoversEnd(virSupervisorLeftoversKind kind, pid_t qemuPid,
                          gint64 deadlineUsec)
{
    for (;;) {
        g_autoptr(GArray) stats = findLeftovers(kind, qemuPid);

        if (stats->len == 0)
            return NULL;
        for (guint i = 0; i < stats->len; i++)
            endOne(kind, &g_array_index(stats, virProcessStat, i), deadlineUsec);
        if (g_get_monotonic_time() >= deadlineUsec)
            return describe(stats);
    }
}
