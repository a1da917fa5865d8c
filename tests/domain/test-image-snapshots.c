/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-image-snapshots.c: the snapshots that qemu-img has made, tables that nobody should have
 * made, and books ("image.snapshots") that are damaged or hostile.
 */
#include "config.h"
#include "domain_lock/snapshot/snapshot_book.h"
#include "tests/lib/vir_test.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct {
    char *dir;
    char *image;
} Fixture;

#define RUN(f, ...) virTestRun((f)->dir, (const char *const[]){__VA_ARGS__, NULL})

static void
setUp(Fixture *f, gconstpointer data)
{
    f->dir = g_dir_make_tmp("leasehold-snapshots-XXXXXX", NULL);
    f->image = g_build_filename(f->dir, "image.qcow2", NULL);
    RUN(f, "qemu-img", "create", "-q", "-f", "qcow2", "-o", data, f->image, "1M");
}

static void
tearDown(Fixture *f, gconstpointer data)
{
    RUN(f, "rm", "-r", f->dir);
    g_free(f->image);
    g_free(f->dir);
}

/* --- images ------------------------------------------------------------------------------- */

static void
testNone(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) snapshots = virImageSnapshotsRead(f->image, &error);

    virAssertNoError(error);
    g_assert_cmpuint(snapshots->len, ==, 0);
}

/* More than fits into what is read at first; in the order in which they were made. */
static void
testMany(Fixture *f, gconstpointer data)
{
    g_autofree char *longest = g_strnfill(255, 'x');
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) snapshots = NULL;

    for (guint i = 0; i < 40; i++) {
        g_autofree char *name = g_strdup_printf("%.*s%02u", 200, longest, i);

        RUN(f, "qemu-img", "snapshot", "-c", name, f->image);
    }
    RUN(f, "qemu-img", "snapshot", "-c", longest, f->image);
    snapshots = virImageSnapshotsRead(f->image, &error);
    virAssertNoError(error);
    g_assert_cmpuint(snapshots->len, ==, 41);
    for (guint i = 0; i < 40; i++) {
        const virImageSnapshot *one = g_ptr_array_index(snapshots, i);
        g_autofree char *id = g_strdup_printf("%u", i + 1);

        g_assert_cmpstr(one->id, ==, id);
        g_assert_true(g_str_has_suffix(one->name, i == 7 ? "07" : ""));
        g_assert_cmpuint(one->memoryBytes, ==, 0);
        g_assert_cmpint(one->dateSec, >, 1700000000);
    }
    g_assert_cmpstr(((virImageSnapshot *)g_ptr_array_index(snapshots, 40))->name, ==,
                    longest);
}

static void
poke(Fixture *f, off_t at, guint64 value, gsize size)
{
    guint8 bytes[8];
    int fd = open(f->image, O_WRONLY);

    for (gsize i = 0; i < size; i++)
        bytes[i] = (guint8)(value >> (8 * (size - 1 - i)));
    g_assert_cmpint(pwrite(fd, bytes, size, at), ==, (gssize)size);
    close(fd);
}

static void
assertRefused(Fixture *f, const char *words)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(virImageSnapshotsRead(f->image, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    if (!strstr(error->message, words))
        g_error("'%s' is not in: %s", words, error->message);
}

static void
testHostile(Fixture *f, gconstpointer data)
{
    RUN(f, "qemu-img", "snapshot", "-c", "one", f->image);
    poke(f, 60, 2, 4); /* a second entry that is not there: zeroes are one without a name */
    poke(f, 64, 1 << 30, 8);
    assertRefused(f, "damaged");
    poke(f, 64, G_MAXUINT64, 8);
    assertRefused(f, "no qcow2 header that makes sense");
    poke(f, 64, 0, 8);
    poke(f, 60, 0xffffffff, 4);
    assertRefused(f, "no qcow2 header that makes sense");
    poke(f, 60, 65536, 4);
    assertRefused(f, "damaged");
    poke(f, 0, 0, 4);
    assertRefused(f, "no qcow2 header that makes sense");
    g_assert_cmpint(truncate(f->image, 20), ==, 0);
    assertRefused(f, "no qcow2 header that makes sense");
    g_assert_cmpint(g_unlink(f->image), ==, 0);
    assertRefused(f, "cannot open");
}

/* --- bytes -------------------------------------------------------------------------------- */

/* At every length: an entry, or the answer that there is more. Nothing is read behind it. */
static void
testCut(void)
{
    static const guint8 entry[48] = {[13] = 1, [15] = 2, [39] = 4, [44] = '7', 'a', 'b'};

    for (gsize len = 0; len <= sizeof(entry); len++) {
        g_autofree guint8 *copy = g_memdup2(entry, len);
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) one = virImageSnapshotsParse(copy, len, 1, &error);

        g_assert_no_error(error);
        g_assert_cmpint(one != NULL, ==, len >= 47);
        if (!one)
            continue;
        g_assert_cmpstr(((virImageSnapshot *)g_ptr_array_index(one, 0))->id, ==, "7");
        g_assert_cmpstr(((virImageSnapshot *)g_ptr_array_index(one, 0))->name, ==, "ab");
    }
}

static void
testLongLengths(void)
{
    guint8 entry[64] = {0};
    g_autoptr(GError) error = NULL;

    memset(entry + 36, 0xff, 4); /* extra data of 4 GiB */
    g_assert_null(virImageSnapshotsParse(entry, sizeof(entry), 1, &error));
    memset(entry, 0xff, sizeof(entry));
    g_assert_null(virImageSnapshotsParse(entry, sizeof(entry), 65536, &error));
    g_assert_no_error(error);
}

/* --- books -------------------------------------------------------------------------------- */

static virSnapshotBook *
newBook(void)
{
    virSnapshotBook *book = g_new0(virSnapshotBook, 1);

    book->path = g_strdup("/image.snapshots");
    book->entries = g_ptr_array_new_with_free_func((GDestroyNotify)virSnapshotEntryFree);
    return book;
}

#define DISK "{\"target\":\"vda\",\"path\":\"/a\",\"lease\":\"disk-1\"}"
#define ENTRY(name, disks)                                                               \
    "{\"name\":\"" name "\",\"uuid\":\"u\",\"xml\":\"<domain/>\",\"state\":\"running\","   \
    "\"disks\":[" disks "]}"
#define BOOK(entries) "{\"leasehold_snapshots\":1,\"snapshots\":[" entries "]}"

static void
testGoodBook(void)
{
    g_autoptr(virSnapshotBook) book = newBook();
    g_autoptr(GError) error = NULL;
    virSnapshotEntry *entry = NULL;

    g_assert_true(virSnapshotBookParse(
        book, BOOK(ENTRY("a", DISK) "," ENTRY("b", DISK "," DISK)), &error));
    virAssertNoError(error);
    entry = virSnapshotBookFind(book, "b");
    g_assert_cmpuint(entry->disks->len, ==, 2);
    g_assert_cmpint(entry->state, ==, VIR_DOMAIN_LOCK_STATE_RUNNING);
    entry->parent = g_strdup("a");
    book->current = g_strdup("a");
    book->reverting = g_strdup("a");
    virSnapshotBookRemove(book, "a");
    g_assert_null(virSnapshotBookFind(book, "a"));
    g_assert_null(entry->parent);
    g_assert_null(book->current);
    g_assert_null(book->reverting);
}

static void
testBadBooks(void)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"leasehold_snapshots\":1}",
        "{\"leasehold_snapshots\":1,\"snapshots\":{}}",
        "{\"leasehold_snapshots\":2,\"snapshots\":[]}",
        "{\"leasehold_snapshots\":\"1\",\"snapshots\":[]}",
        BOOK("1"),
        BOOK("{}"),
        BOOK(ENTRY("a", "")),
        BOOK(ENTRY("a", "1")),
        BOOK(ENTRY("a", "{}")),
        BOOK(ENTRY("a", "{\"target\":\"vda\",\"path\":1,\"lease\":\"x\"}")),
        BOOK(ENTRY("a", DISK) "," ENTRY("a", DISK)),
        BOOK("{\"name\":\"a\",\"uuid\":\"u\",\"xml\":\"x\",\"state\":\"asleep\",\"disks\":"
             "[" DISK "]}"),
    };

    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(virSnapshotBook) book = newBook();
        g_autoptr(GError) error = NULL;

        if (virSnapshotBookParse(book, bad[i], &error))
            g_error("taken: %s", bad[i]);
        g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
        g_assert_nonnull(strstr(error->message, "/image.snapshots"));
    }
}

/* What is written is read back; an empty book is no file; one that is a folder is refused. */
static void
testBookFile(Fixture *f, gconstpointer data)
{
    virSnapshotDisk disk = {.path = f->image};
    g_autofree char *path = g_strconcat(f->image, ".snapshots", NULL);
    g_autoptr(virSnapshotBook) book = NULL;
    g_autoptr(virSnapshotBook) again = NULL;
    g_autoptr(GError) error = NULL;

    book = virSnapshotBookLoad(&disk, f->dir, &error);
    virAssertNoError(error);
    g_assert_true(virSnapshotBookSave(book, &error));
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_true(virSnapshotBookParse(book, BOOK(ENTRY("\\u00e4 \\\"b\\\"", DISK)), &error));
    book->reverting = g_strdup("x");
    g_assert_true(virSnapshotBookSave(book, &error));
    again = virSnapshotBookLoad(&disk, f->dir, &error);
    virAssertNoError(error);
    g_assert_cmpstr(again->path, ==, path);
    g_assert_cmpstr(again->reverting, ==, "x");
    g_assert_nonnull(virSnapshotBookFind(again, "\303\244 \"b\""));
    virSnapshotBookRemove(again, "\303\244 \"b\"");
    g_clear_pointer(&again->reverting, g_free);
    g_assert_true(virSnapshotBookSave(again, &error));
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
    g_assert_null(virSnapshotBookLoad(&disk, f->dir, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
}

/* --- storage that does not answer ------------------------------------------------------------ */

/* The library calls these instead of libc's. */
static struct {
    GMutex lock;
    GCond changed;
    const char *hangs; /* the next call of this name does, until it is released */
    gboolean hung, released;
} storage;

int fsync(int fd);
int rename(const char *from, const char *to);

static void
hangIf(const char *call)
{
    g_mutex_lock(&storage.lock);
    if (g_strcmp0(storage.hangs, call) == 0) {
        storage.hangs = NULL;
        storage.hung = TRUE;
        while (!storage.released)
            g_cond_wait(&storage.changed, &storage.lock);
    }
    g_mutex_unlock(&storage.lock);
}

int
fsync(int fd)
{
    hangIf("fsync");
    return (int)syscall(SYS_fsync, fd);
}

int
rename(const char *from, const char *to)
{
    hangIf("rename");
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static void
hangNext(const char *call)
{
    g_mutex_lock(&storage.lock);
    storage.hangs = call;
    g_mutex_unlock(&storage.lock);
}

static guint
countOf(const char *folder, const char *suffix)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name = NULL;
    guint n = 0;

    while ((name = g_dir_read_name(dir)))
        n += g_str_has_suffix(name, suffix);
    return n;
}

static void
releaseStorage(guint threads)
{
    g_mutex_lock(&storage.lock);
    g_assert_true(storage.hung);
    storage.released = TRUE;
    g_cond_broadcast(&storage.changed);
    g_mutex_unlock(&storage.lock);
    while (countOf("/proc/self/task", "") > threads)
        g_usleep(1000);
    g_mutex_lock(&storage.lock);
    storage.hung = storage.released = FALSE;
    g_mutex_unlock(&storage.lock);
}

static void
assertBook(const char *path, const char *content)
{
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, content);
}

/* Who gave up may give up the lease of the image, too: nothing is written after that. Seen
 * failing with a rename that does not ask whether somebody still waits. */
static void
testBookHangs(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_strconcat(f->image, ".snapshots", NULL);
    guint threads = countOf("/proc/self/task", "");
    g_autoptr(GError) error = NULL;

    g_assert_true(virSnapshotBookWrite(path, f->image, "old", 60, &error));
    virAssertNoError(error);
    hangNext("fsync");
    g_assert_false(virSnapshotBookWrite(path, f->image, "late", 1, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT);
    g_clear_error(&error);

    releaseStorage(threads);
    assertBook(path, "old");
    g_assert_cmpuint(countOf(f->dir, ".tmp"), ==, 0);
}

/* The next writer does not wait for one that hangs, and is not disturbed when that goes on. */
static void
testBookHangsBesideNext(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_strconcat(f->image, ".snapshots", NULL);
    guint threads = countOf("/proc/self/task", "");
    g_autoptr(GError) error = NULL;

    hangNext("rename");
    g_assert_false(virSnapshotBookWrite(path, f->image, "late", 1, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE);
    g_clear_error(&error);
    g_assert_true(virSnapshotBookWrite(path, f->image, "new", 60, &error));
    virAssertNoError(error);

    releaseStorage(threads);
    assertBook(path, "new");
    g_assert_cmpuint(countOf(f->dir, ".tmp"), ==, 0);
}

#define ADD(path, options, func)                                                         \
    g_test_add(path, Fixture, options, setUp, func, tearDown)

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    g_test_add_func("/snapshots/cut", testCut);
    g_test_add_func("/snapshots/long-lengths", testLongLengths);
    g_test_add_func("/snapshots/book/good", testGoodBook);
    g_test_add_func("/snapshots/book/bad", testBadBooks);
    ADD("/snapshots/book/file", "compat=1.1", testBookFile);
    ADD("/snapshots/book/storage-hangs", "compat=1.1", testBookHangs);
    ADD("/snapshots/book/storage-hangs-beside-next", "compat=1.1",
        testBookHangsBesideNext);
    ADD("/snapshots/none", "compat=1.1", testNone);
    ADD("/snapshots/many", "compat=1.1", testMany);
    ADD("/snapshots/many-old", "compat=0.10", testMany);
    ADD("/snapshots/hostile", "compat=1.1", testHostile);
    return g_test_run();
}
