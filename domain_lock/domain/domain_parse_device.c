/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_parse_device.c: addresses and aliases, controllers, network interfaces, graphics,
 * video. domain_parse_small.c reads the devices that take a few words each.
 */
#include "config.h"
#include "domain_priv.h"

#include <string.h>

/* --- what all devices have ------------------------------------------------------------------- */

typedef struct _virDomainAddressText {
    char *type, *usbPort;
    guint64 domain, bus, slot, function, controller, target, unit, port;
    virXmlBool multifunction;
} virDomainAddressText;

static gboolean
virDomainAddressTake(virXmlNode *node, const virDomainAddressText *text,
                     virDomainAddress *address, GError **error)
{
    static const struct {
        const char *name;
        virDomainAddressType type;
    } types[] = {
        {"pci", VIR_DOMAIN_ADDRESS_PCI},
        {"drive", VIR_DOMAIN_ADDRESS_DRIVE},
        {"virtio-serial", VIR_DOMAIN_ADDRESS_VIRTIO_SERIAL},
        {"usb", VIR_DOMAIN_ADDRESS_USB},
        {"isa", VIR_DOMAIN_ADDRESS_NONE}, /* has one place only */
    };
    gsize i = 0;

    while (i < G_N_ELEMENTS(types) && !g_str_equal(types[i].name, text->type))
        i++;
    if (i == G_N_ELEMENTS(types))
        return virXmlError(node, error, "type '%s' is not supported", text->type);
    if (text->domain)
        return virXmlError(node, error, "PCI domain %" G_GUINT64_FORMAT " does not exist",
                           text->domain);
    address->type = types[i].type;
    address->bus = text->bus;
    address->slot = text->slot;
    address->function = text->function;
    address->multifunction = text->multifunction;
    address->controller = text->controller;
    address->target = text->target;
    address->unit = text->unit;
    address->port = text->port;
    address->usbPort = g_strdup(text->usbPort);
    return TRUE;
}

/* port is a number for virtio-serial and "1.2" for USB behind a hub */
static gboolean
virDomainAddressPort(virXmlNode *node, virDomainAddressText *text, GError **error)
{
    if (!text->usbPort || g_str_equal(text->type, "usb")) {
        if (text->usbPort &&
            strspn(text->usbPort, "0123456789.") != strlen(text->usbPort))
            return virXmlError(node, error, "'%s' is not a USB port", text->usbPort);
        return TRUE;
    }
    if (!virXmlParseNumber(text->usbPort, 255, &text->port))
        return virXmlError(node, error, "'%s' is not a port", text->usbPort);
    return TRUE;
}

gboolean
virDomainParseAddress(virXmlNode *node, gpointer dev, GError **error)
{
#define A(member) offsetof(virDomainAddressText, member)
    static const virXmlRule rules[] = {
        {"@type", VIR_XML_STRING, A(type), VIR_XML_REQUIRED},
        {"@domain", VIR_XML_UINT, A(domain), .max = 0xffff},
        {"@bus", VIR_XML_UINT, A(bus), .max = 255},
        {"@slot", VIR_XML_UINT, A(slot), .max = 31},
        {"@function", VIR_XML_UINT, A(function), .max = 7},
        {"@multifunction", VIR_XML_BOOL, A(multifunction)},
        {"@controller", VIR_XML_UINT, A(controller), .max = 255},
        {"@target", VIR_XML_UINT, A(target), .max = 255},
        {"@unit", VIR_XML_UINT, A(unit), .max = 16383},
        {"@port", VIR_XML_STRING, A(usbPort)},
        {"@iobase", VIR_XML_IGNORE},
        {"@irq", VIR_XML_IGNORE},
        {NULL},
    };
#undef A
    virDomainAddressText text = {NULL};
    gboolean ok =
        virXmlRead(node, rules, &text, error) &&
        virDomainAddressPort(node, &text, error) &&
        virDomainAddressTake(node, &text, &((virDomainDevice *)dev)->address, error);

    g_free(text.type);
    g_free(text.usbPort);
    return ok;
}

void
virDomainDeviceIs(virDomainDevice *dev, virXmlNode *node)
{
    dev->line = node->line;
    dev->xml = node;
}

/* Names that begin with "ua-" are the user's; others are what libvirt made up for a running
 * guest, and we make up the same. */
gboolean
virDomainParseAlias(virXmlNode *node, gpointer opaque, GError **error)
{
    static const virXmlRule rules[] = {{"@name", VIR_XML_STRING, 0, VIR_XML_REQUIRED},
                                       {NULL}};
    virDomainDevice *dev = opaque;
    char *name = NULL;
    gboolean ok = virXmlRead(node, rules, &name, error);

    if (ok && g_str_has_prefix(name, "ua-")) {
        if (strspn(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_.") != strlen(name))
            ok = virXmlError(node, error, "'%s' has characters that an alias cannot have",
                             name);
        g_free(dev->id);
        dev->id = g_strdup(name);
    }
    g_free(name);
    return ok;
}

gboolean
virDomainParseBootOrder(virXmlNode *node, gpointer dev, GError **error)
{
    static const virXmlRule rules[] = {
        {"@order", VIR_XML_UINT, offsetof(virDomainDevice, bootOrder), VIR_XML_REQUIRED,
         .max = 9999},
        {NULL},
    };

    if (!virXmlRead(node, rules, dev, error))
        return FALSE;
    if (((virDomainDevice *)dev)->bootOrder == 0)
        return virXmlError(node, error, "the order begins with 1");
    return TRUE;
}

/* --- <controller> ---------------------------------------------------------------------------- */

gboolean
virDomainParseController(virXmlNode *node, gpointer opaque, GError **error)
{
#define C(member) offsetof(virDomainController, member)
    static const char *const types[] = {"pci", "scsi", "sata",          "ide",
                                        "usb", "fdc",  "virtio-serial", NULL};
    static const virXmlRule model[] = {{"@name", VIR_XML_STRING, C(modelName)}, {NULL}};
    static const virXmlRule target[] = {
        {"@chassis", VIR_XML_UINT, C(chassis), .max = 255},
        {"@chassisNr", VIR_XML_UINT, C(chassisNr), .max = 255},
        {"@port", VIR_XML_UINT, C(port), .max = 255},
        {"@hotplug", VIR_XML_BOOL, C(hotplug)},
        {"@index", VIR_XML_IGNORE},
        {NULL},
    };
    static const virXmlRule master[] = {
        {"@startport", VIR_XML_UINT, C(masterStartPort), VIR_XML_REQUIRED, .max = 15},
        {NULL},
    };
    static const virXmlRule driver[] = {
        {"@queues", VIR_XML_UINT, C(queues), .max = 1024},
        {"@iothread", VIR_XML_UINT, C(iothread), .max = 128},
        {"@max_sectors", VIR_XML_UINT, C(maxSectors), .max = G_MAXUINT32},
        {"@cmd_per_lun", VIR_XML_UINT, C(cmdPerLun), .max = G_MAXUINT32},
        {NULL},
    };
    static const virXmlRule rules[] = {
        VIR_DOMAIN_DEVICE_RULES,
        {"@type", VIR_XML_CHOICE, C(type), VIR_XML_REQUIRED, .choices = types},
        {"@index", VIR_XML_UINT, C(index), .max = 255},
        {"@model", VIR_XML_STRING, C(model)},
        {"@ports", VIR_XML_UINT, C(ports), .max = 255},
        {"@vectors", VIR_XML_UINT, C(vectors), .max = 255},
        {"model", VIR_XML_SUB, .rules = model},
        {"target", VIR_XML_SUB, .rules = target},
        {"master", VIR_XML_SUB, .rules = master},
        {"driver", VIR_XML_SUB, .rules = driver},
        {NULL},
    };
#undef C
    virDomainController *controller = g_new0(virDomainController, 1);

    g_ptr_array_add(((virDomainDef *)opaque)->controllers, controller);
    virDomainDeviceIs(&controller->dev, node);
    if (!virXmlRead(node, rules, controller, error))
        return FALSE;
    controller->hasMaster =
        controller->model && g_str_has_prefix(controller->model, "ich9-uhci");
    return TRUE;
}

/* --- <interface> ----------------------------------------------------------------------------- */

#define WAY_OUT_NET "name its bridge instead: type='bridge' and <source bridge='...'/>"
#define NET_NOT_APPLIED "it is not applied here; set it up on the bridge"

static gboolean
virDomainCheckInterfaceType(virXmlNode *node, GError **error)
{
    const char *type = virXmlNodeGet(node, "type");
    gboolean ok = TRUE;

    if (type && g_str_equal(type, "network"))
        ok = virXmlError(node, error,
                         "type 'network' is libvirt's own network; " WAY_OUT_NET);
    else if (type && g_str_equal(type, "direct"))
        ok = virXmlError(node, error,
                         "type 'direct' (macvtap) is not supported; " WAY_OUT_NET);
    else if (type && g_str_equal(type, "hostdev"))
        ok = virXmlError(node, error, "devices of the host are not supported");
    return ok;
}

/* What is in <interface>, element by element; nicRules is the element itself. */
#define N(member) offsetof(virDomainNic, member)
static const char *const nicTypes[] = {"user", "bridge", "ethernet", NULL};
static const char *const nicModels[] = {"virtio",
                                        "virtio-transitional",
                                        "virtio-non-transitional",
                                        "e1000",
                                        "e1000e",
                                        "rtl8139",
                                        "ne2k_pci",
                                        "pcnet",
                                        "vmxnet3",
                                        NULL};
static const char *const nicDrivers[] = {"qemu", "vhost", NULL};
static const char *const nicManaged[] = {"yes", "no", NULL};
static const char *const nicLinkStates[] = {"up", NULL};
static const virXmlRule nicMac[] = {
    {"@address", VIR_XML_STRING, N(mac), VIR_XML_REQUIRED}, {NULL}};
static const virXmlRule nicModel[] = {
    {"@type", VIR_XML_CHOICE, N(model), VIR_XML_REQUIRED, .choices = nicModels}, {NULL}};
static const virXmlRule nicSource[] = {{"@bridge", VIR_XML_STRING, N(sourceBridge)},
                                       {NULL}};
static const virXmlRule nicTarget[] = {
    {"@dev", VIR_XML_STRING, N(targetDev), VIR_XML_REQUIRED},
    {"@managed", VIR_XML_CHOICE, N(managed), .choices = nicManaged},
    {NULL},
};
static const virXmlRule nicDriver[] = {
    {"@name", VIR_XML_CHOICE, N(driverName), .choices = nicDrivers},
    {"@queues", VIR_XML_UINT, N(queues), .max = 256},
    {"@rx_queue_size", VIR_XML_UINT, N(rxQueue), .max = 1024},
    {"@tx_queue_size", VIR_XML_UINT, N(txQueue), .max = 1024},
    {NULL},
};
static const virXmlRule nicMtu[] = {
    {"@size", VIR_XML_UINT, N(mtu), VIR_XML_REQUIRED, .max = 65535}, {NULL}};
static const virXmlRule nicRom[] = {
    {"@enabled", VIR_XML_BOOL, N(romEnabled)},
    {"@bar", VIR_XML_BOOL, N(romBar)},
    {"@file", VIR_XML_STRING, N(romFile)},
    {NULL},
};
static const virXmlRule nicLink[] = {
    {"@state", VIR_XML_CHOICE, N(linkState), VIR_XML_REQUIRED, .choices = nicLinkStates},
    {NULL}};
static const virXmlRule nicRules[] = {
    VIR_DOMAIN_DEVICE_RULES,
    {"@type", VIR_XML_CHOICE, N(type), VIR_XML_REQUIRED, .choices = nicTypes},
    {"mac", VIR_XML_SUB, .rules = nicMac},
    {"model", VIR_XML_SUB, .rules = nicModel},
    {"source", VIR_XML_SUB, .rules = nicSource},
    {"target", VIR_XML_SUB, .rules = nicTarget},
    {"driver", VIR_XML_SUB, .rules = nicDriver},
    {"mtu", VIR_XML_SUB, .rules = nicMtu},
    {"rom", VIR_XML_SUB, .rules = nicRom},
    {"link", VIR_XML_SUB, .rules = nicLink},
    {"boot", VIR_XML_FUNC, .func = virDomainParseBootOrder},
    {"bandwidth", VIR_XML_REFUSE, .why = NET_NOT_APPLIED},
    {"filterref", VIR_XML_REFUSE, .why = NET_NOT_APPLIED},
    {"virtualport", VIR_XML_REFUSE, .why = NET_NOT_APPLIED},
    {"vlan", VIR_XML_REFUSE, .why = NET_NOT_APPLIED},
    {NULL},
};
#undef N

gboolean
virDomainParseInterface(virXmlNode *node, gpointer opaque, GError **error)
{
    virDomainNic *nic = g_new0(virDomainNic, 1);

    g_ptr_array_add(((virDomainDef *)opaque)->nics, nic);
    virDomainDeviceIs(&nic->dev, node);
    return virDomainCheckInterfaceType(node, error) &&
           virXmlRead(node, nicRules, nic, error);
}

/* --- <graphics>, <video> --------------------------------------------------------------------- */

#define NO_PASSWORD                                                                      \
    "a password would be readable in the process list; listen on a socket or on "        \
    "127.0.0.1"

static gboolean
virDomainParseListen(virXmlNode *node, gpointer opaque, GError **error)
{
#define GFX(member) offsetof(virDomainGraphics, member)
    static const char *const types[] = {"address", "socket", "none", NULL};
    static const virXmlRule rules[] = {
        {"@type", VIR_XML_CHOICE, GFX(listenType), VIR_XML_REQUIRED, .choices = types},
        {"@address", VIR_XML_STRING, GFX(listen)},
        {"@socket", VIR_XML_STRING, GFX(socket)},
        {NULL},
    };

    return virXmlRead(node, rules, opaque, error);
}

/* -1 is libvirt's word for "none yet". */
static gboolean
virDomainGraphicsPort(virXmlNode *node, virDomainGraphics *graphics, GError **error)
{
    if (graphics->portText && !g_str_equal(graphics->portText, "-1")) {
        if (!virXmlParseNumber(graphics->portText, 65535, &graphics->port) ||
            !graphics->port)
            return virXmlError(node, error, "'%s' is not a port", graphics->portText);
        graphics->hasPort = TRUE;
    }
    if (graphics->tlsPortText && !g_str_equal(graphics->tlsPortText, "-1"))
        return virXmlError(node, error, "TLS for graphics is not supported");
    return TRUE;
}

/* The same of <graphics>. */
static const char *const graphicsTypes[] = {"vnc", "spice", NULL};
static const char *const sharePolicies[] = {"allow-exclusive", "force-shared", "ignore",
                                            NULL};
static const char *const channelModes[] = {"any", "insecure", NULL};
static const char *const imageCompressions[] = {"auto_glz", "auto_lz", "quic", "glz",
                                                "lz",       "off",     NULL};
static const char *const wanCompressions[] = {"auto", "never", "always", NULL};
static const char *const streamingModes[] = {"filter", "all", "off", NULL};
static const char *const mouseModes[] = {"server", "client", NULL};
static const char *const glEnable[] = {"no", NULL};
static const virXmlRule graphicsImage[] = {
    {"@compression", VIR_XML_CHOICE, GFX(imageCompression), .choices = imageCompressions},
    {NULL}};
static const virXmlRule graphicsJpeg[] = {
    {"@compression", VIR_XML_CHOICE, GFX(jpeg), .choices = wanCompressions}, {NULL}};
static const virXmlRule graphicsZlib[] = {
    {"@compression", VIR_XML_CHOICE, GFX(zlib), .choices = wanCompressions}, {NULL}};
static const virXmlRule graphicsPlayback[] = {
    {"@compression", VIR_XML_BOOL, GFX(playback)}, {NULL}};
static const virXmlRule graphicsStreaming[] = {
    {"@mode", VIR_XML_CHOICE, GFX(streaming), .choices = streamingModes}, {NULL}};
static const virXmlRule graphicsMouse[] = {
    {"@mode", VIR_XML_CHOICE, GFX(mouse), .choices = mouseModes}, {NULL}};
static const virXmlRule graphicsClipboard[] = {
    {"@copypaste", VIR_XML_BOOL, GFX(copyPaste)}, {NULL}};
static const virXmlRule graphicsTransfer[] = {
    {"@enable", VIR_XML_BOOL, GFX(fileTransfer)}, {NULL}};
static const virXmlRule graphicsGl[] = {
    {"@enable", VIR_XML_CHOICE, GFX(gl), .choices = glEnable}, {NULL}};
static const virXmlRule graphicsRules[] = {
    {"@type", VIR_XML_CHOICE, GFX(type), VIR_XML_REQUIRED, .choices = graphicsTypes},
    {"@port", VIR_XML_STRING, GFX(portText)},
    {"@tlsPort", VIR_XML_STRING, GFX(tlsPortText)},
    {"@autoport", VIR_XML_BOOL, GFX(autoport)},
    {"@websocket", VIR_XML_UINT, GFX(websocket), .max = 65535},
    {"@listen", VIR_XML_STRING, GFX(listenAttr)},
    {"@socket", VIR_XML_STRING, GFX(socket)},
    {"@keymap", VIR_XML_STRING, GFX(keymap)},
    {"@sharePolicy", VIR_XML_CHOICE, GFX(sharePolicy), .choices = sharePolicies},
    {"@defaultMode", VIR_XML_CHOICE, GFX(defaultMode), .choices = channelModes},
    {"@passwd", VIR_XML_REFUSE, .why = NO_PASSWORD},
    {"@passwdValidTo", VIR_XML_REFUSE, .why = NO_PASSWORD},
    {"@connected", VIR_XML_REFUSE, .why = NO_PASSWORD},
    {"alias", VIR_XML_IGNORE},
    {"listen", VIR_XML_FUNC, .func = virDomainParseListen},
    {"image", VIR_XML_SUB, .rules = graphicsImage},
    {"jpeg", VIR_XML_SUB, .rules = graphicsJpeg},
    {"zlib", VIR_XML_SUB, .rules = graphicsZlib},
    {"playback", VIR_XML_SUB, .rules = graphicsPlayback},
    {"streaming", VIR_XML_SUB, .rules = graphicsStreaming},
    {"mouse", VIR_XML_SUB, .rules = graphicsMouse},
    {"clipboard", VIR_XML_SUB, .rules = graphicsClipboard},
    {"filetransfer", VIR_XML_SUB, .rules = graphicsTransfer},
    {"gl", VIR_XML_SUB, .rules = graphicsGl},
    {NULL},
};
#undef GFX

gboolean
virDomainParseGraphics(virXmlNode *node, gpointer opaque, GError **error)
{
    virDomainGraphics *graphics = g_new0(virDomainGraphics, 1);

    g_ptr_array_add(((virDomainDef *)opaque)->graphics, graphics);
    graphics->line = node->line;
    if (!virXmlRead(node, graphicsRules, graphics, error))
        return FALSE;
    if (!graphics->listen)
        graphics->listen = g_strdup(graphics->listenAttr);
    return virDomainGraphicsPort(node, graphics, error);
}

gboolean
virDomainParseVideo(virXmlNode *node, gpointer opaque, GError **error)
{
#define V(member) offsetof(virDomainVideo, member)
    static const char *const models[] = {"vga",   "cirrus", "qxl",  "virtio",
                                         "bochs", "ramfb",  "none", NULL};
    static const char *const no[] = {"no", NULL};
    static const virXmlRule acceleration[] = {
        {"@accel2d", VIR_XML_CHOICE, V(accel2d), .choices = no},
        {"@accel3d", VIR_XML_CHOICE, V(accel3d), .choices = no},
        {NULL},
    };
    static const virXmlRule resolution[] = {
        {"@x", VIR_XML_UINT, V(x), VIR_XML_REQUIRED, .max = 32768},
        {"@y", VIR_XML_UINT, V(y), VIR_XML_REQUIRED, .max = 32768},
        {NULL},
    };
    static const virXmlRule model[] = {
        {"@type", VIR_XML_CHOICE, V(model), VIR_XML_REQUIRED, .choices = models},
        {"@vram", VIR_XML_UINT, V(vram), .max = 4 * 1024 * 1024},
        {"@vram64", VIR_XML_IGNORE}, /* QEMU sizes it by vram */
        {"@ram", VIR_XML_UINT, V(ram), .max = 4 * 1024 * 1024},
        {"@vgamem", VIR_XML_UINT, V(vgamem), .max = 4 * 1024 * 1024},
        {"@heads", VIR_XML_UINT, V(heads), .max = 16},
        {"@primary", VIR_XML_BOOL, V(primary)},
        {"@blob", VIR_XML_CHOICE, V(blob), .choices = no},
        {"acceleration", VIR_XML_SUB, .rules = acceleration},
        {"resolution", VIR_XML_SUB, .rules = resolution},
        {NULL},
    };
    static const virXmlRule rules[] = {
        VIR_DOMAIN_DEVICE_RULES,
        {"model", VIR_XML_SUB, .rules = model},
        {NULL},
    };
#undef V
    virDomainVideo *video = g_new0(virDomainVideo, 1);

    g_ptr_array_add(((virDomainDef *)opaque)->videos, video);
    virDomainDeviceIs(&video->dev, node);
    return virXmlRead(node, rules, video, error);
}
