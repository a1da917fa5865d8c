/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * faulty_storage.c: storage that this machine does not have, for a program that is started
 * with LD_PRELOAD. An open of a path that contains
 *
 *   $LEASEHOLD_TEST_HANGS      never returns, as on a dead NFS server or path, and makes
 *                              PATH.hung to say that it got there
 *   $LEASEHOLD_TEST_HANGS_SYNC (an fsync of it) returns when PATH.go exists; makes PATH.hung
 *   $LEASEHOLD_TEST_NODIRECT   fails with O_DIRECT, as on a file system without it
 *
 * and paths that contain $LEASEHOLD_TEST_STORAGE_OF are on storage that breaks and comes back
 * while the program runs, as the first word of the file $LEASEHOLD_TEST_STORAGE says:
 *
 *   fail    each open, read, write and flush ends with EIO
 *   write   each write and flush does
 *   hang    none ends before the word is another one; then they go on, or fail
 *
 * What is struck makes a file of that name and ".hit". A program that waits here can be killed.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
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

static const struct timespec aWhile = {.tv_nsec = 10 * 1000 * 1000};

/* --- storage that breaks and comes back ----------------------------------------------- */

static void
markHit(const char *control)
{
    char name[4096];
    int fd;

    (void)snprintf(name, sizeof(name), "%s.hit", control);
    fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        (void)syscall(SYS_close, fd);
}

/* Not by functions of ours. */
static char
readWord(const char *control)
{
    char word = 0;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC, 0);

    if (fd < 0)
        return 0;
    (void)syscall(SYS_read, fd, &word, 1);
    (void)syscall(SYS_close, fd);
    return word;
}

/* 0, or -1 with errno, when the storage answers. */
static int
awaitPath(const char *path, int writes)
{
    const char *control = getenv("LEASEHOLD_TEST_STORAGE");
    int saved = errno;
    char word;

    if (!control || !meets(path, "LEASEHOLD_TEST_STORAGE_OF"))
        return 0;
    word = readWord(control);
    if (word == 'h' || word == 'f' || (word == 'w' && writes))
        markHit(control);
    while (word == 'h') {
        (void)nanosleep(&aWhile, NULL);
        word = readWord(control);
    }
    if (word != 'f' && (word != 'w' || !writes)) {
        errno = saved;
        return 0;
    }
    errno = EIO;
    return -1;
}

static int
awaitFd(int fd, int writes)
{
    char link[64], path[2048];
    ssize_t len;

    if (!getenv("LEASEHOLD_TEST_STORAGE"))
        return 0;
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = readlink(link, path, sizeof(path) - 1);
    path[len > 0 ? len : 0] = 0;
    return awaitPath(path, writes);
}

/* @parameters and @arguments of one function, whose first argument is a descriptor. */
#define FAULTY_CALL(type, name, writes, parameters, arguments)                           \
    type name parameters;                                                                \
    __attribute__((visibility("default"))) type name parameters                          \
    {                                                                                    \
        type(*real) parameters = (type(*) parameters)dlsym(RTLD_NEXT, #name);            \
                                                                                         \
        return awaitFd(fd, writes) < 0 ? -1 : real arguments;                            \
    }

#undef read
#undef pread
#undef pwrite
#undef preadv
#undef pwritev
FAULTY_CALL(ssize_t, read, 0, (int fd, void *data, size_t len), (fd, data, len))
FAULTY_CALL(ssize_t, pread, 0, (int fd, void *data, size_t len, off_t at), (fd, data, len, at))
FAULTY_CALL(ssize_t, pread64, 0, (int fd, void *data, size_t len, off64_t at),
            (fd, data, len, at))
FAULTY_CALL(ssize_t, preadv, 0, (int fd, const struct iovec *vector, int n, off_t at),
            (fd, vector, n, at))
FAULTY_CALL(ssize_t, preadv64, 0, (int fd, const struct iovec *vector, int n, off64_t at),
            (fd, vector, n, at))
FAULTY_CALL(ssize_t, pwrite, 1, (int fd, const void *data, size_t len, off_t at),
            (fd, data, len, at))
FAULTY_CALL(ssize_t, pwrite64, 1, (int fd, const void *data, size_t len, off64_t at),
            (fd, data, len, at))
FAULTY_CALL(ssize_t, pwritev, 1, (int fd, const struct iovec *vector, int n, off_t at),
            (fd, vector, n, at))
FAULTY_CALL(ssize_t, pwritev64, 1, (int fd, const struct iovec *vector, int n, off64_t at),
            (fd, vector, n, at))
FAULTY_CALL(int, fdatasync, 1, (int fd), (fd))

/* --- storage that never works --------------------------------------------------------- */

static int
faultyOpen(const char *symbol, const char *path, int flags, mode_t mode)
{
    OpenFunc real = (OpenFunc)dlsym(RTLD_NEXT, symbol);

    if (awaitPath(path, 0) < 0)
        return -1;
    if (meets(path, "LEASEHOLD_TEST_HANGS"))
        hang(real, path);
    if ((flags & O_DIRECT) && meets(path, "LEASEHOLD_TEST_NODIRECT")) {
        errno = EINVAL;
        return -1;
    }
    return real(path, flags, mode);
}

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
    return awaitPath(path, 1) < 0 ? -1 : real(fd);
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
