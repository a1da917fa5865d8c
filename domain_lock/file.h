/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * file.h: small files that are either old or new, never half.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_FILE_H
#define LEASEHOLD_DOMAIN_LOCK_FILE_H

#include <leasehold/lock_types.h>

/** VIR_LOCK_ERROR for an errno: a full disk, a read-only one and I/O errors are UNAVAILABLE,
 * all else (permissions, a path that is no folder) is CONFIG. "@what 'path': why". */
void virFileSetError(GError **error, int err, const char *what, const char *path);

/**
 * virFileMakeDirs: @path and what is missing above it. The last folder gets @mode. A folder
 * that exists must belong to us or to root, and others may not be able to write there:
 * whoever can rename our files can steal a guest.
 */
gboolean virFileMakeDirs(const char *path, int mode,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** Writes @text to a temporary file beside @path (mode 0600) and renames it; a failure
 * leaves the old file and no temporary one. Not for power cuts: there is no fsync. */
gboolean virFileReplace(const char *path, const char *text,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
