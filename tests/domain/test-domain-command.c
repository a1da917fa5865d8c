/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-domain-command.c: foreign command lines: what is refused, what is taken from them, what
 * is added.
 */
#include "config.h"
#include "domain_lock/domain/domain_def.h"
#include "tests/lib/vir_test.h"

#include <string.h>
#include <unistd.h>

static char *testDir;

static virDomainDef *
command(const char *const *argv, const char *uuid, const char *disk, guint diskFlags,
        GError **error)
{
    g_autofree char *path = disk ? g_build_filename(testDir, disk, NULL) : NULL;
    virDomainLockDisk disks[] = {{path, diskFlags}};
    virDomainLockCommand c = {
        .structSize = sizeof(c),
        .name = "foreign",
        .uuid = uuid,
        .disks = disks,
        .nDisks = disk ? 1 : 0,
        .argv = argv,
    };

    return virDomainDefFromCommand(&c, 0, error);
}

#define ARGV(...) ((const char *const[]){"qemu-system-x86_64", __VA_ARGS__, NULL})

static void
assertRefused(const char *const *argv, const char *words)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virDomainDef) def = command(argv, NULL, NULL, 0, &error);

    g_assert_null(def);
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    if (!strstr(error->message, words))
        g_error("'%s' is not in '%s'", words, error->message);
}

static void
testRefused(void)
{
    assertRefused(ARGV("-m", "64", "-daemonize"), "'-daemonize'");
    assertRefused(ARGV("--daemonize"), "'--daemonize'");
    assertRefused(ARGV("-S"), "'-S'");
    assertRefused(ARGV("-no-shutdown"), "'-no-shutdown'");
    assertRefused(ARGV("-preconfig"), "'-preconfig'");
    assertRefused(ARGV("-incoming", "defer"), "'-incoming'");
    assertRefused(ARGV("-loadvm", "x"), "'-loadvm'");
    assertRefused(ARGV("-snapshot"), "'-snapshot'");
    assertRefused(ARGV("-sandbox", "off"), "'-sandbox'");
    assertRefused(ARGV("-runas", "nobody"), "'-runas'");
    assertRefused(ARGV("-chroot", "/"), "'-chroot'");
    assertRefused(ARGV("-action", "shutdown=poweroff"), "'-action shutdown=poweroff'");
    assertRefused(ARGV("-uuid", "nonsense"), "not a UUID");
    assertRefused((const char *const[]){"", NULL}, "needed");
}

static void
testUuid(void)
{
    static const char given[] = "4dea22b3-1d52-48f3-8516-782e98ab3fa0";
    g_autoptr(GError) error = NULL;
    g_autoptr(virDomainDef) line =
        command(ARGV("-uuid", "4DEA22B31D5248F38516782E98AB3FA0"), NULL, NULL, 0, &error);
    g_autoptr(virDomainDef) asked = command(ARGV("-m", "64"), given, NULL, 0, &error);
    g_autoptr(virDomainDef) named = command(ARGV("-m", "64"), NULL, NULL, 0, &error);
    g_autoptr(virDomainDef) again = command(ARGV("-m", "65"), NULL, NULL, 0, &error);

    virAssertNoError(error);
    g_assert_cmpstr(virDomainDefGetUuid(line), ==, given);
    g_assert_cmpstr(virDomainDefGetUuid(asked), ==, given);
    g_assert_cmpstr(virDomainDefGetUuid(named), ==, virDomainDefGetUuid(again));
    g_assert_true(virDomainDefIsForeign(named));
    g_assert_null(command(ARGV("-uuid", "00000000-0000-4000-8000-000000000000"), given,
                          NULL, 0, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
}

/* --- what the line says about a disk ------------------------------------------------------------ */

typedef struct {
    const char *argv[6]; /* @D is the directory */
    const char *format;  /* as it must be understood */
    gboolean direct;
} Case;

static const Case cases[] = {
    {{"-drive", "file=@D/top.qcow2,format=qcow2,cache=none"}, "qcow2", TRUE},
    {{"-drive", "format=qcow2,if=virtio,cache=directsync,file=@D/top.qcow2"},
     "qcow2",
     TRUE},
    {{"--drive", "file=@D/top.qcow2,driver=qcow2,cache.direct=on"}, "qcow2", TRUE},
    {{"-drive", "file=@D/top.qcow2,format=qcow2"}, "qcow2", FALSE},
    {{"-drive", "file=@D/top.qcow2,format=raw,cache=writeback"}, "raw", FALSE},
    {{"-drive", "file=@D/top.qcow2"}, "raw", FALSE},
    {{"-hda", "@D/top.qcow2"}, "raw", FALSE},
    {{"-blockdev", "driver=file,filename=@D/top.qcow2,node-name=s,cache.direct=on",
      "-blockdev", "driver=qcow2,file=s,node-name=f"},
     "qcow2",
     TRUE},
    {{"-blockdev", "driver=file,filename=@D/top.qcow2,node-name=s"}, "raw", FALSE},
    {{"-blockdev", "driver=qcow2,node-name=f,file.driver=file,file.filename=@D/top.qcow2,"
                   "file.cache.direct=on"},
     "qcow2",
     TRUE},
    {{"-blockdev",
      "{\"driver\":\"qcow2\",\"node-name\":\"f\",\"file\":{\"driver\":\"file\","
      "\"filename\":\"@D/top.qcow2\",\"cache\":{\"direct\":true}}}"},
     "qcow2",
     TRUE},
    {{"-blockdev",
      "{\"driver\":\"file\",\"filename\":\"@D/top.qcow2\",\"node-name\":\"s\"}",
      "-blockdev", "{\"driver\":\"qcow2\",\"file\":\"s\",\"node-name\":\"f\"}"},
     "qcow2",
     FALSE},
    {{"-blockdev", "{broken"}, "raw", FALSE},
    {{"-m", "64"}, "raw", FALSE},
};

static char *
inDir(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "@D", -1);

    return g_strjoinv(testDir, parts);
}

static void
testDisks(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(virDomainDef) def = NULL;
        g_autoptr(GError) error = NULL;
        GPtrArray *resources;
        const virDomainResource *top;

        g_ptr_array_add(argv, g_strdup("qemu-system-x86_64"));
        for (gsize a = 0; cases[i].argv[a]; a++)
            g_ptr_array_add(argv, inDir(cases[i].argv[a]));
        g_ptr_array_add(argv, NULL);
        def = command((const char *const *)argv->pdata, NULL, "top.qcow2", 0, &error);
        virAssertNoError(error);
        g_assert_true(virDomainDefRequireDirectIo(def, &error) == cases[i].direct);
        if (!cases[i].direct)
            g_assert_nonnull(strstr(error->message, "cache=none"));
        g_clear_error(&error);
        g_assert_true(virDomainDefReadChains(def, NULL, &error));
        virAssertNoError(error);
        resources = virDomainDefGetResources(def);
        top = g_ptr_array_index(resources, 0);
        g_assert_cmpstr(top->format, ==, cases[i].format);
        g_assert_cmpuint(top->flags, ==, 0);
        g_assert_cmpuint(resources->len, ==,
                         g_str_equal(cases[i].format, "qcow2") ? 2 : 1);
        if (resources->len == 2)
            g_assert_cmpuint(
                ((virDomainResource *)g_ptr_array_index(resources, 1))->flags, ==,
                VIR_LOCK_MANAGER_RESOURCE_READONLY);
    }
}

static void
testReadonlyDisk(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virDomainDef) def = command(ARGV("-m", "64"), NULL, "raw",
                                          VIR_LOCK_MANAGER_RESOURCE_READONLY, &error);
    g_autoptr(virDomainDef) missing =
        command(ARGV("-m", "64"), NULL, "nowhere", 0, &error);

    g_assert_true(virDomainDefRequireDirectIo(def, NULL));
    g_assert_true(virDomainDefReadChains(def, NULL, NULL));
    g_assert_cmpuint(
        ((virDomainResource *)g_ptr_array_index(virDomainDefGetResources(def), 0))->flags,
        ==, VIR_LOCK_MANAGER_RESOURCE_READONLY);
    g_assert_false(virDomainDefReadChains(missing, NULL, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "nowhere': No such file"));
}

/* --- what is added ------------------------------------------------------------------------------ */

static void
testArgv(void)
{
    static const char *const want[] = {
        "-m",
        "64",
        "-S",
        "-no-shutdown",
        "-action",
        "panic=pause",
        "-sandbox",
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-uuid",
        NULL,
        "-chardev",
        "socket,id=leasehold-qmp,fd=7,server=on,wait=off",
        "-mon",
        "chardev=leasehold-qmp,id=leasehold-monitor,mode=control"};
    g_autoptr(GError) error = NULL;
    g_autoptr(virDomainDef) def = command(ARGV("-m", "64"), NULL, NULL, 0, &error);
    virDomainArgvContext context = {.runDir = "/run/x", .qmpFd = 7};
    g_auto(GStrv) argv = NULL;

    g_assert_null(virDomainDefFormatArgv(def, &context, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE);
    g_clear_error(&error);
    g_assert_true(virDomainDefReadChains(def, NULL, &error));
    argv = virDomainDefFormatArgv(def, &context, &error);
    virAssertNoError(error);
    g_assert_true(g_path_is_absolute(argv[0]));
    g_assert_true(g_str_has_suffix(argv[0], "/qemu-system-x86_64"));
    g_assert_cmpuint(g_strv_length(argv), ==, 1 + G_N_ELEMENTS(want));
    for (gsize i = 0; i < G_N_ELEMENTS(want); i++)
        g_assert_cmpstr(argv[i + 1], ==, want[i] ? want[i] : virDomainDefGetUuid(def));
}

static void
testNoProgram(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virDomainDef) def =
        command((const char *const[]){"qemu-system-none", NULL}, NULL, NULL, 0, &error);
    virDomainArgvContext context = {.runDir = "/run/x", .qmpFd = 7};

    g_assert_true(virDomainDefReadChains(def, NULL, &error));
    g_assert_null(virDomainDefFormatArgv(def, &context, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "'qemu-system-none'"));
}

#define RUN(...) virTestRun(testDir, (const char *const[]){__VA_ARGS__, NULL})

int
main(int argc, char **argv)
{
    int rc;

    virTestInit(&argc, &argv);
    testDir = g_dir_make_tmp("leasehold-command-XXXXXX", NULL);
    RUN("truncate", "-s", "1M", "raw");
    RUN("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "raw", "top.qcow2");
    g_test_add_func("/command/refused", testRefused);
    g_test_add_func("/command/uuid", testUuid);
    g_test_add_func("/command/disks", testDisks);
    g_test_add_func("/command/readonly-disk", testReadonlyDisk);
    g_test_add_func("/command/argv", testArgv);
    g_test_add_func("/command/no-program", testNoProgram);
    rc = g_test_run();
    RUN("rm", "-rf", testDir);
    g_free(testDir);
    return rc;
}
