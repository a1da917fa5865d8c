/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate_connect.c: the connection that a guest's memory goes over, on the source (I9).
 *
 * QEMU (7.2) shakes hands in its main loop. On a connection that it has made itself that blocks:
 * a peer that says nothing stops everything in it, the guest and the monitor too. So the
 * connection is made here, and given to QEMU as a descriptor that does not block, on which it
 * waits for the other side in its main loop, as it is meant to. The flag belongs to the open
 * connection and not to the descriptor; QEMU takes it away when it gets the descriptor, so it is
 * set again after that. When it begins to send, QEMU takes it away for good.
 *
 * Until the handshake is over a copy is kept: migrate_cancel does not end a handshake (7.2), the
 * end of the connection does. Not for longer: a copy would hide the end of this QEMU from the
 * other one.
 *
 * QEMU makes parallel connections itself and wants to have made the first one, too. There a
 * peer that says nothing is what keeps QEMU from answering, and its connection is ended.
 */
#include "common/fd.h"
#include "domain_lock/job.h"
#include "migrate_priv.h"
#include "migrate_tls.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/socket.h>

#define CONNECT_SEC 10
#define CONNECT_NAME "leasehold-migrate"

static const char *
virConnectWhere(const char *uri)
{
    return g_str_has_prefix(uri, "tcp:") ? uri + strlen("tcp:") : NULL;
}

/* CLOEXEC, and does not block. */
static int
virConnectOpen(const char *where, GCancellable *cancellable, GError **error)
{
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_autoptr(GSocketConnection) connection = NULL;
    g_autoptr(GError) why = NULL;
    int fd = -1;

    g_socket_client_set_enable_proxy(client, FALSE);
    g_socket_client_set_timeout(client, CONNECT_SEC);
    connection = g_socket_client_connect_to_host(client, where, 0, cancellable, &why);
    if (connection)
        fd = fcntl(g_socket_get_fd(g_socket_connection_get_socket(connection)),
                   F_DUPFD_CLOEXEC, 0);
    if (g_error_matches(why, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED, "it was cancelled");
    else if (fd < 0)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "cannot connect to %s for its memory: %s", where,
                    why ? why->message : g_strerror(errno));
    return fd;
}

char *
virMigrateOutConnect(virMigrateOut *out, const char *uri, GError **error)
{
    virDomainLockObj *obj = out->obj;
    const char *where = virConnectWhere(uri);
    g_auto(virFd) fd = -1;
    int rc;

    out->uri = g_strdup(uri);
    if (!where || virMigrateParamsIsParallel(&out->params))
        return g_strdup(uri);
    fd = virConnectOpen(where, virDomainLockJobCancellable(obj), error);
    if (fd < 0 || !obj->guest->ops->passFd(obj->guest, fd, CONNECT_NAME, error))
        return NULL;
    rc = virFdSetNonblock(fd, TRUE);
    if (rc != 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                    "the connection for its memory: %s", g_strerror(rc));
        return NULL;
    }
    out->connection = g_steal_fd(&fd);
    return g_strdup("fd:" CONNECT_NAME);
}

void
virMigrateOutConnected(virMigrateOut *out)
{
    virFdClose(out->connection);
    out->connection = -1;
    g_clear_pointer(&out->uri, g_free);
}

void
virMigrateOutCut(virMigrateOut *out)
{
    int rc = 0;

    if (out->connection >= 0)
        rc = shutdown(out->connection, SHUT_RDWR) < 0 ? errno : 0;
    else if (out->uri && virConnectWhere(out->uri))
        rc = virMigratePortCut(out->obj, virConnectWhere(out->uri));
    if (rc != 0)
        g_message("the connection for the guest's memory stays: %s", g_strerror(rc));
    virMigrateOutConnected(out);
}
