/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_snapshot.c: leasehold snapshot create|list|show|revert|delete GUEST [NAME]
 */
#include "config.h"

#include "tools/tool.h"

#include <stdio.h>
#include <string.h>

#define VIR_TOOL_SNAPSHOT_INTERRUPTED                                                    \
    "interrupted; QEMU goes on with the snapshot, 'leasehold snapshot list' shows it"

/* --- create ---------------------------------------------------------------------------------- */

int
virToolCmdSnapshotCreate(virTool *tool)
{
    g_autofree char *description = NULL;
    const GOptionEntry entries[] = {
        {"description", 0, 0, G_OPTION_ARG_STRING, &description,
         "what it is for, in your words", "TEXT"},
        {NULL},
    };
    g_autoptr(virDomainLock) dom = NULL;
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *sentence = NULL;

    if (!virToolParse(tool, entries, 2, 2))
        return tool->exitStatus;
    dom = virToolGuest(tool, tool->args[0]);
    if (!dom)
        return tool->exitStatus;
    wait = virToolWaitNew(tool, 0, 0, VIR_TOOL_SNAPSHOT_INTERRUPTED);
    if (!virDomainLockSnapshotCreate(dom, tool->args[1], description, 0,
                                     virToolWaitGet(wait), &error))
        return virToolFail(tool, error);
    g_clear_pointer(&wait, virToolWaitFree);
    sentence = g_strdup_printf("has snapshot '%s'", tool->args[1]);
    return virToolReportGuest(tool, dom, sentence);
}

/* --- list, show ------------------------------------------------------------------------------ */

static void
virToolSnapshotJson(JsonBuilder *builder, const virDomainLockSnapshot *snapshot)
{
    json_builder_begin_object(builder);
    virToolJsonString(builder, "name", snapshot->name);
    virToolJsonTime(builder, "created", snapshot->createdUsec);
    virToolJsonString(builder, "state", virDomainLockStateName(snapshot->state));
    virToolJsonInt(builder, "memory_bytes", (gint64)snapshot->memoryBytes);
    virToolJsonBool(builder, "current", snapshot->current);
    virToolJsonBool(builder, "unfinished", snapshot->unfinished);
    virToolJsonString(builder, "problem", snapshot->problem);
    virToolJsonString(builder, "description", snapshot->description);
    virToolJsonString(builder, "parent", snapshot->parent);
    virToolJsonString(builder, "host", snapshot->hostName);
    json_builder_set_member_name(builder, "disks");
    json_builder_begin_array(builder);
    for (guint i = 0; i < snapshot->disks->len; i++) {
        const virDomainLockSnapshotDisk *disk = g_ptr_array_index(snapshot->disks, i);

        json_builder_begin_object(builder);
        virToolJsonString(builder, "target", disk->target);
        virToolJsonString(builder, "path", disk->path);
        virToolJsonString(builder, "lease", disk->lease);
        virToolJsonBool(builder, "included", disk->included);
        virToolJsonBool(builder, "present", disk->present);
        virToolJsonKnown(builder, "epoch", disk->epoch > 0 ? (gint64)disk->epoch : -1);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
}

static char *
virToolSnapshotMemory(const virDomainLockSnapshot *snapshot)
{
    return snapshot->memoryBytes
               ? g_format_size_full(snapshot->memoryBytes, G_FORMAT_SIZE_IEC_UNITS)
               : NULL;
}

static void
virToolSnapshotTable(const GPtrArray *list)
{
    g_autoptr(virToolTable) table = virToolTableNew("SNAPSHOT", "CREATED", "STATE",
                                                    ">MEMORY", "~PARENT", "?NOTE", NULL);

    for (guint i = 0; i < list->len; i++) {
        const virDomainLockSnapshot *snapshot = g_ptr_array_index(list, i);
        g_autofree char *created = virToolFormatTime(snapshot->createdUsec);
        g_autofree char *memory = virToolSnapshotMemory(snapshot);
        const char *note = snapshot->problem       ? snapshot->problem
                           : snapshot->unfinished  ? "a revert to it was not finished"
                           : snapshot->current     ? "current"
                           : snapshot->description ? snapshot->description
                                                   : NULL;

        virToolTableAdd(table, snapshot->name, created,
                        virDomainLockStateName(snapshot->state), memory, snapshot->parent,
                        note);
        if (snapshot->problem || snapshot->unfinished)
            virToolTableMark(table, 5, VIR_TOOL_COLOUR_RED);
    }
    virToolTablePrint(table);
}

static GPtrArray *
virToolSnapshots(virTool *tool)
{
    g_autoptr(virDomainLock) dom = virToolGuest(tool, tool->args[0]);
    g_autoptr(GError) error = NULL;
    GPtrArray *list = dom ? virDomainLockSnapshotList(dom, 0, &error) : NULL;

    if (dom && !list)
        tool->exitStatus = virToolFail(tool, error);
    return list;
}

int
virToolCmdSnapshotList(virTool *tool)
{
    g_autoptr(GPtrArray) list = NULL;
    g_autoptr(JsonBuilder) builder = NULL;

    if (!virToolParse(tool, NULL, 1, 1))
        return tool->exitStatus;
    list = virToolSnapshots(tool);
    if (!list)
        return tool->exitStatus;
    if (!tool->json) {
        virToolSnapshotTable(list);
        return VIR_TOOL_EXIT_OK;
    }
    builder = json_builder_new();
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "snapshots");
    json_builder_begin_array(builder);
    for (guint i = 0; i < list->len; i++)
        virToolSnapshotJson(builder, g_ptr_array_index(list, i));
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    virToolJsonPrint(builder, stdout, TRUE);
    return VIR_TOOL_EXIT_OK;
}

static void
virToolSnapshotPrint(const virDomainLockSnapshot *snapshot)
{
    g_autofree char *created = virToolFormatTime(snapshot->createdUsec);
    g_autofree char *memory = virToolSnapshotMemory(snapshot);
    g_autoptr(virToolTable) table =
        virToolTableNew("DISK", "SNAPSHOT", ">EPOCH", "~IMAGE", NULL);

    virToolField("Name:", snapshot->name);
    virToolField("Created:", created);
    virToolField("Host:", snapshot->hostName);
    virToolField("State:", virDomainLockStateName(snapshot->state));
    virToolField("Memory:", memory ? memory : "none: only its disks");
    virToolField("Parent:", snapshot->parent);
    virToolField("Current:", snapshot->current ? "yes" : "no");
    virToolField("About:", snapshot->description);
    virToolField("Problem:", snapshot->problem);
    virToolField("Revert:", snapshot->unfinished ? "begun, and not finished" : NULL);
    for (guint i = 0; i < snapshot->disks->len; i++) {
        const virDomainLockSnapshotDisk *disk = g_ptr_array_index(snapshot->disks, i);
        g_autofree char *epoch =
            disk->epoch ? g_strdup_printf("%" G_GUINT64_FORMAT, disk->epoch) : NULL;

        virToolTableAdd(table, disk->target,
                        !disk->included ? "only read"
                        : disk->present ? "yes"
                                        : "missing",
                        epoch, disk->path);
    }
    printf("\n");
    virToolTablePrint(table);
}

static const virDomainLockSnapshot *
virToolSnapshotNamed(virTool *tool, const GPtrArray *list)
{
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < list->len; i++) {
        const virDomainLockSnapshot *snapshot = g_ptr_array_index(list, i);

        if (strcmp(snapshot->name, tool->args[1]) == 0)
            return snapshot;
    }
    error = g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                        "guest '%s' has no snapshot '%s'; 'leasehold snapshot list %s' "
                        "shows those that it has",
                        tool->args[0], tool->args[1], tool->args[0]);
    tool->exitStatus = virToolFail(tool, error);
    return NULL;
}

static int
virToolSnapshotXml(virTool *tool, const virDomainLockSnapshot *snapshot)
{
    g_autoptr(GError) error = NULL;

    if (snapshot->xml) {
        fputs(snapshot->xml, stdout);
        return VIR_TOOL_EXIT_OK;
    }
    error = g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                        "nothing tells what snapshot '%s' of guest '%s' was of",
                        snapshot->name, tool->args[0]);
    return virToolFail(tool, error);
}

int
virToolCmdSnapshotShow(virTool *tool)
{
    gboolean asXml = FALSE;
    const GOptionEntry entries[] = {
        {"xml", 0, 0, G_OPTION_ARG_NONE, &asXml,
         "the guest as it was, for 'leasehold run'", NULL},
        {NULL},
    };
    g_autoptr(GPtrArray) list = NULL;
    const virDomainLockSnapshot *snapshot = NULL;

    if (!virToolParse(tool, entries, 2, 2))
        return tool->exitStatus;
    if (asXml && tool->json)
        return virToolUsage(tool, "--xml and --json are mutually exclusive");
    list = virToolSnapshots(tool);
    snapshot = list ? virToolSnapshotNamed(tool, list) : NULL;
    if (!snapshot)
        return tool->exitStatus;
    if (asXml)
        return virToolSnapshotXml(tool, snapshot);
    if (tool->json) {
        g_autoptr(JsonBuilder) builder = json_builder_new();

        virToolSnapshotJson(builder, snapshot);
        virToolJsonPrint(builder, stdout, TRUE);
    } else {
        virToolSnapshotPrint(snapshot);
    }
    return VIR_TOOL_EXIT_OK;
}

/* --- revert, delete ---------------------------------------------------------------------------- */

int
virToolCmdSnapshotRevert(virTool *tool)
{
    gboolean running = FALSE, paused = FALSE;
    const GOptionEntry entries[] = {
        {"running", 0, 0, G_OPTION_ARG_NONE, &running, "it runs afterwards", NULL},
        {"paused", 0, 0, G_OPTION_ARG_NONE, &paused, "it is paused afterwards", NULL},
        {NULL},
    };
    g_autoptr(virDomainLock) dom = NULL;
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *sentence = NULL;
    guint flags = 0;

    if (!virToolParse(tool, entries, 2, 2))
        return tool->exitStatus;
    if (running && paused)
        return virToolUsage(tool, "--running and --paused are mutually exclusive");
    dom = virToolGuest(tool, tool->args[0]);
    if (!dom)
        return tool->exitStatus;
    flags = (running ? VIR_DOMAIN_LOCK_REVERT_RUNNING : 0) |
            (paused ? VIR_DOMAIN_LOCK_REVERT_PAUSED : 0);
    wait = virToolWaitNew(tool, 0, 0, VIR_TOOL_SNAPSHOT_INTERRUPTED);
    if (!virDomainLockSnapshotRevert(dom, tool->args[1], flags, virToolWaitGet(wait),
                                     &error))
        return virToolFail(tool, error);
    g_clear_pointer(&wait, virToolWaitFree);
    sentence = g_strdup_printf("is back at snapshot '%s'", tool->args[1]);
    return virToolReportGuest(tool, dom, sentence);
}

int
virToolCmdSnapshotDelete(virTool *tool)
{
    g_autoptr(virDomainLock) dom = NULL;
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *sentence = NULL;

    if (!virToolParse(tool, NULL, 2, 2))
        return tool->exitStatus;
    dom = virToolGuest(tool, tool->args[0]);
    if (!dom)
        return tool->exitStatus;
    wait = virToolWaitNew(tool, 0, 0, VIR_TOOL_SNAPSHOT_INTERRUPTED);
    if (!virDomainLockSnapshotDelete(dom, tool->args[1], 0, virToolWaitGet(wait), &error))
        return virToolFail(tool, error);
    g_clear_pointer(&wait, virToolWaitFree);
    sentence = g_strdup_printf("does not have snapshot '%s' any more", tool->args[1]);
    return virToolReportGuest(tool, dom, sentence);
}
