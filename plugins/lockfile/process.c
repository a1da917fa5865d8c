/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * process.c: locks as /proc shows them.
 *
 * The kernel does not tell who holds an OFD lock (F_OFD_GETLK says pid -1), but
 * /proc/PID/fdinfo/FD has a line for each lock of the description behind the descriptor:
 *
 *     lock:	1: OFDLCK ADVISORY  WRITE -1 00:2f:4711 0 0
 *
 * So what a process holds is read from its own table of files, which is the truth that the
 * lease hangs on, and not from our memory.
 */
#include "plugins/lockfile/lockfile.h"

#include "common/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- /proc/PID/stat ----------------------------------------------------------------------- */

/* Field @n (from 3) behind the name, which may contain blanks and parentheses. */
static guint64
virLockfileStatField(pid_t pid, guint n)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
    g_autofree char *text = NULL;
    g_auto(GStrv) fields = NULL;
    const char *rest;

    if (!g_file_get_contents(path, &text, NULL, NULL) || !(rest = strrchr(text, ')')))
        return 0;
    fields = g_strsplit(g_strchug((char *)rest + 1), " ", -1);
    if (g_strv_length(fields) <= n - 3)
        return 0;
    return g_ascii_strtoull(fields[n - 3], NULL, 10);
}

guint64
virLockfileStartTime(pid_t pid)
{
    return virLockfileStatField(pid, 22);
}

/* --- /proc/PID/fdinfo --------------------------------------------------------------------- */

static void
virLockfileSeenFree(virLockfileSeen *seen)
{
    g_free(seen->target);
    g_free(seen);
}

/* The last two words of the line are the first and the last byte of the lock. */
static void
virLockfileParseLock(const char *line, virLockfileSeen *seen)
{
    gboolean write = strstr(line, " WRITE ") != NULL;
    unsigned long long first;
    unsigned long long last;
    const char *at = strstr(line, "OFDLCK");

    if (!at || sscanf(at, "OFDLCK %*s %*s %*s %*s %llu %llu", &first, &last) != 2)
        return;
    for (guint byte = 0; byte < 2; byte++)
        if (first <= byte && byte <= last) {
            seen->byte[byte] = TRUE;
            seen->write[byte] = write;
        }
}

static gboolean
virLockfileReadLocks(int fdinfoDir, const char *number, virLockfileSeen *seen)
{
    g_auto(virFd) fd = openat(fdinfoDir, number, O_RDONLY | O_CLOEXEC);
    char text[4096];
    gsize n = 0;
    ssize_t got;

    if (fd < 0)
        return FALSE;
    while (n < sizeof(text) - 1 && (got = read(fd, text + n, sizeof(text) - 1 - n)) > 0)
        n += got;
    text[n] = '\0';
    for (const char *line = text; (line = strstr(line, "lock:"));
         line += strlen("lock:")) {
        g_autofree char *one = g_strndup(line, strcspn(line, "\n"));

        virLockfileParseLock(one, seen);
    }
    return seen->byte[0] || seen->byte[1];
}

static int
virLockfileOpenProc(pid_t pid, const char *what)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int)pid, what);

    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* One descriptor; pipes, sockets and other files cost one stat. */
static void
virLockfileScanFd(pid_t pid, int fdDir, int fdinfoDir, const char *number,
                  const struct stat *file, GPtrArray *found)
{
    g_autofree virLockfileSeen *seen = g_new0(virLockfileSeen, 1);
    char target[4096];
    struct stat info;
    ssize_t n;

    if (fstatat(fdDir, number, &info, 0) < 0 || !S_ISREG(info.st_mode) ||
        (file && (info.st_dev != file->st_dev || info.st_ino != file->st_ino)) ||
        !virLockfileReadLocks(fdinfoDir, number, seen) ||
        (n = readlinkat(fdDir, number, target, sizeof(target) - 1)) < 0)
        return;
    target[n] = '\0';
    seen->pid = pid;
    seen->fd = atoi(number);
    seen->dev = info.st_dev;
    seen->ino = info.st_ino;
    seen->target = g_strdup(target);
    g_ptr_array_add(found, g_steal_pointer(&seen));
}

gboolean
virLockfileScanProcess(pid_t pid, const struct stat *file, GPtrArray *found,
                       GError **error)
{
    g_auto(virFd) fdDir = virLockfileOpenProc(pid, "fd");
    g_auto(virFd) fdinfoDir = fdDir < 0 ? -1 : virLockfileOpenProc(pid, "fdinfo");
    int errnum = errno;
    g_autofree char *path = g_strdup_printf("/proc/%d/fd", (int)pid);
    g_autoptr(GDir) dir = NULL;
    const char *number;

    if (fdDir >= 0 && fdinfoDir >= 0)
        dir = g_dir_open(path, 0, NULL);
    if (!dir) {
        if (errnum == ENOENT || errnum == ESRCH || virLockfileStartTime(pid) == 0)
            return TRUE;
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "cannot look at the files of process %d: %s", (int)pid,
                    g_strerror(errnum));
        return FALSE;
    }
    while ((number = g_dir_read_name(dir)))
        virLockfileScanFd(pid, fdDir, fdinfoDir, number, file, found);
    return TRUE;
}

GPtrArray *
virLockfileScanAll(const struct stat *file)
{
    GPtrArray *found =
        g_ptr_array_new_with_free_func((GDestroyNotify)virLockfileSeenFree);
    g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        guint64 pid;
        guint first = found->len;

        if (!g_ascii_string_to_unsigned(name, 10, 1, G_MAXINT, &pid, NULL))
            continue;
        /* processes of other users can not be looked at: they are not named then */
        (void)!virLockfileScanProcess(pid, file, found, NULL);
        for (guint i = first; i < found->len; i++)
            ((virLockfileSeen *)found->pdata[i])->parent = virLockfileStatField(pid, 4);
    }
    return found;
}

/* --- the object's own child --------------------------------------------------------------- */

/* The locks of the child on files in our directory. */
static GPtrArray *
virLockfileScanChild(virLockfileObject *object, GError **error)
{
    g_autoptr(GPtrArray) found =
        g_ptr_array_new_with_free_func((GDestroyNotify)virLockfileSeenFree);

    if (object->pid <= 0 || virLockfileStartTime(object->pid) != object->startTime)
        return g_steal_pointer(&found);
    if (!virLockfileScanProcess(object->pid, NULL, found, error))
        return NULL;
    for (guint i = found->len; i-- > 0;) {
        virLockfileSeen *seen = found->pdata[i];
        g_autofree char *base = g_path_get_basename(seen->target);
        g_autofree char *path = g_build_filename(object->plugin->dir, base, NULL);
        struct stat info;

        if (lstat(path, &info) < 0 || info.st_dev != seen->dev ||
            info.st_ino != seen->ino) {
            g_ptr_array_remove_index(found, i);
            continue;
        }
        g_free(seen->target);
        seen->target = g_steal_pointer(&base);
    }
    return g_steal_pointer(&found);
}

static void
virLockfileAddLease(GPtrArray *leases, const virLockfileSeen *seen, guint byte)
{
    virLockLease *lease;

    if (!seen->byte[byte])
        return;
    lease = g_new0(virLockLease, 1);
    lease->structSize = sizeof(*lease);
    virLockfileSplitName(seen->target, &lease->lockspace, &lease->name);
    lease->hold =
        byte == VIR_LOCKFILE_BYTE_LEASE ? VIR_LOCK_HOLD_LEASE : VIR_LOCK_HOLD_BRIDGE;
    lease->mode = seen->write[byte] ? VIR_LOCK_MODE_EXCLUSIVE : VIR_LOCK_MODE_SHARED;
    g_ptr_array_add(leases, lease);
}

gboolean
virLockfileInquire(gpointer objectData, GPtrArray **leases, const virLockWait *wait,
                   GError **error)
{
    g_autoptr(GPtrArray) found = virLockfileScanChild(objectData, error);

    if (!found)
        return FALSE;
    *leases = g_ptr_array_new();
    for (guint i = 0; i < found->len; i++) {
        virLockfileAddLease(*leases, found->pdata[i], VIR_LOCKFILE_BYTE_LEASE);
        virLockfileAddLease(*leases, found->pdata[i], VIR_LOCKFILE_BYTE_BRIDGE);
    }
    return TRUE;
}

gboolean
virLockfileAdopt(virLockfileObject *object, GError **error)
{
    g_autoptr(GPtrArray) found = NULL;
    g_auto(virFd) pidfd = -1;

    if (!object->adopt)
        return TRUE;
    if (!(found = virLockfileScanChild(object, error)))
        return FALSE;
    pidfd = virPidfdOpen(object->pid);
    for (guint i = 0; i < found->len; i++) {
        const virLockfileSeen *seen = found->pdata[i];
        int fd = pidfd < 0 ? -1 : virPidfdGetFd(pidfd, seen->fd);
        virLockfileHeld *held;

        if (fd < 0) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                        "cannot take over the lock files of process %d of guest '%s': %s",
                        (int)object->pid, object->name, g_strerror(errno));
            g_hash_table_remove_all(object->held);
            return FALSE;
        }
        held = g_new0(virLockfileHeld, 1);
        held->file = g_strdup(seen->target);
        held->fd = fd;
        held->passed = TRUE;
        held->bridge = seen->byte[VIR_LOCKFILE_BYTE_BRIDGE];
        if (seen->byte[VIR_LOCKFILE_BYTE_LEASE])
            held->mode = seen->write[VIR_LOCKFILE_BYTE_LEASE] ? VIR_LOCK_MODE_EXCLUSIVE
                                                              : VIR_LOCK_MODE_SHARED;
        g_hash_table_insert(object->held, held->file, held);
    }
    object->adopt = FALSE;
    return TRUE;
}
