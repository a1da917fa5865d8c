/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test-config.c: the configuration file: defaults, refusals, who wins. */
#include "lock_manager/config.h"
#include "tests/lib/vir_test.h"

#include <string.h>
#include <unistd.h>

static char *dir;

static char *
writeConfig(const char *text)
{
    char *path = g_build_filename(dir, "leasehold.conf", NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    return path;
}

static virLockConfig *
load(const char *text)
{
    g_autofree char *path = writeConfig(text);
    g_autoptr(GError) error = NULL;
    virLockConfig *config = virLockConfigLoad(path, &error);

    virAssertNoError(error);
    g_assert_cmpstr(virLockConfigGetPath(config), ==, path);
    return config;
}

static void
expectRefused(const char *text, const char *const *words)
{
    g_autofree char *path = writeConfig(text);
    g_autoptr(GError) error = NULL;

    g_assert_null(virLockConfigLoad(path, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, path));
    for (; *words; words++)
        if (!strstr(error->message, *words))
            g_error("'%s' does not name '%s'", error->message, *words);
}

#define WORDS(...)                                                                       \
    (const char *const[])                                                                \
    {                                                                                    \
        __VA_ARGS__, NULL                                                                \
    }

static void
testRefusals(void)
{
    expectRefused("[hots]\nname = a\n", WORDS("[hots]", "[host]"));
    expectRefused("[host]\nnmae = a\n", WORDS("'nmae'", "[host]", "'name'"));
    expectRefused("[lock]\non_lockfailure = ignore\n",
                  WORDS("on_lockfailure", "'ignore'"));
    expectRefused("[lock]\nplugin = ../evil\n", WORDS("plugin", "'../evil'"));
    expectRefused("[host]\nname = has blank\n", WORDS("name", "'has blank'"));
    expectRefused("[host]\nrun_dir = relative\n", WORDS("run_dir", "absolute"));
    expectRefused("[host]\nidentity = guess\n", WORDS("identity", "local"));
    expectRefused("[migrate]\nrsh =\n", WORDS("rsh"));
    /* leases of this host only, where somebody meant those of all hosts */
    expectRefused("[sanlock]\nstore = /dev/vg/leases\n",
                  WORDS("[sanlock]", "plugin = sanlock", "plugin = lockfile"));
    expectRefused("name = no group\n", WORDS("cannot read"));
    expectRefused("[host\nname = a\n", WORDS("cannot read"));
    expectRefused("[host]\nname = \xff\xfe\n", WORDS("name"));
}

static void
testValues(void)
{
    g_autoptr(virLockConfig) config =
        load("# a comment\n[host]\nname = alpha\n[lock]\nplugin=sanlock\n"
             "[sanlock]\nstore = /s t o r e\n[migrate]\naddress = 10.0.0.1\n");

    g_assert_cmpstr(virLockConfigGet(config, "host", "name"), ==, "alpha");
    g_assert_cmpstr(virLockConfigGet(config, "lock", "plugin"), ==, "sanlock");
    g_assert_cmpstr(virLockConfigGet(config, "lock", "on_lockfailure"), ==, "pause");
    g_assert_cmpstr(virLockConfigGet(config, "migrate", "rsh"), ==, "ssh");
    g_assert_cmpstr(virLockConfigGet(config, "migrate", "address"), ==, "10.0.0.1");
    g_assert_cmpstr(virLockConfigGet(config, "sanlock", "store"), ==, "/s t o r e");
    g_assert_null(virLockConfigGet(config, "sanlock", "host_id"));
    g_assert_cmpstr(virLockConfigGet(config, "host", "identity"), ==, "storage");
}

/* One host only: device and inode are enough, and every file has them. */
static void
testIdentity(void)
{
    g_autoptr(virLockConfig) empty = load("");
    g_autoptr(virLockConfig) network = load("[lockfile]\nunsafe_network = true\n");
    g_autoptr(virLockConfig) explicit = load("[host]\nidentity = storage\n");

    g_assert_cmpstr(virLockConfigGet(empty, "lock", "plugin"), ==, "lockfile");
    g_assert_cmpstr(virLockConfigGet(empty, "host", "identity"), ==, "local");
    g_assert_cmpstr(virLockConfigGet(network, "host", "identity"), ==, "storage");
    g_assert_cmpstr(virLockConfigGet(explicit, "host", "identity"), ==, "storage");
}

static void
testDefaultDirs(void)
{
    g_autoptr(virLockConfig) config = load("");
    const char *runDir = virLockConfigGet(config, "host", "run_dir");
    const char *stateDir = virLockConfigGet(config, "host", "state_dir");

    if (geteuid() == 0) {
        g_assert_cmpstr(runDir, ==, "/run/leasehold");
        g_assert_true(g_str_has_suffix(stateDir, "/lib/leasehold"));
    } else {
        g_autofree char *expected = g_build_filename(dir, "runtime", "leasehold", NULL);

        g_assert_cmpstr(runDir, ==, expected);
        g_assert_true(g_str_has_prefix(stateDir, dir));
    }
    g_assert_cmpuint(strlen(virLockConfigGet(config, "host", "name")), >, 0);
}

/* A named file has to be there; the default one need not. */
static void
testMissing(void)
{
    g_autofree char *path = g_build_filename(dir, "missing.conf", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) second = NULL;

    g_assert_null(virLockConfigLoad(path, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_setenv("LEASEHOLD_CONFIG", path, TRUE);
    g_assert_null(virLockConfigLoad(NULL, &second));
    g_assert_error(second, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_unsetenv("LEASEHOLD_CONFIG");
}

static void
testEnvironment(void)
{
    g_autofree char *path = writeConfig("[host]\nname = fromenv\n");
    g_autoptr(GError) error = NULL;
    g_autoptr(virLockConfig) config = NULL;

    g_setenv("LEASEHOLD_CONFIG", path, TRUE);
    config = virLockConfigLoad(NULL, &error);
    g_unsetenv("LEASEHOLD_CONFIG");
    virAssertNoError(error);
    g_assert_cmpstr(virLockConfigGet(config, "host", "name"), ==, "fromenv");
}

/* The keys of a plugin are its own business, but a wrong one is refused all the same. */
static void
testPluginKeys(void)
{
    g_autoptr(virLockConfig) good = load("[lockfile]\ndir = /tmp/x\n");
    g_autoptr(virLockConfig) bad = load("[lockfile]\ndri = /tmp/x\n");
    g_autoptr(virLockConfig) value = load("[lockfile]\ndir = x\n");
    g_autoptr(GError) error = NULL;
    g_autoptr(virLockManagerPlugin) plugin = virLockManagerPluginLoad(good, NULL, &error);

    virAssertNoError(error);
    g_assert_cmpstr(virLockManagerPluginGetInfo(plugin)->name, ==, "lockfile");
    g_assert_null(virLockManagerPluginLoad(bad, NULL, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "'dri'"));
    g_assert_nonnull(strstr(error->message, "'dir'"));
    g_clear_error(&error);
    g_assert_null(virLockManagerPluginLoad(value, NULL, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "absolute"));
}

int
main(int argc, char **argv)
{
    g_autofree char *runtime = NULL;
    g_autofree char *conf = NULL;
    int rc;

    dir = g_dir_make_tmp("lh-XXXXXX", NULL);
    runtime = g_build_filename(dir, "runtime", NULL);
    g_setenv("XDG_RUNTIME_DIR", runtime, TRUE);
    g_setenv("XDG_STATE_HOME", dir, TRUE);
    g_setenv("XDG_CONFIG_HOME", dir, TRUE);
    g_unsetenv("LEASEHOLD_CONFIG");
    virTestInit(&argc, &argv);
    g_test_add_func("/config/refusals", testRefusals);
    g_test_add_func("/config/values", testValues);
    g_test_add_func("/config/identity", testIdentity);
    g_test_add_func("/config/default-dirs", testDefaultDirs);
    g_test_add_func("/config/missing", testMissing);
    g_test_add_func("/config/environment", testEnvironment);
    g_test_add_func("/config/plugin-keys", testPluginKeys);
    rc = g_test_run();
    conf = g_build_filename(dir, "leasehold.conf", NULL);
    (void)unlink(conf);
    (void)rmdir(dir);
    g_free(dir);
    return rc;
}
