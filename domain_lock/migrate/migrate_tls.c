/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate_tls.c: see migrate_tls.h.
 *
 * The stream is TLS with a key that lives for one migration and travels over the channel, so
 * that nothing listens in the clear and no certificates are needed. QEMU takes it from keys.psk
 * in a folder; that is the guest's runtime folder, which only its user may enter.
 */
#include "migrate_tls.h"
#include "common/fd.h"
#include "domain_lock/sequence.h"
#include "migrate.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define TLS_USER "leasehold"
#define TLS_KEY_FILE "keys.psk"
#define TLS_GROUP_FILE "dh-params.pem"
#define TLS_KEY_BYTES 32

/* ffdhe2048 of RFC 7919, a public constant. A QEMU that listens and finds no such file makes up
 * a group of its own, which takes seconds, now and then more than ten. */
static const char tlsGroup[] =
    "-----BEGIN DH PARAMETERS-----\n"
    "MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz\n"
    "+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a\n"
    "87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7\n"
    "YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi\n"
    "7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD\n"
    "ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==\n"
    "-----END DH PARAMETERS-----\n";

/* --- the key ------------------------------------------------------------------------ */

char *
virMigrateStreamNewKey(GError **error)
{
    guint8 bytes[TLS_KEY_BYTES];
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

/* --- its file ----------------------------------------------------------------------- */

static gboolean
virTlsWriteFile(virDomainLockObj *obj, const char *name, const char *text, GError **error)
{
    g_autofree char *path =
        g_build_filename(virDomainLockRuntimeGetPath(obj->runtime), name, NULL);
    g_auto(virFd) fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int rc = fd < 0 ? errno : virFdWriteFull(fd, text, strlen(text));

    if (rc == 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "cannot write '%s' for the migration: %s", path, g_strerror(rc));
    return FALSE;
}

static gboolean
virTlsWriteKey(virDomainLockObj *obj, const char *key, GError **error)
{
    g_autofree char *line = g_strdup_printf("%s:%s\n", TLS_USER, key);
    gboolean ok = virTlsWriteFile(obj, TLS_KEY_FILE, line, error);

    explicit_bzero(line, strlen(line));
    return ok;
}

void
virMigrateTlsForget(virDomainLockObj *obj)
{
    static const char *const names[] = {TLS_KEY_FILE, TLS_GROUP_FILE};

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path =
            g_build_filename(virDomainLockRuntimeGetPath(obj->runtime), names[i], NULL);

        (void)unlink(path);
    }
}

/* --- QEMU's object ------------------------------------------------------------------ */

static gboolean
virTlsCommand(virDomainLockObj *obj, const char *name, JsonObject *args, GError **error)
{
    g_autoptr(JsonNode) answer = obj->guest->ops->command(
        obj->guest, name, args, g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC, error);

    return answer != NULL;
}

static gboolean
virTlsAddObject(virDomainLockObj *obj, gboolean incoming, GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();

    json_object_set_string_member(args, "qom-type", "tls-creds-psk");
    json_object_set_string_member(args, "id", VIR_MIGRATE_TLS_ID);
    json_object_set_string_member(args, "endpoint", incoming ? "server" : "client");
    json_object_set_string_member(args, "dir",
                                  virDomainLockRuntimeGetPath(obj->runtime));
    if (!incoming)
        json_object_set_string_member(args, "username", TLS_USER);
    return virTlsCommand(obj, "object-add", args, error);
}

gboolean
virMigrateTlsAdd(virDomainLockObj *obj, const char *key, gboolean incoming, GError **error)
{
    gboolean ok;

    virMigrateTlsForget(obj); /* what an earlier attempt left, whose supervisor died */
    ok = virTlsWriteKey(obj, key, error) &&
         (!incoming || virTlsWriteFile(obj, TLS_GROUP_FILE, tlsGroup, error)) &&
         virTlsAddObject(obj, incoming, error);
    /* GnuTLS reads a server's key file at each handshake, a client's now */
    if (!incoming || !ok)
        virMigrateTlsForget(obj);
    return ok;
}

void
virMigrateTlsRemove(virDomainLockObj *obj)
{
    g_autoptr(JsonObject) id = json_object_new();
    g_autoptr(GError) why = NULL;

    virMigrateTlsForget(obj);
    json_object_set_string_member(id, "id", VIR_MIGRATE_TLS_ID);
    if (!virTlsCommand(obj, "object-del", id, &why))
        g_debug("the key of the migration stays known to QEMU: %s", why->message);
}
