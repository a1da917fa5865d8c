/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reattach_leases.c: what is held against what is needed, of a guest that is taken up (I1, I3).
 *
 * Three lists: what the description says, what the lock daemon says that the process holds,
 * and what QEMU has open. QEMU's list decides: what it has open must be held, and what is held
 * is given up only if QEMU does not have it. The description only gives leases their names.
 *
 * A lease that is missing was lost, or given up by somebody else, at a time that nobody knows.
 * It can be taken again only if nobody used the image since, which the epoch of its use record
 * tells. Otherwise QEMU is killed at once: neither quit nor SIGTERM nor stop, because all of
 * these write out what QEMU still has in memory.
 */
#include "audit.h"
#include "codec.h"
#include "reattach.h"
#include <leasehold/lock_driver.h>
#include <sys/stat.h>

/* --- asking ------------------------------------------------------------------------------- */

static gboolean
virReattachKeepsLeases(const virDomainLockObj *obj)
{
    return (virLockManagerPluginGetInfo(obj->plugin)->capabilities &
            VIR_LOCK_CAP_ATTACH) != 0;
}

static gboolean
virReattachAskQemu(virReattach *re, GError **error)
{
    virDomainLockObj *obj = re->obj;
    g_autoptr(JsonObject) args = json_object_new();
    g_autoptr(JsonNode) nodes = NULL;

    json_object_set_boolean_member(args, "flat", TRUE);
    nodes = obj->guest->ops->command(obj->guest, "query-named-block-nodes", args,
                                     re->wait->deadlineUsec, error);
    if (!nodes)
        return FALSE;
    if (!JSON_NODE_HOLDS_ARRAY(nodes)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                    "QEMU's list of block nodes is no list");
        return FALSE;
    }
    g_clear_pointer(&re->open, g_ptr_array_unref);
    re->open = virDomainLockAuditFiles(
        json_node_get_array(nodes),
        virDomainDefIsForeign(obj->def) ? VIR_AUDIT_FOREIGN : 0, &re->openIsAll);
    return TRUE;
}

gboolean
virReattachAsk(virReattach *re, GError **error)
{
    re->held = virReattachKeepsLeases(re->obj)
                   ? virLockManagerInquire(re->obj->man, re->wait, error)
                   : g_ptr_array_new();
    return re->held && virReattachAskQemu(re, error) &&
           virDomainLockFindResources(re->obj, re->wait->cancellable, error);
}

/* --- comparing ---------------------------------------------------------------------------- */

static const virLockLease *
virReattachFind(GPtrArray *leases, const char *name)
{
    for (guint i = 0; i < leases->len; i++) {
        const virLockLease *lease = g_ptr_array_index(leases, i);

        if (g_strcmp0(lease->name, name) == 0)
            return lease;
    }
    return NULL;
}

static gboolean
virReattachSameImage(const char *a, const char *b)
{
    struct stat first, second;

    if (g_str_equal(a, b))
        return TRUE;
    if (stat(a, &first) < 0 || stat(b, &second) < 0)
        return FALSE;
    return S_ISBLK(first.st_mode)
               ? S_ISBLK(second.st_mode) && first.st_rdev == second.st_rdev
               : first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

static const virAuditFile *
virReattachFindOpen(const virReattach *re, const char *path)
{
    for (guint i = 0; i < re->open->len; i++) {
        const virAuditFile *file = g_ptr_array_index(re->open, i);

        if (virReattachSameImage(file->path, path))
            return file;
    }
    return NULL;
}

static virLockMode
virReattachMode(guint flags)
{
    return flags & (VIR_LOCK_MANAGER_RESOURCE_READONLY | VIR_LOCK_MANAGER_RESOURCE_SHARED)
               ? VIR_LOCK_MODE_SHARED
               : VIR_LOCK_MODE_EXCLUSIVE;
}

/* What QEMU opens without a block node: the state of a TPM, and a <lease>, which stands for
 * something that nobody here knows. */
static gboolean
virReattachIsUsed(const virReattach *re, const virDomainResource *resource)
{
    return resource->type != VIR_LOCK_RESOURCE_DISK || !resource->node ||
           virReattachFindOpen(re, resource->path);
}

/* Does the process hold what this resource needs? TRUE with *held set. */
static gboolean
virReattachIsHeld(const virReattach *re, const virDomainResource *resource,
                  gboolean *held, GError **error)
{
    g_autofree char *name = NULL;
    const virLockLease *lease = NULL;

    name = virLockManagerResourceName(re->obj->config, resource->type, resource->path,
                                      NULL, error);
    lease = name ? virReattachFind(re->held, name) : NULL;
    *held = lease && lease->mode >= virReattachMode(resource->flags);
    return name != NULL;
}

/* --- lost --------------------------------------------------------------------------------- */

static gboolean
virReattachKill(virReattach *re, const char *what, const GError *why, GError **error)
{
    virDomainLockObj *obj = re->obj;
    g_autofree char *message = g_strdup_printf(
        "QEMU (pid %" G_GINT64_FORMAT ") has %s in use and does not hold its lease any "
        "more%s%s: it was killed, because another host may use it by now",
        obj->status->qemu.pid, what, why ? ", and it cannot be taken again: " : "",
        why ? why->message : "");

    virDomainLockObjSetLeaseLost(obj);
    virDomainLockObjSetEndReason(obj, VIR_DOMAIN_LOCK_REASON_LEASE_LOST);
    obj->guest->ops->kill(obj->guest, FALSE);
    virDomainLockObjEmit(obj, "LEASE_LOST", "killing", message);
    g_set_error_literal(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_LOST, message);
    return FALSE;
}

static const virLockLease *
virReattachFindPath(GPtrArray *leases, const char *path)
{
    for (guint i = 0; i < leases->len; i++) {
        const virLockLease *lease = g_ptr_array_index(leases, i);

        if (g_strcmp0(lease->path, path) == 0)
            return lease;
    }
    return NULL;
}

/* Taken while QEMU has the image open, so it must be the same image to a bit: its epoch is
 * still the one that this guest wrote. */
static gboolean
virReattachTakeAgain(virReattach *re, const virDomainResource *resource, GError **error)
{
    virDomainLockObj *obj = re->obj;
    const char *path = resource->path;
    const virLockLease *before = virReattachFindPath(re->recorded, path);
    g_autoptr(GPtrArray) leases = NULL;
    const virLockLease *now = NULL;

    if (!virDomainLockAcquire(obj, resource, re->wait, error))
        return FALSE;
    leases = virLockManagerGetLeases(obj->man);
    now = virReattachFindPath(leases, path);
    if (virReattachMode(resource->flags) == VIR_LOCK_MODE_SHARED ||
        (before && now && before->epoch == now->epoch)) {
        virReattachNote(re, "the lease of '%s' was not held; it was taken again", path);
        return TRUE;
    }
    g_set_error(
        error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STALE,
        "somebody may have used it since: the epoch of its use record is not known "
        "to be the guest's");
    return FALSE;
}

static gboolean
virReattachTakeOrKill(virReattach *re, const virDomainResource *resource, GError **error)
{
    g_autofree char *what = g_strdup_printf("'%s'", resource->path);
    g_autoptr(GError) why = NULL;

    return virReattachTakeAgain(re, resource, &why) ||
           virReattachKill(re, what, why, error);
}

/* --- verifying ---------------------------------------------------------------------------- */

/* The run lease is the first to be taken and the last to go. Without it the process is not
 * registered any more, or was never ours: nothing of what it had can be taken again. */
static gboolean
virReattachVerifyRun(virReattach *re, GError **error)
{
    virDomainLockObj *obj = re->obj;
    g_autofree char *name = virLockManagerResourceName(
        obj->config, VIR_LOCK_RESOURCE_RUN, obj->status->info->uuid, NULL, error);

    if (!name)
        return FALSE;
    return virReattachFind(re->held, name) ||
           virReattachKill(re, "the right to run the guest", NULL, error);
}

/* As it is held: an operation that was cut off had made it exclusive, and what becomes of that is
 * decided by the recovery of the operation. */
static gboolean
virReattachRegisterHeld(virReattach *re, const virDomainResource *resource,
                        GError **error)
{
    virDomainResource as = *resource;
    g_autofree char *name = virLockManagerResourceName(re->obj->config, resource->type,
                                                       resource->path, NULL, error);
    const virLockLease *lease = name ? virReattachFind(re->held, name) : NULL;

    if (lease && lease->mode == VIR_LOCK_MODE_EXCLUSIVE &&
        resource->flags == VIR_LOCK_MANAGER_RESOURCE_READONLY)
        as.flags = 0;
    return name && virDomainLockRegister(re->obj, &as, error);
}

/* What the guest needs and holds; the rest of what it needs is returned. What is described and
 * not in use is neither: the step after the next looks at its disk. */
static gboolean
virReattachRegister(virReattach *re, GPtrArray *missing, GError **error)
{
    GPtrArray *resources = virDomainDefGetResources(re->obj->def);

    for (guint i = 0; i < resources->len; i++) {
        virDomainResource *resource = g_ptr_array_index(resources, i);
        gboolean held = FALSE;

        if (virDomainLockGuardedByKey(re->obj->config, resources, resource))
            continue;
        if (!virReattachIsHeld(re, resource, &held, error) ||
            (held && !virReattachRegisterHeld(re, resource, error)))
            return FALSE;
        if (!held && virReattachIsUsed(re, resource) &&
            !virDomainLockLeaseIsJournaled(re->obj->status->journal, resource))
            g_ptr_array_add(missing, resource);
    }
    return TRUE;
}

static gboolean
virReattachIsOf(const virReattach *re, const virLockLease *held, const char *path)
{
    g_autofree char *name = virLockManagerResourceName(
        re->obj->config, VIR_LOCK_RESOURCE_DISK, path, NULL, NULL);

    return g_strcmp0(name, held->name) == 0;
}

/* The image that this lease stands for: one that QEMU has open, that was recorded, or that the
 * journal names. */
static const char *
virReattachImageOf(const virReattach *re, const virLockLease *held)
{
    const virLockLease *recorded = virReattachFind(re->recorded, held->name);
    JsonArray *images = virDomainLockJsonArray(re->obj->status->journal, "images");

    for (guint i = 0; i < re->open->len; i++) {
        const virAuditFile *file = g_ptr_array_index(re->open, i);

        if (virReattachIsOf(re, held, file->path))
            return file->path;
    }
    if (recorded && recorded->type == VIR_LOCK_RESOURCE_DISK &&
        virReattachIsOf(re, held, recorded->path))
        return recorded->path;
    for (guint i = 0; images && i < json_array_get_length(images); i++) {
        const char *path = json_array_get_string_element(images, i);

        if (path && virReattachIsOf(re, held, path))
            return path;
    }
    return NULL;
}

/* Held and not described: an interrupted job's. They are taken over like the others, so that
 * they are known, and can be given up. */
static gboolean
virReattachRegisterExtra(virReattach *re, GError **error)
{
    g_autoptr(GPtrArray) known = virLockManagerGetLeases(re->obj->man);

    for (guint i = 0; i < re->held->len; i++) {
        const virLockLease *lease = g_ptr_array_index(re->held, i);
        guint flags =
            lease->mode == VIR_LOCK_MODE_SHARED ? VIR_LOCK_MANAGER_RESOURCE_READONLY : 0;
        const char *path = NULL;

        if (virReattachFind(known, lease->name))
            continue;
        path = virReattachImageOf(re, lease);
        if (!path)
            virReattachNote(re,
                            "lease %s is held, and nothing tells for which image; it "
                            "stays held until the guest ends",
                            lease->name);
        else if (!virLockManagerRegisterResource(re->obj->man, VIR_LOCK_RESOURCE_DISK,
                                                 path, NULL, flags, error))
            return FALSE;
    }
    return TRUE;
}

/* What QEMU has open and no description names: an interrupted job's, or an intruder's. */
static gboolean
virReattachVerifyOpen(virReattach *re, GError **error)
{
    virDomainLockObj *obj = re->obj;
    g_autoptr(GPtrArray) leases = virLockManagerGetLeases(obj->man);
    GPtrArray *resources = virDomainDefGetResources(obj->def);

    for (guint i = 0; i < re->open->len; i++) {
        const virAuditFile *file = g_ptr_array_index(re->open, i);
        const virDomainResource image = {
            .type = VIR_LOCK_RESOURCE_DISK,
            .path = (char *)file->path,
            .flags = file->writable ? 0 : VIR_LOCK_MANAGER_RESOURCE_READONLY};
        gboolean described = FALSE;
        g_autofree char *name = NULL;

        for (guint k = 0; k < resources->len && !described; k++) {
            const virDomainResource *resource = g_ptr_array_index(resources, k);

            described = resource->type == VIR_LOCK_RESOURCE_DISK &&
                        virReattachSameImage(resource->path, file->path);
        }
        if (described)
            continue;
        name = virLockManagerResourceName(obj->config, VIR_LOCK_RESOURCE_DISK, file->path,
                                          NULL, error);
        if (!name)
            return FALSE;
        virReattachNote(re, "QEMU has '%s' open (node '%s'), which is not described",
                        file->path, file->node);
        if (!virReattachFind(re->held, name) &&
            !virReattachTakeOrKill(re, &image, error))
            return FALSE;
    }
    return TRUE;
}

gboolean
virReattachVerify(virReattach *re, GError **error)
{
    virDomainLockObj *obj = re->obj;
    g_autoptr(GPtrArray) missing = g_ptr_array_new();

    if (virReattachKeepsLeases(obj)) {
        if (!virReattachVerifyRun(re, error) ||
            !virReattachRegister(re, missing, error) ||
            !virReattachRegisterExtra(re, error))
            return FALSE;
    } else {
        GPtrArray *resources = virDomainDefGetResources(obj->def);

        for (guint i = 0; i < resources->len; i++)
            if (!virDomainLockRegister(obj, g_ptr_array_index(resources, i), error))
                return FALSE;
    }
    if (!virLockManagerAcquireObject(obj->man, 0, re->wait, error))
        return FALSE;
    for (guint i = 0; i < missing->len; i++) {
        const virDomainResource *resource = g_ptr_array_index(missing, i);

        if (!virReattachTakeOrKill(re, resource, error))
            return FALSE;
    }
    if (virReattachKeepsLeases(obj) && !virReattachVerifyOpen(re, error))
        return FALSE;
    virDomainLockObjUpdateLeases(obj);
    return TRUE;
}

/* --- not needed any more ------------------------------------------------------------------ */

/* In the table of files of the process itself, whatever QEMU says of its block nodes. */
static gboolean
virReattachHasFile(gint64 pid, const char *path)
{
    g_autofree char *folder = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/fd", pid);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *number = NULL;

    if (!dir)
        return TRUE; /* it cannot be looked at: nothing is proved */
    while ((number = g_dir_read_name(dir))) {
        g_autofree char *one = g_build_filename(folder, number, NULL);

        if (virReattachSameImage(one, path))
            return TRUE;
    }
    return FALSE;
}

static gboolean
virReattachIsDescribed(const virReattach *re, const virLockLease *lease)
{
    GPtrArray *resources = virDomainDefGetResources(re->obj->def);

    if (lease->type != VIR_LOCK_RESOURCE_DISK)
        return TRUE;
    for (guint i = 0; i < resources->len; i++) {
        const virDomainResource *resource = g_ptr_array_index(resources, i);

        if (resource->type == VIR_LOCK_RESOURCE_DISK &&
            virReattachSameImage(resource->path, lease->path))
            return TRUE;
    }
    return FALSE;
}

gboolean
virReattachRelease(virReattach *re, GError **error)
{
    virDomainLockObj *obj = re->obj;
    g_autoptr(GPtrArray) leases = virLockManagerGetLeases(obj->man);

    if (!virReattachAskQemu(re, error))
        return FALSE;
    for (guint i = 0; i < leases->len; i++) {
        const virLockLease *lease = g_ptr_array_index(leases, i);

        if (virReattachIsDescribed(re, lease) || virReattachFindOpen(re, lease->path))
            continue;
        if (!re->openIsAll || virReattachHasFile(obj->status->qemu.pid, lease->path)) {
            virReattachNote(re,
                            "the lease of '%s' is held and not described; it stays held, "
                            "because it is not certain that QEMU does not use it",
                            lease->path);
            continue;
        }
        if (!virLockManagerReleaseResource(obj->man, lease->type, lease->path, re->wait,
                                           error)) {
            g_prefix_error(error, "the lease of '%s' is not needed: ", lease->path);
            return FALSE;
        }
        virReattachNote(re, "the lease of '%s' was held and not needed; it was given up",
                        lease->path);
    }
    virDomainLockObjUpdateLeases(obj);
    return TRUE;
}
