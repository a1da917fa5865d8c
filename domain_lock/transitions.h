/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * transitions.h: what each thing that a guest does means in each state: one table.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_TRANSITIONS_H
#define LEASEHOLD_DOMAIN_LOCK_TRANSITIONS_H

#include <leasehold/domain_lock.h>

/** What QEMU says, or that it is gone. */
typedef enum {
    VIR_INPUT_SHUTDOWN = 0, /* the guest is finished, QEMU is paused (-no-shutdown) */
    VIR_INPUT_RESET,        /* the guest rebooted and goes on */
    VIR_INPUT_PANIC,
    VIR_INPUT_STOP,
    VIR_INPUT_RESUME,
    VIR_INPUT_SUSPEND, /* power management: S3 */
    VIR_INPUT_WAKEUP,
    VIR_INPUT_IO_ERROR,  /* STOP follows if the policy of the disk is to stop */
    VIR_INPUT_EXITED,    /* the process is gone */
    VIR_INPUT_HIBERNATE, /* power management: S4; SHUTDOWN follows */
    VIR_INPUT_PORT,      /* a virtio-serial port was opened or closed in the guest */
} virInput;
#define VIR_INPUT_COUNT (VIR_INPUT_PORT + 1)
/** States that a supervisor can be in: all but UNSUPERVISED. */
#define VIR_TRANSITION_STATES (VIR_DOMAIN_LOCK_STATE_SHUTOFF + 1)

typedef enum {
    VIR_ACT_NONE = 0, /* no cell has this */
    VIR_ACT_IGNORE,
    VIR_ACT_DEFER,     /* handled when the running start has ended */
    VIR_ACT_MOVE,      /* to the state in the cell */
    VIR_ACT_NOTE,      /* remember why the next STOP comes */
    VIR_ACT_POWEROFF,  /* <on_poweroff> decides */
    VIR_ACT_REBOOT,    /* <on_reboot> decides */
    VIR_ACT_CRASH,     /* <on_crash> decides */
    VIR_ACT_HIBERNATE, /* remember that the SHUTDOWN that comes is none */
    VIR_ACT_PORT,      /* the agent's last word, perhaps */
    VIR_ACT_END,       /* nothing is left to run: reap and record */
} virAct;

typedef struct _virTransition {
    virAct act;
    virDomainLockState next; /* MOVE */
} virTransition;

const virTransition *virTransitionFor(virDomainLockState state, virInput input);
/** FALSE for a QEMU event that means nothing to the state of a guest. */
gboolean virInputFromEvent(const char *event, virInput *input);

#endif
