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
virLiveIs(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && !node->ns &&
           g_str_equal((const char *)node->name, name);
}

static xmlNode *
virLiveFind(xmlNode *parent, const char *name)
{
    xmlNode *child = parent->children;

    while (child && !virLiveIs(child, name))
        child = child->next;
    return child;
}

static xmlNode *
virLiveAdd(xmlNode *parent, const char *name)
{
    return xmlNewChild(parent, NULL, (const xmlChar *)name, NULL);
}

static xmlNode *
virLiveFindOrAdd(xmlNode *parent, const char *name)
{
    xmlNode *child = virLiveFind(parent, name);

    return child ? child : virLiveAdd(parent, name);
}

static void
virLiveRemove(xmlNode *node)
{
    xmlUnlinkNode(node);
    xmlFreeNode(node);
}

static void
virLiveDrop(xmlNode *parent, const char *name)
{
    xmlNode *child;

    while ((child = virLiveFind(parent, name)))
        virLiveRemove(child);
}

static void
virLiveSet(xmlNode *node, const char *key, const char *value)
{
    xmlSetProp(node, (const xmlChar *)key, (const xmlChar *)value);
}

static void virLiveSetf(xmlNode *node, const char *key, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static void
virLiveSetf(xmlNode *node, const char *key, const char *format, ...)
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
virLiveStripBlanks(xmlNode *parent)
{
    xmlNode *next = NULL;

    if (!xmlFirstElementChild(parent))
        return;
    for (xmlNode *child = parent->children; child; child = next) {
        next = child->next;
        if (child->type == XML_ELEMENT_NODE)
            virLiveStripBlanks(child);
        else if (xmlIsBlankNode(child))
            virLiveRemove(child);
    }
}

static xmlNode *
virLiveDevices(const virDomainDef *def)
{
    return virLiveFindOrAdd(xmlDocGetRootElement(def->doc), "devices");
}

/* --- any device --------------------------------------------------------------------------- */

static void
virLiveAddress(xmlNode *xml, const virDomainAddress *a)
{
    xmlNode *node;

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
virLiveSource(xmlNode *node, const char *path, gboolean isBlock)
{
    virLiveSet(node, isBlock ? "dev" : "file", path);
}

/* Nested as the chain is; the empty one at its end says that there is no more. */
static void
virLiveBacking(xmlNode *xml, const virImageChain *chain)
{
    xmlNode *node = virLiveAdd(xml, "backingStore");

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
    xmlNode *xml = disk->dev.xml, *driver, *source;

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

xmlNode *
virDomainLiveAdopt(virDomainDef *def, const xmlNode *element)
{
    xmlNode *devices = virLiveDevices(def), *last = NULL;
    xmlNode *copy = xmlDocCopyNode((xmlNode *)element, def->doc, 1);

    for (xmlNode *child = devices->children; child; child = child->next)
        if (virLiveIs(child, (const char *)element->name))
            last = child;
    virLiveStripBlanks(copy);
    if (last)
        xmlAddNextSibling(last, copy);
    else
        xmlAddChild(devices, copy);
    return copy;
}

void
virDomainLiveForget(xmlNode **element)
{
    virLiveRemove(*element);
    *element = NULL;
}

/* --- what was implied ----------------------------------------------------------------------- */

static void
virLiveController(xmlNode *devices, virDomainController *controller)
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
virLiveVideo(xmlNode *devices, virDomainVideo *video)
{
    if (!video->dev.xml) {
        video->dev.xml = virLiveAdd(devices, "video");
        virLiveSet(virLiveAdd(video->dev.xml, "model"), "type", video->model);
    }
    virLiveDevice(&video->dev);
}

static void
virLiveBalloon(xmlNode *devices, virDomainBalloon *balloon)
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
    xmlNode *root = xmlDocGetRootElement(def->doc), *uuid = virLiveFind(root, "uuid");
    xmlNode *os = virLiveFindOrAdd(root, "os"), *type = virLiveFindOrAdd(os, "type");

    if (!uuid) {
        uuid = xmlNewDocNode(def->doc, NULL, (const xmlChar *)"uuid", NULL);
        xmlAddNextSibling(virLiveFind(root, "name"), uuid);
    }
    xmlNodeSetContent(uuid, (const xmlChar *)def->uuid);
    virLiveSet(type, "machine", def->os.machine);
    if (virLiveHasBootOrder(def))
        virLiveDrop(os, "boot");
}

static void
virLiveUpdate(const virDomainDef *def)
{
    xmlNode *devices = virLiveDevices(def);
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

char *
virDomainDefFormatXML(virDomainDef *def, GError **error)
{
    xmlBuffer *buffer;
    char *text;

    if (def->foreign) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNSUPPORTED,
                    "guest '%s' was started with a command line of its own: it has no "
                    "description in XML",
                    def->name);
        return NULL;
    }
    virLiveStripBlanks(xmlDocGetRootElement(def->doc));
    virLiveUpdate(def);
    buffer = xmlBufferCreate();
    xmlNodeDump(buffer, def->doc, xmlDocGetRootElement(def->doc), 0, 1);
    text = g_strconcat((const char *)xmlBufferContent(buffer), "\n", NULL);
    xmlBufferFree(buffer);
    return text;
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
