/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent.h: the one thing that is asked of the agent in the guest: to shut it down.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_AGENT_H
#define LEASEHOLD_DOMAIN_LOCK_AGENT_H

#include <leasehold/lock_types.h>

/**
 * virAgentShutdown:
 * @path: the host's end of the agent's channel
 *
 * UNAVAILABLE when no agent answers by the deadline (there is none, or the guest hangs);
 * INTERNAL with its own words when it refuses.
 */
gboolean virAgentShutdown(const char *path, gint64 deadlineUsec,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
