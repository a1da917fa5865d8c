/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client.c: see client.h.
 *
 * libsanlock opens a connection for each call (sock = -1) and names the process by pid; the
 * daemon answers -ESRCH unless that process has registered itself.
 */
#include "plugins/sanlock/client.h"

#include <stdlib.h>
#include "plugins/sanlock/libsanlock.h"
#include "plugins/sanlock/parallel.h"

typedef enum {
    OPERATION_ACQUIRE,
    OPERATION_RELEASE,
    OPERATION_CONVERT,
    OPERATION_INQUIRE,
} virSanlockOperation;

typedef struct {
    virSanlockOperation operation;
    pid_t pid;
    int n;
    struct sanlk_resource *resources[VIR_SANLOCK_BATCH];
    struct sanlk_options options;
    virSanlockLeaseSet *ahead;
    /* answers */
    int rv;
    char *state;
} virSanlockRequest;

static void
virSanlockRequestClear(gpointer data)
{
    virSanlockRequest *request = data;

    for (int i = 0; i < request->n; i++)
        g_free(request->resources[i]);
    g_clear_pointer(&request->ahead, virSanlockLeaseSetUnref);
    free(request->state);
}

static void
virSanlockRequestUnref(virSanlockRequest *request)
{
    g_atomic_rc_box_release_full(request, virSanlockRequestClear);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSanlockRequest, virSanlockRequestUnref)

static virSanlockRequest *
virSanlockRequestNew(virSanlockOperation operation, pid_t pid,
                     const virSanlockBatch *batch)
{
    virSanlockRequest *request = g_atomic_rc_box_new0(virSanlockRequest);

    request->operation = operation;
    request->pid = pid;
    for (gsize i = 0; batch && i < batch->n; i++)
        request->resources[request->n++] =
            virSanlockLeaseToResource(batch->set, batch->index[i], batch->part);
    return request;
}

/* While the daemon takes some leases there is time to look at those that were taken. */
static int
virSanlockRequestAcquire(virSanlockRequest *r)
{
    virSanlockAside look;
    int rv;

    if (r->ahead)
        virSanlockAsideStart(&look, virSanlockLeaseSetReadAhead, r->ahead);
    rv = sanlock_acquire(-1, r->pid, SANLK_ACQUIRE_OWNER_NOWAIT, r->n, r->resources,
                         &r->options);
    if (r->ahead)
        (void)virSanlockAsideEnd(&look, NULL);
    return rv;
}

static gboolean
virSanlockRequestJob(gpointer data, GError **error)
{
    virSanlockRequest *r = data;
    int count = 0;

    switch (r->operation) {
    case OPERATION_ACQUIRE:
        r->rv = virSanlockRequestAcquire(r);
        break;
    case OPERATION_RELEASE:
        r->rv = sanlock_release(-1, r->pid, 0, r->n, r->resources);
        break;
    case OPERATION_CONVERT:
        r->rv = sanlock_convert(-1, r->pid, SANLK_CONVERT_OWNER_NOWAIT, r->resources[0]);
        break;
    case OPERATION_INQUIRE:
        r->rv = sanlock_inquire(-1, r->pid, 0, &count, &r->state);
        break;
    }
    return TRUE;
}

static gboolean
virSanlockRequestRun(virSanlockRequest *request, const char *what, guint flags,
                     const virSanlockBounds *bounds, int *rv, GError **error)
{
    virSanlockCall call = {
        .what = what,
        .func = virSanlockRequestJob,
        .data = request,
        .clear = virSanlockRequestClear,
        .flags = flags,
    };

    if (!virSanlockCallRun(&call, bounds, NULL, error))
        return FALSE;
    *rv = request->rv;
    return TRUE;
}

gboolean
virSanlockClientAcquire(pid_t pid, const char *ownerName, const virSanlockBatch *batch,
                        const virSanlockBounds *bounds, int *rv, GError **error)
{
    g_autoptr(virSanlockRequest) request =
        virSanlockRequestNew(OPERATION_ACQUIRE, pid, batch);

    g_strlcpy(request->options.owner_name, ownerName,
              sizeof(request->options.owner_name));
    request->ahead = batch->ahead ? g_atomic_rc_box_acquire(batch->ahead) : NULL;
    return virSanlockRequestRun(request, "taking leases", VIR_SANLOCK_CALL_CHANGES,
                                bounds, rv, error);
}

gboolean
virSanlockClientRelease(pid_t pid, const virSanlockBatch *batch,
                        const virSanlockBounds *bounds, int *rv, GError **error)
{
    g_autoptr(virSanlockRequest) request =
        virSanlockRequestNew(OPERATION_RELEASE, pid, batch);

    return virSanlockRequestRun(request, "giving up leases", VIR_SANLOCK_CALL_CHANGES,
                                bounds, rv, error);
}

gboolean
virSanlockClientConvert(pid_t pid, const virSanlockLeaseSet *set, virLockMode mode,
                        const virSanlockBounds *bounds, int *rv, GError **error)
{
    virSanlockBatch batch = {.set = set, .part = VIR_SANLOCK_PART_LEASE, .n = 1};
    g_autoptr(virSanlockRequest) request =
        virSanlockRequestNew(OPERATION_CONVERT, pid, &batch);

    request->resources[0]->flags &= ~SANLK_RES_SHARED;
    if (mode == VIR_LOCK_MODE_SHARED)
        request->resources[0]->flags |= SANLK_RES_SHARED;
    return virSanlockRequestRun(request, "converting a lease", VIR_SANLOCK_CALL_CHANGES,
                                bounds, rv, error);
}

gboolean
virSanlockClientInquire(pid_t pid, GArray **held, const virSanlockBounds *bounds, int *rv,
                        GError **error)
{
    g_autoptr(virSanlockRequest) request =
        virSanlockRequestNew(OPERATION_INQUIRE, pid, NULL);

    if (!virSanlockRequestRun(request, "asking sanlock for the leases of the guest", 0,
                              bounds, rv, error))
        return FALSE;
    if (*rv != 0)
        return TRUE;
    *held = virSanlockParseState(request->state);
    if (*held)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                "sanlock's list of the leases of process %d makes no sense", (int)pid);
    return FALSE;
}

/* --- this host -------------------------------------------------------------------------------- */

typedef struct {
    char lockspace[VIR_SANLOCK_NAME_SIZE];
    guint hostId;
    virSanlockSelf self;
} virSanlockSelfQuery;

static gboolean
virSanlockSelfQueryJob(gpointer data, GError **error)
{
    virSanlockSelfQuery *query = data;

    return virSanlockDaemonReadSelf(query->lockspace, query->hostId, &query->self, error);
}

gboolean
virSanlockClientReadSelf(const char *lockspace, guint hostId, virSanlockSelf *self,
                         const virSanlockBounds *bounds, GError **error)
{
    virSanlockSelfQuery *query = g_atomic_rc_box_new0(virSanlockSelfQuery);
    virSanlockCall call = {
        .what = "asking sanlock for this host",
        .func = virSanlockSelfQueryJob,
        .data = query,
    };
    gboolean ok;

    g_strlcpy(query->lockspace, lockspace, sizeof(query->lockspace));
    query->hostId = hostId;
    ok = virSanlockCallRun(&call, bounds, NULL, error);
    if (ok)
        *self = query->self;
    g_atomic_rc_box_release(query);
    return ok;
}
