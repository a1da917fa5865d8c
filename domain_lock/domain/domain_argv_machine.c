/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_argv_machine.c: -machine, -cpu, -m, -smp, firmware, clock, SMBIOS.
 */
#include "config.h"
#include "domain_argv.h"

#include <string.h>

/* --- firmware --------------------------------------------------------------------------------- */

static void
virArgvRawNode(virArgv *argv, const char *file, const char *node, gboolean readOnly)
{
    GString *opts = virOptNew("driver=raw");

    virOpt(opts, "file", file);
    virOpt(opts, "node-name", node);
    virOpt(opts, "read-only", readOnly ? "on" : "off");
    virArgvAddOpts(argv, "-blockdev", opts);
}

void
virArgvFirmware(virArgv *argv)
{
    const virDomainDef *def = argv->def;
    const virDomainOs *os = &def->os;

    if (!virDomainHasPflash(def)) {
        if (os->loader)
            virArgvAdd(argv, "-bios", os->loader);
        return;
    }
    virArgvFileNode(argv, os->loader, FALSE, "pflash0-storage", TRUE, FALSE, NULL);
    virArgvRawNode(argv, "pflash0-storage", "pflash0-format", TRUE);
    if (!os->nvram)
        return;
    virArgvFileNode(argv, os->nvram, def->nvramIsBlock, "pflash1-storage", FALSE,
                    def->directIoRequired, NULL);
    virArgvRawNode(argv, "pflash1-storage", "pflash1-format", FALSE);
}

/* --- machine, memory ---------------------------------------------------------------------------- */

static const virDomainTimer *
virArgvTimer(const virDomainDef *def, const char *name)
{
    for (guint i = 0; i < def->clock.timers->len; i++) {
        const virDomainTimer *timer = g_ptr_array_index(def->clock.timers, i);

        if (g_str_equal(timer->name, name))
            return timer;
    }
    return NULL;
}

static gboolean
virArgvNeedsBackend(const virDomainMemory *memory)
{
    return memory->hugepages || memory->sourceType || memory->accessMode ||
           memory->allocationMode;
}

static void
virArgvMachineType(virArgv *argv)
{
    const virDomainDef *def = argv->def;
    const virDomainTimer *hpet = virArgvTimer(def, "hpet");
    GString *opts = virOptNew(def->os.machine);

    virOpt(opts, "usb", "off");
    virOpt(opts, "dump-guest-core", "off");
    virOptBool(opts, "vmport", def->features.vmport);
    if (virDomainNeedsSmm(def))
        virOpt(opts, "smm", "on");
    else
        virOptBool(opts, "smm", def->features.smm);
    if (def->features.ioapic && def->kvm)
        virOpt(opts, "kernel-irqchip",
               g_str_equal(def->features.ioapic, "kvm") ? "on" : "split");
    if (hpet && hpet->present == VIR_XML_NO)
        virOpt(opts, "hpet", "off");
    if (def->os.biosSerial == VIR_XML_YES)
        virOpt(opts, "graphics", "off");
    if (def->memory.noSharePages)
        virOpt(opts, "mem-merge", "off");
    virOpt(opts, "acpi", def->features.acpi ? "on" : "off");
    if (virDomainHasPflash(def)) {
        virOpt(opts, "pflash0", "pflash0-format");
        virOpt(opts, "pflash1", def->os.nvram ? "pflash1-format" : NULL);
    }
    if (virArgvNeedsBackend(&def->memory))
        virOpt(opts, "memory-backend", "ram0");
    virArgvAddOpts(argv, "-machine", opts);
    virArgvAdd(argv, "-accel", def->kvm ? "kvm" : "tcg");
}

static void
virArgvMemory(virArgv *argv)
{
    const virDomainMemory *memory = &argv->def->memory;
    g_autofree char *size =
        g_strdup_printf("size=%" G_GUINT64_FORMAT "k", memory->bytes / 1024);
    gboolean memfd = memory->hugepages || g_strcmp0(memory->sourceType, "memfd") == 0;
    gboolean file = g_strcmp0(memory->sourceType, "file") == 0 && !memory->hugepages;
    GString *opts;

    virArgvAdd(argv, "-m", size);
    virArgvAdd(argv, "-overcommit", memory->locked ? "mem-lock=on" : "mem-lock=off");
    if (!virArgvNeedsBackend(memory))
        return;
    /* "file" means memory that other processes can map; memfd is that without a path */
    opts = virOptNew(memfd || file ? "memory-backend-memfd" : "memory-backend-ram");
    virOpt(opts, "id", "ram0");
    g_string_append_printf(opts, ",size=%" G_GUINT64_FORMAT, memory->bytes);
    if (memory->hugepages) {
        virOpt(opts, "hugetlb", "on");
        virOptUint(opts, "hugetlbsize", memory->hugepageBytes);
    }
    virOpt(opts, "share", g_strcmp0(memory->accessMode, "shared") == 0 ? "on" : "off");
    if (g_strcmp0(memory->allocationMode, "immediate") == 0)
        virOpt(opts, "prealloc", "on");
    virArgvAddOpts(argv, "-object", opts);
}

/* --- CPU ---------------------------------------------------------------------------------------- */

static void
virArgvCpuFeatures(const virDomainDef *def, GString *opts)
{
    for (guint i = 0; i < def->cpu.features->len; i++) {
        const virDomainCpuFeature *feature = g_ptr_array_index(def->cpu.features, i);
        gboolean off = feature->policy && (g_str_equal(feature->policy, "disable") ||
                                           g_str_equal(feature->policy, "forbid"));

        virOpt(opts, feature->name, off ? "off" : "on");
    }
}

static void
virArgvCpuKvm(const virDomainDef *def, GString *opts)
{
    const virDomainFeatures *features = &def->features;
    const virDomainTimer *kvmclock = virArgvTimer(def, "kvmclock");
    const virDomainTimer *hvclock = virArgvTimer(def, "hypervclock");
    const virDomainTimer *tsc = virArgvTimer(def, "tsc");

    if (kvmclock)
        virOptBool(opts, "kvmclock", kvmclock->present);
    if (hvclock && hvclock->present == VIR_XML_YES)
        virOpt(opts, "hv-time", "on");
    if (tsc)
        virOptUint(opts, "tsc-frequency", tsc->frequency);
    virOptBool(opts, "kvm-pv-unhalt", features->pvspinlock);
    virOptBool(opts, "kvm-hint-dedicated", features->hintDedicated);
    virOptBool(opts, "kvm-poll-control", features->pollControl);
    virOptBool(opts, "pmu", features->pmu);
    if (features->kvmHidden == VIR_XML_YES)
        virOpt(opts, "kvm", "off");
    if (g_strcmp0(features->hypervMode, "passthrough") == 0)
        virOpt(opts, "hv-passthrough", "on");
    for (guint i = 0; i < features->hyperv->len; i++)
        g_string_append_printf(opts, ",%s",
                               (char *)g_ptr_array_index(features->hyperv, i));
}

static const char *
virArgvCpuModel(const virDomainDef *def)
{
    const virDomainCpu *cpu = &def->cpu;

    if (!cpu->present || (g_str_equal(cpu->mode, "custom") && !cpu->model))
        return "qemu64";
    if (g_str_equal(cpu->mode, "custom"))
        return cpu->model;
    if (g_str_equal(cpu->mode, "maximum"))
        return "max";
    return def->kvm ? "host" : "max"; /* host-model of an emulated guest: all there is */
}

static void
virArgvCpu(virArgv *argv)
{
    const virDomainCpu *cpu = &argv->def->cpu;
    const char *model = virArgvCpuModel(argv->def);
    GString *opts = virOptNew(model);

    if (g_str_equal(model, "host"))
        virOpt(opts, "migratable", cpu->migratable == VIR_XML_NO ? "off" : "on");
    virOpt(opts, "vendor", cpu->vendorId);
    virArgvCpuFeatures(argv->def, opts);
    if (argv->def->kvm)
        virArgvCpuKvm(argv->def, opts);
    if (g_strcmp0(cpu->cacheMode, "passthrough") == 0)
        g_string_append(opts, ",host-cache-info=on,l3-cache=off");
    else if (cpu->cacheMode)
        virOpt(opts, "l3-cache", g_str_equal(cpu->cacheMode, "emulate") ? "on" : "off");
    if (g_strcmp0(cpu->addrMode, "passthrough") == 0)
        virOpt(opts, "host-phys-bits", "on");
    else
        virOptUint(opts, "phys-bits", cpu->addrBits);
    if (g_strcmp0(cpu->check, "full") == 0 || g_strcmp0(cpu->match, "strict") == 0)
        g_string_append(opts, ",enforce");
    virArgvAddOpts(argv, "-cpu", opts);
}

static void
virArgvSmp(virArgv *argv)
{
    const virDomainCpu *cpu = &argv->def->cpu;
    GString *opts = virOptNew(NULL);

    g_string_append_printf(opts, "%d", (int)argv->def->vcpus);
    if (argv->def->maxVcpus != argv->def->vcpus)
        virOptUint(opts, "maxcpus", argv->def->maxVcpus);
    virOptUint(opts, "sockets", cpu->sockets ? cpu->sockets : argv->def->maxVcpus);
    virOptUint(opts, "dies", cpu->dies);
    virOptUint(opts, "cores", cpu->sockets ? cpu->cores : 1);
    virOptUint(opts, "threads", cpu->sockets ? cpu->threads : 1);
    virArgvAddOpts(argv, "-smp", opts);
}

/* --- clock, boot, SMBIOS --------------------------------------------------------------------------- */

static char *
virArgvRtcBase(const virDomainClock *clock)
{
    const char *offset = clock->offset ? clock->offset : "utc";
    g_autoptr(GDateTime) start = NULL;
    gint64 seconds = 0;

    if (g_str_equal(offset, "localtime") ||
        (g_str_equal(offset, "variable") && g_strcmp0(clock->basis, "localtime") == 0 &&
         !clock->adjustment))
        return g_strdup("localtime");
    if (g_str_equal(offset, "absolute"))
        seconds = g_ascii_strtoll(clock->start, NULL, 10);
    else if (g_str_equal(offset, "variable") && clock->adjustment &&
             g_ascii_strtoll(clock->adjustment, NULL, 10))
        seconds = g_get_real_time() / G_USEC_PER_SEC +
                  g_ascii_strtoll(clock->adjustment, NULL, 10);
    if (!seconds)
        return g_strdup("utc");
    start = g_date_time_new_from_unix_utc(seconds);
    return start ? g_date_time_format(start, "%Y-%m-%dT%H:%M:%S") : g_strdup("utc");
}

static void
virArgvClock(virArgv *argv)
{
    const virDomainTimer *rtc = virArgvTimer(argv->def, "rtc");
    const virDomainTimer *pit = virArgvTimer(argv->def, "pit");
    g_autofree char *base = virArgvRtcBase(&argv->def->clock);
    GString *opts = virOptNew(NULL);

    virOpt(opts, "base", base);
    if (rtc && g_strcmp0(rtc->track, "guest") == 0)
        virOpt(opts, "clock", "vm");
    else if (rtc && g_strcmp0(rtc->track, "realtime") == 0)
        virOpt(opts, "clock", "rt");
    if (rtc && g_strcmp0(rtc->tickPolicy, "catchup") == 0)
        virOpt(opts, "driftfix", "slew");
    virArgvAddOpts(argv, "-rtc", opts);
    if (pit && pit->tickPolicy && argv->def->kvm)
        virArgvAdd(argv, "-global",
                   g_str_equal(pit->tickPolicy, "delay")
                       ? "kvm-pit.lost_tick_policy=delay"
                       : "kvm-pit.lost_tick_policy=discard");
}

static void
virArgvBoot(virArgv *argv)
{
    const virDomainOs *os = &argv->def->os;
    GString *opts = virOptNew("strict=on");

    if (os->bootMenu == VIR_XML_YES) {
        virOpt(opts, "menu", "on");
        virOptUint(opts, "splash-time", os->bootMenuTimeout);
    }
    virOpt(opts, "reboot-timeout", os->rebootTimeout);
    virArgvAddOpts(argv, "-boot", opts);
    if (os->kernel)
        virArgvAdd(argv, "-kernel", os->kernel);
    if (os->kernel && os->initrd)
        virArgvAdd(argv, "-initrd", os->initrd);
    if (os->kernel && os->cmdline && *os->cmdline)
        virArgvAdd(argv, "-append", os->cmdline);
    if (g_strcmp0(os->smbios, "sysinfo") == 0)
        for (guint i = 0; i < argv->def->smbiosTables->len; i++)
            virArgvAdd(argv, "-smbios", g_ptr_array_index(argv->def->smbiosTables, i));
}

static void
virArgvPower(virArgv *argv)
{
    const virDomainDef *def = argv->def;
    const char *device = def->q35 ? "ICH9-LPC" : "PIIX4_PM";
    const struct {
        virXmlBool enabled;
        const char *property;
    } states[] = {{def->suspendToMem, "disable_s3"}, {def->suspendToDisk, "disable_s4"}};

    for (gsize i = 0; i < G_N_ELEMENTS(states); i++) {
        g_autofree char *property = NULL;

        if (states[i].enabled == VIR_XML_ABSENT)
            continue;
        property = g_strdup_printf("%s.%s=%d", device, states[i].property,
                                   states[i].enabled == VIR_XML_NO);
        virArgvAdd(argv, "-global", property);
    }
    if (virDomainDefGetOnReboot(def) == VIR_DOMAIN_ACTION_DESTROY)
        virArgvAdd(argv, "-no-reboot", NULL);
}

void
virArgvMachine(virArgv *argv)
{
    const virDomainDef *def = argv->def;

    virArgvMachineType(argv);
    virArgvCpu(argv);
    virArgvMemory(argv);
    virArgvSmp(argv);
    for (guint i = 1; i <= def->iothreads; i++) {
        g_autofree char *iothread = g_strdup_printf("iothread,id=iothread%u", i);

        virArgvAdd(argv, "-object", iothread);
    }
    virArgvClock(argv);
    virArgvBoot(argv);
    virArgvPower(argv);
    if (virDomainNeedsSmm(def) && virDomainHasPflash(def))
        virArgvAdd(argv, "-global", "driver=cfi.pflash01,property=secure,value=on");
    if (def->hasGenid) {
        GString *opts = virOptNew("vmgenid,id=vmgenid0");

        virOpt(opts, "guid", def->genid ? def->genid : "auto");
        virArgvAddOpts(argv, "-device", opts);
    }
    if (def->features.vmcoreinfo == VIR_XML_YES)
        virArgvAdd(argv, "-device", "vmcoreinfo");
}
