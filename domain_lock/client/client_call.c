/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client_call.c: calls over the control socket of a guest.
 */
#include "client.h"
#include "common/fd.h"
#include "domain_lock/codec.h"
#include "domain_lock/freed.h"
#include "domain_lock/save/archive.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALL_CONNECT_SEC 5
#define CALL_MSEC 30000
/* Longer than the supervisor takes to give up a Destroy, so that its words arrive. */
#define CALL_DESTROY_MSEC 40000
#define CALL_INFO_MSEC 5000
#define CALL_POLL_USEC 10000
#define CALL_FREE_USEC (30 * G_USEC_PER_SEC)

/* --- connecting --------------------------------------------------------------------- */

static void
virCallSetNotConnected(virDomainLock *dom, const GError *why, GError **error)
{
    g_autoptr(virDomainLockInfo) info = virDomainLockReadInfo(dom->config, dom->uuid);

    if (info && info->state == VIR_DOMAIN_LOCK_STATE_UNSUPERVISED)
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
            "guest '%s' is unsupervised: QEMU (pid %" G_GINT64_FORMAT
            ") runs under its leases, but its supervisor is gone; 'leasehold attach %s' "
            "takes it up, 'leasehold destroy %s' ends it",
            dom->name, info->pid, dom->name, dom->name);
    else if (info && info->supervisorPid != 0)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "the supervisor (pid %" G_GINT64_FORMAT
                    ") of guest '%s' does not answer: "
                    "%s",
                    info->supervisorPid, dom->name, why->message);
    else
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "guest '%s' does not run on this host", dom->name);
}

static void
virCallSetSilent(virDomainLock *dom, const GError *why, GError **error)
{
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "the supervisor of guest '%s' does not answer: %s", dom->name,
                why->message);
}

/* One line, and no byte of what follows it: that is D-Bus. FALSE: the deadline or the end. */
static gboolean
virCallReadLine(int fd, gint64 deadlineUsec, GString *line)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    char bytes[256];

    while (line->len < sizeof(bytes)) {
        int ready = poll(&readable, 1, virPollTimeoutMsec(deadlineUsec));
        ssize_t n = ready > 0 ? recv(fd, bytes, sizeof(bytes), MSG_PEEK) : -1;
        const char *end = n > 0 ? memchr(bytes, '\n', (size_t)n) : NULL;

        if (n > 0)
            n = recv(fd, bytes, end ? (size_t)(end - bytes) + 1 : (size_t)n, 0);
        if (n > 0)
            g_string_append_len(line, bytes, n);
        if (n > 0 && end)
            return TRUE;
        if (ready == 0 || n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
            return FALSE;
    }
    return FALSE;
}

/* The handshake of D-Bus in one go, within a deadline: GDBus would wait as long as the
 * supervisor likes, and a supervisor that is stopped must not stop us too. */
static gboolean
virCallGreet(int fd, GError **error)
{
    g_autofree char *uid = g_strdup_printf("%u", (guint)geteuid());
    g_autoptr(GString) hello = g_string_new(NULL);
    g_autoptr(GString) answer = g_string_new(NULL);
    gint64 deadline = g_get_monotonic_time() + CALL_CONNECT_SEC * G_USEC_PER_SEC;

    g_string_append_len(hello, "\0AUTH EXTERNAL ", 15);
    for (const char *c = uid; *c; c++)
        g_string_append_printf(hello, "%02x", (guint)*c);
    g_string_append(hello, "\r\nBEGIN\r\n");
    if (send(fd, hello->str, hello->len, MSG_NOSIGNAL) == (ssize_t)hello->len &&
        virCallReadLine(fd, deadline, answer) && g_str_has_prefix(answer->str, "OK "))
        return TRUE;
    g_strstrip(answer->str);
    g_set_error_literal(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                        g_str_has_prefix(answer->str, "ERROR ") ? answer->str + 6
                                                                : "no handshake");
    return FALSE;
}

/* A supervisor that hangs lets its queue of connections run full: no waiting for that. */
static int
virCallConnect(virDomainLock *dom, GError **error)
{
    g_autofree char *dir = virDomainLockDir(dom);
    g_autofree char *path = g_build_filename(dir, "control", NULL);

    return virUnixConnect(path, SOCK_STREAM | SOCK_NONBLOCK, error);
}

static int
virCallOpenOn(virDomainLock *dom, int connected, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_auto(virFd) fd = connected;

    if (virCallGreet(fd, &why))
        return g_steal_fd(&fd);
    virCallSetSilent(dom, why, error);
    return -1;
}

int
virDomainLockOpen(virDomainLock *dom, GError **error)
{
    g_autofree char *dir = virDomainLockDir(dom);
    gint64 until = g_get_monotonic_time() + CALL_CONNECT_SEC * G_USEC_PER_SEC;
    g_autoptr(GError) why = NULL;
    int fd = virCallConnect(dom, &why);

    while (fd < 0 && virDomainLockChangesHands(dir) && g_get_monotonic_time() < until) {
        g_clear_error(&why);
        g_usleep(CALL_POLL_USEC);
        fd = virCallConnect(dom, &why);
    }
    if (fd >= 0)
        return virCallOpenOn(dom, fd, error);
    virCallSetNotConnected(dom, why, error);
    return -1;
}

/* A dead supervisor listens until the last of its threads has ended. */
static gboolean
virCallListenerLives(int fd)
{
    struct ucred peer = {0};
    socklen_t len = sizeof(peer);
    virProcessStat st;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid > 0 &&
           virProcessReadStat(peer.pid, &st) == 0 && st.state != 'Z' && st.state != 'X';
}

/* Whoever lives and listens is the supervisor: that is seen sooner than in the guest's state. */
int
virDomainLockOpenAttached(virDomainLock *dom, GError **error)
{
    g_auto(virFd) fd = virCallConnect(dom, NULL);

    if (fd >= 0 && virCallListenerLives(fd))
        return virCallOpenOn(dom, g_steal_fd(&fd), error);
    return virDomainLockAttachIfOrphan(dom, error) ? virDomainLockOpen(dom, error) : -1;
}

GDBusConnection *
virDomainLockConnect(virDomainLock *dom, GError **error)
{
    g_autoptr(GSocket) socket = NULL;
    g_autoptr(GSocketConnection) stream = NULL;
    g_autoptr(GError) why = NULL;
    GDBusConnection *connection = NULL;
    g_auto(virFd) fd = virDomainLockOpen(dom, error);

    if (fd < 0)
        return NULL;
    socket = g_socket_new_from_fd(fd, &why);
    if (socket) {
        (void)g_steal_fd(&fd);
        stream = g_socket_connection_factory_create_connection(socket);
        connection =
            g_dbus_connection_new_sync(G_IO_STREAM(stream), NULL,
                                       G_DBUS_CONNECTION_FLAGS_NONE, NULL, NULL, &why);
    }
    if (!connection)
        virCallSetSilent(dom, why, error);
    return connection;
}

GVariant *
virDomainLockCallReply(virDomainLock *dom, const char *interface, const char *method,
                       GVariant *parameters, gint timeoutMsec, GError **error)
{
    g_autoptr(GVariant) arguments = parameters ? g_variant_ref_sink(parameters) : NULL;
    g_auto(virFd) fd = virDomainLockOpen(dom, error);

    return fd >= 0 ? virDomainLockCallOn(fd, interface, method, arguments, timeoutMsec,
                                         error)
                   : NULL;
}

gboolean
virDomainLockCall(virDomainLock *dom, const char *method, GVariant *parameters,
                  gint timeoutMsec, GError **error)
{
    g_autoptr(GVariant) arguments = parameters ? g_variant_ref_sink(parameters) : NULL;
    g_autoptr(GVariant) reply = NULL;
    g_auto(virFd) fd = virDomainLockOpenAttached(dom, error);

    if (fd >= 0)
        reply = virDomainLockCallOn(fd, "io.leasehold.Guest1", method, arguments,
                                    timeoutMsec, error);
    return reply != NULL;
}

virDomainLockInfo *
virDomainLockCallInfo(virDomainLock *dom, GError **error)
{
    g_autoptr(GVariant) reply = virDomainLockCallReply(
        dom, "org.freedesktop.DBus.Properties", "GetAll",
        g_variant_new("(s)", "io.leasehold.Guest1"), CALL_INFO_MSEC, error);
    g_autoptr(GVariant) properties = NULL;

    if (!reply)
        return NULL;
    properties = g_variant_get_child_value(reply, 0);
    return virDomainLockInfoFromVariant(properties);
}

/* --- the public calls --------------------------------------------------------------- */

virDomainLockInfo *
virDomainLockGetInfo(virDomainLock *dom, GError **error)
{
    g_autoptr(virDomainLockInfo) known = virDomainLockReadInfo(dom->config, dom->uuid);
    g_autoptr(GError) why = NULL;
    virDomainLockInfo *asked = NULL;

    if (known && known->supervisorPid != 0 && (asked = virDomainLockCallInfo(dom, &why)))
        return asked;
    /* it may just have ended */
    virDomainLockInfoFree(known);
    known = virDomainLockPeekInfo(dom, error);
    if (known && why &&
        g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE) &&
        !known->message)
        known->message = g_strdup(why->message);
    return g_steal_pointer(&known);
}

static gboolean
virCallHasEnded(virDomainLock *dom)
{
    g_autoptr(virDomainLockInfo) info = virDomainLockPeekInfo(dom, NULL);

    return info && info->state == VIR_DOMAIN_LOCK_STATE_SHUTOFF;
}

/* The request is in the guest's state, so a new supervisor knows it. */
static gboolean
virCallJoinShutdown(virDomainLock *dom, GError **error)
{
    const guint flags = VIR_DOMAIN_LOCK_SHUTDOWN_JOIN | VIR_DOMAIN_LOCK_SHUTDOWN_BLOCK;
    gint64 until = g_get_monotonic_time() + CALL_CONNECT_SEC * G_USEC_PER_SEC;
    g_autoptr(GError) why = NULL;

    /* one that was killed refuses connections a moment before it counts as dead */
    do {
        g_clear_error(&why);
        if (virDomainLockCall(dom, "Shutdown", g_variant_new("(uu)", 0, flags), G_MAXINT,
                              &why) ||
            virCallHasEnded(dom))
            return TRUE;
        g_usleep(CALL_POLL_USEC);
    } while (g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE) &&
             g_get_monotonic_time() < until);
    g_propagate_prefixed_error(error, g_steal_pointer(&why),
                               "its supervisor died meanwhile: ");
    return FALSE;
}

gboolean
virDomainLockShutdownFlags(virDomainLock *dom, guint timeoutSec, guint flags,
                           GError **error)
{
    gint patience = flags & VIR_DOMAIN_LOCK_SHUTDOWN_BLOCK ? G_MAXINT : CALL_MSEC;
    g_autoptr(GError) why = NULL;
    gboolean ok = virDomainLockCall(
        dom, "Shutdown", g_variant_new("(uu)", timeoutSec, flags), patience, &why);

    while (!ok && (flags & VIR_DOMAIN_LOCK_SHUTDOWN_BLOCK) &&
           g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE)) {
        g_clear_error(&why);
        ok = virCallJoinShutdown(dom, &why);
    }
    if (!ok)
        g_propagate_error(error, g_steal_pointer(&why));
    return ok;
}

gboolean
virDomainLockShutdownAbort(virDomainLock *dom, GError **error)
{
    return virDomainLockCall(dom, "ShutdownAbort", NULL, CALL_MSEC, error);
}

gboolean
virDomainLockReboot(virDomainLock *dom, guint flags, GError **error)
{
    return virDomainLockCall(dom, "Reboot", g_variant_new("(u)", flags), CALL_MSEC,
                             error);
}

gboolean
virDomainLockSuspend(virDomainLock *dom, GError **error)
{
    return virDomainLockCall(dom, "Suspend", NULL, CALL_MSEC, error);
}

gboolean
virDomainLockResume(virDomainLock *dom, GError **error)
{
    return virDomainLockCall(dom, "Resume", NULL, CALL_MSEC, error);
}

gboolean
virDomainLockReset(virDomainLock *dom, GError **error)
{
    return virDomainLockCall(dom, "Reset", NULL, CALL_MSEC, error);
}

/* --- destroy, with or without a supervisor ----------------------------------------------- */

static void
virCallRecordEnd(virDomainLock *dom, virDomainLockStatus *status, const char *message)
{
    const char *stateDir = virLockConfigGet(dom->config, "host", "state_dir");
    virDomainLockInfo *info = status->info;
    g_autoptr(virDomainLockEvent) event = virDomainLockEventNew(
        dom->name, dom->uuid, "STOPPED", "destroyed", "it had no supervisor");
    g_autofree char *xml = virDomainLockReadDescription(dom);
    g_autoptr(GError) why = NULL;

    info->state = VIR_DOMAIN_LOCK_STATE_SHUTOFF;
    info->reason = VIR_DOMAIN_LOCK_REASON_DESTROYED;
    info->endedUsec = g_get_real_time();
    info->pid = 0;
    info->supervisorPid = 0;
    info->waitStatus = -1;
    g_free(info->message);
    info->message = g_strdup(message);
    g_ptr_array_set_size(info->leases, 0);
    if (!virArchiveSaveInfo(stateDir, info, &why) ||
        (xml && !virArchiveSaveDescription(stateDir, dom->uuid, xml, &why)) ||
        !virArchiveAddEvent(stateDir, event, &why))
        g_debug("the end of guest '%s' is not recorded: %s", dom->name, why->message);
}

/* QEMU would write its caches to a disk that may be another host's by now. */
static gboolean
virCallMayFlush(virDomainLock *dom, const virDomainLockStatus *status, guint flags,
                GError **error)
{
    if (!(flags & VIR_DOMAIN_LOCK_DESTROY_GRACEFUL) || !status->leaseLost)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "guest '%s' lost its leases: to end it gracefully would write to a disk "
                "that may be another host's by now; destroy it without --graceful",
                dom->name);
    return FALSE;
}

/* Kills QEMU itself and sees it dead. */
static gboolean
virCallKillQemu(virDomainLock *dom, const virDomainLockStatus *status, guint flags,
                GError **error)
{
    int signum = flags & VIR_DOMAIN_LOCK_DESTROY_GRACEFUL ? SIGTERM : SIGKILL;
    g_auto(virFd) pidfd =
        virPidfdOpenExact((pid_t)status->qemu.pid, status->qemu.startTime);
    int err = pidfd >= 0 ? virPidfdSendSignal(pidfd, signum) : ESRCH;

    if (err != 0 && err != ESRCH) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "QEMU (pid %" G_GINT64_FORMAT ") of guest '%s' cannot be killed: %s",
                    status->qemu.pid, dom->name, g_strerror(err));
        return FALSE;
    }
    if (pidfd < 0 || virPidfdWait(pidfd, g_get_monotonic_time() + CALL_MSEC * 1000LL))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                "QEMU (pid %" G_GINT64_FORMAT
                ") of guest '%s' has not ended yet; its leases "
                "stay held until it has",
                status->qemu.pid, dom->name);
    return FALSE;
}

/* Its leases end when the kernel has closed QEMU's files, for the other hosts when the lock
 * daemon has freed them in the store. */
static gboolean
virCallSeeFree(virDomainLock *dom, const virDomainLockStatus *status, GError **error)
{
    return virFreedAwait(dom->config, status, g_get_monotonic_time() + CALL_FREE_USEC, error);
}

/* The folder is held while QEMU is killed, so that nobody starts or attaches in between. */
static gboolean
virCallDestroyOrphan(virDomainLock *dom, guint flags, GError **error)
{
    const char *runDir = virLockConfigGet(dom->config, "host", "run_dir");
    g_autoptr(virDomainLockRuntime) runtime =
        virDomainLockRuntimeAdopt(runDir, dom->uuid, error);
    g_autoptr(virDomainLockStatus) status = NULL;
    g_autoptr(GError) why = NULL;
    gboolean ok;

    if (!runtime)
        return FALSE;
    status = virDomainLockStatusLoad(virDomainLockRuntimeGetPath(runtime), error);
    if (!status || !virCallMayFlush(dom, status, flags, error) ||
        !virCallKillQemu(dom, status, flags, error))
        return FALSE;
    ok = virCallSeeFree(dom, status, &why);
    virCallRecordEnd(dom, status, ok ? NULL : why->message);
    ok = virDomainLockRuntimeRemove(runtime, ok ? error : NULL) && ok;
    if (why)
        g_propagate_error(error, g_steal_pointer(&why));
    return ok;
}

/* A supervisor that hangs or is stopped must not keep a guest alive: QEMU is ended over its
 * head, and it records that when it comes to. */
static gboolean
virCallDestroyOverHead(virDomainLock *dom, guint flags, GError **error)
{
    g_autofree char *dir = virDomainLockDir(dom);
    g_autoptr(virDomainLockStatus) status = virDomainLockStatusLoad(dir, error);

    return status && virCallMayFlush(dom, status, flags, error) &&
           virCallKillQemu(dom, status, flags, error) &&
           virCallSeeFree(dom, status, error);
}

gboolean
virDomainLockDestroyFlags(virDomainLock *dom, guint flags, GError **error)
{
    g_autoptr(virDomainLockInfo) info = virDomainLockReadInfo(dom->config, dom->uuid);
    g_autoptr(GError) why = NULL;

    if (info && info->state == VIR_DOMAIN_LOCK_STATE_UNSUPERVISED)
        return virCallDestroyOrphan(dom, flags, error);
    if (virDomainLockCall(dom, "Destroy", g_variant_new("(u)", flags), CALL_DESTROY_MSEC,
                          &why))
        return TRUE;
    if (info && info->pid > 0 &&
        (g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE) ||
         g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE)))
        return virCallDestroyOverHead(dom, flags, error);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}
