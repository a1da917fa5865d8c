/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * identity_block.c: identity of block devices, read from sysfs.
 *
 * Which file a device directory has decides the method; that it is empty is then "none",
 * not a reason to look for another one. A multipath map has the WWN of its paths as the
 * kernel reports it, not the one that multipathd put into the map's name: so a host with
 * and a host without multipath agree.
 */
#include "config.h"
#include "common/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a map of a partition of a map of ...; more is not real. */
#define VIR_IDENTITY_MAX_STACK 4

static char *virIdentityOfBlockDir(const char *dir, guint depth, char **why,
                                   GError **error);

/* Text of a device made fit for a name: runs of white space are one underscore, what is
 * not printable or not a name character is %XX. */
static char *
virIdentityCanonical(const char *text)
{
    g_autofree char *copy = g_strstrip(g_strdup(text));
    GString *out = g_string_new(NULL);

    for (const char *p = copy; *p; p++) {
        if (g_ascii_isspace(*p)) {
            if (!g_ascii_isspace(p[1]))
                g_string_append_c(out, '_');
        } else if (g_ascii_isalnum(*p) || strchr(".-_+:", *p)) {
            g_string_append_c(out, *p);
        } else {
            g_string_append_printf(out, "%%%02X", (guchar)*p);
        }
    }
    return g_string_free(out, FALSE);
}

/* TRUE when the attribute exists, with its canonical text ("" if it cannot be read). */
static gboolean
virIdentityReadAttr(const char *dir, const char *name, char **value)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *text = NULL;

    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return FALSE;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        text = g_strdup("");
    *value = virIdentityCanonical(text);
    return TRUE;
}

static gboolean
virIdentityWwnIsNone(const char *wwn)
{
    const char *digits = strchr(wwn, '.');

    digits = digits ? digits + 1 : wwn;
    return strspn(digits, "0") == strlen(digits);
}

static char *
virIdentityNone(const char *what, GError **error)
{
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, "%s", what);
    return NULL;
}

/* All paths of a multipath map are one LUN; that they say so is checked. */
static char *
virIdentityOfPaths(const char *dir, guint depth, char **why, GError **error)
{
    g_autofree char *slaves = g_build_filename(dir, "slaves", NULL);
    g_autoptr(GDir) list = g_dir_open(slaves, 0, NULL);
    g_autofree char *identity = NULL;
    const char *name;

    while (list && (name = g_dir_read_name(list))) {
        g_autofree char *slave = g_build_filename(slaves, name, NULL);
        g_autofree char *one =
            virIdentityOfBlockDir(slave, depth + 1, identity ? NULL : why, error);

        if (!one)
            return NULL;
        if (identity && !g_str_equal(identity, one))
            return virIdentityNone(
                "the paths of this multipath device have different WWNs", error);
        g_free(identity);
        identity = g_steal_pointer(&one);
    }
    if (!identity)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "this multipath device has no path at the moment");
    return g_steal_pointer(&identity);
}

static char *
virIdentityOfMap(const char *dir, const char *uuid, guint depth, char **why,
                 GError **error)
{
    guint part;
    int used = 0;

    if (g_str_has_prefix(uuid, "mpath-"))
        return virIdentityOfPaths(dir, depth, why, error);
    if (sscanf(uuid, "part%u-mpath-%n", &part, &used) == 1 && used > 0) {
        g_autofree char *whole = virIdentityOfPaths(dir, depth, why, error);

        return whole ? g_strdup_printf("%s-part%u", whole, part) : NULL;
    }
    if (g_str_has_prefix(uuid, "LVM-") && strlen(uuid) > strlen("LVM-")) {
        if (why)
            *why =
                g_strdup("logical volume: the UUIDs of its volume group and of itself");
        return g_strdup_printf("lv:%s", uuid + strlen("LVM-"));
    }
    return virIdentityNone("this device-mapper device is neither a logical volume nor a "
                           "multipath device",
                           error);
}

static char *
virIdentityOfPartition(const char *dir, const char *number, guint depth, char **why,
                       GError **error)
{
    g_autofree char *real =
        realpath(dir, NULL); /* the partition lies in its disk's folder */
    g_autofree char *parent = real ? g_path_get_dirname(real) : NULL;
    g_autofree char *whole = NULL;

    if (!parent)
        return virIdentityNone("its entry in sysfs cannot be followed", error);
    whole = virIdentityOfBlockDir(parent, depth + 1, why, error);
    return whole ? g_strdup_printf("%s-part%s", whole, number) : NULL;
}

static char *
virIdentityOfDisk(const char *dir, char **why, GError **error)
{
    g_autofree char *value = NULL;

    if (virIdentityReadAttr(dir, "wwid", &value) ||
        virIdentityReadAttr(dir, "device/wwid", &value)) {
        if (virIdentityWwnIsNone(value))
            return virIdentityNone("the device reports no WWN", error);
        if (why)
            *why = g_strdup("block device: the WWN that it reports");
        return g_strdup_printf("wwn:%s", value);
    }
    if (virIdentityReadAttr(dir, "serial", &value) ||
        virIdentityReadAttr(dir, "device/serial", &value)) {
        if (strspn(value, "0") == strlen(value))
            return virIdentityNone("the device has neither a WWN nor a serial number",
                                   error);
        if (why)
            *why = g_strdup("block device: the serial number that it reports");
        return g_strdup_printf("serial:%s", value);
    }
    return virIdentityNone(
        "this kind of block device has neither a WWN nor a serial number", error);
}

static char *
virIdentityOfBlockDir(const char *dir, guint depth, char **why, GError **error)
{
    g_autofree char *value = NULL;

    if (depth > VIR_IDENTITY_MAX_STACK)
        return virIdentityNone("its devices are stacked too deep", error);
    if (virIdentityReadAttr(dir, "partition", &value))
        return virIdentityOfPartition(dir, value, depth, why, error);
    if (virIdentityReadAttr(dir, "dm/uuid", &value))
        return virIdentityOfMap(dir, value, depth, why, error);
    return virIdentityOfDisk(dir, why, error);
}

char *
virIdentityOfBlockDevice(const virIdentityRoots *roots, guint major, guint minor,
                         char **why, GError **error)
{
    g_autofree char *dir =
        g_strdup_printf("%s/dev/block/%u:%u", roots->sys, major, minor);

    if (!g_file_test(dir, G_FILE_TEST_IS_DIR)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "block device %u:%u is not in %s/dev/block", major, minor,
                    roots->sys);
        return NULL;
    }
    return virIdentityOfBlockDir(dir, 0, why, error);
}
