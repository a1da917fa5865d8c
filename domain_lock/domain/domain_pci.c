/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_pci.c: PCI addresses. What the description places stays there; the rest is placed
 * in its order. On q35 a device that a user may want to unplug gets a root port of its own
 * (and some ports stay free), on pc a slot of the root bus or, when that is full, of a bridge.
 */
#include "config.h"
#include "domain_priv.h"

#include <string.h>

#define VIR_PCI_BUSES 256
#define VIR_PCI_SLOTS 32
#define VIR_PCI_SPARE_PORTS 2
#define VIR_PCI_BRIDGE_SLOTS 4

typedef enum {
    VIR_PCI_BUS_ABSENT = 0,
    VIR_PCI_BUS_ROOT,   /* pci.0, pcie.0: slots 1 to 31 */
    VIR_PCI_BUS_PORT,   /* a root port: slot 0 only */
    VIR_PCI_BUS_BRIDGE, /* slots 1 to 31 */
} virPciBusKind;

typedef struct _virPci {
    virDomainDef *def;
    virPciBusKind kind[VIR_PCI_BUSES];
    guint8 used[VIR_PCI_BUSES][VIR_PCI_SLOTS]; /* a bit for each function */
    guint64 portSlot;                          /* of the root ports that we add */
    guint portFunction;
} virPci;

/* --- which devices there are --------------------------------------------------------------- */

static gboolean
virPciControllerIsDevice(const virDomainDef *def, const virDomainController *controller)
{
    if (g_str_equal(controller->type, "ide") || g_str_equal(controller->type, "fdc"))
        return FALSE; /* part of the chipset, or on ISA */
    if (g_str_equal(controller->type, "sata"))
        return !def->q35 || controller->index;
    return !g_str_equal(controller->type, "pci") || controller->index;
}

typedef struct _virPciDevice {
    virDomainDevice *dev;
    gboolean ownPort; /* q35: worth a root port */
    const virDomainController *controller;
} virPciDevice;

static void
virPciList(GPtrArray *list, gpointer dev, gboolean ownPort,
           const virDomainController *controller)
{
    virPciDevice *one = g_new0(virPciDevice, 1);

    one->dev = dev;
    one->ownPort = ownPort;
    one->controller = controller;
    g_ptr_array_add(list, one);
}

static void
virPciListControllers(const virDomainDef *def, GPtrArray *list)
{
    for (guint i = 0; i < def->controllers->len; i++) {
        virDomainController *controller = g_ptr_array_index(def->controllers, i);
        gboolean virtio =
            controller->model && g_str_has_prefix(controller->model, "virtio");
        gboolean xhci = controller->model && strstr(controller->model, "xhci");

        if (virPciControllerIsDevice(def, controller))
            virPciList(list, controller, virtio || xhci, controller);
    }
}

/* Display first, so that it has the slot where guests of old expect it. */
static GPtrArray *
virPciListDevices(const virDomainDef *def)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(g_free);

#define EACH(array, Type, condition, port)                                               \
    for (guint i = 0; i < def->array->len; i++) {                                        \
        Type *d = g_ptr_array_index(def->array, i);                                      \
                                                                                         \
        if (condition)                                                                   \
            virPciList(list, d, port, NULL);                                             \
    }
    EACH(videos, virDomainVideo,
         !g_str_equal(d->model, "none") && !g_str_equal(d->model, "ramfb"), FALSE)
    virPciListControllers(def, list);
    EACH(nics, virDomainNic, TRUE,
         g_str_has_prefix(d->model, "virtio") || g_str_equal(d->model, "e1000e") ||
             g_str_equal(d->model, "vmxnet3"))
    EACH(sounds, virDomainSound, !g_str_equal(d->model, "usb"), FALSE)
    EACH(chars, virDomainChar, g_strcmp0(d->targetType, "pci-serial") == 0, FALSE)
    EACH(inputs, virDomainInput, g_str_equal(d->bus, "virtio"), TRUE)
    EACH(disks, virDomainDisk, d->bus == VIR_DOMAIN_DISK_BUS_VIRTIO, TRUE)
    EACH(watchdogs, virDomainWatchdog, g_str_equal(d->model, "i6300esb"), FALSE)
    EACH(rngs, virDomainRng, TRUE, TRUE)
#undef EACH
    if (!g_str_equal(def->balloon->model, "none"))
        virPciList(list, def->balloon, TRUE, NULL);
    return list;
}

/* --- buses --------------------------------------------------------------------------------- */

static gboolean
virPciAddBus(virPci *pci, const virDomainController *controller, GError **error)
{
    static const struct {
        const char *model;
        virPciBusKind kind;
        gboolean q35;
    } kinds[] = {
        {"pci-root", VIR_PCI_BUS_ROOT, FALSE},
        {"pci-bridge", VIR_PCI_BUS_BRIDGE, FALSE},
        {"pcie-root", VIR_PCI_BUS_ROOT, TRUE},
        {"pcie-root-port", VIR_PCI_BUS_PORT, TRUE},
        {"pcie-to-pci-bridge", VIR_PCI_BUS_BRIDGE, TRUE},
        {"dmi-to-pci-bridge", VIR_PCI_BUS_BRIDGE, TRUE},
        {"pci-bridge", VIR_PCI_BUS_BRIDGE, TRUE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (g_strcmp0(controller->model, kinds[i].model) == 0 &&
            kinds[i].q35 == pci->def->q35 &&
            (controller->index == 0) == (kinds[i].kind == VIR_PCI_BUS_ROOT)) {
            pci->kind[controller->index] = kinds[i].kind;
            return TRUE;
        }
    return virDomainError(error,
                          "domain XML line %ld: PCI controller %d of model '%s' is not "
                          "supported on this machine",
                          controller->dev.line, (int)controller->index,
                          controller->model ? controller->model : "(none)");
}

static gboolean
virPciAddBuses(virPci *pci, GError **error)
{
    for (guint i = 0; i < pci->def->controllers->len; i++) {
        const virDomainController *controller =
            g_ptr_array_index(pci->def->controllers, i);

        if (g_str_equal(controller->type, "pci") && !virPciAddBus(pci, controller, error))
            return FALSE;
    }
    pci->kind[0] = VIR_PCI_BUS_ROOT;
    pci->used[0][0] = 0xff;
    if (pci->def->q35)
        pci->used[0][31] = 1 << 0 | 1 << 2 | 1 << 3; /* LPC, SATA, SMBus */
    else
        pci->used[0][1] = 1 << 0 | 1 << 1 | 1 << 3; /* ISA, IDE, power management */
    return TRUE;
}

static gboolean
virPciSlotExists(const virPci *pci, guint64 bus, guint64 slot)
{
    switch (pci->kind[bus]) {
    case VIR_PCI_BUS_PORT:
        return slot == 0;
    case VIR_PCI_BUS_ROOT:
    case VIR_PCI_BUS_BRIDGE:
        return slot > 0 && slot < VIR_PCI_SLOTS;
    case VIR_PCI_BUS_ABSENT:
        break;
    }
    return FALSE;
}

/* A place that the description gives. */
static gboolean
virPciTake(virPci *pci, const virDomainDevice *dev, GError **error)
{
    const virDomainAddress *a = &dev->address;
    g_autofree char *words =
        g_strdup_printf("PCI bus %d, slot 0x%02x, function %d", (int)a->bus,
                        (guint)a->slot, (int)a->function);

    if (!virPciSlotExists(pci, a->bus, a->slot))
        return virDomainError(error, "domain XML line %ld: %s does not exist", dev->line,
                              words);
    if (pci->used[a->bus][a->slot] & (1 << a->function))
        return virDomainError(error,
                              "domain XML line %ld: %s is taken by another device or the "
                              "chipset",
                              dev->line, words);
    pci->used[a->bus][a->slot] |= (guint8)(1 << a->function);
    return TRUE;
}

static void
virPciPlace(virPci *pci, virDomainDevice *dev, guint64 bus, guint64 slot,
            guint64 function)
{
    dev->address.type = VIR_DOMAIN_ADDRESS_PCI;
    dev->address.bus = bus;
    dev->address.slot = slot;
    dev->address.function = function;
    pci->used[bus][slot] |= (guint8)(1 << function);
}

/* A free slot on a bus of this kind; slot 31 is the last. */
static gboolean
virPciFindSlot(const virPci *pci, virPciBusKind kind, guint64 *bus, guint64 *slot)
{
    for (*bus = 0; *bus < VIR_PCI_BUSES; (*bus)++)
        for (*slot = 0; pci->kind[*bus] == kind && *slot < VIR_PCI_SLOTS; (*slot)++)
            if (virPciSlotExists(pci, *bus, *slot) && pci->used[*bus][*slot] == 0)
                return TRUE;
    return FALSE;
}

static virDomainController *
virPciNewController(virPci *pci, const char *model, virPciBusKind kind)
{
    virDomainController *controller;
    guint64 index = 1;

    while (index < VIR_PCI_BUSES && pci->kind[index] != VIR_PCI_BUS_ABSENT)
        index++;
    if (index == VIR_PCI_BUSES)
        return NULL;
    pci->kind[index] = kind;
    controller = virDomainAddController(pci->def, "pci", index, model);
    controller->dev.id = g_strdup_printf("pci.%d", (int)index);
    return controller;
}

/* --- placing --------------------------------------------------------------------------------- */

/* Eight root ports share a slot of pcie.0. */
static gboolean
virPciAddPort(virPci *pci)
{
    virDomainController *port;
    guint64 bus;

    if (pci->portFunction == 0 || pci->portFunction == 8) {
        if (!virPciFindSlot(pci, VIR_PCI_BUS_ROOT, &bus, &pci->portSlot))
            return FALSE;
        pci->portFunction = 0;
    }
    port = virPciNewController(pci, "pcie-root-port", VIR_PCI_BUS_PORT);
    if (!port)
        return FALSE;
    virPciPlace(pci, &port->dev, 0, pci->portSlot, pci->portFunction);
    port->dev.address.multifunction =
        pci->portFunction == 0 ? VIR_XML_YES : VIR_XML_ABSENT;
    pci->portFunction++;
    return TRUE;
}

static gboolean
virPciPlaceQ35(virPci *pci, const virPciDevice *device)
{
    virPciBusKind kind = device->ownPort ? VIR_PCI_BUS_PORT : VIR_PCI_BUS_ROOT;
    guint64 bus, slot;

    if (!virPciFindSlot(pci, kind, &bus, &slot) &&
        (!device->ownPort || !virPciAddPort(pci) ||
         !virPciFindSlot(pci, kind, &bus, &slot)))
        return FALSE;
    virPciPlace(pci, device->dev, bus, slot, 0);
    return TRUE;
}

/* The last slots of the root bus are for bridges, 31 devices each. */
static gboolean
virPciPlacePc(virPci *pci, const virPciDevice *device)
{
    virDomainController *bridge;
    guint64 bus, slot;
    guint left = 0;

    for (slot = 1; slot < VIR_PCI_SLOTS; slot++)
        left += pci->used[0][slot] == 0;
    if (left > VIR_PCI_BRIDGE_SLOTS &&
        virPciFindSlot(pci, VIR_PCI_BUS_ROOT, &bus, &slot)) {
        virPciPlace(pci, device->dev, bus, slot, 0);
        return TRUE;
    }
    if (!virPciFindSlot(pci, VIR_PCI_BUS_BRIDGE, &bus, &slot)) {
        if (!virPciFindSlot(pci, VIR_PCI_BUS_ROOT, &bus, &slot))
            return FALSE;
        bridge = virPciNewController(pci, "pci-bridge", VIR_PCI_BUS_BRIDGE);
        if (!bridge)
            return FALSE;
        virPciPlace(pci, &bridge->dev, bus, slot, 0);
        if (!virPciFindSlot(pci, VIR_PCI_BUS_BRIDGE, &bus, &slot))
            return FALSE;
    }
    virPciPlace(pci, device->dev, bus, slot, 0);
    return TRUE;
}

static gboolean
virPciPlaceFixed(virPci *pci, const virPciDevice *device)
{
    const virDomainController *controller = device->controller;
    gboolean piix = controller && g_strcmp0(controller->model, "piix3-uhci") == 0;

    if (piix && !pci->def->q35 && !(pci->used[0][1] & (1 << 2))) {
        virPciPlace(pci, device->dev, 0, 1, 2); /* where the chipset has its USB */
        return TRUE;
    }
    return FALSE;
}

gboolean
virDomainAssignPci(virDomainDef *def, GError **error)
{
    g_autofree virPci *pci = g_new0(virPci, 1);
    g_autoptr(GPtrArray) devices = virPciListDevices(def);
    gboolean placedByUser = FALSE;

    pci->def = def;
    if (!virPciAddBuses(pci, error))
        return FALSE;
    for (guint i = 0; i < devices->len; i++) {
        virPciDevice *device = g_ptr_array_index(devices, i);

        if (device->dev->address.type != VIR_DOMAIN_ADDRESS_PCI)
            continue;
        placedByUser = TRUE;
        if (!virPciTake(pci, device->dev, error))
            return FALSE;
    }
    for (guint i = 0; i < devices->len; i++) {
        virPciDevice *device = g_ptr_array_index(devices, i);

        if (device->dev->address.type == VIR_DOMAIN_ADDRESS_PCI ||
            virPciPlaceFixed(pci, device))
            continue;
        if (!(def->q35 ? virPciPlaceQ35(pci, device) : virPciPlacePc(pci, device)))
            return virDomainError(error,
                                  "there are more PCI devices than places for them");
    }
    for (guint i = 0; def->q35 && !placedByUser && i < VIR_PCI_SPARE_PORTS; i++)
        if (!virPciAddPort(pci))
            break; /* a full machine has none to spare */
    return TRUE;
}

/* A running machine gets no new bus: a slot that is there has to do. */
static gboolean
virPciPlaceHot(virPci *pci, virDomainDevice *dev, GError **error)
{
    virPciBusKind first = pci->def->q35 ? VIR_PCI_BUS_PORT : VIR_PCI_BUS_ROOT;
    guint64 bus, slot;

    if (!virPciFindSlot(pci, first, &bus, &slot) &&
        !virPciFindSlot(pci, VIR_PCI_BUS_BRIDGE, &bus, &slot))
        return virDomainError(error,
                              "the running guest has no free %s for another device",
                              pci->def->q35 ? "PCIe root port" : "PCI slot");
    virPciPlace(pci, dev, bus, slot, 0);
    return TRUE;
}

gboolean
virDomainAssignHotPci(virDomainDef *def, virDomainDevice *dev, GError **error)
{
    g_autofree virPci *pci = g_new0(virPci, 1);
    g_autoptr(GPtrArray) devices = virPciListDevices(def);

    pci->def = def;
    if (!virPciAddBuses(pci, error))
        return FALSE;
    for (guint i = 0; i < devices->len; i++) {
        const virDomainDevice *other =
            ((virPciDevice *)g_ptr_array_index(devices, i))->dev;

        if (other != dev && !virPciTake(pci, other, error))
            return FALSE;
    }
    return dev->address.type == VIR_DOMAIN_ADDRESS_PCI ? virPciTake(pci, dev, error)
                                                       : virPciPlaceHot(pci, dev, error);
}
