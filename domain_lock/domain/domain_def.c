/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_def.c: the life of a virDomainDef and what others may ask it.
 */
#include "common/text.h"
#include "common/xml_packed.h"
#include "config.h"
#include "domain_priv.h"

#include <string.h>

/* A longer description is not told twice. */
#define PACK_MAX_SIZE (1024 * 1024)

/* --- freeing: each struct is its strings and its lists -------------------------------------- */

static void
virDomainFreeStrings(gpointer object, const gsize *offsets, gsize n)
{
    for (gsize i = 0; i < n; i++)
        g_free(*(char **)((char *)object + offsets[i]));
}

#define FREE_FUNC(Type, ...)                                                             \
    static void Type##Free(gpointer object)                                              \
    {                                                                                    \
        typedef Type T;                                                                  \
        static const gsize offsets[] = {__VA_ARGS__};                                    \
        virDomainFreeStrings(object, offsets, G_N_ELEMENTS(offsets));                    \
        g_free(object);                                                                  \
    }
#define S(member) offsetof(T, member)
#define DEV S(dev.id), S(dev.address.usbPort)

FREE_FUNC(virDomainController, DEV, S(type), S(model), S(modelName))
FREE_FUNC(virDomainNic, DEV, S(type), S(mac), S(model), S(sourceBridge), S(targetDev),
          S(managed), S(driverName), S(linkState), S(romFile))
FREE_FUNC(virDomainChar, DEV, S(type), S(path), S(mode), S(host), S(service), S(protocol),
          S(spiceChannel), S(logFile), S(targetType), S(targetName), S(targetModel),
          S(bus))
FREE_FUNC(virDomainGraphics, S(type), S(listen), S(listenAttr), S(listenType), S(socket),
          S(sharePolicy), S(portText), S(tlsPortText), S(defaultMode), S(gl), S(keymap),
          S(imageCompression), S(jpeg), S(zlib), S(streaming), S(mouse))
FREE_FUNC(virDomainVideo, DEV, S(model), S(accel2d), S(accel3d), S(blob))
FREE_FUNC(virDomainInput, DEV, S(type), S(bus))
FREE_FUNC(virDomainRng, DEV, S(model), S(backend), S(source))
FREE_FUNC(virDomainWatchdog, DEV, S(model), S(action))
FREE_FUNC(virDomainPanic, S(model))
FREE_FUNC(virDomainBalloon, DEV, S(model))
FREE_FUNC(virDomainTpm, S(model), S(backend), S(version), S(devicePath), S(sourceType),
          S(sourceMode), S(sourcePath))
FREE_FUNC(virDomainLease, S(lockspace), S(key), S(path), S(offset))
FREE_FUNC(virDomainCpuFeature, S(name), S(policy))
FREE_FUNC(virDomainTimer, S(name), S(tickPolicy), S(track), S(mode))
FREE_FUNC(virDomainResource, S(path), S(lockspace), S(leasePath), S(leaseOffset),
          S(target), S(format), S(node))

static void
virDomainSoundFree(gpointer object)
{
    virDomainSound *sound = object;

    g_free(sound->dev.id);
    g_free(sound->dev.address.usbPort);
    g_free(sound->model);
    g_ptr_array_unref(sound->codecs);
    g_free(sound);
}

typedef virDomainDef T;
static const gsize virDomainDefStrings[] = {S(name),
                                            S(uuid),
                                            S(genid),
                                            S(typeText),
                                            S(emulator),
                                            S(vcpuPlacement),
                                            S(sysinfoType),
                                            S(memory.sourceType),
                                            S(memory.accessMode),
                                            S(memory.allocationMode),
                                            S(os.arch),
                                            S(os.machine),
                                            S(os.type),
                                            S(os.firmware),
                                            S(os.smbios),
                                            S(os.loader),
                                            S(os.loaderType),
                                            S(os.loaderFormat),
                                            S(os.nvram),
                                            S(os.nvramTemplate),
                                            S(os.nvramFormat),
                                            S(os.kernel),
                                            S(os.initrd),
                                            S(os.cmdline),
                                            S(os.rebootTimeout),
                                            S(cpu.mode),
                                            S(cpu.model),
                                            S(cpu.match),
                                            S(cpu.check),
                                            S(cpu.fallback),
                                            S(cpu.vendorId),
                                            S(cpu.cacheMode),
                                            S(cpu.addrMode),
                                            S(features.ioapic),
                                            S(features.hypervMode),
                                            S(clock.offset),
                                            S(clock.basis),
                                            S(clock.adjustment),
                                            S(clock.start),
                                            S(onPoweroff),
                                            S(onReboot),
                                            S(onCrash),
                                            S(onLockfailure),
                                            S(audioDriver)};

typedef struct _virDomainList {
    gsize offset;
    GDestroyNotify free;
} virDomainList;

#define L(member) offsetof(virDomainDef, member)
static const virDomainList virDomainLists[] = {
    {L(disks), (GDestroyNotify)virDomainDiskFree},
    {L(controllers), virDomainControllerFree},
    {L(nics), virDomainNicFree},
    {L(chars), virDomainCharFree},
    {L(graphics), virDomainGraphicsFree},
    {L(videos), virDomainVideoFree},
    {L(inputs), virDomainInputFree},
    {L(hubs), virDomainInputFree},
    {L(sounds), virDomainSoundFree},
    {L(rngs), virDomainRngFree},
    {L(watchdogs), virDomainWatchdogFree},
    {L(panics), virDomainPanicFree},
    {L(leases), virDomainLeaseFree},
    {L(cpu.features), virDomainCpuFeatureFree},
    {L(clock.timers), virDomainTimerFree},
    {L(os.boot), g_free},
    {L(features.hyperv), g_free},
    {L(smbiosTables), g_free},
    {L(qemuArgs), g_free},
    {L(qemuEnv), g_free},
    {L(resources), virDomainResourceFree},
    {L(foreignImages), (GDestroyNotify)virDomainForeignImageFree},
};

static GPtrArray **
virDomainListOf(virDomainDef *def, gsize i)
{
    return (GPtrArray **)((char *)def + virDomainLists[i].offset);
}

virDomainDef *
virDomainDefNew(guint flags)
{
    virDomainDef *def = g_new0(virDomainDef, 1);

    def->flags = flags;
    for (gsize i = 0; i < G_N_ELEMENTS(virDomainLists); i++)
        *virDomainListOf(def, i) = g_ptr_array_new_with_free_func(virDomainLists[i].free);
    return def;
}

void
virDomainDefFree(virDomainDef *def)
{
    if (!def)
        return;
    for (gsize i = 0; i < G_N_ELEMENTS(virDomainLists); i++)
        g_ptr_array_unref(*virDomainListOf(def, i));
    g_clear_pointer(&def->balloon, virDomainBalloonFree);
    g_clear_pointer(&def->tpm, virDomainTpmFree);
    g_clear_pointer(&def->xml, virXmlNodeFree);
    g_strfreev(def->foreignArgv);
    g_free(def->fingerprint);
    virDomainFreeStrings(def, virDomainDefStrings, G_N_ELEMENTS(virDomainDefStrings));
    g_free(def);
}

/* --- making ------------------------------------------------------------------------------------ */

gboolean
virDomainError(GError **error, const char *format, ...)
{
    g_autofree char *words = NULL;
    g_autofree char *printable = NULL;
    va_list args;

    va_start(args, format);
    words = g_strdup_vprintf(format, args);
    va_end(args);
    printable = virTextPrintable(words);
    g_set_error_literal(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, printable);
    return FALSE;
}

char *
virDomainLockPackXML(const char *xml)
{
    g_autoptr(virXmlNode) root =
        strlen(xml) <= PACK_MAX_SIZE ? virXmlParse(xml, -1, NULL) : NULL;

    return root ? virXmlNodePack(root) : NULL;
}

virDomainDef *
virDomainDefParseXML(const char *xml, gssize len, guint flags, GError **error)
{
    g_autoptr(virXmlNode) root = virXmlParse(xml, len, error);
    g_autoptr(virDomainDef) def = virDomainDefNew(flags);

    if (!root || !virDomainParseDomain(root, def, error) ||
        !virDomainCheck(def, error) || !virDomainAssignAddresses(def, error))
        return NULL;
    def->xml = g_steal_pointer(&root);
    return g_steal_pointer(&def);
}

virDomainResource *
virDomainAddResource(virDomainDef *def, virLockResourceType type, char *path,
                     char *target, const char *format)
{
    virDomainResource *resource = g_new0(virDomainResource, 1);

    resource->type = type;
    resource->path = path;
    resource->target = target;
    resource->format = g_strdup(format);
    g_ptr_array_add(def->resources, resource);
    return resource;
}

/* --- asking ------------------------------------------------------------------------------------ */

const char *
virDomainDefGetName(const virDomainDef *def)
{
    return def->name;
}

const char *
virDomainDefGetUuid(const virDomainDef *def)
{
    return def->uuid;
}

virDomainLockfailure
virDomainDefGetLockfailure(const virDomainDef *def, gboolean *isSet)
{
    if (isSet)
        *isSet = def->onLockfailure != NULL;
    if (g_strcmp0(def->onLockfailure, "poweroff") == 0)
        return VIR_DOMAIN_LOCKFAILURE_POWEROFF;
    if (g_strcmp0(def->onLockfailure, "restart") == 0)
        return VIR_DOMAIN_LOCKFAILURE_RESTART;
    return VIR_DOMAIN_LOCKFAILURE_PAUSE;
}

static virDomainAction
virDomainActionOf(const char *text, virDomainAction standard)
{
    if (!text)
        return standard;
    if (g_str_equal(text, "restart"))
        return VIR_DOMAIN_ACTION_RESTART;
    return g_str_equal(text, "preserve") ? VIR_DOMAIN_ACTION_PRESERVE
                                         : VIR_DOMAIN_ACTION_DESTROY;
}

virDomainAction
virDomainDefGetOnPoweroff(const virDomainDef *def)
{
    return virDomainActionOf(def->onPoweroff, VIR_DOMAIN_ACTION_DESTROY);
}

virDomainAction
virDomainDefGetOnReboot(const virDomainDef *def)
{
    return virDomainActionOf(def->onReboot, VIR_DOMAIN_ACTION_RESTART);
}

virDomainAction
virDomainDefGetOnCrash(const virDomainDef *def)
{
    return virDomainActionOf(def->onCrash, VIR_DOMAIN_ACTION_DESTROY);
}

guint64
virDomainDefGetMemoryBytes(const virDomainDef *def)
{
    return def->memory.bytes;
}

gboolean
virDomainDefIsForeign(const virDomainDef *def)
{
    return def->foreign;
}

GPtrArray *
virDomainDefGetResources(const virDomainDef *def)
{
    return def->resources;
}

static const virDomainChar *
virDomainAgentChannel(const virDomainDef *def)
{
    for (guint i = 0; i < def->chars->len; i++) {
        const virDomainChar *chr = g_ptr_array_index(def->chars, i);

        if (chr->class == VIR_DOMAIN_CHAR_CHANNEL && g_str_equal(chr->type, "unix") &&
            g_strcmp0(chr->targetName, "org.qemu.guest_agent.0") == 0 &&
            g_strcmp0(chr->mode, "connect") != 0)
            return chr;
    }
    return NULL;
}

char *
virDomainDefGetAgentSocket(const virDomainDef *def, const char *runDir)
{
    const virDomainChar *chr = virDomainAgentChannel(def);

    return chr ? virDomainCharSocket(chr, runDir) : NULL;
}

const char *
virDomainDefForbidsSleep(const virDomainDef *def, gboolean ram, gboolean disk)
{
    if (ram && def->suspendToMem == VIR_XML_NO)
        return "<suspend-to-mem>";
    if (disk && def->suspendToDisk == VIR_XML_NO)
        return "<suspend-to-disk>";
    return NULL;
}

char *
virDomainDefGetAgentId(const virDomainDef *def)
{
    const virDomainChar *chr = virDomainAgentChannel(def);

    return chr ? g_strdup(chr->dev.id) : NULL;
}

char *
virDomainCharSocket(const virDomainChar *chr, const char *runDir)
{
    g_autofree char *name = g_strdup_printf("%s.sock", chr->dev.id);

    return chr->path ? g_strdup(chr->path) : g_build_filename(runDir, name, NULL);
}

char *
virDomainTpmSocket(const char *runDir)
{
    return g_build_filename(runDir, "swtpm.sock", NULL);
}

virDomainTpmEmulator *
virDomainDefGetTpmEmulator(const virDomainDef *def, const char *runDir)
{
    virDomainTpmEmulator *tpm;

    if (!def->tpm || !g_str_equal(def->tpm->backend, "emulator"))
        return NULL;
    tpm = g_new0(virDomainTpmEmulator, 1);
    tpm->statePath = g_strdup(def->tpm->sourcePath);
    tpm->socketPath = virDomainTpmSocket(runDir);
    tpm->version2 = g_strcmp0(def->tpm->version, "1.2") != 0;
    return tpm;
}

void
virDomainTpmEmulatorFree(virDomainTpmEmulator *tpm)
{
    if (!tpm)
        return;
    g_free(tpm->statePath);
    g_free(tpm->socketPath);
    g_free(tpm);
}
