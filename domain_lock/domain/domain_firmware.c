/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_firmware.c: which UEFI image and which template of its variables a guest gets, and
 * the making of its NVRAM file.
 */
#include "config.h"
#include "domain_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Debian's ovmf, then Fedora's edk2-ovmf; the first that exists and fits is taken. */
static const struct {
    const char *code;
    const char *vars;
    gboolean secure;   /* has secure boot: needs SMM */
    gboolean enrolled; /* its variables hold the usual keys */
} virDomainFirmwares[] = {
    {"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd", FALSE, FALSE},
    {"/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd", TRUE,
     FALSE},
    {"/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd", TRUE,
     TRUE},
    {"/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd", FALSE,
     FALSE},
    {"/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd",
     TRUE, FALSE},
    {"/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd",
     "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd", TRUE, TRUE},
    /* only for descriptions that name the loader themselves: */
    {"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd", FALSE, FALSE},
    {"/usr/share/OVMF/OVMF_CODE.secboot.fd", "/usr/share/OVMF/OVMF_VARS.fd", TRUE, FALSE},
    {"/usr/share/OVMF/OVMF_CODE.ms.fd", "/usr/share/OVMF/OVMF_VARS.ms.fd", TRUE, TRUE},
};

static gboolean
virDomainFirmwareWantsSecure(const virDomainOs *os)
{
    return os->secureBoot == VIR_XML_YES || os->loaderSecure == VIR_XML_YES ||
           os->enrolledKeys == VIR_XML_YES;
}

gboolean
virDomainHasPflash(const virDomainDef *def)
{
    return g_strcmp0(def->os.firmware, "efi") == 0 ||
           g_strcmp0(def->os.loaderType, "pflash") == 0;
}

gboolean
virDomainNeedsSmm(const virDomainDef *def)
{
    return def->features.smm == VIR_XML_YES || virDomainFirmwareWantsSecure(&def->os);
}

/* Fills in <loader> and the template, where the description leaves them to us. */
static gboolean
virDomainFirmwareSelect(virDomainDef *def, GError **error)
{
    virDomainOs *os = &def->os;
    gboolean secure = virDomainFirmwareWantsSecure(os);
    gboolean enrolled = os->enrolledKeys == VIR_XML_YES;

    if (secure && !def->q35)
        return virDomainError(error, "secure boot needs machine 'q35'");
    for (gsize i = 0; i < G_N_ELEMENTS(virDomainFirmwares); i++) {
        if (os->loader ? !g_str_equal(os->loader, virDomainFirmwares[i].code)
                       : secure != virDomainFirmwares[i].secure ||
                             enrolled != virDomainFirmwares[i].enrolled)
            continue;
        if (access(virDomainFirmwares[i].code, R_OK) < 0)
            continue;
        if (!os->loader)
            os->loader = g_strdup(virDomainFirmwares[i].code);
        if (!os->nvramTemplate)
            os->nvramTemplate = g_strdup(virDomainFirmwares[i].vars);
        return TRUE;
    }
    if (os->loader)
        return TRUE;
    return virDomainError(
        error, "no UEFI firmware for this guest is installed in /usr/share/OVMF "
               "(Debian: ovmf); or name it with <loader> and <nvram>");
}

/* Copies @from into the new file @to, down to the storage. */
static gboolean
virDomainCopyFile(const char *from, int fd, const char *to, GError **error)
{
    g_autofree char *data = NULL;
    g_autoptr(GError) err = NULL;
    gsize size = 0, done = 0;

    if (!g_file_get_contents(from, &data, &size, &err))
        return virDomainError(error, "cannot read the NVRAM template: %s", err->message);
    while (done < size) {
        gssize n = write(fd, data + done, size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return virDomainError(error, "cannot write NVRAM file '%s': %s", to,
                                  g_strerror(errno));
        done += (gsize)n;
    }
    if (fsync(fd) < 0)
        return virDomainError(error, "cannot write NVRAM file '%s': %s", to,
                              g_strerror(errno));
    return TRUE;
}

/* The file appears whole, by link(2), which never replaces one that another host made in the
 * same moment. A file that nobody used yet needs no lease to be made. */
static gboolean
virDomainMakeNvram(const virDomainOs *os, GError **error)
{
    g_autofree char *temporary = g_strdup_printf("%s.XXXXXX", os->nvram);
    gboolean ok;
    int fd;

    if (!os->nvramTemplate)
        return virDomainError(error,
                              "NVRAM file '%s' does not exist, and <nvram> names no "
                              "template",
                              os->nvram);
    fd = g_mkstemp_full(temporary, O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return virDomainError(error, "cannot create NVRAM file '%s': %s", os->nvram,
                              g_strerror(errno));
    ok = virDomainCopyFile(os->nvramTemplate, fd, os->nvram, error);
    close(fd);
    if (ok && link(temporary, os->nvram) < 0 && errno != EEXIST)
        ok = virDomainError(error, "cannot create NVRAM file '%s': %s", os->nvram,
                            g_strerror(errno));
    unlink(temporary);
    return ok;
}

gboolean
virDomainPrepareFirmware(virDomainDef *def, GError **error)
{
    virDomainOs *os = &def->os;

    if (!virDomainHasPflash(def)) {
        if (os->loader && access(os->loader, R_OK) < 0)
            return virDomainError(error, "cannot read <loader> '%s': %s", os->loader,
                                  g_strerror(errno));
        return TRUE;
    }
    if (!virDomainFirmwareSelect(def, error))
        return FALSE;
    if (access(os->loader, R_OK) < 0)
        return virDomainError(error, "cannot read <loader> '%s': %s", os->loader,
                              g_strerror(errno));
    if (os->nvram && access(os->nvram, F_OK) < 0 && errno == ENOENT)
        return virDomainMakeNvram(os, error);
    return TRUE;
}
