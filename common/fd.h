/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fd.h: descriptors that close themselves, exact reads and writes, and processes
 * addressed by pidfd.
 *
 * Functions that end in an errno return 0 or a positive errno and set no GError: each
 * caller knows better than this file what it was doing. Those marked "fork-safe" are
 * async-signal-safe and may be called between fork and exec.
 */
#ifndef LEASEHOLD_COMMON_FD_H
#define LEASEHOLD_COMMON_FD_H

#include <leasehold/lock_types.h>
#include <sys/types.h>

/** virFd: "g_auto(virFd) fd = open (...)"; hand it on with g_steal_fd (&fd). */
typedef int virFd;
/** Closes unless it is -1; keeps errno. Fork-safe. */
void virFdClose(virFd fd);
G_DEFINE_AUTO_CLEANUP_FREE_FUNC(virFd, virFdClose, -1)

/** Writes all @len bytes; EINTR is retried. Returns 0 or errno. Fork-safe. */
int virFdWriteFull(int fd, const void *bytes, gsize len);
/** Reads exactly @len bytes; ENODATA when the file ends before. Fork-safe. */
int virFdReadFull(int fd, void *bytes, gsize len);
/** A descriptor without CLOEXEC survives exec. Returns 0 or errno. Fork-safe. */
int virFdSetCloexec(int fd, gboolean cloexec);
int virFdSetNonblock(int fd, gboolean nonblock);

/**
 * virFdSend: one message of @len > 0 bytes with @passFd (-1: none) as SCM_RIGHTS.
 * Returns 0 or errno; EMSGSIZE if only part went out. Fork-safe.
 */
int virFdSend(int sock, const void *bytes, gsize len, int passFd);
/** As sendmsg: how many bytes of a stream went out (@passFd with the first), or -1 with
 * errno set. Fork-safe. */
ssize_t virFdSendSome(int sock, const void *bytes, gsize len, int passFd);
/**
 * virFdRecv: one message of a SEQPACKET or DGRAM socket, waiting for it.
 * @len: (out): its length; 0: the peer is gone
 * @passedFd: (out): a descriptor that came with it (CLOEXEC), or -1
 *
 * Returns 0 or errno; EMSGSIZE for a message longer than @size. Fork-safe.
 */
int virFdRecv(int sock, void *bytes, gsize size, gsize *len, int *passedFd);

/**
 * virUnixAddress: fills @addr (struct sockaddr_un) for @path. CONFIG when the path is
 * longer than the kernel takes (107 bytes), naming the path and the limit.
 */
struct sockaddr_un;
gboolean virUnixAddress(const char *path, struct sockaddr_un *addr, GError **error);
/** A listening socket at @path, mode 0600, in place of what was there. CLOEXEC. */
int virUnixListen(const char *path, int type, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Connected, CLOEXEC, blocking; -1 with UNAVAILABLE if nobody listens there. */
int virUnixConnect(const char *path, int type, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** virPidfdOpen: CLOEXEC; -1 with errno set (ESRCH: no such process). Fork-safe. */
int virPidfdOpen(pid_t pid);
/** Returns 0 or errno (ESRCH: it was reaped). Fork-safe, any thread. */
int virPidfdSendSignal(int pidfd, int signum);
/** A copy of the process's descriptor @targetFd (CLOEXEC); -1 with errno set. */
int virPidfdGetFd(int pidfd, int targetFd);
/** Waits until the process has ended (all its threads), TRUE, or @deadlineUsec
 * (monotonic) passed. It may still be a zombie. */
gboolean virPidfdWait(int pidfd, gint64 deadlineUsec);

/** virProcessStat: what /proc/PID/stat says of a process. */
typedef struct _virProcessStat {
    pid_t pid;
    pid_t ppid;
    pid_t session;
    char state;        /* 'R', 'S', 'D', 'Z', ... */
    char comm[17];     /* name, at most 16 bytes */
    guint64 startTime; /* clock ticks since boot: with the pid it names one process */
} virProcessStat;
/** Returns 0 or errno (ENOENT or ESRCH: no such process). */
int virProcessReadStat(pid_t pid, virProcessStat *result);
/** A pidfd of exactly the process @pid that started at @startTime; -1 with errno set
 * (ESRCH if the number now belongs to another process). */
int virPidfdOpenExact(pid_t pid, guint64 startTime);

/** CLOCK_BOOTTIME, microseconds: goes on while the host sleeps. */
gint64 virBoottimeUsec(void);
/** The milliseconds until @deadlineUsec (g_get_monotonic_time scale) as poll wants them:
 * rounded up, at least 0. */
int virPollTimeoutMsec(gint64 deadlineUsec);

#endif
