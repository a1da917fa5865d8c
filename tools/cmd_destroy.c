/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_destroy.c: leasehold destroy GUEST
 */
#include "config.h"

#include "tools/tool.h"

int
virToolCmdDestroy(virTool *tool)
{
    gboolean graceful = FALSE;
    const GOptionEntry entries[] = {
        {"graceful", 0, 0, G_OPTION_ARG_NONE, &graceful,
         "SIGTERM only, so that QEMU flushes its caches; never SIGKILL", NULL},
        {NULL},
    };
    g_autoptr(virDomainLock) dom = NULL;
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;

    if (!virToolParse(tool, entries, 1, 1))
        return tool->exitStatus;
    dom = virToolGuest(tool, tool->args[0]);
    if (!dom)
        return tool->exitStatus;
    wait = virToolWaitNew(tool, 0, 0,
                          "interrupted; the guest is being destroyed all the same");
    if (!virDomainLockDestroyFlags(dom, graceful ? VIR_DOMAIN_LOCK_DESTROY_GRACEFUL : 0,
                                   &error))
        return virToolFail(tool, error);
    g_clear_pointer(&wait, virToolWaitFree);
    return virToolReportGuest(tool, dom, "is destroyed and its leases are free");
}
