/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_check.c: what no table can say about a description: defaults, names, contradictions.
 * Disks are in domain_check_disk.c.
 */
#include "config.h"
#include "domain_priv.h"

#include <stdio.h>
#include <string.h>

#define VIR_DOMAIN_MAX_NAME 128

/* Of version 5 UUIDs of guests without a uuid: the SHA-1 of this and the name. */
static const guint8 virDomainUuidNamespace[16] = {0x3c, 0x1f, 0x0b, 0x52, 0x8e, 0x67,
                                                  0x4d, 0x2a, 0x9b, 0x1d, 0x5a, 0xe0,
                                                  0x74, 0xc8, 0x36, 0xf1};

/* --- who it is --------------------------------------------------------------------------- */

gboolean
virDomainCheckName(const char *name, GError **error)
{
    gboolean odd = !g_utf8_validate(name, -1, NULL) || strchr(name, '/') ||
                   *name == '.' || *name == '-' || strlen(name) > VIR_DOMAIN_MAX_NAME;

    for (const char *p = name; !odd && *p; p++)
        odd = g_ascii_iscntrl(*p);
    if (!*name || odd)
        return virDomainError(
            error,
            "guest name '%s' is not usable: it must have 1 to %d bytes of "
            "UTF-8 without '/' and control characters and not begin with '.' "
            "or '-'",
            name, VIR_DOMAIN_MAX_NAME);
    return TRUE;
}

gboolean
virDomainCheckUuid(const char *text, char **uuid, GError **error)
{
    g_autoptr(GString) digits = g_string_new(NULL);

    for (const char *p = text; *p; p++) {
        if (g_ascii_isxdigit(*p))
            g_string_append_c(digits, g_ascii_tolower(*p));
        else if (*p != '-')
            break;
        if (digits->len == 32 && p[1] == '\0') {
            const char *d = digits->str;

            *uuid = g_strdup_printf("%.8s-%.4s-%.4s-%.4s-%.12s", d, d + 8, d + 12, d + 16,
                                    d + 20);
            return TRUE;
        }
    }
    return virDomainError(error, "'%s' is not a UUID", text);
}

char *
virDomainUuidOfName(const char *name)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
    guint8 d[20];
    gsize len = sizeof(d);

    g_checksum_update(sum, virDomainUuidNamespace, sizeof(virDomainUuidNamespace));
    g_checksum_update(sum, (const guchar *)name, (gssize)strlen(name));
    g_checksum_get_digest(sum, d, &len);
    d[6] = (d[6] & 0x0f) | 0x50;
    d[8] = (d[8] & 0x3f) | 0x80;
    return g_strdup_printf(
        "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", d[0],
        d[1], d[2], d[3], d[4], d[5], d[6], d[7], d[8], d[9], d[10], d[11], d[12], d[13],
        d[14], d[15]);
}

static gboolean
virDomainCheckIdentity(virDomainDef *def, GError **error)
{
    g_autofree char *given = g_steal_pointer(&def->uuid);
    g_autofree char *genid = g_steal_pointer(&def->genid);

    if (!virDomainCheckName(def->name, error))
        return FALSE;
    if (given && !virDomainCheckUuid(given, &def->uuid, error))
        return FALSE;
    if (!given)
        def->uuid = virDomainUuidOfName(def->name);
    return !genid || virDomainCheckUuid(genid, &def->genid, error);
}

/* --- the machine -------------------------------------------------------------------------- */

static gboolean
virDomainCheckMachine(virDomainDef *def, GError **error)
{
    const char *machine;

    def->kvm = g_str_equal(def->typeText, "kvm");
    if (!def->os.type)
        return virDomainError(error, "domain XML: <os> with <type>hvm</type> is missing");
    if (!def->os.machine)
        def->os.machine = g_strdup("pc");
    machine = def->os.machine;
    def->q35 = g_str_equal(machine, "q35") || g_str_has_prefix(machine, "pc-q35-");
    if (!def->q35 && !g_str_equal(machine, "pc") &&
        !g_str_has_prefix(machine, "pc-i440fx-"))
        return virDomainError(error, "machine '%s' is not supported (pc and q35 are)",
                              machine);
    if (strspn(machine, G_CSET_a_2_z G_CSET_DIGITS "-.") != strlen(machine))
        return virDomainError(error, "'%s' is not the name of a machine", machine);
    if (def->emulator && !g_path_is_absolute(def->emulator))
        return virDomainError(error, "<emulator> '%s' is not an absolute path",
                              def->emulator);
    return TRUE;
}

static gboolean
virDomainCheckMemory(virDomainDef *def, GError **error)
{
    virDomainMemory *memory = &def->memory;

    if (memory->bytes < 1024 * 1024)
        return virDomainError(error, "<memory> is missing or below 1 MiB");
    if (!memory->currentBytes)
        memory->currentBytes = memory->bytes;
    if (memory->currentBytes > memory->bytes)
        return virDomainError(error, "<currentMemory> is more than <memory>");
    return TRUE;
}

static gboolean
virDomainCheckCpu(virDomainDef *def, GError **error)
{
    virDomainCpu *cpu = &def->cpu;
    guint64 dies = cpu->dies ? cpu->dies : 1;

    if (!def->maxVcpus)
        def->maxVcpus = 1;
    if (!def->vcpus)
        def->vcpus = def->maxVcpus;
    if (def->vcpus > def->maxVcpus)
        return virDomainError(error, "<vcpu> has 'current' above the number of vCPUs");
    if (cpu->sockets && cpu->sockets * dies * cpu->cores * cpu->threads != def->maxVcpus)
        return virDomainError(error,
                              "<topology> does not multiply to the number of vCPUs");
    if (!cpu->present)
        return TRUE;
    if (!cpu->mode)
        cpu->mode = g_strdup("custom");
    if (g_str_equal(cpu->mode, "host-passthrough") && !def->kvm)
        return virDomainError(error,
                              "<cpu mode='host-passthrough'> needs <domain type='kvm'>; "
                              "mode='maximum' is what an emulated guest can have");
    if (cpu->model && strspn(cpu->model, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_.") !=
                          strlen(cpu->model))
        return virDomainError(error, "'%s' is not the name of a CPU model", cpu->model);
    for (guint i = 0; i < cpu->features->len; i++) {
        virDomainCpuFeature *feature = g_ptr_array_index(cpu->features, i);

        if (strspn(feature->name, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-_.") !=
            strlen(feature->name))
            return virDomainError(error, "'%s' is not the name of a CPU feature",
                                  feature->name);
    }
    return TRUE;
}

static gboolean
virDomainCheckFirmware(virDomainDef *def, GError **error)
{
    virDomainOs *os = &def->os;
    gboolean efi = g_strcmp0(os->firmware, "efi") == 0;
    gboolean pflash = efi || g_strcmp0(os->loaderType, "pflash") == 0;

    if (os->loader && !g_path_is_absolute(os->loader))
        return virDomainError(error, "<loader> '%s' is not an absolute path", os->loader);
    if (os->loader && pflash && os->loaderReadonly == VIR_XML_NO)
        return virDomainError(error,
                              "a <loader> that the guest can write is not supported: it "
                              "would need a lease; use readonly='yes' and <nvram>");
    if (!pflash && os->nvram)
        return virDomainError(error,
                              "<nvram> needs firmware='efi' or a <loader type='pflash'>");
    if (!pflash || (os->loader && !os->nvram))
        return TRUE;
    if (!os->nvram)
        return virDomainError(
            error, "<nvram>/path</nvram> is missing: a default path would be "
                   "another file on each host; name one on the guest's storage");
    if (!g_path_is_absolute(os->nvram))
        return virDomainError(error, "<nvram> '%s' is not an absolute path", os->nvram);
    return TRUE;
}

/* --- devices ------------------------------------------------------------------------------ */

static gboolean
virDomainCheckMac(virDomainDef *def, virDomainNic *nic, guint i, GError **error)
{
    guint b[6];
    char end;

    if (!nic->mac) { /* the same at each start and on each host */
        g_autofree char *seed = g_strdup_printf("%s/net%u", def->uuid, i);
        g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, seed, -1);

        nic->mac = g_strdup_printf("52:54:00:%.2s:%.2s:%.2s", sum, sum + 2, sum + 4);
        return TRUE;
    }
    if (strlen(nic->mac) != 17 || sscanf(nic->mac, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0],
                                         &b[1], &b[2], &b[3], &b[4], &b[5], &end) != 6)
        return virDomainError(error, "<interface>: '%s' is not a MAC address", nic->mac);
    if (b[0] & 1)
        return virDomainError(error, "<interface>: '%s' is a multicast address",
                              nic->mac);
    return TRUE;
}

static gboolean
virDomainCheckInterfaceName(const char *name, GError **error)
{
    if (strlen(name) > 15 ||
        strspn(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_.") != strlen(name))
        return virDomainError(
            error, "<interface>: '%s' is not the name of a network interface", name);
    return TRUE;
}

static gboolean
virDomainCheckNics(virDomainDef *def, GError **error)
{
    for (guint i = 0; i < def->nics->len; i++) {
        virDomainNic *nic = g_ptr_array_index(def->nics, i);

        if (!nic->dev.id)
            nic->dev.id = g_strdup_printf("net%u", i);
        if (!nic->model)
            nic->model = g_strdup("rtl8139");
        if (!virDomainCheckMac(def, nic, i, error))
            return FALSE;
        if (g_str_equal(nic->type, "bridge") &&
            (!nic->sourceBridge ||
             !virDomainCheckInterfaceName(nic->sourceBridge, error)))
            return nic->sourceBridge
                       ? FALSE
                       : virDomainError(
                             error, "<interface type='bridge'>: <source bridge='...'/> "
                                    "is missing");
        if (nic->queues > 1 && !g_str_equal(nic->type, "ethernet"))
            return virDomainError(error,
                                  "<interface type='%s'> cannot have more than one queue",
                                  nic->type);
        if (!g_str_equal(nic->type, "ethernet"))
            continue;
        if (!nic->targetDev || g_strcmp0(nic->managed, "no") != 0)
            return virDomainError(error,
                                  "<interface type='ethernet'> needs <target dev='TAP' "
                                  "managed='no'/>: a tap device that exists");
        if (!virDomainCheckInterfaceName(nic->targetDev, error))
            return FALSE;
    }
    return TRUE;
}

/* libvirt shows the first serial port a second time as <console>; it is one device. */
static void
virDomainMergeConsole(virDomainDef *def)
{
    guint serials = 0;

    for (guint i = 0; i < def->chars->len; i++)
        serials += ((virDomainChar *)g_ptr_array_index(def->chars, i))->class ==
                   VIR_DOMAIN_CHAR_SERIAL;
    for (guint i = 0; i < def->chars->len; i++) {
        virDomainChar *chr = g_ptr_array_index(def->chars, i);

        if (chr->class != VIR_DOMAIN_CHAR_CONSOLE ||
            g_strcmp0(chr->targetType, "virtio") == 0)
            continue;
        if (serials) {
            g_ptr_array_remove_index(def->chars, i--);
        } else {
            chr->class = VIR_DOMAIN_CHAR_SERIAL;
            g_clear_pointer(&chr->targetType, g_free);
            serials++;
        }
    }
}

static gboolean
virDomainCheckCharSource(const virDomainChar *chr, GError **error)
{
    gboolean needsPath = g_str_equal(chr->type, "file") ||
                         g_str_equal(chr->type, "dev") ||
                         g_strcmp0(chr->mode, "connect") == 0;
    gboolean isTcp = g_str_equal(chr->type, "tcp");

    if (needsPath && !isTcp && !chr->path)
        return virDomainError(error,
                              "domain XML line %ld: a '%s' needs <source path='...'/>",
                              chr->dev.line, chr->type);
    if (chr->path && !g_path_is_absolute(chr->path))
        return virDomainError(error, "domain XML line %ld: '%s' is not an absolute path",
                              chr->dev.line, chr->path);
    if (isTcp && (!chr->host || !chr->service))
        return virDomainError(error,
                              "domain XML line %ld: <source> needs 'host' and 'service'",
                              chr->dev.line);
    if (g_str_equal(chr->type, "spiceport") && !chr->spiceChannel)
        return virDomainError(error, "domain XML line %ld: <source> needs 'channel'",
                              chr->dev.line);
    return TRUE;
}

static gboolean
virDomainCheckCharTarget(const virDomainChar *chr, GError **error)
{
    static const char *const targets[][5] = {
        [VIR_DOMAIN_CHAR_SERIAL] = {"isa-serial", "usb-serial", "pci-serial", "isa-debug",
                                    NULL},
        [VIR_DOMAIN_CHAR_PARALLEL] = {NULL},
        [VIR_DOMAIN_CHAR_CONSOLE] = {"virtio", NULL},
        [VIR_DOMAIN_CHAR_CHANNEL] = {"virtio", NULL},
        [VIR_DOMAIN_CHAR_REDIR] = {NULL},
    };

    if (chr->targetType && !g_strv_contains(targets[chr->class], chr->targetType))
        return virDomainError(error,
                              "domain XML line %ld: target type '%s' is not supported",
                              chr->dev.line, chr->targetType);
    if (chr->class == VIR_DOMAIN_CHAR_CHANNEL && !chr->targetType)
        return virDomainError(
            error, "domain XML line %ld: <channel> needs <target type='virtio'/>",
            chr->dev.line);
    if (chr->class == VIR_DOMAIN_CHAR_REDIR && !g_str_equal(chr->type, "spicevmc"))
        return virDomainError(error,
                              "domain XML line %ld: <redirdev> needs type='spicevmc'",
                              chr->dev.line);
    return TRUE;
}

static gboolean
virDomainCheckChars(virDomainDef *def, GError **error)
{
    static const char *const ids[] = {"serial", "parallel", "console", "channel",
                                      "redir"};
    guint counts[G_N_ELEMENTS(ids)] = {0};

    virDomainMergeConsole(def);
    for (guint i = 0; i < def->chars->len; i++) {
        virDomainChar *chr = g_ptr_array_index(def->chars, i);
        guint n = counts[chr->class]++;

        if (!chr->dev.id)
            chr->dev.id = g_strdup_printf("%s%u", ids[chr->class], n);
        if (g_str_equal(chr->type, "spicevmc") && chr->class == VIR_DOMAIN_CHAR_CHANNEL &&
            !chr->targetName)
            chr->targetName = g_strdup("com.redhat.spice.0");
        if (!virDomainCheckCharSource(chr, error) ||
            !virDomainCheckCharTarget(chr, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
virDomainCheckTpm(virDomainDef *def, GError **error)
{
    virDomainTpm *tpm = def->tpm;
    const char *wanted;

    if (!tpm)
        return TRUE;
    if (g_str_equal(tpm->backend, "passthrough"))
        return tpm->sourcePath
                   ? virDomainError(error, "<tpm>: a passthrough TPM has no <source>")
                   : TRUE;
    wanted = g_str_equal(tpm->backend, "external") ? "unix" : "dir";
    if (g_strcmp0(tpm->sourceType, wanted) == 0 && g_path_is_absolute(tpm->sourcePath))
        return TRUE;
    return virDomainError(
        error,
        "<tpm>: the backend '%s' needs <source type='%s' path='/...'/>; a "
        "default path would be another one on each host",
        tpm->backend, wanted);
}

static gboolean
virDomainCheckGraphics(virDomainDef *def, GError **error)
{
    for (guint i = 0; i < def->graphics->len; i++) {
        virDomainGraphics *graphics = g_ptr_array_index(def->graphics, i);

        if (graphics->socket && !g_path_is_absolute(graphics->socket))
            return virDomainError(error,
                                  "domain XML line %ld: '%s' is not an absolute path",
                                  graphics->line, graphics->socket);
        if (i && g_str_equal(graphics->type, "spice") &&
            g_str_equal(((virDomainGraphics *)g_ptr_array_index(def->graphics, 0))->type,
                        "spice"))
            return virDomainError(error,
                                  "domain XML line %ld: <graphics type='spice'> is there "
                                  "twice",
                                  graphics->line);
        if (graphics->keymap &&
            strspn(graphics->keymap, G_CSET_a_2_z "-") != strlen(graphics->keymap))
            return virDomainError(error, "domain XML line %ld: '%s' is not a keymap",
                                  graphics->line, graphics->keymap);
    }
    if (def->graphics->len && !def->videos->len) {
        virDomainVideo *video = g_new0(virDomainVideo, 1);

        video->model = g_strdup("vga");
        g_ptr_array_add(def->videos, video);
    }
    return TRUE;
}

static gboolean
virDomainCheckClock(virDomainDef *def, GError **error)
{
    virDomainClock *clock = &def->clock;
    gint64 number;

    if (clock->adjustment &&
        !g_ascii_string_to_signed(clock->adjustment, 10, G_MININT32, G_MAXINT32, &number,
                                  NULL) &&
        !g_str_equal(clock->adjustment, "reset"))
        return virDomainError(error,
                              "<clock>: adjustment '%s' is not a number of seconds",
                              clock->adjustment);
    if (clock->start &&
        !g_ascii_string_to_signed(clock->start, 10, 0, G_MAXINT64 / 2, &number, NULL))
        return virDomainError(error, "<clock>: start '%s' is not a time", clock->start);
    if (g_strcmp0(clock->offset, "absolute") == 0 && !clock->start)
        return virDomainError(error, "<clock offset='absolute'> needs 'start'");
    if (def->os.rebootTimeout &&
        !g_ascii_string_to_signed(def->os.rebootTimeout, 10, -1, 65535, &number, NULL))
        return virDomainError(error, "<bios>: rebootTimeout '%s' is not -1 to 65535",
                              def->os.rebootTimeout);
    return TRUE;
}

gboolean
virDomainCheckLeases(virDomainDef *def, GError **error)
{
    for (guint i = 0; i < def->leases->len; i++) {
        virDomainLease *lease = g_ptr_array_index(def->leases, i);

        if (lease->path && !g_path_is_absolute(lease->path))
            return virDomainError(error,
                                  "<lease> '%s': target '%s' is not an absolute path",
                                  lease->key, lease->path);
        if (lease->offset &&
            strspn(lease->offset, G_CSET_DIGITS) != strlen(lease->offset))
            return virDomainError(error, "<lease> '%s': offset '%s' is not a number",
                                  lease->key, lease->offset);
    }
    return TRUE;
}

gboolean
virDomainCheck(virDomainDef *def, GError **error)
{
    return virDomainCheckIdentity(def, error) && virDomainCheckMachine(def, error) &&
           virDomainCheckMemory(def, error) && virDomainCheckCpu(def, error) &&
           virDomainCheckFirmware(def, error) && virDomainCheckDisks(def, error) &&
           virDomainCheckNics(def, error) && virDomainCheckChars(def, error) &&
           virDomainCheckTpm(def, error) && virDomainCheckGraphics(def, error) &&
           virDomainCheckClock(def, error) && virDomainCheckLeases(def, error) &&
           virDomainCheckBoot(def, error);
}
