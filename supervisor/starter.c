/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * starter.c: the line to the process that asked for this guest.
 */
#include "supervisor/starter.h"
#include "common/fd.h"
#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define SAY_USEC G_USEC_PER_SEC

struct _virSupervisorStarter {
    int fd;
    GString *input;
    guint source;
    GCancellable *cancellable;
};

virSupervisorStarter *
virSupervisorStarterNew(int fd)
{
    virSupervisorStarter *starter = g_new0(virSupervisorStarter, 1);

    starter->fd = fd;
    starter->input = g_string_new(NULL);
    (void)virFdSetCloexec(fd, TRUE);
    return starter;
}

void
virSupervisorStarterFree(virSupervisorStarter *starter)
{
    if (!starter)
        return;
    if (starter->source)
        g_source_remove(starter->source);
    g_clear_object(&starter->cancellable);
    g_string_free(starter->input, TRUE);
    virFdClose(starter->fd);
    g_free(starter);
}

/* TRUE while there may be more. */
static gboolean
virStarterFill(virSupervisorStarter *starter, int flags)
{
    char buffer[4096];
    ssize_t n;

    do {
        n = recv(starter->fd, buffer, sizeof(buffer), flags);
    } while (n < 0 && errno == EINTR);
    if (n > 0)
        g_string_append_len(starter->input, buffer, n);
    return n > 0 && starter->input->len <= VIR_SPEC_MAX;
}

static char *
virStarterTakeLine(virSupervisorStarter *starter)
{
    const char *end = memchr(starter->input->str, '\n', starter->input->len);
    char *line = NULL;

    if (!end)
        return NULL;
    line = g_strndup(starter->input->str, (gsize)(end - starter->input->str));
    g_string_erase(starter->input, 0, end + 1 - starter->input->str);
    return line;
}

virDomainLockSpec *
virSupervisorStarterReadSpec(virSupervisorStarter *starter, GError **error)
{
    g_autofree char *line = NULL;
    g_autoptr(JsonObject) object = NULL;

    while (!(line = virStarterTakeLine(starter))) {
        if (!virStarterFill(starter, 0)) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED,
                        "the starter went away before it said what to start");
            return NULL;
        }
    }
    object = virDomainLockJsonParse(line, -1, error);
    return object ? virDomainLockSpecFromJson(object, error) : NULL;
}

static gboolean
virStarterReadable(gint fd, GIOCondition condition, gpointer data)
{
    virSupervisorStarter *starter = data;
    gboolean more = virStarterFill(starter, MSG_DONTWAIT);
    char *line = NULL;

    while ((line = virStarterTakeLine(starter))) {
        g_autofree char *text = line;
        g_autoptr(JsonObject) object = virDomainLockJsonParse(text, -1, NULL);

        if (object && json_object_has_member(object, "cancel"))
            g_cancellable_cancel(starter->cancellable);
    }
    if (more)
        return G_SOURCE_CONTINUE;
    starter->source = 0;
    return G_SOURCE_REMOVE;
}

void
virSupervisorStarterWatch(virSupervisorStarter *starter, GCancellable *cancellable)
{
    starter->cancellable = g_object_ref(cancellable);
    starter->source =
        g_unix_fd_add(starter->fd, G_IO_IN | G_IO_HUP, virStarterReadable, starter);
}

/* What fits into the socket's buffer goes at once; only the description of a guest with some
 * hundred disks does not, and for it a starter gets a moment to read. */
static void
virStarterSend(virSupervisorStarter *starter, const char *line, gsize len)
{
    gint64 end = g_get_monotonic_time() + SAY_USEC;

    while (len > 0) {
        struct pollfd poller = {.fd = starter->fd, .events = POLLOUT};
        ssize_t n = send(starter->fd, line, len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0) {
            line += n;
            len -= (gsize)n;
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR) ||
                   poll(&poller, 1, virPollTimeoutMsec(end)) == 0) {
            return; /* a starter that is gone or does not read changes nothing here */
        }
    }
}

static void
virStarterSay(virSupervisorStarter *starter, const char *key, JsonObject *value)
{
    g_autoptr(JsonObject) object = json_object_new();
    g_autofree char *line = NULL;

    json_object_set_object_member(object, key, value);
    line = virDomainLockJsonLine(object);
    virStarterSend(starter, line, strlen(line));
}

void
virSupervisorStarterProgress(virSupervisorStarter *starter,
                             const virLockProgress *progress)
{
    virStarterSay(starter, "progress", virDomainLockProgressToJson(progress));
}

void
virSupervisorStarterReady(virSupervisorStarter *starter, const virDomainLockInfo *info)
{
    JsonObject *value = json_object_new();

    virDomainLockInfoToJson(info, value);
    virStarterSay(starter, "ready", value);
}

void
virSupervisorStarterFail(virSupervisorStarter *starter, const GError *error)
{
    virStarterSay(starter, "error", virDomainLockErrorToJson(error));
}
