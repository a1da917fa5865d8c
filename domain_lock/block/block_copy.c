/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * block_copy.c: a copy of a running disk.
 *
 *   copy:1 look up
 *   copy:2 file            made, or found
 *   copy:3 lease           of the copy, exclusive
 *   copy:4 open            in QEMU
 *   copy:5 audit
 *   copy:6 mirror          until both are the same and the guest's writes wait
 *   copy:7 description     pivot: names the copy, which is the same as the original just now
 *   copy:8 finalize        pivot: the guest writes to the copy, and only there
 *   copy:9 settle          what is not the disk is closed, then its lease is given up
 *
 * At 7 the disk is still: whichever of the two the description names when everything dies, it
 * has all that the guest has written.
 */
#include "block.h"

static virBlockNew
virCopyNew(const virBlock *block)
{
    const virBlockDisk *disk = &block->disks[0];
    const virImage *top = g_ptr_array_index(disk->known, 0);
    gboolean shallow = (block->spec->flags & VIR_DOMAIN_LOCK_BLOCK_SHALLOW) != 0;

    return (virBlockNew){
        .path = block->spec->paths[0],
        .format = block->spec->format ? block->spec->format : top->format,
        .reuse = (block->spec->flags & VIR_DOMAIN_LOCK_BLOCK_REUSE) != 0,
        .backing =
            shallow && disk->known->len > 1 ? g_ptr_array_index(disk->known, 1) : NULL};
}

static gboolean
virCopyLookUp(virBlock *block, GError **error)
{
    return virBlockLookUp(block, 0, block->spec->targets[0], error);
}

static gboolean
virCopyFile(virBlock *block, GError **error)
{
    const virBlockNew image = virCopyNew(block);

    return virBlockImageFind(&block->disks[0], &image, error);
}

static gboolean
virCopyLease(virBlock *block, GError **error)
{
    return virBlockImageTake(&block->disks[0], &block->wait, error);
}

static gboolean
virCopyOpen(virBlock *block, GError **error)
{
    const virBlockNew image = virCopyNew(block);

    return virBlockImageOpen(&block->disks[0], &image, TRUE, error);
}

static gboolean
virCopyAudit(virBlock *block, GError **error)
{
    return virBlockAudit(block->obj, block->disks, 1, error);
}

/* A mirror that is ready goes on for ever: "complete" makes the copy the disk, "cancel" of the
 * block layer (not the job's, which is by force) leaves it complete and unused. */
static gboolean
virCopyConverge(virBlock *block, GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();

    if (!virBlockJobAwait(block->obj, block->jobId, "ready", error))
        return FALSE;
    json_object_set_string_member(args, "device", block->jobId);
    return ((block->spec->flags & VIR_DOMAIN_LOCK_BLOCK_PIVOT)
                ? virBlockJobTell(block->obj, block->jobId, "job-complete", error)
                : virBlockCommand(block->obj, "block-job-cancel", args, error)) &&
           virBlockJobAwait(block->obj, block->jobId, "pending", error);
}

static gboolean
virCopyMirror(virBlock *block, GError **error)
{
    const virBlockDisk *disk = &block->disks[0];
    const virBlockNew image = virCopyNew(block);
    const virImage *top = g_ptr_array_index(disk->known, 0);
    g_autofree char *from = virBlockNodeName(disk->target, top->node, "format");
    g_autofree char *to = virBlockNodeName(disk->target, disk->extra->node, "format");
    g_autoptr(JsonObject) args = virBlockJobArgs(block);

    json_object_set_string_member(args, "device", from);
    json_object_set_string_member(args, "target", to);
    json_object_set_string_member(args, "sync", image.backing ? "top" : "full");
    block->started =
        virBlockJobStart(block->obj, block->jobId, "blockdev-mirror", args, error);
    return block->started && virCopyConverge(block, error);
}

static gboolean
virCopyDescribe(virBlock *block, GError **error)
{
    virBlockDisk *disk = &block->disks[0];
    const virBlockNew image = virCopyNew(block);
    virImageChain *chain = NULL;

    if (!virBlockSeal(block, error))
        return FALSE;
    if (!(block->spec->flags & VIR_DOMAIN_LOCK_BLOCK_PIVOT))
        return TRUE;
    chain = virImageChainNew();
    g_ptr_array_add(chain->images, virImageCopy(disk->extra));
    for (guint i = 1; image.backing && i < disk->known->len; i++)
        g_ptr_array_add(chain->images, virImageCopy(g_ptr_array_index(disk->known, i)));
    return virBlockDescribe(disk, chain, error);
}

static gboolean
virCopyFinalize(virBlock *block, GError **error)
{
    virBlockDisk *disk = &block->disks[0];

    block->finalized = TRUE;
    if (!virBlockJobFinalize(block->obj, block->jobId, error))
        return FALSE;
    block->started = FALSE;
    if (block->spec->flags & VIR_DOMAIN_LOCK_BLOCK_PIVOT)
        disk->expect =
            virDomainDefGetDiskChain(block->obj->def, disk->target)->images->len;
    return TRUE;
}

gboolean
virDomainLockDiskCopy(virDomainLockObj *obj, const virDomainLockBlockSpec *spec,
                      GError **error)
{
    static const virBlockStep steps[] = {
        virCopyLookUp, virCopyFile,   virCopyLease,    virCopyOpen,
        virCopyAudit,  virCopyMirror, virCopyDescribe, virCopyFinalize,
    };
    static const virBlockSequence sequence = {.name = "copy",
                                              .what = "copy disk",
                                              .job = "copying a disk",
                                              .event = "DISK_COPIED",
                                              .steps = steps,
                                              .nSteps = G_N_ELEMENTS(steps)};

    return virBlockRun(obj, &sequence, spec, error);
}
