/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xml_node.c: see xml_node.h.
 */
#include "config.h"
#include "common/xml_node.h"

#include <string.h>

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
