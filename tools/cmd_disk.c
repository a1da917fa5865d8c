/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmd_disk.c: leasehold attach-disk GUEST FILE.xml | --source PATH --target DEV
 *             leasehold detach-disk GUEST TARGET
 *             leasehold change-media GUEST TARGET [PATH | --eject]
 */
#include "config.h"

#include "common/xml_packed.h"
#include "tools/tool.h"

#include <sys/stat.h>

#define VIR_TOOL_DETACH_SEC                                                              \
    20 /* a guest that knows hotplug answers within a second or two */

static guint
virToolDeviceFlags(gboolean noWait, gboolean force)
{
    return (noWait ? VIR_DOMAIN_LOCK_DEVICE_NO_WAIT : 0) |
           (force ? VIR_DOMAIN_LOCK_DEVICE_FORCE : 0);
}

/** The options of attach-disk. */
typedef struct _virToolAttachOptions {
    char *source;
    char *target;
    char *format;
    char *serial;
    gboolean readOnly;
    gboolean shareable;
    gboolean noWait;
} virToolAttachOptions;

static void
virToolAttachOptionsClear(virToolAttachOptions *options)
{
    g_free(options->source);
    g_free(options->target);
    g_free(options->format);
    g_free(options->serial);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(virToolAttachOptions, virToolAttachOptionsClear)

static gboolean
virToolAttachCheck(virTool *tool, const virToolAttachOptions *options)
{
    gboolean any = options->source || options->target || options->format ||
                   options->serial || options->readOnly || options->shareable;

    if (tool->args[1] && any)
        tool->exitStatus = virToolUsage(
            tool, "a FILE.xml and options of the disk are mutually exclusive");
    else if (!tool->args[1] && !any)
        tool->exitStatus =
            virToolUsage(tool, "a FILE.xml is needed, or --source PATH --target DEV");
    else if (any && (!options->source || !options->target))
        tool->exitStatus =
            virToolUsage(tool, "a disk needs both --source PATH and --target DEV");
    else
        return TRUE;
    return FALSE;
}

/* The same description that a FILE.xml would have, as if it had been parsed. */
static char *
virToolAttachXml(const virToolAttachOptions *options)
{
    g_autofree char *path = virToolAbsolutePath(options->source);
    struct stat st;
    gboolean block = stat(path, &st) == 0 && S_ISBLK(st.st_mode);
    g_autoptr(virXmlNode) disk = virXmlNodeNew(VIR_XML_ELEMENT, "disk");
    virXmlNode *driver = virXmlNodeAdd(disk, "driver");
    char *packed;

    virXmlNodeSet(disk, "device", "disk");
    virXmlNodeSet(disk, "type", block ? "block" : "file");
    virXmlNodeSet(driver, "name", "qemu");
    virXmlNodeSet(driver, "type", options->format ? options->format : "raw");
    virXmlNodeSet(virXmlNodeAdd(disk, "source"), block ? "dev" : "file", path);
    virXmlNodeSet(virXmlNodeAdd(disk, "target"), "dev", options->target);
    if (options->readOnly)
        virXmlNodeAdd(disk, "readonly");
    if (options->shareable)
        virXmlNodeAdd(disk, "shareable");
    if (options->serial)
        virXmlNodeSetText(virXmlNodeAdd(disk, "serial"), options->serial);
    packed = virXmlNodePack(disk);
    return packed ? packed : virXmlNodeFormat(disk);
}

int
virToolCmdAttachDisk(virTool *tool)
{
    g_auto(virToolAttachOptions) options = {0};
    const GOptionEntry entries[] = {
        {"source", 0, 0, G_OPTION_ARG_FILENAME, &options.source,
         "the image or block device", "PATH"},
        {"target", 0, 0, G_OPTION_ARG_FILENAME, &options.target,
         "its name in the guest: vdb (virtio), sdb (scsi)", "DEV"},
        {"format", 0, 0, G_OPTION_ARG_FILENAME, &options.format,
         "format of the image (default: raw)", "FORMAT"},
        {"serial", 0, 0, G_OPTION_ARG_FILENAME, &options.serial,
         "serial number that the guest sees", "TEXT"},
        {"readonly", 0, 0, G_OPTION_ARG_NONE, &options.readOnly,
         "the guest may only read: a shared lease", NULL},
        {"shareable", 0, 0, G_OPTION_ARG_NONE, &options.shareable,
         "an image that many guests write by intent", NULL},
        {"no-wait", 0, 0, G_OPTION_ARG_NONE, &options.noWait,
         "fail at once while another job of the guest is under way", NULL},
        {NULL},
    };
    g_autoptr(virDomainLock) dom = NULL;
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = NULL;

    if (!virToolParse(tool, entries, 1, 2) || !virToolAttachCheck(tool, &options))
        return tool->exitStatus;
    xml = tool->args[1] ? virToolReadXml(tool->args[1], &error)
                        : virToolAttachXml(&options);
    if (!tool->args[1] && !virXmlTextIsValid(xml))
        g_set_error(&error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "the disk cannot be described in XML: there are characters in it that "
                    "are no text");
    if (error)
        return virToolFail(tool, error);
    dom = virToolGuest(tool, tool->args[0]);
    if (!dom)
        return tool->exitStatus;
    virToolNoteJob(tool, dom, options.noWait);
    wait = virToolWaitNew(
        tool, 0, 0, "interrupted; the disk may still be attached ('leasehold show')");
    if (!virDomainLockAttachDisk(dom, xml, virToolDeviceFlags(options.noWait, FALSE),
                                 &error))
        return virToolFail(tool, error);
    g_clear_pointer(&wait, virToolWaitFree);
    return virToolReportImages(tool, dom, "has the disk, under its leases");
}

int
virToolCmdDetachDisk(virTool *tool)
{
    int timeoutSec = VIR_TOOL_DETACH_SEC;
    gboolean noWait = FALSE, force = FALSE;
    const GOptionEntry entries[] = {
        {"timeout", 0, 0, G_OPTION_ARG_INT, &timeoutSec,
         "how long to wait for the guest to let go (default: 20)", "SEC"},
        {"force", 0, 0, G_OPTION_ARG_NONE, &force, "also the disk that it boots from",
         NULL},
        {"no-wait", 0, 0, G_OPTION_ARG_NONE, &noWait,
         "fail at once while another job of the guest is under way", NULL},
        {NULL},
    };
    g_autoptr(virDomainLock) dom = NULL;
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;

    if (!virToolParse(tool, entries, 2, 2))
        return tool->exitStatus;
    if (timeoutSec < 1)
        return virToolUsage(tool, "--timeout needs a positive number of seconds");
    dom = virToolGuest(tool, tool->args[0]);
    if (!dom)
        return tool->exitStatus;
    virToolNoteJob(tool, dom, noWait);
    wait = virToolWaitNew(tool, 0, 0,
                          "interrupted; the guest is still asked to let go of the disk");
    if (!virDomainLockDetachDisk(dom, tool->args[1], (guint)timeoutSec,
                                 virToolDeviceFlags(noWait, force), &error))
        return virToolFail(tool, error);
    g_clear_pointer(&wait, virToolWaitFree);
    return virToolReportGuest(tool, dom,
                              "has let go of the disk, and its leases are free");
}

static gboolean
virToolMediaCheck(virTool *tool, gboolean eject, const char *format)
{
    if (!tool->args[2] == !eject)
        tool->exitStatus =
            virToolUsage(tool, eject ? "a PATH and --eject are mutually exclusive"
                                     : "a PATH is needed, or --eject");
    else if (eject && format)
        tool->exitStatus =
            virToolUsage(tool, "--format and --eject are mutually exclusive");
    else
        return TRUE;
    return FALSE;
}

int
virToolCmdChangeMedia(virTool *tool)
{
    gboolean eject = FALSE, force = FALSE, noWait = FALSE;
    g_autofree char *format = NULL;
    const GOptionEntry entries[] = {
        {"eject", 0, 0, G_OPTION_ARG_NONE, &eject, "empty the drive", NULL},
        {"format", 0, 0, G_OPTION_ARG_FILENAME, &format,
         "format of the image (default: raw)", "FORMAT"},
        {"force", 0, 0, G_OPTION_ARG_NONE, &force,
         "also when the guest has locked the tray", NULL},
        {"no-wait", 0, 0, G_OPTION_ARG_NONE, &noWait,
         "fail at once while another job of the guest is under way", NULL},
        {NULL},
    };
    g_autoptr(virDomainLock) dom = NULL;
    g_autoptr(virToolWait) wait = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;

    if (!virToolParse(tool, entries, 2, 3) || !virToolMediaCheck(tool, eject, format))
        return tool->exitStatus;
    if (!eject)
        path = virToolAbsolutePath(tool->args[2]);
    dom = virToolGuest(tool, tool->args[0]);
    if (!dom)
        return tool->exitStatus;
    virToolNoteJob(tool, dom, noWait);
    wait = virToolWaitNew(
        tool, 0, 0, "interrupted; the medium may still be changed ('leasehold show')");
    if (!virDomainLockChangeMedia(dom, tool->args[1], path, format,
                                  virToolDeviceFlags(noWait, force), &error))
        return virToolFail(tool, error);
    g_clear_pointer(&wait, virToolWaitFree);
    return virToolReportImages(
        tool, dom,
        eject ? "has an empty drive, and the leases of the medium are free"
              : "has the medium, under its leases");
}
