/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ticket.h: what source and destination of a migration tell each other about leases:
 * versioned JSON. Unknown members are ignored, another version is refused.
 *
 * The ticket says which guest comes, which leases it holds in which mode and at which epochs,
 * and who the source is. The cookie is the source's word that it will not run the guest
 * again; it names the ticket by its nonce.
 */
#ifndef LEASEHOLD_LOCK_MANAGER_TICKET_H
#define LEASEHOLD_LOCK_MANAGER_TICKET_H

#include <leasehold/lock_types.h>

typedef struct _virLockTicketLease {
    char *name;
    virLockResourceType type;
    virLockMode mode;
    guint64 epoch;
    char *path; /* on the source, for messages */
} virLockTicketLease;

typedef struct _virLockTicket {
    char *nonce;
    char *uuid;
    char *guestName;
    char *hostName; /* of the source */
    char *plugin;   /* the one that holds its leases there; NULL: not said */
    guint hostId;
    guint64 generation;
    char *uri;         /* NULL: not said */
    GPtrArray *leases; /* virLockTicketLease, the run lease first */
} virLockTicket;

virLockTicket *virLockTicketNew(void);
void virLockTicketFree(virLockTicket *ticket);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virLockTicket, virLockTicketFree)

/** Transfer none; @name is copied. */
virLockTicketLease *virLockTicketAddLease(virLockTicket *ticket, const char *name);
virLockTicketLease *virLockTicketFindLease(virLockTicket *ticket, const char *name);

char *virLockTicketFormat(const virLockTicket *ticket);
/** CONFIG: not a ticket, or of another version; the message says what is wrong with it. */
virLockTicket *virLockTicketParse(const char *text,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;

char *virLockCookieFormat(const virLockTicket *ticket);
/** CONFIG: not a cookie; STALE: of another migration than @ticket's. */
gboolean virLockCookieCheck(const char *text, const virLockTicket *ticket,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
