/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_lock.h: whole guests under leases, for programs that run guests.
 *
 * Each guest has one supervisor process, which spawns QEMU and stays with it. The calls below
 * start supervisors and talk to them over the D-Bus interface io.leasehold.Guest1 on a
 * private socket (no bus daemon). A virDomainLock is a handle on one guest: it stays valid
 * when the guest ends, and says so.
 *
 * Threads: a handle never changes; any number of threads may use it at once, and each keeps a
 * reference of its own. Calls block; what may take long is bounded by a virLockWait or by the
 * time that the call names. A program with a main loop makes them in a thread (g_task_run_in_thread),
 * but for those that only read files and ask nobody: Lookup, List, PeekInfo, GetHistory. Event
 * callbacks come in the GMainContext that was the thread default when the watch was added.
 * docs/examples/guest-daemon.c is a daemon of that kind.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_H
#define LEASEHOLD_DOMAIN_LOCK_H

#include <leasehold/lock_manager.h>

G_BEGIN_DECLS

#pragma GCC visibility push(default)

typedef struct _virDomainLock virDomainLock;
virDomainLock *virDomainLockRef(virDomainLock *dom);
/** Drops a reference; the guest is left as it is. */
void virDomainLockFree(virDomainLock *dom);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainLock, virDomainLockFree)

/* --- what is known of a guest ------------------------------------------------------------ */

typedef enum {
    VIR_DOMAIN_LOCK_STATE_STARTING = 0, /* takes leases, starts QEMU */
    VIR_DOMAIN_LOCK_STATE_RUNNING,
    VIR_DOMAIN_LOCK_STATE_PAUSED,
    VIR_DOMAIN_LOCK_STATE_SHUTDOWN, /* guest finished, QEMU still flushes; leases held */
    VIR_DOMAIN_LOCK_STATE_PMSUSPENDED,
    VIR_DOMAIN_LOCK_STATE_SHUTOFF,
    VIR_DOMAIN_LOCK_STATE_UNSUPERVISED, /* QEMU runs under its leases, the supervisor is gone */
} virDomainLockState;

typedef enum {
    VIR_DOMAIN_LOCK_REASON_NONE = 0,
    VIR_DOMAIN_LOCK_REASON_USER,
    VIR_DOMAIN_LOCK_REASON_SHUTDOWN_REQUESTED, /* RUNNING: a shutdown was asked for */
    VIR_DOMAIN_LOCK_REASON_LEASE_LOST,
    VIR_DOMAIN_LOCK_REASON_IO_ERROR,
    VIR_DOMAIN_LOCK_REASON_SHUTDOWN,  /* SHUTOFF: the guest shut itself down */
    VIR_DOMAIN_LOCK_REASON_DESTROYED, /* SHUTOFF: by the host */
    VIR_DOMAIN_LOCK_REASON_CRASHED,   /* QEMU died or the guest panicked */
    VIR_DOMAIN_LOCK_REASON_FAILED,    /* never started */
    VIR_DOMAIN_LOCK_REASON_MIGRATED,
    VIR_DOMAIN_LOCK_REASON_SAVED,
    VIR_DOMAIN_LOCK_REASON_UNKNOWN,   /* nobody saw how it ended */
    VIR_DOMAIN_LOCK_REASON_MIGRATING, /* PAUSED: the last of its memory is on the way */
    VIR_DOMAIN_LOCK_REASON_YIELDED, /* PAUSED: handed to another host, which has not said yet
                                     * whether it runs there */
    VIR_DOMAIN_LOCK_REASON_SAVING,  /* PAUSED: its memory is being written to a file */
    VIR_DOMAIN_LOCK_REASON_SNAPSHOT, /* PAUSED: a snapshot is taken or brought back */
    VIR_DOMAIN_LOCK_REASON_REBOOT_REQUESTED, /* RUNNING: a reboot was asked for */
    VIR_DOMAIN_LOCK_REASON_HIBERNATED, /* SHUTOFF, or SHUTDOWN when it will be woken: the guest
                                        * has its memory on its own disk */
} virDomainLockReason;

/** "running", "lease-lost", ...: the words of list, show and --json. */
const char *virDomainLockStateName(virDomainLockState state);
const char *virDomainLockReasonName(virDomainLockReason reason);

/** virDomainLockInfo: a snapshot of one guest. */
typedef struct _virDomainLockInfo {
    gsize structSize;
    char *name;
    char *uuid;
    virDomainLockState state;
    virDomainLockReason reason;
    gint64 pid;           /* QEMU; 0 when none */
    gint64 supervisorPid; /* 0 when gone */
    char *plugin;
    char *hostName;
    char *onLockfailure;
    gint64 startedUsec; /* wall clock; 0: not yet */
    gint64 endedUsec;   /* wall clock; 0: not yet */
    gint64 deadlineUsec; /* wall clock of a forced stop that was asked for; 0: none */
    int waitStatus;      /* of QEMU as waitpid gave it; -1: not ended or nobody saw it */
    char *job;           /* "starting", ...; NULL: none */
    char *message;       /* why it failed or paused; NULL */
    char *logPath;       /* QEMU's stderr */
    GPtrArray *leases;   /* virLockLease */
    char *jobDetail;     /* what the job is about: "vda", a host's name; NULL */
    gint64 jobStartedUsec; /* wall clock; 0: no job that takes long */
    gint64 jobDone;        /* bytes */
    gint64 jobTotal;       /* bytes; 0: not known; may grow while the guest writes */
    gint64 wakeupUsec; /* wall clock at which a guest that sleeps is woken; 0: never */
    gint64 userUsec;   /* of QEMU when it had ended: processor time, */
    gint64 systemUsec;
    gint64 maxRssBytes; /* and the most memory; 0: nobody saw it */
    char *notes;        /* what is doubtful about its images, a line each; NULL: nothing */
} virDomainLockInfo;
void virDomainLockInfoFree(virDomainLockInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainLockInfo, virDomainLockInfoFree)

const char *virDomainLockGetName(virDomainLock *dom);
const char *virDomainLockGetUuid(virDomainLock *dom);
/** Asks the supervisor, within seconds; if it does not answer: PeekInfo, and why in its message. */
virDomainLockInfo *virDomainLockGetInfo(virDomainLock *dom, GError **error)
    VIR_LOCK_WARN_UNUSED;
/** What the supervisor published last, and whether it lives; as in List. Nobody is asked, so
 * that it may be called from a main loop. CONFIG: nothing is known of it any more. */
virDomainLockInfo *virDomainLockPeekInfo(virDomainLock *dom, GError **error)
    VIR_LOCK_WARN_UNUSED;
/** What the supervisor said of the guest at the moment when it was ready; owned by @dom. Nobody
 * is asked for it. NULL unless @dom comes from a call that started the guest. */
const virDomainLockInfo *virDomainLockGetStartInfo(virDomainLock *dom);
/** What PeekInfo would have said at the moment of the lookup; owned by @dom. NULL unless @dom
 * comes from virDomainLockLookup. */
const virDomainLockInfo *virDomainLockGetLookupInfo(virDomainLock *dom);

/**
 * virDomainLockGetXMLDesc:
 * @flags: none yet: 0
 *
 * The description of the guest as it is now, in libvirt domain XML: with the disks that came
 * and without those that went, and with all addresses and controllers that the first one left
 * open, so that CreateXML with it makes the same machine. Of a guest that has ended, its last
 * one. UNSUPPORTED: a foreign command line. STATE: it is being started. Free with g_free.
 */
char *virDomainLockGetXMLDesc(virDomainLock *dom, guint flags,
                              GError **error) VIR_LOCK_WARN_UNUSED;

/* --- starting ---------------------------------------------------------------------------- */

/** One disk of a foreign command line. */
typedef struct _virDomainLockDisk {
    const char *path;
    guint flags; /* virLockManagerResourceFlags */
} virDomainLockDisk;

/** A foreign command line: "run --name NAME --disk ... -- qemu-system-x86_64 ARGS". */
typedef struct _virDomainLockCommand {
    gsize structSize;
    const char *name;
    const char *uuid; /* or NULL: from -uuid, else a UUIDv5 of the name */
    const virDomainLockDisk *disks;
    gsize nDisks;
    const char *const *argv; /* NULL-terminated, argv[0] is the program */
} virDomainLockCommand;

typedef enum {
    VIR_DOMAIN_LOCK_CREATE_PAUSED = 1 << 0,
    VIR_DOMAIN_LOCK_CREATE_UNSAFE_CACHE = 1 << 1, /* permit host page cache on shared storage */
    VIR_DOMAIN_LOCK_CREATE_TAKEOVER = 1 << 2, /* wait for dead hosts' leases until the wait's
                                               * busyUsec, whatever that takes */
    VIR_DOMAIN_LOCK_CREATE_ATTACH = 1 << 3, /* a guest of this uuid (or of this name, where
                                             * the description has no uuid) that runs here
                                             * already is returned, after
                                             * virDomainLockAttach where it needs that; its
                                             * description is not compared */
    VIR_DOMAIN_LOCK_CREATE_FORCE_BOOT = 1 << 4, /* from its disks, though there is a managed
                                                 * save, which is thrown away */
    VIR_DOMAIN_LOCK_CREATE_AUTODESTROY = 1 << 5, /* it is destroyed when this process has ended,
                                                  * however that ends; does not migrate; not
                                                  * with ATTACH */
} virDomainLockCreateFlags;

/**
 * virDomainLockCreateXML:
 *
 * Starts a guest from libvirt domain XML: returns when it runs (or is paused, if asked), or
 * fails with everything undone. The supervisor outlives the caller. A guest with a managed save
 * on this host is restored from that, as it was described then: see virDomainLockRestore for
 * what can be wrong with it.
 */
virDomainLock *virDomainLockCreateXML(virLockConfig *config, const char *xml, guint flags,
                                      const virLockWait *wait, GError **error)
    VIR_LOCK_WARN_UNUSED;
virDomainLock *virDomainLockCreateCommand(virLockConfig *config,
                                          const virDomainLockCommand *command, guint flags,
                                          const virLockWait *wait, GError **error)
    VIR_LOCK_WARN_UNUSED;

/**
 * virDomainLockSpare: a supervisor that has no guest yet.
 *
 * Loading one is a good part of what a start takes on this host. A program that knows that it
 * will start a guest, and has something else to do before, can have it loaded meanwhile. A spare
 * has the environment and the working directory of the moment when it was made. It touches
 * nothing, and ends when it is freed or when this process ends.
 */
typedef struct _virDomainLockSpare virDomainLockSpare;
virDomainLockSpare *virDomainLockSpareNew(GError **error) VIR_LOCK_WARN_UNUSED;
void virDomainLockSpareFree(virDomainLockSpare *spare);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainLockSpare, virDomainLockSpareFree)
/** The next start with @config takes @spare, which belongs to @config from now on. */
void virDomainLockSpareOffer(virDomainLockSpare *spare, virLockConfig *config);

/* --- finding ----------------------------------------------------------------------------- */

/** The guest of this name or uuid that runs, or ended last, on this host; CONFIG if none. */
virDomainLock *virDomainLockLookup(virLockConfig *config, const char *nameOrUuid,
                                   GError **error) VIR_LOCK_WARN_UNUSED;
typedef enum {
    VIR_DOMAIN_LOCK_LIST_ALL = 1 << 0, /* also those that ended */
} virDomainLockListFlags;
/** Elements virDomainLockInfo, sorted by name: what the supervisors publish (nobody is woken
 * for it). A guest whose supervisor is stopped or gone is listed too, with a message. */
GPtrArray *virDomainLockList(virLockConfig *config, guint flags, GError **error)
    VIR_LOCK_WARN_UNUSED;

/**
 * virDomainLockAttach:
 * @nameOrUuid: a guest whose supervisor is gone
 * @wait: how long it may take, or NULL
 *
 * Starts a new supervisor for a guest that runs without one (UNSUPERVISED): what QEMU holds is
 * asked of the lock daemon and compared with what QEMU has open and with what was known; a job
 * that was interrupted is finished or undone; differences are in the guest's message and in
 * its event SUPERVISOR_ATTACHED. Calls that need a supervisor do this by themselves.
 *
 * BUSY: it has a supervisor (which may hang; the message tells what to do then). STATE: the
 * guest has ended meanwhile. LOST: QEMU used an image whose lease it no longer held, and was
 * killed. After any other failure the guest is as it was, and the call may be repeated.
 */
virDomainLock *virDomainLockAttach(virLockConfig *config, const char *nameOrUuid,
                                   const virLockWait *wait, GError **error)
    VIR_LOCK_WARN_UNUSED;

/* --- pausing, ending --------------------------------------------------------------------- */

typedef enum {
    VIR_DOMAIN_LOCK_DESTROY_GRACEFUL = 1 << 0, /* SIGTERM, so that QEMU flushes; never SIGKILL:
                                                * TIMEOUT when that does not end it */
} virDomainLockDestroyFlagsType;
/** Ends the guest at once; returns when QEMU was reaped and its leases were seen free. When
 * its supervisor does not answer, QEMU is killed without it, and it returns when QEMU is
 * dead, which frees what it held. */
gboolean virDomainLockDestroyFlags(virDomainLock *dom, guint flags, GError **error);
gboolean virDomainLockSuspend(virDomainLock *dom, GError **error);
gboolean virDomainLockResume(virDomainLock *dom, GError **error);
gboolean virDomainLockReset(virDomainLock *dom, GError **error);

typedef enum {
    VIR_DOMAIN_LOCK_SHUTDOWN_ACPI = 1 << 0,  /* default when no mode is given */
    VIR_DOMAIN_LOCK_SHUTDOWN_AGENT = 1 << 1, /* guest agent */
    VIR_DOMAIN_LOCK_SHUTDOWN_BLOCK = 1 << 2, /* return when the guest is gone, or goes on */
    VIR_DOMAIN_LOCK_SHUTDOWN_JOIN = 1 << 3,  /* with BLOCK: asks nothing, but waits for what was
                                              * asked; STATE when nothing was */
} virDomainLockShutdownFlagsType;
/**
 * virDomainLockShutdownFlags:
 * @timeoutSec: force the guest off after this; 0: only ask. A second request with a timeout
 *   moves the deadline, one without leaves it.
 * @flags: ACPI and AGENT together: the agent first, the power button if that fails
 *
 * Asks a running guest to shut itself down. The deadline is the supervisor's: it stands when
 * the caller or the supervisor dies. A guest that reboots instead keeps its deadline.
 *
 * With BLOCK, TRUE is: it has ended (virDomainLockGetInfo says how). CANCELLED: the request was
 * withdrawn. STATE: the guest rebooted although there is no deadline, or is restarted or kept
 * because its description says so. A supervisor that dies meanwhile is replaced. Without
 * BLOCK, TRUE is: it was asked.
 * UNSUPPORTED: its agent refuses; UNAVAILABLE: no agent answers (mode AGENT only).
 */
gboolean virDomainLockShutdownFlags(virDomainLock *dom, guint timeoutSec, guint flags,
                                    GError **error);
/** Withdraws a request (also a reboot) and its deadline, whoever made it; STATE when there is
 * none. The guest may shut down all the same: it was told to, and cannot be told otherwise. */
gboolean virDomainLockShutdownAbort(virDomainLock *dom, GError **error);
/**
 * virDomainLockReboot:
 * @flags: ACPI, AGENT, as for a shutdown
 *
 * Asks a running guest to reboot. QEMU and all leases stay. By the power button that is a
 * shutdown after which the guest is switched on again; <on_reboot> decides. STATE while it is
 * asked to shut down.
 */
gboolean virDomainLockReboot(virDomainLock *dom, guint flags, GError **error);

/** Waits until the guest has ended. TRUE with *info (may be NULL) set. When its supervisor dies
 * meanwhile and QEMU does not, another one is started (virDomainLockAttach). */
gboolean virDomainLockWait(virDomainLock *dom, virDomainLockInfo **info,
                           const virLockWait *wait, GError **error);

/* --- power ------------------------------------------------------------------------------- */

typedef enum {
    VIR_DOMAIN_LOCK_POWER_OFF = 0,
    VIR_DOMAIN_LOCK_POWER_ON,
    VIR_DOMAIN_LOCK_POWER_SUSPENDED,  /* S3: memory is kept, and so are all leases */
    VIR_DOMAIN_LOCK_POWER_HIBERNATED, /* S4: its memory is on its own disk */
} virDomainLockPowerState;
const char *virDomainLockPowerStateName(virDomainLockPowerState state);

typedef enum {
    VIR_DOMAIN_LOCK_POWER_SUSPEND = 0, /* S3 */
    VIR_DOMAIN_LOCK_POWER_HIBERNATE, /* S4: QEMU ends, and with it the leases, unless there
                                        * is a duration */
    VIR_DOMAIN_LOCK_POWER_HYBRID,    /* as HIBERNATE, then S3 */
    VIR_DOMAIN_LOCK_POWER_WAKEUP,
} virDomainLockPowerTarget;
#define VIR_DOMAIN_LOCK_POWER_TARGETS (VIR_DOMAIN_LOCK_POWER_WAKEUP + 1)
/** "suspend", ...; NULL: no target. */
const char *virDomainLockPowerTargetName(virDomainLockPowerTarget target);

/** virDomainLockPower: whether it sleeps, and what may be asked of it. */
typedef struct _virDomainLockPower {
    gsize structSize;
    virDomainLockPowerState state;
    gint64 wakeupUsec; /* wall clock; 0: nobody wakes it */
    /* by target: why it cannot be asked for now, for people; NULL: it can */
    char *whyNot[VIR_DOMAIN_LOCK_POWER_TARGETS];
} virDomainLockPower;
void virDomainLockPowerFree(virDomainLockPower *power);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainLockPower, virDomainLockPowerFree)

/**
 * virDomainLockSetPowerState:
 * @durationSec: wake it after this; 0: it sleeps until it is woken, or wakes itself
 * @flags: none yet: 0
 *
 * Sends a running guest to sleep by its guest agent, or wakes it. TRUE: it sleeps, or runs.
 * Until a hibernated guest with a duration is woken its QEMU stays, and with it its leases.
 * The duration is the supervisor's, like a shutdown's deadline.
 *
 * STATE: it is not running, or (WAKEUP) does not sleep. CONFIG: its description has no channel
 * for an agent, or forbids it (<pm>). UNAVAILABLE: no agent answers. UNSUPPORTED: the agent or
 * the machine cannot. TIMEOUT: the agent took the request and the guest does not sleep yet.
 */
gboolean virDomainLockSetPowerState(virDomainLock *dom, virDomainLockPowerTarget target,
                                    guint durationSec, guint flags, GError **error);
virDomainLockPower *virDomainLockGetPowerState(virDomainLock *dom,
                                               GError **error) VIR_LOCK_WARN_UNUSED;

/* --- disks, media, leases ---------------------------------------------------------------- */

typedef enum {
    VIR_DOMAIN_LOCK_DEVICE_NO_WAIT = 1 << 0, /* BUSY at once while another job is under way;
                                              * else only when that takes long */
    VIR_DOMAIN_LOCK_DEVICE_FORCE = 1 << 1,   /* DetachDisk: also the boot disk; ChangeMedia:
                                              * also from a locked tray */
} virDomainLockDeviceFlags;

/**
 * virDomainLockAttachDisk:
 * @xml: one <disk> element of libvirt domain XML, on bus virtio, scsi or usb
 * @flags: virDomainLockDeviceFlags
 *
 * Gives a running or paused guest one more disk: takes the leases of its whole backing chain,
 * then lets QEMU open it and checks that nothing else is open, then the guest sees it. BUSY
 * names who holds an image; CONFIG: the target or the image is in use in this guest already,
 * or something in @xml is not understood; UNSUPPORTED: a foreign command line. A failure
 * leaves all as it was; INDETERMINATE: it could not, leases that may be needed stay held, and
 * the disk can be detached.
 */
gboolean virDomainLockAttachDisk(virDomainLock *dom, const char *xml, guint flags,
                                 GError **error);
/**
 * virDomainLockDetachDisk:
 * @target: "vdb"
 * @timeoutSec: how long to wait for the guest; at least 1
 * @flags: virDomainLockDeviceFlags
 *
 * Asks the guest to let go of a disk, and gives up its leases once QEMU has closed the images.
 * TIMEOUT: the guest has not let go; the leases stay held, and are given up when it does, at
 * any later time, without another call. CONFIG: there is no such disk, or the guest boots from
 * it and FORCE was not given.
 */
gboolean virDomainLockDetachDisk(virDomainLock *dom, const char *target, guint timeoutSec,
                                 guint flags, GError **error);

/**
 * virDomainLockChangeMedia:
 * @target: "sda": a cdrom or floppy drive
 * @path: absolute path of the new medium; NULL: the drive is emptied
 * @format: of its image; NULL: raw
 * @flags: virDomainLockDeviceFlags
 *
 * Takes the leases of the new medium (shared, for a cdrom), lets QEMU open it, swaps, and gives
 * up the leases of the old one once QEMU has closed it. A failure leaves the old medium in the
 * drive. STATE: the guest has locked the tray, and has not opened it when asked. BUSY names who
 * holds an image. CONFIG: it is no such drive, or the image cannot be used. INDETERMINATE: the
 * drive has the new medium, but QEMU keeps the old one open: both stay leased.
 */
gboolean virDomainLockChangeMedia(virDomainLock *dom, const char *target,
                                  const char *path, const char *format, guint flags,
                                  GError **error);
/**
 * virDomainLockAttachLease:
 * @xml: one <lease> element of libvirt domain XML
 * @flags: virDomainLockDeviceFlags
 *
 * One more explicit lease for a running or paused guest, held as long as it runs. BUSY names
 * who holds it; CONFIG: the guest has it already; a failure leaves all as it was.
 */
gboolean virDomainLockAttachLease(virDomainLock *dom, const char *xml, guint flags,
                                  GError **error);
/**
 * virDomainLockDetachLease:
 * @lockspace: NULL: whichever has the key
 * @flags: virDomainLockDeviceFlags
 *
 * Gives an explicit lease up. CONFIG: there is none of this key; STATE: an image that has no
 * identity of its own is guarded by the explicit leases alone.
 */
gboolean virDomainLockDetachLease(virDomainLock *dom, const char *lockspace,
                                  const char *key, guint flags, GError **error);

/* --- block operations: snapshots of single disks, commit, pull, copy --------------------- */

typedef enum {
    VIR_DOMAIN_LOCK_BLOCK_SHALLOW = 1 << 0, /* copy: the top image only; the copy has the same
                                             * backing file */
    VIR_DOMAIN_LOCK_BLOCK_REUSE = 1 << 1,   /* copy: the file is there already */
    VIR_DOMAIN_LOCK_BLOCK_PIVOT = 1 << 2,   /* copy: the guest goes on with the copy; without
                                             * it, with the original */
} virDomainLockBlockFlags;

/** virDomainLockOverlay: a snapshot of one disk. */
typedef struct _virDomainLockOverlay {
    const char *target; /* "vda" */
    const char *path;   /* absolute; a file that does not exist yet, or a block device */
} virDomainLockOverlay;

/**
 * virDomainLockSnapshotDisks:
 * @wait: progress, and cancelling; NULL: as long as it takes
 * @flags: none yet: 0
 *
 * From one instant on each of these disks writes to a new qcow2 image over its present one,
 * which nobody writes any more: its lease becomes shared. All disks or none. CONFIG: no such
 * disk, or the file exists; BUSY names who holds it.
 */
gboolean virDomainLockSnapshotDisks(virDomainLock *dom,
                                    const virDomainLockOverlay *overlays, gsize n,
                                    guint flags, const virLockWait *wait, GError **error);

/** What the block operations below are told. Zero is the default of all members. */
typedef struct _virDomainLockBlockOptions {
    gsize structSize;
    const char *top;    /* commit: uppermost image that goes; NULL: the active one */
    const char *base;   /* commit: image that takes what is above; NULL: the lowest. pull: image
                         * that stays the backing file; NULL: none stays */
    const char *format; /* copy: of the new image; NULL: as the present one */
    guint64 bandwidth;  /* bytes/s; 0: as fast as it goes */
    guint flags;        /* virDomainLockBlockFlags */
} virDomainLockBlockOptions;

/**
 * virDomainLockBlockCommit: what is in the images from "top" down to above "base" goes into
 * "base", and they are no part of the disk any more. The lease of "base" is made exclusive
 * before: BUSY names the guest that reads it, too. With the active image as "top" the guest
 * goes on with "base" in the end.
 *
 * These take as long as they take: @wait has progress, and its deadline and cancellable ask for
 * the job to be undone (CANCELLED, TIMEOUT). @options may be NULL.
 */
gboolean virDomainLockBlockCommit(virDomainLock *dom, const char *target,
                                  const virDomainLockBlockOptions *options,
                                  const virLockWait *wait, GError **error);
/** virDomainLockBlockPull: what is in the backing files above "base" goes into the active image,
 * and they are no part of the disk any more. */
gboolean virDomainLockBlockPull(virDomainLock *dom, const char *target,
                                const virDomainLockBlockOptions *options,
                                const virLockWait *wait, GError **error);
/** virDomainLockBlockCopy: a copy of the disk, under a lease of its own before anything is
 * written to it. When both are the same, the guest goes on with the copy (PIVOT) and gives up
 * the original, or the other way round. */
gboolean virDomainLockBlockCopy(virDomainLock *dom, const char *target, const char *dest,
                                const virDomainLockBlockOptions *options,
                                const virLockWait *wait, GError **error);

/* --- jobs that take long ----------------------------------------------------------------- */

/**
 * virDomainLockJobCancel:
 *
 * Asks the job that takes long (virDomainLockInfo.job, with jobStartedUsec set) to undo itself
 * and end, and returns when it has. STATE: there is none, or it is too late: it is being
 * completed. That call of the library which waits for the job fails with CANCELLED.
 */
gboolean virDomainLockJobCancel(virDomainLock *dom, GError **error);

/* --- snapshots in the images of the disks, with the guest's memory ----------------------- */

/** One disk of a snapshot. */
typedef struct _virDomainLockSnapshotDisk {
    gsize structSize;
    char *target;
    char *path;
    char *lease;       /* its name on every host */
    gboolean included; /* FALSE: the guest only reads it, so that there is nothing to keep */
    gboolean present;  /* the image has the snapshot */
    guint64 epoch;     /* of its use record when the snapshot was made; 0: not known */
} virDomainLockSnapshotDisk;

/** virDomainLockSnapshot: one snapshot, as the images of the disks have it. What it was of is
 * known from a file beside the first image; without that file the members below "problem" are
 * NULL, and the guest cannot go back to it. */
typedef struct _virDomainLockSnapshot {
    gsize structSize;
    char *name;
    gint64 createdUsec; /* wall clock */
    virDomainLockState state; /* of the guest at that moment: RUNNING, PAUSED, SHUTOFF */
    guint64 memoryBytes;      /* 0: only its disks are in it (inactive) */
    gboolean current;         /* it was made or reverted to last */
    GPtrArray *disks;         /* virDomainLockSnapshotDisk */
    char *problem;            /* why the guest cannot go back to it; NULL: it can */
    char *description;        /* of whoever made it; NULL */
    char *parent;             /* what was current when it was made; NULL */
    char *hostName;           /* where it was made */
    char *xml;                /* the guest at that moment */
    gboolean unfinished;      /* a revert to it has begun, and was not finished: the guest is
                               * not started before it is */
    gboolean unsafeCache;     /* the guest was started with CREATE_UNSAFE_CACHE */
} virDomainLockSnapshot;
void virDomainLockSnapshotFree(virDomainLockSnapshot *snapshot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainLockSnapshot, virDomainLockSnapshotFree)

/**
 * virDomainLockSnapshotCreate:
 * @name: of no other snapshot of this guest
 * @description: for people, or NULL
 * @flags: none yet: 0
 * @wait: progress; NULL: as long as it takes
 *
 * Keeps the guest as it is at one instant: its memory, if it runs or is paused, and all disks
 * that it writes to, inside their images, which have to be qcow2. The guest stands still until
 * its memory is written. All disks or none. Of a guest that does not run its disks are kept,
 * by qemu-img under the guest's leases.
 *
 * UNSUPPORTED names the disk that cannot hold one; CONFIG: there is one of this name.
 */
gboolean virDomainLockSnapshotCreate(virDomainLock *dom, const char *name,
                                     const char *description, guint flags,
                                     const virLockWait *wait, GError **error);
/** The snapshots of the guest, whether it runs or not: elements virDomainLockSnapshot, oldest
 * first. Reads the images, and asks nobody. @flags: none yet: 0 */
GPtrArray *virDomainLockSnapshotList(virDomainLock *dom, guint flags, GError **error)
    VIR_LOCK_WARN_UNUSED;

typedef enum {
    VIR_DOMAIN_LOCK_REVERT_RUNNING = 1 << 0, /* it runs afterwards, whatever it did then */
    VIR_DOMAIN_LOCK_REVERT_PAUSED = 1 << 1,  /* it is paused; not both */
} virDomainLockRevertFlags;
/**
 * virDomainLockSnapshotRevert:
 * @flags: virDomainLockRevertFlags; 0: as the guest was then
 *
 * The guest goes back to what it was. One that runs does so in the same QEMU, which keeps its
 * leases throughout; what it did since is lost. CONFIG names what is different: a disk that
 * came, went or was replaced, another machine, an image that does not have the snapshot, or
 * both flags.
 *
 * A guest that does not run is started as it was then; where the snapshot has no memory it
 * stays off, unless a flag says what it shall do. STATE: the guest runs, the snapshot has no
 * memory, and no flag was given; with one the guest is ended and started from the disks.
 *
 * INDETERMINATE: it began, and could not be finished: the guest was ended, because its memory
 * and its disks may not belong together, and is not started before this is repeated.
 */
gboolean virDomainLockSnapshotRevert(virDomainLock *dom, const char *name, guint flags,
                                     const virLockWait *wait, GError **error);
/** Deletes it from all images that have it: also one that only some of them have.
 * @flags: none yet: 0 */
gboolean virDomainLockSnapshotDelete(virDomainLock *dom, const char *name, guint flags,
                                     const virLockWait *wait, GError **error);

/* --- migration --------------------------------------------------------------------------- */

typedef enum {
    VIR_DOMAIN_LOCK_MIGRATE_AUTO_CONVERGE = 1 << 0, /* slow the guest down if it must be */
    VIR_DOMAIN_LOCK_MIGRATE_COMPRESSED = 1 << 1,
    VIR_DOMAIN_LOCK_MIGRATE_POSTCOPY = 1 << 2, /* what its memory becomes while it is sent
                                                * follows after the switch; alone on its one
                                                * connection */
} virDomainLockMigrateFlagsType;
#define VIR_DOMAIN_LOCK_MIGRATE_ALL                                                          \
    (VIR_DOMAIN_LOCK_MIGRATE_AUTO_CONVERGE | VIR_DOMAIN_LOCK_MIGRATE_COMPRESSED |            \
     VIR_DOMAIN_LOCK_MIGRATE_POSTCOPY)

/** virDomainLockMigrateOptions: zero means the default. */
typedef struct _virDomainLockMigrateOptions {
    gsize structSize;
    const char *const *rsh; /* remote shell and its arguments, NULL-terminated; NULL: [migrate]
                             * rsh of the configuration */
    guint timeoutSec;       /* give up, and let it stay here, when it takes longer */
    guint64 bandwidth;      /* bytes a second */
    guint downtimeMsec;     /* how long it may stand still */
    guint connections;      /* parallel connections for its memory */
    guint flags;            /* virDomainLockMigrateFlagsType */
} virDomainLockMigrateOptions;

/**
 * virDomainLockMigrate:
 * @host: where to, as the remote shell knows it
 * @options: NULL: the defaults
 * @wait: its cancellable keeps the guest here, as long as that can be; its progress is told how
 *   much of the memory is left; or NULL
 *
 * Moves a running or paused guest to another host while it runs. The remote shell is started
 * as "RSH... HOST leasehold migrate-in", and both its ends go to the guest's supervisor: the
 * caller may die. TRUE: it runs there (or is paused, as it was here). A failure leaves it here
 * as it was. STALE: it was handed over and did not survive it: start it anew from its disks.
 * INDETERMINATE: the destination has it, and did not say whether it runs; it is
 * stopped here (PAUSED, yielded) and its supervisor goes on asking.
 *
 * STATE: it is neither running nor paused, a disk is being unplugged, or a block job runs.
 * virDomainLockJobCancel keeps it here, too.
 */
gboolean virDomainLockMigrate(virDomainLock *dom, const char *host,
                              const virDomainLockMigrateOptions *options,
                              const virLockWait *wait, GError **error);
/**
 * virDomainLockMigrateIn: the other end of the remote shell ("leasehold migrate-in").
 * @inFd, @outFd: the channel to the source; stay the caller's, who should keep them open
 * @told: (out) (optional): the source knows of the error, and its user too: no need to say it twice
 *
 * Starts a supervisor for the guest that comes, which takes the channel over. Returns when the
 * guest runs here.
 */
virDomainLock *virDomainLockMigrateIn(virLockConfig *config, int inFd, int outFd,
                                      gboolean *told, GError **error) VIR_LOCK_WARN_UNUSED;

/* --- saving ------------------------------------------------------------------------------ */

typedef enum {
    VIR_DOMAIN_LOCK_SAVE_BYPASS_CACHE = 1 << 0, /* the file past the host's page cache */
    VIR_DOMAIN_LOCK_SAVE_RUNNING = 1 << 1, /* restore it running, whatever it was */
    VIR_DOMAIN_LOCK_SAVE_PAUSED = 1 << 2,  /* restore it paused; not both */
    VIR_DOMAIN_LOCK_SAVE_FORCE = 1 << 3,   /* Restore: though its disks were used since */
} virDomainLockSaveFlagsType;

/**
 * virDomainLockSave:
 * @path: the file; one that exists is replaced when the new one is whole
 * @flags: BYPASS_CACHE; RUNNING or PAUSED: how Restore leaves the guest, by default as it is now
 * @wait: progress, deadline, cancellation; NULL: as long as it takes
 *
 * Writes the guest's memory to a file and ends the guest: when it returns, the file is whole,
 * QEMU was reaped and its leases are free. The file remembers under which use of its disks the
 * guest was saved. A failure leaves the guest as it was, running if it was, and no file; TIMEOUT
 * can also be that of Destroy, with the file whole. CONFIG: RUNNING and PAUSED, or a path that
 * is no plain file; STATE: it neither runs nor is paused; BUSY: a block job works on its disks.
 */
gboolean virDomainLockSave(virDomainLock *dom, const char *path, guint flags,
                           const virLockWait *wait, GError **error);
/**
 * virDomainLockRestore:
 * @flags: BYPASS_CACHE; RUNNING or PAUSED, instead of what the file says; FORCE
 *
 * Starts the guest in the file, under leases, from where it was saved. CONFIG: the file is no
 * saved guest, not whole, damaged, or of a later version: nothing was started. STALE: a disk, or
 * the guest, was used since; the message says by whom. With FORCE the guest gets disks that are
 * not those that it remembers, which damages its file systems unless nothing really changed.
 * A file that QEMU could not load may be tried again; after a success it is stale.
 */
virDomainLock *virDomainLockRestore(virLockConfig *config, const char *path, guint flags,
                                    const virLockWait *wait, GError **error)
    VIR_LOCK_WARN_UNUSED;

/** virDomainLockSaveInfo: what a file with a saved guest says. */
typedef struct _virDomainLockSaveInfo {
    gsize structSize;
    char *name;
    char *uuid;
    gboolean paused;    /* how Restore leaves it */
    gint64 savedUsec;   /* wall clock */
    char *hostName;     /* where it was saved */
    char *plugin;       /* which wrote the use records that count */
    char *qemuVersion;
    gint64 memoryBytes; /* of the stream in the file */
    char *xml;          /* description; NULL: a foreign command line */
    char **argv;        /* of that; else NULL */
    GPtrArray *leases;  /* virLockLease: with the epochs under which it was saved */
} virDomainLockSaveInfo;
void virDomainLockSaveInfoFree(virDomainLockSaveInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainLockSaveInfo, virDomainLockSaveInfoFree)

/** Reads the header of a file; CONFIG as for Restore. No configuration, no leases. */
virDomainLockSaveInfo *virDomainLockSaveGetInfo(const char *path, GError **error)
    VIR_LOCK_WARN_UNUSED;
/**
 * virDomainLockSaveDefineXML:
 * @xml: the description to restore with, or NULL: the present one
 * @flags: RUNNING or PAUSED: how Restore leaves the guest from now on
 *
 * Changes a file with a saved guest; at any moment it has the old description or the new one.
 * The machine that the guest sees has to stay: CONFIG names the first element that differs and
 * may not (sources and drivers of disks, what happens on reboots and crashes, where graphics
 * and consoles listen, and metadata may).
 */
gboolean virDomainLockSaveDefineXML(const char *path, const char *xml, guint flags,
                                    GError **error);

/** As Save, into a file of this host that the next start of the guest takes, if it is not told
 * CREATE_FORCE_BOOT. */
gboolean virDomainLockManagedSave(virDomainLock *dom, guint flags, const virLockWait *wait,
                                  GError **error);
/** The path of the guest's managed save, or NULL: there is none. Free with g_free. */
char *virDomainLockGetManagedSave(virLockConfig *config, const char *uuid);
/** Throws it away, and with it what the guest had in memory; STATE: there is none. */
gboolean virDomainLockManagedSaveRemove(virLockConfig *config, const char *nameOrUuid,
                                        GError **error);

/* --- events ------------------------------------------------------------------------------ */

/** virDomainLockEvent: one line of "events"; also kept in the history of the guest. */
typedef struct _virDomainLockEvent {
    gsize structSize;
    char *name;
    char *uuid;
    gint64 timeUsec; /* wall clock */
    char *event;     /* "STARTED", "SHUTDOWN_REQUESTED", "LEASE_LOST", "STOPPED", ... */
    char *detail;    /* "guest", "host", ...; NULL */
    char *message;   /* for people; NULL */
} virDomainLockEvent;
void virDomainLockEventFree(virDomainLockEvent *event);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainLockEvent, virDomainLockEventFree)

/** The kept history of one guest (@nameOrUuid) or of all (NULL), oldest first. */
GPtrArray *virDomainLockGetHistory(virLockConfig *config, const char *nameOrUuid,
                                   GError **error) VIR_LOCK_WARN_UNUSED;
typedef void (*virDomainLockEventFunc)(const virDomainLockEvent *event, gpointer data);
/**
 * virDomainLockWatchEvents:
 * @nameOrUuid: one guest, or NULL: all, present and to come
 *
 * Follows events from now on, of whichever process started the guest, also across its restart
 * and that of its supervisor. Returns a source that is attached already to the thread-default
 * GMainContext, and a reference to it: g_source_destroy ends it, g_source_unref frees it. Who
 * wants the past too begins to watch first and then calls GetHistory or List.
 */
GSource *virDomainLockWatchEvents(virLockConfig *config, const char *nameOrUuid,
                                  virDomainLockEventFunc func, gpointer data, GError **error)
    VIR_LOCK_WARN_UNUSED;

/* --- programs that are no guests --------------------------------------------------------- */

/** One image that a program uses, or one file of it. */
typedef struct _virDomainLockImage {
    char *path;   /* absolute */
    char *format; /* "qcow2", "raw", ...; NULL: not known */
    guint flags;  /* virLockManagerResourceFlags */
} virDomainLockImage;
virDomainLockImage *virDomainLockImageNew(const char *path, const char *format, guint flags);
void virDomainLockImageFree(virDomainLockImage *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainLockImage, virDomainLockImageFree)

/**
 * virDomainLockResolveImages:
 * @images: (element-type virDomainLockImage): what a program that is no guest will open
 *
 * All that needs a lease for that, in the order of @images. A format that is given is
 * believed: the image is followed by its backing files, READONLY, and by its external data
 * file with its own flags. Where none is given nothing is followed, and an image that looks
 * like qcow2 and names a file that is not among @images is refused, because most programs
 * would open it. Reads the images, so that it may block as long as their storage does; read
 * again when the leases are held. CONFIG, UNAVAILABLE, CANCELLED.
 *
 * Returns: (element-type virDomainLockImage): free: g_ptr_array_unref
 */
GPtrArray *virDomainLockResolveImages(GPtrArray *images, GCancellable *cancellable,
                                      GError **error) VIR_LOCK_WARN_UNUSED;

#pragma GCC visibility pop

G_END_DECLS

#endif
