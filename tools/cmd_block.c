/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_block.c: leasehold snapshot-disk GUEST TARGET OVERLAY...
 *              leasehold blockcommit GUEST TARGET
 *              leasehold blockpull GUEST TARGET
 *              leasehold blockcopy GUEST TARGET DEST --pivot | --finish
 *
 * Ctrl-C asks for the job to be undone, and the command says what became of it.
 */
#include "config.h"

#include "tools/tool.h"

#define VIR_TOOL_MAX_MIBS (G_MAXINT64 / (1024 * 1024))

/** Options of all of them. */
typedef struct _virToolBlock {
    char *top;
    char *base;
    char *format;
    gint64 mibs;
    int timeoutSec;
    gboolean shallow, reuse, pivot, finish;
} virToolBlock;

static void
virToolBlockClear(virToolBlock *block)
{
    g_free(block->top);
    g_free(block->base);
    g_free(block->format);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(virToolBlock, virToolBlockClear)

#define VIR_TOOL_BLOCK_BANDWIDTH                                                         \
    {                                                                                    \
        "bandwidth", 0, 0, G_OPTION_ARG_INT64, &block.mibs,                              \
            "at most so many MiB/s (default: as fast as it goes)", "MIB"                 \
    }
#define VIR_TOOL_BLOCK_TIMEOUT                                                           \
    {                                                                                    \
        "timeout", 0, 0, G_OPTION_ARG_INT, &block.timeoutSec,                            \
            "cancel when it has not ended after so long (default: never)", "SEC"         \
    }

static gboolean
virToolBlockCheck(virTool *tool, const virToolBlock *block)
{
    if (block->mibs >= 0 && block->mibs <= VIR_TOOL_MAX_MIBS && block->timeoutSec >= 0)
        return TRUE;
    tool->exitStatus = virToolUsage(tool, "--%s needs a positive number",
                                    block->timeoutSec < 0 ? "timeout" : "bandwidth");
    return FALSE;
}

/* Images are named by the paths that the guest's chain has, which are absolute. */
static void
virToolBlockAbsolute(char **path)
{
    char *absolute = *path ? virToolAbsolutePath(*path) : NULL;

    g_free(*path);
    *path = absolute;
}

static virDomainLockBlockOptions
virToolBlockOptions(virToolBlock *block)
{
    virToolBlockAbsolute(&block->top);
    virToolBlockAbsolute(&block->base);
    return (virDomainLockBlockOptions){
        .structSize = sizeof(virDomainLockBlockOptions),
        .top = block->top,
        .base = block->base,
        .format = block->format,
        .bandwidth = (guint64)block->mibs * 1024 * 1024,
        .flags = (block->shallow ? VIR_DOMAIN_LOCK_BLOCK_SHALLOW : 0) |
                 (block->reuse ? VIR_DOMAIN_LOCK_BLOCK_REUSE : 0) |
                 (block->pivot ? VIR_DOMAIN_LOCK_BLOCK_PIVOT : 0)};
}

typedef gboolean (*virToolBlockFunc)(virTool *tool, virDomainLock *dom,
                                     const virDomainLockBlockOptions *options,
                                     const virLockWait *wait, GError **error);

static int
virToolBlockRun(virTool *tool, virToolBlock *block, virToolBlockFunc run,
                const char *sentence)
{
    const virDomainLockBlockOptions options = virToolBlockOptions(block);
    g_autoptr(virDomainLock) dom = NULL;
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;

    if (!virToolBlockCheck(tool, block))
        return tool->exitStatus;
    dom = virToolGuest(tool, tool->args[0]);
    if (!dom)
        return tool->exitStatus;
    wait = virToolWaitNew(tool, block->timeoutSec, 0, NULL);
    if (!run(tool, dom, &options, virToolWaitGet(wait), &error))
        return virToolFail(tool, error);
    g_clear_pointer(&wait, virToolWaitFree);
    return virToolReportGuest(tool, dom, sentence);
}

/* --- snapshot-disk ------------------------------------------------------------------------- */

static gboolean
virToolSnapshotRun(virTool *tool, virDomainLock *dom,
                   const virDomainLockBlockOptions *options, const virLockWait *wait,
                   GError **error)
{
    gsize n = (g_strv_length(tool->args) - 1) / 2;
    g_autofree virDomainLockOverlay *overlays = g_new0(virDomainLockOverlay, n);
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);

    for (gsize i = 0; i < n; i++) {
        g_ptr_array_add(paths, virToolAbsolutePath(tool->args[2 + 2 * i]));
        overlays[i].target = tool->args[1 + 2 * i];
        overlays[i].path = g_ptr_array_index(paths, i);
    }
    return virDomainLockSnapshotDisks(dom, overlays, n, 0, wait, error);
}

int
virToolCmdSnapshotDisk(virTool *tool)
{
    g_auto(virToolBlock) block = {0};

    if (!virToolParse(tool, NULL, 3, G_MAXUINT))
        return tool->exitStatus;
    if (g_strv_length(tool->args) % 2 == 0)
        return virToolUsage(tool, "each TARGET needs an OVERLAY");
    return virToolBlockRun(tool, &block, virToolSnapshotRun,
                           "writes to new images over its old ones");
}

/* --- blockcommit --------------------------------------------------------------------------- */

static gboolean
virToolCommitRun(virTool *tool, virDomainLock *dom,
                 const virDomainLockBlockOptions *options, const virLockWait *wait,
                 GError **error)
{
    return virDomainLockBlockCommit(dom, tool->args[1], options, wait, error);
}

int
virToolCmdBlockCommit(virTool *tool)
{
    g_auto(virToolBlock) block = {0};
    const GOptionEntry entries[] = {
        {"top", 0, 0, G_OPTION_ARG_FILENAME, &block.top,
         "uppermost image that goes (default: the active one)", "PATH"},
        {"base", 0, 0, G_OPTION_ARG_FILENAME, &block.base,
         "image that takes it all (default: the lowest one)", "PATH"},
        VIR_TOOL_BLOCK_BANDWIDTH,
        VIR_TOOL_BLOCK_TIMEOUT,
        {NULL},
    };

    if (!virToolParse(tool, entries, 2, 2))
        return tool->exitStatus;
    return virToolBlockRun(tool, &block, virToolCommitRun,
                           "has the images committed, and their leases are free");
}

/* --- blockpull ----------------------------------------------------------------------------- */

static gboolean
virToolPullRun(virTool *tool, virDomainLock *dom,
               const virDomainLockBlockOptions *options, const virLockWait *wait,
               GError **error)
{
    return virDomainLockBlockPull(dom, tool->args[1], options, wait, error);
}

int
virToolCmdBlockPull(virTool *tool)
{
    g_auto(virToolBlock) block = {0};
    const GOptionEntry entries[] = {
        {"base", 0, 0, G_OPTION_ARG_FILENAME, &block.base,
         "image that stays the backing file (default: none stays)", "PATH"},
        VIR_TOOL_BLOCK_BANDWIDTH,
        VIR_TOOL_BLOCK_TIMEOUT,
        {NULL},
    };

    if (!virToolParse(tool, entries, 2, 2))
        return tool->exitStatus;
    return virToolBlockRun(tool, &block, virToolPullRun,
                           "has the images pulled, and their leases are free");
}

/* --- blockcopy ----------------------------------------------------------------------------- */

static gboolean
virToolCopyRun(virTool *tool, virDomainLock *dom,
               const virDomainLockBlockOptions *options, const virLockWait *wait,
               GError **error)
{
    g_autofree char *dest = virToolAbsolutePath(tool->args[2]);

    return virDomainLockBlockCopy(dom, tool->args[1], dest, options, wait, error);
}

int
virToolCmdBlockCopy(virTool *tool)
{
    g_auto(virToolBlock) block = {0};
    const GOptionEntry entries[] = {
        {"pivot", 0, 0, G_OPTION_ARG_NONE, &block.pivot,
         "the guest goes on with the copy", NULL},
        {"finish", 0, 0, G_OPTION_ARG_NONE, &block.finish,
         "the guest goes on with the original", NULL},
        {"format", 0, 0, G_OPTION_ARG_FILENAME, &block.format,
         "raw or qcow2 (default: as the original)", "FORMAT"},
        {"shallow", 0, 0, G_OPTION_ARG_NONE, &block.shallow,
         "the top image only, over the same backing file", NULL},
        {"reuse-external", 0, 0, G_OPTION_ARG_NONE, &block.reuse,
         "DEST is there already, as large as the original", NULL},
        VIR_TOOL_BLOCK_BANDWIDTH,
        VIR_TOOL_BLOCK_TIMEOUT,
        {NULL},
    };

    if (!virToolParse(tool, entries, 3, 3))
        return tool->exitStatus;
    if (block.pivot == block.finish)
        return virToolUsage(tool, "one of --pivot and --finish is needed");
    return virToolBlockRun(tool, &block, virToolCopyRun,
                           block.pivot ? "goes on with the copy; the original is free"
                                       : "has a copy of its disk, which is free");
}
