/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * format.h: the bytes of a store: our header, and what we read of sanlock's own structures.
 *
 * Pure functions from bytes to structures; no I/O. docs/store-format.txt describes the whole.
 * sanlock's structures (3.8.5: src/leader.h, src/mode_block.h, src/rindex_disk.h) are only
 * read here (but for the header of a new index): sanlock writes them. Whoever reads them without the daemon gets
 * an answer in 0.1 ms and also while no daemon runs, but only a hint: who owns a lease is
 * decided by an attempt of the daemon to take it.
 */
#ifndef LEASEHOLD_SANLOCK_FORMAT_H
#define LEASEHOLD_SANLOCK_FORMAT_H

#include <leasehold/lock_types.h>

#define VIR_SANLOCK_NAME_SIZE 48 /* SANLK_NAME_LEN */
#define VIR_SANLOCK_HEADER_SIZE 512
#define VIR_SANLOCK_STORE_VERSION 1
#define VIR_SANLOCK_MAX_HOSTS                                                            \
    2000 /* sanlock's DEFAULT_MAX_HOSTS, of both layouts we use */
#define VIR_SANLOCK_MAX_SLOTS 16000 /* sanlock's limit of an index of 512-byte sectors */
#define VIR_SANLOCK_INDEX_ENTRY_SIZE 64
/* Host ids have the sectors 0..1999 of unit 0; ours is one of the 48 behind them. */
#define VIR_SANLOCK_HEADER_SECTOR 2040
#define VIR_SANLOCK_GUARD_NAME "~~guard"

/** virSanlockGeometry: the contents of our header; everything else follows from it. */
typedef struct _virSanlockGeometry {
    guint version;
    guint sectorSize;   /* 512 or 4096 */
    guint64 alignBytes; /* 1 MiB or 8 MiB: one unit */
    guint maxHosts;
    guint maxSlots;
    guint ioTimeoutSec;
    gint64 createdUsec;
    guint64 epochFloor; /* the highest epoch of any lease that was reclaimed; 0: none was */
    char lockspace[VIR_SANLOCK_NAME_SIZE];
    char uuid[40];
} virSanlockGeometry;

typedef enum {
    VIR_SANLOCK_HEADER_VALID = 0,
    VIR_SANLOCK_HEADER_NONE,    /* no magic: not a store, or the other sector size */
    VIR_SANLOCK_HEADER_DAMAGED, /* our magic, wrong checksum or impossible values */
    VIR_SANLOCK_HEADER_VERSION, /* valid, but of a version that we do not know */
} virSanlockHeaderVerdict;

/** 1 MiB for 512-byte sectors, 8 MiB for 4096: the units that have room for 2000 hosts. */
guint64 virSanlockAlignForSector(guint sectorSize);
void virSanlockHeaderEncode(const virSanlockGeometry *geometry, guint8 *bytes);
/** @geometry->version is set for VERSION too. */
virSanlockHeaderVerdict virSanlockHeaderDecode(const guint8 *bytes,
                                               virSanlockGeometry *geometry);

/* Offsets in bytes from the start of the store. */
guint64 virSanlockHeaderOffset(guint sectorSize);
guint64 virSanlockGuardOffset(const virSanlockGeometry *geometry);
guint64 virSanlockIndexOffset(const virSanlockGeometry *geometry);
guint64 virSanlockSlotOffset(const virSanlockGeometry *geometry, guint slot);
guint64 virSanlockBridgeOffset(const virSanlockGeometry *geometry, guint slot);
guint64 virSanlockUseOffset(const virSanlockGeometry *geometry, guint slot);
guint64 virSanlockStoreBytes(const virSanlockGeometry *geometry);
/** Bytes of the index that hold its header and all entries, in whole sectors. */
gsize virSanlockIndexBytes(const virSanlockGeometry *geometry);

/** A name that sanlock can keep in 47 bytes and write in its strings. */
gboolean virSanlockNameIsValid(const char *name);
/** Name of the bridge of lease @name: another name, because sanlock tells leases of one
 * lockspace apart by name only. */
void virSanlockBridgeName(const char *name, char bridge[VIR_SANLOCK_NAME_SIZE]);

/** virSanlockIndexEntry: one entry of sanlock's resource index. */
typedef struct _virSanlockIndexEntry {
    guint64 offset;
    char name[VIR_SANLOCK_NAME_SIZE]; /* empty: free */
} virSanlockIndexEntry;

/** An index without entries; @bytes is zeroed memory of virSanlockIndexBytes. */
void virSanlockIndexInit(guint8 *bytes, const virSanlockGeometry *geometry);
/** Checks the index's own header (sector 0 of @bytes). Returns NULL or what is wrong. */
const char *virSanlockIndexCheck(const guint8 *bytes, const virSanlockGeometry *geometry);
void virSanlockIndexGet(const guint8 *bytes, const virSanlockGeometry *geometry,
                        guint slot, virSanlockIndexEntry *entry);
/** The first slot of this name (the lowest offset, for every host alike), or -1. */
int virSanlockIndexFind(const guint8 *bytes, const virSanlockGeometry *geometry,
                        const char *name);
/** The first free slot as sanlock chooses it, or -1. */
int virSanlockIndexFindFree(const guint8 *bytes, const virSanlockGeometry *geometry);
/** Makes the entry of @slot free. Returns the offset in @bytes of the sector that changed. */
gsize virSanlockIndexRemove(guint8 *bytes, const virSanlockGeometry *geometry,
                            guint slot);

typedef enum {
    VIR_SANLOCK_LEADER_VALID = 0,
    VIR_SANLOCK_LEADER_NONE,    /* no lease there: never formatted, or cleared */
    VIR_SANLOCK_LEADER_DAMAGED, /* sanlock's magic, wrong checksum */
    VIR_SANLOCK_LEADER_VERSION, /* another format generation of sanlock */
} virSanlockLeaderVerdict;

/** virSanlockLeader: first sector of a lease, or sector of one host of the lockspace. */
typedef struct _virSanlockLeader {
    guint sectorSize;
    guint64 numHosts;
    guint64 ownerId;
    guint64 ownerGeneration;
    guint64 lver;
    guint64 writerId;  /* the host that wrote it, not always the owner */
    guint64 timestamp; /* 0: free; seconds of the owner's monotonic clock */
    guint ioTimeoutSec;
    char lockspace[VIR_SANLOCK_NAME_SIZE];
    char name[VIR_SANLOCK_NAME_SIZE]; /* lease: its name; lockspace: the host's name */
} virSanlockLeader;

typedef enum {
    VIR_SANLOCK_LEADER_LEASE = 0,
    VIR_SANLOCK_LEADER_HOST,
} virSanlockLeaderKind;

virSanlockLeaderVerdict virSanlockLeaderDecode(const guint8 *bytes,
                                               virSanlockLeaderKind kind,
                                               virSanlockLeader *leader);
/** TRUE if the sector of one host in a lease says that the host holds it shared. */
gboolean virSanlockModeIsShared(const guint8 *sector, guint64 *generation);

/** TRUE if the sector of one host in a lease says that the host gave the lease up. It is
 * what counts if another host wrote the leader and so undid the owner's release. */
gboolean virSanlockBallotIsReleased(const guint8 *sector);

/** virSanlockHeld: one lease of a client, as the daemon's status string names it. */
typedef struct _virSanlockHeld {
    char lockspace[VIR_SANLOCK_NAME_SIZE];
    char name[VIR_SANLOCK_NAME_SIZE];
    guint64 offset;
    virLockMode mode;
} virSanlockHeld;

/**
 * virSanlockParseState:
 * @state: "LOCKSPACE:NAME:PATH:OFFSET:LVER|SH ..." of sanlock_inquire, NULL for none
 *
 * Returns elements virSanlockHeld, or NULL if it cannot be understood (then nothing of it may
 * be believed).
 */
GArray *virSanlockParseState(const char *state);

#endif
