/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lock.c: taking and giving leases and bridges.
 *
 * The rule that keeps two strangers apart during a migration: whoever takes a lease takes it
 * first and then looks at its bridge, and gives up if somebody has it. Who takes a bridge
 * takes it first too; its caller then looks at the lease. So at least one of two that meet
 * sees the other.
 *
 * A set is taken whole or not at all: the child gets the descriptions only when all locks are
 * there, and what was taken is unlocked, not just closed, when something fails afterwards.
 */
#include "plugins/lockfile/lockfile.h"

#include "common/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define RETRY_FIRST_USEC (10 * G_TIME_SPAN_MILLISECOND)
#define RETRY_MAX_USEC (100 * G_TIME_SPAN_MILLISECOND)

/* --- fcntl -------------------------------------------------------------------------------- */

/* Returns 0 or errno; EAGAIN: somebody else has it. */
static int
virLockfileSet(int fd, short type, off_t byte)
{
    struct flock lock = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    return errno == EACCES ? EAGAIN : errno;
}

/* Has another description any lock on this byte? Returns 0 (no), EAGAIN (yes) or errno. */
static int
virLockfileTest(int fd, off_t byte)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
        return errno;
    return lock.l_type == F_UNLCK ? 0 : EAGAIN;
}

static short
virLockfileType(virLockMode mode)
{
    return mode == VIR_LOCK_MODE_SHARED ? F_RDLCK : F_WRLCK;
}

/* --- waiting ------------------------------------------------------------------------------ */

typedef struct _virLockfileRetry {
    gint64 pauseUsec;
    gint64 startUsec;
    gint64 progressUsec;
} virLockfileRetry;

static void
virLockfileProgress(virLockfileRetry *retry, const virLockDriverResource *resource,
                    GPtrArray *owners, const virLockWait *wait)
{
    g_autofree char *what = g_strdup_printf("waiting for %s", resource->label);
    gint64 now = g_get_monotonic_time();
    virLockProgress progress = {
        .structSize = sizeof(progress),
        .what = what,
        .fraction = -1,
        .etaSec = -1,
        .holder = owners->len > 0 ? owners->pdata[0] : NULL,
    };

    if (!wait->progress || (retry->progressUsec && now < retry->progressUsec))
        return;
    retry->progressUsec = now + G_USEC_PER_SEC;
    wait->progress(&progress, wait->progressData);
}

static gboolean
virLockfileCancelled(const virLockDriverResource *resource, const virLockWait *wait,
                     GError **error)
{
    if (!g_cancellable_is_cancelled(wait->cancellable))
        return FALSE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED,
                "taking %s was cancelled", resource->label);
    return TRUE;
}

/* Sleeps until the next try or until it is cancelled. */
static void
virLockfileSleep(virLockfileRetry *retry, const virLockWait *wait)
{
    GPollFD poll = {.fd = -1};

    retry->pauseUsec =
        retry->pauseUsec ? MIN(retry->pauseUsec * 2, RETRY_MAX_USEC) : RETRY_FIRST_USEC;
    if (wait->cancellable && g_cancellable_make_pollfd(wait->cancellable, &poll)) {
        (void)g_poll(&poll, 1, retry->pauseUsec / 1000);
        g_cancellable_release_fd(wait->cancellable);
        return;
    }
    g_usleep(retry->pauseUsec);
}

/* TRUE: try again. FALSE: @error is set. */
static gboolean
virLockfileBusy(virLockfileObject *object, const virLockDriverResource *resource,
                virLockHold hold, int fd, virLockfileRetry *retry,
                const virLockWait *wait, GError **error)
{
    g_autoptr(GPtrArray) owners = virLockfileOwners(object->plugin, resource, fd);

    if (g_get_monotonic_time() >= wait->busyUsec) {
        virLockfileSetBusy(error, resource, hold, owners);
        return FALSE;
    }
    virLockfileProgress(retry, resource, owners, wait);
    virLockfileSleep(retry, wait);
    return TRUE;
}

/* The name meant another file when this one was locked: somebody removes lock files. TRUE: try
 * again. FALSE: @error is set. */
static gboolean
virLockfileReplaced(const virLockDriverResource *resource, const char *file,
                    virLockfileRetry *retry, const virLockWait *wait, GError **error)
{
    if (g_get_monotonic_time() < wait->deadlineUsec) {
        virLockfileSleep(retry, wait);
        return TRUE;
    }
    g_set_error(
        error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
        "%s was not taken by the deadline: its lock file %s is replaced again and again",
        resource->label, file);
    return FALSE;
}

static gboolean
virLockfileSyscallError(GError **error, const virLockDriverResource *resource, int errnum)
{
    g_set_error(error, VIR_LOCK_ERROR,
                errnum == EINVAL || errnum == EOPNOTSUPP ? VIR_LOCK_ERROR_CONFIG
                                                         : VIR_LOCK_ERROR_UNAVAILABLE,
                "%s cannot be locked: %s (fcntl errno %d)%s", resource->label,
                g_strerror(errnum), errnum,
                errnum == EINVAL || errnum == EOPNOTSUPP
                    ? "; this file system has no locks of open files"
                    : "");
    return FALSE;
}

/* --- what an object holds ----------------------------------------------------------------- */

void
virLockfileHeldFree(virLockfileHeld *held)
{
    virFdClose(held->fd);
    g_free(held->file);
    g_free(held);
}

virLockfileHeld *
virLockfileFindHeld(virLockfileObject *object, const virLockDriverResource *resource)
{
    g_autofree char *file = virLockfileName(resource);

    return g_hash_table_lookup(object->held, file);
}

/* Gives up one byte; the description is forgotten when nothing of it is held any more. */
static void
virLockfileDrop(virLockfileObject *object, virLockfileHeld *held, off_t byte)
{
    (void)virLockfileSet(held->fd, F_UNLCK, byte);
    if (byte == VIR_LOCKFILE_BYTE_LEASE)
        held->mode = VIR_LOCK_MODE_NONE;
    else
        held->bridge = FALSE;
    if (held->mode == VIR_LOCK_MODE_NONE && !held->bridge)
        g_hash_table_remove(object->held, held->file);
}

static gboolean
virLockfileNotHeld(GError **error, const virLockDriverResource *resource,
                   const char *what)
{
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE, "%s: %s is not held",
                resource->label, what);
    return FALSE;
}

/* --- taking ------------------------------------------------------------------------------- */

/* What is wanted: one byte in one mode, whether the bridge has to be free then, and what the
 * byte goes back to if it is not. */
typedef struct _virLockfileWish {
    off_t byte;
    gboolean lookAtBridge;
    short restore;
} virLockfileWish;

static const virLockfileWish virLockfileWishLease = {VIR_LOCKFILE_BYTE_LEASE, TRUE,
                                                     F_UNLCK};
static const virLockfileWish virLockfileWishBridge = {VIR_LOCKFILE_BYTE_BRIDGE, FALSE,
                                                      F_UNLCK};
static const virLockfileWish virLockfileWishBehindBridge = {VIR_LOCKFILE_BYTE_LEASE,
                                                            FALSE, F_UNLCK};
/* the kernel changes the type of a lock that we have in one step */
static const virLockfileWish virLockfileWishStronger = {VIR_LOCKFILE_BYTE_LEASE, TRUE,
                                                        F_RDLCK};
static const virLockfileWish virLockfileWishWeaker = {VIR_LOCKFILE_BYTE_LEASE, FALSE,
                                                      F_WRLCK};

/* One try on an open file. *hold: what of it was in the way. Returns 0, EAGAIN or errno. */
static int
virLockfileTry(int fd, const virLockfileWish *wish, virLockMode mode, virLockHold *hold)
{
    short type = wish->byte == VIR_LOCKFILE_BYTE_BRIDGE ? F_WRLCK : virLockfileType(mode);
    int rc = virLockfileSet(fd, type, wish->byte);

    *hold = wish->byte == VIR_LOCKFILE_BYTE_BRIDGE ? VIR_LOCK_HOLD_BRIDGE
                                                   : VIR_LOCK_HOLD_LEASE;
    if (rc != 0 || !wish->lookAtBridge)
        return rc;
    rc = virLockfileTest(fd, VIR_LOCKFILE_BYTE_BRIDGE);
    *hold = VIR_LOCK_HOLD_BRIDGE;
    if (rc != 0)
        (void)virLockfileSet(fd, wish->restore, wish->byte);
    return rc;
}

/* Opens, locks, looks at the bridge, and makes sure that the name still means this file; as
 * often as the caller has patience. */
static int
virLockfileLockFile(virLockfileObject *object, int dirFd,
                    const virLockDriverResource *resource, const virLockfileWish *wish,
                    const virLockWait *wait, GError **error)
{
    g_autofree char *file = virLockfileName(resource);
    virLockfileRetry retry = {0};

    for (;;) {
        g_auto(virFd) fd = -1;
        virLockHold hold;
        int rc;

        if (virLockfileCancelled(resource, wait, error) ||
            (fd = virLockfileOpen(object->plugin, dirFd, file, error)) < 0)
            return -1;
        rc = virLockfileTry(fd, wish, resource->mode, &hold);
        if (rc == 0 && virLockfileIsCurrent(dirFd, file, fd))
            return g_steal_fd(&fd);
        if (rc != 0 && rc != EAGAIN) {
            (void)virLockfileSyscallError(error, resource, rc);
            return -1;
        }
        if (rc == EAGAIN
                ? !virLockfileBusy(object, resource, hold, fd, &retry, wait, error)
                : !virLockfileReplaced(resource, file, &retry, wait, error))
            return -1;
    }
}

/* A further byte of a description that we have: the bridge of a lease that we hold (a source
 * takes its guest back), or the lease behind our bridge. */
static gboolean
virLockfileLockHeld(virLockfileObject *object, virLockfileHeld *held,
                    const virLockDriverResource *resource, const virLockfileWish *wish,
                    const virLockWait *wait, GError **error)
{
    virLockfileRetry retry = {0};

    for (;;) {
        virLockHold hold;
        int rc;

        if (virLockfileCancelled(resource, wait, error))
            return FALSE;
        rc = virLockfileTry(held->fd, wish, resource->mode, &hold);
        if (rc == 0)
            return TRUE;
        if (rc != EAGAIN)
            return virLockfileSyscallError(error, resource, rc);
        if (!virLockfileBusy(object, resource, hold, held->fd, &retry, wait, error))
            return FALSE;
    }
}

static gboolean
virLockfileTake(virLockfileObject *object, int dirFd,
                const virLockDriverResource *resource, const virLockfileWish *wish,
                const virLockWait *wait, GError **error)
{
    gboolean bridge = wish->byte == VIR_LOCKFILE_BYTE_BRIDGE;
    virLockfileHeld *held = virLockfileFindHeld(object, resource);
    int fd;

    if (held && (bridge ? held->bridge : held->mode != VIR_LOCK_MODE_NONE)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE, "%s is held already",
                    resource->label);
        return FALSE;
    }
    if (held) {
        if (!virLockfileLockHeld(object, held, resource, wish, wait, error))
            return FALSE;
    } else {
        fd = virLockfileLockFile(object, dirFd, resource, wish, wait, error);
        if (fd < 0)
            return FALSE;
        held = g_new0(virLockfileHeld, 1);
        held->file = virLockfileName(resource);
        held->fd = fd;
        g_hash_table_insert(object->held, held->file, held);
    }
    if (bridge)
        held->bridge = TRUE;
    else
        held->mode = resource->mode;
    return TRUE;
}

/* The child has to have the description before it can be said that the child holds it. */
static gboolean
virLockfilePass(virLockfileObject *object, const virLockDriverResource *resource,
                GError **error)
{
    virLockfileHeld *held = virLockfileFindHeld(object, resource);
    g_autofree char *name = g_strconcat("leasehold-", held->file, NULL);

    if (held->passed)
        return TRUE;
    if (!object->passFd(held->fd, name, object->passFdData, error)) {
        g_prefix_error(error, "%s could not be given to guest '%s': ", resource->label,
                       object->name);
        return FALSE;
    }
    held->passed = TRUE;
    return TRUE;
}

static gboolean
virLockfileTakeSet(virLockfileObject *object, virLockDriverResource *const *resources,
                   gsize n, const virLockfileWish *wish, const virLockWait *wait,
                   GError **error)
{
    g_auto(virFd) dirFd = -1;
    gboolean ok = TRUE;
    gsize taken = 0;

    if (!virLockfileAdopt(object, error) ||
        (dirFd = virLockfileOpenDir(object->plugin, error)) < 0)
        return FALSE;
    while (ok && taken < n) {
        ok = virLockfileTake(object, dirFd, resources[taken], wish, wait, error);
        taken += ok;
    }
    for (gsize i = 0; ok && i < n; i++)
        ok = virLockfilePass(object, resources[i], error) &&
             virLockfileReadEpoch(virLockfileFindHeld(object, resources[i])->fd,
                                  resources[i], error);
    while (!ok && taken > 0)
        virLockfileDrop(object, virLockfileFindHeld(object, resources[--taken]),
                        wish->byte);
    return ok;
}

gboolean
virLockfileAcquire(gpointer objectData, virLockDriverResource *const *resources, gsize n,
                   guint flags, const virLockWait *wait, GError **error)
{
    return virLockfileTakeSet(objectData, resources, n, &virLockfileWishLease, wait,
                              error);
}

gboolean
virLockfileReserve(gpointer objectData, virLockDriverResource *const *resources, gsize n,
                   const virLockWait *wait, GError **error)
{
    return virLockfileTakeSet(objectData, resources, n, &virLockfileWishBridge, wait,
                              error);
}

/* --- giving ------------------------------------------------------------------------------- */

gboolean
virLockfileRelease(gpointer objectData, virLockDriverResource *const *resources, gsize n,
                   const virLockWait *wait, GError **error)
{
    virLockfileObject *object = objectData;

    if (!virLockfileAdopt(object, error))
        return FALSE;
    for (gsize i = 0; i < n; i++) {
        const virLockfileHeld *held = virLockfileFindHeld(object, resources[i]);

        if (!held || held->mode == VIR_LOCK_MODE_NONE)
            return virLockfileNotHeld(error, resources[i], "the lease");
    }
    for (gsize i = 0; i < n; i++)
        virLockfileDrop(object, virLockfileFindHeld(object, resources[i]),
                        VIR_LOCKFILE_BYTE_LEASE);
    return TRUE;
}

gboolean
virLockfileUnreserve(gpointer objectData, virLockDriverResource *const *resources,
                     gsize n, const virLockWait *wait, GError **error)
{
    virLockfileObject *object = objectData;

    if (!virLockfileAdopt(object, error))
        return FALSE;
    for (gsize i = 0; i < n; i++) {
        const virLockfileHeld *held = virLockfileFindHeld(object, resources[i]);

        if (!held || !held->bridge)
            return virLockfileNotHeld(error, resources[i], "the bridge");
    }
    for (gsize i = 0; i < n; i++)
        virLockfileDrop(object, virLockfileFindHeld(object, resources[i]),
                        VIR_LOCKFILE_BYTE_BRIDGE);
    return TRUE;
}

/* --- changing ----------------------------------------------------------------------------- */

/* Every bridge is tried, also after one failed: each that settles is one less to wait for. */
gboolean
virLockfileSettle(gpointer objectData, virLockDriverResource *const *resources, gsize n,
                  const virLockWait *wait, GError **error)
{
    virLockfileObject *object = objectData;
    g_autoptr(GError) first = NULL;

    if (!virLockfileAdopt(object, error))
        return FALSE;
    for (gsize i = 0; i < n; i++) {
        virLockfileHeld *held = virLockfileFindHeld(object, resources[i]);

        if (!held || !held->bridge)
            return virLockfileNotHeld(error, resources[i], "the bridge");
        if (!virLockfileLockHeld(object, held, resources[i], &virLockfileWishBehindBridge,
                                 wait, first ? NULL : &first))
            continue;
        held->mode = resources[i]->mode;
        virLockfileDrop(object, held, VIR_LOCKFILE_BYTE_BRIDGE);
    }
    if (!first)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&first));
    return FALSE;
}

gboolean
virLockfileConvert(gpointer objectData, virLockDriverResource *resource, virLockMode mode,
                   const virLockWait *wait, GError **error)
{
    virLockfileObject *object = objectData;
    virLockDriverResource wanted = *resource;
    virLockfileHeld *held;

    if (!virLockfileAdopt(object, error))
        return FALSE;
    held = virLockfileFindHeld(object, resource);
    if (!held || held->mode == VIR_LOCK_MODE_NONE)
        return virLockfileNotHeld(error, resource, "the lease");
    wanted.mode = mode;
    if (!virLockfileLockHeld(object, held, &wanted,
                             mode == VIR_LOCK_MODE_EXCLUSIVE ? &virLockfileWishStronger
                                                             : &virLockfileWishWeaker,
                             wait, error))
        return FALSE;
    held->mode = mode;
    /* another holder may have used it since it was read */
    return virLockfileReadEpoch(held->fd, resource, error);
}
