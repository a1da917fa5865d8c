/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-image-chain.c: which files an image consists of: chains that qemu-img made, chains that
 * nobody should have made, and headers that an enemy wrote.
 */
#include "config.h"
#include "domain_lock/domain/domain_def.h"
#include "domain_lock/image/image_chain.h"
#include "tests/lib/vir_test.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    char *dir;
} Fixture;

#define RUN(f, ...) virTestRun((f)->dir, (const char *const[]){__VA_ARGS__, NULL})
#define CREATE(f, ...) RUN(f, "qemu-img", "create", "-q", "-f", "qcow2", __VA_ARGS__)

static void
setUp(Fixture *f, gconstpointer data)
{
    f->dir = g_dir_make_tmp("leasehold-chain-XXXXXX", NULL);
    RUN(f, "truncate", "-s", "1M", "raw");
    CREATE(f, "base", "1M");
    CREATE(f, "-b", "base", "-F", "qcow2", "middle");
    CREATE(f, "-b", "middle", "-F", "qcow2", "top");
}

static void
tearDown(Fixture *f, gconstpointer data)
{
    RUN(f, "rm", "-rf", f->dir);
    g_free(f->dir);
}

static virImageChain *
readChain(Fixture *f, const char *name, const char *format, GError **error)
{
    g_autofree char *path = g_build_filename(f->dir, name, NULL);

    return virImageChainRead(path, format, "disk 'vda'", NULL, error);
}

/* @want: "name format, name format, ..." from the top */
static void
assertChain(Fixture *f, const char *name, const char *format, const char *want)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virImageChain) chain = readChain(f, name, format, &error);
    g_autoptr(GString) have = g_string_new(NULL);

    virAssertNoError(error);
    for (guint i = 0; i < chain->images->len; i++) {
        const virImage *image = g_ptr_array_index(chain->images, i);

        g_assert_true(g_str_has_prefix(image->path, f->dir));
        g_string_append_printf(have, "%s%s %s", i ? ", " : "",
                               image->path + strlen(f->dir) + 1, image->format);
        if (image->dataFile)
            g_string_append_printf(have, " + %s", image->dataFile + strlen(f->dir) + 1);
    }
    g_assert_cmpstr(have->str, ==, want);
}

static void
assertNoChain(Fixture *f, const char *name, const char *format, const char *words)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(readChain(f, name, format, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    if (!strstr(error->message, words))
        g_error("'%s' is not in '%s'", words, error->message);
    g_assert_true(g_str_has_prefix(error->message, "disk 'vda': "));
    g_assert_null(strchr(error->message, '\n'));
}

/* --- chains -------------------------------------------------------------------------------- */

static void
testThreeDeep(Fixture *f, gconstpointer data)
{
    assertChain(f, "top", "qcow2", "top qcow2, middle qcow2, base qcow2");
    assertChain(f, "base", "qcow2", "base qcow2");
}

/* given a raw disk into which the guest wrote a qcow2 header that names a backing file, when
 * the chain is read, then the header is data */
static void
testRawIsNotProbed(Fixture *f, gconstpointer data)
{
    assertChain(f, "top", "raw", "top raw");
    CREATE(f, "-b", "top", "-F", "raw", "over");
    assertChain(f, "over", "qcow2", "over qcow2, top raw");
}

static void
testNames(Fixture *f, gconstpointer data)
{
    g_autofree char *absolute = g_build_filename(f->dir, "base", NULL);
    g_autofree char *withFile = g_strdup_printf("file:%s", absolute);

    RUN(f, "mkdir", "sub");
    CREATE(f, "-b", "../top", "-F", "qcow2", "sub/relative");
    CREATE(f, "-b", absolute, "-F", "qcow2", "absolute");
    CREATE(f, "-b", withFile, "-F", "qcow2", "prefixed");
    RUN(f, "cp", "base", "odd, näme");
    CREATE(f, "-b", "odd, näme", "-F", "qcow2", "odd");
    assertChain(
        f, "sub/relative", "qcow2",
        "sub/relative qcow2, sub/../top qcow2, sub/../middle qcow2, sub/../base qcow2");
    assertChain(f, "absolute", "qcow2", "absolute qcow2, base qcow2");
    assertChain(f, "prefixed", "qcow2", "prefixed qcow2, base qcow2");
    assertChain(f, "odd", "qcow2", "odd qcow2, odd, näme qcow2");
}

static void
testVersions(Fixture *f, gconstpointer data)
{
    CREATE(f, "-o", "compat=0.10", "-b", "base", "-F", "qcow2", "v2");
    CREATE(f, "-o", "cluster_size=512", "-b", "base", "-F", "qcow2", "small");
    CREATE(f, "-o", "cluster_size=2M", "-b", "base", "-F", "qcow2", "large");
    CREATE(f, "-o", "extended_l2=on,compression_type=zlib", "-b", "base", "-F", "qcow2",
           "l2");
    assertChain(f, "v2", "qcow2", "v2 qcow2, base qcow2");
    assertChain(f, "small", "qcow2", "small qcow2, base qcow2");
    assertChain(f, "large", "qcow2", "large qcow2, base qcow2");
    assertChain(f, "l2", "qcow2", "l2 qcow2, base qcow2");
}

static void
testDataFile(Fixture *f, gconstpointer data)
{
    CREATE(f, "-o", "data_file=data.raw", "external", "1M");
    assertChain(f, "external", "qcow2", "external qcow2 + data.raw");
    RUN(f, "rm", "data.raw");
    assertNoChain(f, "external", "qcow2", "data.raw': No such file");
}

/* qemu-img first measures how fast the CPU hashes, and where the clock of CPU time is coarse
 * it now and then reads zero and gives up ("Unable to get accurate CPU usage"). */
static void
createEncrypted(Fixture *f)
{
    const char *argv[] = {
        "qemu-img", "create", "-q", "-f", "qcow2", "--object", "secret,id=s,data=x", "-o",
        "encrypt.format=luks,encrypt.key-secret=s", "-o", "encrypt.iter-time=10", "luks",
        "1M", NULL};
    int status = -1;

    for (guint tries = 0; status != 0 && tries < 20; tries++)
        g_assert_true(g_spawn_sync(f->dir, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL,
                                   NULL, NULL, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
}

static void
testEncrypted(Fixture *f, gconstpointer data)
{
    g_autoptr(virImageChain) chain = NULL;

    createEncrypted(f);
    chain = readChain(f, "luks", "qcow2", NULL);
    g_assert_nonnull(chain);
    g_assert_true(((virImage *)g_ptr_array_index(chain->images, 0))->encrypted);
}

static void
testOtherFormats(Fixture *f, gconstpointer data)
{
    RUN(f, "qemu-img", "create", "-q", "-f", "vdi", "x.vdi", "1M");
    RUN(f, "qemu-img", "create", "-q", "-f", "vhdx", "x.vhdx", "1M");
    RUN(f, "qemu-img", "create", "-q", "-f", "qed", "-b", "raw", "-F", "raw", "x, y.qed");
    RUN(f, "qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat",
        "flat.vmdk", "1M");
    assertChain(f, "x.vdi", "vdi", "x.vdi vdi");
    assertChain(f, "x.vhdx", "vhdx", "x.vhdx vhdx");
    assertChain(f, "x, y.qed", "qed", "x, y.qed qed, raw raw");
    assertNoChain(f, "flat.vmdk", "vmdk", "flat-flat.vmdk");
    assertNoChain(f, "raw", "vdi", "qemu-img cannot read it");
    assertNoChain(f, "raw", "luks", "format 'luks', which is not supported");
}

/* --- chains that nobody should have made ------------------------------------------------------ */

static void
testLoops(Fixture *f, gconstpointer data)
{
    CREATE(f, "self", "1M");
    RUN(f, "qemu-img", "rebase", "-u", "-b", "self", "-F", "qcow2", "self");
    RUN(f, "qemu-img", "rebase", "-u", "-b", "top", "-F", "qcow2", "base");
    assertNoChain(f, "self", "qcow2", "is a loop");
    assertNoChain(f, "top", "qcow2", "is a loop");
    assertNoChain(f, "top", "qcow2", "middle' -> '");
    /* by another name of the same file */
    RUN(f, "ln", "-s", "top", "alias");
    RUN(f, "qemu-img", "rebase", "-u", "-b", "alias", "-F", "qcow2", "base");
    assertNoChain(f, "top", "qcow2", "is a loop");
    RUN(f, "ln", "-s", "b", "a");
    RUN(f, "ln", "-s", "a", "b");
    assertNoChain(f, "a", "raw", "Too many levels of symbolic links");
}

static void
testTooDeep(Fixture *f, gconstpointer data)
{
    g_autofree char *base = g_build_filename(f->dir, "base", NULL);
    g_autofree char *header = NULL;
    gsize len = 0;

    /* copies of one header that is changed to name the next: 201 qemu-img would take long */
    CREATE(f, "-b", "0000", "-F", "qcow2", "-u", "pattern", "1M");
    g_free(base);
    base = g_build_filename(f->dir, "pattern", NULL);
    g_assert_true(g_file_get_contents(base, &header, &len, NULL));
    for (int i = 0; i <= VIR_IMAGE_MAX_DEPTH; i++) {
        g_autofree char *path = g_strdup_printf("%s/%04d", f->dir, i);
        char *name = memmem(header, len, "0000", 4);
        g_autofree char *next = g_strdup_printf("%04d", i + 1);
        g_autofree char *copy = g_memdup2(header, len);

        memcpy(copy + (name - header), next, 4);
        g_assert_true(g_file_set_contents(path, copy, (gssize)len, NULL));
    }
    assertNoChain(f, "0000", "qcow2", "more than 200 images");
}

static void
testMissing(Fixture *f, gconstpointer data)
{
    RUN(f, "rm", "base");
    assertNoChain(f, "top", "qcow2",
                  "base': No such file or directory; its chain so far: '");
    assertNoChain(f, "top", "qcow2", "/top' -> '");
    assertNoChain(f, "nowhere\x1b[2J", "raw", "nowhere\\x1b[2J");
    assertNoChain(f, ".", "raw", "neither a file nor a block device");
    RUN(f, "mkfifo", "fifo");
    assertNoChain(f, "fifo", "raw", "neither a file nor a block device");
}

static void
testProtocols(Fixture *f, gconstpointer data)
{
    static const char *const names[] = {"nbd:127.0.0.1:1",    "json:{\"driver\":\"nbd\"}",
                                        "http://127.0.0.1/x", "fat:/etc",
                                        "rbd:pool/x",         "file:nbd:x"};

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        CREATE(f, "-b", names[i], "-F", "raw", "-u", "remote", "1M");
        assertNoChain(f, "remote", "qcow2",
                      "only files and block devices are supported, not '");
        RUN(f, "rm", "remote");
    }
}

static void
testNoFormat(Fixture *f, gconstpointer data)
{
    CREATE(f, "-o", "compat=0.10", "old", "1M");
    RUN(f, "qemu-img", "rebase", "-u", "-b", "base", "-F", "qcow2", "old");
    assertChain(f, "old", "qcow2", "old qcow2, base qcow2");
    /* an image as qemu-img of old made it: the extension with the format is taken out */
    {
        g_autofree char *path = g_build_filename(f->dir, "old", NULL);
        g_autofree char *bytes = NULL;
        gsize len = 0;
        char *extension;

        g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
        extension = memmem(bytes, len, "\xe2\x79\x2a\xca", 4);
        g_assert_nonnull(extension);
        memcpy(extension, "\x01\x02\x03\x04", 4);
        g_assert_true(g_file_set_contents(path, bytes, (gssize)len, NULL));
    }
    assertNoChain(f, "old", "qcow2", "qemu-img rebase -u -b 'base' -F FORMAT '");
}

static void
testCancelled(Fixture *f, gconstpointer data)
{
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(f->dir, "top", NULL);

    g_cancellable_cancel(cancellable);
    g_assert_null(virImageChainRead(path, "qcow2", "disk 'vda'", cancellable, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED);
}

/* --- a description and its images ----------------------------------------------------------------- */

static virDomainDef *
guestWithDisk(Fixture *f, const char *name, const char *format, const char *more)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = g_strdup_printf("<domain "
                                           "type='qemu'><name>g</name><memory>65536</"
                                           "memory><os><type>hvm</type></os><devices>"
                                           "<disk type='file'><driver type='%s'/><source "
                                           "file='%s/%s'/><target dev='vda'/>%s</disk>"
                                           "</devices></domain>",
                                           format, f->dir, name, more);
    virDomainDef *def = virDomainDefParseXML(xml, -1, 0, &error);

    virAssertNoError(error);
    return def;
}

static void
assertNotReadable(virDomainDef *def, int code, const char *words)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(virDomainDefReadChains(def, NULL, &error));
    g_assert_error(error, VIR_LOCK_ERROR, code);
    if (!strstr(error->message, words))
        g_error("'%s' is not in '%s'", words, error->message);
}

/* given a chain that was read, when another host commits or rebases meanwhile, then the
 * second reading says so */
static void
testStale(Fixture *f, gconstpointer data)
{
    g_autoptr(virDomainDef) def = guestWithDisk(f, "top", "qcow2", "");

    g_assert_true(virDomainDefReadChains(def, NULL, NULL));
    g_assert_cmpuint(virDomainDefGetResources(def)->len, ==, 3);
    g_assert_true(virDomainDefReadChains(def, NULL, NULL));
    g_assert_cmpuint(virDomainDefGetResources(def)->len, ==, 3);
    RUN(f, "qemu-img", "rebase", "-u", "-b", "base", "-F", "qcow2", "top");
    assertNotReadable(def, VIR_LOCK_ERROR_STALE, "base");
}

/* The same name, but another file: an image that was replaced. */
static void
testReplaced(Fixture *f, gconstpointer data)
{
    g_autoptr(virDomainDef) def = guestWithDisk(f, "raw", "raw", "");

    g_assert_true(virDomainDefReadChains(def, NULL, NULL));
    RUN(f, "cp", "raw", "copy");
    RUN(f, "mv", "copy", "raw");
    assertNotReadable(def, VIR_LOCK_ERROR_STALE, "raw");
}

static void
testBackingStore(Fixture *f, gconstpointer data)
{
    g_autofree char *wrong =
        g_strdup_printf("<backingStore type='file'><format type='qcow2'/><source "
                        "file='%s/base'/></backingStore>",
                        f->dir);
    g_autofree char *right =
        g_strdup_printf("<backingStore type='file'><format type='qcow2'/><source "
                        "file='%s/middle'/></backingStore>",
                        f->dir);
    g_autoptr(virDomainDef) bad = guestWithDisk(f, "top", "qcow2", wrong);
    g_autoptr(virDomainDef) good = guestWithDisk(f, "top", "qcow2", right);
    g_autoptr(virDomainDef) none = guestWithDisk(f, "top", "qcow2", "<backingStore/>");

    assertNotReadable(bad, VIR_LOCK_ERROR_CONFIG, "<backingStore> says");
    g_assert_true(virDomainDefReadChains(good, NULL, NULL));
    assertNotReadable(none, VIR_LOCK_ERROR_CONFIG, "no more backing files");
}

/* procfs stands for a file system without O_DIRECT: every machine has it. */
static void
testNoDirectIo(Fixture *f, gconstpointer data)
{
    static const char xml[] = "<domain "
                              "type='qemu'><name>g</name><memory>65536</"
                              "memory><os><type>hvm</type></os><devices>"
                              "<disk type='file'><source file='/proc/self/comm'/><target "
                              "dev='vda'/></disk></devices>"
                              "</domain>";
    g_autoptr(virDomainDef) buffered = virDomainDefParseXML(xml, -1, 0, NULL);
    g_autoptr(virDomainDef) fenced = virDomainDefParseXML(xml, -1, 0, NULL);
    g_autoptr(GError) error = NULL;

    if (!virDomainDefReadChains(buffered, NULL, &error))
        virAssertNoError(error);
    g_assert_true(virDomainDefRequireDirectIo(fenced, NULL));
    assertNotReadable(fenced, VIR_LOCK_ERROR_CONFIG, "without O_DIRECT");
}

static void
testKind(Fixture *f, gconstpointer data)
{
    g_autofree char *xml =
        g_strdup_printf("<domain "
                        "type='qemu'><name>g</name><memory>65536</memory><os><type>hvm</"
                        "type></os><devices>"
                        "<disk type='block'><source dev='%s/raw'/><target "
                        "dev='vda'/></disk></devices></domain>",
                        f->dir);
    g_autoptr(virDomainDef) def = virDomainDefParseXML(xml, -1, 0, NULL);

    assertNotReadable(def, VIR_LOCK_ERROR_CONFIG, "has to be of type 'file'");
}

/* given no NVRAM file, when the images are read, then it appears whole from its template; an
 * existing one is left alone */
static void
testNvram(Fixture *f, gconstpointer data)
{
    g_autofree char *template = g_build_filename(f->dir, "raw", NULL);
    g_autofree char *nvram = g_build_filename(f->dir, "nvram", NULL);
    g_autofree char *xml = g_strdup_printf(
        "<domain type='qemu'><name>g</name><memory>65536</memory><os><type>hvm</type>"
        "<loader type='pflash' readonly='yes'>%s</loader><nvram "
        "template='%s'>%s</nvram></os>"
        "</domain>",
        template, template, nvram);
    g_autoptr(virDomainDef) def = virDomainDefParseXML(xml, -1, 0, NULL);
    g_autofree char *bytes = NULL;
    gsize len = 0;

    g_assert_true(virDomainDefReadChains(def, NULL, NULL));
    g_assert_true(g_file_get_contents(nvram, &bytes, &len, NULL));
    g_assert_cmpuint(len, ==, 1024 * 1024);
    RUN(f, "truncate", "-s", "4096", "nvram");
    g_assert_true(virDomainDefReadChains(def, NULL, NULL));
    g_clear_pointer(&bytes, g_free);
    g_assert_true(g_file_get_contents(nvram, &bytes, &len, NULL));
    g_assert_cmpuint(len, ==, 4096);
    RUN(f, "rm", "nvram", "raw");
    assertNotReadable(def, VIR_LOCK_ERROR_CONFIG, "raw");
}

/* --- headers that an enemy wrote --------------------------------------------------------------- */

#define CLUSTER 65536

static guint8 *
header(guint32 version)
{
    guint8 *h = g_malloc0(CLUSTER);

    memcpy(h, "QFI\xfb", 4);
    h[7] = (guint8)version;
    h[23] = 16;   /* cluster_bits */
    h[103] = 104; /* header_length */
    return h;
}

static void
put32(guint8 *h, gsize at, guint32 value)
{
    value = GUINT32_TO_BE(value);
    memcpy(h + at, &value, 4);
}

static void
put64(guint8 *h, gsize at, guint64 value)
{
    value = GUINT64_TO_BE(value);
    memcpy(h + at, &value, 8);
}

typedef struct {
    gsize at;
    int size; /* 4 or 8; 0: no change */
    guint64 value;
} Change;

static void
testHostile(void)
{
    static const struct {
        guint32 version;
        gsize len; /* 0: a cluster */
        Change changes[4];
        const char *words;
    } cases[] = {
        {3, 4, {{0}}, "cut off"},
        {3, 71, {{0}}, "cut off"},
        {3, 90, {{0}}, "cut off"},
        {1, 0, {{0}}, "version 1 is not supported"},
        {4, 0, {{0}}, "version 4 is not supported"},
        {3, 0, {{20, 4, 8}}, "cluster size"},
        {3, 0, {{20, 4, 22}}, "cluster size"},
        {3, 0, {{20, 4, 0xffffffff}}, "cluster size"},
        {3, 0, {{100, 4, 103}}, "length field"},
        {3, 0, {{100, 4, 0xffffffff}}, "length field"},
        {3, 0, {{72, 8, 1 << 5}}, "incompatible features that are not known (0x20)"},
        {3, 0, {{72, 8, G_GUINT64_CONSTANT(1) << 63}}, "incompatible"},
        {3, 0, {{72, 8, 1 << 2}}, "external data file but no name"},
        {3, 0, {{8, 8, 50}, {16, 4, 4}}, "outside"},
        {3, 0, {{8, 8, CLUSTER - 2}, {16, 4, 4}}, "outside"},
        {3, 0, {{8, 8, CLUSTER}, {16, 4, 1}}, "outside"},
        {3, 0, {{8, 8, G_MAXUINT64}, {16, 4, 4}}, "outside"},
        {3, 0, {{8, 8, 4096}, {16, 4, 0xffffffff}}, "outside"},
        {3, 0, {{8, 8, 4096}, {16, 4, 1024}}, "length of 1024"},
        {3, 0, {{8, 8, 4096}, {16, 4, 3}}, "has a NUL"},
        {3, 0, {{104, 4, 0xe2792aca}, {108, 4, 0xffffffff}}, "longer than the header"},
        {3, 0, {{104, 4, 0xe2792aca}, {108, 4, 0}}, "backing format has a length of 0"},
        {3, 0, {{104, 4, 0xe2792aca}, {108, 4, 8}}, "backing format has a NUL"},
        {3, 0, {{104, 4, 0x44415441}, {108, 4, 2000}}, "data file's name has a length"},
        {3, 0, {{104, 4, 1}, {108, 4, CLUSTER - 112 + 1}}, "longer than the header"},
        {3, 0, {{8, 8, 108}, {16, 4, 4}, {104, 4, 7}}, "an extension is cut off"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree guint8 *h = header(cases[i].version);
        g_auto(virImageHeader) parsed = {NULL};
        g_autoptr(GError) error = NULL;
        gsize len = cases[i].len ? cases[i].len : CLUSTER;
        g_autofree guint8 *exact = NULL; /* so that reading beyond is seen */

        for (const Change *c = cases[i].changes; c->size; c++) {
            if (c->size == 4)
                put32(h, c->at, (guint32)c->value);
            else
                put64(h, c->at, c->value);
        }
        exact = g_memdup2(h, len);
        g_assert_false(virImageQcow2Parse(exact, len, &parsed, &error));
        g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
        if (!strstr(error->message, cases[i].words))
            g_error("case %zu: '%s' is not in '%s'", i, cases[i].words, error->message);
        g_assert_null(parsed.backing);
    }
}

static void
testGood(void)
{
    g_autofree guint8 *h = header(3);
    g_auto(virImageHeader) parsed = {NULL};
    g_autoptr(GError) error = NULL;

    put32(h, 104, 0xe2792aca);
    put32(h, 108, 3);
    memcpy(h + 112, "raw", 3);
    put32(h, 120, 0x44415441); /* left over: the feature bit is not set */
    put32(h, 124, 4);
    memcpy(h + 128, "data", 4);
    put64(h, 8, 512);
    put32(h, 16, 4);
    memcpy(h + 512, "base", 4);
    put32(h, 32, 2);
    g_assert_true(virImageQcow2Parse(h, CLUSTER, &parsed, &error));
    g_assert_cmpstr(parsed.backing, ==, "base");
    g_assert_cmpstr(parsed.backingFormat, ==, "raw");
    g_assert_null(parsed.dataFile);
    g_assert_true(parsed.encrypted);
}

static void
testInfoJson(void)
{
    static const struct {
        const char *json, *words;
    } cases[] = {
        {"", "not JSON"},
        {"[]", "not JSON"},
        {"{\"format-specific\":{\"data\":{\"extents\":[{\"filename\":\"/other\"}]}}}",
         "'/other'"},
        {"{\"format-specific\":{\"data\":{\"extents\":[1]}}}", "'?'"},
    };
    g_auto(virImageHeader) good = {NULL};

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(virImageHeader) parsed = {NULL};
        g_autoptr(GError) error = NULL;

        g_assert_false(virImageInfoParse(cases[i].json, -1, "/x", &parsed, &error));
        g_assert_nonnull(strstr(error->message, cases[i].words));
    }
    g_assert_true(virImageInfoParse(
        "{\"backing-filename\":\"b\",\"backing-filename-format\":\"raw\","
        "\"encrypted\":true,\"format-specific\":7}",
        -1, "/x", &good, NULL));
    g_assert_cmpstr(good.backing, ==, "b");
    g_assert_cmpstr(good.backingFormat, ==, "raw");
    g_assert_true(good.encrypted);
}

#define ADD(path, func) g_test_add(path, Fixture, NULL, setUp, func, tearDown)

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    ADD("/image/three-deep", testThreeDeep);
    ADD("/image/raw-is-not-probed", testRawIsNotProbed);
    ADD("/image/names", testNames);
    ADD("/image/versions", testVersions);
    ADD("/image/data-file", testDataFile);
    ADD("/image/encrypted", testEncrypted);
    ADD("/image/other-formats", testOtherFormats);
    ADD("/image/loops", testLoops);
    ADD("/image/too-deep", testTooDeep);
    ADD("/image/missing", testMissing);
    ADD("/image/protocols", testProtocols);
    ADD("/image/no-format", testNoFormat);
    ADD("/image/cancelled", testCancelled);
    ADD("/image/domain/stale", testStale);
    ADD("/image/domain/replaced", testReplaced);
    ADD("/image/domain/backing-store", testBackingStore);
    ADD("/image/domain/no-direct-io", testNoDirectIo);
    ADD("/image/domain/kind", testKind);
    ADD("/image/domain/nvram", testNvram);
    g_test_add_func("/image/qcow2/hostile", testHostile);
    g_test_add_func("/image/qcow2/good", testGood);
    g_test_add_func("/image/info-json", testInfoJson);
    return g_test_run();
}
