/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * use_record.c: encoding of use records, and the rules of their ring.
 *
 * One record, 512 bytes at the start of its sector, little-endian:
 *
 *   0 magic "LHUSEREC"     8 version (16 bit)  10 size (16 bit, 512)  12 reason (32 bit)
 *  16 epoch               24 generation        32 time, usec          40 host id (32 bit)
 *  44 pid (32 bit)        48 lease [48]        96 host name [64]     160 guest uuid [40]
 * 200 guest name [256]   456 zero             508 CRC-32 (IEEE 802.3) of bytes 0..507
 *
 * Strings are padded with NUL and always end with one.
 */
#include "common/use_record.h"

#include "common/bytes.h"

#define RECORD_VERSION 1
#define CRC_OFFSET 508

static const guint8 recordMagic[8] = {'L', 'H', 'U', 'S', 'E', 'R', 'E', 'C'};

/* Cuts at a character, not inside one: the reader checks for UTF-8. */
static void
putString(guint8 *at, gsize size, const char *string)
{
    gsize len = strnlen(string, size - 1);
    const char *end;

    if (!g_utf8_validate(string, len, &end))
        len = end - string;
    memset(at, 0, size);
    memcpy(at, string, len);
}

static gboolean
getString(const guint8 *at, gsize size, char *string)
{
    gsize len = strnlen((const char *)at, size);

    if (len == size || !g_utf8_validate((const char *)at, len, NULL))
        return FALSE;
    memcpy(string, at, len + 1);
    return TRUE;
}

void
virUseRecordEncode(const virUseRecord *record, guint8 *sector)
{
    memset(sector, 0, VIR_USE_RECORD_SIZE);
    memcpy(sector, recordMagic, sizeof(recordMagic));
    virBytesPut16(sector + 8, RECORD_VERSION);
    virBytesPut16(sector + 10, VIR_USE_RECORD_SIZE);
    virBytesPut32(sector + 12, record->reason);
    virBytesPut64(sector + 16, record->epoch);
    virBytesPut64(sector + 24, record->generation);
    virBytesPut64(sector + 32, (guint64)record->timeUsec);
    virBytesPut32(sector + 40, record->hostId);
    virBytesPut32(sector + 44, (guint32)record->pid);
    putString(sector + 48, sizeof(record->lease), record->lease);
    putString(sector + 96, sizeof(record->hostName), record->hostName);
    putString(sector + 160, sizeof(record->guestUuid), record->guestUuid);
    putString(sector + 200, sizeof(record->guestName), record->guestName);
    virBytesPut32(sector + CRC_OFFSET, virBytesCrc32(sector, CRC_OFFSET));
}

virUseRecordVerdict
virUseRecordDecode(const guint8 *sector, virUseRecord *record)
{
    if (virBytesAreZero(sector, VIR_USE_RECORD_SIZE))
        return VIR_USE_RECORD_EMPTY;
    if (memcmp(sector, recordMagic, sizeof(recordMagic)) != 0 ||
        virBytesGet32(sector + CRC_OFFSET) != virBytesCrc32(sector, CRC_OFFSET))
        return VIR_USE_RECORD_DAMAGED;
    if (virBytesGet16(sector + 8) > RECORD_VERSION)
        return VIR_USE_RECORD_NEWER;
    if (virBytesGet16(sector + 10) != VIR_USE_RECORD_SIZE)
        return VIR_USE_RECORD_DAMAGED;

    memset(record, 0, sizeof(*record));
    record->reason = virBytesGet32(sector + 12);
    record->epoch = virBytesGet64(sector + 16);
    record->generation = virBytesGet64(sector + 24);
    record->timeUsec = (gint64)virBytesGet64(sector + 32);
    record->hostId = virBytesGet32(sector + 40);
    record->pid = (gint32)virBytesGet32(sector + 44);
    if (record->epoch == 0 || record->epoch > VIR_USE_RECORD_MAX_EPOCH ||
        !getString(sector + 48, sizeof(record->lease), record->lease) ||
        !getString(sector + 96, sizeof(record->hostName), record->hostName) ||
        !getString(sector + 160, sizeof(record->guestUuid), record->guestUuid) ||
        !getString(sector + 200, sizeof(record->guestName), record->guestName))
        return VIR_USE_RECORD_DAMAGED;
    return VIR_USE_RECORD_VALID;
}

virLockUse *
virUseRecordToUse(const virUseRecord *record)
{
    virLockUse *use = g_new0(virLockUse, 1);

    use->structSize = sizeof(*use);
    use->lease = g_strdup(record->lease);
    use->epoch = record->epoch;
    use->hostId = record->hostId;
    use->generation = record->generation;
    use->hostName = g_strdup(record->hostName);
    use->guestName = g_strdup(record->guestName);
    use->guestUuid = g_strdup(record->guestUuid);
    use->timeUsec = record->timeUsec;
    return use;
}

gsize
virUseRingOffset(guint64 epoch, gsize sectorSize)
{
    return epoch % VIR_USE_RING_SECTORS * sectorSize;
}

static void
virUseRingInsert(virUseRing *ring, const virUseRecord *record)
{
    guint at = ring->nRecords++;

    for (; at > 0 && ring->records[at - 1].epoch < record->epoch; at--)
        ring->records[at] = ring->records[at - 1];
    ring->records[at] = *record;
}

static gboolean
virUseRingSort(const guint8 *bytes, gsize sectorSize, const char *lease,
               virUseRecordVerdict verdicts[VIR_USE_RING_SECTORS], virUseRing *ring,
               GError **error)
{
    for (guint i = 0; i < VIR_USE_RING_SECTORS; i++) {
        virUseRecord record;

        verdicts[i] = virUseRecordDecode(bytes + i * sectorSize, &record);
        if (verdicts[i] == VIR_USE_RECORD_VALID &&
            (record.epoch % VIR_USE_RING_SECTORS != i ||
             strcmp(record.lease, lease) != 0))
            verdicts[i] = VIR_USE_RECORD_DAMAGED;

        if (verdicts[i] == VIR_USE_RECORD_VALID) {
            virUseRingInsert(ring, &record);
        } else if (verdicts[i] == VIR_USE_RECORD_DAMAGED) {
            ring->nDamaged++;
        } else if (verdicts[i] == VIR_USE_RECORD_NEWER) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                        "the use record of lease %s was written by a newer version of "
                        "leasehold; update this host",
                        lease);
            return FALSE;
        }
    }
    return TRUE;
}

/* Epochs are written one after the other: the sector @ahead of the newest valid record
 * still holds the record of a ring ago, or nothing if there was none. */
static gboolean
virUseRingIsOld(const virUseRing *ring, const virUseRecordVerdict *verdicts, guint ahead)
{
    guint64 epoch = ring->epoch + ahead;
    virUseRecordVerdict verdict = verdicts[epoch % VIR_USE_RING_SECTORS];

    if (epoch > VIR_USE_RING_SECTORS)
        return verdict == VIR_USE_RECORD_VALID;
    return verdict == VIR_USE_RECORD_EMPTY;
}

gboolean
virUseRingParse(const guint8 *bytes, gsize sectorSize, const char *lease,
                virUseRing *ring, GError **error)
{
    virUseRecordVerdict verdicts[VIR_USE_RING_SECTORS];
    gboolean lost;

    memset(ring, 0, sizeof(*ring));
    if (!virUseRingSort(bytes, sectorSize, lease, verdicts, ring, error))
        return FALSE;

    ring->epoch = ring->nRecords ? ring->records[0].epoch : 0;
    ring->doubtful = !virUseRingIsOld(ring, verdicts, 1);

    /* One damaged record is counted as written; of more than one nobody can tell how many
     * were. */
    if (ring->nRecords == 0)
        lost = ring->nDamaged > (ring->doubtful ? 1 : 0);
    else
        lost = ring->doubtful && !virUseRingIsOld(ring, verdicts, 2);
    if (lost) {
        g_set_error(
            error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
            "the use records of lease %s are damaged (%u of %u sectors): nobody can "
            "tell who used it last",
            lease, ring->nDamaged, VIR_USE_RING_SECTORS);
        return FALSE;
    }
    if (ring->doubtful)
        ring->epoch++;
    return TRUE;
}

void
virUseRingReset(guint8 *bytes, gsize sectorSize, const char *lease, guint64 floor,
                gint64 timeUsec)
{
    guint64 last = MAX(floor, VIR_USE_RING_SECTORS);
    virUseRecord record = {.reason = VIR_USE_REASON_RESET, .timeUsec = timeUsec};

    if (floor == 0)
        return;
    g_strlcpy(record.lease, lease, sizeof(record.lease));
    /* all of them: a ring with gaps behind the newest record is a damaged one */
    for (guint64 epoch = last - VIR_USE_RING_SECTORS + 1; epoch <= last; epoch++) {
        record.epoch = epoch;
        virUseRecordEncode(&record, bytes + virUseRingOffset(epoch, sectorSize));
    }
}

guint
virUseRingAdvance(const virUseRing *ring, const virUseRecord *who, const char *lease,
                  virUseRecord records[2])
{
    guint n = 0;

    if (ring->doubtful) {
        memset(&records[0], 0, sizeof(records[0]));
        records[0].epoch = ring->epoch;
        records[0].timeUsec = who->timeUsec;
        records[0].reason = VIR_USE_REASON_REPAIR;
        g_strlcpy(records[0].lease, lease, sizeof(records[0].lease));
        n++;
    }
    records[n] = *who;
    records[n].epoch = ring->epoch + 1;
    g_strlcpy(records[n].lease, lease, sizeof(records[n].lease));
    return n + 1;
}

void
virUseRecordFreeUse(gpointer data)
{
    virLockUse *use = data;

    g_free(use->lease);
    g_free(use->hostName);
    g_free(use->guestName);
    g_free(use->guestUuid);
    g_free(use);
}

GPtrArray *
virUseRingToUses(const virUseRing *ring, guint maxHistory)
{
    GPtrArray *uses = g_ptr_array_new_with_free_func(virUseRecordFreeUse);

    if (ring->doubtful ||
        (ring->nRecords && ring->records[0].reason == VIR_USE_REASON_RESET)) {
        virLockUse *unknown = g_new0(virLockUse, 1);

        unknown->structSize = sizeof(*unknown);
        unknown->epoch = ring->epoch;
        g_ptr_array_add(uses, unknown);
    }
    for (guint i = 0; i < ring->nRecords && uses->len <= maxHistory; i++)
        if (ring->records[i].reason != VIR_USE_REASON_RESET)
            g_ptr_array_add(uses, virUseRecordToUse(&ring->records[i]));
    return uses;
}
