/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest_fixture.c: see guest_fixture.h. */
#include "tests/supervisor/guest_fixture.h"
#include "tests/lib/vir_test.h"

#include <glib/gstdio.h>
#include <unistd.h>

/* --- the fake lock manager: what supervisor/ calls of liblock_manager ------------------ */

static FakeLockManager *
toFake(virLockManager *man)
{
    return (FakeLockManager *)man;
}

gboolean
virLockManagerPrepareChild(virLockManager *man, GError **error)
{
    return TRUE;
}

int
virLockManagerRegisterChild(virLockManager *man, int *inheritFd, const char **message)
{
    FakeLockManager *fake = toFake(man);

    while (fake->hangs)
        pause();
    *inheritFd = fake->inheritFd;
    *message = fake->registerErrno ? "connecting to the daemon" : NULL;
    return fake->registerErrno;
}

gboolean
virLockManagerSetParameter(virLockManager *man, const char *key, const char *value,
                           GError **error)
{
    g_assert_cmpstr(key, ==, "pid");
    g_strlcpy(toFake(man)->pid, value, sizeof(toFake(man)->pid));
    return TRUE;
}

/* --- the fixture ------------------------------------------------------------------------ */

void
guestFixtureUp(GuestFixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    fixture->dir = g_dir_make_tmp("leasehold-guest-XXXXXX", &error);
    virAssertNoError(error);
    fixture->logPath = g_build_filename(fixture->dir, "log", NULL);
    fixture->locks.inheritFd = -1;
    fixture->options = (virSupervisorGuestOptions){.name = "web",
                                                   .uuid = FIXTURE_UUID,
                                                   .runDir = fixture->dir,
                                                   .logPath = fixture->logPath};
    fixture->guest = virSupervisorGuestNew(&fixture->options, &error);
    virAssertNoError(error);
}

void
guestFixtureDown(GuestFixture *fixture, gconstpointer data)
{
    g_autofree char *qmp = g_build_filename(fixture->dir, "qmp", NULL);

    if (fixture->guest && fixture->guest->ops->getPid(fixture->guest) > 0)
        (void)guestFixtureEnd(fixture);
    virSupervisorGuestFree(fixture->guest);
    (void)g_unlink(qmp);
    (void)g_unlink(fixture->logPath);
    g_assert_cmpint(g_rmdir(fixture->dir), ==, 0);
    g_free(fixture->logPath);
    g_free(fixture->dir);
}

virLockManager *
guestFixtureManager(GuestFixture *fixture)
{
    return (virLockManager *)&fixture->locks;
}

void
guestFixturePark(GuestFixture *fixture)
{
    g_autoptr(GError) error = NULL;
    gboolean ok =
        fixture->guest->ops->park(fixture->guest, guestFixtureManager(fixture), &error) &&
        fixture->guest->ops->awaitParked(fixture->guest, &error);

    virAssertNoError(error);
    g_assert_true(ok);
}

char **
guestFixtureArgv(GuestFixture *fixture, const char *const *more)
{
    g_autoptr(GStrvBuilder) argv = g_strv_builder_new();
    g_autofree char *chardev =
        g_strdup_printf("socket,id=qmp,fd=%d,server=on,wait=off",
                        virSupervisorGuestGetQmpFd(fixture->guest));

    g_strv_builder_add_many(argv, QEMU, "-nodefaults", "-display", "none", "-machine",
                            "none", "-accel", "tcg", "-S", "-no-shutdown", "-sandbox",
                            "on", "-chardev", chardev, "-mon", "chardev=qmp,mode=control",
                            NULL);
    for (gsize i = 0; more && more[i]; i++)
        g_strv_builder_add(argv, more[i]);
    return g_strv_builder_end(argv);
}

gboolean
guestFixtureExec(GuestFixture *fixture, const char *const *argv, gint64 deadlineUsec,
                 GError **error)
{
    const virLockWait wait = {.structSize = sizeof(wait), .deadlineUsec = deadlineUsec};

    return fixture->guest->ops->exec(fixture->guest, argv, NULL, &wait, error);
}

void
guestFixtureStart(GuestFixture *fixture, const char *const *more)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) argv = NULL;
    gboolean ok;

    guestFixturePark(fixture);
    argv = guestFixtureArgv(fixture, more);
    ok = guestFixtureExec(fixture, (const char *const *)argv, IN_SEC(20), &error);
    virAssertNoError(error);
    g_assert_true(ok);
}

virDomainLockExit
guestFixtureEnd(GuestFixture *fixture)
{
    const virDomainLockGuestOps *ops = fixture->guest->ops;
    g_autoptr(GError) error = NULL;
    virDomainLockExit result = {0};
    gboolean ok;

    ops->kill(fixture->guest, FALSE);
    ok = ops->reap(fixture->guest, IN_SEC(10), &result, &error);
    virAssertNoError(error);
    g_assert_true(ok);
    return result;
}

char *
guestFixtureLog(GuestFixture *fixture)
{
    char *text = NULL;

    g_assert_true(g_file_get_contents(fixture->logPath, &text, NULL, NULL));
    return text;
}
