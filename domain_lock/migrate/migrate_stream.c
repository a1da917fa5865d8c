/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate_stream.c: what both sides of a migration tell QEMU.
 *
 * Every capability is set to a value, also to "off": an earlier attempt may have left it on.
 */
#include "domain_lock/codec.h"
#include "domain_lock/sequence.h"
#include "migrate.h"
#include "migrate_tls.h"
#include <string.h>

/* Not a limit: QEMU wants a number below SSIZE_MAX. */
#define STREAM_NO_LIMIT (G_MAXINT64 / (1024 * 1024) * (1024 * 1024))
#define STREAM_DOWNTIME_MSEC 300 /* QEMU's default, said so that an earlier attempt's goes */
#define STREAM_CONNECTIONS 2
#define STREAM_FINISH_USEC (2 * G_USEC_PER_SEC)
#define STREAM_FINISH_NAP_USEC 100

void
virMigrateProgressClear(virMigrateProgress *progress)
{
    g_clear_pointer(&progress->failure, g_free);
}

static gboolean
virStreamCommand(virDomainLockObj *obj, const char *name, JsonObject *args, GError **error)
{
    g_autoptr(JsonNode) answer = obj->guest->ops->command(
        obj->guest, name, args, g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC, error);

    return answer != NULL;
}

/* --- capabilities and parameters ---------------------------------------------------- */

static void
virStreamCapability(JsonArray *list, const char *name, gboolean state)
{
    JsonObject *one = json_object_new();

    json_object_set_string_member(one, "capability", name);
    json_object_set_boolean_member(one, "state", state);
    json_array_add_object_element(list, one);
}

static gboolean
virStreamHasCapability(JsonArray *list, const char *name)
{
    for (guint i = 0; i < json_array_get_length(list); i++) {
        JsonNode *node = json_array_get_element(list, i);
        JsonObject *one = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;

        if (one && g_strcmp0(virDomainLockJsonString(one, "capability"), name) == 0)
            return json_object_get_boolean_member_with_default(one, "state", FALSE);
    }
    return FALSE;
}

/* Whether QEMU's last migration had one of them. */
static gboolean
virStreamHad(virDomainLockObj *obj, const char *one, const char *other, gboolean *had,
             GError **error)
{
    g_autoptr(JsonNode) answer = obj->guest->ops->command(
        obj->guest, "query-migrate-capabilities", NULL,
        g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC, error);
    JsonArray *list =
        answer && JSON_NODE_HOLDS_ARRAY(answer) ? json_node_get_array(answer) : NULL;

    *had = list && (virStreamHasCapability(list, one) ||
                    virStreamHasCapability(list, other));
    return answer != NULL;
}

gboolean
virMigrateStreamIsPostcopy(virDomainLockObj *obj, gboolean *postcopy, GError **error)
{
    return virStreamHad(obj, "postcopy-ram", "postcopy-ram", postcopy, error);
}

/* QEMU (7.2) takes the return path of a migration with postcopy that broke off for open in the
 * next one: it has the destination answer there, and reads nothing of it. A connection that is
 * closed with something unread is reset, and the end of the guest's memory lost. With a return
 * path of its own the next one reads it; so does the one after that. */
static gboolean
virStreamWantsReturnPath(virDomainLockObj *obj, const virMigrateParams *params,
                         gboolean *wants, GError **error)
{
    gboolean had = FALSE;

    if (!virStreamHad(obj, "postcopy-ram", "return-path", &had, error))
        return FALSE;
    *wants = had || (params->flags & VIR_DOMAIN_LOCK_MIGRATE_POSTCOPY) != 0;
    return TRUE;
}

/* zlib is the one compression that every QEMU has, and it needs multifd. */
gboolean
virMigrateParamsIsParallel(const virMigrateParams *params)
{
    return params->connections > 0 ||
           (params->flags & VIR_DOMAIN_LOCK_MIGRATE_COMPRESSED) != 0;
}

static gboolean
virStreamSetCapabilities(virDomainLockObj *obj, const virMigrateParams *params,
                         gboolean incoming, GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();
    g_autoptr(JsonArray) list = json_array_new();
    gboolean returnPath = FALSE;

    if (!incoming && !virStreamWantsReturnPath(obj, params, &returnPath, error))
        return FALSE;
    virStreamCapability(list, "events", TRUE);
    virStreamCapability(list, "return-path", returnPath);
    virStreamCapability(list, "multifd", virMigrateParamsIsParallel(params));
    virStreamCapability(list, "postcopy-ram",
                        (params->flags & VIR_DOMAIN_LOCK_MIGRATE_POSTCOPY) != 0);
    if (incoming)
        virStreamCapability(list, "late-block-activate", TRUE);
    else
        virStreamCapability(list, "auto-converge",
                            (params->flags & VIR_DOMAIN_LOCK_MIGRATE_AUTO_CONVERGE) != 0);
    json_object_set_array_member(args, "capabilities", g_steal_pointer(&list));
    return virStreamCommand(obj, "migrate-set-capabilities", args, error);
}

static gboolean
virStreamSetParameters(virDomainLockObj *obj, const virMigrateParams *params,
                       gboolean incoming, GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();
    gboolean compressed = (params->flags & VIR_DOMAIN_LOCK_MIGRATE_COMPRESSED) != 0;

    json_object_set_string_member(args, "tls-creds", VIR_MIGRATE_TLS_ID);
    json_object_set_int_member(args, "multifd-channels",
                               params->connections > 0 ? params->connections
                                                       : STREAM_CONNECTIONS);
    json_object_set_string_member(args, "multifd-compression",
                                  compressed ? "zlib" : "none");
    if (!incoming) {
        json_object_set_int_member(args, "max-bandwidth",
                                   params->bandwidth > 0 ? (gint64)params->bandwidth
                                                         : STREAM_NO_LIMIT);
        json_object_set_int_member(args, "downtime-limit",
                                   params->downtimeMsec > 0 ? params->downtimeMsec
                                                            : STREAM_DOWNTIME_MSEC);
    }
    return virStreamCommand(obj, "migrate-set-parameters", args, error);
}

gboolean
virMigrateStreamSetUp(virDomainLockObj *obj, const virMigrateParams *params,
                      const char *key, gboolean incoming, GError **error)
{
    return virMigrateTlsAdd(obj, key, incoming, error) &&
           virStreamSetCapabilities(obj, params, incoming, error) &&
           virStreamSetParameters(obj, params, incoming, error);
}

void
virMigrateStreamTearDown(virDomainLockObj *obj)
{
    g_autoptr(JsonObject) none = json_object_new();
    g_autoptr(GError) why = NULL;

    json_object_set_string_member(none, "tls-creds", "");
    if (!virStreamCommand(obj, "migrate-set-parameters", none, &why))
        g_debug("QEMU's migration keeps its credentials: %s", why->message);
    virMigrateTlsRemove(obj);
}

/* --- what QEMU says ----------------------------------------------------------------- */

static JsonNode *
virStreamAsk(virDomainLockObj *obj, gint64 deadlineUsec, GError **error)
{
    g_autoptr(JsonNode) answer =
        obj->guest->ops->command(obj->guest, "query-migrate", NULL, deadlineUsec, error);

    if (!answer || JSON_NODE_HOLDS_OBJECT(answer))
        return g_steal_pointer(&answer);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                "QEMU's answer to query-migrate is no object");
    return NULL;
}

gboolean
virMigrateStreamQueryBy(virDomainLockObj *obj, gint64 deadlineUsec,
                        virMigrateProgress *progress, GError **error)
{
    g_autoptr(JsonNode) answer = virStreamAsk(obj, deadlineUsec, error);
    JsonObject *object = answer ? json_node_get_object(answer) : NULL;
    JsonObject *ram = virDomainLockJsonObject(object, "ram");
    const char *status = virDomainLockJsonString(object, "status");

    virMigrateProgressClear(progress);
    g_strlcpy(progress->status, status ? status : "none", sizeof(progress->status));
    progress->totalBytes = virDomainLockJsonInt(ram, "total", 0);
    progress->remainingBytes = virDomainLockJsonInt(ram, "remaining", 0);
    progress->passes = virDomainLockJsonInt(ram, "dirty-sync-count", 0);
    progress->failure = g_strdup(virDomainLockJsonString(object, "error-desc"));
    return object != NULL;
}

gboolean
virMigrateStreamQuery(virDomainLockObj *obj, virMigrateProgress *progress, GError **error)
{
    return virMigrateStreamQueryBy(obj, g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC,
                                   progress, error);
}

void
virMigrateStreamAwait(virDomainLockObj *obj, guint64 serial, gint64 deadlineUsec,
                      GCancellable *cancellable)
{
    /* whatever ends the wait, the caller asks QEMU next */
    g_autoptr(JsonNode) data = obj->guest->ops->waitEvent(
        obj->guest, "MIGRATION", serial, deadlineUsec, cancellable, NULL);
}

static char *
virStreamUri(const char *host, const char *port)
{
    return strchr(host, ':') ? g_strdup_printf("tcp:[%s]:%s", host, port)
                             : g_strdup_printf("tcp:%s:%s", host, port);
}

/* Port 0 let the kernel choose; QEMU says which one it was. */
static char *
virStreamFindPort(virDomainLockObj *obj, GError **error)
{
    g_autoptr(JsonNode) answer =
        virStreamAsk(obj, g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC, error);
    JsonObject *object = answer ? json_node_get_object(answer) : NULL;
    JsonArray *addresses = virDomainLockJsonArray(object, "socket-address");
    JsonNode *first = addresses && json_array_get_length(addresses) > 0
                          ? json_array_get_element(addresses, 0)
                          : NULL;
    const char *port = first && JSON_NODE_HOLDS_OBJECT(first)
                           ? virDomainLockJsonString(json_node_get_object(first), "port")
                           : NULL;

    if (object && !port)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                    "QEMU does not say on which port it listens");
    return g_strdup(port);
}

char *
virMigrateStreamListen(virDomainLockObj *obj, const char *address, GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();
    g_autofree char *any = virStreamUri(address, "0");
    g_autofree char *port = NULL;

    json_object_set_string_member(args, "uri", any);
    if (!virStreamCommand(obj, "migrate-incoming", args, error))
        return NULL;
    port = virStreamFindPort(obj, error);
    return port ? virStreamUri(address, port) : NULL;
}

guint16
virMigrateStreamPort(const char *uri)
{
    const char *colon = strrchr(uri, ':');
    guint64 port = 0;

    if (!colon || !g_ascii_string_to_unsigned(colon + 1, 10, 1, G_MAXUINT16, &port, NULL))
        return 0;
    return (guint16)port;
}

gboolean
virMigrateStreamHasBeen(virDomainLockObj *obj, const char *status, guint64 serial)
{
    const virDomainLockEventOf wanted = {
        .event = "MIGRATION", .key = "status", .value = status, .since = serial};
    g_autoptr(JsonNode) data = obj->guest->ops->waitEventOf(
        obj->guest, &wanted, g_get_monotonic_time(), NULL, NULL);

    return data != NULL;
}

static char *
virStreamQueryStatus(virDomainLockObj *obj, GError **error)
{
    g_autoptr(JsonNode) answer = obj->guest->ops->command(
        obj->guest, "query-status", NULL, g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC,
        error);
    const char *status = answer && JSON_NODE_HOLDS_OBJECT(answer)
                             ? virDomainLockJsonString(json_node_get_object(answer),
                                                       "status")
                             : NULL;

    return answer ? g_strdup(status ? status : "?") : NULL;
}

char *
virMigrateStreamGetRunState(virDomainLockObj *obj, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + STREAM_FINISH_USEC;

    for (;;) {
        g_autofree char *status = virStreamQueryStatus(obj, error);

        if (!status || !g_str_equal(status, "finish-migrate") ||
            g_get_monotonic_time() >= deadline)
            return g_steal_pointer(&status);
        g_usleep(STREAM_FINISH_NAP_USEC);
    }
}
