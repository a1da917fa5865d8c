/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshot_book.c: what a snapshot was of, as a JSON file beside an image (snapshot_book.h).
 */
#include "snapshot_book.h"
#include "common/fd.h"
#include "domain_lock/codec.h"
#include "domain_lock/file.h"
#include "domain_lock/types.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOOK_VERSION 1
#define BOOK_VERSION_KEY "leasehold_snapshots"
#define BOOK_SUFFIX ".snapshots"
/* some thousand descriptions */
#define BOOK_MAX_BYTES (64 * 1024 * 1024)

/* Storage that has not answered by then hangs. */
#define SNAPSHOT_WRITE_SEC 20

/* --- the structures ----------------------------------------------------------------------- */

void
virSnapshotDiskFree(virSnapshotDisk *disk)
{
    if (!disk)
        return;
    g_free(disk->target);
    g_free(disk->path);
    g_free(disk->format);
    g_free(disk->lease);
    g_strfreev(disk->chain);
    virImageSnapshotFree(disk->mark);
    g_free(disk);
}

virSnapshotEntry *
virSnapshotEntryNew(void)
{
    virSnapshotEntry *entry = g_new0(virSnapshotEntry, 1);

    entry->disks = g_ptr_array_new_with_free_func((GDestroyNotify)virSnapshotDiskFree);
    return entry;
}

void
virSnapshotEntryFree(virSnapshotEntry *entry)
{
    if (!entry)
        return;
    g_free(entry->name);
    g_free(entry->description);
    g_free(entry->parent);
    g_free(entry->guestName);
    g_free(entry->guestUuid);
    g_free(entry->hostName);
    g_free(entry->xml);
    g_ptr_array_unref(entry->disks);
    g_free(entry);
}

void
virSnapshotBookFree(virSnapshotBook *book)
{
    if (!book)
        return;
    g_free(book->path);
    g_free(book->image);
    g_free(book->current);
    g_free(book->reverting);
    g_ptr_array_unref(book->entries);
    g_free(book);
}

virSnapshotEntry *
virSnapshotBookFind(const virSnapshotBook *book, const char *name)
{
    for (guint i = 0; i < book->entries->len; i++) {
        virSnapshotEntry *entry = g_ptr_array_index(book->entries, i);

        if (g_str_equal(entry->name, name))
            return entry;
    }
    return NULL;
}

void
virSnapshotBookRemove(virSnapshotBook *book, const char *name)
{
    virSnapshotEntry *gone = virSnapshotBookFind(book, name);
    g_autofree char *old = g_strdup(name); /* @name may be the entry's own */

    if (!gone)
        return;
    for (guint i = 0; i < book->entries->len; i++) {
        virSnapshotEntry *entry = g_ptr_array_index(book->entries, i);

        if (g_strcmp0(entry->parent, old) == 0) {
            g_free(entry->parent);
            entry->parent = g_strdup(gone->parent);
        }
    }
    if (g_strcmp0(book->reverting, old) == 0)
        g_clear_pointer(&book->reverting, g_free);
    if (g_strcmp0(book->current, old) == 0) {
        g_free(book->current);
        book->current = g_strdup(gone->parent);
    }
    g_ptr_array_remove(book->entries, gone);
}

/* --- to JSON ------------------------------------------------------------------------------ */

static JsonObject *
virBookDiskToJson(const virSnapshotDisk *disk)
{
    JsonObject *object = json_object_new();
    JsonArray *chain = json_array_new();

    virDomainLockJsonSetString(object, "target", disk->target);
    virDomainLockJsonSetString(object, "path", disk->path);
    virDomainLockJsonSetString(object, "format", disk->format);
    virDomainLockJsonSetString(object, "lease", disk->lease);
    for (gsize i = 0; disk->chain && disk->chain[i]; i++)
        json_array_add_string_element(chain, disk->chain[i]);
    json_object_set_array_member(object, "backing", chain);
    json_object_set_boolean_member(object, "included", disk->included);
    json_object_set_int_member(object, "epoch", (gint64)disk->epoch);
    if (disk->mark) {
        virDomainLockJsonSetString(object, "id", disk->mark->id);
        json_object_set_int_member(object, "date_sec", disk->mark->dateSec);
        json_object_set_int_member(object, "date_nsec", disk->mark->dateNsec);
        json_object_set_int_member(object, "memory_bytes",
                                   (gint64)disk->mark->memoryBytes);
    }
    return object;
}

static JsonObject *
virBookEntryToJson(const virSnapshotEntry *entry)
{
    JsonObject *object = json_object_new();
    JsonArray *disks = json_array_new();

    virDomainLockJsonSetString(object, "name", entry->name);
    virDomainLockJsonSetString(object, "description", entry->description);
    virDomainLockJsonSetString(object, "parent", entry->parent);
    virDomainLockJsonSetString(object, "guest", entry->guestName);
    virDomainLockJsonSetString(object, "uuid", entry->guestUuid);
    virDomainLockJsonSetString(object, "host", entry->hostName);
    json_object_set_int_member(object, "created_usec", entry->createdUsec);
    virDomainLockJsonSetString(object, "state", virDomainLockStateName(entry->state));
    json_object_set_boolean_member(object, "pending", entry->pending);
    json_object_set_boolean_member(object, "unsafe_cache", entry->unsafeCache);
    for (guint i = 0; i < entry->disks->len; i++)
        json_array_add_object_element(
            disks, virBookDiskToJson(g_ptr_array_index(entry->disks, i)));
    json_object_set_array_member(object, "disks", disks);
    virDomainLockJsonSetString(object, "xml", entry->xml);
    return object;
}

static char *
virBookToText(const virSnapshotBook *book)
{
    g_autoptr(JsonObject) object = json_object_new();
    JsonArray *entries = json_array_new();

    json_object_set_int_member(object, BOOK_VERSION_KEY, BOOK_VERSION);
    virDomainLockJsonSetString(object, "current", book->current);
    virDomainLockJsonSetString(object, "reverting", book->reverting);
    for (guint i = 0; i < book->entries->len; i++)
        json_array_add_object_element(
            entries, virBookEntryToJson(g_ptr_array_index(book->entries, i)));
    json_object_set_array_member(object, "snapshots", entries);
    return virDomainLockJsonLine(object);
}

/* --- from JSON ---------------------------------------------------------------------------- */

static JsonObject *
virBookElement(JsonArray *array, guint i)
{
    JsonNode *node = json_array_get_element(array, i);

    return JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

static GStrv
virBookStrings(JsonArray *array)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonNode *node = json_array_get_element(array, i);
        const char *text =
            JSON_NODE_HOLDS_VALUE(node) ? json_node_get_string(node) : NULL;

        g_strv_builder_add(builder, text ? text : "");
    }
    return g_strv_builder_end(builder);
}

static virImageSnapshot *
virBookMarkFromJson(JsonObject *object, const char *name)
{
    const char *id = virDomainLockJsonString(object, "id");
    virImageSnapshot *mark = NULL;

    if (!id)
        return NULL;
    mark = g_new0(virImageSnapshot, 1);
    mark->id = g_strdup(id);
    mark->name = g_strdup(name);
    mark->dateSec = virDomainLockJsonInt(object, "date_sec", 0);
    mark->dateNsec = (guint)virDomainLockJsonInt(object, "date_nsec", 0);
    mark->memoryBytes = (guint64)virDomainLockJsonInt(object, "memory_bytes", 0);
    return mark;
}

/* NULL: it makes no sense. */
static virSnapshotDisk *
virBookDiskFromJson(JsonObject *object, const char *name)
{
    const char *target = virDomainLockJsonString(object, "target");
    const char *path = virDomainLockJsonString(object, "path");
    const char *lease = virDomainLockJsonString(object, "lease");
    virSnapshotDisk *disk = NULL;

    if (!target || !path || !lease)
        return NULL;
    disk = g_new0(virSnapshotDisk, 1);
    disk->target = g_strdup(target);
    disk->path = g_strdup(path);
    disk->format = g_strdup(virDomainLockJsonString(object, "format"));
    disk->lease = g_strdup(lease);
    disk->chain = virBookStrings(virDomainLockJsonArray(object, "backing"));
    disk->included = virDomainLockJsonBool(object, "included");
    disk->epoch = (guint64)virDomainLockJsonInt(object, "epoch", 0);
    disk->mark = virBookMarkFromJson(object, name);
    return disk;
}

static gboolean
virBookDisksFromJson(virSnapshotEntry *entry, JsonArray *array)
{
    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonObject *object = virBookElement(array, i);
        virSnapshotDisk *disk = object ? virBookDiskFromJson(object, entry->name) : NULL;

        if (!disk)
            return FALSE;
        g_ptr_array_add(entry->disks, disk);
    }
    return entry->disks->len > 0;
}

/* NULL: it makes no sense. */
static virSnapshotEntry *
virBookEntryFromJson(JsonObject *object)
{
    g_autoptr(virSnapshotEntry) entry = virSnapshotEntryNew();
    const char *state = virDomainLockJsonString(object, "state");

    entry->name = g_strdup(virDomainLockJsonString(object, "name"));
    entry->description = g_strdup(virDomainLockJsonString(object, "description"));
    entry->parent = g_strdup(virDomainLockJsonString(object, "parent"));
    entry->guestName = g_strdup(virDomainLockJsonString(object, "guest"));
    entry->guestUuid = g_strdup(virDomainLockJsonString(object, "uuid"));
    entry->hostName = g_strdup(virDomainLockJsonString(object, "host"));
    entry->xml = g_strdup(virDomainLockJsonString(object, "xml"));
    entry->createdUsec = virDomainLockJsonInt(object, "created_usec", 0);
    entry->pending = virDomainLockJsonBool(object, "pending");
    entry->unsafeCache = virDomainLockJsonBool(object, "unsafe_cache");
    if (!entry->name || !entry->guestUuid || !entry->xml ||
        !virDomainLockStateFromName(state, &entry->state) ||
        !virBookDisksFromJson(entry, virDomainLockJsonArray(object, "disks")))
        return NULL;
    return g_steal_pointer(&entry);
}

gboolean
virSnapshotBookParse(virSnapshotBook *book, const char *text, GError **error)
{
    g_autoptr(JsonObject) object = virDomainLockJsonParse(text, -1, NULL);
    gint64 version = virDomainLockJsonInt(object, BOOK_VERSION_KEY, 0);
    JsonArray *array = virDomainLockJsonArray(object, "snapshots");

    if (version > BOOK_VERSION) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "'%s' is of version %" G_GINT64_FORMAT ", and this one knows %d",
                    book->path, version, BOOK_VERSION);
        return FALSE;
    }
    book->current = g_strdup(virDomainLockJsonString(object, "current"));
    book->reverting = g_strdup(virDomainLockJsonString(object, "reverting"));
    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonObject *element = virBookElement(array, i);
        virSnapshotEntry *entry = element ? virBookEntryFromJson(element) : NULL;

        if (!entry || virSnapshotBookFind(book, entry->name)) {
            virSnapshotEntryFree(entry);
            array = NULL;
            break;
        }
        g_ptr_array_add(book->entries, entry);
    }
    if (version == BOOK_VERSION && array)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "'%s' is damaged: it is no list of snapshots; move it away, and the "
                "snapshots are there without what they were of",
                book->path);
    return FALSE;
}

/* --- the file ----------------------------------------------------------------------------- */

char *
virSnapshotBookPath(const virSnapshotDisk *disk, const char *stateDir)
{
    g_autofree char *file = NULL;
    g_autofree char *real = NULL;
    char *resolved = NULL;

    if (disk->isBlock) {
        file = g_strconcat(disk->lease, ".json", NULL);
        g_strdelimit(file, "/", '_'); /* a device without identity: its path */
        return g_build_filename(stateDir, "snapshots", file, NULL);
    }
    /* two names of one image have one book */
    resolved = realpath(disk->path, NULL);
    real = g_strdup(resolved ? resolved : disk->path);
    free(resolved);
    return g_strconcat(real, BOOK_SUFFIX, NULL);
}

/* NULL without an error: there is no such file. */
static char *
virBookReadFile(const char *path, GError **error)
{
    g_auto(virFd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    g_autofree char *text = NULL;
    struct stat st;
    gsize done = 0;

    if (fd < 0 && errno == ENOENT)
        return NULL;
    if (fd < 0 || fstat(fd, &st) < 0) {
        virFileSetError(error, errno, "cannot read", path);
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || st.st_size > BOOK_MAX_BYTES) {
        virFileSetError(error, S_ISREG(st.st_mode) ? EFBIG : EINVAL, "cannot read", path);
        return NULL;
    }
    text = g_malloc0((gsize)st.st_size + 1);
    while (done < (gsize)st.st_size) {
        ssize_t n = read(fd, text + done, (gsize)st.st_size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            virFileSetError(error, errno, "cannot read", path);
            return NULL;
        }
        if (n == 0)
            break;
        done += (gsize)n;
    }
    return g_steal_pointer(&text);
}

virSnapshotBook *
virSnapshotBookLoad(const virSnapshotDisk *disk, const char *stateDir, GError **error)
{
    g_autoptr(virSnapshotBook) book = g_new0(virSnapshotBook, 1);
    g_autofree char *text = NULL;
    g_autoptr(GError) why = NULL;

    book->entries = g_ptr_array_new_with_free_func((GDestroyNotify)virSnapshotEntryFree);
    book->path = virSnapshotBookPath(disk, stateDir);
    book->image = g_strdup(disk->path);
    text = virBookReadFile(book->path, &why);
    if (why) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    if (text && !virSnapshotBookParse(book, text, error))
        return NULL;
    return g_steal_pointer(&book);
}

gboolean
virSnapshotBookSave(const virSnapshotBook *book, GError **error)
{
    gboolean any = book->entries->len > 0 || book->reverting;
    g_autofree char *text = any ? virBookToText(book) : NULL;

    return virSnapshotBookWrite(book->path, book->image, text, SNAPSHOT_WRITE_SEC, error);
}
