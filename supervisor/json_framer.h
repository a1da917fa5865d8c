/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * json_framer.h: cuts a byte stream into JSON objects, one after the other, with bounds.
 *
 * QEMU is not trusted: a guest that took it over can send anything. Depth is bounded because
 * json-glib parses recursively, size because the supervisor must not be made to eat memory.
 */
#ifndef LEASEHOLD_SUPERVISOR_JSON_FRAMER_H
#define LEASEHOLD_SUPERVISOR_JSON_FRAMER_H

#include <json-glib/json-glib.h>
#include <leasehold/lock_types.h>

/** query-named-block-nodes of a guest with hundreds of images stays far below. */
#define VIR_JSON_FRAMER_MAX_BYTES (16 * 1024 * 1024)
#define VIR_JSON_FRAMER_MAX_DEPTH 64

/** Zeroed memory is an empty framer. */
typedef struct _virJsonFramer {
    GByteArray *buffer; /* NULL while empty: an idle connection keeps no memory */
    gsize scanned;      /* bytes of buffer that were looked at */
    guint depth;
    gboolean inString;
    gboolean escaped;
} virJsonFramer;

void virJsonFramerClear(virJsonFramer *framer);
void virJsonFramerFeed(virJsonFramer *framer, const void *bytes, gsize len);
/**
 * virJsonFramerNext: the next whole object, or NULL: without @error more bytes are needed,
 * with it (INTERNAL) the stream is not what it should be and cannot be read any further.
 */
JsonNode *virJsonFramerNext(virJsonFramer *framer, GError **error);

#endif
