/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tool_options.c: option parsing for all commands, and what they all begin with: the
 * configuration, the plugin, the guest.
 *
 * "--" is ours, not GOption's: what follows it is either a program's command line (run) or
 * positional arguments that may begin with a dash.
 */
#include "config.h"

#include "common/text.h"
#include "tools/tool.h"

#include <stdio.h>
#include <string.h>

#define VIR_TOOL_GLOBAL_OPTIONS(tool)                                                    \
    {"config",                                                                           \
     0,                                                                                  \
     0,                                                                                  \
     G_OPTION_ARG_FILENAME,                                                              \
     &(tool)->configPath,                                                                \
     "read FILE instead of the default configuration",                                   \
     "FILE"},                                                                            \
        {"json", 0, 0, G_OPTION_ARG_NONE, &(tool)->json, "report as JSON", NULL},        \
    {                                                                                    \
        "quiet", 'q', 0, G_OPTION_ARG_NONE, &(tool)->quiet, "no notes, no progress",     \
            NULL                                                                         \
    }

/* Cuts tool->args at the first "--" and returns a copy of what follows, or NULL. */
static GStrv
virToolCutTail(virTool *tool)
{
    for (guint i = 0; tool->args[i]; i++) {
        if (strcmp(tool->args[i], "--") == 0) {
            GStrv tail = g_strdupv(tool->args + i + 1);

            for (guint j = i; tool->args[j]; j++)
                g_clear_pointer(&tool->args[j], g_free);
            return tail;
        }
    }
    return NULL;
}

/* Replaces tool->args by @args from @first on, followed by @more. Takes @args. */
static void
virToolSetArgs(virTool *tool, GStrv args, guint first, const GStrv more)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    g_strv_builder_addv(builder, (const char **)args + first);
    if (more)
        g_strv_builder_addv(builder, (const char **)more);
    g_strfreev(tool->args);
    tool->args = g_strv_builder_end(builder);
    g_strfreev(args);
}

/* GOption wants a program name in front, as in main's argv. */
static GStrv
virToolArgvForGOption(const char *name, const GStrv args)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    g_strv_builder_add(builder, name);
    g_strv_builder_addv(builder, (const char **)args);
    return g_strv_builder_end(builder);
}

static gboolean
virToolParseContext(virTool *tool, GOptionContext *context, const char *name, GStrv *argv)
{
    g_autoptr(GError) error = NULL;

    *argv = virToolArgvForGOption(name, tool->args);
    if (g_option_context_parse_strv(context, argv, &error))
        return TRUE;
    tool->exitStatus = virToolUsage(tool, "%s", error->message);
    return FALSE;
}

gboolean
virToolParseGlobal(virTool *tool)
{
    gboolean help = FALSE, version = FALSE;
    const GOptionEntry entries[] = {
        VIR_TOOL_GLOBAL_OPTIONS(tool),
        {"help", 'h', 0, G_OPTION_ARG_NONE, &help, "show the commands", NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &version, "show the version", NULL},
        {NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("COMMAND");
    g_auto(GStrv) tail = virToolCutTail(tool);
    GStrv argv = NULL;

    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_set_strict_posix(context, TRUE);
    g_option_context_add_main_entries(context, entries, NULL);
    if (!virToolParseContext(tool, context, "leasehold", &argv)) {
        g_strfreev(argv);
        return FALSE;
    }
    if (help || version) {
        g_strfreev(argv);
        g_clear_pointer(&tool->args, g_strfreev);
        tool->args = g_new0(char *, 1);
        tool->exitStatus = help ? virToolCmdHelp(tool) : virToolCmdVersion(tool);
        return FALSE;
    }
    if (tail) {
        GStrv dashes = virToolArgvForGOption("--", tail);

        virToolSetArgs(tool, argv, 1, dashes);
        g_strfreev(dashes);
    } else {
        virToolSetArgs(tool, argv, 1, NULL);
    }
    return TRUE;
}

static void
virToolListOptions(GPtrArray *options, const GOptionEntry *entries)
{
    for (; entries && entries->long_name; entries++)
        g_ptr_array_add(options,
                        g_strdup_printf("--%s%s", entries->long_name,
                                        entries->arg == G_OPTION_ARG_NONE ? "" : "="));
}

static gboolean
virToolCheckCount(virTool *tool, guint min, guint max)
{
    guint n = g_strv_length(tool->args);

    if (n < min) {
        tool->exitStatus =
            virToolUsage(tool, "'%s' needs %s", tool->command->name, tool->command->args);
        return FALSE;
    }
    if (n > max) {
        g_autofree char *shown = virTextPrintable(tool->args[max]);

        tool->exitStatus =
            virToolUsage(tool, "'%s' does not take '%s'", tool->command->name, shown);
        return FALSE;
    }
    return TRUE;
}

static GOptionContext *
virToolCommandContext(virTool *tool, const GOptionEntry *entries,
                      const GOptionEntry *global)
{
    GOptionContext *context = g_option_context_new(tool->command->args);

    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_add_main_entries(context, entries ? entries : global, NULL);
    if (entries)
        g_option_context_add_main_entries(context, global, NULL);
    return context;
}

static void
virToolPrintHelp(virTool *tool, GOptionContext *context)
{
    g_autofree char *summary =
        g_strdup_printf("leasehold %s: %s.%s%s", tool->command->name,
                        tool->command->summary, tool->command->help ? "\n\n" : "",
                        tool->command->help ? tool->command->help : "");
    g_autofree char *name = g_strconcat("leasehold ", tool->command->name, NULL);
    g_autofree char *help = NULL;

    g_set_prgname(name);
    g_option_context_set_summary(context, summary);
    help = g_option_context_get_help(context, FALSE, NULL);
    g_set_prgname("leasehold");
    fputs(help, stdout);
}

gboolean
virToolParse(virTool *tool, const GOptionEntry *entries, guint min, guint max)
{
    gboolean help = FALSE;
    const GOptionEntry global[] = {
        VIR_TOOL_GLOBAL_OPTIONS(tool),
        {"help", 'h', 0, G_OPTION_ARG_NONE, &help, "show this help", NULL},
        {NULL},
    };
    g_autoptr(GOptionContext) context = virToolCommandContext(tool, entries, global);
    g_auto(GStrv) tail = NULL;
    GStrv argv = NULL;

    if (tool->options) {
        virToolListOptions(tool->options, entries);
        virToolListOptions(tool->options, global);
        return FALSE;
    }
    tail = virToolCutTail(tool);
    if (!virToolParseContext(tool, context, "leasehold", &argv)) {
        g_strfreev(argv);
        return FALSE;
    }
    if (help) {
        g_strfreev(argv);
        virToolPrintHelp(tool, context);
        return FALSE;
    }
    if (tool->command->flags & VIR_TOOL_COMMAND_TAIL) {
        tool->tail = g_steal_pointer(&tail);
    }
    virToolSetArgs(tool, argv, 1, tail);
    return virToolCheckCount(tool, min, max);
}

virLockConfig *
virToolConfig(virTool *tool)
{
    g_autoptr(GError) error = NULL;

    if (!tool->config) {
        tool->config = virLockConfigLoad(tool->configPath, &error);
        if (!tool->config)
            tool->exitStatus = virToolFail(tool, error);
    }
    return tool->config;
}

virLockManagerPlugin *
virToolPlugin(virTool *tool)
{
    g_autoptr(GError) error = NULL;
    virLockManagerPlugin *plugin;

    if (!virToolConfig(tool))
        return NULL;
    plugin = virLockManagerPluginLoad(tool->config, NULL, &error);
    if (!plugin)
        tool->exitStatus = virToolFail(tool, error);
    return plugin;
}

/* The first installed plugin that has @capability; NULL if there is none. */
static virLockManagerPlugin *
virToolFindPlugin(virTool *tool, virLockCapability capability)
{
    g_autoptr(GPtrArray) names = virLockManagerPluginList(NULL);

    for (guint i = 0; names && i < names->len; i++) {
        g_autoptr(virLockManagerPlugin) plugin =
            virLockManagerPluginLoad(tool->config, g_ptr_array_index(names, i), NULL);

        if (plugin && (virLockManagerPluginGetInfo(plugin)->capabilities & capability))
            return g_steal_pointer(&plugin);
    }
    return NULL;
}

virLockManagerPlugin *
virToolPluginWith(virTool *tool, virLockCapability capability, const char *what)
{
    g_autoptr(virLockManagerPlugin) plugin = virToolPlugin(tool);
    const virLockManagerPluginInfo *info =
        plugin ? virLockManagerPluginGetInfo(plugin) : NULL;
    virLockManagerPlugin *other;
    g_autoptr(GError) error = NULL;

    if (!info || (info->capabilities & capability))
        return g_steal_pointer(&plugin);
    /* "store create" is what one does first, perhaps before there is a configuration */
    if (!virLockConfigIsSet(tool->config, "lock", "plugin") &&
        (other = virToolFindPlugin(tool, capability)))
        return other;
    g_set_error(
        &error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
        "plugin '%s' has no %s; for several hosts set [lock] plugin = sanlock, see "
        "leasehold.conf(5)",
        info->name, what);
    tool->exitStatus = virToolFail(tool, error);
    return NULL;
}

char *
virToolAbsolutePath(const char *path)
{
    g_autofree char *cwd = NULL;

    if (g_path_is_absolute(path))
        return g_strdup(path);
    cwd = g_get_current_dir();
    return g_build_filename(cwd, path, NULL);
}

gboolean
virToolParseDisk(virTool *tool, const char *text, virDomainLockDisk *disk)
{
    const char *comma = strrchr(text, ',');
    g_autofree char *path = NULL;

    if (comma && strcmp(comma, ",readonly") == 0) {
        disk->flags = VIR_LOCK_MANAGER_RESOURCE_READONLY;
    } else if (comma && strcmp(comma, ",shared") == 0) {
        disk->flags = VIR_LOCK_MANAGER_RESOURCE_SHARED;
    } else if (comma && !g_file_test(text, G_FILE_TEST_EXISTS)) {
        tool->exitStatus = virToolUsage(
            tool, "--disk %s: no such file, and '%s' is not 'readonly' or 'shared'", text,
            comma + 1);
        return FALSE;
    }
    path = disk->flags ? g_strndup(text, (gsize)(comma - text)) : g_strdup(text);
    disk->path = virToolAbsolutePath(path);
    return TRUE;
}
