/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * object.c: a guest, its registration with sanlock, and what it holds.
 *
 * The child registers itself between fork and exec, so that sanlock ties the leases to the
 * connection that QEMU inherits: they live exactly as long as QEMU's file table. In the child:
 * register, failure helper, restriction, in this order. The helper and the restriction are
 * copied into a lease when it is acquired, so both come before; the restriction comes last,
 * because it forbids everything else on the connection, and its reply proves that the daemon
 * accepted the registration (which has no reply of its own).
 */
#include "plugins/sanlock/object.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/text.h"
#include "plugins/sanlock/errors.h"
#include "plugins/sanlock/marker.h"
#include "plugins/sanlock/libsanlock.h"

/* How long the child waits for a reply of the daemon; its parent is not so patient. */
#define REPLY_TIMEOUT_SEC 10
#define DYING_TRIES 100
#define DYING_NAP_USEC (10 * 1000)
/* run_path in sanlock's helper.c: 8 with the program and the pid, which sanlock appends */
#define HELPER_MAX_ARGS 6

gboolean
virSanlockObjectNew(gpointer driverData, const virLockDriverObject *from, guint flags,
                    gpointer *objectData, GError **error)
{
    virSanlockConfig *config = driverData;
    virSanlockObject *object;

    if (!virSanlockConfigNeedStore(config, error))
        return FALSE;
    object = g_new0(virSanlockObject, 1);
    g_mutex_init(&object->renewalMutex);
    object->config = virSanlockConfigRef(config);
    object->name = g_strdup(from->name ? from->name : "");
    object->uuid = g_strdup(from->uuid);
    object->lossHelper = g_strdup(from->lossHelper);
    object->lossHelperArgs = g_strdup(from->lossHelperArgs ? from->lossHelperArgs : "");
    object->pid = from->pid;
    *objectData = object;
    return TRUE;
}

void
virSanlockObjectFree(gpointer objectData)
{
    virSanlockObject *object = objectData;

    virSanlockMarkerForget(object->config, object->uuid);
    g_clear_pointer(&object->taken, virSanlockLeaseSetUnref);
    virSanlockConfigUnref(object->config);
    g_mutex_clear(&object->renewalMutex);
    g_free(object->name);
    g_free(object->uuid);
    g_free(object->lossHelper);
    g_free(object->lossHelperArgs);
    g_free(object);
}

/* --- registration ------------------------------------------------------------------------------ */

/* As sanlock splits them: at spaces, unless a backslash stands before one. */
static guint
virSanlockCountHelperArgs(const char *args)
{
    guint n = 1;

    for (; *args; args++) {
        if (*args == '\\' && args[1])
            args++;
        else if (*args == ' ')
            n++;
    }
    return n;
}

gboolean
virSanlockObjectPrepareChild(gpointer objectData, GError **error)
{
    virSanlockObject *object = objectData;
    g_autofree char *path = NULL, *args = NULL;

    if (!object->lossHelper)
        return TRUE;
    if (strlen(object->lossHelper) < SANLK_HELPER_PATH_LEN &&
        strlen(object->lossHelperArgs) < SANLK_HELPER_ARGS_LEN &&
        virSanlockCountHelperArgs(object->lossHelperArgs) <= HELPER_MAX_ARGS &&
        !strpbrk(object->lossHelperArgs, "\t\n"))
        return TRUE;
    path = virTextPrintable(object->lossHelper);
    args = virTextPrintable(object->lossHelperArgs);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "the failure helper '%s' with '%s' does not fit into sanlock: path and "
                "arguments may have %d characters each, without tabs and line ends, and "
                "there may be %d arguments; a shorter run_dir helps",
                path, args, SANLK_HELPER_PATH_LEN - 1, HELPER_MAX_ARGS);
    return FALSE;
}

static int
virSanlockForkSafeSetTimeout(int sock, int seconds)
{
    struct timeval limit = {.tv_sec = seconds};

    if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
        setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
        return errno;
    return 0;
}

static int
virSanlockForkSafeSetUp(virSanlockObject *object, int sock, const char **message)
{
    int rv = 0;

    if (virSanlockForkSafeSetTimeout(sock, REPLY_TIMEOUT_SEC) != 0) {
        *message = "cannot set a time limit on the connection to sanlock";
        return EIO;
    }
    if (object->lossHelper)
        rv = sanlock_killpath(sock, SANLK_KILLPATH_PID, object->lossHelper,
                              object->lossHelperArgs);
    if (rv < 0) {
        *message = "sanlock does not accept the failure helper";
        return -rv;
    }
    rv = sanlock_restrict(sock, SANLK_RESTRICT_ALL);
    if (rv < 0) {
        *message = "sanlock did not accept the registration";
        return -rv;
    }
    virSanlockForkSafeSetTimeout(sock, 0);
    return 0;
}

/* libsanlock itself calls getenv and snprintf here; no lock and no allocation of ours. */
int
virSanlockObjectRegisterChild(gpointer objectData, int *inheritFd, const char **message)
{
    int sock = sanlock_register();
    int rc;

    if (sock < 0) {
        *message = sock == -ENOENT || sock == -ECONNREFUSED
                       ? "the sanlock daemon is not running"
                       : "cannot connect to the sanlock daemon";
        return -sock;
    }
    rc = virSanlockForkSafeSetUp(objectData, sock, message);
    if (rc != 0) {
        close(sock);
        return rc;
    }
    *inheritFd = sock;
    return 0;
}

gboolean
virSanlockObjectSetPid(gpointer objectData, pid_t pid, GError **error)
{
    virSanlockObject *object = objectData;

    if (pid <= 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE, "%d is not a process",
                    (int)pid);
        return FALSE;
    }
    object->pid = pid;
    return TRUE;
}

gboolean
virSanlockObjectNeedPid(const virSanlockObject *object, GError **error)
{
    if (object->pid > 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "guest '%s' has no process yet that could hold leases", object->name);
    return FALSE;
}

/* --- what it holds ------------------------------------------------------------------------------- */

static virLockLease *
virSanlockHeldToLease(const virSanlockHeld *held, const char *name)
{
    virLockLease *lease = g_new0(virLockLease, 1);

    lease->structSize = sizeof(*lease);
    lease->lockspace = g_strdup(held->lockspace);
    lease->name = g_strdup(name);
    lease->mode = held->mode;
    lease->hold = held->name[0] == '~' ? VIR_LOCK_HOLD_BRIDGE : VIR_LOCK_HOLD_LEASE;
    lease->type = g_str_has_prefix(name, "guest-")   ? VIR_LOCK_RESOURCE_RUN
                  : g_str_has_prefix(name, "lease-") ? VIR_LOCK_RESOURCE_LEASE
                                                     : VIR_LOCK_RESOURCE_DISK;
    return lease;
}

typedef struct {
    virSanlockConfig *config;
    guint64 offset;
    char name[VIR_SANLOCK_NAME_SIZE];
} virSanlockBridgeQuery;

static void
virSanlockBridgeQueryClear(gpointer data)
{
    virSanlockConfigUnref(((virSanlockBridgeQuery *)data)->config);
}

static gboolean
virSanlockBridgeQueryJob(gpointer data, GError **error)
{
    virSanlockBridgeQuery *query = data;
    g_autoptr(virSanlockStore) store =
        virSanlockStoreOpen(query->config->store, query->config->lockspace, error);
    g_autoptr(virSanlockBytes) index =
        store ? virSanlockStoreReadIndex(store, error) : NULL;

    if (!index)
        return FALSE;
    for (guint slot = 0; slot < store->geometry.maxSlots; slot++) {
        virSanlockIndexEntry entry;

        if (virSanlockBridgeOffset(&store->geometry, slot) != query->offset)
            continue;
        virSanlockIndexGet(index, &store->geometry, slot, &entry);
        g_strlcpy(query->name, entry.name, sizeof(query->name));
    }
    return TRUE;
}

/* The name of a lease of 47 characters is hashed in the name of its bridge; the index knows
 * it. Free: g_free. */
static char *
virSanlockObjectNameOf(virSanlockObject *object, const virSanlockHeld *held,
                       const virSanlockBounds *bounds, GError **error)
{
    virSanlockBridgeQuery *query;
    virSanlockCall call;
    char *name = NULL;

    if (held->name[0] != '~')
        return g_strdup(held->name);
    if (held->name[1] != '~')
        return g_strdup(held->name + 1);

    query = g_atomic_rc_box_new0(virSanlockBridgeQuery);
    query->config = virSanlockConfigRef(object->config);
    query->offset = held->offset;
    call = (virSanlockCall){
        .what = "looking up the lease of a bridge",
        .func = virSanlockBridgeQueryJob,
        .data = query,
        .clear = virSanlockBridgeQueryClear,
    };
    if (virSanlockCallRun(&call, bounds, NULL, error))
        name = g_strdup(query->name);
    g_atomic_rc_box_release_full(query, virSanlockBridgeQueryClear);
    return name;
}

/* -ESTALE: the process just died, and sanlock has not yet begun to free its leases. */
static gboolean
virSanlockObjectAsk(virSanlockObject *object, GArray **held,
                    const virSanlockBounds *bounds, int *rv, GError **error)
{
    for (guint tries = 0; tries < DYING_TRIES; tries++) {
        if (!virSanlockClientInquire(object->pid, held, bounds, rv, error))
            return FALSE;
        if (*rv != -ESTALE && *rv != -EBUSY)
            return TRUE;
        if (!virSanlockBoundsSleep(bounds, DYING_NAP_USEC, "asking sanlock for leases",
                                   error))
            return FALSE;
    }
    return TRUE;
}

gboolean
virSanlockObjectInquire(gpointer objectData, GPtrArray **leases, const virLockWait *wait,
                        GError **error)
{
    virSanlockObject *object = objectData;
    g_autoptr(GPtrArray) result =
        g_ptr_array_new_with_free_func((GDestroyNotify)virLockLeaseFree);
    g_autoptr(GArray) held = NULL;
    virSanlockBounds bounds;
    int rv;

    virSanlockBoundsInit(&bounds, wait);
    if (!virSanlockObjectNeedPid(object, error) ||
        !virSanlockObjectAsk(object, &held, &bounds, &rv, error))
        return FALSE;
    if (rv == -ESRCH) {
        /* a process that is gone, or whose daemon is another one now, holds nothing */
        *leases = g_steal_pointer(&result);
        return TRUE;
    }
    if (rv != 0) {
        virSanlockErrorSet(error, rv, "cannot ask for the leases of guest '%s'",
                           object->name);
        return FALSE;
    }
    for (guint i = 0; i < held->len; i++) {
        const virSanlockHeld *one = &g_array_index(held, virSanlockHeld, i);
        g_autofree char *name = virSanlockObjectNameOf(object, one, &bounds, error);

        if (!name)
            return FALSE;
        g_ptr_array_add(result, virSanlockHeldToLease(one, name));
    }
    *leases = g_steal_pointer(&result);
    return TRUE;
}
