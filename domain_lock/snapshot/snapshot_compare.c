/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshot_compare.c: is a guest the one that a snapshot was of?
 *
 * Memory fits only the machine that it was taken from. The disks are compared by what they
 * are (their leases' names) and with their backing files, because a snapshot in an image
 * holds only what is in that image; all else by the text of the descriptions, which are
 * written in one way.
 */
#include "common/text.h"
#include "domain_lock/domain/domain_xml.h"
#include "snapshot.h"
#include <string.h>

static gboolean virSnapshotDiffers(GError **error, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

static gboolean
virSnapshotDiffers(GError **error, const char *format, ...)
{
    g_autofree char *words = NULL;
    va_list args;

    va_start(args, format);
    words = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, words);
    return FALSE;
}

static gboolean
virSnapshotCompareDisk(const virSnapshotLook *look, const virSnapshotDisk *then,
                       GError **error)
{
    const virSnapshotDisk *now = virSnapshotLookDisk(look, then->target);

    if (!now)
        return virSnapshotDiffers(error,
                                  "it had disk '%s' (%s) then, and does not have it now",
                                  then->target, then->path);
    if (!g_str_equal(now->lease, then->lease))
        return virSnapshotDiffers(error, "disk '%s' was %s then, and is %s now",
                                  then->target, then->path, now->path);
    if (now->included != then->included)
        return virSnapshotDiffers(error, "disk '%s' (%s) was %s then, and is %s now",
                                  then->target, then->path,
                                  then->included ? "written to" : "only read",
                                  now->included ? "written to" : "only read");
    if (!g_strv_equal((const char *const *)now->chain, (const char *const *)then->chain))
        return virSnapshotDiffers(
            error,
            "disk '%s' (%s) had other backing files then (%u, now %u): what the snapshot "
            "does not have itself would come from the wrong ones",
            then->target, then->path, g_strv_length(then->chain),
            g_strv_length(now->chain));
    return TRUE;
}

gboolean
virSnapshotCompareDisks(const virSnapshotLook *look, const virSnapshotEntry *entry,
                        GError **error)
{
    for (guint i = 0; i < entry->disks->len; i++)
        if (!virSnapshotCompareDisk(look, g_ptr_array_index(entry->disks, i), error))
            return FALSE;
    for (guint i = 0; i < look->disks->len; i++) {
        const virSnapshotDisk *now = g_ptr_array_index(look->disks, i);
        gboolean known = FALSE;

        for (guint k = 0; k < entry->disks->len; k++)
            known |= g_str_equal(
                ((virSnapshotDisk *)g_ptr_array_index(entry->disks, k))->target,
                now->target);
        if (!known)
            return virSnapshotDiffers(error, "disk '%s' (%s) has come since", now->target,
                                      now->path);
    }
    return TRUE;
}

/* --- the rest of the machine ---------------------------------------------------------------- */

static void
virSnapshotDropDisks(virXmlNode *devices)
{
    virXmlNode *next = NULL;

    for (virXmlNode *child = devices ? devices->children : NULL; child; child = next) {
        next = child->next;
        if (child->kind != VIR_XML_ELEMENT ||
            !g_str_equal(child->name, "disk"))
            continue;
        virXmlNodeFree(child);
    }
}

/* The lines of a description without its disks; NULL: it is none. */
static GStrv
virSnapshotMachine(const char *xml, GError **error)
{
    g_autoptr(virXmlNode) root = virXmlParse(xml, -1, error);
    virXmlNode *devices = NULL;
    g_autofree char *text = NULL;

    if (!root)
        return NULL;
    devices = virXmlNodeFirstElement(root);
    while (devices && !g_str_equal(devices->name, "devices"))
        devices = virXmlNodeNextElement(devices);
    virSnapshotDropDisks(devices);
    text = virXmlNodeFormat(root);
    return g_strsplit(text, "\n", -1);
}

static gboolean
virSnapshotCompareMachine(const char *then, const char *now, GError **error)
{
    g_auto(GStrv) before = virSnapshotMachine(then, error);
    g_auto(GStrv) after = before ? virSnapshotMachine(now, error) : NULL;
    gsize line = 0, i = 0, k = 0;

    if (!after)
        return FALSE;
    for (;;) {
        /* blank lines are left where disks were */
        while (before[i] && !*g_strstrip(before[i]))
            i++;
        while (after[k] && !*g_strstrip(after[k]))
            k++;
        line = i;
        if (!before[i] || !after[k] || !g_str_equal(before[i], after[k]))
            break;
        i++;
        k++;
    }
    if (!before[line] && !after[k])
        return TRUE;
    return virSnapshotDiffers(
        error, "it was another machine: '%s' in its description then, '%s' now",
        before[line] ? before[line] : "(nothing more)",
        after[k] ? after[k] : "(nothing more)");
}

gboolean
virSnapshotCompare(const virSnapshotLook *look, const virSnapshotEntry *entry,
                   const char *xml, GError **error)
{
    return virSnapshotCompareDisks(look, entry, error) &&
           virSnapshotCompareMachine(entry->xml, xml, error);
}
