/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-lease-loss.c: every cell of the ladder, and its times, with a clock of the test.
 *
 * Seen failing: RELEASING answered by TERM instead of KILL in the table (after-release), no
 * loop for steps that come too late (late).
 */
#include "supervisor/lease_loss.h"
#include "tests/lib/vir_test.h"

#define SEC G_USEC_PER_SEC
#define T0 (1000 * (gint64)SEC)

typedef struct _Fake {
    virLeaseLoss loss;
    GString *calls; /* "freeze term kill release", in order */
    gint64 timer;
    gint64 deadline; /* given to freeze or release last */
} Fake;

static void
fakeFreeze(gint64 deadline, gpointer data)
{
    Fake *fake = data;

    g_string_append(fake->calls, "freeze ");
    fake->deadline = deadline;
}

static void
fakeRelease(gint64 deadline, gpointer data)
{
    Fake *fake = data;

    g_string_append(fake->calls, "release ");
    fake->deadline = deadline;
}

static void
fakeKill(gboolean graceful, gpointer data)
{
    g_string_append(((Fake *)data)->calls, graceful ? "term " : "kill ");
}

static void
fakeSetTimer(gint64 when, gpointer data)
{
    ((Fake *)data)->timer = when;
}

static void
fakeEntered(virLeaseLossState state, const char *why, gpointer data)
{
}

static const virLeaseLossOps fakeOps = {.freeze = fakeFreeze,
                                        .release = fakeRelease,
                                        .kill = fakeKill,
                                        .setTimer = fakeSetTimer,
                                        .entered = fakeEntered};

/* sanlock's times with io_timeout 10: window from T0+80 to T0+140. */
static const virLockRenewal renewal = {.structSize = sizeof(renewal),
                                       .lastUsec = T0,
                                       .intervalSec = 20,
                                       .expireSec = 80,
                                       .takeoverSec = 140};

static Fake *
fakeNew(virDomainLockfailure policy)
{
    Fake *fake = g_new0(Fake, 1);

    fake->calls = g_string_new(NULL);
    virLeaseLossInit(&fake->loss, policy, &fakeOps, fake);
    virLeaseLossSetRenewal(&fake->loss, &renewal);
    return fake;
}

static void
fakeFree(Fake *fake)
{
    g_string_free(fake->calls, TRUE);
    g_free(fake);
}

#define HANDLE(fake, event, sec)                                                         \
    virLeaseLossHandle(&(fake)->loss, VIR_LEASE_LOSS_EV_##event,                         \
                       T0 + (sec) * (gint64)SEC, "test")
#define ASSERT_STATE(fake, name)                                                         \
    g_assert_cmpstr(virLeaseLossStateName((fake)->loss.state), ==,                       \
                    virLeaseLossStateName(VIR_LEASE_LOSS_##name))

static void
testPauseFreezesReleasesRests(void)
{
    Fake *fake = fakeNew(VIR_DOMAIN_LOCKFAILURE_PAUSE);

    HANDLE(fake, LOST, 80);
    ASSERT_STATE(fake, FREEZING);
    g_assert_cmpint(fake->timer, ==, T0 + 100 * SEC);
    g_assert_cmpint(fake->deadline, ==, fake->timer);
    HANDLE(fake, FROZEN, 81);
    ASSERT_STATE(fake, RELEASING);
    g_assert_cmpint(fake->timer, ==, T0 + 110 * SEC);
    HANDLE(fake, RELEASED, 82);
    ASSERT_STATE(fake, PAUSED);
    g_assert_cmpint(fake->timer, ==, 0);
    g_assert_cmpstr(fake->calls->str, ==, "freeze release ");

    HANDLE(fake, DAEMON_GONE, 90); /* nothing is held any more */
    HANDLE(fake, LOST, 91);
    ASSERT_STATE(fake, PAUSED);
    HANDLE(fake, ENDED, 500);
    ASSERT_STATE(fake, GONE);
    g_assert_cmpstr(fake->calls->str, ==, "freeze release ");
    fakeFree(fake);
}

static void
testAStuckFreezeEndsInDeathBeforeTakeover(void)
{
    Fake *fake = fakeNew(VIR_DOMAIN_LOCKFAILURE_PAUSE);

    HANDLE(fake, LOST, 80);
    HANDLE(fake, TIMER, 100);
    ASSERT_STATE(fake, TERMINATING);
    g_assert_cmpint(fake->timer, ==, T0 + 110 * SEC);
    HANDLE(fake, FROZEN, 101); /* too late: nothing is released under a dying QEMU */
    HANDLE(fake, TIMER, 110);
    ASSERT_STATE(fake, KILLING);
    g_assert_cmpint(fake->timer, ==, T0 + 140 * SEC);
    g_assert_cmpstr(fake->calls->str, ==, "freeze term kill ");
    HANDLE(fake, TIMER, 140);
    ASSERT_STATE(fake, STUCK);
    HANDLE(fake, ENDED, 150);
    ASSERT_STATE(fake, GONE);
    fakeFree(fake);
}

/* Released is only what the daemon has given up itself: its word may come before or after the
 * guest is drained, and if it does not come the guest is ended. */
static void
testStaleWaitsForTheDaemonsWord(void)
{
    Fake *fake = fakeNew(VIR_DOMAIN_LOCKFAILURE_PAUSE);

    HANDLE(fake, STALE, 80);
    HANDLE(fake, FROZEN, 81);
    ASSERT_STATE(fake, FROZEN);
    g_assert_cmpint(fake->timer, ==, T0 + 100 * SEC);
    HANDLE(fake, LOST, 82);
    ASSERT_STATE(fake, RELEASING);
    fakeFree(fake);

    fake = fakeNew(VIR_DOMAIN_LOCKFAILURE_PAUSE);
    HANDLE(fake, STALE, 80);
    HANDLE(fake, LOST, 81);
    ASSERT_STATE(fake, FREEZING);
    HANDLE(fake, FROZEN, 82);
    ASSERT_STATE(fake, RELEASING);
    fakeFree(fake);

    fake = fakeNew(VIR_DOMAIN_LOCKFAILURE_PAUSE);
    HANDLE(fake, STALE, 80);
    HANDLE(fake, FROZEN, 81);
    HANDLE(fake, TIMER, 100);
    ASSERT_STATE(fake, TERMINATING);
    g_assert_cmpstr(fake->calls->str, ==, "freeze term ");
    fakeFree(fake);
}

/* Once a release began nothing but SIGKILL may end QEMU. */
static void
testAfterReleaseOnlySigkill(void)
{
    static const virLeaseLossEvent events[] = {VIR_LEASE_LOSS_EV_RELEASE_FAILED,
                                               VIR_LEASE_LOSS_EV_DAEMON_GONE,
                                               VIR_LEASE_LOSS_EV_TIMER};

    for (gsize i = 0; i < G_N_ELEMENTS(events); i++) {
        Fake *fake = fakeNew(VIR_DOMAIN_LOCKFAILURE_PAUSE);

        HANDLE(fake, LOST, 80);
        HANDLE(fake, FROZEN, 81);
        virLeaseLossHandle(&fake->loss, events[i], T0 + 85 * SEC, NULL);
        ASSERT_STATE(fake, KILLING);
        g_assert_cmpstr(fake->calls->str, ==, "freeze release kill ");
        fakeFree(fake);
    }
}

static void
testPoweroffAndRestartTerminateAtOnce(void)
{
    for (int policy = VIR_DOMAIN_LOCKFAILURE_POWEROFF;
         policy <= (int)VIR_DOMAIN_LOCKFAILURE_RESTART; policy++) {
        Fake *fake = fakeNew((virDomainLockfailure)policy);

        HANDLE(fake, LOST, 80);
        ASSERT_STATE(fake, TERMINATING);
        g_assert_cmpstr(fake->calls->str, ==, "term ");
        g_assert_cmpint(fake->timer, ==, T0 + 110 * SEC);
        fakeFree(fake);
    }
}

static void
testWithoutDaemonOneSecond(void)
{
    Fake *fake = fakeNew(VIR_DOMAIN_LOCKFAILURE_PAUSE);

    HANDLE(fake, DAEMON_GONE, 15);
    ASSERT_STATE(fake, TERMINATING);
    g_assert_cmpint(fake->timer, ==, T0 + 16 * SEC);
    HANDLE(fake, TIMER, 16);
    ASSERT_STATE(fake, KILLING);
    g_assert_cmpstr(fake->calls->str, ==, "term kill ");
    fakeFree(fake);

    /* and when it dies while QEMU has the time of a living daemon, that is cut */
    fake = fakeNew(VIR_DOMAIN_LOCKFAILURE_POWEROFF);
    HANDLE(fake, LOST, 80);
    HANDLE(fake, DAEMON_GONE, 90);
    ASSERT_STATE(fake, TERMINATING);
    g_assert_cmpint(fake->timer, ==, T0 + 91 * SEC);
    g_assert_cmpstr(fake->calls->str, ==, "term ");
    fakeFree(fake);
}

/* A host that slept, or a supervisor that was stopped: no step may use time that is gone. */
static void
testLateIsKilledAtOnce(void)
{
    Fake *fake = fakeNew(VIR_DOMAIN_LOCKFAILURE_PAUSE);

    HANDLE(fake, LOST, 120);
    ASSERT_STATE(fake, KILLING);
    g_assert_cmpstr(fake->calls->str, ==, "freeze term kill ");
    fakeFree(fake);

    fake = fakeNew(VIR_DOMAIN_LOCKFAILURE_PAUSE);
    HANDLE(fake, LOST, 141);
    ASSERT_STATE(fake, STUCK);
    g_assert_nonnull(strstr(fake->calls->str, "kill"));
    fakeFree(fake);
}

/* What is known of the last renewal is up to an interval old: the fresh answer gives the time
 * back, an older one takes none. */
static void
testFreshRenewalGivesTime(void)
{
    Fake *fake = fakeNew(VIR_DOMAIN_LOCKFAILURE_PAUSE);
    virLockRenewal other = renewal;

    HANDLE(fake, LOST, 99);
    ASSERT_STATE(fake, FREEZING);
    g_assert_cmpint(fake->timer, ==, T0 + 101 * SEC);
    other.lastUsec = T0 + 19 * SEC;
    virLeaseLossSetRenewal(&fake->loss, &other);
    g_assert_cmpint(fake->timer, ==, T0 + 119 * SEC);
    other.lastUsec = T0 + 3 * SEC;
    virLeaseLossSetRenewal(&fake->loss, &other);
    g_assert_cmpint(fake->timer, ==, T0 + 119 * SEC);
    g_assert_cmpint(virLeaseLossTakeover(&fake->loss), ==, T0 + 159 * SEC);
    fakeFree(fake);
}

/* The whole table: what each state does with each event, as words. */
static void
testEveryCell(void)
{
    static const char *const expected[VIR_LEASE_LOSS_N_STATES] = {
        /* LOST, STALE, DAEMON_GONE, FROZEN, FREEZE_FAILED, RELEASED, RELEASE_FAILED, TIMER,
         * ENDED */
        [VIR_LEASE_LOSS_SAFE] =
            "freezing freezing terminating safe safe safe safe safe gone",
        [VIR_LEASE_LOSS_FREEZING] = "freezing freezing terminating frozen terminating "
                                    "freezing freezing terminating gone",
        [VIR_LEASE_LOSS_FROZEN] =
            "releasing frozen terminating frozen frozen frozen frozen "
            "terminating gone",
        [VIR_LEASE_LOSS_RELEASING] =
            "releasing releasing killing releasing releasing paused "
            "killing killing gone",
        [VIR_LEASE_LOSS_PAUSED] =
            "paused paused paused paused paused paused paused paused gone",
        [VIR_LEASE_LOSS_TERMINATING] = "terminating terminating terminating terminating "
                                       "terminating terminating terminating killing gone",
        [VIR_LEASE_LOSS_KILLING] =
            "killing killing killing killing killing killing killing stuck gone",
        [VIR_LEASE_LOSS_STUCK] = "stuck stuck stuck stuck stuck stuck stuck stuck gone",
        [VIR_LEASE_LOSS_GONE] = "gone gone gone gone gone gone gone gone gone",
    };

    for (int state = 0; state < VIR_LEASE_LOSS_N_STATES; state++) {
        g_autoptr(GString) words = g_string_new(NULL);

        for (int event = 0; event < VIR_LEASE_LOSS_N_EVENTS; event++) {
            Fake *fake = fakeNew(VIR_DOMAIN_LOCKFAILURE_PAUSE);

            fake->loss.state = (virLeaseLossState)state;
            virLeaseLossHandle(&fake->loss, (virLeaseLossEvent)event, T0 + 80 * SEC,
                               NULL);
            g_string_append_printf(words, "%s%s", event ? " " : "",
                                   virLeaseLossStateName(fake->loss.state));
            fakeFree(fake);
        }
        g_assert_cmpstr(words->str, ==, expected[state]);
    }
}

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    g_test_add_func("/lease-loss/pause", testPauseFreezesReleasesRests);
    g_test_add_func("/lease-loss/stuck-freeze",
                    testAStuckFreezeEndsInDeathBeforeTakeover);
    g_test_add_func("/lease-loss/stale", testStaleWaitsForTheDaemonsWord);
    g_test_add_func("/lease-loss/after-release", testAfterReleaseOnlySigkill);
    g_test_add_func("/lease-loss/poweroff-restart",
                    testPoweroffAndRestartTerminateAtOnce);
    g_test_add_func("/lease-loss/daemon-gone", testWithoutDaemonOneSecond);
    g_test_add_func("/lease-loss/late", testLateIsKilledAtOnce);
    g_test_add_func("/lease-loss/fresh-renewal", testFreshRenewalGivesTime);
    g_test_add_func("/lease-loss/every-cell", testEveryCell);
    return g_test_run();
}
