/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_check_disk.c: defaults and contradictions of disks, and the boot order.
 */
#include "config.h"
#include "domain_priv.h"

#include <string.h>

/* Node names are made of it ("vda-200-storage"), see VIR_DOMAIN_MAX_NODE. */
#define VIR_DOMAIN_MAX_TARGET 15

/* "<prefix><letters>", letters counted like the columns of a table: a..z, aa, ab, ... */
int
virDomainDiskIndex(const char *target)
{
    const char *p = target + (strlen(target) > 2 ? 2 : 0);
    int index = 0;

    if (p == target)
        return -1;
    for (; *p; p++) {
        if (*p < 'a' || *p > 'z' || index > 26 * 26 * 26)
            return -1;
        index = index * 26 + (*p - 'a' + 1);
    }
    return index - 1;
}

gboolean
virDomainDiskIsWritable(const virDomainDisk *disk)
{
    return disk->path && !disk->readOnly;
}

gboolean
virDomainDiskIsDirect(const virDomainDef *def, const virDomainDisk *disk)
{
    if (disk->cache)
        return g_str_equal(disk->cache, "none") || g_str_equal(disk->cache, "directsync");
    if (g_strcmp0(disk->io, "native") == 0)
        return TRUE; /* QEMU refuses it otherwise */
    return def->directIoRequired && virDomainDiskIsWritable(disk);
}

static gboolean virDomainDiskError(const virDomainDisk *disk, GError **error,
                                   const char *format, ...) G_GNUC_PRINTF(3, 4);

static gboolean
virDomainDiskError(const virDomainDisk *disk, GError **error, const char *format, ...)
{
    g_autofree char *words = NULL;
    va_list args;

    va_start(args, format);
    words = g_strdup_vprintf(format, args);
    va_end(args);
    return virDomainError(error, "domain XML line %ld: disk '%s': %s", disk->dev.line,
                          disk->target, words);
}

static virDomainDiskBus
virDomainDiskBusOf(const virDomainDisk *disk)
{
    static const struct {
        const char *name;
        const char *prefix; /* of targets when no bus is given */
        virDomainDiskBus bus;
    } buses[] = {
        {"virtio", "vd", VIR_DOMAIN_DISK_BUS_VIRTIO},
        {"scsi", "sd", VIR_DOMAIN_DISK_BUS_SCSI},
        {"ide", "hd", VIR_DOMAIN_DISK_BUS_IDE},
        {"fdc", "fd", VIR_DOMAIN_DISK_BUS_FDC},
        {"usb", "ub", VIR_DOMAIN_DISK_BUS_USB},
        {"sata", "", VIR_DOMAIN_DISK_BUS_SATA},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(buses); i++)
        if (disk->busText
                ? g_str_equal(disk->busText, buses[i].name)
                : *buses[i].prefix && g_str_has_prefix(disk->target, buses[i].prefix))
            return buses[i].bus;
    return VIR_DOMAIN_DISK_BUS_NONE;
}

static gboolean
virDomainCheckDiskBus(virDomainDef *def, virDomainDisk *disk, GError **error)
{
    if (strlen(disk->target) > VIR_DOMAIN_MAX_TARGET ||
        virDomainDiskIndex(disk->target) < 0)
        return virDomainDiskError(disk, error, "'%s' is not a disk name like 'vda'",
                                  disk->target);
    disk->device = g_strcmp0(disk->deviceText, "cdrom") == 0    ? VIR_DOMAIN_DISK_CDROM
                   : g_strcmp0(disk->deviceText, "floppy") == 0 ? VIR_DOMAIN_DISK_FLOPPY
                                                                : VIR_DOMAIN_DISK_DISK;
    disk->bus = virDomainDiskBusOf(disk);
    if (disk->bus == VIR_DOMAIN_DISK_BUS_NONE)
        return virDomainDiskError(disk, error,
                                  "<target> has no bus, and its name tells none");
    if ((disk->device == VIR_DOMAIN_DISK_FLOPPY) !=
        (disk->bus == VIR_DOMAIN_DISK_BUS_FDC))
        return virDomainDiskError(disk, error,
                                  "a floppy is on bus 'fdc', and nothing else is");
    if (disk->device == VIR_DOMAIN_DISK_CDROM && disk->bus == VIR_DOMAIN_DISK_BUS_VIRTIO)
        return virDomainDiskError(disk, error, "a cdrom cannot be on bus 'virtio'");
    if (disk->bus == VIR_DOMAIN_DISK_BUS_IDE && def->q35)
        return virDomainDiskError(disk, error, "q35 has no bus 'ide'; use 'sata'");
    if (disk->iothread &&
        (disk->bus != VIR_DOMAIN_DISK_BUS_VIRTIO || disk->iothread > def->iothreads))
        return virDomainDiskError(disk, error,
                                  "iothread %" G_GUINT64_FORMAT
                                  " does not exist, or the bus is not 'virtio'",
                                  disk->iothread);
    return TRUE;
}

static gboolean
virDomainCheckDiskImage(virDomainDisk *disk, GError **error)
{
    disk->isBlock = g_strcmp0(disk->typeText, "block") == 0;
    if (!disk->format)
        disk->format = g_strdup("raw");
    if (!g_str_equal(disk->format, "raw") && !g_str_equal(disk->format, "qcow2") &&
        !virImageInfoKnows(disk->format))
        return virDomainDiskError(disk, error, "format '%s' is not supported",
                                  disk->format);
    if (disk->device == VIR_DOMAIN_DISK_CDROM)
        disk->readOnly = TRUE;
    if (!disk->path && disk->device == VIR_DOMAIN_DISK_DISK)
        return virDomainDiskError(disk, error, "<source> is missing");
    if (!disk->path && disk->backing->len)
        return virDomainDiskError(disk, error, "it is empty, but has a <backingStore>");
    if (disk->path && !g_path_is_absolute(disk->path))
        return virDomainDiskError(disk, error, "'%s' is not an absolute path",
                                  disk->path);
    if (disk->shareable && !g_str_equal(disk->format, "raw"))
        return virDomainDiskError(
            disk, error,
            "<shareable/> needs format 'raw': several writers of one %s "
            "image destroy it",
            disk->format);
    return TRUE;
}

static gboolean
virDomainCheckDiskWords(virDomainDisk *disk, GError **error)
{
    static const char *const scsiOnly = G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS " -_.";

    if (g_strcmp0(disk->cache, "default") == 0)
        g_clear_pointer(&disk->cache, g_free);
    if (g_strcmp0(disk->io, "native") == 0 && disk->cache &&
        !g_str_equal(disk->cache, "none") && !g_str_equal(disk->cache, "directsync"))
        return virDomainDiskError(disk, error,
                                  "io='native' needs cache='none' or 'directsync'");
    if (disk->wwn &&
        (strlen(disk->wwn) != 16 || strspn(disk->wwn, "0123456789abcdefABCDEF") != 16))
        return virDomainDiskError(disk, error, "wwn '%s' has not 16 hex digits",
                                  disk->wwn);
    if (disk->serial && strspn(disk->serial, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS
                               " -_.+:/\\()") != strlen(disk->serial))
        return virDomainDiskError(disk, error, "serial '%s' has odd characters",
                                  disk->serial);
    if ((disk->vendor || disk->product) && disk->bus != VIR_DOMAIN_DISK_BUS_SCSI)
        return virDomainDiskError(disk, error,
                                  "only disks on bus 'scsi' have vendor and product");
    if ((disk->vendor && strspn(disk->vendor, scsiOnly) != strlen(disk->vendor)) ||
        (disk->product && strspn(disk->product, scsiOnly) != strlen(disk->product)))
        return virDomainDiskError(disk, error, "vendor or product has odd characters");
    return TRUE;
}

gboolean
virDomainCheckDisks(virDomainDef *def, GError **error)
{
    g_autoptr(GHashTable) targets = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < def->disks->len; i++) {
        virDomainDisk *disk = g_ptr_array_index(def->disks, i);

        if (!virDomainCheckDiskBus(def, disk, error) ||
            !virDomainCheckDiskImage(disk, error) ||
            !virDomainCheckDiskWords(disk, error))
            return FALSE;
        if (!g_hash_table_add(targets, disk->target))
            return virDomainDiskError(disk, error, "there are two disks of this name");
    }
    return TRUE;
}

gboolean
virDomainCheckDiskDirectIo(const virDomainDef *def, const virDomainDisk *disk,
                           GError **error)
{
    if (!def->directIoRequired || !virDomainDiskIsWritable(disk) ||
        virDomainDiskIsDirect(def, disk))
        return TRUE;
    return virDomainDiskError(
        disk, error,
        "cache='%s' keeps writes in this host's page cache, from where they reach the "
        "storage after another host has taken the lease; use cache='none' or "
        "'directsync', or --unsafe-cache",
        disk->cache);
}

gboolean
virDomainDefRequireDirectIo(virDomainDef *def, GError **error)
{
    def->directIoRequired = !(def->flags & VIR_DOMAIN_LOCK_CREATE_UNSAFE_CACHE);
    for (guint i = 0; i < def->disks->len; i++)
        if (!virDomainCheckDiskDirectIo(def, g_ptr_array_index(def->disks, i), error))
            return FALSE;
    return virDomainForeignCheckCache(def, error);
}

/* --- boot order ----------------------------------------------------------------------------- */

static guint64 *
virDomainBootOrderOf(virDomainDef *def, guint i)
{
    guint disks = def->disks->len, nics = def->nics->len;

    if (i < disks)
        return &((virDomainDisk *)g_ptr_array_index(def->disks, i))->dev.bootOrder;
    if (i < disks + nics)
        return &((virDomainNic *)g_ptr_array_index(def->nics, i - disks))->dev.bootOrder;
    if (i < disks + nics + def->chars->len)
        return &((virDomainChar *)g_ptr_array_index(def->chars, i - disks - nics))
                    ->dev.bootOrder;
    return NULL;
}

/* <boot dev='hd'/>: the first device of that kind, as libvirt has it. */
static guint64 *
virDomainBootDevice(virDomainDef *def, const char *kind)
{
    virDomainDiskDevice want = g_str_equal(kind, "hd")      ? VIR_DOMAIN_DISK_DISK
                               : g_str_equal(kind, "cdrom") ? VIR_DOMAIN_DISK_CDROM
                                                            : VIR_DOMAIN_DISK_FLOPPY;

    if (g_str_equal(kind, "network"))
        return def->nics->len
                   ? &((virDomainNic *)g_ptr_array_index(def->nics, 0))->dev.bootOrder
                   : NULL;
    for (guint i = 0; i < def->disks->len; i++) {
        virDomainDisk *disk = g_ptr_array_index(def->disks, i);

        if (disk->device == want)
            return &disk->dev.bootOrder;
    }
    return NULL;
}

gboolean
virDomainCheckBoot(virDomainDef *def, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_direct_hash, g_direct_equal);
    guint64 *order;

    for (guint i = 0; (order = virDomainBootOrderOf(def, i)); i++)
        if (*order && !g_hash_table_add(seen, GUINT_TO_POINTER((guint)*order)))
            return virDomainError(
                error, "<boot order='%" G_GUINT64_FORMAT "'/> is there twice", *order);
    if (g_hash_table_size(seen) && def->os.boot->len)
        return virDomainError(error,
                              "<os><boot dev=.../> and <boot order=.../> of devices "
                              "exclude each other");
    for (guint i = 0; i < def->os.boot->len; i++) {
        order = virDomainBootDevice(def, g_ptr_array_index(def->os.boot, i));
        if (order && !*order)
            *order = i + 1;
    }
    /* as libvirt: a description that says nothing boots from its first disk */
    if (!g_hash_table_size(seen) && !def->os.boot->len &&
        (order = virDomainBootDevice(def, "hd")))
        *order = 1;
    return TRUE;
}
