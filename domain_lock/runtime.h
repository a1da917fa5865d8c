/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * runtime.h: the folder of a guest that runs: run_dir/guests/<uuid>/{lock,state.json,
 * spec.json} and sockets (control, qmp, loss). spec.json is what the supervisor was told to
 * start, for the next one.
 *
 * The supervisor holds an OFD lock on "lock" for as long as it lives, so the kernel says who
 * is alive and no pid is ever guessed at. state.json is replaced as a whole at each change,
 * before the change is announced: it can be read at any time by anyone who may.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_RUNTIME_H
#define LEASEHOLD_DOMAIN_LOCK_RUNTIME_H

#include "types.h"
#include <json-glib/json-glib.h>

/** A process, so that its number cannot be mistaken for a later one's. */
typedef struct _virDomainLockProcess {
    gint64 pid;        /* 0: none */
    guint64 startTime; /* clock ticks since boot */
} virDomainLockProcess;

/** Fills startTime; a process that is gone has 0. */
virDomainLockProcess virDomainLockProcessOf(gint64 pid);
/** TRUE while the process runs; a zombie has ended. */
gboolean virDomainLockProcessAlive(const virDomainLockProcess *process);

/** Of this machine since it was started; NULL where the kernel does not say; g_free. */
char *virDomainLockBootId(void);

/** What is to be done with a guest that has finished (IN-SHUTDOWN); NONE: it is to end, for which
 * there is an end reason. */
typedef enum {
    VIR_DOMAIN_LOCK_AFTER_NONE = 0,
    VIR_DOMAIN_LOCK_AFTER_KEEP,
    VIR_DOMAIN_LOCK_AFTER_RESTART,
} virDomainLockAfter;

/** virDomainLockStatus: what state.json holds. */
typedef struct _virDomainLockStatus {
    virDomainLockInfo *info;
    virDomainLockProcess qemu;
    virDomainLockProcess supervisor;
    char *bootId;        /* processes of another boot are gone */
    char *step;          /* the journal: "start:7" was begun; NULL between sequences */
    JsonObject *journal; /* what else is needed to finish or undo that sequence; NULL */
    gboolean leaseLost;  /* a release after a lost lease was begun: SIGKILL only */
    virDomainLockReason endReason; /* why it is being ended; NONE: it is not */
    virDomainLockReason
        request;          /* what it was asked: SHUTDOWN_REQUESTED, REBOOT_REQUESTED */
    gboolean hibernating; /* S4: the power-off that comes is no shutdown */
    guint askBy; /* how it is still to be asked (ACPI, AGENT); 0: it was */
    virDomainLockAfter after;
    GHashTable *asked;             /* ids of devices that the guest was asked to let go */
    gboolean held; /* somebody paused it, and did not resume it yet */
    char *peer;    /* the other host of its last migration; NULL */
} virDomainLockStatus;

virDomainLockStatus *virDomainLockStatusNew(void);
/** @status gets the supervisor of @from. */
void virDomainLockStatusMoveSupervisor(virDomainLockStatus *status,
                                       const virDomainLockStatus *from);
void virDomainLockStatusFree(virDomainLockStatus *status);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainLockStatus, virDomainLockStatusFree)
/** From "<dir>/state.json"; CONFIG if there is none or it cannot be understood. */
virDomainLockStatus *virDomainLockStatusLoad(const char *dir,
                                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Its supervisor died before it ran. */
gboolean virDomainLockStatusWasStarting(const virDomainLockStatus *status);
/** Of a guest that ended without its supervisor: the reason that somebody gave before, because
 * nobody saw the end itself. */
virDomainLockReason virDomainLockStatusEndReason(const virDomainLockStatus *status);
/** QEMU of this status still runs (in this boot). */
gboolean virDomainLockStatusQemuAlive(const virDomainLockStatus *status);

/** run_dir/guests/<uuid>; free with g_free. */
char *virDomainLockRuntimePath(const char *runDir, const char *uuid);
/** TRUE while a supervisor holds the folder. */
gboolean virDomainLockRuntimeIsHeld(const char *dir);

typedef struct _virDomainLockRuntime virDomainLockRuntime;

/**
 * virDomainLockRuntimeTake:
 * @name: of the guest, for messages
 * @last: (out) (optional): what a dead supervisor left here when its QEMU is dead too; the
 *   rest of it was removed. Free with virDomainLockStatusFree.
 *
 * Makes the folder (0700) and holds it. BUSY while another supervisor holds it (its pid and
 * since when are in the message) or while QEMU of a dead one still runs.
 */
virDomainLockRuntime *virDomainLockRuntimeTake(const char *runDir, const char *uuid,
                                               const char *name,
                                               virDomainLockStatus **last,
                                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Holds a folder whose supervisor is dead though QEMU may live; BUSY if it is not dead,
 * CONFIG if there is no such folder. */
virDomainLockRuntime *virDomainLockRuntimeAdopt(const char *runDir, const char *uuid,
                                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
const char *virDomainLockRuntimeGetPath(virDomainLockRuntime *runtime);
gboolean virDomainLockRuntimeSaveStatus(virDomainLockRuntime *runtime,
                                        virDomainLockStatus *status,
                                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** spec.json, from the text that virDomainLockJsonLine made. */
gboolean virDomainLockRuntimeSaveSpec(virDomainLockRuntime *runtime, const char *text,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** CONFIG if there is none or it cannot be read; free with g_free. */
char *virDomainLockRuntimeLoadSpec(virDomainLockRuntime *runtime,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** Removes the folder; it stays held until Free. */
gboolean virDomainLockRuntimeRemove(virDomainLockRuntime *runtime,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
void virDomainLockRuntimeFree(virDomainLockRuntime *runtime);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomainLockRuntime, virDomainLockRuntimeFree)

#endif
