/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control.c: listener, clients and signals of the control interface.
 *
 * The peer's user is taken from the kernel (SO_PEERCRED) before a byte of it is read. What a
 * client may cost is bounded: how many there are, of one process and of all; what each may
 * ask without an answer and leave unread (control_stream.h); how many jobs may wait. A client
 * that hangs up in the middle of a call ends its waiting, not the job.
 */
#include "supervisor/control.h"
#include "common/fd.h"
#include "domain_lock/codec.h"
#include "supervisor/control_client.h"
#include "supervisor/guest1_info.h"
#include "supervisor/supervisor.h"
#include <errno.h>
#include <glib-unix.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONTROL_MAX_CLIENTS 64
/* So that a daemon that leaks connections does not lock out the operator. */
#define CONTROL_MAX_OF_PROCESS 16
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
    GPtrArray *clients; /* virControlClient */
    GHashTable *told;   /* property -> value as clients know it; NULL: there is none */
    GList *waiters;     /* virControlWaiter */

    GDBusMethodInvocation *jobOwner; /* atomic: who waits for the job that takes long */

    GCancellable *cancellable; /* of flushes */
    guint flushes; /* under way, at the end */
    guint finishTimer;
    void (*finished)(gpointer data);
    gpointer finishedData;
};

static void virControlForgetWaiters(virSupervisorControl *control,
                                    GDBusConnection *connection);

/* --- what has changed --------------------------------------------------------------- */

/* The arguments of PropertiesChanged, and from now on it is told; NULL: nothing has. */
static GVariant *
virControlChanged(virSupervisorControl *control, const virDomainLockInfo *info)
{
    const GDBusInterfaceInfo *interface =
        (const GDBusInterfaceInfo *)&vir_domain_lock_guest1_interface;
    g_auto(GVariantBuilder) changed = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a{sv}"));
    gboolean any = FALSE;

    for (gsize i = 0; interface->properties[i]; i++) {
        char *name = interface->properties[i]->name;
        g_autoptr(GVariant) value =
            g_variant_ref_sink(virDomainLockInfoGetProperty(info, name));
        GVariant *told = g_hash_table_lookup(control->told, name);

        if (told && g_variant_equal(told, value))
            continue;
        any = TRUE;
        g_variant_builder_add(&changed, "{sv}", name, value);
        g_hash_table_replace(control->told, name, g_steal_pointer(&value));
    }
    return any ? g_variant_new("(sa{sv}as)", interface->name, &changed, NULL) : NULL;
}

static void
virControlTellAll(virSupervisorControl *control, const char *interface, const char *name,
                  GVariant *parameters)
{
    g_autoptr(GVariant) owned = g_variant_ref_sink(parameters);

    for (guint i = 0; i < control->clients->len; i++)
        virControlClientEmit(g_ptr_array_index(control->clients, i), interface, name,
                             owned);
}

void
virSupervisorControlTell(virSupervisorControl *control, const virDomainLockEvent *event,
                         const virDomainLockInfo *info)
{
    GVariant *changed = control->told ? virControlChanged(control, info) : NULL;

    if (changed)
        virControlTellAll(control, "org.freedesktop.DBus.Properties", "PropertiesChanged",
                          changed);
    if (event)
        virControlTellAll(control, "io.leasehold.Guest1", "Event",
                          g_variant_new("(xsss)", event->timeUsec, event->event,
                                        event->detail ? event->detail : "",
                                        event->message ? event->message : ""));
}

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

    if (!info->job) /* a short one is known to those who ask, but not signalled or saved */
        info->job = g_strdup(virSupervisorGetJobName(control->sup));
    return virDomainLockInfoGetProperty(info, property);
}

static const GDBusInterfaceVTable controlVtable = {
    .method_call = virControlMethod,
    .get_property = virControlGetProperty,
};

static gboolean
virControlServe(virSupervisorControl *control, GDBusConnection *connection)
{
    g_autoptr(GError) why = NULL;

    if (g_dbus_connection_register_object(
            connection, "/io/leasehold/Guest",
            (GDBusInterfaceInfo *)&vir_domain_lock_guest1_interface, &controlVtable,
            control, NULL, &why))
        return TRUE;
    g_warning("cannot serve a client of the control socket: %s", why->message);
    return FALSE;
}

static guint
virControlCountTalking(virSupervisorControl *control)
{
    guint n = 0;

    for (guint i = 0; i < control->clients->len; i++)
        n += virControlClientGetConnection(g_ptr_array_index(control->clients, i)) != NULL;
    return n;
}

static void
virControlClientMoved(virControlClient *client, virControlClientState state,
                      gpointer data)
{
    virSupervisorControl *control = data;
    GDBusConnection *connection = virControlClientGetConnection(client);

    if (state == VIR_CONTROL_CLIENT_TALKS && !virControlServe(control, connection)) {
        virControlClientHangUp(client, NULL);
    } else if (state == VIR_CONTROL_CLIENT_TALKS && !control->told) {
        g_autoptr(virDomainLockInfo) info =
            virDomainLockObjGetInfo(virSupervisorGetObj(control->sup));

        control->told = g_hash_table_new_full(g_str_hash, g_str_equal, NULL,
                                              (GDestroyNotify)g_variant_unref);
        g_variant_unref(g_variant_ref_sink(virControlChanged(control, info)));
    } else if (state == VIR_CONTROL_CLIENT_IS_GONE && connection) {
        virControlForgetWaiters(control, connection);
        if (virControlCountTalking(control) == 1)
            g_clear_pointer(&control->told, g_hash_table_unref);
    }
}

/* Room for one more of this process, at the cost of the one that has been longest in its
 * handshake; NULL, or why there is none. */
static const char *
virControlMakeRoom(virSupervisorControl *control, pid_t pid)
{
    guint all = 0;
    guint ofProcess = 0;
    virControlClient *slowest = NULL;

    for (guint i = control->clients->len; i-- > 0;) {
        virControlClient *client = g_ptr_array_index(control->clients, i);

        if (virControlClientIsForgotten(client)) {
            g_ptr_array_remove_index(control->clients, i);
            continue;
        }
        all++;
        ofProcess += virControlClientGetPid(client) == pid;
        if (virControlClientGetState(client) == VIR_CONTROL_CLIENT_GREETS)
            slowest = client;
    }
    if (ofProcess >= CONTROL_MAX_OF_PROCESS)
        return "this process has too many connections to the guest already";
    if (all < CONTROL_MAX_CLIENTS)
        return NULL;
    if (!slowest)
        return "there are too many connections to the guest already";
    virControlClientHangUp(slowest, "others wait");
    g_ptr_array_remove(control->clients, slowest);
    return NULL;
}

static gboolean
virControlAccept(gint fd, GIOCondition condition, gpointer data)
{
    virSupervisorControl *control = data;
    struct ucred peer;
    socklen_t len = sizeof(peer);
    g_auto(virFd) accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    virControlClient *client = NULL;
    const char *problem = NULL;

    if (accepted < 0)
        return G_SOURCE_CONTINUE;
    if (getsockopt(accepted, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
        (peer.uid != 0 && peer.uid != geteuid())) {
        g_debug("a client of the control socket was turned away: it is neither root nor "
                "this user");
        return G_SOURCE_CONTINUE;
    }
    problem = virControlMakeRoom(control, peer.pid);
    client = virControlClientNew(g_steal_fd(&accepted), peer.pid, peer.uid,
                                 virControlClientMoved, control);
    if (problem) {
        virControlClientHangUp(client, problem);
        virControlClientFree(client);
    } else {
        g_ptr_array_add(control->clients, client);
    }
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
    control->clients =
        g_ptr_array_new_with_free_func((GDestroyNotify)virControlClientFree);
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
    g_ptr_array_unref(control->clients);
    g_clear_pointer(&control->told, g_hash_table_unref);
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

/* Its client hung up: what it asked for goes on, without anybody to tell. */
static void
virControlForgetWaiters(virSupervisorControl *control, GDBusConnection *connection)
{
    GList *next = NULL;

    for (GList *item = control->waiters; item; item = next) {
        virControlWaiter *waiter = item->data;
        GDBusMethodInvocation *invocation = waiter->invocation;

        next = item->next;
        if (g_dbus_method_invocation_get_connection(invocation) != connection)
            continue;
        virControlWaiterFree(waiter);
        g_object_unref(invocation);
    }
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

static void
virControlWaiterAdd(virSupervisorControl *control, const virControlWaiter *waiter,
                    guint timeoutSec)
{
    virControlWaiter *copy = NULL;

    /* it hung up while its job ran */
    if (g_dbus_connection_is_closed(
            g_dbus_method_invocation_get_connection(waiter->invocation))) {
        g_object_unref(waiter->invocation);
        return;
    }
    copy = g_memdup2(waiter, sizeof(*waiter));
    copy->control = control;
    copy->device = g_strdup(waiter->device);
    copy->target = g_strdup(waiter->target);
    if (timeoutSec > 0)
        copy->timer = g_timeout_add_seconds(timeoutSec, virControlWaitedEnough, copy);
    control->waiters = g_list_append(control->waiters, copy);
}

void
virSupervisorControlAwait(virSupervisorControl *control,
                          GDBusMethodInvocation *invocation,
                          virSupervisorControlWait what, guint timeoutSec)
{
    virControlWaiter waiter = {.invocation = invocation, .what = what};

    virControlWaiterAdd(control, &waiter, timeoutSec);
}

void
virSupervisorControlAwaitUnplug(virSupervisorControl *control,
                                GDBusMethodInvocation *invocation, const char *device,
                                const char *target, guint timeoutSec)
{
    virControlWaiter waiter = {.invocation = invocation,
                               .what = VIR_CONTROL_WAIT_UNPLUGGED,
                               .device = (char *)device,
                               .target = (char *)target};

    virControlWaiterAdd(control, &waiter, timeoutSec);
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

/* The guest has ended. */
static void
virControlAnswerWaiters(virSupervisorControl *control)
{
    g_autoptr(GError) ended = g_error_new_literal(
        VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
        "the guest ended before it let go of the disk; all its leases are free");
    GList *next = NULL;

    for (GList *item = control->waiters; item; item = next) {
        virControlWaiter *waiter = item->data;

        next = item->next;
        virControlAnswer(waiter,
                         waiter->what == VIR_CONTROL_WAIT_UNPLUGGED ? ended : NULL);
    }
}

void
virSupervisorControlShutdownOver(virSupervisorControl *control, const GError *why)
{
    GList *next = NULL;

    for (GList *item = control->waiters; item; item = next) {
        virControlWaiter *waiter = item->data;

        next = item->next;
        if (waiter->what == VIR_CONTROL_WAIT_GONE_OR_WITHDRAWN)
            virControlAnswer(waiter, why);
    }
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
    virControlAnswerWaiters(control);
    control->flushes = virControlCountTalking(control);
    if (control->flushes == 0) {
        virControlFinished(control);
        return;
    }
    control->finishTimer =
        g_timeout_add(CONTROL_FINISH_MSEC, virControlFinishTimeout, control);
    for (guint i = 0; i < control->clients->len; i++) {
        GDBusConnection *connection =
            virControlClientGetConnection(g_ptr_array_index(control->clients, i));

        if (connection)
            g_dbus_connection_flush(connection, control->cancellable, virControlFlushed,
                                    control);
    }
}
