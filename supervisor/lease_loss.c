/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lease_loss.c: the ladder as a table.
 *
 * Rules that the table encodes:
 *  - as long as nothing was released the leases are ours until "takeover": SIGTERM is safe and
 *    lets QEMU write its caches to its own disks;
 *  - once a release began, some leases may be another host's: nothing but SIGKILL may end
 *    QEMU, because whatever it flushes lands in a disk that is not its own;
 *  - without the daemon nothing can be released, and a daemon that is started again can let
 *    another host in within two seconds (seen): QEMU gets one second for SIGTERM;
 *  - nothing climbs down: a renewal that succeeds after all changes when, not what.
 */
#include "supervisor/lease_loss.h"

#include <string.h>

/* Without the daemon: so long may QEMU take to end by SIGTERM. */
#define DAEMON_GONE_GRACE_USEC G_USEC_PER_SEC
/* At least this long a guest may take to stop, even if what is known of the last renewal is
 * as old as a renewal interval. */
#define MIN_FREEZE_USEC (2 * G_USEC_PER_SEC)
/* A backend that does not say when: as if the leases were lost this long from now. */
#define UNKNOWN_WINDOW_USEC (20 * G_USEC_PER_SEC)

typedef enum {
    STAY = 0,
    BEGIN, /* by policy: FREEZE or TERM */
    FREEZE,
    WAIT, /* for the daemon's word; RELEASE if it came already */
    RELEASE,
    REST, /* paused, lease lost */
    TERM,
    KILL,
    STUCK,
    GONE,
} virLeaseLossAction;

#define ST(name) VIR_LEASE_LOSS_##name
#define EV(name) VIR_LEASE_LOSS_EV_##name

static const virLeaseLossAction table[VIR_LEASE_LOSS_N_STATES][VIR_LEASE_LOSS_N_EVENTS] =
    {
        [ST(SAFE)] = {[EV(LOST)] = BEGIN,
                      [EV(STALE)] = BEGIN,
                      [EV(DAEMON_GONE)] = TERM,
                      [EV(ENDED)] = GONE},
        [ST(FREEZING)] = {[EV(DAEMON_GONE)] = TERM,
                          [EV(FROZEN)] = WAIT,
                          [EV(FREEZE_FAILED)] = TERM,
                          [EV(TIMER)] = TERM,
                          [EV(ENDED)] = GONE},
        [ST(FROZEN)] = {[EV(LOST)] = RELEASE,
                        [EV(DAEMON_GONE)] = TERM,
                        [EV(TIMER)] = TERM,
                        [EV(ENDED)] = GONE},
        [ST(RELEASING)] = {[EV(DAEMON_GONE)] = KILL,
                           [EV(RELEASED)] = REST,
                           [EV(RELEASE_FAILED)] = KILL,
                           [EV(TIMER)] = KILL,
                           [EV(ENDED)] = GONE},
        [ST(PAUSED)] = {[EV(ENDED)] = GONE},
        /* the daemon's end shortens what SIGTERM gets: TERM again sets the timer only */
        [ST(TERMINATING)] = {[EV(DAEMON_GONE)] = TERM,
                             [EV(TIMER)] = KILL,
                             [EV(ENDED)] = GONE},
        [ST(KILLING)] = {[EV(TIMER)] = STUCK, [EV(ENDED)] = GONE},
        [ST(STUCK)] = {[EV(ENDED)] = GONE},
        [ST(GONE)] = {STAY},
};

const char *
virLeaseLossStateName(virLeaseLossState state)
{
    static const char *const names[] = {[ST(SAFE)] = "safe",
                                        [ST(FREEZING)] = "freezing",
                                        [ST(FROZEN)] = "frozen",
                                        [ST(RELEASING)] = "releasing",
                                        [ST(PAUSED)] = "paused",
                                        [ST(KILLING)] = "killing",
                                        [ST(TERMINATING)] = "terminating",
                                        [ST(STUCK)] = "stuck",
                                        [ST(GONE)] = "gone"};

    G_STATIC_ASSERT(G_N_ELEMENTS(names) == VIR_LEASE_LOSS_N_STATES);
    return names[state];
}

void
virLeaseLossInit(virLeaseLoss *loss, virDomainLockfailure policy,
                 const virLeaseLossOps *ops, gpointer data)
{
    memset(loss, 0, sizeof(*loss));
    loss->policy = policy;
    loss->ops = ops;
    loss->data = data;
}

/* --- times ---------------------------------------------------------------------------------- */

static gint64
after(const virLeaseLoss *loss, guint sec)
{
    return loss->renewal.lastUsec + (gint64)sec * G_USEC_PER_SEC;
}

gint64
virLeaseLossTakeover(const virLeaseLoss *loss)
{
    return loss->renewal.lastUsec > 0 ? after(loss, loss->renewal.takeoverSec)
                                      : G_MAXINT64;
}

/* A point of the window between expire and takeover, in sixths of it. */
static gint64
windowPoint(const virLeaseLoss *loss, int sixths)
{
    gint64 window = (gint64)loss->renewal.takeoverSec - (gint64)loss->renewal.expireSec;

    if (loss->renewal.lastUsec == 0)
        return loss->enteredUsec + UNKNOWN_WINDOW_USEC * sixths / 6;
    return after(loss, loss->renewal.expireSec) +
           MAX(window, 0) * G_USEC_PER_SEC * sixths / 6;
}

static gint64
killTime(const virLeaseLoss *loss)
{
    gint64 when = windowPoint(loss, 3);

    return loss->daemonGone ? MIN(when, loss->enteredUsec + DAEMON_GONE_GRACE_USEC)
                            : when;
}

/* When the present state's time is over; 0: it has no end. */
static gint64
stepEnd(const virLeaseLoss *loss)
{
    switch (loss->state) {
    case VIR_LEASE_LOSS_FREEZING:
    case VIR_LEASE_LOSS_FROZEN:
        return MIN(MAX(windowPoint(loss, 2), loss->enteredUsec + MIN_FREEZE_USEC),
                   killTime(loss));
    case VIR_LEASE_LOSS_RELEASING:
    case VIR_LEASE_LOSS_TERMINATING:
        return killTime(loss);
    case VIR_LEASE_LOSS_KILLING:
        return loss->renewal.lastUsec > 0 ? virLeaseLossTakeover(loss) : 0;
    case VIR_LEASE_LOSS_SAFE:
    case VIR_LEASE_LOSS_PAUSED:
    case VIR_LEASE_LOSS_STUCK:
    case VIR_LEASE_LOSS_GONE:
    case VIR_LEASE_LOSS_N_STATES:
        break;
    }
    return 0;
}

void
virLeaseLossSetRenewal(virLeaseLoss *loss, const virLockRenewal *renewal)
{
    if (renewal->lastUsec <= loss->renewal.lastUsec)
        return;
    loss->renewal = *renewal;
    loss->ops->setTimer(stepEnd(loss), loss->data);
}

/* --- steps ------------------------------------------------------------------------------------ */

static void
enter(virLeaseLoss *loss, virLeaseLossState state, gint64 nowUsec, const char *why)
{
    loss->state = state;
    loss->enteredUsec = nowUsec;
    loss->ops->setTimer(stepEnd(loss), loss->data);
    loss->ops->entered(state, why, loss->data);
}

static void
terminate(virLeaseLoss *loss, gint64 nowUsec, const char *why)
{
    if (loss->state == VIR_LEASE_LOSS_TERMINATING) {
        loss->enteredUsec = nowUsec;
        loss->ops->setTimer(stepEnd(loss), loss->data);
        return;
    }
    enter(loss, VIR_LEASE_LOSS_TERMINATING, nowUsec, why);
    loss->ops->kill(TRUE, loss->data);
}

static void
act(virLeaseLoss *loss, virLeaseLossAction action, gint64 nowUsec, const char *why)
{
    switch (action) {
    case STAY:
    case BEGIN:
        break;
    case FREEZE:
        enter(loss, VIR_LEASE_LOSS_FREEZING, nowUsec, why);
        loss->ops->freeze(stepEnd(loss), loss->data);
        break;
    case WAIT:
        enter(loss, VIR_LEASE_LOSS_FROZEN, nowUsec, why);
        break;
    case RELEASE:
        enter(loss, VIR_LEASE_LOSS_RELEASING, nowUsec, why);
        loss->ops->release(stepEnd(loss), loss->data);
        break;
    case REST:
        enter(loss, VIR_LEASE_LOSS_PAUSED, nowUsec, why);
        break;
    case TERM:
        terminate(loss, nowUsec, why);
        break;
    case KILL:
        enter(loss, VIR_LEASE_LOSS_KILLING, nowUsec, why);
        loss->ops->kill(FALSE, loss->data);
        break;
    case STUCK:
        enter(loss, VIR_LEASE_LOSS_STUCK, nowUsec, why);
        break;
    case GONE:
        enter(loss, VIR_LEASE_LOSS_GONE, nowUsec, why);
        break;
    }
}

void
virLeaseLossHandle(virLeaseLoss *loss, virLeaseLossEvent event, gint64 nowUsec,
                   const char *why)
{
    virLeaseLossAction action = table[loss->state][event];

    if (event == VIR_LEASE_LOSS_EV_DAEMON_GONE)
        loss->daemonGone = TRUE;
    if (event == VIR_LEASE_LOSS_EV_LOST)
        loss->daemonGaveUp = TRUE;
    if (action == BEGIN)
        action = loss->policy == VIR_DOMAIN_LOCKFAILURE_PAUSE ? FREEZE : TERM;
    if (action == WAIT && loss->daemonGaveUp)
        action = RELEASE;
    act(loss, action, nowUsec, why);
    /* found too late, after a suspend or a stopped supervisor: the step has no time left */
    while (event != VIR_LEASE_LOSS_EV_TIMER && action != STAY && stepEnd(loss) > 0 &&
           stepEnd(loss) <= nowUsec && loss->state != VIR_LEASE_LOSS_STUCK) {
        action = table[loss->state][VIR_LEASE_LOSS_EV_TIMER];
        act(loss, action, nowUsec, "its time is over already");
    }
}
