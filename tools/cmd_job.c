/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_job.c: leasehold job GUEST [--cancel]
 */
#include "config.h"

#include "tools/tool.h"

#include <stdio.h>

static int
virToolJobCancel(virTool *tool, virDomainLock *dom)
{
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;

    wait = virToolWaitNew(tool, 0, 0, "interrupted; the job is still asked to end");
    if (!virDomainLockJobCancel(dom, &error))
        return virToolFail(tool, error);
    g_clear_pointer(&wait, virToolWaitFree);
    return virToolReportGuest(tool, dom, "has no job any more: it was cancelled");
}

static void
virToolJobJson(const virDomainLockInfo *info)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    virToolJsonString(builder, "name", info->name);
    virToolJsonString(builder, "uuid", info->uuid);
    virToolJsonJob(builder, info);
    json_builder_end_object(builder);
    virToolJsonPrint(builder, stdout, TRUE);
}

int
virToolCmdJob(virTool *tool)
{
    gboolean cancel = FALSE;
    const GOptionEntry entries[] = {
        {"cancel", 0, 0, G_OPTION_ARG_NONE, &cancel,
         "ask it to undo itself, and wait until it has ended", NULL},
        {NULL},
    };
    g_autoptr(virDomainLock) dom = NULL;
    g_autoptr(virDomainLockInfo) info = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    if (!virToolParse(tool, entries, 1, 1))
        return tool->exitStatus;
    dom = virToolGuest(tool, tool->args[0]);
    if (!dom)
        return tool->exitStatus;
    if (cancel)
        return virToolJobCancel(tool, dom);
    info = virDomainLockGetInfo(dom, &error);
    if (!info)
        return virToolFail(tool, error);
    text = virToolJobText(info);
    if (tool->json)
        virToolJobJson(info);
    else
        printf("%s\n", text ? text : "no job");
    return VIR_TOOL_EXIT_OK;
}
