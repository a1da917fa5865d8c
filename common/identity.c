/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * identity.c: identity of files, and the choice of the method (see identity.h for why
 * there is exactly one for each kind of storage). identity_block.c does block devices.
 *
 * The file is opened once with O_PATH and asked through that descriptor, so that what is
 * examined is one object even if the path changes meanwhile. O_PATH opens no device.
 */
#include "config.h"
#include "common/identity.h"
#include "common/text.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef GFS2_MAGIC
#define GFS2_MAGIC 0x01161970
#endif

/* File systems whose inode numbers are stored, and stay with a file for its life. (On
 * vfat, exfat and ntfs they are made up at mount time.) */
static const struct {
    guint32 magic;
    const char *name;
} virIdentityFileSystems[] = {
    {EXT4_SUPER_MAGIC, "ext2/3/4"}, /* one magic for the three */
    {XFS_SUPER_MAGIC, "XFS"},       {BTRFS_SUPER_MAGIC, "btrfs"},
    {F2FS_SUPER_MAGIC, "f2fs"},     {GFS2_MAGIC, "GFS2"},
    {OCFS2_SUPER_MAGIC, "OCFS2"},
};

#define VIR_IDENTITY_WAYS_OUT                                                            \
    "name its lease with an explicit <lease> element, move it to storage that has an "   \
    "identity (NFS, a shared LUN or LV, ext4, XFS, GFS2, ...), or, where one machine "   \
    "is all "                                                                            \
    "there is, set 'identity = local' in [host]"

typedef struct _virIdentityFile {
    const virIdentityRoots *roots;
    char *path; /* printable */
    struct stat st;
    struct statfs fs;
} virIdentityFile;

static int
virIdentityCodeOfErrno(int err)
{
    switch (err) {
    case ENOENT:
    case ENOTDIR:
    case EACCES:
    case EPERM:
    case ELOOP:
    case ENAMETOOLONG:
    case EINVAL:
        return VIR_LOCK_ERROR_CONFIG;
    default:
        return VIR_LOCK_ERROR_UNAVAILABLE;
    }
}

static gboolean
virIdentityFileLook(virIdentityFile *file, const char *path, GError **error)
{
    int fd = open(path, O_PATH | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &file->st) < 0 || fstatfs(fd, &file->fs) < 0) {
        int err = errno;

        if (fd >= 0)
            close(fd);
        g_set_error(error, VIR_LOCK_ERROR, virIdentityCodeOfErrno(err),
                    "cannot look at '%s': %s", file->path, g_strerror(err));
        return FALSE;
    }
    close(fd);
    if (S_ISREG(file->st.st_mode) || S_ISDIR(file->st.st_mode) ||
        S_ISBLK(file->st.st_mode))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "'%s' is neither a file nor a block device", file->path);
    return FALSE;
}

/* Device and inode number: of the device itself for a block device, whose node may have
 * copies. */
static char *
virIdentityLocal(const virIdentityFile *file, char **why)
{
    dev_t dev = S_ISBLK(file->st.st_mode) ? file->st.st_rdev : file->st.st_dev;

    if (why)
        *why = g_strdup(
            "identity = local: device and inode number, valid on this machine only");
    if (S_ISBLK(file->st.st_mode))
        return g_strdup_printf("local:block:%u:%u", major(dev), minor(dev));
    return g_strdup_printf("local:%u:%u:%" G_GUINT64_FORMAT, major(dev), minor(dev),
                           (guint64)file->st.st_ino);
}

/* The line of <proc>/fs/nfsfs/volumes for this mount:
 *   NV SERVER   PORT DEV          FSID                              FSC
 *   v4 c0a87a47  801 0:51         c10a1819257f4d4d:a0d6372e2f44b4e3 no
 * statfs does not tell a server's fsid (f_fsid is 0 on NFS). Older kernels cut the column
 * at 16 characters, so 16 is what all hosts agree on. Two exports that differ only after
 * that meet in one lease name if their inodes do: one of them is refused, which is safe.
 */
char *
virIdentityNfsFsid(const virIdentityRoots *roots, guint major, guint minor,
                   GError **error)
{
    g_autofree char *path = g_strdup_printf("%s/fs/nfsfs/volumes", roots->proc);
    g_autofree char *dev = g_strdup_printf("%u:%u", major, minor);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    g_autoptr(GError) err = NULL;

    if (!g_file_get_contents(path, &text, NULL, &err)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "cannot learn the server's fsid: %s", err->message);
        return NULL;
    }
    lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        char lineDev[32], fsid[64];

        if (sscanf(lines[i], "v%*u %*s %*s %31s %63s", lineDev, fsid) != 2 ||
            !g_str_equal(lineDev, dev))
            continue;
        fsid[16] = '\0';
        if (strspn(fsid, "0:") == strlen(fsid)) {
            g_set_error(
                error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "the NFS server reports no fsid for this export; give it one on the "
                "server (fsid= in its exports)");
            return NULL;
        }
        return g_strdup(fsid);
    }
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "cannot learn the server's fsid: device %s is not in %s", dev, path);
    return NULL;
}

static char *
virIdentityNfs(const virIdentityFile *file, char **why, GError **error)
{
    g_autofree char *fsid = virIdentityNfsFsid(file->roots, major(file->st.st_dev),
                                               minor(file->st.st_dev), error);

    if (!fsid) {
        g_prefix_error(error, "no identity for '%s' on NFS: ", file->path);
        return NULL;
    }
    if (why)
        *why =
            g_strdup_printf("on NFS: the server's fsid %s and file id %" G_GUINT64_FORMAT,
                            fsid, (guint64)file->st.st_ino);
    return g_strdup_printf("nfs:%s:%" G_GUINT64_FORMAT, fsid, (guint64)file->st.st_ino);
}

static gboolean
virIdentityUuidIsNone(const char *uuid)
{
    return strspn(uuid, "0-") == strlen(uuid);
}

char *
virIdentityFsUuid(const char *device, GError **error)
{
    blkid_probe probe;
    const char *uuid = NULL;
    char *result = NULL;

    errno = 0;
    probe = blkid_new_probe_from_filename(device);
    if (!probe) {
        int err = errno ? errno : EIO;

        g_set_error(error, VIR_LOCK_ERROR, virIdentityCodeOfErrno(err),
                    "cannot read the file system's UUID from %s: %s", device,
                    g_strerror(err));
        return NULL;
    }
    blkid_probe_enable_superblocks(probe, TRUE);
    blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_UUID);
    if (blkid_do_safeprobe(probe) == 0 &&
        blkid_probe_lookup_value(probe, "UUID", &uuid, NULL) == 0 &&
        !virIdentityUuidIsNone(uuid))
        result = g_ascii_strdown(uuid, -1);
    else
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "the file system on %s has no UUID", device);
    blkid_free_probe(probe);
    return result;
}

/* The device node below a mount. btrfs has no device number of its own, so its mount
 * source is asked; for the others the kernel's name of the device. */
static char *
virIdentityDeviceNode(const virIdentityFile *file, GError **error)
{
    guint maj = major(file->st.st_dev), min = minor(file->st.st_dev);
    g_autofree char *text = NULL;
    g_autofree char *path =
        maj ? g_strdup_printf("%s/dev/block/%u:%u/uevent", file->roots->sys, maj, min)
            : g_strdup_printf("%s/self/mountinfo", file->roots->proc);
    g_autofree char *dev = g_strdup_printf("%u:%u", maj, min);
    g_auto(GStrv) lines = NULL;

    if (!g_file_get_contents(path, &text, NULL, error)) {
        if (error)
            (*error)->domain = VIR_LOCK_ERROR,
            (*error)->code = VIR_LOCK_ERROR_UNAVAILABLE;
        return NULL;
    }
    lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        char lineDev[32], source[4096];

        if (maj && g_str_has_prefix(lines[i], "DEVNAME="))
            return g_strdup_printf("%s/%s", file->roots->dev,
                                   lines[i] + strlen("DEVNAME="));
        if (!maj && sscanf(lines[i], "%*s %*s %31s", lineDev) == 1 &&
            g_str_equal(lineDev, dev) && strstr(lines[i], " - ") &&
            sscanf(strstr(lines[i], " - "), " - %*s %4095s", source) == 1)
            return g_strcompress(source); /* mountinfo writes a space as \040 */
    }
    g_set_error(
        error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
        "cannot find the device of the file system (device number %s is not in %s)", dev,
        path);
    return NULL;
}

static char *
virIdentityFileSystem(const virIdentityFile *file, const char *fsName, char **why,
                      GError **error)
{
    g_autofree char *device = virIdentityDeviceNode(file, error);
    g_autofree char *uuid = device ? virIdentityFsUuid(device, error) : NULL;
    guint64 inode = file->st.st_ino;
    int fsid[2];

    if (!uuid) {
        g_prefix_error(error, "no identity for '%s' on %s: ", file->path, fsName);
        return NULL;
    }
    if (why)
        *why = g_strdup_printf("on %s with UUID %s: inode %" G_GUINT64_FORMAT, fsName,
                               uuid, inode);
    if ((guint32)file->fs.f_type != BTRFS_SUPER_MAGIC)
        return g_strdup_printf("fs:%s:%" G_GUINT64_FORMAT, uuid, inode);
    /* btrfs mixes its own UUID and the subvolume's number into f_fsid, equal on all hosts
     */
    memcpy(fsid, &file->fs.f_fsid, sizeof(fsid));
    return g_strdup_printf("fs:%s:%08x%08x:%" G_GUINT64_FORMAT, uuid, (guint)fsid[0],
                           (guint)fsid[1], inode);
}

static char *
virIdentityChoose(const virIdentityFile *file, char **why, GError **error)
{
    guint32 magic = (guint32)file->fs.f_type;

    if (S_ISBLK(file->st.st_mode)) {
        char *identity = virIdentityOfBlockDevice(file->roots, major(file->st.st_rdev),
                                                  minor(file->st.st_rdev), why, error);
        if (!identity)
            g_prefix_error(error, "no identity for '%s': ", file->path);
        return identity;
    }
    if (magic == NFS_SUPER_MAGIC)
        return virIdentityNfs(file, why, error);
    for (gsize i = 0; i < G_N_ELEMENTS(virIdentityFileSystems); i++)
        if (magic == virIdentityFileSystems[i].magic)
            return virIdentityFileSystem(file, virIdentityFileSystems[i].name, why,
                                         error);
    g_set_error(
        error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
        "no identity for '%s': its file system%s (type 0x%x) gives files no identity "
        "that is the same on every host",
        file->path, magic == TMPFS_MAGIC ? " tmpfs" : "", magic);
    return NULL;
}

char *
virIdentityOfPath(const char *path, gboolean localOnly, char **why, GError **error)
{
    static const virIdentityRoots roots = {"/sys", "/proc", "/dev"};
    g_autofree char *printable = virTextPrintable(path);
    virIdentityFile file = {.roots = &roots, .path = printable};
    g_autoptr(GError) err = NULL;
    char *identity;

    if (why)
        *why = NULL;
    if (!virIdentityFileLook(&file, path, error))
        return NULL;
    if (localOnly)
        return virIdentityLocal(&file, why);
    identity = virIdentityChoose(&file, why, &err);
    if (identity)
        return identity;
    if (why)
        g_clear_pointer(why, g_free);
    if (g_error_matches(err, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, "%s; %s", err->message,
                    VIR_IDENTITY_WAYS_OUT);
        return NULL;
    }
    g_propagate_error(error, g_steal_pointer(&err));
    return NULL;
}

char *
virIdentityLeaseName(const char *identity)
{
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, identity, -1);

    return g_strdup_printf("disk-%.40s", sum);
}
