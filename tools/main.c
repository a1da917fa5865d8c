/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * main.c: the `leasehold` program, which is little: the commands are in a module, because the
 * libraries that they need take twice as long to load as all the rest of a process.
 *
 * A supervisor takes longest of all that a start does before it looks at storage. So for the
 * command that starts guests it is begun here, and both are loaded at the same time. Whether
 * it is any use is seen later: if not, or if the command turns out to be wrong, it ends with us.
 * What is wrong with it the start will say, which tries again.
 */
#include "common/helper.h"
#include "tools/tool_main.h"

#include <stdio.h>
#include <string.h>

int
main(int argc, char **argv)
{
    gboolean starts = argc > 1 && strcmp(argv[1], "run") == 0;
    virDomainLockSpare *spare = starts ? virDomainLockSpareNew(NULL) : NULL;
    g_autoptr(GError) error = NULL;
    virToolMainFunc run =
        (virToolMainFunc)virHelperSymbol(VIR_TOOL_MODULE, VIR_TOOL_SYMBOL, &error);

    if (run)
        return run(argc, argv, spare);
    fprintf(stderr, "leasehold: the commands of this installation cannot be loaded: %s\n",
            error->message);
    virDomainLockSpareFree(spare);
    return 1;
}
