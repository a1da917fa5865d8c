/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-watch.c: lost leases from end to end, with a guest and a lock manager of the test and
 * the real leasehold-lockfailure: who says so, what is done, in which order and by when.
 *
 * Seen failing: without draining before the release (helper-pauses), the helper without its
 * checks of start time and owner (another-process, another-owner).
 */
#include "supervisor/watch.h"
#include "common/fd.h"
#include "common/spawn.h"
#include "tests/lib/vir_test.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define UUID "6f1c8b3e-52d4-4c5e-9d44-0123456789ab"
#define IN_SEC(n) (g_get_monotonic_time() + (gint64)((n)*G_USEC_PER_SEC))

typedef struct _World {
    virDomainLockGuest guest;
    GMutex lock;
    GString *calls; /* what was asked of guest and lock manager, in order */
    gboolean stopHangs;
    gboolean releaseFails;
    guint held; /* leases */
    GSource *lockSource;
    virLockRenewal renewal;
    char *dir; /* .../guests/UUID */
    char *root;
    virSupervisorWatch *watch;
    GMainLoop *loop;
    virLeaseLossState until; /* the loop runs until this is entered */
} World;

static void
note(World *world, const char *what)
{
    g_mutex_lock(&world->lock);
    g_string_append_printf(world->calls, "%s ", what);
    g_mutex_unlock(&world->lock);
}

/* --- a guest ------------------------------------------------------------------------------ */

static JsonNode *
worldCommand(virDomainLockGuest *guest, const char *name, JsonObject *args,
             gint64 deadline, GError **error)
{
    World *world = (World *)guest;

    note(world, name);
    if (world->stopHangs && strcmp(name, "stop") == 0) {
        while (g_get_monotonic_time() < deadline)
            g_usleep(5000);
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE, "stop hangs");
        return NULL;
    }
    return json_from_string(g_str_has_prefix(name, "query-") ? "[]" : "{}", NULL);
}

static guint64
worldEventSerial(virDomainLockGuest *guest)
{
    return 0;
}

static void
worldKill(virDomainLockGuest *guest, gboolean graceful)
{
    note((World *)guest, graceful ? "TERM" : "KILL");
}

static const virDomainLockGuestOps worldOps = {
    .command = worldCommand, .eventSerial = worldEventSerial, .kill = worldKill};

/* --- a lock manager: what watch.c calls of the library ----------------------------------- */

static World *
worldOf(virLockManager *man)
{
    return (World *)man;
}

typedef struct _LockSource {
    GSource parent;
    World *world;
    virLockWatchEvent event;
} LockSource;

static gboolean
lockSourceDispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    LockSource *self = (LockSource *)source;
    virLockManagerWatchFunc func = (virLockManagerWatchFunc)(void (*)(void))callback;

    g_source_set_ready_time(source, -1);
    return func((virLockManager *)self->world, self->event, &self->world->renewal, data);
}

static GSourceFuncs lockSourceFuncs = {.dispatch = lockSourceDispatch};

GSource *
virLockManagerWatch(virLockManager *man, GError **error)
{
    World *world = worldOf(man);

    if (world->renewal.takeoverSec == 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED, "no loss events");
        return NULL;
    }
    world->lockSource = g_source_new(&lockSourceFuncs, sizeof(LockSource));
    ((LockSource *)world->lockSource)->world = world;
    return world->lockSource;
}

static void
fire(World *world, virLockWatchEvent event)
{
    ((LockSource *)world->lockSource)->event = event;
    g_source_set_ready_time(world->lockSource, 0);
}

gboolean
virLockManagerGetRenewal(virLockManager *man, virLockRenewal *renewal,
                         const virLockWait *wait, GError **error)
{
    *renewal = worldOf(man)->renewal;
    return TRUE;
}

GPtrArray *
virLockManagerGetLeases(virLockManager *man)
{
    GPtrArray *leases = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < worldOf(man)->held; i++) {
        virLockLease *lease = g_new0(virLockLease, 1);

        lease->type = i == 0 ? VIR_LOCK_RESOURCE_RUN : VIR_LOCK_RESOURCE_DISK;
        lease->hold = VIR_LOCK_HOLD_LEASE;
        g_ptr_array_add(leases, lease);
    }
    return leases;
}

gboolean
virLockManagerReleaseResource(virLockManager *man, virLockResourceType type,
                              const char *name, const virLockWait *wait, GError **error)
{
    World *world = worldOf(man);

    note(world, type == VIR_LOCK_RESOURCE_RUN ? "release-run" : "release-disk");
    if (world->releaseFails) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE, "no answer");
        return FALSE;
    }
    world->held--;
    return TRUE;
}

/* --- the world ------------------------------------------------------------------------------ */

static void
onState(virLeaseLossState state, const char *why, gpointer opaque)
{
    World *world = opaque;

    note(world, virLeaseLossStateName(state));
    if (state == world->until)
        g_main_loop_quit(world->loop);
}

/* Renewed so long ago that @expireSec is now; another host may come after @window seconds. */
static World *
worldNew(guint window)
{
    World *world = g_new0(World, 1);

    world->guest.ops = &worldOps;
    world->calls = g_string_new(NULL);
    world->held = 3;
    world->renewal = (virLockRenewal){.structSize = sizeof(virLockRenewal),
                                      .lastUsec = virBoottimeUsec() - 8 * G_USEC_PER_SEC,
                                      .intervalSec = 2,
                                      .expireSec = 8,
                                      .takeoverSec = window > 0 ? 8 + window : 0};
    world->root = g_dir_make_tmp("leasehold-watch-XXXXXX", NULL);
    world->dir = g_build_filename(world->root, UUID, NULL);
    g_assert_cmpint(g_mkdir(world->dir, 0700), ==, 0);
    world->loop = g_main_loop_new(NULL, FALSE);
    return world;
}

static void
worldWatch(World *world)
{
    const virSupervisorWatchOptions options = {.guest = &world->guest,
                                               .man = (virLockManager *)world,
                                               .policy = VIR_DOMAIN_LOCKFAILURE_PAUSE,
                                               .runDir = world->dir,
                                               .func = onState,
                                               .opaque = world};
    g_autoptr(GError) error = NULL;

    world->watch = virSupervisorWatchNew(&options, &error);
    virAssertNoError(error);
}

static void
worldRunUntil(World *world, virLeaseLossState state)
{
    world->until = state;
    g_main_loop_run(world->loop);
}

static void
worldFree(World *world)
{
    g_autofree char *state = g_build_filename(world->dir, "state.json", NULL);

    virSupervisorWatchFree(world->watch);
    (void)g_unlink(state);
    g_assert_cmpint(g_rmdir(world->dir), ==, 0); /* and no socket is left */
    (void)g_rmdir(world->root);
    g_main_loop_unref(world->loop);
    g_string_free(world->calls, TRUE);
    g_free(world->dir);
    g_free(world->root);
    g_free(world);
}

/* --- the helper ---------------------------------------------------------------------------- */

static pid_t
startHelper(const char *dir, const char *pidText, int *pidfd)
{
    g_autofree char *program =
        g_build_filename(g_getenv("LEASEHOLD_HELPER_DIR"), "leasehold-lockfailure", NULL);
    const char *const argv[] = {program, dir, pidText, NULL};
    const virSpawnOptions options = {.what = "the helper", .argv = argv};
    g_autoptr(GError) error = NULL;
    pid_t pid = -1;
    gboolean ok = virSpawn(&options, &pid, pidfd, &error);

    virAssertNoError(error);
    g_assert_true(ok);
    return pid;
}

static int
finishHelper(pid_t pid, int pidfd)
{
    int status = -1;

    g_assert_true(virSpawnReap(pid, pidfd, IN_SEC(20), &status));
    virFdClose(pidfd);
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int
runHelper(const char *dir, const char *pidText)
{
    int pidfd = -1;
    pid_t pid = startHelper(dir, pidText, &pidfd);

    return finishHelper(pid, pidfd);
}

static void
testHelperPausesAndReleases(void)
{
    World *world = worldNew(60);
    int pidfd = -1;
    pid_t pid;

    worldWatch(world);
    pid = startHelper(world->dir, NULL, &pidfd);
    worldRunUntil(world, VIR_LEASE_LOSS_PAUSED);

    g_assert_cmpstr(world->calls->str, ==,
                    "freezing stop query-jobs query-block-exports stop query-status "
                    "releasing release-disk release-disk release-run paused ");
    g_assert_cmpint(finishHelper(pid, pidfd), ==, 0);
    worldFree(world);
}

static void
testStuckStopEndsBeforeTakeover(void)
{
    World *world = worldNew(6);
    gint64 takeover = world->renewal.lastUsec + 14 * G_USEC_PER_SEC;

    world->stopHangs = TRUE;
    worldWatch(world);
    fire(world, VIR_LOCK_WATCH_STALE);
    worldRunUntil(world, VIR_LEASE_LOSS_KILLING);

    g_assert_cmpint(virBoottimeUsec(), <, takeover - 2 * G_USEC_PER_SEC);
    g_assert_cmpstr(world->calls->str, ==,
                    "freezing stop terminating TERM killing KILL ");
    worldRunUntil(world, VIR_LEASE_LOSS_STUCK); /* this guest does not die */
    g_assert_cmpint(virBoottimeUsec(), >=, takeover);
    g_assert_cmpstr(world->calls->str, ==,
                    "freezing stop terminating TERM killing KILL stuck ");
    virSupervisorWatchEnded(world->watch);
    g_assert_cmpint(virSupervisorWatchGetState(world->watch), ==, VIR_LEASE_LOSS_GONE);
    worldFree(world);
}

static void
testFailedReleaseIsSigkill(void)
{
    World *world = worldNew(60);

    world->releaseFails = TRUE;
    worldWatch(world);
    fire(world, VIR_LOCK_WATCH_LOST);
    worldRunUntil(world, VIR_LEASE_LOSS_KILLING);
    virSupervisorWatchEnded(world->watch);

    g_assert_null(strstr(world->calls->str, "TERM"));
    g_assert_true(g_str_has_suffix(world->calls->str, "release-disk killing KILL gone "));
    worldFree(world);
}

static void
testDaemonGone(void)
{
    World *world = worldNew(60);
    gint64 start = g_get_monotonic_time();

    worldWatch(world);
    fire(world, VIR_LOCK_WATCH_DAEMON_GONE);
    worldRunUntil(world, VIR_LEASE_LOSS_KILLING);

    g_assert_cmpint(g_get_monotonic_time() - start, <, 3 * G_USEC_PER_SEC);
    g_assert_true(g_str_has_prefix(world->calls->str, "terminating TERM killing "));
    worldFree(world);
}

static void
testNothingToLose(void)
{
    World *world = worldNew(0);

    worldWatch(world);
    g_assert_nonnull(world->watch);
    g_assert_cmpint(virSupervisorWatchGetState(world->watch), ==, VIR_LEASE_LOSS_SAFE);
    worldFree(world);
}

/* --- the helper alone ----------------------------------------------------------------------- */

static int
childPauses(gpointer data)
{
    while (pause() < 0)
        continue;
    return 0;
}

typedef struct _Victim {
    pid_t pid;
    int pidfd;
    guint64 start;
} Victim;

static Victim
victimNew(World *world, gint64 startOffset)
{
    const virSpawnOptions options = {.what = "a guest", .childForkSafe = childPauses};
    g_autofree char *path = g_build_filename(world->dir, "state.json", NULL);
    g_autofree char *text = NULL;
    virProcessStat st;
    Victim victim;

    g_assert_true(virSpawn(&options, &victim.pid, &victim.pidfd, NULL));
    g_assert_cmpint(virProcessReadStat(victim.pid, &st), ==, 0);
    victim.start = st.startTime;
    text = g_strdup_printf(
        "{\"name\": \"web\", \"pid\": %d, \"pid_start\": %" G_GINT64_FORMAT "}",
        (int)victim.pid, (gint64)st.startTime + startOffset);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    return victim;
}

/* Reaps it and returns whether it had been killed before. */
static gboolean
victimEnd(Victim *victim)
{
    gboolean dead = virPidfdWait(victim->pidfd, 0);
    int status;

    (void)virPidfdSendSignal(victim->pidfd, SIGKILL);
    g_assert_true(virSpawnReap(victim->pid, victim->pidfd, IN_SEC(5), &status));
    virFdClose(victim->pidfd);
    return dead;
}

static void
testHelperKillsWithoutSupervisor(void)
{
    World *world = worldNew(60);
    Victim victim = victimNew(world, 0);
    g_autofree char *pid = g_strdup_printf("%d", (int)victim.pid);

    g_assert_cmpint(runHelper(world->dir, pid), ==, 0);
    g_assert_true(victimEnd(&victim));
    worldFree(world);
}

static void
testHelperKillsWhenSupervisorHangs(void)
{
    World *world = worldNew(60);
    Victim victim = victimNew(world, 0);
    gint64 start = g_get_monotonic_time();

    worldWatch(world); /* listens, but no main loop runs */
    g_assert_cmpint(runHelper(world->dir, NULL), ==, 0);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 3 * G_USEC_PER_SEC);
    g_assert_true(victimEnd(&victim));
    worldFree(world);
}

static void
testHelperSparesAnotherProcess(void)
{
    World *world = worldNew(60);
    Victim victim = victimNew(world, 1); /* the number was given to a later process */

    g_assert_cmpint(runHelper(world->dir, NULL), ==, 1);
    g_assert_false(victimEnd(&victim));

    victim = victimNew(world, 0);
    g_assert_cmpint(runHelper(world->dir, "1"), ==, 1); /* not the daemon's client */
    g_assert_false(victimEnd(&victim));
    worldFree(world);
}

/* A user's directory must not make root kill root's processes. */
static void
testHelperSparesAnotherOwner(void)
{
    World *world = worldNew(60);
    g_autofree char *state = g_build_filename(world->dir, "state.json", NULL);
    Victim victim;

    if (geteuid() != 0) {
        g_test_skip("only root can give files away");
        worldFree(world);
        return;
    }
    victim = victimNew(world, 0);
    g_assert_cmpint(chown(state, 65534, 65534), ==, 0);
    g_assert_cmpint(runHelper(world->dir, NULL), ==,
                    1); /* not the directory owner's file */
    g_assert_cmpint(chown(world->dir, 65534, 65534), ==, 0);
    g_assert_cmpint(runHelper(world->dir, NULL), ==, 1); /* not the owner's process */
    g_assert_false(victimEnd(&victim));
    worldFree(world);
}

static void
testHelperRefusesBadArguments(void)
{
    World *world = worldNew(60);
    g_autofree char *path = g_build_filename(world->dir, "state.json", NULL);

    g_assert_cmpint(runHelper("guests/" UUID, NULL), ==, 1);
    g_assert_cmpint(runHelper(world->root, NULL), ==, 1);
    g_assert_cmpint(runHelper("/nonexistent/" UUID, NULL), ==, 1);
    g_assert_cmpint(runHelper(world->dir, "12x"), ==, 1);
    g_assert_cmpint(runHelper(world->dir, NULL), ==, 1); /* no state file */
    g_assert_true(g_file_set_contents(path, "{\"pid\": 1, \"pid_start\": 0}", -1, NULL));
    g_assert_cmpint(runHelper(world->dir, NULL), ==, 1);
    g_assert_true(g_file_set_contents(path, "[[[", -1, NULL));
    g_assert_cmpint(runHelper(world->dir, NULL), ==, 1);
    worldFree(world);
}

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    g_test_add_func("/watch/helper-pauses-and-releases", testHelperPausesAndReleases);
    g_test_add_func("/watch/stuck-stop", testStuckStopEndsBeforeTakeover);
    g_test_add_func("/watch/failed-release", testFailedReleaseIsSigkill);
    g_test_add_func("/watch/daemon-gone", testDaemonGone);
    g_test_add_func("/watch/nothing-to-lose", testNothingToLose);
    g_test_add_func("/lockfailure/without-supervisor", testHelperKillsWithoutSupervisor);
    g_test_add_func("/lockfailure/hung-supervisor", testHelperKillsWhenSupervisorHangs);
    g_test_add_func("/lockfailure/another-process", testHelperSparesAnotherProcess);
    g_test_add_func("/lockfailure/another-owner", testHelperSparesAnotherOwner);
    g_test_add_func("/lockfailure/bad-arguments", testHelperRefusesBadArguments);
    return g_test_run();
}
