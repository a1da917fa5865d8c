/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate_priv.h: the parts of the source's side of a migration.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_MIGRATE_PRIV_H
#define LEASEHOLD_DOMAIN_LOCK_MIGRATE_PRIV_H

#include "migrate.h"

/** migrate_check.c: nothing that a migration would cut in half is under way; STATE or
 * UNSUPPORTED otherwise. Notes whether somebody paused the guest (virDomainLockObjIsHeld). */
gboolean virMigrateOutCheck(virMigrateOut *out, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** STATE: somebody asked it to shut down or to reboot, perhaps while it was on its way. */
gboolean virMigrateOutCheckRequest(virMigrateOut *out,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- migrate_connect.c --- */

/** Connects to @uri, where the destination listens, or leaves that to QEMU: the URI for QEMU's
 * "migrate"; g_free. */
char *virMigrateOutConnect(virMigrateOut *out, const char *uri,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The other side has shown that it knows the key: from now on QEMU can end the stream. */
void virMigrateOutConnected(virMigrateOut *out);
/** Ends a connection on which nothing has come yet; QEMU's migration fails then. Nothing if
 * it is connected. */
void virMigrateOutCut(virMigrateOut *out);

/* --- migrate_go_on.c: of a guest that nobody else may run --- */

/** Ends QEMU's stream; the guest stands still afterwards. QEMU has until @untilUsec to answer. */
gboolean virMigrateOutStopStream(virDomainLockObj *obj, gint64 untilUsec,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The same for a guest that stands still since the word. */
gboolean virMigrateOutCancelStream(virDomainLockObj *obj, gint64 untilUsec,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Then: it runs, unless somebody has suspended it. */
gboolean virMigrateOutContinue(virDomainLockObj *obj, gint64 untilUsec,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Both; each within @reachUsec. */
gboolean virMigrateOutGoOn(virDomainLockObj *obj, gint64 reachUsec,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** One of them failed: says so, and where QEMU gave no answer notes that it is to be asked again
 * (virDomainLockMigrateIsStuck). */
void virMigrateOutShowStuck(virDomainLockObj *obj, const GError *why);
/** QEMU's migration is over, whatever came of it. */
void virMigrateOutForget(virDomainLockObj *obj);

/* --- migrate_back.c --- */

/** FALSE: nobody hears it. */
gboolean virMigrateOutSayCancel(virMigrateOut *out);
/** Before the word: the stream is cancelled, the guest goes on, the other side is told. */
void virMigrateOutGoBack(virMigrateOut *out);
/** After it: PAUSED (yielded), which nobody resumes. */
void virMigrateOutShowYielded(virMigrateOut *out);
/** Waits until all of its memory has gone (after the switch: postcopy). FALSE: it will not, or
 * @deadlineUsec. */
gboolean virMigrateOutDrain(virDomainLockObj *obj, gint64 deadlineUsec,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** It runs there: the same; if it will not, QEMU was killed, which is all that may be done. */
gboolean virMigrateOutFinish(virDomainLockObj *obj, gint64 deadlineUsec,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** It runs there: it ends here. */
gboolean virMigrateOutEnd(virMigrateOut *out, GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
