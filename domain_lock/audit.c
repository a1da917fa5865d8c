/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * audit.c: does QEMU have anything open that no lease covers? (I2)
 *
 * QEMU lists every node of its block graph. Formats and filters keep their data in other
 * nodes of the list, so only those that reach storage themselves are looked at. What is not
 * known counts as reaching storage.
 */
#include "audit.h"
#include "codec.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What the leases that are held permit for one image. */
typedef struct {
    dev_t dev; /* of a block device: its own number, and ino 0 */
    ino_t ino;
    gboolean writable;
} virCover;

typedef struct {
    GArray *covers; /* virCover */
    GPtrArray *leases;
    guint flags;
} virAudit;

typedef enum {
    VIR_NODE_INNER,    /* format or filter: its children are in the list */
    VIR_NODE_FILE,     /* a file or device of this host */
    VIR_NODE_NOTHING,  /* no storage behind it */
    VIR_NODE_ELSEWHERE /* another protocol */
} virNodeKind;

static virNodeKind
virNodeKindOf(const char *driver)
{
    static const char *const files[] = {"file", "host_device", "host_cdrom", NULL};
    static const char *const nothing[] = {"null-co", "null-aio", NULL};
    static const char *const inner[] = {
        /* formats */
        "raw", "qcow2", "qcow", "qed", "vmdk", "vdi", "vhdx", "vpc", "bochs", "cloop",
        "dmg", "luks", "parallels",
        /* filters and combinations of other nodes */
        "blkdebug", "blklogwrites", "blkreplay", "blkverify", "compress",
        "copy-before-write", "copy-on-read", "preallocate", "quorum", "replication",
        "snapshot-access", "throttle", "backup-top", "commit_top", "mirror_top", NULL};

    if (g_strv_contains(files, driver))
        return VIR_NODE_FILE;
    if (g_strv_contains(nothing, driver))
        return VIR_NODE_NOTHING;
    return g_strv_contains(inner, driver) ? VIR_NODE_INNER : VIR_NODE_ELSEWHERE;
}

static gboolean
virCoverKey(const char *path, virCover *key)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return FALSE;
    key->dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
    key->ino = S_ISBLK(st.st_mode) ? 0 : st.st_ino;
    return TRUE;
}

static virCover *
virCoverFind(GArray *covers, const virCover *key)
{
    for (guint i = 0; i < covers->len; i++) {
        virCover *cover = &g_array_index(covers, virCover, i);

        if (cover->dev == key->dev && cover->ino == key->ino)
            return cover;
    }
    return NULL;
}

/* By path; and by name, if this image was registered under another path before. */
static const virLockLease *
virAuditFindLease(virLockConfig *config, GPtrArray *leases, const char *path)
{
    g_autofree char *name = NULL;

    for (guint i = 0; i < leases->len; i++) {
        const virLockLease *lease = g_ptr_array_index(leases, i);

        if (lease->type == VIR_LOCK_RESOURCE_DISK && g_strcmp0(lease->path, path) == 0)
            return lease;
    }
    name = virLockManagerResourceName(config, VIR_LOCK_RESOURCE_DISK, path, NULL, NULL);
    for (guint i = 0; name && i < leases->len; i++) {
        const virLockLease *lease = g_ptr_array_index(leases, i);

        if (g_strcmp0(lease->name, name) == 0)
            return lease;
    }
    return NULL;
}

static gboolean
virAuditHasExplicitLease(GPtrArray *leases)
{
    for (guint i = 0; i < leases->len; i++) {
        const virLockLease *lease = g_ptr_array_index(leases, i);

        if (lease->type == VIR_LOCK_RESOURCE_LEASE && lease->hold != VIR_LOCK_HOLD_NONE)
            return TRUE;
    }
    return FALSE;
}

gboolean
virDomainLockGuardedByKey(virLockConfig *config, GPtrArray *resources,
                          const virDomainResource *resource)
{
    g_autofree char *name = NULL;
    g_autoptr(GError) error = NULL;
    gboolean hasKey = FALSE;

    for (guint i = 0; i < resources->len; i++)
        hasKey |= ((virDomainResource *)g_ptr_array_index(resources, i))->type ==
                  VIR_LOCK_RESOURCE_LEASE;
    if (!hasKey || resource->type != VIR_LOCK_RESOURCE_DISK)
        return FALSE;
    name =
        virLockManagerResourceName(config, resource->type, resource->path, NULL, &error);
    return g_error_matches(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG);
}

/* What is held for one image; FALSE: nothing. */
static gboolean
virAuditCover(virLockConfig *config, GPtrArray *resources,
              const virDomainResource *resource, GPtrArray *leases, virCover *cover)
{
    const virLockLease *lease = virAuditFindLease(config, leases, resource->path);

    if (lease && lease->hold != VIR_LOCK_HOLD_NONE) {
        cover->writable = lease->mode == VIR_LOCK_MODE_EXCLUSIVE ||
                          (resource->flags & VIR_LOCK_MANAGER_RESOURCE_SHARED);
        return TRUE;
    }
    cover->writable = !(resource->flags & VIR_LOCK_MANAGER_RESOURCE_READONLY);
    return !lease && virAuditHasExplicitLease(leases) &&
           virDomainLockGuardedByKey(config, resources, resource);
}

static GArray *
virAuditCovers(virLockConfig *config, GPtrArray *resources, GPtrArray *leases)
{
    GArray *covers = g_array_new(FALSE, TRUE, sizeof(virCover));

    for (guint i = 0; i < resources->len; i++) {
        const virDomainResource *resource = g_ptr_array_index(resources, i);
        virCover cover = {0};
        virCover *known = NULL;

        if (resource->type != VIR_LOCK_RESOURCE_DISK ||
            !virCoverKey(resource->path, &cover))
            continue;
        if (!virAuditCover(config, resources, resource, leases, &cover))
            continue;
        known = virCoverFind(covers, &cover);
        if (known)
            known->writable |= cover.writable;
        else
            g_array_append_val(covers, cover);
    }
    return covers;
}

/* QEMU writes what a plain name cannot express as "json:{...}". */
static char *
virAuditNodePath(const char *file)
{
    g_autoptr(JsonObject) options = NULL;

    if (!g_str_has_prefix(file, "json:"))
        return g_strdup(file);
    options = virDomainLockJsonParse(file + strlen("json:"), -1, NULL);
    return g_strdup(virDomainLockJsonString(options, "filename"));
}

static gboolean
virAuditIsFirmware(const char *name, const char *path, guint flags)
{
    g_autofree char *real = NULL;

    if (!(flags & VIR_AUDIT_FOREIGN) && g_str_equal(name, "pflash0-storage"))
        return TRUE;
    real = realpath(path, NULL);
    return real && g_str_has_prefix(real, "/usr/share/");
}

static gboolean
virAuditFileNode(const virAudit *audit, const char *name, const char *file,
                 gboolean readOnly, GError **error)
{
    g_autofree char *path = virAuditNodePath(file);
    virCover key = {0};
    const virCover *cover = NULL;

    if (path && readOnly && virAuditIsFirmware(name, path, audit->flags))
        return TRUE;
    if (!path || !virCoverKey(path, &key)) {
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
            "QEMU has block node '%s' open on '%s', which cannot be found to check "
            "its lease: %s",
            name, file, path ? g_strerror(errno) : "no file name");
        return FALSE;
    }
    cover = virCoverFind(audit->covers, &key);
    if (!cover) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "QEMU has block node '%s' open for %s on '%s', for which no lease is "
                    "held: declare the image as a disk of the guest",
                    name, readOnly ? "reading" : "writing", path);
        return FALSE;
    }
    if (!readOnly && !cover->writable) {
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
            "QEMU has block node '%s' open for writing on '%s', for which only a "
            "lease for reading is held: declare the image as writable or shareable, "
            "or open it read-only",
            name, path);
        return FALSE;
    }
    return TRUE;
}

static gboolean
virAuditNode(const virAudit *audit, JsonObject *node, GError **error)
{
    const char *name = virDomainLockJsonString(node, "node-name");
    const char *driver = virDomainLockJsonString(node, "drv");
    const char *file = virDomainLockJsonString(node, "file");

    if (!name || !driver || !file || !json_object_has_member(node, "ro")) {
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
            "QEMU describes a block node (%s) in an unknown way; its leases cannot "
            "be checked",
            name ? name : "without a name");
        return FALSE;
    }
    switch (virNodeKindOf(driver)) {
    case VIR_NODE_INNER:
    case VIR_NODE_NOTHING:
        return TRUE;
    case VIR_NODE_FILE:
        return virAuditFileNode(audit, name, file,
                                json_object_get_boolean_member(node, "ro"), error);
    case VIR_NODE_ELSEWHERE:
        if (virAuditHasExplicitLease(audit->leases))
            return TRUE;
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
            "QEMU has block node '%s' open on '%s' (%s), which is no file or device "
            "of this host: it needs an explicit <lease> in the description",
            name, file, driver);
        return FALSE;
    }
    g_assert_not_reached();
}

gboolean
virDomainLockAudit(virLockConfig *config, JsonArray *nodes, GPtrArray *resources,
                   GPtrArray *leases, guint flags, GError **error)
{
    g_autoptr(GArray) covers = virAuditCovers(config, resources, leases);
    const virAudit audit = {covers, leases, flags};

    for (guint i = 0; i < json_array_get_length(nodes); i++) {
        JsonNode *node = json_array_get_element(nodes, i);
        JsonObject *object =
            JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;

        if (!virAuditNode(&audit, object, error))
            return FALSE;
    }
    return TRUE;
}

/* --- the list of what is open ------------------------------------------------------------ */

static void
virAuditFileFree(gpointer data)
{
    virAuditFile *file = data;

    g_free(file->node);
    g_free(file->path);
    g_free(file);
}

static void
virAuditFileAdd(GPtrArray *files, const char *node, const char *path, gboolean writable)
{
    virAuditFile *file = NULL;

    for (guint i = 0; i < files->len; i++) {
        file = g_ptr_array_index(files, i);
        if (g_str_equal(file->path, path)) {
            file->writable |= writable;
            return;
        }
    }
    file = g_new0(virAuditFile, 1);
    file->node = g_strdup(node);
    file->path = g_strdup(path);
    file->writable = writable;
    g_ptr_array_add(files, file);
}

/* FALSE: what this node has open is not known. */
static gboolean
virAuditListNode(JsonObject *node, guint flags, GPtrArray *files)
{
    const char *name = virDomainLockJsonString(node, "node-name");
    const char *driver = virDomainLockJsonString(node, "drv");
    const char *file = virDomainLockJsonString(node, "file");
    g_autofree char *path = file ? virAuditNodePath(file) : NULL;
    gboolean writable = FALSE;

    if (!name || !driver || !json_object_has_member(node, "ro"))
        return FALSE;
    writable = !json_object_get_boolean_member(node, "ro");
    switch (virNodeKindOf(driver)) {
    case VIR_NODE_INNER:
    case VIR_NODE_NOTHING:
        return TRUE;
    case VIR_NODE_FILE:
        if (path && (writable || !virAuditIsFirmware(name, path, flags)))
            virAuditFileAdd(files, name, path, writable);
        return path != NULL;
    case VIR_NODE_ELSEWHERE:
        return FALSE;
    }
    g_assert_not_reached();
}

GPtrArray *
virDomainLockAuditFiles(JsonArray *nodes, guint flags, gboolean *complete)
{
    GPtrArray *files = g_ptr_array_new_with_free_func(virAuditFileFree);

    *complete = TRUE;
    for (guint i = 0; i < json_array_get_length(nodes); i++) {
        JsonNode *node = json_array_get_element(nodes, i);

        if (!JSON_NODE_HOLDS_OBJECT(node) ||
            !virAuditListNode(json_node_get_object(node), flags, files))
            *complete = FALSE;
    }
    return files;
}
