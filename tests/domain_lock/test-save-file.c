/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-save-file.c: files with a saved guest, without a guest: what is written is read again,
 * what is not whole is not, and no moment of a change leaves a file that nobody can read.
 *
 * Seen failing: with one slot instead of two (virSaveFileRewrite always to 0) a torn change
 * destroys the file; without the look at the length a file that was cut short is taken.
 */
#include "config.h"
#include "common/bytes.h"
#include "common/checksum.h"
#include "domain_lock/save/save_file.h"
#include "tests/lib/vir_test.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UUID "11111111-2222-4333-8444-555555555555"
#define STREAM (3 * VIR_SAVE_CHUNK + 12345)

typedef struct {
    char *dir;
    char *path;
    guint8 *stream;
    int feedFd;
} Fixture;

static virSaveImage *
newImage(void)
{
    virSaveImage *image = virSaveImageNew();

    image->id = g_uuid_string_random();
    image->name = g_strdup("web");
    image->uuid = g_strdup(UUID);
    image->plugin = g_strdup("sanlock");
    image->hostName = g_strdup("alpha");
    image->checked = TRUE;
    image->spec = virDomainLockSpecNew();
    image->spec->xml = g_strdup("<domain type='qemu'><name>web</name></domain>");
    virSaveImageAddLease(image, "guest-" UUID, UUID)->type = VIR_LOCK_RESOURCE_RUN;
    image->slotSize = virSaveImageRoom(image);
    return image;
}

/* What the other end of a pipe gets. */
static gpointer
feed(gpointer data)
{
    Fixture *f = data;
    gsize done = 0;

    while (done < STREAM) {
        ssize_t n = write(f->feedFd, f->stream + done, MIN(STREAM - done, 70001));

        g_assert_cmpint(n, >, 0);
        done += (gsize)n;
    }
    close(f->feedFd);
    return NULL;
}

static void
fill(Fixture *f, virSaveWriter *writer)
{
    g_autoptr(GError) error = NULL;
    gint64 moved = 0;
    GThread *thread = NULL;
    int fds[2];

    g_assert_no_errno(pipe(fds));
    f->feedFd = fds[1];
    thread = g_thread_new("feed", feed, f);
    g_assert_true(virSaveWriterFill(writer, fds[0], &moved, &error));
    virAssertNoError(error);
    g_assert_cmpint(moved, ==, STREAM);
    g_thread_join(thread);
    close(fds[0]);
}

static virSaveWriter *
newWriter(Fixture *f, const virSaveImage *image, guint flags)
{
    g_autoptr(GError) error = NULL;
    virSaveWriter *writer =
        virSaveWriterNew(f->path, UUID, 2 * image->slotSize, flags, &error);

    virAssertNoError(error);
    return writer;
}

static void
saveIt(Fixture *f, guint flags)
{
    g_autoptr(virSaveImage) image = newImage();
    g_autoptr(virSaveWriter) writer = newWriter(f, image, flags);
    g_autoptr(GError) error = NULL;
    gboolean uncertain = FALSE;

    fill(f, writer);
    g_assert_true(virSaveWriterSeal(writer, image, &error));
    virAssertNoError(error);
    g_assert_true(virSaveWriterPublish(writer, &uncertain, &error));
    virAssertNoError(error);
    g_assert_false(uncertain);
}

static void
setUp(Fixture *f, gconstpointer data)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(7);

    f->dir = g_dir_make_tmp("leasehold-save-XXXXXX", NULL);
    f->path = g_build_filename(f->dir, "web.save", NULL);
    f->stream = g_malloc(STREAM);
    for (gsize i = 0; i < STREAM; i++)
        f->stream[i] = (guint8)g_rand_int(random);
}

static guint
countFiles(Fixture *f)
{
    GDir *dir = g_dir_open(f->dir, 0, NULL);
    guint n = 0;

    while (g_dir_read_name(dir))
        n++;
    g_dir_close(dir);
    return n;
}

static void
tearDown(Fixture *f, gconstpointer data)
{
    g_unlink(f->path);
    g_assert_no_errno(g_rmdir(f->dir));
    g_free(f->dir);
    g_free(f->path);
    g_free(f->stream);
}

/* --- the checksum ------------------------------------------------------------------------ */

static guint32
crcOf(const guint8 *bytes, gsize len, gsize piece)
{
    virChecksum sum;

    virChecksumInit(&sum);
    for (gsize at = 0; at < len; at += piece)
        virChecksumAdd(&sum, bytes + at, MIN(piece, len - at));
    return virChecksumGet(&sum);
}

/* RFC 3720, B.4 */
static void
testChecksum(void)
{
    guint8 bytes[32];

    g_assert_cmphex(crcOf((const guint8 *)"123456789", 9, 9), ==, 0xe3069283);
    memset(bytes, 0, sizeof(bytes));
    g_assert_cmphex(crcOf(bytes, 32, 32), ==, 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    g_assert_cmphex(crcOf(bytes, 32, 32), ==, 0x62a8ab43);
    for (guint8 i = 0; i < 32; i++)
        bytes[i] = i;
    for (gsize piece = 1; piece <= 32; piece++)
        g_assert_cmphex(crcOf(bytes, 32, piece), ==, 0x46dd794e);
}

/* --- whole ------------------------------------------------------------------------------- */

static gpointer
drain(gpointer data)
{
    int *fds = data;
    GByteArray *got = g_byte_array_new();
    guint8 bytes[65536];
    ssize_t n;

    while ((n = read(fds[0], bytes, sizeof(bytes))) > 0)
        g_byte_array_append(got, bytes, (guint)n);
    close(fds[0]);
    return got;
}

static gboolean
readBack(Fixture *f, guint flags, GByteArray **got, guint8 *last, GError **error)
{
    g_autoptr(virSaveImage) image = NULL;
    int fd = virSaveFileOpen(f->path, flags, &image, error);
    gint64 moved = 0;
    GThread *thread = NULL;
    gboolean ok;
    int fds[2];

    if (fd < 0)
        return FALSE;
    g_assert_no_errno(pipe(fds));
    thread = g_thread_new("drain", drain, fds);
    ok = virSaveFileDrain(fd, image, fds[1], last, &moved, error);
    close(fds[1]);
    close(fd);
    *got = g_thread_join(thread);
    return ok;
}

static void
testRoundTrip(Fixture *f, gconstpointer data)
{
    guint flags = GPOINTER_TO_UINT(data);
    g_autoptr(GByteArray) got = NULL;
    g_autoptr(GError) error = NULL;
    guint8 last = 0;

    saveIt(f, flags);
    g_assert_cmpuint(countFiles(f), ==, 1);
    g_assert_true(readBack(f, flags, &got, &last, &error));
    virAssertNoError(error);
    g_assert_cmpmem(got->data, got->len, f->stream, STREAM - 1);
    g_assert_cmpuint(last, ==, f->stream[STREAM - 1]);
}

static void
testReplaces(Fixture *f, gconstpointer data)
{
    g_autoptr(virSaveImage) first = NULL;
    g_autoptr(virSaveImage) second = NULL;
    g_autoptr(GError) error = NULL;

    saveIt(f, 0);
    first = virSaveFileRead(f->path, &error);
    virAssertNoError(error);
    saveIt(f, 0);
    second = virSaveFileRead(f->path, &error);
    virAssertNoError(error);
    g_assert_cmpstr(first->id, !=, second->id);
}

/* --- not whole ----------------------------------------------------------------------------- */

static void
assertRefused(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virSaveImage) image = virSaveFileRead(f->path, &error);

    g_assert_null(image);
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, f->path));
}

static void
testCut(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virSaveImage) image = NULL;
    gint64 size;

    saveIt(f, 0);
    image = virSaveFileRead(f->path, &error);
    virAssertNoError(error);
    size = (gint64)(image->streamOffset + image->streamLength);
    g_assert_no_errno(truncate(f->path, size + 1));
    assertRefused(f);
    for (gint64 left = size - 1; left > 0; left -= 1 + left / 50) {
        g_assert_no_errno(truncate(f->path, left));
        assertRefused(f);
    }
    g_assert_no_errno(truncate(f->path, 0));
    assertRefused(f);
}

/* A writer that never came to Seal, or to Publish. */
static void
testAbandoned(Fixture *f, gconstpointer data)
{
    g_autoptr(virSaveImage) image = newImage();
    virSaveWriter *writer = newWriter(f, image, 0);

    g_assert_cmpuint(countFiles(f), ==, 1);
    fill(f, writer);
    g_assert_false(g_file_test(f->path, G_FILE_TEST_EXISTS));
    virSaveWriterFree(writer);
    g_assert_cmpuint(countFiles(f), ==, 0);
}

/* What a killed one left is replaced, and belongs to no other guest. */
static void
testSweep(Fixture *f, gconstpointer data)
{
    g_autofree char *left = g_strdup_printf("%s/.web.save.%s.saving", f->dir, UUID);
    g_autofree char *other = g_strdup_printf("%s/.web.save.%s.saving", f->dir, "another");

    g_assert_true(g_file_set_contents(left, "x", 1, NULL));
    g_assert_true(g_file_set_contents(other, "x", 1, NULL));
    saveIt(f, 0);
    g_assert_false(g_file_test(left, G_FILE_TEST_EXISTS));
    virSaveWriterSweep(f->path, "another");
    g_assert_cmpuint(countFiles(f), ==, 1);
}

static void
testDamagedMemory(Fixture *f, gconstpointer data)
{
    static const gint64 places[] = {0, 1, VIR_SAVE_CHUNK - 1, VIR_SAVE_CHUNK, STREAM - 1};

    saveIt(f, 0);
    for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autoptr(virSaveImage) image = virSaveFileRead(f->path, NULL);
        g_autoptr(GByteArray) got = NULL;
        g_autoptr(GError) error = NULL;
        off_t at = (off_t)image->streamOffset + places[i];
        int fd = g_open(f->path, O_RDWR | O_CLOEXEC, 0);
        guint8 byte = 0, last = 0;

        g_assert_cmpint(pread(fd, &byte, 1, at), ==, 1);
        byte ^= 4;
        g_assert_cmpint(pwrite(fd, &byte, 1, at), ==, 1);
        g_assert_false(readBack(f, 0, &got, &last, &error));
        g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
        byte ^= 4;
        g_assert_cmpint(pwrite(fd, &byte, 1, at), ==, 1);
        close(fd);
    }
}

/* --- changes ------------------------------------------------------------------------------- */

/* Between the old header and the new one, torn after any of its sectors, the file has one of
 * them. */
static void
testTornChange(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    saveIt(f, 0);
    for (guint64 generation = 1; generation <= 3; generation++) {
        g_autoptr(virSaveImage) image = virSaveFileRead(f->path, NULL);
        gsize size = image->slotSize;
        off_t at = generation % 2 ? (off_t)size : 0;
        g_autofree guint8 *before = g_malloc(size);
        g_autofree guint8 *after = g_malloc(size);
        int fd = g_open(f->path, O_RDWR | O_CLOEXEC, 0);

        g_assert_cmpint(pread(fd, before, size, at), ==, size);
        image->paused = !image->paused;
        g_assert_true(virSaveFileRewrite(f->path, image, &error));
        virAssertNoError(error);
        g_assert_cmpint(pread(fd, after, size, at), ==, size);
        for (gsize torn = 0; torn <= size; torn += torn < 2048 ? 64 : 512) {
            g_autoptr(virSaveImage) found = NULL;

            g_assert_cmpint(pwrite(fd, after, torn, at), ==, torn);
            g_assert_cmpint(pwrite(fd, before + torn, size - torn, at + (off_t)torn), ==,
                            size - torn);
            found = virSaveFileRead(f->path, &error);
            virAssertNoError(error);
            g_assert_cmpuint(found->generation, >=, generation - 1);
            g_assert_cmpuint(found->generation, <=, generation);
            g_assert_cmpint(found->paused, ==, found->generation % 2);
        }
        close(fd);
    }
}

static void
testChangedMeanwhile(Fixture *f, gconstpointer data)
{
    g_autoptr(virSaveImage) mine = NULL;
    g_autoptr(virSaveImage) theirs = NULL;
    g_autoptr(GError) error = NULL;

    saveIt(f, 0);
    mine = virSaveFileRead(f->path, NULL);
    theirs = virSaveFileRead(f->path, NULL);
    g_assert_true(virSaveFileRewrite(f->path, theirs, &error));
    g_assert_false(virSaveFileRewrite(f->path, mine, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY);
}

/* A description may not outgrow its slot, and what does leaves the file as it was. */
static void
testTooLong(Fixture *f, gconstpointer data)
{
    g_autoptr(virSaveImage) image = NULL;
    g_autoptr(virSaveImage) still = NULL;
    g_autoptr(GError) error = NULL;

    saveIt(f, 0);
    image = virSaveFileRead(f->path, NULL);
    g_free(image->spec->xml);
    image->spec->xml = g_strnfill(image->slotSize, 'x');
    g_assert_false(virSaveFileRewrite(f->path, image, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    still = virSaveFileRead(f->path, NULL);
    g_assert_cmpuint(still->generation, ==, 0);
}

/* --- what a file may not say ----------------------------------------------------------------- */

static virSaveImage *
decodeDocument(const char *document, GError **error)
{
    gsize len = strlen(document);
    g_autofree guint8 *slot = g_malloc0(VIR_SAVE_IMAGE_MIN_SLOT);

    memcpy(slot, "LHSAVEIM", 8);
    virBytesPut32(slot + 8, VIR_SAVE_IMAGE_VERSION);
    virBytesPut32(slot + 12, VIR_SAVE_IMAGE_FIXED);
    virBytesPut64(slot + 16, VIR_SAVE_IMAGE_MIN_SLOT);
    virBytesPut64(slot + 32, 2 * VIR_SAVE_IMAGE_MIN_SLOT);
    virBytesPut64(slot + 40, 1);
    virBytesPut32(slot + 52, (guint32)len);
    virBytesPut32(slot + 56, virBytesCrc32((const guint8 *)document, len));
    virBytesPut32(slot + 60, virBytesCrc32(slot, 60));
    memcpy(slot + VIR_SAVE_IMAGE_FIXED, document, len);
    return virSaveImageDecode(slot, VIR_SAVE_IMAGE_MIN_SLOT, error);
}

#define DOCUMENT(guest, leases)                                                          \
    "{\"id\":\"" UUID "\",\"name\":\"web\",\"uuid\":\"" UUID "\",\"plugin\":\"nop\","    \
    "\"state\":\"paused\",\"checked\":1,\"leases\":[" leases "],\"guest\":{\"version\":1," \
    guest "}}"
#define RUN "{\"name\":\"g\",\"type\":\"run\",\"mode\":\"exclusive\",\"epoch\":0,\"host_id\":0}"

/* Nothing but the guest is taken from it: no file to be removed, no other configuration, no
 * licence to use the page cache of ... */
static void
testOnlyTheGuest(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virSaveImage) image = decodeDocument(
        DOCUMENT("\"xml\":\"<domain/>\",\"discard\":\"/etc/passwd\",\"config\":\"/x\","
                 "\"flags\":255,\"restore\":{},\"incoming\":{}",
                 RUN),
        &error);

    virAssertNoError(error);
    g_assert_cmpstr(image->spec->xml, ==, "<domain/>");
    g_assert_null(image->spec->discard);
    g_assert_null(image->spec->configPath);
    g_assert_null(image->spec->restore);
    g_assert_null(image->spec->incoming);
    g_assert_cmpuint(image->spec->flags & ~(guint)VIR_DOMAIN_LOCK_CREATE_UNSAFE_CACHE, ==,
                     0);
    g_assert_false(image->checked); /* a number is not "true" */
}

static void
testBadDocuments(void)
{
    static const char *const documents[] = {
        "",
        "null",
        "[]",
        "{}",
        DOCUMENT("\"attach\":\"" UUID "\"", RUN),
        DOCUMENT("\"xml\":\"<domain/>\"", ""),
        DOCUMENT("\"xml\":\"<domain/>\"", RUN "," RUN),
        DOCUMENT("\"xml\":\"<domain/>\"", RUN ",7"),
        DOCUMENT("\"xml\":\"<domain/>\"", "{\"name\":\"g\",\"type\":\"disk\","
                                          "\"mode\":\"shared\",\"epoch\":-1,\"host_id\":0}"),
    };

    for (gsize i = 0; i < G_N_ELEMENTS(documents); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(virSaveImage) image = decodeDocument(documents[i], &error);

        g_test_message("%s", documents[i]);
        g_assert_null(image);
        g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    }
}

/* json-glib would follow it down until the stack ends */
static void
testDeep(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *deep = g_strnfill(50000, '[');
    g_autoptr(virSaveImage) image = decodeDocument(deep, &error);

    g_assert_null(image);
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
}

/* --- where it goes --------------------------------------------------------------------------- */

static void
testTargets(Fixture *f, gconstpointer data)
{
    static const char *const paths[] = {"relative.save", "/dev/null", "/", "/no/such/a.save"};

    for (gsize i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(virSaveWriter) writer =
            virSaveWriterNew(paths[i], UUID, 2 * VIR_SAVE_IMAGE_MIN_SLOT, 0, &error);

        g_assert_null(writer);
        g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    }
}

/* The name was taken by a folder meanwhile. */
static void
testCannotPublish(Fixture *f, gconstpointer data)
{
    g_autoptr(virSaveImage) image = newImage();
    virSaveWriter *writer = newWriter(f, image, 0);
    g_autoptr(GError) error = NULL;
    gboolean uncertain = FALSE;

    fill(f, writer);
    g_assert_true(virSaveWriterSeal(writer, image, &error));
    g_assert_no_errno(g_mkdir(f->path, 0700));
    g_assert_false(virSaveWriterPublish(writer, &uncertain, &error));
    g_assert_nonnull(error);
    g_assert_true(uncertain);
    virSaveWriterFree(writer);
    g_assert_cmpuint(countFiles(f), ==, 1);
    g_assert_no_errno(g_rmdir(f->path));
}

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
#define ADD(name, data, func) g_test_add(name, Fixture, data, setUp, func, tearDown)
    g_test_add_func("/save-file/checksum", testChecksum);
    ADD("/save-file/round-trip", NULL, testRoundTrip);
    ADD("/save-file/replaces", NULL, testReplaces);
    ADD("/save-file/cut", NULL, testCut);
    ADD("/save-file/abandoned", NULL, testAbandoned);
    ADD("/save-file/sweep", NULL, testSweep);
    ADD("/save-file/damaged-memory", NULL, testDamagedMemory);
    ADD("/save-file/torn-change", NULL, testTornChange);
    ADD("/save-file/changed-meanwhile", NULL, testChangedMeanwhile);
    ADD("/save-file/too-long", NULL, testTooLong);
    g_test_add_func("/save-file/only-the-guest", testOnlyTheGuest);
    g_test_add_func("/save-file/bad-documents", testBadDocuments);
    g_test_add_func("/save-file/deep", testDeep);
    ADD("/save-file/targets", NULL, testTargets);
    ADD("/save-file/cannot-publish", NULL, testCannotPublish);
    return g_test_run();
}
