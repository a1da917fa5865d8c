/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * exec_disks.c: the --disk options of `leasehold exec`.
 */
#include "config.h"

#include "tools/exec_disks.h"

#include <string.h>

#define FORMAT_OPTION ",format="

static virDomainLockImage *
parseOne(virTool *tool, const char *text)
{
    g_autofree char *plain = g_strdup(text);
    g_autofree char *format = NULL;
    g_autofree char *path = NULL;
    char *at = g_strrstr(plain, FORMAT_OPTION);
    virDomainLockDisk disk = {0};

    if (at) {
        char *value = at + strlen(FORMAT_OPTION);
        gsize len = strcspn(value, ",");

        format = g_strndup(value, len);
        memmove(at, value + len, strlen(value + len) + 1);
    }
    if (format && !*format) {
        tool->exitStatus = virToolUsage(tool, "--disk %s: the format is missing", text);
        return NULL;
    }
    if (!virToolParseDisk(tool, plain, &disk))
        return NULL;
    path = (char *)disk.path;
    return virDomainLockImageNew(path, format, disk.flags);
}

GPtrArray *
virToolExecDisksParse(virTool *tool, GStrv texts)
{
    g_autoptr(GPtrArray) disks =
        g_ptr_array_new_with_free_func((GDestroyNotify)virDomainLockImageFree);

    for (char **text = texts; *text; text++) {
        virDomainLockImage *disk = parseOne(tool, *text);

        if (!disk)
            return NULL;
        g_ptr_array_add(disks, disk);
    }
    return g_steal_pointer(&disks);
}

gboolean
virToolExecDisksEqual(GPtrArray *a, GPtrArray *b)
{
    gboolean equal = a->len == b->len;

    for (guint i = 0; equal && i < a->len; i++) {
        const virDomainLockImage *one = a->pdata[i], *other = b->pdata[i];

        equal = one->flags == other->flags && g_str_equal(one->path, other->path);
    }
    return equal;
}
