/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * renewal.c: watching the daemon and the age of this host's last renewal.
 *
 * sanlock tells the last good renewal in seconds of CLOCK_MONOTONIC, which stands still while
 * the host is suspended; the right to the leases does not. The offset between the two clocks
 * grows by each suspension. A renewal happened at some time between our previous question and
 * this one, so the offset of then or of now applies; the smaller one, of then, makes it
 * older, and the next question corrects that.
 */
#include "plugins/sanlock/object.h"

#include "common/fd.h"
#include "plugins/sanlock/daemon.h"
#include "plugins/sanlock/hosts.h"
#include "plugins/sanlock/libsanlock.h"

/* --- daemon -------------------------------------------------------------------------------------- */

typedef struct {
    int pidfd;
} virSanlockWatchJob;

static void
virSanlockWatchJobClear(gpointer data)
{
    virFdClose(((virSanlockWatchJob *)data)->pidfd);
}

static gboolean
virSanlockWatchJobRun(gpointer data, GError **error)
{
    virSanlockWatchJob *job = data;

    job->pidfd = virSanlockDaemonOpen(error);
    return job->pidfd >= 0;
}

gboolean
virSanlockObjectWatchDaemon(gpointer objectData, int *fd, GError **error)
{
    virSanlockWatchJob *job = g_atomic_rc_box_new0(virSanlockWatchJob);
    virSanlockBounds bounds;
    virSanlockCall call = {
        .what = "opening the sanlock daemon",
        .func = virSanlockWatchJobRun,
        .data = job,
        .clear = virSanlockWatchJobClear,
    };
    gboolean ok;

    job->pidfd = -1;
    virSanlockBoundsInit(&bounds, NULL);
    ok = virSanlockCallRun(&call, &bounds, NULL, error);
    if (ok)
        *fd = g_steal_fd(&job->pidfd);
    g_atomic_rc_box_release_full(job, virSanlockWatchJobClear);
    return ok;
}

/* --- renewal --------------------------------------------------------------------------------------- */

static void
virSanlockObjectFillRenewal(virSanlockObject *object, const virSanlockSelf *self,
                            virLockRenewal *renewal)
{
    gint64 offsetUsec = virBoottimeUsec() - g_get_monotonic_time();

    g_mutex_lock(&object->renewalMutex);
    if (!object->renewalKnown || object->renewalTimestamp != self->lastSec) {
        gint64 usedUsec = object->renewalKnown ? object->renewalOffsetUsec : offsetUsec;

        object->renewalTimestamp = self->lastSec;
        object->renewalLastUsec = (gint64)self->lastSec * G_USEC_PER_SEC + usedUsec;
        object->renewalKnown = TRUE;
    }
    object->renewalOffsetUsec = offsetUsec;
    renewal->lastUsec = object->renewalLastUsec;
    g_mutex_unlock(&object->renewalMutex);

    renewal->intervalSec = 2 * self->ioTimeoutSec;
    renewal->expireSec = 8 * self->ioTimeoutSec;
    renewal->takeoverSec = VIR_SANLOCK_DEAD_SEC(self->ioTimeoutSec);
}

static gboolean
virSanlockObjectGetLockspace(virSanlockObject *object, char *lockspace,
                             const virSanlockBounds *bounds, GError **error)
{
    g_autoptr(virSanlockLeaseSet) set = NULL;

    if (object->config->lockspace) {
        g_strlcpy(lockspace, object->config->lockspace, VIR_SANLOCK_NAME_SIZE);
        return TRUE;
    }
    g_mutex_lock(&object->renewalMutex);
    g_strlcpy(lockspace, object->lockspace, VIR_SANLOCK_NAME_SIZE);
    g_mutex_unlock(&object->renewalMutex);
    if (*lockspace)
        return TRUE;
    set = virSanlockLeaseSetNewOne(object->config, "any", NULL);
    if (!virSanlockLeaseSetLocate(set, bounds, error))
        return FALSE;
    g_strlcpy(lockspace, set->geometry.lockspace, VIR_SANLOCK_NAME_SIZE);
    g_mutex_lock(&object->renewalMutex);
    g_strlcpy(object->lockspace, lockspace, VIR_SANLOCK_NAME_SIZE);
    g_mutex_unlock(&object->renewalMutex);
    return TRUE;
}

gboolean
virSanlockObjectRenewal(gpointer objectData, virLockRenewal *renewal,
                        const virLockWait *wait, GError **error)
{
    virSanlockObject *object = objectData;
    char lockspace[VIR_SANLOCK_NAME_SIZE];
    virSanlockBounds bounds;
    virSanlockSelf self;

    virSanlockBoundsInit(&bounds, wait);
    if (!virSanlockObjectGetLockspace(object, lockspace, &bounds, error) ||
        !virSanlockClientReadSelf(lockspace, object->config->hostId, &self, &bounds,
                                  error))
        return FALSE;
    virSanlockObjectFillRenewal(object, &self, renewal);
    return TRUE;
}
