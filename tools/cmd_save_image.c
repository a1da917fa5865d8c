/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_save_image.c: leasehold save-image show FILE, save-image define FILE [DOMAIN.xml]
 */
#include "config.h"

#include "tools/tool.h"

#include <stdio.h>

static void
virToolSaveImageLeases(JsonBuilder *builder, const GPtrArray *leases)
{
    json_builder_set_member_name(builder, "leases");
    json_builder_begin_array(builder);
    for (guint i = 0; i < leases->len; i++) {
        const virLockLease *lease = g_ptr_array_index(leases, i);

        json_builder_begin_object(builder);
        virToolJsonString(builder, "name", lease->name);
        virToolJsonString(builder, "path", lease->path);
        virToolJsonString(builder, "mode", virToolModeName(lease->mode));
        virToolJsonInt(builder, "epoch", (gint64)lease->epoch);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

static void
virToolSaveImageJson(const virDomainLockSaveInfo *info)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    virToolJsonString(builder, "name", info->name);
    virToolJsonString(builder, "uuid", info->uuid);
    virToolJsonString(builder, "state", info->paused ? "paused" : "running");
    virToolJsonTime(builder, "saved", info->savedUsec);
    virToolJsonString(builder, "host", info->hostName);
    virToolJsonString(builder, "plugin", info->plugin);
    virToolJsonString(builder, "qemu", info->qemuVersion);
    virToolJsonInt(builder, "memory_bytes", info->memoryBytes);
    virToolJsonString(builder, "xml", info->xml);
    json_builder_set_member_name(builder, "argv");
    json_builder_begin_array(builder);
    for (guint i = 0; info->argv && info->argv[i]; i++)
        json_builder_add_string_value(builder, info->argv[i]);
    json_builder_end_array(builder);
    virToolSaveImageLeases(builder, info->leases);
    json_builder_end_object(builder);
    virToolJsonPrint(builder, stdout, TRUE);
}

static void
virToolSaveImageText(const virDomainLockSaveInfo *info)
{
    g_autofree char *saved = virToolFormatTime(info->savedUsec);
    g_autofree char *size =
        g_format_size_full((guint64)info->memoryBytes, G_FORMAT_SIZE_IEC_UNITS);
    g_autofree char *command = info->argv ? g_strjoinv(" ", info->argv) : NULL;
    g_autoptr(virToolTable) leases = virToolTableNew("~LEASE OF", "MODE", ">EPOCH", NULL);

    virToolField("Guest", info->name);
    virToolField("UUID", info->uuid);
    virToolField("Restored", info->paused ? "paused" : "running");
    virToolField("Saved", saved);
    virToolField("Host", info->hostName);
    virToolField("Plugin", info->plugin);
    virToolField("QEMU", info->qemuVersion);
    virToolField("Memory", size);
    virToolField("Command", command);
    printf("\n");
    for (guint i = 0; i < info->leases->len; i++) {
        const virLockLease *lease = g_ptr_array_index(info->leases, i);
        g_autofree char *epoch = g_strdup_printf("%" G_GUINT64_FORMAT, lease->epoch);

        virToolTableAdd(leases, lease->path ? lease->path : lease->name,
                        virToolModeName(lease->mode), epoch, NULL);
    }
    virToolTablePrint(leases);
}

static int
virToolSaveImageXml(virTool *tool, const virDomainLockSaveInfo *info)
{
    g_autoptr(GError) error = NULL;

    if (info->xml) {
        printf("%s", info->xml);
        return VIR_TOOL_EXIT_OK;
    }
    g_set_error(&error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                "guest '%s' has a command line, and no description", info->name);
    return virToolFail(tool, error);
}

int
virToolCmdSaveImageShow(virTool *tool)
{
    gboolean xml = FALSE;
    const GOptionEntry entries[] = {
        {"xml", 0, 0, G_OPTION_ARG_NONE, &xml, "only the description of the guest", NULL},
        {NULL},
    };
    g_autoptr(virDomainLockSaveInfo) info = NULL;
    g_autoptr(GError) error = NULL;

    if (!virToolParse(tool, entries, 1, 1))
        return tool->exitStatus;
    info = virDomainLockSaveGetInfo(tool->args[0], &error);
    if (!info)
        return virToolFail(tool, error);
    if (xml)
        return virToolSaveImageXml(tool, info);
    if (tool->json)
        virToolSaveImageJson(info);
    else
        virToolSaveImageText(info);
    return VIR_TOOL_EXIT_OK;
}

int
virToolCmdSaveImageDefine(virTool *tool)
{
    gboolean running = FALSE;
    gboolean paused = FALSE;
    const GOptionEntry entries[] = {
        {"running", 0, 0, G_OPTION_ARG_NONE, &running, "restore it running", NULL},
        {"paused", 0, 0, G_OPTION_ARG_NONE, &paused, "restore it paused", NULL},
        {NULL},
    };
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = NULL;
    guint flags;

    if (!virToolParse(tool, entries, 1, 2))
        return tool->exitStatus;
    if (running && paused)
        return virToolUsage(tool, "--running and --paused are mutually exclusive");
    if (!tool->args[1] && !running && !paused)
        return virToolUsage(tool, "a DOMAIN.xml is needed, or --running, or --paused");
    if (tool->args[1] && !(xml = virToolReadXml(tool->args[1], &error)))
        return virToolFail(tool, error);
    flags = (running ? VIR_DOMAIN_LOCK_SAVE_RUNNING : 0) |
            (paused ? VIR_DOMAIN_LOCK_SAVE_PAUSED : 0);
    if (!virDomainLockSaveDefineXML(tool->args[0], xml, flags, &error))
        return virToolFail(tool, error);
    virToolSay(tool, "%s is restored as you said", tool->args[0]);
    return VIR_TOOL_EXIT_OK;
}
