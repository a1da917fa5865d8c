/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-lockfile.c: what only the lockfile plugin has: a directory that everybody may write to,
 * files in it that are not what they should be, a file system that is full, or on a network.
 *
 * Seen failing: with O_NOFOLLOW, the check of the hard links, that of the owner, or the base of
 * new epochs left out.
 */
#include "plugins/lockfile/lockfile.h"
#include "tests/lib/vir_test.h"

#include <leasehold/lock_manager.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEASE "lease-key"
#define NOBODY 65534

static char *base;

typedef struct _Scene {
    char *dir; /* the lock directory */
    virLockConfig *config;
    virLockManagerPlugin *plugin;
} Scene;

static gboolean
keepFd(int fd, const char *name, gpointer data, GError **error)
{
    return TRUE;
}

static void
sceneBeginIn(Scene *scene, const char *dir)
{
    g_autofree char *path = g_build_filename(base, "conf", NULL);
    g_autofree char *text =
        g_strdup_printf("[host]\nname = alpha\n[lockfile]\ndir = %s\n", dir);
    g_autoptr(GError) error = NULL;

    scene->dir = g_strdup(dir);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    scene->config = virLockConfigLoad(path, &error);
    virAssertNoError(error);
    scene->plugin = virLockManagerPluginLoad(scene->config, "lockfile", &error);
    virAssertNoError(error);
}

static void
sceneBegin(Scene *scene)
{
    static guint count;
    g_autofree char *dir = g_strdup_printf("%s/locks%u", base, ++count);

    sceneBeginIn(scene, dir);
}

static void
sceneEnd(Scene *scene)
{
    g_free(scene->dir);
    virLockManagerPluginUnload(scene->plugin);
    virLockConfigUnref(scene->config);
}

static char *
lockPath(const Scene *scene)
{
    return g_build_filename(scene->dir, LEASE, NULL);
}

/* Takes LEASE for this process. NULL with @error if it is refused. */
static virLockManager *
take(Scene *scene, GError **error)
{
    g_autoptr(virLockManager) man =
        virLockManagerNew(scene->plugin, VIR_LOCK_MANAGER_OBJECT_DOMAIN, 0, error);
    g_autofree char *uuid = g_uuid_string_random();
    g_autofree char *pid = g_strdup_printf("%d", (int)getpid());

    virLockManagerSetFdPass(man, keepFd, NULL);
    if (virLockManagerSetParameter(man, "uuid", uuid, error) &&
        virLockManagerSetParameter(man, "name", "web", error) &&
        virLockManagerRegisterResource(man, VIR_LOCK_RESOURCE_LEASE, "key", NULL, 0,
                                       error) &&
        virLockManagerSetParameter(man, "pid", pid, error) &&
        virLockManagerAcquireObject(man, 0, NULL, error))
        return g_steal_pointer(&man);
    return NULL;
}

static void
expectTaken(Scene *scene)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virLockManager) man = take(scene, &error);

    virAssertNoError(error);
    g_assert_nonnull(man);
}

static void
expectRefused(Scene *scene, int code, const char *word)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virLockManager) man = take(scene, &error);

    g_assert_null(man);
    g_assert_error(error, VIR_LOCK_ERROR, code);
    g_test_message("%s", error->message);
    if (!strstr(error->message, word))
        g_error("'%s' does not say '%s'", error->message, word);
}

/* --- the directory ------------------------------------------------------------------------ */

static void
testModes(void)
{
    Scene scene;
    struct stat info;
    mode_t mask = umask(0077);
    g_autofree char *path = NULL;

    sceneBegin(&scene);
    expectTaken(&scene);
    (void)umask(mask);
    g_assert_cmpint(stat(scene.dir, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 07777, ==, 01777);
    path = lockPath(&scene);
    g_assert_cmpint(stat(path, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 07777, ==, 0666);
    g_assert_cmpint(info.st_size, ==, VIR_LOCKFILE_BYTES);
    sceneEnd(&scene);
}

static void
testDirWithoutStickyBit(void)
{
    Scene scene;

    sceneBegin(&scene);
    g_assert_cmpint(mkdir(scene.dir, 0777), ==, 0);
    g_assert_cmpint(chmod(scene.dir, 0777), ==, 0);
    expectRefused(&scene, VIR_LOCK_ERROR_CONFIG, "1777");
    sceneEnd(&scene);
}

static void
testDirIsLink(void)
{
    Scene scene;

    sceneBegin(&scene);
    g_assert_cmpint(symlink("/tmp", scene.dir), ==, 0);
    expectRefused(&scene, VIR_LOCK_ERROR_CONFIG, scene.dir);
    sceneEnd(&scene);
}

static void
testNetwork(void)
{
    g_assert_true(virLockfileIsNetwork(NFS_SUPER_MAGIC));
    g_assert_true(virLockfileIsNetwork((gint32)0xFF534D42));
    g_assert_true(virLockfileIsNetwork((gint64)0xFE534D42));
    g_assert_true(virLockfileIsNetwork(V9FS_MAGIC));
    g_assert_false(virLockfileIsNetwork(TMPFS_MAGIC));
    g_assert_false(virLockfileIsNetwork(EXT4_SUPER_MAGIC));
    g_assert_false(virLockfileIsNetwork(BTRFS_SUPER_MAGIC));
}

/* --- files that are traps ------------------------------------------------------------------ */

static void
testFileIsLink(void)
{
    Scene scene;
    g_autofree char *path = NULL;
    g_autofree char *victim = g_build_filename(base, "victim", NULL);
    g_autofree char *text = NULL;

    sceneBegin(&scene);
    expectTaken(&scene);
    path = lockPath(&scene);
    g_assert_true(g_file_set_contents(victim, "precious", -1, NULL));
    g_assert_cmpint(unlink(path), ==, 0);
    g_assert_cmpint(symlink(victim, path), ==, 0);
    expectRefused(&scene, VIR_LOCK_ERROR_CONFIG, "symbolic link");
    g_assert_cmpint(unlink(path), ==, 0);
    g_assert_cmpint(link(victim, path), ==, 0);
    expectRefused(&scene, VIR_LOCK_ERROR_CONFIG, "hard links");
    g_assert_true(g_file_get_contents(victim, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "precious");
    g_assert_cmpint(unlink(path), ==, 0);
    g_assert_cmpint(mkfifo(path, 0666), ==, 0);
    expectRefused(&scene, VIR_LOCK_ERROR_CONFIG, "not a plain file");
    g_assert_cmpint(unlink(path), ==, 0);
    g_assert_cmpint(mkdir(path, 0777), ==, 0);
    expectRefused(&scene, VIR_LOCK_ERROR_CONFIG, LEASE);
    sceneEnd(&scene);
}

/* The name is made to mean another file while somebody holds the first one: the next one must
 * see the present one, and the lock of the first is not ours to break. */
static void
testFileReplaced(void)
{
    Scene scene;
    g_autofree char *path = NULL;
    g_autoptr(virLockManager) holder = NULL;
    g_autoptr(GError) error = NULL;
    int dirFd;
    int fd;

    sceneBegin(&scene);
    holder = take(&scene, &error);
    virAssertNoError(error);
    path = lockPath(&scene);
    dirFd = open(scene.dir, O_RDONLY | O_DIRECTORY);
    fd = open(path, O_RDWR);
    g_assert_true(virLockfileIsCurrent(dirFd, LEASE, fd));
    g_assert_cmpint(unlink(path), ==, 0);
    g_assert_false(virLockfileIsCurrent(dirFd, LEASE, fd));
    g_assert_true(g_file_set_contents(path, "", -1, NULL));
    g_assert_false(virLockfileIsCurrent(dirFd, LEASE, fd));
    (void)close(fd);
    (void)close(dirFd);
    sceneEnd(&scene);
}

/* Runs @func as another user; its status. */
static int
asNobody(void (*func)(Scene *), Scene *scene)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
            _exit(99);
        func(scene);
        _exit(0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return status;
}

static gboolean
needsRoot(void)
{
    if (geteuid() == 0)
        return TRUE;
    g_test_skip("needs root, to be another user");
    return FALSE;
}

static void
nobodyTakes(Scene *scene)
{
    expectTaken(scene);
}

static void
nobodyIsRefusedFile(Scene *scene)
{
    expectRefused(scene, VIR_LOCK_ERROR_CONFIG, "belongs to user 1234");
}

static void
nobodyIsRefusedDir(Scene *scene)
{
    expectRefused(scene, VIR_LOCK_ERROR_CONFIG, "belongs to user 1234");
}

static void
nobodyIsRefusedMode(Scene *scene)
{
    expectRefused(scene, VIR_LOCK_ERROR_CONFIG, "Permission denied");
}

static void
nobodySeesOwner(Scene *scene)
{
    expectRefused(scene, VIR_LOCK_ERROR_BUSY, "is held");
}

/* All users of a host share one directory, and nobody can take a lock file away. */
static void
testUsers(void)
{
    Scene scene;
    struct stat info;
    g_autofree char *path = NULL;
    g_autoptr(virLockManager) holder = NULL;
    g_autoptr(GError) error = NULL;

    if (!needsRoot())
        return;
    g_assert_cmpint(chmod(base, 0755), ==, 0);
    sceneBegin(&scene);
    path = lockPath(&scene);
    /* root made the directory; an ordinary user makes a file; root makes it its own */
    g_assert_cmpint(mkdir(scene.dir, 01777), ==, 0);
    g_assert_cmpint(chmod(scene.dir, 01777), ==, 0);
    g_assert_cmpint(asNobody(nobodyTakes, &scene), ==, 0);
    g_assert_cmpint(stat(path, &info), ==, 0);
    g_assert_cmpint(info.st_uid, ==, NOBODY);
    holder = take(&scene, &error);
    virAssertNoError(error);
    g_assert_cmpint(stat(path, &info), ==, 0);
    g_assert_cmpint(info.st_uid, ==, 0);
    /* the user meets root's lock */
    g_assert_cmpint(asNobody(nobodySeesOwner, &scene), ==, 0);
    g_clear_pointer(&holder, virLockManagerFree);
    g_assert_cmpint(asNobody(nobodyTakes, &scene), ==, 0);

    /* a file of a third user could be removed by him; one that may not be written is refused */
    g_assert_cmpint(chown(path, 1234, 1234), ==, 0);
    g_assert_cmpint(asNobody(nobodyIsRefusedFile, &scene), ==, 0);
    g_assert_cmpint(chown(path, 0, 0), ==, 0);
    g_assert_cmpint(chmod(path, 0600), ==, 0);
    g_assert_cmpint(asNobody(nobodyIsRefusedMode, &scene), ==, 0);
    g_assert_cmpint(chmod(path, 0666), ==, 0);

    /* so could every file of a directory that is his; root takes it over */
    g_assert_cmpint(chown(scene.dir, 1234, 1234), ==, 0);
    g_assert_cmpint(asNobody(nobodyIsRefusedDir, &scene), ==, 0);
    expectTaken(&scene);
    g_assert_cmpint(stat(scene.dir, &info), ==, 0);
    g_assert_cmpint(info.st_uid, ==, 0);
    sceneEnd(&scene);
}

/* --- a full file system -------------------------------------------------------------------- */

/* In a mount namespace of its own. */
static int
fullFileSystem(const char *dir)
{
    g_autofree char *filler = g_build_filename(dir, "filler", NULL);
    char block[4096] = {1};
    Scene scene;
    int fd;

    if (unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=1777") < 0)
        return 77;
    fd = open(filler, O_RDWR | O_CREAT, 0600);
    while (write(fd, block, sizeof(block)) > 0)
        continue;
    (void)close(fd);
    sceneBeginIn(&scene, dir);
    expectRefused(&scene, VIR_LOCK_ERROR_UNAVAILABLE, "No space left");
    (void)unlink(filler);
    expectTaken(&scene);
    sceneEnd(&scene);
    return 0;
}

static void
testFull(void)
{
    g_autofree char *dir = g_build_filename(base, "full", NULL);
    int status;
    pid_t pid;

    g_assert_cmpint(mkdir(dir, 0777), ==, 0);
    pid = fork();
    if (pid == 0)
        _exit(fullFileSystem(dir));
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        g_test_skip("no mount namespaces here");
        return;
    }
    g_assert_cmpint(status, ==, 0);
}

/* --- epochs ------------------------------------------------------------------------------- */

static guint64
use(Scene *scene)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virLockManager) man = take(scene, &error);
    g_autoptr(GPtrArray) uses = NULL;

    virAssertNoError(error);
    g_assert_true(virLockManagerAdvanceUse(man, NULL, &error));
    uses = virLockManagerReadUse(scene->plugin, LEASE, 0, NULL, &error);
    virAssertNoError(error);
    return ((virLockUse *)uses->pdata[0])->epoch;
}

/* The directory is empty after a reboot: its epochs must not begin where old ones were. */
static void
testEpochsAfterReboot(void)
{
    Scene scene;
    g_autofree char *path = NULL;
    guint64 before;

    sceneBegin(&scene);
    path = lockPath(&scene);
    before = use(&scene);
    g_assert_cmpuint(use(&scene), ==, before + 1);
    g_assert_cmpint(unlink(path), ==, 0);
    g_usleep(2100 * 1000);
    g_assert_cmpuint(use(&scene), >, before + 1);
    sceneEnd(&scene);
}

/* A damaged record is counted as used, and its user is not made up. */
static void
testDamagedRecord(void)
{
    Scene scene;
    g_autofree char *path = NULL;
    g_autoptr(GPtrArray) uses = NULL;
    g_autoptr(GError) error = NULL;
    guint64 before;
    off_t offset;
    int fd;

    sceneBegin(&scene);
    path = lockPath(&scene);
    (void)use(&scene);
    before = use(&scene);
    fd = open(path, O_RDWR);
    offset = (off_t)virUseRingOffset(2, VIR_LOCKFILE_SECTOR);
    g_assert_cmpint(pwrite(fd, "garbage", 7, offset + 100), ==, 7);
    (void)close(fd);
    uses = virLockManagerReadUse(scene.plugin, LEASE, 0, NULL, &error);
    virAssertNoError(error);
    g_assert_cmpuint(((virLockUse *)uses->pdata[0])->epoch, ==, before);
    g_assert_null(((virLockUse *)uses->pdata[0])->guestName);
    sceneEnd(&scene);
}

int
main(int argc, char **argv)
{
    g_autofree char *command = NULL;
    int rc;

    base = g_dir_make_tmp("lh-XXXXXX", NULL);
    virTestInit(&argc, &argv);
    g_test_add_func("/lockfile/modes", testModes);
    g_test_add_func("/lockfile/dir-without-sticky-bit", testDirWithoutStickyBit);
    g_test_add_func("/lockfile/dir-is-link", testDirIsLink);
    g_test_add_func("/lockfile/network", testNetwork);
    g_test_add_func("/lockfile/file-is-link", testFileIsLink);
    g_test_add_func("/lockfile/file-replaced", testFileReplaced);
    g_test_add_func("/lockfile/users", testUsers);
    g_test_add_func("/lockfile/full", testFull);
    g_test_add_func("/lockfile/epochs-after-reboot", testEpochsAfterReboot);
    g_test_add_func("/lockfile/damaged-record", testDamagedRecord);
    rc = g_test_run();
    command = g_strdup_printf("rm -rf '%s'", base);
    if (system(command) != 0)
        rc = 1;
    g_free(base);
    return rc;
}
