/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plugin.h: a loaded plugin as the rest of the lock manager sees it.
 *
 * Every call into a plugin goes between virLockManagerPluginEnter and Leave, which keep the
 * plugin's thread model. The driver struct is our own copy, so that a test may replace one
 * callback in it and so that a smaller or larger struct of the plugin does not matter.
 */
#ifndef LEASEHOLD_LOCK_MANAGER_PLUGIN_H
#define LEASEHOLD_LOCK_MANAGER_PLUGIN_H

#include "lock_manager/turn.h"

#include <leasehold/lock_driver.h>
#include <leasehold/lock_manager.h>

struct _virLockManagerPlugin {
    gatomicrefcount refs;
    virLockConfig *config;
    virLockDriver driver;
    gpointer data; /* the plugin's driverData */
    gboolean initialised;
    char *path;
    virLockManagerPluginKey *keys;
    virLockManagerPluginInfo info;
    virLockTurn all; /* SERIALIZE_ALL */
};

/** Loads the module of the configured plugin and does nothing with it: virLockManagerPluginLoad
 * is quicker then. What is wrong with it is for that to say. */
void virLockManagerPluginPreload(virLockConfig *config);

gboolean virLockManagerPluginEnter(virLockManagerPlugin *plugin, const char *what,
                                   const virLockWait *wait,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
void virLockManagerPluginLeave(virLockManagerPlugin *plugin);

/** Checks driver->structSize and the rest of the ABI of what a module returned and copies it
 * to @copy. CONFIG names @path and what is wrong. */
gboolean virLockManagerDriverNegotiate(const virLockDriver *driver, const char *path,
                                       virLockDriver *copy,
                                       GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * virLockManagerAdoptArray:
 * @elementSize: sizeof our own struct
 *
 * What a plugin returned, made ours: elements of an older plugin are enlarged with zeroes,
 * the array owns them through @freeFunc. NULL becomes an empty array.
 */
GPtrArray *virLockManagerAdoptArray(GPtrArray *array, gsize elementSize,
                                    GDestroyNotify freeFunc) G_GNUC_WARN_UNUSED_RESULT;
/** The same for one struct. */
gpointer virLockManagerAdoptStruct(gpointer element,
                                   gsize elementSize) G_GNUC_WARN_UNUSED_RESULT;

#endif
