/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_events.c: leasehold events [GUEST] [--follow]
 *
 * The kept history, oldest first. --follow begins to watch before the history is read, so
 * that nothing falls between the two; what both have is printed once.
 */
#include "config.h"

#include "common/text.h"
#include "tools/tool.h"

#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>

/** A run of "events --follow". */
typedef struct _virToolFollow {
    virTool *tool;
    GMainLoop *loop;
    GPtrArray *history; /* virDomainLockEvent */
} virToolFollow;

static void
virToolEventPrintJson(const virDomainLockEvent *event)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    virToolJsonTime(builder, "time", event->timeUsec);
    virToolJsonString(builder, "name", event->name);
    virToolJsonString(builder, "uuid", event->uuid);
    virToolJsonString(builder, "event", event->event);
    virToolJsonString(builder, "detail", event->detail);
    virToolJsonString(builder, "message", event->message);
    json_builder_end_object(builder);
    virToolJsonPrint(builder, stdout, FALSE);
}

/* "2026-11-21 14:03:02.123  web  STARTED  guest  message" */
static void
virToolEventPrint(virTool *tool, const virDomainLockEvent *event)
{
    g_autoptr(GDateTime) utc = NULL;
    g_autoptr(GDateTime) local = NULL;
    g_autofree char *when = NULL;
    g_autofree char *line = NULL;
    g_autofree char *shown = NULL;

    if (tool->json) {
        virToolEventPrintJson(event);
        return;
    }
    utc = g_date_time_new_from_unix_utc(event->timeUsec / G_USEC_PER_SEC);
    local = utc ? g_date_time_to_local(utc) : NULL;
    when = local ? g_date_time_format(local, "%Y-%m-%d %H:%M:%S") : g_strdup("-");
    line = g_strdup_printf("%s.%03d  %s  %s%s%s%s%s", when,
                           (int)(event->timeUsec % G_USEC_PER_SEC / 1000), event->name,
                           event->event, event->detail ? " " : "",
                           event->detail ? event->detail : "", event->message ? "  " : "",
                           event->message ? event->message : "");
    shown = virTextPrintable(line);
    printf("%s\n", shown);
}

static gboolean
virToolEventSame(const virDomainLockEvent *a, const virDomainLockEvent *b)
{
    return a->timeUsec == b->timeUsec && g_strcmp0(a->uuid, b->uuid) == 0 &&
           g_strcmp0(a->event, b->event) == 0;
}

static void
virToolFollowEvent(const virDomainLockEvent *event, gpointer data)
{
    virToolFollow *follow = data;

    for (guint i = 0; i < follow->history->len; i++) {
        if (virToolEventSame(event, g_ptr_array_index(follow->history, i)))
            return;
    }
    virToolEventPrint(follow->tool, event);
    (void)fflush(stdout);
}

static gboolean
virToolFollowStop(gpointer data)
{
    g_main_loop_quit(data);
    return G_SOURCE_CONTINUE;
}

/* @history was read after the watch began; the watch delivers only from the loop on. */
static void
virToolFollowLoop(virToolFollow *follow)
{
    guint interrupt = g_unix_signal_add(SIGINT, virToolFollowStop, follow->loop);
    guint term = g_unix_signal_add(SIGTERM, virToolFollowStop, follow->loop);

    (void)fflush(stdout);
    g_main_loop_run(follow->loop);
    g_source_remove(interrupt);
    g_source_remove(term);
}

int
virToolCmdEvents(virTool *tool)
{
    gboolean following = FALSE;
    const GOptionEntry entries[] = {
        {"follow", 'f', 0, G_OPTION_ARG_NONE, &following,
         "go on with what happens from now", NULL},
        {NULL},
    };
    virToolFollow follow = {.tool = tool};
    g_autoptr(GPtrArray) history = NULL;
    g_autoptr(GMainLoop) loop = NULL;
    g_autoptr(GSource) source = NULL;
    g_autoptr(GError) error = NULL;

    if (!virToolParse(tool, entries, 0, 1))
        return tool->exitStatus;
    if (!virToolConfig(tool))
        return tool->exitStatus;
    if (following) {
        source = virDomainLockWatchEvents(tool->config, tool->args[0], virToolFollowEvent,
                                          &follow, &error);
        if (!source)
            return virToolFail(tool, error);
    }
    follow.history = history =
        virDomainLockGetHistory(tool->config, tool->args[0], &error);
    if (!history)
        return virToolFail(tool, error);
    for (guint i = 0; i < history->len; i++)
        virToolEventPrint(tool, g_ptr_array_index(history, i));
    if (following) {
        follow.loop = loop = g_main_loop_new(NULL, FALSE);
        virToolFollowLoop(&follow);
        g_source_destroy(source);
    }
    return VIR_TOOL_EXIT_OK;
}
