/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lease_loss.h: what to do, and until when, once the leases of a running guest are not safe
 * any more. Only decisions: it does nothing itself but call the operations it was given, and
 * it has no clock of its own, so that each step can be tested.
 *
 * All times are CLOCK_BOOTTIME microseconds. Let T be the last good renewal:
 *
 *   T            expire                                            takeover
 *   |--- safe ---|-- freeze, drain, release --|-- SIGTERM --|-- SIGKILL --|  another host
 *                        a third of the window       half of it              may write
 *
 * What the daemon releases before it gave up itself, it still tries to write to its storage,
 * which is what does not answer; afterwards it only forgets. So a drained guest waits for the
 * daemon's own word, which comes about when "expire" does (it hangs if not).
 *
 * The last half of the window is for dying: a process with much memory or with I/O in flight
 * takes its time (I1).
 */
#ifndef LEASEHOLD_SUPERVISOR_LEASE_LOSS_H
#define LEASEHOLD_SUPERVISOR_LEASE_LOSS_H

#include "domain_lock/domain/domain_def.h"

typedef enum {
    VIR_LEASE_LOSS_SAFE = 0,
    VIR_LEASE_LOSS_FREEZING,  /* stop, drain */
    VIR_LEASE_LOSS_FROZEN,    /* drained; the daemon has not given up yet */
    VIR_LEASE_LOSS_RELEASING, /* drained; the leases are being given up */
    VIR_LEASE_LOSS_PAUSED, /* given up; QEMU stopped with active images: SIGKILL only */
    VIR_LEASE_LOSS_TERMINATING, /* SIGTERM was sent: the lease is still ours */
    VIR_LEASE_LOSS_KILLING,     /* SIGKILL was sent */
    VIR_LEASE_LOSS_STUCK,       /* not dead when another host may own the leases */
    VIR_LEASE_LOSS_GONE,        /* QEMU has ended */
    VIR_LEASE_LOSS_N_STATES,
} virLeaseLossState;

typedef enum {
    VIR_LEASE_LOSS_EV_LOST = 0,    /* the daemon itself gave up */
    VIR_LEASE_LOSS_EV_STALE,       /* it did not renew in time, or does not answer */
    VIR_LEASE_LOSS_EV_DAEMON_GONE, /* nobody is there to release to */
    VIR_LEASE_LOSS_EV_FROZEN,      /* the answers to freeze ... */
    VIR_LEASE_LOSS_EV_FREEZE_FAILED,
    VIR_LEASE_LOSS_EV_RELEASED,       /* ... and release */
    VIR_LEASE_LOSS_EV_RELEASE_FAILED, /* some leases may be free */
    VIR_LEASE_LOSS_EV_TIMER,          /* the present step's time is over */
    VIR_LEASE_LOSS_EV_ENDED,          /* QEMU ended */
    VIR_LEASE_LOSS_N_EVENTS,
} virLeaseLossEvent;

typedef struct _virLeaseLossOps {
    /** Begins to stop and drain the guest, to be done by @deadline; answered later. */
    void (*freeze)(gint64 deadline, gpointer data);
    /** Begins to give up all leases; answered later. */
    void (*release)(gint64 deadline, gpointer data);
    void (*kill)(gboolean graceful, gpointer data);
    /** EV_TIMER is wanted at @when; 0: none. */
    void (*setTimer)(gint64 when, gpointer data);
    /** A state was entered; @why says what led to it. */
    void (*entered)(virLeaseLossState state, const char *why, gpointer data);
} virLeaseLossOps;

typedef struct _virLeaseLoss {
    const virLeaseLossOps *ops;
    gpointer data;
    virDomainLockfailure policy;
    virLeaseLossState state;
    virLockRenewal renewal; /* the last one known; lastUsec 0: none */
    gint64 enteredUsec;     /* the present state */
    gboolean daemonGone;
    gboolean daemonGaveUp;
} virLeaseLoss;

const char *virLeaseLossStateName(virLeaseLossState state);
void virLeaseLossInit(virLeaseLoss *loss, virDomainLockfailure policy,
                      const virLeaseLossOps *ops, gpointer data);
/** A renewal that was heard of; an older one than known is ignored. Sets the timer anew. */
void virLeaseLossSetRenewal(virLeaseLoss *loss, const virLockRenewal *renewal);
/** @why: for people; may be NULL for the answers and the timer. */
void virLeaseLossHandle(virLeaseLoss *loss, virLeaseLossEvent event, gint64 nowUsec,
                        const char *why);
/** From when on another host may own the leases; G_MAXINT64 when that is not known. */
gint64 virLeaseLossTakeover(const virLeaseLoss *loss);

#endif
