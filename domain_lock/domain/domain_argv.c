/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_argv.c: QEMU's command line as a list of its parts, and the helpers that all parts
 * use. Modelled on what libvirt gives to the same version, so that a guest sees the same
 * machine under both.
 */
#include "domain_argv.h"
#include "config.h"

#include <string.h>

void
virArgvAdd(virArgv *argv, const char *option, const char *value)
{
    g_ptr_array_add(argv->args, g_strdup(option));
    if (value)
        g_ptr_array_add(argv->args, g_strdup(value));
}

void
virArgvAddOpts(virArgv *argv, const char *option, GString *opts)
{
    g_ptr_array_add(argv->args, g_strdup(option));
    g_ptr_array_add(argv->args, g_string_free(opts, FALSE));
}

GString *
virOptNew(const char *first)
{
    return g_string_new(first);
}

void
virOpt(GString *opts, const char *key, const char *value)
{
    if (!value)
        return;
    if (opts->len)
        g_string_append_c(opts, ',');
    g_string_append_printf(opts, "%s=", key);
    for (; *value; value++) {
        g_string_append_c(opts, *value);
        if (*value == ',')
            g_string_append_c(opts, ',');
    }
}

void
virOptUint(GString *opts, const char *key, guint64 value)
{
    if (value)
        g_string_append_printf(opts, ",%s=%" G_GUINT64_FORMAT, key, value);
}

void
virOptBool(GString *opts, const char *key, virXmlBool value)
{
    if (value != VIR_XML_ABSENT)
        virOpt(opts, key, value == VIR_XML_YES ? "on" : "off");
}

void
virOptPci(GString *opts, const virArgv *argv, const virDomainDevice *dev)
{
    const virDomainAddress *a = &dev->address;

    if (a->type != VIR_DOMAIN_ADDRESS_PCI)
        return;
    if (a->bus)
        g_string_append_printf(opts, ",bus=pci.%d", (int)a->bus);
    else
        virOpt(opts, "bus", argv->def->q35 ? "pcie.0" : "pci.0");
    virOptBool(opts, "multifunction", a->multifunction);
    g_string_append_printf(opts, ",addr=0x%x.0x%x", (guint)a->slot, (guint)a->function);
}

void
virOptBoot(GString *opts, const virDomainDevice *dev)
{
    virOptUint(opts, "bootindex", dev->bootOrder);
}

char *
virVirtioName(const char *stem, const char *model)
{
    const char *suffix =
        model && g_str_has_prefix(model, "virtio-") ? model + strlen("virtio") : "";

    return g_strdup_printf("%s-pci%s", stem, suffix);
}

char *
virUsbBus(const virArgv *argv, const virDomainDevice *dev)
{
    guint64 index = dev->address.type == VIR_DOMAIN_ADDRESS_USB ? dev->address.bus : 0;
    const virDomainController *controller =
        virDomainFindController(argv->def, "usb", index);

    return g_strdup_printf("%s.0", controller ? controller->dev.id : "usb");
}

/* --- the frame ------------------------------------------------------------------------------- */

/* The helper that joins a bridge is run by QEMU itself and is set-uid. */
static gboolean
virArgvRunsHelper(const virDomainDef *def)
{
    for (guint i = 0; i < def->nics->len; i++)
        if (g_str_equal(((virDomainNic *)g_ptr_array_index(def->nics, i))->type,
                        "bridge"))
            return TRUE;
    return FALSE;
}

/* A reboot or panic that must not simply go on is stopped by QEMU itself: to hear of it
 * afterwards would let the guest run for a moment. */
void
virArgvActions(virArgv *argv)
{
    virArgvAdd(argv, "-action",
               virDomainDefGetOnReboot(argv->def) == VIR_DOMAIN_ACTION_RESTART
                   ? "panic=pause"
                   : "panic=pause,reboot=shutdown");
}

static void
virArgvFrame(virArgv *argv)
{
    GString *name = virOptNew(NULL);

    virOpt(name, "guest", argv->def->name);
    virOpt(name, "debug-threads", "on");
    virArgvAddOpts(argv, "-name", name);
    virArgvAdd(argv, "-S", NULL);
    virArgvAdd(argv, "-no-shutdown", NULL);
    virArgvActions(argv);
    virArgvAdd(argv, "-no-user-config", NULL);
    virArgvAdd(argv, "-nodefaults", NULL);
    virArgvAdd(
        argv, "-sandbox",
        virArgvRunsHelper(argv->def)
            ? "on,obsolete=deny,elevateprivileges=allow,spawn=allow,resourcecontrol=deny"
            : "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    virArgvAdd(argv, "-msg", "timestamp=on");
    virArgvAdd(argv, "-uuid", argv->def->uuid);
}

void
virArgvMonitor(virArgv *argv)
{
    g_autofree char *chardev = g_strdup_printf(
        "socket,id=leasehold-qmp,fd=%d,server=on,wait=off", argv->context->qmpFd);

    virArgvAdd(argv, "-chardev", chardev);
    virArgvAdd(argv, "-mon", "chardev=leasehold-qmp,id=leasehold-monitor,mode=control");
    if (argv->context->incoming)
        virArgvAdd(argv, "-incoming", "defer");
}

static gboolean
virArgvProgram(virArgv *argv, GError **error)
{
    const virDomainDef *def = argv->def;
    const char *name =
        g_strcmp0(def->os.arch, "i686") == 0 ? "qemu-system-i386" : "qemu-system-x86_64";
    g_autofree char *found =
        def->emulator ? g_strdup(def->emulator) : g_find_program_in_path(name);

    if (!found)
        return virDomainError(error, "%s is not installed (Debian: qemu-system-x86)",
                              name);
    if (def->qemuEnv->len)
        virArgvAdd(argv, "/usr/bin/env", NULL);
    for (guint i = 0; i < def->qemuEnv->len; i++)
        virArgvAdd(argv, g_ptr_array_index(def->qemuEnv, i), NULL);
    virArgvAdd(argv, found, NULL);
    return TRUE;
}

char **
virDomainDefFormatArgv(const virDomainDef *def, const virDomainArgvContext *context,
                       GError **error)
{
    g_autoptr(GPtrArray) args = g_ptr_array_new_with_free_func(g_free);
    virArgv argv = {def, context, args};

    if (!def->fingerprint) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "the images of guest '%s' were not looked at yet", def->name);
        return NULL;
    }
    if (def->foreign)
        return virDomainForeignFormatArgv(def, context, error);
    if (!virArgvProgram(&argv, error))
        return NULL;
    virArgvFrame(&argv);
    virArgvFirmware(&argv);
    virArgvMachine(&argv);
    virArgvMonitor(&argv);
    virArgvControllers(&argv);
    virArgvDisks(&argv);
    virArgvNics(&argv);
    virArgvChars(&argv);
    if (!virArgvGraphics(&argv, error))
        return NULL;
    virArgvSmallDevices(&argv);
    for (guint i = 0; i < def->qemuArgs->len; i++)
        virArgvAdd(&argv, g_ptr_array_index(def->qemuArgs, i), NULL);
    g_ptr_array_add(args, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&args), FALSE);
}
