/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tool_main.c: the `leasehold` command: splits the command line and runs one subcommand.
 *
 *     leasehold [global options] COMMAND [options and global options] [-- PROGRAM ARGS]
 *
 * Nothing is initialised that the subcommand does not need: a refused `run` has 20 ms in all.
 */
#include "config.h"

#include "tools/tool.h"
#include "tools/tool_main.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

static int
virToolDispatch(virTool *tool)
{
    g_autofree char *problem = NULL;
    g_auto(GStrv) words = NULL;
    guint used = 0;

    if (!virToolParseGlobal(tool))
        return tool->exitStatus;
    tool->command = virToolFindCommand(tool->args, &used, &problem);
    if (!tool->command)
        return virToolUsage(tool, "%s", problem);
    words = g_steal_pointer(&tool->args);
    tool->args = g_strdupv(words + used);
    return tool->command->run(tool);
}

/* A report that could not be written is not a success. */
static int
virToolFlush(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "leasehold: cannot write the output: %s\n", g_strerror(errno));
    return status == VIR_TOOL_EXIT_OK ? VIR_TOOL_EXIT_FAILURE : status;
}

/* Known before anything is parsed, so that an error of parsing is JSON, too. */
static gboolean
virToolWantsJson(char *const *args)
{
    for (; *args && strcmp(*args, "--") != 0; args++) {
        if (strcmp(*args, "--json") == 0)
            return TRUE;
    }
    return FALSE;
}

int
virToolMain(int argc, char **argv, virDomainLockSpare *spare)
{
    virTool tool = {.spare = spare};
    int status;

    setlocale(LC_CTYPE, "");
    g_set_prgname("leasehold");
    tool.args = g_strdupv(argc > 0 ? argv + 1 : argv);
    tool.json = virToolWantsJson(tool.args);
    status = virToolFlush(virToolDispatch(&tool));
    virDomainLockSpareFree(tool.spare);
    g_clear_pointer(&tool.config, virLockConfigUnref);
    g_strfreev(tool.args);
    g_strfreev(tool.tail);
    g_free(tool.configPath);
    g_free(tool.notifySocket);
    return status;
}
