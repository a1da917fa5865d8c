/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store_create.c: making a new store.
 *
 * It needs no daemon: libsanlock formats the lockspace and the leases itself. A file is built
 * under a temporary name and renamed when it is whole, so a store is there as a whole or not
 * at all; a device is written in place, its header first cleared and written last.
 *
 * A store that hosts have joined is never overwritten, also not by force: their leases would
 * vanish under them. Whether a host is joined shows in its sector of the lockspace: it has a
 * time there, and the time moves on.
 */
#include "plugins/sanlock/store_admin.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fd.h"
#include "plugins/sanlock/call.h"
#include "plugins/sanlock/errors.h"
#include "plugins/sanlock/store.h"
#include "plugins/sanlock/libsanlock.h"

#define DEFAULT_MAX_HOSTS 62
#define DEFAULT_MAX_SLOTS 1000
#define DEFAULT_LOCKSPACE "leasehold"
/* With wdmd a renewal interval below its test interval of 10 s resets healthy hosts. */
#define MIN_WATCHDOG_IO_TIMEOUT 2
/* Of a device: as far as whoever uses one leaves marks at its ends (the last ones, those of ZFS
 * and MD, within the last 512 KiB). */
#define MARKS_BYTES (1024 * 1024)

typedef struct {
    virSanlockConfig *config;
    char *path;
    char *buildPath; /* a file: the temporary name; a device: the path */
    gboolean isDevice;
    gboolean force;
    gboolean slotsGiven;
    gboolean sectorGiven;
    virSanlockGeometry geometry;
    virSanlockGeometry found; /* what is there already */
    gboolean hasFound;
    guint8 *hostSectors; /* its lockspace when it was read first, to compare */
    gsize hostBytes;
    gboolean hostsActive;  /* some host may be joined */
    gboolean hostsChanged; /* some host is */
} virSanlockCreation;

static void
virSanlockCreationClear(gpointer data)
{
    virSanlockCreation *creation = data;

    virSanlockConfigUnref(creation->config);
    g_free(creation->path);
    g_free(creation->buildPath);
    g_aligned_free(creation->hostSectors);
}

static void
virSanlockCreationUnref(virSanlockCreation *creation)
{
    g_atomic_rc_box_release_full(creation, virSanlockCreationClear);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSanlockCreation, virSanlockCreationUnref)

/* --- what is asked for --------------------------------------------------------------------------- */

static gboolean
virSanlockCreationCheck(const virSanlockCreation *creation, GError **error)
{
    const virSanlockGeometry *g = &creation->geometry;
    const char *why = NULL;

    if (!virSanlockNameIsValid(g->lockspace))
        why = "the lockspace's name must be 1 to 47 of A-Z a-z 0-9 . _ -";
    else if (g->maxHosts < 1 || g->maxHosts > VIR_SANLOCK_MAX_HOSTS)
        why = "the number of hosts must be 1 to 2000";
    else if (g->maxSlots < 1 || g->maxSlots > VIR_SANLOCK_MAX_SLOTS)
        why = "the number of leases must be 1 to 16000";
    else if (g->ioTimeoutSec < 1 || g->ioTimeoutSec > 255)
        why = "io_timeout must be 1 to 255 seconds";
    else if (g->sectorSize != 512 && g->sectorSize != 4096)
        why = "the sector size must be 512 or 4096";
    else if (creation->config->watchdogRequired &&
             g->ioTimeoutSec < MIN_WATCHDOG_IO_TIMEOUT)
        why = "with a watchdog an io_timeout of 1 resets healthy hosts; use 2 or more";
    if (!why)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "cannot create store %s: %s", creation->path, why);
    return FALSE;
}

static virSanlockCreation *
virSanlockCreationNew(virSanlockConfig *config, const virLockStoreOptions *options,
                      GError **error)
{
    g_autoptr(virSanlockCreation) creation = g_atomic_rc_box_new0(virSanlockCreation);
    virSanlockGeometry *g = &creation->geometry;
    const char *path = options->path ? options->path : config->store;
    const char *lockspace = options->lockspace  ? options->lockspace
                            : config->lockspace ? config->lockspace
                                                : DEFAULT_LOCKSPACE;
    g_autofree char *uuid = g_uuid_string_random();

    creation->config = virSanlockConfigRef(config);
    creation->path = g_strdup(path);
    creation->force = options->force;
    creation->slotsGiven = options->maxLeases != 0;
    creation->sectorGiven = options->sectorSize != 0;
    g->version = VIR_SANLOCK_STORE_VERSION;
    g->maxHosts = options->maxHosts ? options->maxHosts : DEFAULT_MAX_HOSTS;
    g->maxSlots = options->maxLeases ? options->maxLeases : DEFAULT_MAX_SLOTS;
    g->ioTimeoutSec =
        options->ioTimeoutSec ? options->ioTimeoutSec : config->ioTimeoutSec;
    g->sectorSize = options->sectorSize ? options->sectorSize : 512;
    g->createdUsec = g_get_real_time();
    if (!path) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "no store is named, here or in [sanlock] store");
        return NULL;
    }
    if (g_strlcpy(g->lockspace, lockspace, sizeof(g->lockspace)) >= sizeof(g->lockspace))
        g->lockspace[0] = '\0';
    g_strlcpy(g->uuid, uuid, sizeof(g->uuid));
    if (!virSanlockConfigCheckPath(path, error) ||
        !virSanlockCreationCheck(creation, error))
        return NULL;
    g->alignBytes = virSanlockAlignForSector(g->sectorSize);
    return g_steal_pointer(&creation);
}

/* --- what is there --------------------------------------------------------------------------------- */

static void
virSanlockCreationUse4k(virSanlockCreation *creation)
{
    creation->geometry.sectorSize = 4096;
    creation->geometry.alignBytes = virSanlockAlignForSector(4096);
}

/* A device decides the sector size, and how many slots fit unless that was asked for. */
static gboolean
virSanlockCreationFitJob(gpointer data, GError **error)
{
    virSanlockCreation *creation = data;
    virSanlockGeometry *g = &creation->geometry;
    g_auto(virFd) fd = virSanlockStoreOpenFd(creation->path, O_RDONLY, error);
    guint64 bytes = 0;
    int logical = 512;

    if (fd < 0)
        return FALSE;
    if (ioctl(fd, BLKGETSIZE64, &bytes) < 0 || ioctl(fd, BLKSSZGET, &logical) < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE, "device %s: %s",
                    creation->path, g_strerror(errno));
        return FALSE;
    }
    if (logical > (int)g->sectorSize && !creation->sectorGiven)
        virSanlockCreationUse4k(creation);
    while (!creation->slotsGiven && g->maxSlots > 1 && virSanlockStoreBytes(g) > bytes)
        g->maxSlots--;
    if (logical > (int)g->sectorSize || virSanlockStoreBytes(g) > bytes) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "cannot create store %s: the device has %" G_GUINT64_FORMAT
                    " bytes in sectors of %d; %u leases of %u-byte sectors need "
                    "%" G_GUINT64_FORMAT,
                    creation->path, bytes, logical, g->maxSlots, g->sectorSize,
                    virSanlockStoreBytes(g));
        return FALSE;
    }
    return TRUE;
}

static gboolean
virSanlockCreationReadHosts(virSanlockCreation *creation, virSanlockStore *store,
                            GError **error)
{
    const virSanlockGeometry *g = &store->geometry;
    gsize len = (gsize)g->maxHosts * g->sectorSize;
    g_autoptr(virSanlockBytes) bytes = virSanlockBuffer(len);

    if (!virSanlockStoreRead(store, 0, bytes, len, error))
        return FALSE;
    for (guint i = 0; i < g->maxHosts; i++) {
        virSanlockLeader leader;

        if (virSanlockLeaderDecode(bytes + (gsize)i * g->sectorSize,
                                   VIR_SANLOCK_LEADER_HOST,
                                   &leader) == VIR_SANLOCK_LEADER_VALID &&
            leader.timestamp != 0)
            creation->hostsActive = TRUE;
    }
    if (creation->hostSectors && creation->hostBytes == len &&
        memcmp(creation->hostSectors, bytes, len) != 0)
        creation->hostsChanged = TRUE;
    g_aligned_free(creation->hostSectors);
    creation->hostSectors = g_steal_pointer(&bytes);
    creation->hostBytes = len;
    return TRUE;
}

/* What is mounted, or a part of LVM, RAID or multipath, is in use even if it looks empty. */
static gboolean
virSanlockCreationIsFree(const virSanlockCreation *creation, GError **error)
{
    g_auto(virFd) fd = open(creation->path, O_RDONLY | O_EXCL | O_CLOEXEC);

    if (fd >= 0 || errno != EBUSY)
        return TRUE; /* whoever opens it to write hears why that fails */
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "cannot create store %s: this host uses the device; it is mounted, or a "
                "part of LVM, RAID or multipath (then use the device that they make)",
                creation->path);
    return FALSE;
}

/* Partition tables, file systems, volume managers and RAID leave their marks at the beginning
 * or at the end of a device. FALSE: it cannot be read. */
static gboolean
virSanlockCreationReadMarks(const virSanlockCreation *creation, gboolean *blank,
                            GError **error)
{
    g_auto(virFd) fd = virSanlockStoreOpenFd(creation->path, O_RDONLY, error);
    g_autoptr(virSanlockBytes) bytes = virSanlockBuffer(MARKS_BYTES);
    guint64 size = 0;

    if (fd < 0)
        return FALSE;
    *blank = ioctl(fd, BLKGETSIZE64, &size) == 0 && size >= MARKS_BYTES;
    for (guint end = 0; *blank && end < 2; end++) {
        off_t offset = end ? (off_t)(size - MARKS_BYTES) : 0;

        *blank = pread(fd, bytes, MARKS_BYTES, offset) == MARKS_BYTES && bytes[0] == 0 &&
                 memcmp(bytes, bytes + 1, MARKS_BYTES - 1) == 0;
    }
    return TRUE;
}

/* Anything that is neither ours nor empty is not overwritten without force. */
static gboolean
virSanlockCreationLookJob(gpointer data, GError **error)
{
    virSanlockCreation *creation = data;
    g_autoptr(virSanlockStore) store = NULL;
    gboolean blank;
    struct stat st;

    if (stat(creation->path, &st) < 0) {
        if (errno == ENOENT)
            return TRUE;
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "cannot create store %s: %s", creation->path, g_strerror(errno));
        return FALSE;
    }
    creation->isDevice = S_ISBLK(st.st_mode);
    if (creation->isDevice && !virSanlockCreationIsFree(creation, error))
        return FALSE;
    store = virSanlockStoreOpen(creation->path, NULL, NULL);
    if (store) {
        creation->found = store->geometry;
        creation->hasFound = TRUE;
        if (!creation->force) {
            g_set_error(
                error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "%s is a store already, of lockspace '%s'; its leases would be lost "
                "(--force overwrites it)",
                creation->path, store->geometry.lockspace);
            return FALSE;
        }
        return virSanlockCreationReadHosts(creation, store, error);
    }
    if (S_ISDIR(st.st_mode) || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "cannot create store %s: it is neither a file nor a block device",
                    creation->path);
        return FALSE;
    }
    blank = st.st_size == 0; /* of a file */
    if (creation->isDevice && !virSanlockCreationReadMarks(creation, &blank, error))
        return FALSE;
    if (creation->force || blank)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "cannot create store %s: it %s and is not a store (--force overwrites it)",
                creation->path,
                creation->isDevice ? "is not blank (its first and last MiB)" : "exists");
    return FALSE;
}

static gboolean
virSanlockCreationAgainJob(gpointer data, GError **error)
{
    virSanlockCreation *creation = data;
    g_autoptr(virSanlockStore) store = virSanlockStoreOpen(creation->path, NULL, error);

    return store && virSanlockCreationReadHosts(creation, store, error);
}

/* --- writing ------------------------------------------------------------------------------------------ */

static gboolean
virSanlockCreationSetError(const virSanlockCreation *creation, int rv, const char *what,
                           GError **error)
{
    virSanlockErrorSet(error, rv, "cannot create store %s: formatting %s", creation->path,
                       what);
    return FALSE;
}

static gboolean
virSanlockCreationFormatLease(const virSanlockCreation *creation, const char *name,
                              guint64 offset, GError **error)
{
    const virSanlockGeometry *g = &creation->geometry;
    g_autofree struct sanlk_resource *res =
        virSanlockResourceNew(creation->buildPath, g, name, offset);
    int rv = sanlock_direct_write_resource(res, g->maxHosts, g->maxHosts, 0);

    return rv >= 0 || virSanlockCreationSetError(creation, rv, "a lease", error);
}

/* What rindex_format of sanlock writes, but with a lease for as many hosts as we want: the
 * header, no entries, and in the next unit the lease that guards it. */
static gboolean
virSanlockCreationFormatIndex(const virSanlockCreation *creation, virSanlockStore *store,
                              GError **error)
{
    const virSanlockGeometry *g = &creation->geometry;
    gsize len = virSanlockIndexBytes(g);
    g_autoptr(virSanlockBytes) bytes = virSanlockBuffer(len);

    virSanlockIndexInit(bytes, g);
    return virSanlockStoreWrite(store, virSanlockIndexOffset(g), bytes, len, error) &&
           virSanlockCreationFormatLease(creation, "rindex_lease",
                                         virSanlockIndexOffset(g) + g->alignBytes, error);
}

static gboolean
virSanlockCreationClearHeader(virSanlockStore *store, GError **error)
{
    const virSanlockGeometry *g = &store->geometry;
    g_autoptr(virSanlockBytes) sector = virSanlockBuffer(g->sectorSize);

    return virSanlockStoreWrite(store, virSanlockHeaderOffset(g->sectorSize), sector,
                                g->sectorSize, error) &&
           virSanlockStoreSync(store, error);
}

/* Slots are formatted, and their use records zeroed, when they are created. */
static gboolean
virSanlockCreationFormat(virSanlockCreation *creation, virSanlockStore *store,
                         GError **error)
{
    const virSanlockGeometry *g = &creation->geometry;
    struct sanlk_lockspace lockspace;
    int rv;

    virSanlockLockspaceInit(&lockspace, creation->buildPath, g, 0);
    rv = sanlock_direct_write_lockspace(&lockspace, g->maxHosts, 0, g->ioTimeoutSec);
    if (rv < 0)
        return virSanlockCreationSetError(creation, rv, "the lockspace", error);
    return virSanlockCreationFormatLease(creation, VIR_SANLOCK_GUARD_NAME,
                                         virSanlockGuardOffset(g), error) &&
           virSanlockCreationFormatIndex(creation, store, error) &&
           virSanlockStoreWriteHeader(store, error);
}

/* A system daemon runs as its own user and must be able to open the store. */
static gboolean
virSanlockCreationGiveToDaemon(const virSanlockCreation *creation, int fd, GError **error)
{
    struct passwd entry, *found = NULL;
    char buffer[4096];

    if (creation->isDevice || geteuid() != 0 || g_getenv("SANLOCK_RUN_DIR") ||
        getpwnam_r("sanlock", &entry, buffer, sizeof(buffer), &found) != 0 || !found)
        return TRUE;
    if (fchown(fd, entry.pw_uid, entry.pw_gid) == 0 && fchmod(fd, 0660) == 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "cannot give store %s to user sanlock, as whom the daemon runs: %s",
                creation->path, g_strerror(errno));
    return FALSE;
}

static gboolean
virSanlockCreationPublish(const virSanlockCreation *creation, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(creation->path);
    g_auto(virFd) fd = -1;

    if (creation->isDevice)
        return TRUE;
    if (rename(creation->buildPath, creation->path) < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "cannot create store %s: %s", creation->path, g_strerror(errno));
        return FALSE;
    }
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        (void)!fsync(fd);
    return TRUE;
}

/* A file on a disk with sectors of 4096 bytes cannot be read in pieces of 512. */
static gboolean
virSanlockCreationSizeFile(virSanlockCreation *creation, virSanlockStore *store,
                           GError **error)
{
    g_autoptr(virSanlockBytes) sector = virSanlockBuffer(512);

    if (ftruncate(store->fd, 4096) == 0 && pread(store->fd, sector, 512, 512) < 0 &&
        errno == EINVAL && !creation->sectorGiven)
        virSanlockCreationUse4k(creation);
    if (ftruncate(store->fd, virSanlockStoreBytes(&creation->geometry)) == 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "cannot create store %s: %s", creation->path, g_strerror(errno));
    return FALSE;
}

static gboolean
virSanlockCreationBuild(virSanlockCreation *creation, virSanlockStore *store,
                        GError **error)
{
    store->path = g_strdup(creation->buildPath);
    store->fd = virSanlockStoreOpenFd(
        store->path, O_RDWR | (creation->isDevice ? 0 : O_CREAT | O_EXCL), error);
    if (store->fd < 0)
        return FALSE;
    if (!creation->isDevice && !virSanlockCreationSizeFile(creation, store, error))
        return FALSE;
    store->geometry = creation->geometry;
    if (creation->isDevice && !virSanlockCreationClearHeader(store, error))
        return FALSE;
    return virSanlockCreationGiveToDaemon(creation, store->fd, error) &&
           virSanlockCreationFormat(creation, store, error) &&
           virSanlockCreationPublish(creation, error);
}

static gboolean
virSanlockCreationBuildJob(gpointer data, GError **error)
{
    virSanlockCreation *creation = data;
    g_autoptr(virSanlockStore) store = g_new0(virSanlockStore, 1);

    store->fd = -1;
    if (virSanlockCreationBuild(creation, store, error))
        return TRUE;
    if (!creation->isDevice && store->fd >= 0)
        unlink(creation->buildPath);
    return FALSE;
}

/* --- the whole --------------------------------------------------------------------------------------- */

static gboolean
virSanlockCreationRun(virSanlockCreation *creation, const char *what,
                      virSanlockJobFunc func, const virSanlockBounds *bounds,
                      GError **error)
{
    virSanlockCall call = {
        .what = what,
        .func = func,
        .data = creation,
        .clear = virSanlockCreationClear,
        .flags = func == virSanlockCreationBuildJob ? VIR_SANLOCK_CALL_CHANGES : 0,
    };

    return virSanlockCallRun(&call, bounds, NULL, error);
}

/* Watches for a little more than a renewal interval whether a host of the store renews. */
static gboolean
virSanlockCreationWatchHosts(virSanlockCreation *creation, const virSanlockBounds *bounds,
                             GError **error)
{
    guint watchSec = 2 * creation->found.ioTimeoutSec + 2;

    for (guint sec = 0; creation->hostsActive && sec < watchSec; sec++) {
        virSanlockBoundsProgress(bounds, "watching whether a host uses the old store",
                                 (double)sec / watchSec, watchSec - sec, NULL);
        if (!virSanlockBoundsSleep(bounds, G_USEC_PER_SEC, "creating a store", error) ||
            !virSanlockCreationRun(creation, "reading the old store",
                                   virSanlockCreationAgainJob, bounds, error))
            return FALSE;
        if (creation->hostsChanged) {
            g_set_error(
                error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "store %s is in use: a host has joined lockspace '%s'; a joined store is "
                "never overwritten. Run 'leasehold host leave' on every host first",
                creation->path, creation->found.lockspace);
            return FALSE;
        }
    }
    return TRUE;
}

gboolean
virSanlockStoreCreate(gpointer driverData, const virLockStoreOptions *options,
                      const virLockWait *wait, GError **error)
{
    g_autoptr(virSanlockCreation) creation =
        virSanlockCreationNew(driverData, options, error);
    virSanlockBounds bounds;

    virSanlockBoundsInit(&bounds, wait);
    if (!creation || !virSanlockCreationRun(creation, "looking at the place of the store",
                                            virSanlockCreationLookJob, &bounds, error))
        return FALSE;
    if (!virSanlockCreationWatchHosts(creation, &bounds, error) ||
        (creation->isDevice &&
         !virSanlockCreationRun(creation, "measuring the device",
                                virSanlockCreationFitJob, &bounds, error)))
        return FALSE;
    creation->buildPath =
        creation->isDevice
            ? g_strdup(creation->path)
            : g_strdup_printf("%s.new-%s", creation->path, creation->geometry.uuid);
    virSanlockBoundsProgress(&bounds, "formatting the store", -1, -1, NULL);
    return virSanlockCreationRun(creation, "formatting the store",
                                 virSanlockCreationBuildJob, &bounds, error);
}
