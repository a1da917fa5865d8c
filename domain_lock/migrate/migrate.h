/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate.h: a guest moves to another host (I5, I6, I7): the sequences of both sides.
 *
 * Worker thread, but where it says otherwise. The source side is one job of a guest that
 * runs; the destination side is the start of a guest whose spec has a ticket.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_MIGRATE_H
#define LEASEHOLD_DOMAIN_LOCK_MIGRATE_H

#include "domain_lock/object.h"
#include "domain_lock/undo.h"
#include "migrate_channel.h"
#include "migrate_storage.h"

/** virMigrateParams: how the memory is sent. */
typedef struct _virMigrateParams {
    guint flags; /* virDomainLockMigrateFlagsType */
    guint connections;
    guint64 bandwidth; /* bytes a second; 0: all that there is */
    guint downtimeMsec;
    guint timeoutSec; /* give up when the memory is not there by then; 0: never */
} virMigrateParams;

/** Whether the memory comes over connections beside the main one. */
gboolean virMigrateParamsIsParallel(const virMigrateParams *params);

/** virMigrateOut: the source's side of one migration. */
typedef struct _virMigrateOut {
    virDomainLockObj *obj;
    virMigrateChannel *channel;
    char *host; /* where to, as the operator calls it */
    virMigrateParams params;

    gboolean asked;     /* the other side knows of the guest */
    gboolean streaming; /* QEMU was told to migrate */
    char *uri;          /* where its memory is to go, until it does; or NULL */
    int connection;     /* a copy of QEMU's, as long; -1: none */
    guint64 serial;     /* of QEMU's events before that */
    gboolean stopped;   /* the guest, by us */
    gboolean postcopy;  /* the rest of its memory is to follow */
    gboolean yielded;   /* the word was given: only virDomainLockMigrateTakeBack may undo it */
} virMigrateOut;

virMigrateOut *virMigrateOutNew(virDomainLockObj *obj, virMigrateChannel *channel,
                                const char *host);
void virMigrateOutFree(virMigrateOut *out);

/**
 * virDomainLockMigrateOut: the guest goes to the host at the other end of the channel.
 *
 *   migrate:1 check   nothing pending; the ticket
 *   migrate:2 ask     the destination reserves (its incoming:4 to 8) and says where to connect
 *   migrate:3 stream  until QEMU says "completed"
 *   migrate:4 word    given and sent
 *   migrate:5 hear    that the guest runs there
 *   migrate:6 end     QEMU reaped, its leases seen free, SHUTOFF (migrated)
 *
 * A failure before step 4 leaves the guest here as it was. After it, FALSE with
 * INDETERMINATE: nobody said that the guest runs there; it stays stopped here (PAUSED,
 * yielded), and virDomainLockMigrateTakeBack finds out.
 */
gboolean virDomainLockMigrateOut(virMigrateOut *out,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** Any thread: a migration was given up, and QEMU did not answer when the guest was to go on. */
gboolean virDomainLockMigrateIsStuck(virDomainLockObj *obj);
/**
 * virDomainLockMigrateGoOn: one more attempt, of some seconds. FALSE: QEMU does not answer yet:
 * repeat it. TRUE: the guest goes on, or is held, or nothing was left to be done.
 */
gboolean virDomainLockMigrateGoOn(virDomainLockObj *obj,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef enum {
    VIR_MIGRATE_FATE_UNKNOWN = 0, /* ask again: the destination may still run it */
    VIR_MIGRATE_FATE_HERE,        /* taken back; it goes on here */
    VIR_MIGRATE_FATE_THERE,       /* it ran there: ended here */
} virMigrateFate;

/**
 * virDomainLockMigrateTakeBack: who may run a guest that was yielded? The use record says
 * whether it ran at the destination; if not, whoever has the bridge of the run lease.
 * UNKNOWN comes with @error: why it cannot be told yet, and who could.
 */
virMigrateFate virDomainLockMigrateTakeBack(virMigrateOut *out,
                                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** What the destination is asked for. */
typedef struct _virMigrateIn {
    virMigrateChannel *channel;
    char *host;   /* the source's name */
    char *bootId; /* its machine's; NULL: not said */
    virMigrateParams params;

    virUndo *undo; /* between the two halves */
    virMigrateStorage *storage; /* watched, from before its memory comes */
    guint16 port;         /* where the memory arrives; 0: not open, or closed again */
    guint64 listenSerial; /* of QEMU's events, before it listened */
    char *cookie;  /* the source's word; NULL: not yet */
    gboolean run;  /* it is to run here */
    char *refused; /* why QEMU did not let it, so that it is paused; or NULL */
} virMigrateIn;

/** From the request; CONFIG if it is of another version. */
virMigrateIn *virMigrateInFromRequest(JsonObject *request,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;
void virMigrateInFree(virMigrateIn *in);

/**
 * virDomainLockIncomingReserve: steps 4 to 8 of a guest that comes from another host; 1 to 3
 * are virDomainLockStartPrepare's.
 *
 *   incoming:4 reserve   the bridges, and shared leases directly
 *   incoming:5 chains again
 *   incoming:6 exec      QEMU -incoming defer, paused
 *   incoming:7 audit     a bridge counts as a lease
 *   incoming:8 listen    with a one-time key; "reserved" is answered
 *
 * A failure leaves nothing behind, and says so to the source.
 */
gboolean virDomainLockIncomingReserve(virDomainLockObj *obj, virMigrateIn *in,
                                      const virLockWait *wait,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;
/**
 * virDomainLockIncomingReceive: the rest.
 *
 *   incoming:9 stream    and the source's word, both
 *   incoming:10 take     the epoch of the run record advances
 *   incoming:11 cont     unless it was paused; "running" is answered
 *
 * A failure is as above. Afterwards the guest runs behind its bridges: virDomainLockSettle.
 */
gboolean virDomainLockIncomingReceive(virDomainLockObj *obj, virMigrateIn *in,
                                      GCancellable *cancellable,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- migrate_settle.c -------------------------------------------------------------------- */

/**
 * virDomainLockSettle: takes the leases behind the bridges and frees those. FALSE with BUSY
 * while the source still has them: repeat it until it is TRUE.
 */
gboolean virDomainLockSettle(virDomainLockObj *obj,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** FALSE: some of its leases are guarded by bridges still. */
gboolean virDomainLockIsSettled(virDomainLockObj *obj);

/* --- migrate_stream.c: what both sides tell QEMU ---------------------------------------- */

typedef struct _virMigrateProgress {
    char status[24]; /* QEMU's: "active", "completed", ... */
    gint64 totalBytes;
    gint64 remainingBytes;
    gint64 passes; /* over its memory; the first one is 1 */
    char *failure; /* QEMU's words, or NULL */
} virMigrateProgress;
void virMigrateProgressClear(virMigrateProgress *progress);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(virMigrateProgress, virMigrateProgressClear)

/** A secret of 32 bytes in hex, for one migration; g_free. */
char *virMigrateStreamNewKey(GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Capabilities, parameters and the key. @incoming: the side that listens. */
gboolean virMigrateStreamSetUp(virDomainLockObj *obj, const virMigrateParams *params,
                               const char *key, gboolean incoming,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Whether the last migration was one with postcopy, so that the rest of the guest's memory was to
 * follow it. */
gboolean virMigrateStreamIsPostcopy(virDomainLockObj *obj, gboolean *postcopy,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Forgets the key. */
void virMigrateStreamTearDown(virDomainLockObj *obj);
gboolean virMigrateStreamQuery(virDomainLockObj *obj, virMigrateProgress *progress,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The same, and QEMU has to answer by @deadlineUsec. */
gboolean virMigrateStreamQueryBy(virDomainLockObj *obj, gint64 deadlineUsec,
                                 virMigrateProgress *progress,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** QEMU's run state, "postmigrate" for instance; g_free. A migration that says "completed" is
 * "finish-migrate" for a moment longer, in which QEMU refuses cont: that moment is waited for. */
char *virMigrateStreamGetRunState(virDomainLockObj *obj,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Waits until QEMU's migration has changed since @serial, or @deadlineUsec. */
void virMigrateStreamAwait(virDomainLockObj *obj, guint64 serial, gint64 deadlineUsec,
                           GCancellable *cancellable);
/** Listens on @address (a free port); the URI for the source; g_free. */
char *virMigrateStreamListen(virDomainLockObj *obj, const char *address,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The port of such a URI; 0 if it has none. */
guint16 virMigrateStreamPort(const char *uri);
/** QEMU has said since @serial that its migration is in @status. "active", on the destination:
 * all connections of the stream are there, and have shown that they know the key. */
gboolean virMigrateStreamHasBeen(virDomainLockObj *obj, const char *status, guint64 serial);

#endif
