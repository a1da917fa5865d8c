/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cgroup.c: names are leasehold-<uuid>.XXXXXX, made unique as mkdtemp does, because two
 * "hosts" of a migration may share one machine: killing one's must not kill the other's.
 */
#include "supervisor/cgroup.h"
#include "common/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "leasehold-"
#define STALE_SEC 60

/* Mount point of the cgroup2 hierarchy, or NULL. */
static char *
findMount(void)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    if (!g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL))
        return NULL;
    lines = g_strsplit(text, "\n", -1);
    for (gsize i = 0; lines[i]; i++) {
        /* 36 25 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw */
        g_auto(GStrv) words = g_strsplit(lines[i], " ", -1);

        if (strstr(lines[i], " - cgroup2 ") && g_strv_length(words) > 5 &&
            strcmp(words[3], "/") == 0)
            return g_strcompress(words[4]);
    }
    return NULL;
}

/* The cgroup2 directory that @pid is in, or NULL. */
static char *
directoryOf(pid_t pid)
{
    g_autofree char *mount = findMount();
    g_autofree char *file = g_strdup_printf("/proc/%d/cgroup", (int)pid);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    if (!mount || !g_file_get_contents(file, &text, NULL, NULL))
        return NULL;
    lines = g_strsplit(text, "\n", -1);
    for (gsize i = 0; lines[i]; i++) {
        /* "0::/../x" is outside of our cgroup namespace: not reachable below the mount */
        if (g_str_has_prefix(lines[i], "0::/") && !g_str_has_prefix(lines[i], "0::/.."))
            return g_build_filename(mount, lines[i] + 3, NULL);
    }
    return NULL;
}

static gboolean
writeFile(const char *dir, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_auto(virFd) fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && virFdWriteFull(fd, text, strlen(text)) == 0;
}

/* A fork into another cgroup is a move: it needs the right to write the common ancestor's
 * cgroup.procs. */
static gboolean
canLeave(const char *parent)
{
    g_autofree char *path = g_build_filename(parent, "cgroup.procs", NULL);

    return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
}

/* Removes what nobody was left to remove: the supervisor died first, then its QEMU. */
static void
removeStale(const char *parent)
{
    g_autoptr(GDir) dir = g_dir_open(parent, 0, NULL);
    gint64 nowSec = g_get_real_time() / G_USEC_PER_SEC;
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(parent, name, NULL);
        struct stat st;

        /* a fresh one is empty because its supervisor has not forked into it yet; one in
         * which something lives cannot be removed */
        if (g_str_has_prefix(name, PREFIX) && stat(path, &st) == 0 &&
            nowSec - st.st_ctim.tv_sec > STALE_SEC)
            (void)g_rmdir(path);
    }
}

char *
virSupervisorCgroupNew(const char *uuid, int *fd)
{
    g_autofree char *parent = directoryOf(getpid());
    g_autofree char *name = g_strconcat(PREFIX, uuid, ".XXXXXX", NULL);
    g_autofree char *path = NULL;

    if (!parent)
        return NULL;
    removeStale(parent);
    path = g_build_filename(parent, name, NULL);
    if (!g_mkdtemp_full(path, 0755))
        return NULL;
    /* cgroup.kill came with Linux 5.14; without it the cgroup would serve nothing. Whoever
     * may not write cgroup.procs of both may not fork into it either. */
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0 || !writeFile(path, "cgroup.kill", "") ||
        faccessat(*fd, "cgroup.procs", W_OK, AT_EACCESS) != 0 || !canLeave(parent)) {
        virFdClose(g_steal_fd(fd));
        (void)g_rmdir(path);
        return NULL;
    }
    return g_steal_pointer(&path);
}

char *
virSupervisorCgroupFind(const char *uuid, pid_t pid)
{
    g_autofree char *path = directoryOf(pid);
    g_autofree char *prefix = g_strdup_printf("/" PREFIX "%s.", uuid);
    char *last = path ? strrchr(path, '/') : NULL;

    return last && g_str_has_prefix(last, prefix) ? g_steal_pointer(&path) : NULL;
}

void
virSupervisorCgroupKill(const char *path)
{
    (void)writeFile(path, "cgroup.kill", "1");
}

static gboolean
isPopulated(int eventsFd)
{
    char text[256];
    ssize_t n = pread(eventsFd, text, sizeof(text) - 1, 0);

    if (n < 0)
        return errno != ENODEV; /* removed already */
    text[n] = '\0';
    return strstr(text, "populated 1") != NULL;
}

gboolean
virSupervisorCgroupRemove(const char *path, gint64 deadlineUsec)
{
    g_autofree char *events = g_build_filename(path, "cgroup.events", NULL);
    g_auto(virFd) fd = open(events, O_RDONLY | O_CLOEXEC);
    struct pollfd poller = {.fd = fd, .events = POLLPRI};

    if (fd < 0)
        return errno == ENOENT;
    while (isPopulated(fd)) {
        int timeoutMsec = virPollTimeoutMsec(deadlineUsec);

        if (timeoutMsec == 0)
            return FALSE;
        (void)poll(&poller, 1, timeoutMsec);
    }
    (void)g_rmdir(path);
    return TRUE;
}
