/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-transitions.c: every cell of the table of states and inputs.
 */
#include "domain_lock/transitions.h"
#include "tests/lib/vir_test.h"

static void
testEveryCellIsFilled(void)
{
    for (guint state = 0; state < VIR_TRANSITION_STATES; state++) {
        for (guint input = 0; input < VIR_INPUT_COUNT; input++)
            g_assert_cmpint(virTransitionFor(state, input)->act, !=, VIR_ACT_NONE);
    }
}

/* S: state after the input. What is decided by the description is tested in sequences. */
static void
testMoves(void)
{
    static const struct {
        virDomainLockState from;
        virInput input;
        virDomainLockState to;
    } moves[] = {
        {VIR_DOMAIN_LOCK_STATE_RUNNING, VIR_INPUT_STOP, VIR_DOMAIN_LOCK_STATE_PAUSED},
        {VIR_DOMAIN_LOCK_STATE_RUNNING, VIR_INPUT_SUSPEND,
         VIR_DOMAIN_LOCK_STATE_PMSUSPENDED},
        {VIR_DOMAIN_LOCK_STATE_PAUSED, VIR_INPUT_RESUME, VIR_DOMAIN_LOCK_STATE_RUNNING},
        {VIR_DOMAIN_LOCK_STATE_SHUTDOWN, VIR_INPUT_RESUME, VIR_DOMAIN_LOCK_STATE_RUNNING},
        {VIR_DOMAIN_LOCK_STATE_PMSUSPENDED, VIR_INPUT_WAKEUP,
         VIR_DOMAIN_LOCK_STATE_RUNNING},
        {VIR_DOMAIN_LOCK_STATE_PMSUSPENDED, VIR_INPUT_RESET,
         VIR_DOMAIN_LOCK_STATE_RUNNING},
        {VIR_DOMAIN_LOCK_STATE_PMSUSPENDED, VIR_INPUT_RESUME,
         VIR_DOMAIN_LOCK_STATE_RUNNING},
    };
    guint found = 0;

    for (gsize i = 0; i < G_N_ELEMENTS(moves); i++) {
        const virTransition *cell = virTransitionFor(moves[i].from, moves[i].input);

        g_assert_cmpint(cell->act, ==, VIR_ACT_MOVE);
        g_assert_cmpint(cell->next, ==, moves[i].to);
    }
    for (guint state = 0; state < VIR_TRANSITION_STATES; state++) {
        for (guint input = 0; input < VIR_INPUT_COUNT; input++)
            found += virTransitionFor(state, input)->act == VIR_ACT_MOVE;
    }
    g_assert_cmpuint(found, ==, G_N_ELEMENTS(moves));
}

static void
testDeathEndsEveryLivingState(void)
{
    for (guint state = VIR_DOMAIN_LOCK_STATE_RUNNING;
         state < VIR_DOMAIN_LOCK_STATE_SHUTOFF; state++)
        g_assert_cmpint(virTransitionFor(state, VIR_INPUT_EXITED)->act, ==, VIR_ACT_END);
    g_assert_cmpint(
        virTransitionFor(VIR_DOMAIN_LOCK_STATE_STARTING, VIR_INPUT_EXITED)->act, ==,
        VIR_ACT_DEFER);
    g_assert_cmpint(virTransitionFor(VIR_DOMAIN_LOCK_STATE_STARTING, VIR_INPUT_STOP)->act,
                    ==, VIR_ACT_DEFER);
}

static void
testNothingWakesTheDead(void)
{
    for (guint input = 0; input < VIR_INPUT_COUNT; input++)
        g_assert_cmpint(virTransitionFor(VIR_DOMAIN_LOCK_STATE_SHUTOFF, input)->act, ==,
                        VIR_ACT_IGNORE);
}

static void
testEventNames(void)
{
    static const char *const events[] = {
        "SHUTDOWN", "RESET",        "GUEST_PANICKED", "STOP",
        "RESUME",   "SUSPEND",      "WAKEUP",         "BLOCK_IO_ERROR",
        "EXITED",   "SUSPEND_DISK", "VSERPORT_CHANGE"};
    virInput input;

    G_STATIC_ASSERT(G_N_ELEMENTS(events) == VIR_INPUT_COUNT);
    for (guint i = 0; i < G_N_ELEMENTS(events); i++) {
        g_assert_true(virInputFromEvent(events[i], &input));
        g_assert_cmpuint(input, ==, i);
    }
    g_assert_false(virInputFromEvent("BALLOON_CHANGE", &input));
}

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    g_test_add_func("/transitions/every-cell", testEveryCellIsFilled);
    g_test_add_func("/transitions/moves", testMoves);
    g_test_add_func("/transitions/death-ends", testDeathEndsEveryLivingState);
    g_test_add_func("/transitions/nothing-wakes-the-dead", testNothingWakesTheDead);
    g_test_add_func("/transitions/event-names", testEventNames);
    return g_test_run();
}
