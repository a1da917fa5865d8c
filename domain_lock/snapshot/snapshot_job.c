/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshot_job.c: QEMU's jobs for snapshots in images.
 *
 * They run in QEMU's main loop from their beginning to their end: until then QEMU answers
 * nothing, and a command that waits for its answer has waited for the job. So a poll is one
 * question with a long deadline, and there is nothing that could be cancelled in between.
 */
#include "domain_lock/block/block.h"
#include "domain_lock/codec.h"
#include "snapshot.h"

/* All of the guest's memory, to or from storage as slow as this. */
#define SNAPSHOT_JOB_BYTES_PER_SEC (8 * 1024 * 1024)
#define SNAPSHOT_JOB_LEAST_USEC (120 * G_USEC_PER_SEC)
#define SNAPSHOT_JOB_NAP_USEC 20000

static gint64
virSnapshotJobDeadline(virDomainLockObj *obj)
{
    gint64 sec =
        (gint64)(virDomainDefGetMemoryBytes(obj->def) / SNAPSHOT_JOB_BYTES_PER_SEC);

    return g_get_monotonic_time() + SNAPSHOT_JOB_LEAST_USEC + sec * G_USEC_PER_SEC;
}

static char *
virSnapshotNode(virDomainLockObj *obj, const virSnapshotDisk *disk)
{
    const virImageChain *chain = virDomainDefGetDiskChain(obj->def, disk->target);
    const virImage *top = chain ? g_ptr_array_index(chain->images, 0) : NULL;

    /* QEMU does not have it: a disk that the guest had when the snapshot was made */
    if (!top || !g_str_equal(top->path, disk->path))
        return NULL;
    return virBlockNodeName(disk->target, top->node, "format");
}

static JsonObject *
virSnapshotJobArgs(virDomainLockObj *obj, const char *command, const char *name,
                   const GPtrArray *disks)
{
    JsonObject *args = json_object_new();
    JsonArray *devices = json_array_new();

    for (guint i = 0; i < disks->len; i++) {
        g_autofree char *node = virSnapshotNode(obj, g_ptr_array_index(disks, i));

        if (!node)
            continue;
        if (json_array_get_length(devices) == 0 &&
            !g_str_equal(command, "snapshot-delete"))
            json_object_set_string_member(args, "vmstate", node);
        json_array_add_string_element(devices, node);
    }
    json_object_set_string_member(args, "job-id", VIR_SNAPSHOT_JOB);
    json_object_set_string_member(args, "tag", name);
    json_object_set_array_member(args, "devices", devices);
    return args;
}

typedef struct {
    gboolean there;
    gboolean over; /* concluded, or there is none */
    char *failure; /* QEMU's words */
} virSnapshotJobStatus;

static gboolean
virSnapshotJobAsk(virDomainLockObj *obj, gint64 deadlineUsec,
                  virSnapshotJobStatus *status, GError **error)
{
    g_autoptr(JsonNode) jobs =
        obj->guest->ops->command(obj->guest, "query-jobs", NULL, deadlineUsec, error);
    JsonObject *job = jobs && JSON_NODE_HOLDS_ARRAY(jobs)
                          ? virBlockFind(jobs, "id", VIR_SNAPSHOT_JOB)
                          : NULL;

    status->there = job != NULL;
    status->over =
        !job || g_strcmp0(virDomainLockJsonString(job, "status"), "concluded") == 0;
    g_free(status->failure);
    status->failure = g_strdup(virDomainLockJsonString(job, "error"));
    return jobs != NULL;
}

gboolean
virSnapshotJobJoin(virDomainLockObj *obj, gboolean *there, char **failure, GError **error)
{
    gint64 deadline = virSnapshotJobDeadline(obj);
    virSnapshotJobStatus status = {0};
    gboolean ok;

    while ((ok = virSnapshotJobAsk(obj, deadline, &status, error)) && !status.over) {
        if (g_get_monotonic_time() >= deadline) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE,
                        "QEMU's job does not end");
            ok = FALSE;
            break;
        }
        g_usleep(SNAPSHOT_JOB_NAP_USEC);
    }
    *there = status.there;
    *failure = status.failure;
    return ok;
}

gboolean
virSnapshotJobRun(virDomainLockObj *obj, const char *command, const char *name,
                  const GPtrArray *disks, gboolean *begun, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(JsonObject) args = virSnapshotJobArgs(obj, command, name, disks);
    g_autoptr(JsonNode) answer = NULL;
    g_autofree char *failure = NULL;
    gboolean there = FALSE;

    answer = obj->guest->ops->command(obj->guest, command, args,
                                      virSnapshotJobDeadline(obj), &why);
    /* UNAVAILABLE: QEMU had ended before it was told */
    if (begun)
        *begun = answer || why->code != VIR_LOCK_ERROR_UNAVAILABLE;
    if (!answer) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    if (!virSnapshotJobJoin(obj, &there, &failure, error))
        return FALSE;
    if (!there)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE,
                    "QEMU's job is gone, and nobody saw how it ended");
    else if (failure)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "QEMU's job failed: %s", failure);
    return there && !failure;
}

gboolean
virSnapshotJobDismiss(virDomainLockObj *obj, GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();

    json_object_set_string_member(args, "id", VIR_SNAPSHOT_JOB);
    return virBlockCommand(obj, "job-dismiss", args, error);
}
