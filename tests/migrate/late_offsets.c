/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * late_offsets.c: for a QEMU that waits for a migration and is started with LD_PRELOAD: what
 * becomes of it when the stream ends after N bytes, for each N of its last bytes, without starting
 * a QEMU for each of them.
 *
 * The stream comes over the unix socket $LEASEHOLD_TEST_STREAM. Its first bytes pass as they
 * are (TLS shakes hands there), then all of it is read to its end, and QEMU gets everything but
 * those last bytes. When it asks for more it stands where every shorter stream would have
 * brought it, too. For each N a copy is forked there, which gets the bytes up to N and the end
 * of the file; it ends, or says "completed", and is killed then. Last, QEMU itself gets the rest.
 *
 * A copy has the main thread only, the one that loads a stream and, at "completed", would activate
 * the images; it has neither vCPU nor monitor. Whole QEMUs are the business of the test.
 *
 * $LEASEHOLD_TEST_LATE      how many bytes are the last: 64 KiB or more
 * $LEASEHOLD_TEST_DISK     its times are set to 0, and nobody may change that
 * $LEASEHOLD_TEST_STRIDE   of N within the last 64 KiB; a boundary is found whatever it is
 * $LEASEHOLD_TEST_REPORT   a line each: the bytes that are missing, and "failed", "completed",
 *                          "wrote" (to the disk) or "hung"; the last one says "end"
 * $LEASEHOLD_TEST_TAIL     the last bytes themselves
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PASS_BYTES (32 * 1024)
#define MAX_BYTES (64 * 1024 * 1024)
#define LAST_BYTES (64 * 1024)
/* Before those a sample is enough, but for what is near a boundary. */
#define FAR_STRIDE 1021
#define NEAR 24
#define HANG_MSEC 20000
/* A copy that has all is watched for as long, whether it writes. */
#define WATCH_MSEC 2

typedef ssize_t (*RecvFunc)(int fd, struct msghdr *message, int flags);

typedef enum {
    OUTCOME_FAILED,
    OUTCOME_COMPLETED,
    OUTCOME_WROTE,
    OUTCOME_HUNG,
} Outcome;

static const char *const outcomeNames[] = {"failed", "completed", "wrote", "hung"};

static struct {
    int fd; /* the stream's; 0: not yet known */
    size_t passed;
    char *bytes; /* what comes after those that passed */
    size_t total, given, limit, late;
    int isOver;
    int report;
} stream;

static const char *
setting(const char *name)
{
    const char *value = getenv(name);

    if (value)
        return value;
    (void)fprintf(stderr, "%s is not set\n", name);
    _exit(99);
}

/* --- the stream --------------------------------------------------------------------- */

static int
isStream(int fd)
{
    struct sockaddr_un address = {0};
    socklen_t size = sizeof(address) - 1;

    if (stream.fd != 0)
        return fd == stream.fd;
    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 ||
        address.sun_family != AF_UNIX ||
        strcmp(address.sun_path, setting("LEASEHOLD_TEST_STREAM")) != 0)
        return 0;
    stream.fd = fd;
    return 1;
}

static void
readAll(RecvFunc real)
{
    int tail;

    stream.bytes = malloc(MAX_BYTES);
    while (stream.bytes && stream.total < MAX_BYTES) {
        struct pollfd ready = {.fd = stream.fd, .events = POLLIN};
        struct iovec part = {stream.bytes + stream.total, MAX_BYTES - stream.total};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        ssize_t n;

        (void)poll(&ready, 1, HANG_MSEC);
        n = real(stream.fd, &message, 0);
        if (n <= 0)
            break;
        stream.total += (size_t)n;
    }
    stream.report =
        open(setting("LEASEHOLD_TEST_REPORT"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    stream.late = (size_t)atol(setting("LEASEHOLD_TEST_LATE"));
    tail = open(setting("LEASEHOLD_TEST_TAIL"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (stream.total < stream.late || stream.report < 0 ||
        write(tail, stream.bytes + stream.total - stream.late, stream.late) !=
            (ssize_t)stream.late) {
        (void)fprintf(stderr, "the stream is too short\n");
        _exit(99);
    }
    (void)close(tail);
    stream.limit = stream.total - stream.late;
}

static ssize_t
give(struct msghdr *message)
{
    size_t done = 0;

    for (size_t i = 0; i < message->msg_iovlen; i++) {
        size_t left = stream.limit - stream.given;
        size_t n = message->msg_iov[i].iov_len;

        if (n > left)
            n = left;
        memcpy(message->msg_iov[i].iov_base, stream.bytes + stream.given, n);
        stream.given += n;
        done += n;
    }
    return (ssize_t)done;
}

/* --- one copy ----------------------------------------------------------------------- */

static const struct timespec longAgo[2];

static int
isWritten(void)
{
    struct stat now;

    return stat(setting("LEASEHOLD_TEST_DISK"), &now) < 0 || now.st_mtim.tv_sec != 0 ||
           now.st_mtim.tv_nsec != 0;
}

static void
forgetWrites(void)
{
    (void)utimensat(AT_FDCWD, setting("LEASEHOLD_TEST_DISK"), longAgo, 0);
}

/* What the copy says, until it ends or is complete. */
static Outcome
hear(int fd)
{
    char said[4096];
    size_t used = 0;

    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        ssize_t n;

        if (poll(&ready, 1, HANG_MSEC) <= 0)
            return OUTCOME_HUNG;
        n = read(fd, said + used, sizeof(said) - 1 - used);
        if (n <= 0)
            return OUTCOME_FAILED;
        used += (size_t)n;
        said[used] = '\0';
        if (strstr(said, "new state completed"))
            return OUTCOME_COMPLETED;
    }
}

static Outcome
judge(pid_t pid, int fd)
{
    Outcome outcome = hear(fd);
    int status = 0;

    if (outcome == OUTCOME_COMPLETED)
        (void)poll(NULL, 0, WATCH_MSEC);
    if (outcome != OUTCOME_FAILED)
        (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
    if (outcome == OUTCOME_FAILED && (!WIFEXITED(status) || WEXITSTATUS(status) != 1))
        outcome = OUTCOME_HUNG;
    if (isWritten()) {
        forgetWrites();
        return OUTCOME_WROTE;
    }
    return outcome;
}

/* TRUE in the copy. The C library's fork would give it a thread id of its own, by which it could
 * not give back the locks that it took before. */
static int
tryLength(size_t missing, Outcome *outcome)
{
    int ends[2];
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0 || (pid = (pid_t)syscall(SYS_fork)) < 0)
        _exit(99);
    if (pid == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        (void)close(ends[1]);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        stream.limit = stream.total - missing;
        stream.isOver = 1;
        return 1;
    }
    (void)close(ends[1]);
    *outcome = judge(pid, ends[0]);
    (void)close(ends[0]);
    (void)dprintf(stream.report, "%zu %s\n", missing, outcomeNames[*outcome]);
    return 0;
}

/* Between two lengths that differ: the two neighbours that do, and more around them. TRUE in a
 * copy. */
static int
tryBetween(size_t low, size_t high, Outcome atLow)
{
    Outcome now;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (tryLength(middle, &now))
            return 1;
        if (now == atLow)
            low = middle;
        else
            high = middle;
    }
    for (size_t i = 1; i <= NEAR; i++)
        if ((low >= i && tryLength(low - i, &now)) ||
            (high + i <= stream.late && tryLength(high + i, &now)))
            return 1;
    return 0;
}

/* None that steps over the beginning of the last 64 KiB, or over the end. */
static size_t
nextStep(size_t missing, size_t each)
{
    size_t left = missing > LAST_BYTES ? missing - LAST_BYTES : missing;
    size_t step = missing > LAST_BYTES && each < FAR_STRIDE ? FAR_STRIDE : each;

    return step < left ? step : left;
}

/* TRUE in a copy. */
static int
tryAll(void)
{
    size_t each = (size_t)atol(setting("LEASEHOLD_TEST_STRIDE"));
    size_t missing = stream.late, step = 0;
    Outcome last = OUTCOME_FAILED, now;

    forgetWrites();
    for (;; missing -= step) {
        if (tryLength(missing, &now) ||
            (now != last && step > 1 && tryBetween(missing, missing + step, now)))
            return 1;
        last = now;
        if (missing == 0)
            break;
        step = nextStep(missing, each);
    }
    (void)dprintf(stream.report, "0 end\n");
    (void)close(stream.report);
    stream.limit = stream.total;
    stream.isOver = 1;
    return 0;
}

__attribute__((visibility("default"))) ssize_t
recvmsg(int fd, struct msghdr *message, int flags)
{
    RecvFunc real = (RecvFunc)dlsym(RTLD_NEXT, "recvmsg");
    ssize_t n;

    if (!isStream(fd))
        return real(fd, message, flags);
    if (!stream.bytes && stream.passed < PASS_BYTES) {
        n = real(fd, message, flags);
        stream.passed += n > 0 ? (size_t)n : 0;
        return n;
    }
    if (!stream.bytes)
        readAll(real);
    if (stream.given == stream.limit && !stream.isOver)
        (void)tryAll();
    return give(message);
}

/* QEMU has its guest's memory kept out of forked processes. */
__attribute__((visibility("default"))) int
madvise(void *address, size_t length, int advice)
{
    int (*real)(void *, size_t, int) =
        (int (*)(void *, size_t, int))dlsym(RTLD_NEXT, "madvise");

    return advice == MADV_DONTFORK ? 0 : real(address, length, advice);
}
