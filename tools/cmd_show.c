/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_show.c: leasehold show GUEST [--xml]
 */
#include "config.h"

#include "tools/tool.h"

#include <stdio.h>

static void
virToolShowTimes(const virDomainLockInfo *info)
{
    g_autofree char *started = virToolFormatTime(info->startedUsec);
    g_autofree char *ended = virToolFormatTime(info->endedUsec);
    gint64 left = (info->deadlineUsec - g_get_real_time()) / G_USEC_PER_SEC;
    g_autofree char *span = virToolFormatSpan(MAX(left, 0));
    g_autofree char *deadline = g_strdup_printf("forced off in %s", span);
    gint64 sleep = (info->wakeupUsec - g_get_real_time()) / G_USEC_PER_SEC;
    g_autofree char *sleepSpan = virToolFormatSpan(MAX(sleep, 0));
    g_autofree char *wakeup = g_strdup_printf("in %s", sleepSpan);

    virToolField("Started:", info->startedUsec ? started : NULL);
    virToolField("Ended:", info->endedUsec ? ended : NULL);
    virToolField("Deadline:", info->deadlineUsec ? deadline : NULL);
    virToolField("Woken:", info->wakeupUsec ? wakeup : NULL);
}

/* What QEMU used, which nobody knows of one whose end nobody saw. */
static void
virToolShowUsage(const virDomainLockInfo *info)
{
    g_autofree char *memory =
        g_format_size_full((guint64)info->maxRssBytes, G_FORMAT_SIZE_IEC_UNITS);
    g_autofree char *text =
        g_strdup_printf("%.2f s processor time (%.2f s user, %.2f s system), %s memory",
                        (double)(info->userUsec + info->systemUsec) / G_USEC_PER_SEC,
                        (double)info->userUsec / G_USEC_PER_SEC,
                        (double)info->systemUsec / G_USEC_PER_SEC, memory);

    virToolField("Used:", info->maxRssBytes > 0 ? text : NULL);
}

static void
virToolShowProcesses(const virDomainLockInfo *info)
{
    g_autofree char *qemu = g_strdup_printf("pid %" G_GINT64_FORMAT, info->pid);
    g_autofree char *supervisor =
        g_strdup_printf("pid %" G_GINT64_FORMAT, info->supervisorPid);
    g_autofree char *exitText = virToolExitText(info->waitStatus);

    if (info->endedUsec != 0) {
        virToolField("QEMU:", exitText ? exitText : "nobody saw how it ended");
        virToolShowUsage(info);
        return;
    }
    virToolField("QEMU:", info->pid > 0 ? qemu : "not running");
    virToolField("Supervisor:", info->supervisorPid > 0 ? supervisor : "gone");
}

static void
virToolShowLeases(const GPtrArray *leases)
{
    g_autoptr(virToolTable) table =
        virToolTableNew("LEASE", "MODE", ">EPOCH", "~FOR", NULL);

    for (guint i = 0; i < leases->len; i++) {
        const virLockLease *lease = g_ptr_array_index(leases, i);
        g_autofree char *epoch =
            lease->epoch ? g_strdup_printf("%" G_GUINT64_FORMAT, lease->epoch) : NULL;
        const char *mode = lease->hold == VIR_LOCK_HOLD_BRIDGE ? "reserved"
                           : lease->hold == VIR_LOCK_HOLD_NONE
                               ? "not held"
                               : virToolModeName(lease->mode);

        virToolTableAdd(table, lease->name, mode, epoch,
                        lease->type == VIR_LOCK_RESOURCE_RUN ? "the right to run"
                                                             : lease->path);
    }
    printf("\nLeases:\n");
    virToolTablePrint(table);
}

static void
virToolShowPrint(const virDomainLockInfo *info, const char *saved)
{
    g_autofree char *savedText =
        saved ? g_strdup_printf("%s; its next 'run' goes on from it", saved) : NULL;
    g_autofree char *state = virToolGuestState(info);
    g_autofree char *job = virToolJobText(info);
    g_autofree char *plugin =
        info->hostName ? g_strdup_printf("%s, host '%s'", info->plugin, info->hostName)
                       : g_strdup(info->plugin);
    g_auto(GStrv) notes = g_strsplit(info->notes ? info->notes : "", "\n", -1);

    virToolField("Name:", info->name);
    virToolField("UUID:", info->uuid);
    virToolField("State:", state);
    virToolField("Job:", job);
    virToolField("Message:", info->message);
    for (gsize i = 0; notes[i]; i++)
        virToolField("Note:", *notes[i] ? notes[i] : NULL);
    virToolShowTimes(info);
    virToolField("Saved:", savedText);
    virToolShowProcesses(info);
    virToolField("Plugin:", plugin);
    virToolField("On loss:", info->onLockfailure);
    virToolField("Log:", info->logPath);
    if (info->leases && info->leases->len > 0)
        virToolShowLeases(info->leases);
}

static int
virToolShowXml(virTool *tool, virDomainLock *dom)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = virDomainLockGetXMLDesc(dom, 0, &error);

    if (!xml)
        return virToolFail(tool, error);
    fputs(xml, stdout);
    return VIR_TOOL_EXIT_OK;
}

int
virToolCmdShow(virTool *tool)
{
    gboolean asXml = FALSE;
    const GOptionEntry entries[] = {
        {"xml", 0, 0, G_OPTION_ARG_NONE, &asXml,
         "its description as it is now, for 'leasehold run'", NULL},
        {NULL},
    };
    g_autoptr(virDomainLock) dom = NULL;
    g_autoptr(virDomainLockInfo) info = NULL;
    g_autofree char *saved = NULL;
    g_autoptr(GError) error = NULL;

    if (!virToolParse(tool, entries, 1, 1))
        return tool->exitStatus;
    if (asXml && tool->json)
        return virToolUsage(tool, "--xml and --json are mutually exclusive");
    dom = virToolGuest(tool, tool->args[0]);
    if (!dom)
        return tool->exitStatus;
    if (asXml)
        return virToolShowXml(tool, dom);
    info = virDomainLockGetInfo(dom, &error);
    if (!info)
        return virToolFail(tool, error);
    if (tool->json) {
        g_autoptr(JsonBuilder) builder = json_builder_new();

        virToolJsonGuest(tool, builder, info);
        virToolJsonPrint(builder, stdout, TRUE);
    } else {
        saved = virDomainLockGetManagedSave(tool->config, info->uuid);
        virToolShowPrint(info, saved);
    }
    return VIR_TOOL_EXIT_OK;
}
