/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_usb.c: ports of USB devices. Left alone, QEMU gives each device the first port that
 * is free when it comes, so that a guest which was unplugged a device has its others at ports
 * that a fresh QEMU would not give them.
 */
#include "config.h"
#include "domain_priv.h"

#include <string.h>

#define VIR_USB_MAX_PORTS 15

/* As QEMU 7.2 has them; 0: not known. */
static guint
virUsbCountPorts(const virDomainController *controller)
{
    static const struct {
        const char *word;
        guint ports;
    } kinds[] = {{"xhci", 4}, {"ehci", 6}, {"ohci", 3}, {"uhci", 2}};

    if (controller->ports)
        return (guint)MIN(controller->ports, VIR_USB_MAX_PORTS);
    for (gsize i = 0; controller->model && i < G_N_ELEMENTS(kinds); i++)
        if (strstr(controller->model, kinds[i].word))
            return kinds[i].ports;
    return 0;
}

static void
virUsbList(const virDomainDef *def, GPtrArray *list)
{
#define EACH(array, Type, condition)                                                     \
    for (guint i = 0; i < def->array->len; i++) {                                        \
        Type *d = g_ptr_array_index(def->array, i);                                      \
                                                                                         \
        if (condition)                                                                   \
            g_ptr_array_add(list, &d->dev);                                              \
    }
    EACH(hubs, virDomainInput, TRUE)
    EACH(inputs, virDomainInput, g_strcmp0(d->bus, "usb") == 0)
    EACH(chars, virDomainChar,
         d->class == VIR_DOMAIN_CHAR_REDIR || g_strcmp0(d->targetType, "usb-serial") == 0)
    EACH(sounds, virDomainSound, g_str_equal(d->model, "usb"))
    EACH(disks, virDomainDisk, d->bus == VIR_DOMAIN_DISK_BUS_USB)
#undef EACH
}

static guint64
virUsbBusOf(const virDomainDevice *dev)
{
    return dev->address.type == VIR_DOMAIN_ADDRESS_USB ? dev->address.bus : 0;
}

/* "2", not "2.1", which is behind a hub. */
static void
virUsbTake(const virDomainDevice *dev, gboolean *taken)
{
    guint64 port = 0;

    if (dev->address.usbPort && virXmlParseNumber(dev->address.usbPort, 0, &port) &&
        port <= VIR_USB_MAX_PORTS)
        taken[port] = TRUE;
}

static gboolean
virUsbFindPort(const GPtrArray *devices, const virDomainController *controller,
               guint *port)
{
    gboolean taken[VIR_USB_MAX_PORTS + 1] = {FALSE};
    guint ports = virUsbCountPorts(controller);

    for (guint i = 0; i < devices->len; i++) {
        const virDomainDevice *dev = g_ptr_array_index(devices, i);

        if (virUsbBusOf(dev) == controller->index)
            virUsbTake(dev, taken);
    }
    for (*port = 1; *port <= ports && taken[*port]; (*port)++)
        ;
    return *port <= ports;
}

static void
virUsbPlace(virDomainDevice *dev, guint64 bus, guint port)
{
    dev->address.type = VIR_DOMAIN_ADDRESS_USB;
    dev->address.bus = bus;
    dev->address.usbPort = g_strdup_printf("%u", port);
}

/* More devices than ports: QEMU puts hubs between, at ports of its own choice. */
static gboolean
virUsbOverflows(const GPtrArray *devices, const virDomainController *controller)
{
    guint n = 0;

    for (guint i = 0; i < devices->len; i++) {
        const virDomainDevice *dev = g_ptr_array_index(devices, i);

        n += virUsbBusOf(dev) == controller->index &&
             !(dev->address.usbPort && strchr(dev->address.usbPort, '.'));
    }
    return n > virUsbCountPorts(controller);
}

void
virDomainAssignUsb(virDomainDef *def)
{
    g_autoptr(GPtrArray) devices = g_ptr_array_new();

    virUsbList(def, devices);
    for (guint i = 0; i < devices->len; i++) {
        virDomainDevice *dev = g_ptr_array_index(devices, i);
        guint64 bus = virUsbBusOf(dev);
        const virDomainController *controller = virDomainFindController(def, "usb", bus);
        guint port;

        if (!dev->address.usbPort && controller &&
            !virUsbOverflows(devices, controller) &&
            virUsbFindPort(devices, controller, &port))
            virUsbPlace(dev, bus, port);
    }
}

gboolean
virDomainAssignHotUsb(virDomainDef *def, virDomainDisk *disk, GError **error)
{
    g_autoptr(GPtrArray) devices = g_ptr_array_new();
    guint64 bus = virUsbBusOf(&disk->dev);
    const virDomainController *controller = virDomainFindController(def, "usb", bus);
    guint port;

    virUsbList(def, devices);
    if (!controller)
        return virDomainError(
            error,
            "disk '%s': the running guest has no usb controller %u for it; add one to "
            "its description and start it anew, or use bus 'virtio'",
            disk->target, (guint)bus);
    if (disk->dev.address.usbPort)
        return TRUE;
    if (!virUsbFindPort(devices, controller, &port))
        return virDomainError(
            error,
            "disk '%s': all %u ports of usb controller %u are in use; detach something, "
            "or use bus 'scsi' or 'virtio'",
            disk->target, virUsbCountPorts(controller), (guint)bus);
    virUsbPlace(&disk->dev, bus, port);
    return TRUE;
}
