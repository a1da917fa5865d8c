/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * save_stream.c: a guest's memory on its way between QEMU and a file: QEMU's migration into
 * and out of a pipe, whose other end is a thread of ours.
 *
 * Not the file itself: a QEMU that writes to storage that hangs cannot be killed, and its
 * leases would hang with it. A thread of ours that hangs there costs a thread. It is also not
 * the worker: QEMU answers nothing while it writes the last part, so whoever talks to QEMU
 * must not be the one that empties the pipe.
 *
 * On the way in the last byte is kept back. QEMU has loaded everything then but does not yet
 * use it, so what is wrong with a file shows before the use records advance.
 */
#include "common/fd.h"
#include "domain_lock/job.h"
#include "save.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define STREAM_POLL_USEC (100 * 1000)
/* No byte moved for this long: storage or QEMU hangs. */
#define STREAM_STALL_USEC (120 * G_USEC_PER_SEC)
/* QEMU's last words on a migration, and a cancel. */
#define STREAM_SETTLE_USEC (30 * G_USEC_PER_SEC)
#define STREAM_PIPE_BYTES (1024 * 1024)
#define STREAM_NO_LIMIT (G_GINT64_CONSTANT(1) << 50)
#define STREAM_FD_NAME "leasehold-save"

/* --- the thread at the other end of the pipe ------------------------------------------- */

/* Held by the worker and by the thread: one that hangs in its storage is left behind. */
typedef struct {
    gatomicrefcount refs;
    GMutex lock;
    GCond changed;
    gboolean started;
    gboolean ended;
    gboolean ok;
    GError *error;
    gint64 moved; /* atomic */

    int pipeFd;
    virSaveWriter *writer; /* out */
    gboolean ownsWriter;   /* it was left behind */
    int fileFd;            /* in */
    virSaveImage stream;   /* in: where it is and what its checksum is, nothing else */
    guint8 last;           /* in */
} virPump;

static virPump *
virPumpNew(int pipeFd)
{
    virPump *pump = g_new0(virPump, 1);

    g_atomic_ref_count_init(&pump->refs);
    g_mutex_init(&pump->lock);
    g_cond_init(&pump->changed);
    pump->pipeFd = pipeFd;
    pump->fileFd = -1;
    return pump;
}

static void
virPumpUnref(virPump *pump)
{
    if (!g_atomic_ref_count_dec(&pump->refs))
        return;
    if (pump->ownsWriter)
        virSaveWriterFree(pump->writer);
    virFdClose(pump->pipeFd);
    virFdClose(pump->fileFd);
    g_clear_error(&pump->error);
    g_mutex_clear(&pump->lock);
    g_cond_clear(&pump->changed);
    g_free(pump);
}

static void
virPumpEnd(virPump *pump, gboolean ok, GError *error)
{
    g_mutex_lock(&pump->lock);
    pump->ok = ok;
    pump->error = error;
    pump->ended = TRUE;
    g_cond_broadcast(&pump->changed);
    g_mutex_unlock(&pump->lock);
    virPumpUnref(pump);
}

static gpointer
virPumpOut(gpointer data)
{
    virPump *pump = data;
    GError *error = NULL;
    gboolean ok = virSaveWriterFill(pump->writer, pump->pipeFd, &pump->moved, &error);

    /* QEMU, which may be in the middle of a write, shall see that nobody reads any more */
    virFdClose(g_steal_fd(&pump->pipeFd));
    virPumpEnd(pump, ok, error);
    return NULL;
}

static gpointer
virPumpIn(gpointer data)
{
    virPump *pump = data;
    GError *error = NULL;
    gboolean ok = virSaveFileDrain(pump->fileFd, &pump->stream, pump->pipeFd, &pump->last,
                                   &pump->moved, &error);

    virPumpEnd(pump, ok, error);
    return NULL;
}

static void
virPumpStart(virPump *pump, GThreadFunc run)
{
    g_atomic_ref_count_inc(&pump->refs);
    pump->started = TRUE;
    g_thread_unref(g_thread_new("save-stream", run, pump));
}

/* Until it has ended, or @untilUsec. TRUE: it has. */
static gboolean
virPumpWait(virPump *pump, gint64 untilUsec)
{
    gboolean ended;

    g_mutex_lock(&pump->lock);
    while (!pump->ended && g_get_monotonic_time() < untilUsec)
        (void)g_cond_wait_until(&pump->changed, &pump->lock, untilUsec);
    ended = pump->ended;
    g_mutex_unlock(&pump->lock);
    return ended;
}

static gint64
virPumpMoved(virPump *pump)
{
    return __atomic_load_n(&pump->moved, __ATOMIC_RELAXED);
}

static gboolean
virStreamPipe(int fds[2], GError **error)
{
    if (pipe2(fds, O_CLOEXEC) < 0) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                    "cannot make a pipe: %s", g_strerror(errno));
        return FALSE;
    }
    /* a smaller one only is slower */
    (void)fcntl(fds[0], F_SETPIPE_SZ, STREAM_PIPE_BYTES);
    return TRUE;
}

/* --- what QEMU is told and asked ------------------------------------------------------- */

static gboolean
virStreamCommand(virDomainLockObj *obj, const char *name, JsonObject *args,
                 GError **error)
{
    g_autoptr(JsonNode) answer = obj->guest->ops->command(
        obj->guest, name, args, g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC, error);

    return answer != NULL;
}

/* Gives @fd to QEMU, for "migrate" or "migrate-incoming". */
static gboolean
virStreamGive(virDomainLockObj *obj, int fd, const char *command, GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();
    g_autoptr(JsonObject) name = json_object_new();

    if (!obj->guest->ops->passFd(obj->guest, fd, STREAM_FD_NAME, error))
        return FALSE;
    json_object_set_string_member(args, "uri", "fd:" STREAM_FD_NAME);
    if (virStreamCommand(obj, command, args, error))
        return TRUE;
    /* QEMU may have taken it before it refused */
    json_object_set_string_member(name, "fdname", STREAM_FD_NAME);
    (void)virStreamCommand(obj, "closefd", name, NULL);
    return FALSE;
}

/* An earlier migration of this QEMU may have left other ones. */
static gboolean
virStreamCapabilities(virDomainLockObj *obj, GError **error)
{
    static const char *const off[] = {"multifd",      "auto-converge",
                                      "postcopy-ram", "pause-before-switchover",
                                      "return-path",  "xbzrle"};
    g_autoptr(JsonObject) args = json_object_new();
    JsonArray *list = json_array_new();

    for (gsize i = 0; i < G_N_ELEMENTS(off); i++) {
        JsonObject *one = json_object_new();

        json_object_set_string_member(one, "capability", off[i]);
        json_object_set_boolean_member(one, "state", FALSE);
        json_array_add_object_element(list, one);
    }
    json_object_set_array_member(args, "capabilities", list);
    return virStreamCommand(obj, "migrate-set-capabilities", args, error);
}

static gboolean
virStreamParameters(virDomainLockObj *obj, GError **error)
{
    g_autoptr(JsonObject) args = json_object_new();

    json_object_set_int_member(args, "max-bandwidth", STREAM_NO_LIMIT);
    json_object_set_string_member(args, "tls-creds", "");
    return virStreamCommand(obj, "migrate-set-parameters", args, error);
}

/* QEMU's word for how the migration is ("active", "completed", ...; "none"); *@whole, if
 * wanted, has the rest. NULL: it did not answer. */
static char *
virStreamStatus(virDomainLockObj *obj, JsonNode **whole, gint64 deadlineUsec,
                GError **error)
{
    g_autoptr(JsonNode) answer =
        obj->guest->ops->command(obj->guest, "query-migrate", NULL, deadlineUsec, error);
    const char *status = NULL;

    if (!answer)
        return NULL;
    status = JSON_NODE_HOLDS_OBJECT(answer)
                 ? virDomainLockJsonString(json_node_get_object(answer), "status")
                 : NULL;
    if (whole)
        *whole = json_node_ref(answer);
    return g_strdup(status ? status : "none");
}

static gboolean
virStreamIsOver(const char *status)
{
    static const char *const over[] = {"none", "completed", "failed", "cancelled"};

    for (gsize i = 0; i < G_N_ELEMENTS(over); i++) {
        if (g_str_equal(status, over[i]))
            return TRUE;
    }
    return FALSE;
}

/* Waits until the migration is over, one way or another; NULL by the deadline. */
static char *
virStreamSettle(virDomainLockObj *obj, JsonNode **whole, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + STREAM_SETTLE_USEC;

    for (;;) {
        g_autofree char *status = NULL;

        g_clear_pointer(whole, json_node_unref);
        status = virStreamStatus(obj, whole, deadline, error);
        if (!status || virStreamIsOver(status))
            return g_steal_pointer(&status);
        if (g_get_monotonic_time() >= deadline) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                        "QEMU does not finish: its migration is '%s'", status);
            return NULL;
        }
        g_usleep(STREAM_POLL_USEC / 10);
    }
}

/* --- out ------------------------------------------------------------------------------- */

static gint64
virStreamTotal(virDomainLockObj *obj)
{
    g_autoptr(JsonNode) answer =
        obj->guest->ops->command(obj->guest, "query-memory-size-summary", NULL,
                                 g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC, NULL);

    return answer && JSON_NODE_HOLDS_OBJECT(answer)
               ? virDomainLockJsonInt(json_node_get_object(answer), "base-memory", 0)
               : 0;
}

/* TRUE: the pump has ended; FALSE: it has to be given up, and why. Nothing is asked of QEMU
 * meanwhile, which answers nothing while it writes its last part. */
static gboolean
virStreamWatch(virDomainLockObj *obj, virPump *pump, gint64 total, GError **error)
{
    GCancellable *cancellable = virDomainLockJobCancellable(obj);
    gint64 seen = -1;
    gint64 stalled = 0;

    while (!virPumpWait(pump, g_get_monotonic_time() + STREAM_POLL_USEC)) {
        gint64 moved = virPumpMoved(pump);
        gint64 now = g_get_monotonic_time();

        if (moved != seen)
            stalled = now + STREAM_STALL_USEC;
        seen = moved;
        /* most guests have memory that they never touched: it takes no room */
        virDomainLockJobProgress(obj, MIN(moved, total), total);
        if (cancellable && g_cancellable_is_cancelled(cancellable)) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED,
                        "it was cancelled");
            return FALSE;
        }
        if (now >= stalled) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                        "nothing was written for %d s: the storage of the file does not "
                        "answer",
                        (int)(STREAM_STALL_USEC / G_USEC_PER_SEC));
            return FALSE;
        }
    }
    return TRUE;
}

/* The pump has ended: did both ends do their part? */
static gboolean
virStreamJudge(virDomainLockObj *obj, virPump *pump, GError **error)
{
    g_autoptr(JsonNode) whole = NULL;
    g_autofree char *status = virStreamSettle(obj, &whole, error);
    const char *words = NULL;

    if (pump->error) {
        g_clear_error(error); /* of two reasons, that of the file says more */
        g_propagate_error(error, g_steal_pointer(&pump->error));
        return FALSE;
    }
    if (!status)
        return FALSE;
    if (g_str_equal(status, "completed"))
        return TRUE;
    words = virDomainLockJsonString(json_node_get_object(whole), "error-desc");
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                "QEMU could not write its memory (%s)%s%s", status, words ? ": " : "",
                words ? words : "");
    return FALSE;
}

/* A migration that still runs is cancelled, and seen over: only then QEMU may go on. */
static void
virStreamCancel(virDomainLockObj *obj, virPump *pump, GError **error)
{
    g_autoptr(JsonNode) whole = NULL;
    g_autoptr(GError) why = NULL;
    g_autofree char *status = NULL;

    if (virStreamCommand(obj, "migrate_cancel", NULL, &why))
        status = virStreamSettle(obj, &whole, &why);
    /* QEMU has closed its end; ours follows unless the storage hangs */
    if (!virPumpWait(pump, g_get_monotonic_time() + STREAM_SETTLE_USEC))
        g_prefix_error(error, "a thread is left that still writes: ");
    if (status)
        return;
    g_prefix_error(error, "QEMU still sends its memory (%s) after: ", why->message);
}

gboolean
virSaveStreamAbandon(virDomainLockObj *obj, gboolean *completed, GError **error)
{
    g_autoptr(JsonNode) whole = NULL;
    g_autofree char *status = NULL;

    if (!virStreamCommand(obj, "migrate_cancel", NULL, error))
        return FALSE;
    status = virStreamSettle(obj, &whole, error);
    *completed = g_strcmp0(status, "completed") == 0;
    return status != NULL;
}

static gboolean
virStreamOutThrough(virDomainLockObj *obj, virPump *pump, virFd *theirs, GError **error)
{
    gint64 total = virStreamTotal(obj);

    if (!virStreamCapabilities(obj, error) || !virStreamParameters(obj, error) ||
        !virStreamGive(obj, *theirs, "migrate", error))
        return FALSE;
    /* QEMU's copy is the only one: its end is the end of the stream */
    virFdClose(g_steal_fd(theirs));
    virPumpStart(pump, virPumpOut);
    if (virStreamWatch(obj, pump, total, error))
        return virStreamJudge(obj, pump, error);
    virStreamCancel(obj, pump, error);
    return FALSE;
}

gboolean
virSaveStreamOut(virDomainLockObj *obj, virSaveWriter **writer, GError **error)
{
    int fds[2] = {-1, -1};
    g_auto(virFd) theirs = -1;
    virPump *pump = NULL;
    gboolean ok;

    if (!virStreamPipe(fds, error))
        return FALSE;
    pump = virPumpNew(fds[0]);
    pump->writer = *writer;
    theirs = fds[1];
    ok = virStreamOutThrough(obj, pump, &theirs, error);
    g_mutex_lock(&pump->lock);
    if (pump->started && !pump->ended) {
        pump->ownsWriter = TRUE;
        *writer = NULL;
    }
    g_mutex_unlock(&pump->lock);
    virPumpUnref(pump);
    return ok;
}

/* --- in -------------------------------------------------------------------------------- */

struct _virSaveLoad {
    virPump *pump;
    int theirs; /* QEMU's end, until it has it */
};

virSaveLoad *
virSaveLoadNew(int fd, const virSaveImage *image, GError **error)
{
    virSaveLoad *load = NULL;
    int fds[2] = {-1, -1};

    if (!virStreamPipe(fds, error)) {
        virFdClose(fd);
        return NULL;
    }
    load = g_new0(virSaveLoad, 1);
    load->pump = virPumpNew(fds[1]);
    load->pump->fileFd = fd;
    load->pump->stream.streamOffset = image->streamOffset;
    load->pump->stream.streamLength = image->streamLength;
    load->pump->stream.streamCrc = image->streamCrc;
    load->theirs = fds[0];
    return load;
}

void
virSaveLoadFree(virSaveLoad *load)
{
    if (!load)
        return;
    virPumpUnref(load->pump);
    virFdClose(load->theirs);
    g_free(load);
}

/* The last words of QEMU in its log, where it says what it does not like. */
static void
virStreamAddWords(virDomainLockObj *obj, GError **error)
{
    g_autofree char *log = NULL;
    g_auto(GStrv) lines = NULL;
    guint n = 0;

    if (!g_file_get_contents(obj->status->info->logPath, &log, NULL, NULL))
        return;
    lines = g_strsplit(g_strchomp(log), "\n", -1);
    n = g_strv_length(lines);
    for (guint i = n > 3 ? n - 3 : 0; i < n; i++) {
        if (strstr(lines[i], "load of migration failed") || strstr(lines[i], "error"))
            g_prefix_error(error, "QEMU cannot load it: %s: ", lines[i]);
    }
}

static gboolean
virLoadCheckBounds(const virLockWait *wait, GError **error)
{
    if (wait->cancellable && g_cancellable_is_cancelled(wait->cancellable)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED, "it was cancelled");
        return FALSE;
    }
    if (g_get_monotonic_time() >= wait->deadlineUsec) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                    "the deadline passed before all of the memory was read");
        return FALSE;
    }
    return TRUE;
}

/* Everything that is in the pipe was read by QEMU. */
static gboolean
virLoadAwaitEmpty(virSaveLoad *load, virDomainLockObj *obj, const virLockWait *wait,
                  GError **error)
{
    g_autofree char *status = NULL;
    int left = 0;

    while (ioctl(load->pump->pipeFd, FIONREAD, &left) == 0 && left > 0) {
        struct pollfd gone = {.fd = load->pump->pipeFd};

        if (!virLoadCheckBounds(wait, error))
            return FALSE;
        if (poll(&gone, 1, 10) > 0 && gone.revents & (POLLERR | POLLHUP))
            break;
    }
    /* answered only when QEMU has loaded what it read, and waits for more */
    status = virStreamStatus(obj, NULL, wait->deadlineUsec, error);
    if (!status)
        return FALSE;
    if (g_str_equal(status, "active"))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                "QEMU's migration is '%s'", status);
    return FALSE;
}

gboolean
virSaveLoadMost(virSaveLoad *load, virDomainLockObj *obj, const virLockWait *wait,
                GError **error)
{
    virPump *pump = load->pump;

    if (!virStreamCapabilities(obj, error) ||
        !virStreamGive(obj, load->theirs, "migrate-incoming", error))
        return FALSE;
    virFdClose(g_steal_fd(&load->theirs));
    virPumpStart(pump, virPumpIn);
    while (!virPumpWait(pump, g_get_monotonic_time() + STREAM_POLL_USEC)) {
        virLockProgress progress = {.structSize = sizeof(progress),
                                    .what = "reading the memory of the guest",
                                    .etaSec = -1};

        if (!virLoadCheckBounds(wait, error))
            return FALSE;
        progress.fraction =
            (double)virPumpMoved(pump) / (double)pump->stream.streamLength;
        if (wait->progress)
            wait->progress(&progress, wait->progressData);
    }
    if (!pump->ok) {
        g_propagate_error(error, g_steal_pointer(&pump->error));
        if (g_error_matches(*error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE))
            virStreamAddWords(obj, error);
        return FALSE;
    }
    if (virLoadAwaitEmpty(load, obj, wait, error))
        return TRUE;
    virStreamAddWords(obj, error);
    return FALSE;
}

gboolean
virSaveLoadRest(virSaveLoad *load, virDomainLockObj *obj, const virLockWait *wait,
                GError **error)
{
    g_autoptr(JsonNode) whole = NULL;
    g_autofree char *status = NULL;
    int err = virFdWriteFull(load->pump->pipeFd, &load->pump->last, 1);

    virFdClose(g_steal_fd(&load->pump->pipeFd));
    status = virStreamSettle(obj, &whole, error);
    if (status && err == 0 && g_str_equal(status, "completed"))
        return TRUE;
    if (status)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                    "QEMU's migration is '%s'", status);
    virStreamAddWords(obj, error);
    return FALSE;
}
