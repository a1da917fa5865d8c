/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake.h: a plugin in memory with every capability, made by replacing the callbacks of a
 * loaded one. A test replaces one more and so injects its fault in sight.
 */
#ifndef LEASEHOLD_TESTS_LOCK_MANAGER_FAKE_H
#define LEASEHOLD_TESTS_LOCK_MANAGER_FAKE_H

#include "lock_manager/manager.h"

/** The "storage": shared by all plugins that were made with it. */
typedef struct _FakeStore {
    GHashTable *epochs; /* lease -> guint64 */
    char *ownerUuid;    /* of whom every lease is, for queryOwner */
    virLockRenewal renewal;
    int daemonFd;
    GMutex lock;
} FakeStore;

FakeStore *fakeStoreNew(void);
void fakeStoreFree(FakeStore *store);
virLockManagerPlugin *fakePluginNew(FakeStore *store);
/** An empty configuration. */
virLockConfig *fakeConfig(void);

#define FAKE_UUID "c7a5fdbd-cdaf-9455-926a-d65c16db1809"

/** An object of a guest 'web' with FAKE_UUID and a lease 'key'. */
virLockManager *fakeManager(virLockManagerPlugin *plugin, guint flags,
                            const char *ticket);

#endif
