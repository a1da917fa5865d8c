/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_auth.c: the handshake of a D-Bus connection, server's side.
 */
#include "supervisor/control_auth.h"
#include <gio/gio.h>
#include <string.h>

void
virControlAuthInit(virControlAuth *auth, uid_t peer)
{
    *auth = (virControlAuth){.peer = peer};
}

/* The claim is the uid in decimal digits, each as two hexadecimal ones; none is none. */
static gboolean
virControlAuthIsPeer(const virControlAuth *auth, const char *claim)
{
    g_autofree char *uid = g_strdup_printf("%u", (guint)auth->peer);
    g_autoptr(GString) hex = g_string_new(NULL);

    for (const char *c = uid; *c; c++)
        g_string_append_printf(hex, "%02x", (guint)*c);
    return *claim == '\0' || g_ascii_strcasecmp(claim, hex->str) == 0;
}

static virControlAuthResult
virControlAuthReject(virControlAuth *auth, GString *reply)
{
    auth->state = VIR_CONTROL_AUTH_WAITS_FOR_AUTH;
    g_string_append(reply, "REJECTED EXTERNAL\r\n");
    return VIR_CONTROL_AUTH_MORE;
}

static virControlAuthResult
virControlAuthClaim(virControlAuth *auth, const char *claim, GString *reply)
{
    g_autofree char *guid = NULL;

    if (!virControlAuthIsPeer(auth, claim))
        return virControlAuthReject(auth, reply);
    guid = g_dbus_generate_guid();
    auth->state = VIR_CONTROL_AUTH_WAITS_FOR_BEGIN;
    g_string_append_printf(reply, "OK %s\r\n", guid);
    return VIR_CONTROL_AUTH_MORE;
}

static virControlAuthResult
virControlAuthStart(virControlAuth *auth, const char *arguments, GString *reply)
{
    const char *mechanism = "EXTERNAL";

    if (g_str_equal(arguments, mechanism)) {
        auth->state = VIR_CONTROL_AUTH_WAITS_FOR_DATA;
        g_string_append(reply, "DATA\r\n");
        return VIR_CONTROL_AUTH_MORE;
    }
    if (g_str_has_prefix(arguments, "EXTERNAL "))
        return virControlAuthClaim(auth, arguments + strlen("EXTERNAL "), reply);
    return virControlAuthReject(auth, reply);
}

static virControlAuthResult
virControlAuthCommand(virControlAuth *auth, const char *command, const char *arguments,
                      GString *reply)
{
    gboolean ready = auth->state == VIR_CONTROL_AUTH_WAITS_FOR_BEGIN;

    if (g_str_equal(command, "BEGIN"))
        return ready ? VIR_CONTROL_AUTH_DONE : VIR_CONTROL_AUTH_FAILED;
    if (g_str_equal(command, "AUTH") && auth->state == VIR_CONTROL_AUTH_WAITS_FOR_AUTH)
        return virControlAuthStart(auth, arguments, reply);
    if (g_str_equal(command, "DATA") && auth->state == VIR_CONTROL_AUTH_WAITS_FOR_DATA)
        return virControlAuthClaim(auth, arguments, reply);
    if (g_str_equal(command, "CANCEL") || g_str_equal(command, "ERROR"))
        return virControlAuthReject(auth, reply);
    if (g_str_equal(command, "NEGOTIATE_UNIX_FD") && ready)
        g_string_append(reply, "ERROR no descriptors are passed here\r\n");
    else
        g_string_append(reply, "ERROR not understood, or not now\r\n");
    return VIR_CONTROL_AUTH_MORE;
}

virControlAuthResult
virControlAuthLine(virControlAuth *auth, const char *line, gsize len, GString *reply)
{
    g_autofree char *text = NULL;
    char *space = NULL;

    if (len > VIR_CONTROL_AUTH_LINE_MAX || ++auth->lines > VIR_CONTROL_AUTH_LINES_MAX ||
        memchr(line, '\0', len))
        return VIR_CONTROL_AUTH_FAILED;
    text = g_strndup(line, len);
    space = strchr(text, ' ');
    if (space)
        *space = '\0';
    return virControlAuthCommand(auth, text, space ? space + 1 : "", reply);
}
