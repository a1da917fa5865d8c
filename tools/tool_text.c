/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tool_text.c: text for a terminal: width, colours, times.
 *
 * Names and paths come from files that others wrote. A control character in one could move
 * the cursor or retitle the terminal, a bidi control could make a path read as another one:
 * what is printed goes through virTextPrintable first.
 */
#include "config.h"

#include "tools/tool.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *const virToolColours[] = {
    [VIR_TOOL_COLOUR_NONE] = "",           [VIR_TOOL_COLOUR_BOLD] = "\033[1m",
    [VIR_TOOL_COLOUR_RED] = "\033[31m",    [VIR_TOOL_COLOUR_GREEN] = "\033[32m",
    [VIR_TOOL_COLOUR_YELLOW] = "\033[33m", [VIR_TOOL_COLOUR_DIM] = "\033[2m",
};

static gboolean
virToolHasColours(FILE *stream)
{
    const char *noColor = g_getenv("NO_COLOR");
    const char *term = g_getenv("TERM");

    /* no-color.org: present and not empty, whatever its value */
    return !(noColor && *noColor) && term && strcmp(term, "dumb") != 0 &&
           isatty(fileno(stream));
}

const char *
virToolColourBegin(FILE *stream, virToolColour colour)
{
    return colour != VIR_TOOL_COLOUR_NONE && virToolHasColours(stream)
               ? virToolColours[colour]
               : "";
}

const char *
virToolColourEnd(FILE *stream)
{
    return virToolHasColours(stream) ? "\033[0m" : "";
}

char *
virToolUtf8(const char *text)
{
    GString *out = g_string_sized_new(strlen(text) + 1);
    const char *end = NULL;

    while (!g_utf8_validate(text, -1, &end)) {
        g_string_append_len(out, text, end - text);
        g_string_append_printf(out, "\\x%02x", (guint8)*end);
        text = end + 1;
    }
    g_string_append(out, text);
    return g_string_free(out, FALSE);
}

static guint
virToolCharWidth(gunichar c)
{
    if (g_unichar_iszerowidth(c))
        return 0;
    return g_unichar_iswide(c) ? 2 : 1;
}

guint
virToolTextWidth(const char *text)
{
    guint width = 0;

    for (; *text; text = g_utf8_next_char(text))
        width += virToolCharWidth(g_utf8_get_char(text));
    return width;
}

char *
virToolTextCut(const char *text, guint width)
{
    const char *ellipsis = virToolIsUtf8() ? "\xe2\x80\xa6" : "~"; /* U+2026 */
    const char *end = text;
    guint used = 0;

    if (virToolTextWidth(text) <= width)
        return g_strdup(text);
    while (used + virToolCharWidth(g_utf8_get_char(end)) < width) {
        used += virToolCharWidth(g_utf8_get_char(end));
        end = g_utf8_next_char(end);
    }
    return g_strdup_printf("%.*s%s", (int)(end - text), text, ellipsis);
}

guint
virToolTerminalWidth(FILE *stream)
{
    struct winsize size = {0};

    if (!isatty(fileno(stream)))
        return 0;
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

gboolean
virToolIsUtf8(void)
{
    return g_get_charset(NULL);
}

char *
virToolFormatTime(gint64 wallUsec)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(wallUsec / G_USEC_PER_SEC);
    g_autoptr(GDateTime) when = utc ? g_date_time_to_local(utc) : NULL;
    gboolean today;

    if (wallUsec == 0 || !when)
        return g_strdup("-");
    today = g_date_time_get_year(now) == g_date_time_get_year(when) &&
            g_date_time_get_day_of_year(now) == g_date_time_get_day_of_year(when);
    return g_date_time_format(when, today ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S");
}

char *
virToolFormatSpan(gint64 sec)
{
    gint64 minutes = sec / 60, hours = minutes / 60;

    if (sec < 0)
        return g_strdup("an unknown time");
    /* seconds as long as they matter: takeover times are 68 s to a few minutes */
    if (sec < 600)
        return g_strdup_printf("%" G_GINT64_FORMAT " s", sec);
    if (minutes < 120)
        return g_strdup_printf("%" G_GINT64_FORMAT " min", minutes);
    if (hours < 48)
        return g_strdup_printf("%" G_GINT64_FORMAT " h %" G_GINT64_FORMAT " min", hours,
                               minutes % 60);
    return g_strdup_printf("%" G_GINT64_FORMAT " d", hours / 24);
}
