/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * leasehold-sanlock-helper: creates and reclaims lease slots in a store; see slots.h.
 *
 *     leasehold-sanlock-helper create-slots STORE LOCKSPACE MSEC NAME...
 *     leasehold-sanlock-helper reclaim-slots STORE LOCKSPACE MSEC NAME=EPOCH...
 *
 * Exit status 0, or 1 with "CODE MESSAGE" as the last line of standard output, CODE being the
 * number of a virLockErrorCode. The lines before name the leases that were reclaimed. It ends
 * by SIGKILL if its parent's patience does.
 */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "plugins/sanlock/slots.h"

static gboolean
checkName(const char *name, GError **error)
{
    if (virSanlockNameIsValid(name))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "'%s' cannot be the name of a lease", name);
    return FALSE;
}

static gboolean
create(char **argv, gint64 deadlineUsec, GError **error)
{
    for (char **name = argv + 5; *name; name++)
        if (!checkName(*name, error))
            return FALSE;
    return virSanlockSlotsCreate(argv[2], argv[3], (const char *const *)argv + 5,
                                 deadlineUsec, error);
}

static gboolean
parseReclaim(const char *word, virSanlockReclaim *reclaim, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(word, "=", 2);

    if (!parts[0] || !parts[1] ||
        !g_ascii_string_to_unsigned(parts[1], 10, 0, G_MAXUINT64, &reclaim->epoch,
                                    NULL)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "'%s' is not NAME=EPOCH", word);
        return FALSE;
    }
    g_strlcpy(reclaim->name, parts[0], sizeof(reclaim->name));
    return checkName(parts[0], error);
}

static void
printReclaimed(const char *name)
{
    printf("%s\n", name);
    fflush(stdout);
}

static gboolean
reclaim(char **argv, gint64 deadlineUsec, GError **error)
{
    gsize n = g_strv_length(argv + 5);
    g_autofree virSanlockReclaim *reclaims = g_new0(virSanlockReclaim, n);

    for (gsize i = 0; i < n; i++)
        if (!parseReclaim(argv[5 + i], &reclaims[i], error))
            return FALSE;
    return virSanlockSlotsReclaim(argv[2], argv[3], reclaims, n, printReclaimed,
                                  deadlineUsec, error);
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    gint64 deadlineUsec;
    guint64 msec;
    gboolean ok;

    setlocale(LC_ALL, "");
    if (argc < 6 ||
        (strcmp(argv[1], "create-slots") != 0 && strcmp(argv[1], "reclaim-slots") != 0) ||
        !g_ascii_string_to_unsigned(argv[4], 10, 0, G_MAXINT32, &msec, NULL)) {
        fprintf(stderr,
                "usage: %s create-slots|reclaim-slots STORE LOCKSPACE MSEC NAME...\n",
                argv[0]);
        return 2;
    }
    deadlineUsec = g_get_monotonic_time() + (gint64)msec * 1000;
    ok = argv[1][0] == 'c' ? create(argv, deadlineUsec, &error)
                           : reclaim(argv, deadlineUsec, &error);
    if (ok)
        return 0;
    printf("%d %s\n", error->code, error->message);
    return 1;
}
