/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz-sanlock-format.c: everything of a store that is parsed, and sanlock's lists. The first
 * byte of the input chooses what.
 */
#include <stdint.h>

#include "common/use_record.h"
#include "plugins/sanlock/daemon.h"
#include "plugins/sanlock/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input, padded with zeroes or cut to @len. */
static uint8_t *
pad(const uint8_t *data, size_t size, size_t len)
{
    uint8_t *bytes = g_malloc0(len);

    memcpy(bytes, data, MIN(size, len));
    return bytes;
}

static void
fuzzIndex(const uint8_t *data, size_t size)
{
    virSanlockGeometry g = {.sectorSize = 512, .alignBytes = 1 << 20, .maxSlots = 40};
    g_autofree uint8_t *bytes = pad(data, size, virSanlockIndexBytes(&g));

    g_strlcpy(g.lockspace, "vmstore", sizeof(g.lockspace));
    (void)virSanlockIndexCheck(bytes, &g);
    for (guint slot = 0; slot < g.maxSlots; slot++) {
        virSanlockIndexEntry entry;
        int found;

        virSanlockIndexGet(bytes, &g, slot, &entry);
        found = *entry.name ? virSanlockIndexFind(bytes, &g, entry.name) : -1;
        g_assert(found <= (int)slot);
    }
    g_assert(virSanlockIndexFindFree(bytes, &g) < (int)g.maxSlots);
}

static void
fuzzHeader(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *bytes = pad(data, size, VIR_SANLOCK_HEADER_SIZE);
    virSanlockGeometry g;
    virSanlockLeader leader;
    guint64 generation;

    if (virSanlockHeaderDecode(bytes, &g) == VIR_SANLOCK_HEADER_VALID)
        g_assert(virSanlockUseOffset(&g, g.maxSlots) <= virSanlockStoreBytes(&g));
    (void)virSanlockLeaderDecode(bytes, VIR_SANLOCK_LEADER_LEASE, &leader);
    (void)virSanlockLeaderDecode(bytes, VIR_SANLOCK_LEADER_HOST, &leader);
    (void)virSanlockModeIsShared(bytes, &generation);
}

static void
fuzzRing(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *bytes =
        pad(data, size, VIR_USE_RING_SECTORS * VIR_USE_RECORD_SIZE);
    virUseRecord who = {.hostId = 1}, records[2];
    virUseRing ring;
    guint n;

    if (!virUseRingParse(bytes, VIR_USE_RECORD_SIZE, "disk-1", &ring, NULL))
        return;
    g_ptr_array_unref(virUseRingToUses(&ring, 100));
    n = virUseRingAdvance(&ring, &who, "disk-1", records);
    g_assert(records[n - 1].epoch > ring.epoch);
}

static void
fuzzState(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GArray) held = virSanlockParseState(text);
    g_autofree char *word = virSanlockDaemonWord(text, "list");

    for (guint i = 0; held && i < held->len; i++)
        g_assert(*g_array_index(held, virSanlockHeld, i).name);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    switch (data[0]) {
    case 'i':
        fuzzIndex(data + 1, size - 1);
        break;
    case 'h':
        fuzzHeader(data + 1, size - 1);
        break;
    case 'r':
        fuzzRing(data + 1, size - 1);
        break;
    default:
        fuzzState(data + 1, size - 1);
    }
    return 0;
}
