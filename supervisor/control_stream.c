/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_stream.c: the bytes of one connection of the control socket.
 *
 * Bytes are counted as they come in: GDBus reads one message at a time and says how many bytes
 * it still wants of it. A filter sees each message come in, whole, and each one on its way out.
 * Every call is made to want an answer, so that each that came in is balanced by one that goes
 * out. Reading, writing and the filter are all in GDBus's thread.
 */
#include "supervisor/control_stream.h"
#include "common/fd.h"
#include "supervisor/control_bus.h"
#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>
#include <sys/socket.h>

/* The fixed part of a header, which GDBus reads first: it has the length of the rest. */
#define VIR_CONTROL_HEADER_BYTES 16

struct _virControlStream {
    gatomicrefcount refs;
    virControlLifeline *lifeline;
    int fd;
    gint signals;      /* atomic: queued */
    GHashTable *calls; /* serial -> bytes: not answered yet; GDBus's thread only, as all below */
    gsize unanswered;  /* bytes of @calls and of the message that comes in */
    gsize incoming;    /* bytes of that alone */
    guint8 header[VIR_CONTROL_HEADER_BYTES]; /* its first bytes */
    gboolean onBus;    /* the client believes that this is a message bus */
};

virControlLifeline *
virControlLifelineRef(virControlLifeline *lifeline)
{
    g_atomic_ref_count_inc(lifeline);
    return lifeline;
}

void
virControlLifelineUnref(virControlLifeline *lifeline)
{
    if (g_atomic_ref_count_dec(lifeline))
        g_free(lifeline);
}

gboolean
virControlLifelineIsLast(virControlLifeline *lifeline)
{
    return g_atomic_ref_count_compare(lifeline, 1);
}

virControlStream *
virControlStreamNew(int fd)
{
    virControlStream *stream = g_new0(virControlStream, 1);

    g_atomic_ref_count_init(&stream->refs);
    stream->lifeline = g_new0(virControlLifeline, 1);
    g_atomic_ref_count_init(stream->lifeline);
    stream->fd = fd;
    stream->calls = g_hash_table_new(NULL, NULL);
    return stream;
}

virControlStream *
virControlStreamRef(virControlStream *stream)
{
    g_atomic_ref_count_inc(&stream->refs);
    return stream;
}

void
virControlStreamUnref(virControlStream *stream)
{
    if (!g_atomic_ref_count_dec(&stream->refs))
        return;
    virFdClose(stream->fd);
    g_hash_table_unref(stream->calls);
    virControlLifelineUnref(stream->lifeline);
    g_free(stream);
}

int
virControlStreamGetFd(virControlStream *stream)
{
    return stream->fd;
}

virControlLifeline *
virControlStreamGetLifeline(virControlStream *stream)
{
    return stream->lifeline;
}

void
virControlStreamHangUp(virControlStream *stream)
{
    (void)shutdown(stream->fd, SHUT_RDWR);
}

/* --- reading ------------------------------------------------------------------------ */

typedef struct {
    GUnixInputStream parent;
    virControlStream *stream;
} virControlInput;
typedef GUnixInputStreamClass virControlInputClass;

GType vir_control_input_get_type(void);
G_DEFINE_TYPE(virControlInput, vir_control_input, G_TYPE_UNIX_INPUT_STREAM)

/* What a message of this header would be is seen before GDBus makes room for it. */
static gboolean
virControlStreamHasRoom(virControlStream *stream, gsize count)
{
    gsize room = VIR_CONTROL_UNANSWERED_MAX - stream->unanswered;

    if (stream->incoming == VIR_CONTROL_HEADER_BYTES) {
        gssize needed = g_dbus_message_bytes_needed(stream->header,
                                                    VIR_CONTROL_HEADER_BYTES, NULL);

        if (needed > VIR_CONTROL_HEADER_BYTES)
            count = (gsize)needed - VIR_CONTROL_HEADER_BYTES;
    }
    return count <= room;
}

static gboolean
virControlStreamRefuse(GError **error)
{
    g_debug("a client of the control socket is hung up on: it asks more than %d bytes "
              "without an answer",
              VIR_CONTROL_UNANSWERED_MAX);
    g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE,
                        "too much without an answer");
    return FALSE;
}

static void
virControlStreamCount(virControlStream *stream, const guint8 *bytes, gsize n)
{
    if (stream->incoming < VIR_CONTROL_HEADER_BYTES)
        memcpy(stream->header + stream->incoming, bytes,
               MIN(n, VIR_CONTROL_HEADER_BYTES - stream->incoming));
    stream->unanswered += n;
    stream->incoming += n;
}

static gssize
virControlInputRead(GInputStream *base, void *buffer, gsize count,
                    GCancellable *cancellable, GError **error)
{
    virControlStream *stream = ((virControlInput *)base)->stream;
    gssize n = 0;

    if (!virControlStreamHasRoom(stream, count) && !virControlStreamRefuse(error))
        return -1;
    n = G_INPUT_STREAM_CLASS(vir_control_input_parent_class)
            ->read_fn(base, buffer, count, cancellable, error);
    if (n <= 0)
        return n;
    virControlStreamCount(stream, buffer, (gsize)n);
    if (!virControlStreamHasRoom(stream, 0) && !virControlStreamRefuse(error))
        return -1;
    return n;
}

static void
virControlInputFinalize(GObject *object)
{
    virControlStreamUnref(((virControlInput *)object)->stream);
    G_OBJECT_CLASS(vir_control_input_parent_class)->finalize(object);
}

static void
vir_control_input_class_init(virControlInputClass *klass)
{
    G_INPUT_STREAM_CLASS(klass)->read_fn = virControlInputRead;
    G_OBJECT_CLASS(klass)->finalize = virControlInputFinalize;
}

static void
vir_control_input_init(virControlInput *self)
{
    (void)self;
}

/* --- counting ----------------------------------------------------------------------- */

void
virControlStreamCountSignal(virControlStream *stream)
{
    if (g_atomic_int_add(&stream->signals, 1) < VIR_CONTROL_PENDING_MAX)
        return;
    g_debug("a client of the control socket is hung up on: it does not read");
    virControlStreamHangUp(stream);
}

/* TRUE: a call, and it will be answered. */
static gboolean
virControlStreamTakeCall(virControlStream *stream, GDBusMessage *message)
{
    gsize size = stream->incoming;
    gpointer serial = GUINT_TO_POINTER(g_dbus_message_get_serial(message));

    stream->incoming = 0;
    if (g_dbus_message_get_message_type(message) != G_DBUS_MESSAGE_TYPE_METHOD_CALL) {
        stream->unanswered -= size;
        return FALSE;
    }
    if (g_hash_table_size(stream->calls) >= VIR_CONTROL_PENDING_MAX ||
        !g_hash_table_insert(stream->calls, serial, GSIZE_TO_POINTER(size))) {
        g_debug("a client of the control socket is hung up on: more than %d calls without "
                  "an answer, or two of one serial number",
                  VIR_CONTROL_PENDING_MAX);
        virControlStreamHangUp(stream);
        return FALSE;
    }
    return TRUE;
}

/* A call that wants no answer gets one all the same, because answers are what is counted. What
 * came in is locked by then, so another message stands for it. Consumes @message. */
static GDBusMessage *
virControlStreamWantAnswer(GDBusMessage *message)
{
    GDBusMessageFlags flags = g_dbus_message_get_flags(message);
    GDBusMessage *wanting;

    if (!(flags & G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED))
        return message;
    wanting = g_dbus_message_copy(message, NULL);
    if (!wanting) /* its descriptors could not be copied: it is dropped, and counts */
        return message;
    g_dbus_message_set_flags(wanting,
                             flags & ~G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
    g_object_unref(message);
    return wanting;
}

static void
virControlStreamGiveAnswer(virControlStream *stream, GDBusMessage *message)
{
    gpointer serial = GUINT_TO_POINTER(g_dbus_message_get_reply_serial(message));
    gpointer size = NULL;

    if (g_dbus_message_get_message_type(message) == G_DBUS_MESSAGE_TYPE_SIGNAL)
        (void)g_atomic_int_add(&stream->signals, -1);
    else if (g_hash_table_steal_extended(stream->calls, serial, NULL, &size))
        stream->unanswered -= GPOINTER_TO_SIZE(size);
}

static void
virControlStreamAnswerBus(GDBusConnection *connection, GDBusMessage *call)
{
    g_autoptr(GDBusMessage) answer = virControlBusAnswer(call);

    (void)g_dbus_connection_send_message(connection, answer,
                                         G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

static GDBusMessage *
virControlStreamFilter(GDBusConnection *connection, GDBusMessage *message,
                       gboolean incoming, gpointer data)
{
    virControlStream *stream = data;

    if (!incoming) {
        virControlStreamGiveAnswer(stream, message);
        return stream->onBus ? virControlBusSign(message) : message;
    }
    if (virControlStreamTakeCall(stream, message)) {
        if (!virControlBusIsFor(message))
            return virControlStreamWantAnswer(message);
        stream->onBus = TRUE;
        virControlStreamAnswerBus(connection, message);
    }
    g_object_unref(message);
    return NULL;
}

static void
virControlStreamDropped(gpointer data)
{
    virControlStreamUnref(data);
}

/* --- connecting --------------------------------------------------------------------- */

GDBusConnection *
virControlStreamConnect(virControlStream *stream, GError **error)
{
    virControlInput *input = g_object_new(vir_control_input_get_type(), "fd", stream->fd,
                                          "close-fd", FALSE, NULL);
    g_autoptr(GOutputStream) output = g_unix_output_stream_new(stream->fd, FALSE);
    g_autoptr(GIOStream) both = g_simple_io_stream_new(G_INPUT_STREAM(input), output);
    GDBusConnection *connection = NULL;

    input->stream = virControlStreamRef(stream);
    /* a write that is under way keeps only its own half */
    g_object_set_data_full(G_OBJECT(output), "stream", virControlStreamRef(stream),
                           virControlStreamDropped);
    g_object_unref(input);
    connection = g_dbus_connection_new_sync(
        both, NULL, G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING, NULL, NULL, error);
    if (connection)
        (void)g_dbus_connection_add_filter(connection, virControlStreamFilter,
                                           virControlStreamRef(stream),
                                           virControlStreamDropped);
    return connection;
}
