/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_reboot.c: leasehold reboot GUEST
 */
#include "config.h"

#include "tools/tool.h"

int
virToolCmdReboot(virTool *tool)
{
    g_autofree char *mode = NULL;
    const GOptionEntry entries[] = {
        {"mode", 0, 0, G_OPTION_ARG_FILENAME, &mode,
         "how to ask: acpi (default), agent, or both", "MODE[,MODE]"},
        {NULL},
    };
    g_autoptr(virDomainLock) dom = NULL;
    g_autoptr(GError) error = NULL;
    guint modes = VIR_DOMAIN_LOCK_SHUTDOWN_ACPI;

    if (!virToolParse(tool, entries, 1, 1))
        return tool->exitStatus;
    if (mode)
        modes = virToolShutdownModes(tool, mode);
    if (modes == 0)
        return tool->exitStatus;
    dom = virToolGuest(tool, tool->args[0]);
    if (!dom)
        return tool->exitStatus;
    if (!virDomainLockReboot(dom, modes, &error))
        return virToolFail(tool, error);
    return virToolReportGuest(tool, dom, "was asked to reboot");
}
