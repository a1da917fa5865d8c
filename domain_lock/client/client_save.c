/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * client_save.c: files with saved guests, for who asks: save, restore, managed saves.
 *
 * A file is read here before a supervisor is started for it, so that one that is no saved
 * guest starts nothing; the supervisor reads it again and refuses another one.
 */
#include "client.h"
#include "domain_lock/save/archive.h"
#include "domain_lock/save/save.h"
#include <errno.h>
#include <unistd.h>

/* --- what a file says ------------------------------------------------------------------ */

void
virDomainLockSaveInfoFree(virDomainLockSaveInfo *info)
{
    if (!info)
        return;
    g_free(info->name);
    g_free(info->uuid);
    g_free(info->hostName);
    g_free(info->plugin);
    g_free(info->qemuVersion);
    g_free(info->xml);
    g_strfreev(info->argv);
    g_ptr_array_unref(info->leases);
    g_free(info);
}

static virLockLease *
virClientSavedLease(const virSaveLease *saved)
{
    virLockLease *lease = g_new0(virLockLease, 1);

    lease->structSize = sizeof(*lease);
    lease->name = g_strdup(saved->name);
    lease->path = g_strdup(saved->path);
    lease->type = saved->type;
    lease->mode = saved->mode;
    lease->epoch = saved->epoch;
    return lease;
}

virDomainLockSaveInfo *
virDomainLockSaveGetInfo(const char *path, GError **error)
{
    g_autoptr(virSaveImage) image = virSaveFileRead(path, error);
    virDomainLockSaveInfo *info = NULL;

    if (!image)
        return NULL;
    info = g_new0(virDomainLockSaveInfo, 1);
    info->structSize = sizeof(*info);
    info->name = g_strdup(image->name);
    info->uuid = g_strdup(image->uuid);
    info->paused = image->paused;
    info->savedUsec = image->savedUsec;
    info->hostName = g_strdup(image->hostName);
    info->plugin = g_strdup(image->plugin);
    info->qemuVersion = g_strdup(image->qemuVersion);
    info->memoryBytes = (gint64)image->streamLength;
    info->xml = g_strdup(image->spec->xml);
    info->argv = g_strdupv(image->spec->argv);
    info->leases = g_ptr_array_new_with_free_func((GDestroyNotify)virLockLeaseFree);
    for (guint i = 0; i < image->leases->len; i++)
        g_ptr_array_add(info->leases,
                        virClientSavedLease(g_ptr_array_index(image->leases, i)));
    return info;
}

/* --- save ------------------------------------------------------------------------------ */

gboolean
virDomainLockSave(virDomainLock *dom, const char *path, guint flags,
                  const virLockWait *wait, GError **error)
{
    return virDomainLockCallJob(dom, "Save", g_variant_new("(su)", path, flags), wait,
                                error);
}

gboolean
virDomainLockManagedSave(virDomainLock *dom, guint flags, const virLockWait *wait,
                         GError **error)
{
    return virDomainLockCallJob(dom, "ManagedSave", g_variant_new("(u)", flags), wait,
                                error);
}

/* --- restore --------------------------------------------------------------------------- */

/* What would start is looked at here, so that a file with a description that nobody could use,
 * or with that of another guest than it says, starts nothing. */
static gboolean
virClientCheckGuest(const virSaveImage *image, const char *path, GError **error)
{
    g_autoptr(virDomainDef) def = virDomainLockDefFromSpec(image->spec, error);

    if (!def) {
        g_prefix_error(error, "'%s' cannot be used: ", path);
        return FALSE;
    }
    if (g_str_equal(virDomainDefGetUuid(def), image->uuid))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "'%s' cannot be used: it says that it is guest %s, and describes guest %s",
                path, image->uuid, virDomainDefGetUuid(def));
    return FALSE;
}

/* The start of the guest in the file; NULL: it is none. */
static virDomainLockSpec *
virClientRestoreSpec(const char *path, guint flags, GError **error)
{
    g_autoptr(virSaveImage) image = virSaveFileRead(path, error);
    virDomainLockSpec *spec = NULL;

    if (!image || !virClientCheckGuest(image, path, error))
        return NULL;
    spec = g_steal_pointer(&image->spec);
    spec->restore = json_object_new();
    json_object_set_string_member(spec->restore, "path", path);
    json_object_set_string_member(spec->restore, "id", image->id);
    json_object_set_int_member(spec->restore, "generation", (gint64)image->generation);
    json_object_set_int_member(spec->restore, "flags", flags);
    return spec;
}

virDomainLock *
virDomainLockRestore(virLockConfig *config, const char *path, guint flags,
                     const virLockWait *wait, GError **error)
{
    const guint known = VIR_DOMAIN_LOCK_SAVE_BYPASS_CACHE | VIR_DOMAIN_LOCK_SAVE_RUNNING |
                        VIR_DOMAIN_LOCK_SAVE_PAUSED | VIR_DOMAIN_LOCK_SAVE_FORCE;
    g_autoptr(virDomainLockSpec) spec = NULL;
    g_autofree char *absolute = g_canonicalize_filename(path, NULL);

    if (!virSaveFlagsCheck(flags, known, error))
        return NULL;
    spec = virClientRestoreSpec(absolute, flags, error);
    return spec ? virDomainLockCreateSpec(config, spec, wait, error) : NULL;
}

/* --- managed saves ---------------------------------------------------------------------- */

char *
virDomainLockManagedPath(virLockConfig *config, const char *uuid)
{
    g_autofree char *file = g_strconcat(uuid, ".save", NULL);

    return g_build_filename(virLockConfigGet(config, "host", "state_dir"), "save", file,
                            NULL);
}

char *
virDomainLockGetManagedSave(virLockConfig *config, const char *uuid)
{
    g_autofree char *lower = g_ascii_strdown(uuid, -1);
    g_autofree char *path = virDomainLockManagedPath(config, lower);

    return g_file_test(path, G_FILE_TEST_EXISTS) ? g_steal_pointer(&path) : NULL;
}

gboolean
virDomainLockManagedSaveRemove(virLockConfig *config, const char *nameOrUuid,
                               GError **error)
{
    g_autoptr(virDomainLock) dom = virDomainLockLookup(config, nameOrUuid, error);
    g_autofree char *path = dom ? virDomainLockManagedPath(config, dom->uuid) : NULL;

    if (!dom)
        return FALSE;
    if (unlink(path) == 0)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR,
                errno == ENOENT ? VIR_LOCK_ERROR_STATE : VIR_LOCK_ERROR_CONFIG,
                errno == ENOENT ? "guest '%s' has no managed save"
                                : "the managed save of guest '%s' cannot be removed: %s",
                dom->name, g_strerror(errno));
    return FALSE;
}

/* Its path, if the guest that @spec would start has one. What is wrong with the description is
 * for the supervisor to say. */
static char *
virClientFindManaged(virLockConfig *config, const virDomainLockSpec *spec)
{
    g_autofree char *dir =
        g_build_filename(virLockConfigGet(config, "host", "state_dir"), "save", NULL);
    g_autoptr(virDomainDef) def = NULL;

    if (!g_file_test(dir, G_FILE_TEST_IS_DIR))
        return NULL; /* the usual case: costs no parsing */
    def = virDomainLockDefFromSpec(spec, NULL);
    return def ? virDomainLockGetManagedSave(config, virDomainDefGetUuid(def)) : NULL;
}

static void
virClientAddWayOut(GError *error)
{
    g_autofree char *first = g_strdup(error->message);

    g_free(error->message);
    error->message = g_strdup_printf("%s\nthe guest has a managed save; 'run "
                                     "--force-boot' throws it away and starts the "
                                     "guest from its disks",
                                     first);
}

static virDomainLock *
virClientRestoreManaged(virLockConfig *config, const char *path, guint flags,
                        const virLockWait *wait, GError **error)
{
    guint paused =
        flags & VIR_DOMAIN_LOCK_CREATE_PAUSED ? VIR_DOMAIN_LOCK_SAVE_PAUSED : 0;
    g_autoptr(GError) why = NULL;
    g_autoptr(virDomainLockSpec) spec = virClientRestoreSpec(path, paused, &why);
    virDomainLock *dom = NULL;

    if (spec) {
        spec->flags |= flags & ~(guint)VIR_DOMAIN_LOCK_CREATE_PAUSED;
        spec->discard = g_strdup(path);
        dom = virDomainLockCreateSpec(config, spec, wait, &why);
    }
    if (dom)
        return dom;
    if (why->code == VIR_LOCK_ERROR_STALE || why->code == VIR_LOCK_ERROR_CONFIG ||
        why->code == VIR_LOCK_ERROR_INTERNAL)
        virClientAddWayOut(why);
    g_propagate_error(error, g_steal_pointer(&why));
    return NULL;
}

virDomainLock *
virDomainLockCreateOrResume(virLockConfig *config, virDomainLockSpec *spec,
                            const virLockWait *wait, GError **error)
{
    g_autofree char *managed = virClientFindManaged(config, spec);

    if (managed && !(spec->flags & VIR_DOMAIN_LOCK_CREATE_FORCE_BOOT))
        return virClientRestoreManaged(config, managed, spec->flags, wait, error);
    spec->discard = g_steal_pointer(&managed);
    return virDomainLockCreateSpec(config, spec, wait, error);
}
