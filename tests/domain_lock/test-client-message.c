/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-client-message.c: a call over the control socket, with a supervisor that answers as it
 * should, in pieces, or not at all (I8, I9).
 *
 * Seen failing: with any answer taken for that of the call (a refusal of another one is told), with
 * a connection that ended told as any error (its outcome counts as known).
 */
#include "common/fd.h"
#include "domain_lock/client/client.h"
#include "tests/lib/vir_test.h"
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    int client;
    int supervisor;
} Fixture;

static void
setUp(Fixture *self, gconstpointer data)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    self->client = fds[0];
    self->supervisor = fds[1];
}

static void
tearDown(Fixture *self, gconstpointer data)
{
    virFdClose(self->client);
    virFdClose(self->supervisor);
}

/* Takes @message. What the supervisor says is there before the call: a socket keeps it. */
static void
say(Fixture *self, GDBusMessage *message, gsize most)
{
    g_autoptr(GDBusMessage) owned = message;
    g_autofree guint8 *bytes = NULL;
    gsize len = 0;

    g_dbus_message_set_serial(message, 7);
    bytes = g_dbus_message_to_blob(message, &len, G_DBUS_CAPABILITY_FLAGS_NONE, NULL);
    g_assert_nonnull(bytes);
    g_assert_cmpint(virFdWriteFull(self->supervisor, bytes, MIN(len, most)), ==, 0);
}

static GDBusMessage *
answer(GDBusMessageType type, guint32 to)
{
    GDBusMessage *message = g_dbus_message_new();

    g_dbus_message_set_message_type(message, type);
    g_dbus_message_set_reply_serial(message, to);
    if (type == G_DBUS_MESSAGE_TYPE_ERROR)
        g_dbus_message_set_error_name(message, "io.leasehold.Error.Busy");
    g_dbus_message_set_body(message, g_variant_new("(s)", "words"));
    return message;
}

static GVariant *
call(Fixture *self, gint timeoutMsec, GError **error)
{
    return virDomainLockCallOn(self->client, "io.leasehold.Guest1", "GetXMLDesc",
                               g_variant_new("(u)", 3), timeoutMsec, error);
}

/* --- answers -------------------------------------------------------------------------- */

static void
testWhatElseArrivesIsPassedOver(Fixture *self, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = NULL;
    const char *words = NULL;

    say(self,
        g_dbus_message_new_signal("/io/leasehold/Guest", "io.leasehold.Guest1", "Event"),
        G_MAXSIZE);
    say(self, answer(G_DBUS_MESSAGE_TYPE_ERROR, 2), G_MAXSIZE);
    say(self, answer(G_DBUS_MESSAGE_TYPE_METHOD_RETURN, 1), G_MAXSIZE);
    reply = call(self, 10000, &error);

    virAssertNoError(error);
    g_variant_get(reply, "(&s)", &words);
    g_assert_cmpstr(words, ==, "words");
}

static void
testTheCallIsOneMessage(Fixture *self, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = NULL;
    g_autoptr(GDBusMessage) message = NULL;
    guint8 bytes[4096];
    guint32 flags = 0;
    ssize_t len;

    say(self, answer(G_DBUS_MESSAGE_TYPE_METHOD_RETURN, 1), G_MAXSIZE);
    reply = call(self, 10000, &error);
    virAssertNoError(error);
    len = read(self->supervisor, bytes, sizeof(bytes));

    message = g_dbus_message_new_from_blob(bytes, (gsize)len,
                                           G_DBUS_CAPABILITY_FLAGS_NONE, &error);
    virAssertNoError(error);
    g_assert_cmpstr(g_dbus_message_get_member(message), ==, "GetXMLDesc");
    g_assert_cmpstr(g_dbus_message_get_interface(message), ==, "io.leasehold.Guest1");
    g_assert_cmpstr(g_dbus_message_get_path(message), ==, "/io/leasehold/Guest");
    g_variant_get(g_dbus_message_get_body(message), "(u)", &flags);
    g_assert_cmpuint(flags, ==, 3);
}

static void
testARefusalKeepsItsCode(Fixture *self, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    say(self, answer(G_DBUS_MESSAGE_TYPE_ERROR, 1), G_MAXSIZE);
    g_assert_null(call(self, 10000, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY);
    g_assert_cmpstr(error->message, ==, "words");
}

/* --- no answer ------------------------------------------------------------------------- */

static void
testHalfAnAnswerIsNone(Fixture *self, gconstpointer data)
{
    for (gsize most = 0; most < 40; most += 13) {
        g_autoptr(GError) error = NULL;

        say(self, answer(G_DBUS_MESSAGE_TYPE_METHOD_RETURN, 1), most);
        (void)shutdown(self->supervisor, SHUT_WR);
        g_assert_null(call(self, 10000, &error));
        g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE);
        tearDown(self, data);
        setUp(self, data);
    }
}

static void
testNonsenseIsNoAnswer(Fixture *self, gconstpointer data)
{
    static const guint8 tooLong[16] = {'l', 2, 0, 1, 0xff, 0xff, 0xff, 0x7f,
                                       1,   0, 0, 0, 0xff, 0xff, 0xff, 0x7f};
    g_autofree char *noise = g_strnfill(4096, 'x');
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(virFdWriteFull(self->supervisor, noise, 4096), ==, 0);
    g_assert_null(call(self, 10000, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE);
    g_clear_error(&error);
    tearDown(self, data);
    setUp(self, data);

    g_assert_cmpint(virFdWriteFull(self->supervisor, tooLong, sizeof(tooLong)), ==, 0);
    g_assert_null(call(self, 10000, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE);
}

static void
testSilenceEnds(Fixture *self, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    say(self, answer(G_DBUS_MESSAGE_TYPE_METHOD_RETURN, 1), 20);
    g_assert_null(call(self, 20, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE);
}

/* A supervisor that is stopped does not even read. */
static void
testOneThatDoesNotReadEnds(Fixture *self, gconstpointer data)
{
    g_autofree char *bulk = g_strnfill(8 * 1024 * 1024, 'x');
    g_autoptr(GError) error = NULL;

    g_assert_null(virDomainLockCallOn(self->client, "io.leasehold.Guest1", "AttachDisk",
                                      g_variant_new("(su)", bulk, 0), 20, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name, func) g_test_add(name, Fixture, NULL, setUp, func, tearDown)
    TEST("/client-message/what-else-arrives-is-passed-over",
         testWhatElseArrivesIsPassedOver);
    TEST("/client-message/the-call-is-one-message", testTheCallIsOneMessage);
    TEST("/client-message/a-refusal-keeps-its-code", testARefusalKeepsItsCode);
    TEST("/client-message/half-an-answer-is-none", testHalfAnAnswerIsNone);
    TEST("/client-message/nonsense-is-no-answer", testNonsenseIsNoAnswer);
    TEST("/client-message/silence-ends", testSilenceEnds);
    TEST("/client-message/one-that-does-not-read-ends", testOneThatDoesNotReadEnds);
    return g_test_run();
}
