/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake_def.c: a description with one disk, for a guest that is called what the "XML" says.
 */
#include "tests/domain_lock/fake.h"

struct _virDomainDef {
    char *name;
    GPtrArray *resources;
};

virDomainDef *
virDomainDefParseXML(const char *xml, gssize len, guint flags, GError **error)
{
    virDomainDef *def = NULL;

    if (!fakeCall("describe", error))
        return NULL;
    def = g_new0(virDomainDef, 1);
    def->name = g_strdup(xml);
    def->resources = g_ptr_array_new_with_free_func(g_free);
    return def;
}

virDomainDef *
virDomainDefFromCommand(const virDomainLockCommand *command, guint flags, GError **error)
{
    return virDomainDefParseXML(command->name, -1, flags, error);
}

void
virDomainDefFree(virDomainDef *def)
{
    if (!def)
        return;
    g_ptr_array_unref(def->resources);
    g_free(def->name);
    g_free(def);
}

const char *
virDomainDefGetName(const virDomainDef *def)
{
    return def->name;
}

const char *
virDomainDefGetUuid(const virDomainDef *def)
{
    return FAKE_UUID;
}

virDomainLockfailure
virDomainDefGetLockfailure(const virDomainDef *def, gboolean *isSet)
{
    *isSet = FALSE;
    return VIR_DOMAIN_LOCKFAILURE_PAUSE;
}

virDomainAction
virDomainDefGetOnPoweroff(const virDomainDef *def)
{
    return fake->onPoweroff;
}

virDomainAction
virDomainDefGetOnReboot(const virDomainDef *def)
{
    return fake->onReboot;
}

virDomainAction
virDomainDefGetOnCrash(const virDomainDef *def)
{
    return fake->onCrash;
}

gboolean
virDomainDefRequireDirectIo(virDomainDef *def, GError **error)
{
    return fakeCall("direct-io", error);
}

gboolean
virDomainDefReadChains(virDomainDef *def, GCancellable *cancellable, GError **error)
{
    virDomainResource *disk = NULL;

    if (!fakeCall("chains", error))
        return FALSE;
    if (def->resources->len > 0)
        return TRUE;
    disk = g_new0(virDomainResource, 1);
    disk->type = VIR_LOCK_RESOURCE_DISK;
    disk->path = fake->disk;
    g_ptr_array_add(def->resources, disk);
    return TRUE;
}

GPtrArray *
virDomainDefGetResources(const virDomainDef *def)
{
    return def->resources;
}

char **
virDomainDefFormatArgv(const virDomainDef *def, const virDomainArgvContext *context,
                       GError **error)
{
    const char *argv[] = {"qemu", NULL};

    return fakeCall("argv", error) ? g_strdupv((char **)argv) : NULL;
}

char *
virDomainDefFormatXML(virDomainDef *def, GError **error)
{
    return g_strdup(def->name);
}

char *
virDomainDefGetNotes(const virDomainDef *def)
{
    return NULL;
}

const char *
virDomainDefGetMachine(const virDomainDef *def)
{
    return "pc";
}

void
virDomainDefSetMachine(virDomainDef *def, const char *machine)
{
}

char *
virDomainDefGetAgentSocket(const virDomainDef *def, const char *runDir)
{
    return NULL;
}

char *
virDomainDefGetAgentId(const virDomainDef *def)
{
    return NULL;
}

const char *
virDomainDefForbidsSleep(const virDomainDef *def, gboolean ram, gboolean disk)
{
    return NULL;
}

virDomainTpmEmulator *
virDomainDefGetTpmEmulator(const virDomainDef *def, const char *runDir)
{
    return NULL;
}

void
virDomainTpmEmulatorFree(virDomainTpmEmulator *tpm)
{
}

gboolean
virDomainDefIsForeign(const virDomainDef *def)
{
    return FALSE;
}

/* --- disks by their targets: the fake has none ------------------------------------------ */

char **
virDomainDefGetDiskTargets(const virDomainDef *def)
{
    return g_new0(char *, 1);
}

const virImageChain *
virDomainDefGetDiskChain(const virDomainDef *def, const char *target)
{
    return NULL;
}

gboolean
virDomainDefReadDiskChain(virDomainDef *def, const char *target, GError **error)
{
    g_assert_not_reached();
}

const char *
virDomainDefGetDiskId(const virDomainDef *def, const char *target, GError **error)
{
    g_assert_not_reached();
}

virDomainResource *
virDomainDefFirstOfDisk(const virDomainDef *def, const char *target)
{
    return NULL;
}

GPtrArray *
virDomainDefFormatNodes(const virDomainDef *def, const char *target, virImageChain *chain)
{
    g_assert_not_reached();
}

guint64
virDomainDefGetMemoryBytes(const virDomainDef *def)
{
    return 0;
}

/* what a start asks of snapshots, which would bring all of them along */
const char *
virDomainLockOfflineJob(const char *op)
{
    g_assert_not_reached();
}

gboolean
virDomainLockSnapshotCheckStart(virDomainLockObj *obj, GError **error)
{
    return TRUE;
}
