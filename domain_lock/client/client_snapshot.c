/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client_snapshot.c: snapshots in the images of a guest, from the caller's side.
 *
 * A guest that runs has a supervisor, which is asked. For one that does not, a supervisor is
 * started that takes its leases, does the work, and ends, or stays with the guest where that is
 * to run afterwards (snapshot_offline.c).
 */
#include "client.h"
#include "domain_lock/snapshot/snapshot.h"

/* Taking the leases, and qemu-img. */
#define CLIENT_OFFLINE_SEC 180
#define CLIENT_LOAD_BYTES_PER_SEC (8 * 1024 * 1024)

static virSnapshotLook *
virClientLook(virDomainLock *dom, GError **error)
{
    g_autofree char *xml = virDomainLockGetXMLDesc(dom, 0, error);
    g_autoptr(virDomainDef) def =
        xml ? virDomainDefParseXML(xml, -1, VIR_DOMAIN_LOCK_CREATE_UNSAFE_CACHE, error)
            : NULL;

    return def ? virSnapshotLookAt(dom->config, def, error) : NULL;
}

GPtrArray *
virDomainLockSnapshotList(virDomainLock *dom, guint flags, GError **error)
{
    g_autoptr(virSnapshotLook) look = NULL;

    if (flags != 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "flags %#x are not known", flags);
        return NULL;
    }
    look = virClientLook(dom, error);
    return look ? virSnapshotLookList(look) : NULL;
}

/* --- a guest that does not run -------------------------------------------------------------- */

/* TRUE: it runs here, supervised; *off: it does not. */
static gboolean
virClientIsOff(virDomainLock *dom, gboolean *off, GError **error)
{
    g_autoptr(virDomainLockInfo) info = virDomainLockPeekInfo(dom, error);

    if (!info)
        return FALSE;
    *off = info->state == VIR_DOMAIN_LOCK_STATE_SHUTOFF;
    return *off || virDomainLockAttachIfOrphan(dom, error);
}

typedef struct {
    const char *op;
    const char *name;
    const char *description;
    guint flags;
    const char *xml;
    guint createFlags;
    guint64 memoryBytes;
} virClientWork;

static gboolean
virClientOffline(virDomainLock *dom, const virClientWork *work, const virLockWait *wait,
                 GError **error)
{
    g_autoptr(virDomainLockSpec) spec = virDomainLockSpecNew();
    g_autoptr(virDomainLock) done = NULL;
    virLockWait bounds = {.structSize = sizeof(bounds)};

    if (wait)
        bounds = *wait;
    if (bounds.deadlineUsec == 0)
        bounds.deadlineUsec =
            g_get_monotonic_time() +
            (gint64)(CLIENT_OFFLINE_SEC + work->memoryBytes / CLIENT_LOAD_BYTES_PER_SEC) *
                G_USEC_PER_SEC;
    spec->xml = g_strdup(work->xml);
    spec->flags = work->createFlags;
    spec->snapshot = json_object_new();
    json_object_set_string_member(spec->snapshot, "op", work->op);
    json_object_set_string_member(spec->snapshot, "name", work->name);
    if (work->description)
        json_object_set_string_member(spec->snapshot, "description", work->description);
    json_object_set_int_member(spec->snapshot, "flags", work->flags);
    done = virDomainLockCreateSpec(dom->config, spec, &bounds, error);
    return done != NULL;
}

/* The guest as it is; qemu-img goes around the page cache whatever its description says. */
static gboolean
virClientOfflineAsIs(virDomainLock *dom, virClientWork *work, const virLockWait *wait,
                     GError **error)
{
    g_autofree char *xml = virDomainLockGetXMLDesc(dom, 0, error);

    work->xml = xml;
    work->createFlags = VIR_DOMAIN_LOCK_CREATE_UNSAFE_CACHE;
    return xml && virClientOffline(dom, work, wait, error);
}

static gboolean
virClientCheckFlags(guint flags, guint known, GError **error)
{
    if (!(flags & ~known))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                "flags %#x are not known", flags & ~known);
    return FALSE;
}

/* --- create, delete ---------------------------------------------------------------------------- */

gboolean
virDomainLockSnapshotCreate(virDomainLock *dom, const char *name, const char *description,
                            guint flags, const virLockWait *wait, GError **error)
{
    virClientWork work = {.op = "create", .name = name, .description = description};
    gboolean off = FALSE;

    if (!virClientCheckFlags(flags, 0, error) || !virClientIsOff(dom, &off, error))
        return FALSE;
    if (off)
        return virClientOfflineAsIs(dom, &work, wait, error);
    return virDomainLockCallJob(
        dom, "SnapshotCreate",
        g_variant_new("(ssu)", name, description ? description : "", flags), wait, error);
}

gboolean
virDomainLockSnapshotDelete(virDomainLock *dom, const char *name, guint flags,
                            const virLockWait *wait, GError **error)
{
    virClientWork work = {.op = "delete", .name = name};
    gboolean off = FALSE;

    if (!virClientCheckFlags(flags, 0, error) || !virClientIsOff(dom, &off, error))
        return FALSE;
    if (off)
        return virClientOfflineAsIs(dom, &work, wait, error);
    return virDomainLockCallJob(dom, "SnapshotDelete", g_variant_new("(su)", name, flags),
                                wait, error);
}

/* --- revert -------------------------------------------------------------------------------------- */

/* As the guest was then. What is wrong is said before anything is ended. */
static gboolean
virClientOfflineRevert(virDomainLock *dom, const virSnapshotFound *found, guint flags,
                       const virLockWait *wait, GError **error)
{
    virClientWork work = {.op = "revert",
                          .name = found->name,
                          .flags = flags,
                          .memoryBytes = found->memoryBytes};

    work.xml = found->entry->xml;
    /* without a start nothing but qemu-img opens the images */
    if (found->entry->unsafeCache || (found->memoryBytes == 0 && flags == 0))
        work.createFlags = VIR_DOMAIN_LOCK_CREATE_UNSAFE_CACHE;
    return virClientOffline(dom, &work, wait, error);
}

static gboolean
virClientRevertFail(virDomainLock *dom, const char *name, int code, const char *why,
                    GError **error)
{
    g_set_error(error, VIR_LOCK_ERROR, code,
                "cannot revert to snapshot '%s' of guest '%s': %s", name, dom->name, why);
    return FALSE;
}

/* A guest that runs, and a snapshot that has no memory for it: it has to be ended, and only
 * who says what it shall do afterwards wants that. */
static gboolean
virClientRestartRevert(virDomainLock *dom, const virSnapshotFound *found, guint flags,
                       const virLockWait *wait, GError **error)
{
    if (flags == 0)
        return virClientRevertFail(
            dom, found->name, VIR_LOCK_ERROR_STATE,
            "it has only disks in it, and the guest runs: it would be ended, and started "
            "from these disks; say --running or --paused",
            error);
    return virDomainLockDestroyFlags(dom, 0, error) &&
           virClientOfflineRevert(dom, found, flags, wait, error);
}

gboolean
virDomainLockSnapshotRevert(virDomainLock *dom, const char *name, guint flags,
                            const virLockWait *wait, GError **error)
{
    const guint known = VIR_DOMAIN_LOCK_REVERT_RUNNING | VIR_DOMAIN_LOCK_REVERT_PAUSED;
    g_autoptr(virSnapshotLook) look = NULL;
    g_autoptr(virSnapshotFound) found = NULL;
    gboolean off = FALSE;

    if (!virClientCheckFlags(flags, known, error) ||
        !virSnapshotCheckRevertFlags(flags, error) || !virClientIsOff(dom, &off, error))
        return FALSE;
    look = virClientLook(dom, error);
    found = look ? virSnapshotLookGet(look, name, error) : NULL;
    if (!found)
        return FALSE;
    if (found->problem->len > 0)
        return virClientRevertFail(dom, name, VIR_LOCK_ERROR_CONFIG, found->problem->str,
                                   error);
    if (off)
        return virClientOfflineRevert(dom, found, flags, wait, error);
    if (found->memoryBytes == 0)
        return virClientRestartRevert(dom, found, flags, wait, error);
    return virDomainLockCallJob(dom, "SnapshotRevert", g_variant_new("(su)", name, flags),
                                wait, error);
}
