/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_run.c: leasehold run DOMAIN.xml | --name NAME --disk PATH... -- QEMU ARGS...
 *
 * Returns when the guest runs; its supervisor stays. With --foreground it stays too, passes
 * the program's own status on and turns signals into a shutdown: the first asks the guest,
 * the second destroys it.
 */
#include "config.h"

#include "tools/tool.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define VIR_TOOL_RUN_START_SEC 120 /* taking leases and starting QEMU, besides waiting */
#define VIR_TOOL_RUN_TAKEOVER_SEC 86400 /* --takeover without --timeout */
#define VIR_TOOL_STATUS_UNKNOWN (VIR_TOOL_EXIT_FOREGROUND + VIR_TOOL_EXIT_INDETERMINATE)

/** The options of run. */
typedef struct _virToolRunOptions {
    char *name;
    char *uuid;
    GStrv disks;
    gboolean paused;
    gboolean foreground;
    gboolean takeover;
    gboolean unsafeCache;
    gboolean attach;
    gboolean autodestroy;
    gboolean forceBoot;
    int timeoutSec;
} virToolRunOptions;

static void
virToolRunOptionsClear(virToolRunOptions *options)
{
    g_free(options->name);
    g_free(options->uuid);
    g_strfreev(options->disks);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(virToolRunOptions, virToolRunOptionsClear)

static gboolean
virToolRunUsage(virTool *tool, const char *problem)
{
    tool->exitStatus = virToolUsage(tool, "%s", problem);
    return FALSE;
}

static gboolean
virToolRunCheck(virTool *tool, const virToolRunOptions *options)
{
    gboolean command = tool->tail != NULL;
    gboolean xml = tool->args[0] != NULL;

    if (xml && (command || options->name || options->disks || options->uuid))
        return virToolRunUsage(tool,
                               "a DOMAIN.xml and a command line (--name, --uuid, --disk, "
                               "--) are mutually exclusive");
    if (!xml && !command && (options->name || options->disks))
        return virToolRunUsage(tool, "the command line of the guest is missing: end with "
                                     "'-- qemu-system-x86_64 ARGS...'");
    if (!xml && !command)
        return virToolRunUsage(tool,
                               "a DOMAIN.xml is needed, or '--name NAME --disk PATH -- "
                               "qemu-system-x86_64 ARGS...'");
    if (command && !tool->tail[0])
        return virToolRunUsage(tool, "there is no program after '--'");
    if (command && !options->name)
        return virToolRunUsage(tool, "a command line needs --name NAME");
    if (options->autodestroy && !options->foreground)
        return virToolRunUsage(tool, "--autodestroy needs --foreground: the guest ends with "
                                     "this command");
    if (options->autodestroy && options->attach)
        return virToolRunUsage(tool, "--autodestroy and --attach are mutually exclusive");
    if (options->timeoutSec < 0)
        return virToolRunUsage(tool, "--timeout needs a number of seconds, 0 or more");
    return TRUE;
}

static gboolean
virToolRunParse(virTool *tool, virToolRunOptions *options)
{
    const GOptionEntry entries[] = {
        {"name", 0, 0, G_OPTION_ARG_FILENAME, &options->name,
         "name of the guest of a command line", "NAME"},
        {"uuid", 0, 0, G_OPTION_ARG_FILENAME, &options->uuid,
         "its uuid (default: QEMU's -uuid, else made from the name)", "UUID"},
        {"disk", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->disks,
         "an image that the command line uses; once for each", "PATH[,readonly|,shared]"},
        {"paused", 0, 0, G_OPTION_ARG_NONE, &options->paused,
         "leave the processors stopped; 'resume' starts them", NULL},
        {"foreground", 0, 0, G_OPTION_ARG_NONE, &options->foreground,
         "stay until the guest ends and pass its status on", NULL},
        {"timeout", 0, 0, G_OPTION_ARG_INT, &options->timeoutSec,
         "wait this long for a busy lease (default: refuse at once)", "SEC"},
        {"takeover", 0, 0, G_OPTION_ARG_NONE, &options->takeover,
         "wait until the leases of a dead host can be taken, at most a day", NULL},
        {"attach", 0, 0, G_OPTION_ARG_NONE, &options->attach,
         "stay with the guest if it runs on this host already, instead of refusing",
         NULL},
        {"autodestroy", 0, 0, G_OPTION_ARG_NONE, &options->autodestroy,
         "destroy the guest when this command ends, however that ends", NULL},
        {"unsafe-cache", 0, 0, G_OPTION_ARG_NONE, &options->unsafeCache,
         "permit the host's page cache for writable disks", NULL},
        {"force-boot", 0, 0, G_OPTION_ARG_NONE, &options->forceBoot,
         "from its disks, though there is a managed save, which is thrown away", NULL},
        {NULL},
    };

    /* known before the options are parsed, so that a usage error has its status, too */
    for (guint i = 0; tool->args[i] && strcmp(tool->args[i], "--") != 0; i++) {
        if (strcmp(tool->args[i], "--foreground") == 0)
            tool->exitBase = VIR_TOOL_EXIT_FOREGROUND;
    }
    return virToolParse(tool, entries, 0, 1) && virToolRunCheck(tool, options);
}

static virDomainLock *
virToolRunCommand(virTool *tool, const virToolRunOptions *options, guint flags,
                  const virLockWait *wait, GError **error)
{
    guint n = options->disks ? g_strv_length(options->disks) : 0;
    g_autofree virDomainLockDisk *disks = g_new0(virDomainLockDisk, n);
    virDomainLockCommand command = {
        .structSize = sizeof(command),
        .name = options->name,
        .uuid = options->uuid,
        .disks = disks,
        .nDisks = n,
        .argv = (const char *const *)tool->tail,
    };
    virDomainLock *dom = NULL;
    guint parsed = 0;

    while (parsed < n &&
           virToolParseDisk(tool, options->disks[parsed], &disks[parsed]))
        parsed++;
    if (parsed == n)
        dom = virDomainLockCreateCommand(tool->config, &command, flags, wait, error);
    for (guint i = 0; i < parsed; i++)
        g_free((char *)disks[i].path);
    return dom;
}

/* The guest, or NULL with the error reported. */
static virDomainLock *
virToolRunStart(virTool *tool, const virToolRunOptions *options)
{
    guint flags = (options->paused ? VIR_DOMAIN_LOCK_CREATE_PAUSED : 0) |
                  (options->attach ? VIR_DOMAIN_LOCK_CREATE_ATTACH : 0) |
                  (options->autodestroy ? VIR_DOMAIN_LOCK_CREATE_AUTODESTROY : 0) |
                  (options->unsafeCache ? VIR_DOMAIN_LOCK_CREATE_UNSAFE_CACHE : 0) |
                  (options->forceBoot ? VIR_DOMAIN_LOCK_CREATE_FORCE_BOOT : 0) |
                  (options->takeover ? VIR_DOMAIN_LOCK_CREATE_TAKEOVER : 0);
    gint64 busySec = options->takeover && options->timeoutSec == 0
                         ? VIR_TOOL_RUN_TAKEOVER_SEC
                         : options->timeoutSec;
    g_autoptr(virToolWait) wait =
        virToolWaitNew(tool, busySec + VIR_TOOL_RUN_START_SEC, busySec, NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = NULL;
    virDomainLock *dom = NULL;

    if (tool->args[0])
        xml = virToolReadXml(tool->args[0], &error);
    if (xml)
        dom = virDomainLockCreateXML(tool->config, xml, flags, virToolWaitGet(wait),
                                     &error);
    else if (!tool->args[0])
        dom = virToolRunCommand(tool, options, flags, virToolWaitGet(wait), &error);
    if (error)
        tool->exitStatus = virToolFail(tool, error);
    return dom;
}

static int
virToolRunReport(virTool *tool, virDomainLock *dom, const virToolRunOptions *options)
{
    const virDomainLockInfo *info = virDomainLockGetStartInfo(dom);
    g_autoptr(virDomainLockInfo) known = NULL;
    g_autofree char *sentence = NULL;
    g_autoptr(GError) error = NULL;

    /* zero configuration: the default plugin knows nothing of other hosts */
    if (!virLockConfigGetPath(tool->config))
        virToolNote(
            tool,
            "there is no configuration, so the leases (plugin %s) hold on this host "
            "only",
            virLockConfigGet(tool->config, "lock", "plugin"));
    if (!info) /* --attach: it ran already */
        info = known = virDomainLockPeekInfo(dom, &error);
    if (!info)
        return virToolFail(tool, error);
    virToolNoteImages(tool, info, NULL);
    if (tool->quiet && !tool->json)
        return VIR_TOOL_EXIT_OK;
    if (tool->json) {
        g_autoptr(JsonBuilder) builder = json_builder_new();

        virToolJsonGuest(tool, builder, info);
        virToolJsonPrint(builder, stdout, TRUE);
        return VIR_TOOL_EXIT_OK;
    }
    sentence = g_strdup_printf("%s: pid %" G_GINT64_FORMAT ", %u leases, plugin %s",
                               info->state == VIR_DOMAIN_LOCK_STATE_PAUSED
                                   ? "is ready, paused"
                                   : "runs",
                               info->pid,
                               info->leases ? info->leases->len : 0, info->plugin);
    virToolSay(tool, "guest '%s' %s", info->name, sentence);
    return VIR_TOOL_EXIT_OK;
}

/* What the guest's program returned, as a shell would report it. */
static int
virToolRunStatus(virTool *tool, const virDomainLockInfo *info)
{
    if (info->waitStatus >= 0 && WIFEXITED(info->waitStatus))
        return WEXITSTATUS(info->waitStatus);
    if (info->waitStatus >= 0 && WIFSIGNALED(info->waitStatus))
        return VIR_TOOL_EXIT_SIGNAL + WTERMSIG(info->waitStatus);
    virToolNote(tool, "nobody saw how guest '%s' ended", info->name);
    return VIR_TOOL_STATUS_UNKNOWN;
}

/* One signal's worth of patience. TRUE with *info set when the guest has ended; FALSE with no
 * error after a signal. */
static gboolean
virToolRunWait(virTool *tool, virDomainLock *dom, virDomainLockInfo **info,
               GError **error)
{
    g_autoptr(virToolWait) wait = virToolWaitNew(tool, 0, 0, NULL);

    if (virDomainLockWait(dom, info, virToolWaitGet(wait), error))
        return TRUE;
    if (virToolWaitInterrupted(wait))
        g_clear_error(error);
    return FALSE;
}

static int
virToolRunForeground(virTool *tool, virDomainLock *dom)
{
    g_autoptr(virDomainLockInfo) info = NULL;
    g_autoptr(GError) error = NULL;

    if (virToolRunWait(tool, dom, &info, &error))
        return virToolRunStatus(tool, info);
    if (error)
        return virToolFail(tool, error);
    virToolNotify(tool, "STOPPING=1", "guest '%s' was asked to shut down",
                  virDomainLockGetName(dom));
    virToolNote(tool, "asking guest '%s' to shut down; another signal destroys it",
                virDomainLockGetName(dom));
    if (!virDomainLockShutdownFlags(dom, 0, VIR_DOMAIN_LOCK_SHUTDOWN_ACPI, &error))
        return virToolFail(tool, error);
    if (virToolRunWait(tool, dom, &info, &error))
        return virToolRunStatus(tool, info);
    if (error)
        return virToolFail(tool, error);
    virToolNote(tool, "destroying guest '%s'", virDomainLockGetName(dom));
    if (!virDomainLockDestroyFlags(dom, VIR_DOMAIN_LOCK_DESTROY_GRACEFUL, &error) ||
        !virToolRunWait(tool, dom, &info, &error))
        return error ? virToolFail(tool, error) : VIR_TOOL_STATUS_UNKNOWN;
    return virToolRunStatus(tool, info);
}

int
virToolCmdRun(virTool *tool)
{
    g_auto(virToolRunOptions) options = {0};
    g_autoptr(virDomainLock) dom = NULL;
    int status;

    if (!virToolRunParse(tool, &options))
        return tool->exitStatus;
    if (options.foreground)
        virToolNotifyBegin(tool);
    if (!virToolConfig(tool))
        return tool->exitStatus;
    if (tool->spare)
        virDomainLockSpareOffer(g_steal_pointer(&tool->spare), tool->config);
    dom = virToolRunStart(tool, &options);
    if (!dom)
        return tool->exitStatus;
    status = virToolRunReport(tool, dom, &options);
    if (!options.foreground)
        return status;
    (void)fflush(stdout);
    virToolNotify(tool, "READY=1", "guest '%s' %s under its leases",
                  virDomainLockGetName(dom), options.paused ? "is ready, paused," : "runs");
    return virToolRunForeground(tool, dom);
}
