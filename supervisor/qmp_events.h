/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmp_events.h: the latest events of one guest, numbered, for those who wait for one and for
 * the main loop. Kept as text: an idle supervisor has many of them and little memory.
 */
#ifndef LEASEHOLD_SUPERVISOR_QMP_EVENTS_H
#define LEASEHOLD_SUPERVISOR_QMP_EVENTS_H

#include <json-glib/json-glib.h>

/** So many are kept after the main loop has had them. */
#define VIR_QMP_EVENTS_KEEP 64
/** More than this, in number or bytes, that the main loop has not had: a hostile peer. */
#define VIR_QMP_EVENTS_MAX 4096
#define VIR_QMP_EVENTS_MAX_BYTES (4 * 1024 * 1024)

typedef struct _virQmpEvents virQmpEvents;

typedef struct _virQmpEvent {
    guint64 serial; /* from 1 */
    char *name;
    char *data; /* JSON object as text */
    gsize bytes;
} virQmpEvent;
void virQmpEventFree(virQmpEvent *event);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virQmpEvent, virQmpEventFree)
/** The data as a JSON object (transfer full). */
JsonNode *virQmpEventData(const virQmpEvent *event);

virQmpEvents *virQmpEventsNew(void);
void virQmpEventsFree(virQmpEvents *events);
/** @message: the whole QMP message. FALSE: too many that nobody took. */
gboolean virQmpEventsPush(virQmpEvents *events, JsonObject *message);
/** Events may have been missed: a serial number is used up, and everything before is lost. */
void virQmpEventsMarkGap(virQmpEvents *events);
guint64 virQmpEventsSerial(const virQmpEvents *events);
/** What a call waits for. */
typedef struct _virQmpWanted {
    const char *name;
    const char *key;   /* member of its data that has to be @value; NULL: any event */
    const char *value;
    guint64 since;   /* everything up to here was looked at */
    JsonNode *data;  /* (out) (transfer full): of the first one */
    gboolean missed; /* (out): it may have been among those that are not kept any more */
} virQmpWanted;
/** Looks at what came since the last look; TRUE when there is an answer. */
gboolean virQmpEventsLook(const virQmpEvents *events, virQmpWanted *wanted);
/** From now on the main loop takes every event that comes. */
void virQmpEventsWatch(virQmpEvents *events);
/** The next one for the main loop (a copy), or NULL. */
virQmpEvent *virQmpEventsTake(virQmpEvents *events);

#endif
