/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client_message.c: one call and its answer, on a connection that carries nothing else.
 *
 * A GDBusConnection starts two threads and passes each message between them, which costs more
 * than most calls; whoever waits for one answer reads it here. What else arrives meanwhile,
 * signals, is passed over. Once the call has gone out, every end without an answer is "closed"
 * or "timed out": nobody said whether it was done (I8), and none lasts longer than its bound (I9).
 */
#include "client.h"
#include "common/fd.h"
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

/* What g_dbus_message_bytes_needed wants to see; its second byte is the type. */
#define MESSAGE_HEAD 16
#define MESSAGE_TYPE 1
#define MESSAGE_SERIAL 1

static void
virMessageSetClosed(GError **error)
{
    g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_CLOSED, "The connection is closed");
}

static gboolean
virMessageAwait(int fd, short events, gint64 deadlineUsec, GError **error)
{
    struct pollfd poller = {.fd = fd, .events = events};

    for (;;) {
        int timeoutMsec = virPollTimeoutMsec(deadlineUsec);

        if (poll(&poller, 1, timeoutMsec) > 0)
            return TRUE;
        if (timeoutMsec == 0)
            break;
    }
    g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "Timeout was reached");
    return FALSE;
}

static gboolean
virMessageSend(int fd, const guint8 *bytes, gsize len, gint64 deadlineUsec,
               GError **error)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0) {
            bytes += n;
            len -= (gsize)n;
        } else if (errno == EAGAIN) {
            if (!virMessageAwait(fd, POLLOUT, deadlineUsec, error))
                return FALSE;
        } else if (errno != EINTR) {
            virMessageSetClosed(error);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
virMessageRead(int fd, guint8 *bytes, gsize len, gint64 deadlineUsec, GError **error)
{
    while (len > 0) {
        ssize_t n = recv(fd, bytes, len, MSG_DONTWAIT);

        if (n > 0) {
            bytes += n;
            len -= (gsize)n;
        } else if (n < 0 && errno == EAGAIN) {
            if (!virMessageAwait(fd, POLLIN, deadlineUsec, error))
                return FALSE;
        } else if (n == 0 || errno != EINTR) {
            virMessageSetClosed(error);
            return FALSE;
        }
    }
    return TRUE;
}

/* The bytes of one message, or NULL. */
static guint8 *
virMessageReceiveBytes(int fd, gsize *len, gint64 deadlineUsec, GError **error)
{
    g_autofree guint8 *bytes = g_malloc(MESSAGE_HEAD);
    gssize needed;

    if (!virMessageRead(fd, bytes, MESSAGE_HEAD, deadlineUsec, error))
        return NULL;
    needed = g_dbus_message_bytes_needed(bytes, MESSAGE_HEAD, NULL);
    if (needed < MESSAGE_HEAD) {
        virMessageSetClosed(error);
        return NULL;
    }
    *len = (gsize)needed;
    bytes = g_realloc(bytes, *len);
    if (!virMessageRead(fd, bytes + MESSAGE_HEAD, *len - MESSAGE_HEAD, deadlineUsec,
                        error))
        return NULL;
    return g_steal_pointer(&bytes);
}

/* The next one that is no signal: to parse what is passed over costs as much as the answer. */
static GDBusMessage *
virMessageReceive(int fd, gint64 deadlineUsec, GError **error)
{
    g_autofree guint8 *bytes = NULL;
    GDBusMessage *message = NULL;
    gsize len = 0;

    do {
        g_free(bytes);
        bytes = virMessageReceiveBytes(fd, &len, deadlineUsec, error);
    } while (bytes && bytes[MESSAGE_TYPE] == G_DBUS_MESSAGE_TYPE_SIGNAL);
    if (!bytes)
        return NULL;
    message =
        g_dbus_message_new_from_blob(bytes, len, G_DBUS_CAPABILITY_FLAGS_NONE, NULL);
    if (!message)
        virMessageSetClosed(error);
    return message;
}

static GDBusMessage *
virMessageReceiveReply(int fd, gint64 deadlineUsec, GError **error)
{
    for (;;) {
        g_autoptr(GDBusMessage) message = virMessageReceive(fd, deadlineUsec, error);
        GDBusMessageType type;

        if (!message)
            return NULL;
        type = g_dbus_message_get_message_type(message);
        if ((type == G_DBUS_MESSAGE_TYPE_METHOD_RETURN ||
             type == G_DBUS_MESSAGE_TYPE_ERROR) &&
            g_dbus_message_get_reply_serial(message) == MESSAGE_SERIAL)
            return g_steal_pointer(&message);
    }
}

static GDBusMessage *
virMessageExchange(int fd, GDBusMessage *call, gint64 deadlineUsec, GError **error)
{
    g_autofree guint8 *bytes = NULL;
    gsize len = 0;

    g_dbus_message_set_serial(call, MESSAGE_SERIAL);
    bytes = g_dbus_message_to_blob(call, &len, G_DBUS_CAPABILITY_FLAGS_NONE, error);
    if (!bytes || !virMessageSend(fd, bytes, len, deadlineUsec, error))
        return NULL;
    return virMessageReceiveReply(fd, deadlineUsec, error);
}

GVariant *
virDomainLockCallOn(int fd, const char *interface, const char *method,
                    GVariant *parameters, gint timeoutMsec, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + timeoutMsec * (gint64)1000;
    g_autoptr(GDBusMessage) call =
        g_dbus_message_new_method_call(NULL, "/io/leasehold/Guest", interface, method);
    g_autoptr(GDBusMessage) reply = NULL;
    g_autoptr(GError) why = NULL;
    GVariant *body;

    if (parameters)
        g_dbus_message_set_body(call, parameters);
    reply = virMessageExchange(fd, call, deadline, &why);
    if (!reply || g_dbus_message_to_gerror(reply, &why)) {
        g_propagate_error(error, virDomainLockErrorFromRemote(why));
        return NULL;
    }
    body = g_dbus_message_get_body(reply);
    return body ? g_variant_ref(body) : g_variant_ref_sink(g_variant_new_tuple(NULL, 0));
}
