/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lock_manager.h: the lock manager for hypervisor daemons (hosts of plugins).
 *
 * One virLockManager object stands for one guest. Two ways to use it:
 *
 * Own fork: New, SetParameter, RegisterResource, PrepareChild, fork, RegisterChild in the
 * child, SetParameter ("pid") in the parent, AcquireObject, let the child exec QEMU.
 *
 * Supervisor: New, SetParameter, RegisterResource, GetSupervisorPath/Args, spawn that prefix
 * followed by QEMU's argv, AcquireObject, GetChild.
 *
 * Call                       permitted states            next state
 * -------------------------- --------------------------- ------------------------------------
 * New                        -                           NEW
 * SetParameter               NEW                         same
 * SetEpoch, RegisterResource NEW, PREPARED, PARKED       same
 * GetSupervisorArgs          NEW                         same
 * PrepareChild               NEW                         PREPARED
 * RegisterChild              PREPARED, in the child      -
 * SetParameter "pid"         NEW, PREPARED               PARKED
 * AcquireObject              PARKED                      HELD (NEW_MIGRATE: RESERVED;
 *                                                        NEW_ATTACH: as found: HELD, or
 *                                                        UNSETTLED behind bridges)
 * AcquireObject              NEW, after                  HELD
 *                            GetSupervisorArgs
 * AcquireResource            HELD                        HELD
 * ReleaseResource            HELD                        HELD
 * ConvertResource            HELD                        HELD
 * AdvanceUse, AdvanceRun     HELD                        HELD
 * PrepareMigrate             HELD                        MIGRATING
 * CompleteMigrateOut         MIGRATING                   YIELDED
 * CompleteMigrateOut CANCEL  MIGRATING, YIELDED          HELD
 * CompleteMigrateIn          RESERVED                    UNSETTLED
 * CompleteMigrateIn CANCEL   RESERVED                    RELEASED
 * Settle                     UNSETTLED                   HELD when it returns TRUE
 * Inquire, Watch, GetRenewal PARKED, HELD, RESERVED,     same
 *                            MIGRATING, YIELDED,
 *                            UNSETTLED, RELEASED
 * GetChild                   any but NEW, PREPARED       same
 * GetLeases, SetFdPass, GetSupervisorPath: any           same
 * Shutdown                   any but SHUT                SHUT when it returns TRUE
 * Free                       any                         -
 *
 * Every other call is VIR_LOCK_ERROR_STATE and changes nothing; a call that fails leaves the
 * state as it was. A virLockManager belongs to the process that created it (and, for
 * RegisterChild, to the child it forked); in any other process every call is STATE.
 * Threads: calls on one object are serialised by the library, each within its own deadline;
 * GetLeases, GetChild, Watch and GetRenewal do not wait for a call that runs. Watch callbacks
 * come in the GMainContext in which the source was attached.
 */
#ifndef LEASEHOLD_LOCK_MANAGER_H
#define LEASEHOLD_LOCK_MANAGER_H

#include <leasehold/lock_types.h>
#include <sys/types.h>

G_BEGIN_DECLS

#pragma GCC visibility push(default)

#define VIR_LOCK_WARN_UNUSED G_GNUC_WARN_UNUSED_RESULT

/* --- configuration -------------------------------------------------------------------- */

/** virLockConfig: the parsed configuration file, reference counted. The keys never change. */
typedef struct _virLockConfig virLockConfig;

/**
 * virLockConfigLoad:
 * @path: the file, or NULL: LEASEHOLD_CONFIG, else the user's or the system's file
 *
 * A missing default file is an empty configuration (lockfile plugin, this host's name); a
 * missing named file, an unknown group or key, or a bad value is CONFIG and is named.
 */
virLockConfig *virLockConfigLoad(const char *path, GError **error) VIR_LOCK_WARN_UNUSED;
virLockConfig *virLockConfigRef(virLockConfig *config);
void virLockConfigUnref(virLockConfig *config);
/** The file that was read, or NULL when the defaults are in force. */
const char *virLockConfigGetPath(virLockConfig *config);
/** The value, or the documented default; NULL only for keys that have none. The defaults of a
 * plugin's group are the plugin's own (virLockManagerPluginGetKeys): here NULL. */
const char *virLockConfigGet(virLockConfig *config, const char *group, const char *key);
/** TRUE if the file sets the key, FALSE if a default is in force. */
gboolean virLockConfigIsSet(virLockConfig *config, const char *group, const char *key);
/** What a library above this one keeps with a configuration, which all its calls have, under a
 * @key of its own; @destroy: for when it is replaced or goes with the configuration. From any
 * thread. */
void virLockConfigSetData(virLockConfig *config, const char *key, gpointer data,
                          GDestroyNotify destroy);
/** It belongs to the caller then; NULL: there is none. */
gpointer virLockConfigStealData(virLockConfig *config, const char *key);

/* --- plugins ------------------------------------------------------------------------------ */

typedef struct _virLockManagerPlugin virLockManagerPlugin;

/** virLockManagerPluginInfo: what "plugin show" prints; owned by the plugin. */
typedef struct _virLockManagerPluginInfo {
    gsize structSize;
    const char *name;
    const char *path;
    const char *version;
    const char *summary;
    guint abiVersion;
    const char *threadModel;
    guint64 capabilities;
} virLockManagerPluginInfo;

/**
 * virLockManagerPluginLoad:
 * @config: the configuration; its [<plugin>] group goes to the plugin
 * @name: plugin name, an absolute path of a module, or NULL: [lock] plugin
 *
 * Loads (RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) and initialises a plugin. Starts no thread.
 */
virLockManagerPlugin *virLockManagerPluginLoad(virLockConfig *config, const char *name,
                                               GError **error) VIR_LOCK_WARN_UNUSED;
virLockManagerPlugin *virLockManagerPluginRef(virLockManagerPlugin *plugin);
/** Drops a reference; the last one calls the plugin's deinit. */
void virLockManagerPluginUnload(virLockManagerPlugin *plugin);
/** Names of the plugins in the plugin directory (strings), sorted. */
GPtrArray *virLockManagerPluginList(GError **error) VIR_LOCK_WARN_UNUSED;
const virLockManagerPluginInfo *virLockManagerPluginGetInfo(virLockManagerPlugin *plugin);
/** Name of one capability bit ("shared"), or NULL. */
const char *virLockManagerCapabilityName(guint64 bit);
/** UNSUPPORTED, naming plugin, operation and the missing capabilities, unless all are there. */
gboolean virLockManagerPluginRequire(virLockManagerPlugin *plugin, guint64 capabilities,
                                     const char *operation, GError **error)
    VIR_LOCK_WARN_UNUSED;
/** Keys of the plugin's configuration: array of {name, default, help}, NULL-name ended. */
typedef struct _virLockManagerPluginKey {
    const char *name;
    const char *defaultValue;
    const char *help;
} virLockManagerPluginKey;
const virLockManagerPluginKey *virLockManagerPluginGetKeys(virLockManagerPlugin *plugin);

/* --- store and hosts (capabilities STORE, HOSTS) ----------------------------------------- */

gboolean virLockManagerStoreCreate(virLockManagerPlugin *plugin,
                                   const virLockStoreOptions *options,
                                   const virLockWait *wait, GError **error);
virLockStoreInfo *virLockManagerStoreGetInfo(virLockManagerPlugin *plugin,
                                             const virLockWait *wait, GError **error);
GPtrArray *virLockManagerStoreList(virLockManagerPlugin *plugin, const virLockWait *wait,
                                   GError **error);
GPtrArray *virLockManagerStoreCheck(virLockManagerPlugin *plugin, const virLockWait *wait,
                                    GError **error);
/**
 * virLockManagerStoreReclaim: (capability RECLAIM)
 *
 * Forgets leases of the store that nobody holds, so that their places can be used again. What a
 * lease was is gone then: memory of a guest that was saved while it had the lease is refused
 * as STALE. Returns elements virLockUse: the last use of each that was reclaimed (with DRY_RUN:
 * that would be tried).
 */
GPtrArray *virLockManagerStoreReclaim(virLockManagerPlugin *plugin,
                                      const virLockReclaimOptions *options,
                                      const virLockWait *wait, GError **error)
    VIR_LOCK_WARN_UNUSED;
gboolean virLockManagerHostJoin(virLockManagerPlugin *plugin, const virLockWait *wait,
                                GError **error);
gboolean virLockManagerHostLeave(virLockManagerPlugin *plugin, const virLockWait *wait,
                                 GError **error);
GPtrArray *virLockManagerHostList(virLockManagerPlugin *plugin, const virLockWait *wait,
                                  GError **error);
GPtrArray *virLockManagerDiagnose(virLockManagerPlugin *plugin, const virLockWait *wait,
                                  GError **error);

/* --- resources without an object ----------------------------------------------------------- */

typedef enum {
    VIR_LOCK_MANAGER_RESOURCE_READONLY = 1 << 0, /* only read: a shared lease */
    VIR_LOCK_MANAGER_RESOURCE_SHARED = 1 << 1,   /* <shareable/>: many writers by intent */
} virLockManagerResourceFlags;

/** virLockManagerParam: one "key = value" of a resource. LEASE: lockspace, path, offset. */
typedef struct _virLockManagerParam {
    const char *key;
    const char *value;
} virLockManagerParam;

/**
 * virLockManagerResourceName:
 * @name: image path for DISK, key for LEASE, uuid for RUN
 * @why: (out) (optional): how the identity was found, for people; free with g_free
 *
 * The lease name under which this resource is known on every host. CONFIG when the image has
 * no identity; the message names the ways out.
 */
char *virLockManagerResourceName(virLockConfig *config, virLockResourceType type,
                                 const char *name, char **why, GError **error)
    VIR_LOCK_WARN_UNUSED;

/** Who holds a resource: elements virLockOwner, empty when it is free. @type RUN, DISK or
 * LEASE as above. */
GPtrArray *virLockManagerQueryOwner(virLockManagerPlugin *plugin, virLockResourceType type,
                                    const char *name, const virLockWait *wait, GError **error)
    VIR_LOCK_WARN_UNUSED;
/** The same by lease name. */
GPtrArray *virLockManagerQueryOwnerByLease(virLockManagerPlugin *plugin, const char *lease,
                                           const virLockWait *wait, GError **error)
    VIR_LOCK_WARN_UNUSED;
/** Use record and history by lease name: elements virLockUse, newest first. */
GPtrArray *virLockManagerReadUse(virLockManagerPlugin *plugin, const char *lease,
                                 guint maxHistory, const virLockWait *wait, GError **error)
    VIR_LOCK_WARN_UNUSED;

/* --- objects -------------------------------------------------------------------------------- */

typedef struct _virLockManager virLockManager;

typedef enum {
    VIR_LOCK_MANAGER_OBJECT_DOMAIN = 0,
} virLockManagerObjectType;

typedef enum {
    VIR_LOCK_MANAGER_NEW_ATTACH = 1 << 0,  /* the child already runs and holds its leases */
    VIR_LOCK_MANAGER_NEW_MIGRATE = 1 << 1, /* destination: AcquireObject reserves */
} virLockManagerNewFlags;

virLockManager *virLockManagerNew(virLockManagerPlugin *plugin, virLockManagerObjectType type,
                                  guint flags, GError **error) VIR_LOCK_WARN_UNUSED;
void virLockManagerFree(virLockManager *man);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virLockManager, virLockManagerFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virLockConfig, virLockConfigUnref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virLockManagerPlugin, virLockManagerPluginUnload)

/**
 * virLockManagerSetParameter:
 *
 * Keys: "uuid" and "name" (required before any resource), "id", "pid", "loss_helper" (path),
 * "loss_helper_args" (separated by single spaces; a space or backslash in an argument has a
 * backslash before it), "ticket" (NEW_MIGRATE), "run_lease": "hold" (the default), or "none"
 * for a program that is no guest (set before any resource; PrepareMigrate and
 * GetSupervisorArgs are UNSUPPORTED then). An unknown key is CONFIG.
 */
gboolean virLockManagerSetParameter(virLockManager *man, const char *key, const char *value,
                                    GError **error) VIR_LOCK_WARN_UNUSED;
/** For plugins whose leases are open files: how to give one to the child. */
typedef gboolean (*virLockManagerFdPassFunc)(int fd, const char *name, gpointer data,
                                             GError **error);
void virLockManagerSetFdPass(virLockManager *man, virLockManagerFdPassFunc func,
                             gpointer data);

/**
 * virLockManagerRegisterResource: adds a resource to what AcquireObject takes. The run lease
 * is implied by "uuid", unless "run_lease" is "none". The same lease twice is one lease if both
 * are READONLY (a backing file of two disks), otherwise CONFIG names both paths. UNSUPPORTED if
 * the plugin has no SHARED and @flags ask for it.
 *
 * READONLY and SHARED resources are held in shared mode, others exclusively. @params (may be
 * NULL, ends with a NULL key) are for LEASE: "lockspace" chooses the lockspace; "path" and
 * "offset" (libvirt's <target>) are for messages only: where a lease lies is the store's
 * business.
 */
gboolean virLockManagerRegisterResource(virLockManager *man, virLockResourceType type,
                                        const char *name, const virLockManagerParam *params,
                                        guint flags, GError **error) VIR_LOCK_WARN_UNUSED;

gboolean virLockManagerPrepareChild(virLockManager *man, GError **error) VIR_LOCK_WARN_UNUSED;
/**
 * virLockManagerRegisterChild: only in the forked child, before exec; takes no lock and
 * allocates nothing of ours. *inheritFd: a descriptor without CLOEXEC that exec
 * must keep, or -1. A child that stays parked closes what else it inherited: files of other
 * guests of its host may be their leases. Returns 0 or a positive errno; *message is a static string.
 */
int virLockManagerRegisterChild(virLockManager *man, int *inheritFd, const char **message);

typedef enum {
    VIR_LOCK_MANAGER_ACQUIRE_CHECK_EPOCH = 1 << 0, /* STALE unless the epochs set by
                                                    * virLockManagerSetEpoch are still true */
} virLockManagerAcquireFlags;

/** Takes the run lease, then every registered resource in name order, all or none (I4).
 * NEW_MIGRATE: reserves instead. NEW_ATTACH: verifies that the child holds them all (LOST
 * names what is missing). */
gboolean virLockManagerAcquireObject(virLockManager *man, guint flags, const virLockWait *wait,
                                     GError **error) VIR_LOCK_WARN_UNUSED;
/** Registers and acquires one more resource (hotplug). */
gboolean virLockManagerAcquireResource(virLockManager *man, virLockResourceType type,
                                       const char *name, const virLockManagerParam *params,
                                       guint flags, const virLockWait *wait, GError **error)
    VIR_LOCK_WARN_UNUSED;
/** Gives one resource up. The caller has made sure that nothing writes there (I3). The run
 * lease too can be given up and taken again this way (RUN, uuid). */
gboolean virLockManagerReleaseResource(virLockManager *man, virLockResourceType type,
                                       const char *name, const virLockWait *wait,
                                       GError **error) VIR_LOCK_WARN_UNUSED;
/** Shared <-> exclusive of a held resource (block commit and the like). */
gboolean virLockManagerConvertResource(virLockManager *man, virLockResourceType type,
                                       const char *name, virLockMode mode,
                                       const virLockWait *wait, GError **error)
    VIR_LOCK_WARN_UNUSED;
/** Advances the use records of the run lease and of every exclusive resource whose epoch was
 * not advanced yet by this object. A plugin without USE_RECORDS: success, nothing done. After
 * a failure some may have advanced: that only makes older memory state stale. */
gboolean virLockManagerAdvanceUse(virLockManager *man, const virLockWait *wait, GError **error)
    VIR_LOCK_WARN_UNUSED;
/** Advances the use record of the run lease once more: memory state that left this guest, and
 * that may lie about somewhere, is stale from here on, and the guest may go on. A plugin without
 * USE_RECORDS: success, nothing done. */
gboolean virLockManagerAdvanceRun(virLockManager *man, const virLockWait *wait, GError **error)
    VIR_LOCK_WARN_UNUSED;
/** The epoch that ACQUIRE_CHECK_EPOCH compares, by lease name. */
gboolean virLockManagerSetEpoch(virLockManager *man, const char *lease, guint64 epoch,
                                GError **error) VIR_LOCK_WARN_UNUSED;

/** The program to put before QEMU's argv, owned by @man. */
const char *virLockManagerGetSupervisorPath(virLockManager *man);
/**
 * virLockManagerGetSupervisorArgs: argv between the supervisor's path and QEMU's argv;
 * NULL-terminated; free: g_strfreev. All disks have to be registered before. The program that
 * is spawned with these takes the leases, runs QEMU, lives as long as it and passes its exit
 * status on; AcquireObject then waits for it by its deadline. QEMU's own "-uuid", if it has
 * one, must be the object's. UNSUPPORTED: a resource that is not a disk.
 */
char **virLockManagerGetSupervisorArgs(virLockManager *man, GError **error)
    VIR_LOCK_WARN_UNUSED;
/** pid of the process that holds the leases; -1 with STATE before it is known. */
pid_t virLockManagerGetChild(virLockManager *man, GError **error) VIR_LOCK_WARN_UNUSED;

typedef enum {
    VIR_LOCK_MANAGER_MIGRATE_CANCEL = 1 << 0,
} virLockManagerMigrateFlags;

/**
 * virLockManagerPrepareMigrate:
 * @uri: where the guest goes, for messages; may be NULL
 * @ticket: (out): versioned JSON for the destination's SetParameter "ticket"; g_free
 *
 * Source, before the stream starts: asks the backend whether every lease is held (LOST names
 * what is not) and every epoch is ours. All leases stay held.
 */
gboolean virLockManagerPrepareMigrate(virLockManager *man, const char *uri, guint flags,
                                      char **ticket, const virLockWait *wait, GError **error)
    VIR_LOCK_WARN_UNUSED;
/**
 * virLockManagerCompleteMigrateOut:
 * @cookie: (out): the source's word for CompleteMigrateIn; NULL with CANCEL
 *
 * Only at QEMU's "completed" may the source give its word. With CANCEL it takes the guest
 * back: before the word always; after it only if the run lease's bridge can be had and the
 * run epoch has not moved (BUSY: the destination still has it; STALE: the destination ran).
 */
gboolean virLockManagerCompleteMigrateOut(virLockManager *man, guint flags, char **cookie,
                                          const virLockWait *wait, GError **error)
    VIR_LOCK_WARN_UNUSED;
/**
 * virLockManagerCompleteMigrateIn: destination, with the source's word and the complete
 * stream: makes sure of the run lease's bridge and advances the run epoch by one sector.
 * Afterwards the guest may run. CANCEL (@cookie is ignored) frees what was reserved.
 */
gboolean virLockManagerCompleteMigrateIn(virLockManager *man, const char *cookie, guint flags,
                                         const virLockWait *wait, GError **error)
    VIR_LOCK_WARN_UNUSED;
/** Takes the leases behind the bridges and frees the bridges. What could not be settled by
 * the deadline keeps its bridge: call again. */
gboolean virLockManagerSettle(virLockManager *man, const virLockWait *wait, GError **error)
    VIR_LOCK_WARN_UNUSED;

/** The object's leases as the library knows them: elements virLockLease, run lease first. */
GPtrArray *virLockManagerGetLeases(virLockManager *man);
/** The same as the backend knows them (asks it, by pid). */
GPtrArray *virLockManagerInquire(virLockManager *man, const virLockWait *wait, GError **error)
    VIR_LOCK_WARN_UNUSED;

typedef gboolean (*virLockManagerWatchFunc)(virLockManager *man, virLockWatchEvent event,
                                            const virLockRenewal *renewal, gpointer data);
/**
 * virLockManagerWatch: a source that fires on loss; set its callback with
 * g_source_set_callback (source, G_SOURCE_FUNC (func), ...). It polls the daemon's pidfd and
 * checks the renewal age once per renewal interval; a daemon that does not answer is STALE
 * by our own clock. UNSUPPORTED without LOSS_EVENTS.
 */
GSource *virLockManagerWatch(virLockManager *man, GError **error) VIR_LOCK_WARN_UNUSED;

/**
 * virLockManagerGetRenewal: how fresh this host's right to its leases is, asked of the daemon
 * now (no storage I/O). For a host that was told of a loss and has to know how long it may
 * take. UNSUPPORTED without LOSS_EVENTS.
 */
gboolean virLockManagerGetRenewal(virLockManager *man, virLockRenewal *renewal,
                                  const virLockWait *wait, GError **error)
    VIR_LOCK_WARN_UNUSED;

/** Ends the object's use: the child is gone. Checks that its leases went and says which did
 * not (BUSY names them) by the deadline. */
gboolean virLockManagerShutdown(virLockManager *man, const virLockWait *wait, GError **error)
    VIR_LOCK_WARN_UNUSED;

#pragma GCC visibility pop

G_END_DECLS

#endif
