/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz-domain-command.c: foreign command lines: each line of the input is an argument.
 */
#include "config.h"
#include "domain_lock/domain/domain_def.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_auto(GStrv) argv = g_strsplit(text, "\n", -1);
    virDomainLockDisk disks[] = {{"/vm/web.qcow2", 0}, {"relative", 1}};
    virDomainLockCommand command = {
        .structSize = sizeof(command),
        .name = "web",
        .disks = disks,
        .nDisks = G_N_ELEMENTS(disks),
        .argv = (const char *const *)argv,
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(virDomainDef) def = virDomainDefFromCommand(&command, 0, &error);

    g_assert((def != NULL) != (error != NULL));
    if (!def)
        return 0;
    g_assert(virDomainDefGetUuid(def));
    (void)!virDomainDefRequireDirectIo(def, NULL);
    for (gsize i = 1; argv[i]; i++)
        g_assert(!g_str_equal(argv[i], "-S") && !g_str_equal(argv[i], "-daemonize"));
    return 0;
}
