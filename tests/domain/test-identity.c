/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-identity.c: an image has one identity, however it is reached; what has none says
 * so and names the ways out. Block devices and NFS are read from trees that the test
 * builds in the form of the kernel's; file systems from a real one that mkfs makes.
 */
#include "config.h"
#include "common/identity.h"
#include "common/text.h"
#include "tests/lib/vir_test.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    char *dir;
    char *sys;
    char *proc;
    virIdentityRoots roots;
} Fixture;

static void
setUp(Fixture *f, gconstpointer data)
{
    f->dir = g_dir_make_tmp("identity-XXXXXX", NULL);
    f->sys = g_build_filename(f->dir, "sys", NULL);
    f->proc = g_build_filename(f->dir, "proc", NULL);
    f->roots = (virIdentityRoots){f->sys, f->proc, "/dev"};
}

static void
tearDown(Fixture *f, gconstpointer data)
{
    const char *argv[] = {"rm", "-rf", f->dir, NULL};

    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                               NULL, NULL, NULL, NULL));
    g_free(f->dir);
    g_free(f->sys);
    g_free(f->proc);
}

static void
put(Fixture *f, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(f->dir, name, NULL);
    g_autofree char *dir = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void
putLink(Fixture *f, const char *name, const char *target)
{
    g_autofree char *path = g_build_filename(f->dir, name, NULL);
    g_autofree char *dir = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
    g_assert_cmpint(symlink(target, path), ==, 0);
}

/* A SCSI disk sda (8:0) with a partition sda2 (8:2). */
static void
putScsiDisk(Fixture *f, const char *name, const char *devno, const char *wwid)
{
    g_autofree char *attr = g_strdup_printf("sys/devices/pci/%s/device/wwid", name);
    g_autofree char *link = g_strdup_printf("sys/dev/block/%s", devno);
    g_autofree char *target = g_strdup_printf("../../devices/pci/%s", name);

    put(f, attr, wwid);
    putLink(f, link, target);
}

static void
assertBlock(Fixture *f, guint maj, guint min, const char *want)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *why = NULL;
    g_autofree char *got = virIdentityOfBlockDevice(&f->roots, maj, min, &why, &error);

    virAssertNoError(error);
    g_assert_cmpstr(got, ==, want);
    g_assert_nonnull(why);
}

static void
assertNoBlock(Fixture *f, guint maj, guint min, int code, const char *words)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(virIdentityOfBlockDevice(&f->roots, maj, min, NULL, &error));
    g_assert_error(error, VIR_LOCK_ERROR, code);
    g_assert_nonnull(strstr(error->message, words));
}

static void
testWwn(Fixture *f, gconstpointer data)
{
    putScsiDisk(f, "sda", "8:0", "naa.600140512345\n");
    put(f, "sys/devices/pci/sda/sda2/partition", "2\n");
    putLink(f, "sys/dev/block/8:2", "../../devices/pci/sda/sda2");
    putScsiDisk(f, "sdb", "8:16", "t10.ATA     QEMU HARDDISK   QM0  \n");
    put(f, "sys/devices/nvme0n1/wwid", "eui.0025385b01\n");
    putLink(f, "sys/dev/block/259:0", "../../devices/nvme0n1");

    assertBlock(f, 8, 0, "wwn:naa.600140512345");
    assertBlock(f, 8, 2, "wwn:naa.600140512345-part2");
    assertBlock(f, 8, 16, "wwn:t10.ATA_QEMU_HARDDISK_QM0");
    assertBlock(f, 259, 0, "wwn:eui.0025385b01");
}

static void
testWwnNone(Fixture *f, gconstpointer data)
{
    putScsiDisk(f, "sda", "8:0", "naa.0000000000000000\n");
    putScsiDisk(f, "sdb", "8:16", "\n");
    put(f, "sys/devices/pci/sdb/serial", "not to be looked at\n");

    assertNoBlock(f, 8, 0, VIR_LOCK_ERROR_CONFIG, "no WWN");
    assertNoBlock(f, 8, 16, VIR_LOCK_ERROR_CONFIG, "no WWN");
    assertNoBlock(f, 8, 99, VIR_LOCK_ERROR_UNAVAILABLE, "8:99");
}

/* given a LUN with two paths under multipath, and the same LUN without multipath
 * elsewhere, when asked, then both are the same, and so are its partitions */
static void
testMultipath(Fixture *f, gconstpointer data)
{
    putScsiDisk(f, "sda", "8:0", "naa.600140512345\n");
    putScsiDisk(f, "sdb", "8:16", "naa.600140512345\n");
    put(f, "sys/devices/pci/sdb/sdb1/partition", "1\n");
    putLink(f, "sys/dev/block/8:17", "../../devices/pci/sdb/sdb1");
    put(f, "sys/devices/dm-0/dm/uuid", "mpath-3600140512345\n");
    putLink(f, "sys/devices/dm-0/slaves/sda", "../../pci/sda");
    putLink(f, "sys/devices/dm-0/slaves/sdb", "../../pci/sdb");
    putLink(f, "sys/dev/block/254:0", "../../devices/dm-0");
    put(f, "sys/devices/dm-1/dm/uuid", "part1-mpath-3600140512345\n");
    putLink(f, "sys/devices/dm-1/slaves/dm-0", "../../dm-0");
    putLink(f, "sys/dev/block/254:1", "../../devices/dm-1");

    assertBlock(f, 254, 0, "wwn:naa.600140512345");
    assertBlock(f, 254, 1, "wwn:naa.600140512345-part1");
    assertBlock(f, 8, 17, "wwn:naa.600140512345-part1");

    put(f, "sys/devices/pci/sdb/device/wwid", "naa.6001405aaaaa\n");
    assertNoBlock(f, 254, 0, VIR_LOCK_ERROR_CONFIG, "different WWNs");
}

static void
testMultipathNoPath(Fixture *f, gconstpointer data)
{
    put(f, "sys/dev/block/254:0/dm/uuid", "mpath-3600140512345\n");
    assertNoBlock(f, 254, 0, VIR_LOCK_ERROR_UNAVAILABLE, "no path");
}

static void
testLoopOfDevices(Fixture *f, gconstpointer data)
{
    put(f, "sys/dev/block/254:0/dm/uuid", "mpath-3600140512345\n");
    putLink(f, "sys/dev/block/254:0/slaves/self", "../../254:0");
    assertNoBlock(f, 254, 0, VIR_LOCK_ERROR_CONFIG, "too deep");
}

static void
testLvAndSerial(Fixture *f, gconstpointer data)
{
    put(f, "sys/dev/block/254:2/dm/uuid",
        "LVM-AAAAbbbbCCCCddddEEEEffffGGGGhhhhIIIIjjjj\n");
    put(f, "sys/dev/block/254:3/dm/uuid", "CRYPT-LUKS2-aaaa-name\n");
    put(f, "sys/dev/block/253:0/serial", "vol 1/x");
    put(f, "sys/dev/block/253:16/serial", "");
    put(f, "sys/dev/block/7:0/size", "0");

    assertBlock(f, 254, 2, "lv:AAAAbbbbCCCCddddEEEEffffGGGGhhhhIIIIjjjj");
    assertNoBlock(f, 254, 3, VIR_LOCK_ERROR_CONFIG, "neither a logical volume");
    assertBlock(f, 253, 0, "serial:vol_1%2Fx");
    assertNoBlock(f, 253, 16, VIR_LOCK_ERROR_CONFIG, "neither a WWN nor");
    assertNoBlock(f, 7, 0, VIR_LOCK_ERROR_CONFIG, "neither a WWN nor");
}

static void
assertFsid(Fixture *f, guint min, const char *want)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *got = virIdentityNfsFsid(&f->roots, 0, min, &error);

    virAssertNoError(error);
    g_assert_cmpstr(got, ==, want);
}

/* given kernels that print 16 or all characters of a server's fsid, when asked, then they
 * agree */
static void
testNfs(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    put(f, "proc/fs/nfsfs/volumes",
        "NV SERVER   PORT DEV          FSID                              FSC\n"
        "v4 c0a87a47  801 0:50         0:0                               no \n"
        "v4 c0a87a47  801 0:51         c10a1819257f4d4d:a0d6372e2f44b4e3 no \n"
        "v3 c0a87a47  801 0:5          7:0                               no \n");
    assertFsid(f, 51, "c10a1819257f4d4d");
    assertFsid(f, 5, "7:0");
    g_assert_null(virIdentityNfsFsid(&f->roots, 0, 50, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "fsid="));
    g_clear_error(&error);
    g_assert_null(virIdentityNfsFsid(&f->roots, 0, 52, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE);

    put(f, "proc/fs/nfsfs/volumes",
        "NV SERVER   PORT DEV     FSID              FSC\n"
        "v4 c0a87a47  801 0:51    c10a1819257f4d4d  no \n");
    assertFsid(f, 51, "c10a1819257f4d4d");
}

static char *
makeFs(Fixture *f, const char *uuid)
{
    g_autofree char *image = g_build_filename(f->dir, "fs", NULL);
    const char *argv[] = {"/usr/sbin/mkfs.ext4", "-q", "-U", uuid, image, "4M", NULL};
    int status = 0;

    g_unlink(image);
    if (!g_spawn_sync(NULL, (char **)argv, NULL, 0, NULL, NULL, NULL, NULL, &status,
                      NULL))
        return NULL;
    g_assert_true(g_spawn_check_wait_status(status, NULL));
    return g_steal_pointer(&image);
}

static void
testFsUuid(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *image = makeFs(f, "0A0B0C0D-1111-2222-3333-444455556666");
    g_autofree char *uuid = NULL;

    if (!image) {
        g_test_skip("needs mkfs.ext4 (Debian: e2fsprogs)");
        return;
    }
    uuid = virIdentityFsUuid(image, &error);
    virAssertNoError(error);
    g_assert_cmpstr(uuid, ==, "0a0b0c0d-1111-2222-3333-444455556666");

    put(f, "empty", "nothing that is a file system");
    g_free(image);
    image = g_build_filename(f->dir, "empty", NULL);
    g_assert_null(virIdentityFsUuid(image, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
}

static char *
local(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *why = NULL;
    char *identity = virIdentityOfPath(path, TRUE, &why, &error);

    virAssertNoError(error);
    g_assert_nonnull(strstr(why, "this machine only"));
    return identity;
}

static void
testLocal(Fixture *f, gconstpointer data)
{
    g_autofree char *a = g_build_filename(f->dir, "a", NULL);
    g_autofree char *b = g_build_filename(f->dir, "b", NULL);
    g_autofree char *soft = g_build_filename(f->dir, "link", NULL);
    g_autofree char *hard = g_build_filename(f->dir, "hard", NULL);
    g_autofree char *idA = NULL, *idB = NULL, *idLink = NULL, *idHard = NULL;
    g_autofree char *name = NULL;

    put(f, "a", "a");
    put(f, "b", "b");
    putLink(f, "link", "a");
    g_assert_cmpint(link(a, hard), ==, 0);
    idA = local(a);
    idB = local(b);
    idLink = local(soft);
    idHard = local(hard);
    g_assert_cmpstr(idA, ==, idLink);
    g_assert_cmpstr(idA, ==, idHard);
    g_assert_cmpstr(idA, !=, idB);

    name = virIdentityLeaseName(idA);
    g_assert_cmpint(strlen(name), ==, 45);
    g_assert_cmpint(strlen(name), <=, VIR_LOCK_NAME_MAX);
}

static void
testNoFile(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename(f->dir, "gone\nforged line", NULL);
    g_autofree char *fifo = g_build_filename(f->dir, "fifo", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_null(virIdentityOfPath(path, TRUE, NULL, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "gone\\x0aforged"));
    g_assert_null(strchr(error->message, '\n'));
    g_clear_error(&error);

    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_assert_null(virIdentityOfPath(fifo, TRUE, NULL, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
}

static void
testWaysOut(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *why = NULL;

    /* procfs stands for all that have no identity and is on every machine */
    g_assert_null(virIdentityOfPath("/proc/self/status", FALSE, &why, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "<lease>"));
    g_assert_nonnull(strstr(error->message, "identity = local"));
    g_assert_null(why);
}

static void
testPrintable(void)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain /vm/a b", "plain /vm/a b"},
        {"tab\tnl\n", "tab\\x09nl\\x0a"},
        {"\033[2J", "\\x1b[2J"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"half\xc3", "half\\xc3"},
        {"\xe2\x80\xaegnp", "\\xe2\\x80\\xaegnp"},
        {NULL, "(none)"},
        {"", ""},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *got = virTextPrintable(cases[i].in);

        g_assert_cmpstr(got, ==, cases[i].out);
    }
}

#define ADD(path, func) g_test_add(path, Fixture, NULL, setUp, func, tearDown)

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    ADD("/identity/block/wwn", testWwn);
    ADD("/identity/block/wwn-none", testWwnNone);
    ADD("/identity/block/multipath", testMultipath);
    ADD("/identity/block/multipath-without-path", testMultipathNoPath);
    ADD("/identity/block/loop", testLoopOfDevices);
    ADD("/identity/block/lv-and-serial", testLvAndSerial);
    ADD("/identity/nfs", testNfs);
    ADD("/identity/fs-uuid", testFsUuid);
    ADD("/identity/local", testLocal);
    ADD("/identity/no-file", testNoFile);
    ADD("/identity/ways-out", testWaysOut);
    g_test_add_func("/text/printable", testPrintable);
    return g_test_run();
}
