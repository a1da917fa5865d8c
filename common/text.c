/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * text.c: see text.h. A file name may hold a newline, an escape sequence or half a UTF-8
 * character; printed as it is, it could forge a log line or repaint a terminal.
 */
#include "config.h"
#include "common/text.h"

#include <string.h>

/* Printable and not one of those that only change how its neighbours look (bidirectional
 * overrides, zero-width characters, line and paragraph separators). */
static gboolean
virTextIsPlain(gunichar c)
{
    static const GUnicodeType hidden[] = {
        G_UNICODE_CONTROL,     G_UNICODE_FORMAT,         G_UNICODE_UNASSIGNED,
        G_UNICODE_PRIVATE_USE, G_UNICODE_LINE_SEPARATOR, G_UNICODE_PARAGRAPH_SEPARATOR,
    };

    for (gsize i = 0; i < G_N_ELEMENTS(hidden); i++)
        if (g_unichar_type(c) == hidden[i])
            return FALSE;
    return TRUE;
}

char *
virTextPrintable(const char *text)
{
    GString *out;
    const char *end;

    if (!text)
        return g_strdup("(none)");
    out = g_string_new(NULL);
    end = text + strlen(text);
    while (text < end) {
        gunichar c = g_utf8_get_char_validated(text, end - text);
        gboolean valid = c != (gunichar)-1 && c != (gunichar)-2;
        gsize len = valid ? (gsize)(g_utf8_next_char(text) - text) : 1;

        if (valid && virTextIsPlain(c))
            g_string_append_len(out, text, len);
        else
            for (gsize i = 0; i < len; i++)
                g_string_append_printf(out, "\\x%02x", (guchar)text[i]);
        text += len;
    }
    return g_string_free(out, FALSE);
}

guint
virTextDistance(const char *a, const char *b)
{
    gsize lengthB = strlen(b);
    g_autofree guint *row = g_new(guint, lengthB + 1);

    for (gsize j = 0; j <= lengthB; j++)
        row[j] = j;
    for (gsize i = 0; a[i]; i++) {
        guint diagonal = row[0];

        row[0] = i + 1;
        for (gsize j = 1; j <= lengthB; j++) {
            guint replaced = diagonal + (a[i] != b[j - 1]);

            diagonal = row[j];
            row[j] = MIN(MIN(row[j], row[j - 1]) + 1, replaced);
        }
    }
    return row[lengthB];
}

const char *
virTextNearest(const char *word, const char *const *candidates)
{
    const char *best = NULL;
    guint bestDistance = G_MAXUINT;

    for (; *candidates; candidates++) {
        guint distance = virTextDistance(word, *candidates);

        if (distance < bestDistance) {
            best = *candidates;
            bestDistance = distance;
        }
    }
    return best;
}

gboolean
virTextNestsDeeper(const char *text, gssize len, guint depth)
{
    const char *end = text + (len < 0 ? strlen(text) : (gsize)len);
    gboolean quoted = FALSE;
    guint open = 0;

    for (; text < end; text++) {
        if (quoted && *text == '\\')
            text++;
        else if (*text == '"')
            quoted = !quoted;
        else if (!quoted && (*text == '[' || *text == '{') && ++open > depth)
            return TRUE;
        else if (!quoted && (*text == ']' || *text == '}') && open > 0)
            open--;
    }
    return FALSE;
}
