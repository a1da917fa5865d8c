/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * block_commit.c: fewer images, the same data.
 *
 *   commit:1 look up
 *   commit:2 leases        of what will be written become exclusive: the base, and the image
 *                          above those that go, whose header names its backing file
 *   commit:3 use records   their epochs advance before QEMU can write them
 *   commit:4 reopen        for writing
 *   commit:5 audit
 *   commit:6 job           until all is in the base (and, with the active image, the guest's
 *                          writes wait)
 *   commit:7 description   active: names the base, which has all that the guest has written;
 *                          else it leaves the backing files to the headers
 *   commit:8 finalize
 *   commit:9 settle        images that went are closed, then their leases are given up; what
 *                          is only read again is so, then its lease is shared
 *
 *   pull:1 look up    pull:2 job    pull:3 description    pull:4 finalize    pull:5 settle
 *
 * The data that the guest sees is complete in every image of the chain at any time, whether the
 * base has all of it or not, so a commit or pull can be cut off anywhere.
 */
#include "block.h"
#include "domain_lock/describe.h"

static const virImage *
virCommitImage(const virBlock *block, guint i)
{
    return g_ptr_array_index(block->disks[0].known, i);
}

static char *
virCommitNode(const virBlock *block, guint i)
{
    return virBlockNodeName(block->disks[0].target, virCommitImage(block, i)->node,
                            "format");
}

/* --- commit ---------------------------------------------------------------------------------- */

static gboolean
virCommitLookUp(virBlock *block, GError **error)
{
    const virDomainLockBlockSpec *spec = block->spec;
    virBlockDisk *disk = &block->disks[0];

    if (!virBlockLookUp(block, 0, spec->targets[0], error))
        return FALSE;
    block->top = 0;
    block->base = disk->known->len - 1;
    if ((spec->top && !virBlockFindInChain(disk, spec->top, &block->top, error)) ||
        (spec->base && !virBlockFindInChain(disk, spec->base, &block->base, error)))
        return FALSE;
    if (block->base > block->top)
        return TRUE;
    if (disk->known->len == 1)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "it has no backing file to commit to");
    else
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "'%s' is not below '%s'", virCommitImage(block, block->base)->path,
                    virCommitImage(block, block->top)->path);
    return FALSE;
}

static gboolean
virCommitLeases(virBlock *block, GError **error)
{
    return virBlockLeaseConvert(block->obj, virCommitImage(block, block->base),
                                VIR_LOCK_MODE_EXCLUSIVE, &block->wait, error) &&
           (block->top <= 1 ||
            virBlockLeaseConvert(block->obj, virCommitImage(block, block->top - 1),
                                 VIR_LOCK_MODE_EXCLUSIVE, &block->wait, error));
}

static gboolean
virCommitUse(virBlock *block, GError **error)
{
    if (!virLockManagerAdvanceUse(block->obj->man, &block->wait, error))
        return FALSE;
    virDomainLockObjUpdateLeases(block->obj);
    return TRUE;
}

static gboolean
virCommitReopen(virBlock *block, GError **error)
{
    virBlockDisk *disk = &block->disks[0];

    return virBlockReopen(disk, virCommitImage(block, block->base), VIR_BLOCK_WRITE,
                          error) &&
           (block->top <= 1 || virBlockReopen(disk, virCommitImage(block, block->top - 1),
                                              VIR_BLOCK_WRITE, error));
}

static gboolean
virCommitAudit(virBlock *block, GError **error)
{
    return virBlockAudit(block->obj, block->disks, 1, error);
}

static gboolean
virCommitJob(virBlock *block, GError **error)
{
    g_autofree char *active = virCommitNode(block, 0);
    g_autofree char *top = virCommitNode(block, block->top);
    g_autofree char *base = virCommitNode(block, block->base);
    g_autoptr(JsonObject) args = virBlockJobArgs(block);

    json_object_set_string_member(args, "device", active);
    json_object_set_string_member(args, "base-node", base);
    if (block->top > 0) {
        json_object_set_string_member(args, "top-node", top);
        json_object_set_string_member(args, "backing-file",
                                      virCommitImage(block, block->base)->path);
    }
    block->started =
        virBlockJobStart(block->obj, block->jobId, "block-commit", args, error);
    if (!block->started)
        return FALSE;
    if (block->top == 0 &&
        (!virBlockJobAwait(block->obj, block->jobId, "ready", error) ||
         !virBlockJobTell(block->obj, block->jobId, "job-complete", error)))
        return FALSE;
    return virBlockJobAwait(block->obj, block->jobId, "pending", error);
}

/* The chain from image @first on. */
static virImageChain *
virCommitChain(const virBlock *block, guint first)
{
    virImageChain *chain = virImageChainNew();

    for (guint i = first; i < block->disks[0].known->len; i++)
        g_ptr_array_add(chain->images, virImageCopy(virCommitImage(block, i)));
    return chain;
}

/* The headers say which images there are below the active one, and change at the last step: a
 * description that leaves it to them is right before and after. */
static gboolean
virCommitLeaveOpen(virBlock *block, GError **error)
{
    virDomainDefLeaveChainOpen(block->obj->def, block->disks[0].target);
    return virDomainLockObjUpdateDescription(block->obj, error);
}

static gboolean
virCommitDescribe(virBlock *block, GError **error)
{
    if (!virBlockSeal(block, error))
        return FALSE;
    if (block->top > 0)
        return virCommitLeaveOpen(block, error);
    return virBlockDescribe(&block->disks[0], virCommitChain(block, block->base), error);
}

static gboolean
virCommitEnd(virBlock *block, guint gone, GError **error)
{
    block->finalized = TRUE;
    if (!virBlockJobFinalize(block->obj, block->jobId, error))
        return FALSE;
    block->started = FALSE;
    block->disks[0].expect = block->disks[0].known->len - gone;
    return TRUE;
}

static gboolean
virCommitFinalize(virBlock *block, GError **error)
{
    return virCommitEnd(block, block->base - block->top, error);
}

gboolean
virDomainLockDiskCommit(virDomainLockObj *obj, const virDomainLockBlockSpec *spec,
                        GError **error)
{
    static const virBlockStep steps[] = {
        virCommitLookUp, virCommitLeases, virCommitUse,      virCommitReopen,
        virCommitAudit,  virCommitJob,    virCommitDescribe, virCommitFinalize,
    };
    static const virBlockSequence sequence = {.name = "commit",
                                              .what = "commit disk",
                                              .job = "committing a disk",
                                              .event = "DISK_COMMITTED",
                                              .steps = steps,
                                              .nSteps = G_N_ELEMENTS(steps)};

    return virBlockRun(obj, &sequence, spec, error);
}

/* --- pull ------------------------------------------------------------------------------------ */

/* block->base: the image that stays below; the length of the chain: none. */
static gboolean
virPullLookUp(virBlock *block, GError **error)
{
    const virDomainLockBlockSpec *spec = block->spec;
    virBlockDisk *disk = &block->disks[0];

    if (!virBlockLookUp(block, 0, spec->targets[0], error))
        return FALSE;
    block->base = disk->known->len;
    if (spec->base && !virBlockFindInChain(disk, spec->base, &block->base, error))
        return FALSE;
    if (block->base > 1)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "there is no image between '%s' and %s", virCommitImage(block, 0)->path,
                spec->base ? "its base" : "nothing: it has no backing file");
    return FALSE;
}

static gboolean
virPullJob(virBlock *block, GError **error)
{
    g_autofree char *active = virCommitNode(block, 0);
    g_autoptr(JsonObject) args = virBlockJobArgs(block);

    json_object_set_string_member(args, "device", active);
    if (block->base < block->disks[0].known->len) {
        g_autofree char *base = virCommitNode(block, block->base);

        json_object_set_string_member(args, "base-node", base);
        json_object_set_string_member(args, "backing-file",
                                      virCommitImage(block, block->base)->path);
    }
    block->started =
        virBlockJobStart(block->obj, block->jobId, "block-stream", args, error);
    return block->started && virBlockJobAwait(block->obj, block->jobId, "pending", error);
}

static gboolean
virPullDescribe(virBlock *block, GError **error)
{
    return virBlockSeal(block, error) && virCommitLeaveOpen(block, error);
}

static gboolean
virPullFinalize(virBlock *block, GError **error)
{
    return virCommitEnd(block, block->base - 1, error);
}

gboolean
virDomainLockDiskPull(virDomainLockObj *obj, const virDomainLockBlockSpec *spec,
                      GError **error)
{
    static const virBlockStep steps[] = {virPullLookUp, virPullJob, virPullDescribe,
                                         virPullFinalize};
    static const virBlockSequence sequence = {.name = "pull",
                                              .what = "pull into disk",
                                              .job = "pulling into a disk",
                                              .event = "DISK_PULLED",
                                              .steps = steps,
                                              .nSteps = G_N_ELEMENTS(steps)};

    return virBlockRun(obj, &sequence, spec, error);
}
