/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmp.c: who reads the socket.
 *
 * There is one stream and several who want something from it. A thread that waits (for a
 * reply, for an event) reads itself if no other thread does; then it is the reader, polls
 * without the lock, and what it reads for others it announces on the condition. Meanwhile
 * the main loop is spared: what it polls is an epoll descriptor, in which the socket is only
 * while there is no reader. It may have woken up just before; whoever comes first reads all
 * there is, under the lock. If that was the main loop, it rings the reader's eventfd: a poll
 * that lost the race would sleep on although its reply is here. So calls work with and
 * without a running main loop, and nothing polls by time.
 *
 * Lock order: sendLock, lock, then GLib's own. No callback is called under a lock.
 *
 * The descriptor is closed only by those who hold the lock while nobody polls it; a broken
 * connection is shut down first, which wakes every poll.
 */
#include "supervisor/qmp_priv.h"
#include "supervisor/qmp_message.h"
#include "common/fd.h"

#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* One turn of the main loop reads at most this much, so that a chatty QEMU cannot starve
 * the control socket and the timers. */
#define READ_PER_TURN (1024 * 1024)

typedef struct _virQmpSource {
    GSource parent;
    virQmp *qmp;
} virQmpSource;

/* One command that waits for its reply; its caller's. */
typedef struct _virQmpSlot {
    gint64 id;
    JsonNode *reply; /* the whole message */
} virQmpSlot;

static void
ring(virQmp *qmp)
{
    guint64 one = 1;

    if (qmp->reading)
        (void)virFdWriteFull(qmp->ringFd, &one, sizeof(one));
    g_cond_broadcast(&qmp->cond);
}

/* The main loop does not poll the socket any more. Without waking it up for that. */
static void
leaveLoop(virQmp *qmp)
{
    if (qmp->inLoop)
        (void)epoll_ctl(qmp->loopFd, EPOLL_CTL_DEL, qmp->fd, NULL);
    qmp->inLoop = FALSE;
}

void
virQmpJoinLoopLocked(virQmp *qmp)
{
    struct epoll_event event = {.events = EPOLLIN};

    if (qmp->source && qmp->connected && !qmp->reading && !qmp->inLoop)
        qmp->inLoop = epoll_ctl(qmp->loopFd, EPOLL_CTL_ADD, qmp->fd, &event) == 0;
}

/* Takes @cause. */
void
virQmpBreakLocked(virQmp *qmp, GError *cause)
{
    if (!qmp->connected) {
        g_error_free(cause);
        return;
    }
    qmp->connected = FALSE;
    g_clear_error(&qmp->broken);
    qmp->broken = cause;
    (void)shutdown(qmp->fd, SHUT_RDWR);
    leaveLoop(qmp);
    virJsonFramerClear(&qmp->framer);
    ring(qmp);
}

static void
pushEvent(virQmp *qmp, JsonObject *message)
{
    if (!virQmpEventsPush(qmp->events, message)) {
        virQmpBreakLocked(qmp, g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                                           "QEMU sent more events than can be kept"));
        return;
    }
    /* the main loop may not see the bytes, because a waiting call took them */
    if (qmp->source)
        g_source_set_ready_time(qmp->source, 0);
}

/* Takes @node. */
static void
dispatchMessage(virQmp *qmp, JsonNode *node)
{
    g_autoptr(JsonNode) message = node;
    JsonObject *object = json_node_get_object(message);
    JsonNode *id = json_object_get_member(object, "id");

    if (json_object_has_member(object, "event")) {
        pushEvent(qmp, object);
    } else if (json_object_has_member(object, "QMP") && !qmp->greeted) {
        qmp->greeted = TRUE;
    } else if (id && json_node_get_value_type(id) == G_TYPE_INT64) {
        for (GSList *at = qmp->slots; at; at = at->next) {
            virQmpSlot *slot = at->data;

            if (slot->id == json_node_get_int(id) && !slot->reply)
                slot->reply = g_steal_pointer(&message);
        }
    } else {
        virQmpBreakLocked(qmp, g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                                           "QEMU sent a message that answers nothing"));
    }
}

static void
parseLocked(virQmp *qmp)
{
    GError *cause = NULL;
    JsonNode *node;

    while (qmp->connected && (node = virJsonFramerNext(&qmp->framer, &cause)))
        dispatchMessage(qmp, node);
    if (cause) {
        g_prefix_error(&cause, "QEMU broke the monitor protocol: ");
        virQmpBreakLocked(qmp, cause);
    }
}

/* Reads what is there, at most READ_PER_TURN, and wakes those who wait. */
static void
readLocked(virQmp *qmp)
{
    char bytes[8192];
    gsize total = 0;

    while (qmp->connected && total < READ_PER_TURN) {
        ssize_t n = recv(qmp->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n <= 0) {
            virQmpBreakLocked(qmp, g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                                               "QEMU closed its monitor%s%s",
                                               n < 0 ? ": " : "",
                                               n < 0 ? g_strerror(errno) : ""));
            break;
        }
        total += (gsize)n;
        virJsonFramerFeed(&qmp->framer, bytes, (gsize)n);
        parseLocked(qmp);
    }
    ring(qmp);
}

/* As the reader: sleeps until bytes come, somebody rings, QEMU ends, or the deadline. */
static void
pollUnlocked(virQmp *qmp, gint64 deadlineUsec)
{
    struct pollfd pollers[3] = {{.fd = qmp->fd, .events = POLLIN},
                                {.fd = qmp->ringFd, .events = POLLIN},
                                {.fd = qmp->pidfd, .events = POLLIN}};
    guint64 rung;

    qmp->reading = TRUE;
    leaveLoop(qmp);
    g_mutex_unlock(&qmp->lock);
    (void)poll(pollers, 3, virPollTimeoutMsec(deadlineUsec));
    g_mutex_lock(&qmp->lock);
    qmp->reading = FALSE;
    if (pollers[1].revents)
        (void)!read(qmp->ringFd, &rung, sizeof(rung));
    readLocked(qmp);
    /* its socket may be held open by what it started: nobody will answer there */
    if (pollers[2].revents)
        virQmpBreakLocked(qmp, g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                                           "QEMU has ended"));
    virQmpJoinLoopLocked(qmp);
}

/* Waits, with the lock held, until @condition holds. FALSE: disconnected, cancelled or the
 * deadline passed; the caller tells which. The condition is looked at first. */
static gboolean
waitLocked(virQmp *qmp, virQmpCondition condition, gpointer data, gint64 deadlineUsec,
           GCancellable *cancellable)
{
    while (!condition(qmp, data)) {
        if (!qmp->connected || g_cancellable_is_cancelled(cancellable) ||
            g_get_monotonic_time() >= deadlineUsec)
            return FALSE;
        if (qmp->reading) {
            (void)g_cond_wait_until(&qmp->cond, &qmp->lock, deadlineUsec);
        } else {
            pollUnlocked(qmp, deadlineUsec);
        }
    }
    /* whoever slept on the condition may have to become the reader now */
    g_cond_broadcast(&qmp->cond);
    return TRUE;
}

static void
onCancelled(GCancellable *cancellable, gpointer data)
{
    virQmp *qmp = data;

    g_mutex_lock(&qmp->lock);
    ring(qmp);
    g_mutex_unlock(&qmp->lock);
}

gboolean
virQmpWaitCondition(virQmp *qmp, virQmpCondition condition, gpointer data,
                    gint64 deadlineUsec, GCancellable *cancellable)
{
    /* connected and disconnected without the lock: the handler takes it */
    gulong handler =
        cancellable
            ? g_cancellable_connect(cancellable, G_CALLBACK(onCancelled), qmp, NULL)
            : 0;
    gboolean done;

    g_mutex_lock(&qmp->lock);
    done = waitLocked(qmp, condition, data, deadlineUsec, cancellable);
    if (!done)
        g_cond_broadcast(&qmp->cond);
    g_mutex_unlock(&qmp->lock);
    if (cancellable)
        g_cancellable_disconnect(cancellable, handler);
    return done;
}

/* Says why a wait failed; what was awaited is @what. */
void
virQmpSetWaitError(virQmp *qmp, const char *what, GCancellable *cancellable,
                   GError **error)
{
    g_mutex_lock(&qmp->lock);
    if (!qmp->connected)
        g_set_error(error, VIR_LOCK_ERROR,
                    qmp->broken ? qmp->broken->code : VIR_LOCK_ERROR_UNAVAILABLE,
                    "waited for %s: %s", what,
                    qmp->broken ? qmp->broken->message : "QEMU is not connected");
    else if (g_cancellable_is_cancelled(cancellable))
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED,
                    "waiting for %s was cancelled", what);
    else
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                    "%s did not come in time", what);
    g_mutex_unlock(&qmp->lock);
}

/* --- commands --------------------------------------------------------------------------- */

/* Waits until the socket takes bytes; reads meanwhile, because a QEMU that cannot get rid of
 * its events does not read commands either. */
static gboolean
waitWritable(virQmp *qmp, gint64 deadlineUsec)
{
    struct pollfd poller = {.fd = qmp->fd, .events = POLLOUT | POLLIN};
    int timeoutMsec = virPollTimeoutMsec(deadlineUsec);

    if (poll(&poller, 1, timeoutMsec) == 0)
        return FALSE;
    if (poller.revents & POLLIN) {
        g_mutex_lock(&qmp->lock);
        readLocked(qmp);
        g_mutex_unlock(&qmp->lock);
    }
    return timeoutMsec > 0;
}

/* Nobody reads there any more; what was said last is still to be read. */
static void
hangUp(virQmp *qmp, int err)
{
    g_mutex_lock(&qmp->lock);
    readLocked(qmp);
    virQmpBreakLocked(qmp, g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                                       "QEMU closed its monitor: %s", g_strerror(err)));
    g_mutex_unlock(&qmp->lock);
}

/* With sendLock held. Returns how many bytes of @text went out. */
static gsize
sendBytes(virQmp *qmp, const char *text, gsize len, int passFd, gint64 deadlineUsec)
{
    gsize sent = 0;

    while (sent < len && virQmpIsConnected(qmp)) {
        ssize_t n =
            virFdSendSome(qmp->fd, text + sent, len - sent, sent == 0 ? passFd : -1);

        if (n >= 0)
            sent += (gsize)n;
        else if (errno != EAGAIN)
            hangUp(qmp, errno);
        else if (!waitWritable(qmp, deadlineUsec))
            break;
    }
    return sent;
}

/* Sends all of it or, for QEMU, nothing. */
static gboolean
sendCommand(virQmp *qmp, const char *text, int passFd, gint64 deadlineUsec)
{
    gsize len = strlen(text);
    gsize sent;

    g_mutex_lock(&qmp->sendLock);
    sent = sendBytes(qmp, text, len, passFd, deadlineUsec);
    g_mutex_unlock(&qmp->sendLock);
    if (sent > 0 && sent < len) {
        /* the rest of it would be taken for a part of the next command */
        g_mutex_lock(&qmp->lock);
        virQmpBreakLocked(qmp, g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                                           "QEMU does not read its monitor"));
        g_mutex_unlock(&qmp->lock);
    }
    return sent == len;
}

static gboolean
areAnswered(virQmp *qmp, gpointer data)
{
    const GArray *slots = data;

    for (guint i = 0; i < slots->len; i++)
        if (!g_array_index(slots, virQmpSlot, i).reply)
            return FALSE;
    return TRUE;
}

static void
addSlots(virQmp *qmp, GArray *slots)
{
    g_mutex_lock(&qmp->lock);
    for (guint i = 0; i < slots->len; i++) {
        virQmpSlot *slot = &g_array_index(slots, virQmpSlot, i);

        slot->id = ++qmp->lastId;
        qmp->slots = g_slist_prepend(qmp->slots, slot);
    }
    g_mutex_unlock(&qmp->lock);
}

static void
removeSlots(virQmp *qmp, GArray *slots)
{
    g_mutex_lock(&qmp->lock);
    for (guint i = 0; i < slots->len; i++)
        qmp->slots = g_slist_remove(qmp->slots, &g_array_index(slots, virQmpSlot, i));
    g_mutex_unlock(&qmp->lock);
}

static char *
formatCommands(const virDomainLockGuestCommand *commands, const GArray *slots)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < slots->len; i++) {
        g_autofree char *line =
            virQmpMessageFormat(commands[i].name, commands[i].args,
                                g_array_index(slots, virQmpSlot, i).id);

        g_string_append(text, line);
    }
    return g_string_free(text, FALSE);
}

static void
setUnanswered(virQmp *qmp, const char *name, gboolean sent, GError **error)
{
    g_autofree char *what = g_strdup_printf("the answer to '%s'", name);
    GError *cause = NULL;

    virQmpSetWaitError(qmp, what, NULL, &cause);
    if (sent)
        cause->code = VIR_LOCK_ERROR_INDETERMINATE;
    else if (cause->code == VIR_LOCK_ERROR_INTERNAL)
        cause->code = VIR_LOCK_ERROR_UNAVAILABLE; /* broken before, not by this command */
    g_propagate_error(error, cause);
}

static gboolean
runCommands(virQmp *qmp, virDomainLockGuestCommand *commands, gsize n, int passFd,
            gint64 deadlineUsec, GError **error)
{
    g_autoptr(GArray) slots = g_array_new(FALSE, TRUE, sizeof(virQmpSlot));
    g_autofree char *text = NULL;
    gboolean sent, ok = TRUE;

    g_array_set_size(slots, (guint)n);
    addSlots(qmp, slots);
    text = formatCommands(commands, slots);
    sent = sendCommand(qmp, text, passFd, deadlineUsec);
    if (sent)
        (void)virQmpWaitCondition(qmp, areAnswered, slots, deadlineUsec, NULL);
    removeSlots(qmp, slots);
    for (guint i = 0; i < n; i++) {
        g_autoptr(JsonNode) reply = g_array_index(slots, virQmpSlot, i).reply;

        commands[i].answer =
            reply ? virQmpMessageResult(commands[i].name, reply, ok ? error : NULL) : NULL;
        if (!reply && ok)
            setUnanswered(qmp, commands[i].name, sent, error);
        ok = ok && commands[i].answer;
    }
    return ok;
}

gboolean
virQmpCommands(virQmp *qmp, virDomainLockGuestCommand *commands, gsize n,
               gint64 deadlineUsec, GError **error)
{
    if (runCommands(qmp, commands, n, -1, deadlineUsec, error))
        return TRUE;
    for (gsize i = 0; i < n; i++)
        g_clear_pointer(&commands[i].answer, json_node_unref);
    return FALSE;
}

JsonNode *
virQmpCommand(virQmp *qmp, const char *name, JsonObject *args, int passFd,
              gint64 deadlineUsec, GError **error)
{
    virDomainLockGuestCommand command = {.name = name, .args = args};

    (void)runCommands(qmp, &command, 1, passFd, deadlineUsec, error);
    return command.answer;
}

/* --- events ----------------------------------------------------------------------------- */

static gboolean
isFound(virQmp *qmp, gpointer wanted)
{
    return virQmpEventsLook(qmp->events, wanted);
}

guint64
virQmpEventSerial(virQmp *qmp)
{
    guint64 serial;

    g_mutex_lock(&qmp->lock);
    serial = virQmpEventsSerial(qmp->events);
    g_mutex_unlock(&qmp->lock);
    return serial;
}

JsonNode *
virQmpWaitWanted(virQmp *qmp, virQmpWanted *wanted, gint64 deadlineUsec,
                 GCancellable *cancellable, GError **error)
{
    g_autofree char *what = g_strdup_printf("QEMU's event %s", wanted->name);

    if (!virQmpWaitCondition(qmp, isFound, wanted, deadlineUsec, cancellable))
        virQmpSetWaitError(qmp, what, cancellable, error);
    else if (wanted->missed)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE,
                    "%s may have been missed", what);
    return wanted->data;
}

JsonNode *
virQmpWaitEvent(virQmp *qmp, const char *event, guint64 since, gint64 deadlineUsec,
                GCancellable *cancellable, GError **error)
{
    virQmpWanted wanted = {.name = event, .since = since};

    return virQmpWaitWanted(qmp, &wanted, deadlineUsec, cancellable, error);
}

/* --- the main loop's side ------------------------------------------------------------- */

static void
deliverEvents(virQmp *qmp)
{
    for (;;) {
        g_autoptr(virQmpEvent) event = NULL;
        g_autoptr(JsonNode) data = NULL;

        g_mutex_lock(&qmp->lock);
        event = virQmpEventsTake(qmp->events);
        g_mutex_unlock(&qmp->lock);
        if (!event)
            return;
        data = virQmpEventData(event);
        qmp->func(event->name, json_node_get_object(data), qmp->opaque);
    }
}

static gboolean
sourceDispatch(GSource *source, GSourceFunc callback, gpointer userData)
{
    virQmp *qmp = ((virQmpSource *)source)->qmp;

    g_source_set_ready_time(source, -1);
    g_mutex_lock(&qmp->lock);
    readLocked(qmp);
    g_mutex_unlock(&qmp->lock);
    deliverEvents(qmp);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs sourceFuncs = {.dispatch = sourceDispatch};

void
virQmpWatch(virQmp *qmp, GMainContext *context, virQmpEventFunc func, gpointer opaque)
{
    g_return_if_fail(!qmp->source);
    g_mutex_lock(&qmp->lock);
    qmp->func = func;
    qmp->opaque = opaque;
    virQmpEventsWatch(qmp->events);
    qmp->source = g_source_new(&sourceFuncs, sizeof(virQmpSource));
    ((virQmpSource *)qmp->source)->qmp = qmp;
    g_source_set_static_name(qmp->source, "qmp");
    (void)g_source_add_unix_fd(qmp->source, qmp->loopFd, G_IO_IN);
    virQmpJoinLoopLocked(qmp);
    g_source_attach(qmp->source, context);
    g_mutex_unlock(&qmp->lock);
}
