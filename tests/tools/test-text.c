/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-text.c: what people see: widths, cuts, times, tables.
 */
#include "config.h"

#include "tests/lib/vir_test.h"
#include "tools/tool.h"

#include <glib/gstdio.h>
#include <locale.h>
#include <string.h>
#include <unistd.h>

/* What @print writes to stdout. */
static char *
captureTable(virToolTable *table)
{
    g_autofree char *path = NULL;
    g_autoptr(GError) error = NULL;
    char *text = NULL;
    int saved = dup(STDOUT_FILENO);
    int fd = g_file_open_tmp(NULL, &path, &error);

    virAssertNoError(error);
    fflush(stdout);
    g_assert_cmpint(dup2(fd, STDOUT_FILENO), >=, 0);
    virToolTablePrint(table);
    fflush(stdout);
    g_assert_cmpint(dup2(saved, STDOUT_FILENO), >=, 0);
    close(saved);
    close(fd);
    g_file_get_contents(path, &text, NULL, &error);
    virAssertNoError(error);
    g_unlink(path);
    return text;
}

static void
testTableLinesUp(void)
{
    g_autoptr(virToolTable) table = virToolTableNew("~NAME", ">PID", "STATE", NULL);
    g_autofree char *text = NULL;

    virToolTableAdd(table, "web", "7", "running");
    virToolTableAdd(table, "database", "123456", "paused");
    text = captureTable(table);
    g_assert_cmpstr(text, ==,
                    "NAME         PID  STATE\n"
                    "web            7  running\n"
                    "database  123456  paused\n");
}

/* Wide characters take two columns, combining ones none. */
static void
testTableUnicode(void)
{
    g_autoptr(virToolTable) table = virToolTableNew("NAME", "X", NULL);
    g_autofree char *text = NULL;

    virToolTableAdd(table, "漢字", "1");
    virToolTableAdd(table, "e\xcc\x81t", "2");
    virToolTableAdd(table, "abcde", "3");
    text = captureTable(table);
    g_assert_cmpstr(text, ==,
                    "NAME   X\n"
                    "漢字   1\n"
                    "e\xcc\x81t     2\n"
                    "abcde  3\n");
}

static void
testTableEscapes(void)
{
    g_autoptr(virToolTable) table = virToolTableNew("NAME", "X", NULL);
    g_autofree char *text = NULL;

    virToolTableAdd(table, "a\033[31m\nb", "1");
    virToolTableAdd(table, "\xff", NULL);
    text = captureTable(table);
    g_assert_cmpstr(text, ==,
                    "NAME            X\n"
                    "a\\x1b[31m\\x0ab  1\n"
                    "\\xff            -\n");
}

static void
testTableOptionalColumn(void)
{
    g_autoptr(virToolTable) table = virToolTableNew("NAME", "?MESSAGE", NULL);
    g_autofree char *without = NULL;
    g_autoptr(virToolTable) used = virToolTableNew("NAME", "?MESSAGE", NULL);
    g_autofree char *with = NULL;

    virToolTableAdd(table, "web", NULL);
    without = captureTable(table);
    g_assert_cmpstr(without, ==, "NAME\nweb\n");
    virToolTableAdd(used, "web", "late");
    with = captureTable(used);
    g_assert_cmpstr(with, ==, "NAME  MESSAGE\nweb   late\n");
}

static void
testCut(void)
{
    static const struct {
        const char *text;
        guint width;
        const char *cut;
    } cases[] = {
        {"abcdef", 6, "abcdef"}, {"abcdef", 5, "abcd…"}, {"漢字漢", 6, "漢字漢"},
        {"漢字漢", 5, "漢字…"},  {"漢字漢", 4, "漢…"},   {"abc", 1, "…"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *cut = virToolTextCut(cases[i].text, cases[i].width);

        if (virToolIsUtf8())
            g_assert_cmpstr(cut, ==, cases[i].cut);
        g_assert_cmpuint(virToolTextWidth(cut), <=, cases[i].width);
    }
}

static void
testSpan(void)
{
    static const struct {
        gint64 sec;
        const char *text;
    } cases[] = {
        {-1, "an unknown time"}, {0, "0 s"},
        {128, "128 s"},          {599, "599 s"},
        {600, "10 min"},         {7199, "119 min"},
        {7200, "2 h 0 min"},     {172799, "47 h 59 min"},
        {172800, "2 d"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = virToolFormatSpan(cases[i].sec);

        g_assert_cmpstr(text, ==, cases[i].text);
    }
}

static void
testTime(void)
{
    g_autofree char *none = virToolFormatTime(0);
    g_autofree char *old =
        virToolFormatTime(G_GINT64_CONSTANT(1000000000) * G_USEC_PER_SEC);
    g_autofree char *now = virToolFormatTime(g_get_real_time());

    g_assert_cmpstr(none, ==, "-");
    /* TZ is set in main: two hours east of UTC */
    g_assert_cmpstr(old, ==, "2001-09-09 03:46:40");
    g_assert_cmpuint(strlen(now), ==, strlen("03:46:40"));
}

static void
testUtf8(void)
{
    g_autofree char *valid = virToolUtf8("a\nü");
    g_autofree char *broken = virToolUtf8("a\xff\xfe/ü\xc3");

    g_assert_cmpstr(valid, ==, "a\nü");
    g_assert_cmpstr(broken, ==, "a\\xff\\xfe/ü\\xc3");
    g_assert_true(g_utf8_validate(broken, -1, NULL));
}

int
main(int argc, char **argv)
{
    g_setenv("TZ", "TEST-2", TRUE);
    setlocale(LC_CTYPE, "C.UTF-8");
    virTestInit(&argc, &argv);
    g_test_add_func("/tools/table/lines-up", testTableLinesUp);
    g_test_add_func("/tools/table/unicode", testTableUnicode);
    g_test_add_func("/tools/table/escapes", testTableEscapes);
    g_test_add_func("/tools/table/optional-column", testTableOptionalColumn);
    g_test_add_func("/tools/text/cut", testCut);
    g_test_add_func("/tools/text/span", testSpan);
    g_test_add_func("/tools/text/time", testTime);
    g_test_add_func("/tools/text/utf8", testUtf8);
    return g_test_run();
}
