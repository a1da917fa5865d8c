/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tool_json.c: the structs of the libraries as JSON. The keys are an interface: they are
 * listed in leasehold(1) under JSON, tests compare them, and they are only ever added to.
 */
#include "config.h"

#include "tools/tool.h"

#include <stdio.h>

void
virToolJsonString(JsonBuilder *builder, const char *key, const char *value)
{
    json_builder_set_member_name(builder, key);
    if (value) {
        g_autofree char *utf8 = virToolUtf8(value);

        json_builder_add_string_value(builder, utf8);
    } else {
        json_builder_add_null_value(builder);
    }
}

void
virToolJsonInt(JsonBuilder *builder, const char *key, gint64 value)
{
    json_builder_set_member_name(builder, key);
    json_builder_add_int_value(builder, value);
}

void
virToolJsonKnown(JsonBuilder *builder, const char *key, gint64 value)
{
    json_builder_set_member_name(builder, key);
    if (value >= 0)
        json_builder_add_int_value(builder, value);
    else
        json_builder_add_null_value(builder);
}

void
virToolJsonBool(JsonBuilder *builder, const char *key, gboolean value)
{
    json_builder_set_member_name(builder, key);
    json_builder_add_boolean_value(builder, value);
}

void
virToolJsonTime(JsonBuilder *builder, const char *key, gint64 wallUsec)
{
    g_autoptr(GDateTime) when = NULL;
    g_autofree char *text = NULL;

    if (wallUsec != 0)
        when = g_date_time_new_from_unix_utc(wallUsec / G_USEC_PER_SEC);
    if (when) {
        g_autofree char *seconds = g_date_time_format(when, "%Y-%m-%dT%H:%M:%S");

        text =
            g_strdup_printf("%s.%03dZ", seconds, (int)(wallUsec % G_USEC_PER_SEC / 1000));
    }
    virToolJsonString(builder, key, text);
}

void
virToolJsonPid(JsonBuilder *builder, const char *key, gint64 pid)
{
    virToolJsonKnown(builder, key, pid > 0 ? pid : -1);
}

void
virToolJsonOwner(JsonBuilder *builder, const virLockOwner *owner)
{
    json_builder_begin_object(builder);
    virToolJsonString(builder, "lockspace", owner->lockspace);
    virToolJsonString(builder, "lease", owner->lease);
    virToolJsonString(builder, "mode", virToolModeName(owner->mode));
    virToolJsonString(builder, "hold", virToolHoldName(owner->hold));
    virToolJsonInt(builder, "host_id", owner->hostId);
    virToolJsonInt(builder, "generation", (gint64)owner->generation);
    virToolJsonString(builder, "host", owner->hostName);
    virToolJsonString(builder, "host_state", virToolHostStateName(owner->hostState));
    virToolJsonString(builder, "guest", owner->guestName);
    virToolJsonString(builder, "guest_uuid", owner->guestUuid);
    virToolJsonPid(builder, "pid", owner->pid);
    virToolJsonTime(builder, "since", owner->sinceUsec);
    virToolJsonKnown(builder, "seen_sec", owner->seenSec);
    virToolJsonKnown(builder, "eta_sec", owner->etaSec);
    json_builder_end_object(builder);
}

void
virToolJsonUse(JsonBuilder *builder, const virLockUse *use)
{
    json_builder_begin_object(builder);
    virToolJsonInt(builder, "epoch", (gint64)use->epoch);
    virToolJsonInt(builder, "host_id", use->hostId);
    virToolJsonInt(builder, "generation", (gint64)use->generation);
    virToolJsonString(builder, "host", use->hostName);
    virToolJsonString(builder, "guest", use->guestName);
    virToolJsonString(builder, "guest_uuid", use->guestUuid);
    virToolJsonTime(builder, "time", use->timeUsec);
    json_builder_end_object(builder);
}

static void
virToolJsonFinding(JsonBuilder *builder, const virLockFinding *finding)
{
    json_builder_begin_object(builder);
    virToolJsonString(builder, "level", virToolFindingName(finding->level));
    virToolJsonString(builder, "subject", finding->subject);
    virToolJsonString(builder, "text", finding->text);
    virToolJsonString(builder, "advice", finding->advice);
    json_builder_end_object(builder);
}

void
virToolJsonFindings(JsonBuilder *builder, const GPtrArray *findings)
{
    virToolJsonBool(builder, "ok", virToolFindingsExit(findings) == VIR_TOOL_EXIT_OK);
    json_builder_set_member_name(builder, "findings");
    json_builder_begin_array(builder);
    for (guint i = 0; i < findings->len; i++)
        virToolJsonFinding(builder, g_ptr_array_index(findings, i));
    json_builder_end_array(builder);
}

void
virToolJsonPrint(JsonBuilder *builder, FILE *stream, gboolean pretty)
{
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    g_autofree char *text = json_to_string(root, pretty);

    fprintf(stream, "%s\n", text);
}
