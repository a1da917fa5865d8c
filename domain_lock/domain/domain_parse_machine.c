/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_parse_machine.c: firmware, CPU, features, clock and SMBIOS tables.
 */
#include "config.h"
#include "domain_priv.h"

#include <string.h>

#define OFF(member) offsetof(virDomainDef, member)

/* --- <os> -------------------------------------------------------------------------------- */

static gboolean
virDomainParseBootDev(virXmlNode *node, gpointer opaque, GError **error)
{
    static const char *const devices[] = {"hd", "cdrom", "network", "fd", NULL};
    static const virXmlRule rules[] = {
        {"@dev", VIR_XML_CHOICE, 0, VIR_XML_REQUIRED, .choices = devices},
        {NULL},
    };
    char *dev = NULL;

    if (!virXmlRead(node, rules, &dev, error)) {
        g_free(dev);
        return FALSE;
    }
    g_ptr_array_add(((virDomainDef *)opaque)->os.boot, dev);
    return TRUE;
}

static gboolean
virDomainParseFirmwareFeature(virXmlNode *node, gpointer opaque, GError **error)
{
    static const char *const names[] = {"secure-boot", "enrolled-keys", NULL};
    struct {
        char *name;
        virXmlBool enabled;
    } feature = {NULL, VIR_XML_ABSENT};
    static const virXmlRule rules[] = {
        {"@name", VIR_XML_CHOICE, 0, VIR_XML_REQUIRED, .choices = names},
        {"@enabled", VIR_XML_BOOL, sizeof(char *), VIR_XML_REQUIRED},
        {NULL},
    };
    virDomainOs *os = &((virDomainDef *)opaque)->os;
    gboolean ok = virXmlRead(node, rules, &feature, error);

    if (ok && g_str_equal(feature.name, "secure-boot"))
        os->secureBoot = feature.enabled;
    else if (ok)
        os->enrolledKeys = feature.enabled;
    g_free(feature.name);
    return ok;
}

static gboolean
virDomainParseBios(virXmlNode *node, gpointer opaque, GError **error)
{
    static const virXmlRule rules[] = {
        {"@useserial", VIR_XML_BOOL, OFF(os.biosSerial)},
        {"@rebootTimeout", VIR_XML_STRING, OFF(os.rebootTimeout)},
        {NULL},
    };

    return virXmlRead(node, rules, opaque, error);
}

gboolean
virDomainParseOs(virXmlNode *node, gpointer def, GError **error)
{
    static const char *const hvm[] = {"hvm", NULL};
    static const char *const archs[] = {"x86_64", "i686", NULL};
    static const char *const firmwares[] = {"bios", "efi", NULL};
    static const char *const loaderTypes[] = {"pflash", "rom", NULL};
    static const char *const raw[] = {"raw", NULL};
    static const char *const smbios[] = {"emulate", "sysinfo", NULL};
    static const virXmlRule type[] = {
        {"@arch", VIR_XML_CHOICE, OFF(os.arch), .choices = archs},
        {"@machine", VIR_XML_STRING, OFF(os.machine)},
        {"", VIR_XML_CHOICE, OFF(os.type), VIR_XML_REQUIRED, .choices = hvm},
        {NULL},
    };
    static const virXmlRule loader[] = {
        {"@readonly", VIR_XML_BOOL, OFF(os.loaderReadonly)},
        {"@secure", VIR_XML_BOOL, OFF(os.loaderSecure)},
        {"@type", VIR_XML_CHOICE, OFF(os.loaderType), .choices = loaderTypes},
        {"@format", VIR_XML_CHOICE, OFF(os.loaderFormat), .choices = raw},
        {"", VIR_XML_STRING, OFF(os.loader)},
        {NULL},
    };
    static const virXmlRule nvram[] = {
        {"@template", VIR_XML_STRING, OFF(os.nvramTemplate)},
        {"@templateFormat", VIR_XML_CHOICE, OFF(os.nvramFormat), .choices = raw},
        {"@format", VIR_XML_CHOICE, OFF(os.nvramFormat), .choices = raw},
        {"", VIR_XML_STRING, OFF(os.nvram)},
        {NULL},
    };
    static const virXmlRule menu[] = {
        {"@enable", VIR_XML_BOOL, OFF(os.bootMenu)},
        {"@timeout", VIR_XML_UINT, OFF(os.bootMenuTimeout), .max = 65535},
        {NULL},
    };
    static const virXmlRule mode[] = {
        {"@mode", VIR_XML_CHOICE, OFF(os.smbios), .choices = smbios},
        {NULL},
    };
    static const virXmlRule firmware[] = {
        {"feature", VIR_XML_FUNC, 0, VIR_XML_MANY, .func = virDomainParseFirmwareFeature},
        {NULL},
    };
    static const virXmlRule rules[] = {
        {"@firmware", VIR_XML_CHOICE, OFF(os.firmware), .choices = firmwares},
        {"type", VIR_XML_SUB, 0, VIR_XML_REQUIRED, .rules = type},
        {"firmware", VIR_XML_SUB, .rules = firmware},
        {"loader", VIR_XML_SUB, .rules = loader},
        {"nvram", VIR_XML_SUB, .rules = nvram},
        {"kernel", VIR_XML_STRING, OFF(os.kernel)},
        {"initrd", VIR_XML_STRING, OFF(os.initrd)},
        {"cmdline", VIR_XML_TEXT, OFF(os.cmdline)},
        {"boot", VIR_XML_FUNC, 0, VIR_XML_MANY, .func = virDomainParseBootDev},
        {"bootmenu", VIR_XML_SUB, .rules = menu},
        {"smbios", VIR_XML_SUB, .rules = mode},
        {"bios", VIR_XML_FUNC, .func = virDomainParseBios},
        {NULL},
    };

    return virXmlRead(node, rules, def, error);
}

/* --- <sysinfo> ------------------------------------------------------------------------------ */

/* One table of SMBIOS: <entry name='manufacturer'>x</entry> ... to "type=1,manufacturer=x". */
static gboolean
virDomainReadSmbiosTable(virXmlNode *node, const char *type, const char *const *names,
                         GPtrArray *tables, GError **error)
{
    g_autoptr(GString) table = g_string_new(type);
    struct {
        char *name, *value;
    } entry;
    const virXmlRule rules[] = {
        {"@name", VIR_XML_CHOICE, 0, VIR_XML_REQUIRED, .choices = names},
        {"", VIR_XML_TEXT, sizeof(char *)},
        {NULL},
    };

    for (virXmlNode *child = node->children; child; child = child->next) {
        g_auto(GStrv) parts = NULL;
        g_autofree char *escaped = NULL;
        gboolean ok;

        if (child->kind != VIR_XML_ELEMENT)
            continue;
        if (!g_str_equal(child->name, "entry"))
            return virXmlError(child, error, "this element is not supported here");
        memset(&entry, 0, sizeof(entry));
        ok = virXmlRead(child, rules, &entry, error);
        parts = g_strsplit(entry.value ? entry.value : "", ",", -1);
        escaped = g_strjoinv(",,", parts);
        if (ok && g_str_equal(entry.name, "uuid") == FALSE) /* the guest's own is used */
            g_string_append_printf(table, ",%s=%s", entry.name, escaped);
        g_free(entry.name);
        g_free(entry.value);
        if (!ok)
            return FALSE;
    }
    g_ptr_array_add(tables, g_strdup(table->str));
    return TRUE;
}

static gboolean
virDomainParseSmbiosBios(virXmlNode *node, gpointer def, GError **error)
{
    static const char *const names[] = {"vendor", "version", "date", "release", NULL};

    return virDomainReadSmbiosTable(node, "type=0", names,
                                    ((virDomainDef *)def)->smbiosTables, error);
}

static gboolean
virDomainParseSmbiosSystem(virXmlNode *node, gpointer def, GError **error)
{
    static const char *const names[] = {"manufacturer", "product", "version", "serial",
                                        "uuid",         "sku",     "family",  NULL};

    return virDomainReadSmbiosTable(node, "type=1", names,
                                    ((virDomainDef *)def)->smbiosTables, error);
}

static gboolean
virDomainParseSmbiosBoard(virXmlNode *node, gpointer def, GError **error)
{
    static const char *const names[] = {"manufacturer", "product",  "version", "serial",
                                        "asset",        "location", NULL};

    return virDomainReadSmbiosTable(node, "type=2", names,
                                    ((virDomainDef *)def)->smbiosTables, error);
}

gboolean
virDomainParseSysinfo(virXmlNode *node, gpointer def, GError **error)
{
    static const char *const types[] = {"smbios", NULL};
    static const virXmlRule rules[] = {
        {"@type", VIR_XML_CHOICE, OFF(sysinfoType), VIR_XML_REQUIRED, .choices = types},
        {"bios", VIR_XML_FUNC, .func = virDomainParseSmbiosBios},
        {"system", VIR_XML_FUNC, .func = virDomainParseSmbiosSystem},
        {"baseBoard", VIR_XML_FUNC, 0, VIR_XML_MANY, .func = virDomainParseSmbiosBoard},
        {NULL},
    };

    return virXmlRead(node, rules, def, error);
}

/* --- <cpu> -------------------------------------------------------------------------------- */

static gboolean
virDomainParseCpuFeature(virXmlNode *node, gpointer opaque, GError **error)
{
    static const char *const policies[] = {"force",   "require", "optional",
                                           "disable", "forbid",  NULL};
    static const virXmlRule rules[] = {
        {"@name", VIR_XML_STRING, offsetof(virDomainCpuFeature, name), VIR_XML_REQUIRED},
        {"@policy", VIR_XML_CHOICE, offsetof(virDomainCpuFeature, policy),
         .choices = policies},
        {NULL},
    };
    virDomainCpuFeature *feature = g_new0(virDomainCpuFeature, 1);

    g_ptr_array_add(((virDomainDef *)opaque)->cpu.features, feature);
    return virXmlRead(node, rules, feature, error);
}

gboolean
virDomainParseCpu(virXmlNode *node, gpointer opaque, GError **error)
{
    static const char *const modes[] = {"custom", "host-model", "host-passthrough",
                                        "maximum", NULL};
    static const char *const matches[] = {"minimum", "exact", "strict", NULL};
    static const char *const checks[] = {"none", "partial", "full", NULL};
    static const char *const fallbacks[] = {"allow", "forbid", NULL};
    static const char *const cacheModes[] = {"emulate", "passthrough", "disable", NULL};
    static const char *const addrModes[] = {"emulate", "passthrough", NULL};
    static const virXmlRule model[] = {
        {"@fallback", VIR_XML_CHOICE, OFF(cpu.fallback), .choices = fallbacks},
        {"@vendor_id", VIR_XML_STRING, OFF(cpu.vendorId)},
        {"", VIR_XML_STRING, OFF(cpu.model)},
        {NULL},
    };
    static const virXmlRule topology[] = {
        {"@sockets", VIR_XML_UINT, OFF(cpu.sockets), VIR_XML_REQUIRED,
         .max = VIR_DOMAIN_MAX_VCPUS},
        {"@dies", VIR_XML_UINT, OFF(cpu.dies), .max = VIR_DOMAIN_MAX_VCPUS},
        {"@cores", VIR_XML_UINT, OFF(cpu.cores), VIR_XML_REQUIRED,
         .max = VIR_DOMAIN_MAX_VCPUS},
        {"@threads", VIR_XML_UINT, OFF(cpu.threads), VIR_XML_REQUIRED,
         .max = VIR_DOMAIN_MAX_VCPUS},
        {NULL},
    };
    static const virXmlRule cache[] = {
        {"@level", VIR_XML_UINT, OFF(cpu.cacheLevel), .max = 3},
        {"@mode", VIR_XML_CHOICE, OFF(cpu.cacheMode), VIR_XML_REQUIRED,
         .choices = cacheModes},
        {NULL},
    };
    static const virXmlRule addr[] = {
        {"@mode", VIR_XML_CHOICE, OFF(cpu.addrMode), VIR_XML_REQUIRED,
         .choices = addrModes},
        {"@bits", VIR_XML_UINT, OFF(cpu.addrBits), .max = 64},
        {NULL},
    };
    static const virXmlRule rules[] = {
        {"@mode", VIR_XML_CHOICE, OFF(cpu.mode), .choices = modes},
        {"@match", VIR_XML_CHOICE, OFF(cpu.match), .choices = matches},
        {"@check", VIR_XML_CHOICE, OFF(cpu.check), .choices = checks},
        {"@migratable", VIR_XML_BOOL, OFF(cpu.migratable)},
        {"model", VIR_XML_SUB, .rules = model},
        {"vendor", VIR_XML_IGNORE}, /* of the host that the model was computed on */
        {"topology", VIR_XML_SUB, .rules = topology},
        {"cache", VIR_XML_SUB, .rules = cache},
        {"maxphysaddr", VIR_XML_SUB, .rules = addr},
        {"feature", VIR_XML_FUNC, 0, VIR_XML_MANY, .func = virDomainParseCpuFeature},
        {NULL},
    };

    ((virDomainDef *)opaque)->cpu.present = TRUE;
    return virXmlRead(node, rules, opaque, error);
}

/* --- <features> --------------------------------------------------------------------------- */

typedef struct _virDomainSwitch {
    virXmlBool state;
    guint64 retries;
    char *value;
    virXmlBool direct;
} virDomainSwitch;

/* <vapic state='on'/> and its like: QEMU's name is libvirt's with "hv-" before it. */
static gboolean
virDomainParseHypervFeature(virXmlNode *node, gpointer opaque, GError **error)
{
    static const virXmlRule direct[] = {
        {"@state", VIR_XML_BOOL, offsetof(virDomainSwitch, direct)}, {NULL}};
    static const virXmlRule rules[] = {
        {"@state", VIR_XML_BOOL, offsetof(virDomainSwitch, state), VIR_XML_REQUIRED},
        {"@retries", VIR_XML_UINT, offsetof(virDomainSwitch, retries),
         .max = G_MAXUINT32},
        {"@value", VIR_XML_STRING, offsetof(virDomainSwitch, value)},
        {"direct", VIR_XML_SUB, .rules = direct},
        {NULL},
    };
    virDomainSwitch feature = {VIR_XML_ABSENT};
    GPtrArray *list = ((virDomainDef *)opaque)->features.hyperv;
    g_autofree char *name = g_strdup(node->name);
    gboolean ok = virXmlRead(node, rules, &feature, error);

    g_strdelimit(name, "_", '-');
    if (ok && feature.state == VIR_XML_YES) {
        if (g_str_equal(name, "spinlocks"))
            g_ptr_array_add(list,
                            g_strdup_printf("hv-spinlocks=0x%" G_GINT64_MODIFIER "x",
                                            feature.retries ? feature.retries : 0x1fff));
        else if (g_str_equal(name, "vendor-id"))
            g_ptr_array_add(list, g_strdup_printf("hv-vendor-id=%s",
                                                  feature.value ? feature.value : ""));
        else
            g_ptr_array_add(list, g_strdup_printf("hv-%s=on", name));
        if (feature.direct == VIR_XML_YES)
            g_ptr_array_add(list, g_strdup("hv-stimer-direct=on"));
    }
    g_free(feature.value);
    return ok;
}

static gboolean
virDomainParseHyperv(virXmlNode *node, gpointer def, GError **error)
{
#define HV(name)                                                                         \
    {                                                                                    \
        name, VIR_XML_FUNC, .func = virDomainParseHypervFeature                          \
    }
    static const char *const modes[] = {"custom", "passthrough", NULL};
    static const virXmlRule rules[] = {
        {"@mode", VIR_XML_CHOICE, OFF(features.hypervMode), .choices = modes},
        HV("relaxed"),
        HV("vapic"),
        HV("spinlocks"),
        HV("vpindex"),
        HV("runtime"),
        HV("synic"),
        HV("stimer"),
        HV("reset"),
        HV("vendor_id"),
        HV("frequencies"),
        HV("reenlightenment"),
        HV("tlbflush"),
        HV("ipi"),
        HV("evmcs"),
        HV("avic"),
        {NULL},
    };
#undef HV

    return virXmlRead(node, rules, def, error);
}

gboolean
virDomainParseFeatures(virXmlNode *node, gpointer def, GError **error)
{
#define STATE(rules_, member)                                                            \
    static const virXmlRule rules_[] = {                                                 \
        {"@state", VIR_XML_BOOL, OFF(features.member), VIR_XML_REQUIRED},                \
        {NULL}                                                                           \
    }
    STATE(vmport, vmport);
    STATE(pmu, pmu);
    STATE(pvspinlock, pvspinlock);
    STATE(hidden, kvmHidden);
    STATE(hint, hintDedicated);
    STATE(poll, pollControl);
    STATE(vmcoreinfo, vmcoreinfo);
#undef STATE
    static const char *const ioapics[] = {"kvm", "qemu", NULL};
    static const virXmlRule smm[] = {{"@state", VIR_XML_BOOL, OFF(features.smm)}, {NULL}};
    static const virXmlRule ioapic[] = {
        {"@driver", VIR_XML_CHOICE, OFF(features.ioapic), VIR_XML_REQUIRED,
         .choices = ioapics},
        {NULL},
    };
    static const virXmlRule kvm[] = {
        {"hidden", VIR_XML_SUB, .rules = hidden},
        {"hint-dedicated", VIR_XML_SUB, .rules = hint},
        {"poll-control", VIR_XML_SUB, .rules = poll},
        {NULL},
    };
    static const virXmlRule rules[] = {
        {"acpi", VIR_XML_FLAG, OFF(features.acpi)},
        {"apic", VIR_XML_FLAG, OFF(features.apic)},
        {"pae", VIR_XML_FLAG, OFF(features.pae)},
        {"hap", VIR_XML_IGNORE},     /* Xen's */
        {"privnet", VIR_XML_IGNORE}, /* containers' */
        {"smm", VIR_XML_SUB, .rules = smm},
        {"vmport", VIR_XML_SUB, .rules = vmport},
        {"pmu", VIR_XML_SUB, .rules = pmu},
        {"pvspinlock", VIR_XML_SUB, .rules = pvspinlock},
        {"ioapic", VIR_XML_SUB, .rules = ioapic},
        {"kvm", VIR_XML_SUB, .rules = kvm},
        {"hyperv", VIR_XML_FUNC, .func = virDomainParseHyperv},
        {"vmcoreinfo", VIR_XML_SUB, .rules = vmcoreinfo},
        {NULL},
    };

    return virXmlRead(node, rules, def, error);
}

/* --- <clock> -------------------------------------------------------------------------------- */

static gboolean
virDomainParseTimer(virXmlNode *node, gpointer opaque, GError **error)
{
#define T(member) offsetof(virDomainTimer, member)
    static const char *const names[] = {"rtc",         "pit", "hpet", "kvmclock",
                                        "hypervclock", "tsc", NULL};
    static const char *const policies[] = {"delay", "catchup", "merge", "discard", NULL};
    static const char *const tracks[] = {"guest", "wall", "realtime", NULL};
    static const char *const modes[] = {"auto", "native", NULL};
    static const virXmlRule rules[] = {
        {"@name", VIR_XML_CHOICE, T(name), VIR_XML_REQUIRED, .choices = names},
        {"@tickpolicy", VIR_XML_CHOICE, T(tickPolicy), .choices = policies},
        {"@track", VIR_XML_CHOICE, T(track), .choices = tracks},
        {"@mode", VIR_XML_CHOICE, T(mode), .choices = modes},
        {"@present", VIR_XML_BOOL, T(present)},
        {"@frequency", VIR_XML_UINT, T(frequency)},
        {NULL},
    };
#undef T
    virDomainTimer *timer = g_new0(virDomainTimer, 1);

    g_ptr_array_add(((virDomainDef *)opaque)->clock.timers, timer);
    return virXmlRead(node, rules, timer, error);
}

gboolean
virDomainParseClock(virXmlNode *node, gpointer def, GError **error)
{
    static const char *const offsets[] = {"utc", "localtime", "variable", "absolute",
                                          NULL};
    static const char *const bases[] = {"utc", "localtime", NULL};
    static const virXmlRule rules[] = {
        {"@offset", VIR_XML_CHOICE, OFF(clock.offset), .choices = offsets},
        {"@basis", VIR_XML_CHOICE, OFF(clock.basis), .choices = bases},
        {"@adjustment", VIR_XML_STRING, OFF(clock.adjustment)},
        {"@start", VIR_XML_STRING, OFF(clock.start)},
        {"timer", VIR_XML_FUNC, 0, VIR_XML_MANY, .func = virDomainParseTimer},
        {NULL},
    };

    return virXmlRead(node, rules, def, error);
}
