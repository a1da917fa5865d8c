/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lock_types.h: what hosts and plugins of the lock manager both see.
 *
 * Every structure that crosses the plugin boundary begins with its own size, so that either
 * side may be newer than the other: the reader looks only at members that lie within
 * structSize. New members are added at the end only. Enumerations grow at the end only.
 */
#ifndef LEASEHOLD_LOCK_TYPES_H
#define LEASEHOLD_LOCK_TYPES_H

#include <gio/gio.h>

G_BEGIN_DECLS

/* What is declared here is exported, whatever -fvisibility the library is built with. */
#pragma GCC visibility push(default)

/** VIR_LOCK_ERROR: the one error domain of lock manager, plugins and domain_lock. */
#define VIR_LOCK_ERROR (g_quark_from_static_string("vir-lock-error"))

/**
 * virLockErrorCode:
 *
 * Named by what the caller has to do, not by where it happened. Every message says what
 * failed, on what, why, who holds it, until when, and the number of the backend.
 */
typedef enum {
    VIR_LOCK_ERROR_INTERNAL = 0,  /* a bug or an impossible answer: report it */
    VIR_LOCK_ERROR_BUSY,          /* held elsewhere; the owner is in the message */
    VIR_LOCK_ERROR_UNAVAILABLE,   /* a part does not answer now: retry later */
    VIR_LOCK_ERROR_NOT_JOINED,    /* this host is not in the lockspace: join first */
    VIR_LOCK_ERROR_CONFIG,        /* configuration, description or image must be changed */
    VIR_LOCK_ERROR_UNSUPPORTED,   /* the plugin does not promise this capability */
    VIR_LOCK_ERROR_STATE,         /* the call is not permitted in this state */
    VIR_LOCK_ERROR_STALE,         /* somebody else used it since: the epoch moved on */
    VIR_LOCK_ERROR_LOST,          /* a lease that was held is gone */
    VIR_LOCK_ERROR_TIMEOUT,       /* the deadline passed; nothing changed */
    VIR_LOCK_ERROR_CANCELLED,     /* the caller cancelled; nothing changed */
    VIR_LOCK_ERROR_INDETERMINATE, /* the outcome is unknown: neither success nor failure */
} virLockErrorCode;

/** "BUSY", "STALE", ...: the word of a code for logs and --json; "INTERNAL" for an unknown one. */
const char *virLockErrorCodeName(int code);

/** Longest lease name, without the terminating NUL (sanlock's SANLK_NAME_LEN is 48). */
#define VIR_LOCK_NAME_MAX 47

typedef enum {
    VIR_LOCK_RESOURCE_RUN = 0,   /* the right to run the guest: "guest-<uuid>" */
    VIR_LOCK_RESOURCE_DISK = 1,  /* an image; named by its identity, not by its path */
    VIR_LOCK_RESOURCE_LEASE = 2, /* a <lease> element: a key chosen by the user */
} virLockResourceType;

typedef enum {
    VIR_LOCK_MODE_NONE = 0,
    VIR_LOCK_MODE_SHARED = 1,
    VIR_LOCK_MODE_EXCLUSIVE = 2,
} virLockMode;

/** What the holder has of one lease. */
typedef enum {
    VIR_LOCK_HOLD_NONE = 0,   /* registered, not acquired */
    VIR_LOCK_HOLD_LEASE = 1,  /* the lease itself */
    VIR_LOCK_HOLD_BRIDGE = 2, /* only its bridge: destination of a migration, not settled */
} virLockHold;

/** Life of a host as the backend sees it. */
typedef enum {
    VIR_LOCK_HOST_UNKNOWN = 0, /* not observed for long enough yet */
    VIR_LOCK_HOST_FREE,        /* not joined */
    VIR_LOCK_HOST_LIVE,
    VIR_LOCK_HOST_FAIL, /* silent, but may still write: its leases cannot be taken yet */
    VIR_LOCK_HOST_DEAD, /* silent for so long that its leases can be taken */
} virLockHostState;

/**
 * virLockOwner: who holds a lease. Strings are owned by the struct and may be NULL where the
 * backend does not know them.
 */
typedef struct _virLockOwner {
    gsize structSize;
    char *lockspace;
    char *lease; /* lease name */
    virLockMode mode;
    virLockHold hold; /* LEASE or BRIDGE */
    guint hostId;     /* 0: a backend without host ids (one host) */
    guint64 generation;
    char *hostName;
    virLockHostState hostState;
    char *guestName; /* from the use record; NULL for a reader */
    char *guestUuid;
    gint64 pid;       /* on this host, else 0 */
    gint64 sinceUsec; /* wall clock, microseconds since the epoch; 0: unknown */
    gint64 seenSec;   /* seconds since the host was last seen alive; -1: unknown */
    gint64 etaSec;    /* seconds until the lease can be taken if the host is dead; -1: unknown,
                       * 0: now */
} virLockOwner;

/**
 * virLockUse: the use record of a lease. The epoch advances by one each time that a guest
 * gets the right to write; memory state of a guest is stale if an epoch moved on (I7).
 */
typedef struct _virLockUse {
    gsize structSize;
    char *lease;
    guint64 epoch; /* 0: never used */
    guint hostId;
    guint64 generation;
    char *hostName;
    char *guestName;
    char *guestUuid;
    gint64 timeUsec; /* wall clock of the writer, for people only */
} virLockUse;

/** virLockLease: one lease of an object, as virLockManagerInquire reports it. */
typedef struct _virLockLease {
    gsize structSize;
    char *lockspace;
    char *name;
    virLockResourceType type;
    virLockMode mode;
    virLockHold hold;
    guint64 epoch; /* as advanced or read by this object; 0: not read */
    char *path;    /* image path or lease key; NULL when only the backend was asked */
} virLockLease;

/** virLockHost: one host of the lockspace. */
typedef struct _virLockHost {
    gsize structSize;
    guint hostId;
    guint64 generation;
    char *name;
    virLockHostState state;
    gboolean self;
    gint64 seenSec; /* since its last renewal that was seen; -1 unknown */
    gint64 etaSec;  /* until its leases can be taken; -1 unknown or not silent */
    guint ioTimeoutSec;
} virLockHost;

typedef enum {
    VIR_LOCK_FINDING_OK = 0,
    VIR_LOCK_FINDING_NOTE,
    VIR_LOCK_FINDING_WARNING,
    VIR_LOCK_FINDING_ERROR,
} virLockFindingLevel;

/** virLockFinding: one line of store check or doctor. */
typedef struct _virLockFinding {
    gsize structSize;
    virLockFindingLevel level;
    char *subject; /* "watchdog", "slot 17" */
    char *text;    /* what was found */
    char *advice;  /* what to do; NULL when nothing */
} virLockFinding;

/** virLockStoreOptions: parameters of a new store. Zero means the plugin's default. */
typedef struct _virLockStoreOptions {
    gsize structSize;
    const char *path;
    const char *lockspace;
    guint maxHosts;
    guint maxLeases;
    guint ioTimeoutSec;
    guint sectorSize; /* 512 or 4096 */
    gboolean force;   /* overwrite an existing store that no host has joined */
} virLockStoreOptions;

typedef enum {
    VIR_LOCK_RECLAIM_DRY_RUN = 1 << 0, /* only tell which */
    /* also leases that nobody ever held to write or run (images that were only read, starts
     * that failed): when they were used last is not known */
    VIR_LOCK_RECLAIM_NEVER_USED = 1 << 1,
} virLockReclaimFlags;

/** virLockReclaimOptions: which leases of a store are to be forgotten. */
typedef struct _virLockReclaimOptions {
    gsize structSize;
    gint64 beforeUsec; /* those whose last use began before that time, usec since 1970 */
    guint flags;       /* virLockReclaimFlags */
} virLockReclaimOptions;

/** virLockStoreInfo: what the store is. */
typedef struct _virLockStoreInfo {
    gsize structSize;
    char *path;
    char *lockspace;
    guint version;
    guint maxHosts;
    guint maxLeases;
    guint usedLeases;
    guint ioTimeoutSec;
    guint sectorSize;
    guint64 alignBytes;
} virLockStoreInfo;

/** virLockProgress: given to a virLockProgressFunc now and then (at least each second). */
typedef struct _virLockProgress {
    gsize structSize;
    const char *what;           /* "joining lockspace vmstore", "waiting for disk /vm/a" */
    double fraction;            /* 0..1, or -1 when unknown */
    gint64 etaSec;              /* -1: unknown */
    const virLockOwner *holder; /* whom we wait for, or NULL */
} virLockProgress;

typedef void (*virLockProgressFunc)(const virLockProgress *progress, gpointer data);

/**
 * virLockWait: the bounds of one call (I9). NULL where a virLockWait is accepted means the
 * default: VIR_LOCK_WAIT_DEFAULT_SEC, no cancellation, no progress, a busy lease is refused
 * at once. The library gives plugins a complete struct with a deadline always.
 */
typedef struct _virLockWait {
    gsize structSize;
    gint64 deadlineUsec; /* g_get_monotonic_time() scale: the call returns by then; 0:
                          * VIR_LOCK_WAIT_DEFAULT_SEC from now */
    gint64 busyUsec;     /* same scale: until when a busy lease is tried again; 0: refuse it
                          * at once. Never later than deadlineUsec. */
    GCancellable *cancellable;    /* or NULL */
    virLockProgressFunc progress; /* or NULL; called in the calling thread */
    gpointer progressData;
} virLockWait;

#define VIR_LOCK_WAIT_DEFAULT_SEC 30

/**
 * virLockRenewal: how fresh this host's right to its leases is. Times are CLOCK_BOOTTIME so
 * that a suspended host counts the time that it slept.
 */
typedef struct _virLockRenewal {
    gsize structSize;
    gint64 lastUsec;       /* CLOCK_BOOTTIME microseconds of the last good renewal */
    guint intervalSec;     /* a healthy backend renews this often */
    guint expireSec;       /* after lastUsec: the backend itself begins to kill holders */
    guint takeoverSec;     /* after lastUsec: another host may own the leases */
} virLockRenewal;

typedef enum {
    VIR_LOCK_WATCH_LOST = 0,    /* the backend gave up this object's leases */
    VIR_LOCK_WATCH_DAEMON_GONE, /* the lock daemon died; nothing renews the leases */
    VIR_LOCK_WATCH_STALE,       /* the daemon lives but did not renew in time */
    VIR_LOCK_WATCH_REQUEST,     /* another host asks for a lease; advisory */
} virLockWatchEvent;

/** Frees a struct that the library returned, with the strings in it; NULL is permitted. */
void virLockOwnerFree(virLockOwner *owner);
void virLockUseFree(virLockUse *use);
void virLockLeaseFree(virLockLease *lease);
void virLockHostFree(virLockHost *host);
void virLockFindingFree(virLockFinding *finding);
void virLockStoreInfoFree(virLockStoreInfo *info);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virLockOwner, virLockOwnerFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virLockUse, virLockUseFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virLockLease, virLockLeaseFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virLockHost, virLockHostFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virLockFinding, virLockFindingFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virLockStoreInfo, virLockStoreInfoFree)

#pragma GCC visibility pop

G_END_DECLS

#endif
