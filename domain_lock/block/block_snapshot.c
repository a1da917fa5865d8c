/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * block_snapshot.c: from one instant on disks write to new images over their present ones.
 *
 *   snapshot:1 look up
 *   snapshot:2 files        made
 *   snapshot:3 leases       of the new images, exclusive
 *   snapshot:4 open         in QEMU, which writes their headers
 *   snapshot:5 audit
 *   snapshot:6 description  names the overlays, in which there is nothing yet
 *   snapshot:7 transaction  all disks at one instant, or none
 *   snapshot:8 settle       the old images are reopened for reading, then their leases are
 *                           shared
 */
#include "block.h"

static virBlockNew
virSnapshotNew(const virBlock *block, guint i)
{
    return (virBlockNew){.path = block->spec->paths[i],
                         .format = "qcow2",
                         .backing = g_ptr_array_index(block->disks[i].known, 0)};
}

static gboolean
virSnapshotLookUp(virBlock *block, GError **error)
{
    char **targets = block->spec->targets;

    for (guint i = 0; i < block->n; i++) {
        for (guint k = 0; k < i; k++) {
            if (!g_str_equal(targets[k], targets[i]))
                continue;
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                        "'%s' is named twice", targets[i]);
            return FALSE;
        }
        if (!virBlockLookUp(block, i, targets[i], error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
virSnapshotFiles(virBlock *block, GError **error)
{
    for (guint i = 0; i < block->n; i++) {
        const virBlockNew image = virSnapshotNew(block, i);

        if (!virBlockImageFind(&block->disks[i], &image, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
virSnapshotLeases(virBlock *block, GError **error)
{
    for (guint i = 0; i < block->n; i++)
        if (!virBlockImageTake(&block->disks[i], &block->wait, error))
            return FALSE;
    return TRUE;
}

static gboolean
virSnapshotOpen(virBlock *block, GError **error)
{
    for (guint i = 0; i < block->n; i++) {
        const virBlockNew image = virSnapshotNew(block, i);

        if (!virBlockImageOpen(&block->disks[i], &image, FALSE, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
virSnapshotAudit(virBlock *block, GError **error)
{
    return virBlockAudit(block->obj, block->disks, block->n, error);
}

static gboolean
virSnapshotDescribe(virBlock *block, GError **error)
{
    if (!virBlockSeal(block, error))
        return FALSE;
    for (guint i = 0; i < block->n; i++) {
        virBlockDisk *disk = &block->disks[i];
        virImageChain *chain = virImageChainNew();

        g_ptr_array_add(chain->images, virImageCopy(disk->extra));
        for (guint k = 0; k < disk->known->len; k++)
            g_ptr_array_add(chain->images,
                            virImageCopy(g_ptr_array_index(disk->known, k)));
        if (!virBlockDescribe(disk, chain, error))
            return FALSE;
    }
    return TRUE;
}

static JsonObject *
virSnapshotAction(const virBlockDisk *disk)
{
    const virImage *top = g_ptr_array_index(disk->known, 0);
    g_autofree char *node = virBlockNodeName(disk->target, top->node, "format");
    g_autofree char *overlay =
        virBlockNodeName(disk->target, disk->extra->node, "format");
    JsonObject *action = json_object_new();
    JsonObject *data = json_object_new();

    json_object_set_string_member(data, "node", node);
    json_object_set_string_member(data, "overlay", overlay);
    json_object_set_string_member(action, "type", "blockdev-snapshot");
    json_object_set_object_member(action, "data", data);
    return action;
}

static gboolean
virSnapshotTransaction(virBlock *block, GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();
    JsonArray *actions = json_array_new();

    for (guint i = 0; i < block->n; i++)
        json_array_add_object_element(actions, virSnapshotAction(&block->disks[i]));
    json_object_set_array_member(args, "actions", actions);
    block->finalized = TRUE;
    if (!virBlockCommand(block->obj, "transaction", args, error))
        return FALSE;
    for (guint i = 0; i < block->n; i++)
        block->disks[i].expect = block->disks[i].known->len + 1;
    return TRUE;
}

gboolean
virDomainLockDiskSnapshot(virDomainLockObj *obj, const virDomainLockBlockSpec *spec,
                          GError **error)
{
    static const virBlockStep steps[] = {
        virSnapshotLookUp, virSnapshotFiles,    virSnapshotLeases,      virSnapshotOpen,
        virSnapshotAudit,  virSnapshotDescribe, virSnapshotTransaction,
    };
    static const virBlockSequence sequence = {.name = "snapshot",
                                              .what = "take a snapshot of disk",
                                              .job = "taking a snapshot",
                                              .event = "DISK_SNAPSHOT",
                                              .steps = steps,
                                              .nSteps = G_N_ELEMENTS(steps)};

    return virBlockRun(obj, &sequence, spec, error);
}
