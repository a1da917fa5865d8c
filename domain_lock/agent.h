/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent.h: asking the guest's own agent (qemu-guest-agent).
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_AGENT_H
#define LEASEHOLD_DOMAIN_LOCK_AGENT_H

#include <glib.h>

/** One of the agent's commands that it answers only when it refuses. */
typedef struct _virAgentRequest {
    const char *path;    /* the host's end of its channel */
    const char *command; /* "guest-shutdown" */
    const char *mode;    /* its argument "mode"; NULL: none */
    gint64 syncUsec;     /* CLOCK_MONOTONIC: until then it has to show that it lives */
    gint64 refusalUsec; /* so long it may take to refuse; silence after that is consent */
    gboolean (*done)(gpointer data); /* the guest did it: no refusal will come; or NULL */
    gpointer data;
} virAgentRequest;

/** UNAVAILABLE: no agent answers; UNSUPPORTED: it refuses, with its words. TRUE: it has taken
 * the request, which does not mean that the guest will follow. */
gboolean virAgentAsk(const virAgentRequest *request,
                     GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
