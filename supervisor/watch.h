/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch.h: hears of lost leases and climbs the ladder of lease_loss.h.
 *
 * Three things can say so: the lock manager's watch (daemon gone, renewal too old), the
 * failure helper that the lock daemon runs, which connects to the socket "loss" in the
 * guest's runtime directory (no message: to connect says it), and our own clock. An idle
 * watch has no thread and no timer of its own.
 */
#ifndef LEASEHOLD_SUPERVISOR_WATCH_H
#define LEASEHOLD_SUPERVISOR_WATCH_H

#include "supervisor/lease_loss.h"
#include "domain_lock/guest.h"

typedef struct _virSupervisorWatch virSupervisorWatch;

/** The name of the socket in the guest's runtime directory, and what it answers. */
#define VIR_SUPERVISOR_LOSS_SOCKET "loss"
#define VIR_SUPERVISOR_LOSS_ANSWER "OK\n"

/**
 * virSupervisorWatchFunc: the ladder entered @state. In the context's thread.
 *
 * FREEZING, TERMINATING or KILLING: the first word of the loss; a job that runs should be cancelled.
 * RELEASING: from here on QEMU may only be ended by SIGKILL. PAUSED: it stays like that.
 * STUCK: QEMU does not die and another host may own its disks now.
 */
typedef void (*virSupervisorWatchFunc)(virLeaseLossState state, const char *why,
                                       gpointer opaque);

typedef struct _virSupervisorWatchOptions {
    virDomainLockGuest *guest;
    virLockManager *man; /* parked or later */
    virDomainLockfailure policy;
    const char *runDir;
    GMainContext *context; /* NULL: the default one */
    virSupervisorWatchFunc func;
    gpointer opaque;
} virSupervisorWatchOptions;

/**
 * virSupervisorWatchNew:
 *
 * In the context's thread, before the guest gets its leases. A plugin without LOSS_EVENTS
 * cannot lose them: then nothing is watched, and that is no error. Otherwise fails if the
 * lock daemon does not say how fresh this host's leases are.
 */
virSupervisorWatch *virSupervisorWatchNew(const virSupervisorWatchOptions *options,
                                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** In the context's thread; waits for steps that run. */
void virSupervisorWatchFree(virSupervisorWatch *watch);
/** The guest process ended. In the context's thread. */
void virSupervisorWatchEnded(virSupervisorWatch *watch);
virLeaseLossState virSupervisorWatchGetState(virSupervisorWatch *watch);

#endif
