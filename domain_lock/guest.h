/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest.h: how the sequences reach the guest process.
 *
 * The sequences of domain_lock know nothing of processes or QMP; they call this table.
 * supervisor/ implements it with QEMU, tests with a fake. All calls but park and kill are
 * made by the one worker thread that runs the present job and return by their deadline.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_GUEST_H
#define LEASEHOLD_DOMAIN_LOCK_GUEST_H

#include <json-glib/json-glib.h>
#include <leasehold/lock_manager.h>

typedef struct _virDomainLockGuest virDomainLockGuest;

/** How the guest process ended. */
typedef struct _virDomainLockExit {
    gboolean known; /* FALSE: nobody saw it (the supervisor was replaced); never invented */
    int waitStatus; /* as waitpid gave it; only if known */
    gint64 userUsec;
    gint64 systemUsec;
    gint64 maxRssBytes;
} virDomainLockExit;

/** The name of the event that says that the guest process ended (reap returns at once then). */
#define VIR_DOMAIN_LOCK_GUEST_EXITED "EXITED"

/** Something happened to the guest that nobody waits for: @event is a QMP event ("SHUTDOWN",
 * "RESET", "STOP", "RESUME", "GUEST_PANICKED", ...) with its data, or
 * VIR_DOMAIN_LOCK_GUEST_EXITED with NULL. Called in the main thread. */
typedef void (*virDomainLockGuestFunc)(const char *event, JsonObject *data, gpointer opaque);

/** Which event is waited for: the first @event after @since whose data has the string @value
 * as its member @key. */
typedef struct _virDomainLockEventOf {
    const char *event; /* "JOB_STATUS_CHANGE" */
    const char *key;   /* "id" */
    const char *value;
    guint64 since; /* from eventSerial, before what causes the event */
} virDomainLockEventOf;

/** One QMP command of several. */
typedef struct _virDomainLockGuestCommand {
    const char *name;
    JsonObject *args; /* transfer none, may be NULL */
    JsonNode *answer; /* its "return" node (transfer full) */
} virDomainLockGuestCommand;

typedef struct _virDomainLockGuestOps {
    /** Forks the parked child: own session; it registers with the lock manager and waits for
     * "go" before it executes anything. Prepares @man (PrepareChild) and tells it the pid.
     * Called in the main thread, before any other thread exists. The child dies if this
     * process dies before exec. */
    gboolean (*park)(virDomainLockGuest *guest, virLockManager *man, GError **error);
    /** Waits until it is registered, which comes before anything else with it. In the main
     * thread, too; NULL: park waits. */
    gboolean (*awaitParked)(virDomainLockGuest *guest, GError **error);
    /** Gives an open file to the child (parked: over its socket; running: QMP getfd). */
    gboolean (*passFd)(virDomainLockGuest *guest, int fd, const char *name, GError **error);
    /** What exec will be asked for is begun: the parked child executes it, but is held before
     * the program's first instruction. Returns at once, and says nothing: where that cannot be
     * had, exec does it all. From then on until exec there is no passFd and no run. NULL: it
     * cannot be had. */
    void (*load)(virDomainLockGuest *guest, const char *const *argv);
    /** Something failed between load and exec: if that is because what was loaded has ended by
     * itself, its status and last words replace the error. NULL: they never do. */
    void (*explain)(virDomainLockGuest *guest, GError **error);
    /** Lets the parked child execute @argv; returns when exec succeeded and QEMU answered, or
     * with the errno of exec, or QEMU's own words and status when it exits at once. @first:
     * what it is asked with the first words, or NULL. */
    gboolean (*exec)(virDomainLockGuest *guest, const char *const *argv,
                     virDomainLockGuestCommand *first, const virLockWait *wait,
                     GError **error);
    /** One QMP command (@args: transfer none, may be NULL); returns its "return" node
     * (transfer full). A QMP error is INTERNAL with QEMU's words; no answer by the deadline
     * is INDETERMINATE. */
    JsonNode *(*command)(virDomainLockGuest *guest, const char *name, JsonObject *args,
                         gint64 deadlineUsec, GError **error);
    /** Several commands in one go, which QEMU does one after the other. Each of them is done
     * whatever became of those before it. FALSE with the error of the first that failed, and
     * without answers. */
    gboolean (*commands)(virDomainLockGuest *guest, virDomainLockGuestCommand *commands,
                         gsize n, gint64 deadlineUsec, GError **error);
    /** Waits for a QMP event of this name that came after @since (a serial number from
     * eventSerial); returns its data (transfer full, may be an empty object). */
    JsonNode *(*waitEvent)(virDomainLockGuest *guest, const char *event, guint64 since,
                           gint64 deadlineUsec, GCancellable *cancellable, GError **error);
    guint64 (*eventSerial)(virDomainLockGuest *guest);
    /** The same for an event that has a certain member: that of one job, of one device. */
    JsonNode *(*waitEventOf)(virDomainLockGuest *guest, const virDomainLockEventOf *wanted,
                             gint64 deadlineUsec, GCancellable *cancellable,
                             GError **error);
    /** SIGTERM (graceful) or SIGKILL by pidfd; from any thread; needs neither job nor lock. */
    void (*kill)(virDomainLockGuest *guest, gboolean graceful);
    /** Waits until the process was reaped, with everything left in its process group and
     * cgroup killed. */
    gboolean (*reap)(virDomainLockGuest *guest, gint64 deadlineUsec, virDomainLockExit *result,
                     GError **error);
    /** Every event from now on goes to @func too. Called once, in the main thread. */
    void (*watch)(virDomainLockGuest *guest, virDomainLockGuestFunc func, gpointer opaque);
    /** 0 before park. */
    pid_t (*getPid)(virDomainLockGuest *guest);
    /** Before exec: the parked child runs a program (searched in PATH) to its end, which has
     * the leases too, and dies with it. A program that fails is UNAVAILABLE with its words;
     * one that does not end by the deadline TIMEOUT: only kill is left then. */
    gboolean (*run)(virDomainLockGuest *guest, const char *const *argv, gint64 deadlineUsec,
                    GError **error);
} virDomainLockGuestOps;

/** First member of every implementation. */
struct _virDomainLockGuest {
    const virDomainLockGuestOps *ops;
};

#endif
