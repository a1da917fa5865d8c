/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate_storage.h: the storage of a guest's images, while the guest is on its way here.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_MIGRATE_STORAGE_H
#define LEASEHOLD_DOMAIN_LOCK_MIGRATE_STORAGE_H

#include <gio/gio.h>

typedef struct _virMigrateStorage virMigrateStorage;

/** Reads each image now and then, from now on. @resources: of virDomainResource. */
virMigrateStorage *virMigrateStorageWatch(GPtrArray *resources,
                                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Frees it; not while another thread is in a call. NULL does no harm. */
void virMigrateStorageUnwatch(virMigrateStorage *storage);
/** Every image is to be read once more, now. Does not wait. */
void virMigrateStorageAsk(virMigrateStorage *storage);
/** Waits until every image was read since the last StorageAsk, or since the beginning.
 * UNAVAILABLE: one fails, or has not answered for 5 s. */
gboolean virMigrateStorageAwait(virMigrateStorage *storage, GCancellable *cancellable,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** The same without waiting. */
gboolean virMigrateStorageCheck(virMigrateStorage *storage,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

#endif
