/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshot_look.c: which snapshots a guest has: what its images say, and what the books know
 * of that (snapshot_book.h). Reads only, and needs no lease: the answer is of one moment.
 */
#include "common/text.h"
#include "snapshot.h"
#include <string.h>

/* QEMU's structures have room for so much */
#define SNAPSHOT_MAX_NAME 255

/* --- reading ------------------------------------------------------------------------------ */

void
virSnapshotLookFree(virSnapshotLook *look)
{
    if (!look)
        return;
    virLockConfigUnref(look->config);
    g_free(look->guestName);
    g_free(look->guestUuid);
    g_ptr_array_unref(look->disks);
    g_ptr_array_unref(look->images);
    g_ptr_array_unref(look->books);
    g_free(look);
}

/* An image without identity is guarded by a <lease>; its path has to do then. */
static char *
virSnapshotLeaseOf(virLockConfig *config, const char *path)
{
    char *lease =
        virLockManagerResourceName(config, VIR_LOCK_RESOURCE_DISK, path, NULL, NULL);

    return lease ? lease : g_strdup(path);
}

static virSnapshotDisk *
virSnapshotDiskOf(virLockConfig *config, virDomainDef *def, const char *target)
{
    const virImageChain *chain = virDomainDefGetDiskChain(def, target);
    const virDomainResource *resource = virDomainDefFirstOfDisk(def, target);
    const virImage *top = g_ptr_array_index(chain->images, 0);
    g_autoptr(GStrvBuilder) backing = g_strv_builder_new();
    virSnapshotDisk *disk = g_new0(virSnapshotDisk, 1);

    disk->target = g_strdup(target);
    disk->path = g_strdup(top->path);
    disk->format = g_strdup(top->dataFile ? "qcow2 with a data file" : top->format);
    disk->lease = virSnapshotLeaseOf(config, top->path);
    disk->isBlock = top->isBlock;
    disk->included = !(resource->flags & VIR_LOCK_MANAGER_RESOURCE_READONLY);
    disk->shared = (resource->flags & VIR_LOCK_MANAGER_RESOURCE_SHARED) != 0;
    for (guint i = 1; i < chain->images->len; i++) {
        g_autofree char *lease = virSnapshotLeaseOf(
            config, ((const virImage *)g_ptr_array_index(chain->images, i))->path);

        g_strv_builder_add(backing, lease);
    }
    disk->chain = g_strv_builder_end(backing);
    return disk;
}

virSnapshotBook *
virSnapshotBookOf(virLockConfig *config, virDomainDef *def, const char *target,
                  const char *stateDir, GError **error)
{
    const virImageChain *chain = virDomainDefGetDiskChain(def, target);
    const virImage *top = g_ptr_array_index(chain->images, 0);
    /* what the image is on all hosts costs time to find out, and each start comes here */
    g_autofree char *lease = top->isBlock ? virSnapshotLeaseOf(config, top->path) : NULL;
    virSnapshotDisk disk = {.path = top->path, .lease = lease, .isBlock = top->isBlock};

    return virSnapshotBookLoad(&disk, stateDir, error);
}

static gboolean
virSnapshotCanHave(const virSnapshotDisk *disk)
{
    return disk->included && !disk->shared && g_strcmp0(disk->format, "qcow2") == 0;
}

static gboolean
virSnapshotLookAddDisk(virSnapshotLook *look, virDomainDef *def, const char *target,
                       GError **error)
{
    const char *stateDir = virLockConfigGet(look->config, "host", "state_dir");
    virSnapshotDisk *disk = NULL;
    virSnapshotBook *book = NULL;
    GPtrArray *snapshots = NULL;

    if (!virDomainDefGetDiskChain(def, target) &&
        !virDomainDefReadDiskChain(def, target, error))
        return FALSE;
    if (!virDomainDefGetDiskChain(def, target))
        return TRUE; /* no medium */
    disk = virSnapshotDiskOf(look->config, def, target);
    g_ptr_array_add(look->disks, disk);
    snapshots = virSnapshotCanHave(disk) ? virImageSnapshotsRead(disk->path, error)
                                         : g_ptr_array_new();
    if (!snapshots)
        return FALSE;
    g_ptr_array_add(look->images, snapshots);
    if (!virSnapshotCanHave(disk))
        return TRUE;
    book = virSnapshotBookLoad(disk, stateDir, error);
    if (book)
        g_ptr_array_add(look->books, book);
    return book != NULL;
}

virSnapshotLook *
virSnapshotLookAt(virLockConfig *config, virDomainDef *def, GError **error)
{
    g_autoptr(virSnapshotLook) look = g_new0(virSnapshotLook, 1);
    g_auto(GStrv) targets = virDomainDefGetDiskTargets(def);

    look->config = virLockConfigRef(config);
    look->guestName = g_strdup(virDomainDefGetName(def));
    look->guestUuid = g_strdup(virDomainDefGetUuid(def));
    look->disks = g_ptr_array_new_with_free_func((GDestroyNotify)virSnapshotDiskFree);
    look->images = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
    look->books = g_ptr_array_new_with_free_func((GDestroyNotify)virSnapshotBookFree);
    if (virDomainDefIsForeign(def)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "guest '%s' was started with a command line of its own, which does "
                    "not tell what its disks are",
                    look->guestName);
        return NULL;
    }
    for (gsize i = 0; targets[i]; i++)
        if (!virSnapshotLookAddDisk(look, def, targets[i], error))
            return NULL;
    return g_steal_pointer(&look);
}

virSnapshotDisk *
virSnapshotLookDisk(const virSnapshotLook *look, const char *target)
{
    for (guint i = 0; i < look->disks->len; i++) {
        virSnapshotDisk *disk = g_ptr_array_index(look->disks, i);

        if (g_str_equal(disk->target, target))
            return disk;
    }
    return NULL;
}

virSnapshotDisk *
virSnapshotLookLease(const virSnapshotLook *look, const char *lease, guint *index)
{
    for (guint i = 0; i < look->disks->len; i++) {
        virSnapshotDisk *disk = g_ptr_array_index(look->disks, i);

        if (!g_str_equal(disk->lease, lease))
            continue;
        if (index)
            *index = i;
        return disk;
    }
    return NULL;
}

static const virImageSnapshot *
virSnapshotMarkIn(const GPtrArray *snapshots, const char *name, gboolean *several)
{
    const virImageSnapshot *found = NULL;

    *several = FALSE;
    for (guint i = 0; i < snapshots->len; i++) {
        const virImageSnapshot *snapshot = g_ptr_array_index(snapshots, i);

        if (!g_str_equal(snapshot->name, name))
            continue;
        *several |= found != NULL;
        found = snapshot;
    }
    return *several ? NULL : found;
}

const virImageSnapshot *
virSnapshotLookMark(const virSnapshotLook *look, guint index, const char *name,
                    gboolean *several)
{
    gboolean ignored;

    return virSnapshotMarkIn(g_ptr_array_index(look->images, index), name,
                             several ? several : &ignored);
}

virSnapshotBook *
virSnapshotLookBook(const virSnapshotLook *look)
{
    return look->books->len > 0 ? g_ptr_array_index(look->books, 0) : NULL;
}

/* --- one snapshot ---------------------------------------------------------------------------- */

void
virSnapshotFoundFree(virSnapshotFound *found)
{
    if (!found)
        return;
    g_free(found->name);
    g_ptr_array_unref(found->have);
    g_string_free(found->problem, TRUE);
    g_free(found);
}

static void virSnapshotProblem(virSnapshotFound *found, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

static void
virSnapshotProblem(virSnapshotFound *found, const char *format, ...)
{
    va_list args;

    if (found->problem->len > 0)
        g_string_append(found->problem, "; ");
    va_start(args, format);
    g_string_append_vprintf(found->problem, format, args);
    va_end(args);
}

static gboolean
virSnapshotSameMark(const virImageSnapshot *a, const virImageSnapshot *b)
{
    return g_str_equal(a->id, b->id) && a->dateSec == b->dateSec &&
           a->dateNsec == b->dateNsec;
}

static void
virSnapshotHave(virSnapshotFound *found, virSnapshotDisk *disk,
                const virImageSnapshot *mark)
{
    gint64 usec = mark->dateSec * G_USEC_PER_SEC + mark->dateNsec / 1000;

    g_ptr_array_add(found->have, disk);
    found->memoryBytes = MAX(found->memoryBytes, mark->memoryBytes);
    found->dateUsec = MAX(found->dateUsec, usec);
}

/* A disk that the guest does not have any more, and whose image is still where it was. */
static gboolean
virSnapshotHasElsewhere(const virSnapshotLook *look, const virSnapshotDisk *disk)
{
    g_autofree char *lease = virSnapshotLeaseOf(look->config, disk->path);
    g_autoptr(GPtrArray) snapshots = NULL;
    const virImageSnapshot *mark = NULL;
    gboolean several;

    if (!g_str_equal(lease, disk->lease) || !disk->mark)
        return FALSE;
    snapshots = virImageSnapshotsRead(disk->path, NULL);
    mark = snapshots ? virSnapshotMarkIn(snapshots, disk->mark->name, &several) : NULL;
    return mark && virSnapshotSameMark(mark, disk->mark);
}

static void
virSnapshotFindInDisk(const virSnapshotLook *look, virSnapshotFound *found,
                      virSnapshotDisk *disk)
{
    gboolean several = FALSE;
    guint index = 0;
    const virImageSnapshot *mark = NULL;

    if (!virSnapshotLookLease(look, disk->lease, &index)) {
        if (virSnapshotHasElsewhere(look, disk))
            virSnapshotHave(found, disk, disk->mark);
        else
            virSnapshotProblem(found, "disk '%s' (%s) is not there or has it not",
                               disk->target, disk->path);
        return;
    }
    mark = virSnapshotLookMark(look, index, found->name, &several);
    if (several)
        virSnapshotProblem(found, "disk '%s' (%s) has two of this name", disk->target,
                           disk->path);
    else if (mark && (!disk->mark || virSnapshotSameMark(mark, disk->mark)))
        virSnapshotHave(found, g_ptr_array_index(look->disks, index), mark);
    else if (mark)
        virSnapshotProblem(found, "disk '%s' (%s) has another one of this name",
                           disk->target, disk->path);
    else
        virSnapshotProblem(found, "disk '%s' (%s) has it not", disk->target, disk->path);
}

static void
virSnapshotFindByEntry(const virSnapshotLook *look, virSnapshotFound *found)
{
    for (guint i = 0; i < found->entry->disks->len; i++) {
        virSnapshotDisk *disk = g_ptr_array_index(found->entry->disks, i);

        if (disk->included)
            virSnapshotFindInDisk(look, found, disk);
    }
    if (found->entry->pending)
        virSnapshotProblem(found, "it was not completed");
}

/* Made by another program, or the book has gone. */
static void
virSnapshotFindByName(const virSnapshotLook *look, virSnapshotFound *found)
{
    for (guint i = 0; i < look->disks->len; i++) {
        virSnapshotDisk *disk = g_ptr_array_index(look->disks, i);

        if (virSnapshotCanHave(disk))
            virSnapshotFindInDisk(look, found, disk);
    }
    virSnapshotProblem(found, "nothing tells which guest it was of");
}

static void
virSnapshotFindEntry(const virSnapshotLook *look, virSnapshotFound *found)
{
    for (guint i = 0; i < look->books->len && !found->entry; i++) {
        virSnapshotBook *book = g_ptr_array_index(look->books, i);
        virSnapshotEntry *entry = virSnapshotBookFind(book, found->name);

        /* a copy of an image takes the book of another guest along */
        if (!entry || !g_str_equal(entry->guestUuid, look->guestUuid))
            continue;
        found->entry = entry;
        found->book = book;
    }
}

virSnapshotFound *
virSnapshotLookFind(const virSnapshotLook *look, const char *name)
{
    g_autoptr(virSnapshotFound) found = g_new0(virSnapshotFound, 1);

    found->name = g_strdup(name);
    found->have = g_ptr_array_new();
    found->problem = g_string_new(NULL);
    virSnapshotFindEntry(look, found);
    if (found->entry)
        virSnapshotFindByEntry(look, found);
    if (found->have->len == 0) {
        /* none of what the entry says is there: it is of a snapshot that is gone */
        found->entry = NULL;
        found->book = NULL;
        g_string_truncate(found->problem, 0);
        virSnapshotFindByName(look, found);
    }
    return found->have->len > 0 ? g_steal_pointer(&found) : NULL;
}

/* --- all of them ------------------------------------------------------------------------------ */

static void
virSnapshotAddName(GPtrArray *names, const char *name)
{
    if (!g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL))
        g_ptr_array_add(names, g_strdup(name));
}

/* Every name that any image has. */
static GPtrArray *
virSnapshotNames(const virSnapshotLook *look)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < look->books->len; i++) {
        const virSnapshotBook *book = g_ptr_array_index(look->books, i);

        for (guint k = 0; k < book->entries->len; k++)
            virSnapshotAddName(
                names, ((virSnapshotEntry *)g_ptr_array_index(book->entries, k))->name);
    }
    for (guint i = 0; i < look->images->len; i++) {
        const GPtrArray *snapshots = g_ptr_array_index(look->images, i);

        for (guint k = 0; k < snapshots->len; k++)
            virSnapshotAddName(
                names, ((virImageSnapshot *)g_ptr_array_index(snapshots, k))->name);
    }
    return names;
}

virSnapshotFound *
virSnapshotLookGet(const virSnapshotLook *look, const char *name, GError **error)
{
    virSnapshotFound *found = virSnapshotLookFind(look, name);
    g_autoptr(GPtrArray) list = NULL;
    g_autoptr(GString) names = g_string_new(NULL);

    if (found)
        return found;
    list = virSnapshotLookList(look);
    for (guint i = 0; i < list->len; i++)
        g_string_append_printf(
            names, "%s'%s'", i ? ", " : "",
            ((virDomainLockSnapshot *)g_ptr_array_index(list, i))->name);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "guest '%s' has no snapshot '%s'; it has %s", look->guestName, name,
                names->len ? names->str : "none");
    return NULL;
}

static void
virSnapshotListDisk(virDomainLockSnapshot *snapshot, const virSnapshotFound *found,
                    virSnapshotDisk *disk)
{
    virDomainLockSnapshotDisk *copy = g_new0(virDomainLockSnapshotDisk, 1);

    copy->structSize = sizeof(*copy);
    copy->target = g_strdup(disk->target);
    copy->path = g_strdup(disk->path);
    copy->lease = g_strdup(disk->lease);
    copy->included = disk->included;
    for (guint i = 0; i < found->have->len; i++)
        copy->present |= g_str_equal(
            ((virSnapshotDisk *)g_ptr_array_index(found->have, i))->lease, disk->lease);
    copy->epoch = disk->epoch;
    g_ptr_array_add(snapshot->disks, copy);
}

static virDomainLockSnapshot *
virSnapshotToPublic(const virSnapshotLook *look, const virSnapshotFound *found)
{
    virDomainLockSnapshot *snapshot = virDomainLockSnapshotNew();
    const virSnapshotEntry *entry = found->entry;
    const GPtrArray *disks = entry ? entry->disks : look->disks;

    snapshot->name = g_strdup(found->name);
    snapshot->memoryBytes = found->memoryBytes;
    snapshot->createdUsec = entry ? entry->createdUsec : found->dateUsec;
    snapshot->state = entry                ? entry->state
                      : found->memoryBytes ? VIR_DOMAIN_LOCK_STATE_RUNNING
                                           : VIR_DOMAIN_LOCK_STATE_SHUTOFF;
    if (found->problem->len > 0)
        snapshot->problem = g_strdup(found->problem->str);
    for (guint i = 0; i < disks->len; i++)
        virSnapshotListDisk(snapshot, found, g_ptr_array_index(disks, i));
    if (!entry)
        return snapshot;
    snapshot->description = g_strdup(entry->description);
    snapshot->parent = g_strdup(entry->parent);
    snapshot->hostName = g_strdup(entry->hostName);
    snapshot->xml = g_strdup(entry->xml);
    snapshot->current = g_strcmp0(found->book->current, entry->name) == 0;
    snapshot->unfinished = g_strcmp0(found->book->reverting, entry->name) == 0;
    snapshot->unsafeCache = entry->unsafeCache;
    return snapshot;
}

static gint
virSnapshotByAge(gconstpointer a, gconstpointer b)
{
    const virDomainLockSnapshot *first = *(virDomainLockSnapshot *const *)a;
    const virDomainLockSnapshot *second = *(virDomainLockSnapshot *const *)b;

    return first->createdUsec < second->createdUsec   ? -1
           : first->createdUsec > second->createdUsec ? 1
                                                      : 0;
}

GPtrArray *
virSnapshotLookList(const virSnapshotLook *look)
{
    GPtrArray *list =
        g_ptr_array_new_with_free_func((GDestroyNotify)virDomainLockSnapshotFree);
    g_autoptr(GPtrArray) names = virSnapshotNames(look);

    for (guint i = 0; i < names->len; i++) {
        g_autoptr(virSnapshotFound) found =
            virSnapshotLookFind(look, g_ptr_array_index(names, i));

        if (found)
            g_ptr_array_add(list, virSnapshotToPublic(look, found));
    }
    g_ptr_array_sort(list, virSnapshotByAge);
    return list;
}

/* --- what can be in one ----------------------------------------------------------------------- */

gboolean
virSnapshotCheckName(const char *name, GError **error)
{
    g_autofree char *shown = virTextPrintable(name);
    const char *why = NULL;

    if (!*name)
        why = "a snapshot needs a name";
    else if (strlen(name) > SNAPSHOT_MAX_NAME)
        why = "it is longer than the 255 bytes that QEMU has room for";
    else if (!g_str_equal(shown, name))
        why = "it has characters that cannot be printed";
    else if (name[strspn(name, G_CSET_DIGITS)] == '\0')
        why = "QEMU takes a number for the id of another snapshot";
    else if (*name == '-')
        why = "it begins like an option";
    if (!why)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "'%.60s%s' cannot be the name of a snapshot: %s", shown,
                strlen(shown) > 60 ? "..." : "", why);
    return FALSE;
}

static gboolean
virSnapshotCheckDisk(const virSnapshotDisk *disk, GError **error)
{
    if (!disk->included || virSnapshotCanHave(disk))
        return TRUE;
    if (disk->shared)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "disk '%s' (%s) is shareable: to go back would take what other "
                    "guests wrote there, too",
                    disk->target, disk->path);
    else
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
            "disk '%s' (%s) is %s: only a qcow2 image can hold snapshots; "
            "'leasehold snapshot-disk' makes one of any disk, in a file of its own",
            disk->target, disk->path, disk->format);
    return FALSE;
}

gboolean
virSnapshotCheckDisks(const virSnapshotLook *look, GError **error)
{
    for (guint i = 0; i < look->disks->len; i++)
        if (!virSnapshotCheckDisk(g_ptr_array_index(look->disks, i), error))
            return FALSE;
    if (look->books->len > 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                "guest '%s' has no disk that it writes to and that could hold a snapshot",
                look->guestName);
    return FALSE;
}

/* --- a new one ---------------------------------------------------------------------------------- */

static virSnapshotDisk *
virSnapshotDiskCopy(const virSnapshotDisk *disk, const GPtrArray *leases)
{
    virSnapshotDisk *copy = g_new0(virSnapshotDisk, 1);

    copy->target = g_strdup(disk->target);
    copy->path = g_strdup(disk->path);
    copy->format = g_strdup(disk->format);
    copy->lease = g_strdup(disk->lease);
    copy->chain = g_strdupv(disk->chain);
    copy->included = disk->included;
    copy->isBlock = disk->isBlock;
    for (guint i = 0; i < leases->len; i++) {
        const virLockLease *lease = g_ptr_array_index(leases, i);

        if (g_strcmp0(lease->name, disk->lease) == 0)
            copy->epoch = lease->epoch;
    }
    return copy;
}

virSnapshotEntry *
virSnapshotLookEntry(const virSnapshotLook *look, const char *name,
                     const GPtrArray *leases)
{
    virSnapshotEntry *entry = virSnapshotEntryNew();

    entry->name = g_strdup(name);
    entry->guestName = g_strdup(look->guestName);
    entry->guestUuid = g_strdup(look->guestUuid);
    entry->hostName = g_strdup(virLockConfigGet(look->config, "host", "name"));
    entry->parent = g_strdup(virSnapshotLookBook(look)->current);
    entry->createdUsec = g_get_real_time();
    entry->pending = TRUE;
    for (guint i = 0; i < look->disks->len; i++)
        g_ptr_array_add(entry->disks,
                        virSnapshotDiskCopy(g_ptr_array_index(look->disks, i), leases));
    return entry;
}
