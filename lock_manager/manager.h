/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * manager.h: the inside of a virLockManager.
 *
 * Two locks: the turn is held for a whole call, however long it lasts, and is waited for with
 * the call's own deadline. The mutex guards the data that GetLeases, GetChild and Watch read
 * while a call runs; it is held for a few instructions only. Only the holder of the turn
 * changes that data.
 */
#ifndef LEASEHOLD_LOCK_MANAGER_MANAGER_H
#define LEASEHOLD_LOCK_MANAGER_MANAGER_H

#include "lock_manager/plugin.h"
#include "lock_manager/ticket.h"

typedef enum {
    VIR_LOCK_STATE_FORBIDDEN = 0, /* in the table: no such edge */
    VIR_LOCK_STATE_NEW,
    VIR_LOCK_STATE_PREPARED,
    VIR_LOCK_STATE_PARKED,
    VIR_LOCK_STATE_HELD,
    VIR_LOCK_STATE_RESERVED,
    VIR_LOCK_STATE_MIGRATING,
    VIR_LOCK_STATE_YIELDED,
    VIR_LOCK_STATE_UNSETTLED,
    VIR_LOCK_STATE_RELEASED,
    VIR_LOCK_STATE_SHUT,
    VIR_LOCK_STATE_LAST,
} virLockManagerState;

typedef enum {
    VIR_LOCK_CALL_SET_PARAMETER = 0,
    VIR_LOCK_CALL_SET_PID,
    VIR_LOCK_CALL_SET_EPOCH,
    VIR_LOCK_CALL_REGISTER_RESOURCE,
    VIR_LOCK_CALL_GET_SUPERVISOR_ARGS,
    VIR_LOCK_CALL_PREPARE_CHILD,
    VIR_LOCK_CALL_REGISTER_CHILD,
    VIR_LOCK_CALL_ACQUIRE_OBJECT,
    VIR_LOCK_CALL_ACQUIRE_SUPERVISED, /* AcquireObject after GetSupervisorArgs */
    VIR_LOCK_CALL_RESERVE_OBJECT,     /* AcquireObject under NEW_MIGRATE */
    VIR_LOCK_CALL_ACQUIRE_RESOURCE,
    VIR_LOCK_CALL_RELEASE_RESOURCE,
    VIR_LOCK_CALL_CONVERT_RESOURCE,
    VIR_LOCK_CALL_ADVANCE_USE,
    VIR_LOCK_CALL_PREPARE_MIGRATE,
    VIR_LOCK_CALL_MIGRATE_OUT,
    VIR_LOCK_CALL_MIGRATE_OUT_CANCEL,
    VIR_LOCK_CALL_MIGRATE_IN,
    VIR_LOCK_CALL_MIGRATE_IN_CANCEL,
    VIR_LOCK_CALL_SETTLE,
    VIR_LOCK_CALL_INQUIRE,
    VIR_LOCK_CALL_WATCH,
    VIR_LOCK_CALL_GET_CHILD,
    VIR_LOCK_CALL_SHUTDOWN,
    VIR_LOCK_CALL_LAST,
} virLockManagerCallKind;

/** One lease of the object. @driver is what plugins see; its strings are the ones below. */
typedef struct _virLockManagerResource {
    virLockDriverResource driver;
    char *lease;
    char *label;
    char *lockspace;
    guint flags;
    GPtrArray *users; /* paths or keys: one lease may serve several read-only images */
    virLockHold hold;
    gboolean advanced; /* this object has advanced the epoch */
} virLockManagerResource;

struct _virLockManager {
    gatomicrefcount refs; /* the caller, watch sources, renewal checks */
    virLockManagerPlugin *plugin;
    guint flags; /* virLockManagerNewFlags */
    pid_t ownerPid;
    virLockTurn turn;

    GMutex lock; /* the data below */
    virLockManagerState state;
    char *uuid;
    char *name;
    char *id;
    char *lossHelper;
    char *lossHelperArgs;
    pid_t pid;
    GPtrArray *resources; /* virLockManagerResource; the run lease first, then by name */
    GHashTable *epochs;   /* lease name -> guint64 *, from SetEpoch */
    virLockTicket *ticket;
    virLockManagerFdPassFunc fdPass;
    gpointer fdPassData;
    char *supervisorPath;
    gboolean noRun;      /* "run_lease" is "none" */
    gboolean supervised; /* GetSupervisorArgs was called */

    gboolean objectMade;
    gpointer object;    /* the plugin's objectData */
    guint askers;       /* renewal checks that use it just now, without the turn */
    gboolean doomed;    /* the last asker frees it */
    GPtrArray *watches; /* GSource, not owned */
};

/* --- state.c ------------------------------------------------------------------------------ */

/** A call that is under way: between Begin and End the caller has the turn. */
typedef struct _virLockManagerCall {
    virLockManager *man;
    virLockManagerCallKind kind;
    virLockWait wait; /* complete */
    virLockManagerState next;
} virLockManagerCall;

/** The state after this call, FORBIDDEN if it is not permitted. */
virLockManagerState virLockManagerStateNext(virLockManagerState state,
                                            virLockManagerCallKind kind);
const char *virLockManagerStateName(virLockManagerState state);
const char *virLockManagerCallName(virLockManagerCallKind kind);

gboolean virLockManagerCallBegin(virLockManagerCall *call, virLockManager *man,
                                 virLockManagerCallKind kind, const virLockWait *wait,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Enters call->next if @ok; returns @ok. */
gboolean virLockManagerCallEnd(virLockManagerCall *call, gboolean ok);
/** STATE unless @man belongs to this process. */
gboolean virLockManagerCheckOwner(virLockManager *man, virLockManagerCallKind kind,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- manager.c ---------------------------------------------------------------------------- */

virLockManager *virLockManagerRef(virLockManager *man);
void virLockManagerUnref(virLockManager *man);
/** "uuid" and "name" are known, the run lease is registered, the plugin has its object. */
gboolean virLockManagerEnsureObject(virLockManager *man,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** UNSUPPORTED, naming @operation, for an object without a run lease: it is no guest. */
gboolean virLockManagerRequireRun(virLockManager *man, const char *operation, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
/** Borrows the plugin's object for a call that does not wait for its turn; FALSE: there is none
 * any more. */
gboolean virLockManagerBorrowObject(virLockManager *man) G_GNUC_WARN_UNUSED_RESULT;
void virLockManagerReturnObject(virLockManager *man);
/** The plugin forgets it; when somebody has borrowed it, on its return. */
void virLockManagerFreeObject(virLockManager *man);
gboolean virLockManagerEnsureRun(virLockManager *man,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- resource.c --------------------------------------------------------------------------- */

void virLockManagerResourceFree(virLockManagerResource *resource);
/** Adds @name to the resources or to the users of one. *added: the new resource, or NULL if
 * an existing one serves. */
gboolean virLockManagerAddResource(virLockManager *man, virLockResourceType type,
                                   const char *name, const virLockManagerParam *params,
                                   guint flags, virLockManagerResource **added,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
void virLockManagerRemoveResource(virLockManager *man, virLockManagerResource *resource);
/** STATE if there is none. */
virLockManagerResource *
virLockManagerFindResource(virLockManager *man, virLockResourceType type,
                           const char *name, GError **error) G_GNUC_WARN_UNUSED_RESULT;
virLockManagerResource *virLockManagerFindLease(virLockManager *man, const char *lease);
/** NULL: "run_lease" is "none". */
virLockManagerResource *virLockManagerRunResource(virLockManager *man);
/** Copies of the driver resources of all for which @wanted is true (NULL: all), in order.
 * Plugins write the epochs there and not into what GetLeases reads meanwhile. */
typedef gboolean (*virLockManagerResourceFilter)(const virLockManagerResource *resource);
GPtrArray *virLockManagerSelect(virLockManager *man, virLockManagerResourceFilter wanted);
GPtrArray *virLockManagerSelectOne(virLockManagerResource *resource);
gboolean virLockManagerIsExclusive(const virLockManagerResource *resource);
gboolean virLockManagerIsShared(const virLockManagerResource *resource);
gboolean virLockManagerIsBridge(const virLockManagerResource *resource);
gboolean virLockManagerIsHeld(const virLockManagerResource *resource);
/** Takes over mode and epoch of @selected and sets their hold. */
void virLockManagerMark(virLockManager *man, GPtrArray *selected, virLockHold hold);

/* --- acquire.c ---------------------------------------------------------------------------- */

/** The bounds of an undo: the caller's deadline may have passed, and a cancel must not stop
 * it. */
void virLockManagerUndoWait(virLockWait *wait);
/** Who used the lease last, for a STALE message: "guest 'web' on host 'beta' at 09:14:02". */
char *virLockManagerDescribeUse(virLockManager *man,
                                const virLockDriverResource *resource,
                                const virLockWait *wait);
gboolean virLockManagerInquireDriver(virLockManager *man, GPtrArray **leases,
                                     const virLockWait *wait,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** LOST, naming them, if @leases (from the backend) lacks one of our leases as it is held. */
gboolean virLockManagerVerifyHeld(virLockManager *man, GPtrArray *leases,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The entry of @leases with this name and hold, or NULL. */
const virLockLease *virLockManagerFindHeld(GPtrArray *leases, const char *name,
                                           virLockHold hold);

/* --- supervisor.c ------------------------------------------------------------------------- */

/** Waits until the supervisor has started the guest; its pid is known then, and the object is
 * one of NEW_ATTACH. */
gboolean virLockManagerAwaitSupervised(virLockManager *man, const virLockWait *wait,
                                       GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- migrate.c ---------------------------------------------------------------------------- */

/** AcquireObject of NEW_MIGRATE. */
gboolean virLockManagerReserve(virLockManager *man, const virLockWait *wait,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
