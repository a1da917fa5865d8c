/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * identity.h: what an image *is*, on every host that can reach it.
 *
 * Leases are named by identity, not by path, so that symbolic links, bind mounts,
 * different mount points and different device names of one image meet in one lease. There
 * is one method for each kind of storage and no fallback from one to another: two hosts
 * that fall back differently would have two leases for one disk.
 *
 *   block device      SCSI, NVMe: the WWN that the device reports ("wwid" of sysfs); a
 *                     multipath map: the WWN of its paths; an LV: the UUID of the LV;
 *                     other (virtio): its serial number. A partition adds its number.
 *   file on NFS       the server's fsid and fileid. All hosts have to mount an export with
 *                     the same major protocol version: NFSv3 and NFSv4 report other fsids.
 *   file on ext2/3/4, XFS, btrfs, f2fs, GFS2, OCFS2
 *                     UUID of the file system (libblkid) and inode number; on btrfs also
 *                     the subvolume, because inode numbers repeat in each
 *   anything else     none: CONFIG, and the message names the ways out
 *
 * A whole disk and its partitions, or a volume and what lies below it, are different
 * identities: a guest gets the one or the other, never both.
 */
#ifndef LEASEHOLD_COMMON_IDENTITY_H
#define LEASEHOLD_COMMON_IDENTITY_H

#include <leasehold/lock_types.h>

/**
 * virIdentityOfPath:
 * @path: a regular file, a directory (TPM state) or a block device
 * @localOnly: "[host] identity = local": device and inode number, for any kind of
 * storage; tells images apart on this machine only
 * @why: (out) (optional): how the identity was found, for people; free with g_free
 *
 * Reads sysfs, procfs or the superblock of a file system: on dead storage it may block.
 *
 * Returns: the canonical identity ("nfs:<fsid>:<fileid>", "wwn:naa.5000...-part1"),
 * printable ASCII without spaces; free with g_free. NULL with CONFIG (no such file, no
 * identity: the ways out are named) or UNAVAILABLE (storage does not answer properly).
 */
char *virIdentityOfPath(const char *path, gboolean localOnly, char **why,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** The lease name of an identity: "disk-" and 40 hex digits of its SHA-256; free: g_free.
 */
char *virIdentityLeaseName(const char *identity) G_GNUC_WARN_UNUSED_RESULT;

/* --- the methods, for virIdentityOfPath and for tests that bring their own trees --- */

/** virIdentityRoots: where the kernel's files are; "/sys", "/proc", "/dev" outside tests.
 */
typedef struct _virIdentityRoots {
    const char *sys;
    const char *proc;
    const char *dev;
} virIdentityRoots;

char *virIdentityOfBlockDevice(const virIdentityRoots *roots, guint major, guint minor,
                               char **why, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** fsid of the NFS mount with this device number. */
char *virIdentityNfsFsid(const virIdentityRoots *roots, guint major, guint minor,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** UUID of the file system in @device (a block device or an image of one). */
char *virIdentityFsUuid(const char *device, GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
