/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * daemon.h: the sanlock daemon itself: which process it is, and what it says of itself.
 *
 * libsanlock has no call for the state of the daemon (host name, watchdog, when it last saw
 * which host); "sanlock client status -D" asks over the daemon's socket, and so do we: the
 * same message and the same "key=value" words, read with a time limit. Functions here block
 * for at most a few seconds; run them in a job (call.h).
 */
#ifndef LEASEHOLD_SANLOCK_DAEMON_H
#define LEASEHOLD_SANLOCK_DAEMON_H

#include <leasehold/lock_types.h>
#include <sys/types.h>

/** virSanlockDaemonId: one life of one daemon. */
typedef struct _virSanlockDaemonId {
    pid_t pid;
    guint64 startTime; /* clock ticks since boot, /proc/PID/stat */
    uid_t uid;
    gid_t gid;
} virSanlockDaemonId;

/** Who listens on the socket. UNAVAILABLE if nobody does, CONFIG if we may not connect. */
gboolean virSanlockDaemonIdentify(virSanlockDaemonId *id,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** A pidfd of the daemon (CLOEXEC); the connection that told its pid is closed again. */
int virSanlockDaemonOpen(GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** virSanlockDaemonState: what the daemon says of itself. */
typedef struct _virSanlockDaemonState {
    char hostName[64];
    char version[32];
    gboolean useWatchdog;
    gint64 monotimeSec;
    guint maxWorkerThreads;
} virSanlockDaemonState;

gboolean virSanlockDaemonReadState(virSanlockDaemonState *state,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef enum {
    VIR_SANLOCK_MEMBER_NOT = 0,
    VIR_SANLOCK_MEMBER_JOINED,
    VIR_SANLOCK_MEMBER_CHANGING, /* joining, leaving, or failed and not yet cleaned up */
} virSanlockMember;

/** Whether wdmd is there for sanlock; TRUE, too, if this user may not ask. */
gboolean virSanlockDaemonWdmdListens(void);

/** Whether the daemon has this host in the lockspace. No I/O. A lockspace that failed stays
 * in its lists until all its holders are gone, and looks joined to sanlock_inq_lockspace. */
gboolean virSanlockDaemonReadMember(const char *lockspace, guint hostId,
                                    virSanlockMember *member, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/** CONFIG if the daemon has joined the lockspace in another store than @store: a copy has the
 * same name, and leases taken there would be kept alive by nobody's renewals. Looks at the
 * storage of both. @generation: (out): of this host there, 0 if it is not in the lockspace;
 * TRUE then, too. */
gboolean virSanlockDaemonCheckStore(const char *lockspace, guint hostId, const char *store,
                                    guint64 *generation,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** virSanlockSelf: this host in a lockspace that it has joined. */
typedef struct _virSanlockSelf {
    guint64 generation;
    guint64 lastSec; /* last good renewal (or the join), daemon's monotonic clock */
    guint ioTimeoutSec;
} virSanlockSelf;

/**
 * virSanlockDaemonReadSelf: no I/O.
 *
 * From the daemon's status; what sanlock_get_hosts says of this host is one renewal old.
 * NOT_JOINED if it is not there as @hostId.
 */
gboolean virSanlockDaemonReadSelf(const char *lockspace, guint hostId,
                                  virSanlockSelf *self,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** virSanlockSeen: when the daemon last saw a host renew, in seconds of its own clock. */
typedef struct _virSanlockSeen {
    guint hostId;
    guint64 generation;
    gint64 lastLiveSec;
    gint64 lastCheckSec;
    guint ioTimeoutSec;
} virSanlockSeen;

/** Elements virSanlockSeen; NOT_JOINED if the daemon is not in the lockspace. */
GArray *virSanlockDaemonReadSeen(const char *lockspace,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** The path of the daemon's socket. Free: g_free. */
char *virSanlockDaemonSocketPath(void);
/** virSanlockErrorSet, but a failed connection is explained by the socket's path. */
void virSanlockDaemonErrorSet(GError **error, int rv, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/** Exposed for tests: the value of "key=" in "key=value key=value ...", or NULL. Free it. */
char *virSanlockDaemonWord(const char *words, const char *key);

#endif
