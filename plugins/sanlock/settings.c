/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * settings.c: the [sanlock] section.
 *
 * libsanlock reads SANLOCK_RUN_DIR from the environment at its first call and keeps it, so
 * one process can talk to one daemon only: the first run_dir of a process wins, and another
 * one later is refused. init runs before the host has threads, so setenv is safe here.
 */
#include "plugins/sanlock/settings.h"

#include <string.h>

#include "plugins/sanlock/format.h"
#include "plugins/sanlock/libsanlock.h"

/* Forced on us by libsanlock: the value that it uses, or will use. */
static char *processRunDir;

const virLockDriverKey virSanlockConfigKeys[] = {
    {"store", NULL, "file, LV or partition with the leases, the same on all hosts"},
    {"lockspace", NULL, "name of the lockspace; if set, the store must be of it"},
    {"host_id", NULL, "number of this host in the lockspace, unique, from 1"},
    {"io_timeout", "10", "seconds, for 'store create' only; a store keeps its own"},
    {"run_dir", NULL,
     "folder of the sanlock daemon's socket, if not the system's daemon"},
    {"watchdog", "required",
     "required, or unsafe-none: nothing resets a host that hangs"},
    {NULL},
};

static const char *
virSanlockConfigGet(const virLockDriverConfig *from, const char *key)
{
    for (const virLockDriverParam *param = from->params; param && param->key; param++)
        if (strcmp(param->key, key) == 0 && param->value && *param->value)
            return param->value;
    for (const virLockDriverKey *known = virSanlockConfigKeys; known->name; known++)
        if (strcmp(known->name, key) == 0)
            return known->defaultValue;
    return NULL;
}

static gboolean
virSanlockConfigGetNumber(const virLockDriverConfig *from, const char *key, guint max,
                          guint *value, GError **error)
{
    const char *text = virSanlockConfigGet(from, key);
    guint64 number;

    if (!text) {
        *value = 0;
        return TRUE;
    }
    if (!g_ascii_string_to_unsigned(text, 10, 1, max, &number, NULL)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "[sanlock] %s = %s: must be a number from 1 to %u", key, text, max);
        return FALSE;
    }
    *value = number;
    return TRUE;
}

static gboolean
virSanlockConfigSetRunDir(const char *dir, GError **error)
{
    if (!dir)
        return TRUE;
    if (!g_path_is_absolute(dir)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "[sanlock] run_dir = %s: must be an absolute path", dir);
        return FALSE;
    }
    if (processRunDir && strcmp(processRunDir, dir) != 0) {
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
            "[sanlock] run_dir = %s: this process already uses the sanlock daemon of %s, "
            "and libsanlock can use one only",
            dir, processRunDir);
        return FALSE;
    }
    if (!processRunDir) {
        processRunDir = g_strdup(dir);
        g_setenv("SANLOCK_RUN_DIR", dir, TRUE);
    }
    return TRUE;
}

static gboolean
virSanlockConfigSetWatchdog(virSanlockConfig *config, const char *value, GError **error)
{
    config->watchdogRequired = strcmp(value, "required") == 0;
    if (config->watchdogRequired || strcmp(value, "unsafe-none") == 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "[sanlock] watchdog = %s: must be 'required' or 'unsafe-none'", value);
    return FALSE;
}

gboolean
virSanlockConfigCheckPath(const char *path, GError **error)
{
    const char *why = NULL;

    if (!g_path_is_absolute(path))
        why = "must be an absolute path";
    else if (strlen(path) >= SANLK_PATH_LEN / 2)
        why = "is too long for sanlock";
    else if (strpbrk(path, " \t\n\\"))
        why = "has a space or backslash in it, which sanlock cannot keep";
    if (!why)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, "store path '%s' %s", path,
                why);
    return FALSE;
}

static gboolean
virSanlockConfigFill(virSanlockConfig *config, const virLockDriverConfig *from,
                     GError **error)
{
    config->store = g_strdup(virSanlockConfigGet(from, "store"));
    config->lockspace = g_strdup(virSanlockConfigGet(from, "lockspace"));
    config->hostName = g_strdup(from->hostName ? from->hostName : g_get_host_name());
    config->stateDir = g_strdup(from->stateDir);
    config->runDir = g_strdup(from->runDir);
    config->helperDir = g_strdup(from->helperDir);
    if (config->store && !virSanlockConfigCheckPath(config->store, error))
        return FALSE;
    if (config->lockspace && !virSanlockNameIsValid(config->lockspace)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "[sanlock] lockspace = %s: must be 1 to %u of A-Z a-z 0-9 . _ -",
                    config->lockspace, VIR_LOCK_NAME_MAX);
        return FALSE;
    }
    return virSanlockConfigGetNumber(from, "host_id", VIR_SANLOCK_MAX_HOSTS,
                                     &config->hostId, error) &&
           virSanlockConfigGetNumber(from, "io_timeout", 255, &config->ioTimeoutSec,
                                     error) &&
           virSanlockConfigSetWatchdog(config, virSanlockConfigGet(from, "watchdog"),
                                       error) &&
           virSanlockConfigSetRunDir(virSanlockConfigGet(from, "run_dir"), error);
}

virSanlockConfig *
virSanlockConfigNew(const virLockDriverConfig *from, GError **error)
{
    g_autoptr(virSanlockConfig) config = g_atomic_rc_box_new0(virSanlockConfig);

    return virSanlockConfigFill(config, from, error) ? g_steal_pointer(&config) : NULL;
}

virSanlockConfig *
virSanlockConfigRef(virSanlockConfig *config)
{
    return g_atomic_rc_box_acquire(config);
}

static void
virSanlockConfigClear(gpointer data)
{
    virSanlockConfig *config = data;

    g_free(config->store);
    g_free(config->lockspace);
    g_free(config->hostName);
    g_free(config->stateDir);
    g_free(config->runDir);
    g_free(config->helperDir);
}

void
virSanlockConfigUnref(virSanlockConfig *config)
{
    g_atomic_rc_box_release_full(config, virSanlockConfigClear);
}

gboolean
virSanlockConfigNeedStore(const virSanlockConfig *config, GError **error)
{
    if (config->store)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "no store is configured: set [sanlock] store and host_id (leasehold.conf(5))");
    return FALSE;
}
