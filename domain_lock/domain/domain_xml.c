/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_xml.c: see domain_xml.h. The limits are enforced while the parser runs, by SAX
 * callbacks that stop it, so that a bomb never becomes a tree.
 */
#include "domain_xml.h"
#include "common/text.h"
#include "config.h"

#include <leasehold/lock_types.h>
#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <string.h>

#define VIR_XML_QEMU_NS "http://libvirt.org/schemas/domain/qemu/1.0"
/* One table is read with at most this many rules: their "seen" marks are one word. */
#define VIR_XML_MAX_RULES 64

/* --- the document ------------------------------------------------------------------------ */

typedef struct _virXmlGuard {
    guint nodes;
    guint depth;
    const char *refused;
} virXmlGuard;

static void
virXmlStop(xmlParserCtxt *ctxt, const char *why)
{
    virXmlGuard *guard = ctxt->_private;

    if (!guard->refused)
        guard->refused = why;
    xmlStopParser(ctxt);
}

static void
virXmlOnDoctype(void *opaque, const xmlChar *name, const xmlChar *publicId,
                const xmlChar *systemId)
{
    virXmlStop(opaque,
               "a document type (DOCTYPE) is not permitted: entities could expand "
               "without end or read files of this host");
}

static void
virXmlOnStart(void *opaque, const xmlChar *name, const xmlChar *prefix,
              const xmlChar *uri, int nNamespaces, const xmlChar **namespaces,
              int nAttributes, int nDefaulted, const xmlChar **attributes)
{
    xmlParserCtxt *ctxt = opaque;
    virXmlGuard *guard = ctxt->_private;

    guard->nodes += 1 + (guint)nAttributes;
    if (guard->nodes > VIR_XML_MAX_NODES)
        virXmlStop(ctxt, "there are more elements than any guest has");
    else if (++guard->depth > VIR_XML_MAX_DEPTH)
        virXmlStop(ctxt, "elements are nested too deep");
    else
        xmlSAX2StartElementNs(opaque, name, prefix, uri, nNamespaces, namespaces,
                              nAttributes, nDefaulted, attributes);
}

static void
virXmlOnEnd(void *opaque, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    xmlParserCtxt *ctxt = opaque;
    virXmlGuard *guard = ctxt->_private;

    guard->depth--;
    xmlSAX2EndElementNs(opaque, name, prefix, uri);
}

static void
virXmlParserError(xmlParserCtxt *ctxt, const virXmlGuard *guard, GError **error)
{
    const char *words = guard->refused;
    g_autofree char *own = NULL;
    int line = ctxt->input ? ctxt->input->line : 0;

    if (!words && ctxt->lastError.message) {
        own = virTextPrintable(g_strchomp(ctxt->lastError.message));
        words = own;
        line = ctxt->lastError.line;
    }
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, "domain XML line %d: %s",
                line, words ? words : "not an XML document");
}

/* Size and encoding. The parser would take other encodings, and print to stderr when their
 * conversion fails. */
static gboolean
virXmlCheckText(const char *text, gsize size, GError **error)
{
    const char *bad = NULL;
    guint line = 1;

    if (size == 0 || size > VIR_XML_MAX_SIZE) {
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    size ? "domain XML: larger than %d bytes"
                         : "domain XML: it is empty (limit: %d bytes)",
                    VIR_XML_MAX_SIZE);
        return FALSE;
    }
    if (g_utf8_validate_len(text, size, &bad))
        return TRUE;
    for (const char *p = text; p < bad; p++)
        line += *p == '\n';
    g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                "domain XML line %u: it is not UTF-8 text", line);
    return FALSE;
}

xmlDoc *
virXmlParse(const char *text, gssize len, GError **error)
{
    gsize size = len < 0 ? strlen(text) : (gsize)len;
    virXmlGuard guard = {0};
    xmlParserCtxt *ctxt;
    xmlDoc *doc;

    if (!virXmlCheckText(text, size, error))
        return NULL;
    ctxt = xmlNewParserCtxt();
    ctxt->_private = &guard;
    ctxt->sax->internalSubset = virXmlOnDoctype;
    ctxt->sax->startElementNs = virXmlOnStart;
    ctxt->sax->endElementNs = virXmlOnEnd;
    doc = xmlCtxtReadMemory(ctxt, text, (int)size, "domain.xml", "UTF-8",
                            XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
                                XML_PARSE_NOCDATA | XML_PARSE_BIG_LINES);
    if (guard.refused || !doc || !ctxt->wellFormed || !ctxt->nsWellFormed ||
        !xmlDocGetRootElement(doc)) {
        virXmlParserError(ctxt, &guard, error);
        xmlFreeDoc(doc);
        doc = NULL;
    }
    xmlFreeParserCtxt(ctxt);
    return doc;
}

/* --- errors and values ------------------------------------------------------------------- */

gboolean
virXmlError(const xmlNode *node, GError **error, const char *format, ...)
{
    g_autofree char *words = NULL;
    g_autofree char *message = NULL;
    g_autofree char *printable = NULL;
    va_list args;

    va_start(args, format);
    words = g_strdup_vprintf(format, args);
    va_end(args);
    message =
        g_strdup_printf("domain XML line %ld: <%s>: %s", xmlGetLineNo((xmlNode *)node),
                        (const char *)node->name, words);
    printable = virTextPrintable(message);
    g_set_error_literal(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG, printable);
    return FALSE;
}

gboolean
virXmlParseNumber(const char *text, guint64 max, guint64 *value)
{
    gboolean hex = g_str_has_prefix(text, "0x");

    return g_ascii_string_to_unsigned(hex ? text + 2 : text, hex ? 16 : 10, 0,
                                      max ? max : G_MAXUINT64, value, NULL);
}

static gboolean
virXmlStoreBool(xmlNode *node, const virXmlRule *rule, const char *text, virXmlBool *out,
                GError **error)
{
    if (g_str_equal(text, "yes") || g_str_equal(text, "on"))
        *out = VIR_XML_YES;
    else if (g_str_equal(text, "no") || g_str_equal(text, "off"))
        *out = VIR_XML_NO;
    else
        return virXmlError(node, error, "'%s' is '%s', not yes or no", rule->name, text);
    return TRUE;
}

static gboolean
virXmlStoreChoice(xmlNode *node, const virXmlRule *rule, const char *text, char **out,
                  GError **error)
{
    g_autofree char *known = NULL;

    if (g_strv_contains(rule->choices, text)) {
        g_free(*out);
        *out = g_strdup(text);
        return TRUE;
    }
    known = g_strjoinv(", ", (char **)rule->choices);
    return virXmlError(node, error, "%s%s '%s' is not supported (known: %s)",
                       rule->name[0] == '@' ? "attribute " : "text",
                       rule->name[0] == '@' ? rule->name + 1 : "", text, known);
}

/* Stores the text of an attribute or an element as its rule says. */
static gboolean
virXmlStore(xmlNode *node, const virXmlRule *rule, const char *raw, gpointer target,
            GError **error)
{
    gpointer out = (char *)target + rule->offset;
    g_autofree char *text = g_strdup(raw);

    if (rule->kind != VIR_XML_STRING && rule->kind != VIR_XML_TEXT)
        g_strstrip(text);
    switch (rule->kind) {
    case VIR_XML_STRING:
        if (!*text)
            return virXmlError(node, error, "'%s' is empty", rule->name);
        /* fall through */
    case VIR_XML_TEXT:
        g_free(*(char **)out);
        *(char **)out = g_steal_pointer(&text);
        return TRUE;
    case VIR_XML_CHOICE:
        return virXmlStoreChoice(node, rule, text, out, error);
    case VIR_XML_BOOL:
        return virXmlStoreBool(node, rule, text, out, error);
    case VIR_XML_UINT:
        if (!virXmlParseNumber(text, rule->max, out))
            return virXmlError(node, error,
                               "'%s' is '%s', not a number from 0 to %" G_GUINT64_FORMAT,
                               rule->name, text, rule->max ? rule->max : G_MAXUINT64);
        return TRUE;
    case VIR_XML_IGNORE:
        return TRUE;
    case VIR_XML_REFUSE:
        return virXmlError(node, error, "'%s' is not supported: %s", rule->name,
                           rule->why);
    case VIR_XML_FLAG:
    case VIR_XML_SUB:
    case VIR_XML_FUNC:
        break;
    }
    return virXmlError(node, error, "'%s' cannot hold a value", rule->name);
}

/* --- tables ------------------------------------------------------------------------------- */

static const virXmlRule *
virXmlFind(const virXmlRule *rules, const char *prefix, const xmlChar *name)
{
    gsize skip = strlen(prefix);

    for (; rules->name; rules++)
        if (strncmp(rules->name, prefix, skip) == 0 &&
            g_str_equal(rules->name + skip, (const char *)name))
            return rules;
    return NULL;
}

static gboolean
virXmlReadAttributes(xmlNode *node, const virXmlRule *rules, gpointer target,
                     guint64 *seen, GError **error)
{
    for (xmlAttr *attr = node->properties; attr; attr = attr->next) {
        const virXmlRule *rule = attr->ns ? NULL : virXmlFind(rules, "@", attr->name);
        xmlChar *value;
        gboolean ok;

        if (!rule)
            return virXmlError(node, error, "attribute '%s' is not supported",
                               (const char *)attr->name);
        *seen |= G_GUINT64_CONSTANT(1) << (rule - rules);
        value = xmlNodeListGetString(node->doc, attr->children, 1);
        ok = virXmlStore(node, rule, value ? (const char *)value : "", target, error);
        xmlFree(value);
        if (!ok)
            return FALSE;
    }
    return TRUE;
}

static gboolean
virXmlReadText(xmlNode *node, const virXmlRule *rules, gpointer target, guint64 *seen,
               GError **error)
{
    const virXmlRule *rule = virXmlFind(rules, "", (const xmlChar *)"");
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *stripped = NULL;

    for (xmlNode *child = node->children; child; child = child->next)
        if (child->type == XML_TEXT_NODE || child->type == XML_CDATA_SECTION_NODE)
            g_string_append(text, (const char *)child->content);
    stripped = g_strstrip(g_strdup(text->str));
    if (!rule)
        return *stripped ? virXmlError(node, error, "text '%.40s' is not expected here",
                                       stripped)
                         : TRUE;
    if (!*stripped && rule->kind != VIR_XML_TEXT && !(rule->flags & VIR_XML_REQUIRED))
        return TRUE;
    *seen |= G_GUINT64_CONSTANT(1) << (rule - rules);
    return virXmlStore(node, rule, text->str, target, error);
}

/* An element that only carries a value: its text goes by the rule of the element itself. */
static gboolean
virXmlReadLeaf(xmlNode *node, const virXmlRule *rule, gpointer target, GError **error)
{
    virXmlRule leaf[] = {*rule, {NULL}};
    virXmlRule empty[] = {{NULL}};

    if (rule->kind == VIR_XML_FLAG) {
        *(gboolean *)((char *)target + rule->offset) = TRUE;
        return virXmlRead(node, empty, target, error);
    }
    leaf[0].name = "";
    leaf[0].flags = VIR_XML_REQUIRED;
    return virXmlRead(node, leaf, target, error);
}

static gboolean
virXmlReadChild(xmlNode *child, const virXmlRule *rule, gpointer target, GError **error)
{
    switch (rule->kind) {
    case VIR_XML_IGNORE:
        return TRUE;
    case VIR_XML_REFUSE:
        return virXmlError(child, error, "not supported: %s", rule->why);
    case VIR_XML_FUNC:
        return rule->func(child, target, error);
    case VIR_XML_SUB:
        return virXmlRead(child, rule->rules, target, error);
    case VIR_XML_STRING:
    case VIR_XML_TEXT:
    case VIR_XML_CHOICE:
    case VIR_XML_BOOL:
    case VIR_XML_UINT:
    case VIR_XML_FLAG:
        break;
    }
    return virXmlReadLeaf(child, rule, target, error);
}

static gboolean
virXmlReadChildren(xmlNode *node, const virXmlRule *rules, gpointer target, guint64 *seen,
                   GError **error)
{
    for (xmlNode *child = node->children; child; child = child->next) {
        gboolean qemu;
        const virXmlRule *rule;
        guint64 bit;

        if (child->type != XML_ELEMENT_NODE)
            continue;
        qemu = child->ns && g_str_equal((const char *)child->ns->href, VIR_XML_QEMU_NS);
        rule = child->ns && !qemu ? NULL
                                  : virXmlFind(rules, qemu ? "qemu:" : "", child->name);
        if (!rule)
            return virXmlError(child, error, "this element is not supported in <%s>",
                               (const char *)node->name);
        bit = G_GUINT64_CONSTANT(1) << (rule - rules);
        if ((*seen & bit) && !(rule->flags & VIR_XML_MANY) &&
            rule->kind != VIR_XML_IGNORE)
            return virXmlError(child, error, "it is there more than once in <%s>",
                               (const char *)node->name);
        *seen |= bit;
        if (!virXmlReadChild(child, rule, target, error))
            return FALSE;
    }
    return TRUE;
}

gboolean
virXmlRead(xmlNode *node, const virXmlRule *rules, gpointer target, GError **error)
{
    guint64 seen = 0;

    if (!virXmlReadAttributes(node, rules, target, &seen, error) ||
        !virXmlReadText(node, rules, target, &seen, error) ||
        !virXmlReadChildren(node, rules, target, &seen, error))
        return FALSE;
    for (const virXmlRule *rule = rules; rule->name; rule++) {
        g_assert(rule - rules < VIR_XML_MAX_RULES);
        if ((rule->flags & VIR_XML_REQUIRED) &&
            !(seen & (G_GUINT64_CONSTANT(1) << (rule - rules))))
            return virXmlError(node, error, "%s '%s' is missing",
                               rule->name[0] == '@' ? "attribute" : "element",
                               rule->name[0] == '@' ? rule->name + 1 : rule->name);
    }
    return TRUE;
}
