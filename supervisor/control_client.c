/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_client.c: one client of the control socket, from its first byte to its last.
 */
#include "supervisor/control_client.h"
#include "supervisor/control_auth.h"
#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>

/* Ample for a person who types; it costs a descriptor and a timer. */
#define CLIENT_AUTH_TIMEOUT_SEC 10

struct _virControlClient {
    virControlStream *stream; /* NULL: IS_GONE */
    virControlLifeline *lifeline;
    virControlClientState state;
    pid_t pid;
    virControlClientFunc func;
    gpointer data;

    virControlAuth auth;
    GString *line; /* of the handshake: what came of it so far */
    gboolean greeted; /* the NUL byte came */
    guint source;
    guint timer;

    GDBusConnection *connection;
};

static void
virControlClientMove(virControlClient *client, virControlClientState state)
{
    client->state = state;
    client->func(client, state, client->data);
}

static void
virControlClientEndHandshake(virControlClient *client)
{
    g_clear_handle_id(&client->source, g_source_remove);
    g_clear_handle_id(&client->timer, g_source_remove);
    if (client->line)
        g_string_free(g_steal_pointer(&client->line), TRUE);
}

/* Not for a client that reads nothing: nobody waits for it. */
static gboolean
virControlClientSay(virControlClient *client, const char *text, gsize len)
{
    return send(virControlStreamGetFd(client->stream), text, len,
                MSG_NOSIGNAL | MSG_DONTWAIT) == (gssize)len;
}

/* --- the connection ----------------------------------------------------------------- */

static void
virControlClientClosed(GDBusConnection *connection, gboolean vanished, GError *error,
                       gpointer data)
{
    (void)connection;
    (void)vanished;
    (void)error;
    virControlClientHangUp(data, NULL);
}

static void
virControlClientConnect(virControlClient *client)
{
    g_autoptr(GError) why = NULL;

    virControlClientEndHandshake(client);
    client->connection = virControlStreamConnect(client->stream, &why);
    if (!client->connection) {
        g_warning("a client of the control socket cannot be served: %s", why->message);
        virControlClientHangUp(client, NULL);
        return;
    }
    g_signal_connect(client->connection, "closed", G_CALLBACK(virControlClientClosed),
                     client);
    virControlClientMove(client, VIR_CONTROL_CLIENT_TALKS);
    if (client->state == VIR_CONTROL_CLIENT_TALKS)
        g_dbus_connection_start_message_processing(client->connection);
}

/* --- the handshake ------------------------------------------------------------------ */

static virControlAuthResult
virControlClientTakeLine(virControlClient *client)
{
    g_autoptr(GString) reply = g_string_new(NULL);
    GString *line = client->line;
    virControlAuthResult result = VIR_CONTROL_AUTH_FAILED;

    if (line->len >= 2 && line->str[line->len - 2] == '\r')
        result = virControlAuthLine(&client->auth, line->str, line->len - 2, reply);
    g_string_truncate(line, 0);
    if (reply->len > 0 && !virControlClientSay(client, reply->str, reply->len))
        return VIR_CONTROL_AUTH_FAILED;
    return result;
}

/* Takes what there is up to the end of a line, and no byte of what comes after it: behind
 * the last one messages begin, which are GDBus's to read. 0: nothing there now. */
static gssize
virControlClientReceive(virControlClient *client)
{
    int fd = virControlStreamGetFd(client->stream);
    char bytes[VIR_CONTROL_AUTH_LINE_MAX + 2];
    ssize_t n = recv(fd, bytes, client->greeted ? sizeof(bytes) : 1, MSG_PEEK);
    const char *end = n > 0 ? memchr(bytes, '\n', (size_t)n) : NULL;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n > 0)
        n = recv(fd, bytes, end ? (size_t)(end - bytes) + 1 : (size_t)n, 0);
    if (n <= 0)
        return -1;
    if (client->greeted)
        g_string_append_len(client->line, bytes, n);
    else if (*bytes != '\0')
        return -1;
    client->greeted = TRUE;
    return n;
}

static virControlAuthResult
virControlClientGreet(virControlClient *client)
{
    virControlAuthResult result = VIR_CONTROL_AUTH_MORE;

    while (result == VIR_CONTROL_AUTH_MORE) {
        gssize n = virControlClientReceive(client);
        GString *line = client->line;

        if (n < 0 || line->len > VIR_CONTROL_AUTH_LINE_MAX + 2)
            return VIR_CONTROL_AUTH_FAILED;
        if (n == 0)
            return VIR_CONTROL_AUTH_MORE;
        if (line->len > 0 && line->str[line->len - 1] == '\n')
            result = virControlClientTakeLine(client);
    }
    return result;
}

static gboolean
virControlClientReadable(gint fd, GIOCondition condition, gpointer data)
{
    virControlClient *client = data;

    (void)fd;
    (void)condition;
    switch (virControlClientGreet(client)) {
    case VIR_CONTROL_AUTH_MORE:
        return G_SOURCE_CONTINUE;
    case VIR_CONTROL_AUTH_DONE:
        client->source = 0;
        virControlClientConnect(client);
        break;
    case VIR_CONTROL_AUTH_FAILED:
        client->source = 0;
        g_debug("process %d did not authenticate to the control socket", client->pid);
        virControlClientHangUp(client, NULL);
        break;
    }
    return G_SOURCE_REMOVE;
}

static gboolean
virControlClientTooSlow(gpointer data)
{
    virControlClient *client = data;

    client->timer = 0;
    g_debug("process %d did not authenticate to the control socket within %d s",
              client->pid, CLIENT_AUTH_TIMEOUT_SEC);
    virControlClientHangUp(client, NULL);
    return G_SOURCE_REMOVE;
}

/* --- life --------------------------------------------------------------------------- */

virControlClient *
virControlClientNew(int fd, pid_t pid, uid_t uid, virControlClientFunc func, gpointer data)
{
    virControlClient *client = g_new0(virControlClient, 1);

    client->stream = virControlStreamNew(fd);
    client->lifeline =
        virControlLifelineRef(virControlStreamGetLifeline(client->stream));
    client->pid = pid;
    client->func = func;
    client->data = data;
    virControlAuthInit(&client->auth, uid);
    client->line = g_string_new(NULL);
    client->source =
        g_unix_fd_add(fd, G_IO_IN | G_IO_HUP, virControlClientReadable, client);
    client->timer =
        g_timeout_add_seconds(CLIENT_AUTH_TIMEOUT_SEC, virControlClientTooSlow, client);
    return client;
}

/* The last reference to a connection may be that of a job that runs for it. */
static void
virControlClientLetGo(virControlClient *client)
{
    if (client->connection)
        g_signal_handlers_disconnect_by_data(client->connection, client);
    g_clear_object(&client->connection);
    g_clear_pointer(&client->stream, virControlStreamUnref);
}

void
virControlClientHangUp(virControlClient *client, const char *why)
{
    if (client->state == VIR_CONTROL_CLIENT_IS_GONE)
        return;
    if (why && client->state == VIR_CONTROL_CLIENT_GREETS) {
        g_autofree char *line = g_strdup_printf("ERROR %s\r\n", why);

        (void)virControlClientSay(client, line, strlen(line));
    }
    virControlClientEndHandshake(client);
    virControlStreamHangUp(client->stream);
    virControlClientMove(client, VIR_CONTROL_CLIENT_IS_GONE);
    virControlClientLetGo(client);
}

void
virControlClientFree(virControlClient *client)
{
    virControlClientEndHandshake(client);
    if (client->stream)
        virControlStreamHangUp(client->stream);
    virControlClientLetGo(client);
    virControlLifelineUnref(client->lifeline);
    g_free(client);
}

virControlClientState
virControlClientGetState(virControlClient *client)
{
    return client->state;
}

pid_t
virControlClientGetPid(virControlClient *client)
{
    return client->pid;
}

GDBusConnection *
virControlClientGetConnection(virControlClient *client)
{
    return client->connection;
}

gboolean
virControlClientIsForgotten(virControlClient *client)
{
    return client->state == VIR_CONTROL_CLIENT_IS_GONE &&
           virControlLifelineIsLast(client->lifeline);
}

void
virControlClientEmit(virControlClient *client, const char *interface, const char *name,
                     GVariant *parameters)
{
    g_autoptr(GVariant) owned = g_variant_ref_sink(parameters);
    g_autoptr(GError) why = NULL;

    if (!client->connection)
        return;
    virControlStreamCountSignal(client->stream);
    if (!g_dbus_connection_emit_signal(client->connection, NULL, "/io/leasehold/Guest",
                                       interface, name, owned, &why))
        g_debug("a client of the control socket is gone: %s", why->message);
}
