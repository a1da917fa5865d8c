/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * own_guest.c: a program that starts a guest which shall not outlive it, by the C API.
 *
 *     own_guest DOMAIN.xml [attach]
 *
 * Says "runs PID" when the guest runs, and ends when its standard input does. It asks for nothing
 * at its end.
 */
#include <leasehold/domain_lock.h>

#include <stdio.h>
#include <string.h>

int
main(int argc, char **argv)
{
    guint flags = VIR_DOMAIN_LOCK_CREATE_AUTODESTROY;
    g_autoptr(virLockConfig) config = NULL;
    g_autoptr(virDomainLock) dom = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = NULL;

    if (argc > 2 && strcmp(argv[2], "attach") == 0)
        flags |= VIR_DOMAIN_LOCK_CREATE_ATTACH;
    if (argc < 2 || !g_file_get_contents(argv[1], &xml, NULL, &error) ||
        !(config = virLockConfigLoad(NULL, &error)) ||
        !(dom = virDomainLockCreateXML(config, xml, flags, NULL, &error))) {
        fprintf(stderr, "own_guest: %s\n", error ? error->message : "usage");
        return 1;
    }
    printf("runs %" G_GINT64_FORMAT "\n", virDomainLockGetStartInfo(dom)->pid);
    (void)fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}
