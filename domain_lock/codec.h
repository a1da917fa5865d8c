/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * codec.h: the public structures as JSON (state files, history, status lines) and as GVariant
 * (control interface). One table of fields serves both. Readers ignore fields that they do
 * not know and take what is absent as unknown, so that versions may differ.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_CODEC_H
#define LEASEHOLD_DOMAIN_LOCK_CODEC_H

#include "types.h"
#include <json-glib/json-glib.h>

/** Adds the fields of @info to @object. */
void virDomainLockInfoToJson(const virDomainLockInfo *info, JsonObject *object);
/** Never fails: what is missing or of another type stays unset. */
virDomainLockInfo *virDomainLockInfoFromJson(JsonObject *object);

/** One property of io.leasehold.Guest1 (floating), or NULL for a name that is not one. */
GVariant *virDomainLockInfoGetProperty(const virDomainLockInfo *info, const char *name);
/** From the a{sv} of org.freedesktop.DBus.Properties.GetAll. */
virDomainLockInfo *virDomainLockInfoFromVariant(GVariant *properties);

JsonObject *virDomainLockEventToJson(const virDomainLockEvent *event);
virDomainLockEvent *virDomainLockEventFromJson(JsonObject *object);

/** {"code": ..., "message": ...}; an unknown code reads as INTERNAL. */
JsonObject *virDomainLockErrorToJson(const GError *error);
GError *virDomainLockErrorFromJson(JsonObject *object);

/** "io.leasehold.Error.Busy"; free with g_free. */
char *virDomainLockErrorName(const GError *error);
/** VIR_LOCK_ERROR from what a call over the control interface failed with (also: no such
 * socket, connection lost). */
GError *virDomainLockErrorFromRemote(const GError *error);

/** One line of JSON without line breaks in it, with the final newline. */
char *virDomainLockJsonLine(JsonObject *object);
/** Parses one JSON object, of a stranger too; CONFIG error otherwise. */
JsonObject *virDomainLockJsonParse(const char *text, gssize len, GError **error);
/** Members that may be absent or of the wrong type. */
const char *virDomainLockJsonString(JsonObject *object, const char *key);
gint64 virDomainLockJsonInt(JsonObject *object, const char *key, gint64 fallback);
JsonObject *virDomainLockJsonObject(JsonObject *object, const char *key);
JsonArray *virDomainLockJsonArray(JsonObject *object, const char *key);
/** FALSE, too, for what is absent or no boolean. */
gboolean virDomainLockJsonBool(JsonObject *object, const char *key);
/** Nothing for NULL. */
void virDomainLockJsonSetString(JsonObject *object, const char *key, const char *value);

#endif
