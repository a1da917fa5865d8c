/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_argv_disk.c: -blockdev and -device of disks.
 *
 * The whole backing chain is spelled out as it was read, with node names of ours
 * ("vda-0-storage", "vda-0-format", "vda-1-storage", ...), so that QEMU opens nothing that it
 * finds in a header by itself. The number is the image's, not its place: an image that comes
 * while the guest runs (another medium, an overlay) has a name beside those that go.
 */
#include "config.h"
#include "domain_argv.h"

#include <json-glib/json-glib.h>
#include <string.h>

/* --- nodes ------------------------------------------------------------------------------------ */

static void
virArgvAddJson(virArgv *argv, const char *option, JsonObject *object)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);

    json_node_take_object(node, object);
    g_ptr_array_add(argv->args, g_strdup(option));
    g_ptr_array_add(argv->args, json_to_string(node, FALSE));
}

static void
virJsonSetCache(JsonObject *node, gboolean direct, gboolean noFlush)
{
    JsonObject *cache = json_object_new();

    json_object_set_boolean_member(cache, "direct", direct);
    json_object_set_boolean_member(cache, "no-flush", noFlush);
    json_object_set_object_member(node, "cache", cache);
}

static gboolean
virDiskNoFlush(const virDomainDisk *disk)
{
    return disk && g_strcmp0(disk->cache, "unsafe") == 0;
}

void
virArgvFileNode(virArgv *argv, const char *path, gboolean isBlock, const char *node,
                gboolean readOnly, gboolean direct, const virDomainDisk *disk)
{
    JsonObject *object = json_object_new();
    /* io=native needs O_DIRECT, which a backing file's storage may not have */
    gboolean native = disk && g_strcmp0(disk->io, "native") == 0;

    json_object_set_string_member(object, "driver", isBlock ? "host_device" : "file");
    json_object_set_string_member(object, "filename", path);
    json_object_set_string_member(object, "node-name", node);
    json_object_set_boolean_member(object, "read-only", readOnly);
    json_object_set_boolean_member(object, "auto-read-only", FALSE);
    if (disk && disk->io && (!native || direct))
        json_object_set_string_member(object, "aio", disk->io);
    if (disk && disk->discard)
        json_object_set_string_member(object, "discard", disk->discard);
    virJsonSetCache(object, direct, virDiskNoFlush(disk));
    virArgvAddJson(argv, "-blockdev", object);
}

/* The format node of image @i; its storage node and everything below are there already. */
static void
virArgvFormatNode(virArgv *argv, const virDomainDisk *disk, guint i, gboolean readOnly,
                  gboolean direct)
{
    const virImage *image = g_ptr_array_index(disk->chain->images, i);
    gboolean top = i == 0, bottom = i + 1 == disk->chain->images->len;
    g_autofree char *node = virDomainNodeName(disk, image, "format");
    g_autofree char *file = virDomainNodeName(disk, image, "storage");
    g_autofree char *data = virDomainNodeName(disk, image, "data");
    g_autofree char *below =
        bottom ? NULL
               : virDomainNodeName(disk, g_ptr_array_index(disk->chain->images, i + 1),
                                   "format");
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "driver", image->format);
    json_object_set_string_member(object, "node-name", node);
    json_object_set_boolean_member(object, "read-only", readOnly);
    if (top && disk->discard)
        json_object_set_string_member(object, "discard", disk->discard);
    if (top && disk->detectZeroes)
        json_object_set_string_member(object, "detect-zeroes", disk->detectZeroes);
    virJsonSetCache(object, direct, virDiskNoFlush(disk));
    json_object_set_string_member(object, "file", file);
    if (image->dataFile)
        json_object_set_string_member(object, "data-file", data);
    if (!bottom)
        json_object_set_string_member(object, "backing", below);
    else if (g_str_equal(image->format, "qcow2") || g_str_equal(image->format, "qed") ||
             g_str_equal(image->format, "vmdk") || g_str_equal(image->format, "qcow"))
        json_object_set_null_member(object, "backing");
    virArgvAddJson(argv, "-blockdev", object);
}

void
virArgvDiskNodes(virArgv *argv, const virDomainDisk *disk)
{
    for (guint i = disk->chain->images->len; i-- > 0;) {
        const virImage *image = g_ptr_array_index(disk->chain->images, i);
        gboolean readOnly = i > 0 || disk->readOnly;
        gboolean direct = virDomainDiskIsDirect(argv->def, disk) && image->directIo;
        g_autofree char *storage = virDomainNodeName(disk, image, "storage");
        g_autofree char *data = virDomainNodeName(disk, image, "data");

        virArgvFileNode(argv, image->path, image->isBlock, storage, readOnly, direct,
                        disk);
        if (image->dataFile)
            virArgvFileNode(argv, image->dataFile, image->dataFileIsBlock, data, readOnly,
                            direct, disk);
        virArgvFormatNode(argv, disk, i, readOnly, direct);
    }
}

/* --- devices ------------------------------------------------------------------------------------ */

static GString *
virDiskVirtio(const virArgv *argv, const virDomainDisk *disk)
{
    g_autofree char *name = virVirtioName("virtio-blk", disk->model);
    GString *opts = virOptNew(name);

    virOptBool(opts, "ioeventfd", disk->ioeventfd);
    virOptBool(opts, "event_idx", disk->eventIdx);
    virOptBool(opts, "packed", disk->packed);
    virOptUint(opts, "num-queues", disk->queues);
    virOptUint(opts, "queue-size", disk->queueSize);
    if (disk->iothread)
        g_string_append_printf(opts, ",iothread=iothread%d", (int)disk->iothread);
    virOptPci(opts, argv, &disk->dev);
    return opts;
}

static GString *
virDiskScsi(const virArgv *argv, const virDomainDisk *disk)
{
    const virDomainAddress *a = &disk->dev.address;
    GString *opts =
        virOptNew(disk->device == VIR_DOMAIN_DISK_CDROM ? "scsi-cd" : "scsi-hd");
    const virDomainController *controller =
        virDomainFindController(argv->def, "scsi", a->controller);
    gboolean wide = g_str_has_prefix(controller->model, "virtio");

    g_string_append_printf(opts, ",bus=%s.%d", controller->dev.id, (int)a->bus);
    if (wide)
        g_string_append_printf(opts, ",channel=0,scsi-id=%d,lun=%d", (int)a->target,
                               (int)a->unit);
    else
        g_string_append_printf(opts, ",scsi-id=%d",
                               (int)(a->target ? a->target : a->unit));
    virOpt(opts, "device_id", disk->serial ? disk->serial : disk->dev.id);
    virOpt(opts, "vendor", disk->vendor);
    virOpt(opts, "product", disk->product);
    return opts;
}

/* The AHCI controller of q35 and the IDE controller of pc are on the board; their buses are
 * "ide.0", "ide.1", ... */
static GString *
virDiskAta(const virArgv *argv, const virDomainDisk *disk)
{
    const virDomainAddress *a = &disk->dev.address;
    GString *opts =
        virOptNew(disk->device == VIR_DOMAIN_DISK_CDROM ? "ide-cd" : "ide-hd");

    if (disk->bus == VIR_DOMAIN_DISK_BUS_IDE) {
        g_string_append_printf(opts, ",bus=ide.%d,unit=%d", (int)a->bus, (int)a->unit);
    } else if (argv->def->q35 && a->controller == 0) {
        g_string_append_printf(opts, ",bus=ide.%d", (int)a->unit);
    } else {
        const virDomainController *controller =
            virDomainFindController(argv->def, "sata", a->controller);

        g_string_append_printf(opts, ",bus=%s.%d", controller->dev.id, (int)a->unit);
    }
    return opts;
}

static GString *
virDiskUsb(const virArgv *argv, const virDomainDisk *disk)
{
    GString *opts = virOptNew("usb-storage");
    g_autofree char *bus = virUsbBus(argv, &disk->dev);

    virOpt(opts, "bus", bus);
    virOpt(opts, "port", disk->dev.address.usbPort);
    virOptBool(opts, "removable", disk->removable);
    return opts;
}

static GString *
virDiskFloppy(const virArgv *argv, const virDomainDisk *disk)
{
    GString *opts = virOptNew("floppy");

    if (argv->def->q35) /* on pc the controller on board has no name to give */
        virOpt(opts, "bus", "fdc0.0");
    g_string_append_printf(opts, ",unit=%d", (int)disk->dev.address.unit);
    return opts;
}

static GString *
virDiskDevice(const virArgv *argv, const virDomainDisk *disk)
{
    switch (disk->bus) {
    case VIR_DOMAIN_DISK_BUS_VIRTIO:
        return virDiskVirtio(argv, disk);
    case VIR_DOMAIN_DISK_BUS_SCSI:
        return virDiskScsi(argv, disk);
    case VIR_DOMAIN_DISK_BUS_SATA:
    case VIR_DOMAIN_DISK_BUS_IDE:
        return virDiskAta(argv, disk);
    case VIR_DOMAIN_DISK_BUS_USB:
        return virDiskUsb(argv, disk);
    case VIR_DOMAIN_DISK_BUS_FDC:
        return virDiskFloppy(argv, disk);
    case VIR_DOMAIN_DISK_BUS_NONE:
        break;
    }
    g_assert_not_reached();
}

static void
virDiskCommon(GString *opts, const virDomainDisk *disk)
{
    gboolean writeCache = !disk->cache || !(g_str_equal(disk->cache, "writethrough") ||
                                            g_str_equal(disk->cache, "directsync"));

    if (disk->chain) {
        g_autofree char *top =
            virDomainNodeName(disk, g_ptr_array_index(disk->chain->images, 0), "format");

        g_string_append_printf(opts, ",drive=%s", top);
    }
    virOpt(opts, "id", disk->dev.id);
    if (disk->device == VIR_DOMAIN_DISK_FLOPPY)
        return;
    virOptBoot(opts, &disk->dev);
    if (disk->shareable)
        virOpt(opts, "share-rw", "on");
    if (disk->path && disk->device == VIR_DOMAIN_DISK_DISK)
        virOpt(opts, "write-cache", writeCache ? "on" : "off");
    virOpt(opts, "serial", disk->serial);
    if (disk->wwn)
        g_string_append_printf(opts, ",wwn=0x%s", disk->wwn);
    virOptUint(opts, "logical_block_size", disk->logicalBlock);
    virOptUint(opts, "physical_block_size", disk->physicalBlock);
    virOptUint(opts, "rotation_rate", disk->rotation);
    virOpt(
        opts, "werror",
        disk->errorPolicy
            ? (g_str_equal(disk->errorPolicy, "enospace") ? "enospc" : disk->errorPolicy)
            : NULL);
    virOpt(opts, "rerror", disk->readErrorPolicy);
}

void
virArgvDisk(virArgv *argv, const virDomainDisk *disk)
{
    GString *opts = virDiskDevice(argv, disk);

    if (disk->chain)
        virArgvDiskNodes(argv, disk);
    virDiskCommon(opts, disk);
    virArgvAddOpts(argv, "-device", opts);
}

void
virArgvDisks(virArgv *argv)
{
    for (guint i = 0; i < argv->def->disks->len; i++)
        virArgvDisk(argv, g_ptr_array_index(argv->def->disks, i));
}
