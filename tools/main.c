/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * main.c: the `leasehold` command: splits the command line and runs one subcommand.
 *
 *     leasehold [global options] COMMAND [options and global options] [-- PROGRAM ARGS]
 *
 * Nothing is initialised that the subcommand does not need: a refused `run` has 20 ms in all.
 */
#include "config.h"

#include "tools/tool.h"

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

/* A supervisor takes longest to be loaded of all that a start does here before it looks at
 * storage, so it is begun before anything else. Whether that is any use is seen later: if not,
 * or if the command turns out to be wrong, it ends with us. What is wrong with it the start
 * will say, which tries again. */
static virDomainLockSpare *
virToolSpare(char *const *args)
{
    return args[0] && strcmp(args[0], "run") == 0 ? virDomainLockSpareNew(NULL) : NULL;
}

int
main(int argc, char **argv)
{
    virTool tool = {0};
    int status;

    setlocale(LC_CTYPE, "");
    g_set_prgname("leasehold");
    tool.args = g_strdupv(argc > 0 ? argv + 1 : argv);
    tool.spare = virToolSpare(tool.args);
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
