/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake.c: the fixture: folders, the log of calls, which of them fails.
 */
#include "tests/domain_lock/fake.h"
#include <glib/gstdio.h>
#include <string.h>

Fake *fake;

void
fakeUp(Fake *self, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    fake = self;
    self->dir = g_dir_make_tmp("leasehold-XXXXXX", &error);
    virAssertNoError(error);
    self->runDir = g_build_filename(self->dir, "run", NULL);
    self->stateDir = g_build_filename(self->dir, "state", NULL);
    self->disk = g_build_filename(self->dir, "disk.raw", NULL);
    g_assert_true(g_file_set_contents(self->disk, "x", 1, NULL));
    self->log = g_string_new(NULL);
    self->failCode = VIR_LOCK_ERROR_BUSY;
    self->cancel = g_cancellable_new();
    self->onReboot = VIR_DOMAIN_ACTION_RESTART;
}

static void
fakeRemoveTree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name = NULL;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        fakeRemoveTree(child);
    }
    (void)g_remove(path);
}

void
fakeDown(Fake *self, gconstpointer data)
{
    g_clear_pointer(&self->spec, virDomainLockSpecFree);
    fakeRemoveTree(self->dir);
    g_free(self->dir);
    g_free(self->runDir);
    g_free(self->stateDir);
    g_free(self->disk);
    g_string_free(self->log, TRUE);
    g_object_unref(self->cancel);
    fake = NULL;
}

gboolean
fakeCall(const char *name, GError **error)
{
    if (fake->log->len > 0)
        g_string_append_c(fake->log, ' ');
    g_string_append(fake->log, name);
    if (g_strcmp0(name, fake->cancelAt) == 0)
        g_cancellable_cancel(fake->cancel);
    if (g_strcmp0(name, fake->failAt) != 0 || fake->failAfter-- > 0)
        return TRUE;
    fake->failAfter = 0;
    g_set_error(error, VIR_LOCK_ERROR, (int)fake->failCode, "%s was made to fail", name);
    return FALSE;
}

char *
fakeTakeLog(Fake *self)
{
    char *log = g_strdup(self->log->str);

    g_string_truncate(self->log, 0);
    return log;
}

virDomainLockObj *
fakePrepare(Fake *self, guint flags)
{
    virDomainLockSpec *spec = virDomainLockSpecNew();
    g_autoptr(GError) error = NULL;
    virDomainLockObj *obj = NULL;

    virDomainLockSpecFree(self->spec);
    self->spec = spec;
    spec->xml = g_strdup("web");
    spec->flags = flags;
    obj = virDomainLockStartPrepare(fakeConfig(), spec, fakeGuest, NULL, &error);
    virAssertNoError(error);
    return obj;
}

gboolean
fakeRun(Fake *self, virDomainLockObj *obj, GError **error)
{
    virLockWait wait = {.structSize = sizeof(wait),
                        .deadlineUsec = g_get_monotonic_time() + 30 * G_USEC_PER_SEC,
                        .cancellable = self->cancel};

    return virDomainLockStartRun(obj, &wait, error);
}

virDomainLockObj *
fakeStart(Fake *self)
{
    virDomainLockObj *obj = fakePrepare(self, 0);
    g_autoptr(GError) error = NULL;

    g_assert_true(fakeRun(self, obj, &error));
    virAssertNoError(error);
    g_free(fakeTakeLog(self));
    return obj;
}

void
fakeAssertGone(Fake *self)
{
    g_autofree char *path = g_build_filename(self->runDir, "guests", FAKE_UUID, NULL);

    g_assert_false(self->alive);
    g_assert_false(self->held);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}
