/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-watch.c: the source that tells of lost leases: a daemon that dies, one that hangs, one
 * that says that it lost, one that recovers; and how often it wakes up.
 *
 * Seen failing: with the expiry taken from the time of the check instead of the last good
 * renewal, with the check made in the calling thread (a hanging daemon hangs the loop), and
 * without a grace for a process that slept.
 */
#include "tests/lib/vir_test.h"
#include "tests/lock_manager/fake.h"

#include <time.h>
#include <unistd.h>

typedef struct _Scene {
    FakeStore *store;
    virLockManagerPlugin *plugin;
    virLockManager *man;
    GMainLoop *loop;
    GArray *events;
    gint64 firstUsec; /* CLOCK_BOOTTIME of the first event */
    int daemon[2];    /* a pipe stands for the pidfd: closing one end ends the daemon */
    guint timeout;
} Scene;

static int renewals;
static int mode; /* what the renewal does */
enum { FRESH, OLD, HANG, LOST };

static gint64
bootTime(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

static gboolean
renewal(gpointer objectData, virLockRenewal *out, const virLockWait *wait, GError **error)
{
    static gint64 last;

    (void)g_atomic_int_add(&renewals, 1);
    if (g_atomic_int_get(&mode) == HANG) {
        while (g_get_monotonic_time() < wait->deadlineUsec)
            g_usleep(10 * 1000);
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT, "no answer");
        return FALSE;
    }
    if (g_atomic_int_get(&mode) == LOST) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_LOST, "gone");
        return FALSE;
    }
    if (g_atomic_int_get(&mode) == FRESH)
        last = bootTime();
    out->lastUsec = last;
    out->intervalSec = 1;
    out->expireSec = 3;
    out->takeoverSec = 13;
    return TRUE;
}

static gboolean
onEvent(virLockManager *man, virLockWatchEvent event, const virLockRenewal *last,
        gpointer data)
{
    Scene *scene = data;

    if (scene->events->len == 0)
        scene->firstUsec = bootTime();
    g_array_append_val(scene->events, event);
    return G_SOURCE_CONTINUE;
}

static gboolean
onTimeout(gpointer data)
{
    Scene *scene = data;

    scene->timeout = 0;
    g_main_loop_quit(scene->loop);
    return G_SOURCE_REMOVE;
}

static void
sceneRun(Scene *scene, guint msec)
{
    scene->timeout = g_timeout_add(msec, onTimeout, scene);
    g_main_loop_run(scene->loop);
}

static GSource *
sceneBegin(Scene *scene)
{
    g_autoptr(GError) error = NULL;
    GSource *source;

    g_atomic_int_set(&mode, FRESH);
    scene->store = fakeStoreNew();
    g_assert_cmpint(pipe(scene->daemon), ==, 0);
    scene->store->daemonFd = scene->daemon[0];
    scene->plugin = fakePluginNew(scene->store);
    scene->plugin->driver.renewal = renewal;
    scene->loop = g_main_loop_new(NULL, FALSE);
    scene->events = g_array_new(FALSE, FALSE, sizeof(virLockWatchEvent));
    scene->man = fakeManager(scene->plugin, 0, NULL);
    g_assert_true(virLockManagerSetParameter(scene->man, "pid", "4711", &error));
    source = virLockManagerWatch(scene->man, &error);
    virAssertNoError(error);
    g_source_set_callback(source, G_SOURCE_FUNC(onEvent), scene, NULL);
    (void)g_source_attach(source, NULL);
    g_atomic_int_set(&renewals, 0);
    return source;
}

static void
sceneEnd(Scene *scene, GSource *source)
{
    g_source_destroy(source);
    g_source_unref(source);
    virLockManagerFree(scene->man);
    virLockManagerPluginUnload(scene->plugin);
    fakeStoreFree(scene->store);
    g_main_loop_unref(scene->loop);
    g_array_unref(scene->events);
    for (int i = 0; i < 2; i++)
        if (scene->daemon[i] >= 0)
            (void)close(scene->daemon[i]);
}

static void
expectOnly(const Scene *scene, virLockWatchEvent event)
{
    g_assert_cmpuint(scene->events->len, ==, 1);
    g_assert_cmpint(g_array_index(scene->events, virLockWatchEvent, 0), ==, event);
}

static void
testDaemonGone(void)
{
    Scene scene = {0};
    GSource *source = sceneBegin(&scene);

    sceneRun(&scene, 200);
    g_assert_cmpuint(scene.events->len, ==, 0);
    (void)close(scene.daemon[1]);
    scene.daemon[1] = -1;
    sceneRun(&scene, 300);
    expectOnly(&scene, VIR_LOCK_WATCH_DAEMON_GONE);
    sceneEnd(&scene, source);
}

/* All is well: no event, and one check an interval. */
static void
testHealthy(void)
{
    Scene scene = {0};
    GSource *source = sceneBegin(&scene);

    sceneRun(&scene, 3500);
    g_assert_cmpuint(scene.events->len, ==, 0);
    g_assert_cmpint(g_atomic_int_get(&renewals), >=, 2);
    g_assert_cmpint(g_atomic_int_get(&renewals), <=, 4);
    sceneEnd(&scene, source);
}

/* The daemon answers, but renews nothing. */
static void
testOldRenewal(void)
{
    Scene scene = {0};
    GSource *source = sceneBegin(&scene);
    gint64 start = bootTime();

    g_atomic_int_set(&mode, OLD);
    sceneRun(&scene, 4500);
    expectOnly(&scene, VIR_LOCK_WATCH_STALE);
    g_assert_cmpint(scene.firstUsec - start, <, 3.5 * G_USEC_PER_SEC);
    g_assert_cmpint(scene.firstUsec - start, >, 1.5 * G_USEC_PER_SEC);
    sceneEnd(&scene, source);
}

/* The daemon does not answer at all: our own clock decides, and the loop does not hang. */
static void
testHang(void)
{
    Scene scene = {0};
    GSource *source = sceneBegin(&scene);
    gint64 start = bootTime();

    g_atomic_int_set(&mode, HANG);
    sceneRun(&scene, 4500);
    expectOnly(&scene, VIR_LOCK_WATCH_STALE);
    g_assert_cmpint(scene.firstUsec - start, <, 3.5 * G_USEC_PER_SEC);
    /* one check at a time */
    g_assert_cmpint(g_atomic_int_get(&renewals), <=, 2);
    sceneEnd(&scene, source);
}

/* This process was stopped for longer than a renewal lasts, and the daemon was not. */
static void
testSlept(void)
{
    Scene scene = {0};
    GSource *source = sceneBegin(&scene);

    sceneRun(&scene, 200);
    g_usleep(4 * G_USEC_PER_SEC); /* the loop does not turn */
    sceneRun(&scene, 500);
    g_assert_cmpuint(scene.events->len, ==, 0);
    sceneEnd(&scene, source);
}

/* The same, and the daemon hangs. */
static void
testSleptAndHang(void)
{
    Scene scene = {0};
    GSource *source = sceneBegin(&scene);

    sceneRun(&scene, 200);
    g_atomic_int_set(&mode, HANG);
    g_usleep(4 * G_USEC_PER_SEC);
    sceneRun(&scene, 6500);
    expectOnly(&scene, VIR_LOCK_WATCH_STALE);
    sceneEnd(&scene, source);
}

static void
testLost(void)
{
    Scene scene = {0};
    GSource *source = sceneBegin(&scene);

    g_atomic_int_set(&mode, LOST);
    sceneRun(&scene, 2500);
    expectOnly(&scene, VIR_LOCK_WATCH_LOST);
    sceneEnd(&scene, source);
}

/* Stale, well again, stale again: told each time. */
static void
testRecovers(void)
{
    Scene scene = {0};
    GSource *source = sceneBegin(&scene);

    g_atomic_int_set(&mode, OLD);
    sceneRun(&scene, 4000);
    expectOnly(&scene, VIR_LOCK_WATCH_STALE);
    g_atomic_int_set(&mode, FRESH);
    sceneRun(&scene, 2000);
    expectOnly(&scene, VIR_LOCK_WATCH_STALE);
    g_atomic_int_set(&mode, OLD);
    sceneRun(&scene, 4500);
    g_assert_cmpuint(scene.events->len, ==, 2);
    sceneEnd(&scene, source);
}

/* The object goes while a check hangs in the daemon: nothing is used after it was freed, and
 * nobody waits. */
static void
testFreeDuringCheck(void)
{
    Scene scene = {0};
    GSource *source = sceneBegin(&scene);
    gint64 start;

    g_atomic_int_set(&mode, HANG);
    sceneRun(&scene, 1500);
    g_assert_cmpint(g_atomic_int_get(&renewals), ==, 1);
    start = bootTime();
    virLockManagerFree(scene.man);
    g_assert_true(g_source_is_destroyed(source));
    g_assert_cmpint(bootTime() - start, <, G_USEC_PER_SEC);
    g_source_unref(source);
    /* the check still has the plugin and its data: let it return before the store goes */
    g_usleep(6 * G_USEC_PER_SEC);
    virLockManagerPluginUnload(scene.plugin);
    fakeStoreFree(scene.store);
    g_main_loop_unref(scene.loop);
    g_array_unref(scene.events);
    (void)close(scene.daemon[0]);
    (void)close(scene.daemon[1]);
}

/* A daemon that is silent from the beginning is an error, not a guess. */
static void
testSilentFromTheBeginning(void)
{
    Scene scene = {0};
    GSource *source = sceneBegin(&scene);
    g_autoptr(GError) error = NULL;

    g_atomic_int_set(&mode, LOST);
    g_assert_null(virLockManagerWatch(scene.man, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_LOST);
    g_atomic_int_set(&mode, FRESH);
    sceneEnd(&scene, source);
}

static void
testUnsupported(void)
{
    Scene scene = {0};
    GSource *source = sceneBegin(&scene);
    g_autoptr(GError) error = NULL;

    scene.plugin->driver.capabilities &= ~(guint64)VIR_LOCK_CAP_LOSS_EVENTS;
    g_assert_null(virLockManagerWatch(scene.man, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED);
    sceneEnd(&scene, source);
}

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    g_test_add_func("/watch/daemon-gone", testDaemonGone);
    g_test_add_func("/watch/healthy", testHealthy);
    g_test_add_func("/watch/old-renewal", testOldRenewal);
    g_test_add_func("/watch/hang", testHang);
    g_test_add_func("/watch/slept", testSlept);
    g_test_add_func("/watch/slept-and-hang", testSleptAndHang);
    g_test_add_func("/watch/lost", testLost);
    g_test_add_func("/watch/recovers", testRecovers);
    g_test_add_func("/watch/free-during-check", testFreeDuringCheck);
    g_test_add_func("/watch/silent-from-the-beginning", testSilentFromTheBeginning);
    g_test_add_func("/watch/unsupported", testUnsupported);
    return g_test_run();
}
