/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmp.h: a client of QEMU's monitor protocol for one guest.
 *
 * Blocking calls with deadlines, from any thread, beside events in the main loop. Replies
 * are matched by id, so a reply that comes after its caller gave up is dropped, not given to
 * the next one. The peer is not trusted: sizes, depth and the number of waiting events are
 * bounded, and a peer that breaks the protocol is disconnected.
 *
 * Errors: UNAVAILABLE when QEMU is not connected (nothing was sent), TIMEOUT when nothing
 * was sent by the deadline, INDETERMINATE when the command went out and no answer came,
 * INTERNAL with QEMU's words when it refused, CANCELLED.
 */
#ifndef LEASEHOLD_SUPERVISOR_QMP_H
#define LEASEHOLD_SUPERVISOR_QMP_H

#include "domain_lock/guest.h"
#include "supervisor/qmp_events.h"
#include <leasehold/lock_types.h>

typedef struct _virQmp virQmp;

/** @path: QEMU's listening socket. Does not connect. */
virQmp *virQmpNew(const char *path);
/** Not while another thread is in a call. */
void virQmpFree(virQmp *qmp);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virQmp, virQmpFree)

/** @pidfd: of QEMU; stays the caller's. Calls return when it ends, whoever still holds its
 * socket open. */
void virQmpSetProcess(virQmp *qmp, int pidfd);

/** Connects, waits for the greeting, negotiates. After a connection broke it may be called
 * again: event serial numbers go on, and what was missed between is known to be missed.
 * @first: a command that goes out together with the negotiation, or NULL: a QEMU that is
 * still coming up does both without anybody being waited for between. */
gboolean virQmpConnect(virQmp *qmp, virDomainLockGuestCommand *first, gint64 deadlineUsec,
                       GCancellable *cancellable,
                       GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean virQmpIsConnected(virQmp *qmp);
/** Breaks the connection; calls in other threads return. */
void virQmpDisconnect(virQmp *qmp);

/**
 * virQmpCommand:
 * @args: (nullable) (transfer none): the arguments
 * @passFd: passed beside the command (getfd), or -1
 *
 * Returns the "return" node (transfer full).
 */
JsonNode *virQmpCommand(virQmp *qmp, const char *name, JsonObject *args, int passFd,
                        gint64 deadlineUsec, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** Several in one go: see virDomainLockGuestOps.commands. */
gboolean virQmpCommands(virQmp *qmp, virDomainLockGuestCommand *commands, gsize n,
                        gint64 deadlineUsec, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** Serial number of the latest event; 0: none yet. */
guint64 virQmpEventSerial(virQmp *qmp);
/**
 * virQmpWaitEvent: the data (transfer full, an object) of the first event of this name after
 * @since. INDETERMINATE when so many others came that it may have been missed.
 */
JsonNode *virQmpWaitEvent(virQmp *qmp, const char *event, guint64 since,
                          gint64 deadlineUsec, GCancellable *cancellable,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** The same for what is @wanted by name and by a member of its data. */
JsonNode *virQmpWaitWanted(virQmp *qmp, virQmpWanted *wanted, gint64 deadlineUsec,
                           GCancellable *cancellable,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** Called in the context's thread, without locks held, for each event in order. */
typedef void (*virQmpEventFunc)(const char *event, JsonObject *data, gpointer opaque);
/** From now on the context reads the socket whenever no call does. Once. */
void virQmpWatch(virQmp *qmp, GMainContext *context, virQmpEventFunc func,
                 gpointer opaque);

#endif
