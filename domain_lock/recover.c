/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * recover.c: a sequence that lost its supervisor in the middle is finished or undone, whichever
 * is the shorter way to a guest that is as somebody described it.
 *
 * A row looks at what QEMU has and not only at the number of the step: a step that was begun
 * may have had its effect or not. How a job prepares for this is in reattach.h.
 */
#include "codec.h"
#include "domain_lock/migrate/migrate.h"
#include "domain_lock/save/save.h"
#include "reattach.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *sequence;
    /* @step: the one that was begun last; @details: what SetJournal gave, or NULL */
    gboolean (*recover)(virReattach *re, guint step, JsonObject *details, GError **error);
} virRecovery;

/* QEMU was executed under all its leases, and their use records are written: what is left is
 * to look at it and to let it run. */
static gboolean
virRecoverStart(virReattach *re, guint step, JsonObject *details, GError **error)
{
    if (!virDomainLockStartResume(re->obj, re->wait, error))
        return FALSE;
    virReattachNote(re, "its start was interrupted (step %u) and was finished", step);
    return TRUE;
}

/* What is left is found without the journal: virReattachDisks. */
static gboolean
virRecoverNothing(virReattach *re, guint step, JsonObject *details, GError **error)
{
    return TRUE;
}

/* Which bridges are left the lock daemon has told, and the supervisor goes on with them. With none
 * left nothing waits for the source any more, as the old supervisor may have said. */
static gboolean
virRecoverSettle(virReattach *re, guint step, JsonObject *details, GError **error)
{
    if (virDomainLockIsSettled(re->obj))
        virDomainLockObjSetMessage(re->obj, NULL);
    return TRUE;
}

/* Cut off before its last step it is undone, after that finished: QEMU's nodes tell. */
static gboolean
virRecoverBlocks(virReattach *re, guint step, JsonObject *details, GError **error)
{
    if (!virDomainLockBlockRecover(re->obj, details, error))
        return FALSE;
    virReattachNote(re,
                    "'%s' was interrupted; its disks consist of what QEMU has for them",
                    re->obj->status->step);
    return TRUE;
}

/* QEMU has gone on with it, or not: its images tell. */
static gboolean
virRecoverSnapshot(virReattach *re, guint step, JsonObject *details, GError **error)
{
    const char *what = NULL;

    if (!virDomainLockSnapshotRecover(re->obj, step, details, &what, error))
        return FALSE;
    virReattachNote(re, "'%s' was interrupted, and %s", re->obj->status->step, what);
    return TRUE;
}

/* Before the swap it is undone, then finished; either way the drive has one medium or none. */
static gboolean
virRecoverMedia(virReattach *re, guint step, JsonObject *details, GError **error)
{
    if (!virDomainLockMediaRecover(re->obj, step, details, error))
        return FALSE;
    virReattachNote(re, "'%s' was interrupted; the drive has what is described",
                    re->obj->status->step);
    return TRUE;
}

static gboolean
virRecoverLease(virReattach *re, guint step, JsonObject *details, GError **error)
{
    if (!virDomainLockLeaseRecover(re->obj, details, error))
        return FALSE;
    virReattachNote(re, "'%s' was interrupted; the guest does not have the lease",
                    re->obj->status->step);
    return TRUE;
}

/* What is done without QEMU has ended with the old supervisor. */
static gboolean
virRecoverOffline(virReattach *re, guint step, JsonObject *details, GError **error)
{
    gboolean back = FALSE;

    if (!virDomainLockOfflineRecover(re->obj, step, &back, error))
        return FALSE;
    if (back)
        virReattachNote(re, "it had gone back to a snapshot (step %u), and goes on", step);
    else
        virReattachNote(re, "its way back to a snapshot was interrupted (step %u)", step);
    return TRUE;
}

/* The end is begun again: virDomainLockReattachFollow. */
static gboolean
virRecoverEnd(virReattach *re, guint step, JsonObject *details, GError **error)
{
    virDomainLockObjSetEndReason(re->obj, VIR_DOMAIN_LOCK_REASON_DESTROYED);
    return TRUE;
}

static gboolean
virRecoverSave(virReattach *re, guint step, JsonObject *details, GError **error)
{
    gboolean saved = FALSE;

    if (!virDomainLockSaveRecover(re->obj, step, details, &saved, error))
        return FALSE;
    if (saved)
        virReattachNote(re, "it was saved, and is ended");
    else
        virReattachNote(re, "its saving was interrupted (step %u): there is no file",
                        step);
    return TRUE;
}

static gboolean
virRecoverRestore(virReattach *re, guint step, JsonObject *details, GError **error)
{
    gboolean back = FALSE;

    if (!virDomainLockRestoreRecover(re->obj, step, details, &back, re->wait, error))
        return FALSE;
    if (back)
        virReattachNote(re, "its restoring was interrupted (step %u) and was finished",
                        step);
    else
        virReattachNote(re, "its restoring was interrupted (step %u): it never ran", step);
    return TRUE;
}

static gboolean
virRecoverMigrate(virReattach *re, guint step, JsonObject *details, GError **error)
{
    return virMigrateOutRecover(re, step, error);
}

static const virRecovery recoveries[] = {
    {"start", virRecoverStart},     {"attach", virRecoverNothing},
    {"detach", virRecoverNothing},  {"end", virRecoverEnd},
    {"snapshot", virRecoverBlocks}, {"commit", virRecoverBlocks},
    {"pull", virRecoverBlocks},     {"copy", virRecoverBlocks},
    {"media", virRecoverMedia},     {"attach-lease", virRecoverLease},
    {"detach-lease", virRecoverLease},
    {"save", virRecoverSave},       {"restore", virRecoverRestore},
    {"migrate", virRecoverMigrate}, {"incoming", virMigrateInRecover},
    {"settle", virRecoverSettle},
    {"snapshot-create", virRecoverSnapshot},
    {"snapshot-delete", virRecoverSnapshot},
    {"snapshot-revert", virRecoverSnapshot},
    {"offline", virRecoverOffline},
};

static gboolean
virRecoverIsEnding(const virDomainLockStatus *status)
{
    return status->step && g_str_has_prefix(status->step, "end:");
}

/* Between two sequences there is one thing to remember: a word that was given. */
gboolean
virReattachRecover(virReattach *re, GError **error)
{
    virDomainLockStatus *status = re->obj->status;
    const char *colon = status->step ? strchr(status->step, ':') : NULL;
    gsize len = colon ? (gsize)(colon - status->step) : 0;
    virDomainLockReason reason;

    if (virDomainLockObjGetStateAndReason(re->obj, &reason) ==
            VIR_DOMAIN_LOCK_STATE_PAUSED &&
        reason == VIR_DOMAIN_LOCK_REASON_YIELDED && !virRecoverIsEnding(status))
        return virMigrateOutRecover(re, VIR_MIGRATE_STEP_WORD, error);
    if (!colon)
        return TRUE;
    for (gsize i = 0; i < G_N_ELEMENTS(recoveries); i++) {
        const virRecovery *row = &recoveries[i];

        if (strlen(row->sequence) != len ||
            strncmp(row->sequence, status->step, len) != 0)
            continue;
        if (!row->recover(re, (guint)strtoul(colon + 1, NULL, 10), status->journal,
                          error))
            return FALSE;
        virDomainLockObjSetStep(re->obj, NULL, 0);
        return TRUE;
    }
    virReattachNote(re,
                    "'%s' was interrupted, and is not known to this version: nothing was "
                    "done about it",
                    status->step);
    return TRUE;
}

/* --- disks -------------------------------------------------------------------------------- */

static gboolean
virRecoverHasDevice(virReattach *re, const char *id, gboolean *has, GError **error)
{
    virDomainLockObj *obj = re->obj;
    g_autoptr(JsonObject) args = json_object_new();
    g_autoptr(JsonNode) answer = NULL;
    JsonArray *list = NULL;

    json_object_set_string_member(args, "path", "/machine/peripheral");
    answer = obj->guest->ops->command(obj->guest, "qom-list", args,
                                      re->wait->deadlineUsec, error);
    *has = FALSE;
    list = answer && JSON_NODE_HOLDS_ARRAY(answer) ? json_node_get_array(answer) : NULL;
    for (guint i = 0; list && i < json_array_get_length(list); i++) {
        JsonNode *node = json_array_get_element(list, i);

        if (JSON_NODE_HOLDS_OBJECT(node) &&
            g_strcmp0(virDomainLockJsonString(json_node_get_object(node), "name"), id) ==
                0)
            *has = TRUE;
    }
    return answer != NULL;
}

/* Leases of the disk that were never taken, or are given up already. */
static void
virRecoverDropNotHeld(virReattach *re, const char *target)
{
    GPtrArray *resources = virDomainDefGetResources(re->obj->def);
    g_autoptr(GPtrArray) leases = virLockManagerGetLeases(re->obj->man);

    for (guint i = resources->len; i-- > 0;) {
        virDomainResource *resource = g_ptr_array_index(resources, i);
        gboolean held = FALSE;

        for (guint k = 0; k < leases->len && !held; k++) {
            const virLockLease *lease = g_ptr_array_index(leases, k);
            g_autofree char *name = virLockManagerResourceName(
                re->obj->config, resource->type, resource->path, NULL, NULL);

            held = lease->hold != VIR_LOCK_HOLD_NONE && g_strcmp0(lease->name, name) == 0;
        }
        if (!held && g_strcmp0(resource->target, target) == 0)
            virDomainDefDropResource(re->obj->def, resource);
    }
}

static gboolean
virRecoverDisk(virReattach *re, const char *target, GError **error)
{
    virDomainDef *def = re->obj->def;
    const char *id = virDomainDefGetDiskId(def, target, NULL);
    gboolean has = TRUE;

    if (!id)
        return TRUE; /* NVRAM, TPM state: no disk that comes or goes */
    if (!virRecoverHasDevice(re, id, &has, error))
        return FALSE;
    if (has)
        return TRUE;
    virReattachNote(re, "the guest does not have disk '%s' (any more): it was detached",
                    target);
    virRecoverDropNotHeld(re, target);
    return virDomainLockDetachFinish(re->obj, id, error);
}

gboolean
virReattachDisks(virReattach *re, GError **error)
{
    GPtrArray *resources = virDomainDefGetResources(re->obj->def);
    g_autoptr(GPtrArray) targets = g_ptr_array_new_with_free_func(g_free);

    if (virDomainDefIsForeign(re->obj->def))
        return TRUE;
    for (guint i = 0; i < resources->len; i++) {
        const virDomainResource *resource = g_ptr_array_index(resources, i);

        if (resource->target && !g_ptr_array_find_with_equal_func(
                                    targets, resource->target, g_str_equal, NULL))
            g_ptr_array_add(targets, g_strdup(resource->target));
    }
    for (guint i = 0; i < targets->len; i++)
        if (!virRecoverDisk(re, g_ptr_array_index(targets, i), error))
            return FALSE;
    return TRUE;
}
