/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * json_framer.c: a scanner that only counts braces and skips strings; what lies between is
 * json-glib's business, once it is whole and known to be UTF-8.
 */
#include "supervisor/json_framer.h"

#include <string.h>

void
virJsonFramerClear(virJsonFramer *framer)
{
    g_clear_pointer(&framer->buffer, g_byte_array_unref);
    memset(framer, 0, sizeof(*framer));
}

void
virJsonFramerFeed(virJsonFramer *framer, const void *bytes, gsize len)
{
    if (!framer->buffer)
        framer->buffer = g_byte_array_new();
    g_byte_array_append(framer->buffer, bytes, (guint)len);
}

/* Drops the first @len bytes, which end at a border between objects. */
static void
dropFront(virJsonFramer *framer, gsize len)
{
    if (len == framer->buffer->len)
        g_clear_pointer(&framer->buffer, g_byte_array_unref);
    else if (len > 0)
        g_byte_array_remove_range(framer->buffer, 0, (guint)len);
    framer->scanned = 0;
}

static gboolean
isSpace(guint8 c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* One byte inside an object; TRUE if it was the last one. */
static gboolean
scanByte(virJsonFramer *framer, guint8 c)
{
    if (framer->inString) {
        if (framer->escaped)
            framer->escaped = FALSE;
        else if (c == '\\')
            framer->escaped = TRUE;
        else if (c == '"')
            framer->inString = FALSE;
        return FALSE;
    }
    if (c == '"')
        framer->inString = TRUE;
    else if (c == '{' || c == '[')
        framer->depth++;
    else if ((c == '}' || c == ']') && framer->depth > 0)
        return --framer->depth == 0;
    return FALSE;
}

static JsonNode *
parseObject(const char *text, gsize len, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) cause = NULL;
    JsonNode *root;

    if (!g_utf8_validate(text, (gssize)len, NULL)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                    "a message of %zu bytes is not UTF-8", len);
        return NULL;
    }
    if (!json_parser_load_from_data(parser, text, (gssize)len, &cause)) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                    "a message of %zu bytes is not JSON: %s", len, cause->message);
        return NULL;
    }
    root = json_parser_steal_root(parser);
    if (root && JSON_NODE_HOLDS_OBJECT(root))
        return root;
    g_clear_pointer(&root, json_node_unref);
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                "a message of %zu bytes is not a JSON object", len);
    return NULL;
}

static void
skipSpace(virJsonFramer *framer)
{
    gsize n = 0;

    while (n < framer->buffer->len && isSpace(framer->buffer->data[n]))
        n++;
    dropFront(framer, n);
}

static gboolean
checkBounds(const virJsonFramer *framer, GError **error)
{
    if (framer->buffer->data[0] != '{')
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                    "expected a JSON object, got byte 0x%02x", framer->buffer->data[0]);
    else if (framer->depth > VIR_JSON_FRAMER_MAX_DEPTH)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                    "a JSON object is nested deeper than %d", VIR_JSON_FRAMER_MAX_DEPTH);
    else if (framer->scanned > VIR_JSON_FRAMER_MAX_BYTES)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_INTERNAL,
                    "a JSON object is longer than %d bytes", VIR_JSON_FRAMER_MAX_BYTES);
    else
        return TRUE;
    return FALSE;
}

JsonNode *
virJsonFramerNext(virJsonFramer *framer, GError **error)
{
    if (framer->buffer && framer->scanned == 0)
        skipSpace(framer);
    while (framer->buffer && framer->scanned < framer->buffer->len) {
        gboolean last = scanByte(framer, framer->buffer->data[framer->scanned++]);
        JsonNode *node;

        if (!checkBounds(framer, error))
            return NULL;
        if (!last)
            continue;
        node = parseObject((const char *)framer->buffer->data, framer->scanned, error);
        dropFront(framer, framer->scanned);
        return node;
    }
    return NULL;
}
