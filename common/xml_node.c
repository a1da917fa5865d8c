/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xml_node.c: see xml_node.h.
 *
 * Packed, a tree is the format's word, and then each node: one byte for its kind, its line,
 * its strings, an element's attributes and children, each list with its length before it.
 * Numbers are decimal and end with a semicolon; a string has its length before it, and "-;" is
 * none. It is text without NUL, so that it fits wherever a description does.
 */
#include "config.h"
#include "common/xml_node.h"

#include <string.h>

#define PACKED_WORD "leasehold-xml-1;"

/* --- nodes --------------------------------------------------------------------------------- */

virXmlNode *
virXmlNodeNew(virXmlNodeKind kind, const char *name)
{
    virXmlNode *node = g_new0(virXmlNode, 1);

    node->kind = kind;
    node->name = g_strdup(name);
    return node;
}

static void
virXmlNodeUnlink(virXmlNode *node)
{
    virXmlNode *parent = node->parent;

    if (node->prev)
        node->prev->next = node->next;
    if (node->next)
        node->next->prev = node->prev;
    if (parent && parent->children == node)
        parent->children = node->next;
    if (parent && parent->last == node)
        parent->last = node->prev;
    node->parent = node->prev = node->next = NULL;
}

static void
virXmlAttrFree(virXmlAttr *attr)
{
    while (attr) {
        virXmlAttr *next = attr->next;

        g_free(attr->prefix);
        g_free(attr->name);
        g_free(attr->value);
        g_free(attr);
        attr = next;
    }
}

static void
virXmlNodeDropChildren(virXmlNode *node)
{
    while (node->children)
        virXmlNodeFree(node->children);
}

void
virXmlNodeFree(virXmlNode *node)
{
    if (!node)
        return;
    virXmlNodeDropChildren(node);
    virXmlNodeUnlink(node);
    virXmlAttrFree(node->attributes);
    virXmlAttrFree(node->declared);
    g_free(node->prefix);
    g_free(node->ns);
    g_free(node->name);
    g_free(node->content);
    g_free(node);
}

static virXmlAttr *
virXmlAttrCopy(const virXmlAttr *attr)
{
    virXmlAttr *first = NULL, **end = &first;

    for (; attr; attr = attr->next) {
        *end = g_new0(virXmlAttr, 1);
        (*end)->prefix = g_strdup(attr->prefix);
        (*end)->name = g_strdup(attr->name);
        (*end)->value = g_strdup(attr->value);
        end = &(*end)->next;
    }
    return first;
}

virXmlNode *
virXmlNodeCopy(const virXmlNode *node)
{
    virXmlNode *copy = virXmlNodeNew(node->kind, node->name);

    copy->line = node->line;
    copy->prefix = g_strdup(node->prefix);
    copy->ns = g_strdup(node->ns);
    copy->content = g_strdup(node->content);
    copy->attributes = virXmlAttrCopy(node->attributes);
    copy->declared = virXmlAttrCopy(node->declared);
    for (const virXmlNode *child = node->children; child; child = child->next)
        virXmlNodeAppend(copy, virXmlNodeCopy(child));
    return copy;
}

virXmlNode *
virXmlNodeAppend(virXmlNode *parent, virXmlNode *child)
{
    child->parent = parent;
    child->prev = parent->last;
    if (parent->last)
        parent->last->next = child;
    else
        parent->children = child;
    parent->last = child;
    return child;
}

void
virXmlNodeInsertAfter(virXmlNode *sibling, virXmlNode *node)
{
    virXmlNode *parent = sibling->parent;

    node->parent = parent;
    node->prev = sibling;
    node->next = sibling->next;
    if (sibling->next)
        sibling->next->prev = node;
    else if (parent)
        parent->last = node;
    sibling->next = node;
}

virXmlNode *
virXmlNodeAdd(virXmlNode *parent, const char *name)
{
    return virXmlNodeAppend(parent, virXmlNodeNew(VIR_XML_ELEMENT, name));
}

void
virXmlNodeSetText(virXmlNode *node, const char *text)
{
    virXmlNodeDropChildren(node);
    virXmlNodeAppend(node, virXmlNodeNew(VIR_XML_TEXT_NODE, "text"))->content =
        g_strdup(text);
}

static virXmlAttr *
virXmlNodeFindAttr(const virXmlNode *node, const char *name)
{
    virXmlAttr *attr = node->attributes;

    while (attr && (attr->prefix || !g_str_equal(attr->name, name)))
        attr = attr->next;
    return attr;
}

const char *
virXmlNodeGet(const virXmlNode *node, const char *name)
{
    const virXmlAttr *attr = virXmlNodeFindAttr(node, name);

    return attr ? attr->value : NULL;
}

void
virXmlNodeSet(virXmlNode *node, const char *name, const char *value)
{
    virXmlAttr *attr = virXmlNodeFindAttr(node, name);
    virXmlAttr **end = &node->attributes;

    if (!attr) {
        while (*end)
            end = &(*end)->next;
        *end = attr = g_new0(virXmlAttr, 1);
        attr->name = g_strdup(name);
    }
    g_free(attr->value);
    attr->value = g_strdup(value);
}

virXmlNode *
virXmlNodeFirstElement(const virXmlNode *parent)
{
    virXmlNode *child = parent->children;

    return !child || child->kind == VIR_XML_ELEMENT ? child
                                                    : virXmlNodeNextElement(child);
}

virXmlNode *
virXmlNodeNextElement(const virXmlNode *node)
{
    virXmlNode *next = node->next;

    while (next && next->kind != VIR_XML_ELEMENT)
        next = next->next;
    return next;
}

gboolean
virXmlNodeIsBlank(const virXmlNode *node)
{
    return node->kind == VIR_XML_TEXT_NODE &&
           node->content[strspn(node->content, " \t\r\n")] == '\0';
}

gboolean
virXmlTextIsValid(const char *text)
{
    if (!g_utf8_validate(text, -1, NULL))
        return FALSE;
    for (; *text; text = g_utf8_next_char(text)) {
        gunichar c = g_utf8_get_char(text);

        if ((c < ' ' && !strchr("\t\n\r", (int)c)) || c == 0xfffe || c == 0xffff)
            return FALSE;
    }
    return TRUE;
}

/* --- as XML -------------------------------------------------------------------------------- */

/* An end of line in an attribute, and a carriage return anywhere, would be read as a space or
 * not at all. */
static void
virXmlEscape(GString *out, const char *text, gboolean attribute)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            g_string_append(out, "&amp;");
            break;
        case '<':
            g_string_append(out, "&lt;");
            break;
        case '>':
            g_string_append(out, "&gt;");
            break;
        case '\r':
            g_string_append(out, "&#13;");
            break;
        case '"':
        case '\n':
        case '\t':
            if (attribute)
                g_string_append_printf(out, *text == '"' ? "&quot;" : "&#%d;", *text);
            else
                g_string_append_c(out, *text);
            break;
        default:
            g_string_append_c(out, *text);
        }
    }
}

static void
virXmlFormatName(GString *out, const char *prefix, const char *name)
{
    if (prefix)
        g_string_append_printf(out, "%s:", prefix);
    g_string_append(out, name);
}

static void
virXmlFormatStart(GString *out, const virXmlNode *node)
{
    g_string_append_c(out, '<');
    virXmlFormatName(out, node->prefix, node->name);
    for (const virXmlAttr *attr = node->declared; attr; attr = attr->next) {
        g_string_append(out, attr->prefix ? " xmlns:" : " xmlns");
        g_string_append(out, attr->prefix ? attr->prefix : "");
        g_string_append(out, "=\"");
        virXmlEscape(out, attr->value, TRUE);
        g_string_append_c(out, '"');
    }
    for (const virXmlAttr *attr = node->attributes; attr; attr = attr->next) {
        g_string_append_c(out, ' ');
        virXmlFormatName(out, attr->prefix, attr->name);
        g_string_append(out, "=\"");
        virXmlEscape(out, attr->value, TRUE);
        g_string_append_c(out, '"');
    }
}

static gboolean
virXmlHasText(const virXmlNode *node)
{
    for (const virXmlNode *child = node->children; child; child = child->next)
        if (child->kind == VIR_XML_TEXT_NODE)
            return TRUE;
    return FALSE;
}

/* Nothing is moved to a line of its own where text stands beside it. */
static void
virXmlFormatNode(GString *out, const virXmlNode *node, guint depth, gboolean indent)
{
    gboolean inner = indent && !virXmlHasText(node);

    if (node->kind == VIR_XML_TEXT_NODE) {
        virXmlEscape(out, node->content, FALSE);
        return;
    }
    if (node->kind == VIR_XML_COMMENT) {
        g_string_append_printf(out, "<!--%s-->", node->content);
        return;
    }
    virXmlFormatStart(out, node);
    if (!node->children) {
        g_string_append(out, "/>");
        return;
    }
    g_string_append_c(out, '>');
    for (const virXmlNode *child = node->children; child; child = child->next) {
        if (inner)
            g_string_append_printf(out, "\n%*s", (int)(2 * (depth + 1)), "");
        virXmlFormatNode(out, child, depth + 1, inner);
    }
    if (inner)
        g_string_append_printf(out, "\n%*s", (int)(2 * depth), "");
    g_string_append(out, "</");
    virXmlFormatName(out, node->prefix, node->name);
    g_string_append_c(out, '>');
}

char *
virXmlNodeFormat(const virXmlNode *root)
{
    GString *out = g_string_new(NULL);

    virXmlFormatNode(out, root, 0, TRUE);
    return g_string_free(out, FALSE);
}

/* --- packed ---------------------------------------------------------------------------------- */

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
    GString *out = g_string_new(PACKED_WORD);

    virXmlPackNode(out, root);
    return g_string_free(out, FALSE);
}

gboolean
virXmlNodeIsPacked(const char *text, gsize size)
{
    return size >= strlen(PACKED_WORD) &&
           strncmp(text, PACKED_WORD, strlen(PACKED_WORD)) == 0;
}

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
    return strlen(*string) == len && virXmlTextIsValid(*string);
}

/* Of an element, an attribute or a prefix: nothing that would end it when it is formatted. */
static gboolean
virXmlUnpackName(virXmlUnpack *from, gboolean required, char **name)
{
    if (!virXmlUnpackString(from, required, name))
        return FALSE;
    for (const char *c = *name; c && *c; c++)
        if (g_ascii_isspace(*c) || g_ascii_iscntrl(*c) || strchr("<>&\"'=/", *c))
            return FALSE;
    return !*name || **name;
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
        if (!virXmlUnpackName(from, FALSE, &(*end)->prefix) ||
            !virXmlUnpackName(from, named, &(*end)->name) ||
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
    return virXmlUnpackName(from, FALSE, &node->prefix) &&
           virXmlUnpackString(from, FALSE, &node->ns) &&
           virXmlUnpackName(from, TRUE, &node->name) &&
           virXmlUnpackString(from, node->kind != VIR_XML_ELEMENT, &node->content) &&
           virXmlUnpackAttributes(from, TRUE, &node->attributes) &&
           virXmlUnpackAttributes(from, FALSE, &node->declared) &&
           virXmlUnpackChildren(from, node);
}

virXmlNode *
virXmlNodeUnpack(const char *text, gsize size)
{
    g_autoptr(virXmlNode) root = g_new0(virXmlNode, 1);
    virXmlUnpack from = {.at = text + strlen(PACKED_WORD), .end = text + size};

    if (!virXmlNodeIsPacked(text, size) || !virXmlUnpackNode(&from, root) ||
        root->kind != VIR_XML_ELEMENT || from.at != from.end)
        return NULL;
    return g_steal_pointer(&root);
}
