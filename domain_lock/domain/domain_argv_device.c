/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_argv_device.c: controllers, network interfaces and character devices.
 */
#include "config.h"
#include "domain_argv.h"

#include <string.h>

#define VIR_BRIDGE_HELPER "/usr/lib/qemu/qemu-bridge-helper"

/* --- controllers -------------------------------------------------------------------------------- */

static GString *
virControllerPci(const virDomainController *controller)
{
    guint64 chassis = controller->chassis     ? controller->chassis
                      : controller->chassisNr ? controller->chassisNr
                                              : controller->index;
    GString *opts;

    if (g_str_equal(controller->model, "pcie-root-port")) {
        const virDomainAddress *a = &controller->dev.address;

        opts = virOptNew("pcie-root-port");
        g_string_append_printf(
            opts, ",port=%d",
            (int)(controller->port ? controller->port : a->slot << 3 | a->function));
        virOptUint(opts, "chassis", chassis);
        virOptBool(opts, "hotplug", controller->hotplug);
    } else if (g_str_equal(controller->model, "pci-bridge")) {
        opts = virOptNew("pci-bridge");
        virOptUint(opts, "chassis_nr", chassis);
    } else if (g_str_equal(controller->model, "dmi-to-pci-bridge")) {
        opts = virOptNew("i82801b11-bridge");
    } else {
        opts = virOptNew("pcie-pci-bridge");
    }
    return opts;
}

static const char *
virControllerModel(const virDomainController *controller)
{
    static const struct {
        const char *type, *model, *qemu;
    } models[] = {
        {"scsi", "lsilogic", "lsi"},
        {"scsi", "lsisas1068", "mptsas1068"},
        {"scsi", "lsisas1078", "megasas"},
        {"scsi", "vmpvscsi", "pvscsi"},
        {"usb", "piix3-uhci", "piix3-usb-uhci"},
        {"usb", "piix4-uhci", "piix4-usb-uhci"},
        {"usb", "ehci", "usb-ehci"},
        {"usb", "ich9-ehci1", "ich9-usb-ehci1"},
        {"usb", "ich9-uhci1", "ich9-usb-uhci1"},
        {"usb", "ich9-uhci2", "ich9-usb-uhci2"},
        {"usb", "ich9-uhci3", "ich9-usb-uhci3"},
        {"usb", "nec-xhci", "nec-usb-xhci"},
        {"usb", "qemu-xhci", "qemu-xhci"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(models); i++)
        if (g_str_equal(models[i].type, controller->type) &&
            g_strcmp0(models[i].model, controller->model) == 0)
            return models[i].qemu;
    return NULL;
}

gboolean
virDomainControllerIsKnown(const virDomainController *controller)
{
    const char *model = controller->model;

    if (g_str_equal(controller->type, "scsi") ||
        g_str_equal(controller->type, "virtio-serial"))
        if (g_str_equal(model, "virtio-scsi") || g_str_equal(model, "virtio") ||
            g_str_equal(model, "virtio-transitional") ||
            g_str_equal(model, "virtio-non-transitional"))
            return TRUE;
    if (g_str_equal(controller->type, "scsi") || g_str_equal(controller->type, "usb"))
        return virControllerModel(controller) != NULL;
    return g_str_equal(controller->type, "pci") || !model;
}

static GString *
virControllerScsi(const virDomainController *controller)
{
    gboolean plain = g_strcmp0(controller->model, "virtio-scsi") == 0;
    g_autofree char *virtio =
        virVirtioName("virtio-scsi", plain ? NULL : controller->model);
    const char *name = virControllerModel(controller);
    GString *opts = virOptNew(name ? name : virtio);

    if (name)
        return opts;
    if (controller->iothread)
        g_string_append_printf(opts, ",iothread=iothread%d", (int)controller->iothread);
    virOptUint(opts, "num_queues", controller->queues);
    virOptUint(opts, "max_sectors", controller->maxSectors);
    virOptUint(opts, "cmd_per_lun", controller->cmdPerLun);
    return opts;
}

static GString *
virControllerUsb(const virArgv *argv, const virDomainController *controller)
{
    GString *opts = virOptNew(virControllerModel(controller));

    if (controller->hasMaster) {
        const virDomainController *master =
            virDomainFindController(argv->def, "usb", controller->index);

        g_string_append_printf(opts, ",masterbus=%s.0,firstport=%d", master->dev.id,
                               (int)controller->masterStartPort);
    }
    virOptUint(opts, strstr(controller->model, "xhci") ? "p2" : "ports",
               controller->ports);
    if (strstr(controller->model, "xhci"))
        virOptUint(opts, "p3", controller->ports);
    return opts;
}

static GString *
virControllerDevice(const virArgv *argv, const virDomainController *controller)
{
    GString *opts;

    if (g_str_equal(controller->type, "pci"))
        return virControllerPci(controller);
    if (g_str_equal(controller->type, "scsi"))
        return virControllerScsi(controller);
    if (g_str_equal(controller->type, "usb"))
        return virControllerUsb(argv, controller);
    if (g_str_equal(controller->type, "sata"))
        return virOptNew("ich9-ahci");
    if (g_str_equal(controller->type, "fdc"))
        return virOptNew("isa-fdc");
    {
        g_autofree char *name = virVirtioName("virtio-serial", controller->model);

        opts = virOptNew(name);
    }
    virOptUint(opts, "max_ports", controller->ports);
    virOptUint(opts, "vectors", controller->vectors);
    return opts;
}

/* What the board has by itself. */
static gboolean
virControllerIsOnBoard(const virDomainDef *def, const virDomainController *controller)
{
    if (g_str_equal(controller->type, "ide"))
        return TRUE;
    if (g_str_equal(controller->type, "sata"))
        return def->q35 && controller->index == 0;
    if (g_str_equal(controller->type, "fdc"))
        return !def->q35;
    return g_str_equal(controller->type, "pci") && controller->index == 0;
}

static void
virArgvController(virArgv *argv, const virDomainController *controller)
{
    GString *opts;

    if (virControllerIsOnBoard(argv->def, controller))
        return;
    opts = virControllerDevice(argv, controller);
    virOpt(opts, "id", controller->dev.id);
    virOptPci(opts, argv, &controller->dev);
    virArgvAddOpts(argv, "-device", opts);
}

/* The boot order of a floppy is a property of its controller, which may be on board. */
static void
virArgvFloppyBoot(virArgv *argv)
{
    for (guint i = 0; i < argv->def->disks->len; i++) {
        const virDomainDisk *disk = g_ptr_array_index(argv->def->disks, i);
        g_autofree char *property =
            g_strdup_printf("isa-fdc.bootindex%c=%d", disk->dev.address.unit ? 'B' : 'A',
                            (int)disk->dev.bootOrder);

        if (disk->bus == VIR_DOMAIN_DISK_BUS_FDC && disk->dev.bootOrder)
            virArgvAdd(argv, "-global", property);
    }
}

void
virArgvControllers(virArgv *argv)
{
    GPtrArray *controllers = argv->def->controllers;

    virArgvFloppyBoot(argv);
    /* buses first, and a bridge before what is behind it: those have the higher index */
    for (guint64 index = 1; index < 256; index++) {
        const virDomainController *pci = virDomainFindController(argv->def, "pci", index);

        if (pci)
            virArgvController(argv, pci);
    }
    /* a companion of an EHCI controller after it */
    for (int companion = 0; companion < 2; companion++)
        for (guint i = 0; i < controllers->len; i++) {
            const virDomainController *controller = g_ptr_array_index(controllers, i);

            if (!g_str_equal(controller->type, "pci") &&
                controller->hasMaster == companion)
                virArgvController(argv, controller);
        }
}

/* --- network -------------------------------------------------------------------------------------- */

static void
virArgvNetdev(virArgv *argv, const virDomainNic *nic)
{
    gboolean vhost = g_strcmp0(nic->driverName, "vhost") == 0;
    GString *opts;

    if (g_str_equal(nic->type, "user")) {
        opts = virOptNew("user");
    } else if (g_str_equal(nic->type, "bridge")) {
        opts = virOptNew("tap");
        virOpt(opts, "br", nic->sourceBridge);
        virOpt(opts, "helper", VIR_BRIDGE_HELPER);
    } else {
        opts = virOptNew("tap");
        virOpt(opts, "ifname", nic->targetDev);
        g_string_append(opts, ",script=no,downscript=no");
    }
    if (vhost && !g_str_equal(nic->type, "user"))
        virOpt(opts, "vhost", "on");
    if (g_str_equal(nic->type, "ethernet"))
        virOptUint(opts, "queues", nic->queues);
    g_string_append_printf(opts, ",id=host%s", nic->dev.id);
    virArgvAddOpts(argv, "-netdev", opts);
}

void
virArgvNics(virArgv *argv)
{
    for (guint i = 0; i < argv->def->nics->len; i++) {
        const virDomainNic *nic = g_ptr_array_index(argv->def->nics, i);
        gboolean virtio = g_str_has_prefix(nic->model, "virtio");
        g_autofree char *virtioName = virVirtioName("virtio-net", nic->model);
        GString *opts = virOptNew(virtio ? virtioName : nic->model);

        virArgvNetdev(argv, nic);
        g_string_append_printf(opts, ",netdev=host%s", nic->dev.id);
        virOpt(opts, "id", nic->dev.id);
        virOpt(opts, "mac", nic->mac);
        virOptPci(opts, argv, &nic->dev);
        virOptBoot(opts, &nic->dev);
        if (virtio) {
            virOptUint(opts, "rx_queue_size", nic->rxQueue);
            virOptUint(opts, "tx_queue_size", nic->txQueue);
            virOptUint(opts, "host_mtu", nic->mtu);
            if (nic->queues > 1 && g_str_equal(nic->type, "ethernet"))
                g_string_append_printf(opts, ",mq=on,vectors=%d",
                                       (int)nic->queues * 2 + 2);
        }
        if (nic->romEnabled == VIR_XML_NO)
            g_string_append(opts, ",romfile=");
        virOptBool(opts, "rombar", nic->romBar);
        virOpt(opts, "romfile", nic->romFile);
        virArgvAddOpts(argv, "-device", opts);
    }
}

/* --- character devices ------------------------------------------------------------------------------ */

static GString *
virCharBackend(const virArgv *argv, const virDomainChar *chr, const char *id)
{
    gboolean connect = g_strcmp0(chr->mode, "connect") == 0;
    const char *type = g_str_equal(chr->type, "unix") || g_str_equal(chr->type, "tcp")
                           ? "socket"
                       : g_str_equal(chr->type, "dev") ? "serial"
                                                       : chr->type;
    GString *opts = virOptNew(type);

    virOpt(opts, "id", id);
    if (g_str_equal(chr->type, "unix")) {
        g_autofree char *path = virDomainCharSocket(chr, argv->context->runDir);

        virOpt(opts, "path", path);
    } else if (g_str_equal(chr->type, "tcp")) {
        virOpt(opts, "host", chr->host);
        virOpt(opts, "port", chr->service);
        if (g_strcmp0(chr->protocol, "telnet") == 0)
            virOpt(opts, "telnet", "on");
    } else if (g_str_equal(chr->type, "file") || g_str_equal(chr->type, "dev")) {
        virOpt(opts, "path", chr->path);
        virOptBool(opts, "append", chr->append);
    } else if (g_str_equal(chr->type, "spicevmc")) {
        virOpt(opts, "name",
               chr->class == VIR_DOMAIN_CHAR_REDIR ? "usbredir" : "vdagent");
    } else if (g_str_equal(chr->type, "spiceport")) {
        virOpt(opts, "name", chr->spiceChannel);
    }
    if (g_str_equal(type, "socket") && !connect)
        g_string_append(opts, ",server=on,wait=off");
    virOpt(opts, "logfile", chr->logFile);
    virOptBool(opts, "logappend", chr->logAppend);
    return opts;
}

static void
virCharOptUsb(const virArgv *argv, const virDomainChar *chr, GString *opts)
{
    g_autofree char *bus = virUsbBus(argv, &chr->dev);

    virOpt(opts, "bus", bus);
    virOpt(opts, "port", chr->dev.address.usbPort);
}

static GString *
virCharVirtio(const virDomainChar *chr)
{
    const virDomainAddress *a = &chr->dev.address;
    GString *opts = virOptNew(chr->class == VIR_DOMAIN_CHAR_CHANNEL ? "virtserialport"
                                                                    : "virtconsole");

    g_string_append_printf(opts, ",bus=virtio-serial%d.0,nr=%d", (int)a->controller,
                           (int)a->port);
    if (chr->class == VIR_DOMAIN_CHAR_CHANNEL)
        virOpt(opts, "name", chr->targetName);
    return opts;
}

static GString *
virCharFrontend(const virArgv *argv, const virDomainChar *chr, guint n)
{
    const char *target = chr->targetType ? chr->targetType : "isa-serial";
    GString *opts;

    if (virDomainCharIsVirtio(chr))
        return virCharVirtio(chr);
    if (chr->class == VIR_DOMAIN_CHAR_PARALLEL)
        return virOptNew("isa-parallel");
    if (chr->class == VIR_DOMAIN_CHAR_REDIR) {
        opts = virOptNew("usb-redir");
        virCharOptUsb(argv, chr, opts);
        virOptBoot(opts, &chr->dev);
        return opts;
    }
    opts = virOptNew(g_str_equal(target, "isa-debug") ? "isa-debugcon" : target);
    if (g_str_equal(target, "usb-serial"))
        virCharOptUsb(argv, chr, opts);
    else if (g_str_equal(target, "pci-serial"))
        virOptPci(opts, argv, &chr->dev);
    else if (g_str_equal(target, "isa-serial"))
        g_string_append_printf(opts, ",index=%u", n);
    return opts;
}

void
virArgvChars(virArgv *argv)
{
    guint serials = 0;

    for (guint i = 0; i < argv->def->chars->len; i++) {
        const virDomainChar *chr = g_ptr_array_index(argv->def->chars, i);
        g_autofree char *backend = g_strdup_printf("char%s", chr->dev.id);
        GString *front = virCharFrontend(argv, chr, serials);

        if (chr->class == VIR_DOMAIN_CHAR_SERIAL &&
            (!chr->targetType || g_str_equal(chr->targetType, "isa-serial")))
            serials++;
        virArgvAddOpts(argv, "-chardev", virCharBackend(argv, chr, backend));
        virOpt(front, "chardev", backend);
        virOpt(front, "id", chr->dev.id);
        virArgvAddOpts(argv, "-device", front);
    }
}
