/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_store_gc.c: leasehold store gc
 *
 * Each lease that ever existed keeps its place in the store; this makes places free again.
 * There is no default for the time: a guest that was saved before may be refused afterwards,
 * so whoever calls this has to say how old is old.
 */
#include "config.h"

#include "tools/tool.h"

#define VIR_TOOL_STORE_GC_SEC 600
#define VIR_TOOL_DAY_USEC (G_GINT64_CONSTANT(24) * 3600 * G_USEC_PER_SEC)

static void
virToolGcPrint(virTool *tool, const GPtrArray *leases, gboolean dryRun)
{
    g_autoptr(virToolTable) table =
        virToolTableNew("LEASE", "~GUEST", "~HOST", "LAST USED", NULL);

    for (guint i = 0; i < leases->len; i++) {
        const virLockUse *use = g_ptr_array_index(leases, i);
        g_autofree char *time = virToolFormatTime(use->timeUsec);

        virToolTableAdd(table, use->lease, use->guestName, use->hostName,
                        use->timeUsec ? time : "never");
    }
    if (leases->len > 0)
        virToolTablePrint(table);
    virToolSay(tool, "%u lease%s %s", leases->len, leases->len == 1 ? "" : "s",
               dryRun ? "would be reclaimed" : "reclaimed");
}

static void
virToolGcPrintJson(const GPtrArray *leases, gboolean dryRun)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    virToolJsonBool(builder, "dry_run", dryRun);
    json_builder_set_member_name(builder, "reclaimed");
    json_builder_begin_array(builder);
    for (guint i = 0; i < leases->len; i++) {
        const virLockUse *use = g_ptr_array_index(leases, i);

        json_builder_begin_object(builder);
        virToolJsonString(builder, "lease", use->lease);
        json_builder_set_member_name(builder, "use");
        virToolJsonUse(builder, use);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    virToolJsonPrint(builder, stdout, TRUE);
}

int
virToolCmdStoreGc(virTool *tool)
{
    int days = -1;
    gboolean neverUsed = FALSE, dryRun = FALSE;
    const GOptionEntry entries[] = {
        {"unused-for", 0, 0, G_OPTION_ARG_INT, &days,
         "leases whose last use began so long ago", "DAYS"},
        {"never-used", 0, 0, G_OPTION_ARG_NONE, &neverUsed,
         "also leases that were only read under, or never", NULL},
        {"dry-run", 0, 0, G_OPTION_ARG_NONE, &dryRun, "only show them", NULL},
        {NULL},
    };
    virLockReclaimOptions options = {.structSize = sizeof(options)};
    g_autoptr(virLockManagerPlugin) plugin = NULL;
    g_autoptr(GPtrArray) leases = NULL;
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;

    if (!virToolParse(tool, entries, 0, 0))
        return tool->exitStatus;
    if (days < 0)
        return virToolUsage(tool, "'store gc' needs --unused-for DAYS");
    options.beforeUsec = g_get_real_time() - days * VIR_TOOL_DAY_USEC;
    options.flags = (neverUsed ? VIR_LOCK_RECLAIM_NEVER_USED : 0) |
                    (dryRun ? VIR_LOCK_RECLAIM_DRY_RUN : 0);
    plugin = virToolPluginWith(tool, VIR_LOCK_CAP_RECLAIM, "store gc");
    if (!plugin)
        return tool->exitStatus;
    wait = virToolWaitNew(tool, VIR_TOOL_STORE_GC_SEC, 0, NULL);
    leases =
        virLockManagerStoreReclaim(plugin, &options, virToolWaitGet(wait), &error);
    if (!leases)
        return virToolFail(tool, error);
    if (tool->json)
        virToolGcPrintJson(leases, dryRun);
    else
        virToolGcPrint(tool, leases, dryRun);
    return VIR_TOOL_EXIT_OK;
}
