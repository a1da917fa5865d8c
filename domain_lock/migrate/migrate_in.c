/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate_in.c: the destination of a migration (I2, I5, I6, I7).
 *
 * Theory of operation. Until the source gives its word, this side holds bridges only, and a
 * QEMU that has neither run nor activated an image; giving up is to kill it. With the word and
 * the complete stream the epoch of the run record advances, one sector, and from then on only
 * this side may run the guest: a source that wants it back finds the epoch moved. The leases
 * themselves are taken afterwards, outside the downtime (virDomainLockSettle).
 *
 * A source that falls silent without having given its word may have lost its power: what was
 * reserved for it must not stand for ever, so silence ends it.
 */
#include "common/fd.h"
#include "domain_lock/audit.h"
#include "domain_lock/reattach.h"
#include "domain_lock/sequence.h"
#include "domain_lock/spec.h"
#include "domain_lock/start_steps.h"
#include "migrate.h"
#include "migrate_tls.h"
#include <string.h>
#include <unistd.h>

/* The source says something each second. */
#define IN_SILENCE_USEC (15 * G_USEC_PER_SEC)
/* The word comes when the source's QEMU has sent everything: what is left is to read it. */
#define IN_LOAD_USEC (30 * G_USEC_PER_SEC)
#define IN_POLL_USEC (G_USEC_PER_SEC / 2)
/* How soon the port is closed when the stream has begun. */
#define IN_BEGUN_USEC (G_USEC_PER_SEC / 10)
#define IN_TAKE_USEC (20 * G_USEC_PER_SEC)
/* Nobody else may run it any more: its memory is worth waiting for storage that stalls. */
#define IN_CONT_USEC (120 * G_USEC_PER_SEC)
#define IN_CONT_ATTEMPTS 20
#define IN_CONT_NAP_USEC 100000

/* --- the request -------------------------------------------------------------------- */

virMigrateIn *
virMigrateInFromRequest(JsonObject *request, GError **error)
{
    gint64 version = virDomainLockJsonInt(request, "version", 0);
    const char *host = virDomainLockJsonString(request, "host");
    virMigrateIn *in;

    if (version != VIR_MIGRATE_PROTOCOL_VERSION || !host) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "the source of the migration speaks version %" G_GINT64_FORMAT
                    " of the protocol, this host knows %d",
                    version, VIR_MIGRATE_PROTOCOL_VERSION);
        return NULL;
    }
    in = g_new0(virMigrateIn, 1);
    in->host = g_strdup(host);
    in->bootId = g_strdup(virDomainLockJsonString(request, "boot_id"));
    in->params.flags = (guint)virDomainLockJsonInt(request, "flags", 0);
    in->params.connections =
        (guint)CLAMP(virDomainLockJsonInt(request, "connections", 0), 0, 255);
    return in;
}

void
virMigrateInFree(virMigrateIn *in)
{
    if (!in)
        return;
    virMigrateChannelFree(in->channel);
    virUndoFree(in->undo);
    virMigrateStorageUnwatch(in->storage);
    g_free(in->cookie);
    g_free(in->refused);
    g_free(in->host);
    g_free(in->bootId);
    g_free(in);
}

/* --- incoming:4 to 8 ---------------------------------------------------------------- */

typedef struct {
    virStart start;
    virMigrateIn *in;
} virIncoming;

/* A guest that does not fit drives this host into the ground while it arrives. */
static gboolean
virIncomingCheckMemory(virIncoming *incoming, GError **error)
{
    guint64 wanted = virDomainDefGetMemoryBytes(incoming->start.obj->def);
    g_autofree char *text = NULL;
    const char *line;
    guint64 available;

    if (!g_file_get_contents("/proc/meminfo", &text, NULL, NULL) ||
        !(line = strstr(text, "MemAvailable:")))
        return TRUE;
    available = g_ascii_strtoull(line + strlen("MemAvailable:"), NULL, 10) * 1024;
    if (wanted <= available)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "it needs %" G_GUINT64_FORMAT " MiB of memory, and this host has %"
                G_GUINT64_FORMAT " MiB left",
                wanted / 1024 / 1024, available / 1024 / 1024);
    return FALSE;
}

static gboolean
virIncomingReserve(virIncoming *incoming, GError **error)
{
    return virIncomingCheckMemory(incoming, error) &&
           virStartTakeLeases(&incoming->start, error);
}

static gboolean
virIncomingReadChainsAgain(virIncoming *incoming, GError **error)
{
    return virStartReadChainsAgain(&incoming->start, error);
}

static gboolean
virIncomingExec(virIncoming *incoming, GError **error)
{
    return virStartExec(&incoming->start, error);
}

static gboolean
virIncomingAudit(virIncoming *incoming, GError **error)
{
    return virStartAudit(&incoming->start, error);
}

/* Where the source can reach us: as the operator says, as it reached us by ssh, or on this
 * very machine. "client-address client-port server-address server-port" */
static char *
virIncomingAddress(virIncoming *incoming, GError **error)
{
    const char *configured =
        virLockConfigGet(incoming->start.obj->config, "migrate", "address");
    const char *ssh = g_getenv("SSH_CONNECTION");
    g_autofree char *bootId = virDomainLockBootId();
    g_auto(GStrv) words = NULL;

    if (configured)
        return g_strdup(configured);
    words = ssh ? g_strsplit(ssh, " ", 4) : NULL;
    if (words && g_strv_length(words) == 4)
        return g_strdup(words[2]);
    if (bootId && g_strcmp0(bootId, incoming->in->bootId) == 0)
        return g_strdup("127.0.0.1");
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "this host does not know on which address the source reaches it: set "
                "address in [migrate] of its configuration");
    return NULL;
}

/* Storage that hangs already is no place to bring a guest to. */
static gboolean
virIncomingWatchStorage(virIncoming *incoming, GError **error)
{
    virMigrateIn *in = incoming->in;

    in->storage =
        virMigrateStorageWatch(virDomainDefGetResources(incoming->start.obj->def), error);
    return in->storage && virMigrateStorageAwait(in->storage,
                                                 incoming->start.wait->cancellable, error);
}

static gboolean
virIncomingListen(virIncoming *incoming, GError **error)
{
    virDomainLockObj *obj = incoming->start.obj;
    virMigrateIn *in = incoming->in;
    g_autofree char *address = virIncomingAddress(incoming, error);
    g_autofree char *key = address ? virMigrateStreamNewKey(error) : NULL;
    g_autofree char *uri = NULL;
    g_autoptr(JsonObject) reserved = NULL;
    int rc;

    if (!key || !virIncomingWatchStorage(incoming, error) ||
        !virMigrateStreamSetUp(obj, &in->params, key, TRUE, error))
        return FALSE;
    in->listenSerial = obj->guest->ops->eventSerial(obj->guest);
    uri = virMigrateStreamListen(obj, address, error);
    if (!uri)
        return FALSE;
    in->port = virMigrateStreamPort(uri);
    rc = virMigratePortGuard(obj, in->port, virMigrateParamsIsParallel(&in->params));
    if (rc != 0)
        g_message("a stranger who connects to port %u and says nothing can hold the guest up: %s",
                  in->port, g_strerror(rc));
    reserved = virMigrateMessageNew("reserved");
    json_object_set_string_member(reserved, "host", obj->status->info->hostName);
    json_object_set_string_member(reserved, "uri", uri);
    json_object_set_string_member(reserved, "key", key);
    return virMigrateChannelSend(in->channel, reserved, error);
}

/* --- incoming:9 --------------------------------------------------------------------- */

static gboolean
virIncomingTakeWord(virMigrateIn *in, JsonObject *message, GError **error)
{
    const char *cookie = virDomainLockJsonString(message, "cookie");
    JsonNode *run = json_object_get_member(message, "run");

    if (!cookie || !run || !JSON_NODE_HOLDS_VALUE(run) ||
        json_node_get_value_type(run) != G_TYPE_BOOLEAN) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "the word of host '%s' is incomplete", in->host);
        return FALSE;
    }
    in->cookie = g_strdup(cookie);
    in->run = json_node_get_boolean(run);
    return TRUE;
}

/* Who connects from now on is not the source, and nobody needs the key any more. */
static void
virIncomingShut(virIncoming *incoming)
{
    virDomainLockObj *obj = incoming->start.obj;
    virMigrateIn *in = incoming->in;
    int rc;

    if (in->port == 0 || !virMigrateStreamHasBeen(obj, "active", in->listenSerial))
        return;
    virMigrateTlsForget(obj);
    rc = virMigratePortClose(obj, in->port);
    if (rc != 0)
        g_message("port %u stays open until the guest's memory has arrived: %s", in->port,
                  g_strerror(rc));
    in->port = 0;
}

/* The source's next message. Meanwhile the stream begins. */
static JsonObject *
virIncomingHear(virIncoming *incoming, GError **error)
{
    virMigrateIn *in = incoming->in;
    gint64 deadline = g_get_monotonic_time() + IN_SILENCE_USEC;

    for (;;) {
        gint64 now = g_get_monotonic_time();
        gint64 until = in->port != 0 ? MIN(now + IN_BEGUN_USEC, deadline) : deadline;
        GError *why = NULL;
        JsonObject *message = virMigrateChannelReceive(
            in->channel, until, incoming->start.wait->cancellable, &why);

        if (message)
            return message;
        if (until == deadline ||
            !g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT)) {
            g_propagate_error(error, why);
            return NULL;
        }
        g_error_free(why);
        virIncomingShut(incoming);
    }
}

static gboolean
virIncomingAwaitWord(virIncoming *incoming, GError **error)
{
    virMigrateIn *in = incoming->in;

    for (;;) {
        g_autoptr(JsonObject) message = virIncomingHear(incoming, error);
        const char *type = message ? virMigrateMessageType(message) : "";

        if (!message) {
            g_prefix_error(error, "without the word of host '%s': ", in->host);
            return FALSE;
        }
        if (g_str_equal(type, "cancel")) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED,
                        "host '%s' keeps the guest", in->host);
            return FALSE;
        }
        if (g_str_equal(type, "word")) {
            virMigrateStorageAsk(in->storage);
            return virIncomingTakeWord(in, message, error);
        }
        if (!virMigrateStorageCheck(in->storage, error))
            return FALSE;
    }
}

static gboolean
virIncomingAwaitMemory(virIncoming *incoming, GError **error)
{
    virDomainLockObj *obj = incoming->start.obj;
    gint64 deadline = g_get_monotonic_time() + IN_LOAD_USEC;
    g_auto(virMigrateProgress) progress = {0};

    for (;;) {
        guint64 serial = obj->guest->ops->eventSerial(obj->guest);

        /* in the downtime: what QEMU has said already it need not be asked */
        if (virMigrateStreamHasBeen(obj, "completed", incoming->in->listenSerial))
            return TRUE;
        if (!virMigrateStreamQuery(obj, &progress, error))
            return FALSE;
        if (g_str_equal(progress.status, "completed") ||
            g_str_equal(progress.status, "postcopy-active"))
            return TRUE;
        if (g_str_equal(progress.status, "failed") ||
            g_get_monotonic_time() >= deadline) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                        "its memory did not arrive whole (%s)", progress.status);
            return FALSE;
        }
        virMigrateStreamAwait(obj, serial, g_get_monotonic_time() + IN_POLL_USEC,
                              incoming->start.wait->cancellable);
    }
}

/* The stream carries what the guest was doing: one that finished, slept or hit an I/O error on
 * its way is not to be run here as if it had not. */
static gboolean
virIncomingCheckPaused(virIncoming *incoming, GError **error)
{
    virDomainLockObj *obj = incoming->start.obj;
    g_autofree char *status = virMigrateStreamGetRunState(obj, error);

    if (!status)
        return FALSE;
    if (g_str_equal(status, "paused") || g_str_equal(status, "prelaunch"))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "it came in state '%s' and not running", status);
    return FALSE;
}

static gboolean
virIncomingCheckAlive(virIncoming *incoming, const char *when, GError **error)
{
    virDomainLockObj *obj = incoming->start.obj;
    virDomainLockProcess qemu;

    g_mutex_lock(&obj->lock);
    qemu = obj->status->qemu;
    g_mutex_unlock(&obj->lock);
    if (virDomainLockProcessAlive(&qemu))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "QEMU ended %s; its words are in '%s'", when, obj->status->info->logPath);
    return FALSE;
}

/* QEMU that ends is heard in the main thread, which cancels: its end is the reason then. */
static void
virIncomingExplainEnd(virIncoming *incoming, GError **error)
{
    g_autoptr(GError) ended = NULL;

    if (virIncomingCheckAlive(incoming, "while the guest's memory came", &ended))
        return;
    g_clear_error(error);
    g_propagate_error(error, g_steal_pointer(&ended));
}

/* Whether it is to run is known to the next supervisor, too. */
static void
virIncomingJournal(virIncoming *incoming)
{
    JsonObject *details = json_object_new();

    json_object_set_int_member(details, "run", incoming->in->run);
    virDomainLockObjSetJournal(incoming->start.obj, details);
}

static gboolean
virIncomingStream(virIncoming *incoming, GError **error)
{
    if (virIncomingAwaitWord(incoming, error) &&
        virIncomingAwaitMemory(incoming, error) &&
        virIncomingCheckPaused(incoming, error)) {
        virIncomingJournal(incoming);
        return TRUE;
    }
    virIncomingExplainEnd(incoming, error);
    return FALSE;
}

/* --- incoming:10 and 11 ------------------------------------------------------------- */

static gboolean
virIncomingTakeOver(virIncoming *incoming, GError **error)
{
    virLockWait wait = {.structSize = sizeof(wait),
                        .deadlineUsec = g_get_monotonic_time() + IN_TAKE_USEC,
                        .cancellable = incoming->start.wait->cancellable};

    /* the last moment at which a QEMU that died, or storage that hangs, costs nobody the guest's
     * memory */
    return virMigrateStorageAwait(incoming->in->storage, wait.cancellable, error) &&
           virIncomingCheckAlive(incoming, "before the guest ran there", error) &&
           virLockManagerCompleteMigrateIn(incoming->start.obj->man, incoming->in->cookie,
                                           0, &wait, error);
}

/* From here on nobody else may run it: cont is worth more than one attempt (activating an image
 * can fail while the source's QEMU still has it open). A guest that has no working storage is
 * paused, as one whose storage fails a moment later. */
static gboolean
virIncomingCont(virIncoming *incoming, GError **error)
{
    virDomainLockObj *obj = incoming->start.obj;
    g_autoptr(JsonObject) running = virMigrateMessageNew("running");
    gint64 deadline = g_get_monotonic_time() + IN_CONT_USEC;
    g_autoptr(GError) gone = NULL;

    for (guint i = 1; incoming->in->run; i++) {
        g_autoptr(GError) why = NULL;
        g_autoptr(JsonNode) answer =
            obj->guest->ops->command(obj->guest, "cont", NULL, deadline, &why);

        if (answer)
            break;
        if (!g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL)) {
            g_propagate_prefixed_error(
                error, g_steal_pointer(&why),
                "it was handed over, but QEMU does not let it run; start it anew from "
                "its disks: ");
            return FALSE;
        }
        if (i == IN_CONT_ATTEMPTS) {
            incoming->in->refused = g_strdup(why->message);
            break;
        }
        g_usleep(IN_CONT_NAP_USEC);
    }
    /* a source that does not hear it finds out by the epoch */
    if (!virMigrateChannelSend(incoming->in->channel, running, &gone))
        g_message("%s", gone->message);
    return TRUE;
}

static void
virIncomingArrived(virDomainLockObj *obj, gboolean run)
{
    g_autofree char *host = virDomainLockObjGetPeer(obj);
    g_autofree char *from = g_strdup_printf("from host '%s'", host);

    obj->status->info->startedUsec = g_get_real_time();
    virDomainLockObjUpdateLeases(obj);
    virDomainLockObjSetHeld(obj, !run);
    virDomainLockObjSetState(
        obj, run ? VIR_DOMAIN_LOCK_STATE_RUNNING : VIR_DOMAIN_LOCK_STATE_PAUSED,
        run ? VIR_DOMAIN_LOCK_REASON_NONE : VIR_DOMAIN_LOCK_REASON_USER, NULL);
    virMigrateStreamTearDown(obj);
    virDomainLockObjEmit(obj, "STARTED", "migrated", from);
}

/* --- the sequence ------------------------------------------------------------------- */

typedef struct {
    guint number;
    const char *what;
    gboolean (*run)(virIncoming *incoming, GError **error);
    void (*enter)(virDomainLockObj *obj, const char *sequence, guint number);
} virIncomingStep;

static const virIncomingStep reserveSteps[] = {
    {4, "reserving the leases", virIncomingReserve, virDomainLockObjSetStep},
    {5, "reading the images again", virIncomingReadChainsAgain, virDomainLockObjSetStep},
    {6, "executing QEMU", virIncomingExec, virDomainLockObjSetStep},
    {7, "checking what QEMU has open", virIncomingAudit, virDomainLockObjSetStep},
    {8, "listening for the guest's memory", virIncomingListen, virDomainLockObjSetStep},
};

/* Whether the guest was taken over the epoch tells, not the step: 11 is recovered as 10 is, and
 * not worth a write in the downtime. */
static const virIncomingStep receiveSteps[] = {
    {9, "the guest's memory arrived", virIncomingStream, virDomainLockObjSetStep},
    {10, "taking the guest over", virIncomingTakeOver, virDomainLockObjSetStep},
    {11, "letting the guest run", virIncomingCont, virDomainLockObjPassStep},
};

static gboolean
virIncomingRun(virIncoming *incoming, const virIncomingStep *steps, gsize n,
               GError **error)
{
    virDomainLockObj *obj = incoming->start.obj;
    GError *why = NULL;

    for (gsize i = 0; i < n; i++) {
        steps[i].enter(obj, "incoming", steps[i].number);
        if (virStartCheckBounds(incoming->start.wait, steps[i].what, &why) &&
            steps[i].run(incoming, &why))
            continue;
        virStartFail(obj, incoming->in->undo, &why);
        virMigrateChannelSendError(incoming->in->channel, why);
        g_propagate_error(error, why);
        return FALSE;
    }
    return TRUE;
}

gboolean
virDomainLockIncomingReserve(virDomainLockObj *obj, virMigrateIn *in,
                             const virLockWait *wait, GError **error)
{
    virIncoming incoming = {.in = in};

    virDomainLockObjSetPeer(obj, in->host);
    in->undo = virStartPreparedUndo(obj);
    incoming.start = (virStart){obj, wait, in->undo};
    return virIncomingRun(&incoming, reserveSteps, G_N_ELEMENTS(reserveSteps), error);
}

gboolean
virDomainLockIncomingReceive(virDomainLockObj *obj, virMigrateIn *in,
                             GCancellable *cancellable, GError **error)
{
    virLockWait wait = {.structSize = sizeof(wait),
                        .deadlineUsec = G_MAXINT64,
                        .cancellable = cancellable};
    virIncoming incoming = {.in = in, .start = {obj, &wait, in->undo}};

    if (!virIncomingRun(&incoming, receiveSteps, G_N_ELEMENTS(receiveSteps), error))
        return FALSE;
    virUndoForget(in->undo);
    g_clear_pointer(&in->storage, virMigrateStorageUnwatch);
    virIncomingArrived(obj, in->run);
    if (in->refused) {
        virDomainLockObjSetState(obj, VIR_DOMAIN_LOCK_STATE_PAUSED,
                                 VIR_DOMAIN_LOCK_REASON_IO_ERROR, in->refused);
        virDomainLockObjEmit(obj, "IO_ERROR", "stop", NULL);
    }
    virDomainLockObjSetStep(obj, NULL, 0);
    virDomainLockObjSetJob(obj, NULL);
    return TRUE;
}

/* --- a new supervisor --------------------------------------------------------------- */

/* The source's word, if it was given, died with who had heard it. */
static gboolean
virIncomingEnd(virReattach *re, guint step, GError **error)
{
    virDomainLockObj *obj = re->obj;
    g_autofree char *host = virDomainLockObjGetPeer(obj);

    virDomainLockObjSetEndReason(obj, VIR_DOMAIN_LOCK_REASON_FAILED);
    obj->guest->ops->kill(obj->guest, FALSE);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "its supervisor died while it came from host '%s' (step %u), before it could "
                "run here: QEMU was killed, and the guest stays there",
                host, step);
    return FALSE;
}

gboolean
virMigrateInRecover(virReattach *re, guint step, JsonObject *details, GError **error)
{
    gboolean run = virDomainLockJsonInt(details, "run", 0) != 0;

    /* the epoch was advanced behind our bridge, so it was us, and nobody else may run it */
    if (step < VIR_MIGRATE_STEP_TAKE || !details || !virMigrateEpochMoved(re))
        return virIncomingEnd(re, step, error);
    if (run && !virDomainLockCommandSimple(re->obj, "cont", error))
        return FALSE;
    virIncomingArrived(re->obj, run);
    virReattachNote(re, "its arrival was interrupted (step %u) and was finished", step);
    return TRUE;
}
