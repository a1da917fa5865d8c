/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_def.h: what a guest is: from libvirt domain XML, or from a foreign command line, to
 * the resources that it needs and to QEMU's argv.
 *
 * Parsing does no I/O beyond the text itself (no network, no external entity, no DTD);
 * reading chains and identities does, and is a call of its own, because images may hang.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_DOMAIN_DEF_H
#define LEASEHOLD_DOMAIN_LOCK_DOMAIN_DEF_H

#include <json-glib/json-glib.h>
#include "domain_lock/image/image_chain.h"
#include <leasehold/domain_lock.h>

typedef struct _virDomainDef virDomainDef;

/** One image or lease that the guest needs. */
typedef struct _virDomainResource {
    virLockResourceType type;
    char *path;        /* DISK: absolute path; LEASE: key */
    char *lockspace;   /* LEASE; may be NULL */
    char *leasePath;   /* LEASE <target path>; may be NULL */
    char *leaseOffset; /* LEASE <target offset>; may be NULL */
    guint flags;       /* virLockManagerResourceFlags */
    char *
        target; /* "vda", "nvram", "tpm"; NULL for a lease and for a foreign image that the
                   * command line does not mention in a way that we understand */
    char *format; /* "raw", "qcow2", ...; "directory" for TPM state */
    char
        *node; /* QEMU's block node that opens the file ("vda-0-storage"); NULL if none or
                   * not ours to name */
    guint
        depth; /* 0: the top image, 1: its backing file, ...; a data file has the depth of
                   * its image */
    gboolean directIo; /* opened with O_DIRECT */
} virDomainResource;

typedef enum {
    VIR_DOMAIN_LOCKFAILURE_PAUSE = 0,
    VIR_DOMAIN_LOCKFAILURE_POWEROFF,
    VIR_DOMAIN_LOCKFAILURE_RESTART,
} virDomainLockfailure;

typedef enum {
    VIR_DOMAIN_ACTION_DESTROY = 0,
    VIR_DOMAIN_ACTION_RESTART,
    VIR_DOMAIN_ACTION_PRESERVE,
} virDomainAction;

/**
 * virDomainDefParseXML:
 * @flags: virDomainLockCreateFlags
 *
 * Everything in the description is either understood, known to be harmless, or an error
 * (CONFIG) that names element and line. Where it is silent, libvirt's defaults hold, but:
 * without <uuid>, the UUIDv5 of the name (so that one name is one run lease on all hosts); a
 * SCSI controller without model is virtio-scsi; NVRAM and TPM state have to name a path,
 * because a default one would be another file on each host.
 */
virDomainDef *virDomainDefParseXML(const char *xml, gssize len, guint flags,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
/**
 * virDomainDefFromCommand: checks and takes over a foreign command line.
 *
 * -drive and -blockdev are looked at for the format and cache mode of the declared disks. A
 * declared disk that no option names with a format is taken as raw, without backing files: if
 * QEMU finds some, the audit stops the guest before it runs; say "format=" in the command
 * line, or declare the backing files with --disk PATH,readonly. Refused are options that take
 * the start, the monitor or the sandbox out of our hands, or load memory state.
 */
virDomainDef *virDomainDefFromCommand(const virDomainLockCommand *command, guint flags,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;
void virDomainDefFree(virDomainDef *def);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainDef, virDomainDefFree)

const char *virDomainDefGetName(const virDomainDef *def);
const char *virDomainDefGetUuid(const virDomainDef *def); /* canonical lower case */
virDomainLockfailure virDomainDefGetLockfailure(const virDomainDef *def, gboolean *isSet);
virDomainAction virDomainDefGetOnPoweroff(const virDomainDef *def);
virDomainAction virDomainDefGetOnReboot(const virDomainDef *def);
virDomainAction virDomainDefGetOnCrash(const virDomainDef *def);
/** What the description gives the guest; 0 for a foreign command line. */
guint64 virDomainDefGetMemoryBytes(const virDomainDef *def);
/** A foreign command line has no known devices: hotplug by target is UNSUPPORTED there. */
gboolean virDomainDefIsForeign(const virDomainDef *def);

/**
 * virDomainDefRequireDirectIo: the plugin has FENCED_CACHE: writable images are opened with
 * O_DIRECT. Call it before ReadChains. CONFIG names the disk whose description asks for the
 * host's page cache, unless VIR_DOMAIN_LOCK_CREATE_UNSAFE_CACHE was given.
 */
gboolean virDomainDefRequireDirectIo(virDomainDef *def,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * virDomainDefReadChains: follows the backing chains of every disk as the description
 * states formats (never probed). May be called again: FALSE with STALE if a chain is now
 * another than at the last call. Checks that the images exist and can be opened as asked.
 * The first call creates an NVRAM file that is missing from its template (never over another
 * host's: it appears whole or not at all). Storage may block it: call it in a worker thread.
 */
gboolean virDomainDefReadChains(virDomainDef *def, GCancellable *cancellable,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/**
 * Everything that needs a lease, in the order of the description: elements
 * virDomainResource (owned by @def). Complete only after ReadChains.
 *
 * For the audit: nodes of QEMU whose name begins with "pflash0-" are firmware, opened
 * read-only from this host's /usr; they need no lease. All others that we name are in here.
 */
GPtrArray *virDomainDefGetResources(const virDomainDef *def);

/**
 * virDomainLockPackXML: a description, or one element of it, in the form in which one of our
 * programs hands it to another, so that only one needs libxml2; wherever XML is taken, it is,
 * too. NULL: it is no XML, too long to be worth it, or not plain (xml_packed.h).
 */
char *virDomainLockPackXML(const char *xml) G_GNUC_WARN_UNUSED_RESULT;

/**
 * virDomainDefFormatXML: the description as it is now, with all that it left open as it was
 * decided: read anew, on any host, it describes the same machine, with the same ids and
 * addresses, chains (after ReadChains) and names of nodes. UNSUPPORTED: a foreign command
 * line. Worker thread. Free: g_free.
 */
char *virDomainDefFormatXML(virDomainDef *def, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** "pc" means another machine in each version of QEMU; what it means in the one that runs
 * the guest can be put in its place. NULL: a foreign command line. */
const char *virDomainDefGetMachine(const virDomainDef *def);
void virDomainDefSetMachine(virDomainDef *def, const char *machine);

/** What people may want to know of its images as they were read, a line each; NULL: nothing. */
char *virDomainDefGetNotes(const virDomainDef *def);

/* --- disks that come and go while the guest runs; worker thread, after ReadChains ------------ */

/**
 * virDomainDefAddDisk: takes one <disk> element into the description and finds a place for it
 * on the machine as it runs. Returns its target (owned by @def).
 *
 * CONFIG: not understood, the target is in use, no place; UNSUPPORTED: a foreign command line,
 * or a bus that knows no plugging. A failure changes nothing. Text only, like ParseXML.
 */
const char *virDomainDefAddDisk(virDomainDef *def, const char *xml,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Forgets the disk, and what it needs. */
void virDomainDefRemoveDisk(virDomainDef *def, const char *target);
/** ReadChains for one disk. A second call only compares: STALE, and the first result stays.
 * TIMEOUT: its storage does not answer. */
gboolean virDomainDefReadDiskChain(virDomainDef *def, const char *target,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** QEMU's id of a disk; CONFIG names the disks that there are, UNSUPPORTED: as above. */
const char *virDomainDefGetDiskId(const virDomainDef *def, const char *target,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Is it the first hard disk in the boot order? */
gboolean virDomainDefIsBootDisk(const virDomainDef *def, const char *target);
/** The targets of all disks, in the order of the description; g_strfreev. */
char **virDomainDefGetDiskTargets(const virDomainDef *def);
/** The other way; NULL: no disk of ours has this id. */
const char *virDomainDefFindDiskById(const virDomainDef *def, const char *id);
/** The images of a disk, the top one first; NULL: no medium. Owned by @def. */
const virImageChain *virDomainDefGetDiskChain(const virDomainDef *def,
                                              const char *target);
/** A number for the nodes of an image that comes to this disk. */
guint virDomainDefNextNode(const virDomainDef *def, const char *target);
/**
 * virDomainDefSetDiskChain: the disk consists of these images from now on (a new overlay, a
 * pivot, a commit, another medium; NULL: none), each with the number of its nodes, and needs
 * what they need. Takes @chain. Follow it with virDomainLockObjUpdateDescription.
 */
void virDomainDefSetDiskChain(virDomainDef *def, const char *target,
                              virImageChain *chain);
/** Headers below the top image are about to change: until SetDiskChain the description that is
 * written leaves it to them which backing files there are, so that it is right before and after. */
void virDomainDefLeaveChainOpen(virDomainDef *def, const char *target);
/** The nodes that the disk would have with these images, as QMP has them: JsonObject, arguments
 * of blockdev-add and blockdev-reopen, lowest first. The description stays as it is. */
GPtrArray *virDomainDefFormatNodes(const virDomainDef *def, const char *target,
                                   virImageChain *chain);
/** The first thing that the disk still needs (owned by @def), or NULL; and one less. */
virDomainResource *virDomainDefFirstOfDisk(const virDomainDef *def, const char *target);
void virDomainDefDropResource(virDomainDef *def, virDomainResource *resource);

/** virDomainPlug: a disk as QMP has it, in the words of the command line. */
typedef struct _virDomainPlug {
    GPtrArray *nodes;   /* JsonObject: arguments of blockdev-add, lowest first */
    JsonObject *device; /* arguments of device_add */
} virDomainPlug;
/** Only after ReadDiskChain or ReadChains. */
virDomainPlug *virDomainDefFormatPlug(const virDomainDef *def, const char *target);
void virDomainPlugFree(virDomainPlug *plug);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainPlug, virDomainPlugFree)

/* --- media ------------------------------------------------------------------------------------ */

/** CONFIG: there is no such disk, or it is no drive whose medium can be changed. */
gboolean virDomainDefCheckRemovable(const virDomainDef *def, const char *target,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The images of a medium for this drive, with numbers that the present one does not have.
 * Changes nothing. TIMEOUT: its storage does not answer. */
virImageChain *virDomainDefReadMedium(const virDomainDef *def, const char *target,
                                      const char *path, const char *format,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** STALE names what is new in the second one. */
gboolean virDomainDefCompareChains(const char *target, const virImageChain *before,
                                   const virImageChain *now,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** What it needs is needed from now on, too; the elements (virDomainResource) are @def's. */
GPtrArray *virDomainDefAddMedium(virDomainDef *def, const char *target,
                                 virImageChain *chain);
/** Arguments of blockdev-add (JsonObject), lowest first. */
GPtrArray *virDomainDefFormatMedium(const virDomainDef *def, const char *target,
                                    virImageChain *chain);
/** The drive has this medium (NULL: none) now. Takes @chain; drops no resource. */
void virDomainDefSetMedium(virDomainDef *def, const char *target, virImageChain *chain);

/* --- <lease> ---------------------------------------------------------------------------------- */

/** Takes one <lease> element into the description; what it needs is @def's. CONFIG: not
 * understood, or the guest has it. */
virDomainResource *virDomainDefAddLease(virDomainDef *def, const char *xml,
                                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** @lockspace: NULL: of any. CONFIG names the leases that there are. */
virDomainResource *virDomainDefFindLease(const virDomainDef *def, const char *lockspace,
                                         const char *key,
                                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
void virDomainDefRemoveLease(virDomainDef *def, virDomainResource *resource);

/** virDomainArgvContext: what the command line needs to know of this host. */
typedef struct _virDomainArgvContext {
    const char *runDir; /* of this guest: sockets */
    int qmpFd;          /* listening QMP socket, inherited */
    gboolean incoming;  /* destination of a migration or restore: -incoming defer */
} virDomainArgvContext;
/**
 * QEMU's argv ("-S -no-shutdown -sandbox on ... -chardev socket,fd=,... -mon ..."); argv[0] is
 * an absolute path. Only after ReadChains (STATE before). With <qemu:env> it begins with
 * /usr/bin/env. Free: g_strfreev.
 */
char **virDomainDefFormatArgv(const virDomainDef *def,
                              const virDomainArgvContext *context,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** The host's end of the guest agent's channel; NULL when the guest has none. Free: g_free. */
char *virDomainDefGetAgentSocket(const virDomainDef *def, const char *runDir);
/** The element of <pm> that takes S3 (@ram) or S4 (@disk) from the guest; NULL: none does. */
const char *virDomainDefForbidsSleep(const virDomainDef *def, gboolean ram,
                                     gboolean disk);
/** QEMU's id of that channel; NULL when the guest has none. Free: g_free. */
char *virDomainDefGetAgentId(const virDomainDef *def);

/** virDomainTpmEmulator: what has to be started before QEMU; NULL when there is none. */
typedef struct _virDomainTpmEmulator {
    char *statePath; /* a directory */
    char *socketPath;
    gboolean version2;
} virDomainTpmEmulator;
virDomainTpmEmulator *virDomainDefGetTpmEmulator(const virDomainDef *def,
                                                 const char *runDir);
void virDomainTpmEmulatorFree(virDomainTpmEmulator *tpm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainTpmEmulator, virDomainTpmEmulatorFree)

#endif
