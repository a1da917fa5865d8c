/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_help.c: leasehold help, version
 */
#include "config.h"

#include "tools/tool.h"

#include <stdio.h>

/* "help COMMAND" is "COMMAND --help". */
static int
virToolHelpCommand(virTool *tool)
{
    g_autofree char *problem = NULL;
    guint used = 0;
    const virToolCommand *command = virToolFindCommand(tool->args, &used, &problem);

    if (!command)
        return virToolUsage(tool, "%s", problem);
    tool->command = command;
    g_strfreev(tool->args);
    tool->args = g_new0(char *, 2);
    tool->args[0] = g_strdup("--help");
    return command->run(tool);
}

int
virToolCmdHelp(virTool *tool)
{
    if (tool->command && !virToolParse(tool, NULL, 0, 2))
        return tool->exitStatus;
    if (tool->args[0])
        return virToolHelpCommand(tool);
    virToolPrintCommands();
    return VIR_TOOL_EXIT_OK;
}

int
virToolCmdVersion(virTool *tool)
{
    if (tool->command && !virToolParse(tool, NULL, 0, 0))
        return tool->exitStatus;
    if (tool->json) {
        g_autoptr(JsonBuilder) builder = json_builder_new();

        json_builder_begin_object(builder);
        virToolJsonString(builder, "version", PACKAGE_VERSION);
        json_builder_end_object(builder);
        virToolJsonPrint(builder, stdout, TRUE);
    } else {
        printf("leasehold %s\n", PACKAGE_VERSION);
    }
    return VIR_TOOL_EXIT_OK;
}
