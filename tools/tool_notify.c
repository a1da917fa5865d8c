/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tool_notify.c: sd_notify(3), spoken by hand: one datagram of lines to the socket that the
 * service manager named in NOTIFY_SOCKET.
 */
#include "config.h"

#include "common/text.h"
#include "tools/tool.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void
virToolNotifyBegin(virTool *tool)
{
    g_free(tool->notifySocket);
    tool->notifySocket = g_strdup(g_getenv("NOTIFY_SOCKET"));
    g_unsetenv("NOTIFY_SOCKET");
}

/* "/path", or "@name" in the abstract namespace. 0: neither, or too long. */
static socklen_t
virToolNotifyAddress(const char *name, struct sockaddr_un *addr)
{
    gsize len = strlen(name);

    memset(addr, 0, sizeof(*addr));
    addr->sun_family = AF_UNIX;
    if ((name[0] != '/' && name[0] != '@') || len >= sizeof(addr->sun_path))
        return 0;
    memcpy(addr->sun_path, name, len);
    if (name[0] == '@')
        addr->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static int
virToolNotifySend(const char *name, const char *text)
{
    struct sockaddr_un addr;
    socklen_t len = virToolNotifyAddress(name, &addr);
    int rc = 0;
    int fd;

    if (len == 0)
        return EAFNOSUPPORT;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&addr, len) < 0)
        rc = errno;
    (void)close(fd);
    return rc;
}

void
virToolNotify(virTool *tool, const char *state, const char *format, ...)
{
    g_autofree char *status = NULL;
    g_autofree char *printable = NULL;
    g_autofree char *text = NULL;
    va_list args;
    int rc;

    if (!tool->notifySocket)
        return;
    va_start(args, format);
    status = g_strdup_vprintf(format, args);
    va_end(args);
    /* a line break in it would begin another assignment */
    printable = virTextPrintable(status);
    text = g_strdup_printf("%s\nSTATUS=%s\n", state, printable);
    rc = virToolNotifySend(tool->notifySocket, text);
    if (rc != 0)
        virToolNote(tool, "cannot tell the service manager (NOTIFY_SOCKET=%s): %s",
                    tool->notifySocket, g_strerror(rc));
}
