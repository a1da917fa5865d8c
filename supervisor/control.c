/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control.c: listener, connections and signals of the control interface.
 *
 * The peer's user is taken from the kernel (SO_PEERCRED) before a byte of it is read. Until
 * it has authenticated, its socket has a timeout, because GDBus does that in a thread of a
 * small pool that silent clients could fill.
 */
#include "supervisor/control.h"
#include "common/fd.h"
#include "domain_lock/codec.h"
#include "supervisor/guest1_info.h"
#include "supervisor/supervisor.h"
#include <errno.h>
#include <glib-unix.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONTROL_MAX_CLIENTS 64
#define CONTROL_AUTH_TIMEOUT_SEC 5
#define CONTROL_FINISH_MSEC 1000

typedef struct {
    GDBusMethodInvocation *invocation;
    virSupervisorControlWait what;
    virSupervisorControl *control;
    guint timer;
    char *device; /* UNPLUGGED: QEMU's id of it */
    char *target; /* and what the guest calls it */
} virControlWaiter;

struct _virSupervisorControl {
    virSupervisor *sup;
    int fd;
    guint source;
    GCancellable *cancellable; /* of handshakes under way */
    guint handshakes;
    GPtrArray *clients; /* GDBusConnection */
    GList *waiters;     /* virControlWaiter */

    GDBusMethodInvocation *jobOwner; /* atomic: who waits for the job that takes long */

    guint flushes; /* under way, at the end */
    guint finishTimer;
    void (*finished)(gpointer data);
    gpointer finishedData;
};

/* --- clients ------------------------------------------------------------------------ */

static void
virControlMethod(GDBusConnection *connection, const char *sender, const char *path,
                 const char *interface, const char *method, GVariant *parameters,
                 GDBusMethodInvocation *invocation, gpointer data)
{
    virSupervisorControlCall(data, method, parameters, invocation);
}

static GVariant *
virControlGetProperty(GDBusConnection *connection, const char *sender, const char *path,
                      const char *interface, const char *property, GError **error,
                      gpointer data)
{
    virSupervisorControl *control = data;
    g_autoptr(virDomainLockInfo) info =
        virDomainLockObjGetInfo(virSupervisorGetObj(control->sup));

    return virDomainLockInfoGetProperty(info, property);
}

static const GDBusInterfaceVTable controlVtable = {
    .method_call = virControlMethod,
    .get_property = virControlGetProperty,
};

static void
virControlClosed(GDBusConnection *connection, gboolean vanished, GError *error,
                 gpointer data)
{
    virSupervisorControl *control = data;

    g_ptr_array_remove_fast(control->clients, connection);
}

static void
virControlConnected(GObject *object, GAsyncResult *result, gpointer data)
{
    virSupervisorControl *control = data;
    g_autoptr(GError) why = NULL;
    g_autoptr(GDBusConnection) connection = g_dbus_connection_new_finish(result, &why);
    GIOStream *stream = NULL;

    /* cancelled only by ControlFree, which has let go of everything by then */
    if (!connection && g_error_matches(why, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    control->handshakes--;
    if (!connection) {
        g_message("a client of the control socket did not authenticate: %s",
                  why->message);
        return;
    }
    stream = g_dbus_connection_get_stream(connection);
    g_socket_set_timeout(g_socket_connection_get_socket(G_SOCKET_CONNECTION(stream)), 0);
    if (!g_dbus_connection_register_object(
            connection, "/io/leasehold/Guest",
            (GDBusInterfaceInfo *)&vir_domain_lock_guest1_interface, &controlVtable,
            control, NULL, &why)) {
        g_warning("cannot serve a client of the control socket: %s", why->message);
        return;
    }
    g_signal_connect(connection, "closed", G_CALLBACK(virControlClosed), control);
    g_dbus_connection_start_message_processing(connection);
    g_ptr_array_add(control->clients, g_steal_pointer(&connection));
}

static gboolean
virControlAllowMechanism(GDBusAuthObserver *observer, const char *mechanism,
                         gpointer data)
{
    return g_str_equal(mechanism, "EXTERNAL");
}

static gboolean
virControlAuthorize(GDBusAuthObserver *observer, GIOStream *stream,
                    GCredentials *credentials, gpointer data)
{
    uid_t uid = credentials ? g_credentials_get_unix_user(credentials, NULL) : (uid_t)-1;

    return uid == 0 || uid == geteuid();
}

static void
virControlHandshake(virSupervisorControl *control, int clientFd)
{
    g_autoptr(GSocket) socket = g_socket_new_from_fd(clientFd, NULL);
    g_autoptr(GSocketConnection) stream = NULL;
    g_autoptr(GDBusAuthObserver) observer = g_dbus_auth_observer_new();
    g_autofree char *guid = g_dbus_generate_guid();

    if (!socket) {
        virFdClose(clientFd);
        return;
    }
    g_socket_set_timeout(socket, CONTROL_AUTH_TIMEOUT_SEC);
    stream = g_socket_connection_factory_create_connection(socket);
    g_signal_connect(observer, "allow-mechanism", G_CALLBACK(virControlAllowMechanism),
                     NULL);
    g_signal_connect(observer, "authorize-authenticated-peer",
                     G_CALLBACK(virControlAuthorize), NULL);
    control->handshakes++;
    g_dbus_connection_new(G_IO_STREAM(stream), guid,
                          G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER |
                              G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
                          observer, control->cancellable, virControlConnected, control);
}

static gboolean
virControlAccept(gint fd, GIOCondition condition, gpointer data)
{
    virSupervisorControl *control = data;
    struct ucred peer;
    socklen_t len = sizeof(peer);
    g_auto(virFd) client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (client < 0)
        return G_SOURCE_CONTINUE;
    if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
        (peer.uid != 0 && peer.uid != geteuid())) {
        g_message(
            "a client of the control socket was turned away: it is neither root nor "
            "this user");
        return G_SOURCE_CONTINUE;
    }
    if (control->clients->len + control->handshakes >= CONTROL_MAX_CLIENTS) {
        g_message("a client of the control socket was turned away: there are %u already",
                  control->clients->len + control->handshakes);
        return G_SOURCE_CONTINUE;
    }
    virControlHandshake(control, g_steal_fd(&client));
    return G_SOURCE_CONTINUE;
}

virSupervisorControl *
virSupervisorControlNew(virSupervisor *sup, const char *path, GError **error)
{
    virSupervisorControl *control = NULL;
    int fd = virUnixListen(path, SOCK_STREAM, error);

    if (fd < 0)
        return NULL;
    control = g_new0(virSupervisorControl, 1);
    control->sup = sup;
    control->fd = fd;
    (void)virFdSetNonblock(fd, TRUE);
    control->cancellable = g_cancellable_new();
    control->clients = g_ptr_array_new_with_free_func(g_object_unref);
    control->source = g_unix_fd_add(fd, G_IO_IN, virControlAccept, control);
    return control;
}

void
virSupervisorControlFree(virSupervisorControl *control)
{
    if (!control)
        return;
    g_cancellable_cancel(control->cancellable);
    if (control->source)
        g_source_remove(control->source);
    if (control->finishTimer)
        g_source_remove(control->finishTimer);
    for (guint i = 0; i < control->clients->len; i++)
        g_signal_handlers_disconnect_by_data(g_ptr_array_index(control->clients, i),
                                             control);
    g_ptr_array_unref(control->clients);
    g_object_unref(control->cancellable);
    virFdClose(control->fd);
    g_free(control);
}

virSupervisor *
virSupervisorControlGetSupervisor(virSupervisorControl *control)
{
    return control->sup;
}

void
virSupervisorControlSetJobOwner(virSupervisorControl *control,
                                GDBusMethodInvocation *invocation)
{
    g_atomic_pointer_set(&control->jobOwner, invocation);
}

gboolean
virSupervisorControlOwnsJob(virSupervisorControl *control, GDBusConnection *client)
{
    GDBusMethodInvocation *owner = g_atomic_pointer_get(&control->jobOwner);

    return owner && g_dbus_method_invocation_get_connection(owner) == client;
}

/* --- signals ------------------------------------------------------------------------ */

static GVariant *
virControlChanged(const virDomainLockInfo *info)
{
    static const char *const names[] = {
        "State", "Reason",    "Pid",        "Deadline", "Message",
        "Job",   "JobDetail", "JobStarted", "JobDone",  "JobTotal"};
    GVariantBuilder changed;

    g_variant_builder_init(&changed, G_VARIANT_TYPE("a{sv}"));
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
        g_variant_builder_add(&changed, "{sv}", names[i],
                              virDomainLockInfoGetProperty(info, names[i]));
    return g_variant_new("(sa{sv}as)", "io.leasehold.Guest1", &changed, NULL);
}

static void
virControlEmit(GDBusConnection *client, const char *interface, const char *name,
               GVariant *parameters)
{
    g_autoptr(GError) why = NULL;

    if (!g_dbus_connection_emit_signal(client, NULL, "/io/leasehold/Guest", interface,
                                       name, parameters, &why))
        g_debug("a client of the control socket is gone: %s", why->message);
}

void
virSupervisorControlTell(virSupervisorControl *control, const virDomainLockEvent *event,
                         const virDomainLockInfo *info)
{
    for (guint i = 0; i < control->clients->len; i++) {
        GDBusConnection *client = g_ptr_array_index(control->clients, i);

        virControlEmit(client, "org.freedesktop.DBus.Properties", "PropertiesChanged",
                       virControlChanged(info));
        if (event)
            virControlEmit(client, "io.leasehold.Guest1", "Event",
                           g_variant_new("(xsss)", event->timeUsec, event->event,
                                         event->detail ? event->detail : "",
                                         event->message ? event->message : ""));
    }
}

/* --- those who wait for the end ----------------------------------------------------- */

static void
virControlWaiterFree(virControlWaiter *waiter)
{
    waiter->control->waiters = g_list_remove(waiter->control->waiters, waiter);
    if (waiter->timer)
        g_source_remove(waiter->timer);
    g_free(waiter->device);
    g_free(waiter->target);
    g_free(waiter);
}

static GError *
virControlNotEnded(const virDomainLockInfo *info)
{
    return g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                       "guest '%s' has not ended yet (QEMU pid %" G_GINT64_FORMAT
                       "); its leases stay held until it has%s%s",
                       info->name, info->pid, info->message ? ": " : "",
                       info->message ? info->message : "");
}

static GError *
virControlNotUnplugged(const virDomainLockInfo *info, const char *target)
{
    return g_error_new(
        VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
        "guest '%s' was asked to let go of disk '%s' and has not yet%s; its "
        "leases stay held, and are given up when it does",
        info->name, target,
        info->state == VIR_DOMAIN_LOCK_STATE_PAUSED ? ": it is paused and cannot answer"
                                                    : "");
}

static gboolean
virControlWaitedEnough(gpointer data)
{
    virControlWaiter *waiter = data;
    g_autoptr(virDomainLockInfo) info =
        virDomainLockObjGetInfo(virSupervisorGetObj(waiter->control->sup));
    g_autoptr(GError) error = waiter->device
                                  ? virControlNotUnplugged(info, waiter->target)
                                  : virControlNotEnded(info);

    waiter->timer = 0;
    virSupervisorControlFail(waiter->invocation, error);
    virControlWaiterFree(waiter);
    return G_SOURCE_REMOVE;
}

static virControlWaiter *
virControlWaiterAdd(virSupervisorControl *control, GDBusMethodInvocation *invocation,
                    virSupervisorControlWait what, guint timeoutSec)
{
    virControlWaiter *waiter = g_new0(virControlWaiter, 1);

    waiter->invocation = invocation;
    waiter->what = what;
    waiter->control = control;
    if (timeoutSec > 0)
        waiter->timer = g_timeout_add_seconds(timeoutSec, virControlWaitedEnough, waiter);
    control->waiters = g_list_append(control->waiters, waiter);
    return waiter;
}

void
virSupervisorControlAwait(virSupervisorControl *control,
                          GDBusMethodInvocation *invocation,
                          virSupervisorControlWait what, guint timeoutSec)
{
    (void)virControlWaiterAdd(control, invocation, what, timeoutSec);
}

void
virSupervisorControlAwaitUnplug(virSupervisorControl *control,
                                GDBusMethodInvocation *invocation, const char *device,
                                const char *target, guint timeoutSec)
{
    virControlWaiter *waiter =
        virControlWaiterAdd(control, invocation, VIR_CONTROL_WAIT_UNPLUGGED, timeoutSec);

    waiter->device = g_strdup(device);
    waiter->target = g_strdup(target);
}

static void
virControlAnswer(virControlWaiter *waiter, const GError *error)
{
    if (error)
        virSupervisorControlFail(waiter->invocation, error);
    else
        g_dbus_method_invocation_return_value(waiter->invocation, NULL);
    virControlWaiterFree(waiter);
}

void
virSupervisorControlUnplugged(virSupervisorControl *control, const char *device,
                              const GError *error)
{
    GList *next = NULL;

    for (GList *item = control->waiters; item; item = next) {
        virControlWaiter *waiter = item->data;

        next = item->next;
        if (g_strcmp0(waiter->device, device) == 0)
            virControlAnswer(waiter, error);
    }
}

static void
virControlAnswerWaiters(virSupervisorControl *control, gboolean all)
{
    g_autoptr(GError) ended = g_error_new_literal(
        VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
        "the guest ended before it let go of the disk; all its leases are free");
    GList *next = NULL;

    for (GList *item = control->waiters; item; item = next) {
        virControlWaiter *waiter = item->data;

        next = item->next;
        if (all || waiter->what == VIR_CONTROL_WAIT_GONE_OR_WITHDRAWN)
            virControlAnswer(waiter,
                             waiter->what == VIR_CONTROL_WAIT_UNPLUGGED ? ended : NULL);
    }
}

void
virSupervisorControlDeadlineWithdrawn(virSupervisorControl *control)
{
    virControlAnswerWaiters(control, FALSE);
}

static void
virControlFinished(virSupervisorControl *control)
{
    void (*finished)(gpointer data) = g_steal_pointer(&control->finished);

    if (finished)
        finished(control->finishedData);
}

static void
virControlFlushed(GObject *object, GAsyncResult *result, gpointer data)
{
    virSupervisorControl *control = data;
    g_autoptr(GError) why = NULL;

    (void)g_dbus_connection_flush_finish(G_DBUS_CONNECTION(object), result, &why);
    if (g_error_matches(why, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    if (--control->flushes == 0)
        virControlFinished(control);
}

static gboolean
virControlFinishTimeout(gpointer data)
{
    virSupervisorControl *control = data;

    control->finishTimer = 0;
    virControlFinished(control);
    return G_SOURCE_REMOVE;
}

void
virSupervisorControlFinish(virSupervisorControl *control, void (*done)(gpointer data),
                           gpointer data)
{
    control->finished = done;
    control->finishedData = data;
    virControlAnswerWaiters(control, TRUE);
    control->flushes = control->clients->len;
    if (control->flushes == 0) {
        virControlFinished(control);
        return;
    }
    control->finishTimer =
        g_timeout_add(CONTROL_FINISH_MSEC, virControlFinishTimeout, control);
    for (guint i = 0; i < control->clients->len; i++)
        g_dbus_connection_flush(g_ptr_array_index(control->clients, i),
                                control->cancellable, virControlFlushed, control);
}
