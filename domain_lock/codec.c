/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * codec.c: the public structures as JSON and as GVariant, from one table of fields.
 */
#include "codec.h"
#include "common/text.h"
#include <string.h>

/* The deepest that there is: QEMU's "json:" name of a chain of images, one level a file. */
#define JSON_MAX_DEPTH 1000

typedef enum {
    VIR_FIELD_STRING,
    VIR_FIELD_INT64,
    VIR_FIELD_INT,
    VIR_FIELD_STATE,
    VIR_FIELD_REASON,
} virFieldType;

typedef struct {
    const char *key;      /* in JSON */
    const char *property; /* on the control interface */
    virFieldType type;
    gsize offset;
} virField;

#define FIELD(key, property, type, member)                                               \
    {                                                                                    \
        key, property, VIR_FIELD_##type, G_STRUCT_OFFSET(virDomainLockInfo, member)      \
    }

static const virField infoFields[] = {
    FIELD("name", "Name", STRING, name),
    FIELD("uuid", "Uuid", STRING, uuid),
    FIELD("state", "State", STATE, state),
    FIELD("reason", "Reason", REASON, reason),
    FIELD("pid", "Pid", INT64, pid),
    FIELD("supervisor_pid", "SupervisorPid", INT64, supervisorPid),
    FIELD("plugin", "Plugin", STRING, plugin),
    FIELD("host", "HostName", STRING, hostName),
    FIELD("on_lockfailure", "OnLockfailure", STRING, onLockfailure),
    FIELD("started_usec", "Started", INT64, startedUsec),
    FIELD("ended_usec", "Ended", INT64, endedUsec),
    FIELD("deadline_usec", "Deadline", INT64, deadlineUsec),
    FIELD("wait_status", "WaitStatus", INT, waitStatus),
    FIELD("job", "Job", STRING, job),
    FIELD("message", "Message", STRING, message),
    FIELD("log", "LogPath", STRING, logPath),
    FIELD("job_detail", "JobDetail", STRING, jobDetail),
    FIELD("job_started_usec", "JobStarted", INT64, jobStartedUsec),
    FIELD("job_done", "JobDone", INT64, jobDone),
    FIELD("job_total", "JobTotal", INT64, jobTotal),
    FIELD("wakeup_usec", "Wakeup", INT64, wakeupUsec),
    FIELD("user_usec", "UserTime", INT64, userUsec),
    FIELD("system_usec", "SystemTime", INT64, systemUsec),
    FIELD("max_rss", "MaxRss", INT64, maxRssBytes),
    FIELD("notes", "Notes", STRING, notes),
};

static const char *const leaseTypes[] = {
    [VIR_LOCK_RESOURCE_RUN] = "run",
    [VIR_LOCK_RESOURCE_DISK] = "disk",
    [VIR_LOCK_RESOURCE_LEASE] = "lease",
};
static const char *const leaseModes[] = {
    [VIR_LOCK_MODE_NONE] = "none",
    [VIR_LOCK_MODE_SHARED] = "shared",
    [VIR_LOCK_MODE_EXCLUSIVE] = "exclusive",
};
static const char *const leaseHolds[] = {
    [VIR_LOCK_HOLD_NONE] = "none",
    [VIR_LOCK_HOLD_LEASE] = "lease",
    [VIR_LOCK_HOLD_BRIDGE] = "bridge",
};

#define WORD(table, value)                                                               \
    ((guint)(value) < G_N_ELEMENTS(table) ? (table)[value] : "none")

static guint
virWordFind(const char *const *table, guint n, const char *word)
{
    for (guint i = 0; i < n; i++) {
        if (g_strcmp0(table[i], word) == 0)
            return i;
    }
    return 0;
}

/* --- JSON --------------------------------------------------------------------------- */

const char *
virDomainLockJsonString(JsonObject *object, const char *key)
{
    JsonNode *node = object ? json_object_get_member(object, key) : NULL;

    return node && JSON_NODE_HOLDS_VALUE(node) &&
                   json_node_get_value_type(node) == G_TYPE_STRING
               ? json_node_get_string(node)
               : NULL;
}

void
virDomainLockJsonSetString(JsonObject *object, const char *key, const char *value)
{
    if (value)
        json_object_set_string_member(object, key, value);
}

gboolean
virDomainLockJsonBool(JsonObject *object, const char *key)
{
    JsonNode *node = object ? json_object_get_member(object, key) : NULL;

    return node && JSON_NODE_HOLDS_VALUE(node) &&
           json_node_get_value_type(node) == G_TYPE_BOOLEAN && json_node_get_boolean(node);
}

gint64
virDomainLockJsonInt(JsonObject *object, const char *key, gint64 fallback)
{
    JsonNode *node = object ? json_object_get_member(object, key) : NULL;

    return node && JSON_NODE_HOLDS_VALUE(node) &&
                   json_node_get_value_type(node) == G_TYPE_INT64
               ? json_node_get_int(node)
               : fallback;
}

JsonObject *
virDomainLockJsonObject(JsonObject *object, const char *key)
{
    JsonNode *node = object ? json_object_get_member(object, key) : NULL;

    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

JsonArray *
virDomainLockJsonArray(JsonObject *object, const char *key)
{
    JsonNode *node = object ? json_object_get_member(object, key) : NULL;

    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

char *
virDomainLockJsonLine(JsonObject *object)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    g_autofree char *text = NULL;

    json_node_set_object(node, object);
    text = json_to_string(node, FALSE);
    return g_strconcat(text, "\n", NULL);
}

JsonObject *
virDomainLockJsonParse(const char *text, gssize len, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) why = NULL;
    JsonNode *root = NULL;

    if (virTextNestsDeeper(text, len, JSON_MAX_DEPTH)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "this JSON nests deeper than %d", JSON_MAX_DEPTH);
        return NULL;
    }
    if (!json_parser_load_from_data(parser, text, len, &why)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, "this is not JSON: %s",
                    why->message);
        return NULL;
    }
    root = json_parser_get_root(parser);
    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "this is JSON, but not an object");
        return NULL;
    }
    return json_object_ref(json_node_get_object(root));
}

static void
virInfoFieldToJson(const virDomainLockInfo *info, const virField *field,
                   JsonObject *object)
{
    gconstpointer at = G_STRUCT_MEMBER_P(info, field->offset);

    switch (field->type) {
    case VIR_FIELD_STRING:
        virDomainLockJsonSetString(object, field->key, *(char *const *)at);
        break;
    case VIR_FIELD_INT64:
        json_object_set_int_member(object, field->key, *(const gint64 *)at);
        break;
    case VIR_FIELD_INT:
        json_object_set_int_member(object, field->key, *(const int *)at);
        break;
    case VIR_FIELD_STATE:
        json_object_set_string_member(object, field->key,
                                      virDomainLockStateName(info->state));
        break;
    case VIR_FIELD_REASON:
        json_object_set_string_member(object, field->key,
                                      virDomainLockReasonName(info->reason));
        break;
    }
}

static void
virInfoSetString(virDomainLockInfo *info, const virField *field, const char *value)
{
    gpointer at = G_STRUCT_MEMBER_P(info, field->offset);

    if (field->type == VIR_FIELD_STATE) {
        if (!virDomainLockStateFromName(value, &info->state))
            info->state = VIR_DOMAIN_LOCK_STATE_SHUTOFF;
    } else if (field->type == VIR_FIELD_REASON) {
        if (!virDomainLockReasonFromName(value, &info->reason))
            info->reason = VIR_DOMAIN_LOCK_REASON_UNKNOWN;
    } else if (field->type == VIR_FIELD_STRING) {
        g_free(*(char **)at);
        *(char **)at = g_strdup(value);
    }
}

static void
virInfoSetInt(virDomainLockInfo *info, const virField *field, gint64 value)
{
    gpointer at = G_STRUCT_MEMBER_P(info, field->offset);

    if (field->type == VIR_FIELD_INT64)
        *(gint64 *)at = value;
    else if (field->type == VIR_FIELD_INT)
        *(int *)at = (int)value;
}

static JsonObject *
virLeaseToJson(const virLockLease *lease)
{
    JsonObject *object = json_object_new();

    virDomainLockJsonSetString(object, "lockspace", lease->lockspace);
    virDomainLockJsonSetString(object, "name", lease->name);
    virDomainLockJsonSetString(object, "type", WORD(leaseTypes, lease->type));
    virDomainLockJsonSetString(object, "mode", WORD(leaseModes, lease->mode));
    virDomainLockJsonSetString(object, "hold", WORD(leaseHolds, lease->hold));
    json_object_set_int_member(object, "epoch", (gint64)lease->epoch);
    virDomainLockJsonSetString(object, "path", lease->path);
    return object;
}

static virLockLease *
virLeaseNew(const char *lockspace, const char *name, const char *type, const char *mode,
            const char *hold, guint64 epoch, const char *path)
{
    virLockLease *lease = g_new0(virLockLease, 1);

    lease->structSize = sizeof(*lease);
    lease->lockspace = g_strdup(lockspace && *lockspace ? lockspace : NULL);
    lease->name = g_strdup(name);
    lease->type = virWordFind(leaseTypes, G_N_ELEMENTS(leaseTypes), type);
    lease->mode = virWordFind(leaseModes, G_N_ELEMENTS(leaseModes), mode);
    lease->hold = virWordFind(leaseHolds, G_N_ELEMENTS(leaseHolds), hold);
    lease->epoch = epoch;
    lease->path = g_strdup(path && *path ? path : NULL);
    return lease;
}

void
virDomainLockInfoToJson(const virDomainLockInfo *info, JsonObject *object)
{
    JsonArray *leases = json_array_new();

    for (gsize i = 0; i < G_N_ELEMENTS(infoFields); i++)
        virInfoFieldToJson(info, &infoFields[i], object);
    for (guint i = 0; i < info->leases->len; i++)
        json_array_add_object_element(leases,
                                      virLeaseToJson(g_ptr_array_index(info->leases, i)));
    json_object_set_array_member(object, "leases", leases);
}

virDomainLockInfo *
virDomainLockInfoFromJson(JsonObject *object)
{
    virDomainLockInfo *info = virDomainLockInfoNew();
    JsonArray *leases = virDomainLockJsonArray(object, "leases");

    for (gsize i = 0; i < G_N_ELEMENTS(infoFields); i++) {
        const virField *field = &infoFields[i];
        const char *text = virDomainLockJsonString(object, field->key);
        gint64 number = virDomainLockJsonInt(object, field->key, G_MININT64);

        if (text)
            virInfoSetString(info, field, text);
        else if (number != G_MININT64)
            virInfoSetInt(info, field, number);
    }
    for (guint i = 0; leases && i < json_array_get_length(leases); i++) {
        JsonNode *node = json_array_get_element(leases, i);
        JsonObject *lease =
            JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;

        if (lease && virDomainLockJsonString(lease, "name"))
            g_ptr_array_add(info->leases,
                            virLeaseNew(virDomainLockJsonString(lease, "lockspace"),
                                        virDomainLockJsonString(lease, "name"),
                                        virDomainLockJsonString(lease, "type"),
                                        virDomainLockJsonString(lease, "mode"),
                                        virDomainLockJsonString(lease, "hold"),
                                        (guint64)virDomainLockJsonInt(lease, "epoch", 0),
                                        virDomainLockJsonString(lease, "path")));
    }
    return info;
}

/* --- GVariant ----------------------------------------------------------------------- */

#define LEASES_TYPE "a(sssssts)"

static GVariant *
virLeasesToVariant(const virDomainLockInfo *info)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE(LEASES_TYPE));
    for (guint i = 0; i < info->leases->len; i++) {
        const virLockLease *lease = g_ptr_array_index(info->leases, i);

        g_variant_builder_add(
            &builder, "(sssssts)", lease->lockspace ? lease->lockspace : "", lease->name,
            WORD(leaseTypes, lease->type), WORD(leaseModes, lease->mode),
            WORD(leaseHolds, lease->hold), lease->epoch, lease->path ? lease->path : "");
    }
    return g_variant_builder_end(&builder);
}

GVariant *
virDomainLockInfoGetProperty(const virDomainLockInfo *info, const char *name)
{
    if (g_str_equal(name, "Leases"))
        return virLeasesToVariant(info);
    for (gsize i = 0; i < G_N_ELEMENTS(infoFields); i++) {
        const virField *field = &infoFields[i];
        gconstpointer at = G_STRUCT_MEMBER_P(info, field->offset);

        if (!g_str_equal(field->property, name))
            continue;
        switch (field->type) {
        case VIR_FIELD_STRING:
            return g_variant_new_string(*(char *const *)at ? *(char *const *)at : "");
        case VIR_FIELD_INT64:
            return g_variant_new_int64(*(const gint64 *)at);
        case VIR_FIELD_INT:
            return g_variant_new_int32(*(const int *)at);
        case VIR_FIELD_STATE:
            return g_variant_new_string(virDomainLockStateName(info->state));
        case VIR_FIELD_REASON:
            return g_variant_new_string(virDomainLockReasonName(info->reason));
        }
    }
    return NULL;
}

static void
virLeasesFromVariant(GVariant *value, GPtrArray *leases)
{
    GVariantIter iter;
    const char *lockspace, *name, *type, *mode, *hold, *path;
    guint64 epoch;

    g_variant_iter_init(&iter, value);
    while (g_variant_iter_next(&iter, "(&s&s&s&s&st&s)", &lockspace, &name, &type, &mode,
                               &hold, &epoch, &path))
        g_ptr_array_add(leases,
                        virLeaseNew(lockspace, name, type, mode, hold, epoch, path));
}

virDomainLockInfo *
virDomainLockInfoFromVariant(GVariant *properties)
{
    virDomainLockInfo *info = virDomainLockInfoNew();
    g_autoptr(GVariant) leases = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS(infoFields); i++) {
        const virField *field = &infoFields[i];
        g_autoptr(GVariant) value =
            g_variant_lookup_value(properties, field->property, NULL);

        if (!value)
            continue;
        if (g_variant_is_of_type(value, G_VARIANT_TYPE_STRING)) {
            const char *text = g_variant_get_string(value, NULL);

            /* D-Bus has no null string */
            if (*text || field->type != VIR_FIELD_STRING)
                virInfoSetString(info, field, text);
        } else if (g_variant_is_of_type(value, G_VARIANT_TYPE_INT64)) {
            virInfoSetInt(info, field, g_variant_get_int64(value));
        } else if (g_variant_is_of_type(value, G_VARIANT_TYPE_INT32)) {
            virInfoSetInt(info, field, g_variant_get_int32(value));
        }
    }
    leases = g_variant_lookup_value(properties, "Leases", G_VARIANT_TYPE(LEASES_TYPE));
    if (leases)
        virLeasesFromVariant(leases, info->leases);
    return info;
}

/* --- events and errors -------------------------------------------------------------- */

JsonObject *
virDomainLockEventToJson(const virDomainLockEvent *event)
{
    JsonObject *object = json_object_new();

    json_object_set_int_member(object, "time_usec", event->timeUsec);
    virDomainLockJsonSetString(object, "name", event->name);
    virDomainLockJsonSetString(object, "uuid", event->uuid);
    virDomainLockJsonSetString(object, "event", event->event);
    virDomainLockJsonSetString(object, "detail", event->detail);
    virDomainLockJsonSetString(object, "message", event->message);
    return object;
}

virDomainLockEvent *
virDomainLockEventFromJson(JsonObject *object)
{
    virDomainLockEvent *event = virDomainLockEventNew(
        virDomainLockJsonString(object, "name"), virDomainLockJsonString(object, "uuid"),
        virDomainLockJsonString(object, "event"),
        virDomainLockJsonString(object, "detail"),
        virDomainLockJsonString(object, "message"));

    event->timeUsec = virDomainLockJsonInt(object, "time_usec", 0);
    return event;
}

JsonObject *
virDomainLockErrorToJson(const GError *error)
{
    JsonObject *object = json_object_new();
    int code = error->domain == VIR_LOCK_ERROR ? error->code : VIR_LOCK_ERROR_INTERNAL;

    json_object_set_int_member(object, "code", code);
    json_object_set_string_member(object, "message", error->message);
    return object;
}

GError *
virDomainLockErrorFromJson(JsonObject *object)
{
    const char *message = virDomainLockJsonString(object, "message");
    gint64 code = virDomainLockJsonInt(object, "code", VIR_LOCK_ERROR_INTERNAL);

    if (code < 0 || code > VIR_LOCK_ERROR_INDETERMINATE)
        code = VIR_LOCK_ERROR_INTERNAL;
    return g_error_new_literal(VIR_LOCK_ERROR, (int)code,
                               message ? message : "the supervisor gave no reason");
}

static const char *const errorNames[] = {
    [VIR_LOCK_ERROR_INTERNAL] = "Internal",
    [VIR_LOCK_ERROR_BUSY] = "Busy",
    [VIR_LOCK_ERROR_UNAVAILABLE] = "Unavailable",
    [VIR_LOCK_ERROR_NOT_JOINED] = "NotJoined",
    [VIR_LOCK_ERROR_CONFIG] = "Config",
    [VIR_LOCK_ERROR_UNSUPPORTED] = "Unsupported",
    [VIR_LOCK_ERROR_STATE] = "State",
    [VIR_LOCK_ERROR_STALE] = "Stale",
    [VIR_LOCK_ERROR_LOST] = "Lost",
    [VIR_LOCK_ERROR_TIMEOUT] = "Timeout",
    [VIR_LOCK_ERROR_CANCELLED] = "Cancelled",
    [VIR_LOCK_ERROR_INDETERMINATE] = "Indeterminate",
};
#define ERROR_PREFIX "io.leasehold.Error."

char *
virDomainLockErrorName(const GError *error)
{
    guint code =
        error->domain == VIR_LOCK_ERROR ? (guint)error->code : VIR_LOCK_ERROR_INTERNAL;

    if (code >= G_N_ELEMENTS(errorNames))
        code = VIR_LOCK_ERROR_INTERNAL;
    return g_strconcat(ERROR_PREFIX, errorNames[code], NULL);
}

GError *
virDomainLockErrorFromRemote(const GError *error)
{
    g_autoptr(GError) plain = g_error_copy(error);
    g_autofree char *name = g_dbus_error_get_remote_error(error);
    int code = VIR_LOCK_ERROR_INTERNAL;

    (void)g_dbus_error_strip_remote_error(plain);
    if (name && g_str_has_prefix(name, ERROR_PREFIX)) {
        code = (int)virWordFind(errorNames, G_N_ELEMENTS(errorNames),
                                name + strlen(ERROR_PREFIX));
    } else if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
        code = VIR_LOCK_ERROR_CANCELLED;
    } else if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) ||
               g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CLOSED) ||
               g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_NO_REPLY)) {
        /* the call went out; nobody said whether it was done */
        code = VIR_LOCK_ERROR_INDETERMINATE;
    }
    return g_error_new_literal(VIR_LOCK_ERROR, code, plain->message);
}
