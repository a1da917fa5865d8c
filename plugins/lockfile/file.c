/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * file.c: the lock directory and the files in it, as safe as a directory for all users can be.
 *
 * Everybody may make files in it. So a name there may be a symbolic link, a hard link to
 * somebody's file (use records would be written into it), a pipe, or a file that its owner
 * removes while it is locked, so that the next one locks another file under the same name.
 * Hence: no links are followed, only plain files with one name are taken, and only those that
 * nobody but root, ourselves or the owner of the image can remove. Root, when it comes across
 * a directory or file of somebody else, makes it root's own: who has it open keeps his lock.
 */
#include "plugins/lockfile/lockfile.h"

#include "common/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

/* linux/magic.h of Debian 12 lacks some */
#ifndef CIFS_SUPER_MAGIC
#define CIFS_SUPER_MAGIC 0xFF534D42
#endif
#ifndef SMB2_SUPER_MAGIC
#define SMB2_SUPER_MAGIC 0xFE534D42
#endif
#define LUSTRE_SUPER_MAGIC 0x0BD00BD0

#define OPEN_FLAGS (O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

gboolean
virLockfileIsNetwork(gint64 fsType)
{
    /* FUSE is sshfs and glusterfs too, and without a lock method of their own the kernel
     * keeps their locks on this host. GFS2 and OCFS2 fence a host that is cut off. */
    static const guint32 types[] = {
        NFS_SUPER_MAGIC,  CIFS_SUPER_MAGIC, SMB_SUPER_MAGIC,    SMB2_SUPER_MAGIC,
        V9FS_MAGIC,       CEPH_SUPER_MAGIC, AFS_SUPER_MAGIC,    AFS_FS_MAGIC,
        CODA_SUPER_MAGIC, FUSE_SUPER_MAGIC, LUSTRE_SUPER_MAGIC,
    };

    for (gsize i = 0; i < G_N_ELEMENTS(types); i++)
        if ((guint32)fsType == types[i])
            return TRUE;
    return FALSE;
}

/* --- the directory ------------------------------------------------------------------------ */

static gboolean
virLockfileDirError(GError **error, int code, const virLockfile *plugin, const char *why)
{
    g_set_error(error, VIR_LOCK_ERROR, code, "the lock directory %s cannot be used: %s",
                plugin->dir, why);
    return FALSE;
}

static gboolean
virLockfileMakeDir(const virLockfile *plugin, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(plugin->dir);
    virFd fd;

    if (g_mkdir_with_parents(parent, 0755) < 0 || mkdir(plugin->dir, 0700) < 0) {
        if (errno == EEXIST)
            return TRUE;
        return virLockfileDirError(error, VIR_LOCK_ERROR_CONFIG, plugin,
                                   g_strerror(errno));
    }
    /* the mode must not depend on the umask of the first user */
    fd = open(plugin->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && fchmod(fd, 01777) == 0) {
        virFdClose(fd);
        return TRUE;
    }
    (void)virLockfileDirError(error, VIR_LOCK_ERROR_CONFIG, plugin, g_strerror(errno));
    virFdClose(fd);
    return FALSE;
}

static gboolean
virLockfileCheckDirOwner(const virLockfile *plugin, int dirFd, GError **error)
{
    g_autofree char *why = NULL;
    struct stat info;

    if (fstat(dirFd, &info) < 0)
        return virLockfileDirError(error, VIR_LOCK_ERROR_UNAVAILABLE, plugin,
                                   g_strerror(errno));
    if (geteuid() == 0 && info.st_uid != 0) {
        if (fchown(dirFd, 0, 0) == 0 && fchmod(dirFd, 01777) == 0)
            return TRUE;
        return virLockfileDirError(error, VIR_LOCK_ERROR_CONFIG, plugin,
                                   g_strerror(errno));
    }
    if (info.st_uid != 0 && info.st_uid != geteuid())
        why = g_strdup_printf(
            "it belongs to user %u, who could remove lock files of others; "
            "have root run 'install -d -m 1777 -o root %s'",
            (guint)info.st_uid, plugin->dir);
    else if ((info.st_mode & 022) && !(info.st_mode & S_ISVTX))
        why = g_strdup_printf("others may write there and remove lock files (mode %04o); "
                              "use mode 1777",
                              (guint)info.st_mode & 07777);
    if (why)
        return virLockfileDirError(error, VIR_LOCK_ERROR_CONFIG, plugin, why);
    return TRUE;
}

static gboolean
virLockfileCheckDirType(const virLockfile *plugin, int dirFd, GError **error)
{
    struct statfs info;

    if (fstatfs(dirFd, &info) < 0)
        return virLockfileDirError(error, VIR_LOCK_ERROR_UNAVAILABLE, plugin,
                                   g_strerror(errno));
    if (plugin->unsafeNetwork || !virLockfileIsNetwork(info.f_type))
        return TRUE;
    return virLockfileDirError(
        error, VIR_LOCK_ERROR_CONFIG, plugin,
        "it is on a network file system, which drops the locks of a host that it cannot "
        "reach "
        "while a guest there goes on writing; use a local directory (one host), the "
        "sanlock "
        "plugin (several), or set [lockfile] unsafe_network = true");
}

int
virLockfileOpenDir(const virLockfile *plugin, GError **error)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    g_auto(virFd) fd = open(plugin->dir, flags);

    if (fd < 0 && errno == ENOENT) {
        if (!virLockfileMakeDir(plugin, error))
            return -1;
        fd = open(plugin->dir, flags);
    }
    if (fd < 0) {
        (void)virLockfileDirError(error, VIR_LOCK_ERROR_CONFIG, plugin,
                                  g_strerror(errno));
        return -1;
    }
    if (!virLockfileCheckDirOwner(plugin, fd, error) ||
        !virLockfileCheckDirType(plugin, fd, error))
        return -1;
    return g_steal_fd(&fd);
}

/* --- names -------------------------------------------------------------------------------- */

char *
virLockfileName(const virLockDriverResource *resource)
{
    if (!resource->lockspace)
        return g_strdup(resource->name);
    return g_strdup_printf("%s@%s", resource->lockspace, resource->name);
}

void
virLockfileSplitName(const char *file, char **lockspace, char **name)
{
    const char *at = strchr(file, '@');

    *lockspace = at ? g_strndup(file, at - file) : NULL;
    *name = g_strdup(at ? at + 1 : file);
}

/* --- files -------------------------------------------------------------------------------- */

G_GNUC_PRINTF(5, 6)
static gboolean
virLockfileFileError(GError **error, int code, const virLockfile *plugin,
                     const char *file, const char *format, ...)
{
    g_autofree char *why = NULL;
    va_list args;

    va_start(args, format);
    why = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, VIR_LOCK_ERROR, code, "the lock file %s/%s cannot be used: %s",
                plugin->dir, file, why);
    return FALSE;
}

/* Use records need their room now: a start must not fail after the leases were taken because
 * the file system is full. */
static gboolean
virLockfileFill(const virLockfile *plugin, const char *file, int fd, GError **error)
{
    int rc = posix_fallocate(fd, 0, VIR_LOCKFILE_BYTES);

    if (rc == 0)
        return TRUE;
    return virLockfileFileError(error, VIR_LOCK_ERROR_UNAVAILABLE, plugin, file,
                                "no room for its %d bytes (%s)", VIR_LOCKFILE_BYTES,
                                g_strerror(rc));
}

static gboolean
virLockfileCheckFile(const virLockfile *plugin, const char *file, int fd, GError **error)
{
    struct stat info;

    if (fstat(fd, &info) < 0)
        return virLockfileFileError(error, VIR_LOCK_ERROR_UNAVAILABLE, plugin, file, "%s",
                                    g_strerror(errno));
    if (!S_ISREG(info.st_mode))
        return virLockfileFileError(error, VIR_LOCK_ERROR_CONFIG, plugin, file,
                                    "it is not a plain file");
    if (info.st_nlink > 1)
        return virLockfileFileError(error, VIR_LOCK_ERROR_CONFIG, plugin, file,
                                    "it has other names too (hard links)");
    if (geteuid() == 0 && info.st_uid != 0 && fchown(fd, 0, 0) < 0)
        return virLockfileFileError(error, VIR_LOCK_ERROR_CONFIG, plugin, file,
                                    "it belongs to user %u and cannot be made root's: %s",
                                    (guint)info.st_uid, g_strerror(errno));
    if (geteuid() != 0 && info.st_uid != 0 && info.st_uid != geteuid())
        return virLockfileFileError(
            error, VIR_LOCK_ERROR_CONFIG, plugin, file,
            "it belongs to user %u, who could remove it while it is "
            "locked; have root run 'chown root %s/%s'",
            (guint)info.st_uid, plugin->dir, file);
    if (info.st_size < VIR_LOCKFILE_BYTES)
        return virLockfileFill(plugin, file, fd, error);
    return TRUE;
}

/* The name must be gone before O_CREAT: fs.protected_regular refuses it for files of others. */
int
virLockfileOpen(const virLockfile *plugin, int dirFd, const char *file, GError **error)
{
    g_auto(virFd) fd = -1;

    do {
        fd = openat(dirFd, file, OPEN_FLAGS);
        if (fd < 0 && errno == ENOENT) {
            fd = openat(dirFd, file, OPEN_FLAGS | O_CREAT | O_EXCL, 0666);
            if (fd >= 0)
                (void)fchmod(fd, 0666);
        }
    } while (fd < 0 && errno == EEXIST);
    if (fd < 0) {
        (void)virLockfileFileError(
            error,
            errno == ENOSPC || errno == EDQUOT || errno == EMFILE || errno == ENFILE
                ? VIR_LOCK_ERROR_UNAVAILABLE
                : VIR_LOCK_ERROR_CONFIG,
            plugin, file, "%s",
            errno == ELOOP ? "it is a symbolic link" : g_strerror(errno));
        return -1;
    }
    if (!virLockfileCheckFile(plugin, file, fd, error))
        return -1;
    return g_steal_fd(&fd);
}

gboolean
virLockfileOpenReadOnly(const virLockfile *plugin, const char *file, int *fd,
                        GError **error)
{
    g_autofree char *path = g_build_filename(plugin->dir, file, NULL);
    struct stat info;

    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (*fd >= 0 && fstat(*fd, &info) == 0 && S_ISREG(info.st_mode))
        return TRUE;
    if (*fd < 0 && errno == ENOENT)
        return FALSE;
    (void)virLockfileFileError(error, VIR_LOCK_ERROR_CONFIG, plugin, file, "%s",
                               *fd >= 0 ? "it is not a plain file" : g_strerror(errno));
    if (*fd >= 0)
        (void)close(g_steal_fd(fd));
    return FALSE;
}

gboolean
virLockfileIsCurrent(int dirFd, const char *file, int fd)
{
    struct stat byName;
    struct stat byFd;

    return fstatat(dirFd, file, &byName, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstat(fd, &byFd) == 0 && byName.st_dev == byFd.st_dev &&
           byName.st_ino == byFd.st_ino;
}
