/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * describe.c: the description of a running guest, kept where others find it: in memory for
 * whoever asks, in the runtime folder for the next supervisor.
 *
 * It names at least what QEMU has: a disk is in it before its first lease is taken, and goes
 * from it after its last one was given up. Between, the journal says which step was under way.
 */
#include "codec.h"
#include "file.h"
#include "sequence.h"

static gboolean
virDescribeHas(const char *notes, const char *note)
{
    g_auto(GStrv) lines = g_strsplit(notes ? notes : "", "\n", -1);

    return g_strv_contains((const char *const *)lines, note);
}

/* What is doubtful about its images now, and an event for what is new. */
static void
virDescribeNotes(virDomainLockObj *obj)
{
    char *notes = virDomainDefGetNotes(obj->def);
    g_auto(GStrv) lines = g_strsplit(notes ? notes : "", "\n", -1);
    g_autofree char *before = NULL;

    g_mutex_lock(&obj->lock);
    before = g_steal_pointer(&obj->status->info->notes);
    obj->status->info->notes = notes;
    g_mutex_unlock(&obj->lock);
    for (gsize i = 0; lines[i]; i++)
        if (*lines[i] && !virDescribeHas(before, lines[i]))
            virDomainLockObjEmit(obj, "FORMAT_DOUBTFUL", NULL, lines[i]);
}

void
virDomainLockObjAddNotes(virDomainLockObj *obj, const char *target, GError **error)
{
    g_autofree char *notes = virDomainDefGetNotes(obj->def);
    g_autofree char *prefix = g_strdup_printf("disk '%s':", target ? target : "");
    g_auto(GStrv) lines = g_strsplit(notes ? notes : "", "\n", -1);
    GString *message = g_string_new((*error)->message);

    for (gsize i = 0; lines[i]; i++)
        if (!target || g_str_has_prefix(lines[i], prefix))
            g_string_append_printf(message, "\n%s", lines[i]);
    g_free((*error)->message);
    (*error)->message = g_string_free(message, FALSE);
}

gboolean
virDomainLockObjUpdateDescription(virDomainLockObj *obj, GError **error)
{
    g_autofree char *path = NULL;
    g_autofree char *xml = NULL;

    virDescribeNotes(obj);
    if (virDomainDefIsForeign(obj->def))
        return TRUE;
    xml = virDomainDefFormatXML(obj->def, error);
    if (!xml)
        return FALSE;
    g_mutex_lock(&obj->lock);
    g_free(obj->description);
    obj->description = g_strdup(xml);
    g_mutex_unlock(&obj->lock);
    if (!obj->runtime)
        return TRUE;
    path = g_build_filename(virDomainLockRuntimeGetPath(obj->runtime), VIR_DESCRIBE_FILE,
                            NULL);
    return virFileReplace(path, xml, error);
}

void
virDomainLockObjKeepDescription(virDomainLockObj *obj)
{
    g_autoptr(GError) why = NULL;

    if (!virDomainLockObjUpdateDescription(obj, &why))
        g_warning("the description of the guest could not be kept: %s", why->message);
}

char *
virDomainLockObjGetDescription(virDomainLockObj *obj, GError **error)
{
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&obj->lock);

    if (obj->description)
        return g_strdup(obj->description);
    if (virDomainDefIsForeign(obj->def))
        return virDomainDefFormatXML(obj->def, error); /* says why there is none */
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "guest '%s' is being started: its description is not complete yet",
                obj->status->info->name);
    return NULL;
}

/* What the QEMU that runs means by "pc". */
static char *
virDescribeMachine(JsonArray *machines, const char *alias)
{
    for (guint i = 0; i < json_array_get_length(machines); i++) {
        JsonNode *node = json_array_get_element(machines, i);
        JsonObject *machine =
            JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;

        if (machine && g_strcmp0(virDomainLockJsonString(machine, "alias"), alias) == 0)
            return g_strdup(virDomainLockJsonString(machine, "name"));
    }
    return NULL;
}

static gboolean
virDescribePin(virDomainLockObj *obj, GError **error)
{
    g_autoptr(JsonNode) list = NULL;
    g_autofree char *machine = NULL;

    list =
        obj->guest->ops->command(obj->guest, "query-machines", NULL,
                                 g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC, error);
    if (!list)
        return FALSE;
    if (JSON_NODE_HOLDS_ARRAY(list))
        machine = virDescribeMachine(json_node_get_array(list),
                                     virDomainDefGetMachine(obj->def));
    if (machine)
        virDomainDefSetMachine(obj->def, machine);
    return TRUE;
}

char *
virDomainLockDescribe(virDomainLockObj *obj, GError **error)
{
    if (!virDomainDefIsForeign(obj->def) &&
        (!virDescribePin(obj, error) || !virDomainLockObjUpdateDescription(obj, error)))
        return NULL;
    return virDomainLockObjGetDescription(obj, error);
}
