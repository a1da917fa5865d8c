/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * faulty_storage.c: storage that this machine does not have, for a program that is started
 * with LD_PRELOAD. An open of a path that contains
 *
 *   $LEASEHOLD_TEST_HANGS      never returns, as on a dead NFS server or path, and makes
 *                              PATH.hung to say that it got there
 *   $LEASEHOLD_TEST_NODIRECT   fails with O_DIRECT, as on a file system without it
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* with _FILE_OFFSET_BITS=64 the header gives open the name open64 */
#undef open
int open(const char *path, int flags, ...);
int open64(const char *path, int flags, ...);

typedef int (*OpenFunc)(const char *path, int flags, ...);

static int
meets(const char *path, const char *variable)
{
    const char *fault = getenv(variable);

    return fault && *fault && path && strstr(path, fault);
}

static void
hang(OpenFunc real, const char *path)
{
    char marker[4096];

    (void)snprintf(marker, sizeof(marker), "%s.hung", path);
    (void)close(real(marker, O_WRONLY | O_CREAT, 0600));
    for (;;)
        (void)pause();
}

static int
faultyOpen(const char *symbol, const char *path, int flags, mode_t mode)
{
    OpenFunc real = (OpenFunc)dlsym(RTLD_NEXT, symbol);

    if (meets(path, "LEASEHOLD_TEST_HANGS"))
        hang(real, path);
    if ((flags & O_DIRECT) && meets(path, "LEASEHOLD_TEST_NODIRECT")) {
        errno = EINVAL;
        return -1;
    }
    return real(path, flags, mode);
}

static mode_t
modeOf(int flags, va_list args)
{
    return flags & (O_CREAT | __O_TMPFILE) ? (mode_t)va_arg(args, int) : 0;
}

__attribute__((visibility("default"))) int
open(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = modeOf(flags, args);
    va_end(args);
    return faultyOpen("open", path, flags, mode);
}

__attribute__((visibility("default"))) int
open64(const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = modeOf(flags, args);
    va_end(args);
    return faultyOpen("open64", path, flags, mode);
}
