/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-domain-argv.c: for each description in xml/: the resources and the command line are
 * those of the .args file beside it, and a real QEMU accepts them, paused, with exactly the
 * block nodes that the resources name. The description that is written from it describes the
 * same machine, also after disks have gone. LEASEHOLD_TEST_REGENERATE=1 writes the .args files
 * anew, for `git diff` to be read.
 *
 * A comment "test: fenced" in a description asks for the rules of a plugin with FENCED_CACHE,
 * "test: argv-only" says that the machine of the test cannot have what it needs (a bridge,
 * swtpm). QEMU always runs with TCG: kvm in a command line is replaced before.
 */
#include "config.h"
#include "domain_lock/domain/domain_def.h"
#include "tests/lib/vir_test.h"

#include <fcntl.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define QMP_FD_SHOWN 33 /* in .args files */
#define QEMU_TIMEOUT_MSEC 60000

static char *testDir;
static gboolean testHasDirectIo;

/* --- images ------------------------------------------------------------------------------------ */

#define RUN(...) virTestRun(testDir, (const char *const[]){__VA_ARGS__, NULL})

static void
makeRaw(const char *name)
{
    g_autofree char *path = g_build_filename(testDir, name, NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_EXCL, 0600);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, 1440 * 1024), ==, 0);
    close(fd);
}

static void
makeImages(void)
{
    static const char *const raw[] = {"raw.img",       "a.img", "b.img", "c.img",
                                      "d.img",         "e.img", "f.img", "floppy.img",
                                      "odd, näme.img", "cd.iso"};

    for (gsize i = 0; i < G_N_ELEMENTS(raw); i++)
        makeRaw(raw[i]);
    RUN("mkdir", "many", "tpm", "run");
    for (int i = 0; i < 40; i++) {
        g_autofree char *name = g_strdup_printf("many/%d.img", i);

        makeRaw(name);
    }
    RUN("qemu-img", "create", "-q", "-f", "qcow2", "base.qcow2", "4M");
    RUN("qemu-img", "create", "-q", "-f", "vmdk", "disk.vmdk", "4M");
    RUN("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "raw.img",
        "middle.qcow2");
    RUN("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "middle.qcow2",
        "top.qcow2");
    RUN("qemu-img", "create", "-q", "-f", "qcow2", "-o",
        "data_file=external.raw,data_file_raw=on", "external.qcow2", "4M");
}

static gboolean
hasDirectIo(void)
{
    g_autofree char *path = g_build_filename(testDir, "raw.img", NULL);
    int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* --- a description and what is expected of it ------------------------------------------------------ */

static char *
replaceAll(const char *text, const char *from, const char *to)
{
    g_auto(GStrv) parts = g_strsplit(text, from, -1);

    return g_strjoinv(to, parts);
}

static char *
fixturePath(const char *name, const char *suffix)
{
    g_autofree char *file = g_strconcat(name, suffix, NULL);

    return g_build_filename(g_getenv("top_srcdir"), "tests/domain/xml", file, NULL);
}

static virDomainDef *
readFixture(const char *xml)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = replaceAll(xml, "@DIR@", testDir);
    virDomainDef *def = virDomainDefParseXML(text, -1, 0, &error);

    virAssertNoError(error);
    if (strstr(xml, "test: fenced"))
        g_assert_true(virDomainDefRequireDirectIo(def, &error));
    virAssertNoError(error);
    if (!virDomainDefReadChains(def, NULL, &error))
        virAssertNoError(error);
    if (!virDomainDefReadChains(def, NULL, &error)) /* unchanged: not STALE */
        virAssertNoError(error);
    return def;
}

static char **
formatFixture(const virDomainDef *def, int qmpFd)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *runDir = g_build_filename(testDir, "run", NULL);
    virDomainArgvContext context = {.runDir = runDir, .qmpFd = qmpFd};
    char **argv = virDomainDefFormatArgv(def, &context, &error);

    virAssertNoError(error);
    return argv;
}

static const char *
resourceMode(const virDomainResource *resource)
{
    if (resource->flags & VIR_LOCK_MANAGER_RESOURCE_SHARED)
        return "shareable";
    return resource->flags & VIR_LOCK_MANAGER_RESOURCE_READONLY ? "readonly"
                                                                : "exclusive";
}

/* The .args file: "# resource ..." lines, then an option and its value a line. */
static char *
describe(const virDomainDef *def, char **argv)
{
    GString *text = g_string_new(NULL);
    GPtrArray *resources = virDomainDefGetResources(def);
    g_autofree char *raw = NULL;

    g_string_append_printf(text, "# guest %s %s\n", virDomainDefGetUuid(def),
                           virDomainDefGetName(def));
    for (guint i = 0; i < resources->len; i++) {
        const virDomainResource *r = g_ptr_array_index(resources, i);

        g_string_append_printf(text,
                               "# resource %s %s %s %s node=%s depth=%u direct=%d\n",
                               r->type == VIR_LOCK_RESOURCE_LEASE ? r->lockspace : "disk",
                               r->path, resourceMode(r), r->format ? r->format : "-",
                               r->node ? r->node : "-", r->depth, r->directIo);
    }
    for (gsize i = 0; argv[i]; i++)
        g_string_append_printf(text, "%s%s",
                               i == 0              ? ""
                               : argv[i][0] == '-' ? "\n"
                                                   : " ",
                               argv[i]);
    g_string_append_c(text, '\n');
    raw = g_string_free(text, FALSE);
    return replaceAll(raw, testDir, "@DIR@");
}

static void
compareFixture(const char *name, const virDomainDef *def)
{
    g_auto(GStrv) argv = formatFixture(def, QMP_FD_SHOWN);
    g_autofree char *have = describe(def, argv);
    g_autofree char *path = fixturePath(name, ".args");
    g_autofree char *want = NULL;
    g_autoptr(GError) error = NULL;

    if (g_getenv("LEASEHOLD_TEST_REGENERATE")) {
        g_assert_true(g_file_set_contents(path, have, -1, NULL));
        return;
    }
    g_file_get_contents(path, &want, NULL, &error);
    virAssertNoError(error);
    g_assert_cmpstr(have, ==, want);
}

/* --- written and read again ------------------------------------------------------------------------- */

static char *
formatXml(virDomainDef *def)
{
    g_autoptr(GError) error = NULL;
    char *xml = virDomainDefFormatXML(def, &error);

    virAssertNoError(error);
    return xml;
}

/* The live description makes the same machine, and the same description. */
static void
compareLive(const char *original, virDomainDef *def)
{
    g_autofree char *xml = formatXml(def);
    g_autofree char *marked = g_strconcat(
        xml, strstr(original, "test: fenced") ? "<!-- test: fenced -->" : "", NULL);
    g_autoptr(virDomainDef) again = readFixture(marked);
    g_auto(GStrv) argv = formatFixture(def, QMP_FD_SHOWN);
    g_auto(GStrv) argvAgain = formatFixture(again, QMP_FD_SHOWN);
    g_autofree char *want = describe(def, argv);
    g_autofree char *have = describe(again, argvAgain);
    g_autofree char *xmlAgain = formatXml(again);

    g_assert_cmpstr(have, ==, want);
    g_assert_cmpstr(xmlAgain, ==, xml);
}

/* Every second disk goes: what is left stays where it was. */
static void
compareLiveWithout(const char *original, virDomainDef *def)
{
    GPtrArray *resources = virDomainDefGetResources(def);
    g_autoptr(GPtrArray) targets = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < resources->len; i++) {
        const virDomainResource *resource = g_ptr_array_index(resources, i);
        const char *target = resource->target;

        if (target && resource->depth == 0 && virDomainDefGetDiskId(def, target, NULL) &&
            !g_ptr_array_find_with_equal_func(targets, target, g_str_equal, NULL))
            g_ptr_array_add(targets, g_strdup(target));
    }
    for (guint i = 1; i < targets->len; i += 2)
        virDomainDefRemoveDisk(def, g_ptr_array_index(targets, i));
    compareLive(original, def);
}

/* --- a real QEMU ---------------------------------------------------------------------------------------- */

static int
listenFd(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    g_assert_cmpuint(strlen(path), <, sizeof(address.sun_path));
    strcpy(address.sun_path, path);
    unlink(path);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    return fd;
}

static void
useTcg(char **argv)
{
    for (gsize i = 0; argv[i]; i++) {
        char *without = replaceAll(argv[i], ",kernel-irqchip=on", "");

        g_free(argv[i]);
        argv[i] = without;
        if (i && g_str_equal(argv[i - 1], "-accel")) {
            g_free(argv[i]);
            argv[i] = g_strdup("tcg");
        }
    }
}

static void
useTcgForKvm(char **argv)
{
    for (gsize i = 0; argv[i]; i++)
        if (g_str_equal(argv[i], "-accel") && g_str_equal(argv[i + 1], "kvm")) {
            useTcg(argv);
            for (gsize j = 0; argv[j]; j++)
                if (g_str_equal(argv[j], "-cpu")) {
                    g_free(argv[j + 1]);
                    argv[j + 1] = g_strdup("max");
                }
        }
}

static JsonNode *
qmpReceive(GDataInputStream *in)
{
    for (;;) {
        g_autoptr(GError) error = NULL;
        g_autofree char *line = g_data_input_stream_read_line(in, NULL, NULL, &error);
        JsonNode *node;

        virAssertNoError(error);
        g_assert_nonnull(line); /* else QEMU is gone: its words are on stderr above */
        node = json_from_string(line, &error);
        virAssertNoError(error);
        if (!json_object_has_member(json_node_get_object(node), "event"))
            return node;
        json_node_unref(node);
    }
}

static JsonNode *
qmpCommand(GSocketConnection *connection, GDataInputStream *in, const char *text)
{
    g_autoptr(GError) error = NULL;

    g_output_stream_write_all(g_io_stream_get_output_stream(G_IO_STREAM(connection)),
                              text, strlen(text), NULL, NULL, &error);
    virAssertNoError(error);
    return qmpReceive(in);
}

/* Every node that QEMU has opened a file with is a resource's or firmware. */
static void
checkNodes(const virDomainDef *def, JsonNode *reply)
{
    JsonArray *nodes =
        json_object_get_array_member(json_node_get_object(reply), "return");
    GPtrArray *resources = virDomainDefGetResources(def);
    guint files = 0, expected = 0;

    for (guint i = 0; i < json_array_get_length(nodes); i++) {
        JsonObject *node = json_array_get_object_element(nodes, i);
        const char *name = json_object_get_string_member(node, "node-name");
        const char *driver = json_object_get_string_member(node, "drv");
        const virDomainResource *found = NULL;

        if (!g_str_equal(driver, "file") || g_str_has_prefix(name, "pflash0-"))
            continue;
        files++;
        for (guint r = 0; r < resources->len; r++) {
            const virDomainResource *resource = g_ptr_array_index(resources, r);

            if (g_strcmp0(resource->node, name) == 0)
                found = resource;
        }
        if (!found)
            g_error("QEMU has node '%s', which no resource names", name);
        g_assert_true(json_object_get_boolean_member(node, "ro") ==
                      !!(found->flags & VIR_LOCK_MANAGER_RESOURCE_READONLY));
        g_assert_true(
            json_object_get_boolean_member(json_object_get_object_member(node, "cache"),
                                           "direct") == found->directIo);
    }
    for (guint r = 0; r < resources->len; r++)
        expected += ((virDomainResource *)g_ptr_array_index(resources, r))->node != NULL;
    g_assert_cmpuint(files, ==, expected);
}

static void
talkToQemu(const virDomainDef *def, const char *socketPath)
{
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(socketPath);
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocketConnection) connection = NULL;
    g_autoptr(GDataInputStream) in = NULL;
    g_autoptr(JsonNode) greeting = NULL, status = NULL, nodes = NULL;

    g_socket_client_set_timeout(client, QEMU_TIMEOUT_MSEC / 1000);
    connection =
        g_socket_client_connect(client, G_SOCKET_CONNECTABLE(address), NULL, &error);
    virAssertNoError(error);
    in = g_data_input_stream_new(g_io_stream_get_input_stream(G_IO_STREAM(connection)));
    greeting = qmpReceive(in);
    json_node_unref(qmpCommand(connection, in, "{\"execute\":\"qmp_capabilities\"}\n"));
    status = qmpCommand(connection, in, "{\"execute\":\"query-status\"}\n");
    g_assert_cmpstr(
        json_object_get_string_member(
            json_object_get_object_member(json_node_get_object(status), "return"),
            "status"),
        ==, "prelaunch");
    nodes = qmpCommand(
        connection, in,
        "{\"execute\":\"query-named-block-nodes\",\"arguments\":{\"flat\":true}}\n");
    checkNodes(def, nodes);
    json_node_unref(qmpCommand(connection, in, "{\"execute\":\"quit\"}\n"));
}

static void
runQemu(const virDomainDef *def)
{
    g_autofree char *socketPath = g_build_filename(testDir, "qmp", NULL);
    int fd = listenFd(socketPath);
    g_auto(GStrv) argv = formatFixture(def, fd);
    g_autoptr(GError) error = NULL;
    int status;
    GPid pid;

    useTcgForKvm(argv);
    g_spawn_async(testDir, argv, NULL,
                  G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_LEAVE_DESCRIPTORS_OPEN |
                      G_SPAWN_STDOUT_TO_DEV_NULL,
                  NULL, NULL, &pid, &error);
    virAssertNoError(error);
    close(fd); /* so that a QEMU that exits at once is seen at once */
    talkToQemu(def, socketPath);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

static void
testFixture(gconstpointer data)
{
    const char *name = data;
    g_autofree char *path = fixturePath(name, ".xml");
    g_autofree char *xml = NULL;
    g_autoptr(virDomainDef) def = NULL;

    g_assert_true(g_file_get_contents(path, &xml, NULL, NULL));
    if (strstr(xml, "test: fenced") && !testHasDirectIo) {
        g_test_skip("the temporary directory has no O_DIRECT (TMPDIR chooses another)");
        return;
    }
    if (strstr(name, "efi") && access("/usr/share/OVMF/OVMF_CODE_4M.ms.fd", R_OK) < 0) {
        g_test_skip("needs UEFI firmware (Debian: ovmf)");
        return;
    }
    def = readFixture(xml);
    compareFixture(name, def);
    if (!strstr(xml, "test: argv-only"))
        runQemu(def);
    compareLive(xml, def);
    compareLiveWithout(xml, def);
}

int
main(int argc, char **argv)
{
    g_autofree char *dir =
        g_build_filename(g_getenv("top_srcdir"), "tests/domain/xml", NULL);
    g_autoptr(GDir) fixtures = NULL;
    const char *file;
    int rc;

    g_setenv("PATH", "/usr/bin:/bin", TRUE); /* the path of QEMU is in what is compared */
    virTestInit(&argc, &argv);
    signal(SIGPIPE, SIG_IGN);
    testDir = g_dir_make_tmp("leasehold-argv-XXXXXX", NULL);
    makeImages();
    testHasDirectIo = hasDirectIo();
    fixtures = g_dir_open(dir, 0, NULL);
    g_assert_nonnull(fixtures);
    while ((file = g_dir_read_name(fixtures))) {
        g_autofree char *name = g_str_has_suffix(file, ".xml")
                                    ? g_strndup(file, strlen(file) - strlen(".xml"))
                                    : NULL;
        g_autofree char *test = g_strdup_printf("/domain/argv/%s", name);

        if (name)
            g_test_add_data_func_full(test, g_steal_pointer(&name), testFixture, g_free);
    }
    rc = g_test_run();
    RUN("rm", "-rf", testDir);
    g_free(testDir);
    return rc;
}
