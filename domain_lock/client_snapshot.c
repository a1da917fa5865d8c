/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client_snapshot.c: snapshots in the images of a guest, from the caller's side.
 */
#include "client.h"
#include "snapshot.h"

gboolean
virDomainLockSnapshotCreate(virDomainLock *dom, const char *name, const char *description,
                            guint flags, const virLockWait *wait, GError **error)
{
    return virDomainLockCallJob(
        dom, "SnapshotCreate",
        g_variant_new("(ssu)", name, description ? description : "", flags), wait, error);
}

gboolean
virDomainLockSnapshotRevert(virDomainLock *dom, const char *name, guint flags,
                            const virLockWait *wait, GError **error)
{
    return virDomainLockCallJob(dom, "SnapshotRevert", g_variant_new("(su)", name, flags),
                                wait, error);
}

gboolean
virDomainLockSnapshotDelete(virDomainLock *dom, const char *name, guint flags,
                            const virLockWait *wait, GError **error)
{
    return virDomainLockCallJob(dom, "SnapshotDelete", g_variant_new("(su)", name, flags),
                                wait, error);
}

GPtrArray *
virDomainLockSnapshotList(virDomainLock *dom, guint flags, GError **error)
{
    g_autofree char *xml = NULL;
    g_autoptr(virDomainDef) def = NULL;
    g_autoptr(virSnapshotLook) look = NULL;

    if (flags != 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "flags %#x are not known", flags);
        return NULL;
    }
    xml = virDomainLockGetXMLDesc(dom, 0, error);
    def = xml ? virDomainDefParseXML(xml, -1, 0, error) : NULL;
    look = def ? virSnapshotLookAt(dom->config, def, error) : NULL;
    return look ? virSnapshotLookList(look) : NULL;
}
