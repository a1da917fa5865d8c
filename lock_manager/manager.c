/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * manager.c: life of an object: its parameters, its child. Its end: shutdown.c.
 *
 * The plugin learns of the object as late as possible (PrepareChild or "pid"), when all that
 * it has to know is known; from then on uuid and name are fixed.
 */
#include "lock_manager/manager.h"
#include "common/text.h"
#include "lock_manager/config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* --- life --------------------------------------------------------------------------------- */

virLockManager *
virLockManagerNew(virLockManagerPlugin *plugin, virLockManagerObjectType type,
                  guint flags, GError **error)
{
    guint64 needed = 0;
    virLockManager *man;

    if (type != VIR_LOCK_MANAGER_OBJECT_DOMAIN ||
        (flags & ~(VIR_LOCK_MANAGER_NEW_ATTACH | VIR_LOCK_MANAGER_NEW_MIGRATE))) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "virLockManagerNew: object type %u with flags %#x is not known",
                    (guint)type, flags);
        return NULL;
    }
    if (flags & VIR_LOCK_MANAGER_NEW_ATTACH)
        needed |= VIR_LOCK_CAP_ATTACH;
    if (flags & VIR_LOCK_MANAGER_NEW_MIGRATE)
        needed |= VIR_LOCK_CAP_MIGRATE;
    if (!virLockManagerPluginRequire(plugin, needed, "virLockManagerNew", error))
        return NULL;

    man = g_new0(virLockManager, 1);
    g_atomic_ref_count_init(&man->refs);
    man->plugin = virLockManagerPluginRef(plugin);
    man->flags = flags;
    man->ownerPid = getpid();
    virLockTurnInit(&man->turn);
    g_mutex_init(&man->lock);
    man->state = VIR_LOCK_STATE_NEW;
    man->resources =
        g_ptr_array_new_with_free_func((GDestroyNotify)virLockManagerResourceFree);
    man->epochs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    man->watches = g_ptr_array_new();
    return man;
}

virLockManager *
virLockManagerRef(virLockManager *man)
{
    g_atomic_ref_count_inc(&man->refs);
    return man;
}

/* Frees the plugin's object, now or when the last renewal check returns. */
void
virLockManagerFreeObject(virLockManager *man)
{
    gboolean now;

    g_mutex_lock(&man->lock);
    man->doomed = man->objectMade && man->askers > 0;
    now = man->objectMade && !man->doomed;
    man->objectMade = FALSE;
    g_mutex_unlock(&man->lock);
    if (now)
        man->plugin->driver.objectFree(man->object);
}

gboolean
virLockManagerBorrowObject(virLockManager *man)
{
    gboolean made;

    g_mutex_lock(&man->lock);
    made = man->objectMade;
    if (made)
        man->askers++;
    g_mutex_unlock(&man->lock);
    return made;
}

void
virLockManagerReturnObject(virLockManager *man)
{
    gboolean last;

    g_mutex_lock(&man->lock);
    last = --man->askers == 0 && man->doomed;
    g_mutex_unlock(&man->lock);
    if (last)
        man->plugin->driver.objectFree(man->object);
}

void
virLockManagerUnref(virLockManager *man)
{
    if (!g_atomic_ref_count_dec(&man->refs))
        return;
    virLockManagerFreeObject(man);
    g_free(man->uuid);
    g_free(man->name);
    g_free(man->id);
    g_free(man->lossHelper);
    g_free(man->lossHelperArgs);
    g_free(man->supervisorPath);
    g_ptr_array_unref(man->resources);
    g_ptr_array_unref(man->watches);
    g_hash_table_unref(man->epochs);
    virLockTicketFree(man->ticket);
    virLockManagerPluginUnload(man->plugin);
    virLockTurnClear(&man->turn);
    g_mutex_clear(&man->lock);
    g_free(man);
}

void
virLockManagerFree(virLockManager *man)
{
    g_autoptr(GPtrArray) watches = NULL;

    if (!man)
        return;
    /* a source that is being dispatched drops its reference when that returns */
    g_mutex_lock(&man->lock);
    watches = g_steal_pointer(&man->watches);
    man->watches = g_ptr_array_new();
    for (guint i = 0; i < watches->len; i++)
        g_source_ref(watches->pdata[i]);
    g_mutex_unlock(&man->lock);
    for (guint i = 0; i < watches->len; i++) {
        g_source_destroy(watches->pdata[i]);
        g_source_unref(watches->pdata[i]);
    }
    virLockManagerUnref(man);
}

/* --- parameters --------------------------------------------------------------------------- */

static gboolean
virLockManagerBadParameter(GError **error, const char *key, const char *value,
                           const char *why)
{
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "parameter '%s' of a lock manager object cannot be '%s': %s", key, value,
                why);
    return FALSE;
}

static gboolean
virLockManagerSetUuid(virLockManager *man, const char *value, GError **error)
{
    if (man->resources->len > 0)
        return virLockManagerBadParameter(error, "uuid", value,
                                          "resources were registered under another one");
    if (!g_uuid_string_is_valid(value))
        return virLockManagerBadParameter(error, "uuid", value, "it is not a UUID");
    g_free(man->uuid);
    man->uuid = g_ascii_strdown(value, -1);
    return TRUE;
}

static gboolean
virLockManagerSetName(virLockManager *man, const char *value, GError **error)
{
    if (man->resources->len > 0)
        return virLockManagerBadParameter(error, "name", value,
                                          "resources were registered under another one");
    if (!*value || strlen(value) > 255 || !g_utf8_validate(value, -1, NULL))
        return virLockManagerBadParameter(error, "name", value,
                                          "expected 1 to 255 bytes of UTF-8");
    for (const char *p = value; *p; p = g_utf8_next_char(p))
        if (g_unichar_iscntrl(g_utf8_get_char(p)))
            return virLockManagerBadParameter(error, "name", "(hidden)",
                                              "it has control characters");
    g_free(man->name);
    man->name = g_strdup(value);
    return TRUE;
}

static gboolean
virLockManagerSetTicket(virLockManager *man, const char *value, GError **error)
{
    virLockTicket *ticket;

    if (!(man->flags & VIR_LOCK_MANAGER_NEW_MIGRATE))
        return virLockManagerBadParameter(error, "ticket", "(a ticket)",
                                          "the object was not made with NEW_MIGRATE");
    if (!(ticket = virLockTicketParse(value, error)))
        return FALSE;
    virLockTicketFree(man->ticket);
    man->ticket = ticket;
    return TRUE;
}

/* A program that is no guest: it takes the leases of disks and nothing runs twice that has a
 * name. A run lease of its own, one for each invocation, would only fill the store. */
static gboolean
virLockManagerSetRunLease(virLockManager *man, const char *value, GError **error)
{
    if (man->resources->len > 0)
        return virLockManagerBadParameter(error, "run_lease", value,
                                          "resources were registered already");
    if (man->flags & VIR_LOCK_MANAGER_NEW_MIGRATE)
        return virLockManagerBadParameter(error, "run_lease", value,
                                          "what migrates is a guest and has a run lease");
    if (!g_str_equal(value, "none") && !g_str_equal(value, "hold"))
        return virLockManagerBadParameter(error, "run_lease", value,
                                          "expected \"hold\" or \"none\"");
    man->noRun = g_str_equal(value, "none");
    return TRUE;
}

static gboolean
virLockManagerSetText(char **where, const char *value)
{
    g_free(*where);
    *where = g_strdup(value);
    return TRUE;
}

static gboolean
virLockManagerSetOne(virLockManager *man, const char *key, const char *value,
                     GError **error)
{
    static const char *const keys[] = {"uuid",   "name",        "id",
                                       "pid",    "loss_helper", "loss_helper_args",
                                       "ticket", "run_lease",   NULL};

    if (g_str_equal(key, "uuid"))
        return virLockManagerSetUuid(man, value, error);
    if (g_str_equal(key, "name"))
        return virLockManagerSetName(man, value, error);
    if (g_str_equal(key, "id"))
        return virLockManagerSetText(&man->id, value);
    if (g_str_equal(key, "loss_helper_args"))
        return virLockManagerSetText(&man->lossHelperArgs, value);
    if (g_str_equal(key, "ticket"))
        return virLockManagerSetTicket(man, value, error);
    if (g_str_equal(key, "run_lease"))
        return virLockManagerSetRunLease(man, value, error);
    if (g_str_equal(key, "loss_helper")) {
        if (!g_path_is_absolute(value))
            return virLockManagerBadParameter(error, key, value,
                                              "expected an absolute path");
        return virLockManagerSetText(&man->lossHelper, value);
    }
    g_set_error(
        error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
        "unknown parameter '%s' of a lock manager object; the nearest known one is '%s'",
        key, virTextNearest(key, keys));
    return FALSE;
}

static gboolean
virLockManagerSetPid(virLockManager *man, const char *value, GError **error)
{
    const virLockDriver *driver = &man->plugin->driver;
    guint64 pid;

    if (!g_ascii_string_to_unsigned(value, 10, 1, G_MAXINT, &pid, NULL))
        return virLockManagerBadParameter(error, "pid", value, "it is not a process id");
    g_mutex_lock(&man->lock);
    man->pid = (pid_t)pid;
    g_mutex_unlock(&man->lock);
    if (virLockManagerEnsureObject(man, error) &&
        (!driver->setPid || (man->flags & VIR_LOCK_MANAGER_NEW_ATTACH) ||
         driver->setPid(man->object, man->pid, error)))
        return TRUE;
    g_mutex_lock(&man->lock);
    man->pid = 0;
    g_mutex_unlock(&man->lock);
    return FALSE;
}

gboolean
virLockManagerSetParameter(virLockManager *man, const char *key, const char *value,
                           GError **error)
{
    gboolean isPid = g_str_equal(key, "pid");
    virLockManagerCall call;

    if (!virLockManagerCallBegin(
            &call, man, isPid ? VIR_LOCK_CALL_SET_PID : VIR_LOCK_CALL_SET_PARAMETER, NULL,
            error))
        return FALSE;
    return virLockManagerCallEnd(&call,
                                 isPid ? virLockManagerSetPid(man, value, error)
                                       : virLockManagerSetOne(man, key, value, error));
}

gboolean
virLockManagerSetEpoch(virLockManager *man, const char *lease, guint64 epoch,
                       GError **error)
{
    virLockManagerCall call;

    if (!virLockManagerCallBegin(&call, man, VIR_LOCK_CALL_SET_EPOCH, NULL, error))
        return FALSE;
    g_hash_table_replace(man->epochs, g_strdup(lease), g_memdup2(&epoch, sizeof(epoch)));
    return virLockManagerCallEnd(&call, TRUE);
}

void
virLockManagerSetFdPass(virLockManager *man, virLockManagerFdPassFunc func, gpointer data)
{
    g_mutex_lock(&man->lock);
    man->fdPass = func;
    man->fdPassData = data;
    g_mutex_unlock(&man->lock);
}

/* --- the plugin's object ------------------------------------------------------------------ */

/* What plugins call: the host may set its function after the object was made. */
static gboolean
virLockManagerPassFd(int fd, const char *name, gpointer data, GError **error)
{
    virLockManager *man = data;
    virLockManagerFdPassFunc func;
    gpointer funcData;

    g_mutex_lock(&man->lock);
    func = man->fdPass;
    funcData = man->fdPassData;
    g_mutex_unlock(&man->lock);
    if (func)
        return func(fd, name, funcData, error);
    g_set_error(
        error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
        "the leases of plugin '%s' are open files, but the caller did not say how to "
        "give them to guest '%s' (virLockManagerSetFdPass)",
        man->plugin->driver.name, man->name);
    return FALSE;
}

gboolean
virLockManagerEnsureRun(virLockManager *man, GError **error)
{
    virLockManagerResource *run = NULL;

    if (man->resources->len > 0)
        return TRUE;
    if (!man->uuid || !man->name) {
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
            "a lock manager object needs the parameters \"uuid\" and \"name\" first");
        return FALSE;
    }
    if (man->noRun)
        return TRUE;
    return virLockManagerAddResource(man, VIR_LOCK_RESOURCE_RUN, man->uuid, NULL, 0, &run,
                                     error);
}

gboolean
virLockManagerRequireRun(virLockManager *man, const char *operation, GError **error)
{
    if (!man->noRun)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                "%s: '%s' is no guest: its \"run_lease\" is \"none\"", operation, man->name);
    return FALSE;
}

gboolean
virLockManagerEnsureObject(virLockManager *man, GError **error)
{
    gboolean attach = (man->flags & VIR_LOCK_MANAGER_NEW_ATTACH) != 0;
    virLockDriverObject object = {
        .structSize = sizeof(object),
        .name = man->name,
        .uuid = man->uuid,
        .pid = attach ? man->pid : 0,
        .lossHelper = man->lossHelper,
        .lossHelperArgs = man->lossHelperArgs,
        .passFd = virLockManagerPassFd,
        .passFdData = man,
    };

    if (man->objectMade)
        return TRUE;
    if (!virLockManagerEnsureRun(man, error) ||
        !man->plugin->driver.objectNew(man->plugin->data, &object,
                                       attach ? VIR_LOCK_DRIVER_NEW_ATTACH : 0,
                                       &man->object, error))
        return FALSE;
    man->objectMade = TRUE;
    return TRUE;
}

/* --- the child ---------------------------------------------------------------------------- */

gboolean
virLockManagerPrepareChild(virLockManager *man, GError **error)
{
    const virLockDriver *driver = &man->plugin->driver;
    virLockManagerCall call;

    if (!virLockManagerCallBegin(&call, man, VIR_LOCK_CALL_PREPARE_CHILD, NULL, error))
        return FALSE;
    return virLockManagerCallEnd(
        &call, virLockManagerEnsureObject(man, error) &&
                   (!driver->prepareChild || driver->prepareChild(man->object, error)));
}

/* In the forked child: no lock may be taken (another thread of the parent may have had it) and
 * nothing allocated. */
int
virLockManagerRegisterChild(virLockManager *man, int *inheritFd, const char **message)
{
    const virLockDriver *driver = &man->plugin->driver;
    virLockManagerState next =
        virLockManagerStateNext(man->state, VIR_LOCK_CALL_REGISTER_CHILD);
    int rc = 0;

    *inheritFd = -1;
    *message = NULL;
    if (getpid() == man->ownerPid) {
        *message = "RegisterChild belongs into the forked child";
        return EPERM;
    }
    if (next == VIR_LOCK_STATE_FORBIDDEN) {
        *message = "RegisterChild is permitted once, after PrepareChild";
        return EINVAL;
    }
    if (driver->registerChild)
        rc = driver->registerChild(man->object, inheritFd, message);
    if (rc == 0)
        man->state = next;
    return rc;
}

pid_t
virLockManagerGetChild(virLockManager *man, GError **error)
{
    virLockManagerState state;
    pid_t pid;

    if (!virLockManagerCheckOwner(man, VIR_LOCK_CALL_GET_CHILD, error))
        return -1;
    g_mutex_lock(&man->lock);
    state = man->state;
    pid = man->pid;
    g_mutex_unlock(&man->lock);
    if (virLockManagerStateNext(state, VIR_LOCK_CALL_GET_CHILD) !=
            VIR_LOCK_STATE_FORBIDDEN &&
        pid > 0)
        return pid;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "GetChild: the process of guest '%s' is not known yet (state %s)",
                man->name ? man->name : "(no name yet)", virLockManagerStateName(state));
    return -1;
}
