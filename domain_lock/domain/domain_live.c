/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_live.c: the description of a guest as it is now, as XML.
 *
 * What the description left open was decided once, when it was read: places on buses,
 * controllers that devices imply, what boots first. Decided again, after disks have come or
 * gone, it would come out otherwise, and the memory of the running guest would not fit the
 * machine. So all of it is written down, and the text describes the same machine for ever:
 * the same ids, the same addresses, the same chains. All else stays as its author has it.
 */
#include "config.h"
#include "domain_priv.h"

/* --- editing ------------------------------------------------------------------------------ */

static gboolean
virLiveIs(const virXmlNode *node, const char *name)
{
    return node->kind == VIR_XML_ELEMENT && !node->ns &&
           g_str_equal(node->name, name);
}

static virXmlNode *
virLiveFind(virXmlNode *parent, const char *name)
{
    virXmlNode *child = parent->children;

    while (child && !virLiveIs(child, name))
        child = child->next;
    return child;
}

static virXmlNode *
virLiveAdd(virXmlNode *parent, const char *name)
{
    return virXmlNodeAdd(parent, name);
}

static virXmlNode *
virLiveFindOrAdd(virXmlNode *parent, const char *name)
{
    virXmlNode *child = virLiveFind(parent, name);

    return child ? child : virLiveAdd(parent, name);
}

static void
virLiveDrop(virXmlNode *parent, const char *name)
{
    virXmlNode *child;

    while ((child = virLiveFind(parent, name)))
        virXmlNodeFree(child);
}

static void
virLiveSet(virXmlNode *node, const char *key, const char *value)
{
    virXmlNodeSet(node, key, value);
}

static void virLiveSetf(virXmlNode *node, const char *key, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static void
virLiveSetf(virXmlNode *node, const char *key, const char *format, ...)
{
    g_autofree char *value = NULL;
    va_list args;

    va_start(args, format);
    value = g_strdup_vprintf(format, args);
    va_end(args);
    virLiveSet(node, key, value);
}

/* The author's indentation would stand beside elements that have none. */
static void
virLiveStripBlanks(virXmlNode *parent)
{
    virXmlNode *next = NULL;

    if (!virXmlNodeFirstElement(parent))
        return;
    for (virXmlNode *child = parent->children; child; child = next) {
        next = child->next;
        if (child->kind == VIR_XML_ELEMENT)
            virLiveStripBlanks(child);
        else if (virXmlNodeIsBlank(child))
            virXmlNodeFree(child);
    }
}

static virXmlNode *
virLiveDevices(const virDomainDef *def)
{
    return virLiveFindOrAdd(def->xml, "devices");
}

/* --- any device --------------------------------------------------------------------------- */

static void
virLiveAddress(virXmlNode *xml, const virDomainAddress *a)
{
    virXmlNode *node;

    if (a->type == VIR_DOMAIN_ADDRESS_NONE)
        return;
    virLiveDrop(xml, "address");
    node = virLiveAdd(xml, "address");
    switch (a->type) {
    case VIR_DOMAIN_ADDRESS_PCI:
        virLiveSet(node, "type", "pci");
        virLiveSet(node, "domain", "0x0000");
        virLiveSetf(node, "bus", "0x%02x", (guint)a->bus);
        virLiveSetf(node, "slot", "0x%02x", (guint)a->slot);
        virLiveSetf(node, "function", "0x%x", (guint)a->function);
        if (a->multifunction != VIR_XML_ABSENT)
            virLiveSet(node, "multifunction",
                       a->multifunction == VIR_XML_YES ? "on" : "off");
        break;
    case VIR_DOMAIN_ADDRESS_DRIVE:
        virLiveSet(node, "type", "drive");
        virLiveSetf(node, "controller", "%u", (guint)a->controller);
        virLiveSetf(node, "bus", "%u", (guint)a->bus);
        virLiveSetf(node, "target", "%u", (guint)a->target);
        virLiveSetf(node, "unit", "%u", (guint)a->unit);
        break;
    case VIR_DOMAIN_ADDRESS_VIRTIO_SERIAL:
        virLiveSet(node, "type", "virtio-serial");
        virLiveSetf(node, "controller", "%u", (guint)a->controller);
        virLiveSet(node, "bus", "0");
        virLiveSetf(node, "port", "%u", (guint)a->port);
        break;
    case VIR_DOMAIN_ADDRESS_USB:
        virLiveSet(node, "type", "usb");
        virLiveSetf(node, "bus", "%u", (guint)a->bus);
        if (a->usbPort)
            virLiveSet(node, "port", a->usbPort);
        break;
    case VIR_DOMAIN_ADDRESS_NONE:
        break;
    }
}

static void
virLiveDevice(const virDomainDevice *dev)
{
    if (dev->id) {
        virLiveDrop(dev->xml, "alias");
        virLiveSet(virLiveAdd(dev->xml, "alias"), "name", dev->id);
    }
    if (dev->bootOrder) {
        virLiveDrop(dev->xml, "boot");
        virLiveSetf(virLiveAdd(dev->xml, "boot"), "order", "%u", (guint)dev->bootOrder);
    }
    virLiveAddress(dev->xml, &dev->address);
}

/* --- disks -------------------------------------------------------------------------------- */

static void
virLiveSource(virXmlNode *node, const char *path, gboolean isBlock)
{
    virLiveSet(node, isBlock ? "dev" : "file", path);
}

/* Nested as the chain is; the empty one at its end says that there is no more. */
static void
virLiveBacking(virXmlNode *xml, const virImageChain *chain)
{
    virXmlNode *node = virLiveAdd(xml, "backingStore");

    for (guint i = 1; i < chain->images->len; i++) {
        const virImage *image = g_ptr_array_index(chain->images, i);

        virLiveSet(node, "type", image->isBlock ? "block" : "file");
        virLiveSetf(node, "index", "%u", image->node + 1);
        virLiveSet(virLiveAdd(node, "format"), "type", image->format);
        virLiveSource(virLiveAdd(node, "source"), image->path, image->isBlock);
        node = virLiveAdd(node, "backingStore");
    }
}

static void
virLiveDisk(const virDomainDisk *disk)
{
    virXmlNode *xml = disk->dev.xml, *driver, *source;

    virLiveSet(xml, "type", disk->isBlock ? "block" : "file");
    driver = virLiveFindOrAdd(xml, "driver");
    virLiveSet(driver, "name", "qemu");
    virLiveSet(driver, "type", disk->format);
    virLiveDrop(xml, "source");
    virLiveDrop(xml, "backingStore");
    if (disk->path) {
        source = virLiveAdd(xml, "source");
        virLiveSource(source, disk->path, disk->isBlock);
        if (disk->chain) {
            const virImage *top = g_ptr_array_index(disk->chain->images, 0);

            virLiveSetf(source, "index", "%u", top->node + 1);
            if (!disk->inFlux)
                virLiveBacking(xml, disk->chain);
        }
    }
    virLiveDevice(&disk->dev);
}

virXmlNode *
virDomainLiveAdopt(virDomainDef *def, const virXmlNode *element)
{
    virXmlNode *devices = virLiveDevices(def), *last = NULL;
    virXmlNode *copy = virXmlNodeCopy(element);

    for (virXmlNode *child = devices->children; child; child = child->next)
        if (virLiveIs(child, element->name))
            last = child;
    virLiveStripBlanks(copy);
    if (last)
        virXmlNodeInsertAfter(last, copy);
    else
        virXmlNodeAppend(devices, copy);
    return copy;
}

void
virDomainLiveForget(virXmlNode **element)
{
    g_clear_pointer(element, virXmlNodeFree);
}

/* --- what was implied ----------------------------------------------------------------------- */

static void
virLiveController(virXmlNode *devices, virDomainController *controller)
{
    if (!controller->dev.xml) {
        controller->dev.xml = virLiveAdd(devices, "controller");
        virLiveSet(controller->dev.xml, "type", controller->type);
        virLiveSetf(controller->dev.xml, "index", "%u", (guint)controller->index);
        if (controller->model)
            virLiveSet(controller->dev.xml, "model", controller->model);
    }
    virLiveDevice(&controller->dev);
}

static void
virLiveVideo(virXmlNode *devices, virDomainVideo *video)
{
    if (!video->dev.xml) {
        video->dev.xml = virLiveAdd(devices, "video");
        virLiveSet(virLiveAdd(video->dev.xml, "model"), "type", video->model);
    }
    virLiveDevice(&video->dev);
}

static void
virLiveBalloon(virXmlNode *devices, virDomainBalloon *balloon)
{
    if (!balloon->dev.xml) {
        balloon->dev.xml = virLiveAdd(devices, "memballoon");
        virLiveSet(balloon->dev.xml, "model", balloon->model);
    }
    virLiveDevice(&balloon->dev);
}

/* Which of the disks boots first would be another one's turn when that has gone. */
static gboolean
virLiveHasBootOrder(const virDomainDef *def)
{
    GPtrArray *const lists[] = {def->disks, def->nics, def->chars};

    for (gsize i = 0; i < G_N_ELEMENTS(lists); i++)
        for (guint j = 0; j < lists[i]->len; j++)
            if (((virDomainDevice *)g_ptr_array_index(lists[i], j))->bootOrder)
                return TRUE;
    return FALSE;
}

static void
virLiveMachine(const virDomainDef *def)
{
    virXmlNode *root = def->xml, *uuid = virLiveFind(root, "uuid");
    virXmlNode *os = virLiveFindOrAdd(root, "os"), *type = virLiveFindOrAdd(os, "type");

    if (!uuid) {
        uuid = virXmlNodeNew(VIR_XML_ELEMENT, "uuid");
        virXmlNodeInsertAfter(virLiveFind(root, "name"), uuid);
    }
    virXmlNodeSetText(uuid, def->uuid);
    virLiveSet(type, "machine", def->os.machine);
    if (virLiveHasBootOrder(def))
        virLiveDrop(os, "boot");
}

static void
virLiveUpdate(const virDomainDef *def)
{
    virXmlNode *devices = virLiveDevices(def);
    GPtrArray *const stated[] = {def->nics,   def->chars, def->inputs,   def->hubs,
                                 def->sounds, def->rngs,  def->watchdogs};

    virLiveMachine(def);
    for (guint i = 0; i < def->disks->len; i++)
        virLiveDisk(g_ptr_array_index(def->disks, i));
    for (guint i = 0; i < def->controllers->len; i++)
        virLiveController(devices, g_ptr_array_index(def->controllers, i));
    for (guint i = 0; i < def->videos->len; i++)
        virLiveVideo(devices, g_ptr_array_index(def->videos, i));
    for (gsize i = 0; i < G_N_ELEMENTS(stated); i++)
        for (guint j = 0; j < stated[i]->len; j++)
            virLiveDevice(g_ptr_array_index(stated[i], j));
    virLiveBalloon(devices, def->balloon);
}

/* It has grown by what the guest was given, by indentation and by what is escaped. Nobody, and no
 * program of ours either, could read it again. */
static gboolean
virLiveCheckSize(const virDomainDef *def, gsize size, GError **error)
{
    if (size <= VIR_XML_MAX_SIZE)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "the description of guest '%s', written out in full, has %" G_GSIZE_FORMAT
                " bytes; more than %d are not read again",
                def->name, size, VIR_XML_MAX_SIZE);
    return FALSE;
}

char *
virDomainDefFormatXML(virDomainDef *def, GError **error)
{
    g_autofree char *text = NULL;
    g_autofree char *lines = NULL;

    if (def->foreign) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "guest '%s' was started with a command line of its own: it has no "
                    "description in XML",
                    def->name);
        return NULL;
    }
    virLiveStripBlanks(def->xml);
    virLiveUpdate(def);
    text = virXmlNodeFormat(def->xml);
    lines = g_strconcat(text, "\n", NULL);
    return virLiveCheckSize(def, strlen(lines), error) ? g_steal_pointer(&lines) : NULL;
}

void
virDomainDefSetMachine(virDomainDef *def, const char *machine)
{
    g_free(def->os.machine);
    def->os.machine = g_strdup(machine);
}

const char *
virDomainDefGetMachine(const virDomainDef *def)
{
    return def->os.machine;
}
