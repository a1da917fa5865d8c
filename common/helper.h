/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helper.h: the programs and modules that belong to this installation and are for itself alone.
 * They lie in one folder: LEASEHOLD_HELPER_DIR, else where they were installed.
 */
#ifndef LEASEHOLD_COMMON_HELPER_H
#define LEASEHOLD_COMMON_HELPER_H

#include <leasehold/lock_types.h>

const char *virHelperDir(void);

/** Path of a program; free with g_free. */
char *virHelperPath(const char *name) G_GNUC_WARN_UNUSED_RESULT;

/**
 * virHelperSymbol: loads @module ("NAME.so"), which stays, and looks up @symbol in it. The
 * libraries below it are bound when they are called: most of what they offer never is.
 * CONFIG with the linker's reason.
 */
gpointer virHelperSymbol(const char *module, const char *symbol,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
