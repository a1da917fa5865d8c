/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tool_guest.c: what the commands that take a GUEST share: finding it, acting on it, and the
 * guest in words and in JSON.
 */
#include "config.h"

#include "tools/tool.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define VIR_TOOL_XML_MAX (4 * 1024 * 1024)

virDomainLock *
virToolGuest(virTool *tool, const char *nameOrUuid)
{
    g_autoptr(GError) error = NULL;
    virDomainLock *dom;

    if (!virToolConfig(tool))
        return NULL;
    dom = virDomainLockLookup(tool->config, nameOrUuid, &error);
    if (!dom)
        tool->exitStatus = virToolFail(tool, error);
    return dom;
}

/* The whole text, or NULL. "-" is standard input. What is no description of a guest (a disk
 * image, /dev/zero) ends at the limit instead of filling the memory. */
char *
virToolReadXml(const char *path, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    gboolean standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    char buffer[65536];
    ssize_t n = -1;

    if (fd >= 0) {
        while ((n = read(fd, buffer, sizeof(buffer))) > 0 &&
               text->len + (gsize)n <= VIR_TOOL_XML_MAX)
            g_string_append_len(text, buffer, n);
    }
    if (n < 0)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, "cannot read '%s': %m",
                    path);
    else if (n > 0)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "'%s' is no domain XML: it has more than %d MiB", path,
                    VIR_TOOL_XML_MAX / (1024 * 1024));
    else if (memchr(text->str, '\0', text->len))
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "'%s' is no domain XML: it has zero bytes in it", path);
    if (fd >= 0 && !standard)
        (void)close(fd);
    return *error ? NULL : g_strdup(text->str);
}

char *
virToolGuestState(const virDomainLockInfo *info)
{
    const char *state = virDomainLockStateName(info->state);
    const char *reason = virDomainLockReasonName(info->reason);

    if (info->reason == VIR_DOMAIN_LOCK_REASON_NONE || !reason || !*reason)
        return g_strdup(state);
    return g_strdup_printf("%s (%s)", state, reason);
}

char *
virToolExitText(int waitStatus)
{
    if (waitStatus < 0)
        return NULL;
    if (WIFEXITED(waitStatus))
        return g_strdup_printf("exit status %d", WEXITSTATUS(waitStatus));
    if (WIFSIGNALED(waitStatus))
        return g_strdup_printf("killed by signal %d (%s)", WTERMSIG(waitStatus),
                               g_strsignal(WTERMSIG(waitStatus)));
    return NULL;
}

static const char *
virToolTypeName(virLockResourceType type)
{
    static const char *const names[] = {
        [VIR_LOCK_RESOURCE_RUN] = "run",
        [VIR_LOCK_RESOURCE_DISK] = "disk",
        [VIR_LOCK_RESOURCE_LEASE] = "lease",
    };

    return (guint)type < G_N_ELEMENTS(names) ? names[type] : "unknown";
}

static void
virToolJsonLease(JsonBuilder *builder, const virLockLease *lease)
{
    json_builder_begin_object(builder);
    virToolJsonString(builder, "lockspace", lease->lockspace);
    virToolJsonString(builder, "lease", lease->name);
    virToolJsonString(builder, "type", virToolTypeName(lease->type));
    virToolJsonString(builder, "mode", virToolModeName(lease->mode));
    virToolJsonString(builder, "hold", virToolHoldName(lease->hold));
    virToolJsonInt(builder, "epoch", (gint64)lease->epoch);
    virToolJsonString(builder, "path", lease->path);
    json_builder_end_object(builder);
}

char *
virToolJobText(const virDomainLockInfo *info)
{
    GString *text = NULL;

    if (!info->job)
        return NULL;
    text = g_string_new(info->job);
    if (info->jobDetail)
        g_string_append_printf(text, " (%s)", info->jobDetail);
    if (info->jobTotal > 0) {
        g_autofree char *done =
            g_format_size_full((guint64)info->jobDone, G_FORMAT_SIZE_IEC_UNITS);
        g_autofree char *total =
            g_format_size_full((guint64)info->jobTotal, G_FORMAT_SIZE_IEC_UNITS);

        g_string_append_printf(
            text, ": %d %%, %s of %s",
            (int)(100.0 * (double)info->jobDone / (double)info->jobTotal), done, total);
    }
    if (info->jobStartedUsec != 0) {
        gint64 spent = (g_get_real_time() - info->jobStartedUsec) / G_USEC_PER_SEC;
        g_autofree char *span = virToolFormatSpan(MAX(spent, 0));

        g_string_append_printf(text, ", for %s", span);
    }
    return g_string_free(text, FALSE);
}

/* Exactly one of the two is a number, or both are null: running, or nobody saw the end. */
static void
virToolJsonWaitStatus(JsonBuilder *builder, int waitStatus)
{
    gboolean known = waitStatus >= 0;

    virToolJsonKnown(builder, "exit_status",
                     known && WIFEXITED(waitStatus) ? WEXITSTATUS(waitStatus) : -1);
    virToolJsonKnown(builder, "exit_signal",
                     known && WIFSIGNALED(waitStatus) ? WTERMSIG(waitStatus) : -1);
}

void
virToolJsonJob(JsonBuilder *builder, const virDomainLockInfo *info)
{
    virToolJsonString(builder, "job", info->job);
    virToolJsonString(builder, "job_detail", info->jobDetail);
    virToolJsonTime(builder, "job_started", info->jobStartedUsec);
    virToolJsonKnown(builder, "job_done", info->jobStartedUsec != 0 ? info->jobDone : -1);
    virToolJsonKnown(builder, "job_total", info->jobTotal > 0 ? info->jobTotal : -1);
}

void
virToolJsonGuest(virTool *tool, JsonBuilder *builder, const virDomainLockInfo *info)
{
    g_autofree char *saved = virDomainLockGetManagedSave(tool->config, info->uuid);

    json_builder_begin_object(builder);
    virToolJsonString(builder, "name", info->name);
    virToolJsonString(builder, "uuid", info->uuid);
    virToolJsonString(builder, "state", virDomainLockStateName(info->state));
    virToolJsonString(builder, "reason",
                      info->reason != VIR_DOMAIN_LOCK_REASON_NONE
                          ? virDomainLockReasonName(info->reason)
                          : NULL);
    virToolJsonPid(builder, "pid", info->pid);
    virToolJsonPid(builder, "supervisor_pid", info->supervisorPid);
    virToolJsonString(builder, "plugin", info->plugin);
    virToolJsonString(builder, "host", info->hostName);
    virToolJsonString(builder, "on_lockfailure", info->onLockfailure);
    virToolJsonTime(builder, "started", info->startedUsec);
    virToolJsonTime(builder, "ended", info->endedUsec);
    virToolJsonTime(builder, "deadline", info->deadlineUsec);
    virToolJsonWaitStatus(builder, info->waitStatus);
    virToolJsonTime(builder, "wakeup", info->wakeupUsec);
    virToolJsonKnown(builder, "user_usec", info->maxRssBytes > 0 ? info->userUsec : -1);
    virToolJsonKnown(builder, "system_usec",
                     info->maxRssBytes > 0 ? info->systemUsec : -1);
    virToolJsonKnown(builder, "max_rss", info->maxRssBytes > 0 ? info->maxRssBytes : -1);
    virToolJsonJob(builder, info);
    virToolJsonString(builder, "message", info->message);
    virToolJsonString(builder, "notes", info->notes);
    virToolJsonString(builder, "managed_save", saved);
    virToolJsonString(builder, "log", info->logPath);
    json_builder_set_member_name(builder, "leases");
    json_builder_begin_array(builder);
    for (guint i = 0; info->leases && i < info->leases->len; i++)
        virToolJsonLease(builder, g_ptr_array_index(info->leases, i));
    json_builder_end_array(builder);
    json_builder_end_object(builder);
}

int
virToolReportGuest(virTool *tool, virDomainLock *dom, const char *sentence)
{
    g_autoptr(virDomainLockInfo) info = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonBuilder) builder = NULL;

    if (!tool->json) {
        virToolSay(tool, "guest '%s' %s", virDomainLockGetName(dom), sentence);
        return VIR_TOOL_EXIT_OK;
    }
    info = virDomainLockGetInfo(dom, &error);
    if (!info)
        return virToolFail(tool, error);
    builder = json_builder_new();
    virToolJsonGuest(tool, builder, info);
    virToolJsonPrint(builder, stdout, TRUE);
    return VIR_TOOL_EXIT_OK;
}

int
virToolGuestAct(virTool *tool, virToolGuestFunc act, const char *sentence)
{
    g_autoptr(virDomainLock) dom = NULL;
    g_autoptr(GError) error = NULL;

    if (!virToolParse(tool, NULL, 1, 1))
        return tool->exitStatus;
    dom = virToolGuest(tool, tool->args[0]);
    if (!dom)
        return tool->exitStatus;
    if (!act(dom, &error))
        return virToolFail(tool, error);
    return virToolReportGuest(tool, dom, sentence);
}

void
virToolNoteImages(virTool *tool, const virDomainLockInfo *info,
                  const virDomainLockInfo *before)
{
    g_auto(GStrv) lines = g_strsplit(info->notes ? info->notes : "", "\n", -1);
    g_auto(GStrv) old =
        g_strsplit(before && before->notes ? before->notes : "", "\n", -1);

    for (gsize i = 0; lines[i]; i++)
        if (!g_strv_contains((const char *const *)old, lines[i]))
            virToolNote(tool, "%s", lines[i]);
}

int
virToolReportImages(virTool *tool, virDomainLock *dom, const char *sentence)
{
    g_autoptr(virDomainLockInfo) info = virDomainLockPeekInfo(dom, NULL);

    if (info)
        virToolNoteImages(tool, info, virDomainLockGetLookupInfo(dom));
    return virToolReportGuest(tool, dom, sentence);
}

void
virToolNoteJob(virTool *tool, virDomainLock *dom, gboolean noWait)
{
    g_autoptr(virDomainLockInfo) info = NULL;

    if (noWait || !isatty(STDERR_FILENO))
        return;
    info = virDomainLockGetInfo(dom, NULL);
    if (info && info->job)
        virToolNote(tool, "guest '%s' is busy: %s; waiting for its turn", info->name,
                    info->job);
}
