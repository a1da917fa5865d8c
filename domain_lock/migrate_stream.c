/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate_stream.c: what both sides of a migration tell QEMU.
 *
 * The stream is TLS with a key that lives for one migration and travels over the channel, so
 * that nothing listens in the clear and no certificates are needed. QEMU reads it from
 * keys.psk in a folder; that is the guest's runtime folder, which only its user may enter.
 *
 * Every capability is set to a value, also to "off": an earlier attempt may have left it on.
 */
#include "codec.h"
#include "common/fd.h"
#include "migrate.h"
#include "sequence.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define STREAM_TLS_ID "leasehold-migrate"
#define STREAM_USER "leasehold"
#define STREAM_KEY_FILE "keys.psk"
#define STREAM_GROUP_FILE "dh-params.pem"
#define STREAM_KEY_BYTES 32
/* Not a limit: QEMU wants a number below SSIZE_MAX. */
#define STREAM_NO_LIMIT (G_MAXINT64 / (1024 * 1024) * (1024 * 1024))
#define STREAM_DOWNTIME_MSEC 300 /* QEMU's default, said so that an earlier attempt's goes */
#define STREAM_CONNECTIONS 2

/* ffdhe2048 of RFC 7919, a public constant. A QEMU that listens and finds no such file makes up
 * a group of its own, which takes seconds, now and then more than ten. */
static const char streamGroup[] =
    "-----BEGIN DH PARAMETERS-----\n"
    "MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz\n"
    "+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a\n"
    "87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7\n"
    "YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi\n"
    "7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD\n"
    "ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==\n"
    "-----END DH PARAMETERS-----\n";

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

/* --- the key ------------------------------------------------------------------------ */

char *
virMigrateStreamNewKey(GError **error)
{
    guint8 bytes[STREAM_KEY_BYTES];
    GString *key = g_string_sized_new(2 * sizeof(bytes));

    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "the kernel gives no random numbers: %s", g_strerror(errno));
        g_string_free(key, TRUE);
        return NULL;
    }
    for (gsize i = 0; i < sizeof(bytes); i++)
        g_string_append_printf(key, "%02x", bytes[i]);
    explicit_bzero(bytes, sizeof(bytes));
    return g_string_free(key, FALSE);
}

static gboolean
virStreamWriteFile(virDomainLockObj *obj, const char *name, const char *text,
                   GError **error)
{
    g_autofree char *path =
        g_build_filename(virDomainLockRuntimeGetPath(obj->runtime), name, NULL);
    g_auto(virFd) fd = -1;
    int rc;

    (void)unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    rc = fd < 0 ? errno : virFdWriteFull(fd, text, strlen(text));
    if (rc == 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "cannot write '%s' for the migration: %s", path, g_strerror(rc));
    return FALSE;
}

static void
virStreamRemoveFile(virDomainLockObj *obj, const char *name)
{
    g_autofree char *path =
        g_build_filename(virDomainLockRuntimeGetPath(obj->runtime), name, NULL);

    (void)unlink(path);
}

static gboolean
virStreamWriteKey(virDomainLockObj *obj, const char *key, GError **error)
{
    g_autofree char *line = g_strdup_printf("%s:%s\n", STREAM_USER, key);
    gboolean ok = virStreamWriteFile(obj, STREAM_KEY_FILE, line, error);

    explicit_bzero(line, strlen(line));
    return ok;
}

static gboolean
virStreamAddKey(virDomainLockObj *obj, const char *key, gboolean incoming, GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();

    if (!virStreamWriteKey(obj, key, error) ||
        (incoming && !virStreamWriteFile(obj, STREAM_GROUP_FILE, streamGroup, error)))
        return FALSE;
    json_object_set_string_member(args, "qom-type", "tls-creds-psk");
    json_object_set_string_member(args, "id", STREAM_TLS_ID);
    json_object_set_string_member(args, "endpoint", incoming ? "server" : "client");
    json_object_set_string_member(args, "dir",
                                  virDomainLockRuntimeGetPath(obj->runtime));
    if (!incoming)
        json_object_set_string_member(args, "username", STREAM_USER);
    return virStreamCommand(obj, "object-add", args, error);
}

void
virMigrateStreamTearDown(virDomainLockObj *obj)
{
    g_autoptr(JsonObject) id = json_object_new();
    g_autoptr(JsonObject) none = json_object_new();
    g_autoptr(GError) why = NULL;

    virStreamRemoveFile(obj, STREAM_KEY_FILE);
    virStreamRemoveFile(obj, STREAM_GROUP_FILE);
    json_object_set_string_member(none, "tls-creds", "");
    json_object_set_string_member(id, "id", STREAM_TLS_ID);
    if (!virStreamCommand(obj, "migrate-set-parameters", none, &why) ||
        !virStreamCommand(obj, "object-del", id, &why))
        g_debug("the key of the migration stays known to QEMU: %s", why->message);
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

/* zlib is the one compression that every QEMU has, and it needs multifd. */
static gboolean
virStreamIsParallel(const virMigrateParams *params)
{
    return params->connections > 0 ||
           (params->flags & VIR_DOMAIN_LOCK_MIGRATE_COMPRESSED) != 0;
}

static gboolean
virStreamSetCapabilities(virDomainLockObj *obj, const virMigrateParams *params,
                         gboolean incoming, GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();
    JsonArray *list = json_array_new();

    virStreamCapability(list, "events", TRUE);
    virStreamCapability(list, "multifd", virStreamIsParallel(params));
    if (incoming)
        virStreamCapability(list, "late-block-activate", TRUE);
    else
        virStreamCapability(list, "auto-converge",
                            (params->flags & VIR_DOMAIN_LOCK_MIGRATE_AUTO_CONVERGE) != 0);
    json_object_set_array_member(args, "capabilities", list);
    return virStreamCommand(obj, "migrate-set-capabilities", args, error);
}

static gboolean
virStreamSetParameters(virDomainLockObj *obj, const virMigrateParams *params,
                       gboolean incoming, GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();
    gboolean compressed = (params->flags & VIR_DOMAIN_LOCK_MIGRATE_COMPRESSED) != 0;

    json_object_set_string_member(args, "tls-creds", STREAM_TLS_ID);
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
    return virStreamAddKey(obj, key, incoming, error) &&
           virStreamSetCapabilities(obj, params, incoming, error) &&
           virStreamSetParameters(obj, params, incoming, error);
}

/* --- what QEMU says ----------------------------------------------------------------- */

static JsonNode *
virStreamAsk(virDomainLockObj *obj, GError **error)
{
    g_autoptr(JsonNode) answer = obj->guest->ops->command(
        obj->guest, "query-migrate", NULL, g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC,
        error);

    if (!answer || JSON_NODE_HOLDS_OBJECT(answer))
        return g_steal_pointer(&answer);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                "QEMU's answer to query-migrate is no object");
    return NULL;
}

gboolean
virMigrateStreamQuery(virDomainLockObj *obj, virMigrateProgress *progress, GError **error)
{
    g_autoptr(JsonNode) answer = virStreamAsk(obj, error);
    JsonObject *object = answer ? json_node_get_object(answer) : NULL;
    JsonObject *ram = virDomainLockJsonObject(object, "ram");
    const char *status = virDomainLockJsonString(object, "status");

    virMigrateProgressClear(progress);
    g_strlcpy(progress->status, status ? status : "none", sizeof(progress->status));
    progress->totalBytes = virDomainLockJsonInt(ram, "total", 0);
    progress->remainingBytes = virDomainLockJsonInt(ram, "remaining", 0);
    progress->failure = g_strdup(virDomainLockJsonString(object, "error-desc"));
    return object != NULL;
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
    g_autoptr(JsonNode) answer = virStreamAsk(obj, error);
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
