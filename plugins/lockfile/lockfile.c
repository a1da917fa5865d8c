/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lockfile.c: the plugin for one host, without configuration: leases are locks on files.
 *
 * It keeps guests of one host apart (or of several, on a file system with real locks and by
 * explicit choice). There is no daemon, so there is nothing that could be lost while the
 * guest runs: LOSS_EVENTS is not promised, nor MULTI_HOST.
 */
#include "config.h"

#include "plugins/lockfile/lockfile.h"

#include "common/fd.h"

#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#define DEFAULT_DIR "/run/lock/leasehold"

static const virLockDriverKey virLockfileKeys[] = {
    {"dir", DEFAULT_DIR, "directory of the lock files, one for all users of this host"},
    {"unsafe_network", "false",
     "true: permit a network file system, which may drop the locks of a host that writes "
     "on"},
    {NULL, NULL, NULL},
};

/* --- configuration ------------------------------------------------------------------------ */

static gboolean
virLockfileTakeParam(virLockfile *plugin, const virLockDriverParam *param, GError **error)
{
    const char *expected = "an absolute path";

    if (g_str_equal(param->key, "dir") && g_path_is_absolute(param->value)) {
        plugin->dir = g_canonicalize_filename(param->value, NULL);
        return TRUE;
    }
    if (g_str_equal(param->key, "unsafe_network")) {
        plugin->unsafeNetwork = g_str_equal(param->value, "true");
        if (plugin->unsafeNetwork || g_str_equal(param->value, "false"))
            return TRUE;
        expected = "true or false";
    }
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "bad value '%s' of key '%s' in group [lockfile]: expected %s",
                param->value, param->key, expected);
    return FALSE;
}

static void
virLockfileDeinit(gpointer driverData)
{
    virLockfile *plugin = driverData;

    g_free(plugin->dir);
    g_free(plugin->hostName);
    g_free(plugin);
}

static gboolean
virLockfileInit(const virLockDriverConfig *config, gpointer *driverData, GError **error)
{
    virLockfile *plugin = g_new0(virLockfile, 1);

    plugin->hostName = g_strdup(config->hostName);
    for (const virLockDriverParam *param = config->params; param->key; param++)
        if (!virLockfileTakeParam(plugin, param, error)) {
            virLockfileDeinit(plugin);
            return FALSE;
        }
    *driverData = plugin;
    return TRUE;
}

/* --- objects ------------------------------------------------------------------------------ */

static gboolean
virLockfileSetPid(gpointer objectData, pid_t pid, GError **error)
{
    virLockfileObject *object = objectData;

    object->pid = pid;
    object->startTime = virLockfileStartTime(pid);
    if (object->startTime != 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "there is no process %d that could hold the leases of guest '%s'",
                (int)pid, object->name);
    return FALSE;
}

static void
virLockfileObjectFree(gpointer objectData)
{
    virLockfileObject *object = objectData;

    /* closes our descriptors and unlocks nothing: the child's leases stay the child's */
    g_hash_table_unref(object->held);
    g_free(object->name);
    g_free(object->uuid);
    g_free(object);
}

static gboolean
virLockfileObjectNew(gpointer driverData, const virLockDriverObject *info, guint flags,
                     gpointer *objectData, GError **error)
{
    virLockfileObject *object = g_new0(virLockfileObject, 1);

    object->plugin = driverData;
    object->name = g_strdup(info->name);
    object->uuid = g_strdup(info->uuid);
    object->passFd = info->passFd;
    object->passFdData = info->passFdData;
    object->adopt = (flags & VIR_LOCK_DRIVER_NEW_ATTACH) != 0;
    object->held = g_hash_table_new_full(g_str_hash, g_str_equal, NULL,
                                         (GDestroyNotify)virLockfileHeldFree);
    if (object->adopt && !virLockfileSetPid(object, info->pid, error)) {
        virLockfileObjectFree(object);
        return FALSE;
    }
    *objectData = object;
    return TRUE;
}

/* --- the child: it needs no connection, the descriptions are passed to it ----------------- */

static gboolean
virLockfilePrepareChild(gpointer objectData, GError **error)
{
    return TRUE;
}

static int
virLockfileRegisterChild(gpointer objectData, int *inheritFd, const char **message)
{
    *inheritFd = -1;
    return 0;
}

/* --- doctor ------------------------------------------------------------------------------- */

static void
virLockfileAddFinding(GPtrArray *findings, virLockFindingLevel level, const char *text,
                      const char *advice)
{
    virLockFinding *finding = g_new0(virLockFinding, 1);

    finding->structSize = sizeof(*finding);
    finding->level = level;
    finding->subject = g_strdup("lock directory");
    finding->text = g_strdup(text);
    finding->advice = g_strdup(advice);
    g_ptr_array_add(findings, finding);
}

static gboolean
virLockfileDiagnose(gpointer driverData, GPtrArray **findings, const virLockWait *wait,
                    GError **error)
{
    const virLockfile *plugin = driverData;
    g_autoptr(GError) local = NULL;
    g_auto(virFd) dirFd = virLockfileOpenDir(plugin, &local);
    g_autofree char *text = NULL;
    struct statfs info;

    *findings = g_ptr_array_new();
    if (dirFd < 0) {
        virLockfileAddFinding(*findings, VIR_LOCK_FINDING_ERROR, local->message, NULL);
        return TRUE;
    }
    text = g_strdup_printf("%s keeps guests of this host apart", plugin->dir);
    virLockfileAddFinding(*findings, VIR_LOCK_FINDING_OK, text, NULL);
    if (plugin->unsafeNetwork && fstatfs(dirFd, &info) == 0 &&
        virLockfileIsNetwork(info.f_type))
        virLockfileAddFinding(
            *findings, VIR_LOCK_FINDING_WARNING,
            "it is on a network file system (unsafe_network = true): after a "
            "partition two hosts may write one disk",
            "use the sanlock plugin");
    else
        virLockfileAddFinding(
            *findings, VIR_LOCK_FINDING_NOTE,
            "guests on other hosts are not kept away from shared disks",
            "use the sanlock plugin if a disk can be reached from another "
            "host");
    return TRUE;
}

static virLockDriver virLockfileDriver = {
    .threadModel = VIR_LOCK_THREAD_SERIALIZE_OBJECT,
    .capabilities = VIR_LOCK_CAP_SHARED | VIR_LOCK_CAP_HOTPLUG | VIR_LOCK_CAP_CONVERT |
                    VIR_LOCK_CAP_USE_RECORDS | VIR_LOCK_CAP_MIGRATE |
                    VIR_LOCK_CAP_QUERY_OWNER | VIR_LOCK_CAP_CHILD_REGISTER |
                    VIR_LOCK_CAP_ATTACH,
    .name = "lockfile",
    .version = PACKAGE_VERSION,
    .summary = "locks on files: keeps guests of one host apart",
    .keys = virLockfileKeys,
    .init = virLockfileInit,
    .deinit = virLockfileDeinit,
    .objectNew = virLockfileObjectNew,
    .objectFree = virLockfileObjectFree,
    .acquire = virLockfileAcquire,
    .release = virLockfileRelease,
    .inquire = virLockfileInquire,
    .prepareChild = virLockfilePrepareChild,
    .registerChild = virLockfileRegisterChild,
    .setPid = virLockfileSetPid,
    .convert = virLockfileConvert,
    .useRead = virLockfileUseRead,
    .useAdvance = virLockfileUseAdvance,
    .reserve = virLockfileReserve,
    .unreserve = virLockfileUnreserve,
    .settle = virLockfileSettle,
    .queryOwner = virLockfileQueryOwner,
    .diagnose = virLockfileDiagnose,
};

VIR_LOCK_DRIVER_REGISTER(virLockfileDriver)
