/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_lease.c: leasehold attach-lease GUEST FILE.xml | --key KEY [...]
 *              leasehold detach-lease GUEST KEY
 */
#include "config.h"

#include "tools/tool.h"

/** The options of attach-lease. */
typedef struct _virToolLeaseOptions {
    char *lockspace;
    char *key;
    char *path;
    char *offset;
    gboolean noWait;
} virToolLeaseOptions;

static void
virToolLeaseOptionsClear(virToolLeaseOptions *options)
{
    g_free(options->lockspace);
    g_free(options->key);
    g_free(options->path);
    g_free(options->offset);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(virToolLeaseOptions, virToolLeaseOptionsClear)

static gboolean
virToolLeaseCheck(virTool *tool, const virToolLeaseOptions *options)
{
    gboolean any = options->lockspace || options->key || options->path || options->offset;

    if (tool->args[1] && any)
        tool->exitStatus = virToolUsage(
            tool, "a FILE.xml and options of the lease are mutually exclusive");
    else if (!tool->args[1] && !options->key)
        tool->exitStatus = virToolUsage(tool, "a FILE.xml is needed, or --key KEY");
    else if (options->offset && !options->path)
        tool->exitStatus = virToolUsage(tool, "--offset needs --path");
    else
        return TRUE;
    return FALSE;
}

/* The same description that a FILE.xml would have. */
static char *
virToolLeaseXml(const virToolLeaseOptions *options)
{
    GString *xml = g_string_new("<lease>");
    g_autofree char *key = g_markup_escape_text(options->key, -1);

    if (options->lockspace) {
        g_autofree char *lockspace = g_markup_escape_text(options->lockspace, -1);

        g_string_append_printf(xml, "<lockspace>%s</lockspace>", lockspace);
    }
    g_string_append_printf(xml, "<key>%s</key>", key);
    if (options->path) {
        g_autofree char *path = virToolAbsolutePath(options->path);
        g_autofree char *target =
            g_markup_printf_escaped("<target path='%s' offset='%s'/>", path,
                                    options->offset ? options->offset : "0");

        g_string_append(xml, target);
    }
    g_string_append(xml, "</lease>");
    return g_string_free(xml, FALSE);
}

int
virToolCmdAttachLease(virTool *tool)
{
    g_auto(virToolLeaseOptions) options = {0};
    const GOptionEntry entries[] = {
        {"key", 0, 0, G_OPTION_ARG_FILENAME, &options.key, "the key of the lease", "KEY"},
        {"lockspace", 0, 0, G_OPTION_ARG_FILENAME, &options.lockspace,
         "its lockspace (default: the configured one)", "NAME"},
        {"path", 0, 0, G_OPTION_ARG_FILENAME, &options.path,
         "where it is stored, for plugins that want to know", "PATH"},
        {"offset", 0, 0, G_OPTION_ARG_FILENAME, &options.offset,
         "and at which offset (default: 0)", "BYTES"},
        {"no-wait", 0, 0, G_OPTION_ARG_NONE, &options.noWait,
         "fail at once while another job of the guest is under way", NULL},
        {NULL},
    };
    g_autoptr(virDomainLock) dom = NULL;
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = NULL;

    if (!virToolParse(tool, entries, 1, 2) || !virToolLeaseCheck(tool, &options))
        return tool->exitStatus;
    xml =
        tool->args[1] ? virToolReadXml(tool->args[1], &error) : virToolLeaseXml(&options);
    if (!xml)
        return virToolFail(tool, error);
    dom = virToolGuest(tool, tool->args[0]);
    if (!dom)
        return tool->exitStatus;
    virToolNoteJob(tool, dom, options.noWait);
    wait = virToolWaitNew(tool, 0, 0,
                          "interrupted; the lease may still be taken ('leasehold show')");
    if (!virDomainLockAttachLease(
            dom, xml, options.noWait ? VIR_DOMAIN_LOCK_DEVICE_NO_WAIT : 0, &error))
        return virToolFail(tool, error);
    g_clear_pointer(&wait, virToolWaitFree);
    return virToolReportGuest(tool, dom, "has the lease");
}

int
virToolCmdDetachLease(virTool *tool)
{
    g_autofree char *lockspace = NULL;
    gboolean noWait = FALSE;
    const GOptionEntry entries[] = {
        {"lockspace", 0, 0, G_OPTION_ARG_FILENAME, &lockspace,
         "when the guest has leases of this key in several", "NAME"},
        {"no-wait", 0, 0, G_OPTION_ARG_NONE, &noWait,
         "fail at once while another job of the guest is under way", NULL},
        {NULL},
    };
    g_autoptr(virDomainLock) dom = NULL;
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;

    if (!virToolParse(tool, entries, 2, 2))
        return tool->exitStatus;
    dom = virToolGuest(tool, tool->args[0]);
    if (!dom)
        return tool->exitStatus;
    virToolNoteJob(tool, dom, noWait);
    wait = virToolWaitNew(
        tool, 0, 0, "interrupted; the lease may still be given up ('leasehold show')");
    if (!virDomainLockDetachLease(dom, lockspace, tool->args[1],
                                  noWait ? VIR_DOMAIN_LOCK_DEVICE_NO_WAIT : 0, &error))
        return virToolFail(tool, error);
    g_clear_pointer(&wait, virToolWaitFree);
    return virToolReportGuest(tool, dom, "has given the lease up");
}
