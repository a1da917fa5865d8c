/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz-control-auth.c: the handshake of the control socket, line by line. Whatever comes, it
 * ends only after an OK, which only root's uid, here 0, was given; each line gets one answer.
 */
#include "supervisor/control_auth.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static gboolean
claimsRoot(const char *line, gsize len)
{
    static const char *const good[] = {"AUTH EXTERNAL 30", "AUTH EXTERNAL ", "DATA 30",
                                       "DATA", "DATA "};

    for (gsize i = 0; i < G_N_ELEMENTS(good); i++)
        if (len == strlen(good[i]) && memcmp(line, good[i], len) == 0)
            return TRUE;
    return FALSE;
}

/* TRUE: goes on. */
static gboolean
feedLine(virControlAuth *auth, const char *line, gsize len, gboolean *isOk)
{
    g_autoptr(GString) reply = g_string_new(NULL);
    virControlAuthResult result = virControlAuthLine(auth, line, len, reply);

    if (result == VIR_CONTROL_AUTH_DONE)
        g_assert(*isOk && reply->len == 0);
    if (result != VIR_CONTROL_AUTH_MORE)
        return FALSE;
    g_assert(g_str_has_suffix(reply->str, "\r\n"));
    g_assert(strchr(reply->str, '\n') == reply->str + reply->len - 1);
    if (g_str_has_prefix(reply->str, "OK ")) {
        g_assert(claimsRoot(line, len));
        *isOk = TRUE;
    } else if (g_str_has_prefix(reply->str, "REJECTED")) {
        *isOk = FALSE;
    }
    return TRUE;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *end = text + size;
    const char *stop = NULL;
    virControlAuth auth;
    gboolean isOk = FALSE;
    guint lines = 0;

    virControlAuthInit(&auth, 0);
    while ((stop = memmem(text, (size_t)(end - text), "\r\n", 2)) &&
           feedLine(&auth, text, (gsize)(stop - text), &isOk)) {
        g_assert(++lines <= VIR_CONTROL_AUTH_LINES_MAX);
        text = stop + 2;
    }
    return 0;
}
