/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * step.c: stops for tests.
 */
#include "step.h"
#include "common/fd.h"
#include <string.h>

int
virStepFd(void)
{
    const char *text = g_getenv("LEASEHOLD_STEP_FD");
    guint64 fd = 0;

    if (!text || !g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT, &fd, NULL))
        return -1;
    return (int)fd;
}

void
virStepStop(const char *sequence, guint number)
{
    g_autofree char *line = NULL;
    char go = 0;
    int fd = virStepFd();

    if (fd < 0)
        return;
    line = g_strdup_printf("%s:%u\n", sequence, number);
    /* A test that went away must not stop a guest: both results only mean "go on". */
    if (virFdWriteFull(fd, line, strlen(line)) == 0)
        (void)virFdReadFull(fd, &go, 1);
}
