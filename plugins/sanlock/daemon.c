/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * daemon.c: see daemon.h. The messages are those of sanlock's src/sanlock_sock.h, protocol 1,
 * unchanged from 2.x to 3.8.5.
 */
#include "plugins/sanlock/daemon.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/fd.h"
#include "plugins/sanlock/errors.h"
#include "plugins/sanlock/libsanlock.h"

#define SOCKET_TIMEOUT_SEC 3
#define DEFAULT_RUN_DIR "/run/sanlock"
/* libwdmd's, which takes no other; sanlock connects to it when it joins a lockspace, not before */
#define WDMD_SOCKET "/run/wdmd/wdmd.sock"

#define MESSAGE_MAGIC 0x04282010
#define MESSAGE_PROTO 1
#define COMMAND_STATUS 5
#define COMMAND_HOST_STATUS 15
#define STATE_DAEMON 1
#define STATE_LOCKSPACE 3
#define STATE_MAX_LEN 4096

typedef struct {
    guint32 magic;
    guint32 version;
    guint32 command;
    guint32 flags;
    guint32 length;
    guint32 seq;
    guint32 data;
    guint32 data2;
} virSanlockMessage;

typedef struct {
    guint32 type;
    guint32 flags;
    guint32 data32;
    guint64 data64;
    char name[SANLK_NAME_LEN];
    guint32 len;
} virSanlockStateMessage;

G_STATIC_ASSERT(sizeof(virSanlockStateMessage) == 80);

char *
virSanlockDaemonSocketPath(void)
{
    const char *dir = g_getenv("SANLOCK_RUN_DIR");

    return g_build_filename(dir ? dir : DEFAULT_RUN_DIR, "sanlock.sock", NULL);
}

void
virSanlockDaemonErrorSet(GError **error, int rv, const char *format, ...)
{
    g_autofree char *path = virSanlockDaemonSocketPath();
    g_autofree char *prefix = NULL;
    va_list args;

    va_start(args, format);
    prefix = g_strdup_vprintf(format, args);
    va_end(args);
    if (rv == -ECONNREFUSED || (rv == -ENOENT && access(path, F_OK) != 0))
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
            "%s: the sanlock daemon is not running (no answer at %s; sanlock %d); "
            "start sanlock.service, or check run_dir",
            prefix, path, rv);
    else if (rv == -EACCES)
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
            "%s: no permission to talk to sanlock at %s (sanlock %d); add this user to "
            "the group of that socket",
            prefix, path, rv);
    else
        virSanlockErrorSet(error, rv, "%s", prefix);
}

/* Connected, with a time limit on each read and write; -1 with error. */
static int
virSanlockDaemonConnect(GError **error)
{
    g_autofree char *path = virSanlockDaemonSocketPath();
    struct timeval limit = {.tv_sec = SOCKET_TIMEOUT_SEC};
    struct sockaddr_un addr;
    g_auto(virFd) fd = -1;

    if (!virUnixAddress(path, &addr, error))
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "cannot make a socket: %s", g_strerror(errno));
        return -1;
    }
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        virSanlockDaemonErrorSet(error, -errno, "cannot reach sanlock");
        return -1;
    }
    return g_steal_fd(&fd);
}

static gboolean
virSanlockDaemonPeer(int fd, virSanlockDaemonId *id, GError **error)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    virProcessStat stat;
    int rc;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                    "cannot tell who listens on sanlock's socket: %s", g_strerror(errno));
        return FALSE;
    }
    rc = peer.pid > 0 ? virProcessReadStat(peer.pid, &stat) : ESRCH;
    if (rc != 0) {
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
            "the sanlock daemon (pid %d) is not a process that is visible here: %s",
            (int)peer.pid, g_strerror(rc));
        return FALSE;
    }
    id->pid = peer.pid;
    id->startTime = stat.startTime;
    id->uid = peer.uid;
    id->gid = peer.gid;
    return TRUE;
}

gboolean
virSanlockDaemonIdentify(virSanlockDaemonId *id, GError **error)
{
    g_auto(virFd) fd = virSanlockDaemonConnect(error);

    return fd >= 0 && virSanlockDaemonPeer(fd, id, error);
}

/* The pid may be another process's by the time it is opened; so the daemon is asked again
 * afterwards: if the same pid with the same start time still listens, the pidfd is its. */
int
virSanlockDaemonOpen(GError **error)
{
    virSanlockDaemonId before, after;
    g_auto(virFd) pidfd = -1;

    if (!virSanlockDaemonIdentify(&before, error))
        return -1;
    pidfd = virPidfdOpenExact(before.pid, before.startTime);
    if (pidfd < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "cannot watch the sanlock daemon (pid %d): %s", (int)before.pid,
                    g_strerror(errno));
        return -1;
    }
    if (!virSanlockDaemonIdentify(&after, error))
        return -1;
    if (after.pid != before.pid || after.startTime != before.startTime) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "the sanlock daemon was restarted just now; try again");
        return -1;
    }
    return g_steal_fd(&pidfd);
}

/* --- status ---------------------------------------------------------------------------------- */

char *
virSanlockDaemonWord(const char *words, const char *key)
{
    g_auto(GStrv) list = g_strsplit(words, " ", -1);
    gsize len = strlen(key);

    for (char **word = list; *word; word++)
        if (strncmp(*word, key, len) == 0 && (*word)[len] == '=')
            return g_strdup(*word + len + 1);
    return NULL;
}

static gint64
wordNumber(const char *words, const char *key)
{
    g_autofree char *word = virSanlockDaemonWord(words, key);

    return word ? g_ascii_strtoll(word, NULL, 10) : 0;
}

static gboolean
virSanlockDaemonSetProtocol(GError **error)
{
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "the sanlock daemon does not answer, or not in a way that is understood");
    return FALSE;
}

/* Sends the command and reads the head of the answer. */
static gboolean
virSanlockDaemonAsk(int fd, guint32 command, guint32 what,
                    const struct sanlk_lockspace *lockspace, GError **error)
{
    virSanlockMessage message = {
        .magic = MESSAGE_MAGIC,
        .version = MESSAGE_PROTO,
        .command = command,
        .length = sizeof(message) + (lockspace ? sizeof(*lockspace) : 0),
        .data = what,
    };

    if (virFdWriteFull(fd, &message, sizeof(message)) != 0 ||
        (lockspace && virFdWriteFull(fd, lockspace, sizeof(*lockspace)) != 0) ||
        virFdReadFull(fd, &message, sizeof(message)) != 0 ||
        message.magic != MESSAGE_MAGIC)
        return virSanlockDaemonSetProtocol(error);
    if ((gint32)message.data < 0) {
        virSanlockErrorSet(error, (gint32)message.data, "asking sanlock for its state");
        return FALSE;
    }
    return TRUE;
}

/* One "key=value ..." answer; NULL at the end of the list or if it makes no sense. */
static char *
virSanlockDaemonNext(int fd, virSanlockStateMessage *state)
{
    g_autofree char *words = NULL;

    if (virFdReadFull(fd, state, sizeof(*state)) != 0 || state->len == 0 ||
        state->len > STATE_MAX_LEN)
        return NULL;
    words = g_malloc0(state->len + 1);
    if (virFdReadFull(fd, words, state->len) != 0)
        return NULL;
    return g_steal_pointer(&words);
}

gboolean
virSanlockDaemonWdmdListens(void)
{
    struct sockaddr_un addr;
    g_auto(virFd) fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd < 0 || !virUnixAddress(WDMD_SOCKET, &addr, NULL) ||
           connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 || errno == EACCES;
}

gboolean
virSanlockDaemonReadState(virSanlockDaemonState *state, GError **error)
{
    g_auto(virFd) fd = virSanlockDaemonConnect(error);
    g_autofree char *words = NULL;
    g_autofree char *hostName = NULL;
    g_autofree char *version = NULL;
    virSanlockStateMessage message;

    if (fd < 0 || !virSanlockDaemonAsk(fd, COMMAND_STATUS, STATE_DAEMON, NULL, error))
        return FALSE;
    words = virSanlockDaemonNext(fd, &message);
    if (!words || message.type != STATE_DAEMON)
        return virSanlockDaemonSetProtocol(error);

    hostName = virSanlockDaemonWord(words, "our_host_name");
    version = virSanlockDaemonWord(words, "version_num");
    g_strlcpy(state->hostName, hostName ? hostName : "", sizeof(state->hostName));
    g_strlcpy(state->version, version ? version : "?", sizeof(state->version));
    state->useWatchdog = wordNumber(words, "use_watchdog") != 0;
    state->monotimeSec = wordNumber(words, "monotime");
    state->maxWorkerThreads = wordNumber(words, "max_worker_threads");
    return TRUE;
}

/* What the daemon says of our lockspace, in its list of itself, clients and lockspaces. Free:
 * g_free; NULL if it is not there. */
static char *
virSanlockDaemonScanLockspace(int fd, const char *lockspace, guint hostId,
                              struct sanlk_lockspace *found)
{
    virSanlockStateMessage message;
    char *next;

    while ((next = virSanlockDaemonNext(fd, &message))) {
        g_autofree char *words = next;

        if (message.type != STATE_LOCKSPACE)
            continue;
        if (virFdReadFull(fd, found, sizeof(*found)) != 0)
            return NULL;
        if (found->host_id == hostId &&
            strncmp(found->name, lockspace, sizeof(found->name)) == 0)
            return g_steal_pointer(&words);
    }
    return NULL;
}

/* FALSE only if the daemon cannot be asked; *words may be NULL. */
static gboolean
virSanlockDaemonReadLockspace(const char *lockspace, guint hostId, char **words,
                              struct sanlk_lockspace *found, GError **error)
{
    g_auto(virFd) fd = virSanlockDaemonConnect(error);

    if (fd < 0 || !virSanlockDaemonAsk(fd, COMMAND_STATUS, STATE_LOCKSPACE, NULL, error))
        return FALSE;
    *words = virSanlockDaemonScanLockspace(fd, lockspace, hostId, found);
    return TRUE;
}

/* Whether two paths lead to the same file or device. */
static gboolean
virSanlockDaemonIsSame(const char *one, const char *other)
{
    struct stat a, b;

    if (g_str_equal(one, other))
        return TRUE;
    if (stat(one, &a) < 0 || stat(other, &b) < 0 || S_ISBLK(a.st_mode) != S_ISBLK(b.st_mode))
        return FALSE;
    return S_ISBLK(a.st_mode) ? a.st_rdev == b.st_rdev
                              : a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

gboolean
virSanlockDaemonCheckStore(const char *lockspace, guint hostId, const char *store,
                           guint64 *generation, GError **error)
{
    g_autofree char *words = NULL;
    g_autofree char *path = NULL;
    struct sanlk_lockspace found;

    *generation = 0;
    /* whoever goes on to use the lockspace asks the daemon again, and hears why */
    if (!virSanlockDaemonReadLockspace(lockspace, hostId, &words, &found, NULL) || !words)
        return TRUE;
    if (wordNumber(words, "acquire_last_success") != 0)
        *generation = wordNumber(words, "host_generation");
    path = g_strndup(found.host_id_disk.path, sizeof(found.host_id_disk.path));
    if (virSanlockDaemonIsSame(path, store))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "this host is in lockspace '%s' of store %s, but store %s is configured: "
                "leases in one mean nothing in the other. Set [sanlock] store to the one "
                "that all hosts use; to change it, 'leasehold host leave' first",
                lockspace, path, store);
    return FALSE;
}

gboolean
virSanlockDaemonReadMember(const char *lockspace, guint hostId, virSanlockMember *member,
                           GError **error)
{
    g_autofree char *words = NULL;
    g_autofree char *list = NULL;
    struct sanlk_lockspace found;

    if (!virSanlockDaemonReadLockspace(lockspace, hostId, &words, &found, error))
        return FALSE;
    *member = VIR_SANLOCK_MEMBER_NOT;
    if (!words)
        return TRUE;
    list = virSanlockDaemonWord(words, "list");
    if (g_strcmp0(list, "spaces") == 0 && wordNumber(words, "space_dead") == 0 &&
        wordNumber(words, "killing_pids") == 0)
        *member = VIR_SANLOCK_MEMBER_JOINED;
    else
        *member = VIR_SANLOCK_MEMBER_CHANGING;
    return TRUE;
}

static gboolean
virSanlockDaemonSetNotJoined(const char *lockspace, guint hostId, GError **error)
{
    if (hostId == 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "no host id is configured: set [sanlock] host_id, a number that no "
                    "other host has");
        return FALSE;
    }
    g_set_error(
        error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_NOT_JOINED,
        "this host is not in lockspace '%s' as host id %u; run 'leasehold host join'",
        lockspace, hostId);
    return FALSE;
}

gboolean
virSanlockDaemonReadSelf(const char *lockspace, guint hostId, virSanlockSelf *self,
                         GError **error)
{
    g_autofree char *words = NULL;
    struct sanlk_lockspace found;

    /* not sanlock_get_hosts: what it says of this host was read from storage before the
     * latest renewal was written, so it is one renewal older than the truth. With io_timeout
     * 1 that was 6 s of the 8 after which a guest must be stopped, on a healthy host */
    if (!virSanlockDaemonReadLockspace(lockspace, hostId, &words, &found, error))
        return FALSE;
    if (!words || wordNumber(words, "acquire_last_success") == 0)
        return virSanlockDaemonSetNotJoined(lockspace, hostId, error);
    self->generation = wordNumber(words, "host_generation");
    self->ioTimeoutSec = wordNumber(words, "io_timeout");
    self->lastSec = MAX(wordNumber(words, "renewal_last_success"),
                        wordNumber(words, "acquire_last_success"));
    return TRUE;
}

GArray *
virSanlockDaemonReadSeen(const char *lockspace, GError **error)
{
    g_auto(virFd) fd = virSanlockDaemonConnect(error);
    g_autoptr(GArray) result = g_array_new(FALSE, TRUE, sizeof(virSanlockSeen));
    struct sanlk_lockspace ask = {0};
    virSanlockStateMessage message;
    char *words;

    memcpy(ask.name, lockspace, MIN(strlen(lockspace), sizeof(ask.name) - 1));
    if (fd < 0 || !virSanlockDaemonAsk(fd, COMMAND_HOST_STATUS, 0, &ask, error))
        return NULL;
    /* the daemon ends the list by closing the connection */
    while ((words = virSanlockDaemonNext(fd, &message))) {
        virSanlockSeen seen = {
            .hostId = message.data32,
            .generation = wordNumber(words, "owner_generation"),
            .lastLiveSec = wordNumber(words, "last_live"),
            .lastCheckSec = wordNumber(words, "last_check"),
            .ioTimeoutSec = wordNumber(words, "io_timeout"),
        };

        g_array_append_val(result, seen);
        g_free(words);
    }
    return g_steal_pointer(&result);
}
