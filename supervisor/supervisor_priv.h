/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor_priv.h: what supervisor.c and supervisor_start.c share.
 */
#ifndef LEASEHOLD_SUPERVISOR_SUPERVISOR_PRIV_H
#define LEASEHOLD_SUPERVISOR_SUPERVISOR_PRIV_H

#include "supervisor/migration.h"
#include "supervisor/supervisor.h"

struct _virSupervisor {
    GMainLoop *loop;
    virDomainLockObj *obj;
    virSupervisorJobs *jobs;
    virSupervisorControl *control;
    virSupervisorWatch *watch;
    virSupervisorDeadlines *deadlines;
    virSupervisorOwner *owner; /* NULL: none */
    virSupervisorStarter *starter; /* until the start is through */
    virMigrateIn *in;              /* until a guest from another host has arrived */
    virSupervisorMigration *migration;
    GCancellable *startCancellable;
    virLockWait startWait;
    guint startTimer;
    guint retryTimer;
    int signalFd;
    guint signalSource;
    gboolean starting;
    gboolean ending; /* an end job waits or runs */
    gboolean ended;  /* SHUTOFF */
    gboolean told;   /* to leave the guest alone */
    gboolean leaving;
};

/* --- supervisor.c --- */

/** What a guest's own events call for: an end, a restart, ... */
void virSupervisorFollow(virSupervisor *sup, virDomainLockFollow follow);
/** The guest is SHUTOFF: says so to all clients, then ends the main loop. */
void virSupervisorFinish(virSupervisor *sup);

/* --- supervisor_start.c --- */

/** A guest that comes from another host: takes over the channel to that. */
gboolean virSupervisorTakeChannel(virSupervisor *sup, const virDomainLockSpec *spec,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Adds the first job: the guest is started, received, restored or taken up. */
void virSupervisorStart(virSupervisor *sup, const virDomainLockSpec *spec);

#endif
