/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate_tls.h: the one-time key of a migration's memory stream, and the port that it
 * arrives at.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_MIGRATE_TLS_H
#define LEASEHOLD_DOMAIN_LOCK_MIGRATE_TLS_H

#include "domain_lock/object.h"

/** QEMU's name for it, as the migration parameter tls-creds wants it. */
#define VIR_MIGRATE_TLS_ID "leasehold-migrate"

/** Tells QEMU the key. The source's QEMU reads its file at once, and it is removed again; that
 * of the destination (@incoming) reads it when somebody connects. */
gboolean virMigrateTlsAdd(virDomainLockObj *obj, const char *key, gboolean incoming,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The key is in no file any more. Twice does no harm. */
void virMigrateTlsForget(virDomainLockObj *obj);
/** The same, and QEMU's object goes too. */
void virMigrateTlsRemove(virDomainLockObj *obj);
/** Ends QEMU's connections to @where, "host:port" or "[host]:port"; 0 or errno (ENOENT: none). */
int virMigratePortCut(virDomainLockObj *obj, const char *where);
/**
 * virMigratePortGuard: who connects to TCP @port of QEMU and says nothing does not hold it
 * up, or where several connections are expected (@parallel) for a second at most.
 * virMigratePortClose: QEMU, which listens there until the whole stream was read, does not any
 * more. Connections that were accepted stay.
 *
 * Both return 0 or errno: ENOENT if it does not listen there, EPERM where the kernel does not
 * let us have a descriptor of another process.
 */
int virMigratePortGuard(virDomainLockObj *obj, guint16 port, gboolean parallel);
int virMigratePortClose(virDomainLockObj *obj, guint16 port);

#endif
