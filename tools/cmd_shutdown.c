/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_shutdown.c: leasehold shutdown GUEST
 *
 * Asks, and with --timeout sets a deadline after which the guest is forced off. Both belong to
 * the guest's supervisor: they stand when this command is interrupted.
 */
#include "config.h"

#include "tools/tool.h"

#include <string.h>

/** The options of shutdown. */
typedef struct _virToolShutdownOptions {
    char *mode;
    int timeoutSec;
    gboolean wait;
    gboolean abort;
} virToolShutdownOptions;

guint
virToolShutdownModes(virTool *tool, const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, ",", -1);
    guint modes = 0;

    for (guint i = 0; words[i]; i++) {
        if (strcmp(words[i], "acpi") == 0) {
            modes |= VIR_DOMAIN_LOCK_SHUTDOWN_ACPI;
        } else if (strcmp(words[i], "agent") == 0) {
            modes |= VIR_DOMAIN_LOCK_SHUTDOWN_AGENT;
        } else {
            tool->exitStatus =
                virToolUsage(tool, "--mode takes acpi and agent, not '%s'", words[i]);
            return 0;
        }
    }
    if (modes == 0)
        tool->exitStatus = virToolUsage(tool, "--mode needs acpi, agent or acpi,agent");
    return modes;
}

static int
virToolShutdownAbort(virTool *tool)
{
    g_autoptr(virDomainLock) dom = virToolGuest(tool, tool->args[0]);
    g_autoptr(GError) error = NULL;

    if (!dom)
        return tool->exitStatus;
    if (!virDomainLockShutdownAbort(dom, &error))
        return virToolFail(tool, error);
    return virToolReportGuest(tool, dom,
                              "is not asked any more, nor forced off; it may shut down "
                              "all the same");
}

static int
virToolShutdownEnded(virTool *tool, virDomainLock *dom)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virDomainLockInfo) info = virDomainLockGetInfo(dom, &error);

    if (!info)
        return virToolFail(tool, error);
    return virToolReportGuest(
        tool, dom,
        info->reason == VIR_DOMAIN_LOCK_REASON_SHUTDOWN    ? "has shut down"
        : info->reason == VIR_DOMAIN_LOCK_REASON_DESTROYED ? "was forced off"
                                                           : "has ended");
}

static int
virToolShutdownRequest(virTool *tool, const virToolShutdownOptions *options, guint modes)
{
    g_autoptr(virDomainLock) dom = virToolGuest(tool, tool->args[0]);
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *sentence = NULL;
    guint flags = modes | (options->wait ? VIR_DOMAIN_LOCK_SHUTDOWN_BLOCK : 0);

    if (!dom)
        return tool->exitStatus;
    if (options->wait)
        wait =
            virToolWaitNew(tool, 0, 0,
                           "interrupted; the guest is still asked to shut down "
                           "('leasehold shutdown GUEST --abort' withdraws a --timeout)");
    if (!virDomainLockShutdownFlags(dom, (guint)options->timeoutSec, flags, &error))
        return virToolFail(tool, error);
    g_clear_pointer(&wait, virToolWaitFree);
    if (options->wait)
        return virToolShutdownEnded(tool, dom);
    sentence = options->timeoutSec > 0
                   ? g_strdup_printf("was asked to shut down; it is forced off in %d s",
                                     options->timeoutSec)
                   : g_strdup("was asked to shut down");
    return virToolReportGuest(tool, dom, sentence);
}

int
virToolCmdShutdown(virTool *tool)
{
    virToolShutdownOptions options = {.timeoutSec = -1};
    const GOptionEntry entries[] = {
        {"mode", 0, 0, G_OPTION_ARG_FILENAME, &options.mode,
         "how to ask: acpi (default), agent, or both", "MODE[,MODE]"},
        {"timeout", 0, 0, G_OPTION_ARG_INT, &options.timeoutSec,
         "force the guest off after this many seconds", "SEC"},
        {"wait", 0, 0, G_OPTION_ARG_NONE, &options.wait,
         "return when the guest has ended", NULL},
        {"abort", 0, 0, G_OPTION_ARG_NONE, &options.abort,
         "withdraw a request and its deadline", NULL},
        {NULL},
    };
    g_autofree char *mode = NULL;
    guint modes = VIR_DOMAIN_LOCK_SHUTDOWN_ACPI;

    if (!virToolParse(tool, entries, 1, 1))
        return tool->exitStatus;
    mode = options.mode;
    if (options.abort && (mode || options.timeoutSec != -1 || options.wait))
        return virToolUsage(
            tool, "--abort and --mode, --timeout, --wait are mutually exclusive");
    if (options.abort)
        return virToolShutdownAbort(tool);
    if (options.timeoutSec == 0 || options.timeoutSec < -1)
        return virToolUsage(tool, "--timeout needs a positive number of seconds");
    if (mode)
        modes = virToolShutdownModes(tool, mode);
    if (modes == 0)
        return tool->exitStatus;
    options.timeoutSec = MAX(options.timeoutSec, 0);
    return virToolShutdownRequest(tool, &options, modes);
}
