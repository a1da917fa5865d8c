/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_list.c: leasehold list
 */
#include "config.h"

#include "common/text.h"
#include "tools/tool.h"

#include <stdio.h>

static virToolColour
virToolGuestColour(const virDomainLockInfo *info)
{
    if (info->reason == VIR_DOMAIN_LOCK_REASON_LEASE_LOST ||
        info->reason == VIR_DOMAIN_LOCK_REASON_CRASHED ||
        info->reason == VIR_DOMAIN_LOCK_REASON_FAILED)
        return VIR_TOOL_COLOUR_RED;
    switch (info->state) {
    case VIR_DOMAIN_LOCK_STATE_RUNNING:
        return VIR_TOOL_COLOUR_GREEN;
    case VIR_DOMAIN_LOCK_STATE_SHUTOFF:
        return VIR_TOOL_COLOUR_DIM;
    case VIR_DOMAIN_LOCK_STATE_STARTING:
    case VIR_DOMAIN_LOCK_STATE_PAUSED:
    case VIR_DOMAIN_LOCK_STATE_SHUTDOWN:
    case VIR_DOMAIN_LOCK_STATE_PMSUSPENDED:
    case VIR_DOMAIN_LOCK_STATE_UNSUPERVISED:
    default:
        return VIR_TOOL_COLOUR_YELLOW;
    }
}

static void
virToolListAdd(virToolTable *table, const virDomainLockInfo *info)
{
    g_autofree char *state = virToolGuestState(info);
    g_autofree char *pid =
        info->pid > 0 ? g_strdup_printf("%" G_GINT64_FORMAT, info->pid) : NULL;
    g_autofree char *leases =
        info->leases ? g_strdup_printf("%u", info->leases->len) : NULL;
    g_autofree char *since =
        virToolFormatTime(info->endedUsec != 0 ? info->endedUsec : info->startedUsec);

    virToolTableAdd(table, info->name, state, pid, leases, since, info->message);
    virToolTableMark(table, 1, virToolGuestColour(info));
}

static void
virToolListPrint(const GPtrArray *guests)
{
    g_autoptr(virToolTable) table =
        virToolTableNew("~NAME", "STATE", ">PID", ">LEASES", "SINCE", "?MESSAGE", NULL);

    for (guint i = 0; i < guests->len; i++)
        virToolListAdd(table, g_ptr_array_index(guests, i));
    virToolTablePrint(table);
}

static void
virToolListPrintJson(virTool *tool, const GPtrArray *guests)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "guests");
    json_builder_begin_array(builder);
    for (guint i = 0; i < guests->len; i++)
        virToolJsonGuest(tool, builder, g_ptr_array_index(guests, i));
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    virToolJsonPrint(builder, stdout, TRUE);
}

/* One word a line, for scripts; a name is escaped so that it stays one line. */
static void
virToolListPrintWords(const GPtrArray *guests, gboolean uuids)
{
    for (guint i = 0; i < guests->len; i++) {
        const virDomainLockInfo *info = g_ptr_array_index(guests, i);
        g_autofree char *word = virTextPrintable(uuids ? info->uuid : info->name);

        printf("%s\n", word);
    }
}

int
virToolCmdList(virTool *tool)
{
    gboolean all = FALSE, names = FALSE, uuids = FALSE;
    const GOptionEntry entries[] = {
        {"all", 0, 0, G_OPTION_ARG_NONE, &all, "guests that ended, too", NULL},
        {"name", 0, 0, G_OPTION_ARG_NONE, &names, "only their names", NULL},
        {"uuid", 0, 0, G_OPTION_ARG_NONE, &uuids, "only their uuids", NULL},
        {NULL},
    };
    g_autoptr(GPtrArray) guests = NULL;
    g_autoptr(GError) error = NULL;

    if (!virToolParse(tool, entries, 0, 0))
        return tool->exitStatus;
    if (names + uuids + tool->json > 1)
        return virToolUsage(tool, "--name, --uuid and --json are mutually exclusive");
    if (!virToolConfig(tool))
        return tool->exitStatus;
    guests = virDomainLockList(tool->config, all ? VIR_DOMAIN_LOCK_LIST_ALL : 0, &error);
    if (!guests)
        return virToolFail(tool, error);
    if (tool->json)
        virToolListPrintJson(tool, guests);
    else if (names || uuids)
        virToolListPrintWords(guests, uuids);
    else
        virToolListPrint(guests);
    return VIR_TOOL_EXIT_OK;
}
