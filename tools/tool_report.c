/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tool_report.c: words for the values of the libraries, shared by several commands.
 */
#include "config.h"

#include "common/text.h"
#include "tools/tool.h"

#include <stdio.h>

const char *
virToolModeName(virLockMode mode)
{
    static const char *const names[] = {
        [VIR_LOCK_MODE_NONE] = "none",
        [VIR_LOCK_MODE_SHARED] = "shared",
        [VIR_LOCK_MODE_EXCLUSIVE] = "exclusive",
    };

    return (guint)mode < G_N_ELEMENTS(names) ? names[mode] : "unknown";
}

const char *
virToolHoldName(virLockHold hold)
{
    static const char *const names[] = {
        [VIR_LOCK_HOLD_NONE] = "none",
        [VIR_LOCK_HOLD_LEASE] = "lease",
        [VIR_LOCK_HOLD_BRIDGE] = "bridge",
    };

    return (guint)hold < G_N_ELEMENTS(names) ? names[hold] : "unknown";
}

const char *
virToolHostStateName(virLockHostState state)
{
    static const char *const names[] = {
        [VIR_LOCK_HOST_UNKNOWN] = "unknown", [VIR_LOCK_HOST_FREE] = "free",
        [VIR_LOCK_HOST_LIVE] = "live",       [VIR_LOCK_HOST_FAIL] = "fail",
        [VIR_LOCK_HOST_DEAD] = "dead",
    };

    return (guint)state < G_N_ELEMENTS(names) ? names[state] : "unknown";
}

const char *
virToolFindingName(virLockFindingLevel level)
{
    static const char *const names[] = {
        [VIR_LOCK_FINDING_OK] = "ok",
        [VIR_LOCK_FINDING_NOTE] = "note",
        [VIR_LOCK_FINDING_WARNING] = "warning",
        [VIR_LOCK_FINDING_ERROR] = "error",
    };

    return (guint)level < G_N_ELEMENTS(names) ? names[level] : "error";
}

char *
virToolHostText(const char *name, guint hostId)
{
    if (name && hostId != 0)
        return g_strdup_printf("host '%s' (host id %u)", name, hostId);
    if (name)
        return g_strdup_printf("host '%s'", name);
    if (hostId != 0)
        return g_strdup_printf("host id %u", hostId);
    return g_strdup("this host");
}

int
virToolFindingsExit(const GPtrArray *findings)
{
    for (guint i = 0; i < findings->len; i++) {
        const virLockFinding *finding = g_ptr_array_index(findings, i);

        if (finding->level == VIR_LOCK_FINDING_ERROR)
            return VIR_TOOL_EXIT_FAILURE;
    }
    return VIR_TOOL_EXIT_OK;
}

static virToolColour
virToolFindingColour(virLockFindingLevel level)
{
    switch (level) {
    case VIR_LOCK_FINDING_OK:
        return VIR_TOOL_COLOUR_GREEN;
    case VIR_LOCK_FINDING_NOTE:
        return VIR_TOOL_COLOUR_DIM;
    case VIR_LOCK_FINDING_WARNING:
        return VIR_TOOL_COLOUR_YELLOW;
    case VIR_LOCK_FINDING_ERROR:
    default:
        return VIR_TOOL_COLOUR_RED;
    }
}

void
virToolPrintFindings(const GPtrArray *findings)
{
    for (guint i = 0; i < findings->len; i++) {
        const virLockFinding *finding = g_ptr_array_index(findings, i);
        g_autofree char *subject =
            virTextPrintable(finding->subject ? finding->subject : "");
        g_autofree char *text = virTextPrintable(finding->text ? finding->text : "");

        printf("%s%-8s%s %s: %s\n",
               virToolColourBegin(stdout, virToolFindingColour(finding->level)),
               virToolFindingName(finding->level), virToolColourEnd(stdout), subject,
               text);
        if (finding->advice && *finding->advice) {
            g_autofree char *advice = virTextPrintable(finding->advice);

            printf("%-8s -> %s\n", "", advice);
        }
    }
}

void
virToolPrintFindingsJson(const GPtrArray *findings)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    virToolJsonFindings(builder, findings);
    json_builder_end_object(builder);
    virToolJsonPrint(builder, stdout, TRUE);
}
