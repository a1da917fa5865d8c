/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * agent.c: the QEMU guest agent's protocol, as far as shutdown and sleep need it.
 *
 * The channel has no sessions: what an earlier client asked may be answered to us. So it
 * begins with guest-sync-delimited: a 0xFF byte makes the agent forget half a command, and
 * its answer, after a 0xFF of its own, carries our number. guest-shutdown and guest-suspend-*
 * are answered only when they fail. The guest is not trusted: what it sends is bounded in size and time.
 */
#include "agent.h"
#include "codec.h"
#include "common/fd.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define AGENT_LINE_MAX (64 * 1024)
#define AGENT_NAP_USEC (G_USEC_PER_SEC / 20)

/* The next line, or NULL: nothing by the deadline, the end, or far too much. */
static char *
virAgentReadLine(int fd, gint64 deadlineUsec)
{
    g_autoptr(GString) line = g_string_new(NULL);

    while (line->len < AGENT_LINE_MAX) {
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        char byte = 0;
        int n = poll(&poller, 1, virPollTimeoutMsec(deadlineUsec));

        if (n == 0 && g_get_monotonic_time() >= deadlineUsec)
            return NULL;
        if (n <= 0)
            continue;
        if (recv(fd, &byte, 1, MSG_DONTWAIT) <= 0)
            return NULL;
        if (byte == '\n')
            return g_string_free(g_steal_pointer(&line), FALSE);
        if ((guchar)byte == 0xff) /* all before it belongs to somebody else */
            g_string_truncate(line, 0);
        else
            g_string_append_c(line, byte);
    }
    return NULL;
}

static gboolean
virAgentSync(int fd, gint64 deadlineUsec)
{
    gint64 id = g_random_int_range(1, G_MAXINT32);
    g_autofree char *text = g_strdup_printf(
        "\xff{\"execute\": \"guest-sync-delimited\", \"arguments\": {\"id\": "
        "%" G_GINT64_FORMAT "}}\n",
        id);
    char *line = NULL;

    if (virFdWriteFull(fd, text, strlen(text)) != 0)
        return FALSE;
    while ((line = virAgentReadLine(fd, deadlineUsec))) {
        g_autofree char *owned = line;
        g_autoptr(JsonObject) answer = virDomainLockJsonParse(owned, -1, NULL);

        if (answer && virDomainLockJsonInt(answer, "return", 0) == id)
            return TRUE;
    }
    return FALSE;
}

/* In short naps, so that a guest that followed is noticed: it may sleep by now, and its agent
 * with it. */
static gboolean
virAgentRefused(int fd, const virAgentRequest *request, GError **error)
{
    gint64 end = g_get_monotonic_time() + request->refusalUsec;
    g_autofree char *line = NULL;
    g_autoptr(JsonObject) answer = NULL;
    JsonObject *why = NULL;
    const char *text = NULL;

    while (!line && g_get_monotonic_time() < end &&
           !(request->done && request->done(request->data)))
        line = virAgentReadLine(fd, MIN(end, g_get_monotonic_time() + AGENT_NAP_USEC));
    answer = line ? virDomainLockJsonParse(line, -1, NULL) : NULL;
    why = virDomainLockJsonObject(answer, "error");
    text = virDomainLockJsonString(why, "desc");
    if (why)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "the guest agent refuses: %s", text ? text : "it gives no reason");
    return why != NULL;
}

static char *
virAgentCommand(const virAgentRequest *request)
{
    if (!request->mode)
        return g_strdup_printf("{\"execute\": \"%s\"}\n", request->command);
    return g_strdup_printf("{\"execute\": \"%s\", \"arguments\": {\"mode\": \"%s\"}}\n",
                           request->command, request->mode);
}

gboolean
virAgentAsk(const virAgentRequest *request, GError **error)
{
    g_autofree char *command = virAgentCommand(request);
    g_auto(virFd) fd = virUnixConnect(request->path, SOCK_STREAM, error);

    if (fd < 0) {
        g_prefix_error(error, "cannot reach the guest agent's channel: ");
        return FALSE;
    }
    if (!virAgentSync(fd, request->syncUsec)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "no guest agent answers: is qemu-guest-agent running in the guest?");
        return FALSE;
    }
    if (virFdWriteFull(fd, command, strlen(command)) != 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "the guest agent's channel broke");
        return FALSE;
    }
    return !virAgentRefused(fd, request, error);
}
