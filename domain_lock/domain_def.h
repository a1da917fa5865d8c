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

#include <leasehold/domain_lock.h>

typedef struct _virDomainDef virDomainDef;

/** One image or lease that the guest needs. */
typedef struct _virDomainResource {
    virLockResourceType type;
    char *path;      /* DISK: absolute path; LEASE: key */
    char *lockspace; /* LEASE; may be NULL */
    char *leasePath; /* LEASE <target path>; may be NULL */
    char *leaseOffset; /* LEASE <target offset>; may be NULL */
    guint flags;  /* virLockManagerResourceFlags */
    char *target; /* "vda", "nvram", "tpm"; NULL for a lease */
    char *format; /* "raw", "qcow2", ... */
    guint depth;  /* 0: the top image, 1: its backing file, ... */
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

/** @flags: virDomainLockCreateFlags. Errors are CONFIG and name element and line. */
virDomainDef *virDomainDefParseXML(const char *xml, gssize len, guint flags, GError **error);
/** Checks and takes over a foreign command line. */
virDomainDef *virDomainDefFromCommand(const virDomainLockCommand *command, guint flags,
                                      GError **error);
void virDomainDefFree(virDomainDef *def);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainDef, virDomainDefFree)

const char *virDomainDefGetName(const virDomainDef *def);
const char *virDomainDefGetUuid(const virDomainDef *def); /* canonical lower case */
virDomainLockfailure virDomainDefGetLockfailure(const virDomainDef *def, gboolean *isSet);
virDomainAction virDomainDefGetOnPoweroff(const virDomainDef *def);
virDomainAction virDomainDefGetOnReboot(const virDomainDef *def);
virDomainAction virDomainDefGetOnCrash(const virDomainDef *def);
/** A foreign command line has no known devices: hotplug by target is UNSUPPORTED there. */
gboolean virDomainDefIsForeign(const virDomainDef *def);

/**
 * virDomainDefReadChains: follows the backing chains of every disk as the description
 * states formats (never probed). May be called again: FALSE with STALE if a chain is now
 * another than at the last call. Checks that the images exist and can be opened as asked.
 */
gboolean virDomainDefReadChains(virDomainDef *def, GCancellable *cancellable, GError **error);

/** Everything that needs a lease, in the order of the description: elements
 * virDomainResource (owned by @def). Complete only after ReadChains. */
GPtrArray *virDomainDefGetResources(const virDomainDef *def);

/** virDomainArgvContext: what the command line needs to know of this host. */
typedef struct _virDomainArgvContext {
    const char *runDir;   /* of this guest: sockets */
    int qmpFd;            /* listening QMP socket, inherited */
    gboolean fencedCache; /* the plugin wants O_DIRECT for writable images */
    gboolean incoming;    /* destination of a migration or restore: -incoming defer */
} virDomainArgvContext;
/** QEMU's argv ("-S -no-shutdown -sandbox on ... -chardev socket,fd=,... -mon ..."). */
char **virDomainDefFormatArgv(const virDomainDef *def, const virDomainArgvContext *context,
                              GError **error);


#endif
