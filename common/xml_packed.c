/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xml_packed.c: see xml_packed.h.
 *
 * Packed, a tree is the format's word, and then each node: one byte for its kind, its line,
 * its strings, an element's attributes and children, each list with its length before it.
 * Numbers are decimal and end with a semicolon; a string has its length before it, and "-;" is
 * none. It is text without NUL, so that it fits wherever a description does.
 */
#include "config.h"
#include "common/xml_packed.h"

#include <string.h>

#define PACKED_WORD "leasehold-xml-1;"
/* An empty element of 20 bytes has up to two lines with VIR_XML_MAX_DEPTH times two spaces. */
#define PACKED_MAX_GROWTH 64
/* Of one element of a plain tree; what follows compares each with each. */
#define PLAIN_MAX_ATTRIBUTES 256
#define PLAIN_MAX_DECLARED 16

/* --- plain trees ----------------------------------------------------------------------------- */

static gboolean
virXmlIsPlainName(const char *name)
{
    if (!g_ascii_isalpha(*name) && *name != '_')
        return FALSE;
    while (g_ascii_isalnum(*name) || (*name && strchr("_-.", *name)))
        name++;
    return *name == '\0';
}

/* The namespace that @prefix (NULL: none) stands for there; NULL: none, or not declared. */
static const char *
virXmlFindDeclared(const virXmlNode *node, const char *prefix)
{
    for (; node; node = node->parent)
        for (const virXmlAttr *attr = node->declared; attr; attr = attr->next)
            if (g_strcmp0(attr->prefix, prefix) == 0)
                return *attr->value ? attr->value : NULL;
    return NULL;
}

/* Prefixes that begin with "xml" are XML's own. */
static gboolean
virXmlIsPlainPrefix(const virXmlNode *node, const char *prefix)
{
    return !prefix || (virXmlIsPlainName(prefix) &&
                       g_ascii_strncasecmp(prefix, "xml", 3) != 0 &&
                       virXmlFindDeclared(node, prefix));
}

static gboolean
virXmlDeclaresPlainly(const virXmlNode *node)
{
    guint n = 0;

    for (const virXmlAttr *attr = node->declared; attr; attr = attr->next) {
        if (++n > PLAIN_MAX_DECLARED || !virXmlTextIsValid(attr->value) ||
            !virXmlIsPlainPrefix(node, attr->prefix))
            return FALSE;
        for (const virXmlAttr *next = attr->next; next; next = next->next)
            if (g_strcmp0(attr->prefix, next->prefix) == 0)
                return FALSE;
    }
    return TRUE;
}

/* Two prefixes may stand for the same namespace: one local name is enough for all of them. */
static gboolean
virXmlHasPlainAttributes(const virXmlNode *node)
{
    guint n = 0;

    for (const virXmlAttr *attr = node->attributes; attr; attr = attr->next) {
        if (++n > PLAIN_MAX_ATTRIBUTES || !virXmlIsPlainName(attr->name) ||
            (!attr->prefix && g_str_equal(attr->name, "xmlns")) ||
            !virXmlTextIsValid(attr->value) || !virXmlIsPlainPrefix(node, attr->prefix))
            return FALSE;
        for (const virXmlAttr *next = attr->next; next; next = next->next)
            if (!attr->prefix == !next->prefix && g_str_equal(attr->name, next->name))
                return FALSE;
    }
    return TRUE;
}

static gboolean
virXmlIsPlain(const virXmlNode *node)
{
    if (!virXmlIsPlainName(node->name))
        return FALSE;
    if (node->kind == VIR_XML_TEXT_NODE)
        return virXmlTextIsValid(node->content);
    if (node->kind == VIR_XML_COMMENT)
        return virXmlTextIsValid(node->content) && !strstr(node->content, "--") &&
               !g_str_has_suffix(node->content, "-");
    if (node->content || !virXmlDeclaresPlainly(node) ||
        !virXmlIsPlainPrefix(node, node->prefix) ||
        g_strcmp0(node->ns, virXmlFindDeclared(node, node->prefix)) != 0 ||
        !virXmlHasPlainAttributes(node))
        return FALSE;
    for (const virXmlNode *child = node->children; child; child = child->next)
        if (!virXmlIsPlain(child))
            return FALSE;
    return TRUE;
}

/* --- packing -------------------------------------------------------------------------------- */

static void
virXmlPackString(GString *out, const char *string)
{
    if (string)
        g_string_append_printf(out, "%" G_GSIZE_FORMAT ";%s", strlen(string), string);
    else
        g_string_append(out, "-;");
}

static void
virXmlPackAttributes(GString *out, const virXmlAttr *first)
{
    guint n = 0;

    for (const virXmlAttr *attr = first; attr; attr = attr->next)
        n++;
    g_string_append_printf(out, "%u;", n);
    for (const virXmlAttr *attr = first; attr; attr = attr->next) {
        virXmlPackString(out, attr->prefix);
        virXmlPackString(out, attr->name);
        virXmlPackString(out, attr->value);
    }
}

static void
virXmlPackNode(GString *out, const virXmlNode *node)
{
    guint n = 0;

    g_string_append_printf(out, "%u;%u;", (guint)node->kind, node->line);
    virXmlPackString(out, node->prefix);
    virXmlPackString(out, node->ns);
    virXmlPackString(out, node->name);
    virXmlPackString(out, node->content);
    virXmlPackAttributes(out, node->attributes);
    virXmlPackAttributes(out, node->declared);
    for (const virXmlNode *child = node->children; child; child = child->next)
        n++;
    g_string_append_printf(out, "%u;", n);
    for (const virXmlNode *child = node->children; child; child = child->next)
        virXmlPackNode(out, child);
}

char *
virXmlNodePack(const virXmlNode *root)
{
    GString *out;

    if (!virXmlIsPlain(root))
        return NULL;
    out = g_string_new(PACKED_WORD);
    virXmlPackNode(out, root);
    return g_string_free(out, FALSE);
}

gboolean
virXmlNodeIsPacked(const char *text, gsize size)
{
    return size >= strlen(PACKED_WORD) &&
           strncmp(text, PACKED_WORD, strlen(PACKED_WORD)) == 0;
}

/* --- unpacking ------------------------------------------------------------------------------ */

/* What is left to be read, and how much more there may be. */
typedef struct {
    const char *at, *end;
    guint nodes;
    guint depth;
} virXmlUnpack;

static gboolean
virXmlUnpackNumber(virXmlUnpack *from, guint64 max, guint64 *value)
{
    *value = 0;
    if (from->at >= from->end || !g_ascii_isdigit(*from->at))
        return FALSE;
    for (; from->at < from->end && g_ascii_isdigit(*from->at); from->at++) {
        *value = *value * 10 + (guint)g_ascii_digit_value(*from->at);
        if (*value > max)
            return FALSE;
    }
    return from->at < from->end && *from->at++ == ';';
}

static gboolean
virXmlUnpackString(virXmlUnpack *from, gboolean required, char **string)
{
    guint64 len;

    if (!required && from->end - from->at >= 2 && from->at[0] == '-' &&
        from->at[1] == ';') {
        from->at += 2;
        return TRUE;
    }
    if (!virXmlUnpackNumber(from, (guint64)(from->end - from->at), &len) ||
        len > (gsize)(from->end - from->at))
        return FALSE;
    *string = g_strndup(from->at, len);
    from->at += len;
    return strlen(*string) == len;
}

static gboolean
virXmlUnpackAttributes(virXmlUnpack *from, gboolean named, virXmlAttr **end)
{
    guint64 n;

    if (!virXmlUnpackNumber(from, VIR_XML_MAX_NODES - from->nodes, &n))
        return FALSE;
    from->nodes += (guint)n;
    for (; n > 0; n--, end = &(*end)->next) {
        *end = g_new0(virXmlAttr, 1);
        if (!virXmlUnpackString(from, FALSE, &(*end)->prefix) ||
            !virXmlUnpackString(from, named, &(*end)->name) ||
            !virXmlUnpackString(from, TRUE, &(*end)->value))
            return FALSE;
    }
    return TRUE;
}

static gboolean virXmlUnpackNode(virXmlUnpack *from, virXmlNode *node);

static gboolean
virXmlUnpackChildren(virXmlUnpack *from, virXmlNode *node)
{
    guint64 n;

    if (!virXmlUnpackNumber(from, VIR_XML_MAX_SIZE, &n))
        return FALSE;
    if (node->kind != VIR_XML_ELEMENT)
        return n == 0;
    if (++from->depth > VIR_XML_MAX_DEPTH)
        return FALSE;
    for (; n > 0; n--)
        if (!virXmlUnpackNode(from, virXmlNodeAppend(node, g_new0(virXmlNode, 1))))
            return FALSE;
    from->depth--;
    return TRUE;
}

static gboolean
virXmlUnpackNode(virXmlUnpack *from, virXmlNode *node)
{
    guint64 kind, line;

    if (!virXmlUnpackNumber(from, VIR_XML_COMMENT, &kind) ||
        !virXmlUnpackNumber(from, G_MAXINT, &line))
        return FALSE;
    node->kind = (virXmlNodeKind)kind;
    node->line = (guint)line;
    if (node->kind == VIR_XML_ELEMENT && ++from->nodes > VIR_XML_MAX_NODES)
        return FALSE;
    return virXmlUnpackString(from, FALSE, &node->prefix) &&
           virXmlUnpackString(from, FALSE, &node->ns) &&
           virXmlUnpackString(from, TRUE, &node->name) &&
           virXmlUnpackString(from, node->kind != VIR_XML_ELEMENT, &node->content) &&
           virXmlUnpackAttributes(from, TRUE, &node->attributes) &&
           virXmlUnpackAttributes(from, FALSE, &node->declared) &&
           virXmlUnpackChildren(from, node);
}

/* Written out it grows: by its indentation, and by what must be escaped. */
static gboolean
virXmlFitsAsText(const virXmlNode *root, gsize size)
{
    g_autofree char *text =
        size > VIR_XML_MAX_SIZE / PACKED_MAX_GROWTH ? virXmlNodeFormat(root) : NULL;

    return !text || strlen(text) <= VIR_XML_MAX_SIZE;
}

virXmlNode *
virXmlNodeUnpack(const char *text, gsize size)
{
    g_autoptr(virXmlNode) root = g_new0(virXmlNode, 1);
    virXmlUnpack from = {.at = text + strlen(PACKED_WORD), .end = text + size};

    if (!virXmlNodeIsPacked(text, size) || !virXmlUnpackNode(&from, root) ||
        root->kind != VIR_XML_ELEMENT || from.at != from.end || !virXmlIsPlain(root) ||
        !virXmlFitsAsText(root, size))
        return NULL;
    return g_steal_pointer(&root);
}
