/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_parse_disk.c: <disk>, the element whose every word may decide which data a guest
 * touches. What is not understood here is refused by name.
 */
#include "config.h"
#include "domain_priv.h"

#include <string.h>

#define OFF(member) offsetof(virDomainDisk, member)

#define FILES_ONLY "only disks of type 'file' and 'block' can be guarded by a lease"
#define OTHER_DATA "the guest would touch other data than the leases of its images guard"

static const char *const virDomainImageTypes[] = {"file", "block", NULL};

typedef struct _virDomainSource {
    char *file, *dev, *startup;
    guint64 index;
} virDomainSource;

/* <source file='...'/> or <source dev='...'/>, of a disk and of a backing store. */
static gboolean
virDomainReadSource(virXmlNode *node, char **path, guint64 *index, GError **error)
{
    static const char *const startups[] = {"mandatory", NULL};
    static const virXmlRule rules[] = {
        {"@file", VIR_XML_STRING, offsetof(virDomainSource, file)},
        {"@dev", VIR_XML_STRING, offsetof(virDomainSource, dev)},
        {"@startupPolicy", VIR_XML_CHOICE, offsetof(virDomainSource, startup),
         .choices = startups},
        {"@index", VIR_XML_UINT, offsetof(virDomainSource, index),
         .max = VIR_DOMAIN_MAX_NODE},
        {"seclabel", VIR_XML_IGNORE, .flags = VIR_XML_MANY},
        {"@protocol", VIR_XML_REFUSE, .why = FILES_ONLY},
        {"@pool", VIR_XML_REFUSE, .why = FILES_ONLY},
        {"@volume", VIR_XML_REFUSE, .why = FILES_ONLY},
        {"@dir", VIR_XML_REFUSE, .why = FILES_ONLY},
        {"slices", VIR_XML_REFUSE, .why = OTHER_DATA},
        {"encryption", VIR_XML_REFUSE, .why = "encrypted images are not supported"},
        {"reservations", VIR_XML_REFUSE,
         .why = "persistent reservations are not supported"},
        {"auth", VIR_XML_REFUSE, .why = FILES_ONLY},
        {"cookies", VIR_XML_REFUSE, .why = FILES_ONLY},
        {"dataStore", VIR_XML_REFUSE,
         .why = "the name of the data file is read from the image itself"},
        {NULL},
    };
    virDomainSource source = {NULL};
    gboolean ok = virXmlRead(node, rules, &source, error);

    if (ok && source.file && source.dev)
        ok = virXmlError(node, error, "it has both 'file' and 'dev'");
    g_free(*path);
    *path = g_strdup(source.file ? source.file : source.dev);
    *index = source.index;
    g_free(source.file);
    g_free(source.dev);
    g_free(source.startup);
    return ok;
}

static gboolean
virDomainParseDiskSource(virXmlNode *node, gpointer opaque, GError **error)
{
    virDomainDisk *disk = opaque;

    return virDomainReadSource(node, &disk->path, &disk->index, error);
}

/* --- <backingStore> --------------------------------------------------------------------- */

typedef struct _virDomainBackingNode {
    char *type, *path, *format;
    guint64 index;
    virXmlNode *below;
} virDomainBackingNode;

static gboolean
virDomainParseBackingSource(virXmlNode *node, gpointer backing, GError **error)
{
    guint64 index = 0; /* libvirt has it at <backingStore> itself */

    return virDomainReadSource(node, &((virDomainBackingNode *)backing)->path, &index,
                               error);
}

static gboolean
virDomainParseBackingBelow(virXmlNode *node, gpointer backing, GError **error)
{
    ((virDomainBackingNode *)backing)->below = node;
    return TRUE;
}

static gboolean
virDomainReadBackingNode(virXmlNode *node, virDomainBackingNode *backing, GError **error)
{
    static const virXmlRule format[] = {
        {"@type", VIR_XML_STRING, offsetof(virDomainBackingNode, format),
         VIR_XML_REQUIRED},
        {"metadata_cache", VIR_XML_IGNORE},
        {NULL},
    };
    static const virXmlRule rules[] = {
        {"@type", VIR_XML_CHOICE, offsetof(virDomainBackingNode, type),
         .choices = virDomainImageTypes},
        {"@index", VIR_XML_UINT, offsetof(virDomainBackingNode, index),
         .max = VIR_DOMAIN_MAX_NODE},
        {"format", VIR_XML_SUB, .rules = format},
        {"source", VIR_XML_FUNC, .func = virDomainParseBackingSource},
        {"backingStore", VIR_XML_FUNC, .func = virDomainParseBackingBelow},
        {NULL},
    };

    if (!virXmlRead(node, rules, backing, error))
        return FALSE;
    if (backing->path && !backing->format)
        return virXmlError(node, error, "the format of '%s' is missing", backing->path);
    return TRUE;
}

/* Nested as the chain is; an empty one says that the chain ends there. */
static gboolean
virDomainParseBackingStore(virXmlNode *node, gpointer opaque, GError **error)
{
    virDomainDisk *disk = opaque;

    while (node) {
        virDomainBackingNode backing = {NULL};
        gboolean ok = virDomainReadBackingNode(node, &backing, error);

        if (ok && backing.path) {
            virDomainBacking *one = g_new0(virDomainBacking, 1);

            one->path = g_strdup(backing.path);
            one->format = g_strdup(backing.format);
            one->index = backing.index;
            g_ptr_array_add(disk->backing, one);
        } else if (ok) {
            disk->backingComplete = TRUE;
        }
        node = backing.path ? backing.below : NULL;
        g_free(backing.type);
        g_free(backing.path);
        g_free(backing.format);
        if (!ok)
            return FALSE;
    }
    return TRUE;
}

/* --- <driver>, <target>, ... --------------------------------------------------------------- */

static gboolean
virDomainParseDiskDriver(virXmlNode *node, gpointer disk, GError **error)
{
    static const char *const names[] = {"qemu", NULL};
    static const char *const caches[] = {
        "none", "writethrough", "writeback", "directsync", "unsafe", "default", NULL};
    static const char *const ios[] = {"threads", "native", "io_uring", NULL};
    static const char *const discards[] = {"unmap", "ignore", NULL};
    static const char *const zeroes[] = {"on", "off", "unmap", NULL};
    static const char *const policies[] = {"stop", "report", "ignore", "enospace", NULL};
    static const char *const readPolicies[] = {"stop", "report", "ignore", NULL};
    static const char *const off[] = {"off", NULL};
    static const virXmlRule rules[] = {
        {"@name", VIR_XML_CHOICE, OFF(driverName), .choices = names},
        {"@type", VIR_XML_STRING, OFF(format)},
        {"@cache", VIR_XML_CHOICE, OFF(cache), .choices = caches},
        {"@io", VIR_XML_CHOICE, OFF(io), .choices = ios},
        {"@discard", VIR_XML_CHOICE, OFF(discard), .choices = discards},
        {"@detect_zeroes", VIR_XML_CHOICE, OFF(detectZeroes), .choices = zeroes},
        {"@error_policy", VIR_XML_CHOICE, OFF(errorPolicy), .choices = policies},
        {"@rerror_policy", VIR_XML_CHOICE, OFF(readErrorPolicy), .choices = readPolicies},
        {"@ioeventfd", VIR_XML_BOOL, OFF(ioeventfd)},
        {"@event_idx", VIR_XML_BOOL, OFF(eventIdx)},
        {"@packed", VIR_XML_BOOL, OFF(packed)},
        {"@queues", VIR_XML_UINT, OFF(queues), .max = 1024},
        {"@queue_size", VIR_XML_UINT, OFF(queueSize), .max = 1024},
        {"@iothread", VIR_XML_UINT, OFF(iothread), .max = 128},
        {"@copy_on_read", VIR_XML_CHOICE, OFF(copyOnRead), .choices = off},
        {NULL},
    };

    return virXmlRead(node, rules, disk, error);
}

static gboolean
virDomainParseDiskTarget(virXmlNode *node, gpointer disk, GError **error)
{
    static const char *const buses[] = {"virtio", "scsi", "sata", "ide",
                                        "usb",    "fdc",  NULL};
    static const char *const closed[] = {"closed", NULL};
    static const virXmlRule rules[] = {
        {"@dev", VIR_XML_STRING, OFF(target), VIR_XML_REQUIRED},
        {"@bus", VIR_XML_CHOICE, OFF(busText), .choices = buses},
        {"@tray", VIR_XML_CHOICE, OFF(trayText), .choices = closed},
        {"@removable", VIR_XML_BOOL, OFF(removable)},
        {"@rotation_rate", VIR_XML_UINT, OFF(rotation), .max = 65534},
        {NULL},
    };

    return virXmlRead(node, rules, disk, error);
}

static gboolean
virDomainParseDiskBlockio(virXmlNode *node, gpointer disk, GError **error)
{
    static const virXmlRule rules[] = {
        {"@logical_block_size", VIR_XML_UINT, OFF(logicalBlock), .max = 32768},
        {"@physical_block_size", VIR_XML_UINT, OFF(physicalBlock),
         .max = 2 * 1024 * 1024},
        {NULL},
    };

    return virXmlRead(node, rules, disk, error);
}

static gboolean
virDomainReadDisk(virXmlNode *node, virDomainDisk *disk, GError **error)
{
    static const char *const devices[] = {"disk", "cdrom", "floppy", NULL};
    static const char *const models[] = {"virtio", "virtio-transitional",
                                         "virtio-non-transitional", NULL};
    static const char *const no[] = {"no", NULL};
    static const virXmlRule rules[] = {
        VIR_DOMAIN_DEVICE_RULES,
        {"@type", VIR_XML_CHOICE, OFF(typeText), .choices = virDomainImageTypes},
        {"@device", VIR_XML_CHOICE, OFF(deviceText), .choices = devices},
        {"@model", VIR_XML_CHOICE, OFF(model), .choices = models},
        {"@rawio", VIR_XML_CHOICE, OFF(rawio), .choices = no},
        {"@snapshot", VIR_XML_REFUSE, .why = OTHER_DATA},
        {"driver", VIR_XML_FUNC, .func = virDomainParseDiskDriver},
        {"source", VIR_XML_FUNC, .func = virDomainParseDiskSource},
        {"backingStore", VIR_XML_FUNC, .func = virDomainParseBackingStore},
        {"target", VIR_XML_FUNC, 0, VIR_XML_REQUIRED, .func = virDomainParseDiskTarget},
        {"readonly", VIR_XML_FLAG, OFF(readOnly)},
        {"shareable", VIR_XML_FLAG, OFF(shareable)},
        {"serial", VIR_XML_STRING, OFF(serial)},
        {"wwn", VIR_XML_STRING, OFF(wwn)},
        {"vendor", VIR_XML_STRING, OFF(vendor)},
        {"product", VIR_XML_STRING, OFF(product)},
        {"blockio", VIR_XML_FUNC, .func = virDomainParseDiskBlockio},
        {"boot", VIR_XML_FUNC, .func = virDomainParseBootOrder},
        {"mirror", VIR_XML_REFUSE, .why = "a block job of a running guest; " OTHER_DATA},
        {"transient", VIR_XML_REFUSE, .why = OTHER_DATA},
        {"encryption", VIR_XML_REFUSE, .why = "encrypted images are not supported"},
        {"auth", VIR_XML_REFUSE, .why = FILES_ONLY},
        {"iotune", VIR_XML_REFUSE, .why = "throttling is not applied here"},
        {"geometry", VIR_XML_REFUSE, .why = "a geometry cannot be set"},
        {NULL},
    };

    return virXmlRead(node, rules, disk, error);
}

static void
virDomainBackingFree(virDomainBacking *backing)
{
    g_free(backing->path);
    g_free(backing->format);
    g_free(backing);
}

gboolean
virDomainParseDisk(virXmlNode *node, gpointer opaque, GError **error)
{
    virDomainDisk *disk = g_new0(virDomainDisk, 1);
    const char *type = virXmlNodeGet(node, "type");
    gboolean known;

    g_ptr_array_add(((virDomainDef *)opaque)->disks, disk);
    virDomainDeviceIs(&disk->dev, node);
    disk->backing = g_ptr_array_new_with_free_func((GDestroyNotify)virDomainBackingFree);
    known = !type || g_strv_contains(virDomainImageTypes, type);
    if (!known) /* before anything in it can be the complaint */
        virXmlError(node, error, "disk type '%s' is not supported: " FILES_ONLY,
                    type);
    return known && virDomainReadDisk(node, disk, error);
}

void
virDomainDiskFree(virDomainDisk *disk)
{
    char **strings[] = {
        &disk->dev.id,      &disk->dev.address.usbPort,
        &disk->typeText,    &disk->deviceText,
        &disk->busText,     &disk->model,
        &disk->path,        &disk->format,
        &disk->target,      &disk->driverName,
        &disk->cache,       &disk->io,
        &disk->discard,     &disk->detectZeroes,
        &disk->errorPolicy, &disk->readErrorPolicy,
        &disk->trayText,    &disk->serial,
        &disk->wwn,         &disk->vendor,
        &disk->product,     &disk->copyOnRead,
        &disk->rawio,
    };

    for (gsize i = 0; i < G_N_ELEMENTS(strings); i++)
        g_free(*strings[i]);
    g_ptr_array_unref(disk->backing);
    virImageChainFree(disk->chain);
    g_free(disk);
}
