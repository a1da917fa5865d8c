/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store.c: see store.h.
 */
#include "plugins/sanlock/store.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fd.h"
#include "plugins/sanlock/libsanlock.h"

#define BUFFER_ALIGN 4096

guint8 *
virSanlockBuffer(gsize len)
{
    return g_aligned_alloc0(1, len, BUFFER_ALIGN);
}

int
virSanlockStoreOpenFd(const char *path, int flags, GError **error)
{
    int fd = open(path, flags | O_DIRECT | O_CLOEXEC, 0660);
    int reason = errno;
    struct stat st;

    if (fd >= 0)
        return fd;
    if (reason == EINVAL && stat(path, &st) == 0 && !S_ISREG(st.st_mode) &&
        !S_ISBLK(st.st_mode))
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "store %s is neither a file nor a block device", path);
    else if (reason == EINVAL)
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
            "store %s: its file system cannot do direct I/O (O_DIRECT), which leases "
            "need; tmpfs and some FUSE file systems cannot, ext4, xfs and NFS can",
            path);
    else if (reason == ENOENT && !(flags & O_CREAT))
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "store %s does not exist; create it with 'leasehold store create'",
                    path);
    else if (reason == EIO || reason == ENXIO || reason == ENODEV)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE, "store %s: %s",
                    path, g_strerror(reason));
    else
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, "store %s: %s", path,
                    g_strerror(reason));
    return -1;
}

static gboolean
virSanlockStoreMeasure(virSanlockStore *store, GError **error)
{
    struct stat st;

    if (fstat(store->fd, &st) < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE, "store %s: %s",
                    store->path, g_strerror(errno));
        return FALSE;
    }
    store->isDevice = S_ISBLK(st.st_mode);
    store->bytes = st.st_size;
    if (!store->isDevice && !S_ISREG(st.st_mode)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "store %s is neither a file nor a block device", store->path);
        return FALSE;
    }
    if (store->isDevice && ioctl(store->fd, BLKGETSIZE64, &store->bytes) < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE, "store %s: %s",
                    store->path, g_strerror(errno));
        return FALSE;
    }
    return TRUE;
}

static gboolean
virSanlockStoreCheckSector(virSanlockStore *store, GError **error)
{
    int logical = 512;

    if (!store->isDevice || ioctl(store->fd, BLKSSZGET, &logical) < 0 ||
        (guint)logical <= store->geometry.sectorSize)
        return TRUE;
    g_set_error(
        error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
        "store %s was created for sectors of %u bytes, but the device has sectors of %d; "
        "create a new store there",
        store->path, store->geometry.sectorSize, logical);
    return FALSE;
}

/* The place of the header depends on the sector size, which the header tells: both places
 * are tried, 4096 bytes each, which any sector size can read. */
static gboolean
virSanlockStoreReadHeader(virSanlockStore *store, GError **error)
{
    static const guint sectorSizes[] = {512, 4096};
    g_autoptr(virSanlockBytes) buffer = virSanlockBuffer(BUFFER_ALIGN);

    for (guint i = 0; i < G_N_ELEMENTS(sectorSizes); i++) {
        guint64 offset = virSanlockHeaderOffset(sectorSizes[i]);

        if (offset + BUFFER_ALIGN > store->bytes)
            continue;
        if (!virSanlockStoreRead(store, offset, buffer, BUFFER_ALIGN, error))
            return FALSE;
        switch (virSanlockHeaderDecode(buffer, &store->geometry)) {
        case VIR_SANLOCK_HEADER_VALID:
            if (store->geometry.sectorSize == sectorSizes[i])
                return TRUE;
            G_GNUC_FALLTHROUGH;
        case VIR_SANLOCK_HEADER_DAMAGED:
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                        "the header of store %s is damaged", store->path);
            return FALSE;
        case VIR_SANLOCK_HEADER_VERSION:
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                        "store %s has format version %u; this leasehold knows version %u",
                        store->path, store->geometry.version, VIR_SANLOCK_STORE_VERSION);
            return FALSE;
        case VIR_SANLOCK_HEADER_NONE:
            break;
        }
    }
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "%s is not a leasehold store%s; create one with 'leasehold store create'",
                store->path,
                store->bytes < virSanlockHeaderOffset(512) + BUFFER_ALIGN
                    ? " (it is too short: never created, or truncated)"
                    : " (never created, or formatted anew by another tool)");
    return FALSE;
}

static gboolean
virSanlockStoreCheckSize(virSanlockStore *store, GError **error)
{
    guint64 wanted = virSanlockStoreBytes(&store->geometry);

    if (store->bytes >= wanted)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "store %s is truncated: it has %" G_GUINT64_FORMAT
                " bytes and needs %" G_GUINT64_FORMAT "; leases behind its end are lost",
                store->path, store->bytes, wanted);
    return FALSE;
}

static gboolean
virSanlockStoreCheckLockspace(virSanlockStore *store, const char *lockspace,
                              GError **error)
{
    if (!lockspace || strcmp(store->geometry.lockspace, lockspace) == 0)
        return TRUE;
    g_set_error(
        error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
        "store %s is of lockspace '%s', but '%s' is configured; correct [sanlock] "
        "lockspace or store",
        store->path, store->geometry.lockspace, lockspace);
    return FALSE;
}

/* Without reading anything of it. */
static virSanlockStore *
virSanlockStoreOpenUnread(const char *path, GError **error)
{
    g_autoptr(virSanlockStore) store = g_new0(virSanlockStore, 1);

    store->path = g_strdup(path);
    store->fd = virSanlockStoreOpenFd(path, O_RDWR, error);
    if (store->fd < 0 || !virSanlockStoreMeasure(store, error))
        return NULL;
    return g_steal_pointer(&store);
}

virSanlockStore *
virSanlockStoreOpenAgain(const char *path, const virSanlockGeometry *geometry,
                         GError **error)
{
    g_autoptr(virSanlockStore) store = virSanlockStoreOpenUnread(path, error);

    if (!store)
        return NULL;
    store->geometry = *geometry;
    return virSanlockStoreCheckSize(store, error) ? g_steal_pointer(&store) : NULL;
}

virSanlockStore *
virSanlockStoreOpen(const char *path, const char *lockspace, GError **error)
{
    g_autoptr(virSanlockStore) store = virSanlockStoreOpenUnread(path, error);

    if (!store || !virSanlockStoreReadHeader(store, error) ||
        !virSanlockStoreCheckSector(store, error) ||
        !virSanlockStoreCheckLockspace(store, lockspace, error) ||
        !virSanlockStoreCheckSize(store, error))
        return NULL;
    return g_steal_pointer(&store);
}

gboolean
virSanlockStoreIsThere(const virSanlockStore *store)
{
    struct stat held, there;

    if (fstat(store->fd, &held) < 0 || stat(store->path, &there) < 0 ||
        S_ISBLK(held.st_mode) != S_ISBLK(there.st_mode))
        return FALSE;
    return S_ISBLK(held.st_mode)
               ? held.st_rdev == there.st_rdev
               : held.st_dev == there.st_dev && held.st_ino == there.st_ino;
}

void
virSanlockStoreFree(virSanlockStore *store)
{
    if (!store)
        return;
    virFdClose(store->fd);
    g_free(store->path);
    g_free(store);
}

/* --- reading and writing ------------------------------------------------------------------------ */

gboolean
virSanlockStoreRead(virSanlockStore *store, guint64 offset, guint8 *buffer, gsize len,
                    GError **error)
{
    ssize_t got;

    do
        got = pread(store->fd, buffer, len, offset);
    while (got < 0 && errno == EINTR);
    if (got == (ssize_t)len)
        return TRUE;
    if (got >= 0)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "store %s is truncated: nothing to read at byte %" G_GUINT64_FORMAT,
                    store->path, offset);
    else
        g_set_error(error, VIR_LOCK_ERROR,
                    errno == EINVAL ? VIR_LOCK_ERROR_CONFIG : VIR_LOCK_ERROR_UNAVAILABLE,
                    "cannot read store %s at byte %" G_GUINT64_FORMAT ": %s", store->path,
                    offset, g_strerror(errno));
    return FALSE;
}

gboolean
virSanlockStoreWrite(virSanlockStore *store, guint64 offset, const guint8 *buffer,
                     gsize len, GError **error)
{
    ssize_t put;

    do
        put = pwrite(store->fd, buffer, len, offset);
    while (put < 0 && errno == EINTR);
    if (put == (ssize_t)len)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "cannot write store %s at byte %" G_GUINT64_FORMAT ": %s", store->path,
                offset, put < 0 ? g_strerror(errno) : "short write");
    return FALSE;
}

gboolean
virSanlockStoreSync(virSanlockStore *store, GError **error)
{
    if (fdatasync(store->fd) == 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "cannot write store %s: %s", store->path, g_strerror(errno));
    return FALSE;
}

gboolean
virSanlockStoreWriteHeader(virSanlockStore *store, GError **error)
{
    const virSanlockGeometry *g = &store->geometry;
    g_autoptr(virSanlockBytes) sector = virSanlockBuffer(g->sectorSize);

    virSanlockHeaderEncode(g, sector);
    return virSanlockStoreWrite(store, virSanlockHeaderOffset(g->sectorSize), sector,
                                g->sectorSize, error) &&
           virSanlockStoreSync(store, error);
}

gboolean
virSanlockStoreRefresh(virSanlockStore *store, GError **error)
{
    g_autofree char *uuid = g_strdup(store->geometry.uuid);

    if (!virSanlockStoreReadHeader(store, error))
        return FALSE;
    if (strcmp(store->geometry.uuid, uuid) == 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "store %s was replaced by another one just now", store->path);
    return FALSE;
}

/* --- what is in it -------------------------------------------------------------------------------- */

virSanlockBytes *
virSanlockStoreReadIndex(virSanlockStore *store, GError **error)
{
    gsize len = virSanlockIndexBytes(&store->geometry);
    g_autoptr(virSanlockBytes) bytes = virSanlockBuffer(len);
    const char *wrong;

    if (!virSanlockStoreRead(store, virSanlockIndexOffset(&store->geometry), bytes, len,
                             error))
        return NULL;
    wrong = virSanlockIndexCheck(bytes, &store->geometry);
    if (wrong) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "store %s is damaged: %s; see 'leasehold store check'", store->path,
                    wrong);
        return NULL;
    }
    return g_steal_pointer(&bytes);
}

gboolean
virSanlockStoreReadLeader(virSanlockStore *store, guint64 offset,
                          virSanlockLeaderKind kind, virSanlockLeader *leader,
                          virSanlockLeaderVerdict *verdict, GError **error)
{
    g_autoptr(virSanlockBytes) sector = virSanlockBuffer(store->geometry.sectorSize);

    if (!virSanlockStoreRead(store, offset, sector, store->geometry.sectorSize, error))
        return FALSE;
    *verdict = virSanlockLeaderDecode(sector, kind, leader);
    return TRUE;
}

gboolean
virSanlockStoreReadUse(virSanlockStore *store, guint slot, const char *lease,
                       virUseRing *ring, GError **error)
{
    gsize len = (gsize)VIR_USE_RING_SECTORS * store->geometry.sectorSize;
    g_autoptr(virSanlockBytes) bytes = virSanlockBuffer(len);

    return virSanlockStoreRead(store, virSanlockUseOffset(&store->geometry, slot), bytes,
                               len, error) &&
           virUseRingParse(bytes, store->geometry.sectorSize, lease, ring, error);
}

GArray *
virSanlockStoreReadHostNames(virSanlockStore *store, GError **error)
{
    const virSanlockGeometry *g = &store->geometry;
    gsize len = (gsize)g->maxHosts * g->sectorSize;
    g_autoptr(virSanlockBytes) bytes = virSanlockBuffer(len);
    g_autoptr(GArray) names = g_array_new(FALSE, TRUE, VIR_SANLOCK_NAME_SIZE);

    if (!virSanlockStoreRead(store, 0, bytes, len, error))
        return NULL;
    for (guint i = 0; i < g->maxHosts; i++) {
        virSanlockLeader leader;

        if (virSanlockLeaderDecode(bytes + (gsize)i * g->sectorSize,
                                   VIR_SANLOCK_LEADER_HOST,
                                   &leader) != VIR_SANLOCK_LEADER_VALID)
            leader.name[0] = '\0';
        g_array_append_vals(names, leader.name, 1);
    }
    return g_steal_pointer(&names);
}

/* --- for libsanlock -------------------------------------------------------------------------------- */

struct sanlk_resource *
virSanlockResourceNew(const char *path, const virSanlockGeometry *geometry,
                      const char *name, guint64 offset)
{
    struct sanlk_resource *res =
        g_malloc0(sizeof(struct sanlk_resource) + sizeof(struct sanlk_disk));

    g_strlcpy(res->lockspace_name, geometry->lockspace, sizeof(res->lockspace_name));
    g_strlcpy(res->name, name, sizeof(res->name));
    res->flags = geometry->sectorSize == 4096 ? SANLK_RES_SECTOR4K | SANLK_RES_ALIGN8M
                                              : SANLK_RES_SECTOR512 | SANLK_RES_ALIGN1M;
    res->num_disks = 1;
    g_strlcpy(res->disks[0].path, path, sizeof(res->disks[0].path));
    res->disks[0].offset = offset;
    return res;
}

void
virSanlockLockspaceInit(struct sanlk_lockspace *lockspace, const char *path,
                        const virSanlockGeometry *geometry, guint hostId)
{
    memset(lockspace, 0, sizeof(*lockspace));
    g_strlcpy(lockspace->name, geometry->lockspace, sizeof(lockspace->name));
    lockspace->host_id = hostId;
    lockspace->flags = geometry->sectorSize == 4096
                           ? SANLK_LSF_SECTOR4K | SANLK_LSF_ALIGN8M
                           : SANLK_LSF_SECTOR512 | SANLK_LSF_ALIGN1M;
    g_strlcpy(lockspace->host_id_disk.path, path, sizeof(lockspace->host_id_disk.path));
}
