/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_save.c: leasehold save GUEST FILE, restore FILE, managed-save GUEST
 */
#include "config.h"

#include "tools/tool.h"

#define VIR_TOOL_RESTORE_SEC 3600 /* the memory of a big guest from slow storage */

/** How the guest is to be when it comes back, and how the file is used. */
typedef struct _virToolSaveOptions {
    gboolean running;
    gboolean paused;
    gboolean bypassCache;
    gboolean force;
    gboolean remove;
    int timeoutSec;
} virToolSaveOptions;

static guint
virToolSaveFlags(const virToolSaveOptions *options)
{
    return (options->running ? VIR_DOMAIN_LOCK_SAVE_RUNNING : 0) |
           (options->paused ? VIR_DOMAIN_LOCK_SAVE_PAUSED : 0) |
           (options->bypassCache ? VIR_DOMAIN_LOCK_SAVE_BYPASS_CACHE : 0) |
           (options->force ? VIR_DOMAIN_LOCK_SAVE_FORCE : 0);
}

static gboolean
virToolSaveCheck(virTool *tool, const virToolSaveOptions *options)
{
    if (options->running && options->paused)
        tool->exitStatus =
            virToolUsage(tool, "--running and --paused are mutually exclusive");
    else if (options->timeoutSec < 0)
        tool->exitStatus =
            virToolUsage(tool, "--timeout needs a number of seconds, 0 or more");
    else
        return TRUE;
    return FALSE;
}

int
virToolCmdSave(virTool *tool)
{
    virToolSaveOptions options = {0};
    const GOptionEntry entries[] = {
        {"running", 0, 0, G_OPTION_ARG_NONE, &options.running,
         "restore it running, also if it is paused now", NULL},
        {"paused", 0, 0, G_OPTION_ARG_NONE, &options.paused,
         "restore it paused, also if it runs now", NULL},
        {"bypass-cache", 0, 0, G_OPTION_ARG_NONE, &options.bypassCache,
         "write the file past this host's page cache", NULL},
        {NULL},
    };
    g_autoptr(virDomainLock) dom = NULL;
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    g_autofree char *sentence = NULL;

    if (!virToolParse(tool, entries, 2, 2) || !virToolSaveCheck(tool, &options))
        return tool->exitStatus;
    dom = virToolGuest(tool, tool->args[0]);
    if (!dom)
        return tool->exitStatus;
    path = virToolAbsolutePath(tool->args[1]);
    wait = virToolWaitNew(tool, 0, 0, NULL);
    if (!virDomainLockSave(dom, path, virToolSaveFlags(&options), virToolWaitGet(wait),
                           &error))
        return virToolFail(tool, error);
    g_clear_pointer(&wait, virToolWaitFree);
    sentence = g_strdup_printf("is saved in %s, and its leases are free", path);
    return virToolReportGuest(tool, dom, sentence);
}

static int
virToolManagedSaveRemove(virTool *tool)
{
    g_autoptr(GError) error = NULL;

    if (!virToolConfig(tool))
        return tool->exitStatus;
    if (!virDomainLockManagedSaveRemove(tool->config, tool->args[0], &error))
        return virToolFail(tool, error);
    virToolSay(tool, "guest '%s' will start from its disks: its managed save is gone",
               tool->args[0]);
    return VIR_TOOL_EXIT_OK;
}

int
virToolCmdManagedSave(virTool *tool)
{
    virToolSaveOptions options = {0};
    const GOptionEntry entries[] = {
        {"running", 0, 0, G_OPTION_ARG_NONE, &options.running,
         "the next 'run' leaves it running, also if it is paused now", NULL},
        {"paused", 0, 0, G_OPTION_ARG_NONE, &options.paused,
         "the next 'run' leaves it paused, also if it runs now", NULL},
        {"bypass-cache", 0, 0, G_OPTION_ARG_NONE, &options.bypassCache,
         "write the file past this host's page cache", NULL},
        {"remove", 0, 0, G_OPTION_ARG_NONE, &options.remove,
         "throw away what was saved; the guest starts from its disks", NULL},
        {NULL},
    };
    g_autoptr(virDomainLock) dom = NULL;
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;

    if (!virToolParse(tool, entries, 1, 1) || !virToolSaveCheck(tool, &options))
        return tool->exitStatus;
    if (options.remove && virToolSaveFlags(&options))
        return virToolUsage(tool, "--remove and --running, --paused, --bypass-cache are "
                                  "mutually exclusive");
    if (options.remove)
        return virToolManagedSaveRemove(tool);
    dom = virToolGuest(tool, tool->args[0]);
    if (!dom)
        return tool->exitStatus;
    wait = virToolWaitNew(tool, 0, 0, NULL);
    if (!virDomainLockManagedSave(dom, virToolSaveFlags(&options), virToolWaitGet(wait),
                                  &error))
        return virToolFail(tool, error);
    g_clear_pointer(&wait, virToolWaitFree);
    return virToolReportGuest(tool, dom, "is saved; its next 'run' brings it back");
}

static int
virToolRestoreFile(virTool *tool, const virToolSaveOptions *options)
{
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(virDomainLock) dom = NULL;
    g_autofree char *path = virToolAbsolutePath(tool->args[0]);

    if (options->force)
        virToolNote(tool, "--force: if the guest or a disk was used since it was saved, "
                          "what the guest has in memory does not fit its disks any more, "
                          "and it damages the file systems on them");
    wait = virToolWaitNew(tool, options->timeoutSec + VIR_TOOL_RESTORE_SEC,
                          options->timeoutSec, NULL);
    dom = virDomainLockRestore(tool->config, path, virToolSaveFlags(options),
                               virToolWaitGet(wait), &error);
    if (!dom)
        return virToolFail(tool, error);
    g_clear_pointer(&wait, virToolWaitFree);
    return virToolReportGuest(tool, dom, "is back, under its leases");
}

int
virToolCmdRestore(virTool *tool)
{
    virToolSaveOptions options = {0};
    const GOptionEntry entries[] = {
        {"running", 0, 0, G_OPTION_ARG_NONE, &options.running,
         "let it run, whatever it did when it was saved", NULL},
        {"paused", 0, 0, G_OPTION_ARG_NONE, &options.paused,
         "leave its processors stopped; 'resume' starts them", NULL},
        {"bypass-cache", 0, 0, G_OPTION_ARG_NONE, &options.bypassCache,
         "read the file past this host's page cache", NULL},
        {"force", 0, 0, G_OPTION_ARG_NONE, &options.force,
         "also if its disks were used since: it damages what is on them", NULL},
        {"timeout", 0, 0, G_OPTION_ARG_INT, &options.timeoutSec,
         "wait this long for a busy lease (default: refuse at once)", "SEC"},
        {NULL},
    };

    if (!virToolParse(tool, entries, 1, 1) || !virToolSaveCheck(tool, &options))
        return tool->exitStatus;
    if (!virToolConfig(tool))
        return tool->exitStatus;
    return virToolRestoreFile(tool, &options);
}
