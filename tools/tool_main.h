/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tool_main.h: what leasehold-commands.so exports, the module in which the commands are.
 */
#ifndef LEASEHOLD_TOOLS_TOOL_MAIN_H
#define LEASEHOLD_TOOLS_TOOL_MAIN_H

#include <leasehold/domain_lock.h>

#define VIR_TOOL_MODULE "leasehold-commands.so"
#define VIR_TOOL_SYMBOL "virToolMain"

/** The whole program. Takes @spare, a supervisor that was begun for it, or NULL; returns the exit
 * status. */
typedef int (*virToolMainFunc)(int argc, char **argv, virDomainLockSpare *spare);

int virToolMain(int argc, char **argv, virDomainLockSpare *spare)
    __attribute__((visibility("default")));

#endif
