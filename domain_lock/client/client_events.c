/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client_events.c: the history of guests, and following it.
 *
 * Every supervisor appends each event to the history file of its guest, so whoever watches
 * that folder (one inotify descriptor for all guests) sees everything, also of guests that
 * start later, and wakes no supervisor.
 */
#include "client.h"
#include "common/fd.h"
#include "domain_lock/codec.h"
#include "domain_lock/file.h"
#include "domain_lock/save/archive.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *
virEventsStateDir(virLockConfig *config)
{
    return virLockConfigGet(config, "host", "state_dir");
}

static char *
virEventsFile(const char *uuid)
{
    return g_strconcat(uuid, ".jsonl", NULL);
}

/* --- history ------------------------------------------------------------------------ */

static gint
virEventsCompare(gconstpointer a, gconstpointer b)
{
    const virDomainLockEvent *first = *(virDomainLockEvent *const *)a;
    const virDomainLockEvent *second = *(virDomainLockEvent *const *)b;

    return first->timeUsec < second->timeUsec ? -1 : first->timeUsec > second->timeUsec;
}

static gboolean
virEventsReadAll(const char *dirPath, GPtrArray *events, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(dirPath, 0, NULL);
    const char *name = NULL;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(dirPath, name, NULL);

        if (g_str_has_suffix(name, ".jsonl") &&
            !virArchiveReadEvents(path, events, error))
            return FALSE;
    }
    return TRUE;
}

/* The uuid that a name means; a uuid that is not known any more may still have a history. */
static char *
virEventsUuid(virLockConfig *config, const char *nameOrUuid, GError **error)
{
    g_autoptr(virDomainLock) dom = NULL;

    if (g_uuid_string_is_valid(nameOrUuid))
        return g_ascii_strdown(nameOrUuid, -1);
    dom = virDomainLockLookup(config, nameOrUuid, error);
    return dom ? g_strdup(dom->uuid) : NULL;
}

GPtrArray *
virDomainLockGetHistory(virLockConfig *config, const char *nameOrUuid, GError **error)
{
    g_autoptr(GPtrArray) events =
        g_ptr_array_new_with_free_func((GDestroyNotify)virDomainLockEventFree);
    g_autofree char *dir = virArchiveHistoryDir(virEventsStateDir(config));
    g_autofree char *uuid = NULL;
    g_autofree char *file = NULL;
    g_autofree char *path = NULL;

    if (!nameOrUuid) {
        if (!virEventsReadAll(dir, events, error))
            return NULL;
        g_ptr_array_sort(events, virEventsCompare);
        return g_steal_pointer(&events);
    }
    uuid = virEventsUuid(config, nameOrUuid, error);
    if (!uuid)
        return NULL;
    file = virEventsFile(uuid);
    path = g_build_filename(dir, file, NULL);
    if (g_file_test(path, G_FILE_TEST_EXISTS) &&
        !virArchiveReadEvents(path, events, error))
        return NULL;
    return g_steal_pointer(&events);
}

/* --- following ---------------------------------------------------------------------- */

/* How far one history file was told. */
typedef struct {
    guint64 offset;
    gint64
        lastUsec; /* time of the last event: an offset means nothing in a file that was cut */
} virEventsMark;

typedef struct {
    GSource source;
    int fd; /* inotify */
    char *dir;
    char *onlyFile;    /* or NULL: all guests */
    GHashTable *marks; /* file name -> virEventsMark */
    virDomainLockEventFunc func;
    gpointer data;
} virEventsSource;

static virEventsMark *
virEventsMarkOf(virEventsSource *self, const char *file)
{
    virEventsMark *mark = g_hash_table_lookup(self->marks, file);

    if (!mark) {
        mark = g_new0(virEventsMark, 1);
        g_hash_table_insert(self->marks, g_strdup(file), mark);
    }
    return mark;
}

static void
virEventsTellLines(virEventsSource *self, virEventsMark *mark, const char *text,
                   gboolean wasCut)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (gsize i = 0; lines[i] && !g_source_is_destroyed(&self->source); i++) {
        g_autoptr(JsonObject) object =
            *lines[i] ? virDomainLockJsonParse(lines[i], -1, NULL) : NULL;
        g_autoptr(virDomainLockEvent) event =
            object ? virDomainLockEventFromJson(object) : NULL;

        if (!event || !event->event || (wasCut && event->timeUsec <= mark->lastUsec))
            continue;
        mark->lastUsec = event->timeUsec;
        self->func(event, self->data);
    }
}

/* What was appended since, up to the last whole line. */
static void
virEventsReadNew(virEventsSource *self, const char *file)
{
    g_autofree char *path = g_build_filename(self->dir, file, NULL);
    g_auto(virFd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    virEventsMark *mark = virEventsMarkOf(self, file);
    g_autofree char *text = NULL;
    gboolean wasCut = FALSE;
    struct stat st;
    ssize_t n = 0;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    wasCut = (guint64)st.st_size < mark->offset;
    if (wasCut)
        mark->offset = 0;
    text = g_malloc((gsize)((guint64)st.st_size - mark->offset) + 1);
    n = pread(fd, text, (gsize)((guint64)st.st_size - mark->offset), (off_t)mark->offset);
    while (n > 0 && text[n - 1] != '\n')
        n--;
    if (n <= 0)
        return;
    text[n] = '\0';
    mark->offset += (guint64)n;
    virEventsTellLines(self, mark, text, wasCut);
}

static gboolean
virEventsDispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    virEventsSource *self = (virEventsSource *)source;
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n = 0;

    while ((n = read(self->fd, buffer, sizeof(buffer))) > 0) {
        for (char *at = buffer; at < buffer + n && !g_source_is_destroyed(source);) {
            const struct inotify_event *event =
                (const struct inotify_event *)(gpointer)at;
            gboolean wanted =
                event->len > 0 && g_str_has_suffix(event->name, ".jsonl") &&
                (!self->onlyFile || g_str_equal(self->onlyFile, event->name));

            if (wanted)
                virEventsReadNew(self, event->name);
            at += sizeof(*event) + event->len;
        }
    }
    return G_SOURCE_CONTINUE;
}

static void
virEventsFinalize(GSource *source)
{
    virEventsSource *self = (virEventsSource *)source;

    virFdClose(self->fd);
    g_free(self->dir);
    g_free(self->onlyFile);
    g_hash_table_unref(self->marks);
}

static GSourceFuncs virEventsFuncs = {
    .dispatch = virEventsDispatch,
    .finalize = virEventsFinalize,
};

/* What is there already is history, not news. */
static void
virEventsSkipPast(virEventsSource *self)
{
    g_autoptr(GDir) dir = g_dir_open(self->dir, 0, NULL);
    const char *name = NULL;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(self->dir, name, NULL);
        virEventsMark *mark = NULL;
        struct stat st;

        if (!g_str_has_suffix(name, ".jsonl") || stat(path, &st) < 0)
            continue;
        mark = virEventsMarkOf(self, name);
        mark->offset = (guint64)st.st_size;
        mark->lastUsec = g_get_real_time();
    }
}

GSource *
virDomainLockWatchEvents(virLockConfig *config, const char *nameOrUuid,
                         virDomainLockEventFunc func, gpointer data, GError **error)
{
    const char *stateDir = virEventsStateDir(config);
    g_autofree char *dir = virArchiveHistoryDir(stateDir);
    g_autofree char *uuid = nameOrUuid ? virEventsUuid(config, nameOrUuid, error) : NULL;
    g_auto(virFd) fd = -1;
    virEventsSource *self = NULL;

    if (nameOrUuid && !uuid)
        return NULL;
    if (!virFileMakeDirs(stateDir, 0755, error) || !virFileMakeDirs(dir, 0755, error))
        return NULL;
    fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0 || inotify_add_watch(fd, dir, IN_MODIFY | IN_MOVED_TO | IN_ONLYDIR) < 0) {
        virFileSetError(error, errno, "cannot watch", dir);
        return NULL;
    }
    self = (virEventsSource *)g_source_new(&virEventsFuncs, sizeof(virEventsSource));
    self->fd = g_steal_fd(&fd);
    self->dir = g_steal_pointer(&dir);
    self->onlyFile = uuid ? virEventsFile(uuid) : NULL;
    self->marks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    self->func = func;
    self->data = data;
    virEventsSkipPast(self);
    g_source_add_unix_fd(&self->source, self->fd, G_IO_IN);
    g_source_attach(&self->source, g_main_context_get_thread_default());
    return &self->source;
}
