/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_client.h: one client of the control socket, from its first byte to its last.
 *
 * The handshake is done in the main loop, as its bytes come: a client that is slow, silent or
 * stopped keeps no thread and nobody waiting.
 */
#ifndef LEASEHOLD_SUPERVISOR_CONTROL_CLIENT_H
#define LEASEHOLD_SUPERVISOR_CONTROL_CLIENT_H

#include "supervisor/control_stream.h"
#include <sys/types.h>

typedef enum {
    VIR_CONTROL_CLIENT_GREETS,  /* in the handshake */
    VIR_CONTROL_CLIENT_TALKS,   /* has a connection */
    VIR_CONTROL_CLIENT_IS_GONE, /* hung up, by whichever side; a job of its may still run */
} virControlClientState;

typedef struct _virControlClient virControlClient;
/** @state is new. */
typedef void (*virControlClientFunc)(virControlClient *client,
                                     virControlClientState state, gpointer data);

/** @fd (transfer full): accepted, non-blocking; @pid, @uid: of the peer, by the kernel. */
virControlClient *virControlClientNew(int fd, pid_t pid, uid_t uid,
                                      virControlClientFunc func, gpointer data);
/** Hangs up without calling back. */
void virControlClientFree(virControlClient *client);
/** Hangs up and calls back; sends @why (NULL: nothing) if it still is in the handshake. */
void virControlClientHangUp(virControlClient *client, const char *why);
virControlClientState virControlClientGetState(virControlClient *client);
pid_t virControlClientGetPid(virControlClient *client);
/** NULL unless it TALKS; still there while IS_GONE is told. */
GDBusConnection *virControlClientGetConnection(virControlClient *client);
/** IS_GONE, and nothing that it started keeps anything of it. */
gboolean virControlClientIsForgotten(virControlClient *client);
/** A signal without destination, if it TALKS. @parameters may be floating. */
void virControlClientEmit(virControlClient *client, const char *interface,
                          const char *name, GVariant *parameters);

#endif
