/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_priv.h: the inside of a virDomainDef, shared by the domain_*.c files only.
 *
 *   domain_parse*.c   XML -> these structs, by tables
 *   domain_check.c    what no table can say: defaults, names, contradictions
 *   domain_address.c  a place on a bus for every device
 *   domain_chain.c    images -> resources (the only one that does I/O)
 *   domain_argv*.c    these structs -> QEMU's argv
 *   domain_live.c     these structs -> XML
 *   domain_command.c  a foreign command line instead of XML
 *
 * Texts whose meaning is QEMU's are kept as the description has them; what we decide upon is
 * an enumeration.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_DOMAIN_PRIV_H
#define LEASEHOLD_DOMAIN_LOCK_DOMAIN_PRIV_H

#include "domain_def.h"
#include "domain_lock/image/image_chain.h"
#include "domain_xml.h"

/* "<target>-<number>-storage" within QEMU's 31 characters of a node's name */
#define VIR_DOMAIN_MAX_NODE 9999999
#define VIR_DOMAIN_MAX_VCPUS 288 /* pc and q35 of QEMU 7.2 */

/* --- addresses and what all devices have ------------------------------------------------- */

typedef enum {
    VIR_DOMAIN_ADDRESS_NONE = 0,
    VIR_DOMAIN_ADDRESS_PCI,
    VIR_DOMAIN_ADDRESS_DRIVE,
    VIR_DOMAIN_ADDRESS_VIRTIO_SERIAL,
    VIR_DOMAIN_ADDRESS_USB,
} virDomainAddressType;

typedef struct _virDomainAddress {
    virDomainAddressType type;
    guint64 bus, slot, function; /* PCI */
    virXmlBool multifunction;
    guint64 controller, target,
        unit; /* DRIVE (with bus); VIRTIO_SERIAL: controller, port */
    guint64 port;
    char *usbPort; /* USB */
} virDomainAddress;

/** First member of every device. */
typedef struct _virDomainDevice {
    char *id; /* QEMU's, as libvirt names it: "virtio-disk0", "net0" */
    virDomainAddress address;
    guint64 bootOrder; /* 0: none */
    long line;
    virXmlNode *xml; /* in the document of the description; NULL: implied by another device */
} virDomainDevice;

/* --- disks --------------------------------------------------------------------------------- */

typedef enum {
    VIR_DOMAIN_DISK_BUS_NONE = 0,
    VIR_DOMAIN_DISK_BUS_VIRTIO,
    VIR_DOMAIN_DISK_BUS_SCSI,
    VIR_DOMAIN_DISK_BUS_SATA,
    VIR_DOMAIN_DISK_BUS_IDE,
    VIR_DOMAIN_DISK_BUS_USB,
    VIR_DOMAIN_DISK_BUS_FDC,
} virDomainDiskBus;

typedef enum {
    VIR_DOMAIN_DISK_DISK = 0,
    VIR_DOMAIN_DISK_CDROM,
    VIR_DOMAIN_DISK_FLOPPY,
} virDomainDiskDevice;

/** One <backingStore> as the description has it. */
typedef struct _virDomainBacking {
    char *path;
    char *format;
    guint64 index; /* 1 more than the number of its node; 0: not stated */
} virDomainBacking;

typedef struct _virDomainDisk {
    virDomainDevice dev;
    virDomainDiskDevice device;
    virDomainDiskBus bus;
    char *typeText, *deviceText, *busText, *model;
    char *path; /* NULL: an empty drive */
    guint64 index; /* as of virDomainBacking */
    gboolean isBlock;
    char *format; /* never NULL after the check */
    char *target;
    gboolean readOnly, shareable;
    char *driverName, *cache, *io, *discard, *detectZeroes, *errorPolicy,
        *readErrorPolicy;
    virXmlBool eventIdx, ioeventfd, packed, removable;
    char *trayText, *copyOnRead, *rawio;
    guint64 queues, queueSize, iothread;
    char *serial, *wwn, *vendor, *product;
    guint64 logicalBlock, physicalBlock, rotation;
    GPtrArray *backing;       /* virDomainBacking, as the description states them */
    gboolean backingComplete; /* it ends with an empty <backingStore/> */
    virImageChain *chain;     /* after ReadChains */
    gboolean inFlux;          /* which the headers alone know just now */
} virDomainDisk;

/* --- other devices --------------------------------------------------------------------------- */

typedef struct _virDomainController {
    virDomainDevice dev;
    char *type, *model;
    guint64 index;
    guint64 ports, vectors, queues, iothread, maxSectors, cmdPerLun;
    char *modelName;
    guint64 chassis, chassisNr, port, busNr;
    virXmlBool hotplug;
    guint64 masterStartPort;
    gboolean hasMaster; /* a UHCI companion of the EHCI controller of this index */
} virDomainController;

typedef struct _virDomainNic {
    virDomainDevice dev;
    char *type, *mac, *model, *sourceBridge, *targetDev, *managed, *driverName,
        *linkState;
    guint64 queues, rxQueue, txQueue, mtu;
    virXmlBool romEnabled, romBar;
    char *romFile;
} virDomainNic;

typedef enum {
    VIR_DOMAIN_CHAR_SERIAL = 0,
    VIR_DOMAIN_CHAR_PARALLEL,
    VIR_DOMAIN_CHAR_CONSOLE,
    VIR_DOMAIN_CHAR_CHANNEL,
    VIR_DOMAIN_CHAR_REDIR,
} virDomainCharClass;

typedef struct _virDomainChar {
    virDomainDevice dev;
    virDomainCharClass class;
    char *type, *path, *mode, *host, *service, *protocol, *spiceChannel;
    virXmlBool append;
    char *logFile;
    virXmlBool logAppend;
    char *targetType, *targetName, *targetModel, *bus;
    guint64 targetPort;
} virDomainChar;

typedef struct _virDomainGraphics {
    char *type, *listen, *listenAttr, *listenType, *socket, *sharePolicy, *portText,
        *tlsPortText, *defaultMode, *gl;
    long line;
    guint64 port, websocket;
    gboolean hasPort;
    virXmlBool autoport;
    char *keymap, *imageCompression, *jpeg, *zlib, *streaming, *mouse;
    virXmlBool playback, copyPaste, fileTransfer;
} virDomainGraphics;

typedef struct _virDomainVideo {
    virDomainDevice dev;
    char *model, *accel2d, *accel3d, *blob;
    guint64 vram, ram, vgamem, heads, x, y;
    virXmlBool primary;
} virDomainVideo;

typedef struct _virDomainInput {
    virDomainDevice dev;
    char *type, *bus;
} virDomainInput;

typedef struct _virDomainSound {
    virDomainDevice dev;
    char *model;
    GPtrArray *codecs; /* char * */
} virDomainSound;

typedef struct _virDomainRng {
    virDomainDevice dev;
    char *model, *backend, *source;
    guint64 bytes, period;
} virDomainRng;

typedef struct _virDomainWatchdog {
    virDomainDevice dev;
    char *model, *action;
} virDomainWatchdog;

typedef struct _virDomainTpm {
    char *model, *backend, *version, *devicePath, *sourceType, *sourceMode, *sourcePath;
} virDomainTpm;

typedef struct _virDomainPanic {
    char *model;
} virDomainPanic;

typedef struct _virDomainBalloon {
    virDomainDevice dev;
    char *model;
    virXmlBool autodeflate, freePageReporting;
} virDomainBalloon;

typedef struct _virDomainLease {
    char *lockspace, *key, *path, *offset;
    virXmlNode *xml;
} virDomainLease;

/* --- the machine ------------------------------------------------------------------------------ */

typedef struct _virDomainCpuFeature {
    char *name, *policy;
} virDomainCpuFeature;

typedef struct _virDomainCpu {
    gboolean present;
    char *mode, *model, *match, *check, *fallback, *vendorId;
    virXmlBool migratable;
    GPtrArray *features; /* virDomainCpuFeature */
    guint64 sockets, dies, cores, threads;
    char *cacheMode, *addrMode;
    guint64 addrBits, cacheLevel;
} virDomainCpu;

typedef struct _virDomainOs {
    char *arch, *machine, *type, *firmware, *smbios;
    char *loader, *loaderType, *loaderFormat;
    virXmlBool loaderReadonly, loaderSecure, secureBoot, enrolledKeys;
    char *nvram, *nvramTemplate, *nvramFormat;
    char *kernel, *initrd, *cmdline, *dtb;
    GPtrArray *boot; /* char *: hd, cdrom, network, fd */
    virXmlBool bootMenu, biosSerial;
    char *rebootTimeout; /* ms; "-1": never */
    guint64 bootMenuTimeout;
} virDomainOs;

typedef struct _virDomainFeatures {
    gboolean acpi, apic, pae;
    virXmlBool smm, vmport, pmu, pvspinlock, kvmHidden, hintDedicated, pollControl,
        vmcoreinfo;
    char *ioapic, *hypervMode;
    GPtrArray *hyperv; /* char *: "hv-relaxed=on", "hv-spinlocks=8191" */
} virDomainFeatures;

typedef struct _virDomainTimer {
    char *name, *tickPolicy, *track, *mode;
    virXmlBool present;
    guint64 frequency;
} virDomainTimer;

typedef struct _virDomainClock {
    char *offset, *basis, *adjustment, *start;
    GPtrArray *timers; /* virDomainTimer */
} virDomainClock;

typedef struct _virDomainMemory {
    guint64 bytes, currentBytes;
    gboolean hugepages, noSharePages, locked;
    guint64 hugepageBytes;
    char *sourceType, *accessMode, *allocationMode;
} virDomainMemory;

/** One --disk of a foreign command line. */
typedef struct _virDomainForeignImage {
    char *path;   /* absolute */
    char *format; /* as the command line says; "raw" if it does not */
    guint flags;
    gboolean found;  /* the command line names it in a way that we understand */
    gboolean direct; /* and opens it with O_DIRECT */
    virImageChain *chain;
} virDomainForeignImage;

struct _virDomainDef {
    guint flags; /* virDomainLockCreateFlags */
    virXmlNode *xml; /* the root element; NULL: foreign */
    gboolean foreign;
    char **foreignArgv; /* foreign: as given */
    gboolean foreignHasUuid;
    GPtrArray *foreignImages; /* virDomainForeignImage */

    char *name, *uuid, *genid, *typeText, *emulator, *vcpuPlacement, *sysinfoType;
    gboolean kvm, hasGenid;
    virDomainMemory memory;
    guint64 vcpus, maxVcpus, iothreads;
    virDomainOs os;
    virDomainCpu cpu;
    virDomainFeatures features;
    virDomainClock clock;
    char *onPoweroff, *onReboot, *onCrash, *onLockfailure;
    virXmlBool suspendToMem, suspendToDisk;
    GPtrArray *smbiosTables; /* char *: arguments of -smbios */

    GPtrArray *disks, *controllers, *nics, *chars, *graphics, *videos, *inputs, *sounds,
        *rngs, *watchdogs, *panics, *leases, *hubs;
    virDomainBalloon *balloon;
    virDomainTpm *tpm;
    char *audioDriver;
    GPtrArray *qemuArgs; /* char * */
    GPtrArray *qemuEnv;  /* char *: NAME=VALUE */

    gboolean q35;
    gboolean directIoRequired;
    gboolean nvramIsBlock;
    GPtrArray *resources; /* virDomainResource */
    char *fingerprint;    /* of the last ReadChains; NULL before */
};

/* --- between the files --------------------------------------------------------------------- */

virDomainDef *virDomainDefNew(guint flags);
/** -1 when @target is not a disk name; "vda" is 0, "sdab" 27. */
int virDomainDiskIndex(const char *target);
/** Takes over all strings. */
virDomainResource *virDomainAddResource(virDomainDef *def, virLockResourceType type,
                                        char *path, char *target, const char *format);
/** Opened with O_DIRECT, by its cache mode or because the plugin wants it. */
gboolean virDomainDiskIsDirect(const virDomainDef *def, const virDomainDisk *disk);
gboolean virDomainDiskIsWritable(const virDomainDisk *disk);

/* domain_parse*.c: callbacks of the tables */
void virDomainDeviceIs(virDomainDevice *dev, virXmlNode *node);
gboolean virDomainParseDomain(virXmlNode *root, virDomainDef *def, GError **error);
gboolean virDomainParseDisk(virXmlNode *node, gpointer def, GError **error);
gboolean virDomainParseController(virXmlNode *node, gpointer def, GError **error);
gboolean virDomainParseInterface(virXmlNode *node, gpointer def, GError **error);
gboolean virDomainParseChar(virXmlNode *node, gpointer def, GError **error);
gboolean virDomainParseGraphics(virXmlNode *node, gpointer def, GError **error);
gboolean virDomainParseVideo(virXmlNode *node, gpointer def, GError **error);
gboolean virDomainParseSmallDevice(virXmlNode *node, gpointer def, GError **error);
gboolean virDomainParseOs(virXmlNode *node, gpointer def, GError **error);
gboolean virDomainParseSysinfo(virXmlNode *node, gpointer def, GError **error);
gboolean virDomainParseCpu(virXmlNode *node, gpointer def, GError **error);
gboolean virDomainParseFeatures(virXmlNode *node, gpointer def, GError **error);
gboolean virDomainParseClock(virXmlNode *node, gpointer def, GError **error);
/** <alias> and <address> and <boot> of a device; target: virDomainDevice. */
gboolean virDomainParseAddress(virXmlNode *node, gpointer dev, GError **error);
gboolean virDomainParseAlias(virXmlNode *node, gpointer dev, GError **error);
gboolean virDomainParseBootOrder(virXmlNode *node, gpointer dev, GError **error);
/** A size with unit: @text in @unit ("KiB" when NULL) to bytes. */
gboolean virDomainParseSize(virXmlNode *node, const char *text, const char *unit,
                            guint64 *bytes, GError **error);

#define VIR_DOMAIN_DEVICE_RULES                                                          \
    {"alias", VIR_XML_FUNC, .func = virDomainParseAlias},                                \
    {                                                                                    \
        "address", VIR_XML_FUNC, .func = virDomainParseAddress                           \
    }

gboolean virDomainCheck(virDomainDef *def, GError **error);
gboolean virDomainCheckDisks(virDomainDef *def, GError **error);
gboolean virDomainCheckBoot(virDomainDef *def, GError **error);
gboolean virDomainCheckName(const char *name, GError **error);
gboolean virDomainCheckUuid(const char *text, char **uuid, GError **error);
char *virDomainUuidOfName(const char *name);
gboolean virDomainAssignPci(virDomainDef *def, GError **error);
virDomainController *virDomainAddController(virDomainDef *def, const char *type,
                                            guint64 index, const char *model);
gboolean virDomainControllerIsKnown(const virDomainController *controller);
gboolean virDomainCharIsVirtio(const virDomainChar *chr);
gboolean virDomainAssignAddresses(virDomainDef *def, GError **error);
/** A place on a bus that the running machine has; the disk is the last one of @def. */
gboolean virDomainPlaceHotDisk(virDomainDef *def, virDomainDisk *disk, GError **error);
/** domain_usb.c: a port for each USB device, where there are enough. */
void virDomainAssignUsb(virDomainDef *def);
gboolean virDomainAssignHotUsb(virDomainDef *def, virDomainDisk *disk, GError **error);
gboolean virDomainAssignHotPci(virDomainDef *def, virDomainDevice *dev, GError **error);
/** domain_live.c: the document gets a copy of the element of a device that came, and loses it
 * when that goes. */
virXmlNode *virDomainLiveAdopt(virDomainDef *def, const virXmlNode *element);
void virDomainLiveForget(virXmlNode **element);
/** UNSUPPORTED: a foreign command line. */
gboolean virDomainCheckPlugs(const virDomainDef *def, GError **error);
gboolean virDomainCheckLeases(virDomainDef *def, GError **error);
gboolean virDomainParseLease(virXmlNode *node, gpointer def, GError **error);
virDomainResource *virDomainAddLease(virDomainDef *def, const virDomainLease *lease);
/** The description of @disk says what its chain is. */
void virDomainStateChain(virDomainDisk *disk);
void virDomainAddDiskResources(virDomainDef *def, const virDomainDisk *disk);
gboolean virDomainCheckDiskChain(const virDomainDef *def, const virDomainDisk *disk,
                                 const char *what, GError **error);
gboolean virDomainCheckDiskDirectIo(const virDomainDef *def, const virDomainDisk *disk,
                                    GError **error);
virDomainPlug *virDomainPlugOfDisk(const virDomainDef *def, const virDomainDisk *disk);
/** "vda-2-format"; @layer: "format", "storage" or "data". */
char *virDomainNodeName(const virDomainDisk *disk, const virImage *image,
                        const char *layer);
/** NULL when there is none. */
virDomainDisk *virDomainFindDisk(const virDomainDef *def, const char *target);
/** After disks came or went; only a description whose chains were read. */
void virDomainUpdateFingerprint(virDomainDef *def);
void virDomainFingerprintChain(GString *text, const char *target,
                               const virImageChain *chain);
gboolean virDomainPrepareFirmware(virDomainDef *def, GError **error);
gboolean virDomainHasPflash(const virDomainDef *def);
gboolean virDomainNeedsSmm(const virDomainDef *def);
gboolean virDomainForeignCheckCache(const virDomainDef *def, GError **error);
gboolean virDomainForeignReadChains(virDomainDef *def, GCancellable *cancellable,
                                    GError **error);
char **virDomainForeignFormatArgv(const virDomainDef *def,
                                  const virDomainArgvContext *context, GError **error);
/** Not a companion. */
virDomainController *virDomainFindController(const virDomainDef *def, const char *type,
                                             guint64 index);

void virDomainDiskFree(virDomainDisk *disk);
void virDomainForeignImageFree(virDomainForeignImage *image);
char *virDomainCharSocket(const virDomainChar *chr, const char *runDir);
char *virDomainTpmSocket(const char *runDir);
gboolean virDomainError(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

#endif
