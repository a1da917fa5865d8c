/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_plugin.c: leasehold plugin list|show
 */
#include "config.h"

#include "tools/tool.h"

#include <stdio.h>
#include <string.h>

static GStrv
virToolCapabilityNames(guint64 capabilities)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    for (guint i = 0; i < 64; i++) {
        guint64 bit = capabilities & (G_GUINT64_CONSTANT(1) << i);
        const char *name = bit ? virLockManagerCapabilityName(bit) : NULL;

        if (name)
            g_strv_builder_add(builder, name);
    }
    return g_strv_builder_end(builder);
}

static void
virToolJsonPluginInfo(JsonBuilder *builder, const virLockManagerPluginInfo *info)
{
    g_auto(GStrv) names = virToolCapabilityNames(info->capabilities);

    virToolJsonString(builder, "path", info->path);
    virToolJsonString(builder, "version", info->version);
    virToolJsonString(builder, "summary", info->summary);
    virToolJsonInt(builder, "abi_version", info->abiVersion);
    virToolJsonString(builder, "thread_model", info->threadModel);
    json_builder_set_member_name(builder, "capabilities");
    json_builder_begin_array(builder);
    for (guint i = 0; names[i]; i++)
        json_builder_add_string_value(builder, names[i]);
    json_builder_end_array(builder);
}

/** One line of the list; a plugin that does not load is listed with the reason. */
typedef struct _virToolPluginRow {
    const char *name;
    gboolean inUse;
    virLockManagerPlugin *plugin;
    GError *error;
} virToolPluginRow;

static void
virToolPluginAddJson(JsonBuilder *builder, const virToolPluginRow *row)
{
    json_builder_begin_object(builder);
    virToolJsonString(builder, "name", row->name);
    virToolJsonBool(builder, "in_use", row->inUse);
    virToolJsonString(builder, "problem", row->error ? row->error->message : NULL);
    if (row->plugin)
        virToolJsonPluginInfo(builder, virLockManagerPluginGetInfo(row->plugin));
    json_builder_end_object(builder);
}

static void
virToolPluginAddRow(virToolTable *table, const virToolPluginRow *row)
{
    const virLockManagerPluginInfo *info =
        row->plugin ? virLockManagerPluginGetInfo(row->plugin) : NULL;

    virToolTableAdd(table, row->name, row->inUse ? "yes" : "no",
                    info ? info->version : NULL,
                    info ? info->summary : row->error->message);
    if (row->error)
        virToolTableMark(table, 3, VIR_TOOL_COLOUR_YELLOW);
}

static void
virToolPluginListPrint(virTool *tool, const GPtrArray *names)
{
    g_autoptr(virToolTable) table =
        virToolTableNew("NAME", "IN USE", "VERSION", "~SUMMARY", NULL);
    g_autoptr(JsonBuilder) builder = json_builder_new();
    const char *used = virLockConfigGet(tool->config, "lock", "plugin");

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "plugins");
    json_builder_begin_array(builder);
    for (guint i = 0; i < names->len; i++) {
        g_autoptr(virLockManagerPlugin) plugin = NULL;
        g_autoptr(GError) error = NULL;
        virToolPluginRow row = {.name = g_ptr_array_index(names, i)};

        row.inUse = g_strcmp0(row.name, used) == 0;
        row.plugin = plugin = virLockManagerPluginLoad(tool->config, row.name, &error);
        row.error = error;
        virToolPluginAddJson(builder, &row);
        virToolPluginAddRow(table, &row);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    if (tool->json)
        virToolJsonPrint(builder, stdout, TRUE);
    else
        virToolTablePrint(table);
}

int
virToolCmdPluginList(virTool *tool)
{
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GError) error = NULL;

    if (!virToolParse(tool, NULL, 0, 0))
        return tool->exitStatus;
    if (!virToolConfig(tool))
        return tool->exitStatus;
    names = virLockManagerPluginList(&error);
    if (!names)
        return virToolFail(tool, error);
    virToolPluginListPrint(tool, names);
    return VIR_TOOL_EXIT_OK;
}

static void
virToolPluginShowPrint(virTool *tool, virLockManagerPlugin *plugin)
{
    const virLockManagerPluginInfo *info = virLockManagerPluginGetInfo(plugin);
    const virLockManagerPluginKey *key = virLockManagerPluginGetKeys(plugin);
    g_auto(GStrv) names = virToolCapabilityNames(info->capabilities);
    g_autofree char *capabilities = g_strjoinv(", ", names);
    g_autofree char *abi = g_strdup_printf("%u", info->abiVersion);
    g_autoptr(virToolTable) table =
        virToolTableNew("KEY", "VALUE", "DEFAULT", "~MEANING", NULL);

    virToolField("Name:", info->name);
    virToolField("Summary:", info->summary);
    virToolField("Version:", info->version);
    virToolField("File:", info->path);
    virToolField("ABI:", abi);
    virToolField("Threads:", info->threadModel);
    virToolField("Capabilities:", *capabilities ? capabilities : "none");
    if (!key || !key->name)
        return;
    printf("\nKeys of [%s]:\n", info->name);
    for (; key->name; key++)
        virToolTableAdd(table, key->name,
                        virLockConfigGet(tool->config, info->name, key->name),
                        key->defaultValue, key->help);
    virToolTablePrint(table);
}

static void
virToolPluginShowPrintJson(virTool *tool, virLockManagerPlugin *plugin)
{
    const virLockManagerPluginInfo *info = virLockManagerPluginGetInfo(plugin);
    const virLockManagerPluginKey *key = virLockManagerPluginGetKeys(plugin);
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    virToolJsonString(builder, "name", info->name);
    virToolJsonPluginInfo(builder, info);
    json_builder_set_member_name(builder, "keys");
    json_builder_begin_array(builder);
    for (; key && key->name; key++) {
        json_builder_begin_object(builder);
        virToolJsonString(builder, "key", key->name);
        virToolJsonString(builder, "value",
                          virLockConfigGet(tool->config, info->name, key->name));
        virToolJsonString(builder, "default", key->defaultValue);
        virToolJsonString(builder, "help", key->help);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    virToolJsonPrint(builder, stdout, TRUE);
}

int
virToolCmdPluginShow(virTool *tool)
{
    g_autoptr(virLockManagerPlugin) plugin = NULL;
    g_autoptr(GError) error = NULL;

    if (!virToolParse(tool, NULL, 1, 1))
        return tool->exitStatus;
    if (!virToolConfig(tool))
        return tool->exitStatus;
    plugin = virLockManagerPluginLoad(tool->config, tool->args[0], &error);
    if (!plugin)
        return virToolFail(tool, error);
    if (tool->json)
        virToolPluginShowPrintJson(tool, plugin);
    else
        virToolPluginShowPrint(tool, plugin);
    return VIR_TOOL_EXIT_OK;
}
