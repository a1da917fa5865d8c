/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * archive.c: what outlives a guest: history, last state, log.
 *
 * A history line is appended with one write to a file opened with O_APPEND, so that several
 * writers (a supervisor that ends, a command that finds one dead) never mix their lines.
 */
#include "archive.h"
#include "common/fd.h"
#include "domain_lock/codec.h"
#include "domain_lock/file.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- history ----------------------------------------------------------------------------- */

char *
virArchiveHistoryDir(const char *stateDir)
{
    return g_build_filename(stateDir, "history", NULL);
}

static gboolean
virArchiveTrim(const char *path, GError **error)
{
    g_autofree char *text = NULL;
    const char *keep = NULL;
    gsize len = 0;

    if (!g_file_get_contents(path, &text, &len, NULL)) {
        virFileSetError(error, errno, "cannot read", path);
        return FALSE;
    }
    keep = memchr(text + len / 2, '\n', len - len / 2);
    return virFileReplace(path, keep ? keep + 1 : "", error);
}

gboolean
virArchiveAddEvent(const char *stateDir, const virDomainLockEvent *event, GError **error)
{
    g_autofree char *dir = virArchiveHistoryDir(stateDir);
    g_autofree char *file = g_strconcat(event->uuid, ".jsonl", NULL);
    g_autofree char *path = g_build_filename(dir, file, NULL);
    g_autoptr(JsonObject) object = virDomainLockEventToJson(event);
    g_autofree char *line = virDomainLockJsonLine(object);
    g_auto(virFd) fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    struct stat st;
    int err = 0;

    if (fd < 0 && errno == ENOENT) {
        if (!virFileMakeDirs(stateDir, 0755, error) || !virFileMakeDirs(dir, 0755, error))
            return FALSE;
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    }
    if (fd < 0) {
        virFileSetError(error, errno, "cannot open", path);
        return FALSE;
    }
    err = virFdWriteFull(fd, line, strlen(line));
    if (err != 0) {
        virFileSetError(error, err, "cannot write", path);
        return FALSE;
    }
    if (fstat(fd, &st) == 0 && st.st_size > VIR_ARCHIVE_HISTORY_MAX)
        return virArchiveTrim(path, error);
    return TRUE;
}

gboolean
virArchiveReadEvents(const char *path, GPtrArray *events, GError **error)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        virFileSetError(error, errno, "cannot read", path);
        return FALSE;
    }
    lines = g_strsplit(text, "\n", -1);
    for (gsize i = 0; lines[i]; i++) {
        g_autoptr(JsonObject) object =
            *lines[i] ? virDomainLockJsonParse(lines[i], -1, NULL) : NULL;

        if (object)
            g_ptr_array_add(events, virDomainLockEventFromJson(object));
    }
    return TRUE;
}

/* --- last state -------------------------------------------------------------------------- */

static char *
virArchivePath(const char *stateDir, const char *uuid, const char *suffix)
{
    g_autofree char *file = g_strconcat(uuid, suffix, NULL);

    return g_build_filename(stateDir, "guests", file, NULL);
}

gboolean
virArchiveSaveInfo(const char *stateDir, const virDomainLockInfo *info, GError **error)
{
    g_autofree char *dir = g_build_filename(stateDir, "guests", NULL);
    g_autofree char *path = virArchivePath(stateDir, info->uuid, ".json");
    g_autoptr(JsonObject) object = json_object_new();
    g_autofree char *text = NULL;

    if (!virFileMakeDirs(stateDir, 0755, error) || !virFileMakeDirs(dir, 0755, error))
        return FALSE;
    json_object_set_int_member(object, "version", 1);
    virDomainLockInfoToJson(info, object);
    text = virDomainLockJsonLine(object);
    return virFileReplace(path, text, error);
}

virDomainLockInfo *
virArchiveLoadInfo(const char *stateDir, const char *uuid)
{
    g_autofree char *path = virArchivePath(stateDir, uuid, ".json");
    g_autofree char *text = NULL;
    g_autoptr(JsonObject) object = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return NULL;
    object = virDomainLockJsonParse(text, -1, NULL);
    return object ? virDomainLockInfoFromJson(object) : NULL;
}

gboolean
virArchiveSaveDescription(const char *stateDir, const char *uuid, const char *xml,
                          GError **error)
{
    g_autofree char *path = virArchivePath(stateDir, uuid, ".xml");

    return virFileReplace(path, xml, error);
}

char *
virArchiveLoadDescription(const char *stateDir, const char *uuid)
{
    g_autofree char *path = virArchivePath(stateDir, uuid, ".xml");
    char *xml = NULL;

    (void)g_file_get_contents(path, &xml, NULL, NULL);
    return xml;
}

GPtrArray *
virArchiveListUuids(const char *stateDir)
{
    g_autofree char *path = g_build_filename(stateDir, "guests", NULL);
    GPtrArray *uuids = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name = NULL;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *uuid = g_strndup(name, MIN(strlen(name), 36));

        if (g_str_has_suffix(name, ".json") && g_uuid_string_is_valid(uuid))
            g_ptr_array_add(uuids, g_steal_pointer(&uuid));
    }
    return uuids;
}

/* --- log --------------------------------------------------------------------------------- */

char *
virArchiveLogPath(const char *stateDir, const char *name, const char *uuid)
{
    g_autofree char *file = g_strdup_printf("%.100s-%s.log", name, uuid);

    g_strcanon(file, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._-", '_');
    if (*file == '.')
        *file = '_';
    return g_build_filename(stateDir, "log", file, NULL);
}

int
virArchiveOpenLog(const char *path, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *stateDir = g_path_get_dirname(dir);
    int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    int fd = open(path, flags, 0600);

    if (fd < 0 && errno == ENOENT) {
        if (!virFileMakeDirs(stateDir, 0755, error) || !virFileMakeDirs(dir, 0700, error))
            return -1;
        fd = open(path, flags, 0600);
    }
    if (fd < 0)
        virFileSetError(error, errno, "cannot open the log", path);
    return fd;
}
