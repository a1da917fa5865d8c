/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor.c: the command prefix for hosts that let a supervisor spawn QEMU.
 */
#include "lock_manager/config.h"
#include "lock_manager/manager.h"

const char *
virLockManagerGetSupervisorPath(virLockManager *man)
{
    g_mutex_lock(&man->lock);
    if (!man->supervisorPath)
        man->supervisorPath =
            g_build_filename(virLockConfigHelperDir(), "leasehold-supervisor", NULL);
    g_mutex_unlock(&man->lock);
    return man->supervisorPath;
}
