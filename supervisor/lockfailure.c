/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lockfailure.c: leasehold-lockfailure, which the lock daemon runs when it cannot keep a
 * guest's leases:
 *
 *   leasehold-lockfailure RUNTIME-DIRECTORY-OF-THE-GUEST [PID-OF-QEMU]
 *
 * It tells the guest's supervisor, which does what the guest's policy says. If that does not
 * answer within a second (it is dead, or hangs), QEMU is killed here and now: there is nobody
 * left to freeze it.
 *
 * It may run as root for a directory that belongs to an ordinary user. So nothing in that
 * directory may make it kill somebody else's process: the state file has to belong to the
 * directory's owner, and so has the process, unless the owner is root.
 */
#include "supervisor/cgroup.h"
#include "supervisor/watch.h"
#include "common/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#define ANSWER_USEC G_USEC_PER_SEC
#define DEATH_USEC (10 * G_USEC_PER_SEC)
#define STATE_MAX_BYTES (1024 * 1024)

/* The guest's runtime directory, opened once: what is read comes from the one that was
 * checked. */
typedef struct _LossTarget {
    const char *dir;
    char *uuid;
    int dirFd;
    uid_t owner;
    pid_t expectedPid; /* from the lock daemon; 0: it did not say */
} LossTarget;

static gboolean fail(const char *format, ...) G_GNUC_PRINTF(1, 2);

static gboolean
fail(const char *format, ...)
{
    va_list args;
    g_autofree char *text = NULL;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    syslog(LOG_ERR, "%s", text);
    return FALSE;
}

static gboolean
openTarget(LossTarget *target, int argc, char **argv)
{
    struct stat st;
    guint64 pid = 0;

    if (argc != 2 && argc != 3)
        return fail("usage: leasehold-lockfailure DIRECTORY [PID]");
    target->dir = argv[1];
    target->uuid = g_path_get_basename(target->dir);
    if (*target->dir != '/' || !g_uuid_string_is_valid(target->uuid))
        return fail("'%s' is not the runtime directory of a guest", target->dir);
    if (argc == 3 && !g_ascii_string_to_unsigned(argv[2], 10, 1, G_MAXINT, &pid, NULL))
        return fail("'%s' is not a process id", argv[2]);
    target->expectedPid = (pid_t)pid;
    target->dirFd = open(target->dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (target->dirFd < 0 || fstat(target->dirFd, &st) < 0)
        return fail("cannot open '%s': %s", target->dir, g_strerror(errno));
    target->owner = st.st_uid;
    return TRUE;
}

/* --- the supervisor ------------------------------------------------------------------------- */

static gboolean
tellSupervisor(const LossTarget *target)
{
    g_autofree char *path =
        g_build_filename(target->dir, VIR_SUPERVISOR_LOSS_SOCKET, NULL);
    gint64 deadline = g_get_monotonic_time() + ANSWER_USEC;
    g_autoptr(GError) error = NULL;
    g_auto(virFd) fd = virUnixConnect(path, SOCK_SEQPACKET | SOCK_NONBLOCK, &error);
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    char answer[8];
    gsize len = 0;
    int passed = -1;
    int rc;

    if (fd < 0)
        return fail("the supervisor is not there (%s)", error->message);
    do {
        rc = poll(&poller, 1, virPollTimeoutMsec(deadline));
    } while (rc < 0 && errno == EINTR);
    rc = rc > 0 ? virFdRecv(fd, answer, sizeof(answer), &len, &passed) : ETIMEDOUT;
    virFdClose(passed);
    if (rc == 0 && len == strlen(VIR_SUPERVISOR_LOSS_ANSWER) &&
        memcmp(answer, VIR_SUPERVISOR_LOSS_ANSWER, len) == 0)
        return TRUE;
    return fail("the supervisor does not answer (%s)", g_strerror(rc ? rc : EPROTO));
}

/* --- QEMU --------------------------------------------------------------------------------------- */

static char *
readState(const LossTarget *target)
{
    g_auto(virFd) fd = openat(target->dirFd, "state.json",
                              O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    g_autofree char *text = NULL;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        (void)fail("cannot open the state file of guest %s: %s", target->uuid,
                   g_strerror(errno));
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || st.st_uid != target->owner ||
        st.st_size > STATE_MAX_BYTES) {
        (void)fail("the state file of guest %s is not one of ours", target->uuid);
        return NULL;
    }
    text = g_malloc0((gsize)st.st_size + 1);
    if (virFdReadFull(fd, text, (gsize)st.st_size) == 0)
        return g_steal_pointer(&text);
    (void)fail("cannot read the state file of guest %s", target->uuid);
    return NULL;
}

/* The process that the state file names, if it is still the same one; -1 otherwise. */
static int
openQemu(const LossTarget *target, pid_t *pid)
{
    g_autofree char *text = readState(target);
    g_autoptr(JsonNode) root = text ? json_from_string(text, NULL) : NULL;
    JsonObject *object =
        root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
    gint64 number =
        object ? json_object_get_int_member_with_default(object, "pid", 0) : 0;
    gint64 start =
        object ? json_object_get_int_member_with_default(object, "pid_start", 0) : 0;
    int pidfd;

    if (!text)
        return -1;
    if (number <= 1 || number > G_MAXINT || start <= 0) {
        (void)fail("the state file of guest %s names no process", target->uuid);
        return -1;
    }
    if (target->expectedPid != 0 && target->expectedPid != number) {
        (void)fail("guest %s is process %d for its supervisor but %d for the lock daemon",
                   target->uuid, (int)number, (int)target->expectedPid);
        return -1;
    }
    *pid = (pid_t)number;
    pidfd = virPidfdOpenExact(*pid, (guint64)start);
    if (pidfd < 0)
        (void)fail("process %d of guest %s is gone", (int)*pid, target->uuid);
    return pidfd;
}

/* Read after the pidfd was opened for exactly this process. */
static gboolean
belongsToOwner(const LossTarget *target, pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d", (int)pid);
    struct stat st;

    if (target->owner == 0 || (stat(path, &st) == 0 && st.st_uid == target->owner))
        return TRUE;
    return fail("process %d does not belong to the owner of guest %s", (int)pid,
                target->uuid);
}

static gboolean
killQemu(const LossTarget *target)
{
    pid_t pid = 0;
    g_auto(virFd) pidfd = openQemu(target, &pid);
    g_autofree char *cgroup = NULL;
    int rc;

    if (pidfd < 0 || !belongsToOwner(target, pid))
        return FALSE;
    cgroup = virSupervisorCgroupFind(target->uuid, pid);
    rc = virPidfdSendSignal(pidfd, SIGKILL);
    if (cgroup)
        virSupervisorCgroupKill(cgroup);
    if (rc != 0 && rc != ESRCH)
        return fail("cannot kill process %d of guest %s: %s", (int)pid, target->uuid,
                    g_strerror(rc));
    if (!virPidfdWait(pidfd, g_get_monotonic_time() + DEATH_USEC))
        return fail("process %d of guest %s was killed but does not die", (int)pid,
                    target->uuid);
    syslog(LOG_WARNING, "killed process %d of guest %s: its leases were lost", (int)pid,
           target->uuid);
    return TRUE;
}

int
main(int argc, char **argv)
{
    LossTarget target = {.dirFd = -1};
    gboolean done;

    (void)signal(SIGPIPE, SIG_IGN);
    openlog("leasehold-lockfailure", LOG_PID | LOG_PERROR, LOG_DAEMON);
    done =
        openTarget(&target, argc, argv) && (tellSupervisor(&target) || killQemu(&target));
    virFdClose(target.dirFd);
    g_free(target.uuid);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
