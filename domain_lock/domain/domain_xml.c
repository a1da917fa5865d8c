/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_xml.c: see domain_xml.h.
 */
#include "domain_xml.h"
#include "common/helper.h"
#include "common/text.h"
#include "common/xml_packed.h"
#include "domain_lock/domain/xml_parser.h"
#include "config.h"

#include <leasehold/lock_types.h>
#include <string.h>

#define VIR_XML_QEMU_NS "http://libvirt.org/schemas/domain/qemu/1.0"
/* One table is read with at most this many rules: their "seen" marks are one word. */
#define VIR_XML_MAX_RULES 64

/* --- the document ------------------------------------------------------------------------ */

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

static virXmlParserFunc
virXmlParser(GError **error)
{
    static GMutex mutex;
    static virXmlParserFunc parser;
    G_GNUC_UNUSED g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&mutex);

    if (!parser)
        parser = (virXmlParserFunc)virHelperSymbol(VIR_XML_PARSER_MODULE,
                                                   VIR_XML_PARSER_SYMBOL, error);
    if (!parser)
        g_prefix_error(error, "the XML parser of this installation cannot be loaded: ");
    return parser;
}

virXmlNode *
virXmlParse(const char *text, gssize len, GError **error)
{
    gsize size = len < 0 ? strlen(text) : (gsize)len;
    g_autofree char *message = NULL;
    virXmlParserFunc parser;
    virXmlNode *root;
    guint line = 0;

    if (virXmlNodeIsPacked(text, size)) {
        root = virXmlNodeUnpack(text, size);
        if (!root)
            g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                        "domain XML: its parsed form is damaged");
        return root;
    }
    if (!virXmlCheckText(text, size, error) || !(parser = virXmlParser(error)))
        return NULL;
    root = parser(text, size, &line, &message);
    if (!root)
        g_set_error(error, VIR_LOCK_ERROR, VIR_LOCK_ERROR_CONFIG,
                    "domain XML line %u: %s", line, message);
    return root;
}

/* --- errors and values ------------------------------------------------------------------- */

gboolean
virXmlError(const virXmlNode *node, GError **error, const char *format, ...)
{
    g_autofree char *words = NULL;
    g_autofree char *message = NULL;
    g_autofree char *printable = NULL;
    va_list args;

    va_start(args, format);
    words = g_strdup_vprintf(format, args);
    va_end(args);
    message =
        g_strdup_printf("domain XML line %u: <%s>: %s", node->line, node->name, words);
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
virXmlStoreBool(virXmlNode *node, const virXmlRule *rule, const char *text, virXmlBool *out,
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
virXmlStoreChoice(virXmlNode *node, const virXmlRule *rule, const char *text, char **out,
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
virXmlStore(virXmlNode *node, const virXmlRule *rule, const char *raw, gpointer target,
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
virXmlFind(const virXmlRule *rules, const char *prefix, const char *name)
{
    gsize skip = strlen(prefix);

    for (; rules->name; rules++)
        if (strncmp(rules->name, prefix, skip) == 0 &&
            g_str_equal(rules->name + skip, name))
            return rules;
    return NULL;
}

static gboolean
virXmlReadAttributes(virXmlNode *node, const virXmlRule *rules, gpointer target,
                     guint64 *seen, GError **error)
{
    for (const virXmlAttr *attr = node->attributes; attr; attr = attr->next) {
        const virXmlRule *rule = attr->prefix ? NULL : virXmlFind(rules, "@", attr->name);

        if (!rule)
            return virXmlError(node, error, "attribute '%s' is not supported",
                               attr->name);
        *seen |= G_GUINT64_CONSTANT(1) << (rule - rules);
        if (!virXmlStore(node, rule, attr->value, target, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
virXmlReadText(virXmlNode *node, const virXmlRule *rules, gpointer target, guint64 *seen,
               GError **error)
{
    const virXmlRule *rule = virXmlFind(rules, "", "");
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *stripped = NULL;

    for (virXmlNode *child = node->children; child; child = child->next)
        if (child->kind == VIR_XML_TEXT_NODE)
            g_string_append(text, child->content);
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
virXmlReadLeaf(virXmlNode *node, const virXmlRule *rule, gpointer target, GError **error)
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
virXmlReadChild(virXmlNode *child, const virXmlRule *rule, gpointer target, GError **error)
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
virXmlReadChildren(virXmlNode *node, const virXmlRule *rules, gpointer target, guint64 *seen,
                   GError **error)
{
    for (virXmlNode *child = node->children; child; child = child->next) {
        gboolean qemu;
        const virXmlRule *rule;
        guint64 bit;

        if (child->kind != VIR_XML_ELEMENT)
            continue;
        qemu = child->ns && g_str_equal(child->ns, VIR_XML_QEMU_NS);
        rule = child->ns && !qemu ? NULL
                                  : virXmlFind(rules, qemu ? "qemu:" : "", child->name);
        if (!rule)
            return virXmlError(child, error, "this element is not supported in <%s>",
                               node->name);
        bit = G_GUINT64_CONSTANT(1) << (rule - rules);
        if ((*seen & bit) && !(rule->flags & VIR_XML_MANY) &&
            rule->kind != VIR_XML_IGNORE)
            return virXmlError(child, error, "it is there more than once in <%s>",
                               node->name);
        *seen |= bit;
        if (!virXmlReadChild(child, rule, target, error))
            return FALSE;
    }
    return TRUE;
}

gboolean
virXmlRead(virXmlNode *node, const virXmlRule *rules, gpointer target, GError **error)
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
