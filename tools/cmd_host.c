/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_host.c: leasehold host join|leave|status|list
 */
#include "config.h"

#include "tools/tool.h"

#include <stdio.h>

/* A join after a crash waits until this host's former self is surely dead: 8 x io_timeout +
 * 60 s, which is 140 s with the default of 10 and 300 s with the slowest sensible one. */
#define VIR_TOOL_JOIN_SEC 600
#define VIR_TOOL_LEAVE_SEC 60

static const virLockHost *
virToolHostSelf(const GPtrArray *hosts)
{
    for (guint i = 0; i < hosts->len; i++) {
        const virLockHost *host = g_ptr_array_index(hosts, i);

        if (host->self)
            return host;
    }
    return NULL;
}

static void
virToolJsonHost(JsonBuilder *builder, const virLockHost *host)
{
    json_builder_begin_object(builder);
    virToolJsonInt(builder, "host_id", host->hostId);
    virToolJsonInt(builder, "generation", (gint64)host->generation);
    virToolJsonString(builder, "host", host->name);
    virToolJsonString(builder, "host_state", virToolHostStateName(host->state));
    virToolJsonBool(builder, "self", host->self);
    virToolJsonKnown(builder, "seen_sec", host->seenSec);
    virToolJsonKnown(builder, "eta_sec", host->etaSec);
    virToolJsonInt(builder, "io_timeout_sec", host->ioTimeoutSec);
    json_builder_end_object(builder);
}

static virToolColour
virToolHostColour(virLockHostState state)
{
    switch (state) {
    case VIR_LOCK_HOST_LIVE:
        return VIR_TOOL_COLOUR_GREEN;
    case VIR_LOCK_HOST_FAIL:
        return VIR_TOOL_COLOUR_YELLOW;
    case VIR_LOCK_HOST_DEAD:
        return VIR_TOOL_COLOUR_RED;
    case VIR_LOCK_HOST_UNKNOWN:
    case VIR_LOCK_HOST_FREE:
    default:
        return VIR_TOOL_COLOUR_DIM;
    }
}

static void
virToolHostListPrint(const GPtrArray *hosts)
{
    g_autoptr(virToolTable) table = virToolTableNew(
        ">ID", "~HOST", "STATE", ">LAST SEEN", ">LEASES FREE IN", ">I/O TIMEOUT", NULL);

    for (guint i = 0; i < hosts->len; i++) {
        const virLockHost *host = g_ptr_array_index(hosts, i);
        g_autofree char *id = g_strdup_printf("%u", host->hostId);
        g_autofree char *name = g_strdup_printf("%s%s", host->name ? host->name : "-",
                                                host->self ? " (this host)" : "");
        g_autofree char *span = virToolFormatSpan(host->seenSec);
        g_autofree char *seen =
            host->seenSec >= 0 ? g_strdup_printf("%s ago", span) : NULL;
        /* of a live host this would only be true if it died now */
        g_autofree char *eta = host->etaSec >= 0 && host->state != VIR_LOCK_HOST_LIVE
                                   ? virToolFormatSpan(host->etaSec)
                                   : NULL;
        g_autofree char *timeout = g_strdup_printf("%u s", host->ioTimeoutSec);

        virToolTableAdd(table, id, name, virToolHostStateName(host->state), seen, eta,
                        timeout);
        virToolTableMark(table, 2, virToolHostColour(host->state));
    }
    virToolTablePrint(table);
}

static void
virToolHostListPrintJson(const GPtrArray *hosts)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "hosts");
    json_builder_begin_array(builder);
    for (guint i = 0; i < hosts->len; i++)
        virToolJsonHost(builder, g_ptr_array_index(hosts, i));
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    virToolJsonPrint(builder, stdout, TRUE);
}

/* The hosts as the storage shows them, or NULL with the error reported. */
static GPtrArray *
virToolHostsRead(virTool *tool, virLockManagerPlugin *plugin)
{
    g_autoptr(virToolWait) wait =
        virToolWaitNew(tool, VIR_LOCK_WAIT_DEFAULT_SEC, 0, NULL);
    g_autoptr(GError) error = NULL;
    GPtrArray *hosts = virLockManagerHostList(plugin, virToolWaitGet(wait), &error);

    if (!hosts)
        tool->exitStatus = virToolFail(tool, error);
    return hosts;
}

int
virToolCmdHostList(virTool *tool)
{
    g_autoptr(virLockManagerPlugin) plugin = NULL;
    g_autoptr(GPtrArray) hosts = NULL;

    if (!virToolParse(tool, NULL, 0, 0))
        return tool->exitStatus;
    plugin = virToolPluginWith(tool, VIR_LOCK_CAP_HOSTS, "lockspace to join");
    hosts = plugin ? virToolHostsRead(tool, plugin) : NULL;
    if (!hosts)
        return tool->exitStatus;
    if (tool->json)
        virToolHostListPrintJson(hosts);
    else
        virToolHostListPrint(hosts);
    return VIR_TOOL_EXIT_OK;
}

/* {"joined": ..., "host": {...}} */
static void
virToolHostStatusPrintJson(const virLockHost *self, gboolean joined)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    virToolJsonBool(builder, "joined", joined);
    json_builder_set_member_name(builder, "host");
    if (self)
        virToolJsonHost(builder, self);
    else
        json_builder_add_null_value(builder);
    json_builder_end_object(builder);
    virToolJsonPrint(builder, stdout, TRUE);
}

static int
virToolHostStatusReport(virTool *tool, const virLockHost *self)
{
    gboolean joined = self && self->state == VIR_LOCK_HOST_LIVE;
    g_autofree char *name = self ? virToolHostText(self->name, self->hostId) : NULL;
    g_autofree char *seen = self ? virToolFormatSpan(self->seenSec) : NULL;

    if (tool->json)
        virToolHostStatusPrintJson(self, joined);
    else if (!joined)
        virToolSay(tool, "%s is not joined ('leasehold host join' joins it)",
                   name ? name : "this host");
    else if (self->seenSec >= 0)
        virToolSay(tool, "%s is joined, last renewal %s ago", name, seen);
    else
        virToolSay(tool, "%s is joined", name);
    return joined ? VIR_TOOL_EXIT_OK : VIR_TOOL_EXIT_UNAVAILABLE;
}

int
virToolCmdHostStatus(virTool *tool)
{
    g_autoptr(virLockManagerPlugin) plugin = NULL;
    g_autoptr(GPtrArray) hosts = NULL;

    if (!virToolParse(tool, NULL, 0, 0))
        return tool->exitStatus;
    plugin = virToolPluginWith(tool, VIR_LOCK_CAP_HOSTS, "lockspace to join");
    hosts = plugin ? virToolHostsRead(tool, plugin) : NULL;
    if (!hosts)
        return tool->exitStatus;
    return virToolHostStatusReport(tool, virToolHostSelf(hosts));
}

int
virToolCmdHostJoin(virTool *tool)
{
    int timeout = VIR_TOOL_JOIN_SEC;
    const GOptionEntry entries[] = {
        {"timeout", 0, 0, G_OPTION_ARG_INT, &timeout,
         "give up after this many seconds (default 600)", "SEC"},
        {NULL},
    };
    g_autoptr(virLockManagerPlugin) plugin = NULL;
    g_autoptr(GPtrArray) hosts = NULL;
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;

    if (!virToolParse(tool, entries, 0, 0))
        return tool->exitStatus;
    if (timeout <= 0)
        return virToolUsage(tool, "--timeout needs a positive number of seconds");
    plugin = virToolPluginWith(tool, VIR_LOCK_CAP_HOSTS, "lockspace to join");
    if (!plugin)
        return tool->exitStatus;
    wait = virToolWaitNew(tool, timeout, 0, NULL);
    if (!virLockManagerHostJoin(plugin, virToolWaitGet(wait), &error))
        return virToolFail(tool, error);
    g_clear_pointer(&wait, virToolWaitFree);
    if (tool->quiet && !tool->json)
        return VIR_TOOL_EXIT_OK;
    hosts = virToolHostsRead(tool, plugin);
    if (!hosts)
        return tool->exitStatus;
    return virToolHostStatusReport(tool, virToolHostSelf(hosts));
}

int
virToolCmdHostLeave(virTool *tool)
{
    g_autoptr(virLockManagerPlugin) plugin = NULL;
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;

    if (!virToolParse(tool, NULL, 0, 0))
        return tool->exitStatus;
    plugin = virToolPluginWith(tool, VIR_LOCK_CAP_HOSTS, "lockspace to join");
    if (!plugin)
        return tool->exitStatus;
    wait = virToolWaitNew(tool, VIR_TOOL_LEAVE_SEC, 0, NULL);
    if (!virLockManagerHostLeave(plugin, virToolWaitGet(wait), &error))
        return virToolFail(tool, error);
    if (tool->json)
        virToolHostStatusPrintJson(NULL, FALSE);
    else
        virToolSay(tool, "left the lockspace");
    return VIR_TOOL_EXIT_OK;
}
