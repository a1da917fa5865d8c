/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_identify.c: leasehold identify PATH
 */
#include "config.h"

#include "tools/tool.h"

#include <stdio.h>

int
virToolCmdIdentify(virTool *tool)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    g_autofree char *lease = NULL;
    g_autofree char *why = NULL;

    if (!virToolParse(tool, NULL, 1, 1))
        return tool->exitStatus;
    if (!virToolConfig(tool))
        return tool->exitStatus;
    path = virToolAbsolutePath(tool->args[0]);
    lease = virLockManagerResourceName(tool->config, VIR_LOCK_RESOURCE_DISK, path, &why,
                                       &error);
    if (!lease)
        return virToolFail(tool, error);
    if (tool->json) {
        g_autoptr(JsonBuilder) builder = json_builder_new();

        json_builder_begin_object(builder);
        virToolJsonString(builder, "path", path);
        virToolJsonString(builder, "lease", lease);
        virToolJsonString(builder, "identity", why);
        json_builder_end_object(builder);
        virToolJsonPrint(builder, stdout, TRUE);
    } else {
        virToolField("Path:", path);
        virToolField("Lease:", lease);
        virToolField("Identity:", why);
    }
    return VIR_TOOL_EXIT_OK;
}
