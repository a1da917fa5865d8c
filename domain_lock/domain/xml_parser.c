/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xml_parser.c: see xml_parser.h. libxml2 reports what it finds by SAX; the limits are
 * enforced there, while it runs, so that a bomb never becomes a tree.
 */
#include "config.h"
#include "domain_lock/domain/xml_parser.h"
#include "common/text.h"

#include <libxml/parser.h>
#include <string.h>

typedef struct {
    virXmlNode *root;
    virXmlNode *at; /* the element that is open; NULL: none is */
    GString *text;  /* what was read of its text; it comes in pieces */
    guint nodes;
    guint depth;
    const char *refused;
} virXmlBuild;

static virXmlBuild *
virXmlBuildOf(gpointer opaque)
{
    return ((xmlParserCtxt *)opaque)->_private;
}

static void
virXmlStop(xmlParserCtxt *ctxt, const char *why)
{
    virXmlBuild *build = virXmlBuildOf(ctxt);

    if (!build->refused)
        build->refused = why;
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
virXmlEndText(virXmlBuild *build)
{
    if (build->at && build->text->len > 0)
        virXmlNodeAppend(build->at, virXmlNodeNew(VIR_XML_TEXT_NODE, "text"))->content =
            g_strndup(build->text->str, build->text->len);
    g_string_truncate(build->text, 0);
}

/* libxml2 has them as a prefix and a URI each. */
static void
virXmlAddDeclarations(virXmlNode *node, int n, const xmlChar **namespaces)
{
    virXmlAttr **end = &node->declared;

    for (int i = 0; i < n; i++, end = &(*end)->next) {
        *end = g_new0(virXmlAttr, 1);
        (*end)->prefix = g_strdup((const char *)namespaces[2 * i]);
        (*end)->value = g_strdup((const char *)namespaces[2 * i + 1]);
        if (!(*end)->value)
            (*end)->value = g_strdup("");
    }
}

/* Each is a name, a prefix, a URI, and where its value begins and ends. */
static void
virXmlAddAttributes(virXmlNode *node, int n, const xmlChar **attributes)
{
    virXmlAttr **end = &node->attributes;

    for (int i = 0; i < n; i++, attributes += 5, end = &(*end)->next) {
        const char *value = (const char *)attributes[3];

        *end = g_new0(virXmlAttr, 1);
        (*end)->name = g_strdup((const char *)attributes[0]);
        (*end)->prefix = g_strdup((const char *)attributes[1]);
        (*end)->value = g_strndup(value, (gsize)((const char *)attributes[4] - value));
    }
}

static void
virXmlOnStart(void *opaque, const xmlChar *name, const xmlChar *prefix,
              const xmlChar *uri, int nNamespaces, const xmlChar **namespaces,
              int nAttributes, int nDefaulted, const xmlChar **attributes)
{
    xmlParserCtxt *ctxt = opaque;
    virXmlBuild *build = virXmlBuildOf(ctxt);
    virXmlNode *node = NULL;

    build->nodes += 1 + (guint)nAttributes;
    if (build->nodes > VIR_XML_MAX_NODES) {
        virXmlStop(ctxt, "there are more elements than any guest has");
        return;
    }
    if (++build->depth > VIR_XML_MAX_DEPTH) {
        virXmlStop(ctxt, "elements are nested too deep");
        return;
    }
    virXmlEndText(build);
    node = virXmlNodeNew(VIR_XML_ELEMENT, (const char *)name);
    node->line = ctxt->input && ctxt->input->line > 0 ? (guint)ctxt->input->line : 0;
    node->prefix = g_strdup((const char *)prefix);
    node->ns = g_strdup((const char *)uri);
    virXmlAddDeclarations(node, nNamespaces, namespaces);
    virXmlAddAttributes(node, nAttributes, attributes);
    if (build->at)
        virXmlNodeAppend(build->at, node);
    else if (!build->root)
        build->root = node;
    else
        virXmlNodeFree(g_steal_pointer(&node)); /* a second root: the parser refuses it */
    if (node)
        build->at = node;
}

static void
virXmlOnEnd(void *opaque, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    virXmlBuild *build = virXmlBuildOf(opaque);

    virXmlEndText(build);
    build->depth--;
    if (build->at)
        build->at = build->at->parent;
}

static void
virXmlOnText(void *opaque, const xmlChar *text, int len)
{
    g_string_append_len(virXmlBuildOf(opaque)->text, (const char *)text, len);
}

static void
virXmlOnComment(void *opaque, const xmlChar *text)
{
    virXmlBuild *build = virXmlBuildOf(opaque);

    virXmlEndText(build);
    if (build->at)
        virXmlNodeAppend(build->at, virXmlNodeNew(VIR_XML_COMMENT, "comment"))->content =
            g_strdup((const char *)text);
}

static void
virXmlExplain(xmlParserCtxt *ctxt, const virXmlBuild *build, guint *line, char **message)
{
    int at = ctxt->input ? ctxt->input->line : 0;

    if (!build->refused && ctxt->lastError.message) {
        *message = virTextPrintable(g_strchomp(ctxt->lastError.message));
        at = ctxt->lastError.line;
    } else {
        *message = g_strdup(build->refused ? build->refused : "not an XML document");
    }
    *line = (guint)MAX(at, 0);
}

virXmlNode *
virXmlParserRun(const char *text, gsize size, guint *line, char **message)
{
    g_autoptr(GString) textRead = g_string_new(NULL);
    virXmlBuild build = {.text = textRead};
    xmlParserCtxt *ctxt = xmlNewParserCtxt();
    xmlSAXHandler *sax = ctxt->sax;
    xmlDoc *doc = NULL;
    gboolean good;

    ctxt->_private = &build;
    sax->internalSubset = virXmlOnDoctype;
    sax->startElementNs = virXmlOnStart;
    sax->endElementNs = virXmlOnEnd;
    sax->characters = virXmlOnText;
    sax->ignorableWhitespace = virXmlOnText;
    sax->cdataBlock = virXmlOnText;
    sax->comment = virXmlOnComment;
    sax->processingInstruction = NULL;
    sax->reference = NULL; /* without a DTD there are no entities but the five of XML */
    doc = xmlCtxtReadMemory(ctxt, text, (int)size, "domain.xml", "UTF-8",
                            XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
                                XML_PARSE_NOENT | XML_PARSE_BIG_LINES);
    good = !build.refused && ctxt->wellFormed && ctxt->nsWellFormed && build.root;
    if (!good) {
        virXmlExplain(ctxt, &build, line, message);
        g_clear_pointer(&build.root, virXmlNodeFree);
    }
    xmlFreeDoc(doc);
    xmlFreeParserCtxt(ctxt);
    return build.root;
}
