/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * leasehold-sanlock-helper: creates lease slots in a store; see slots.h.
 *
 *     leasehold-sanlock-helper create-slots STORE LOCKSPACE MSEC NAME...
 *
 * Exit status 0, or 1 with "CODE MESSAGE" on standard output, CODE being the number of a
 * virLockErrorCode. It ends by SIGKILL if its parent's patience does.
 */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "plugins/sanlock/slots.h"

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    guint64 msec;

    setlocale(LC_ALL, "");
    if (argc < 6 || strcmp(argv[1], "create-slots") != 0 ||
        !g_ascii_string_to_unsigned(argv[4], 10, 0, G_MAXINT32, &msec, NULL)) {
        fprintf(stderr, "usage: %s create-slots STORE LOCKSPACE MSEC NAME...\n", argv[0]);
        return 2;
    }
    for (int i = 5; i < argc; i++) {
        if (!virSanlockNameIsValid(argv[i])) {
            printf("%d '%s' cannot be the name of a lease\n", VIR_LOCK_ERROR_CONFIG,
                   argv[i]);
            return 1;
        }
    }
    if (virSanlockSlotsCreate(argv[2], argv[3], (const char *const *)argv + 5,
                              g_get_monotonic_time() + (gint64)msec * 1000, &error))
        return 0;
    printf("%d %s\n", error->code, error->message);
    return 1;
}
