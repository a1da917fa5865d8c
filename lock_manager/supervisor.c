/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor.c: for hosts that let a supervisor spawn QEMU instead of forking it themselves.
 *
 * The host puts path and arguments before QEMU's argv and spawns that: "leasehold run
 * --foreground ... -- qemu-system-x86_64 ...". Its supervisor takes the leases, then executes
 * QEMU; the command passes QEMU's exit status on. AcquireObject waits until the guest is up,
 * which it learns from the guest's state file in run_dir, and asks the backend whether the
 * guest really holds what was registered, as for a re-attach.
 */
#include "lock_manager/config.h"
#include "lock_manager/manager.h"

#include <json-glib/json-glib.h>
#include <string.h>

#define SUPERVISOR_POLL_USEC (20 * G_TIME_SPAN_MILLISECOND)

/* In a build tree the command lies beside the folder of the helpers. */
static char *
virLockManagerCommandPath(void)
{
    const char *helpers = g_getenv("LEASEHOLD_HELPER_DIR");
    g_autofree char *dir = NULL;

    if (!helpers || !*helpers)
        return g_strdup(LEASEHOLD_BINDIR "/leasehold");
    dir = g_path_get_dirname(helpers);
    return g_build_filename(dir, "leasehold", NULL);
}

const char *
virLockManagerGetSupervisorPath(virLockManager *man)
{
    g_mutex_lock(&man->lock);
    if (!man->supervisorPath)
        man->supervisorPath = virLockManagerCommandPath();
    g_mutex_unlock(&man->lock);
    return man->supervisorPath;
}

/* --- arguments ---------------------------------------------------------------------------- */

/* "PATH[,readonly|,shared]". NULL for what the command can not express. */
static char *
virLockManagerDiskOption(const virLockManagerResource *resource, const char *path,
                         GError **error)
{
    if (resource->driver.type != VIR_LOCK_RESOURCE_DISK ||
        g_str_has_suffix(path, ",readonly") || g_str_has_suffix(path, ",shared")) {
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
            "%s cannot be given to a supervisor: only disks can, whose path does not "
            "end in ',readonly' or ',shared'",
            resource->label);
        return NULL;
    }
    if (resource->flags & VIR_LOCK_MANAGER_RESOURCE_SHARED)
        return g_strconcat(path, ",shared", NULL);
    if (resource->flags & VIR_LOCK_MANAGER_RESOURCE_READONLY)
        return g_strconcat(path, ",readonly", NULL);
    return g_strdup(path);
}

static gboolean
virLockManagerAddDisks(virLockManager *man, GPtrArray *args, GError **error)
{
    for (guint i = 0; i < man->resources->len; i++) {
        const virLockManagerResource *resource = man->resources->pdata[i];

        for (guint j = 0;
             resource->driver.type != VIR_LOCK_RESOURCE_RUN && j < resource->users->len;
             j++) {
            char *option =
                virLockManagerDiskOption(resource, resource->users->pdata[j], error);

            if (!option)
                return FALSE;
            g_ptr_array_add(args, g_strdup("--disk"));
            g_ptr_array_add(args, option);
        }
    }
    return TRUE;
}

static char **
virLockManagerMakeArgs(virLockManager *man, GError **error)
{
    const char *config = virLockConfigGetPath(man->plugin->config);
    g_autoptr(GPtrArray) args = g_ptr_array_new_with_free_func(g_free);

    if (!virLockManagerEnsureRun(man, error))
        return NULL;
    if (config) {
        g_ptr_array_add(args, g_strdup("--config"));
        g_ptr_array_add(args, g_strdup(config));
    }
    for (const char *const *word =
             (const char *const[]){"run", "--foreground", "--name", man->name, "--uuid",
                                   man->uuid, NULL};
         *word; word++)
        g_ptr_array_add(args, g_strdup(*word));
    if (!virLockManagerAddDisks(man, args, error))
        return NULL;
    g_ptr_array_add(args, g_strdup("--"));
    g_ptr_array_add(args, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&args), FALSE);
}

char **
virLockManagerGetSupervisorArgs(virLockManager *man, GError **error)
{
    virLockManagerCall call;
    char **args = NULL;

    if (!virLockManagerCallBegin(&call, man, VIR_LOCK_CALL_GET_SUPERVISOR_ARGS, NULL,
                                 error))
        return NULL;
    if (virLockManagerPluginRequire(man->plugin, VIR_LOCK_CAP_ATTACH, "GetSupervisorArgs",
                                    error) &&
        virLockManagerRequireRun(man, "GetSupervisorArgs", error))
        args = virLockManagerMakeArgs(man, error);
    man->supervised = args != NULL;
    (void)virLockManagerCallEnd(&call, args != NULL);
    return args;
}

/* --- waiting for the guest ---------------------------------------------------------------- */

/* The pid of a guest that is up; 0: not yet. The file is replaced as a whole at each change. */
static pid_t
virLockManagerReadState(const char *path)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autofree char *state = NULL;
    JsonObject *object;
    JsonNode *root;

    if (!json_parser_load_from_file(parser, path, NULL))
        return 0;
    root = json_parser_get_root(parser);
    if (!root || !JSON_NODE_HOLDS_OBJECT(root))
        return 0;
    object = json_node_get_object(root);
    if (!json_object_has_member(object, "pid") ||
        !json_object_has_member(object, "state"))
        return 0;
    state = g_strdup(json_object_get_string_member_with_default(object, "state", ""));
    if (!g_str_equal(state, "running") && !g_str_equal(state, "paused"))
        return 0;
    return (pid_t)json_object_get_int_member_with_default(object, "pid", 0);
}

gboolean
virLockManagerAwaitSupervised(virLockManager *man, const virLockWait *wait,
                              GError **error)
{
    g_autofree char *path =
        g_build_filename(virLockConfigGet(man->plugin->config, "host", "run_dir"),
                         "guests", man->uuid, "state.json", NULL);
    pid_t pid;

    while ((pid = virLockManagerReadState(path)) == 0) {
        if (g_cancellable_is_cancelled(wait->cancellable) ||
            g_get_monotonic_time() + SUPERVISOR_POLL_USEC > wait->deadlineUsec) {
            gboolean cancelled = g_cancellable_is_cancelled(wait->cancellable);

            g_set_error(error, VIR_LOCK_ERROR,
                        cancelled ? VIR_LOCK_ERROR_CANCELLED : VIR_LOCK_ERROR_TIMEOUT,
                        "the supervisor of guest '%s' has not started it %s (%s)",
                        man->name,
                        cancelled ? "when that was cancelled" : "by the deadline", path);
            return FALSE;
        }
        g_usleep(SUPERVISOR_POLL_USEC);
    }
    g_mutex_lock(&man->lock);
    man->pid = pid;
    man->flags |= VIR_LOCK_MANAGER_NEW_ATTACH;
    g_mutex_unlock(&man->lock);
    return virLockManagerEnsureObject(man, error);
}
