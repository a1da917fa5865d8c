/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * transitions.c: what each thing that a guest does means in each state.
 *
 * Every cell is filled in: an input that cannot come in a state, or means nothing there, is
 * IGNORE in so many words. QEMU sends STOP after SHUTDOWN, which is why SHUTDOWN ignores it.
 */
#include "transitions.h"
#include "guest.h"

#define STATE(name) [VIR_DOMAIN_LOCK_STATE_##name]
#define ON(name) [VIR_INPUT_##name]
#define IGNORE                                                                           \
    {                                                                                    \
        .act = VIR_ACT_IGNORE                                                            \
    }
#define DEFER                                                                            \
    {                                                                                    \
        .act = VIR_ACT_DEFER                                                             \
    }
#define NOTE                                                                             \
    {                                                                                    \
        .act = VIR_ACT_NOTE                                                              \
    }
#define MOVE(state)                                                                      \
    {                                                                                    \
        .act = VIR_ACT_MOVE, .next = VIR_DOMAIN_LOCK_STATE_##state                       \
    }
#define DO(name)                                                                         \
    {                                                                                    \
        .act = VIR_ACT_##name                                                            \
    }

/* clang-format off */
static const virTransition table[VIR_TRANSITION_STATES][VIR_INPUT_COUNT] = {
    /* The start owns the guest: it sees for itself that QEMU ran; what the guest did after
     * its cont, a STOP because of an I/O error, too, is looked at when the start is through. */
    STATE(STARTING) = {
        ON(SHUTDOWN) = DEFER,         ON(RESET) = DEFER,           ON(PANIC) = DEFER,
        ON(STOP) = DEFER,             ON(RESUME) = IGNORE,         ON(SUSPEND) = DEFER,
        ON(WAKEUP) = DEFER,           ON(IO_ERROR) = NOTE,         ON(EXITED) = DEFER,
        ON(HIBERNATE) = DEFER,           ON(PORT) = IGNORE,
    },
    STATE(RUNNING) = {
        ON(SHUTDOWN) = DO(POWEROFF),  ON(RESET) = DO(REBOOT),      ON(PANIC) = DO(CRASH),
        ON(STOP) = MOVE(PAUSED),      ON(RESUME) = IGNORE,         ON(SUSPEND) = MOVE(PMSUSPENDED),
        ON(WAKEUP) = IGNORE,          ON(IO_ERROR) = NOTE,         ON(EXITED) = DO(END),
        ON(HIBERNATE) = DO(HIBERNATE),   ON(PORT) = DO(PORT),
    },
    STATE(PAUSED) = {
        ON(SHUTDOWN) = DO(POWEROFF),  ON(RESET) = IGNORE,          ON(PANIC) = DO(CRASH),
        ON(STOP) = IGNORE,            ON(RESUME) = MOVE(RUNNING),  ON(SUSPEND) = IGNORE,
        ON(WAKEUP) = IGNORE,          ON(IO_ERROR) = NOTE,         ON(EXITED) = DO(END),
        ON(HIBERNATE) = DO(HIBERNATE),   ON(PORT) = IGNORE,
    },
    STATE(SHUTDOWN) = {
        ON(SHUTDOWN) = IGNORE,        ON(RESET) = IGNORE,          ON(PANIC) = IGNORE,
        ON(STOP) = IGNORE,            ON(RESUME) = MOVE(RUNNING),  ON(SUSPEND) = IGNORE,
        ON(WAKEUP) = IGNORE,          ON(IO_ERROR) = IGNORE,       ON(EXITED) = DO(END),
        ON(HIBERNATE) = IGNORE,          ON(PORT) = IGNORE,
    },
    STATE(PMSUSPENDED) = {
        ON(SHUTDOWN) = DO(POWEROFF),  ON(RESET) = MOVE(RUNNING),   ON(PANIC) = DO(CRASH),
        ON(STOP) = IGNORE,            ON(RESUME) = MOVE(RUNNING),  ON(SUSPEND) = IGNORE,
        ON(WAKEUP) = MOVE(RUNNING),   ON(IO_ERROR) = NOTE,         ON(EXITED) = DO(END),
        ON(HIBERNATE) = DO(HIBERNATE),   ON(PORT) = IGNORE,
    },
    STATE(SHUTOFF) = {
        ON(SHUTDOWN) = IGNORE,        ON(RESET) = IGNORE,          ON(PANIC) = IGNORE,
        ON(STOP) = IGNORE,            ON(RESUME) = IGNORE,         ON(SUSPEND) = IGNORE,
        ON(WAKEUP) = IGNORE,          ON(IO_ERROR) = IGNORE,       ON(EXITED) = IGNORE,
        ON(HIBERNATE) = IGNORE,          ON(PORT) = IGNORE,
    },
};
/* clang-format on */

static const char *const inputEvents[VIR_INPUT_COUNT] = {
    ON(SHUTDOWN) = "SHUTDOWN",
    ON(RESET) = "RESET",
    ON(PANIC) = "GUEST_PANICKED",
    ON(STOP) = "STOP",
    ON(RESUME) = "RESUME",
    ON(SUSPEND) = "SUSPEND",
    ON(WAKEUP) = "WAKEUP",
    ON(IO_ERROR) = "BLOCK_IO_ERROR",
    ON(EXITED) = VIR_DOMAIN_LOCK_GUEST_EXITED,
    ON(HIBERNATE) = "SUSPEND_DISK",
    ON(PORT) = "VSERPORT_CHANGE",
};

const virTransition *
virTransitionFor(virDomainLockState state, virInput input)
{
    g_assert((guint)state < VIR_TRANSITION_STATES && (guint)input < VIR_INPUT_COUNT);
    return &table[state][input];
}

gboolean
virInputFromEvent(const char *event, virInput *input)
{
    for (guint i = 0; i < VIR_INPUT_COUNT; i++) {
        if (g_str_equal(inputEvents[i], event)) {
            *input = (virInput)i;
            return TRUE;
        }
    }
    return FALSE;
}
