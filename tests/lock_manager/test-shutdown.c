/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-shutdown.c: for which owner of a lease Shutdown waits when the child is dead: for what
 * may be the child's own, which the backend has not freed on storage yet, and for nobody else.
 *
 * Seen failing when only a holder whom the use record names is waited for.
 */
#include "tests/lib/vir_test.h"
#include "tests/lock_manager/fake.h"

#include <sys/wait.h>

#define CHILD 4711
#define OTHER_UUID "c0ffee00-0000-4000-8000-000000000001"

typedef struct {
    const char *path;
    virLockOwner owner; /* as the backend tells it */
    gboolean deadPid;   /* ... and a process that has ended */
    gboolean waited;
} Case;

static virLockManagerPlugin *plugin;
static const Case *scene;
static pid_t deadPid;
static guint questions;

static gboolean
noLeases(gpointer objectData, GPtrArray **leases, const virLockWait *wait, GError **error)
{
    (void)objectData;
    (void)wait;
    (void)error;
    *leases = NULL;
    return TRUE;
}

/* At the first question the lease has an owner, at the second it is free. */
static gboolean
ownedOnce(gpointer driverData, const virLockDriverResource *resource, GPtrArray **owners,
          const virLockWait *wait, GError **error)
{
    virLockOwner *owner = NULL;

    (void)driverData;
    (void)wait;
    (void)error;
    *owners = NULL;
    if (!g_str_equal(resource->name, "lease-key") || questions++ > 0)
        return TRUE;
    owner = g_memdup2(&scene->owner, sizeof(*owner));
    owner->structSize = sizeof(*owner);
    owner->hostName = g_strdup(scene->owner.hostName);
    owner->guestUuid = g_strdup(scene->owner.guestUuid);
    if (scene->deadPid)
        owner->pid = deadPid;
    *owners = g_ptr_array_new();
    g_ptr_array_add(*owners, owner);
    return TRUE;
}

static void
testWaitsFor(gconstpointer data)
{
    g_autoptr(virLockManager) man = fakeManager(plugin, 0, NULL);
    g_autofree char *pid = g_strdup_printf("%d", CHILD);
    g_autoptr(GError) error = NULL;

    scene = data;
    questions = 0;
    g_assert_true(virLockManagerSetParameter(man, "pid", pid, &error));
    g_assert_true(virLockManagerAcquireObject(man, 0, NULL, &error));

    g_assert_true(virLockManagerShutdown(man, NULL, &error));
    virAssertNoError(error);
    g_assert_cmpuint(questions, ==, scene->waited ? 2 : 1);
}

#define EXCLUSIVE .mode = VIR_LOCK_MODE_EXCLUSIVE
#define HERE EXCLUSIVE, .hostId = 1, .hostName = (char *)"alpha"

static const Case cases[] = {
    {"/shutdown/of-the-child",
     {HERE, .guestUuid = (char *)FAKE_UUID, .pid = CHILD},
     .waited = TRUE},
    {"/shutdown/of-nobody-known-here", {HERE}, .waited = TRUE},
    {"/shutdown/of-an-earlier-use-here",
     {HERE, .guestUuid = (char *)FAKE_UUID},
     .deadPid = TRUE,
     .waited = TRUE},
    {"/shutdown/of-an-earlier-guest-here",
     {HERE, .guestUuid = (char *)OTHER_UUID},
     .deadPid = TRUE,
     .waited = TRUE},
    {"/shutdown/of-another-guest-that-lives-here",
     {HERE, .guestUuid = (char *)OTHER_UUID, .pid = 1}},
    {"/shutdown/of-nobody-known-elsewhere",
     {EXCLUSIVE, .hostId = 2, .hostName = (char *)"beta"}},
    {"/shutdown/of-a-guest-elsewhere",
     {EXCLUSIVE, .hostId = 2, .hostName = (char *)"beta",
      .guestUuid = (char *)FAKE_UUID}},
    {"/shutdown/of-a-reader-here",
     {.mode = VIR_LOCK_MODE_SHARED, .hostId = 1, .hostName = (char *)"alpha"}},
    {"/shutdown/of-a-process-that-cannot-be-seen",
     {EXCLUSIVE, .hostName = (char *)"alpha"}},
};

static pid_t
endedProcess(void)
{
    char *argv[] = {(char *)"true", NULL};
    g_autoptr(GError) error = NULL;
    GPid pid = 0;

    g_assert_true(g_spawn_async(NULL, argv, NULL,
                                G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL,
                                NULL, &pid, &error));
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    return pid;
}

int
main(int argc, char **argv)
{
    FakeStore *store = NULL;
    int rc = 0;

    virTestInit(&argc, &argv);
    store = fakeStoreNew();
    plugin = fakePluginNew(store);
    plugin->driver.inquire = noLeases;
    plugin->driver.queryOwner = ownedOnce;
    deadPid = endedProcess();
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        g_test_add_data_func(cases[i].path, &cases[i], testWaitsFor);
    rc = g_test_run();
    virLockManagerPluginUnload(plugin);
    fakeStoreFree(store);
    return rc;
}
