/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * object.h: one guest as its supervisor knows it.
 *
 * Threads: the members above "lock" do not change after StartPrepare; everything below is
 * read and written under it. One job at a time changes the guest (the worker thread); what
 * QEMU says arrives in the main thread; both go through the functions here. Each change of
 * state is in state.json before it is told to anyone.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_OBJECT_H
#define LEASEHOLD_DOMAIN_LOCK_OBJECT_H

#include "domain_lock/domain/domain_def.h"
#include "guest.h"
#include "runtime.h"
#include "transitions.h"

typedef struct _virDomainLockObj virDomainLockObj;

/** Told of each event, or of a change without one (@event NULL); from any thread, without
 * the object's lock. */
typedef void (*virDomainLockObjFunc)(virDomainLockObj *obj,
                                     const virDomainLockEvent *event, gpointer opaque);

/** The job that takes long (job.h). */
typedef struct _virDomainLockJobState {
    GCancellable *cancellable; /* NULL: there is none */
    gboolean asked;            /* to end */
    gboolean sealed;           /* too late for that */
    gboolean alone;            /* permits no quick command beside it */
    guint beside;              /* quick commands under way */
    gint64 toldUsec;           /* when clients last heard of it */
    GCond changed;
} virDomainLockJobState;

struct _virDomainLockObj {
    virLockConfig *config;
    virDomainDef *def;
    virLockManagerPlugin *plugin;
    virLockManager *man;
    virDomainLockRuntime *runtime;
    virDomainLockGuest *guest; /* the factory's caller owns it */
    int qmpFd;                 /* QEMU's number of its QMP socket */
    guint flags;               /* virDomainLockCreateFlags */
    char *stateDir;
    const struct _virDomainLockSpec *spec; /* what it was started from; outlives the object */
    gboolean incoming; /* it comes from another host */
    JsonNode *opened; /* worker: what QEMU had open when it came up, until the audit */
    gboolean reaped; /* worker: a start was undone so far that its child is gone */
    virDomainLockObjFunc listener;
    gpointer listenerData;

    GMutex lock;
    virDomainLockStatus *status;
    char *danger;                    /* of the leases: why; NULL: none */
    virDomainLockReason pauseReason; /* of the STOP that will come */
    GError *requestOver; /* a shutdown request came to nothing: for who waits */
    gint resetting;      /* atomic: by the host; its RESETs are not the guest's */
    gint stuck;          /* atomic: virDomainLockMigrateIsStuck */
    gboolean isWhole;    /* worker thread: all of its memory is here */
    char *description;   /* as it is now, see describe.h; NULL: foreign, or not yet */
    virDomainLockJobState job;
    GPtrArray *deferred; /* what came while it started or was attached */
    const char *missed; /* by the attach: an event that nobody heard; NULL */
    gboolean attaching;  /* what QEMU says waits until its state is known */
                         /* these three: main thread only */
};

virDomainLockObj *virDomainLockObjNew(virLockConfig *config, virDomainDef *def,
                                      guint flags);
/** The guest must be dead (or never born). Does not free obj->guest. */
void virDomainLockObjFree(virDomainLockObj *obj);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainLockObj, virDomainLockObjFree)

virDomainLockInfo *virDomainLockObjGetInfo(virDomainLockObj *obj);
virDomainLockState virDomainLockObjGetState(virDomainLockObj *obj);
virDomainLockState virDomainLockObjGetStateAndReason(virDomainLockObj *obj,
                                                     virDomainLockReason *reason);

/** Writes state.json; for the start, which must know that it can. */
gboolean virDomainLockObjSave(virDomainLockObj *obj,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** New state and reason; @message (or NULL) replaces the old one. A state file that cannot
 * be written any more is a warning in the log: the guest goes on. */
void virDomainLockObjSetState(virDomainLockObj *obj, virDomainLockState state,
                              virDomainLockReason reason, const char *message);
void virDomainLockObjSetMessage(virDomainLockObj *obj, const char *message);
/** Something of the status was changed: kept, and told. */
void virDomainLockObjChanged(virDomainLockObj *obj);
/** @job: static string for people ("starting"), NULL when it is done. */
void virDomainLockObjSetJob(virDomainLockObj *obj, const char *job);
/** Wall clock at which a guest that sleeps is woken; 0: never. */
void virDomainLockObjSetWakeup(virDomainLockObj *obj, gint64 wakeupUsec);
gint64 virDomainLockObjGetWakeup(virDomainLockObj *obj);

/* --- request.c --- */

/** @what: SHUTDOWN_REQUESTED or REBOOT_REQUESTED; instead of the last one. @askBy: how the
 * guest is about to be asked (ACPI, AGENT), for the next supervisor, until SetAskedFor. */
void virDomainLockObjSetRequest(virDomainLockObj *obj, virDomainLockReason what,
                                gint64 deadlineUsec, guint askBy);
void virDomainLockObjSetAskedFor(virDomainLockObj *obj);
/** What is asked of the guest; NONE. @deadlineUsec: (out) (optional) */
virDomainLockReason virDomainLockObjGetRequest(virDomainLockObj *obj,
                                               gint64 *deadlineUsec);
/** Nothing is asked of the guest any more, though it goes on; @code and @why for those who
 * wait for its end. */
void virDomainLockObjDropRequest(virDomainLockObj *obj, virLockErrorCode code,
                                 const char *why);
/** Why the last request for a shutdown came to nothing, for those who wait; NULL: it stands,
 * or the guest has ended. */
GError *virDomainLockObjGetRequestOver(virDomainLockObj *obj);

/** The leases as the lock manager knows them now. */
void virDomainLockObjUpdateLeases(virDomainLockObj *obj);
/** The journal: step @number of @sequence begins ("start", 4); stops there for tests. NULL
 * when the sequence is over. */
void virDomainLockObjSetStep(virDomainLockObj *obj, const char *sequence, guint number);
/** What else another supervisor needs to finish or undo the sequence that is being journaled
 * (recover.h): kept with the next step, forgotten with the last. @details: transfer full. */
void virDomainLockObjSetJournal(virDomainLockObj *obj, JsonObject *details);
/** The same for a step that only looks, or of which all that there is to undo is found without
 * the journal: it is not written down. */
void virDomainLockObjPassStep(virDomainLockObj *obj, const char *sequence, guint number);
/** The sequence and its job are over. */
void virDomainLockObjEndSequence(virDomainLockObj *obj);
/** Into the history and to the listener. @detail and @message may be NULL. */
void virDomainLockObjEmit(virDomainLockObj *obj, const char *event, const char *detail,
                          const char *message);

/** Why the guest will have ended; the first one that is told stays. */
void virDomainLockObjSetEndReason(virDomainLockObj *obj, virDomainLockReason reason);
/** Why the leases are in danger; a start that is cancelled for that says so. The first one
 * stays. */
void virDomainLockObjSetDanger(virDomainLockObj *obj, const char *why);
/** From here on nothing may make QEMU write any more: only SIGKILL ends it. */
void virDomainLockObjSetLeaseLost(virDomainLockObj *obj);
gboolean virDomainLockObjIsLeaseLost(virDomainLockObj *obj);
/** STATE: it neither runs nor is paused under its leases, as ours. */
gboolean virDomainLockObjCheckLive(virDomainLockObj *obj,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Was it paused on purpose? What a migration keeps, whatever else stops the guest. */
void virDomainLockObjSetHeld(virDomainLockObj *obj, gboolean held);
gboolean virDomainLockObjIsHeld(virDomainLockObj *obj);
/** The other host of its last migration. */
void virDomainLockObjSetPeer(virDomainLockObj *obj, const char *host);
/** TRUE unless the guest has lost its leases, or is being stopped because of that. */
gboolean virDomainLockObjMayRun(virDomainLockObj *obj);
/** "another host" if it has not migrated; g_free. */
char *virDomainLockObjGetPeer(virDomainLockObj *obj);
/** Was the guest asked to let go of device @id, and has not yet? */
void virDomainLockObjSetAsked(virDomainLockObj *obj, const char *id, gboolean asked);
gboolean virDomainLockObjIsAsked(virDomainLockObj *obj, const char *id);
/** Why the next STOP comes. That of lost leases, which nothing undoes, stays. */
void virDomainLockObjSetPauseReason(virDomainLockObj *obj, virDomainLockReason reason);
/** The same if it was @from until now. */
void virDomainLockObjChangePauseReason(virDomainLockObj *obj, virDomainLockReason from,
                                       virDomainLockReason reason);

/** What has to be done, as a job, because of what the guest did. */
typedef enum {
    VIR_DOMAIN_LOCK_FOLLOW_NONE = 0,
    VIR_DOMAIN_LOCK_FOLLOW_END,     /* virDomainLockEnd */
    VIR_DOMAIN_LOCK_FOLLOW_RESTART, /* virDomainLockRestart */
    VIR_DOMAIN_LOCK_FOLLOW_PRESERVE /* virDomainLockPreserve: stopped, kept for a look */
} virDomainLockFollow;

/** Handles what QEMU said or that it ended; main thread. */
virDomainLockFollow virDomainLockObjHandle(virDomainLockObj *obj, const char *event,
                                           JsonObject *data);
/** The same for what was deferred while it started; call until it returns NONE. */
virDomainLockFollow virDomainLockObjHandleDeferred(virDomainLockObj *obj);

#endif
