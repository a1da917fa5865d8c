/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* contract.h: what the files of the contract suite share. */
#ifndef LEASEHOLD_TESTS_CONTRACT_CONTRACT_H
#define LEASEHOLD_TESTS_CONTRACT_CONTRACT_H

#include "tests/contract/agent.h"

extern Agent alpha;
extern Agent beta;

/** A key that no other test uses; its lease is "lease-" and the key. */
char *contractKey(void);
/** A guest with a random uuid and the lease @key (NULL: none) in mode "rw", "ro" or "sh",
 * parked. Returns its uuid. */
char *contractGuest(Agent *host, const char *name, const char *key, const char *mode);
/** The same with a uuid that is given, and more keys. */
void contractGuestWith(Agent *host, const char *name, const char *uuid,
                       const char *const *keys, const char *mode);
/** Ends the guest: killed, shut down, forgotten. */
void contractEnd(Agent *host, const char *name);
gboolean contractHas(guint64 capabilities);

/** What a command answered has to begin with "ok"; returns what follows. */
#define assertOk(answer) contractAssertOk(answer, __FILE__, __LINE__)
char *contractAssertOk(char *answer, const char *file, int line);
#define expectOk(answer) g_free(assertOk(answer))
/** It has to begin with the error code @code; returns the message. */
#define assertCode(answer, code) contractAssertCode(answer, code, __FILE__, __LINE__)
char *contractAssertCode(char *answer, const char *code, const char *file, int line);
#define expectCode(answer, code) g_free(assertCode(answer, code))
/** It has to name @text. */
#define expectCodeNaming(answer, code, text)                                             \
    G_STMT_START                                                                         \
    {                                                                                    \
        g_autofree char *message_ = assertCode(answer, code);                            \
        if (!strstr(message_, text))                                                     \
            g_error("%s:%d: '%s' does not name '%s'", __FILE__, __LINE__, message_,      \
                    text);                                                               \
    }                                                                                    \
    G_STMT_END

/** Registers the tests of migrate.c. */
void contractAddMigrate(void);

#endif
