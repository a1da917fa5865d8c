/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_who.c: leasehold who PATH|GUEST|LEASE
 *
 * Answers from the storage, not from what any supervisor believes; works for guests of other
 * hosts and when nothing runs here.
 */
#include "config.h"

#include "common/text.h"
#include "tools/tool.h"

#include <stdio.h>
#include <string.h>

#define VIR_TOOL_WHO_HISTORY 8 /* what the journal of a use record keeps */
#define VIR_TOOL_WHO_RUN_PREFIX "guest-"

/** What was asked about. */
typedef struct _virToolWhoQuery {
    virLockManagerPlugin *plugin;
    const char *arg;
    char *lease;
    char *path; /* when it is an image */
    char *why;
    GPtrArray *owners; /* virLockOwner */
    GPtrArray *uses;   /* virLockUse, newest first */
} virToolWhoQuery;

static void
virToolWhoClear(virToolWhoQuery *query)
{
    g_clear_pointer(&query->plugin, virLockManagerPluginUnload);
    g_free(query->lease);
    g_free(query->path);
    g_free(query->why);
    g_clear_pointer(&query->owners, g_ptr_array_unref);
    g_clear_pointer(&query->uses, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(virToolWhoQuery, virToolWhoClear)

/* The run lease of a guest that is known here by this name, or that runs under it on another
 * host, as the store says; NULL: there is none. Free: g_free. */
static char *
virToolWhoFindGuest(virTool *tool, virToolWhoQuery *query, GError **error)
{
    g_autoptr(virDomainLock) guest = virDomainLockLookup(tool->config, query->arg, NULL);
    const virLockManagerPluginInfo *info = virLockManagerPluginGetInfo(query->plugin);
    g_autoptr(virToolWait) wait =
        virToolWaitNew(tool, VIR_LOCK_WAIT_DEFAULT_SEC, 0, NULL);
    g_autoptr(GPtrArray) leases = NULL;

    if (guest)
        return virLockManagerResourceName(tool->config, VIR_LOCK_RESOURCE_RUN,
                                          virDomainLockGetUuid(guest), NULL, error);
    if (!(info->capabilities & VIR_LOCK_CAP_STORE))
        return NULL;
    leases = virLockManagerStoreList(query->plugin, virToolWaitGet(wait), error);
    for (guint i = 0; leases && i < leases->len; i++) {
        const virLockOwner *lease = g_ptr_array_index(leases, i);

        if (lease->mode != VIR_LOCK_MODE_NONE &&
            g_str_has_prefix(lease->lease, VIR_TOOL_WHO_RUN_PREFIX) &&
            g_strcmp0(lease->guestName, query->arg) == 0)
            return g_strdup(lease->lease);
    }
    return NULL;
}

/* A path has a slash or names a file here; a uuid is a guest; the names that Leasehold makes
 * have prefixes of their own; a name may be a guest's; all else is the key of a <lease>
 * element. */
static gboolean
virToolWhoName(virTool *tool, virToolWhoQuery *query, GError **error)
{
    virLockResourceType type = VIR_LOCK_RESOURCE_LEASE;
    g_autoptr(GError) local = NULL;

    if (strchr(query->arg, '/') || g_file_test(query->arg, G_FILE_TEST_EXISTS)) {
        query->path = virToolAbsolutePath(query->arg);
        type = VIR_LOCK_RESOURCE_DISK;
    } else if (g_uuid_string_is_valid(query->arg)) {
        type = VIR_LOCK_RESOURCE_RUN;
    } else if (g_str_has_prefix(query->arg, VIR_TOOL_WHO_RUN_PREFIX) ||
               g_str_has_prefix(query->arg, "disk-") ||
               g_str_has_prefix(query->arg, "lease-")) {
        query->lease = g_strdup(query->arg);
        return TRUE;
    } else if ((query->lease = virToolWhoFindGuest(tool, query, &local)) || local) {
        if (local)
            g_propagate_error(error, g_steal_pointer(&local));
        return query->lease != NULL;
    }
    query->lease = virLockManagerResourceName(
        tool->config, type, query->path ? query->path : query->arg, &query->why, error);
    return query->lease != NULL;
}

static gboolean
virToolWhoAsk(virTool *tool, virToolWhoQuery *query, GError **error)
{
    g_autoptr(virToolWait) wait =
        virToolWaitNew(tool, VIR_LOCK_WAIT_DEFAULT_SEC, 0, NULL);
    const virLockManagerPluginInfo *info = virLockManagerPluginGetInfo(query->plugin);

    query->owners = virLockManagerQueryOwnerByLease(query->plugin, query->lease,
                                                    virToolWaitGet(wait), error);
    if (!query->owners)
        return FALSE;
    if (!(info->capabilities & VIR_LOCK_CAP_USE_RECORDS))
        return TRUE;
    query->uses = virLockManagerReadUse(query->plugin, query->lease, VIR_TOOL_WHO_HISTORY,
                                        virToolWaitGet(wait), error);
    return query->uses != NULL;
}

static void
virToolWhoPrintJson(const virToolWhoQuery *query)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    virToolJsonString(builder, "lease", query->lease);
    virToolJsonString(builder, "path", query->path);
    virToolJsonString(builder, "identity", query->why);
    json_builder_set_member_name(builder, "owners");
    json_builder_begin_array(builder);
    for (guint i = 0; i < query->owners->len; i++)
        virToolJsonOwner(builder, g_ptr_array_index(query->owners, i));
    json_builder_end_array(builder);
    json_builder_set_member_name(builder, "uses");
    json_builder_begin_array(builder);
    for (guint i = 0; query->uses && i < query->uses->len; i++)
        virToolJsonUse(builder, g_ptr_array_index(query->uses, i));
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    virToolJsonPrint(builder, stdout, TRUE);
}

/* "host 'alpha' was last seen alive 12 s ago; if it is dead the lease can be taken in 128 s" */
static void
virToolWhoPrintHost(const virLockOwner *owner)
{
    g_autofree char *seen = virToolFormatSpan(owner->seenSec);
    g_autofree char *eta = virToolFormatSpan(owner->etaSec);

    switch (owner->hostState) {
    case VIR_LOCK_HOST_LIVE:
        if (owner->seenSec >= 0)
            printf("  that host is alive, last seen %s ago\n", seen);
        break;
    case VIR_LOCK_HOST_DEAD:
        printf("  that host is dead; the lease can be taken now\n");
        break;
    case VIR_LOCK_HOST_FAIL:
    case VIR_LOCK_HOST_UNKNOWN:
    case VIR_LOCK_HOST_FREE:
    default:
        if (owner->seenSec >= 0)
            printf("  that host was last seen alive %s ago\n", seen);
        if (owner->etaSec >= 0)
            printf("  if it is dead the lease can be taken in %s\n", eta);
        break;
    }
}

static void
virToolWhoPrintOwner(const virLockOwner *owner)
{
    g_autofree char *host = virToolHostText(owner->hostName, owner->hostId);
    g_autofree char *since = virToolFormatTime(owner->sinceUsec);
    GString *line = g_string_new(NULL);
    g_autofree char *shown = NULL;

    g_string_append_printf(line, "%s by %s",
                           owner->hold == VIR_LOCK_HOLD_BRIDGE   ? "reserved"
                           : owner->mode == VIR_LOCK_MODE_SHARED ? "held shared"
                                                                 : "held",
                           host);
    if (owner->guestName)
        g_string_append_printf(line, " for guest '%s'", owner->guestName);
    if (owner->pid > 0)
        g_string_append_printf(line, ", pid %" G_GINT64_FORMAT, owner->pid);
    if (owner->sinceUsec != 0)
        g_string_append_printf(line, ", since %s", since);
    shown = virTextPrintable(line->str);
    g_string_free(line, TRUE);
    printf("%s\n", shown);
    virToolWhoPrintHost(owner);
}

/* Whose record is damaged, or was forgotten with the lease. */
static gboolean
virToolUseIsUnknown(const virLockUse *use)
{
    return !use->guestName && use->timeUsec == 0;
}

static void
virToolWhoPrintUses(const GPtrArray *uses, guint max)
{
    for (guint i = 0; i < uses->len && i < max; i++) {
        const virLockUse *use = g_ptr_array_index(uses, i);
        g_autofree char *host = virToolHostText(use->hostName, use->hostId);
        g_autofree char *when = virToolFormatTime(use->timeUsec);
        g_autofree char *unknown = g_strdup_printf(
            "by whom it was used last is not known (epoch %" G_GUINT64_FORMAT ")",
            use->epoch);
        g_autofree char *text = g_strdup_printf(
            "%s for guest '%s' by %s, %s (epoch %" G_GUINT64_FORMAT ")",
            i == 0 ? "last used" : "before that",
            use->guestName ? use->guestName : "unknown", host, when, use->epoch);
        g_autofree char *shown =
            virTextPrintable(virToolUseIsUnknown(use) ? unknown : text);

        printf("%s\n", shown);
    }
}

static void
virToolWhoPrint(const virToolWhoQuery *query, gboolean history)
{
    g_autofree char *what = virTextPrintable(query->path ? query->path : query->arg);

    printf("%s%s%s (lease %s)\n", virToolColourBegin(stdout, VIR_TOOL_COLOUR_BOLD), what,
           virToolColourEnd(stdout), query->lease);
    for (guint i = 0; i < query->owners->len; i++)
        virToolWhoPrintOwner(g_ptr_array_index(query->owners, i));
    if (query->owners->len == 0)
        printf("free\n");
    if (query->uses && (history || query->owners->len == 0))
        virToolWhoPrintUses(query->uses, history ? G_MAXUINT : 1);
}

int
virToolCmdWho(virTool *tool)
{
    gboolean history = FALSE;
    const GOptionEntry entries[] = {
        {"history", 0, 0, G_OPTION_ARG_NONE, &history, "show who used it before, too",
         NULL},
        {NULL},
    };
    g_auto(virToolWhoQuery) query = {0};
    g_autoptr(GError) error = NULL;

    if (!virToolParse(tool, entries, 1, 1))
        return tool->exitStatus;
    query.arg = tool->args[0];
    query.plugin = virToolPlugin(tool);
    if (!query.plugin)
        return tool->exitStatus;
    if (!virToolWhoName(tool, &query, &error) || !virToolWhoAsk(tool, &query, &error))
        return virToolFail(tool, error);
    if (tool->json)
        virToolWhoPrintJson(&query);
    else
        virToolWhoPrint(&query, history);
    return VIR_TOOL_EXIT_OK;
}
