/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_fixture.h: a guest with a real QEMU in a private folder, and a lock manager whose
 * behaviour the test chooses (guest_fixture.c defines the four calls that park uses).
 */
#ifndef LEASEHOLD_TESTS_GUEST_FIXTURE_H
#define LEASEHOLD_TESTS_GUEST_FIXTURE_H

#include "supervisor/guest_qemu.h"

/** What the fake lock manager does when the child registers. */
typedef struct _FakeLockManager {
    int registerErrno; /* 0: accepted */
    gboolean hangs;    /* the daemon never answers */
    int inheritFd;     /* kept for exec; -1: none */
    char pid[16];      /* what SetParameter ("pid") got */
} FakeLockManager;

typedef struct _GuestFixture {
    char *dir;
    char *logPath;
    FakeLockManager locks;
    virSupervisorGuestOptions options;
    virDomainLockGuest *guest;
} GuestFixture;

#define FIXTURE_UUID "6f1c8b3e-52d4-4c5e-9d44-0123456789ab"
#define IN_SEC(n) (g_get_monotonic_time() + (n)*G_USEC_PER_SEC)

/** A machine-less QEMU: starts in a few milliseconds and speaks QMP. */
#define QEMU "qemu-system-x86_64"

void guestFixtureUp(GuestFixture *fixture, gconstpointer data);
void guestFixtureDown(GuestFixture *fixture, gconstpointer data);
virLockManager *guestFixtureManager(GuestFixture *fixture);
/** Parks; asserts that it works. */
void guestFixturePark(GuestFixture *fixture);
/** argv of a small paused QEMU with its monitor on the guest's socket, then @more. */
char **guestFixtureArgv(GuestFixture *fixture, const char *const *more);
/** Executes @argv in the parked child. */
gboolean guestFixtureExec(GuestFixture *fixture, const char *const *argv,
                          gint64 deadlineUsec, GError **error);
/** Parks and executes it; asserts that it works. */
void guestFixtureStart(GuestFixture *fixture, const char *const *more);
/** Kills and reaps; asserts that nothing is left. */
virDomainLockExit guestFixtureEnd(GuestFixture *fixture);
/** What the log holds. */
char *guestFixtureLog(GuestFixture *fixture);

#endif
