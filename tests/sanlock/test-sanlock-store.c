/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-sanlock-store.c: creating, describing and checking stores, without a daemon: what is
 * overwritten and what not, and every kind of damage that the check names.
 */
#include "common/bytes.h"
#include "plugins/sanlock/libsanlock.h"
#include "plugins/sanlock/settings.h"
#include "plugins/sanlock/store.h"
#include "plugins/sanlock/store_admin.h"
#include "tests/lib/vir_test.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    char *folder;
    char *path;
    virSanlockConfig *config;
} Fixture;

/* --- set-up ----------------------------------------------------------------------------------- */

static virSanlockConfig *
makeConfig(const char *store, const char *lockspace)
{
    virLockDriverParam params[] = {
        {"store", store}, {"watchdog", "unsafe-none"}, {"lockspace", lockspace}, {NULL}};
    virLockDriverConfig from = {.structSize = sizeof(from), .params = params, .hostName = "here"};
    g_autoptr(GError) error = NULL;
    virSanlockConfig *config = virSanlockConfigNew(&from, &error);

    virAssertNoError(error);
    return config;
}

static gboolean
hasDirectIo(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "probe", NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);

    if (fd >= 0)
        close(fd);
    unlink(path);
    return fd >= 0;
}

static void
setUp(Fixture *f, gconstpointer data)
{
    const char *base = g_getenv("TEST_DIRECT_DIR");

    f->folder = g_build_filename(base ? base : g_get_tmp_dir(), "lhstore.XXXXXX", NULL);
    g_assert_nonnull(g_mkdtemp(f->folder));
    if (!hasDirectIo(f->folder)) {
        g_rmdir(f->folder);
        g_free(f->folder);
        f->folder = g_strdup("/var/tmp/lhstore.XXXXXX");
        g_assert_nonnull(g_mkdtemp(f->folder));
    }
    f->path = g_build_filename(f->folder, "store", NULL);
    f->config = makeConfig(f->path, NULL);
}

static void
tearDown(Fixture *f, gconstpointer data)
{
    g_autoptr(GDir) dir = g_dir_open(f->folder, 0, NULL);
    const char *entry;

    while ((entry = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(f->folder, entry, NULL);

        g_unlink(path);
    }
    g_rmdir(f->folder);
    virSanlockConfigUnref(f->config);
    g_free(f->folder);
    g_free(f->path);
}

static gboolean
createWith(Fixture *f, virLockStoreOptions options, GError **error)
{
    options.structSize = sizeof(options);
    if (!options.ioTimeoutSec)
        options.ioTimeoutSec = 1;
    if (!options.maxLeases)
        options.maxLeases = 10;
    return virSanlockStoreCreate(f->config, &options, NULL, error);
}

static void
create(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    gboolean ok = createWith(f, (virLockStoreOptions){.lockspace = "vmstore"}, &error);

    virAssertNoError(error);
    g_assert_true(ok);
}

static virSanlockStore *
openStore(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    virSanlockStore *store = virSanlockStoreOpen(f->path, NULL, &error);

    virAssertNoError(error);
    return store;
}

static void
poke(Fixture *f, guint64 offset, const void *bytes, gsize len)
{
    int fd = open(f->path, O_RDWR | O_CLOEXEC);

    g_assert_cmpint(pwrite(fd, bytes, len, offset), ==, len);
    g_assert_cmpint(fsync(fd), ==, 0);
    close(fd);
}

/* Makes slot @slot hold lease @name, as the helper and sanlock do. */
static void
fillSlot(Fixture *f, guint slot, const char *name, const char *indexName)
{
    g_autoptr(virSanlockStore) store = openStore(f);
    const virSanlockGeometry *g = &store->geometry;
    char bridge[VIR_SANLOCK_NAME_SIZE];
    g_autofree struct sanlk_resource *lease =
        virSanlockResourceNew(f->path, g, name, virSanlockSlotOffset(g, slot));
    g_autofree struct sanlk_resource *other = NULL;
    guint8 entry[64] = {0};

    virSanlockBridgeName(name, bridge);
    other = virSanlockResourceNew(f->path, g, bridge, virSanlockBridgeOffset(g, slot));
    g_assert_cmpint(sanlock_direct_write_resource(lease, g->maxHosts, g->maxHosts, 0), ==, 0);
    g_assert_cmpint(sanlock_direct_write_resource(other, g->maxHosts, g->maxHosts, 0), ==, 0);
    virBytesPut64(entry, virSanlockSlotOffset(g, slot));
    g_strlcpy((char *)entry + 16, indexName, 48);
    poke(f, virSanlockIndexOffset(g) + g->sectorSize + slot * 64, entry, sizeof(entry));
}

static void
assertRefused(Fixture *f, virLockStoreOptions options, virLockErrorCode code, const char *words)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(createWith(f, options, &error));
    g_assert_error(error, VIR_LOCK_ERROR, (int)code);
    if (!strstr(error->message, words))
        g_error("'%s' is not in: %s", words, error->message);
}

/* Exactly one finding above NOTE, with these words. */
static void
assertFinding(Fixture *f, virLockFindingLevel level, const char *subject, const char *words)
{
    g_autoptr(GPtrArray) findings = NULL;
    g_autoptr(GError) error = NULL;
    gboolean ok = virSanlockStoreCheck(f->config, &findings, NULL, &error);

    virAssertNoError(error);
    g_assert_true(ok);
    for (guint i = 0; i < findings->len; i++) {
        virLockFinding *finding = findings->pdata[i];

        if (finding->level == level && strcmp(finding->subject, subject) == 0 &&
            strstr(finding->text, words))
            return;
        g_test_message("found: %d %s: %s", finding->level, finding->subject, finding->text);
    }
    g_error("no finding '%s: %s'", subject, words);
}

/* --- create ------------------------------------------------------------------------------------- */

static void
testCreate(Fixture *f, gconstpointer data)
{
    const guint *sectorSize = data;
    g_autoptr(GError) error = NULL;
    virLockStoreInfo *info = NULL;
    gboolean ok = createWith(f,
                             (virLockStoreOptions){.lockspace = "vmstore",
                                                   .sectorSize = *sectorSize,
                                                   .maxHosts = 20,
                                                   .maxLeases = 30,
                                                   .ioTimeoutSec = 7},
                             &error);

    virAssertNoError(error);
    g_assert_true(ok);
    g_assert_true(virSanlockStoreGetInfo(f->config, &info, NULL, NULL));
    g_assert_cmpstr(info->lockspace, ==, "vmstore");
    g_assert_cmpuint(info->sectorSize, ==, *sectorSize);
    g_assert_cmpuint(info->maxHosts, ==, 20);
    g_assert_cmpuint(info->maxLeases, ==, 30);
    g_assert_cmpuint(info->usedLeases, ==, 0);
    g_assert_cmpuint(info->ioTimeoutSec, ==, 7);
    virLockStoreInfoFree(info);
    assertFinding(f, VIR_LOCK_FINDING_OK, "store", "is whole: 0 of 30");
}

static void
testCreateIsSparse(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    struct stat st;

    g_assert_true(createWith(f, (virLockStoreOptions){.maxLeases = 1000}, &error));
    g_assert_cmpint(stat(f->path, &st), ==, 0);
    g_assert_cmpuint(st.st_size, ==, G_GUINT64_CONSTANT(2008) << 20);
    g_assert_cmpuint(st.st_blocks * 512, <, 8 << 20);
}

/* A failed creation leaves no file behind, neither the store nor the temporary one. */
static void
assertFolderHas(Fixture *f, guint want)
{
    g_autoptr(GDir) dir = g_dir_open(f->folder, 0, NULL);
    guint n = 0;

    while (g_dir_read_name(dir))
        n++;
    g_assert_cmpuint(n, ==, want);
}

static void
testCreateRefusesNonsense(Fixture *f, gconstpointer data)
{
    typedef virLockStoreOptions O;

    assertRefused(f, (O){.lockspace = "a b"}, VIR_LOCK_ERROR_CONFIG, "lockspace's name");
    assertRefused(f, (O){.maxHosts = 2001}, VIR_LOCK_ERROR_CONFIG, "number of hosts");
    assertRefused(f, (O){.maxLeases = 16001}, VIR_LOCK_ERROR_CONFIG, "number of leases");
    assertRefused(f, (O){.ioTimeoutSec = 256}, VIR_LOCK_ERROR_CONFIG, "io_timeout");
    assertRefused(f, (O){.sectorSize = 1024}, VIR_LOCK_ERROR_CONFIG, "sector size");
    assertRefused(f, (O){.path = "relative"}, VIR_LOCK_ERROR_CONFIG, "absolute");
    assertRefused(f, (O){.path = "/with space"}, VIR_LOCK_ERROR_CONFIG, "space");
    assertRefused(f, (O){.path = "/nonexistent/store"}, VIR_LOCK_ERROR_CONFIG, "/nonexistent/store");
    assertRefused(f, (O){.path = f->folder}, VIR_LOCK_ERROR_CONFIG, "neither a file");
    assertRefused(f, (O){.path = "/proc/store"}, VIR_LOCK_ERROR_CONFIG, "/proc/store");
    assertFolderHas(f, 0);
}

static void
testCreateWithWatchdogRefusesShortTimeout(Fixture *f, gconstpointer data)
{
    f->config->watchdogRequired = TRUE;
    assertRefused(f, (virLockStoreOptions){.ioTimeoutSec = 1}, VIR_LOCK_ERROR_CONFIG,
                  "resets healthy hosts");
}

static void
testCreateKeepsWhatIsThere(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    g_assert_true(g_file_set_contents(f->path, "precious", -1, NULL));
    assertRefused(f, (virLockStoreOptions){0}, VIR_LOCK_ERROR_CONFIG, "is not a store");
    g_assert_true(g_file_get_contents(f->path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "precious");

    g_assert_true(createWith(f, (virLockStoreOptions){.force = TRUE}, &error));
    assertRefused(f, (virLockStoreOptions){0}, VIR_LOCK_ERROR_CONFIG, "is a store already");
    g_assert_true(createWith(f, (virLockStoreOptions){.force = TRUE}, &error));
    assertFolderHas(f, 1);
}

/* A host that renews, as the store shows it: its sector changes. */
typedef struct {
    Fixture *f;
    gint stop;
} Renewer;

static gpointer
renew(gpointer data)
{
    Renewer *renewer = data;
    g_autoptr(virSanlockStore) store = openStore(renewer->f);
    g_autoptr(virSanlockBytes) sector = virSanlockBuffer(512);

    for (guint64 now = 100; !g_atomic_int_get(&renewer->stop); now++) {
        if (!virSanlockStoreRead(store, 0, sector, 512, NULL))
            break;
        virBytesPut64(sector + 152, now);
        g_strlcpy((char *)sector + 104, "alpha", 48);
        virBytesPut32(sector + 168, virBytesCrc32c(~1u, sector, 168));
        if (!virSanlockStoreWrite(store, 0, sector, 512, NULL))
            break;
        g_usleep(300 * 1000);
    }
    return NULL;
}

static void
testCreateNeverOverwritesJoined(Fixture *f, gconstpointer data)
{
    Renewer renewer = {.f = f};
    g_autoptr(GError) error = NULL;
    GThread *thread;

    create(f);
    thread = g_thread_new("renew", renew, &renewer);
    g_usleep(100 * 1000);
    assertRefused(f, (virLockStoreOptions){.force = TRUE}, VIR_LOCK_ERROR_STATE,
                  "never overwritten");

    /* a host that died without leaving does not keep the store for ever */
    g_atomic_int_set(&renewer.stop, 1);
    g_thread_join(thread);
    g_assert_true(createWith(f, (virLockStoreOptions){.force = TRUE}, &error));
}

/* Files of /proc, like those of some network file systems, cannot be opened with O_DIRECT. */
static void
testNoDirectIo(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(virSanlockStoreOpen("/proc/self/comm", NULL, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "cannot do direct I/O"));
}

/* --- open and check ------------------------------------------------------------------------------ */

static void
assertUnusable(Fixture *f, const char *lockspace, const char *words)
{
    g_autoptr(virSanlockConfig) config = makeConfig(f->path, lockspace);
    g_autoptr(GError) error = NULL;
    virLockStoreInfo *info = NULL;

    g_assert_false(virSanlockStoreGetInfo(config, &info, NULL, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    if (!strstr(error->message, words))
        g_error("'%s' is not in: %s", words, error->message);
    if (!lockspace)
        assertFinding(f, VIR_LOCK_FINDING_ERROR, "store", words);
}

static void
testUnusable(Fixture *f, gconstpointer data)
{
    guint8 header[VIR_SANLOCK_HEADER_SIZE];
    virSanlockGeometry g;

    assertUnusable(f, NULL, "does not exist");
    create(f);
    assertUnusable(f, "other", "is of lockspace 'vmstore', but 'other' is configured");

    {
        g_autoptr(virSanlockStore) store = openStore(f);

        g = store->geometry;
    }
    g.version = 9;
    virSanlockHeaderEncode(&g, header);
    poke(f, virSanlockHeaderOffset(512), header, sizeof(header));
    assertUnusable(f, NULL, "format version 9; this leasehold knows version 1");
    header[40] ^= 1;
    poke(f, virSanlockHeaderOffset(512), header, sizeof(header));
    assertUnusable(f, NULL, "is damaged");
    memset(header, 0, sizeof(header));
    poke(f, virSanlockHeaderOffset(512), header, sizeof(header));
    assertUnusable(f, NULL, "formatted anew by another tool");
}

static void
testTruncated(Fixture *f, gconstpointer data)
{
    create(f);
    g_assert_cmpint(truncate(f->path, 20 << 20), ==, 0);
    assertUnusable(f, NULL, "is truncated");
    g_assert_cmpint(truncate(f->path, 0), ==, 0);
    assertUnusable(f, NULL, "too short");
}

static void
testCheckFindsNothing(Fixture *f, gconstpointer data)
{
    create(f);
    fillSlot(f, 0, "disk-1", "disk-1");
    fillSlot(f, 1, "disk-2", "disk-2");
    assertFinding(f, VIR_LOCK_FINDING_OK, "store", "2 of 10 leases in use");
}

static void
testCheckFindsDuplicates(Fixture *f, gconstpointer data)
{
    create(f);
    fillSlot(f, 2, "disk-1", "disk-1");
    fillSlot(f, 7, "disk-1", "disk-1");
    assertFinding(f, VIR_LOCK_FINDING_ERROR, "slot 7", "has disk-1 twice: in slot 2");
}

static void
testCheckFindsWrongNames(Fixture *f, gconstpointer data)
{
    create(f);
    fillSlot(f, 2, "disk-1", "disk-x");
    assertFinding(f, VIR_LOCK_FINDING_ERROR, "slot 2",
                  "should be vmstore:disk-x but is vmstore:disk-1");
    fillSlot(f, 3, "disk-2", "no good");
    assertFinding(f, VIR_LOCK_FINDING_ERROR, "slot 3", "impossible name");
}

static void
testCheckFindsDamage(Fixture *f, gconstpointer data)
{
    g_autofree char *garbage = g_strnfill(8 * 512, 'x');
    virSanlockGeometry g;

    create(f);
    fillSlot(f, 0, "disk-0", "disk-0");
    fillSlot(f, 1, "disk-1", "disk-1");
    fillSlot(f, 2, "disk-2", "disk-2");
    fillSlot(f, 3, "disk-3", "disk-3");
    {
        g_autoptr(virSanlockStore) store = openStore(f);

        g = store->geometry;
    }
    poke(f, virSanlockSlotOffset(&g, 0) + 60, garbage, 8);
    poke(f, virSanlockBridgeOffset(&g, 1), garbage, 512);
    poke(f, virSanlockUseOffset(&g, 2), garbage, 8 * 512);
    poke(f, virSanlockUseOffset(&g, 3) + 512, garbage, 100);
    poke(f, 4 * 512 + 20, garbage, 8);
    poke(f, virSanlockGuardOffset(&g), garbage, 512);
    assertFinding(f, VIR_LOCK_FINDING_ERROR, "slot 0", "the lease of disk-0 is damaged");
    assertFinding(f, VIR_LOCK_FINDING_ERROR, "slot 1", "the bridge of ~disk-1 is missing");
    assertFinding(f, VIR_LOCK_FINDING_ERROR, "slot 2", "nobody can tell who used it last");
    assertFinding(f, VIR_LOCK_FINDING_WARNING, "slot 3", "the last use record of disk-3 was torn");
    assertFinding(f, VIR_LOCK_FINDING_ERROR, "host id 5", "damaged");
    assertFinding(f, VIR_LOCK_FINDING_ERROR, "guard", "missing or damaged");
}

static void
testCheckFindsSectorMismatch(Fixture *f, gconstpointer data)
{
    g_autoptr(virSanlockBytes) sector = virSanlockBuffer(512);
    g_autoptr(virSanlockStore) store = NULL;
    guint64 offset;

    create(f);
    fillSlot(f, 0, "disk-0", "disk-0");
    store = openStore(f);
    offset = virSanlockSlotOffset(&store->geometry, 0);
    g_assert_true(virSanlockStoreRead(store, offset, sector, 512, NULL));
    virBytesPut32(sector + 12, 4096);
    virBytesPut32(sector + 168, virBytesCrc32c(~1u, sector, 168));
    g_assert_true(virSanlockStoreWrite(store, offset, sector, 512, NULL));
    assertFinding(f, VIR_LOCK_FINDING_ERROR, "slot 0", "has sectors of 4096 bytes, the store of 512");
}

static void
testCheckFindsBrokenIndex(Fixture *f, gconstpointer data)
{
    create(f);
    poke(f, 2 << 20, "xxxx", 4);
    assertFinding(f, VIR_LOCK_FINDING_ERROR, "store", "there is no lease index");
}

int
main(int argc, char **argv)
{
    static const guint small = 512, large = 4096;

    virTestInit(&argc, &argv);
#define ADD(name, data, func)                                                                \
    g_test_add("/sanlock/store/" name, Fixture, data, setUp, func, tearDown)
    ADD("create/512", &small, testCreate);
    ADD("create/4096", &large, testCreate);
    ADD("create/sparse", NULL, testCreateIsSparse);
    ADD("create/nonsense", NULL, testCreateRefusesNonsense);
    ADD("create/watchdog", NULL, testCreateWithWatchdogRefusesShortTimeout);
    ADD("create/keeps", NULL, testCreateKeepsWhatIsThere);
    ADD("create/joined", NULL, testCreateNeverOverwritesJoined);
    ADD("no-direct-io", NULL, testNoDirectIo);
    ADD("unusable", NULL, testUnusable);
    ADD("truncated", NULL, testTruncated);
    ADD("check/nothing", NULL, testCheckFindsNothing);
    ADD("check/duplicates", NULL, testCheckFindsDuplicates);
    ADD("check/names", NULL, testCheckFindsWrongNames);
    ADD("check/damage", NULL, testCheckFindsDamage);
    ADD("check/sector", NULL, testCheckFindsSectorMismatch);
    ADD("check/index", NULL, testCheckFindsBrokenIndex);
    return g_test_run();
}
