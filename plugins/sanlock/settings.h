/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * settings.h: what init was given, immutable and reference counted, so
 * that a job that hangs on storage may outlive the plugin's other data.
 */
#ifndef LEASEHOLD_SANLOCK_SETTINGS_H
#define LEASEHOLD_SANLOCK_SETTINGS_H

#include <leasehold/lock_driver.h>

typedef struct _virSanlockConfig {
    char *store;        /* path, or NULL */
    char *lockspace;    /* or NULL: the store's */
    guint hostId;       /* 0: not configured */
    guint ioTimeoutSec; /* for new stores only */
    gboolean watchdogRequired;
    char *hostName;
    char *stateDir;
    char *runDir;
    char *helperDir;
} virSanlockConfig;

extern const virLockDriverKey virSanlockConfigKeys[];

/** CONFIG for impossible values. Sets SANLOCK_RUN_DIR, once for this process. */
virSanlockConfig *virSanlockConfigNew(const virLockDriverConfig *from,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;
virSanlockConfig *virSanlockConfigRef(virSanlockConfig *config);
void virSanlockConfigUnref(virSanlockConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSanlockConfig, virSanlockConfigUnref)

/** CONFIG if no store is configured. */
gboolean virSanlockConfigNeedStore(const virSanlockConfig *config,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** CONFIG for a path that sanlock cannot keep: too long, relative, or with a space. */
gboolean virSanlockConfigCheckPath(const char *path,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
