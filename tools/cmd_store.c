/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_store.c: leasehold store create|list|check|info
 */
#include "config.h"

#include "tools/tool.h"

#include <stdio.h>

#define VIR_TOOL_STORE_CREATE_SEC 300 /* formatting a thousand slots on slow storage */

static void
virToolStorePrint(const virLockStoreInfo *info)
{
    g_autofree char *hosts = g_strdup_printf("%u", info->maxHosts);
    g_autofree char *leases =
        g_strdup_printf("%u used of %u", info->usedLeases, info->maxLeases);
    g_autofree char *timeout = g_strdup_printf("%u s", info->ioTimeoutSec);
    g_autofree char *align =
        g_format_size_full(info->alignBytes, G_FORMAT_SIZE_IEC_UNITS);
    g_autofree char *format = g_strdup_printf("version %u, %u-byte sectors, alignment %s",
                                              info->version, info->sectorSize, align);

    virToolField("Store:", info->path);
    virToolField("Lockspace:", info->lockspace);
    virToolField("Leases:", leases);
    virToolField("Max hosts:", hosts);
    virToolField("I/O timeout:", timeout);
    virToolField("Format:", format);
}

static void
virToolStorePrintJson(const virLockStoreInfo *info)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    virToolJsonString(builder, "path", info->path);
    virToolJsonString(builder, "lockspace", info->lockspace);
    virToolJsonInt(builder, "version", info->version);
    virToolJsonInt(builder, "max_hosts", info->maxHosts);
    virToolJsonInt(builder, "max_leases", info->maxLeases);
    virToolJsonInt(builder, "used_leases", info->usedLeases);
    virToolJsonInt(builder, "io_timeout_sec", info->ioTimeoutSec);
    virToolJsonInt(builder, "sector_size", info->sectorSize);
    virToolJsonInt(builder, "align_bytes", (gint64)info->alignBytes);
    json_builder_end_object(builder);
    virToolJsonPrint(builder, stdout, TRUE);
}

/* What --json says of a new store; its numbers are for "store info". */
static void
virToolStorePrintCreated(virTool *tool, const virLockStoreOptions *options)
{
    g_autoptr(JsonBuilder) builder = NULL;

    if (!tool->json) {
        virToolSay(tool, "created store %s", options->path);
        return;
    }
    builder = json_builder_new();
    json_builder_begin_object(builder);
    virToolJsonString(builder, "path", options->path);
    virToolJsonBool(builder, "created", TRUE);
    json_builder_end_object(builder);
    virToolJsonPrint(builder, stdout, TRUE);
}

/* What was not given stays 0, which leaves it to the plugin; a 0 that was given is refused. */
#define VIR_TOOL_STORE_UNSET G_MININT

static gboolean
virToolStoreTake(int given, guint *option)
{
    if (given == VIR_TOOL_STORE_UNSET)
        return TRUE;
    *option = (guint)MAX(given, 0);
    return given > 0;
}

int
virToolCmdStoreCreate(virTool *tool)
{
    g_autofree char *lockspace = NULL;
    int maxHosts = VIR_TOOL_STORE_UNSET, maxLeases = VIR_TOOL_STORE_UNSET;
    int ioTimeout = VIR_TOOL_STORE_UNSET, sectorSize = 0;
    gboolean force = FALSE;
    const GOptionEntry entries[] = {
        {"lockspace", 0, 0, G_OPTION_ARG_FILENAME, &lockspace,
         "name of the lockspace (default: the configured one)", "NAME"},
        {"max-hosts", 0, 0, G_OPTION_ARG_INT, &maxHosts,
         "how many hosts may share it; fewer are faster", "N"},
        {"max-leases", 0, 0, G_OPTION_ARG_INT, &maxLeases, "how many leases it holds",
         "N"},
        {"io-timeout", 0, 0, G_OPTION_ARG_INT, &ioTimeout,
         "seconds that the storage may take to answer; decides all other times", "SEC"},
        {"sector-size", 0, 0, G_OPTION_ARG_INT, &sectorSize,
         "512 or 4096 (default: what the storage says)", "BYTES"},
        {"force", 0, 0, G_OPTION_ARG_NONE, &force,
         "overwrite a store that no host has joined", NULL},
        {NULL},
    };
    g_autoptr(virLockManagerPlugin) plugin = NULL;
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    virLockStoreOptions options = {.structSize = sizeof(options)};

    if (!virToolParse(tool, entries, 1, 1))
        return tool->exitStatus;
    if (!virToolStoreTake(maxHosts, &options.maxHosts) ||
        !virToolStoreTake(maxLeases, &options.maxLeases) ||
        !virToolStoreTake(ioTimeout, &options.ioTimeoutSec))
        return virToolUsage(tool,
                            "--max-hosts, --max-leases and --io-timeout are positive");
    if (sectorSize != 0 && sectorSize != 512 && sectorSize != 4096)
        return virToolUsage(tool, "--sector-size is 512 or 4096, not %d", sectorSize);
    plugin = virToolPluginWith(tool, VIR_LOCK_CAP_STORE, "store");
    if (!plugin)
        return tool->exitStatus;
    path = virToolAbsolutePath(tool->args[0]);
    options.path = path;
    options.lockspace = lockspace;
    options.sectorSize = (guint)sectorSize;
    options.force = force;
    wait = virToolWaitNew(tool, VIR_TOOL_STORE_CREATE_SEC, 0, NULL);
    if (!virLockManagerStoreCreate(plugin, &options, virToolWaitGet(wait), &error))
        return virToolFail(tool, error);
    virToolStorePrintCreated(tool, &options);
    return VIR_TOOL_EXIT_OK;
}

int
virToolCmdStoreInfo(virTool *tool)
{
    g_autoptr(virLockManagerPlugin) plugin = NULL;
    g_autoptr(virLockStoreInfo) info = NULL;
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;

    if (!virToolParse(tool, NULL, 0, 0))
        return tool->exitStatus;
    plugin = virToolPluginWith(tool, VIR_LOCK_CAP_STORE, "store");
    if (!plugin)
        return tool->exitStatus;
    wait = virToolWaitNew(tool, VIR_LOCK_WAIT_DEFAULT_SEC, 0, NULL);
    info = virLockManagerStoreGetInfo(plugin, virToolWaitGet(wait), &error);
    if (!info)
        return virToolFail(tool, error);
    if (tool->json)
        virToolStorePrintJson(info);
    else
        virToolStorePrint(info);
    return VIR_TOOL_EXIT_OK;
}

static void
virToolStoreListPrint(const GPtrArray *leases, gboolean heldOnly)
{
    g_autoptr(virToolTable) table =
        virToolTableNew("LEASE", "MODE", "~HOST", "~GUEST", "SINCE", NULL);

    for (guint i = 0; i < leases->len; i++) {
        const virLockOwner *lease = g_ptr_array_index(leases, i);
        gboolean held = lease->mode != VIR_LOCK_MODE_NONE;
        g_autofree char *since = virToolFormatTime(lease->sinceUsec);
        g_autofree char *host =
            held ? virToolHostText(lease->hostName, lease->hostId) : NULL;

        if (!held && heldOnly)
            continue;
        virToolTableAdd(table, lease->lease, held ? virToolModeName(lease->mode) : "free",
                        host, lease->guestName, since);
    }
    virToolTablePrint(table);
}

static void
virToolStoreListPrintJson(const GPtrArray *leases, gboolean heldOnly)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "leases");
    json_builder_begin_array(builder);
    for (guint i = 0; i < leases->len; i++) {
        const virLockOwner *lease = g_ptr_array_index(leases, i);

        if (!heldOnly || lease->mode != VIR_LOCK_MODE_NONE)
            virToolJsonOwner(builder, lease);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    virToolJsonPrint(builder, stdout, TRUE);
}

int
virToolCmdStoreList(virTool *tool)
{
    gboolean held = FALSE;
    const GOptionEntry entries[] = {
        {"held", 0, 0, G_OPTION_ARG_NONE, &held, "only leases that somebody holds", NULL},
        {NULL},
    };
    g_autoptr(virLockManagerPlugin) plugin = NULL;
    g_autoptr(GPtrArray) leases = NULL;
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;

    if (!virToolParse(tool, entries, 0, 0))
        return tool->exitStatus;
    plugin = virToolPluginWith(tool, VIR_LOCK_CAP_STORE, "store");
    if (!plugin)
        return tool->exitStatus;
    wait = virToolWaitNew(tool, VIR_LOCK_WAIT_DEFAULT_SEC, 0, NULL);
    leases = virLockManagerStoreList(plugin, virToolWaitGet(wait), &error);
    if (!leases)
        return virToolFail(tool, error);
    if (tool->json)
        virToolStoreListPrintJson(leases, held);
    else
        virToolStoreListPrint(leases, held);
    return VIR_TOOL_EXIT_OK;
}

int
virToolCmdStoreCheck(virTool *tool)
{
    g_autoptr(virLockManagerPlugin) plugin = NULL;
    g_autoptr(GPtrArray) findings = NULL;
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;

    if (!virToolParse(tool, NULL, 0, 0))
        return tool->exitStatus;
    plugin = virToolPluginWith(tool, VIR_LOCK_CAP_STORE, "store");
    if (!plugin)
        return tool->exitStatus;
    wait = virToolWaitNew(tool, VIR_TOOL_STORE_CREATE_SEC, 0, NULL);
    findings = virLockManagerStoreCheck(plugin, virToolWaitGet(wait), &error);
    if (!findings)
        return virToolFail(tool, error);
    if (tool->json)
        virToolPrintFindingsJson(findings);
    else
        virToolPrintFindings(findings);
    return virToolFindingsExit(findings);
}
