/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * save_image.c: the header of a saved guest, as bytes. The layout is in docs/save-format.txt.
 *
 * The document is JSON: readers ignore members that they do not know. What a reader must not
 * ignore is a new version.
 */
#include "save_image.h"
#include "common/bytes.h"
#include "common/text.h"
#include <string.h>

/* json-glib reads by recursion: text that nests without end would exhaust the stack. */
#define SAVE_MAX_DEPTH 16
#define SAVE_ROOM (32 * 1024)
#define SAVE_MAX_LEASES 100000

static const char saveMagic[8] = {'L', 'H', 'S', 'A', 'V', 'E', 'I', 'M'};

/* Where what is in the fixed part. */
enum {
    AT_VERSION = 8,
    AT_FIXED = 12,
    AT_SLOT_SIZE = 16,
    AT_GENERATION = 24,
    AT_STREAM_OFFSET = 32,
    AT_STREAM_LENGTH = 40,
    AT_STREAM_CRC = 48,
    AT_DOCUMENT_LENGTH = 52,
    AT_DOCUMENT_CRC = 56,
    AT_CRC = 60, /* of all before */
};

static const char *const leaseTypes[] = {
    [VIR_LOCK_RESOURCE_RUN] = "run",
    [VIR_LOCK_RESOURCE_DISK] = "disk",
    [VIR_LOCK_RESOURCE_LEASE] = "lease",
};

static void
virSaveLeaseFree(gpointer data)
{
    virSaveLease *lease = data;

    g_free(lease->name);
    g_free(lease->path);
    g_free(lease);
}

virSaveImage *
virSaveImageNew(void)
{
    virSaveImage *image = g_new0(virSaveImage, 1);

    image->leases = g_ptr_array_new_with_free_func(virSaveLeaseFree);
    image->shareable = g_ptr_array_new_with_free_func(g_free);
    return image;
}

void
virSaveImageFree(virSaveImage *image)
{
    if (!image)
        return;
    g_free(image->id);
    g_free(image->name);
    g_free(image->uuid);
    g_free(image->hostName);
    g_free(image->plugin);
    g_free(image->qemuVersion);
    g_ptr_array_unref(image->leases);
    g_ptr_array_unref(image->shareable);
    virDomainLockSpecFree(image->spec);
    g_free(image);
}

virSaveLease *
virSaveImageAddLease(virSaveImage *image, const char *name, const char *path)
{
    virSaveLease *lease = g_new0(virSaveLease, 1);

    lease->name = g_strdup(name);
    lease->path = g_strdup(path);
    g_ptr_array_add(image->leases, lease);
    return lease;
}

const virSaveLease *
virSaveImageFindLease(const virSaveImage *image, const char *name)
{
    for (guint i = 0; i < image->leases->len; i++) {
        const virSaveLease *lease = g_ptr_array_index(image->leases, i);

        if (g_str_equal(lease->name, name))
            return lease;
    }
    return NULL;
}

/* --- writing ------------------------------------------------------------------------ */

static JsonObject *
virSaveLeaseToJson(const virSaveLease *lease)
{
    JsonObject *object = json_object_new();

    virDomainLockJsonSetString(object, "name", lease->name);
    virDomainLockJsonSetString(object, "path", lease->path);
    virDomainLockJsonSetString(object, "type", leaseTypes[lease->type]);
    virDomainLockJsonSetString(object, "mode",
                     lease->mode == VIR_LOCK_MODE_EXCLUSIVE ? "exclusive" : "shared");
    json_object_set_int_member(object, "epoch", (gint64)lease->epoch);
    json_object_set_int_member(object, "host_id", lease->hostId);
    json_object_set_int_member(object, "time_usec", lease->timeUsec);
    return object;
}

static char *
virSaveDocument(const virSaveImage *image)
{
    g_autoptr(JsonObject) object = json_object_new();
    JsonArray *leases = json_array_new();
    JsonArray *shareable = json_array_new();

    virDomainLockJsonSetString(object, "id", image->id);
    virDomainLockJsonSetString(object, "name", image->name);
    virDomainLockJsonSetString(object, "uuid", image->uuid);
    virDomainLockJsonSetString(object, "state", image->paused ? "paused" : "running");
    json_object_set_int_member(object, "saved_usec", image->savedUsec);
    virDomainLockJsonSetString(object, "host", image->hostName);
    virDomainLockJsonSetString(object, "plugin", image->plugin);
    virDomainLockJsonSetString(object, "qemu", image->qemuVersion);
    json_object_set_boolean_member(object, "checked", image->checked);
    for (guint i = 0; i < image->leases->len; i++)
        json_array_add_object_element(
            leases, virSaveLeaseToJson(g_ptr_array_index(image->leases, i)));
    json_object_set_array_member(object, "leases", leases);
    for (guint i = 0; i < image->shareable->len; i++)
        json_array_add_string_element(shareable, g_ptr_array_index(image->shareable, i));
    json_object_set_array_member(object, "shareable", shareable);
    json_object_set_object_member(object, "guest", virDomainLockSpecToJson(image->spec));
    return virDomainLockJsonLine(object);
}

guint64
virSaveImageRoom(const virSaveImage *image)
{
    g_autofree char *document = virSaveDocument(image);
    guint64 wanted = VIR_SAVE_IMAGE_FIXED + strlen(document) + SAVE_ROOM;
    guint64 size = VIR_SAVE_IMAGE_MIN_SLOT;

    while (size < wanted && size < VIR_SAVE_IMAGE_MAX_SLOT)
        size *= 2;
    return size;
}

guint8 *
virSaveImageEncode(const virSaveImage *image, GError **error)
{
    g_autofree char *document = virSaveDocument(image);
    gsize len = strlen(document);
    guint8 *slot = NULL;

    if (len > image->slotSize - VIR_SAVE_IMAGE_FIXED) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "the description of guest '%s' is too long: %" G_GSIZE_FORMAT
                    " bytes, and the file has room for %" G_GUINT64_FORMAT,
                    image->name, len, image->slotSize - VIR_SAVE_IMAGE_FIXED);
        return NULL;
    }
    slot = g_malloc0(image->slotSize);
    memcpy(slot, saveMagic, sizeof(saveMagic));
    virBytesPut32(slot + AT_VERSION, VIR_SAVE_IMAGE_VERSION);
    virBytesPut32(slot + AT_FIXED, VIR_SAVE_IMAGE_FIXED);
    virBytesPut64(slot + AT_SLOT_SIZE, image->slotSize);
    virBytesPut64(slot + AT_GENERATION, image->generation);
    virBytesPut64(slot + AT_STREAM_OFFSET, image->streamOffset);
    virBytesPut64(slot + AT_STREAM_LENGTH, image->streamLength);
    virBytesPut32(slot + AT_STREAM_CRC, image->streamCrc);
    virBytesPut32(slot + AT_DOCUMENT_LENGTH, (guint32)len);
    virBytesPut32(slot + AT_DOCUMENT_CRC, virBytesCrc32((const guint8 *)document, len));
    virBytesPut32(slot + AT_CRC, virBytesCrc32(slot, AT_CRC));
    memcpy(slot + VIR_SAVE_IMAGE_FIXED, document, len);
    return slot;
}

/* --- reading ------------------------------------------------------------------------ */

virSaveSlot
virSaveImagePeek(const guint8 *bytes, gsize len, guint64 *slotSize)
{
    if (len < VIR_SAVE_IMAGE_FIXED || memcmp(bytes, saveMagic, sizeof(saveMagic)) != 0)
        return VIR_SAVE_SLOT_FOREIGN;
    /* all that every version has in common are magic and version */
    if (virBytesGet32(bytes + AT_VERSION) > VIR_SAVE_IMAGE_VERSION)
        return VIR_SAVE_SLOT_NEWER;
    *slotSize = virBytesGet64(bytes + AT_SLOT_SIZE);
    if (virBytesGet32(bytes + AT_CRC) != virBytesCrc32(bytes, AT_CRC) ||
        virBytesGet32(bytes + AT_FIXED) != VIR_SAVE_IMAGE_FIXED ||
        *slotSize < VIR_SAVE_IMAGE_MIN_SLOT || *slotSize > VIR_SAVE_IMAGE_MAX_SLOT ||
        (*slotSize & (*slotSize - 1)) != 0)
        return VIR_SAVE_SLOT_FOREIGN;
    return VIR_SAVE_SLOT_GOOD;
}

static gboolean
virSaveBad(GError **error, const char *why)
{
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "the header of the saved guest is damaged: %s", why);
    return FALSE;
}

static gboolean
virSaveLeaseFromJson(virSaveImage *image, JsonNode *node)
{
    JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    const char *name = virDomainLockJsonString(object, "name");
    const char *type = virDomainLockJsonString(object, "type");
    const char *mode = virDomainLockJsonString(object, "mode");
    gint64 epoch = virDomainLockJsonInt(object, "epoch", -1);
    gint64 hostId = virDomainLockJsonInt(object, "host_id", -1);
    virSaveLease *lease = NULL;
    guint found = 0;

    while (found < G_N_ELEMENTS(leaseTypes) && g_strcmp0(leaseTypes[found], type) != 0)
        found++;
    if (!name || !*name || found == G_N_ELEMENTS(leaseTypes) || !mode || epoch < 0 ||
        hostId < 0 || hostId > G_MAXINT32 || virSaveImageFindLease(image, name))
        return FALSE;
    lease = virSaveImageAddLease(image, name, virDomainLockJsonString(object, "path"));
    lease->type = found;
    lease->mode =
        g_str_equal(mode, "exclusive") ? VIR_LOCK_MODE_EXCLUSIVE : VIR_LOCK_MODE_SHARED;
    lease->epoch = (guint64)epoch;
    lease->hostId = (guint)hostId;
    lease->timeUsec = virDomainLockJsonInt(object, "time_usec", 0);
    return TRUE;
}

static gboolean
virSaveLeasesFromJson(virSaveImage *image, JsonObject *object, GError **error)
{
    JsonArray *leases = virDomainLockJsonArray(object, "leases");
    JsonArray *shareable = virDomainLockJsonArray(object, "shareable");
    gboolean run = FALSE;

    if (!leases || json_array_get_length(leases) > SAVE_MAX_LEASES)
        return virSaveBad(error, "it has no leases");
    for (guint i = 0; i < json_array_get_length(leases); i++) {
        if (!virSaveLeaseFromJson(image, json_array_get_element(leases, i)))
            return virSaveBad(error, "a lease cannot be understood");
        run = run || ((virSaveLease *)g_ptr_array_index(image->leases, i))->type ==
                         VIR_LOCK_RESOURCE_RUN;
    }
    for (guint i = 0; shareable && i < json_array_get_length(shareable); i++) {
        JsonNode *node = json_array_get_element(shareable, i);
        const char *path =
            JSON_NODE_HOLDS_VALUE(node) ? json_node_get_string(node) : NULL;

        if (path)
            g_ptr_array_add(image->shareable, g_strdup(path));
    }
    return run || virSaveBad(error, "the guest's own lease is missing");
}

/* Only what the guest is: where it comes from, and what becomes of other files then, is not for
 * a file to say. */
static gboolean
virSaveGuestFromJson(virSaveImage *image, JsonObject *object, GError **error)
{
    JsonObject *guest = virDomainLockJsonObject(object, "guest");
    g_autoptr(virDomainLockSpec) spec = NULL;

    if (!guest)
        return virSaveBad(error, "the guest's description is missing");
    spec = virDomainLockSpecFromJson(guest, error);
    if (!spec)
        return FALSE;
    image->spec = virDomainLockSpecCopyGuest(spec);
    return image->spec->xml || image->spec->argv ||
           virSaveBad(error, "the guest's description is missing");
}

static gboolean
virSaveFromJson(virSaveImage *image, JsonObject *object, GError **error)
{
    const char *state = virDomainLockJsonString(object, "state");

    image->id = g_strdup(virDomainLockJsonString(object, "id"));
    image->name = g_strdup(virDomainLockJsonString(object, "name"));
    image->uuid = g_strdup(virDomainLockJsonString(object, "uuid"));
    image->hostName = g_strdup(virDomainLockJsonString(object, "host"));
    image->plugin = g_strdup(virDomainLockJsonString(object, "plugin"));
    image->qemuVersion = g_strdup(virDomainLockJsonString(object, "qemu"));
    image->savedUsec = virDomainLockJsonInt(object, "saved_usec", 0);
    image->paused = g_strcmp0(state, "paused") == 0;
    /* absent or odd: nobody can check it */
    image->checked = virDomainLockJsonBool(object, "checked");
    if (!image->id || !image->name || !image->uuid || !image->plugin)
        return virSaveBad(error, "it does not say whose it is");
    if (!g_uuid_string_is_valid(image->uuid) || !g_uuid_string_is_valid(image->id))
        return virSaveBad(error, "a uuid in it is none");
    if (!image->paused && g_strcmp0(state, "running") != 0)
        return virSaveBad(error, "it knows neither running nor paused");
    return virSaveGuestFromJson(image, object, error) &&
           virSaveLeasesFromJson(image, object, error);
}

static gboolean
virSaveFixedFromBytes(virSaveImage *image, const guint8 *bytes, gsize len, GError **error)
{
    switch (virSaveImagePeek(bytes, len, &image->slotSize)) {
    case VIR_SAVE_SLOT_GOOD:
        break;
    case VIR_SAVE_SLOT_FOREIGN:
        return virSaveBad(error, "it is not one");
    case VIR_SAVE_SLOT_NEWER:
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
            "this saved guest is of version %u of the format, and this version of "
            "leasehold knows %d",
            virBytesGet32(bytes + AT_VERSION), VIR_SAVE_IMAGE_VERSION);
        return FALSE;
    }
    image->generation = virBytesGet64(bytes + AT_GENERATION);
    image->streamOffset = virBytesGet64(bytes + AT_STREAM_OFFSET);
    image->streamLength = virBytesGet64(bytes + AT_STREAM_LENGTH);
    image->streamCrc = virBytesGet32(bytes + AT_STREAM_CRC);
    if (image->streamOffset != 2 * image->slotSize || image->streamLength == 0 ||
        image->streamLength > G_MAXINT64 - image->streamOffset)
        return virSaveBad(error, "it does not say where the memory is");
    return TRUE;
}

virSaveImage *
virSaveImageDecode(const guint8 *bytes, gsize len, GError **error)
{
    g_autoptr(virSaveImage) image = virSaveImageNew();
    g_autoptr(JsonObject) object = NULL;
    g_autofree char *document = NULL;
    guint32 size = 0;

    if (!virSaveFixedFromBytes(image, bytes, len, error))
        return NULL;
    size = virBytesGet32(bytes + AT_DOCUMENT_LENGTH);
    if (size > image->slotSize - VIR_SAVE_IMAGE_FIXED ||
        size > len - VIR_SAVE_IMAGE_FIXED) {
        (void)virSaveBad(error, "it ends too early");
        return NULL;
    }
    if (virBytesGet32(bytes + AT_DOCUMENT_CRC) !=
        virBytesCrc32(bytes + VIR_SAVE_IMAGE_FIXED, size)) {
        (void)virSaveBad(error, "its checksum is wrong");
        return NULL;
    }
    document = g_strndup((const char *)bytes + VIR_SAVE_IMAGE_FIXED, size);
    if (virTextNestsDeeper(document, -1, SAVE_MAX_DEPTH)) {
        (void)virSaveBad(error, "it nests too deeply");
        return NULL;
    }
    object = virDomainLockJsonParse(document, -1, error);
    if (!object || !virSaveFromJson(image, object, error))
        return NULL;
    return g_steal_pointer(&image);
}
