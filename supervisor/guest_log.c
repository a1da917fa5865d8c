/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest_log.c: see guest_log.h. */
#include "supervisor/guest_log.h"
#include "common/fd.h"
#include "common/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL_BYTES 2048
#define TAIL_LINES 4

int
virSupervisorLogOpen(const char *path, GError **error)
{
    /* readable too: the end of it goes into the error of a QEMU that exits at once */
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "cannot open the guest's log '%s': %s", path, g_strerror(errno));
    return fd;
}

void
virSupervisorLogCommand(int fd, const char *file, const char *const *argv)
{
    static const char plainChars[] = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_=,./:+@%";
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *stamp = g_date_time_format_iso8601(now);
    g_autoptr(GString) line = g_string_new(stamp);

    g_string_append_printf(line, " executing %s:", file);
    for (gsize i = 0; argv[i]; i++) {
        gboolean plain = *argv[i] && strspn(argv[i], plainChars) == strlen(argv[i]);
        g_autofree char *quoted = plain ? g_strdup(argv[i]) : g_shell_quote(argv[i]);

        g_string_append_c(line, ' ');
        g_string_append(line, quoted);
    }
    g_string_append_c(line, '\n');
    /* a full disk for the log is no reason not to run the guest */
    (void)virFdWriteFull(fd, line->str, line->len);
}

goffset
virSupervisorLogEnd(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 ? st.st_size : 0;
}

char *
virSupervisorLogTail(int fd, goffset since)
{
    goffset end = virSupervisorLogEnd(fd);
    /* smaller than before: it was emptied (log_limit.h) */
    goffset start = MAX(since <= end ? since : 0, end - TAIL_BYTES);
    char bytes[TAIL_BYTES + 1];
    ssize_t n = pread(fd, bytes, (gsize)CLAMP(end - start, 0, TAIL_BYTES), start);
    g_auto(GStrv) lines = NULL;
    g_autoptr(GString) tail = g_string_new(NULL);
    guint count;

    bytes[MAX(n, 0)] = '\0';
    lines = g_strsplit(g_strchomp(bytes), "\n", -1);
    count = g_strv_length(lines);
    for (guint i = count > TAIL_LINES ? count - TAIL_LINES : 0; i < count; i++) {
        g_autofree char *line = virTextPrintable(g_strchomp(lines[i]));

        if (*line)
            g_string_append_printf(tail, "%s%s", tail->len > 0 ? "; " : "", line);
    }
    return g_string_free(g_steal_pointer(&tail), FALSE);
}
