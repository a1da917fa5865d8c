/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* config.h: what the lock manager itself needs of the configuration beyond the public calls. */
#ifndef LEASEHOLD_LOCK_MANAGER_CONFIG_H
#define LEASEHOLD_LOCK_MANAGER_CONFIG_H

#include <leasehold/lock_driver.h>
#include <leasehold/lock_manager.h>

/**
 * virLockConfigPluginParams:
 * @keys: the plugin's keys, ends with a NULL name; may be NULL
 *
 * The group [@plugin], every key with its value or the default of @keys, ended by a NULL key.
 * CONFIG if the file sets a key that the plugin does not list. Strings belong to @config and
 * @keys; free the array with g_free.
 */
virLockDriverParam *virLockConfigPluginParams(virLockConfig *config, const char *plugin,
                                              const virLockDriverKey *keys,
                                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** Where plugins lie: LEASEHOLD_PLUGIN_DIR, else where they were installed. */
const char *virLockConfigPluginDir(void);

#endif
