/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * record.c: use records inside the lock files.
 *
 * The default directory is empty after a reboot, and with it every ring. Epochs that began at
 * 1 again would sooner or later equal the one that an old memory image was saved under (I7).
 * So each new ring gets a base, the second at which it was begun, and what callers see is
 * base + epoch: no guest starts more often than once a second over the life of a file.
 *
 * Only the exclusive holder of the lease, or of its bridge, writes here.
 */
#include "plugins/lockfile/lockfile.h"

#include "common/fd.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The sector behind the ring. */
typedef struct _virLockfileBase {
    char magic[8];
    guint64 base; /* little-endian */
} virLockfileBase;

#define BASE_MAGIC "LHLDBASE"

static gboolean
virLockfileRecordError(GError **error, const char *lease, const char *what, int errnum)
{
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "cannot %s the use record of lease %s: %s", what, lease,
                g_strerror(errnum));
    return FALSE;
}

guint64
virLockfileEpoch(const virUseRing *ring, guint64 base)
{
    return ring->epoch == 0 ? 0 : base + ring->epoch;
}

gboolean
virLockfileReadRing(int fd, const char *lease, virUseRing *ring, guint64 *base,
                    GError **error)
{
    guint8 bytes[VIR_LOCKFILE_BYTES] = {0};
    virLockfileBase sector;
    ssize_t n;

    do
        n = pread(fd, bytes, sizeof(bytes), 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return virLockfileRecordError(error, lease, "read", errno);
    /* a file that was just made may be shorter: zeroes are "never used" */
    memcpy(&sector, bytes + VIR_LOCKFILE_RING_BYTES, sizeof(sector));
    *base = 0;
    if (memcmp(sector.magic, BASE_MAGIC, sizeof(sector.magic)) == 0)
        *base = GUINT64_FROM_LE(sector.base);
    return virUseRingParse(bytes, VIR_LOCKFILE_SECTOR, lease, ring, error);
}

gboolean
virLockfileReadEpoch(int fd, virLockDriverResource *resource, GError **error)
{
    virUseRing ring;
    guint64 base;

    if (!virLockfileReadRing(fd, resource->name, &ring, &base, error))
        return FALSE;
    resource->epoch = virLockfileEpoch(&ring, base);
    return TRUE;
}

gboolean
virLockfileUseRead(gpointer driverData, const virLockDriverResource *resource,
                   guint maxHistory, GPtrArray **uses, const virLockWait *wait,
                   GError **error)
{
    const virLockfile *plugin = driverData;
    g_autofree char *file = virLockfileName(resource);
    g_autoptr(GError) local = NULL;
    g_auto(virFd) fd = -1;
    virUseRing ring;
    guint64 base;

    if (!virLockfileOpenReadOnly(plugin, file, &fd, &local)) {
        if (local) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
        *uses = g_ptr_array_new();
        return TRUE;
    }
    if (!virLockfileReadRing(fd, resource->name, &ring, &base, error))
        return FALSE;
    *uses = virUseRingToUses(&ring, maxHistory);
    for (guint i = 0; i < (*uses)->len; i++)
        ((virLockUse *)(*uses)->pdata[i])->epoch += base;
    return TRUE;
}

/* --- writing ------------------------------------------------------------------------------ */

static int
virLockfileWriteAt(int fd, const void *bytes, gsize size, off_t offset)
{
    ssize_t n;

    do
        n = pwrite(fd, bytes, size, offset);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno;
    if ((gsize)n != size)
        return ENOSPC;
    return fdatasync(fd) < 0 ? errno : 0;
}

static int
virLockfileWriteBase(int fd, guint64 base)
{
    virLockfileBase sector = {.base = GUINT64_TO_LE(base)};

    memcpy(sector.magic, BASE_MAGIC, sizeof(sector.magic));
    return virLockfileWriteAt(fd, &sector, sizeof(sector), VIR_LOCKFILE_RING_BYTES);
}

static void
virLockfileUser(const virLockfileObject *object, virUseRecord *who)
{
    memset(who, 0, sizeof(*who));
    who->timeUsec = g_get_real_time();
    who->pid = object->pid;
    who->reason = VIR_USE_REASON_START;
    g_strlcpy(who->hostName, object->plugin->hostName, sizeof(who->hostName));
    g_strlcpy(who->guestUuid, object->uuid, sizeof(who->guestUuid));
    g_strlcpy(who->guestName, object->name, sizeof(who->guestName));
}

static gboolean
virLockfileAdvanceOne(virLockfileObject *object, const virLockfileHeld *held,
                      virLockDriverResource *resource, GError **error)
{
    virUseRecord records[2];
    virUseRecord who;
    virUseRing ring;
    guint64 base;
    guint n;
    int rc = 0;

    if (!virLockfileReadRing(held->fd, resource->name, &ring, &base, error))
        return FALSE;
    virLockfileUser(object, &who);
    n = virUseRingAdvance(&ring, &who, resource->name, records);
    if (ring.epoch == 0) {
        base = g_get_real_time() / G_USEC_PER_SEC;
        rc = virLockfileWriteBase(held->fd, base);
    }
    for (guint i = 0; rc == 0 && i < n; i++) {
        guint8 sector[VIR_USE_RECORD_SIZE];

        virUseRecordEncode(&records[i], sector);
        rc = virLockfileWriteAt(held->fd, sector, sizeof(sector),
                                virUseRingOffset(records[i].epoch, VIR_LOCKFILE_SECTOR));
    }
    if (rc != 0)
        return virLockfileRecordError(error, resource->name, "write", rc);
    resource->epoch = base + records[n - 1].epoch;
    return TRUE;
}

gboolean
virLockfileUseAdvance(gpointer objectData, virLockDriverResource *const *resources,
                      gsize n, const virLockWait *wait, GError **error)
{
    virLockfileObject *object = objectData;

    if (!virLockfileAdopt(object, error))
        return FALSE;
    for (gsize i = 0; i < n; i++) {
        const virLockfileHeld *held = virLockfileFindHeld(object, resources[i]);

        if (!held || (held->mode != VIR_LOCK_MODE_EXCLUSIVE && !held->bridge)) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                        "%s is not held exclusively: its use record is not ours to write",
                        resources[i]->label);
            return FALSE;
        }
        if (!virLockfileAdvanceOne(object, held, resources[i], error))
            return FALSE;
    }
    return TRUE;
}
