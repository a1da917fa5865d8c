/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_parse.c: the top of a domain description: who the guest is, its memory, its actions,
 * the list of devices. domain_parse_machine.c reads CPU, firmware, features and clock.
 */
#include "config.h"
#include "domain_priv.h"

#include <string.h>

#define OFF(member) offsetof(virDomainDef, member)

static const char *const virDomainTypes[] = {"kvm", "qemu", NULL};
static const char *const virDomainPoweroffActions[] = {"destroy", "restart", "preserve",
                                                       NULL};
static const char *const virDomainLockfailures[] = {"pause", "poweroff", "restart", NULL};

gboolean
virDomainParseSize(virXmlNode *node, const char *text, const char *unit, guint64 *bytes,
                   GError **error)
{
    static const struct {
        const char *name;
        guint64 bytes;
    } units[] = {
        {"b", 1},
        {"bytes", 1},
        {"KB", 1000},
        {"k", 1024},
        {"KiB", 1024},
        {"MB", 1000 * 1000},
        {"M", 1024 * 1024},
        {"MiB", 1024 * 1024},
        {"GB", 1000 * 1000 * 1000},
        {"G", 1024 * 1024 * 1024},
        {"GiB", 1024 * 1024 * 1024},
        {"TB", G_GUINT64_CONSTANT(1000000000000)},
        {"T", G_GUINT64_CONSTANT(1) << 40},
        {"TiB", G_GUINT64_CONSTANT(1) << 40},
    };
    g_autofree char *number = g_strstrip(g_strdup(text ? text : ""));
    guint64 value;

    unit = unit ? unit : "KiB";
    for (gsize i = 0; i < G_N_ELEMENTS(units); i++) {
        if (!g_str_equal(units[i].name, unit))
            continue;
        if (!virXmlParseNumber(number, 0, &value) || value > G_MAXINT64 / units[i].bytes)
            return virXmlError(node, error, "'%s' is not a size", number);
        *bytes = value * units[i].bytes;
        return TRUE;
    }
    return virXmlError(node, error, "unit '%s' is not known", unit);
}

typedef struct _virDomainSize {
    char *text, *unit;
} virDomainSize;

static gboolean
virDomainReadSize(virXmlNode *node, guint64 *bytes, GError **error)
{
    static const virXmlRule rules[] = {
        {"@unit", VIR_XML_STRING, offsetof(virDomainSize, unit)},
        {"@dumpCore", VIR_XML_IGNORE},
        {"", VIR_XML_STRING, offsetof(virDomainSize, text), VIR_XML_REQUIRED},
        {NULL},
    };
    virDomainSize size = {NULL};
    gboolean ok = virXmlRead(node, rules, &size, error) &&
                  virDomainParseSize(node, size.text, size.unit, bytes, error);

    g_free(size.text);
    g_free(size.unit);
    return ok;
}

static gboolean
virDomainParseMemory(virXmlNode *node, gpointer def, GError **error)
{
    return virDomainReadSize(node, &((virDomainDef *)def)->memory.bytes, error);
}

static gboolean
virDomainParseCurrentMemory(virXmlNode *node, gpointer def, GError **error)
{
    return virDomainReadSize(node, &((virDomainDef *)def)->memory.currentBytes, error);
}

static gboolean
virDomainParseHugepage(virXmlNode *node, gpointer opaque, GError **error)
{
    static const virXmlRule rules[] = {
        {"@size", VIR_XML_STRING, offsetof(virDomainSize, text), VIR_XML_REQUIRED},
        {"@unit", VIR_XML_STRING, offsetof(virDomainSize, unit)},
        {NULL},
    };
    virDomainDef *def = opaque;
    virDomainSize size = {NULL};
    gboolean ok =
        virXmlRead(node, rules, &size, error) &&
        virDomainParseSize(node, size.text, size.unit, &def->memory.hugepageBytes, error);

    g_free(size.text);
    g_free(size.unit);
    return ok;
}

static gboolean
virDomainParseHugepages(virXmlNode *node, gpointer opaque, GError **error)
{
    static const virXmlRule rules[] = {
        {"page", VIR_XML_FUNC, .func = virDomainParseHugepage},
        {NULL},
    };

    ((virDomainDef *)opaque)->memory.hugepages = TRUE;
    return virXmlRead(node, rules, opaque, error);
}

static gboolean
virDomainParseMemoryBacking(virXmlNode *node, gpointer def, GError **error)
{
    static const char *const types[] = {"anonymous", "file", "memfd", NULL};
    static const char *const modes[] = {"shared", "private", NULL};
    static const char *const allocations[] = {"immediate", "ondemand", NULL};
    static const virXmlRule source[] = {
        {"@type", VIR_XML_CHOICE, OFF(memory.sourceType), .choices = types},
        {NULL},
    };
    static const virXmlRule access[] = {
        {"@mode", VIR_XML_CHOICE, OFF(memory.accessMode), .choices = modes},
        {NULL},
    };
    static const virXmlRule allocation[] = {
        {"@mode", VIR_XML_CHOICE, OFF(memory.allocationMode), .choices = allocations},
        {NULL},
    };
    static const virXmlRule rules[] = {
        {"hugepages", VIR_XML_FUNC, .func = virDomainParseHugepages},
        {"nosharepages", VIR_XML_FLAG, OFF(memory.noSharePages)},
        {"locked", VIR_XML_FLAG, OFF(memory.locked)},
        {"source", VIR_XML_SUB, .rules = source},
        {"access", VIR_XML_SUB, .rules = access},
        {"allocation", VIR_XML_SUB, .rules = allocation},
        {NULL},
    };

    return virXmlRead(node, rules, def, error);
}

static gboolean
virDomainParseVcpu(virXmlNode *node, gpointer opaque, GError **error)
{
    static const char *const placements[] = {"static", NULL};
    static const virXmlRule rules[] = {
        {"@current", VIR_XML_UINT, OFF(vcpus), .max = VIR_DOMAIN_MAX_VCPUS},
        {"@placement", VIR_XML_CHOICE, OFF(vcpuPlacement), .choices = placements},
        {"", VIR_XML_UINT, OFF(maxVcpus), VIR_XML_REQUIRED, .max = VIR_DOMAIN_MAX_VCPUS},
        {NULL},
    };

    return virXmlRead(node, rules, opaque, error);
}

static gboolean
virDomainParseGenid(virXmlNode *node, gpointer opaque, GError **error)
{
    static const virXmlRule rules[] = {{"", VIR_XML_STRING, OFF(genid)}, {NULL}};

    ((virDomainDef *)opaque)->hasGenid = TRUE;
    return virXmlRead(node, rules, opaque, error);
}

gboolean
virDomainParseLease(virXmlNode *node, gpointer opaque, GError **error)
{
    static const virXmlRule target[] = {
        {"@path", VIR_XML_STRING, offsetof(virDomainLease, path)},
        {"@offset", VIR_XML_STRING, offsetof(virDomainLease, offset)},
        {NULL},
    };
    static const virXmlRule rules[] = {
        {"lockspace", VIR_XML_STRING, offsetof(virDomainLease, lockspace)},
        {"key", VIR_XML_STRING, offsetof(virDomainLease, key), VIR_XML_REQUIRED},
        {"target", VIR_XML_SUB, .rules = target},
        {NULL},
    };
    virDomainLease *lease = g_new0(virDomainLease, 1);

    lease->xml = node;
    g_ptr_array_add(((virDomainDef *)opaque)->leases, lease);
    return virXmlRead(node, rules, lease, error);
}

/* --- power management, qemu:commandline ----------------------------------------------------- */

static gboolean
virDomainParsePm(virXmlNode *node, gpointer def, GError **error)
{
    static const virXmlRule mem[] = {{"@enabled", VIR_XML_BOOL, OFF(suspendToMem)},
                                     {NULL}};
    static const virXmlRule disk[] = {{"@enabled", VIR_XML_BOOL, OFF(suspendToDisk)},
                                      {NULL}};
    static const virXmlRule rules[] = {
        {"suspend-to-mem", VIR_XML_SUB, .rules = mem},
        {"suspend-to-disk", VIR_XML_SUB, .rules = disk},
        {NULL},
    };

    return virXmlRead(node, rules, def, error);
}

static gboolean
virDomainParseQemuArg(virXmlNode *node, gpointer opaque, GError **error)
{
    static const virXmlRule rules[] = {{"@value", VIR_XML_TEXT, 0, VIR_XML_REQUIRED},
                                       {NULL}};
    char *value = NULL;

    if (!virXmlRead(node, rules, &value, error)) {
        g_free(value);
        return FALSE;
    }
    g_ptr_array_add(((virDomainDef *)opaque)->qemuArgs, value);
    return TRUE;
}

static gboolean
virDomainParseQemuEnv(virXmlNode *node, gpointer opaque, GError **error)
{
    struct {
        char *name, *value;
    } env = {NULL, NULL};
    static const virXmlRule rules[] = {
        {"@name", VIR_XML_STRING, 0, VIR_XML_REQUIRED},
        {"@value", VIR_XML_TEXT, sizeof(char *)},
        {NULL},
    };
    gboolean ok = virXmlRead(node, rules, &env, error);

    if (ok && strchr(env.name, '='))
        ok = virXmlError(node, error, "'%s' is not a name of a variable", env.name);
    if (ok)
        g_ptr_array_add(((virDomainDef *)opaque)->qemuEnv,
                        g_strdup_printf("%s=%s", env.name, env.value ? env.value : ""));
    g_free(env.name);
    g_free(env.value);
    return ok;
}

static gboolean
virDomainParseQemuCommandline(virXmlNode *node, gpointer def, GError **error)
{
    static const virXmlRule rules[] = {
        {"qemu:arg", VIR_XML_FUNC, 0, VIR_XML_MANY, .func = virDomainParseQemuArg},
        {"qemu:env", VIR_XML_FUNC, 0, VIR_XML_MANY, .func = virDomainParseQemuEnv},
        {NULL},
    };

    return virXmlRead(node, rules, def, error);
}

/* --- devices ------------------------------------------------------------------------------------ */

static gboolean
virDomainParseDevices(virXmlNode *node, gpointer def, GError **error)
{
#define DEVICE(name, parser)                                                             \
    {                                                                                    \
        name, VIR_XML_FUNC, 0, VIR_XML_MANY, .func = parser                              \
    }
    static const virXmlRule rules[] = {
        {"emulator", VIR_XML_STRING, OFF(emulator)},
        DEVICE("disk", virDomainParseDisk),
        DEVICE("controller", virDomainParseController),
        DEVICE("interface", virDomainParseInterface),
        DEVICE("serial", virDomainParseChar),
        DEVICE("parallel", virDomainParseChar),
        DEVICE("console", virDomainParseChar),
        DEVICE("channel", virDomainParseChar),
        DEVICE("redirdev", virDomainParseChar),
        DEVICE("graphics", virDomainParseGraphics),
        DEVICE("video", virDomainParseVideo),
        DEVICE("input", virDomainParseSmallDevice),
        DEVICE("sound", virDomainParseSmallDevice),
        DEVICE("audio", virDomainParseSmallDevice),
        DEVICE("rng", virDomainParseSmallDevice),
        DEVICE("watchdog", virDomainParseSmallDevice),
        DEVICE("panic", virDomainParseSmallDevice),
        DEVICE("hub", virDomainParseSmallDevice),
        DEVICE("memballoon", virDomainParseSmallDevice),
        DEVICE("tpm", virDomainParseSmallDevice),
        {"lease", VIR_XML_FUNC, 0, VIR_XML_MANY, .func = virDomainParseLease},
        {"filesystem", VIR_XML_REFUSE,
         .why = "the guest would reach files of this host that no lease guards"},
        {"hostdev", VIR_XML_REFUSE,
         .why = "the guest would reach a device of this host that no lease guards; give "
                "it a "
                "disk instead, type='block'"},
        {"shmem", VIR_XML_REFUSE,
         .why = "memory that other processes share cannot be guarded"},
        {"memory", VIR_XML_REFUSE, .why = "memory devices are not supported"},
        {NULL},
    };
#undef DEVICE

    return virXmlRead(node, rules, def, error);
}

static gboolean
virDomainParseIothreads(virXmlNode *node, gpointer def, GError **error)
{
    static const virXmlRule rules[] = {
        {"", VIR_XML_UINT, OFF(iothreads), VIR_XML_REQUIRED, .max = 128},
        {NULL},
    };

    return virXmlRead(node, rules, def, error);
}

#define NOT_APPLIED                                                                      \
    "it is not applied here; limit the guest's process with systemd or remove it"

gboolean
virDomainParseDomain(virXmlNode *root, virDomainDef *def, GError **error)
{
#define CHILD(name, parser)                                                              \
    {                                                                                    \
        name, VIR_XML_FUNC, .func = parser                                               \
    }
    static const virXmlRule rules[] = {
        {"@type", VIR_XML_CHOICE, OFF(typeText), VIR_XML_REQUIRED,
         .choices = virDomainTypes},
        {"@id", VIR_XML_IGNORE}, /* of a running libvirt guest */
        {"name", VIR_XML_STRING, OFF(name), VIR_XML_REQUIRED},
        {"uuid", VIR_XML_STRING, OFF(uuid)},
        CHILD("genid", virDomainParseGenid),
        {"title", VIR_XML_IGNORE},
        {"description", VIR_XML_IGNORE},
        {"metadata", VIR_XML_IGNORE},
        {"resource", VIR_XML_IGNORE},
        {"seclabel", VIR_XML_IGNORE, .flags = VIR_XML_MANY},
        CHILD("memory", virDomainParseMemory),
        CHILD("currentMemory", virDomainParseCurrentMemory),
        CHILD("memoryBacking", virDomainParseMemoryBacking),
        CHILD("vcpu", virDomainParseVcpu),
        CHILD("iothreads", virDomainParseIothreads),
        CHILD("os", virDomainParseOs),
        CHILD("sysinfo", virDomainParseSysinfo),
        CHILD("cpu", virDomainParseCpu),
        CHILD("features", virDomainParseFeatures),
        CHILD("clock", virDomainParseClock),
        {"on_poweroff", VIR_XML_CHOICE, OFF(onPoweroff),
         .choices = virDomainPoweroffActions},
        {"on_reboot", VIR_XML_CHOICE, OFF(onReboot), .choices = virDomainPoweroffActions},
        {"on_crash", VIR_XML_CHOICE, OFF(onCrash), .choices = virDomainPoweroffActions},
        {"on_lockfailure", VIR_XML_CHOICE, OFF(onLockfailure),
         .choices = virDomainLockfailures},
        CHILD("pm", virDomainParsePm),
        CHILD("devices", virDomainParseDevices),
        CHILD("qemu:commandline", virDomainParseQemuCommandline),
        {"cputune", VIR_XML_REFUSE, .why = NOT_APPLIED},
        {"numatune", VIR_XML_REFUSE, .why = NOT_APPLIED},
        {"memtune", VIR_XML_REFUSE, .why = NOT_APPLIED},
        {"blkiotune", VIR_XML_REFUSE, .why = NOT_APPLIED},
        {NULL},
    };
#undef CHILD

    if (!g_str_equal(root->name, "domain") || root->ns)
        return virXmlError(root, error, "the root element is not <domain>");
    return virXmlRead(root, rules, def, error);
}
