/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plug.h: what hotplug, media changes and <lease> elements have in common: leases of single
 * images, and block nodes that QEMU is told to open and is seen to have closed.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_PLUG_H
#define LEASEHOLD_DOMAIN_LOCK_PLUG_H

#include "domain_lock/sequence.h"

#define VIR_PLUG_TAKE_USEC (60 * G_USEC_PER_SEC)
#define VIR_PLUG_UNDO_USEC (10 * G_USEC_PER_SEC)
#define VIR_PLUG_POLL_USEC 10000

virLockWait virPlugWait(gint64 usec);
/** STATE unless the guest runs or is paused, with its leases. @what: "attach a disk to". */
gboolean virPlugCheckState(virDomainLockObj *obj, const char *what,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;

gboolean virPlugCommand(virDomainLockObj *obj, const char *name, JsonObject *args,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** With one argument. */
gboolean virPlugCommandOne(virDomainLockObj *obj, const char *name, const char *key,
                           const char *value, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The array that a query answers, or NULL. */
JsonNode *virPlugQuery(virDomainLockObj *obj, const char *name, JsonObject *args,
                       GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Does QEMU have the device? */
gboolean virPlugHasDevice(virDomainLockObj *obj, const char *id, gboolean *has,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** blockdev-add of each of @nodes (JsonObject), lowest first. @open: all that QEMU has open
 * then, for virDomainLockAuditNodes. */
gboolean virPlugAddNodes(virDomainLockObj *obj, const GPtrArray *nodes, JsonNode **open,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Removes them and sees that all are gone; TIMEOUT: one is not. */
gboolean virPlugDropNodes(virDomainLockObj *obj, const GPtrArray *nodes,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** Takes the lease of an image, unless the guest's <lease> elements guard it. */
gboolean virPlugTake(virDomainLockObj *obj, const virDomainResource *resource,
                     const virLockWait *wait, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Gives it up, and the resource is not needed any more. The node is seen gone before. */
gboolean virPlugGiveUp(virDomainLockObj *obj, virDomainResource *resource,
                       const virLockWait *wait, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Gives up all that a disk needs; another try goes on where this one failed. */
gboolean virPlugRelease(virDomainLockObj *obj, const char *target,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** What a disk needs: virDomainResource, owned by the description. */
GPtrArray *virPlugResources(virDomainLockObj *obj, const char *target);

#endif
