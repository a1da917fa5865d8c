/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * drain.c: stop, cancel, see gone, stop again.
 *
 * A block job goes on writing while the guest is stopped (a mirror's target changed for
 * seconds after "stop" had returned), and so does a client of an NBD or vhost-user export:
 * both are ended by force and seen gone. "stop" waits for all requests in flight and flushes
 * every image, also when the guest is stopped already, so the second one covers what the
 * jobs wrote last.
 *
 * A migration that is about to complete has stopped the guest itself, and lets it go on if its
 * stream breaks, whatever "stop" has said meanwhile: its outcome is waited for.
 */
#include "supervisor/drain.h"

#include <string.h>

#define FINISH_NAP_USEC 10000

/* What of the block layer can write by itself, and how it is told to end. */
typedef struct _virSupervisorWriter {
    const char *what;
    const char *query;
    const char *event;  /* comes when one of them changes */
    const char *end;    /* command */
    const char *endKey; /* a further argument of it, or NULL */
    const char *endValue;
} virSupervisorWriter;

static const virSupervisorWriter writers[] = {
    /* job-cancel means "by force": a mirror that is ready does not complete instead */
    {"block job", "query-jobs", "JOB_STATUS_CHANGE", "job-cancel", NULL, NULL},
    {"block export", "query-block-exports", "BLOCK_EXPORT_DELETED", "block-export-del",
     "mode", "hard"},
};

static gboolean
stopGuest(virDomainLockGuest *guest, gint64 deadlineUsec, GError **error)
{
    g_autoptr(JsonNode) reply =
        guest->ops->command(guest, "stop", NULL, deadlineUsec, error);

    return reply != NULL;
}

/* A job that concluded is only its result, waiting to be looked at. */
static gboolean
isOver(JsonObject *object)
{
    const char *status = json_object_get_string_member_with_default(object, "status", "");

    return strcmp(status, "concluded") == 0 || strcmp(status, "null") == 0;
}

static void
endWriter(virDomainLockGuest *guest, const virSupervisorWriter *writer, const char *id,
          gint64 deadlineUsec)
{
    g_autoptr(JsonObject) args = json_object_new();
    g_autoptr(JsonNode) reply = NULL;

    json_object_set_string_member(args, "id", id);
    if (writer->endKey)
        json_object_set_string_member(args, writer->endKey, writer->endValue);
    /* one that ends just now refuses; whether it is gone is asked again in any case */
    reply = guest->ops->command(guest, writer->end, args, deadlineUsec, NULL);
}

/* Tells those that are left to end. -1: the query failed; else how many there are. */
static int
endWriters(virDomainLockGuest *guest, const virSupervisorWriter *writer, char **lastId,
           gint64 deadlineUsec, GError **error)
{
    g_autoptr(JsonNode) reply =
        guest->ops->command(guest, writer->query, NULL, deadlineUsec, error);
    JsonArray *array;
    int count = 0;

    if (!reply)
        return -1;
    array = JSON_NODE_HOLDS_ARRAY(reply) ? json_node_get_array(reply) : NULL;
    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonNode *element = json_array_get_element(array, i);
        JsonObject *object =
            JSON_NODE_HOLDS_OBJECT(element) ? json_node_get_object(element) : NULL;
        const char *id =
            object ? json_object_get_string_member_with_default(object, "id", "") : "";

        if (!object || isOver(object))
            continue;
        count++;
        g_free(*lastId);
        *lastId = g_strdup(id);
        endWriter(guest, writer, id, deadlineUsec);
    }
    return count;
}

static gboolean
endAllWriters(virDomainLockGuest *guest, const virSupervisorWriter *writer,
              gint64 deadlineUsec, GError **error)
{
    g_autofree char *id = NULL;

    for (;;) {
        guint64 since = guest->ops->eventSerial(guest);
        int count = endWriters(guest, writer, &id, deadlineUsec, error);
        g_autoptr(JsonNode) event = NULL;
        g_autoptr(GError) why = NULL;

        if (count <= 0)
            return count == 0;
        event =
            guest->ops->waitEvent(guest, writer->event, since, deadlineUsec, NULL, &why);
        if (event || g_error_matches(why, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INDETERMINATE))
            continue; /* something changed: look again */
        g_propagate_prefixed_error(error, g_steal_pointer(&why),
                                   "%s '%s' does not end: ", writer->what, id);
        return FALSE;
    }
}

/* The member "status" of what @query returns; NULL: the query failed. */
static char *
askStatus(virDomainLockGuest *guest, const char *query, gint64 deadlineUsec,
          GError **error)
{
    g_autoptr(JsonNode) reply =
        guest->ops->command(guest, query, NULL, deadlineUsec, error);

    if (!reply)
        return NULL;
    return g_strdup(JSON_NODE_HOLDS_OBJECT(reply)
                        ? json_object_get_string_member_with_default(
                              json_node_get_object(reply), "status", "")
                        : "");
}

/* Does it stay as it is, whatever becomes of a migration? With postcopy "finish-migrate" lasts as
 * long as memory follows, and nothing lets the guest go on there. -1: nobody knows. */
static int
staysStopped(virDomainLockGuest *guest, gint64 deadlineUsec, GError **error)
{
    g_autofree char *status = askStatus(guest, "query-status", deadlineUsec, error);
    g_autofree char *stream = NULL;

    if (!status)
        return -1;
    if (strcmp(status, "finish-migrate") != 0)
        return strcmp(status, "running") != 0;
    stream = askStatus(guest, "query-migrate", deadlineUsec, error);
    return stream ? g_str_has_prefix(stream, "postcopy") : -1;
}

static gboolean
stopForGood(virDomainLockGuest *guest, gint64 deadlineUsec, GError **error)
{
    int stays;

    while (stopGuest(guest, deadlineUsec, error)) {
        stays = staysStopped(guest, deadlineUsec, error);
        if (stays != 0)
            return stays > 0;
        if (g_get_monotonic_time() >= deadlineUsec) {
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_TIMEOUT,
                        "its migration, which is about to complete, could let it go on");
            return FALSE;
        }
        g_usleep(FINISH_NAP_USEC);
    }
    return FALSE;
}

gboolean
virSupervisorDrain(virDomainLockGuest *guest, gint64 deadlineUsec, GError **error)
{
    if (!stopGuest(guest, deadlineUsec, error))
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(writers); i++) {
        if (!endAllWriters(guest, &writers[i], deadlineUsec, error))
            return FALSE;
    }
    return stopForGood(guest, deadlineUsec, error);
}
