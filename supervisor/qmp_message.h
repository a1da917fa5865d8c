/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qmp_message.h: one command as text, and what a reply says. */
#ifndef LEASEHOLD_SUPERVISOR_QMP_MESSAGE_H
#define LEASEHOLD_SUPERVISOR_QMP_MESSAGE_H

#include <json-glib/json-glib.h>
#include <leasehold/lock_types.h>

/** One line with its end; free with g_free. @args: transfer none, may be NULL. */
char *virQmpMessageFormat(const char *name, JsonObject *args, gint64 id);
/** The "return" of @reply (transfer full), or NULL with QEMU's words (INTERNAL). */
JsonNode *virQmpMessageResult(const char *name, JsonNode *reply, GError **error);

#endif
