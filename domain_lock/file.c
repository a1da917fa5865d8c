/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * file.c: small files that are either old or new, never half.
 */
#include "file.h"
#include "common/fd.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

void
virFileSetError(GError **error, int err, const char *what, const char *path)
{
    gboolean retry = err == ENOSPC || err == EDQUOT || err == EIO || err == EROFS ||
                     err == ESTALE || err == ENOMEM || err == EMFILE || err == ENFILE;

    g_set_error(error, VIR_LOCK_ERROR,
                retry ? VIR_LOCK_ERROR_UNAVAILABLE : VIR_LOCK_ERROR_CONFIG, "%s '%s': %s",
                what, path, g_strerror(err));
}

static gboolean
virFileCheckDir(const char *path, GError **error)
{
    struct stat st;

    if (stat(path, &st) < 0) {
        virFileSetError(error, errno, "cannot look at the folder", path);
        return FALSE;
    }
    if (!S_ISDIR(st.st_mode)) {
        virFileSetError(error, ENOTDIR, "cannot use", path);
        return FALSE;
    }
    if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 0022)) {
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
            "the folder '%s' (owner %u, mode %04o) can be changed by other users; "
            "guests need one that only you or root can write",
            path, (guint)st.st_uid, st.st_mode & 07777);
        return FALSE;
    }
    return TRUE;
}

gboolean
virFileMakeDirs(const char *path, int mode, GError **error)
{
    g_autofree char *parent = NULL;

    if (mkdir(path, mode) == 0)
        return TRUE;
    if (errno == EEXIST)
        return virFileCheckDir(path, error);
    if (errno != ENOENT) {
        virFileSetError(error, errno, "cannot make the folder", path);
        return FALSE;
    }
    parent = g_path_get_dirname(path);
    if (g_mkdir_with_parents(parent, 0755) < 0) {
        virFileSetError(error, errno, "cannot make the folder", parent);
        return FALSE;
    }
    if (mkdir(path, mode) < 0 && errno != EEXIST) {
        virFileSetError(error, errno, "cannot make the folder", path);
        return FALSE;
    }
    return TRUE;
}

gboolean
virFileReplace(const char *path, const char *text, GError **error)
{
    g_autofree char *temporary = g_strdup_printf("%s.%d.tmp", path, (int)getpid());
    g_auto(virFd) fd = -1;
    int err = 0;

    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        virFileSetError(error, errno, "cannot write", path);
        return FALSE;
    }
    err = virFdWriteFull(fd, text, strlen(text));
    if (err == 0 && rename(temporary, path) < 0)
        err = errno;
    if (err != 0) {
        (void)unlink(temporary);
        virFileSetError(error, err, "cannot write", path);
        return FALSE;
    }
    return TRUE;
}
