/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * marker.h: which guests hold leases of which life of the daemon.
 *
 * When a daemon dies and is started again, sanlock takes this host back into the lockspace
 * within seconds, and at once every lease of the old life counts as free, for all hosts; but
 * a guest of the old life may still write. So before its first lease each guest gets a file
 * in the state folder with its process and the daemon's process (each as pid and start time),
 * and this host does not join while a guest of another daemon lives.
 */
#ifndef LEASEHOLD_SANLOCK_MARKER_H
#define LEASEHOLD_SANLOCK_MARKER_H

#include "plugins/sanlock/settings.h"
#include "plugins/sanlock/daemon.h"

/** Notes that process @pid, guest @uuid, will hold leases of the daemon that runs now.
 * Blocks for a moment: run it in a job. */
gboolean virSanlockMarkerWrite(const virSanlockConfig *config, const char *uuid,
                               const char *name, pid_t pid,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Removes the file if the process is gone; a living guest keeps it. */
void virSanlockMarkerForget(const virSanlockConfig *config, const char *uuid);
/** STATE, naming them, if guests of another life of the daemon than @now still run. */
gboolean virSanlockMarkerCheck(const virSanlockConfig *config,
                               const virSanlockDaemonId *now,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
