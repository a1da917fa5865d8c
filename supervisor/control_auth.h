/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_auth.h: the handshake of a D-Bus connection, server's side, as a state machine over
 * lines; it does no input and no output.
 *
 * Only EXTERNAL: who the peer is the kernel has said; the handshake may only repeat it. GDBus
 * could do this too, but blocking, in a thread of a small pool, bounded by a timeout of the
 * socket that then hits clients that only begin to talk late.
 */
#ifndef LEASEHOLD_SUPERVISOR_CONTROL_AUTH_H
#define LEASEHOLD_SUPERVISOR_CONTROL_AUTH_H

#include <glib.h>
#include <sys/types.h>

/** Longest line without its CR LF, and how many lines; a client needs four short ones. */
#define VIR_CONTROL_AUTH_LINE_MAX 255
#define VIR_CONTROL_AUTH_LINES_MAX 16

typedef enum {
    VIR_CONTROL_AUTH_MORE,  /* goes on with the next line */
    VIR_CONTROL_AUTH_DONE,  /* what follows is D-Bus messages */
    VIR_CONTROL_AUTH_FAILED /* hang up, after @reply was sent */
} virControlAuthResult;

typedef struct {
    uid_t peer;
    guint lines;
    enum {
        VIR_CONTROL_AUTH_WAITS_FOR_AUTH = 0,
        VIR_CONTROL_AUTH_WAITS_FOR_DATA,
        VIR_CONTROL_AUTH_WAITS_FOR_BEGIN
    } state;
} virControlAuth;

void virControlAuthInit(virControlAuth *auth, uid_t peer);
/**
 * virControlAuthLine:
 * @line: without its CR LF; not terminated, may hold anything
 * @reply: is appended what to send, with CR LF; nothing after BEGIN
 */
virControlAuthResult virControlAuthLine(virControlAuth *auth, const char *line, gsize len,
                                        GString *reply);

#endif
