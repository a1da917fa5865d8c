/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-audit.c: what QEMU has open against what leases cover (I2).
 *
 * Seen failing: with images compared by path instead of device and inode, and with unknown
 * drivers taken for formats; each time a row of the table says so.
 */
#include "domain_lock/audit.h"
#include "domain_lock/codec.h"
#include "tests/domain_lock/fake.h"
#include <string.h>
#include <unistd.h>

typedef struct {
    const char *nodes; /* @: the disk, %: a link to it */
    guint flags;       /* of the disk that is declared */
    virLockMode mode;  /* of its lease; NONE: none is held */
    gboolean explicitLease;
    const char *error; /* NULL: fine; else a part of the message */
    guint auditFlags;
} Case;

#define NODE(driver, ro, file)                                                           \
    "{\"node-name\": \"n-" driver "\", \"drv\": \"" driver "\", \"ro\": " ro             \
    ", \"file\": \"" file "\"}"

static const Case writable = {NODE("raw", "false", "@") "," NODE("file", "false", "@"), 0,
                              VIR_LOCK_MODE_EXCLUSIVE, FALSE, NULL};
static const Case byLink = {NODE("file", "false", "%"), 0, VIR_LOCK_MODE_EXCLUSIVE, FALSE,
                            NULL};
static const Case notDeclared = {NODE("file", "false", "/proc/self/exe"), 0,
                                 VIR_LOCK_MODE_EXCLUSIVE, FALSE, "no lease"};
static const Case readingNotDeclared = {NODE("file", "true", "/proc/self/exe"), 0,
                                        VIR_LOCK_MODE_EXCLUSIVE, FALSE,
                                        "open for reading"};
static const Case notHeld = {NODE("file", "false", "@"), 0, VIR_LOCK_MODE_NONE, FALSE,
                             "no lease"};
static const Case sharedForWriting = {
    NODE("file", "false", "@"), VIR_LOCK_MANAGER_RESOURCE_READONLY, VIR_LOCK_MODE_SHARED,
    FALSE, "only a lease for reading"};
static const Case sharedForReading = {NODE("file", "true", "@"),
                                      VIR_LOCK_MANAGER_RESOURCE_READONLY,
                                      VIR_LOCK_MODE_SHARED, FALSE, NULL};
static const Case shareable = {NODE("file", "false", "@"),
                               VIR_LOCK_MANAGER_RESOURCE_SHARED, VIR_LOCK_MODE_SHARED,
                               FALSE, NULL};
static const Case gone = {NODE("file", "false", "/nowhere/x"), 0, VIR_LOCK_MODE_EXCLUSIVE,
                          FALSE, "cannot be found"};
static const Case json = {
    NODE("file", "false",
         "json:{\\\"driver\\\":\\\"file\\\",\\\"filename\\\":\\\"@\\\"}"),
    0, VIR_LOCK_MODE_EXCLUSIVE, FALSE, NULL};
static const Case network = {NODE("nbd", "false", "nbd://server/x"), 0,
                             VIR_LOCK_MODE_EXCLUSIVE, FALSE, "explicit <lease>"};
static const Case networkWithLease = {NODE("nbd", "false", "nbd://server/x"), 0,
                                      VIR_LOCK_MODE_EXCLUSIVE, TRUE, NULL};
static const Case unknownDriver = {NODE("quantum", "false", "q:1"), 0,
                                   VIR_LOCK_MODE_EXCLUSIVE, FALSE, "explicit <lease>"};
static const Case null = {NODE("null-co", "false", "null-co://"), 0,
                          VIR_LOCK_MODE_EXCLUSIVE, FALSE, NULL};
#define PFLASH(ro)                                                                       \
    "{\"node-name\": \"pflash0-storage\", \"drv\": \"file\", \"ro\": " ro                \
    ", \"file\": \"/proc/self/exe\"}"
static const Case firmware = {PFLASH("true"), 0, VIR_LOCK_MODE_EXCLUSIVE, FALSE, NULL};
static const Case firmwareForWriting = {PFLASH("false"), 0, VIR_LOCK_MODE_EXCLUSIVE,
                                        FALSE, "no lease"};
static const Case foreignName = {PFLASH("true"), 0,          VIR_LOCK_MODE_EXCLUSIVE,
                                 FALSE,          "no lease", VIR_AUDIT_FOREIGN};
/* a file that every Debian has */
#define LICENCE "/usr/share/common-licenses/BSD"
static const Case hostFile = {NODE("file", "true", LICENCE),
                              0,
                              VIR_LOCK_MODE_EXCLUSIVE,
                              FALSE,
                              NULL,
                              VIR_AUDIT_FOREIGN};
static const Case hostFileForWriting = {NODE("file", "false", LICENCE),
                                        0,
                                        VIR_LOCK_MODE_EXCLUSIVE,
                                        FALSE,
                                        "no lease",
                                        VIR_AUDIT_FOREIGN};
static const Case odd = {"{\"node-name\": \"x\"}", 0, VIR_LOCK_MODE_EXCLUSIVE, FALSE,
                         "unknown way"};
static const Case notObject = {"7", 0, VIR_LOCK_MODE_EXCLUSIVE, FALSE, "unknown way"};

static JsonArray *
makeNodes(Fake *self, const char *template, JsonObject **holder)
{
    g_autofree char *link = g_strconcat(self->disk, ".link", NULL);
    g_autoptr(GString) text = g_string_new("{\"nodes\": [");
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(symlink(self->disk, link), ==, 0);
    g_string_append(text, template);
    g_string_replace(text, "@", self->disk, 0);
    g_string_replace(text, "%", link, 0);
    g_string_append(text, "]}");
    *holder = virDomainLockJsonParse(text->str, -1, &error);
    virAssertNoError(error);
    return virDomainLockJsonArray(*holder, "nodes");
}

static virLockLease *
makeLease(virLockResourceType type, const char *path, virLockMode mode)
{
    virLockLease *lease = g_new0(virLockLease, 1);

    lease->structSize = sizeof(*lease);
    lease->type = type;
    lease->name = g_strconcat("lease-of-", path, NULL);
    lease->path = g_strdup(path);
    lease->mode = mode;
    lease->hold = mode == VIR_LOCK_MODE_NONE ? VIR_LOCK_HOLD_NONE : VIR_LOCK_HOLD_LEASE;
    return lease;
}

static void
testCase(Fake *self, gconstpointer data)
{
    const Case *one = data;
    virDomainResource disk = {
        .type = VIR_LOCK_RESOURCE_DISK, .path = self->disk, .flags = one->flags};
    g_autoptr(GPtrArray) resources = g_ptr_array_new();
    g_autoptr(GPtrArray) leases =
        g_ptr_array_new_with_free_func((GDestroyNotify)virLockLeaseFree);
    g_autoptr(JsonObject) holder = NULL;
    JsonArray *nodes = makeNodes(self, one->nodes, &holder);
    g_autoptr(GError) error = NULL;

    g_ptr_array_add(resources, &disk);
    g_ptr_array_add(leases, makeLease(VIR_LOCK_RESOURCE_DISK, self->disk, one->mode));
    if (one->explicitLease)
        g_ptr_array_add(
            leases, makeLease(VIR_LOCK_RESOURCE_LEASE, "key", VIR_LOCK_MODE_EXCLUSIVE));

    g_assert_true(virDomainLockAudit(fakeConfig(), nodes, resources, leases,
                                     one->auditFlags, &error) == (one->error == NULL));
    if (one->error)
        g_assert_nonnull(strstr(error->message, one->error));
}

/* An image that was declared in two ways (two mounts) has one lease, known by one path. */
static void
testTwoPathsOneLease(Fake *self, gconstpointer data)
{
    g_autofree char *copy = g_strconcat(self->disk, ".other-mount", NULL);
    virDomainResource second = {.type = VIR_LOCK_RESOURCE_DISK, .path = copy};
    g_autoptr(GPtrArray) resources = g_ptr_array_new();
    g_autoptr(GPtrArray) leases =
        g_ptr_array_new_with_free_func((GDestroyNotify)virLockLeaseFree);
    g_autoptr(JsonObject) holder = NULL;
    JsonArray *nodes = NULL;
    g_autofree char *node = NULL;
    virLockLease *lease =
        makeLease(VIR_LOCK_RESOURCE_DISK, self->disk, VIR_LOCK_MODE_EXCLUSIVE);
    g_autoptr(GError) error = NULL;

    g_assert_true(g_file_set_contents(copy, "x", 1, NULL));
    g_ptr_array_add(resources, &second);
    g_free(lease->name);
    lease->name = g_strconcat("lease-of-", copy, NULL);
    g_ptr_array_add(leases, lease);
    node = g_strdup_printf("{\"node-name\": \"n\", \"drv\": \"file\", \"ro\": false, "
                           "\"file\": \"%s\"}",
                           copy);
    nodes = makeNodes(self, node, &holder);

    g_assert_true(virDomainLockAudit(fakeConfig(), nodes, resources, leases, 0, &error));
}

/* given an image without identity, when the guest holds an explicit lease, then that covers it;
 * without one nothing does */
static void
testGuardedByKey(Fake *self, gconstpointer data)
{
    g_autofree char *image = g_strconcat(self->disk, ".no-identity", NULL);
    virDomainResource disk = {.type = VIR_LOCK_RESOURCE_DISK, .path = image};
    virDomainResource key = {.type = VIR_LOCK_RESOURCE_LEASE, .path = (char *)"key"};
    g_autoptr(GPtrArray) resources = g_ptr_array_new();
    g_autoptr(GPtrArray) leases =
        g_ptr_array_new_with_free_func((GDestroyNotify)virLockLeaseFree);
    g_autofree char *node = g_strdup_printf(NODE("file", "false", "%s"), image);
    g_autoptr(JsonObject) holder = NULL;
    JsonArray *nodes = makeNodes(self, "", &holder);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) parsed = json_from_string(node, NULL);

    json_array_add_element(nodes, g_steal_pointer(&parsed));
    g_assert_true(g_file_set_contents(image, "x", 1, NULL));
    g_ptr_array_add(resources, &disk);
    g_ptr_array_add(resources, &key);
    g_assert_true(virDomainLockGuardedByKey(fakeConfig(), resources, &disk));
    g_assert_false(virDomainLockAudit(fakeConfig(), nodes, resources, leases, 0, &error));
    g_assert_nonnull(strstr(error->message, "no lease"));
    g_clear_error(&error);

    g_ptr_array_add(leases,
                    makeLease(VIR_LOCK_RESOURCE_LEASE, "key", VIR_LOCK_MODE_EXCLUSIVE));
    g_assert_true(virDomainLockAudit(fakeConfig(), nodes, resources, leases, 0, &error));
    disk.flags = VIR_LOCK_MANAGER_RESOURCE_READONLY;
    g_assert_false(virDomainLockAudit(fakeConfig(), nodes, resources, leases, 0, &error));
    disk.path = self->disk; /* has an identity, and no lease of it is held */
    g_assert_false(virDomainLockGuardedByKey(fakeConfig(), resources, &disk));
}

#define ADD(name, data) g_test_add("/audit/" name, Fake, data, fakeUp, testCase, fakeDown)

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    ADD("writable", &writable);
    ADD("by-link", &byLink);
    ADD("not-declared", &notDeclared);
    ADD("reading-not-declared", &readingNotDeclared);
    ADD("not-held", &notHeld);
    ADD("shared-for-writing", &sharedForWriting);
    ADD("shared-for-reading", &sharedForReading);
    ADD("shareable", &shareable);
    ADD("gone", &gone);
    ADD("json", &json);
    ADD("network", &network);
    ADD("network-with-lease", &networkWithLease);
    ADD("unknown-driver", &unknownDriver);
    ADD("null", &null);
    ADD("firmware", &firmware);
    ADD("firmware-for-writing", &firmwareForWriting);
    ADD("foreign-name", &foreignName);
    ADD("host-file", &hostFile);
    ADD("host-file-for-writing", &hostFileForWriting);
    ADD("odd", &odd);
    ADD("not-object", &notObject);
    g_test_add("/audit/two-paths-one-lease", Fake, NULL, fakeUp, testTwoPathsOneLease,
               fakeDown);
    g_test_add("/audit/guarded-by-key", Fake, NULL, fakeUp, testGuardedByKey, fakeDown);
    return g_test_run();
}
