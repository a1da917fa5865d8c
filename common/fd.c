/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fd.c: thin, exact wrappers of system calls.
 *
 * A process is addressed by its pidfd, never by its number, so that a signal cannot hit
 * another process that got the number later. Where only a number was kept (a state file),
 * the start time of the process tells whether it is still the same one.
 */
#include "common/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void
virFdClose(virFd fd)
{
    int saved = errno;

    if (fd >= 0)
        (void)close(fd);
    errno = saved;
}

int
virFdWriteFull(int fd, const void *bytes, gsize len)
{
    const guint8 *at = bytes;

    while (len > 0) {
        ssize_t n = write(fd, at, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            return EIO;
        at += n;
        len -= (gsize)n;
    }
    return 0;
}

int
virFdReadFull(int fd, void *bytes, gsize len)
{
    guint8 *at = bytes;

    while (len > 0) {
        ssize_t n = read(fd, at, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            return ENODATA;
        at += n;
        len -= (gsize)n;
    }
    return 0;
}

int
virFdSetCloexec(int fd, gboolean cloexec)
{
    return fcntl(fd, F_SETFD, cloexec ? FD_CLOEXEC : 0) < 0 ? errno : 0;
}

int
virFdSetNonblock(int fd, gboolean nonblock)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return errno;
    flags = nonblock ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    return fcntl(fd, F_SETFL, flags) < 0 ? errno : 0;
}

ssize_t
virFdSendSome(int sock, const void *bytes, gsize len, int passFd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = (void *)bytes, .iov_len = len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    if (passFd >= 0) {
        msg.msg_control = control.space;
        msg.msg_controllen = sizeof(control.space);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &passFd, sizeof(int));
    }
    do {
        n = sendmsg(sock, &msg, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n;
}

int
virFdSend(int sock, const void *bytes, gsize len, int passFd)
{
    ssize_t n = virFdSendSome(sock, bytes, len, passFd);

    if (n < 0)
        return errno;
    return (gsize)n == len ? 0 : EMSGSIZE;
}

int
virFdRecv(int sock, void *bytes, gsize size, gsize *len, int *passedFd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = bytes, .iov_len = size};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.space,
                         .msg_controllen = sizeof(control.space)};
    struct cmsghdr *header;
    ssize_t n;

    *len = 0;
    *passedFd = -1;
    do {
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno;
    header = CMSG_FIRSTHDR(&msg);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(passedFd, CMSG_DATA(header), sizeof(int));
    if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        virFdClose(*passedFd);
        *passedFd = -1;
        return EMSGSIZE;
    }
    *len = (gsize)n;
    return 0;
}

gboolean
virUnixAddress(const char *path, struct sockaddr_un *addr, GError **error)
{
    memset(addr, 0, sizeof(*addr));
    addr->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof(addr->sun_path)) {
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
            "the socket path '%s' has %zu bytes, but the kernel takes at most %zu: "
            "choose a shorter [host] run_dir",
            path, strlen(path), sizeof(addr->sun_path) - 1);
        return FALSE;
    }
    strcpy(addr->sun_path, path);
    return TRUE;
}

int
virUnixListen(const char *path, int type, GError **error)
{
    struct sockaddr_un addr;
    g_auto(virFd) fd = -1;

    if (!virUnixAddress(path, &addr, error))
        return -1;
    fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    /* fchmod before bind sets the mode of the file that bind creates: no instant at which
     * others could connect, and no change of the process's umask */
    if (fd >= 0 && fchmod(fd, 0600) == 0) {
        (void)unlink(path);
        if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(fd, 16) == 0)
            return g_steal_fd(&fd);
    }
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "cannot create the socket '%s': %s", path, g_strerror(errno));
    return -1;
}

int
virUnixConnect(const char *path, int type, GError **error)
{
    struct sockaddr_un addr;
    g_auto(virFd) fd = -1;

    if (!virUnixAddress(path, &addr, error))
        return -1;
    fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
        return g_steal_fd(&fd);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "cannot connect to '%s': %s", path, g_strerror(errno));
    return -1;
}

int
virPidfdOpen(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

int
virPidfdSendSignal(int pidfd, int signum)
{
    return syscall(SYS_pidfd_send_signal, pidfd, signum, NULL, 0) < 0 ? errno : 0;
}

int
virPidfdGetFd(int pidfd, int targetFd)
{
    return (int)syscall(SYS_pidfd_getfd, pidfd, targetFd, 0);
}

gboolean
virPidfdWait(int pidfd, gint64 deadlineUsec)
{
    struct pollfd poller = {.fd = pidfd, .events = POLLIN};

    for (;;) {
        int timeoutMsec = virPollTimeoutMsec(deadlineUsec);

        if (poll(&poller, 1, timeoutMsec) > 0)
            return (poller.revents & POLLIN) != 0;
        if (timeoutMsec == 0)
            return FALSE;
    }
}

int
virProcessReadStat(pid_t pid, virProcessStat *result)
{
    char path[40];
    char text[1024];
    char *open_;
    char *close_;
    unsigned long long start;
    g_auto(virFd) fd = -1;
    ssize_t n;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    n = read(fd, text, sizeof(text) - 1);
    if (n < 0)
        return errno;
    text[n] = '\0';
    memset(result, 0, sizeof(*result));
    result->pid = pid;
    /* the name may contain anything, also ") R 1": it ends at the last parenthesis */
    open_ = strchr(text, '(');
    close_ = strrchr(text, ')');
    if (!open_ || !close_ || close_ < open_)
        return EPROTO;
    *close_ = '\0';
    g_strlcpy(result->comm, open_ + 1, sizeof(result->comm));
    if (sscanf(close_ + 1,
               " %c %d %*d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
               "%*d %llu",
               &result->state, &result->ppid, &result->session, &start) != 4)
        return EPROTO;
    result->startTime = start;
    return 0;
}

int
virPidfdOpenExact(pid_t pid, guint64 startTime)
{
    g_auto(virFd) fd = virPidfdOpen(pid);
    virProcessStat now;
    int rc;

    if (fd < 0)
        return -1;
    /* read after the pidfd was opened: a process that has the number now and started at
     * startTime has had it all the time, so the pidfd is of the same one */
    rc = virProcessReadStat(pid, &now);
    if (rc == 0 && now.startTime == startTime)
        return g_steal_fd(&fd);
    errno = rc == 0 || rc == ENOENT ? ESRCH : rc;
    return -1;
}

gint64
virBoottimeUsec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (gint64)now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

int
virPollTimeoutMsec(gint64 deadlineUsec)
{
    gint64 left = deadlineUsec - g_get_monotonic_time();

    if (left <= 0)
        return 0;
    left = (left + 999) / 1000;
    return left > G_MAXINT ? G_MAXINT : (int)left;
}
