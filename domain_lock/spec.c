/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spec.c: what the starter tells a new supervisor, and what that reports while it starts.
 */
#include "spec.h"

virDomainLockSpec *
virDomainLockSpecNew(void)
{
    virDomainLockSpec *spec = g_new0(virDomainLockSpec, 1);

    spec->disks = g_array_new(FALSE, TRUE, sizeof(virDomainLockDisk));
    spec->diskPaths = g_ptr_array_new_with_free_func(g_free);
    spec->channel[0] = spec->channel[1] = -1;
    return spec;
}

void
virDomainLockSpecFree(virDomainLockSpec *spec)
{
    if (!spec)
        return;
    g_free(spec->attach);
    g_free(spec->xml);
    g_free(spec->packed);
    g_free(spec->name);
    g_free(spec->uuid);
    g_array_unref(spec->disks);
    g_ptr_array_unref(spec->diskPaths);
    g_strfreev(spec->argv);
    g_free(spec->configPath);
    g_clear_pointer(&spec->incoming, json_object_unref);
    g_clear_pointer(&spec->restore, json_object_unref);
    g_clear_pointer(&spec->snapshot, json_object_unref);
    g_free(spec->discard);
    g_free(spec);
}

static void
virDomainLockSpecAddDisk(virDomainLockSpec *spec, const char *path, guint flags)
{
    virDomainLockDisk disk = {g_strdup(path), flags};

    g_ptr_array_add(spec->diskPaths, (gpointer)disk.path);
    g_array_append_val(spec->disks, disk);
}

void
virDomainLockSpecSetCommand(virDomainLockSpec *spec, const virDomainLockCommand *command)
{
    spec->name = g_strdup(command->name);
    spec->uuid = g_strdup(command->uuid);
    spec->argv = g_strdupv((char **)command->argv);
    for (gsize i = 0; i < command->nDisks; i++)
        virDomainLockSpecAddDisk(spec, command->disks[i].path, command->disks[i].flags);
}

virDomainLockSpec *
virDomainLockSpecCopyGuest(const virDomainLockSpec *spec)
{
    virDomainLockSpec *copy = virDomainLockSpecNew();

    copy->xml = g_strdup(spec->xml);
    copy->name = g_strdup(spec->name);
    copy->uuid = g_strdup(spec->uuid);
    copy->argv = g_strdupv(spec->argv);
    copy->flags = spec->flags & VIR_DOMAIN_LOCK_CREATE_UNSAFE_CACHE;
    for (guint i = 0; i < spec->disks->len; i++) {
        const virDomainLockDisk *disk = &g_array_index(spec->disks, virDomainLockDisk, i);

        virDomainLockSpecAddDisk(copy, disk->path, disk->flags);
    }
    return copy;
}

/* --- the description ---------------------------------------------------------------- */

static JsonObject *
virDomainLockSpecCommandToJson(const virDomainLockSpec *spec)
{
    JsonObject *command = json_object_new();
    JsonArray *disks = json_array_new();
    JsonArray *argv = json_array_new();

    json_object_set_string_member(command, "name", spec->name);
    if (spec->uuid)
        json_object_set_string_member(command, "uuid", spec->uuid);
    for (guint i = 0; i < spec->disks->len; i++) {
        const virDomainLockDisk *disk = &g_array_index(spec->disks, virDomainLockDisk, i);
        JsonObject *one = json_object_new();

        json_object_set_string_member(one, "path", disk->path);
        json_object_set_int_member(one, "flags", disk->flags);
        json_array_add_object_element(disks, one);
    }
    for (gsize i = 0; spec->argv && spec->argv[i]; i++)
        json_array_add_string_element(argv, spec->argv[i]);
    json_object_set_array_member(command, "disks", disks);
    json_object_set_array_member(command, "argv", argv);
    return command;
}

JsonObject *
virDomainLockSpecToJson(const virDomainLockSpec *spec)
{
    JsonObject *object = json_object_new();

    json_object_set_int_member(object, "version", VIR_SPEC_VERSION);
    /* a guest that was taken up has what it was started from, too */
    if (spec->xml)
        json_object_set_string_member(object, "xml", spec->xml);
    else if (spec->argv)
        json_object_set_object_member(object, "command",
                                      virDomainLockSpecCommandToJson(spec));
    else if (spec->attach)
        json_object_set_string_member(object, "attach", spec->attach);
    if (spec->configPath)
        json_object_set_string_member(object, "config", spec->configPath);
    json_object_set_int_member(object, "flags", spec->flags);
    if (spec->owner.pid != 0) {
        json_object_set_int_member(object, "owner_pid", spec->owner.pid);
        json_object_set_int_member(object, "owner_start", (gint64)spec->owner.startTime);
    }
    if (spec->incoming)
        json_object_set_object_member(object, "incoming",
                                      json_object_ref(spec->incoming));
    if (spec->snapshot)
        json_object_set_object_member(object, "snapshot",
                                      json_object_ref(spec->snapshot));
    if (spec->restore)
        json_object_set_object_member(object, "restore", json_object_ref(spec->restore));
    if (spec->discard)
        json_object_set_string_member(object, "discard", spec->discard);
    json_object_set_int_member(object, "deadline_usec", spec->deadlineUsec);
    json_object_set_int_member(object, "busy_usec", spec->busyUsec);
    return object;
}

static gboolean
virDomainLockSpecCommandFromJson(virDomainLockSpec *spec, JsonObject *command,
                                 GError **error)
{
    JsonArray *disks = virDomainLockJsonArray(command, "disks");
    JsonArray *argv = virDomainLockJsonArray(command, "argv");
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);

    spec->name = g_strdup(virDomainLockJsonString(command, "name"));
    spec->uuid = g_strdup(virDomainLockJsonString(command, "uuid"));
    for (guint i = 0; disks && i < json_array_get_length(disks); i++) {
        JsonNode *node = json_array_get_element(disks, i);
        JsonObject *disk =
            JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        const char *path = virDomainLockJsonString(disk, "path");

        if (path)
            virDomainLockSpecAddDisk(spec, path,
                                     (guint)virDomainLockJsonInt(disk, "flags", 0));
    }
    for (guint i = 0; argv && i < json_array_get_length(argv); i++) {
        JsonNode *node = json_array_get_element(argv, i);
        const char *word =
            JSON_NODE_HOLDS_VALUE(node) ? json_node_get_string(node) : NULL;

        g_ptr_array_add(words, g_strdup(word ? word : ""));
    }
    if (!spec->name || words->len == 0) {
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
            "the start was asked for with neither a description nor a command line");
        return FALSE;
    }
    g_ptr_array_add(words, NULL);
    spec->argv = (char **)g_ptr_array_free(g_steal_pointer(&words), FALSE);
    return TRUE;
}

virDomainLockSpec *
virDomainLockSpecFromJson(JsonObject *object, GError **error)
{
    g_autoptr(virDomainLockSpec) spec = virDomainLockSpecNew();
    gint64 version = virDomainLockJsonInt(object, "version", 0);
    JsonObject *incoming = virDomainLockJsonObject(object, "incoming");
    JsonObject *restore = virDomainLockJsonObject(object, "restore");
    JsonObject *snapshot = virDomainLockJsonObject(object, "snapshot");

    if (version != VIR_SPEC_VERSION) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "the start was asked for in version %" G_GINT64_FORMAT
                    " of the protocol, this supervisor knows %d: the parts of this "
                    "installation do not belong together",
                    version, VIR_SPEC_VERSION);
        return NULL;
    }
    spec->attach = g_strdup(virDomainLockJsonString(object, "attach"));
    spec->xml = g_strdup(virDomainLockJsonString(object, "xml"));
    spec->packed = g_strdup(virDomainLockJsonString(object, "packed"));
    spec->configPath = g_strdup(virDomainLockJsonString(object, "config"));
    spec->flags = (guint)virDomainLockJsonInt(object, "flags", 0);
    spec->owner.pid = virDomainLockJsonInt(object, "owner_pid", 0);
    spec->owner.startTime = (guint64)virDomainLockJsonInt(object, "owner_start", 0);
    spec->incoming = incoming ? json_object_ref(incoming) : NULL;
    spec->restore = restore ? json_object_ref(restore) : NULL;
    spec->snapshot = snapshot ? json_object_ref(snapshot) : NULL;
    spec->discard = g_strdup(virDomainLockJsonString(object, "discard"));
    spec->deadlineUsec = virDomainLockJsonInt(object, "deadline_usec", 0);
    spec->busyUsec = virDomainLockJsonInt(object, "busy_usec", 0);
    if (!spec->attach && !spec->xml &&
        !virDomainLockSpecCommandFromJson(
            spec, virDomainLockJsonObject(object, "command"), error))
        return NULL;
    return g_steal_pointer(&spec);
}

/* --- progress ----------------------------------------------------------------------- */

JsonObject *
virDomainLockProgressToJson(const virLockProgress *progress)
{
    JsonObject *object = json_object_new();
    const virLockOwner *holder = progress->holder;

    if (progress->what)
        json_object_set_string_member(object, "what", progress->what);
    json_object_set_int_member(
        object, "permille",
        progress->fraction < 0 ? -1 : (gint64)(progress->fraction * 1000));
    json_object_set_int_member(object, "eta_sec", progress->etaSec);
    if (holder && holder->hostName)
        json_object_set_string_member(object, "holder_host", holder->hostName);
    if (holder && holder->guestName)
        json_object_set_string_member(object, "holder_guest", holder->guestName);
    if (holder)
        json_object_set_int_member(object, "holder_host_id", holder->hostId);
    return object;
}

void
virDomainLockProgressFromJson(JsonObject *object, virLockProgressFunc func, gpointer data)
{
    gint64 permille = virDomainLockJsonInt(object, "permille", -1);
    virLockOwner holder = {
        .structSize = sizeof(holder),
        .hostName = (char *)virDomainLockJsonString(object, "holder_host"),
        .guestName = (char *)virDomainLockJsonString(object, "holder_guest"),
        .hostId = (guint)virDomainLockJsonInt(object, "holder_host_id", 0),
        .seenSec = -1,
        .etaSec = virDomainLockJsonInt(object, "eta_sec", -1),
    };
    virLockProgress progress = {
        .structSize = sizeof(progress),
        .what = virDomainLockJsonString(object, "what"),
        .fraction = permille < 0 ? -1 : (double)permille / 1000,
        .etaSec = holder.etaSec,
        .holder = json_object_has_member(object, "holder_host_id") ? &holder : NULL,
    };

    if (func)
        func(&progress, data);
}
