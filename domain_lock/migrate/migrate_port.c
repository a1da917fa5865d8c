/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate_port.c: the sockets of a migration that QEMU has made itself, by a copy of QEMU's
 * descriptor (pidfd_getfd): what is done to a socket is done to it for everybody.
 *
 * Guarded: QEMU (7.2) shakes hands with whoever connects in its main loop, on a socket that
 * blocks, so somebody who connects and says nothing stops everything in it, the monitor too.
 * Accepted sockets inherit the time that a read may take from the one that listens: with a short
 * one QEMU finds "nothing yet" and waits for more in its main loop, as it is meant to. Not too
 * short for several connections: this QEMU takes the first that has shaken hands for the main
 * one (before 8.0), and only one after the other do they finish in the order that they came in.
 *
 * Closed: QEMU goes on listening until it has read the whole stream, ignores who comes late, and
 * has no command that ends it. The socket is disconnected, which ends the listening. In that
 * state it would say "hang-up" to every poll, and QEMU's main loop would turn until the stream
 * ends; hence it is connected to itself (a simultaneous open, RFC 9293 3.5), and silent then.
 *
 * Cut: a connection to where the destination listens, found by exactly that address.
 */
#include "common/fd.h"
#include "migrate_tls.h"
#include <dirent.h>
#include <errno.h>
#include <gio/gio.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PORT_READ_USEC 10000
#define PORT_READ_IN_ORDER_USEC 990000

typedef union {
    struct sockaddr any;
    struct sockaddr_in ip4;
    struct sockaddr_in6 ip6;
} virPortAddress;

static guint16
virPortOf(const virPortAddress *address)
{
    return ntohs(address->any.sa_family == AF_INET6 ? address->ip6.sin6_port
                                                    : address->ip4.sin_port);
}

/* Whether a socket is the one that is looked for. */
typedef gboolean (*virPortMatch)(int fd, const virPortAddress *wanted);

static gboolean
virPortIsListening(int fd, const virPortAddress *wanted)
{
    virPortAddress address = {.any.sa_family = AF_UNSPEC};
    socklen_t len = sizeof(address);
    socklen_t intLen = sizeof(int);
    int listening = 0;

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &intLen) == 0 &&
           listening && getsockname(fd, &address.any, &len) == 0 &&
           (address.any.sa_family == AF_INET || address.any.sa_family == AF_INET6) &&
           virPortOf(&address) == virPortOf(wanted);
}

static gboolean
virPortIsConnected(int fd, const virPortAddress *wanted)
{
    virPortAddress peer = {.any.sa_family = AF_UNSPEC};
    socklen_t len = sizeof(peer);

    if (getpeername(fd, &peer.any, &len) < 0 ||
        peer.any.sa_family != wanted->any.sa_family ||
        virPortOf(&peer) != virPortOf(wanted))
        return FALSE;
    return peer.any.sa_family == AF_INET6
               ? IN6_ARE_ADDR_EQUAL(&peer.ip6.sin6_addr, &wanted->ip6.sin6_addr)
               : peer.ip4.sin_addr.s_addr == wanted->ip4.sin_addr.s_addr;
}

/* A copy of the first descriptor that matches; -1 with *@rc set. */
static int
virPortFind(pid_t pid, virPortMatch match, const virPortAddress *wanted, int *rc)
{
    g_autofree char *folder = g_strdup_printf("/proc/%d/fd", (int)pid);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    g_auto(virFd) pidfd = virPidfdOpen(pid);
    const char *name;

    *rc = dir && pidfd >= 0 ? ENOENT : ESRCH;
    while (*rc == ENOENT && (name = g_dir_read_name(dir))) {
        g_auto(virFd) fd = virPidfdGetFd(pidfd, atoi(name));

        if (fd >= 0 && match(fd, wanted)) {
            *rc = 0;
            return g_steal_fd(&fd);
        }
        /* EBADF: closed in the meantime */
        if (fd < 0 && errno != EBADF)
            *rc = errno;
    }
    return -1;
}

static int
virPortSilence(int fd)
{
    const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    virPortAddress address;
    socklen_t len = sizeof(address);

    if (getsockname(fd, &address.any, &len) < 0 ||
        connect(fd, &nowhere, sizeof(nowhere)) < 0)
        return errno;
    if (address.any.sa_family == AF_INET6)
        address.ip6.sin6_port = 0;
    else
        address.ip4.sin_port = 0;
    if (bind(fd, &address.any, len) < 0 || getsockname(fd, &address.any, &len) < 0 ||
        (connect(fd, &address.any, len) < 0 && errno != EINPROGRESS))
        return errno;
    return 0;
}

static int
virPortFindListener(virDomainLockObj *obj, guint16 port, int *rc)
{
    const virPortAddress wanted = {
        .ip4 = {.sin_family = AF_INET, .sin_port = htons(port)}};

    return virPortFind(obj->guest->ops->getPid(obj->guest), virPortIsListening, &wanted,
                       rc);
}

int
virMigratePortGuard(virDomainLockObj *obj, guint16 port, gboolean parallel)
{
    const struct timeval patience = {.tv_usec = parallel ? PORT_READ_IN_ORDER_USEC
                                                         : PORT_READ_USEC};
    int rc;
    g_auto(virFd) fd = virPortFindListener(obj, port, &rc);

    if (fd >= 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
        return errno;
    return rc;
}

int
virMigratePortClose(virDomainLockObj *obj, guint16 port)
{
    int rc;
    g_auto(virFd) fd = virPortFindListener(obj, port, &rc);

    return fd < 0 ? rc : virPortSilence(fd);
}

int
virMigratePortCut(virDomainLockObj *obj, const char *where)
{
    pid_t pid = obj->guest->ops->getPid(obj->guest);
    g_autoptr(GSocketConnectable) name = g_network_address_parse(where, 0, NULL);
    g_autoptr(GSocketAddressEnumerator) all =
        name ? g_socket_connectable_enumerate(name) : NULL;
    int rc = ENOENT;

    while (all && rc == ENOENT) {
        g_autoptr(GSocketAddress) one = g_socket_address_enumerator_next(all, NULL, NULL);
        virPortAddress wanted;
        g_auto(virFd) fd = -1;

        if (!one)
            break;
        if (!g_socket_address_to_native(one, &wanted, sizeof(wanted), NULL))
            continue;
        fd = virPortFind(pid, virPortIsConnected, &wanted, &rc);
        if (fd >= 0 && shutdown(fd, SHUT_RDWR) < 0)
            rc = errno;
    }
    return rc;
}
