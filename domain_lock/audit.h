/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * audit.h: does QEMU have anything open that no lease covers? (I2)
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_AUDIT_H
#define LEASEHOLD_DOMAIN_LOCK_AUDIT_H

#include "domain_lock/domain/domain_def.h"
#include <json-glib/json-glib.h>

typedef enum {
    VIR_AUDIT_FOREIGN =
        1 << 0, /* a command line that is not ours: so are its node names */
} virAuditFlags;

/**
 * virDomainLockAudit:
 * @config: for the lease names of images that were named in two ways
 * @nodes: what query-named-block-nodes returned
 * @resources: elements virDomainResource: the images that leases were taken for
 * @leases: elements virLockLease: what is held now
 *
 * Compares by device and inode (or device number), so that no spelling of a path matters. A
 * node open for writing needs an exclusive lease, or a shared one of a <shareable/> disk; a
 * node open for reading needs one at all; a node that is no file of this host (network
 * protocols) needs an explicit <lease>. Firmware is exempt while it is read-only: the node
 * that our own command line calls so, or any file of this host's /usr/share. CONFIG error
 * naming the node and its image.
 */
gboolean virDomainLockAudit(virLockConfig *config, JsonArray *nodes, GPtrArray *resources,
                            GPtrArray *leases, guint flags,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** One image that QEMU has open. */
typedef struct _virAuditFile {
    char *node; /* the first one, if several have it open */
    char *path;
    gboolean writable; /* by any of them */
} virAuditFile;

/**
 * virDomainLockAuditFiles: the images that QEMU has open and that need a lease: elements
 * virAuditFile. *complete is FALSE if there are nodes of which it cannot be said what they
 * have open: then an image that is not in the list may be open all the same.
 */
GPtrArray *virDomainLockAuditFiles(JsonArray *nodes, guint flags, gboolean *complete);

/**
 * virDomainLockGuardedByKey: an image without identity, in a guest with <lease> elements: those
 * are taken instead of a lease of the image's own. Looks at the image.
 */
gboolean virDomainLockGuardedByKey(virLockConfig *config, GPtrArray *resources,
                                   const virDomainResource *resource);

#endif
