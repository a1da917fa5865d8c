/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz-save-image.c: the header of a file with a saved guest: as it is, and as a document whose
 * checksums are right, because whoever writes a hostile file gets those right.
 */
#include "config.h"
#include "common/bytes.h"
#include "domain_lock/save/save_image.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What restore relies on. */
static void
judge(const virSaveImage *image)
{
    gboolean run = FALSE;

    g_assert(image->id && image->name && image->uuid && image->plugin && image->spec);
    g_assert(g_uuid_string_is_valid(image->uuid));
    g_assert(image->spec->xml || image->spec->argv);
    g_assert_cmpuint(image->streamOffset, ==, 2 * image->slotSize);
    g_assert_cmpuint(image->streamLength, >, 0);
    g_assert_cmpuint(image->streamOffset + image->streamLength, <=, G_MAXINT64);
    for (guint i = 0; i < image->leases->len; i++) {
        const virSaveLease *lease = g_ptr_array_index(image->leases, i);

        g_assert(lease->name && *lease->name);
        g_assert(virSaveImageFindLease(image, lease->name) == lease);
        run = run || lease->type == VIR_LOCK_RESOURCE_RUN;
    }
    g_assert(run);
}

/* What was understood is written the same way again. */
static void
again(const virSaveImage *image)
{
    g_autoptr(GError) error = NULL;
    g_autofree guint8 *slot = virSaveImageEncode(image, &error);
    g_autoptr(virSaveImage) copy = NULL;

    if (!slot) { /* what was left out of it, unknown members, makes room */
        g_assert(error->domain == VIR_LOCK_ERROR);
        return;
    }
    copy = virSaveImageDecode(slot, image->slotSize, &error);
    g_assert_no_error(error);
    judge(copy);
    g_assert_cmpstr(copy->id, ==, image->id);
    g_assert_cmpuint(copy->leases->len, ==, image->leases->len);
}

static void
decode(const guint8 *bytes, gsize len)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(virSaveImage) image = virSaveImageDecode(bytes, len, &error);

    g_assert((image == NULL) == (error != NULL));
    g_assert(image || error->domain == VIR_LOCK_ERROR);
    if (!image)
        return;
    judge(image);
    again(image);
}

static void
decodeDocument(const uint8_t *data, size_t size)
{
    gsize len = VIR_SAVE_IMAGE_FIXED + size;
    g_autofree guint8 *slot = g_malloc0(len);

    memcpy(slot, "LHSAVEIM", 8);
    virBytesPut32(slot + 8, VIR_SAVE_IMAGE_VERSION);
    virBytesPut32(slot + 12, VIR_SAVE_IMAGE_FIXED);
    virBytesPut64(slot + 16, VIR_SAVE_IMAGE_MIN_SLOT);
    virBytesPut64(slot + 32, 2 * VIR_SAVE_IMAGE_MIN_SLOT);
    virBytesPut64(slot + 40, 1);
    virBytesPut32(slot + 52, (guint32)size);
    virBytesPut32(slot + 56, virBytesCrc32(data, size));
    virBytesPut32(slot + 60, virBytesCrc32(slot, 60));
    memcpy(slot + VIR_SAVE_IMAGE_FIXED, data, size);
    decode(slot, len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode(data, size);
    if (size > 0 && size < VIR_SAVE_IMAGE_MIN_SLOT)
        decodeDocument(data, size);
    return 0;
}
