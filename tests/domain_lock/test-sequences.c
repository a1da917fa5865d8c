/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-sequences.c: start and end of a guest, with neighbours that fail where they are told.
 *
 * Seen failing: without the undo of the folder (it is left), of the child or of the leases (no
 * kill, reap, shutdown, in this order), with the leases looked at before the reaping, with cont
 * before the audit.
 */
#include "domain_lock/migrate/migrate.h"
#include "domain_lock/save/archive.h"
#include "tests/domain_lock/fake.h"
#include <signal.h>
#include <leasehold/lock_driver.h>
#include <string.h>

/* --- start -------------------------------------------------------------------------- */

static void
testStartOrder(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakePrepare(self, 0);
    g_autoptr(GError) error = NULL;
    g_autofree char *log = NULL;

    g_assert_true(fakeRun(self, obj, &error));

    log = fakeTakeLog(self);
    g_assert_cmpstr(
        log, ==,
        "describe plugin guest park chains register acquire chains advance argv "
        "exec query-named-block-nodes cont");
    g_assert_cmpint(virDomainLockObjGetState(obj), ==, VIR_DOMAIN_LOCK_STATE_RUNNING);
    g_assert_true(self->held);
}

typedef struct {
    const char *name;
    guint64 capabilities;
    double progress;
    const char *calls; /* from acquire to exec */
} Ahead;

/* QEMU is loaded while its leases are taken, if nothing is known to be in the way and if nothing
 * has to be passed to it. */
static const Ahead aheads[] = {
    {"clear-way", VIR_LOCK_CAP_CHILD_REGISTER, 0,
     "acquire argv load chains advance argv exec"},
    {"somebody-in-the-way", VIR_LOCK_CAP_CHILD_REGISTER, -1,
     "acquire chains advance argv exec"},
    {"holds-by-files", 0, 0, "acquire chains advance argv exec"},
};

static void
testStartLoadsAhead(Fake *self, gconstpointer data)
{
    const Ahead *ahead = data;
    g_autoptr(virDomainLockObj) obj = fakePrepare(self, 0);
    g_autoptr(GError) error = NULL;
    g_autofree char *log = NULL;

    self->capabilities = ahead->capabilities;
    self->progress = &ahead->progress;
    g_assert_true(fakeRun(self, obj, &error));

    log = fakeTakeLog(self);
    g_assert_nonnull(strstr(log, ahead->calls));
}

static void
testStartPaused(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakePrepare(self, VIR_DOMAIN_LOCK_CREATE_PAUSED);
    g_autoptr(GError) error = NULL;
    g_autofree char *log = NULL;
    virDomainLockReason reason;

    g_assert_true(fakeRun(self, obj, &error));

    log = fakeTakeLog(self);
    g_assert_null(strstr(log, "cont"));
    g_assert_cmpint(virDomainLockObjGetStateAndReason(obj, &reason), ==,
                    VIR_DOMAIN_LOCK_STATE_PAUSED);
    g_assert_cmpint(reason, ==, VIR_DOMAIN_LOCK_REASON_USER);
}

/* The calls of steps 1 to 3: the guest never comes to be an object. */
static void
testPrepareFails(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockSpec) spec = virDomainLockSpecNew();
    g_autoptr(GError) error = NULL;

    self->failAt = data;
    spec->xml = g_strdup("web");
    g_assert_null(virDomainLockStartPrepare(fakeConfig(), spec, fakeGuest, NULL, &error));

    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY);
    fakeAssertGone(self);
}

typedef struct {
    const char *call;
    guint after; /* so many calls of it succeed first */
} FailAt;

static void
testStartFails(Fake *self, gconstpointer data)
{
    const FailAt *at = data;
    g_autoptr(virDomainLockObj) obj = fakePrepare(self, 0);
    g_autoptr(GError) error = NULL;
    virDomainLockReason reason;

    self->failAt = at->call;
    self->failAfter = at->after;
    g_assert_false(fakeRun(self, obj, &error));

    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, "cannot start guest 'web'"));
    g_assert_nonnull(strstr(error->message, "explained: "));
    g_assert_null(strstr(error->message, "could not undo"));
    g_assert_cmpint(virDomainLockObjGetStateAndReason(obj, &reason), ==,
                    VIR_DOMAIN_LOCK_STATE_SHUTOFF);
    g_assert_cmpint(reason, ==, VIR_DOMAIN_LOCK_REASON_FAILED);
    fakeAssertGone(self);
}

/* I3: dead before free, also when a start is undone. */
static void
testStartUndoOrder(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakePrepare(self, 0);
    g_autoptr(GError) error = NULL;
    g_autofree char *log = NULL;
    const char *kill = NULL, *reap = NULL, *shutdown = NULL;

    self->failAt = "cont";
    g_assert_false(fakeRun(self, obj, &error));

    log = fakeTakeLog(self);
    kill = strstr(log, " kill");
    reap = strstr(log, " reap");
    shutdown = strstr(log, " shutdown");
    g_assert_true(kill && reap && shutdown);
    g_assert_true(kill < reap && reap < shutdown);
}

/* I8: an undo that did not work is said, and the folder of a guest that lives is kept. */
static void
testStartUndoFails(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakePrepare(self, 0);
    g_autofree char *path = g_build_filename(self->runDir, "guests", FAKE_UUID, NULL);
    g_autoptr(GError) error = NULL;

    self->failAt = "cont";
    self->stuck = TRUE;
    g_assert_false(fakeRun(self, obj, &error));

    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE);
    /* whoever lists guests still finds it */
    g_assert_true(g_file_test(path, G_FILE_TEST_IS_DIR));

    g_assert_nonnull(strstr(error->message, "could not undo"));
    g_assert_nonnull(strstr(error->message, "QEMU does not die"));
    g_assert_true(self->held);
}

/* An answer that did not come leaves nothing open once all was undone. */
static void
testStartSettlesWhatWasOpen(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakePrepare(self, 0);
    g_autoptr(GError) error = NULL;

    self->failAt = "cont";
    self->failCode = VIR_LOCK_ERROR_INDETERMINATE;
    g_assert_false(fakeRun(self, obj, &error));

    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE);
    fakeAssertGone(self);
}

/* I2: no vCPU runs when something is open that no lease covers. */
static void
testStartAudits(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakePrepare(self, 0);
    g_autoptr(GError) error = NULL;
    g_autofree char *log = NULL;

    self->nodes =
        "{\"return\": [{\"node-name\": \"other\", \"drv\": \"file\", \"ro\": false, "
        "\"file\": \"/proc/self/exe\"}]}";
    g_assert_false(fakeRun(self, obj, &error));

    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "'other'"));
    log = fakeTakeLog(self);
    g_assert_null(strstr(log, "cont"));
    fakeAssertGone(self);
}

static void
testStartCancelled(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakePrepare(self, 0);
    g_autoptr(GError) error = NULL;
    g_autofree char *log = NULL;

    self->cancelAt = data;
    g_assert_false(fakeRun(self, obj, &error));

    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED);
    log = fakeTakeLog(self);
    g_assert_null(strstr(log, "cont"));
    fakeAssertGone(self);
}

static void
testStartDeadline(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakePrepare(self, 0);
    virLockWait wait = {.structSize = sizeof(wait),
                        .deadlineUsec = g_get_monotonic_time() - 1};
    g_autoptr(GError) error = NULL;

    g_assert_false(virDomainLockStartRun(obj, &wait, &error));

    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT);
    fakeAssertGone(self);
}

static void
testStartAbandoned(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakePrepare(self, 0);
    g_autoptr(GError) error =
        g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, "no socket");

    virDomainLockStartAbandon(obj, &error);

    g_assert_nonnull(strstr(error->message, "no socket"));
    fakeAssertGone(self);
}

static void
testSecondIsRefused(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    g_autoptr(virDomainLockSpec) spec = virDomainLockSpecNew();
    g_autoptr(GError) error = NULL;

    spec->xml = g_strdup("web");
    g_assert_null(virDomainLockStartPrepare(fakeConfig(), spec, fakeGuest, NULL, &error));

    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, "running on this host since"));
    g_assert_true(self->alive && self->held);
}

/* --- end ---------------------------------------------------------------------------- */

static void
assertEnded(Fake *self, virDomainLockReason reason, int waitStatus)
{
    g_autoptr(virDomainLockInfo) last = virArchiveLoadInfo(self->stateDir, FAKE_UUID);

    fakeAssertGone(self);
    g_assert_nonnull(last);
    g_assert_cmpint(last->state, ==, VIR_DOMAIN_LOCK_STATE_SHUTOFF);
    g_assert_cmpstr(virDomainLockReasonName(last->reason), ==,
                    virDomainLockReasonName(reason));
    g_assert_cmpint(last->waitStatus, ==, waitStatus);
    g_assert_cmpint(last->endedUsec, >, 0);
    g_assert_cmpuint(last->leases->len, ==, 0);
}

static JsonObject *
shutdownData(gboolean guest, const char *reason)
{
    JsonObject *data = json_object_new();

    json_object_set_boolean_member(data, "guest", guest);
    json_object_set_string_member(data, "reason", reason);
    return data;
}

static void
testGuestShutsDown(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    g_autoptr(JsonObject) event = shutdownData(TRUE, "guest-shutdown");
    g_autoptr(GError) error = NULL;
    g_autofree char *log = NULL;

    g_assert_cmpint(virDomainLockObjHandle(obj, "SHUTDOWN", event), ==,
                    VIR_DOMAIN_LOCK_FOLLOW_END);
    /* the guest is finished; QEMU still flushes: the leases are held */
    g_assert_cmpint(virDomainLockObjGetState(obj), ==, VIR_DOMAIN_LOCK_STATE_SHUTDOWN);
    g_assert_true(self->held);

    g_assert_true(virDomainLockEnd(obj, &error));
    log = fakeTakeLog(self);
    g_assert_cmpstr(log, ==, "quit reap shutdown");
    assertEnded(self, VIR_DOMAIN_LOCK_REASON_SHUTDOWN, 0);
}

static void
testStubbornQemuIsKilled(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    g_autoptr(GError) error = NULL;
    g_autofree char *log = NULL;

    self->stubborn = TRUE;
    virDomainLockObjSetEndReason(obj, VIR_DOMAIN_LOCK_REASON_DESTROYED);
    g_assert_true(virDomainLockEnd(obj, &error));

    log = fakeTakeLog(self);
    g_assert_cmpstr(log, ==, "quit reap kill reap shutdown");
    assertEnded(self, VIR_DOMAIN_LOCK_REASON_DESTROYED, SIGKILL);
}

/* I3: what cannot be reaped keeps its leases, and the end can be tried again. */
static void
testStuckQemuKeepsItsLeases(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    g_autoptr(GError) error = NULL;

    self->stubborn = TRUE;
    self->stuck = TRUE;
    g_assert_false(virDomainLockEnd(obj, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT);
    g_assert_nonnull(strstr(error->message, "stay held"));
    g_assert_true(self->held);
    g_assert_cmpint(virDomainLockObjGetState(obj), !=, VIR_DOMAIN_LOCK_STATE_SHUTOFF);

    g_clear_error(&error);
    self->stubborn = self->stuck = FALSE;
    g_assert_true(virDomainLockEnd(obj, &error));
    fakeAssertGone(self);
}

static void
testQemuDies(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    g_autoptr(virDomainLockInfo) last = NULL;
    g_autoptr(GError) error = NULL;

    self->alive = FALSE;
    self->waitStatus = SIGSEGV;
    g_assert_cmpint(virDomainLockObjHandle(obj, "EXITED", NULL), ==,
                    VIR_DOMAIN_LOCK_FOLLOW_END);
    g_assert_true(virDomainLockEnd(obj, &error));

    assertEnded(self, VIR_DOMAIN_LOCK_REASON_CRASHED, SIGSEGV);
    last = virArchiveLoadInfo(self->stateDir, FAKE_UUID);
    g_assert_nonnull(strstr(last->message, "signal 11"));
}

static void
testLeasesNotSeenFreeIsSaid(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    g_autoptr(virDomainLockInfo) last = NULL;
    g_autoptr(GError) error = NULL;

    self->failAt = "shutdown";
    g_assert_true(virDomainLockEnd(obj, &error));

    last = virArchiveLoadInfo(self->stateDir, FAKE_UUID);
    g_assert_nonnull(strstr(last->message, "not seen free"));
}

/* A lost lease: another host may write there, so QEMU may not flush any more. */
static void
testLostLeaseIsNeverFlushed(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    g_autoptr(GError) error = NULL;
    g_autofree char *log = NULL;

    obj->status->leaseLost = TRUE;
    g_assert_false(virDomainLockKill(obj, VIR_DOMAIN_LOCK_DESTROY_GRACEFUL, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE);
    g_clear_error(&error);
    g_assert_true(virDomainLockEnd(obj, &error));

    log = fakeTakeLog(self);
    g_assert_cmpstr(log, ==, "kill reap shutdown");
}

/* --- what the description wants ----------------------------------------------------- */

static void
testOnPoweroffRestart(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    g_autoptr(JsonObject) event = shutdownData(TRUE, "guest-shutdown");
    g_autoptr(GError) error = NULL;
    g_autofree char *log = NULL;

    self->onPoweroff = VIR_DOMAIN_ACTION_RESTART;
    g_assert_cmpint(virDomainLockObjHandle(obj, "SHUTDOWN", event), ==,
                    VIR_DOMAIN_LOCK_FOLLOW_RESTART);
    g_assert_true(virDomainLockRestart(obj, &error));
    log = fakeTakeLog(self);
    g_assert_cmpstr(log, ==, "system_reset cont");

    (void)virDomainLockObjHandle(obj, "RESUME", NULL);
    g_assert_cmpint(virDomainLockObjGetState(obj), ==, VIR_DOMAIN_LOCK_STATE_RUNNING);
    g_assert_true(self->held);
}

static void
testOnPoweroffPreserve(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    g_autoptr(JsonObject) event = shutdownData(TRUE, "guest-shutdown");

    self->onPoweroff = VIR_DOMAIN_ACTION_PRESERVE;
    g_assert_cmpint(virDomainLockObjHandle(obj, "SHUTDOWN", event), ==,
                    VIR_DOMAIN_LOCK_FOLLOW_NONE);
    g_assert_cmpint(virDomainLockObjGetState(obj), ==, VIR_DOMAIN_LOCK_STATE_SHUTDOWN);
}

/* With -no-reboot (or its set-action) a reboot comes as SHUTDOWN with its own reason. */
static void
testRebootIsNoShutdown(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    g_autoptr(JsonObject) event = shutdownData(TRUE, "guest-reset");

    self->onPoweroff = VIR_DOMAIN_ACTION_DESTROY;
    self->onReboot = VIR_DOMAIN_ACTION_RESTART;
    g_assert_cmpint(virDomainLockObjHandle(obj, "SHUTDOWN", event), ==,
                    VIR_DOMAIN_LOCK_FOLLOW_RESTART);
}

static void
testHostEndsWhatPolicyWouldRestart(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    g_autoptr(JsonObject) event = shutdownData(FALSE, "host-signal");

    self->onPoweroff = VIR_DOMAIN_ACTION_RESTART;
    g_assert_cmpint(virDomainLockObjHandle(obj, "SHUTDOWN", event), ==,
                    VIR_DOMAIN_LOCK_FOLLOW_END);
}

static void
testPanic(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);

    self->onCrash = VIR_DOMAIN_ACTION_PRESERVE;
    g_assert_cmpint(virDomainLockObjHandle(obj, "GUEST_PANICKED", NULL), ==,
                    VIR_DOMAIN_LOCK_FOLLOW_PRESERVE);
    self->onCrash = VIR_DOMAIN_ACTION_RESTART;
    g_assert_cmpint(virDomainLockObjHandle(obj, "GUEST_PANICKED", NULL), ==,
                    VIR_DOMAIN_LOCK_FOLLOW_RESTART);
    self->onCrash = VIR_DOMAIN_ACTION_DESTROY;
    g_assert_cmpint(virDomainLockObjHandle(obj, "GUEST_PANICKED", NULL), ==,
                    VIR_DOMAIN_LOCK_FOLLOW_END);
}

/* What a guest does right after its cont, before the start is through, is not lost. */
static void
testQuickGuest(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakePrepare(self, 0);
    g_autoptr(JsonObject) event = shutdownData(TRUE, "guest-shutdown");
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(virDomainLockObjHandle(obj, "SHUTDOWN", event), ==,
                    VIR_DOMAIN_LOCK_FOLLOW_NONE);
    g_assert_true(fakeRun(self, obj, &error));
    g_assert_cmpint(virDomainLockObjHandleDeferred(obj), ==, VIR_DOMAIN_LOCK_FOLLOW_END);
    g_assert_cmpint(virDomainLockObjGetState(obj), ==, VIR_DOMAIN_LOCK_STATE_SHUTDOWN);
}

/* --- what an operator asks ---------------------------------------------------------- */

static void
testShutdownRequest(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    g_autoptr(GError) error = NULL;
    virDomainLockReason reason;

    g_assert_true(virDomainLockRequestShutdown(obj, 0, 12345, &error));
    g_assert_cmpint(virDomainLockObjGetStateAndReason(obj, &reason), ==,
                    VIR_DOMAIN_LOCK_STATE_RUNNING);
    g_assert_cmpint(reason, ==, VIR_DOMAIN_LOCK_REASON_SHUTDOWN_REQUESTED);

    g_assert_true(virDomainLockWithdrawRequest(obj, &error));
    g_assert_false(virDomainLockWithdrawRequest(obj, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE);
}

/* What somebody wants by a time is not withdrawn by somebody else's wanting it at any time. */
static void
testRequestWithoutDeadlineLeavesIt(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    g_autoptr(GError) error = NULL;
    gint64 deadline = 0;

    g_assert_true(virDomainLockRequestShutdown(obj, 0, 12345, &error));
    g_assert_true(virDomainLockRequestShutdown(obj, 0, 0, &error));
    (void)virDomainLockObjGetRequest(obj, &deadline);
    g_assert_cmpint(deadline, ==, 12345);
    g_assert_true(virDomainLockRequestShutdown(obj, 0, 23456, &error));
    (void)virDomainLockObjGetRequest(obj, &deadline);
    g_assert_cmpint(deadline, ==, 23456);
}

static void
testRebootInsteadOfShutdown(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    g_autoptr(JsonObject) event = shutdownData(TRUE, "guest-reset");
    g_autoptr(GError) over = NULL;
    g_autoptr(GError) error = NULL;

    /* with a deadline it is still to be off by then */
    g_assert_true(virDomainLockRequestShutdown(obj, 0, 12345, &error));
    (void)virDomainLockObjHandle(obj, "RESET", event);
    g_assert_cmpint(virDomainLockObjGetRequest(obj, NULL), ==,
                    VIR_DOMAIN_LOCK_REASON_SHUTDOWN_REQUESTED);
    g_assert_null(virDomainLockObjGetRequestOver(obj));
    /* without one nothing is left of the request */
    g_assert_true(virDomainLockWithdrawRequest(obj, &error));
    g_assert_true(virDomainLockRequestShutdown(obj, 0, 0, &error));
    (void)virDomainLockObjHandle(obj, "RESET", event);
    g_assert_cmpint(virDomainLockObjGetRequest(obj, NULL), ==,
                    VIR_DOMAIN_LOCK_REASON_NONE);
    over = virDomainLockObjGetRequestOver(obj);
    g_assert_error(over, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE);
}

static void
testRebootByPowerButton(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    g_autoptr(JsonObject) event = shutdownData(TRUE, "guest-shutdown");
    g_autoptr(GError) error = NULL;

    self->onPoweroff = VIR_DOMAIN_ACTION_DESTROY;
    self->onReboot = VIR_DOMAIN_ACTION_RESTART;
    g_assert_true(virDomainLockRequestReboot(obj, 0, &error));
    g_assert_cmpint(virDomainLockObjHandle(obj, "SHUTDOWN", event), ==,
                    VIR_DOMAIN_LOCK_FOLLOW_RESTART);
    g_assert_cmpint(virDomainLockObjGetRequest(obj, NULL), ==,
                    VIR_DOMAIN_LOCK_REASON_NONE);
}

/* S4 ends the guest whatever <on_poweroff> says, unless it is to be woken. */
static void
testHibernated(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    g_autoptr(JsonObject) event = shutdownData(TRUE, "guest-shutdown");
    virDomainLockReason reason;

    self->onPoweroff = VIR_DOMAIN_ACTION_RESTART;
    if (data)
        virDomainLockObjSetWakeup(obj, 12345);
    (void)virDomainLockObjHandle(obj, "SUSPEND_DISK", NULL);
    g_assert_cmpint(virDomainLockObjHandle(obj, "SHUTDOWN", event), ==,
                    data ? VIR_DOMAIN_LOCK_FOLLOW_NONE : VIR_DOMAIN_LOCK_FOLLOW_END);
    g_assert_cmpint(virDomainLockObjGetStateAndReason(obj, &reason), ==,
                    VIR_DOMAIN_LOCK_STATE_SHUTDOWN);
    g_assert_cmpint(reason, ==, VIR_DOMAIN_LOCK_REASON_HIBERNATED);
    g_assert_true(self->held);
}

static void
testPausedGuestCannotShutDown(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    g_autoptr(GError) error = NULL;

    g_assert_true(virDomainLockPause(obj, &error));
    (void)virDomainLockObjHandle(obj, "STOP", NULL);
    g_assert_cmpint(virDomainLockObjGetState(obj), ==, VIR_DOMAIN_LOCK_STATE_PAUSED);

    g_assert_false(virDomainLockRequestShutdown(obj, 0, 0, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE);
}

static void
testLeaseLostCannotResume(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    g_autoptr(GError) error = NULL;

    virDomainLockObjSetState(obj, VIR_DOMAIN_LOCK_STATE_PAUSED,
                             VIR_DOMAIN_LOCK_REASON_LEASE_LOST, NULL);
    g_assert_false(virDomainLockContinue(obj, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE);
    g_clear_error(&error);
    g_assert_false(virDomainLockHardReset(obj, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE);
}

/* Whatever else stops the guest then, or does not any more. */
static void
testLeaseLostStaysTheReason(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    virDomainLockReason reason;

    virDomainLockObjSetPauseReason(obj, VIR_DOMAIN_LOCK_REASON_LEASE_LOST);
    virDomainLockObjSetPauseReason(obj, VIR_DOMAIN_LOCK_REASON_MIGRATING);
    virDomainLockObjChangePauseReason(obj, VIR_DOMAIN_LOCK_REASON_MIGRATING,
                                      VIR_DOMAIN_LOCK_REASON_NONE);
    g_assert_false(virDomainLockObjMayRun(obj));
    (void)virDomainLockObjHandle(obj, "STOP", NULL);
    (void)virDomainLockObjGetStateAndReason(obj, &reason);
    g_assert_cmpint(reason, ==, VIR_DOMAIN_LOCK_REASON_LEASE_LOST);
    g_assert_false(virDomainLockObjMayRun(obj));
}

/* The migration that stopped it goes by that when it lets it run again. */
static void
testSuspendedInAMigration(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    g_autoptr(GError) error = NULL;

    virDomainLockObjSetPauseReason(obj, VIR_DOMAIN_LOCK_REASON_MIGRATING);
    (void)virDomainLockObjHandle(obj, "STOP", NULL);
    g_assert_false(virDomainLockObjIsHeld(obj));
    g_assert_true(virDomainLockPause(obj, &error));
    g_assert_true(virDomainLockObjIsHeld(obj));
    (void)virDomainLockObjHandle(obj, "RESUME", NULL);
    g_assert_true(virDomainLockContinue(obj, &error));
    g_assert_false(virDomainLockObjIsHeld(obj));
}

/* It runs elsewhere, or will, or comes back: whoever suspends it here is not told that it is. */
static void
testSuspendedWhenYielded(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    g_autoptr(GError) error = NULL;

    virDomainLockObjSetPeer(obj, "beta");
    virDomainLockObjSetState(obj, VIR_DOMAIN_LOCK_STATE_PAUSED,
                             VIR_DOMAIN_LOCK_REASON_YIELDED, NULL);
    g_assert_false(virDomainLockPause(obj, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE);
    g_assert_nonnull(strstr(error->message, "yielded to host 'beta'"));
    g_assert_false(virDomainLockObjIsHeld(obj));
}

/* A migration was given up while QEMU gave no answer. By its cancel QEMU lets the guest go on,
 * or it does not; afterwards the guest runs, unless somebody suspended it. */
typedef struct {
    const char *states[4];
    gboolean held;
    const char *last; /* command that changes whether it runs */
} GoOn;

static const GoOn goOns[] = {
    {{"paused", "paused"}, FALSE, "cont"},
    {{"paused", "running"}, FALSE, NULL},
    {{"paused", "paused"}, TRUE, NULL},
    {{"paused", "running"}, TRUE, "stop"},
};

static void
testGoesOn(Fake *self, gconstpointer data)
{
    const GoOn *cell = data;
    g_autoptr(virDomainLockObj) obj = fakeStart(self);
    g_autoptr(GError) error = NULL;
    g_autofree char *log = NULL;
    g_autofree char *wanted = NULL;

    (void)virDomainLockObjHandle(obj, "STOP", NULL);
    virDomainLockObjSetHeld(obj, cell->held);
    self->runStates = cell->states;
    g_atomic_int_set(&obj->stuck, TRUE);
    g_free(fakeTakeLog(self));
    g_assert_true(virDomainLockMigrateGoOn(obj, &error));
    g_assert_no_error(error);
    g_assert_false(virDomainLockMigrateIsStuck(obj));
    log = fakeTakeLog(self);
    wanted = g_strdup_printf("stop query-status migrate_cancel query-migrate query-status %s%s"
                             "migrate-set-parameters",
                             cell->last ? cell->last : "", cell->last ? " " : "");
    g_assert_cmpstr(strstr(log, "stop"), ==, strstr(log, wanted));
    /* there is nothing left to do */
    g_assert_true(virDomainLockMigrateGoOn(obj, &error));
    g_free(log);
    log = fakeTakeLog(self);
    g_assert_cmpstr(log, ==, "");
}

#define ADD(path, func, data) g_test_add(path, Fake, data, fakeUp, func, fakeDown)

static void
addFailures(void)
{
    static const char *const prepare[] = {"describe", "plugin", "guest", "park"};
    static const FailAt start[] = {{"chains", 0},     {"register", 0},
                                   {"acquire", 0},    {"chains", 1},
                                   {"advance", 0},    {"argv", 0},
                                   {"exec", 0},       {"query-named-block-nodes", 0},
                                   {"cont", 0}};
    static const char *const cancels[] = {"acquire", "advance", "exec",
                                          "query-named-block-nodes"};

    for (gsize i = 0; i < G_N_ELEMENTS(prepare); i++) {
        g_autofree char *path = g_strdup_printf("/start/fails-at/%s", prepare[i]);

        ADD(path, testPrepareFails, prepare[i]);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(start); i++) {
        g_autofree char *path =
            g_strdup_printf("/start/fails-at/%s-%u", start[i].call, start[i].after + 1);

        ADD(path, testStartFails, &start[i]);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(cancels); i++) {
        g_autofree char *path = g_strdup_printf("/start/cancelled-at/%s", cancels[i]);

        ADD(path, testStartCancelled, cancels[i]);
    }
}

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    ADD("/start/order", testStartOrder, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(aheads); i++) {
        g_autofree char *path = g_strdup_printf("/start/loads-ahead/%s", aheads[i].name);

        ADD(path, testStartLoadsAhead, &aheads[i]);
    }
    ADD("/start/paused", testStartPaused, NULL);
    addFailures();
    ADD("/start/undo-order", testStartUndoOrder, NULL);
    ADD("/start/undo-fails", testStartUndoFails, NULL);
    ADD("/start/settles-what-was-open", testStartSettlesWhatWasOpen, NULL);
    ADD("/start/audits", testStartAudits, NULL);
    ADD("/start/deadline", testStartDeadline, NULL);
    ADD("/start/abandoned", testStartAbandoned, NULL);
    ADD("/start/second-is-refused", testSecondIsRefused, NULL);
    ADD("/end/guest-shuts-down", testGuestShutsDown, NULL);
    ADD("/end/stubborn-qemu-is-killed", testStubbornQemuIsKilled, NULL);
    ADD("/end/stuck-qemu-keeps-its-leases", testStuckQemuKeepsItsLeases, NULL);
    ADD("/end/qemu-dies", testQemuDies, NULL);
    ADD("/end/leases-not-seen-free", testLeasesNotSeenFreeIsSaid, NULL);
    ADD("/end/lost-lease-is-never-flushed", testLostLeaseIsNeverFlushed, NULL);
    ADD("/policy/poweroff-restart", testOnPoweroffRestart, NULL);
    ADD("/policy/poweroff-preserve", testOnPoweroffPreserve, NULL);
    ADD("/policy/reboot-is-no-shutdown", testRebootIsNoShutdown, NULL);
    ADD("/policy/host-ends", testHostEndsWhatPolicyWouldRestart, NULL);
    ADD("/policy/panic", testPanic, NULL);
    ADD("/policy/quick-guest", testQuickGuest, NULL);
    ADD("/power/shutdown-request", testShutdownRequest, NULL);
    ADD("/power/deadline-stays", testRequestWithoutDeadlineLeavesIt, NULL);
    ADD("/power/reboot-instead", testRebootInsteadOfShutdown, NULL);
    ADD("/power/reboot", testRebootByPowerButton, NULL);
    ADD("/power/hibernated", testHibernated, NULL);
    ADD("/power/hibernated-to-be-woken", testHibernated, "wake");
    ADD("/power/paused-cannot-shut-down", testPausedGuestCannotShutDown, NULL);
    ADD("/power/lease-lost-cannot-resume", testLeaseLostCannotResume, NULL);
    ADD("/power/lease-lost-stays-the-reason", testLeaseLostStaysTheReason, NULL);
    ADD("/power/suspended-in-a-migration", testSuspendedInAMigration, NULL);
    ADD("/power/suspended-when-yielded", testSuspendedWhenYielded, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(goOns); i++) {
        g_autofree char *path = g_strdup_printf(
            "/migrate/goes-on/%s%s", goOns[i].states[1], goOns[i].held ? "-held" : "");

        ADD(path, testGoesOn, &goOns[i]);
    }
    return g_test_run();
}
