/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qmp_events.c: a bounded queue; see qmp_events.h. */
#include "supervisor/qmp_events.h"

#include <string.h>

struct _virQmpEvents {
    GQueue queue; /* virQmpEvent, oldest first */
    gsize bytes;
    guint64 serial;
    guint64 lost;
    guint64 taken; /* serial of the last one the main loop had */
    gboolean watched;
};

void
virQmpEventFree(virQmpEvent *event)
{
    g_free(event->name);
    g_free(event->data);
    g_free(event);
}

JsonNode *
virQmpEventData(const virQmpEvent *event)
{
    JsonNode *node = json_from_string(event->data, NULL);

    if (!node) {
        node = json_node_new(JSON_NODE_OBJECT);
        json_node_take_object(node, json_object_new());
    }
    return node;
}

virQmpEvents *
virQmpEventsNew(void)
{
    virQmpEvents *events = g_new0(virQmpEvents, 1);

    g_queue_init(&events->queue);
    return events;
}

void
virQmpEventsFree(virQmpEvents *events)
{
    g_queue_clear_full(&events->queue, (GDestroyNotify)virQmpEventFree);
    g_free(events);
}

static void
dropOldest(virQmpEvents *events)
{
    virQmpEvent *event = g_queue_pop_head(&events->queue);

    events->bytes -= event->bytes;
    events->lost = event->serial;
    virQmpEventFree(event);
}

/* Drops what is more than to be kept, but nothing that the main loop has yet to see. */
static void
trim(virQmpEvents *events)
{
    while (events->queue.length > VIR_QMP_EVENTS_KEEP ||
           events->bytes > VIR_QMP_EVENTS_MAX_BYTES / 16) {
        const virQmpEvent *oldest = g_queue_peek_head(&events->queue);

        if (events->queue.length <= 1 ||
            (events->watched && oldest->serial > events->taken))
            return;
        dropOldest(events);
    }
}

static char *
dataText(JsonObject *message)
{
    JsonNode *data = json_object_get_member(message, "data");

    return data && JSON_NODE_HOLDS_OBJECT(data) ? json_to_string(data, FALSE)
                                                : g_strdup("{}");
}

gboolean
virQmpEventsPush(virQmpEvents *events, JsonObject *message)
{
    JsonNode *name = json_object_get_member(message, "event");
    virQmpEvent *event;

    if (json_node_get_value_type(name) != G_TYPE_STRING)
        return TRUE; /* an event without a name is nothing that anybody can wait for */
    event = g_new0(virQmpEvent, 1);
    event->serial = ++events->serial;
    event->name = g_strdup(json_node_get_string(name));
    event->data = dataText(message);
    event->bytes = sizeof(*event) + strlen(event->name) + strlen(event->data);
    events->bytes += event->bytes;
    g_queue_push_tail(&events->queue, event);
    trim(events);
    return events->queue.length <= VIR_QMP_EVENTS_MAX &&
           (events->queue.length == 1 || events->bytes <= VIR_QMP_EVENTS_MAX_BYTES);
}

void
virQmpEventsMarkGap(virQmpEvents *events)
{
    events->lost = ++events->serial;
}

guint64
virQmpEventsSerial(const virQmpEvents *events)
{
    return events->serial;
}

static gboolean
hasMember(JsonNode *data, const char *key, const char *value)
{
    JsonNode *member = json_object_get_member(json_node_get_object(data), key);

    return member && JSON_NODE_HOLDS_VALUE(member) &&
           json_node_get_value_type(member) == G_TYPE_STRING &&
           strcmp(json_node_get_string(member), value) == 0;
}

/* The data of the first event that is wanted, or NULL. */
static JsonNode *
findEvent(const virQmpEvents *events, const virQmpWanted *wanted)
{
    for (GList *at = events->queue.head; at; at = at->next) {
        const virQmpEvent *event = at->data;
        g_autoptr(JsonNode) data = NULL;

        if (event->serial <= wanted->since || strcmp(event->name, wanted->name) != 0)
            continue;
        data = virQmpEventData(event);
        if (!wanted->key || hasMember(data, wanted->key, wanted->value))
            return g_steal_pointer(&data);
    }
    return NULL;
}

gboolean
virQmpEventsLook(const virQmpEvents *events, virQmpWanted *wanted)
{
    wanted->data = findEvent(events, wanted);
    if (!wanted->data && events->lost > wanted->since)
        wanted->missed = TRUE;
    wanted->since = events->serial;
    return wanted->data || wanted->missed;
}

void
virQmpEventsWatch(virQmpEvents *events)
{
    events->watched = TRUE;
    events->taken = events->serial;
}

virQmpEvent *
virQmpEventsTake(virQmpEvents *events)
{
    if (!events->watched || events->taken == events->serial)
        return NULL;
    for (GList *at = events->queue.head; at; at = at->next) {
        const virQmpEvent *event = at->data;
        virQmpEvent *copy;

        if (event->serial <= events->taken)
            continue;
        events->taken = event->serial;
        copy = g_memdup2(event, sizeof(*event));
        copy->name = g_strdup(event->name);
        copy->data = g_strdup(event->data);
        trim(events);
        return copy;
    }
    events->taken = events->serial;
    return NULL;
}
