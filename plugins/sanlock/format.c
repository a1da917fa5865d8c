/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * format.c: see format.h. Everything here may be fed bytes that somebody else wrote: no
 * length, count or string in them is believed before it was compared with what we know.
 */
#include "plugins/sanlock/format.h"

#include <string.h>

#include "common/bytes.h"

#define MIB (G_GUINT64_CONSTANT(1) << 20)

/* --- our header --------------------------------------------------------------------------
 *
 *   0 magic "LEASEHLD"     8 version (32)        12 header size (32, 512)
 *  16 sector size (32)    20 max hosts (32)      24 max leases (32)   28 io_timeout, s (32)
 *  32 unit, bytes (64)    40 created, usec (64)  48 lockspace [48]    96 uuid [40]
 * 136 zero               508 CRC-32 of bytes 0..507
 */

static const guint8 headerMagic[8] = {'L', 'E', 'A', 'S', 'E', 'H', 'L', 'D'};
#define HEADER_CRC_OFFSET 508

guint64
virSanlockAlignForSector(guint sectorSize)
{
    return sectorSize == 4096 ? 8 * MIB : MIB;
}

void
virSanlockHeaderEncode(const virSanlockGeometry *geometry, guint8 *bytes)
{
    memset(bytes, 0, VIR_SANLOCK_HEADER_SIZE);
    memcpy(bytes, headerMagic, sizeof(headerMagic));
    virBytesPut32(bytes + 8, geometry->version);
    virBytesPut32(bytes + 12, VIR_SANLOCK_HEADER_SIZE);
    virBytesPut32(bytes + 16, geometry->sectorSize);
    virBytesPut32(bytes + 20, geometry->maxHosts);
    virBytesPut32(bytes + 24, geometry->maxSlots);
    virBytesPut32(bytes + 28, geometry->ioTimeoutSec);
    virBytesPut64(bytes + 32, geometry->alignBytes);
    virBytesPut64(bytes + 40, (guint64)geometry->createdUsec);
    memcpy(bytes + 48, geometry->lockspace, sizeof(geometry->lockspace));
    memcpy(bytes + 96, geometry->uuid, sizeof(geometry->uuid));
    virBytesPut64(bytes + 136, geometry->epochFloor);
    virBytesPut32(bytes + HEADER_CRC_OFFSET, virBytesCrc32(bytes, HEADER_CRC_OFFSET));
}

static gboolean
virSanlockGeometryIsSane(const virSanlockGeometry *g)
{
    return (g->sectorSize == 512 || g->sectorSize == 4096) &&
           g->alignBytes == virSanlockAlignForSector(g->sectorSize) && g->maxHosts >= 1 &&
           g->maxHosts <= VIR_SANLOCK_MAX_HOSTS && g->maxSlots >= 1 &&
           g->maxSlots <= VIR_SANLOCK_MAX_SLOTS && g->ioTimeoutSec >= 1 &&
           g->ioTimeoutSec <= 255 && virSanlockNameIsValid(g->lockspace) &&
           memchr(g->uuid, 0, sizeof(g->uuid)) != NULL && g->epochFloor <= G_MAXINT64;
}

virSanlockHeaderVerdict
virSanlockHeaderDecode(const guint8 *bytes, virSanlockGeometry *geometry)
{
    memset(geometry, 0, sizeof(*geometry));
    if (memcmp(bytes, headerMagic, sizeof(headerMagic)) != 0)
        return VIR_SANLOCK_HEADER_NONE;
    if (virBytesGet32(bytes + HEADER_CRC_OFFSET) !=
        virBytesCrc32(bytes, HEADER_CRC_OFFSET))
        return VIR_SANLOCK_HEADER_DAMAGED;

    geometry->version = virBytesGet32(bytes + 8);
    if (geometry->version != VIR_SANLOCK_STORE_VERSION)
        return VIR_SANLOCK_HEADER_VERSION;
    geometry->sectorSize = virBytesGet32(bytes + 16);
    geometry->maxHosts = virBytesGet32(bytes + 20);
    geometry->maxSlots = virBytesGet32(bytes + 24);
    geometry->ioTimeoutSec = virBytesGet32(bytes + 28);
    geometry->alignBytes = virBytesGet64(bytes + 32);
    geometry->createdUsec = (gint64)virBytesGet64(bytes + 40);
    memcpy(geometry->lockspace, bytes + 48, sizeof(geometry->lockspace));
    memcpy(geometry->uuid, bytes + 96, sizeof(geometry->uuid));
    geometry->epochFloor = virBytesGet64(bytes + 136);
    if (!memchr(geometry->lockspace, 0, sizeof(geometry->lockspace)) ||
        !virSanlockGeometryIsSane(geometry))
        return VIR_SANLOCK_HEADER_DAMAGED;
    return VIR_SANLOCK_HEADER_VALID;
}

/* --- places ------------------------------------------------------------------------------ */

guint64
virSanlockHeaderOffset(guint sectorSize)
{
    return (guint64)VIR_SANLOCK_HEADER_SECTOR * sectorSize;
}

guint64
virSanlockGuardOffset(const virSanlockGeometry *geometry)
{
    return geometry->alignBytes;
}

guint64
virSanlockIndexOffset(const virSanlockGeometry *geometry)
{
    return 2 * geometry->alignBytes;
}

guint64
virSanlockSlotOffset(const virSanlockGeometry *geometry, guint slot)
{
    return (4 + (guint64)slot) * geometry->alignBytes;
}

guint64
virSanlockBridgeOffset(const virSanlockGeometry *geometry, guint slot)
{
    return virSanlockSlotOffset(geometry, geometry->maxSlots + slot);
}

guint64
virSanlockUseOffset(const virSanlockGeometry *geometry, guint slot)
{
    return virSanlockSlotOffset(geometry, 2 * geometry->maxSlots) +
           (guint64)slot * 8 * geometry->sectorSize;
}

/* Whole units, so that a store on a device can be described in units too. */
guint64
virSanlockStoreBytes(const virSanlockGeometry *geometry)
{
    guint64 end = virSanlockUseOffset(geometry, geometry->maxSlots);

    return (end + geometry->alignBytes - 1) / geometry->alignBytes * geometry->alignBytes;
}

gsize
virSanlockIndexBytes(const virSanlockGeometry *geometry)
{
    gsize end =
        geometry->sectorSize + (gsize)geometry->maxSlots * VIR_SANLOCK_INDEX_ENTRY_SIZE;

    return (end + geometry->sectorSize - 1) / geometry->sectorSize * geometry->sectorSize;
}

/* --- names --------------------------------------------------------------------------------- */

gboolean
virSanlockNameIsValid(const char *name)
{
    gsize len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                             "0123456789._-");

    return len > 0 && len <= VIR_LOCK_NAME_MAX && name[len] == '\0';
}

/* sanlock prints names with %s from arrays of 48 bytes, so a name must not have 48. */
void
virSanlockBridgeName(const char *name, char bridge[VIR_SANLOCK_NAME_SIZE])
{
    g_autofree char *hash = NULL;

    if (strlen(name) < VIR_LOCK_NAME_MAX) {
        g_snprintf(bridge, VIR_SANLOCK_NAME_SIZE, "~%s", name);
        return;
    }
    hash = g_compute_checksum_for_string(G_CHECKSUM_SHA1, name, -1);
    g_snprintf(bridge, VIR_SANLOCK_NAME_SIZE, "~~%s", hash);
}

/* --- sanlock's index ----------------------------------------------------------------------- */

#define INDEX_MAGIC 0x01042018
#define INDEX_VERSION_MAJOR 0x0001
#define INDEX_VERSION 0x00010002
#define INDEX_ALIGN_1M 1
#define INDEX_ALIGN_8M 8

static gboolean
nameEquals(const guint8 *field, const char *name)
{
    return strncmp((const char *)field, name, VIR_SANLOCK_NAME_SIZE) == 0;
}

static void
copyName(char *name, const guint8 *field)
{
    memcpy(name, field, VIR_SANLOCK_NAME_SIZE);
    name[VIR_SANLOCK_NAME_SIZE - 1] = '\0';
}

void
virSanlockIndexInit(guint8 *bytes, const virSanlockGeometry *geometry)
{
    virBytesPut32(bytes, INDEX_MAGIC);
    virBytesPut32(bytes + 4, INDEX_VERSION);
    virBytesPut32(bytes + 8,
                  geometry->sectorSize == 4096 ? INDEX_ALIGN_8M : INDEX_ALIGN_1M);
    virBytesPut32(bytes + 12, geometry->sectorSize);
    virBytesPut32(bytes + 16, geometry->maxSlots);
    virBytesPut64(bytes + 24, virSanlockIndexOffset(geometry));
    memcpy(bytes + 32, geometry->lockspace, VIR_SANLOCK_NAME_SIZE);
}

const char *
virSanlockIndexCheck(const guint8 *bytes, const virSanlockGeometry *geometry)
{
    if (virBytesGet32(bytes) != INDEX_MAGIC)
        return "there is no lease index";
    if (virBytesGet32(bytes + 4) >> 16 != INDEX_VERSION_MAJOR)
        return "the lease index has an unknown version";
    if (virBytesGet32(bytes + 12) != geometry->sectorSize)
        return "the lease index has another sector size";
    if (virBytesGet32(bytes + 16) != geometry->maxSlots)
        return "the lease index has another size";
    if (virBytesGet64(bytes + 24) != virSanlockIndexOffset(geometry))
        return "the lease index believes to be at another place";
    if (!nameEquals(bytes + 32, geometry->lockspace))
        return "the lease index belongs to another lockspace";
    return NULL;
}

static const guint8 *
virSanlockIndexAt(const guint8 *bytes, const virSanlockGeometry *geometry, guint slot)
{
    return bytes + geometry->sectorSize + (gsize)slot * VIR_SANLOCK_INDEX_ENTRY_SIZE;
}

void
virSanlockIndexGet(const guint8 *bytes, const virSanlockGeometry *geometry, guint slot,
                   virSanlockIndexEntry *entry)
{
    const guint8 *at = virSanlockIndexAt(bytes, geometry, slot);

    entry->offset = virBytesGet64(at);
    copyName(entry->name, at + 16);
}

int
virSanlockIndexFind(const guint8 *bytes, const virSanlockGeometry *geometry,
                    const char *name)
{
    for (guint slot = 0; slot < geometry->maxSlots; slot++)
        if (nameEquals(virSanlockIndexAt(bytes, geometry, slot) + 16, name))
            return slot;
    return -1;
}

int
virSanlockIndexFindFree(const guint8 *bytes, const virSanlockGeometry *geometry)
{
    for (guint slot = 0; slot < geometry->maxSlots; slot++) {
        const guint8 *at = virSanlockIndexAt(bytes, geometry, slot);

        if (virBytesGet64(at) == 0 && at[16] == 0)
            return slot;
    }
    return -1;
}

gsize
virSanlockIndexRemove(guint8 *bytes, const virSanlockGeometry *geometry, guint slot)
{
    gsize at = geometry->sectorSize + (gsize)slot * VIR_SANLOCK_INDEX_ENTRY_SIZE;

    memset(bytes + at, 0, VIR_SANLOCK_INDEX_ENTRY_SIZE);
    return at - at % geometry->sectorSize;
}

/* --- sanlock's leases ------------------------------------------------------------------------ */

#define LEASE_MAGIC 0x06152010
#define LEASE_VERSION_MAJOR 0x0006
#define HOST_MAGIC 0x12212010
#define HOST_VERSION_MAJOR 0x0003
#define LEADER_CHECKSUM_LEN 168
#define BALLOT_FLAGS_OFFSET 52
#define BALLOT_RELEASED 1
#define MODE_BLOCK_OFFSET 128
#define MODE_SHARED 1

virSanlockLeaderVerdict
virSanlockLeaderDecode(const guint8 *bytes, virSanlockLeaderKind kind,
                       virSanlockLeader *leader)
{
    guint32 magic = kind == VIR_SANLOCK_LEADER_LEASE ? LEASE_MAGIC : HOST_MAGIC;
    guint32 version =
        kind == VIR_SANLOCK_LEADER_LEASE ? LEASE_VERSION_MAJOR : HOST_VERSION_MAJOR;

    memset(leader, 0, sizeof(*leader));
    if (virBytesGet32(bytes) != magic)
        return VIR_SANLOCK_LEADER_NONE;
    if (virBytesGet32(bytes + 4) >> 16 != version)
        return VIR_SANLOCK_LEADER_VERSION;
    if (virBytesGet32(bytes + LEADER_CHECKSUM_LEN) !=
        virBytesCrc32c(~1u, bytes, LEADER_CHECKSUM_LEN))
        return VIR_SANLOCK_LEADER_DAMAGED;

    leader->sectorSize = virBytesGet32(bytes + 12);
    leader->numHosts = virBytesGet64(bytes + 16);
    leader->ownerId = virBytesGet64(bytes + 32);
    leader->ownerGeneration = virBytesGet64(bytes + 40);
    leader->lver = virBytesGet64(bytes + 48);
    copyName(leader->lockspace, bytes + 56);
    copyName(leader->name, bytes + 104);
    leader->timestamp = virBytesGet64(bytes + 152);
    leader->ioTimeoutSec = virBytesGet16(bytes + 174);
    leader->writerId = virBytesGet64(bytes + 176);
    return VIR_SANLOCK_LEADER_VALID;
}

gboolean
virSanlockModeIsShared(const guint8 *sector, guint64 *generation)
{
    *generation = virBytesGet64(sector + MODE_BLOCK_OFFSET + 8);
    return (virBytesGet32(sector + MODE_BLOCK_OFFSET) & MODE_SHARED) != 0;
}

gboolean
virSanlockBallotIsReleased(const guint8 *sector)
{
    return (virBytesGet32(sector + BALLOT_FLAGS_OFFSET) & BALLOT_RELEASED) != 0;
}

/* --- what a client holds ----------------------------------------------------------------- */

/* Cuts the next field, up to an unescaped ':', off *at; NULL if there is none. */
static char *
nextField(char **at)
{
    char *start = *at, *end;

    if (!start)
        return NULL;
    for (end = start; *end && *end != ':'; end++)
        if (*end == '\\' && end[1])
            end++;
    *at = *end ? end + 1 : NULL;
    *end = '\0';
    return start;
}

static gboolean
takeName(char *name, const char *field)
{
    return field && *field &&
           g_strlcpy(name, field, VIR_SANLOCK_NAME_SIZE) < VIR_SANLOCK_NAME_SIZE;
}

static gboolean
virSanlockParseHeld(char *text, virSanlockHeld *held)
{
    char *rest = text;
    char *lockspace = nextField(&rest), *name = nextField(&rest),
         *path = nextField(&rest);
    char *offset = nextField(&rest), *version = nextField(&rest);
    guint64 lver;

    memset(held, 0, sizeof(*held));
    if (!path || !*path || !version || rest || !takeName(held->lockspace, lockspace) ||
        !takeName(held->name, name) ||
        !g_ascii_string_to_unsigned(offset, 10, 0, G_MAXUINT64, &held->offset, NULL))
        return FALSE;
    held->mode = VIR_LOCK_MODE_EXCLUSIVE;
    if (strcmp(version, "SH") == 0)
        held->mode = VIR_LOCK_MODE_SHARED;
    else if (!g_ascii_string_to_unsigned(version, 10, 0, G_MAXUINT64, &lver, NULL))
        return FALSE;
    return TRUE;
}

GArray *
virSanlockParseState(const char *state)
{
    g_autoptr(GArray) held = g_array_new(FALSE, FALSE, sizeof(virSanlockHeld));
    g_auto(GStrv) words = g_strsplit(state ? state : "", " ", -1);

    for (char **word = words; *word; word++) {
        virSanlockHeld one;

        if (!**word && word == words && !word[1])
            break;
        if (!virSanlockParseHeld(*word, &one))
            return NULL;
        g_array_append_val(held, one);
    }
    return g_steal_pointer(&held);
}
