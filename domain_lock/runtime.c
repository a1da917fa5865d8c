/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * runtime.c: the folder of a guest that runs; one supervisor per uuid on a host.
 *
 * Taking: make the folder, open "lock", lock it, then look whether the file that was locked
 * is still the one in the folder: an ending supervisor may have removed it in between.
 * Removing: "lock" goes last and stays locked until its descriptor is closed, so that a
 * newcomer either waits for a new folder or holds a file that the check above rejects.
 */
#include "runtime.h"
#include "codec.h"
#include "common/fd.h"
#include "file.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATUS_VERSION 1
#define TAKE_ATTEMPTS 16

struct _virDomainLockRuntime {
    char *path;
    char *uuid;
    int lockFd;
};

/* --- processes ---------------------------------------------------------------------- */

virDomainLockProcess
virDomainLockProcessOf(gint64 pid)
{
    virDomainLockProcess process = {.pid = pid};
    virProcessStat st;

    if (pid > 0 && virProcessReadStat((pid_t)pid, &st) == 0)
        process.startTime = st.startTime;
    return process;
}

gboolean
virDomainLockProcessAlive(const virDomainLockProcess *process)
{
    virProcessStat st;

    return process->pid > 0 && virProcessReadStat((pid_t)process->pid, &st) == 0 &&
           st.startTime == process->startTime && st.state != 'Z' && st.state != 'X';
}

char *
virDomainLockBootId(void)
{
    char *text = NULL;

    if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL))
        return g_strdup("");
    return g_strchomp(text);
}

/* --- state.json --------------------------------------------------------------------- */

virDomainLockStatus *
virDomainLockStatusNew(void)
{
    virDomainLockStatus *status = g_new0(virDomainLockStatus, 1);

    status->asked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return status;
}

void
virDomainLockStatusFree(virDomainLockStatus *status)
{
    if (!status)
        return;
    virDomainLockInfoFree(status->info);
    g_free(status->bootId);
    g_free(status->step);
    g_free(status->peer);
    g_clear_pointer(&status->journal, json_object_unref);
    g_hash_table_unref(status->asked);
    g_free(status);
}

void
virDomainLockStatusMoveSupervisor(virDomainLockStatus *status,
                                  const virDomainLockStatus *from)
{
    status->supervisor = from->supervisor;
    status->info->supervisorPid = from->info->supervisorPid;
}

/* The journal and what else only the next supervisor needs. */
static void
virDomainLockStatusReadJournal(virDomainLockStatus *status, JsonObject *object)
{
    JsonObject *journal = virDomainLockJsonObject(object, "journal");
    JsonArray *asked = virDomainLockJsonArray(object, "asked");
    const char *reason = virDomainLockJsonString(object, "end_reason");
    const char *request = virDomainLockJsonString(object, "request");

    status->step = g_strdup(virDomainLockJsonString(object, "step"));
    status->journal = journal ? json_object_ref(journal) : NULL;
    status->leaseLost = virDomainLockJsonInt(object, "lease_lost", 0) != 0;
    status->held = virDomainLockJsonInt(object, "held", 0) != 0;
    status->peer = g_strdup(virDomainLockJsonString(object, "peer"));
    if (!reason || !virDomainLockReasonFromName(reason, &status->endReason))
        status->endReason = VIR_DOMAIN_LOCK_REASON_NONE;
    if (!request || !virDomainLockReasonFromName(request, &status->request))
        status->request = VIR_DOMAIN_LOCK_REASON_NONE;
    status->hibernating = virDomainLockJsonInt(object, "hibernating", 0) != 0;
    status->askBy = (guint)virDomainLockJsonInt(object, "ask_by", 0);
    status->after = (virDomainLockAfter)virDomainLockJsonInt(object, "after", 0);
    for (guint i = 0; asked && i < json_array_get_length(asked); i++) {
        JsonNode *node = json_array_get_element(asked, i);
        const char *id = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_string(node) : NULL;

        if (id)
            g_hash_table_add(status->asked, g_strdup(id));
    }
}

static void
virDomainLockStatusWriteJournal(const virDomainLockStatus *status, JsonObject *object)
{
    GHashTableIter iter;
    gpointer id = NULL;
    JsonArray *asked = NULL;

    if (status->step)
        json_object_set_string_member(object, "step", status->step);
    if (status->journal)
        json_object_set_object_member(object, "journal",
                                      json_object_ref(status->journal));
    if (status->leaseLost)
        json_object_set_int_member(object, "lease_lost", 1);
    if (status->held)
        json_object_set_int_member(object, "held", 1);
    if (status->peer)
        json_object_set_string_member(object, "peer", status->peer);
    if (status->endReason != VIR_DOMAIN_LOCK_REASON_NONE)
        json_object_set_string_member(object, "end_reason",
                                      virDomainLockReasonName(status->endReason));
    if (status->request != VIR_DOMAIN_LOCK_REASON_NONE)
        json_object_set_string_member(object, "request",
                                      virDomainLockReasonName(status->request));
    if (status->hibernating)
        json_object_set_int_member(object, "hibernating", 1);
    if (status->askBy != 0)
        json_object_set_int_member(object, "ask_by", status->askBy);
    if (status->after != VIR_DOMAIN_LOCK_AFTER_NONE)
        json_object_set_int_member(object, "after", status->after);
    if (g_hash_table_size(status->asked) == 0)
        return;
    asked = json_array_new();
    g_hash_table_iter_init(&iter, status->asked);
    while (g_hash_table_iter_next(&iter, &id, NULL))
        json_array_add_string_element(asked, id);
    json_object_set_array_member(object, "asked", asked);
}

virDomainLockStatus *
virDomainLockStatusLoad(const char *dir, GError **error)
{
    g_autofree char *path = g_build_filename(dir, "state.json", NULL);
    g_autofree char *text = NULL;
    g_autoptr(JsonObject) object = NULL;
    virDomainLockStatus *status = NULL;
    gsize len = 0;

    if (!g_file_get_contents(path, &text, &len, NULL)) {
        virFileSetError(error, errno, "cannot read", path);
        return NULL;
    }
    object = virDomainLockJsonParse(text, (gssize)len, error);
    if (!object) {
        g_prefix_error(error, "cannot understand '%s': ", path);
        return NULL;
    }
    status = virDomainLockStatusNew();
    status->info = virDomainLockInfoFromJson(object);
    status->qemu.pid = status->info->pid;
    status->qemu.startTime = (guint64)virDomainLockJsonInt(object, "pid_start", 0);
    status->supervisor.pid = status->info->supervisorPid;
    status->supervisor.startTime =
        (guint64)virDomainLockJsonInt(object, "supervisor_start", 0);
    status->bootId = g_strdup(virDomainLockJsonString(object, "boot_id"));
    virDomainLockStatusReadJournal(status, object);
    return status;
}

gboolean
virDomainLockStatusWasStarting(const virDomainLockStatus *status)
{
    return status->step && (g_str_has_prefix(status->step, "start:") ||
                            g_str_has_prefix(status->step, "offline:") ||
                            g_str_has_prefix(status->step, "incoming:"));
}

virDomainLockReason
virDomainLockStatusEndReason(const virDomainLockStatus *status)
{
    if (virDomainLockStatusWasStarting(status))
        return VIR_DOMAIN_LOCK_REASON_FAILED;
    return status->endReason != VIR_DOMAIN_LOCK_REASON_NONE
               ? status->endReason
               : VIR_DOMAIN_LOCK_REASON_UNKNOWN;
}

gboolean
virDomainLockStatusQemuAlive(const virDomainLockStatus *status)
{
    g_autofree char *bootId = virDomainLockBootId();

    return g_strcmp0(bootId, status->bootId) == 0 &&
           virDomainLockProcessAlive(&status->qemu);
}

gboolean
virDomainLockRuntimeSaveStatus(virDomainLockRuntime *runtime, virDomainLockStatus *status,
                               GError **error)
{
    g_autofree char *path = g_build_filename(runtime->path, "state.json", NULL);
    g_autoptr(JsonObject) object = json_object_new();
    g_autofree char *text = NULL;

    if (!status->bootId)
        status->bootId = virDomainLockBootId();
    json_object_set_int_member(object, "version", STATUS_VERSION);
    virDomainLockInfoToJson(status->info, object);
    json_object_set_int_member(object, "pid_start", (gint64)status->qemu.startTime);
    json_object_set_int_member(object, "supervisor_start",
                               (gint64)status->supervisor.startTime);
    json_object_set_string_member(object, "boot_id", status->bootId);
    virDomainLockStatusWriteJournal(status, object);
    text = virDomainLockJsonLine(object);
    return virFileReplace(path, text, error);
}

static char *
virDomainLockRuntimeSpecPath(const virDomainLockRuntime *runtime)
{
    return g_build_filename(runtime->path, "spec.json", NULL);
}

gboolean
virDomainLockRuntimeSaveSpec(virDomainLockRuntime *runtime, const char *text,
                             GError **error)
{
    g_autofree char *path = virDomainLockRuntimeSpecPath(runtime);

    return virFileReplace(path, text, error);
}

char *
virDomainLockRuntimeLoadSpec(virDomainLockRuntime *runtime, GError **error)
{
    g_autofree char *path = virDomainLockRuntimeSpecPath(runtime);
    char *text = NULL;

    if (g_file_get_contents(path, &text, NULL, NULL))
        return text;
    virFileSetError(error, errno, "cannot read", path);
    return NULL;
}

/* --- the lock ----------------------------------------------------------------------- */

char *
virDomainLockRuntimePath(const char *runDir, const char *uuid)
{
    return g_build_filename(runDir, "guests", uuid, NULL);
}

gboolean
virDomainLockRuntimeIsHeld(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "lock", NULL);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    g_auto(virFd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    /* only asks: taking it even for a moment could refuse a starter */
    return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

typedef enum {
    VIR_HOLD_TAKEN,
    VIR_HOLD_BUSY,
    VIR_HOLD_MOVED, /* the folder was removed in between: try again */
    VIR_HOLD_FAILED,
} virHoldResult;

static virHoldResult
virDomainLockRuntimeHold(const char *dir, int *lockFd, GError **error)
{
    g_autofree char *path = g_build_filename(dir, "lock", NULL);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat held, there;
    g_auto(virFd) fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0 && errno == ENOENT)
        return VIR_HOLD_MOVED;
    if (fd < 0) {
        virFileSetError(error, errno, "cannot open", path);
        return VIR_HOLD_FAILED;
    }
    if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
        if (errno == EAGAIN || errno == EACCES)
            return VIR_HOLD_BUSY;
        virFileSetError(error, errno, "cannot lock", path);
        return VIR_HOLD_FAILED;
    }
    if (fstat(fd, &held) < 0 || stat(path, &there) < 0 || held.st_ino != there.st_ino ||
        held.st_dev != there.st_dev)
        return VIR_HOLD_MOVED;
    *lockFd = g_steal_fd(&fd);
    return VIR_HOLD_TAKEN;
}

static void
virDomainLockRuntimeSetBusy(const char *dir, const char *name, GError **error)
{
    g_autoptr(virDomainLockStatus) status = virDomainLockStatusLoad(dir, NULL);
    g_autoptr(GDateTime) since = NULL;
    g_autofree char *when = NULL;

    if (!status || status->supervisor.pid == 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY,
                    "guest '%s' is being started on this host by another supervisor",
                    name);
        return;
    }
    since = g_date_time_new_from_unix_local(status->info->startedUsec / G_USEC_PER_SEC);
    when = since && status->info->startedUsec > 0
               ? g_date_time_format(since, "%Y-%m-%d %H:%M:%S")
               : NULL;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY,
                "guest '%s' is %s on this host%s%s (supervisor pid %" G_GINT64_FORMAT
                ", QEMU pid %" G_GINT64_FORMAT ")",
                status->info->name ? status->info->name : name,
                virDomainLockStateName(status->info->state), when ? " since " : "",
                when ? when : "", status->supervisor.pid, status->qemu.pid);
}

static virDomainLockRuntime *
virDomainLockRuntimeNew(const char *dir, const char *uuid, int lockFd)
{
    virDomainLockRuntime *runtime = g_new0(virDomainLockRuntime, 1);

    runtime->path = g_strdup(dir);
    runtime->uuid = g_strdup(uuid);
    runtime->lockFd = lockFd;
    return runtime;
}

static gboolean
virDomainLockRuntimeMakeDirs(const char *runDir, const char *dir, GError **error)
{
    g_autofree char *guests = g_build_filename(runDir, "guests", NULL);

    return virFileMakeDirs(runDir, 0755, error) && virFileMakeDirs(guests, 0755, error) &&
           virFileMakeDirs(dir, 0700, error);
}

/* All but the lock. */
static gboolean
virDomainLockRuntimeEmpty(virDomainLockRuntime *runtime, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(runtime->path, 0, NULL);
    const char *name = NULL;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(runtime->path, name, NULL);

        if (!g_str_equal(name, "lock") && unlink(path) < 0 && errno != ENOENT) {
            virFileSetError(error, errno, "cannot remove", path);
            return FALSE;
        }
    }
    return TRUE;
}

/* What a dead supervisor left: QEMU alive is a refusal, all else is swept out. */
static gboolean
virDomainLockRuntimeSweep(virDomainLockRuntime *runtime, const char *name,
                          virDomainLockStatus **last, GError **error)
{
    g_autoptr(virDomainLockStatus) status = virDomainLockStatusLoad(runtime->path, NULL);

    if (status && virDomainLockStatusQemuAlive(status)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_BUSY,
                    "guest '%s' still runs on this host (QEMU pid %" G_GINT64_FORMAT
                    ") under its leases, but its supervisor (pid %" G_GINT64_FORMAT
                    ") is gone: it is 'unsupervised'; 'leasehold attach %s' takes it up "
                    "again, 'leasehold destroy %s' ends it",
                    name, status->qemu.pid, status->supervisor.pid, name, name);
        return FALSE;
    }
    if (!virDomainLockRuntimeEmpty(runtime, error))
        return FALSE;
    if (last)
        *last = g_steal_pointer(&status);
    return TRUE;
}

virDomainLockRuntime *
virDomainLockRuntimeTake(const char *runDir, const char *uuid, const char *name,
                         virDomainLockStatus **last, GError **error)
{
    g_autofree char *dir = virDomainLockRuntimePath(runDir, uuid);
    g_autoptr(virDomainLockRuntime) runtime = NULL;
    virHoldResult held = VIR_HOLD_MOVED;
    int lockFd = -1;

    if (last)
        *last = NULL;
    for (guint i = 0; i < TAKE_ATTEMPTS && held == VIR_HOLD_MOVED; i++) {
        if (!virDomainLockRuntimeMakeDirs(runDir, dir, error))
            return NULL;
        held = virDomainLockRuntimeHold(dir, &lockFd, error);
    }
    if (held == VIR_HOLD_BUSY)
        virDomainLockRuntimeSetBusy(dir, name, error);
    if (held == VIR_HOLD_MOVED)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "the folder '%s' is made and removed all the time by others", dir);
    if (held == VIR_HOLD_FAILED)
        (void)rmdir(dir);
    if (held != VIR_HOLD_TAKEN)
        return NULL;
    runtime = virDomainLockRuntimeNew(dir, uuid, lockFd);
    if (!virDomainLockRuntimeSweep(runtime, name, last, error))
        return NULL;
    return g_steal_pointer(&runtime);
}

virDomainLockRuntime *
virDomainLockRuntimeAdopt(const char *runDir, const char *uuid, GError **error)
{
    g_autofree char *dir = virDomainLockRuntimePath(runDir, uuid);
    int lockFd = -1;

    if (!g_file_test(dir, G_FILE_TEST_IS_DIR)) {
        virFileSetError(error, ENOENT, "cannot find the folder of the guest", dir);
        return NULL;
    }
    switch (virDomainLockRuntimeHold(dir, &lockFd, error)) {
    case VIR_HOLD_TAKEN:
        return virDomainLockRuntimeNew(dir, uuid, lockFd);
    case VIR_HOLD_BUSY:
        virDomainLockRuntimeSetBusy(dir, uuid, error);
        return NULL;
    case VIR_HOLD_MOVED:
        virFileSetError(error, ENOENT, "cannot find the folder of the guest", dir);
        return NULL;
    case VIR_HOLD_FAILED:
        return NULL;
    }
    g_assert_not_reached();
}

const char *
virDomainLockRuntimeGetPath(virDomainLockRuntime *runtime)
{
    return runtime->path;
}

gboolean
virDomainLockRuntimeRemove(virDomainLockRuntime *runtime, GError **error)
{
    g_autofree char *lock = g_build_filename(runtime->path, "lock", NULL);

    if (!virDomainLockRuntimeEmpty(runtime, error))
        return FALSE;
    (void)unlink(lock);
    /* ENOTEMPTY: the next starter is already in */
    if (rmdir(runtime->path) < 0 && errno != ENOENT && errno != ENOTEMPTY) {
        virFileSetError(error, errno, "cannot remove the folder", runtime->path);
        return FALSE;
    }
    return TRUE;
}

void
virDomainLockRuntimeFree(virDomainLockRuntime *runtime)
{
    if (!runtime)
        return;
    virFdClose(runtime->lockFd);
    g_free(runtime->path);
    g_free(runtime->uuid);
    g_free(runtime);
}
