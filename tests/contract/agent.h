/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent.h: a "host" of the contract tests: a process with a configuration of its own, which
 * does what the test says and answers in one line.
 *
 * Hosts are processes because a backend may keep one connection a process (libsanlock does).
 * Commands are words separated by tabs; agent.c lists them.
 */
#ifndef LEASEHOLD_TESTS_CONTRACT_AGENT_H
#define LEASEHOLD_TESTS_CONTRACT_AGENT_H

#include <leasehold/lock_manager.h>
#include <sys/types.h>

typedef struct _Agent {
    const char *name;
    const char *configPath;
    pid_t pid;
    int sock;
} Agent;

/** Starts the process; before any thread exists in this one. */
void agentStart(Agent *agent, const char *name, const char *configPath);
/** Kills it; guests that it parked are not killed with it. */
void agentKill(Agent *agent);

/** One command. Returns what it answered: "ok" or "ok TEXT", or "CODE message". Free: g_free. */
char *agentAsk(Agent *agent, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** The same in two steps, so that two hosts can be busy at once. */
void agentSend(Agent *agent, const char *format, ...) G_GNUC_PRINTF(2, 3);
char *agentReceive(Agent *agent);

#endif
