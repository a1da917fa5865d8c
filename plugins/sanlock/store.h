/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store.h: the store as a file or device: opening it, what is where, reading it.
 *
 * Everything is read and written with O_DIRECT, because other hosts write the same sectors.
 * All functions block on storage: run them in a job (call.h).
 */
#ifndef LEASEHOLD_SANLOCK_STORE_H
#define LEASEHOLD_SANLOCK_STORE_H

#include "common/use_record.h"
#include "plugins/sanlock/format.h"

struct sanlk_resource;
struct sanlk_lockspace;

typedef struct _virSanlockStore {
    int fd;
    char *path;
    gboolean isDevice;
    guint64 bytes; /* size of the file or device */
    virSanlockGeometry geometry;
} virSanlockStore;

/**
 * virSanlockStoreOpen:
 * @lockspace: must be the store's, or NULL: any
 *
 * CONFIG for everything that somebody has to change: no such file, no store, damaged,
 * another version, another lockspace, truncated, a file system without O_DIRECT, a device
 * with larger sectors. UNAVAILABLE for I/O errors.
 */
virSanlockStore *virSanlockStoreOpen(const char *path, const char *lockspace,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The same for one that was open a moment ago and had @geometry. Reads nothing of it: whether
 * it is still the same one says virSanlockStoreRefresh. */
virSanlockStore *virSanlockStoreOpenAgain(const char *path,
                                          const virSanlockGeometry *geometry,
                                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
void virSanlockStoreFree(virSanlockStore *store);
/** Is what is open still what its path leads to? Reads nothing of it. */
gboolean virSanlockStoreIsThere(const virSanlockStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSanlockStore, virSanlockStoreFree)

/** open(2) with O_DIRECT and an error in words; -1. @flags: O_RDWR, ... */
int virSanlockStoreOpenFd(const char *path, int flags, GError **error);

/** Sector-aligned memory for O_DIRECT, zeroed; free with g_aligned_free. */
guint8 *virSanlockBuffer(gsize len);
typedef guint8 virSanlockBytes;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virSanlockBytes, g_aligned_free)

/** Whole sectors. */
gboolean virSanlockStoreRead(virSanlockStore *store, guint64 offset, guint8 *buffer,
                             gsize len, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Not durable before virSanlockStoreSync. */
gboolean virSanlockStoreWrite(virSanlockStore *store, guint64 offset,
                              const guint8 *buffer, gsize len,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean virSanlockStoreSync(virSanlockStore *store,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** Reads the header again, as far as others may have changed it. */
gboolean virSanlockStoreRefresh(virSanlockStore *store,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Writes the header, durably. */
gboolean virSanlockStoreWriteHeader(virSanlockStore *store,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** The whole index, checked; free with g_aligned_free. */
virSanlockBytes *virSanlockStoreReadIndex(virSanlockStore *store,
                                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** One leader sector; the verdict is the caller's to judge. */
gboolean virSanlockStoreReadLeader(virSanlockStore *store, guint64 offset,
                                   virSanlockLeaderKind kind, virSanlockLeader *leader,
                                   virSanlockLeaderVerdict *verdict,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean virSanlockStoreReadUse(virSanlockStore *store, guint slot, const char *lease,
                                virUseRing *ring,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** The names of all hosts by host id - 1, "" where never used: elements char[48]. */
GArray *virSanlockStoreReadHostNames(virSanlockStore *store,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** A resource of one disk for libsanlock; free with g_free. */
struct sanlk_resource *virSanlockResourceNew(const char *path,
                                             const virSanlockGeometry *geometry,
                                             const char *name, guint64 offset);
void virSanlockLockspaceInit(struct sanlk_lockspace *lockspace, const char *path,
                             const virSanlockGeometry *geometry, guint hostId);

#endif
