/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate_channel.h: what the two supervisors of a migration say to each other, over whatever
 * the operator's remote shell connects: one JSON object a line, in both directions.
 *
 *   source                                 destination
 *   request {version, guest, ticket, ...}  ->
 *                                          <- reserved {uri, username, key}
 *   alive, each second                     ->
 *   word {cookie, run}                     ->     QEMU said "completed"
 *                                          <- running
 *   cancel (or the end of the channel)     ->     only before the word; also instead of request
 *                                          <- error {code, message}: nothing is held any more,
 *                                             unless it is INDETERMINATE
 *
 * The channel is authenticated by whoever made it (ssh). What comes over it is checked all the
 * same: sizes are bounded, members may be missing or of another type, unknown ones are ignored.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_MIGRATE_CHANNEL_H
#define LEASEHOLD_DOMAIN_LOCK_MIGRATE_CHANNEL_H

#include "domain_lock/codec.h"

#define VIR_MIGRATE_PROTOCOL_VERSION 1
/** How the end of a channel is told: a remote shell may know why. */
#define VIR_MIGRATE_CHANNEL_ENDED "the channel between the hosts ended"
#define VIR_MIGRATE_CHANNEL_NOT_OURS "where 'leasehold migrate-in' was to answer"

typedef struct _virMigrateChannel virMigrateChannel;

/** Takes over both descriptors; they may be the same one. @outFd -1: nobody reads it any more. */
virMigrateChannel *virMigrateChannelNew(int inFd, int outFd);
void virMigrateChannelFree(virMigrateChannel *channel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virMigrateChannel, virMigrateChannelFree)

/** A message of this type, to be filled. */
JsonObject *virMigrateMessageNew(const char *type);
/** Its type; "" if it has none. */
const char *virMigrateMessageType(JsonObject *message);

/** Any thread, one at a time. UNAVAILABLE: the other end is gone, or has not read anything for
 * ten seconds. */
gboolean virMigrateChannelSend(virMigrateChannel *channel, JsonObject *message,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The same; a peer that is gone does not care. */
void virMigrateChannelSendError(virMigrateChannel *channel, const GError *error);
/**
 * virMigrateChannelReceive: the next message; one thread. NULL: TIMEOUT (none came),
 * CANCELLED, UNAVAILABLE (the other end closed it), CONFIG (not our protocol), or what the
 * other side reports as its error.
 */
JsonObject *virMigrateChannelReceive(virMigrateChannel *channel, gint64 deadlineUsec,
                                     GCancellable *cancellable,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** TRUE if Receive failed because the other side said "error": it holds nothing, unless
 * its error is INDETERMINATE. */
gboolean virMigrateChannelPeerFailed(virMigrateChannel *channel);

#endif
