/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * block_run.c: one block operation: its steps, then settle, whether they went well or not.
 */
#include "block.h"
#include "domain_lock/describe.h"
#include "domain_lock/job.h"
#include <string.h>

#define BLOCK_LEASES_USEC (60 * G_USEC_PER_SEC)
#define BLOCK_DEATH_USEC (2 * G_USEC_PER_SEC)
#define BLOCK_POLL_USEC 10000

void
virDomainLockBlockSpecFree(virDomainLockBlockSpec *spec)
{
    if (!spec)
        return;
    g_strfreev(spec->targets);
    g_strfreev(spec->paths);
    g_free(spec->top);
    g_free(spec->base);
    g_free(spec->format);
    g_free(spec);
}

/* --- what the steps share ------------------------------------------------------------------ */

static gboolean
virBlockCheckDisk(virBlock *block, const char *target, GError **error)
{
    virDomainLockObj *obj = block->obj;
    const char *id = virDomainDefGetDiskId(obj->def, target, error);
    const virDomainResource *top = NULL;

    if (!id)
        return FALSE;
    top = virDomainDefFirstOfDisk(obj->def, target);
    if (!top || !virDomainDefGetDiskChain(obj->def, target))
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, "it has no medium");
    else if (top->flags & VIR_LOCK_MANAGER_RESOURCE_READONLY)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "the guest can only read it");
    else if (top->flags & VIR_LOCK_MANAGER_RESOURCE_SHARED)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "it is shareable: other guests write to it, too");
    else if (virDomainLockObjIsAsked(obj, id))
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "the guest is asked to let go of it");
    else
        return TRUE;
    return FALSE;
}

/* Neither ours nor anybody else's job may be there. */
static gboolean
virBlockCheckRest(virBlockDisk *disk, GError **error)
{
    g_autofree char *expected = virBlockNodeName(
        disk->target, ((virImage *)g_ptr_array_index(disk->known, 0))->node, "format");
    g_autofree char *id = virBlockJobId(disk->target);
    g_autofree char *top = virBlockTopNode(disk->obj, disk->target, error);
    g_autoptr(JsonNode) jobs =
        top ? virBlockQuery(disk->obj, "query-jobs", NULL, error) : NULL;

    if (!jobs)
        return FALSE;
    if (!virBlockFind(jobs, "id", id) && g_str_equal(top, expected))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "QEMU has block node '%s' on top of it, where '%s' is expected: an "
                "earlier operation is not through",
                top, expected);
    return FALSE;
}

gboolean
virBlockLookUp(virBlock *block, guint i, const char *target, GError **error)
{
    virBlockDisk *disk = &block->disks[i];
    const virImageChain *chain = NULL;

    if (!virBlockCheckDisk(block, target, error))
        return FALSE;
    chain = virDomainDefGetDiskChain(block->obj->def, target);
    disk->obj = block->obj;
    disk->target = g_strdup(target);
    disk->known = g_ptr_array_new_with_free_func((GDestroyNotify)virImageFree);
    for (guint k = 0; k < chain->images->len; k++)
        g_ptr_array_add(disk->known, virImageCopy(g_ptr_array_index(chain->images, k)));
    disk->expect = disk->known->len;
    return virBlockCheckRest(disk, error);
}

gboolean
virBlockFindInChain(const virBlockDisk *disk, const char *path, guint *index,
                    GError **error)
{
    GString *names = g_string_new(NULL);

    for (guint i = 0; i < disk->known->len; i++) {
        const virImage *image = g_ptr_array_index(disk->known, i);

        if (g_str_equal(image->path, path)) {
            *index = i;
            g_string_free(names, TRUE);
            return TRUE;
        }
        g_string_append_printf(names, "%s'%s'", i ? " -> " : "", image->path);
    }
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "'%s' is none of its images: %s", path, names->str);
    g_string_free(names, TRUE);
    return FALSE;
}

gboolean
virBlockDescribe(virBlockDisk *disk, virImageChain *chain, GError **error)
{
    virDomainDefSetDiskChain(disk->obj->def, disk->target, chain);
    return virDomainLockObjUpdateDescription(disk->obj, error);
}

gboolean
virBlockSeal(virBlock *block, GError **error)
{
    return virDomainLockJobSeal(block->obj, error);
}

JsonObject *
virBlockJobArgs(const virBlock *block)
{
    JsonObject *args = json_object_new();

    if (block->spec->bandwidth > 0)
        json_object_set_int_member(args, "speed", (gint64)block->spec->bandwidth);
    return args;
}

/* --- running ------------------------------------------------------------------------------- */

/* A guest that ended has closed everything, and its leases went with it. Its monitor closes a
 * moment before the process is seen dead. */
static gboolean
virBlockHasEnded(virDomainLockObj *obj, const GError *error)
{
    gint64 deadline = g_get_monotonic_time() + BLOCK_DEATH_USEC;
    virDomainLockProcess qemu;

    if (!g_error_matches(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE))
        return FALSE;
    g_mutex_lock(&obj->lock);
    qemu = obj->status->qemu;
    g_mutex_unlock(&obj->lock);
    while (virDomainLockProcessAlive(&qemu)) {
        if (g_get_monotonic_time() >= deadline)
            return FALSE;
        g_usleep(BLOCK_POLL_USEC);
    }
    return TRUE;
}

static gboolean
virBlockSettleAll(virBlock *block, gboolean failed, GError **error)
{
    for (guint i = 0; i < block->n; i++) {
        virBlockDisk *disk = &block->disks[i];

        disk->discard = failed;
        if (failed)
            disk->expect = block->finalized ? 0 : (disk->known ? disk->known->len : 0);
        if (disk->known && !virBlockSettle(disk, error))
            return FALSE;
    }
    return TRUE;
}

/* Undoes, whatever the step was. Takes @why. */
static void
virBlockFail(virBlock *block, GError *why, GError **error)
{
    g_autoptr(GError) left = NULL;

    if ((!block->started || virBlockJobRemove(block->obj, block->jobId, &left)) &&
        virBlockSettleAll(block, TRUE, &left)) {
        if (why->code == VIR_LOCK_ERROR_INDETERMINATE)
            why->code = VIR_LOCK_ERROR_UNAVAILABLE;
    } else if (virBlockHasEnded(block->obj, left)) {
        g_prefix_error(&why, "the guest ended: ");
        why->code = VIR_LOCK_ERROR_STATE;
    } else {
        g_autofree char *first = g_strdup(why->message);

        g_free(why->message);
        why->message =
            g_strdup_printf("%s\ncould not be undone: %s", first, left->message);
        why->code = VIR_LOCK_ERROR_INDETERMINATE;
    }
    g_propagate_error(error, why);
}

/* For a supervisor that comes later: how the images lay, and those that come. */
static void
virBlockJournal(virBlock *block)
{
    JsonObject *details = json_object_new();
    JsonObject *chains = json_object_new();
    JsonArray *images = json_array_new();

    for (guint i = 0; i < block->n; i++) {
        const virBlockDisk *disk = &block->disks[i];
        JsonArray *numbers = json_array_new();

        for (guint k = 0; k < disk->known->len; k++)
            json_array_add_int_element(
                numbers, ((virImage *)g_ptr_array_index(disk->known, k))->node);
        json_object_set_array_member(chains, disk->target, numbers);
    }
    for (char **path = block->spec->paths; path && *path; path++)
        json_array_add_string_element(images, *path);
    json_object_set_object_member(details, "chains", chains);
    json_object_set_array_member(details, "images", images);
    virDomainLockObjSetJournal(block->obj, details);
}

static gboolean
virBlockRunSteps(virBlock *block, const virBlockSequence *sequence, GError **error)
{
    GError *why = NULL;

    for (guint i = 0; i < sequence->nSteps; i++) {
        virDomainLockObjSetStep(block->obj, sequence->name, i + 1);
        if (sequence->steps[i](block, &why)) {
            if (i == 0)
                virBlockJournal(block);
            continue;
        }
        virBlockFail(block, why, error);
        return FALSE;
    }
    virDomainLockObjSetStep(block->obj, sequence->name, sequence->nSteps + 1);
    if (virBlockSettleAll(block, FALSE, &why))
        return TRUE;
    if (virBlockHasEnded(block->obj, why)) {
        g_error_free(why);
        return TRUE;
    }
    why->code = VIR_LOCK_ERROR_INDETERMINATE;
    g_propagate_prefixed_error(error, why, "QEMU has done it, but: ");
    return FALSE;
}

static char *
virBlockTargets(const virDomainLockBlockSpec *spec)
{
    return g_strjoinv(", ", spec->targets);
}

static void
virBlockClear(virBlock *block)
{
    for (guint i = 0; i < block->n; i++)
        virBlockDiskClear(&block->disks[i]);
    g_free(block->disks);
    g_free(block->jobId);
}

gboolean
virBlockRun(virDomainLockObj *obj, const virBlockSequence *sequence,
            const virDomainLockBlockSpec *spec, GError **error)
{
    g_autofree char *targets = virBlockTargets(spec);
    virBlock block = {.obj = obj, .spec = spec, .n = g_strv_length(spec->targets)};
    gboolean ok = FALSE;

    block.disks = g_new0(virBlockDisk, block.n);
    block.jobId = virBlockJobId(spec->targets[0]);
    virDomainLockJobBegin(obj, sequence->job, targets, 0);
    block.wait = (virLockWait){.structSize = sizeof(virLockWait),
                               .deadlineUsec = g_get_monotonic_time() + BLOCK_LEASES_USEC,
                               .cancellable = virDomainLockJobCancellable(obj)};
    ok = virDomainLockObjCheckLive(obj, error) && virBlockRunSteps(&block, sequence, error);
    virDomainLockObjSetStep(obj, NULL, 0);
    virDomainLockJobEnd(obj);
    if (!ok)
        g_prefix_error(error, "cannot %s '%s' of guest '%s': ", sequence->what, targets,
                       obj->status->info->name);
    for (guint i = 0; ok && i < block.n; i++)
        virDomainLockObjEmit(obj, sequence->event, spec->targets[i], NULL);
    virBlockClear(&block);
    return ok;
}
