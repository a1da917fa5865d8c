/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * archive.h: what outlives a guest, in state_dir: history/<uuid>.jsonl (one event a line),
 * guests/<uuid>.json (its last state, for "list --all"), guests/<uuid>.xml (its last
 * description) and log/ (QEMU's words).
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_ARCHIVE_H
#define LEASEHOLD_DOMAIN_LOCK_ARCHIVE_H

#include "domain_lock/types.h"

/** Appends one line, as one write. The file is cut to its newer half when it grows over
 * VIR_ARCHIVE_HISTORY_MAX bytes. */
#define VIR_ARCHIVE_HISTORY_MAX (256 * 1024)
gboolean virArchiveAddEvent(const char *stateDir, const virDomainLockEvent *event,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *virArchiveHistoryDir(const char *stateDir);
/** Adds the events of one history file to @events. A line that is no event is skipped: the
 * newest one may be half written. */
gboolean virArchiveReadEvents(const char *path, GPtrArray *events,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

gboolean virArchiveSaveInfo(const char *stateDir, const virDomainLockInfo *info,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** NULL if there is none. */
virDomainLockInfo *virArchiveLoadInfo(const char *stateDir, const char *uuid);
/** guests/<uuid>.xml: the description beside the last state. */
gboolean virArchiveSaveDescription(const char *stateDir, const char *uuid,
                                   const char *xml,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** NULL if there is none. */
char *virArchiveLoadDescription(const char *stateDir, const char *uuid);
/** Uuids of all guests with a last state (strings). */
GPtrArray *virArchiveListUuids(const char *stateDir);

/** state_dir/log/<name>-<uuid>.log, with what cannot be in a file name replaced. */
char *virArchiveLogPath(const char *stateDir, const char *name, const char *uuid);
/** Opens it for appending (CLOEXEC), making the folder; -1 with @error. */
int virArchiveOpenLog(const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
