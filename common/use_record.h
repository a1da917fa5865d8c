/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * use_record.h: the use record of a lease, as bytes: which guest used it last, and its
 * epoch.
 *
 * The epoch of a lease advances by one each time that a guest gets the right to write
 * (I7): whoever brings memory state back compares it. So an epoch must never be told
 * lower than it may have been, whatever happened to the bytes.
 *
 * A ring of VIR_USE_RING_SECTORS sectors stands beside each lease. The record with epoch
 * e goes to sector e % VIR_USE_RING_SECTORS, the current one is the valid record with the
 * highest epoch, the others are the history. So a torn write destroys only the oldest
 * record. While E is the highest valid epoch, the sector after it holds E + 1 - 8 (or
 * nothing yet); if it holds anything else, E + 1 was perhaps written and used, and then
 * damaged: the ring is "doubtful" and its epoch is E + 1.
 *
 * Layout of one record: see use_record.c. All numbers are little-endian.
 */
#ifndef LEASEHOLD_COMMON_USE_RECORD_H
#define LEASEHOLD_COMMON_USE_RECORD_H

#include <leasehold/lock_types.h>

#define VIR_USE_RECORD_SIZE 512
#define VIR_USE_RING_SECTORS 8
/** Larger ones are damage: there must be room to advance. */
#define VIR_USE_RECORD_MAX_EPOCH G_GUINT64_CONSTANT(0x7fffffffffffffff)

/** Why an epoch was advanced. */
typedef enum {
    VIR_USE_REASON_START = 0, /* a guest starts to run or to write */
    VIR_USE_REASON_REPAIR,    /* stands for a damaged record; nobody known used it */
    VIR_USE_REASON_RESET,     /* the lease was reclaimed and made anew; nobody used it since */
} virUseReason;

/** virUseRecord: one record. Strings are NUL-terminated UTF-8; longer ones are cut on
 * encode. */
typedef struct _virUseRecord {
    guint64 epoch; /* from 1 */
    guint64 generation;
    gint64 timeUsec; /* wall clock of the writer, for people only */
    guint32 hostId;
    gint32 pid;
    guint32 reason; /* virUseReason; unknown values are kept */
    char lease[VIR_LOCK_NAME_MAX + 1];
    char hostName[64];
    char guestUuid[40];
    char guestName[256];
} virUseRecord;

typedef enum {
    VIR_USE_RECORD_VALID = 0,
    VIR_USE_RECORD_EMPTY,   /* all zeroes: never written */
    VIR_USE_RECORD_DAMAGED, /* torn, overwritten, or not ours */
    VIR_USE_RECORD_NEWER,   /* valid, but of a later version of the format */
} virUseRecordVerdict;

/** Fills @sector (VIR_USE_RECORD_SIZE bytes). */
void virUseRecordEncode(const virUseRecord *record, guint8 *sector);
/** Reads @sector (VIR_USE_RECORD_SIZE bytes); @record is filled if the verdict is VALID.
 */
virUseRecordVerdict virUseRecordDecode(const guint8 *sector, virUseRecord *record);
/** The record as callers of the lock manager get it; free with virLockUseFree. */
virLockUse *virUseRecordToUse(const virUseRecord *record);
/** virLockUseFree for plugins, which do not link the lock manager. */
void virUseRecordFreeUse(gpointer use);

/** virUseRing: what a ring of sectors says. */
typedef struct _virUseRing {
    guint64 epoch; /* 0: never used */
    gboolean
        doubtful;   /* the record of this epoch is damaged: no record tells who used it */
    guint nDamaged; /* damaged sectors, also harmless ones of the history */
    guint nRecords;
    virUseRecord records[VIR_USE_RING_SECTORS]; /* newest first */
} virUseRing;

/**
 * virUseRingParse:
 * @bytes: VIR_USE_RING_SECTORS sectors of @sectorSize bytes each
 * @lease: records of another lease count as damaged
 *
 * CONFIG if the ring is of a later version, INTERNAL if it is so damaged that its epoch
 * cannot be told; the message says which lease.
 */
gboolean virUseRingParse(const guint8 *bytes, gsize sectorSize, const char *lease,
                         virUseRing *ring, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/**
 * virUseRingReset:
 * @bytes: (out): VIR_USE_RING_SECTORS sectors of @sectorSize bytes each, zeroed
 * @floor: the highest epoch that a forgotten ring of this lease may have had; 0: there was none
 *
 * A ring as it begins: nobody used the lease, and its epoch is not below @floor, so that no
 * epoch is ever told twice.
 */
void virUseRingReset(guint8 *bytes, gsize sectorSize, const char *lease, guint64 floor,
                     gint64 timeUsec);
/** Where the record of this epoch goes, from the start of the ring. */
gsize virUseRingOffset(guint64 epoch, gsize sectorSize);
/**
 * virUseRingAdvance:
 * @who: the user; its epoch and lease are set here
 * @records: (out): to be written durably in this order, the last one is the new current
 * one
 *
 * Returns how many records there are to write: 1, or 2 if a damaged one has to be
 * replaced first, so that the doubt does not come back eight epochs later.
 */
guint virUseRingAdvance(const virUseRing *ring, const virUseRecord *who,
                        const char *lease, virUseRecord records[2]);
/** The present use and up to @maxHistory older ones: elements virLockUse. The first one
 * of a doubtful ring, or of one that begins anew, has an epoch only. */
GPtrArray *virUseRingToUses(const virUseRing *ring, guint maxHistory);

#endif
