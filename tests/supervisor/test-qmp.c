/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-qmp.c: the QMP client against peers that a real QEMU never is.
 *
 * Seen failing: replies matched by order instead of id (late-reply), no bounds in the framer
 * (endless, deep), no ring of the eventfd (cancel), the first command sent after the answer to
 * the negotiation (first-words-go-together).
 */
#include "supervisor/json_framer.h"
#include "supervisor/qmp.h"
#include "supervisor/qmp_events.h"
#include "common/fd.h"
#include "tests/lib/vir_test.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_SEC(n) (g_get_monotonic_time() + (gint64)((n)*G_USEC_PER_SEC))
#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"

/* --- a peer that plays a script in a thread ------------------------------------------- */

typedef struct _Peer Peer;
typedef void (*PeerScript)(Peer *peer);

struct _Peer {
    char *dir;
    char *path;
    int listener;
    int fd;
    PeerScript script;
    GThread *thread;
    virQmp *qmp;
};

static void
say(Peer *peer, const char *text)
{
    (void)send(peer->fd, text, strlen(text), MSG_NOSIGNAL);
}

/* The next command; its id (they are small) is returned, -1 at the end. */
static int
hear(Peer *peer)
{
    g_autoptr(GString) line = g_string_new(NULL);
    const char *id;
    char c;

    while (virFdReadFull(peer->fd, &c, 1) == 0 && c != '\n')
        g_string_append_c(line, c);
    id = strstr(line->str, "\"id\":");
    return id ? atoi(id + 5) : -1;
}

static void
answer(Peer *peer, int id, const char *result)
{
    g_autofree char *text =
        g_strdup_printf("{\"return\": %s, \"id\": %d}\r\n", result, id);

    say(peer, text);
}

static void
greet(Peer *peer)
{
    say(peer, GREETING);
    answer(peer, hear(peer), "{}");
}

static gpointer
peerThread(gpointer data)
{
    Peer *peer = data;

    peer->fd = accept(peer->listener, NULL, NULL);
    peer->script(peer);
    virFdClose(peer->fd);
    return NULL;
}

static Peer *
peerNew(PeerScript script)
{
    Peer *peer = g_new0(Peer, 1);
    g_autoptr(GError) error = NULL;

    peer->dir = g_dir_make_tmp("leasehold-qmp-XXXXXX", NULL);
    peer->path = g_build_filename(peer->dir, "qmp", NULL);
    peer->listener = virUnixListen(peer->path, SOCK_STREAM, &error);
    virAssertNoError(error);
    peer->script = script;
    peer->thread = g_thread_new("peer", peerThread, peer);
    peer->qmp = virQmpNew(peer->path);
    return peer;
}

static void
peerConnect(Peer *peer)
{
    g_autoptr(GError) error = NULL;
    gboolean ok = virQmpConnect(peer->qmp, NULL, IN_SEC(5), NULL, &error);

    virAssertNoError(error);
    g_assert_true(ok);
}

static void
peerFree(Peer *peer)
{
    virQmpDisconnect(peer->qmp);
    g_thread_join(peer->thread);
    virQmpFree(peer->qmp);
    virFdClose(peer->listener);
    (void)g_unlink(peer->path);
    (void)g_rmdir(peer->dir);
    g_free(peer->path);
    g_free(peer->dir);
    g_free(peer);
}

static void
untilTheEnd(Peer *peer)
{
    while (hear(peer) >= 0)
        continue;
}

/* --- peers that break the protocol ------------------------------------------------------- */

static void
assertConnectFails(PeerScript script, double sec, virLockErrorCode code,
                   const char *words)
{
    Peer *peer = peerNew(script);
    g_autoptr(GError) error = NULL;
    gint64 start = g_get_monotonic_time();

    g_assert_false(virQmpConnect(peer->qmp, NULL, IN_SEC(sec), NULL, &error));
    g_assert_error(error, VIR_LOCK_ERROR, (int)code);
    g_assert_nonnull(strstr(error->message, words));
    g_assert_cmpint(g_get_monotonic_time() - start, <,
                    (gint64)((sec + 2) * G_USEC_PER_SEC));
    g_assert_false(virQmpIsConnected(peer->qmp));
    peerFree(peer);
}

static void
scriptGarbage(Peer *peer)
{
    say(peer, "220 mail.example ESMTP\r\n");
    untilTheEnd(peer);
}

static void
testGarbage(void)
{
    assertConnectFails(scriptGarbage, 5, VIR_LOCK_ERROR_INTERNAL,
                       "expected a JSON object");
}

static void
testSilence(void)
{
    assertConnectFails(untilTheEnd, 0.2, VIR_LOCK_ERROR_TIMEOUT, "greeting");
}

static void
scriptHangsUp(Peer *peer)
{
}

static void
testHangsUp(void)
{
    assertConnectFails(scriptHangsUp, 5, VIR_LOCK_ERROR_UNAVAILABLE, "closed");
}

static void
scriptEndless(Peer *peer)
{
    g_autofree char *chunk = g_strnfill(1024 * 1024, 'x');

    say(peer, "{\"QMP\": \"");
    for (int i = 0; i < 20; i++)
        say(peer, chunk);
    untilTheEnd(peer);
}

static void
testEndless(void)
{
    assertConnectFails(scriptEndless, 20, VIR_LOCK_ERROR_INTERNAL, "longer than");
}

static void
scriptDeep(Peer *peer)
{
    g_autofree char *deep = g_strnfill(100000, '[');

    say(peer, "{\"QMP\": ");
    say(peer, deep);
    untilTheEnd(peer);
}

static void
testDeep(void)
{
    assertConnectFails(scriptDeep, 5, VIR_LOCK_ERROR_INTERNAL, "nested deeper");
}

static void
scriptNotUtf8(Peer *peer)
{
    say(peer, "{\"QMP\": \"\xff\xfe\"}\r\n");
    untilTheEnd(peer);
}

static void
testNotUtf8(void)
{
    assertConnectFails(scriptNotUtf8, 5, VIR_LOCK_ERROR_INTERNAL, "UTF-8");
}

static void
scriptStrayReply(Peer *peer)
{
    greet(peer);
    say(peer, "{\"return\": {}, \"id\": 4711}\r\n");
    answer(peer, hear(peer), "\"mine\"");
    (void)hear(peer);
    say(peer, "{\"whatever\": 1}\r\n");
    untilTheEnd(peer);
}

static void
testStrayMessages(void)
{
    Peer *peer = peerNew(scriptStrayReply);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) reply = NULL;

    peerConnect(peer);
    reply = virQmpCommand(peer->qmp, "one", NULL, -1, IN_SEC(5), &error);
    virAssertNoError(error);
    g_assert_cmpstr(json_node_get_string(reply), ==, "mine");
    g_assert_null(virQmpCommand(peer->qmp, "two", NULL, -1, IN_SEC(5), &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE);
    peerFree(peer);
}

/* --- replies --------------------------------------------------------------------------------- */

static void
scriptLateReply(Peer *peer)
{
    int first;
    int second;

    greet(peer);
    first = hear(peer);
    second = hear(peer);
    answer(peer, first, "\"first\"");
    answer(peer, second, "\"second\"");
    untilTheEnd(peer);
}

static void
testLateReplyIsNotTheNextOnes(void)
{
    Peer *peer = peerNew(scriptLateReply);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) reply = NULL;

    peerConnect(peer);
    g_assert_null(virQmpCommand(peer->qmp, "slow", NULL, -1, IN_SEC(0.1), &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE);
    g_assert_nonnull(strstr(error->message, "'slow'"));
    g_clear_error(&error);
    reply = virQmpCommand(peer->qmp, "next", NULL, -1, IN_SEC(5), &error);
    virAssertNoError(error);
    g_assert_cmpstr(json_node_get_string(reply), ==, "second");
    peerFree(peer);
}

static void
scriptRefuses(Peer *peer)
{
    g_autofree char *text = NULL;

    greet(peer);
    text = g_strdup_printf("{\"id\": %d, \"error\": {\"class\": \"GenericError\", "
                           "\"desc\": \"No medium\\nfound\"}}\r\n",
                           hear(peer));
    say(peer, text);
    (void)hear(peer);
}

static void
testRefusalAndHangUp(void)
{
    Peer *peer = peerNew(scriptRefuses);
    g_autoptr(GError) error = NULL;

    peerConnect(peer);
    g_assert_null(virQmpCommand(peer->qmp, "eject", NULL, -1, IN_SEC(5), &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL);
    g_assert_nonnull(strstr(error->message, "QEMU refused 'eject': No medium\\x0afound"));
    g_clear_error(&error);

    g_assert_null(virQmpCommand(peer->qmp, "cont", NULL, -1, IN_SEC(5), &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE);
    g_clear_error(&error);
    g_assert_null(virQmpCommand(peer->qmp, "cont", NULL, -1, IN_SEC(5), &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE);
    peerFree(peer);
}

/* --- several in one go --------------------------------------------------------------------- */

/* Answers nothing before it heard all. The last one is answered first, the second is refused
 * at the second time. */
static void
scriptHearsThree(Peer *peer)
{
    greet(peer);
    for (int times = 0; times < 2; times++) {
        g_autofree char *refusal = NULL;
        int ids[3];

        for (int i = 0; i < 3; i++)
            ids[i] = hear(peer);
        refusal = g_strdup_printf(
            "{\"id\": %d, \"error\": {\"desc\": \"no such node\"}}\r\n", ids[1]);
        answer(peer, ids[2], "3");
        answer(peer, ids[0], "1");
        if (times == 0)
            answer(peer, ids[1], "2");
        else
            say(peer, refusal);
    }
    answer(peer, hear(peer), "1"); /* and hangs up */
}

static void
testSeveralInOneGo(void)
{
    Peer *peer = peerNew(scriptHearsThree);
    virDomainLockGuestCommand commands[] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
    g_autoptr(GError) error = NULL;

    peerConnect(peer);
    g_assert_true(virQmpCommands(peer->qmp, commands, 3, IN_SEC(5), &error));
    virAssertNoError(error);
    for (int i = 0; i < 3; i++) {
        g_assert_cmpint(json_node_get_int(commands[i].answer), ==, i + 1);
        g_clear_pointer(&commands[i].answer, json_node_unref);
    }

    g_assert_false(virQmpCommands(peer->qmp, commands, 3, IN_SEC(5), &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL);
    g_assert_nonnull(strstr(error->message, "QEMU refused 'b': no such node"));
    g_clear_error(&error);

    g_assert_false(virQmpCommands(peer->qmp, commands, 2, IN_SEC(5), &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE);
    g_assert_nonnull(strstr(error->message, "'b'"));
    for (int i = 0; i < 3; i++)
        g_assert_null(commands[i].answer);
    peerFree(peer);
}

static void
scriptHearsTwoFirst(Peer *peer)
{
    int negotiation, first;

    say(peer, GREETING);
    negotiation = hear(peer);
    first = hear(peer);
    answer(peer, negotiation, "{}");
    answer(peer, first, "4711");
    untilTheEnd(peer);
}

static void
testFirstWordsGoTogether(void)
{
    Peer *peer = peerNew(scriptHearsTwoFirst);
    virDomainLockGuestCommand first = {.name = "query"};
    g_autoptr(GError) error = NULL;

    g_assert_true(virQmpConnect(peer->qmp, &first, IN_SEC(5), NULL, &error));
    virAssertNoError(error);
    g_assert_cmpint(json_node_get_int(first.answer), ==, 4711);
    json_node_unref(first.answer);
    peerFree(peer);
}

static void
scriptDribbles(Peer *peer)
{
    int id;

    greet(peer);
    id = hear(peer);
    for (const char *at = "{\"return\": {\"a\": \"}\\\"{\"}, \"id\": "; *at; at++) {
        char one[2] = {*at, '\0'};

        say(peer, one);
    }
    {
        g_autofree char *rest =
            g_strdup_printf("%d}{\"event\": \"A\"} \n\n{\"event\": \"B\", "
                            "\"data\": {\"x\": 1}}\r\n",
                            id);
        say(peer, rest);
    }
    untilTheEnd(peer);
}

static void
testPiecesAndHeaps(void)
{
    Peer *peer = peerNew(scriptDribbles);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) reply = NULL;
    g_autoptr(JsonNode) event = NULL;

    peerConnect(peer);
    reply = virQmpCommand(peer->qmp, "q", NULL, -1, IN_SEC(5), &error);
    virAssertNoError(error);
    g_assert_cmpstr(json_object_get_string_member(json_node_get_object(reply), "a"), ==,
                    "}\"{");
    event = virQmpWaitEvent(peer->qmp, "B", 0, IN_SEC(5), NULL, &error);
    virAssertNoError(error);
    g_assert_cmpint(json_object_get_int_member(json_node_get_object(event), "x"), ==, 1);
    g_assert_cmpuint(virQmpEventSerial(peer->qmp), ==, 2);
    peerFree(peer);
}

static void
scriptDeaf(Peer *peer)
{
    greet(peer);
    g_usleep(G_USEC_PER_SEC);
}

static void
testPeerThatDoesNotRead(void)
{
    Peer *peer = peerNew(scriptDeaf);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) args = json_object_new();
    g_autofree char *big = g_strnfill(4 * 1024 * 1024, 'x');
    gint64 start = g_get_monotonic_time();

    json_object_set_string_member(args, "text", big);
    peerConnect(peer);
    g_assert_null(virQmpCommand(peer->qmp, "big", args, -1, IN_SEC(0.2), &error));
    g_assert_nonnull(error);
    g_assert_cmpint(g_get_monotonic_time() - start, <, G_USEC_PER_SEC);
    g_assert_false(virQmpIsConnected(peer->qmp));
    peerFree(peer);
}

/* --- several who wait ---------------------------------------------------------------------- */

static void
scriptEcho(Peer *peer)
{
    int id;

    greet(peer);
    for (int n = 1; (id = hear(peer)) >= 0; n++) {
        g_autofree char *event =
            g_strdup_printf("{\"event\": \"E%d\", \"data\": {\"n\": %d}}\r\n", n % 7, n);

        say(peer, event);
        answer(peer, id, "{}");
    }
}

static gpointer
callerThread(gpointer data)
{
    Peer *peer = data;

    for (int i = 0; i < 300; i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonNode) reply =
            virQmpCommand(peer->qmp, "echo", NULL, -1, IN_SEC(20), &error);

        virAssertNoError(error);
        g_assert_nonnull(reply);
    }
    return NULL;
}

typedef struct _Counted {
    GMainLoop *loop;
    guint n;
} Counted;

static void
countEvent(const char *event, JsonObject *data, gpointer opaque)
{
    Counted *counted = opaque;

    /* in order, none twice, none lost */
    g_assert_cmpint(json_object_get_int_member(data, "n"), ==, ++counted->n);
    if (counted->n == 600)
        g_main_loop_quit(counted->loop);
}

/* Two callers and the main loop share one socket: everybody gets all that is his. */
static void
testMainLoopAndCallers(void)
{
    Peer *peer = peerNew(scriptEcho);
    Counted counted = {.loop = g_main_loop_new(NULL, FALSE)};
    GThread *callers[2];

    peerConnect(peer);
    virQmpWatch(peer->qmp, NULL, countEvent, &counted);
    for (int i = 0; i < 2; i++)
        callers[i] = g_thread_new("caller", callerThread, peer);
    g_main_loop_run(counted.loop);
    for (int i = 0; i < 2; i++)
        g_thread_join(callers[i]);
    g_assert_cmpuint(counted.n, ==, 600);
    g_main_loop_unref(counted.loop);
    peerFree(peer);
}

static gpointer
waiterThread(gpointer data)
{
    Peer *peer = data;
    GError *error = NULL;
    JsonNode *event = virQmpWaitEvent(peer->qmp, "E6", 0, IN_SEC(20), NULL, &error);

    virAssertNoError(error);
    return event;
}

/* One waits long for an event, as the reader; the other's replies come through it. */
static void
testTwoWaitersWithoutMainLoop(void)
{
    Peer *peer = peerNew(scriptEcho);
    GThread *waiter;
    g_autoptr(JsonNode) event = NULL;

    peerConnect(peer);
    waiter = g_thread_new("waiter", waiterThread, peer);
    for (int i = 0; i < 8; i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonNode) reply =
            virQmpCommand(peer->qmp, "echo", NULL, -1, IN_SEC(10), &error);

        virAssertNoError(error);
    }
    event = g_thread_join(waiter);
    g_assert_nonnull(event);
    peerFree(peer);
}

static gpointer
cancelThread(gpointer data)
{
    g_usleep(50000);
    g_cancellable_cancel(data);
    return NULL;
}

static void
scriptGreets(Peer *peer)
{
    greet(peer);
    untilTheEnd(peer);
}

static void
testCancel(void)
{
    Peer *peer = peerNew(scriptGreets);
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_autoptr(GError) error = NULL;
    gint64 start = g_get_monotonic_time();
    GThread *canceller;

    peerConnect(peer);
    canceller = g_thread_new("cancel", cancelThread, cancellable);
    g_assert_null(virQmpWaitEvent(peer->qmp, "X", 0, IN_SEC(20), cancellable, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 5 * G_USEC_PER_SEC);
    g_thread_join(canceller);
    peerFree(peer);
}

/* --- floods, gaps ---------------------------------------------------------------------------- */

static void
scriptFlood(Peer *peer)
{
    int id;

    greet(peer);
    id = hear(peer);
    say(peer, "{\"event\": \"WANTED\"}\r\n");
    for (int i = 0; i < VIR_QMP_EVENTS_MAX + 500; i++)
        say(peer, "{\"event\": \"NOISE\", \"data\": {\"n\": 1}}\r\n");
    answer(peer, id, "{}");
    untilTheEnd(peer);
}

static void
testFloodWithoutMainLoopTellsThatItMayHaveMissed(void)
{
    Peer *peer = peerNew(scriptFlood);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) reply = NULL;

    peerConnect(peer);
    reply = virQmpCommand(peer->qmp, "flood", NULL, -1, IN_SEC(20), &error);
    virAssertNoError(error);
    g_assert_null(virQmpWaitEvent(peer->qmp, "WANTED", 0, IN_SEC(5), NULL, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE);
    peerFree(peer);
}

static void
ignoreEvent(const char *event, JsonObject *data, gpointer opaque)
{
}

/* The main loop wants every event but does not come round: memory must stay bounded. */
static void
testFloodThatNobodyTakesIsCut(void)
{
    Peer *peer = peerNew(scriptFlood);
    g_autoptr(GError) error = NULL;

    peerConnect(peer);
    virQmpWatch(peer->qmp, NULL, ignoreEvent, NULL);
    g_assert_null(virQmpCommand(peer->qmp, "flood", NULL, -1, IN_SEC(20), &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE);
    g_assert_nonnull(strstr(error->message, "more events"));
    peerFree(peer);
}

static void
scriptTwice(Peer *peer)
{
    greet(peer);
    (void)hear(peer);
    virFdClose(peer->fd);
    peer->fd = accept(peer->listener, NULL, NULL);
    greet(peer);
    say(peer, "{\"event\": \"LATER\"}\r\n");
    untilTheEnd(peer);
}

static void
testReconnectKnowsOfTheGap(void)
{
    Peer *peer = peerNew(scriptTwice);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) event = NULL;
    guint64 since;

    peerConnect(peer);
    since = virQmpEventSerial(peer->qmp);
    g_assert_null(virQmpCommand(peer->qmp, "x", NULL, -1, IN_SEC(5), NULL));
    peerConnect(peer);
    g_assert_null(virQmpWaitEvent(peer->qmp, "MISSED", since, IN_SEC(5), NULL, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE);
    g_clear_error(&error);
    event = virQmpWaitEvent(peer->qmp, "LATER", since + 1, IN_SEC(5), NULL, &error);
    virAssertNoError(error);
    peerFree(peer);
}

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    g_test_add_func("/qmp/garbage", testGarbage);
    g_test_add_func("/qmp/silence", testSilence);
    g_test_add_func("/qmp/hangs-up", testHangsUp);
    g_test_add_func("/qmp/endless", testEndless);
    g_test_add_func("/qmp/deep", testDeep);
    g_test_add_func("/qmp/not-utf8", testNotUtf8);
    g_test_add_func("/qmp/stray-messages", testStrayMessages);
    g_test_add_func("/qmp/late-reply", testLateReplyIsNotTheNextOnes);
    g_test_add_func("/qmp/refusal-and-hang-up", testRefusalAndHangUp);
    g_test_add_func("/qmp/several-in-one-go", testSeveralInOneGo);
    g_test_add_func("/qmp/first-words-go-together", testFirstWordsGoTogether);
    g_test_add_func("/qmp/pieces-and-heaps", testPiecesAndHeaps);
    g_test_add_func("/qmp/peer-that-does-not-read", testPeerThatDoesNotRead);
    g_test_add_func("/qmp/main-loop-and-callers", testMainLoopAndCallers);
    g_test_add_func("/qmp/two-waiters", testTwoWaitersWithoutMainLoop);
    g_test_add_func("/qmp/cancel", testCancel);
    g_test_add_func("/qmp/flood-tells", testFloodWithoutMainLoopTellsThatItMayHaveMissed);
    g_test_add_func("/qmp/flood-is-cut", testFloodThatNobodyTakesIsCut);
    g_test_add_func("/qmp/reconnect", testReconnectKnowsOfTheGap);
    return g_test_run();
}
