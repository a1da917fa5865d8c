/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake_guest.c: a virDomainLockGuest without a process.
 */
#include "domain_lock/codec.h"
#include "tests/domain_lock/fake.h"
#include <signal.h>
#include <string.h>
#include <unistd.h>

static gboolean
fakePark(virDomainLockGuest *guest, virLockManager *man, GError **error)
{
    if (!fakeCall("park", error))
        return FALSE;
    fake->alive = TRUE;
    return TRUE;
}

static gboolean
fakePassFd(virDomainLockGuest *guest, int fd, const char *name, GError **error)
{
    return fakeCall("passFd", error);
}

static char *
fakeNodes(void)
{
    if (fake->nodes)
        return g_strdup(fake->nodes);
    return g_strdup_printf(
        "{\"return\": [{\"node-name\": \"n0\", \"drv\": \"raw\", \"ro\": "
        "false, \"file\": \"%s\"}, {\"node-name\": \"f0\", \"drv\": "
        "\"file\", \"ro\": false, \"file\": \"%s\"}]}",
        fake->disk, fake->disk);
}

static JsonNode *
fakeStatus(void)
{
    JsonObject *answer = json_object_new();

    if (fake->runStates && *fake->runStates)
        json_object_set_string_member(answer, "status", *fake->runStates++);
    return json_node_init_object(json_node_alloc(), answer);
}

static JsonNode *
fakeCommand(virDomainLockGuest *guest, const char *name, JsonObject *args,
            gint64 deadlineUsec, GError **error)
{
    g_autofree char *nodes = fakeNodes();
    g_autoptr(JsonObject) answer = NULL;

    if (!fakeCall(name, error))
        return NULL;
    if (!fake->alive) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE, "QEMU is gone");
        return NULL;
    }
    if (g_str_equal(name, "quit") && !fake->stubborn)
        fake->alive = FALSE;
    if (g_str_equal(name, "query-status"))
        return fakeStatus();
    if (!g_str_equal(name, "query-named-block-nodes"))
        return json_node_init_object(json_node_alloc(), json_object_new());
    answer = virDomainLockJsonParse(nodes, -1, error);
    return answer ? json_node_copy(json_object_get_member(answer, "return")) : NULL;
}

static gboolean
fakeCommands(virDomainLockGuest *guest, virDomainLockGuestCommand *commands, gsize n,
             gint64 deadlineUsec, GError **error)
{
    gboolean ok = TRUE;

    for (gsize i = 0; i < n; i++) {
        commands[i].answer = fakeCommand(guest, commands[i].name, commands[i].args,
                                         deadlineUsec, ok ? error : NULL);
        ok = ok && commands[i].answer;
    }
    for (gsize i = 0; !ok && i < n; i++)
        g_clear_pointer(&commands[i].answer, json_node_unref);
    return ok;
}

static void
fakeLoad(virDomainLockGuest *guest, const char *const *argv)
{
    (void)fakeCall("load", NULL);
}

static void
fakeExplain(virDomainLockGuest *guest, GError **error)
{
    g_prefix_error(error, "explained: ");
}

static gboolean
fakeExec(virDomainLockGuest *guest, const char *const *argv,
         virDomainLockGuestCommand *first, const virLockWait *wait, GError **error)
{
    return fakeCall("exec", error) &&
           (!first || fakeCommands(guest, first, 1, wait->deadlineUsec, error));
}

static JsonNode *
fakeWaitEvent(virDomainLockGuest *guest, const char *event, guint64 since,
              gint64 deadlineUsec, GCancellable *cancellable, GError **error)
{
    return fakeCall("waitEvent", error) ? json_node_new(JSON_NODE_OBJECT) : NULL;
}

static JsonNode *
fakeWaitEventOf(virDomainLockGuest *guest, const virDomainLockEventOf *wanted,
                gint64 deadlineUsec, GCancellable *cancellable, GError **error)
{
    return fakeCall("waitEventOf", error) ? json_node_new(JSON_NODE_OBJECT) : NULL;
}

static guint64
fakeEventSerial(virDomainLockGuest *guest)
{
    return 0;
}

static void
fakeKill(virDomainLockGuest *guest, gboolean graceful)
{
    (void)fakeCall(graceful ? "term" : "kill", NULL);
    if (!fake->alive || fake->stuck || (graceful && fake->stubborn))
        return;
    fake->alive = FALSE;
    fake->waitStatus = graceful ? 0 : SIGKILL;
}

static gboolean
fakeReap(virDomainLockGuest *guest, gint64 deadlineUsec, virDomainLockExit *result,
         GError **error)
{
    if (!fakeCall("reap", error))
        return FALSE;
    if (fake->alive) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT, "QEMU does not die");
        return FALSE;
    }
    /* what the kernel does with a registered process */
    fake->held = FALSE;
    result->known = TRUE;
    result->waitStatus = fake->waitStatus;
    return TRUE;
}

static void
fakeWatch(virDomainLockGuest *guest, virDomainLockGuestFunc func, gpointer opaque)
{
}

static pid_t
fakeGetPid(virDomainLockGuest *guest)
{
    return fake->alive ? getpid() : 0;
}

static const virDomainLockGuestOps fakeOps = {
    .park = fakePark,
    .passFd = fakePassFd,
    .load = fakeLoad,
    .explain = fakeExplain,
    .exec = fakeExec,
    .command = fakeCommand,
    .commands = fakeCommands,
    .waitEvent = fakeWaitEvent,
    .eventSerial = fakeEventSerial,
    .waitEventOf = fakeWaitEventOf,
    .kill = fakeKill,
    .reap = fakeReap,
    .watch = fakeWatch,
    .getPid = fakeGetPid,
};

static virDomainLockGuest theGuest = {.ops = &fakeOps};

virDomainLockGuest *
fakeGuest(virDomainLockObj *obj, int *qmpFd, gpointer data, GError **error)
{
    *qmpFd = 3;
    return fakeCall("guest", error) ? &theGuest : NULL;
}
