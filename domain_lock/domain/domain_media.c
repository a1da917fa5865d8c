/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_media.c: media and <lease> elements that come to the description of a running guest,
 * and go. A medium is read and laid out as that of a disk which has it from the start.
 */
#include "config.h"
#include "domain_argv.h"

#include <string.h>

/* --- media ------------------------------------------------------------------------------ */

gboolean
virDomainDefCheckRemovable(const virDomainDef *def, const char *target, GError **error)
{
    const virDomainDisk *disk;

    if (!virDomainDefGetDiskId(def, target, error))
        return FALSE;
    disk = virDomainFindDisk(def, target);
    return disk->device != VIR_DOMAIN_DISK_DISK ||
           virDomainError(
               error,
               "disk '%s' is neither a cdrom nor a floppy: it comes and goes as "
               "a whole ('leasehold attach-disk', 'detach-disk')",
               target);
}

/* The drive as if it had this medium; strings are borrowed. */
static virDomainDisk
virDomainDriveWith(const virDomainDisk *disk, const char *path, const char *format)
{
    virDomainDisk drive = *disk;

    drive.path = (char *)path;
    drive.format = (char *)format;
    drive.chain = NULL;
    return drive;
}

static virDomainDisk
virDomainDriveWithChain(const virDomainDisk *disk, virImageChain *chain)
{
    const virImage *top = g_ptr_array_index(chain->images, 0);
    virDomainDisk drive = virDomainDriveWith(disk, top->path, top->format);

    drive.chain = chain;
    drive.isBlock = top->isBlock;
    return drive;
}

static gboolean
virDomainCheckMedium(const virDomainDisk *disk, const char *path, const char *format,
                     GError **error)
{
    if (!g_path_is_absolute(path))
        return virDomainError(error, "disk '%s': '%s' is not an absolute path",
                              disk->target, path);
    if (!g_str_equal(format, "raw") && !g_str_equal(format, "qcow2") &&
        !virImageInfoKnows(format))
        return virDomainError(error, "disk '%s': format '%s' is not supported",
                              disk->target, format);
    return TRUE;
}

virImageChain *
virDomainDefReadMedium(const virDomainDef *def, const char *target, const char *path,
                       const char *format, GError **error)
{
    const virDomainDisk *disk = virDomainFindDisk(def, target);
    g_autofree char *what = g_strdup_printf("disk '%s'", target);
    g_autoptr(virImageChain) chain = NULL;
    g_autoptr(GPtrArray) nothing = g_ptr_array_new();
    guint next = virDomainDefNextNode(def, target);
    virDomainDisk drive;

    if (!virDomainCheckMedium(disk, path, format, error))
        return NULL;
    chain = virImageChainReadWithin(path, format, what, VIR_IMAGE_READ_SEC, error);
    if (!chain)
        return NULL;
    for (guint i = 0; i < chain->images->len; i++)
        ((virImage *)g_ptr_array_index(chain->images, i))->node += next;
    drive = virDomainDriveWithChain(disk, chain);
    drive.backing = nothing;
    drive.backingComplete = FALSE;
    if (!virDomainCheckDiskDirectIo(def, &drive, error) ||
        !virDomainCheckDiskChain(def, &drive, what, error))
        return NULL;
    return g_steal_pointer(&chain);
}

GPtrArray *
virDomainDefAddMedium(virDomainDef *def, const char *target, virImageChain *chain)
{
    virDomainDisk drive = virDomainDriveWithChain(virDomainFindDisk(def, target), chain);
    guint before = def->resources->len;
    GPtrArray *added = g_ptr_array_new();

    virDomainAddDiskResources(def, &drive);
    for (guint i = before; i < def->resources->len; i++)
        g_ptr_array_add(added, g_ptr_array_index(def->resources, i));
    return added;
}

GPtrArray *
virDomainDefFormatMedium(const virDomainDef *def, const char *target,
                         virImageChain *chain)
{
    virDomainDisk drive = virDomainDriveWithChain(virDomainFindDisk(def, target), chain);
    virDomainPlug *plug = virDomainPlugOfDisk(def, &drive);
    GPtrArray *nodes = g_ptr_array_ref(plug->nodes);

    virDomainPlugFree(plug);
    return nodes;
}

void
virDomainDefSetMedium(virDomainDef *def, const char *target, virImageChain *chain)
{
    virDomainDisk *disk = virDomainFindDisk(def, target);

    virImageChainFree(disk->chain);
    disk->chain = chain;
    virDomainStateChain(disk);
    virDomainUpdateFingerprint(def);
}

/* --- <lease> ---------------------------------------------------------------------------- */

static gboolean
virDomainLeaseIs(const virDomainLease *lease, const char *lockspace, const char *key)
{
    return g_str_equal(lease->key, key) &&
           (!lockspace || g_strcmp0(lease->lockspace, lockspace) == 0);
}

static gboolean
virDomainReadNewLease(virDomainDef *def, virXmlNode *root, GError **error)
{
    const virDomainLease *lease;

    if (!g_str_equal(root->name, "lease") || root->ns)
        return virXmlError(root, error, "the root element is not <lease>");
    if (!virDomainParseLease(root, def, error) || !virDomainCheckLeases(def, error))
        return FALSE;
    lease = g_ptr_array_index(def->leases, def->leases->len - 1);
    for (guint i = 0; i + 1 < def->leases->len; i++)
        if (virDomainLeaseIs(g_ptr_array_index(def->leases, i), lease->lockspace,
                             lease->key))
            return virDomainError(error, "the guest has <lease> '%s' already",
                                  lease->key);
    return TRUE;
}

virDomainResource *
virDomainDefAddLease(virDomainDef *def, const char *xml, GError **error)
{
    g_autoptr(virXmlNode) root = NULL;
    guint before = def->leases->len;
    virDomainLease *lease;

    if (!virDomainCheckPlugs(def, error))
        return NULL;
    root = virXmlParse(xml, -1, error);
    if (!root)
        return NULL;
    if (!virDomainReadNewLease(def, root, error)) {
        g_ptr_array_set_size(def->leases, (gint)before);
        return NULL;
    }
    lease = g_ptr_array_index(def->leases, before);
    lease->xml = virDomainLiveAdopt(def, root);
    return virDomainAddLease(def, lease);
}

virDomainResource *
virDomainDefFindLease(const virDomainDef *def, const char *lockspace, const char *key,
                      GError **error)
{
    g_autoptr(GString) known = g_string_new(NULL);

    if (!virDomainCheckPlugs(def, error))
        return NULL;
    for (guint i = 0; i < def->resources->len; i++) {
        virDomainResource *resource = g_ptr_array_index(def->resources, i);

        if (resource->type != VIR_LOCK_RESOURCE_LEASE)
            continue;
        if (g_str_equal(resource->path, key) &&
            (!lockspace || g_strcmp0(resource->lockspace, lockspace) == 0))
            return resource;
        g_string_append_printf(known, "%s%s", known->len ? ", " : "", resource->path);
    }
    virDomainError(error, "there is no <lease> '%s'; the guest has %s", key,
                   known->len ? known->str : "none");
    return NULL;
}

void
virDomainDefRemoveLease(virDomainDef *def, virDomainResource *resource)
{
    for (guint i = 0; i < def->leases->len; i++) {
        virDomainLease *lease = g_ptr_array_index(def->leases, i);

        if (g_strcmp0(lease->lockspace, resource->lockspace) != 0 ||
            !g_str_equal(lease->key, resource->path))
            continue;
        virDomainLiveForget(&lease->xml);
        g_ptr_array_remove_index(def->leases, i);
        break;
    }
    virDomainDefDropResource(def, resource);
}
