/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-domain-refuse.c: descriptions that must not start a guest. Each is refused with CONFIG
 * and with words that name what is wrong, on one line, and nothing is leaked (run it under
 * ASan). The words are part of the test: a description that is refused for another reason
 * than the one that is tested proves nothing.
 */
#include "config.h"
#include "common/xml_node.h"
#include "domain_lock/domain/domain_def.h"
#include "tests/lib/vir_test.h"

#include <string.h>

static void
assertRefused(const char *xml, gssize len, const char *words)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virDomainDef) def = virDomainDefParseXML(xml, len, 0, &error);

    g_assert_null(def);
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    if (!strstr(error->message, words))
        g_error("'%s' is not in '%s'", words, error->message);
    g_assert_null(strchr(error->message, '\n'));
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
}

/* A guest that is all right but for @more in <domain> and @devices in <devices>. */
static char *
guest(const char *more, const char *devices)
{
    return g_strdup_printf(
        "<domain type='qemu'><name>g</name><memory>65536</memory>\n"
        "<os><type machine='pc'>hvm</type></os>\n%s<devices>\n%s</devices>"
        "</domain>",
        more, devices);
}

typedef struct {
    const char *text, *words;
} Case;

/* --- elements that would change which data the guest touches ---------------------------------- */

#define DISK(inside)                                                                     \
    "<disk type='file'><source file='/d'/><target dev='vda'/>" inside "</disk>"

static const Case dataCases[] = {
    {"<disk type='network'><source protocol='rbd' name='p/i'/><target dev='vda'/></disk>",
     "line 4: <disk>: disk type 'network'"},
    {"<disk type='volume'><source pool='p' volume='v'/><target dev='vda'/></disk>",
     "'volume'"},
    {"<disk type='nvme'/>", "'nvme'"},
    {"<disk type='dir'/>", "'dir'"},
    {"<disk type='vhostuser'/>", "'vhostuser'"},
    {"<filesystem type='mount'/>", "<filesystem>: not supported"},
    {"<hostdev mode='subsystem' type='scsi'/>", "<hostdev>: not supported"},
    {DISK("<mirror/>"), "<mirror>: not supported"},
    {DISK("<encryption format='luks'/>"), "<encryption>"},
    {DISK("<transient/>"), "<transient>"},
    {DISK("<iotune/>"), "<iotune>"},
    {DISK("<auth username='u'/>"), "<auth>"},
    {DISK("<somethingnew/>"), "<somethingnew>: this element is not supported in <disk>"},
    {"<disk type='file' snapshot='external'><source file='/d'/><target "
     "dev='vda'/></disk>",
     "'@snapshot' is not supported"},
    {"<disk type='file' newattr='1'><source file='/d'/><target dev='vda'/></disk>",
     "attribute 'newattr'"},
    {"<disk type='file' device='lun'><source file='/d'/><target dev='sda'/></disk>",
     "'lun'"},
    {"<disk type='file'><source file='/d'><slices/></source><target dev='vda'/></disk>",
     "<slices>"},
    {"<disk type='file'><source file='/d'><encryption/></source><target "
     "dev='vda'/></disk>",
     "<encryption>"},
    {"<disk type='file'><source file='/d' startupPolicy='optional'/><target "
     "dev='vda'/></disk>",
     "'optional'"},
    {"<disk type='file'><source file='/d' dev='/e'/><target dev='vda'/></disk>", "both"},
    {"<disk type='file'><source file='/d'/><source file='/e'/><target dev='vda'/></disk>",
     "more than once"},
    {DISK("<driver copy_on_read='on'/>"), "copy_on_read"},
    {DISK("<driver name='other'/>"), "'other'"},
    {DISK("<driver type='qcow2,file=/etc/shadow'/>"), "format 'qcow2,file=/etc/shadow'"},
    {DISK("<driver type='host_device'/>"), "format 'host_device'"},
    {DISK("<backingStore type='network'><format type='raw'/></backingStore>"),
     "'network'"},
    {DISK("<backingStore type='file'><source file='/b'/></backingStore>"),
     "format of '/b'"},
    {DISK("<driver type='qcow2'/><shareable/>"), "<shareable/> needs format 'raw'"},
};

static const Case deviceCases[] = {
    {"<disk type='file'><source file='d'/><target dev='vda'/></disk>", "absolute"},
    {"<disk type='file'><target dev='vda'/></disk>", "<source> is missing"},
    {"<disk type='file'><source file=''/><target dev='vda'/></disk>", "empty"},
    {"<disk type='file'><source file='/d'/></disk>", "element 'target' is missing"},
    {"<disk type='file'><source file='/d'/><target dev='../../x'/></disk>", "'../../x'"},
    {"<disk type='file'><source file='/d'/><target dev='xvda'/></disk>", "bus"},
    {"<disk type='file'><source file='/d'/><target dev='vdaaaaaaaaaaaaaaaaa'/></disk>",
     "name"},
    {"<disk type='file'><source file='/d'/><target dev='vda' bus='fdc'/></disk>",
     "floppy"},
    {DISK("") DISK(""), "two disks"},
    {DISK("<driver io='native' cache='writeback'/>"), "io='native'"},
    {DISK("<driver iothread='1'/>"), "iothread 1 does not exist"},
    {DISK("<serial>a,b=c</serial>"), "odd characters"},
    {DISK("<wwn>12</wwn>"), "16 hex"},
    {DISK("<boot order='0'/>"), "begins with 1"},
    {DISK("<address type='pci' slot='0x01'/>"), "taken"},
    {DISK("<address type='pci' bus='0x03' slot='0x01'/>"), "does not exist"},
    {DISK("<address type='pci' domain='0x0001' slot='0x01'/>"), "PCI domain 1"},
    {DISK("<address type='ccw'/>"), "'ccw'"},
    {DISK("<alias name='ua-x,y'/>"), "characters"},
    {"<disk type='file'><source file='/d'/><target dev='sda'/>"
     "<address type='drive' controller='0' unit='0'/></disk>"
     "<disk type='file'><source file='/e'/><target dev='sdb'/>"
     "<address type='drive' controller='0' unit='0'/></disk>",
     "taken by another"},
    {"<interface type='network'><source network='default'/></interface>",
     "type='bridge'"},
    {"<interface type='direct'/>", "macvtap"},
    {"<interface type='bridge'/>", "<source bridge"},
    {"<interface type='bridge'><source bridge='br0,helper=/x'/></interface>",
     "network interface"},
    {"<interface type='user'><mac address='52:54:00:00:00'/></interface>", "MAC"},
    {"<interface type='user'><mac address='01:54:00:00:00:00'/></interface>",
     "multicast"},
    {"<interface type='user'><bandwidth/></interface>", "<bandwidth>"},
    {"<interface type='ethernet'><target dev='tap0'/></interface>", "managed='no'"},
    {"<graphics type='vnc' passwd='secret'/>", "'@passwd' is not supported"},
    {"<graphics type='sdl'/>", "'sdl'"},
    {"<graphics type='vnc' port='99999'/>", "port"},
    {"<tpm><backend type='emulator'/></tpm>", "<source type='dir'"},
    {"<tpm><backend type='emulator'><encryption secret='x'/></backend></tpm>",
     "<encryption>"},
    {"<serial type='file'/>", "needs <source path"},
    {"<channel type='unix'/>", "<target type='virtio'/>"},
    {"<rng model='virtio'><backend model='egd'/></rng>", "'egd'"},
    {"<memory model='dimm'/>", "<memory>: not supported"},
    {"<shmem name='x'/>", "<shmem>"},
    {"<vsock/>", "<vsock>: this element is not supported in <devices>"},
    {"<controller type='usb' model='none'/><input type='tablet' bus='usb'/>", "'none'"},
    {"<controller type='usb' model='made-up'/>", "'made-up'"},
    {"<controller type='scsi' index='0'/><controller type='scsi' index='0'/>", "twice"},
    {"<controller type='pci' index='1' model='pcie-root-port'/>",
     "not supported on this machine"},
    {"<lease><lockspace>l</lockspace></lease>", "'key' is missing"},
};

static const Case domainCases[] = {
    {"<on_lockfailure>ignore</on_lockfailure>", "'ignore' is not supported"},
    {"<on_crash>coredump-destroy</on_crash>", "coredump-destroy"},
    {"<cputune/>", "<cputune>"},
    {"<memory>1</memory>", "more than once"},
    {"<memory unit='parsec'>1</memory>", "<memory>"},
    {"<currentMemory>999999</currentMemory>", "<currentMemory>"},
    {"<vcpu>0</vcpu><cpu><topology sockets='2' cores='1' threads='1'/></cpu>",
     "<topology>"},
    {"<vcpu>99999</vcpu>", "99999"},
    {"<vcpu cpuset='0-1'>1</vcpu>", "'cpuset'"},
    {"<uuid>not-a-uuid</uuid>", "not a UUID"},
    {"<uuid>4dea22b3-1d52-d8f3-2516-782e98ab3fa</uuid>", "not a UUID"},
    {"<cpu mode='host-passthrough'/>", "needs <domain type='kvm'>"},
    {"<cpu><model>x,-kvm</model></cpu>", "CPU model"},
    {"<cpu><feature name='a=b' policy='require'/></cpu>", "CPU feature"},
    {"<launchSecurity type='sev'/>", "<launchSecurity>"},
    {"<features><gic/></features>", "<gic>"},
    {"some text", "text 'some text'"},
    {"<x:y xmlns:x='urn:x'/>", "<y>: this element is not supported"},
};

static void
testCases(const Case *cases, gsize n, gboolean device)
{
    for (gsize i = 0; i < n; i++) {
        g_autofree char *xml =
            guest(device ? "" : cases[i].text, device ? cases[i].text : "");

        assertRefused(xml, -1, cases[i].words);
    }
}

static void
testData(void)
{
    testCases(dataCases, G_N_ELEMENTS(dataCases), TRUE);
}

static void
testDevices(void)
{
    testCases(deviceCases, G_N_ELEMENTS(deviceCases), TRUE);
}

static void
testDomain(void)
{
    testCases(domainCases, G_N_ELEMENTS(domainCases), FALSE);
}

static void
testFirmware(void)
{
    static const Case cases[] = {
        {"<os firmware='efi'><type machine='q35'>hvm</type></os>",
         "<nvram>/path</nvram>"},
        {"<os><type machine='q35'>hvm</type><nvram>/x</nvram></os>", "firmware='efi'"},
        {"<os><type machine='q35'>hvm</type><loader type='pflash' "
         "readonly='no'>/x</loader></os>",
         "readonly='yes'"},
        {"<os><type machine='virt'>hvm</type></os>", "'virt'"},
        {"<os><type machine='pc,dump-guest-core=on'>hvm</type></os>", "machine"},
        {"<os><type>xen</type></os>", "'xen'"},
        {"<os><type arch='aarch64'>hvm</type></os>", "'aarch64'"},
        {"", "<os>"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *xml = g_strdup_printf(
            "<domain type='qemu'><name>g</name><memory>65536</memory>%s</domain>",
            cases[i].text);

        assertRefused(xml, -1, cases[i].words);
    }
}

static void
testNames(void)
{
    static const char *const names[] = {"a/b", "../x", "-x", "a\x07z", " \n", "a\nb"};
    g_autofree char *tooLong = g_strnfill(200, 'x');

    for (gsize i = 0; i <= G_N_ELEMENTS(names); i++) {
        g_autofree char *xml =
            g_strdup_printf("<domain type='qemu'><name>%s</name><memory>65536</memory>"
                            "<os><type>hvm</type></os></domain>",
                            i < G_N_ELEMENTS(names) ? names[i] : tooLong);

        assertRefused(xml, -1, i == 3 ? "line 1" : "name");
    }
}

/* --- hostile documents ------------------------------------------------------------------------- */

static void
testBombs(void)
{
    static const char lol[] =
        "<?xml version='1.0'?>\n<!DOCTYPE lolz [<!ENTITY a \"lol\">\n"
        "<!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\"><!ENTITY c "
        "\"&b;&b;&b;&b;&b;&b;&b;&b;\">\n"
        "<!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;\"><!ENTITY e "
        "\"&d;&d;&d;&d;&d;&d;&d;&d;\">]>\n"
        "<domain><name>&e;</name></domain>";

    assertRefused(lol, -1, "DOCTYPE");
    assertRefused("<!DOCTYPE d SYSTEM 'file:///etc/passwd'><d/>", -1, "DOCTYPE");
    assertRefused("<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><d>&x;</d>", -1,
                  "DOCTYPE");
    assertRefused("<!DOCTYPE d [<!ENTITY % p SYSTEM 'http://127.0.0.1:1/x'>%p;]><d/>", -1,
                  "DOCTYPE");
    assertRefused("<domain>&undeclared;</domain>", -1, "undeclared");
    assertRefused("<domain type='qemu' xmlns:xi='http://www.w3.org/2001/XInclude'>"
                  "<xi:include href='/etc/passwd' parse='text'/></domain>",
                  -1, "<include>: this element is not supported");
}

static void
testTooMuch(void)
{
    g_autoptr(GString) deep = g_string_new(NULL);
    g_autoptr(GString) wide = g_string_new("<domain>");
    g_autofree char *large = g_strnfill(5 * 1024 * 1024, ' ');

    for (int i = 0; i < 10000; i++)
        g_string_append(deep, "<domain>");
    for (int i = 0; i < 60000; i++)
        g_string_append(wide, "<a/>");
    assertRefused(deep->str, -1, "nested too deep");
    assertRefused(wide->str, -1, "more elements");
    assertRefused(large, -1, "larger than");
    assertRefused("", -1, "empty");
    assertRefused("", 0, "empty");
}

static void
testJunk(void)
{
    static const char elf[] = "\x7f"
                              "ELF\x02\x01\x01\0\0\0\0";
    static const char nul[] = "<domain type='qemu'>\0<name>x</name></domain>";
    static const char utf8[] = "<domain type='qemu'><name>\xff\xfe</name></domain>";

    assertRefused(elf, sizeof(elf), "line");
    assertRefused(nul, sizeof(nul) - 1, "line");
    assertRefused(utf8, -1, "line");
    assertRefused("<domain", -1, "line 1");
    assertRefused("<domain></domain><domain/>", -1, "line 1");
    assertRefused("{\"name\": \"x\"}", -1, "line 1");
    assertRefused("<network><name>x</name></network>", -1,
                  "root element is not <domain>");
    assertRefused("<a:domain type='qemu'/>", -1, "a");
    assertRefused("<domain type='xen'/>", -1, "'xen' is not supported");
    assertRefused("<domain type='qemu'/>", -1, "'name' is missing");
}

/* Whatever is cut off anywhere: an error or a guest, never a crash. */
static void
testTruncated(void)
{
    g_autofree char *path = g_build_filename(
        g_getenv("top_srcdir"), "tests/domain/xml/q35-libvirt-dump.xml", NULL);
    g_autofree char *xml = NULL;
    gsize len = 0;

    g_assert_true(g_file_get_contents(path, &xml, &len, NULL));
    for (gsize n = 0; n + 2 < len; n += 7) {
        g_autoptr(GError) error = NULL;
        g_autoptr(virDomainDef) def = virDomainDefParseXML(xml, (gssize)n, 0, &error);

        g_assert_null(def);
        g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    }
}

/* One that can be read, but not when it is written out again: each ">" is "&gt;" then. */
static void
testTooMuchWritten(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *much = g_strnfill(VIR_XML_MAX_SIZE / 2, '>');
    g_autofree char *more =
        g_strconcat("<metadata><x:a xmlns:x='urn:x'>", much, "</x:a></metadata>", NULL);
    g_autofree char *xml = guest(more, "");
    g_autoptr(virDomainDef) def = virDomainDefParseXML(xml, -1, 0, &error);
    g_autofree char *written = NULL;

    virAssertNoError(error);
    written = virDomainDefFormatXML(def, &error);
    g_assert_null(written);
    g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "written out in full"));
}

/* --- what is asked, and cache modes ------------------------------------------------------------- */

static void
testAnswers(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml =
        guest("<on_poweroff>preserve</on_poweroff><on_reboot>destroy</on_reboot>"
              "<on_crash>restart</on_crash>"
              "<on_lockfailure>restart</on_lockfailure>",
              "<channel type='unix'>"
              "<target type='virtio' name='org.qemu.guest_agent.0'/></channel>");
    g_autoptr(virDomainDef) def = virDomainDefParseXML(xml, -1, 0, &error);
    g_autofree char *agent = NULL;
    gboolean isSet = FALSE;

    virAssertNoError(error);
    g_assert_cmpint(virDomainDefGetOnPoweroff(def), ==, VIR_DOMAIN_ACTION_PRESERVE);
    g_assert_cmpint(virDomainDefGetOnReboot(def), ==, VIR_DOMAIN_ACTION_DESTROY);
    g_assert_cmpint(virDomainDefGetOnCrash(def), ==, VIR_DOMAIN_ACTION_RESTART);
    g_assert_cmpint(virDomainDefGetLockfailure(def, &isSet), ==,
                    VIR_DOMAIN_LOCKFAILURE_RESTART);
    g_assert_true(isSet);
    g_assert_false(virDomainDefIsForeign(def));
    agent = virDomainDefGetAgentSocket(def, "/run/x");
    g_assert_cmpstr(agent, ==, "/run/x/channel0.sock");
    g_assert_null(virDomainDefGetTpmEmulator(def, "/run/x"));

    {
        virDomainArgvContext context = {.runDir = "/run/x", .qmpFd = 3};

        g_assert_null(virDomainDefFormatArgv(def, &context, &error));
        g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE);
    }
}

/* given a plugin that wants O_DIRECT, when a writable disk asks for the page cache, then the
 * disk is named, unless that was asked for by name */
static void
testCache(void)
{
    static const struct {
        const char *words;
        gboolean ok;
    } cases[] = {
        {"<driver cache='none'/>", TRUE},
        {"<driver cache='directsync'/>", TRUE},
        {"<driver cache='writeback'/>", FALSE},
        {"<driver cache='writethrough'/>", FALSE},
        {"<driver cache='unsafe'/>", FALSE},
        {"<driver cache='default'/>", TRUE},
        {"", TRUE},
        {"<driver cache='writeback'/><readonly/>", TRUE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *disk = g_strdup_printf(
            "<disk type='file'><source file='/d'/><target dev='vda'/>%s</disk>",
            cases[i].words);
        g_autofree char *xml = guest("", disk);
        g_autoptr(virDomainDef) def = virDomainDefParseXML(xml, -1, 0, NULL);
        g_autoptr(virDomainDef) unsafe =
            virDomainDefParseXML(xml, -1, VIR_DOMAIN_LOCK_CREATE_UNSAFE_CACHE, NULL);
        g_autoptr(GError) error = NULL;

        g_assert_true(virDomainDefRequireDirectIo(def, &error) == cases[i].ok);
        if (!cases[i].ok) {
            g_assert_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
            g_assert_nonnull(strstr(error->message, "disk 'vda'"));
            g_assert_nonnull(strstr(error->message, "--unsafe-cache"));
        }
        g_assert_true(virDomainDefRequireDirectIo(unsafe, NULL));
    }
}

static void
testUuidOfName(void)
{
    g_autofree char *xml = guest("", "");
    g_autoptr(virDomainDef) one = virDomainDefParseXML(xml, -1, 0, NULL);
    g_autoptr(virDomainDef) two = virDomainDefParseXML(xml, -1, 0, NULL);

    g_assert_cmpstr(virDomainDefGetUuid(one), ==, virDomainDefGetUuid(two));
    g_assert_cmpint(virDomainDefGetUuid(one)[14], ==, '5');
}

int
main(int argc, char **argv)
{
    virTestInit(&argc, &argv);
    g_test_add_func("/domain/refuse/data", testData);
    g_test_add_func("/domain/refuse/devices", testDevices);
    g_test_add_func("/domain/refuse/domain", testDomain);
    g_test_add_func("/domain/refuse/firmware", testFirmware);
    g_test_add_func("/domain/refuse/names", testNames);
    g_test_add_func("/domain/refuse/bombs", testBombs);
    g_test_add_func("/domain/refuse/too-much", testTooMuch);
    g_test_add_func("/domain/refuse/too-much-written", testTooMuchWritten);
    g_test_add_func("/domain/refuse/junk", testJunk);
    g_test_add_func("/domain/refuse/truncated", testTruncated);
    g_test_add_func("/domain/answers", testAnswers);
    g_test_add_func("/domain/cache", testCache);
    g_test_add_func("/domain/uuid-of-name", testUuidOfName);
    return g_test_run();
}
