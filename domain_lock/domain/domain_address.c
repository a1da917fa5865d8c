/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_address.c: a place for every device: the disk controllers that disks imply, their
 * units, and PCI slots in domain_pci.c. The result depends on the description only, so that
 * both sides of a migration build the same machine.
 */
#include "config.h"
#include "domain_priv.h"

#include <string.h>

virDomainController *
virDomainFindController(const virDomainDef *def, const char *type, guint64 index)
{
    for (guint i = 0; i < def->controllers->len; i++) {
        virDomainController *controller = g_ptr_array_index(def->controllers, i);

        if (g_str_equal(controller->type, type) && controller->index == index &&
            !controller->hasMaster)
            return controller;
    }
    return NULL;
}

virDomainController *
virDomainAddController(virDomainDef *def, const char *type, guint64 index,
                       const char *model)
{
    virDomainController *controller = virDomainFindController(def, type, index);

    if (controller)
        return controller;
    controller = g_new0(virDomainController, 1);
    controller->type = g_strdup(type);
    controller->index = index;
    controller->model = g_strdup(model);
    g_ptr_array_add(def->controllers, controller);
    return controller;
}

/* --- disks ---------------------------------------------------------------------------------- */

/* How many units a controller of each bus has, and how they are spread. */
static const struct {
    const char *type;
    guint perController, perBus;
    gboolean flat; /* controller has one bus: "unit" counts all */
} virDomainDiskPlaces[] = {
    [VIR_DOMAIN_DISK_BUS_SCSI] = {"scsi", 7, 7, TRUE},
    [VIR_DOMAIN_DISK_BUS_SATA] = {"sata", 6, 6, TRUE},
    [VIR_DOMAIN_DISK_BUS_IDE] = {"ide", 4, 2, FALSE},
    [VIR_DOMAIN_DISK_BUS_FDC] = {"fdc", 2, 2, TRUE},
};

static gboolean
virDomainPlaceDrive(virDomainDef *def, virDomainDisk *disk, GHashTable *taken,
                    GError **error)
{
    virDomainAddress *address = &disk->dev.address;
    const char *type = virDomainDiskPlaces[disk->bus].type;
    guint perController = virDomainDiskPlaces[disk->bus].perController;
    guint perBus = virDomainDiskPlaces[disk->bus].perBus;
    guint index = (guint)virDomainDiskIndex(disk->target);
    g_autofree char *place = NULL;

    if (address->type == VIR_DOMAIN_ADDRESS_NONE) {
        address->type = VIR_DOMAIN_ADDRESS_DRIVE;
        address->controller = index / perController;
        address->bus = index % perController / perBus;
        address->unit = index % perBus;
    }
    place = g_strdup_printf("%s controller %" G_GUINT64_FORMAT ", bus %" G_GUINT64_FORMAT
                            ", target %" G_GUINT64_FORMAT ", unit %" G_GUINT64_FORMAT,
                            type, address->controller, address->bus, address->target,
                            address->unit);
    if (address->type != VIR_DOMAIN_ADDRESS_DRIVE)
        return virDomainError(error, "disk '%s': its <address> must be of type 'drive'",
                              disk->target);
    if (disk->bus != VIR_DOMAIN_DISK_BUS_SCSI &&
        (address->unit >= perBus || address->bus >= perController / perBus ||
         address->target))
        return virDomainError(error, "disk '%s': %s does not exist", disk->target, place);
    if ((disk->bus == VIR_DOMAIN_DISK_BUS_IDE || disk->bus == VIR_DOMAIN_DISK_BUS_FDC) &&
        address->controller)
        return virDomainError(error, "disk '%s': there is one %s controller only",
                              disk->target, type);
    if (!g_hash_table_add(taken, g_strdup(place)))
        return virDomainError(error, "disk '%s': %s is taken by another one",
                              disk->target, place);
    virDomainAddController(def, type, address->controller,
                           disk->bus == VIR_DOMAIN_DISK_BUS_SCSI ? "virtio-scsi" : NULL);
    return TRUE;
}

static char *
virDomainDiskId(const virDomainDisk *disk)
{
    const virDomainAddress *a = &disk->dev.address;
    guint index = (guint)virDomainDiskIndex(disk->target);

    switch (disk->bus) {
    case VIR_DOMAIN_DISK_BUS_VIRTIO:
        return g_strdup_printf("virtio-disk%u", index);
    case VIR_DOMAIN_DISK_BUS_USB:
        return g_strdup_printf("usb-disk%u", index);
    case VIR_DOMAIN_DISK_BUS_SCSI:
        return g_strdup_printf("scsi%d-%d-%d-%d", (int)a->controller, (int)a->bus,
                               (int)a->target, (int)a->unit);
    case VIR_DOMAIN_DISK_BUS_SATA:
    case VIR_DOMAIN_DISK_BUS_IDE:
    case VIR_DOMAIN_DISK_BUS_FDC:
    case VIR_DOMAIN_DISK_BUS_NONE:
        break;
    }
    return g_strdup_printf("%s%d-%d-%d", virDomainDiskPlaces[disk->bus].type,
                           (int)a->controller, (int)a->bus, (int)a->unit);
}

static gboolean
virDomainPlaceDisks(virDomainDef *def, GError **error)
{
    g_autoptr(GHashTable) taken =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < def->disks->len; i++) {
        virDomainDisk *disk = g_ptr_array_index(def->disks, i);

        if (disk->bus == VIR_DOMAIN_DISK_BUS_SCSI ||
            disk->bus == VIR_DOMAIN_DISK_BUS_SATA ||
            disk->bus == VIR_DOMAIN_DISK_BUS_IDE ||
            disk->bus == VIR_DOMAIN_DISK_BUS_FDC) {
            if (!virDomainPlaceDrive(def, disk, taken, error))
                return FALSE;
        }
        if (!disk->dev.id)
            disk->dev.id = virDomainDiskId(disk);
    }
    return TRUE;
}

static gboolean
virDomainCanPlug(const virDomainDisk *disk, GError **error)
{
    if (disk->bus == VIR_DOMAIN_DISK_BUS_VIRTIO ||
        disk->bus == VIR_DOMAIN_DISK_BUS_SCSI || disk->bus == VIR_DOMAIN_DISK_BUS_USB)
        return TRUE;
    g_set_error(
        error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
        "disk '%s': a disk on bus '%s' can neither come nor go while the guest runs; "
        "'virtio', 'scsi' and 'usb' can",
        disk->target, virDomainDiskPlaces[disk->bus].type);
    return FALSE;
}

static gboolean
virDomainDriveIsTaken(const virDomainDef *def, const virDomainAddress *place)
{
    for (guint i = 0; i < def->disks->len; i++) {
        const virDomainDisk *disk = g_ptr_array_index(def->disks, i);
        const virDomainAddress *a = &disk->dev.address;

        if (disk->bus == VIR_DOMAIN_DISK_BUS_SCSI &&
            a->type == VIR_DOMAIN_ADDRESS_DRIVE && a->controller == place->controller &&
            a->bus == place->bus && a->target == place->target && a->unit == place->unit)
            return TRUE;
    }
    return FALSE;
}

/* Guests look no further without being told to. */
#define DOMAIN_HOT_UNITS 256

/* Controllers do not come to a running guest, so the disk goes where there is room: a
 * virtio-scsi controller has more units than the name of a disk tells. */
static void
virDomainFindHotUnit(const virDomainDef *def, virDomainDisk *disk)
{
    guint index = (guint)virDomainDiskIndex(disk->target);
    guint perController = virDomainDiskPlaces[VIR_DOMAIN_DISK_BUS_SCSI].perController;
    const virDomainAddress usual = {.controller = index / perController,
                                    .unit = index % perController};

    if (disk->dev.address.type != VIR_DOMAIN_ADDRESS_NONE ||
        (virDomainFindController(def, "scsi", usual.controller) &&
         !virDomainDriveIsTaken(def, &usual)))
        return;
    for (guint i = 0; i < def->controllers->len; i++) {
        const virDomainController *controller = g_ptr_array_index(def->controllers, i);
        virDomainAddress place = {.type = VIR_DOMAIN_ADDRESS_DRIVE,
                                  .controller = controller->index};

        if (!g_str_equal(controller->type, "scsi") ||
            !g_str_has_prefix(controller->model, "virtio"))
            continue;
        for (place.unit = 0; place.unit < DOMAIN_HOT_UNITS; place.unit++) {
            if (virDomainDriveIsTaken(def, &place))
                continue;
            disk->dev.address = place;
            return;
        }
    }
}

gboolean
virDomainPlaceHotDisk(virDomainDef *def, virDomainDisk *disk, GError **error)
{
    guint controllers = def->controllers->len;
    gboolean placed, missing;

    if (!virDomainCanPlug(disk, error))
        return FALSE;
    if (disk->bus == VIR_DOMAIN_DISK_BUS_SCSI)
        virDomainFindHotUnit(def, disk);
    placed = virDomainPlaceDisks(def, error);
    missing = def->controllers->len > controllers;
    g_ptr_array_set_size(def->controllers, (gint)controllers);
    if (placed && missing)
        return virDomainError(
            error,
            "disk '%s': the running guest has no scsi controller for it; add "
            "one to its description and start it anew, or use bus 'virtio'",
            disk->target);
    if (disk->bus == VIR_DOMAIN_DISK_BUS_USB && placed)
        return virDomainAssignHotUsb(def, disk, error);
    return placed && (disk->bus != VIR_DOMAIN_DISK_BUS_VIRTIO ||
                      virDomainAssignHotPci(def, &disk->dev, error));
}

/* --- buses that other devices imply ------------------------------------------------------------ */

static gboolean
virDomainNeedsUsb(const virDomainDef *def)
{
    for (guint i = 0; i < def->disks->len; i++)
        if (((virDomainDisk *)g_ptr_array_index(def->disks, i))->bus ==
            VIR_DOMAIN_DISK_BUS_USB)
            return TRUE;
    for (guint i = 0; i < def->inputs->len; i++)
        if (g_strcmp0(((virDomainInput *)g_ptr_array_index(def->inputs, i))->bus,
                      "usb") == 0)
            return TRUE;
    for (guint i = 0; i < def->chars->len; i++) {
        virDomainChar *chr = g_ptr_array_index(def->chars, i);

        if (chr->class == VIR_DOMAIN_CHAR_REDIR ||
            g_strcmp0(chr->targetType, "usb-serial") == 0)
            return TRUE;
    }
    for (guint i = 0; i < def->sounds->len; i++)
        if (g_str_equal(((virDomainSound *)g_ptr_array_index(def->sounds, i))->model,
                        "usb"))
            return TRUE;
    return def->hubs->len > 0;
}

gboolean
virDomainCharIsVirtio(const virDomainChar *chr)
{
    return chr->class == VIR_DOMAIN_CHAR_CHANNEL ||
           (chr->class == VIR_DOMAIN_CHAR_CONSOLE &&
            g_strcmp0(chr->targetType, "virtio") == 0);
}

/* Port 0 of a virtio-serial bus is for consoles. */
static gboolean
virDomainPlaceVirtioSerial(virDomainDef *def, GError **error)
{
    g_autoptr(GHashTable) taken = g_hash_table_new(g_direct_hash, g_direct_equal);

    for (int assigned = 1; assigned >= 0; assigned--) {
        for (guint i = 0; i < def->chars->len; i++) {
            virDomainChar *chr = g_ptr_array_index(def->chars, i);
            virDomainAddress *a = &chr->dev.address;
            gboolean has = a->type == VIR_DOMAIN_ADDRESS_VIRTIO_SERIAL && a->port;
            guint64 key;

            if (!virDomainCharIsVirtio(chr) || has != (assigned == 1))
                continue;
            if (!has) {
                a->type = VIR_DOMAIN_ADDRESS_VIRTIO_SERIAL;
                for (a->port = 1; g_hash_table_contains(
                         taken, GUINT_TO_POINTER((guint)(a->controller << 16 | a->port)));
                     a->port++)
                    ;
            }
            key = a->controller << 16 | a->port;
            if (!g_hash_table_add(taken, GUINT_TO_POINTER((guint)key)) || a->port > 30)
                return virDomainError(
                    error,
                    "virtio-serial port %d of controller %d is taken or "
                    "does not exist",
                    (int)a->port, (int)a->controller);
            virDomainAddController(def, "virtio-serial", a->controller, NULL);
            if (has)
                chr->dev.address.port = a->port;
        }
    }
    return TRUE;
}

static void
virDomainInputDefaults(virDomainDef *def)
{
    for (guint i = 0; i < def->inputs->len; i++) {
        virDomainInput *input = g_ptr_array_index(def->inputs, i);

        if (!input->bus)
            input->bus = g_strdup(g_str_equal(input->type, "tablet") ? "usb" : "ps2");
        if (!input->dev.id)
            input->dev.id = g_strdup_printf("input%u", i);
    }
}

static gboolean
virDomainCheckUsb(virDomainDef *def, GError **error)
{
    gboolean none = FALSE;

    for (guint i = 0; i < def->controllers->len; i++) {
        virDomainController *controller = g_ptr_array_index(def->controllers, i);

        if (!g_str_equal(controller->type, "usb") ||
            g_strcmp0(controller->model, "none") != 0)
            continue;
        none = TRUE;
        g_ptr_array_remove_index(def->controllers, i--);
    }
    if (!virDomainNeedsUsb(def))
        return TRUE;
    if (none)
        return virDomainError(
            error, "the guest has USB devices, but its USB controller is 'none'");
    virDomainAddController(def, "usb", 0, NULL);
    return TRUE;
}

/* --- controllers --------------------------------------------------------------------------------- */

static const char *
virDomainControllerDefaultModel(const virDomainDef *def,
                                const virDomainController *controller)
{
    if (g_str_equal(controller->type, "scsi"))
        return "virtio-scsi";
    if (g_str_equal(controller->type, "usb"))
        return def->q35 ? "qemu-xhci" : "piix3-uhci";
    if (g_str_equal(controller->type, "pci") && controller->index == 0)
        return def->q35 ? "pcie-root" : "pci-root";
    if (g_str_equal(controller->type, "virtio-serial"))
        return "virtio";
    return NULL;
}

/* libvirt's names of ids; companions of an EHCI controller have its index but their own id. */
static void
virDomainNameController(const virDomainDef *def, virDomainController *controller)
{
    gboolean usb0 = g_str_equal(controller->type, "usb") && controller->index == 0;

    if (controller->dev.id)
        return;
    if (controller->hasMaster)
        controller->dev.id =
            g_strdup_printf("usb%d-%s", (int)controller->index, controller->model);
    else if (g_str_equal(controller->type, "pci"))
        controller->dev.id = controller->index
                                 ? g_strdup_printf("pci.%d", (int)controller->index)
                                 : g_strdup(def->q35 ? "pcie.0" : "pci.0");
    else if (usb0)
        controller->dev.id = g_strdup("usb");
    else
        controller->dev.id =
            g_strdup_printf("%s%d", controller->type, (int)controller->index);
}

static gboolean
virDomainCheckControllers(virDomainDef *def, GError **error)
{
    g_autoptr(GHashTable) seen =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, NULL);

    for (guint i = 0; i < def->controllers->len; i++) {
        virDomainController *controller = g_ptr_array_index(def->controllers, i);

        if (!controller->model)
            controller->model =
                g_strdup(virDomainControllerDefaultModel(def, controller));
        if (g_str_equal(controller->type, "ide") && (def->q35 || controller->index))
            return virDomainError(error,
                                  "domain XML line %ld: there is no such IDE controller",
                                  controller->dev.line);
        if (!virDomainControllerIsKnown(controller))
            return virDomainError(
                error,
                "domain XML line %ld: %s controller of model '%s' is not "
                "supported",
                controller->dev.line, controller->type, controller->model);
        if (controller->hasMaster &&
            !virDomainFindController(def, "usb", controller->index))
            return virDomainError(error,
                                  "domain XML line %ld: controller has no EHCI master",
                                  controller->dev.line);
        virDomainNameController(def, controller);
        if (!g_hash_table_add(seen, controller->dev.id))
            return virDomainError(
                error, "domain XML line %ld: controller %s %d is there twice",
                controller->dev.line, controller->type, (int)controller->index);
    }
    return TRUE;
}

/* --- ids ---------------------------------------------------------------------------------------- */

#define NAME(list, Type, prefix)                                                         \
    for (guint i = 0; i < (list)->len; i++) {                                            \
        Type *one = g_ptr_array_index(list, i);                                          \
                                                                                         \
        if (!one->dev.id)                                                                \
            one->dev.id = g_strdup_printf(prefix "%u", i);                               \
    }

static void
virDomainNameDevices(virDomainDef *def)
{
    NAME(def->videos, virDomainVideo, "video");
    NAME(def->sounds, virDomainSound, "sound");
    NAME(def->rngs, virDomainRng, "rng");
    NAME(def->watchdogs, virDomainWatchdog, "watchdog");
    NAME(def->hubs, virDomainInput, "hub");
    if (!def->balloon) { /* as libvirt: every guest has one */
        def->balloon = g_new0(virDomainBalloon, 1);
        def->balloon->model = g_strdup("virtio");
    }
    if (!def->balloon->dev.id)
        def->balloon->dev.id = g_strdup("balloon0");
}

gboolean
virDomainAssignAddresses(virDomainDef *def, GError **error)
{
    virDomainInputDefaults(def);
    virDomainNameDevices(def);
    if (!virDomainPlaceDisks(def, error) || !virDomainPlaceVirtioSerial(def, error) ||
        !virDomainCheckUsb(def, error) || !virDomainCheckControllers(def, error))
        return FALSE;
    virDomainAssignUsb(def);
    return virDomainAssignPci(def, error);
}
