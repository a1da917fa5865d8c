/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vir_test.h: what every C test begins with: GLib's test framework speaking TAP.
 */
#ifndef LEASEHOLD_TESTS_VIR_TEST_H
#define LEASEHOLD_TESTS_VIR_TEST_H

#include <glib.h>

/** g_test_init with "--tap" added, as automake's TAP driver expects. */
static inline void
virTestInit(int *argc, char ***argv)
{
    static char tap[] = "--tap"; /* GLib drops the pointer: nobody could free a copy */
    static char *copy[32]; /* GLib keeps parts of it */
    int n = *argc;

    g_assert_cmpint(n + 2, <=, G_N_ELEMENTS(copy));
    copy[0] = (*argv)[0];
    copy[1] = tap;
    for (int i = 1; i < n; i++)
        copy[i + 1] = (*argv)[i];
    *argc = n + 1;
    *argv = copy;
    g_test_init(argc, argv, NULL);
}

#define virAssertNoError(error)                                                              \
    G_STMT_START                                                                             \
    {                                                                                        \
        if (error)                                                                           \
            g_error("%s:%d: %s", __FILE__, __LINE__, (error)->message);                      \
    }                                                                                        \
    G_STMT_END

/** Runs a program in @dir, which has to succeed. */
static inline void
virTestRun(const char *dir, const char *const *argv)
{
    g_autoptr(GError) error = NULL;
    int status;

    g_spawn_sync(dir, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL,
                 &status, &error);
    virAssertNoError(error);
    g_spawn_check_wait_status(status, &error);
    virAssertNoError(error);
}

#endif
