/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-drain.c: after virSupervisorDrain a real QEMU writes nothing any more.
 *
 * Seen failing: jobs-are-gone when nothing is told to end; late-migration-breaks when "stop" is
 * believed: the guest goes on afterwards.
 */
#include "supervisor/drain.h"
#include "tests/lib/vir_test.h"
#include "tests/supervisor/guest_fixture.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static JsonNode *
command(GuestFixture *fixture, const char *name, const char *arguments)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) args = arguments ? json_from_string(arguments, &error) : NULL;
    JsonNode *reply;

    virAssertNoError(error);
    reply = fixture->guest->ops->command(fixture->guest, name,
                                         args ? json_node_get_object(args) : NULL,
                                         IN_SEC(10), &error);
    virAssertNoError(error);
    return reply;
}

static void
run(GuestFixture *fixture, const char *name, const char *arguments)
{
    g_autoptr(JsonNode) reply = command(fixture, name, arguments);

    g_assert_nonnull(reply);
}

static guint
countOf(GuestFixture *fixture, const char *query)
{
    g_autoptr(JsonNode) reply = command(fixture, query, NULL);

    return json_array_get_length(json_node_get_array(reply));
}

static void
drain(GuestFixture *fixture)
{
    g_autoptr(GError) error = NULL;
    gboolean ok = virSupervisorDrain(fixture->guest, IN_SEC(10), &error);
    g_autoptr(JsonNode) status = NULL;

    virAssertNoError(error);
    g_assert_true(ok);
    status = command(fixture, "query-status", NULL);
    g_assert_false(
        json_object_get_boolean_member(json_node_get_object(status), "running"));
}

static void
testNothingToDrain(GuestFixture *fixture, gconstpointer data)
{
    const char *const more[] = {"-machine", "pc", NULL};

    guestFixtureStart(fixture, more);
    run(fixture, "cont", NULL);
    drain(fixture);
    drain(fixture); /* and once more, stopped as it is */
}

/* A throttled mirror writes for minutes, also into a stopped guest's disk. */
static void
testJobsAreGone(GuestFixture *fixture, gconstpointer data)
{
    const char *const more[] = {"-machine", "pc", NULL};
    g_autofree char *target = g_build_filename(fixture->dir, "target.img", NULL);
    g_autofree char *node = NULL;
    struct stat before;
    struct stat after;
    int fd = open(target, O_CREAT | O_RDWR, 0600);

    g_assert_cmpint(ftruncate(fd, 256 * 1024 * 1024), ==, 0);
    guestFixtureStart(fixture, more);
    node = g_strdup_printf(
        "{\"driver\": \"file\", \"node-name\": \"t\", \"filename\": \"%s\"}", target);
    run(fixture, "blockdev-add",
        "{\"driver\": \"null-co\", \"node-name\": \"s\", \"size\": 268435456, "
        "\"read-zeroes\": false}");
    run(fixture, "blockdev-add", node);
    run(fixture, "blockdev-mirror",
        "{\"job-id\": \"m\", \"device\": \"s\", \"target\": \"t\", \"sync\": \"full\", "
        "\"speed\": 1048576}");
    run(fixture, "cont", NULL);
    g_assert_cmpuint(countOf(fixture, "query-jobs"), ==, 1);

    drain(fixture);

    g_assert_cmpuint(countOf(fixture, "query-jobs"), ==, 0);
    g_assert_cmpint(fstat(fd, &before), ==, 0);
    g_usleep(300000); /* what would still be written, would be written now */
    g_assert_cmpint(fstat(fd, &after), ==, 0);
    g_assert_cmpint(before.st_mtim.tv_nsec, ==, after.st_mtim.tv_nsec);
    g_assert_cmpint(before.st_blocks, ==, after.st_blocks);
    (void)close(fd);
    (void)g_unlink(target);
}

static void
testExportsAreGone(GuestFixture *fixture, gconstpointer data)
{
    const char *const more[] = {"-machine", "pc", NULL};
    g_autofree char *sock = g_build_filename(fixture->dir, "nbd", NULL);
    g_autofree char *address = NULL;

    guestFixtureStart(fixture, more);
    address = g_strdup_printf(
        "{\"addr\": {\"type\": \"unix\", \"data\": {\"path\": \"%s\"}}}", sock);
    run(fixture, "blockdev-add",
        "{\"driver\": \"null-co\", \"node-name\": \"s\", \"size\": 1048576}");
    run(fixture, "nbd-server-start", address);
    run(fixture, "block-export-add",
        "{\"type\": \"nbd\", \"id\": \"e\", \"node-name\": \"s\", \"writable\": true}");
    g_assert_cmpuint(countOf(fixture, "query-block-exports"), ==, 1);

    drain(fixture);

    g_assert_cmpuint(countOf(fixture, "query-block-exports"), ==, 0);
    (void)g_unlink(sock);
}

/* The other side of a migration, which reads everything and says nothing. */
typedef struct _Stream {
    int fd;
    gint ends; /* asked to */
    GThread *thread;
} Stream;

static gpointer
readStream(gpointer data)
{
    Stream *stream = data;
    char bytes[65536];

    while (!g_atomic_int_get(&stream->ends))
        if (recv(stream->fd, bytes, sizeof(bytes), MSG_DONTWAIT) <= 0)
            g_usleep(1000);
    g_usleep(100000);
    (void)close(stream->fd);
    return NULL;
}

/* Until QEMU has stopped the guest, and waits for the other side's word. */
static void
streamUp(GuestFixture *fixture, Stream *stream)
{
    const virDomainLockGuestOps *ops = fixture->guest->ops;
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) event = NULL;
    guint64 since = ops->eventSerial(fixture->guest);
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    g_assert_true(ops->passFd(fixture->guest, fds[1], "stream", &error));
    virAssertNoError(error);
    (void)close(fds[1]);
    *stream = (Stream){.fd = fds[0]};
    stream->thread = g_thread_new("stream", readStream, stream);
    run(fixture, "migrate-set-capabilities",
        "{\"capabilities\": [{\"capability\": \"return-path\", \"state\": true}]}");
    run(fixture, "migrate", "{\"uri\": \"fd:stream\"}");
    event = ops->waitEvent(fixture->guest, "STOP", since, IN_SEC(20), NULL, &error);
    virAssertNoError(error);
}

static gboolean
isRunning(GuestFixture *fixture)
{
    g_autoptr(JsonNode) status = command(fixture, "query-status", NULL);

    return json_object_get_boolean_member(json_node_get_object(status), "running");
}

/* QEMU lets the guest go on when a migration breaks that was about to complete. */
static void
testLateMigrationBreaks(GuestFixture *fixture, gconstpointer data)
{
    const char *const more[] = {"-machine", "pc", "-m", "16", NULL};
    g_autoptr(GError) error = NULL;
    Stream stream;

    guestFixtureStart(fixture, more);
    run(fixture, "cont", NULL);
    streamUp(fixture, &stream);
    g_assert_false(
        virSupervisorDrain(fixture->guest, g_get_monotonic_time() + 300000, &error));
    g_assert_nonnull(error);
    g_atomic_int_set(&stream.ends, TRUE);
    drain(fixture);
    (void)g_thread_join(stream.thread);
    g_usleep(100000); /* what would go on by itself, would do so now */
    g_assert_false(isRunning(fixture));
}

static void
testDeadQemuIsNotDrained(GuestFixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    guestFixtureStart(fixture, NULL);
    fixture->guest->ops->kill(fixture->guest, FALSE);
    g_assert_false(virSupervisorDrain(fixture->guest, IN_SEC(5), &error));
    g_assert_nonnull(error);
}

typedef void (*GuestTest)(GuestFixture *fixture, gconstpointer data);

static void
add(const char *name, GuestTest test)
{
    g_autofree char *path = g_strconcat("/drain/", name, NULL);

    g_test_add(path, GuestFixture, NULL, guestFixtureUp, test, guestFixtureDown);
}

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    add("nothing-to-drain", testNothingToDrain);
    add("jobs-are-gone", testJobsAreGone);
    add("exports-are-gone", testExportsAreGone);
    add("late-migration-breaks", testLateMigrationBreaks);
    add("dead-qemu-is-not-drained", testDeadQemuIsNotDrained);
    return g_test_run();
}
