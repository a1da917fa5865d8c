/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client_devices.c: what a guest consists of, and what comes to it and goes while it runs.
 */
#include "client.h"
#include "common/fd.h"
#include "common/xml_packed.h"
#include "domain_lock/describe.h"
#include "domain_lock/domain/domain_def.h"
#include "domain_lock/save/archive.h"

#include <string.h>

#define CALL_MSEC 30000
/* Longer than the supervisor takes to wait for its turn, to attach a disk and to undo that. */
#define CALL_DISK_MSEC 180000
#define CALL_MAX_SEC 1000000

static gpointer
virClientPackThread(gpointer xml)
{
    return virDomainLockPackXML(xml);
}

/* The element is parsed here, so that the supervisor need not, and while that answers. */
static gboolean
virClientAttachXML(virDomainLock *dom, const char *method, const char *xml, guint flags,
                   GError **error)
{
    GThread *parser =
        virXmlNodeIsPacked(xml, strlen(xml))
            ? NULL
            : g_thread_try_new("xml", virClientPackThread, (gpointer)xml, NULL);
    g_auto(virFd) fd = virDomainLockOpenAttached(dom, error);
    g_autofree char *packed = parser ? g_thread_join(parser) : NULL;
    g_autoptr(GVariant) reply = NULL;

    if (fd >= 0)
        reply = virDomainLockCallOn(fd, "io.leasehold.Guest1", method,
                                    g_variant_new("(su)", packed ? packed : xml, flags),
                                    CALL_DISK_MSEC, error);
    return reply != NULL;
}

gboolean
virDomainLockAttachDisk(virDomainLock *dom, const char *xml, guint flags, GError **error)
{
    return virClientAttachXML(dom, "AttachDisk", xml, flags, error);
}

gboolean
virDomainLockDetachDisk(virDomainLock *dom, const char *target, guint timeoutSec,
                        guint flags, GError **error)
{
    guint patience = MIN(timeoutSec, CALL_MAX_SEC) * 1000 + CALL_DISK_MSEC;

    return virDomainLockCall(dom, "DetachDisk",
                             g_variant_new("(suu)", target, timeoutSec, flags),
                             (gint)patience, error);
}

gboolean
virDomainLockChangeMedia(virDomainLock *dom, const char *target, const char *path,
                         const char *format, guint flags, GError **error)
{
    return virDomainLockCall(dom, "ChangeMedia",
                             g_variant_new("(sssu)", target, path ? path : "",
                                           format ? format : "", flags),
                             CALL_DISK_MSEC, error);
}

gboolean
virDomainLockAttachLease(virDomainLock *dom, const char *xml, guint flags, GError **error)
{
    return virClientAttachXML(dom, "AttachLease", xml, flags, error);
}

gboolean
virDomainLockDetachLease(virDomainLock *dom, const char *lockspace, const char *key,
                         guint flags, GError **error)
{
    return virDomainLockCall(
        dom, "DetachLease",
        g_variant_new("(ssu)", lockspace ? lockspace : "", key, flags), CALL_DISK_MSEC,
        error);
}

/* --- the description ----------------------------------------------------------------------- */

char *
virDomainLockReadDescription(virDomainLock *dom)
{
    g_autofree char *dir = virDomainLockDir(dom);
    g_autofree char *path = g_build_filename(dir, VIR_DESCRIBE_FILE, NULL);
    char *xml = NULL;

    (void)g_file_get_contents(path, &xml, NULL, NULL);
    return xml;
}

/* Of a guest whose supervisor is not there to be asked. */
static char *
virClientKeptXml(virDomainLock *dom, const virDomainLockInfo *info, GError **error)
{
    char *xml = info->state == VIR_DOMAIN_LOCK_STATE_SHUTOFF
                    ? virArchiveLoadDescription(
                          virLockConfigGet(dom->config, "host", "state_dir"), dom->uuid)
                    : NULL;

    if (!xml) /* also when a supervisor died with its QEMU */
        xml = virDomainLockReadDescription(dom);
    if (!xml)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "no description of guest '%s' was kept: it never ran, or with a "
                    "command line of its own",
                    dom->name);
    return xml;
}

char *
virDomainLockGetXMLDesc(virDomainLock *dom, guint flags, GError **error)
{
    g_autoptr(virDomainLockInfo) info = virDomainLockGetInfo(dom, error);
    g_autoptr(GVariant) reply = NULL;
    char *xml = NULL;

    if (!info)
        return NULL;
    if (info->supervisorPid == 0)
        return virClientKeptXml(dom, info, error);
    reply = virDomainLockCallReply(dom, "io.leasehold.Guest1", "GetXMLDesc",
                                   g_variant_new("(u)", flags), CALL_MSEC, error);
    if (!reply)
        return NULL;
    if (g_variant_is_of_type(reply, G_VARIANT_TYPE("(s)")))
        g_variant_get(reply, "(s)", &xml);
    else
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                    "the supervisor of guest '%s' answered something else", dom->name);
    return xml;
}
