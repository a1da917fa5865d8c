/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lock_driver.h: the ABI between the lock manager and its plugins.
 *
 * A plugin is a loadable module with one exported symbol, defined by
 * VIR_LOCK_DRIVER_REGISTER: a function that returns its virLockDriver. The loader copies
 * min (structSize, its own size) into a zeroed struct: an old plugin's missing callbacks are
 * NULL, a new plugin's unknown ones are not called. Another abiVersion is refused.
 *
 * Life of a plugin and of one object (a guest) in it:
 *
 *   load --> init ----------------------------------------------------> deinit
 *              |-- storeCreate storeInfo storeList storeCheck            (no object)
 *              |-- storeReclaim                                          (no object)
 *              |-- hostJoin hostLeave hostList diagnose                  (no object)
 *              |-- queryOwner useRead                                    (no object)
 *              `-- objectNew
 *                     |-- prepareChild     in the parent, before fork
 *                     |-- registerChild    in the forked child, before exec
 *                     |-- setPid           in the parent, after fork (or re-attach)
 *                     |-- acquire / useAdvance / convert / release ...   any number
 *                     |-- reserve / settle / unreserve                   migration
 *                     |-- inquire renewal watch                          any time
 *                     `-- objectFree
 *
 * Rules for every callback
 *  - it returns by wait->deadlineUsec, whatever the backend does, and soon after
 *    wait->cancellable is cancelled (a call that cannot be taken back answers
 *    VIR_LOCK_ERROR_INDETERMINATE, never success);
 *  - it never prints, exits, or changes signal dispositions;
 *  - on failure it sets @error and leaves the world as before (all or nothing, I4), unless
 *    the error is INDETERMINATE or LOST;
 *  - except for registerChild it runs in a process of the host, with threads.
 *
 * What plugins receive stays the host's; what they return is the caller's.
 */
#ifndef LEASEHOLD_LOCK_DRIVER_H
#define LEASEHOLD_LOCK_DRIVER_H

#include <leasehold/lock_types.h>
#include <gmodule.h>
#include <sys/types.h>

G_BEGIN_DECLS

#define VIR_LOCK_DRIVER_ABI_VERSION 1u

/**
 * What the plugin needs of its host; the loader serialises calls accordingly. Calls on one
 * object are serialised in any case, except watchDaemon and renewal, which come at any time
 * (an acquire that waits must not look like a daemon that hangs): LOSS_EVENTS and
 * SERIALIZE_ALL exclude each other.
 */
typedef enum {
    VIR_LOCK_THREAD_SERIALIZE_ALL = 0, /* one call at a time in the whole plugin */
    VIR_LOCK_THREAD_SERIALIZE_OBJECT,  /* one call at a time for each object */
    VIR_LOCK_THREAD_PARALLEL,
} virLockThreadModel;

/** Promises of the plugin, checked before a guest starts. */
typedef enum {
    VIR_LOCK_CAP_SHARED = 1 << 0,         /* shared leases */
    VIR_LOCK_CAP_HOTPLUG = 1 << 1,        /* acquire and release while the child runs */
    VIR_LOCK_CAP_CONVERT = 1 << 2,        /* shared <-> exclusive without letting go */
    VIR_LOCK_CAP_USE_RECORDS = 1 << 3,    /* useRead, useAdvance */
    VIR_LOCK_CAP_MIGRATE = 1 << 4,        /* bridges: reserve, settle, unreserve; needs
                                           * USE_RECORDS and QUERY_OWNER too */
    VIR_LOCK_CAP_QUERY_OWNER = 1 << 5,    /* queryOwner */
    VIR_LOCK_CAP_CHILD_REGISTER = 1 << 6, /* the child itself is what holds the leases */
    VIR_LOCK_CAP_LOSS_EVENTS = 1 << 7,    /* watch and renewal */
    VIR_LOCK_CAP_ATTACH = 1 << 8,         /* inquire by pid after the host restarted */
    VIR_LOCK_CAP_MULTI_HOST = 1 << 9,     /* keeps hosts apart, not only processes */
    VIR_LOCK_CAP_STORE = 1 << 10,         /* store* calls */
    VIR_LOCK_CAP_HOSTS = 1 << 11,         /* host* calls: there is something to join */
    VIR_LOCK_CAP_FENCED_CACHE = 1 << 12,  /* writable images must be opened with O_DIRECT */
    VIR_LOCK_CAP_RECLAIM = 1 << 13,       /* storeReclaim; needs STORE too */
} virLockCapability;

/** One key of the plugin's configuration section, for "plugin show" and for checking. */
typedef struct _virLockDriverKey {
    const char *name;
    const char *defaultValue; /* NULL: none; the plugin says if it cannot do without */
    const char *help;         /* one line */
} virLockDriverKey;

/** One value of the plugin's configuration section. */
typedef struct _virLockDriverParam {
    const char *key;
    const char *value;
} virLockDriverParam;

/**
 * virLockDriverConfig: passed to init. The loader has already refused keys that the plugin
 * does not list. No I/O on storage and no thread may be started in init.
 */
typedef struct _virLockDriverConfig {
    gsize structSize;
    const virLockDriverParam *params; /* the plugin's section; ends with a NULL key */
    const char *hostName;             /* [host] name */
    const char *stateDir;             /* for caches; the plugin uses files named after itself */
    const char *runDir;
    const char *helperDir; /* where the plugin's helper programs are installed */
} virLockDriverConfig;

/**
 * virLockFdPassFunc: gives an open file to the child that holds the leases: to the parked
 * child over its socket, to a running QEMU with QMP getfd under @name. Returns FALSE with
 * @error set if the child does not have it. The caller keeps its own copy.
 */
typedef gboolean (*virLockFdPassFunc)(int fd, const char *name, gpointer data,
                                      GError **error);

/** virLockDriverObject: the object as the host knows it, passed to objectNew. */
typedef struct _virLockDriverObject {
    gsize structSize;
    const char *name; /* guest name, for people */
    const char *uuid; /* canonical, lower case */
    gint64 pid;       /* NEW_ATTACH: the holder; else 0 until setPid */
    const char *lossHelper;     /* program that the backend runs when leases are lost, or
                                 * NULL: it signals the child */
    const char *lossHelperArgs; /* its arguments, separated by single spaces; a space or
                                 * backslash in an argument has a backslash before it */
    virLockFdPassFunc passFd;   /* or NULL: then files can only be inherited */
    gpointer passFdData;
} virLockDriverObject;

typedef enum {
    VIR_LOCK_DRIVER_NEW_ATTACH = 1 << 0, /* pid already holds leases */
} virLockDriverNewFlags;

/** virLockDriverResource: one lease that is wanted or held. */
typedef struct _virLockDriverResource {
    gsize structSize;
    const char *name; /* lease name: at most VIR_LOCK_NAME_MAX of [A-Za-z0-9._-] */
    virLockResourceType type;
    virLockMode mode;
    const char *path;      /* the image or key, for messages and the index; may be NULL */
    const char *label;     /* how a message calls it: "disk /vm/web.qcow2" */
    const char *lockspace; /* of a <lease> element; NULL: the configured one */
    guint64 epoch;         /* out: set by acquire (as read) and useAdvance (as written) */
} virLockDriverResource;

typedef struct _virLockDriver virLockDriver;

struct _virLockDriver {
    gsize structSize;
    guint32 abiVersion;
    virLockThreadModel threadModel;
    guint64 capabilities; /* virLockCapability bits */
    const char *name;     /* "sanlock" */
    const char *version;
    const char *summary;          /* one line for "plugin list" */
    const virLockDriverKey *keys; /* ends with a NULL name; may be NULL */

    /* --- required ------------------------------------------------------------------ */

    /** Checks the configuration; CONFIG error otherwise. No thread, no storage I/O. */
    gboolean (*init)(const virLockDriverConfig *config, gpointer *driverData, GError **error);
    void (*deinit)(gpointer driverData);

    gboolean (*objectNew)(gpointer driverData, const virLockDriverObject *object, guint flags,
                          gpointer *objectData, GError **error);
    /** Forgets the object; leases that the child holds stay the child's. */
    void (*objectFree)(gpointer objectData);

    /**
     * Takes all of @resources or none, for the child, in the order given. Then looks at the
     * bridge of each: a bridge that is owned makes it BUSY. resource->epoch is set for each
     * resource of a plugin with USE_RECORDS (the lock manager compares it with what the
     * caller expects). Progress with a fraction says that nothing is known to be in the way
     * any more: with CHILD_REGISTER the caller may then have the child load its program.
     * @flags: none are defined, 0.
     */
    gboolean (*acquire)(gpointer objectData, virLockDriverResource *const *resources, gsize n,
                        guint flags, const virLockWait *wait, GError **error);
    /** Gives up leases that the child holds. One not held is a STATE error. */
    gboolean (*release)(gpointer objectData, virLockDriverResource *const *resources, gsize n,
                        const virLockWait *wait, GError **error);
    /** The backend's own list of what the child holds, not our memory of it: elements
     * virLockLease. A child that is gone holds nothing: an empty list, not an error. */
    gboolean (*inquire)(gpointer objectData, GPtrArray **leases, const virLockWait *wait,
                        GError **error);

    /* --- CHILD_REGISTER -------------------------------------------------------------- */

    /** In the parent before fork: allocates all that registerChild needs. */
    gboolean (*prepareChild)(gpointer objectData, GError **error);
    /**
     * In the forked child, before exec. No locks and no allocation of ours. Connects the
     * child to the backend, proves by a reply that it was accepted, sets the loss helper,
     * restricts the connection. *inheritFd: the descriptor that exec must keep, or -1.
     * Returns 0 or a positive errno; @message (static string) says which step failed.
     */
    int (*registerChild)(gpointer objectData, int *inheritFd, const char **message);
    /** In the parent: the child's pid. */
    gboolean (*setPid)(gpointer objectData, pid_t pid, GError **error);

    /* --- CONVERT --------------------------------------------------------------------- */

    /** Changes the mode of a held lease; to exclusive looks at the bridge too. */
    gboolean (*convert)(gpointer objectData, virLockDriverResource *resource, virLockMode mode,
                        const virLockWait *wait, GError **error);

    /* --- USE_RECORDS ----------------------------------------------------------------- */

    /** Reads the use record and up to @maxHistory older ones: elements virLockUse, newest
     * first; empty if it was never used. */
    gboolean (*useRead)(gpointer driverData, const virLockDriverResource *resource,
                        guint maxHistory, GPtrArray **uses, const virLockWait *wait,
                        GError **error);
    /** Advances the epoch of each by one, durably, in this object's name. */
    gboolean (*useAdvance)(gpointer objectData, virLockDriverResource *const *resources,
                           gsize n, const virLockWait *wait, GError **error);

    /* --- MIGRATE --------------------------------------------------------------------- */

    /** Takes the bridge of each resource, exclusively, all or none, and sets its epoch as
     * read. Who holds the leases themselves is looked at by the caller, afterwards. */
    gboolean (*reserve)(gpointer objectData, virLockDriverResource *const *resources, gsize n,
                        const virLockWait *wait, GError **error);
    /** Frees the bridges. */
    gboolean (*unreserve)(gpointer objectData, virLockDriverResource *const *resources,
                          gsize n, const virLockWait *wait, GError **error);
    /** Behind held bridges: takes the leases themselves, then frees the bridges. What could
     * not be settled by the deadline keeps its bridge (UNAVAILABLE or BUSY; call again). */
    gboolean (*settle)(gpointer objectData, virLockDriverResource *const *resources, gsize n,
                       const virLockWait *wait, GError **error);

    /* --- QUERY_OWNER ----------------------------------------------------------------- */

    /** Holders of the lease and of its bridge: elements virLockOwner; empty when free. */
    gboolean (*queryOwner)(gpointer driverData, const virLockDriverResource *resource,
                           GPtrArray **owners, const virLockWait *wait, GError **error);

    /* --- LOSS_EVENTS ----------------------------------------------------------------- */

    /** A descriptor that polls readable (or HUP) when the lock daemon is gone: a pidfd of
     * the daemon. The caller closes it. */
    gboolean (*watchDaemon)(gpointer objectData, int *fd, GError **error);
    /** How old this host's last renewal is; must not touch storage. */
    gboolean (*renewal)(gpointer objectData, virLockRenewal *renewal, const virLockWait *wait,
                        GError **error);

    /* --- STORE, HOSTS ---------------------------------------------------------------- */

    gboolean (*storeCreate)(gpointer driverData, const virLockStoreOptions *options,
                            const virLockWait *wait, GError **error);
    gboolean (*storeInfo)(gpointer driverData, virLockStoreInfo **info,
                          const virLockWait *wait, GError **error);
    /** Elements virLockUse-named slots: one virLockOwner for each slot, mode NONE if free. */
    gboolean (*storeList)(gpointer driverData, GPtrArray **leases, const virLockWait *wait,
                          GError **error);
    gboolean (*storeCheck)(gpointer driverData, GPtrArray **findings, const virLockWait *wait,
                           GError **error);
    gboolean (*hostJoin)(gpointer driverData, const virLockWait *wait, GError **error);
    gboolean (*hostLeave)(gpointer driverData, const virLockWait *wait, GError **error);
    /** Elements virLockHost. */
    gboolean (*hostList)(gpointer driverData, GPtrArray **hosts, const virLockWait *wait,
                         GError **error);
    /** For doctor: elements virLockFinding. */
    gboolean (*diagnose)(gpointer driverData, GPtrArray **findings, const virLockWait *wait,
                         GError **error);

    /* --- RECLAIM --------------------------------------------------------------------- */

    /** Makes room: forgets leases that nobody holds. A lease of that name which is made again
     * must not tell an epoch that the forgotten one may have had. Elements virLockUse, the
     * last use of each lease that was reclaimed (with DRY_RUN: would be). */
    gboolean (*storeReclaim)(gpointer driverData, const virLockReclaimOptions *options,
                             GPtrArray **leases, const virLockWait *wait, GError **error);
};

/** The symbol that the loader looks up. */
#define VIR_LOCK_DRIVER_SYMBOL "virLockDriverGet"

typedef const virLockDriver *(*virLockDriverGetFunc)(void);

/**
 * VIR_LOCK_DRIVER_REGISTER:
 * @driver: a static virLockDriver; structSize and abiVersion are filled in here.
 */
#define VIR_LOCK_DRIVER_REGISTER(driver)                                                     \
    G_MODULE_EXPORT const virLockDriver *virLockDriverGet(void);                             \
    const virLockDriver *virLockDriverGet(void)                                              \
    {                                                                                        \
        (driver).structSize = sizeof(driver);                                                \
        (driver).abiVersion = VIR_LOCK_DRIVER_ABI_VERSION;                                   \
        return &(driver);                                                                    \
    }

G_END_DECLS

#endif
