/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-supervised.c: a host that does not fork QEMU itself: it spawns the prefix that the lock
 * manager gives it, waits with AcquireObject, and finds a real guest that holds its leases.
 */
#include "tests/lib/vir_test.h"

#include <leasehold/lock_manager.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct _Scene {
    char *dir;
    char *disk;
    virLockConfig *config;
    virLockManagerPlugin *plugin;
} Scene;

static gboolean
sceneBegin(Scene *scene)
{
    g_autofree char *qemu = g_find_program_in_path("qemu-system-x86_64");
    g_autofree char *conf = NULL;
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;

    if (!qemu) {
        g_test_skip("there is no qemu-system-x86_64");
        return FALSE;
    }
    scene->dir = g_dir_make_tmp("lh-XXXXXX", NULL);
    scene->disk = g_build_filename(scene->dir, "disk", NULL);
    conf = g_build_filename(scene->dir, "conf", NULL);
    text =
        g_strdup_printf("[host]\nname = alpha\nrun_dir = %s/run\nstate_dir = %s/state\n"
                        "[lockfile]\ndir = %s/locks\n",
                        scene->dir, scene->dir, scene->dir);
    g_assert_true(g_file_set_contents(conf, text, -1, NULL));
    g_assert_true(g_file_set_contents(scene->disk, "", -1, NULL));
    g_assert_cmpint(truncate(scene->disk, 1024 * 1024), ==, 0);
    scene->config = virLockConfigLoad(conf, &error);
    virAssertNoError(error);
    scene->plugin = virLockManagerPluginLoad(scene->config, NULL, &error);
    virAssertNoError(error);
    return TRUE;
}

static void
sceneEnd(Scene *scene)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", scene->dir);

    virLockManagerPluginUnload(scene->plugin);
    virLockConfigUnref(scene->config);
    g_assert_cmpint(system(command), ==, 0);
    g_free(scene->dir);
    g_free(scene->disk);
}

static virLockManager *
makeObject(Scene *scene, const char *uuid)
{
    g_autoptr(GError) error = NULL;
    virLockManager *man =
        virLockManagerNew(scene->plugin, VIR_LOCK_MANAGER_OBJECT_DOMAIN, 0, &error);

    g_assert_true(virLockManagerSetParameter(man, "uuid", uuid, &error));
    g_assert_true(virLockManagerSetParameter(man, "name", "supervised", &error));
    g_assert_true(virLockManagerRegisterResource(man, VIR_LOCK_RESOURCE_DISK, scene->disk,
                                                 NULL, 0, &error));
    virAssertNoError(error);
    return man;
}

/* The prefix and then QEMU's own argv. */
static GPid
spawnPrefixed(virLockManager *man, const char *disk)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) prefix = virLockManagerGetSupervisorArgs(man, &error);
    g_autofree char *drive =
        g_strdup_printf("file=%s,format=raw,if=virtio,cache=none", disk);
    const char *const qemu[] = {
        "qemu-system-x86_64", "-accel", "tcg", "-m", "16", "-display", "none",
        "-nodefaults",        "-drive", drive, NULL};
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    GPid pid;

    virAssertNoError(error);
    g_ptr_array_add(argv, (char *)virLockManagerGetSupervisorPath(man));
    for (char **arg = prefix; *arg; arg++)
        g_ptr_array_add(argv, *arg);
    for (const char *const *arg = qemu; *arg; arg++)
        g_ptr_array_add(argv, (char *)*arg);
    g_ptr_array_add(argv, NULL);
    (void)g_spawn_async(NULL, (char **)argv->pdata, NULL,
                        G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL |
                            G_SPAWN_STDERR_TO_DEV_NULL,
                        NULL, NULL, &pid, &error);
    virAssertNoError(error);
    return pid;
}

static void
testSupervised(void)
{
    g_autofree char *uuid = g_uuid_string_random();
    virLockWait wait = {.structSize = sizeof(wait),
                        .deadlineUsec = g_get_monotonic_time() + 30 * G_USEC_PER_SEC};
    g_autoptr(GPtrArray) leases = NULL;
    g_autoptr(GError) error = NULL;
    virLockManager *man;
    Scene scene;
    pid_t child;
    int status;
    GPid pid;

    if (!sceneBegin(&scene))
        return;
    man = makeObject(&scene, uuid);
    pid = spawnPrefixed(man, scene.disk);
    g_assert_true(virLockManagerAcquireObject(man, 0, &wait, &error));
    virAssertNoError(error);
    child = virLockManagerGetChild(man, &error);
    g_assert_cmpint(child, >, 0);
    g_assert_cmpint(child, !=, pid);
    leases = virLockManagerInquire(man, &wait, &error);
    virAssertNoError(error);
    g_assert_cmpuint(leases->len, ==, 2);

    /* QEMU dies: the prefix passes its status on, and the leases are seen free */
    g_assert_cmpint(kill(child, SIGKILL), ==, 0);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 128 + SIGKILL);
    g_assert_true(virLockManagerShutdown(man, NULL, &error));
    virAssertNoError(error);
    virLockManagerFree(man);
    sceneEnd(&scene);
}

/* Nobody spawned the prefix: the deadline holds. */
static void
testNeverStarted(void)
{
    g_autofree char *uuid = g_uuid_string_random();
    virLockWait wait = {.structSize = sizeof(wait),
                        .deadlineUsec = g_get_monotonic_time() + G_USEC_PER_SEC / 2};
    g_auto(GStrv) args = NULL;
    g_autoptr(GError) error = NULL;
    virLockManager *man;
    Scene scene;

    if (!sceneBegin(&scene))
        return;
    man = makeObject(&scene, uuid);
    args = virLockManagerGetSupervisorArgs(man, &error);
    virAssertNoError(error);
    g_assert_true(g_strv_contains((const char *const *)args, scene.disk));
    g_assert_cmpstr(args[g_strv_length(args) - 1], ==, "--");
    g_assert_false(virLockManagerAcquireObject(man, 0, &wait, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT);
    virLockManagerFree(man);
    sceneEnd(&scene);
}

/* What the command line of the prefix can not say is refused, not left out. */
static void
testUnsupported(void)
{
    g_autofree char *uuid = g_uuid_string_random();
    g_autoptr(GError) error = NULL;
    virLockManager *man;
    Scene scene;

    if (!sceneBegin(&scene))
        return;
    man = makeObject(&scene, uuid);
    g_assert_true(virLockManagerRegisterResource(man, VIR_LOCK_RESOURCE_LEASE, "key",
                                                 NULL, 0, &error));
    g_assert_null(virLockManagerGetSupervisorArgs(man, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED);
    virLockManagerFree(man);
    sceneEnd(&scene);
}

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    g_test_add_func("/supervised/guest", testSupervised);
    g_test_add_func("/supervised/never-started", testNeverStarted);
    g_test_add_func("/supervised/unsupported", testUnsupported);
    return g_test_run();
}
