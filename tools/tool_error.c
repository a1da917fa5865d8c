/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tool_error.c: what is said on stderr, and the exit status that goes with an error.
 *
 * An error that we do not know is a failure, never a success (I8).
 */
#include "config.h"

#include "common/text.h"
#include "tools/tool.h"

#include <stdarg.h>
#include <stdio.h>

static const virToolExit virToolErrors[] = {
    [VIR_LOCK_ERROR_INTERNAL] = VIR_TOOL_EXIT_FAILURE,
    [VIR_LOCK_ERROR_BUSY] = VIR_TOOL_EXIT_BUSY,
    [VIR_LOCK_ERROR_UNAVAILABLE] = VIR_TOOL_EXIT_UNAVAILABLE,
    [VIR_LOCK_ERROR_NOT_JOINED] = VIR_TOOL_EXIT_UNAVAILABLE,
    [VIR_LOCK_ERROR_CONFIG] = VIR_TOOL_EXIT_FAILURE,
    [VIR_LOCK_ERROR_UNSUPPORTED] = VIR_TOOL_EXIT_FAILURE,
    [VIR_LOCK_ERROR_STATE] = VIR_TOOL_EXIT_FAILURE,
    [VIR_LOCK_ERROR_STALE] = VIR_TOOL_EXIT_STALE,
    [VIR_LOCK_ERROR_LOST] = VIR_TOOL_EXIT_FAILURE,
    [VIR_LOCK_ERROR_TIMEOUT] = VIR_TOOL_EXIT_UNAVAILABLE,
    [VIR_LOCK_ERROR_CANCELLED] = VIR_TOOL_EXIT_FAILURE,
    [VIR_LOCK_ERROR_INDETERMINATE] = VIR_TOOL_EXIT_INDETERMINATE,
};

static gboolean
virToolIsLockError(const GError *error)
{
    return error->domain == VIR_LOCK_ERROR && error->code >= 0 &&
           error->code < (int)G_N_ELEMENTS(virToolErrors);
}

static const char *
virToolErrorName(const GError *error)
{
    return virToolIsLockError(error) ? virLockErrorCodeName(error->code) : "FAILED";
}

int
virToolErrorStatus(const GError *error)
{
    return virToolIsLockError(error) ? (int)virToolErrors[error->code]
                                     : VIR_TOOL_EXIT_FAILURE;
}

/* A message may have several lines: the second tells the way out. Each gets the prefix, so
 * that a log keeps them together; anything odd in a name is made visible. */
static void
virToolPrintLines(const char *message, const char *kind, virToolColour colour)
{
    g_auto(GStrv) lines = g_strsplit(message, "\n", -1);

    for (guint i = 0; lines[i]; i++) {
        g_autofree char *line = virTextPrintable(lines[i]);

        if (*line)
            fprintf(stderr, "%sleasehold: %s%s%s\n", virToolColourBegin(stderr, colour),
                    kind, virToolColourEnd(stderr), line);
    }
}

static void
virToolPrintJsonError(const char *code, const char *message, int status)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "error");
    json_builder_begin_object(builder);
    virToolJsonString(builder, "code", code);
    virToolJsonInt(builder, "exit_status", status);
    virToolJsonString(builder, "message", message);
    json_builder_end_object(builder);
    json_builder_end_object(builder);
    virToolJsonPrint(builder, stderr, FALSE);
}

static void
virToolPrintError(virTool *tool, const char *code, const char *message, int status)
{
    if (tool->wait)
        virToolWaitClear(tool->wait);
    /* what was reported so far belongs before the error, also in a log */
    (void)fflush(stdout);
    if (tool->json)
        virToolPrintJsonError(code, message, status);
    else
        virToolPrintLines(message, "", VIR_TOOL_COLOUR_RED);
}

int
virToolFail(virTool *tool, const GError *error)
{
    int status = tool->exitBase + virToolErrorStatus(error);

    virToolPrintError(tool, virToolErrorName(error), error->message, status);
    return status;
}

int
virToolUsage(virTool *tool, const char *format, ...)
{
    int status = tool->exitBase + VIR_TOOL_EXIT_USAGE;
    g_autofree char *problem = NULL;
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    problem = g_strdup_vprintf(format, args);
    va_end(args);
    message = g_strdup_printf("%s\ntry 'leasehold %s%s--help'", problem,
                              tool->command ? tool->command->name : "",
                              tool->command ? " " : "");
    virToolPrintError(tool, "USAGE", tool->json ? problem : message, status);
    return status;
}

void
virToolNote(virTool *tool, const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    if (tool->quiet)
        return;
    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    if (tool->wait)
        virToolWaitClear(tool->wait);
    (void)fflush(stdout);
    if (tool->json) {
        g_autoptr(JsonBuilder) builder = json_builder_new();

        json_builder_begin_object(builder);
        virToolJsonString(builder, "note", message);
        json_builder_end_object(builder);
        virToolJsonPrint(builder, stderr, FALSE);
    } else {
        virToolPrintLines(message, "note: ", VIR_TOOL_COLOUR_YELLOW);
    }
}

void
virToolSay(virTool *tool, const char *format, ...)
{
    g_autofree char *message = NULL;
    g_autofree char *shown = NULL;
    va_list args;

    if (tool->quiet || tool->json)
        return;
    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    if (tool->wait)
        virToolWaitClear(tool->wait);
    shown = virTextPrintable(message);
    printf("%s\n", shown);
}
