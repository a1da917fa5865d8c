/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake.h: the neighbours of the sequences, each failing at the call that a test names: a
 * guest without a process, a lock manager without a backend, a description without XML.
 *
 * Every call is written to a log ("acquire"), so that a test can say in which order things
 * happened, which is what the invariants are about.
 */
#ifndef LEASEHOLD_TESTS_DOMAIN_LOCK_FAKE_H
#define LEASEHOLD_TESTS_DOMAIN_LOCK_FAKE_H

#include "domain_lock/sequence.h"
#include "tests/lib/vir_test.h"

#define FAKE_UUID "0b2ffd0e-7d3c-4c0e-8f5d-3f6b0a6f9d11"

typedef struct _Fake {
    char *dir;
    char *runDir;
    char *stateDir;
    char *disk;
    GString *log;       /* "park acquire advance exec ..." */
    const char *failAt; /* the call that fails, or NULL */
    guint failAfter;    /* that many calls of it succeed first */
    guint failCode;
    GCancellable *cancel; /* cancelled at cancelAt */
    const char *cancelAt;

    /* guest */
    gboolean alive;
    gboolean stubborn; /* does not follow quit or SIGTERM */
    gboolean stuck;    /* not even SIGKILL */
    int waitStatus;
    const char *nodes; /* what query-named-block-nodes answers, or NULL: the disk */
    const char *const *runStates; /* what query-status answers, one after the other; or NULL */
    /* locks */
    gboolean held;
    guint64 capabilities; /* virLockCapability */
    const double *progress; /* what acquire reports, or NULL: nothing */
    /* description */
    virDomainAction onPoweroff, onReboot, onCrash;
    GPtrArray *resources;
    struct _virDomainLockSpec *spec; /* of the object that was made last */
} Fake;

/** The one of the running test. */
extern Fake *fake;

void fakeUp(Fake *self, gconstpointer data);
void fakeDown(Fake *self, gconstpointer data);
/** Notes the call; FALSE with @error if it is to fail. */
gboolean fakeCall(const char *name, GError **error);
/** The configuration that the fakes answer with. */
virLockConfig *fakeConfig(void);
virDomainLockGuest *fakeGuest(virDomainLockObj *obj, int *qmpFd, gpointer data,
                              GError **error);
/** Prepared, not run; asserts that it works. */
virDomainLockObj *fakePrepare(Fake *self, guint flags);
/** StartRun with a deadline of 30 s. */
gboolean fakeRun(Fake *self, virDomainLockObj *obj, GError **error);
/** Prepared and run; asserts that it works. */
virDomainLockObj *fakeStart(Fake *self);
/** Nothing of the guest is left: process, leases, folder. */
void fakeAssertGone(Fake *self);
/** Words of the log since the last call. */
char *fakeTakeLog(Fake *self);

#endif
