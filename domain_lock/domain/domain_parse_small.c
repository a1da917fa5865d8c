/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_parse_small.c: character devices, and the devices that take a few words each.
 */
#include "config.h"
#include "domain_priv.h"

#include <string.h>

/* --- serial, parallel, console, channel, redirdev ----------------------------------------------- */

static virDomainCharClass
virDomainCharClassOf(const virXmlNode *node)
{
    static const char *const names[] = {"serial", "parallel", "console", "channel",
                                        "redirdev"};
    gsize i = 0;

    while (i + 1 < G_N_ELEMENTS(names) &&
           !g_str_equal(names[i], node->name))
        i++;
    return (virDomainCharClass)i;
}

static gboolean
virDomainParseCharTarget(virXmlNode *node, gpointer opaque, GError **error)
{
#define C(member) offsetof(virDomainChar, member)
    static const virXmlRule model[] = {
        {"@name", VIR_XML_STRING, C(targetModel), VIR_XML_REQUIRED}, {NULL}};
    static const virXmlRule rules[] = {
        {"@type", VIR_XML_STRING, C(targetType)},
        {"@name", VIR_XML_STRING, C(targetName)},
        {"@port", VIR_XML_UINT, C(targetPort), .max = 255},
        {"@state", VIR_XML_IGNORE}, /* of a running guest: connected or not */
        {"model", VIR_XML_SUB, .rules = model},
        {NULL},
    };

    return virXmlRead(node, rules, opaque, error);
}

gboolean
virDomainParseChar(virXmlNode *node, gpointer opaque, GError **error)
{
    static const char *const types[] = {"pty",  "file",     "unix",      "tcp", "dev",
                                        "null", "spicevmc", "spiceport", "vc",  NULL};
    static const char *const modes[] = {"bind", "connect", NULL};
    static const char *const protocols[] = {"raw", "telnet", NULL};
    static const char *const buses[] = {"usb", NULL};
    static const virXmlRule source[] = {
        {"@path", VIR_XML_STRING, C(path)},
        {"@mode", VIR_XML_CHOICE, C(mode), .choices = modes},
        {"@host", VIR_XML_STRING, C(host)},
        {"@service", VIR_XML_STRING, C(service)},
        {"@append", VIR_XML_BOOL, C(append)},
        {"@channel", VIR_XML_STRING, C(spiceChannel)},
        {"reconnect", VIR_XML_IGNORE},
        {"seclabel", VIR_XML_IGNORE, .flags = VIR_XML_MANY},
        {NULL},
    };
    static const virXmlRule log[] = {
        {"@file", VIR_XML_STRING, C(logFile), VIR_XML_REQUIRED},
        {"@append", VIR_XML_BOOL, C(logAppend)},
        {NULL},
    };
    static const virXmlRule protocol[] = {
        {"@type", VIR_XML_CHOICE, C(protocol), VIR_XML_REQUIRED, .choices = protocols},
        {NULL}};
    static const virXmlRule rules[] = {
        VIR_DOMAIN_DEVICE_RULES,
        {"@type", VIR_XML_CHOICE, C(type), VIR_XML_REQUIRED, .choices = types},
        {"@tty", VIR_XML_IGNORE}, /* of a running guest */
        {"@bus", VIR_XML_CHOICE, C(bus), .choices = buses},
        {"source", VIR_XML_SUB, .rules = source},
        {"log", VIR_XML_SUB, .rules = log},
        {"protocol", VIR_XML_SUB, .rules = protocol},
        {"target", VIR_XML_FUNC, .func = virDomainParseCharTarget},
        {"boot", VIR_XML_FUNC, .func = virDomainParseBootOrder},
        {NULL},
    };
#undef C
    virDomainChar *chr = g_new0(virDomainChar, 1);

    g_ptr_array_add(((virDomainDef *)opaque)->chars, chr);
    virDomainDeviceIs(&chr->dev, node);
    chr->class = virDomainCharClassOf(node);
    return virXmlRead(node, rules, chr, error);
}

/* --- one parser for each of the rest ------------------------------------------------------- */

static gboolean
virDomainParseInput(virXmlNode *node, virDomainDef *def, GError **error)
{
#define I(member) offsetof(virDomainInput, member)
    static const char *const types[] = {"tablet", "mouse", "keyboard", NULL};
    static const char *const buses[] = {"ps2", "usb", "virtio", NULL};
    static const virXmlRule rules[] = {
        VIR_DOMAIN_DEVICE_RULES,
        {"@type", VIR_XML_CHOICE, I(type), VIR_XML_REQUIRED, .choices = types},
        {"@bus", VIR_XML_CHOICE, I(bus), .choices = buses},
        {NULL},
    };
#undef I
    virDomainInput *input = g_new0(virDomainInput, 1);

    g_ptr_array_add(def->inputs, input);
    virDomainDeviceIs(&input->dev, node);
    return virXmlRead(node, rules, input, error);
}

static gboolean
virDomainParseCodec(virXmlNode *node, gpointer opaque, GError **error)
{
    static const char *const types[] = {"duplex", "micro", "output", NULL};
    static const virXmlRule rules[] = {
        {"@type", VIR_XML_CHOICE, 0, VIR_XML_REQUIRED, .choices = types}, {NULL}};
    char *type = NULL;
    gboolean ok = virXmlRead(node, rules, &type, error);

    if (ok)
        g_ptr_array_add(((virDomainSound *)opaque)->codecs, g_steal_pointer(&type));
    g_free(type);
    return ok;
}

static gboolean
virDomainParseSound(virXmlNode *node, virDomainDef *def, GError **error)
{
    static const char *const models[] = {"ich6", "ich9", "ac97", "es1370", "usb", NULL};
    static const virXmlRule rules[] = {
        VIR_DOMAIN_DEVICE_RULES,
        {"@model", VIR_XML_CHOICE, offsetof(virDomainSound, model), VIR_XML_REQUIRED,
         .choices = models},
        {"codec", VIR_XML_FUNC, 0, VIR_XML_MANY, .func = virDomainParseCodec},
        {"audio", VIR_XML_IGNORE}, /* there is one backend only */
        {NULL},
    };
    virDomainSound *sound = g_new0(virDomainSound, 1);

    sound->codecs = g_ptr_array_new_with_free_func(g_free);
    virDomainDeviceIs(&sound->dev, node);
    g_ptr_array_add(def->sounds, sound);
    return virXmlRead(node, rules, sound, error);
}

static gboolean
virDomainParseAudio(virXmlNode *node, virDomainDef *def, GError **error)
{
    static const char *const types[] = {"none", "spice", NULL};
    static const virXmlRule rules[] = {
        {"@id", VIR_XML_IGNORE},
        {"@type", VIR_XML_CHOICE, offsetof(virDomainDef, audioDriver), VIR_XML_REQUIRED,
         .choices = types},
        {NULL},
    };

    if (def->audioDriver)
        return virXmlError(node, error, "there is more than one");
    return virXmlRead(node, rules, def, error);
}

static gboolean
virDomainParseRng(virXmlNode *node, virDomainDef *def, GError **error)
{
#define R(member) offsetof(virDomainRng, member)
    static const char *const models[] = {"virtio", "virtio-transitional",
                                         "virtio-non-transitional", NULL};
    static const char *const backends[] = {"random", "builtin", NULL};
    static const virXmlRule rate[] = {
        {"@bytes", VIR_XML_UINT, R(bytes), VIR_XML_REQUIRED, .max = G_MAXINT32},
        {"@period", VIR_XML_UINT, R(period), .max = G_MAXINT32},
        {NULL},
    };
    static const virXmlRule backend[] = {
        {"@model", VIR_XML_CHOICE, R(backend), VIR_XML_REQUIRED, .choices = backends},
        {"", VIR_XML_STRING, R(source)},
        {NULL},
    };
    static const virXmlRule rules[] = {
        VIR_DOMAIN_DEVICE_RULES,
        {"@model", VIR_XML_CHOICE, R(model), VIR_XML_REQUIRED, .choices = models},
        {"rate", VIR_XML_SUB, .rules = rate},
        {"backend", VIR_XML_SUB, 0, VIR_XML_REQUIRED, .rules = backend},
        {NULL},
    };
#undef R
    virDomainRng *rng = g_new0(virDomainRng, 1);

    g_ptr_array_add(def->rngs, rng);
    virDomainDeviceIs(&rng->dev, node);
    return virXmlRead(node, rules, rng, error);
}

static gboolean
virDomainParseWatchdog(virXmlNode *node, virDomainDef *def, GError **error)
{
    static const char *const models[] = {"i6300esb", "ib700", NULL};
    static const char *const actions[] = {"reset", "shutdown",   "poweroff", "pause",
                                          "none",  "inject-nmi", NULL};
    static const virXmlRule rules[] = {
        VIR_DOMAIN_DEVICE_RULES,
        {"@model", VIR_XML_CHOICE, offsetof(virDomainWatchdog, model), VIR_XML_REQUIRED,
         .choices = models},
        {"@action", VIR_XML_CHOICE, offsetof(virDomainWatchdog, action),
         .choices = actions},
        {NULL},
    };
    virDomainWatchdog *watchdog = g_new0(virDomainWatchdog, 1);

    g_ptr_array_add(def->watchdogs, watchdog);
    virDomainDeviceIs(&watchdog->dev, node);
    return virXmlRead(node, rules, watchdog, error);
}

static gboolean
virDomainParsePanic(virXmlNode *node, virDomainDef *def, GError **error)
{
    static const char *const models[] = {"isa", "hyperv", NULL};
    static const virXmlRule rules[] = {
        {"@model", VIR_XML_CHOICE, offsetof(virDomainPanic, model), .choices = models},
        {"address", VIR_XML_IGNORE},
        {"alias", VIR_XML_IGNORE},
        {NULL},
    };
    virDomainPanic *panic = g_new0(virDomainPanic, 1);

    g_ptr_array_add(def->panics, panic);
    return virXmlRead(node, rules, panic, error);
}

static gboolean
virDomainParseHub(virXmlNode *node, virDomainDef *def, GError **error)
{
    static const char *const types[] = {"usb", NULL};
    static const virXmlRule rules[] = {
        VIR_DOMAIN_DEVICE_RULES,
        {"@type", VIR_XML_CHOICE, offsetof(virDomainInput, type), VIR_XML_REQUIRED,
         .choices = types},
        {NULL},
    };
    virDomainInput *hub = g_new0(virDomainInput, 1);

    g_ptr_array_add(def->hubs, hub);
    virDomainDeviceIs(&hub->dev, node);
    return virXmlRead(node, rules, hub, error);
}

static gboolean
virDomainParseBalloon(virXmlNode *node, virDomainDef *def, GError **error)
{
#define B(member) offsetof(virDomainBalloon, member)
    static const char *const models[] = {"virtio", "virtio-transitional",
                                         "virtio-non-transitional", "none", NULL};
    static const virXmlRule rules[] = {
        VIR_DOMAIN_DEVICE_RULES,
        {"@model", VIR_XML_CHOICE, B(model), VIR_XML_REQUIRED, .choices = models},
        {"@autodeflate", VIR_XML_BOOL, B(autodeflate)},
        {"@freePageReporting", VIR_XML_BOOL, B(freePageReporting)},
        {"stats", VIR_XML_IGNORE}, /* how often libvirt asks */
        {NULL},
    };
#undef B

    if (def->balloon)
        return virXmlError(node, error, "there is more than one");
    def->balloon = g_new0(virDomainBalloon, 1);
    virDomainDeviceIs(&def->balloon->dev, node);
    return virXmlRead(node, rules, def->balloon, error);
}

static gboolean
virDomainParseTpmBackend(virXmlNode *node, gpointer tpm, GError **error)
{
#define T(member) offsetof(virDomainTpm, member)
    static const char *const backends[] = {"emulator", "passthrough", "external", NULL};
    static const char *const versions[] = {"1.2", "2.0", NULL};
    static const char *const sources[] = {"dir", "file", "unix", NULL};
    static const char *const connect[] = {"connect", NULL};
    static const virXmlRule device[] = {{"@path", VIR_XML_STRING, T(devicePath)}, {NULL}};
    static const virXmlRule source[] = {
        {"@type", VIR_XML_CHOICE, T(sourceType), VIR_XML_REQUIRED, .choices = sources},
        {"@mode", VIR_XML_CHOICE, T(sourceMode), .choices = connect},
        {"@path", VIR_XML_STRING, T(sourcePath), VIR_XML_REQUIRED},
        {NULL},
    };
    static const virXmlRule rules[] = {
        {"@type", VIR_XML_CHOICE, T(backend), VIR_XML_REQUIRED, .choices = backends},
        {"@version", VIR_XML_CHOICE, T(version), .choices = versions},
        {"@persistent_state",
         VIR_XML_IGNORE}, /* what happens when libvirt undefines it */
        {"device", VIR_XML_SUB, .rules = device},
        {"source", VIR_XML_SUB, .rules = source},
        {NULL},
    };

    return virXmlRead(node, rules, tpm, error);
}

static gboolean
virDomainParseTpm(virXmlNode *node, virDomainDef *def, GError **error)
{
    static const char *const models[] = {"tpm-tis", "tpm-crb", NULL};
    static const virXmlRule rules[] = {
        {"@model", VIR_XML_CHOICE, T(model), .choices = models},
        {"backend", VIR_XML_FUNC, 0, VIR_XML_REQUIRED, .func = virDomainParseTpmBackend},
        {"alias", VIR_XML_IGNORE},
        {NULL},
    };
#undef T

    if (def->tpm)
        return virXmlError(node, error, "there is more than one");
    def->tpm = g_new0(virDomainTpm, 1);
    return virXmlRead(node, rules, def->tpm, error);
}

gboolean
virDomainParseSmallDevice(virXmlNode *node, gpointer def, GError **error)
{
    static const struct {
        const char *name;
        gboolean (*parse)(virXmlNode *node, virDomainDef *def, GError **error);
    } parsers[] = {
        {"input", virDomainParseInput},       {"sound", virDomainParseSound},
        {"audio", virDomainParseAudio},       {"rng", virDomainParseRng},
        {"watchdog", virDomainParseWatchdog}, {"panic", virDomainParsePanic},
        {"hub", virDomainParseHub},           {"memballoon", virDomainParseBalloon},
        {"tpm", virDomainParseTpm},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(parsers); i++)
        if (g_str_equal(parsers[i].name, node->name))
            return parsers[i].parse(node, def, error);
    g_assert_not_reached();
}
