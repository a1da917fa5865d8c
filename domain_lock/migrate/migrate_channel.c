/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate_channel.c: see migrate_channel.h.
 *
 * The descriptors stay blocking (they may be shared with the process that made them): reading
 * happens after poll said that there is something, writing in pieces that a pipe which polls
 * writable takes at once.
 */
#include "migrate_channel.h"
#include "common/fd.h"
#include "domain_lock/spec.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define CHANNEL_SEND_USEC (10 * G_USEC_PER_SEC)
/* How much of what is not our protocol is shown. */
#define CHANNEL_QUOTE 120

struct _virMigrateChannel {
    int inFd;
    int outFd;
    GString *input;
    gboolean peerFailed;
    GMutex sending;
};

virMigrateChannel *
virMigrateChannelNew(int inFd, int outFd)
{
    virMigrateChannel *channel = g_new0(virMigrateChannel, 1);

    channel->inFd = inFd;
    channel->outFd = outFd;
    channel->input = g_string_new(NULL);
    g_mutex_init(&channel->sending);
    return channel;
}

void
virMigrateChannelFree(virMigrateChannel *channel)
{
    if (!channel)
        return;
    if (channel->outFd != channel->inFd)
        virFdClose(channel->outFd);
    virFdClose(channel->inFd);
    g_string_free(channel->input, TRUE);
    g_mutex_clear(&channel->sending);
    g_free(channel);
}

JsonObject *
virMigrateMessageNew(const char *type)
{
    JsonObject *message = json_object_new();

    json_object_set_string_member(message, "type", type);
    return message;
}

const char *
virMigrateMessageType(JsonObject *message)
{
    const char *type = virDomainLockJsonString(message, "type");

    return type ? type : "";
}

/* --- sending ------------------------------------------------------------------------ */

static int
virChannelWrite(virMigrateChannel *channel, const char *line, gint64 deadlineUsec)
{
    gsize len = strlen(line);

    if (channel->outFd < 0)
        return EPIPE;
    while (len > 0) {
        struct pollfd fd = {.fd = channel->outFd, .events = POLLOUT};
        int n = poll(&fd, 1, virPollTimeoutMsec(deadlineUsec));
        ssize_t done;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : ETIMEDOUT;
        done = write(channel->outFd, line, MIN(len, PIPE_BUF));
        if (done < 0 && errno != EINTR && errno != EAGAIN)
            return errno;
        if (done > 0) {
            line += done;
            len -= (gsize)done;
        }
    }
    return 0;
}

gboolean
virMigrateChannelSend(virMigrateChannel *channel, JsonObject *message, GError **error)
{
    g_autofree char *line = virDomainLockJsonLine(message);
    int rc;

    g_mutex_lock(&channel->sending);
    rc = virChannelWrite(channel, line, g_get_monotonic_time() + CHANNEL_SEND_USEC);
    g_mutex_unlock(&channel->sending);
    if (rc == 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "the channel between the hosts is broken: %s", g_strerror(rc));
    return FALSE;
}

void
virMigrateChannelSendError(virMigrateChannel *channel, const GError *error)
{
    g_autoptr(JsonObject) message = virMigrateMessageNew("error");
    g_autoptr(GError) gone = NULL;

    json_object_set_object_member(message, "error", virDomainLockErrorToJson(error));
    if (!virMigrateChannelSend(channel, message, &gone))
        g_info("the other host does not hear why: %s", gone->message);
}

/* --- receiving ---------------------------------------------------------------------- */

/* A login that prints a greeting, or a shell that has no such command. */
static JsonObject *
virChannelBad(const char *line, GError **error)
{
    g_autofree char *shown = g_strndup(line, CHANNEL_QUOTE);
    g_autofree char *clean = g_utf8_make_valid(shown, -1);

    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "the other host says '%s' " VIR_MIGRATE_CHANNEL_NOT_OURS,
                g_strchomp(clean));
    return NULL;
}

static JsonObject *
virChannelTake(virMigrateChannel *channel, const char *line, GError **error)
{
    g_autoptr(JsonObject) message = virDomainLockJsonParse(line, -1, NULL);
    JsonObject *failed;

    if (!message)
        return virChannelBad(line, error);
    if (!g_str_equal(virMigrateMessageType(message), "error"))
        return g_steal_pointer(&message);
    channel->peerFailed = TRUE;
    failed = virDomainLockJsonObject(message, "error");
    g_propagate_error(error, failed ? virDomainLockErrorFromJson(failed)
                                    : g_error_new(VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                                                  "the other host gives no reason"));
    return NULL;
}

static void
virChannelClosed(virMigrateChannel *channel, int err, GError **error)
{
    if (channel->input->len > 0)
        (void)virChannelBad(channel->input->str, error);
    else
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    VIR_MIGRATE_CHANNEL_ENDED "%s%s", err ? ": " : "",
                    err ? g_strerror(err) : "");
}

/* FALSE with @error at the end; TRUE otherwise, whether there was something or not. */
static gboolean
virChannelFill(virMigrateChannel *channel, GError **error)
{
    char buffer[4096];
    ssize_t n = read(channel->inFd, buffer, sizeof(buffer));

    if (n > 0)
        g_string_append_len(channel->input, buffer, n);
    else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        virChannelClosed(channel, n < 0 ? errno : 0, error);
        return FALSE;
    }
    if (channel->input->len <= VIR_SPEC_MAX)
        return TRUE;
    g_string_truncate(channel->input, CHANNEL_QUOTE);
    (void)virChannelBad(channel->input->str, error);
    return FALSE;
}

static gboolean
virChannelWait(virMigrateChannel *channel, gint64 deadlineUsec, GCancellable *cancellable,
               GError **error)
{
    GPollFD cancelFd = {.fd = -1};
    gboolean watch = cancellable && g_cancellable_make_pollfd(cancellable, &cancelFd);
    struct pollfd fds[2] = {{.fd = channel->inFd, .events = POLLIN},
                            {.fd = watch ? cancelFd.fd : -1, .events = POLLIN}};
    int n = poll(fds, 2, virPollTimeoutMsec(deadlineUsec));

    if (watch)
        g_cancellable_release_fd(cancellable);
    if (n > 0 && fds[0].revents)
        return virChannelFill(channel, error);
    if (cancellable && g_cancellable_is_cancelled(cancellable))
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED, "cancelled");
    else if (n == 0 && g_get_monotonic_time() >= deadlineUsec)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                    "the other host said nothing in time");
    else
        return TRUE;
    return FALSE;
}

JsonObject *
virMigrateChannelReceive(virMigrateChannel *channel, gint64 deadlineUsec,
                         GCancellable *cancellable, GError **error)
{
    for (;;) {
        const char *end = memchr(channel->input->str, '\n', channel->input->len);
        g_autofree char *line = NULL;

        if (end) {
            line = g_strndup(channel->input->str, (gsize)(end - channel->input->str));
            g_string_erase(channel->input, 0, end + 1 - channel->input->str);
            return virChannelTake(channel, line, error);
        }
        if (!virChannelWait(channel, deadlineUsec, cancellable, error))
            return NULL;
    }
}

gboolean
virMigrateChannelPeerFailed(virMigrateChannel *channel)
{
    return channel->peerFailed;
}
