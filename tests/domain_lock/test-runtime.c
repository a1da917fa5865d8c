/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-runtime.c: one supervisor per uuid, what dead ones leave, and files that are whole.
 *
 * Seen failing: without the limit of nesting (the stack ends), without the lock (a folder that was taken is not held), without the start time
 * (a pid that was given to another process counts as QEMU), without the sweep (an old socket is
 * left).
 */
#include "domain_lock/save/archive.h"
#include "domain_lock/codec.h"
#include "domain_lock/runtime.h"
#include "tests/domain_lock/fake.h"
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of a guest's agent, of the other host, of a file beside an image. */
static void
testDeepJson(void)
{
    g_autofree char *deep = g_strnfill(4 * 1024 * 1024, '[');
    g_autofree char *text = g_strdup_printf("{\"a\": \"\\\"[[\", \"b\": %s", deep);
    g_autofree char *fine = g_strdup_printf("{\"b\": \"%s\"}", deep);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) object = virDomainLockJsonParse(text, -1, &error);
    g_autoptr(JsonObject) flat = NULL;

    g_assert_null(object);
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_clear_error(&error);
    flat = virDomainLockJsonParse(fine, -1, &error);
    virAssertNoError(error);
    g_assert_cmpstr(virDomainLockJsonString(flat, "b"), ==, deep);
}

static virDomainLockStatus *
makeStatus(gint64 qemuPid)
{
    virDomainLockStatus *status = virDomainLockStatusNew();

    status->info = virDomainLockInfoNew();
    status->info->name = g_strdup("web");
    status->info->uuid = g_strdup(FAKE_UUID);
    status->info->state = VIR_DOMAIN_LOCK_STATE_RUNNING;
    status->info->startedUsec = g_get_real_time();
    status->qemu = virDomainLockProcessOf(qemuPid);
    status->info->pid = qemuPid;
    status->supervisor = virDomainLockProcessOf(getpid());
    status->info->supervisorPid = getpid();
    return status;
}

static virDomainLockRuntime *
take(Fake *self, virDomainLockStatus **last, GError **error)
{
    return virDomainLockRuntimeTake(self->runDir, FAKE_UUID, "web", last, error);
}

static void
testTaken(Fake *self, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virDomainLockRuntime) runtime = take(self, NULL, &error);
    g_autoptr(virDomainLockRuntime) second = NULL;
    const char *path = NULL;
    struct stat st;

    virAssertNoError(error);
    path = virDomainLockRuntimeGetPath(runtime);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0700);
    g_assert_true(virDomainLockRuntimeIsHeld(path));

    second = take(self, NULL, &error);
    g_assert_null(second);
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY);

    g_clear_error(&error);
    g_assert_true(virDomainLockRuntimeRemove(runtime, &error));
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    second = take(self, NULL, &error);
    virAssertNoError(error);
}

static void
testRefusalNamesPidAndSince(Fake *self, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virDomainLockRuntime) runtime = take(self, NULL, &error);
    g_autoptr(virDomainLockStatus) status = makeStatus(getpid());
    g_autofree char *pid = g_strdup_printf("supervisor pid %d", (int)getpid());

    g_assert_true(virDomainLockRuntimeSaveStatus(runtime, status, &error));
    g_assert_null(take(self, NULL, &error));
    g_assert_nonnull(strstr(error->message, pid));
    g_assert_nonnull(strstr(error->message, "since"));
}

/* A supervisor that died, with QEMU alive: refused, and nothing of it is touched. */
static void
testOrphanIsRefused(Fake *self, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    virDomainLockRuntime *runtime = take(self, NULL, &error);
    g_autoptr(virDomainLockStatus) status = makeStatus(getpid());
    g_autofree char *dir = virDomainLockRuntimePath(self->runDir, FAKE_UUID);
    g_autoptr(virDomainLockStatus) still = NULL;

    g_assert_true(virDomainLockRuntimeSaveStatus(runtime, status, &error));
    virDomainLockRuntimeFree(runtime);

    g_assert_null(take(self, NULL, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, "leasehold destroy web"));
    still = virDomainLockStatusLoad(dir, NULL);
    g_assert_nonnull(still);
    g_assert_true(virDomainLockStatusQemuAlive(still));
}

static void
testLeftoverIsSwept(Fake *self, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    virDomainLockRuntime *runtime = take(self, NULL, &error);
    g_autoptr(virDomainLockStatus) status = makeStatus(getpid());
    g_autoptr(virDomainLockStatus) last = NULL;
    g_autoptr(virDomainLockRuntime) second = NULL;
    g_autofree char *qmp =
        g_build_filename(virDomainLockRuntimeGetPath(runtime), "qmp", NULL);

    /* this number belongs to another process by now */
    status->qemu.startTime++;
    g_assert_true(virDomainLockRuntimeSaveStatus(runtime, status, &error));
    g_assert_true(g_file_set_contents(qmp, "", 0, NULL));
    virDomainLockRuntimeFree(runtime);

    second = take(self, &last, &error);
    virAssertNoError(error);
    g_assert_nonnull(last);
    g_assert_cmpstr(last->info->name, ==, "web");
    g_assert_false(g_file_test(qmp, G_FILE_TEST_EXISTS));
}

static void
testOtherBootIsGone(Fake *self, gconstpointer data)
{
    g_autoptr(virDomainLockStatus) status = makeStatus(getpid());

    status->bootId = g_strdup("another");
    g_assert_false(virDomainLockStatusQemuAlive(status));
}

static void
testZombieHasEnded(Fake *self, gconstpointer data)
{
    virDomainLockProcess process;
    siginfo_t info;
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    process = virDomainLockProcessOf(child);
    g_assert_cmpint(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), ==, 0);
    g_assert_false(virDomainLockProcessAlive(&process));
    g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
}

static void
testFolderOfOthersIsRefused(Fake *self, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(mkdir(self->runDir, 0700), ==, 0);
    g_assert_cmpint(chmod(self->runDir, 0777), ==, 0);
    g_assert_null(take(self, NULL, &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "can be changed by other users"));
}

/* Fields of a later version are ignored; fields that are missing are unknown. */
static void
testStateOfAnotherVersion(Fake *self, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virDomainLockRuntime) runtime = take(self, NULL, &error);
    g_autofree char *path =
        g_build_filename(virDomainLockRuntimeGetPath(runtime), "state.json", NULL);
    g_autoptr(virDomainLockStatus) status = NULL;
    const char *text = "{\"version\": 9, \"name\": \"web\", \"state\": \"levitating\", "
                       "\"pid\": \"seven\", \"novelty\": [1, {}]}";

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    status = virDomainLockStatusLoad(virDomainLockRuntimeGetPath(runtime), &error);
    virAssertNoError(error);
    g_assert_cmpstr(status->info->name, ==, "web");
    g_assert_cmpint(status->info->pid, ==, 0);

    g_assert_true(g_file_set_contents(path, "{\"version\": 1, \"na", -1, NULL));
    g_assert_null(virDomainLockStatusLoad(virDomainLockRuntimeGetPath(runtime), &error));
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
}

static void
fillInfo(virDomainLockInfo *info)
{
    virLockLease *lease = g_new0(virLockLease, 1);

    info->name = g_strdup("web \"1\"\n");
    info->uuid = g_strdup(FAKE_UUID);
    info->state = VIR_DOMAIN_LOCK_STATE_PMSUSPENDED;
    info->reason = VIR_DOMAIN_LOCK_REASON_IO_ERROR;
    info->pid = 4711;
    info->supervisorPid = 4710;
    info->plugin = g_strdup("sanlock");
    info->hostName = g_strdup("alpha");
    info->onLockfailure = g_strdup("pause");
    info->startedUsec = 1700000000000001;
    info->endedUsec = 1700000000000002;
    info->deadlineUsec = 1700000000000003;
    info->waitStatus = 256;
    info->job = g_strdup("ending");
    info->message = g_strdup("why");
    info->logPath = g_strdup("/log");
    lease->structSize = sizeof(*lease);
    lease->lockspace = g_strdup("vm");
    lease->name = g_strdup("disk-1");
    lease->type = VIR_LOCK_RESOURCE_DISK;
    lease->mode = VIR_LOCK_MODE_SHARED;
    lease->hold = VIR_LOCK_HOLD_BRIDGE;
    lease->epoch = 42;
    lease->path = g_strdup("/vm/web");
    g_ptr_array_add(info->leases, lease);
}

static char *
infoText(const virDomainLockInfo *info)
{
    g_autoptr(JsonObject) object = json_object_new();

    virDomainLockInfoToJson(info, object);
    return virDomainLockJsonLine(object);
}

/* Every field survives JSON, GVariant and copying; compared as text, so that none is left. */
static void
testInfoSurvives(Fake *self, gconstpointer data)
{
    static const char *const properties[] = {
        "Name",       "Uuid",     "State",         "Reason",  "Pid",   "SupervisorPid",
        "Plugin",     "HostName", "OnLockfailure", "Started", "Ended", "Deadline",
        "WaitStatus", "Job",      "Message",       "LogPath", "Leases"};
    g_autoptr(virDomainLockInfo) info = virDomainLockInfoNew();
    g_autoptr(virDomainLockInfo) copy = NULL, viaJson = NULL, viaVariant = NULL;
    g_autofree char *text = NULL, *text2 = NULL, *text3 = NULL, *text4 = NULL;
    g_autoptr(JsonObject) object = NULL;
    g_autoptr(GVariant) variant = NULL;
    GVariantBuilder builder;

    fillInfo(info);
    text = infoText(info);
    copy = virDomainLockInfoCopy(info);
    text2 = infoText(copy);
    object = virDomainLockJsonParse(text, -1, NULL);
    viaJson = virDomainLockInfoFromJson(object);
    text3 = infoText(viaJson);
    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sv}"));
    for (gsize i = 0; i < G_N_ELEMENTS(properties); i++)
        g_variant_builder_add(&builder, "{sv}", properties[i],
                              virDomainLockInfoGetProperty(info, properties[i]));
    variant = g_variant_ref_sink(g_variant_builder_end(&builder));
    viaVariant = virDomainLockInfoFromVariant(variant);
    text4 = infoText(viaVariant);

    g_assert_cmpstr(text, ==, text2);
    g_assert_cmpstr(text, ==, text3);
    g_assert_cmpstr(text, ==, text4);
    g_assert_null(virDomainLockInfoGetProperty(info, "Colour"));
}

static void
testErrorCodesSurvive(Fake *self, gconstpointer data)
{
    for (int code = 0; code <= VIR_LOCK_ERROR_INDETERMINATE; code++) {
        g_autoptr(GError) error = g_error_new(VIR_LOCK_ERROR, code, "because");
        g_autoptr(JsonObject) object = virDomainLockErrorToJson(error);
        g_autoptr(GError) viaJson = virDomainLockErrorFromJson(object);
        g_autofree char *name = virDomainLockErrorName(error);
        g_autoptr(GError) remote = g_dbus_error_new_for_dbus_error(name, "because");
        g_autoptr(GError) viaDBus = virDomainLockErrorFromRemote(remote);

        g_assert_error(viaJson, VIR_LOCK_ERROR, code);
        g_assert_error(viaDBus, VIR_LOCK_ERROR, code);
        g_assert_cmpstr(viaDBus->message, ==, "because");
    }
}

static void
testHistoryIsCutToItsNewerHalf(Fake *self, gconstpointer data)
{
    g_autofree char *dir = virArchiveHistoryDir(self->stateDir);
    g_autofree char *path = g_build_filename(dir, FAKE_UUID ".jsonl", NULL);
    g_autofree char *bulk = g_strnfill(2000, 'x');
    g_autoptr(GPtrArray) events =
        g_ptr_array_new_with_free_func((GDestroyNotify)virDomainLockEventFree);
    g_autoptr(GError) error = NULL;
    const virDomainLockEvent *newest = NULL;
    struct stat st;

    for (int i = 0; i < 200; i++) {
        g_autofree char *detail = g_strdup_printf("%d", i);
        g_autoptr(virDomainLockEvent) event =
            virDomainLockEventNew("web", FAKE_UUID, "STARTED", detail, bulk);

        g_assert_true(virArchiveAddEvent(self->stateDir, event, &error));
    }
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, <=, VIR_ARCHIVE_HISTORY_MAX);
    g_assert_true(virArchiveReadEvents(path, events, &error));
    newest = g_ptr_array_index(events, events->len - 1);
    g_assert_cmpstr(newest->detail, ==, "199");
}

static void
testLogNamesAreTame(Fake *self, gconstpointer data)
{
    g_autofree char *path = virArchiveLogPath("/s", "../../etc/pass wd\n", FAKE_UUID);

    g_assert_cmpstr(path, ==, "/s/log/_._.._etc_pass_wd_-" FAKE_UUID ".log");
}

#define ADD(name, func) g_test_add("/runtime/" name, Fake, NULL, fakeUp, func, fakeDown)

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    ADD("taken", testTaken);
    ADD("refusal-names-pid-and-since", testRefusalNamesPidAndSince);
    ADD("orphan-is-refused", testOrphanIsRefused);
    ADD("leftover-is-swept", testLeftoverIsSwept);
    ADD("other-boot-is-gone", testOtherBootIsGone);
    ADD("zombie-has-ended", testZombieHasEnded);
    ADD("folder-of-others", testFolderOfOthersIsRefused);
    ADD("state-of-another-version", testStateOfAnotherVersion);
    ADD("info-survives", testInfoSurvives);
    g_test_add_func("/runtime/deep-json", testDeepJson);
    ADD("error-codes-survive", testErrorCodesSurvive);
    ADD("history-is-cut", testHistoryIsCutToItsNewerHalf);
    ADD("log-names-are-tame", testLogNamesAreTame);
    return g_test_run();
}
