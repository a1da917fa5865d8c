/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * state.c: which call is permitted when. The table is the one at the head of lock_manager.h;
 * test-state.c walks every cell of it.
 */
#include "lock_manager/manager.h"

#include <unistd.h>

#define S(state) VIR_LOCK_STATE_##state

static const struct {
    const char *name;
    gboolean callsPlugin; /* takes part in the plugin's thread model */
    virLockManagerState edges[VIR_LOCK_STATE_LAST];
} virLockManagerCalls[] = {
    [VIR_LOCK_CALL_SET_PARAMETER] = {"SetParameter", FALSE, {[S(NEW)] = S(NEW)}},
    [VIR_LOCK_CALL_SET_PID] = {"SetParameter \"pid\"",
                               TRUE,
                               {[S(NEW)] = S(PARKED), [S(PREPARED)] = S(PARKED)}},
    [VIR_LOCK_CALL_SET_EPOCH] = {"SetEpoch",
                                 FALSE,
                                 {[S(NEW)] = S(NEW),
                                  [S(PREPARED)] = S(PREPARED),
                                  [S(PARKED)] = S(PARKED)}},
    [VIR_LOCK_CALL_REGISTER_RESOURCE] = {"RegisterResource",
                                         FALSE,
                                         {[S(NEW)] = S(NEW),
                                          [S(PREPARED)] = S(PREPARED),
                                          [S(PARKED)] = S(PARKED)}},
    [VIR_LOCK_CALL_GET_SUPERVISOR_ARGS] = {"GetSupervisorArgs",
                                           FALSE,
                                           {[S(NEW)] = S(NEW)}},
    [VIR_LOCK_CALL_PREPARE_CHILD] = {"PrepareChild", TRUE, {[S(NEW)] = S(PREPARED)}},
    [VIR_LOCK_CALL_REGISTER_CHILD] = {"RegisterChild",
                                      FALSE,
                                      {[S(PREPARED)] = S(PARKED)}},
    [VIR_LOCK_CALL_ACQUIRE_OBJECT] = {"AcquireObject", TRUE, {[S(PARKED)] = S(HELD)}},
    [VIR_LOCK_CALL_ACQUIRE_SUPERVISED] = {"AcquireObject", TRUE, {[S(NEW)] = S(HELD)}},
    [VIR_LOCK_CALL_RESERVE_OBJECT] = {"AcquireObject", TRUE, {[S(PARKED)] = S(RESERVED)}},
    [VIR_LOCK_CALL_ACQUIRE_RESOURCE] = {"AcquireResource", TRUE, {[S(HELD)] = S(HELD)}},
    [VIR_LOCK_CALL_RELEASE_RESOURCE] = {"ReleaseResource", TRUE, {[S(HELD)] = S(HELD)}},
    [VIR_LOCK_CALL_CONVERT_RESOURCE] = {"ConvertResource", TRUE, {[S(HELD)] = S(HELD)}},
    [VIR_LOCK_CALL_ADVANCE_USE] = {"AdvanceUse", TRUE, {[S(HELD)] = S(HELD)}},
    [VIR_LOCK_CALL_PREPARE_MIGRATE] = {"PrepareMigrate",
                                       TRUE,
                                       {[S(HELD)] = S(MIGRATING)}},
    [VIR_LOCK_CALL_MIGRATE_OUT] = {"CompleteMigrateOut",
                                   TRUE,
                                   {[S(MIGRATING)] = S(YIELDED)}},
    [VIR_LOCK_CALL_MIGRATE_OUT_CANCEL] = {"CompleteMigrateOut (CANCEL)",
                                          TRUE,
                                          {[S(MIGRATING)] = S(HELD),
                                           [S(YIELDED)] = S(HELD)}},
    [VIR_LOCK_CALL_MIGRATE_IN] = {"CompleteMigrateIn",
                                  TRUE,
                                  {[S(RESERVED)] = S(UNSETTLED)}},
    [VIR_LOCK_CALL_MIGRATE_IN_CANCEL] = {"CompleteMigrateIn (CANCEL)",
                                         TRUE,
                                         {[S(RESERVED)] = S(RELEASED)}},
    [VIR_LOCK_CALL_SETTLE] = {"Settle", TRUE, {[S(UNSETTLED)] = S(HELD)}},
    [VIR_LOCK_CALL_INQUIRE] = {"Inquire",
                               TRUE,
                               {[S(PARKED)] = S(PARKED),
                                [S(HELD)] = S(HELD),
                                [S(RESERVED)] = S(RESERVED),
                                [S(MIGRATING)] = S(MIGRATING),
                                [S(YIELDED)] = S(YIELDED),
                                [S(UNSETTLED)] = S(UNSETTLED),
                                [S(RELEASED)] = S(RELEASED)}},
    [VIR_LOCK_CALL_WATCH] = {"Watch",
                             FALSE,
                             {[S(PARKED)] = S(PARKED),
                              [S(HELD)] = S(HELD),
                              [S(RESERVED)] = S(RESERVED),
                              [S(MIGRATING)] = S(MIGRATING),
                              [S(YIELDED)] = S(YIELDED),
                              [S(UNSETTLED)] = S(UNSETTLED),
                              [S(RELEASED)] = S(RELEASED)}},
    [VIR_LOCK_CALL_GET_CHILD] = {"GetChild",
                                 FALSE,
                                 {[S(PARKED)] = S(PARKED),
                                  [S(HELD)] = S(HELD),
                                  [S(RESERVED)] = S(RESERVED),
                                  [S(MIGRATING)] = S(MIGRATING),
                                  [S(YIELDED)] = S(YIELDED),
                                  [S(UNSETTLED)] = S(UNSETTLED),
                                  [S(RELEASED)] = S(RELEASED),
                                  [S(SHUT)] = S(SHUT)}},
    [VIR_LOCK_CALL_SHUTDOWN] = {"Shutdown",
                                TRUE,
                                {[S(NEW)] = S(SHUT),
                                 [S(PREPARED)] = S(SHUT),
                                 [S(PARKED)] = S(SHUT),
                                 [S(HELD)] = S(SHUT),
                                 [S(RESERVED)] = S(SHUT),
                                 [S(MIGRATING)] = S(SHUT),
                                 [S(YIELDED)] = S(SHUT),
                                 [S(UNSETTLED)] = S(SHUT),
                                 [S(RELEASED)] = S(SHUT)}},
};

G_STATIC_ASSERT(G_N_ELEMENTS(virLockManagerCalls) == VIR_LOCK_CALL_LAST);

static const char *const virLockManagerStates[] = {
    [S(FORBIDDEN)] = "FORBIDDEN", [S(NEW)] = "NEW",         [S(PREPARED)] = "PREPARED",
    [S(PARKED)] = "PARKED",       [S(HELD)] = "HELD",       [S(RESERVED)] = "RESERVED",
    [S(MIGRATING)] = "MIGRATING", [S(YIELDED)] = "YIELDED", [S(UNSETTLED)] = "UNSETTLED",
    [S(RELEASED)] = "RELEASED",   [S(SHUT)] = "SHUT",
};

G_STATIC_ASSERT(G_N_ELEMENTS(virLockManagerStates) == VIR_LOCK_STATE_LAST);

virLockManagerState
virLockManagerStateNext(virLockManagerState state, virLockManagerCallKind kind)
{
    return virLockManagerCalls[kind].edges[state];
}

const char *
virLockManagerStateName(virLockManagerState state)
{
    return virLockManagerStates[state];
}

const char *
virLockManagerCallName(virLockManagerCallKind kind)
{
    return virLockManagerCalls[kind].name;
}

gboolean
virLockManagerCheckOwner(virLockManager *man, virLockManagerCallKind kind, GError **error)
{
    if (getpid() == man->ownerPid)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "%s: this lock manager object belongs to process %d, not to %d",
                virLockManagerCallName(kind), (int)man->ownerPid, (int)getpid());
    return FALSE;
}

static gboolean
virLockManagerCheckState(virLockManagerCall *call, GError **error)
{
    call->next = virLockManagerStateNext(call->man->state, call->kind);
    if (call->next != VIR_LOCK_STATE_FORBIDDEN)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "%s is not permitted in state %s of guest '%s'",
                virLockManagerCallName(call->kind),
                virLockManagerStateName(call->man->state),
                call->man->name ? call->man->name : "(no name yet)");
    return FALSE;
}

gboolean
virLockManagerCallBegin(virLockManagerCall *call, virLockManager *man,
                        virLockManagerCallKind kind, const virLockWait *wait,
                        GError **error)
{
    const char *what = virLockManagerCallName(kind);

    call->man = man;
    call->kind = kind;
    virLockWaitResolve(wait, &call->wait);
    if (!virLockManagerCheckOwner(man, kind, error) ||
        !virLockTurnTake(&man->turn, what, &call->wait, error))
        return FALSE;
    if (virLockManagerCheckState(call, error) &&
        (!virLockManagerCalls[kind].callsPlugin ||
         virLockManagerPluginEnter(man->plugin, what, &call->wait, error)))
        return TRUE;
    virLockTurnGive(&man->turn);
    return FALSE;
}

gboolean
virLockManagerCallEnd(virLockManagerCall *call, gboolean ok)
{
    virLockManager *man = call->man;

    if (virLockManagerCalls[call->kind].callsPlugin)
        virLockManagerPluginLeave(man->plugin);
    if (ok) {
        g_mutex_lock(&man->lock);
        man->state = call->next;
        g_mutex_unlock(&man->lock);
    }
    virLockTurnGive(&man->turn);
    return ok;
}
