/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_migrate.c: leasehold migrate GUEST HOST | GUEST --cancel
 *                leasehold migrate-in, the other end
 */
#include "config.h"

#include "tools/tool.h"

#include <signal.h>
#include <unistd.h>

#define VIR_TOOL_MIB (1024 * 1024)
#define VIR_TOOL_CONNECTIONS_MAX 255

/** The options of migrate. */
typedef struct _virToolMigrateOptions {
    char *rsh;
    int timeoutSec;
    int bandwidthMib;
    int downtimeMsec;
    int connections;
    gboolean autoConverge;
    gboolean compressed;
    gboolean postcopy;
    gboolean cancel;
} virToolMigrateOptions;

static gboolean
virToolMigrateCheck(virTool *tool, const virToolMigrateOptions *options)
{
    gboolean any = options->rsh || options->timeoutSec || options->bandwidthMib ||
                   options->downtimeMsec || options->connections ||
                   options->autoConverge || options->compressed || options->postcopy ||
                   tool->args[1];

    if (options->cancel && any)
        tool->exitStatus =
            virToolUsage(tool, "--cancel goes with nothing else but the guest");
    else if (options->postcopy && (options->compressed || options->connections))
        tool->exitStatus = virToolUsage(
            tool, "--postcopy does not go with --compressed or --connections");
    else if (!options->cancel && !tool->args[1])
        tool->exitStatus = virToolUsage(tool, "a HOST is needed, or --cancel");
    else if (options->timeoutSec < 0 || options->bandwidthMib < 0 ||
             options->downtimeMsec < 0 || options->connections < 0 ||
             options->connections > VIR_TOOL_CONNECTIONS_MAX)
        tool->exitStatus = virToolUsage(
            tool, "--timeout, --bandwidth and --downtime need a positive number, "
                  "--connections one up to 255");
    else
        return TRUE;
    return FALSE;
}

static int
virToolMigrateCancel(virTool *tool, virDomainLock *dom)
{
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;

    wait =
        virToolWaitNew(tool, 0, 0, "interrupted; the migration is still asked to end");
    if (!virDomainLockJobCancel(dom, &error))
        return virToolFail(tool, error);
    g_clear_pointer(&wait, virToolWaitFree);
    return virToolReportGuest(tool, dom, "stays here");
}

static int
virToolMigrateRun(virTool *tool, virDomainLock *dom, const virToolMigrateOptions *options)
{
    virDomainLockMigrateOptions how = {
        .structSize = sizeof(how),
        .timeoutSec = (guint)options->timeoutSec,
        .bandwidth = (guint64)options->bandwidthMib * VIR_TOOL_MIB,
        .downtimeMsec = (guint)options->downtimeMsec,
        .connections = (guint)options->connections,
        .flags = (options->autoConverge ? VIR_DOMAIN_LOCK_MIGRATE_AUTO_CONVERGE : 0) |
                 (options->compressed ? VIR_DOMAIN_LOCK_MIGRATE_COMPRESSED : 0) |
                 (options->postcopy ? VIR_DOMAIN_LOCK_MIGRATE_POSTCOPY : 0),
    };
    g_auto(GStrv) rsh = NULL;
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *sentence = NULL;

    if (options->rsh && !g_shell_parse_argv(options->rsh, NULL, &rsh, &error))
        return virToolUsage(tool, "--rsh: %s", error->message);
    how.rsh = (const char *const *)rsh;
    wait = virToolWaitNew(tool, 0, 0, NULL);
    if (!virDomainLockMigrate(dom, tool->args[1], &how, virToolWaitGet(wait), &error))
        return virToolFail(tool, error);
    g_clear_pointer(&wait, virToolWaitFree);
    sentence = g_strdup_printf("went to host '%s'", tool->args[1]);
    return virToolReportGuest(tool, dom, sentence);
}

int
virToolCmdMigrate(virTool *tool)
{
    virToolMigrateOptions options = {0};
    const GOptionEntry entries[] = {
        {"rsh", 0, 0, G_OPTION_ARG_STRING, &options.rsh,
         "remote shell (default: [migrate] rsh, ssh)", "CMD"},
        {"timeout", 0, 0, G_OPTION_ARG_INT, &options.timeoutSec,
         "keep the guest here if it takes longer", "SEC"},
        {"bandwidth", 0, 0, G_OPTION_ARG_INT, &options.bandwidthMib,
         "at most this many MiB a second", "MIB"},
        {"downtime", 0, 0, G_OPTION_ARG_INT, &options.downtimeMsec,
         "how long the guest may stand still (default: 300)", "MSEC"},
        {"auto-converge", 0, 0, G_OPTION_ARG_NONE, &options.autoConverge,
         "slow the guest down if its memory changes faster than it is sent", NULL},
        {"compressed", 0, 0, G_OPTION_ARG_NONE, &options.compressed,
         "compress its memory on the way", NULL},
        {"postcopy", 0, 0, G_OPTION_ARG_NONE, &options.postcopy,
         "switch after one pass; the rest of its memory follows", NULL},
        {"connections", 0, 0, G_OPTION_ARG_INT, &options.connections,
         "parallel connections for its memory", "N"},
        {"cancel", 0, 0, G_OPTION_ARG_NONE, &options.cancel,
         "keep a guest here that is on its way", NULL},
        {NULL},
    };
    g_autoptr(virDomainLock) dom = NULL;
    int status;

    if (!virToolParse(tool, entries, 1, 2) || !virToolMigrateCheck(tool, &options)) {
        g_free(options.rsh);
        return tool->exitStatus;
    }
    dom = virToolGuest(tool, tool->args[0]);
    if (!dom)
        status = tool->exitStatus;
    else if (options.cancel)
        status = virToolMigrateCancel(tool, dom);
    else
        status = virToolMigrateRun(tool, dom, &options);
    g_free(options.rsh);
    return status;
}

/* Standard output is the channel: nothing may be printed there. */
int
virToolCmdMigrateIn(virTool *tool)
{
    g_autoptr(virDomainLock) dom = NULL;
    g_autoptr(GError) error = NULL;
    virLockConfig *config;
    gboolean told = FALSE;

    if (!virToolParse(tool, NULL, 0, 0))
        return tool->exitStatus;
    if (isatty(STDIN_FILENO))
        return virToolUsage(tool, "this is started by 'leasehold migrate' on the host "
                                  "that the guest comes from");
    config = virToolConfig(tool);
    if (!config)
        return tool->exitStatus;
    (void)signal(SIGPIPE, SIG_IGN);
    dom = virDomainLockMigrateIn(config, STDIN_FILENO, STDOUT_FILENO, &told, &error);
    if (dom)
        return VIR_TOOL_EXIT_OK;
    /* what it prints ends on the terminal of the source, which has said it already */
    return told ? virToolErrorStatus(error) : virToolFail(tool, error);
}
