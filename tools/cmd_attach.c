/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_attach.c: leasehold attach GUEST
 *
 * What differed from what was known is said by the guest itself: in its message, which the
 * report shows, and in its history.
 */
#include "config.h"

#include "tools/tool.h"

#define ATTACH_TIMEOUT_SEC 60

static int
virToolAttachReport(virTool *tool, virDomainLock *dom)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virDomainLockInfo) info = virDomainLockGetInfo(dom, &error);
    g_autofree char *state = NULL;
    g_autofree char *sentence = NULL;

    if (!info)
        return virToolFail(tool, error);
    state = virToolGuestState(info);
    sentence =
        g_strdup_printf("has a supervisor again (pid %" G_GINT64_FORMAT "): %s, %u "
                        "leases%s%s",
                        info->supervisorPid, state, info->leases ? info->leases->len : 0,
                        info->message ? "; " : "", info->message ? info->message : "");
    return virToolReportGuest(tool, dom, sentence);
}

int
virToolCmdAttach(virTool *tool)
{
    int timeoutSec = ATTACH_TIMEOUT_SEC;
    const GOptionEntry entries[] = {
        {"timeout", 0, 0, G_OPTION_ARG_INT, &timeoutSec,
         "give up after this many seconds", "SEC"},
        {NULL},
    };
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(virDomainLock) dom = NULL;
    g_autoptr(GError) error = NULL;

    if (!virToolParse(tool, entries, 1, 1))
        return tool->exitStatus;
    if (timeoutSec < 1)
        return virToolUsage(tool, "--timeout needs a positive number of seconds");
    if (!virToolConfig(tool))
        return tool->exitStatus;
    wait = virToolWaitNew(tool, timeoutSec, 0, NULL);
    dom = virDomainLockAttach(tool->config, tool->args[0], virToolWaitGet(wait), &error);
    g_clear_pointer(&wait, virToolWaitFree);
    return dom ? virToolAttachReport(tool, dom) : virToolFail(tool, error);
}
