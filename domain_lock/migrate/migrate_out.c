/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migrate_out.c: the source of a migration (I5, I6, I7).
 *
 * Theory of operation. All leases stay held until QEMU is reaped, after the guest was heard to
 * run elsewhere, so a third host never finds one free. Until QEMU says "completed" it may
 * restart the guest by itself at any time (a stream that breaks late does that), so the word
 * that the guest will not run here any more is given at "completed" and not before. Once it is
 * given, this side may run the guest again only by virDomainLockMigrateTakeBack.
 *
 * With postcopy the device state goes, and the destination opens the images, before the rest of
 * the memory is there. So this side is bound as by its word before QEMU is told to do that. The
 * guest was stopped by us: QEMU restarts none that it did not stop itself.
 */
#include "domain_lock/describe.h"
#include "domain_lock/job.h"
#include "domain_lock/sequence.h"
#include "domain_lock/spec.h"
#include "migrate_priv.h"
#include <string.h>

/* The destination reads the images, takes its bridges and starts QEMU. */
#define OUT_RESERVE_USEC (90 * G_USEC_PER_SEC)
/* Of nothing but a message, one sector and QEMU's cont. */
#define OUT_HEAR_USEC (10 * G_USEC_PER_SEC)
/* As long as the destination gives its QEMU, and a little more. */
#define OUT_HEAR_LATE_USEC (150 * G_USEC_PER_SEC)
/* Of what is left when the guest stands still. */
#define OUT_COMPLETE_USEC (30 * G_USEC_PER_SEC)
#define OUT_POLL_USEC (G_USEC_PER_SEC / 2)
/* Connecting, and TLS's handshake. */
#define OUT_CONNECT_USEC (30 * G_USEC_PER_SEC)
/* The same where QEMU, and so the guest, may stand still meanwhile. */
#define OUT_CONNECT_HELD_USEC (5 * G_USEC_PER_SEC)
/* Whoever is the cause of a stream that broke says so at once. */
#define OUT_WHY_USEC (2 * G_USEC_PER_SEC)

virMigrateOut *
virMigrateOutNew(virDomainLockObj *obj, virMigrateChannel *channel, const char *host)
{
    virMigrateOut *out = g_new0(virMigrateOut, 1);

    out->obj = obj;
    out->channel = channel;
    out->host = g_strdup(host);
    out->connection = -1;
    return out;
}

void
virMigrateOutFree(virMigrateOut *out)
{
    if (!out)
        return;
    if (out->channel && !out->asked)
        (void)virMigrateOutSayCancel(out);
    virMigrateOutConnected(out);
    virMigrateChannelFree(out->channel);
    g_free(out->host);
    g_free(out);
}

/* --- migrate:2 ---------------------------------------------------------------------- */

/* What this host alone decides is not the destination's business. NULL: no description. */
static JsonObject *
virOutGuest(virMigrateOut *out, GError **error)
{
    virDomainLockObj *obj = out->obj;
    g_autofree char *xml = NULL;
    JsonObject *guest;

    if (!virDomainDefIsForeign(obj->def) && !(xml = virDomainLockDescribe(obj, error)))
        return NULL;
    guest = virDomainLockSpecToJson(obj->spec);
    if (xml)
        json_object_set_string_member(guest, "xml", xml);
    json_object_remove_member(guest, "config");
    json_object_remove_member(guest, "deadline_usec");
    json_object_remove_member(guest, "busy_usec");
    json_object_remove_member(guest, "incoming");
    json_object_set_int_member(guest, "flags",
                               out->obj->flags & VIR_DOMAIN_LOCK_CREATE_UNSAFE_CACHE);
    return guest;
}

static JsonObject *
virOutRequest(virMigrateOut *out, const char *ticket, GError **error)
{
    JsonObject *guest = virOutGuest(out, error);
    g_autofree char *bootId = virDomainLockBootId();
    JsonObject *request;

    if (!guest)
        return NULL;
    request = virMigrateMessageNew("request");
    json_object_set_int_member(request, "version", VIR_MIGRATE_PROTOCOL_VERSION);
    json_object_set_string_member(request, "host", out->obj->status->info->hostName);
    if (bootId)
        json_object_set_string_member(request, "boot_id", bootId);
    json_object_set_string_member(request, "ticket", ticket);
    json_object_set_int_member(request, "flags", out->params.flags);
    json_object_set_int_member(request, "connections", out->params.connections);
    json_object_set_object_member(request, "guest", guest);
    return request;
}

/* The name that the destination gives itself is the one of show, list and who there. */
static void
virOutLearnHost(virMigrateOut *out, JsonObject *reserved)
{
    const char *host = virDomainLockJsonString(reserved, "host");

    if (host) {
        g_free(out->host);
        out->host = g_strdup(host);
    }
    virDomainLockObjSetPeer(out->obj, out->host);
}

/* "reserved", or NULL. */
static JsonObject *
virOutAsk(virMigrateOut *out, GError **error)
{
    virLockWait wait = {.structSize = sizeof(wait), .cancellable = virDomainLockJobCancellable(out->obj)};
    g_autofree char *ticket = NULL;
    g_autoptr(JsonObject) request = NULL;
    g_autoptr(JsonObject) answer = NULL;
    g_autoptr(GError) broken = NULL;

    if (!virLockManagerPrepareMigrate(out->obj->man, out->host, 0, &ticket, &wait, error))
        return NULL;
    request = virOutRequest(out, ticket, error);
    if (!request)
        return NULL;
    out->asked = TRUE;
    /* a remote shell that ended early has left its words for us to read */
    if (!virMigrateChannelSend(out->channel, request, &broken))
        g_message("%s", broken->message);
    answer = virMigrateChannelReceive(out->channel,
                                      g_get_monotonic_time() + OUT_RESERVE_USEC,
                                      virDomainLockJobCancellable(out->obj), error);
    if (!answer)
        return NULL;
    if (!g_str_equal(virMigrateMessageType(answer), "reserved") ||
        !virDomainLockJsonString(answer, "uri") ||
        !virDomainLockJsonString(answer, "key")) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "the destination answers '%s' instead of where to connect",
                    virMigrateMessageType(answer));
        return NULL;
    }
    virOutLearnHost(out, answer);
    return g_steal_pointer(&answer);
}

/* --- migrate:3 ---------------------------------------------------------------------- */

/* What broke the stream: perhaps the other side knows, or it is the channel, or a disk here. */
static void
virOutExplain(virMigrateOut *out, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + OUT_WHY_USEC;
    virDomainLockReason reason;
    virDomainLockState state = virDomainLockObjGetStateAndReason(out->obj, &reason);
    g_autoptr(GError) why = NULL;
    JsonObject *message;
    char *text;

    if (state == VIR_DOMAIN_LOCK_STATE_PAUSED && reason == VIR_DOMAIN_LOCK_REASON_IO_ERROR)
        g_prefix_error(error, "it is paused, because its storage failed here (io-error): ");
    while ((message = virMigrateChannelReceive(
                out->channel, deadline, virDomainLockJobCancellable(out->obj), &why)))
        json_object_unref(message);
    if (!virMigrateChannelPeerFailed(out->channel) &&
        (g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT) ||
         g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED)))
        return;
    text = g_strdup_printf("%s; %s", (*error)->message, why->message);
    g_free((*error)->message);
    (*error)->message = text;
}

static gboolean
virOutBegin(virMigrateOut *out, JsonObject *reserved, GError **error)
{
    virDomainLockObj *obj = out->obj;
    g_autoptr(JsonObject) args = json_object_new();
    g_autoptr(JsonNode) answer = NULL;
    g_autofree char *uri = NULL;

    if (!virMigrateStreamSetUp(obj, &out->params,
                               virDomainLockJsonString(reserved, "key"), FALSE, error))
        return FALSE;
    uri = virMigrateOutConnect(out, virDomainLockJsonString(reserved, "uri"), error);
    if (!uri) {
        virOutExplain(out, error);
        return FALSE;
    }
    json_object_set_string_member(args, "uri", uri);
    virDomainLockObjSetPauseReason(obj, VIR_DOMAIN_LOCK_REASON_MIGRATING);
    out->streaming = TRUE;
    out->serial = obj->guest->ops->eventSerial(obj->guest);
    answer =
        obj->guest->ops->command(obj->guest, "migrate", args,
                                 g_get_monotonic_time() + VIR_SEQUENCE_QMP_USEC, error);
    return answer != NULL;
}

/* Something that makes it pointless or wrong to go on. */
static gboolean
virOutMayGoOn(virMigrateOut *out, gint64 deadlineUsec, GError **error)
{
    virDomainLockState state = virDomainLockObjGetState(out->obj);
    g_autoptr(JsonObject) message = NULL;
    g_autoptr(GError) why = NULL;

    if (!virMigrateOutCheckRequest(out, error))
        return FALSE;
    if (g_cancellable_is_cancelled(virDomainLockJobCancellable(out->obj)))
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CANCELLED, "it was cancelled");
    else if (g_get_monotonic_time() >= deadlineUsec)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                    "its memory did not arrive within %u s", out->params.timeoutSec);
    else if (virDomainLockObjIsLeaseLost(out->obj))
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_LOST, "its leases are lost");
    else if (state != VIR_DOMAIN_LOCK_STATE_RUNNING &&
             state != VIR_DOMAIN_LOCK_STATE_PAUSED)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                    "it is %s in the meantime", virDomainLockStateName(state));
    else {
        message = virMigrateChannelReceive(out->channel, 0, NULL, &why);
        if (message || (g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT) &&
                        !virMigrateChannelPeerFailed(out->channel)))
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&why));
    }
    return FALSE;
}

static gboolean
virOutSayAlive(virMigrateOut *out, gint64 *saidUsec, GError **error)
{
    g_autoptr(JsonObject) alive = NULL;

    if (g_get_monotonic_time() - *saidUsec < G_USEC_PER_SEC)
        return TRUE;
    *saidUsec = g_get_monotonic_time();
    alive = virMigrateMessageNew("alive");
    return virMigrateChannelSend(out->channel, alive, error);
}

static gboolean
virOutHasFailed(const virMigrateProgress *progress, GError **error)
{
    if (!g_str_equal(progress->status, "failed") &&
        !g_str_equal(progress->status, "cancelled") &&
        !g_str_equal(progress->status, "none"))
        return FALSE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "the stream of its memory broke off%s%s", progress->failure ? ": " : "",
                progress->failure ? progress->failure : "");
    return TRUE;
}

static gboolean
virOutQuery(virMigrateOut *out, virMigrateProgress *progress, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + OUT_CONNECT_HELD_USEC;

    if (!out->uri)
        return virMigrateStreamQuery(out->obj, progress, error);
    if (!virMigrateStreamQueryBy(out->obj, deadline, progress, error)) {
        g_prefix_error(error, "the connection for its memory did not come about: ");
        return FALSE;
    }
    if (!g_str_equal(progress->status, "setup"))
        virMigrateOutConnected(out);
    return TRUE;
}

/* Whoever answers there may never say anything. */
static gboolean
virOutIsConnecting(const virMigrateProgress *progress, gint64 beganUsec, GError **error)
{
    if (!g_str_equal(progress->status, "setup") ||
        g_get_monotonic_time() - beganUsec < OUT_CONNECT_USEC)
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_UNAVAILABLE,
                "the connection for its memory did not come about within %d s",
                (int)(OUT_CONNECT_USEC / G_USEC_PER_SEC));
    return FALSE;
}

static gboolean
virOutStream(virMigrateOut *out, GError **error)
{
    virDomainLockObj *obj = out->obj;
    gint64 deadline = out->params.timeoutSec > 0
                          ? g_get_monotonic_time() +
                                out->params.timeoutSec * (gint64)G_USEC_PER_SEC
                          : G_MAXINT64;
    g_auto(virMigrateProgress) progress = {0};
    gint64 began = g_get_monotonic_time();
    gint64 said = 0;

    for (;;) {
        guint64 serial = obj->guest->ops->eventSerial(obj->guest);

        /* in the downtime: what QEMU has said already it need not be asked */
        if (virMigrateStreamHasBeen(obj, "completed", out->serial))
            return TRUE;
        if (!virOutQuery(out, &progress, error))
            return FALSE;
        if (g_str_equal(progress.status, "completed") ||
            ((out->params.flags & VIR_DOMAIN_LOCK_MIGRATE_POSTCOPY) && progress.passes > 1))
            return TRUE;
        if (virOutHasFailed(&progress, error)) {
            virOutExplain(out, error);
            return FALSE;
        }
        if (!virOutIsConnecting(&progress, began, error) ||
            !virOutMayGoOn(out, deadline, error) || !virOutSayAlive(out, &said, error))
            return FALSE;
        virDomainLockJobProgress(obj, progress.totalBytes - progress.remainingBytes,
                                 progress.totalBytes);
        virMigrateStreamAwait(obj, serial, g_get_monotonic_time() + OUT_POLL_USEC,
                              virDomainLockJobCancellable(obj));
    }
}

/* --- migrate:4 and after ------------------------------------------------------------ */

/* Before the rest of the memory is to follow: stopped, and not by QEMU, which would start it
 * again when that fails. A stopped guest changes nothing any more, so QEMU may have sent
 * everything by then, and be about to complete as without postcopy. */
static gboolean
virOutStop(virMigrateOut *out, GError **error)
{
    g_autofree char *status = NULL;

    out->stopped = TRUE;
    if (!virDomainLockCommandSimple(out->obj, "stop", error) ||
        !(status = virMigrateStreamGetRunState(out->obj, error)))
        return FALSE;
    out->postcopy = g_str_equal(status, "paused");
    return out->postcopy ||
           virMigrateOutDrain(out->obj, g_get_monotonic_time() + OUT_COMPLETE_USEC, error);
}

/* From here on nobody resumes or resets it any more; but somebody may have, a moment ago. */
static gboolean
virOutSeal(virMigrateOut *out, GError **error)
{
    g_autofree char *status = NULL;

    if (!virOutMayGoOn(out, G_MAXINT64, error) || !virDomainLockJobSeal(out->obj, error) ||
        !virMigrateOutCheckRequest(out, error) ||
        ((out->params.flags & VIR_DOMAIN_LOCK_MIGRATE_POSTCOPY) &&
         !virOutStop(out, error)) ||
        !(status = virMigrateStreamGetRunState(out->obj, error)))
        return FALSE;
    if (out->postcopy || g_str_equal(status, "postmigrate"))
        return TRUE;
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STATE,
                "it does not stand still when its memory has gone, but is '%s'", status);
    return FALSE;
}

/* The device state goes, and the destination opens the images: as good as the word, so it may
 * be taken back only as that. */
static gboolean
virOutStartPostcopy(virMigrateOut *out)
{
    gint64 deadline = g_get_monotonic_time() + OUT_COMPLETE_USEC;
    g_auto(virMigrateProgress) progress = {0};
    g_autoptr(GError) why = NULL;

    if (!virDomainLockCommandSimple(out->obj, "migrate-start-postcopy", &why))
        g_message("%s", why->message);
    for (;;) {
        guint64 serial = out->obj->guest->ops->eventSerial(out->obj->guest);

        g_clear_error(&why);
        if (!virMigrateStreamQuery(out->obj, &progress, &why))
            return FALSE;
        if (!g_str_equal(progress.status, "active") || g_get_monotonic_time() >= deadline)
            return g_str_equal(progress.status, "postcopy-active") ||
                   g_str_equal(progress.status, "completed");
        virMigrateStreamAwait(out->obj, serial, g_get_monotonic_time() + OUT_POLL_USEC, NULL);
    }
}

static gboolean
virOutGiveWord(virMigrateOut *out, GError **error)
{
    g_autoptr(JsonObject) word = virMigrateMessageNew("word");
    g_autofree char *cookie = NULL;
    g_autoptr(GError) gone = NULL;

    if (!virLockManagerCompleteMigrateOut(out->obj->man, 0, &cookie, NULL, error))
        return FALSE;
    out->yielded = TRUE;
    if (out->postcopy && !virOutStartPostcopy(out)) {
        (void)virMigrateOutSayCancel(out);
        return TRUE;
    }
    json_object_set_string_member(word, "cookie", cookie);
    json_object_set_boolean_member(word, "run", !virDomainLockObjIsHeld(out->obj));
    /* whether it arrived is what step 5 finds out */
    if (!virMigrateChannelSend(out->channel, word, &gone))
        g_message("%s", gone->message);
    return TRUE;
}

static gboolean
virOutHear(virMigrateOut *out, gint64 deadline, GError **error)
{
    for (;;) {
        g_autoptr(JsonObject) message =
            virMigrateChannelReceive(out->channel, deadline, NULL, error);

        if (!message)
            return FALSE;
        if (g_str_equal(virMigrateMessageType(message), "running"))
            return TRUE;
    }
}

/* The guest was taken over, and either runs there unheard or did not survive it. */
static gboolean
virOutWentUnheard(virMigrateOut *out, const GError *why, GError **error)
{
    const char *guest = out->obj->status->info->name;
    g_autoptr(GError) late = NULL;

    /* a destination that only takes long has kept the channel */
    if (g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT) &&
        !virMigrateChannelPeerFailed(out->channel)) {
        if (virOutHear(out, g_get_monotonic_time() + OUT_HEAR_LATE_USEC, &late))
            return TRUE;
        why = late;
    }
    if (virMigrateChannelPeerFailed(out->channel) &&
        !g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE))
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STALE,
                    "guest '%s' was handed over to host '%s' and ended there; start it anew "
                    "from its disks: %s",
                    guest, out->host, why->message);
    else
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE,
                    "guest '%s' was handed over to host '%s', which has not said that it "
                    "runs; 'leasehold show %s' there says it: %s",
                    guest, out->host, guest, why->message);
    return FALSE;
}

static gboolean
virOutUnheard(virMigrateOut *out, const GError *why, GError **error)
{
    virDomainLockObjEmit(out->obj, "YIELDED", out->host, why->message);
    switch (virDomainLockMigrateTakeBack(out, error)) {
    case VIR_MIGRATE_FATE_THERE:
        return virOutWentUnheard(out, why, error);
    case VIR_MIGRATE_FATE_HERE:
        g_set_error(error, VIR_LOCK_ERROR,
                    why->code == VIR_LOCK_ERROR_INDETERMINATE ? VIR_LOCK_ERROR_UNAVAILABLE
                                                              : why->code,
                    "guest '%s' stays here: host '%s' could not run it: %s",
                    out->obj->status->info->name, out->host, why->message);
        return FALSE;
    case VIR_MIGRATE_FATE_UNKNOWN:
        g_prefix_error(error, "%s: ", why->message);
        if (error && *error)
            (*error)->code = VIR_LOCK_ERROR_INDETERMINATE;
        return FALSE;
    }
    g_assert_not_reached();
}

/* Steps 5 and 6. */
static gboolean
virOutHandOver(virMigrateOut *out, GError **error)
{
    g_autoptr(GError) why = NULL;
    gboolean heard;

    virDomainLockObjSetStep(out->obj, "migrate", 5);
    heard = virOutHear(out, g_get_monotonic_time() + OUT_HEAR_USEC, &why);
    /* what keeps it from being resumed when the job does not any more */
    virMigrateOutShowYielded(out);
    virDomainLockJobEnd(out->obj);
    if (!heard)
        return virOutUnheard(out, why, error);
    heard = virMigrateOutFinish(out->obj, G_MAXINT64, &why);
    virDomainLockObjSetStep(out->obj, "migrate", 6);
    if (!virMigrateOutEnd(out, error))
        return FALSE;
    /* without postcopy all of it had gone before the word */
    if (!heard && !out->postcopy) {
        g_message("%s", why->message);
        return TRUE;
    }
    if (!heard)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STALE,
                    "guest '%s' was handed over to host '%s', but not all of its memory: "
                    "start it anew from its disks: %s",
                    out->obj->status->info->name, out->host, why->message);
    return heard;
}

static gboolean
virOutSend(virMigrateOut *out, GError **error)
{
    g_autoptr(JsonObject) reserved = NULL;

    virDomainLockObjSetStep(out->obj, "migrate", 2);
    reserved = virOutAsk(out, error);
    if (!reserved)
        return FALSE;
    virDomainLockObjEmit(out->obj, "MIGRATION_STARTED", out->host, NULL);
    virDomainLockObjSetStep(out->obj, "migrate", 3);
    if (!virOutBegin(out, reserved, error) || !virOutStream(out, error))
        return FALSE;
    virDomainLockObjSetStep(out->obj, "migrate", 4);
    return virOutSeal(out, error) && virOutGiveWord(out, error);
}

/* Before the word: whatever QEMU or the other side leave open, the guest stays here. A stale
 * view of its leases is another store, and no guest that has gone on. */
static void
virOutSetStays(virMigrateOut *out, GError *why, GError **error)
{
    const char *guest = out->obj->status->info->name;

    if (g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE))
        why->code = VIR_LOCK_ERROR_UNAVAILABLE;
    if (g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_STALE))
        why->code = VIR_LOCK_ERROR_CONFIG;
    g_propagate_prefixed_error(error, why, "cannot migrate guest '%s' to host '%s': ", guest,
                               out->host);
}

/* A guest that came a moment ago has bridges of its own yet, which are in the way of those that
 * the next destination takes. */
static gboolean
virOutSettle(virDomainLockObj *obj, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (virDomainLockIsSettled(obj) || virDomainLockSettle(obj, &why))
        return TRUE;
    g_propagate_prefixed_error(error, g_steal_pointer(&why),
                               "it has only just come, and its leases are not its own yet: ");
    return FALSE;
}

gboolean
virDomainLockMigrateOut(virMigrateOut *out, GError **error)
{
    virDomainLockObj *obj = out->obj;
    GError *why = NULL;
    gboolean settled = virOutSettle(obj, &why);
    gboolean ok;

    virDomainLockObjSetStep(obj, "migrate", 1);
    /* what an earlier one could not end is in the way of this one */
    if (!settled || !virDomainLockMigrateGoOn(obj, &why) ||
        !virMigrateOutCheck(out, &why)) {
        virDomainLockObjSetStep(obj, NULL, 0);
        virOutSetStays(out, why, error);
        return FALSE;
    }
    virDomainLockObjSetPeer(obj, out->host);
    virDomainLockJobBegin(obj, "migrating", out->host, 0);
    if (virOutSend(out, &why)) {
        ok = virOutHandOver(out, error);
    } else {
        virMigrateOutGoBack(out);
        virDomainLockObjEmit(obj, "MIGRATION_FAILED", out->host, why->message);
        virOutSetStays(out, why, error);
        virDomainLockJobEnd(obj);
        ok = FALSE;
    }
    if (virDomainLockObjGetState(obj) != VIR_DOMAIN_LOCK_STATE_SHUTOFF)
        virDomainLockObjSetStep(obj, NULL, 0);
    return ok;
}
