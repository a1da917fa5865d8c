/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * faulty_storage.c: storage that this machine does not have, for a program that is started
 * with LD_PRELOAD. An open of a path that contains
 *
 *   $LEASEHOLD_TEST_HANGS      never returns, as on a dead NFS server or path, and makes
 *                              PATH.hung to say that it got there
 *   $LEASEHOLD_TEST_HANGS_SYNC (an fsync of it) returns when PATH.go exists; makes PATH.hung
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
#include <time.h>
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

static const struct timespec aWhile = {.tv_nsec = 10 * 1000 * 1000};

static void
hangUntilGo(const char *path)
{
    char name[4096];

    (void)snprintf(name, sizeof(name), "%s.hung", path);
    (void)close(((OpenFunc)dlsym(RTLD_NEXT, "open"))(name, O_WRONLY | O_CREAT, 0600));
    (void)snprintf(name, sizeof(name), "%s.go", path);
    while (access(name, F_OK) < 0)
        (void)nanosleep(&aWhile, NULL);
}

__attribute__((visibility("default"))) int
fsync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    char link[64], path[2048];
    ssize_t len;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = readlink(link, path, sizeof(path) - 1);
    path[len > 0 ? len : 0] = 0;
    if (meets(path, "LEASEHOLD_TEST_HANGS_SYNC"))
        hangUntilGo(path);
    return real(fd);
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
