/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xml_node.h: a description in memory: elements, attributes, text and comments.
 *
 * libxml2 brings ICU and libstdc++ along: a millisecond of every start and 180 KiB of every
 * supervisor. So it is loaded only where there is text to be parsed (xml_parser.h), and what
 * it has read is kept in a tree of our own. One of our programs hands a description to
 * another in parsed form (xml_packed.h), so that a supervisor mostly does without.
 */
#ifndef LEASEHOLD_COMMON_XML_NODE_H
#define LEASEHOLD_COMMON_XML_NODE_H

#include <glib.h>

#define VIR_XML_MAX_SIZE (4 * 1024 * 1024) /* a guest with 1000 disks has 0.5 MB */
#define VIR_XML_MAX_NODES 50000
/* a chain of 200 images is as many elements deep; libxml2 has its own limit at 256 */
#define VIR_XML_MAX_DEPTH 240

typedef enum {
    VIR_XML_ELEMENT,
    VIR_XML_TEXT_NODE, /* without CDATA, which is text */
    VIR_XML_COMMENT,
} virXmlNodeKind;

typedef struct _virXmlAttr {
    struct _virXmlAttr *next;
    char *prefix; /* NULL: none */
    char *name;
    char *value;
} virXmlAttr;

typedef struct _virXmlNode {
    virXmlNodeKind kind;
    guint line;
    char *prefix;  /* of an element, as it is written; NULL: none */
    char *ns;      /* of an element: the URI of its namespace; NULL: none */
    char *name;    /* of an element; never NULL: "text" and "comment" of the others */
    char *content; /* of the others */
    /* in the order in which they are written; declarations of namespaces are none: */
    virXmlAttr *attributes;
    virXmlAttr *declared; /* prefix (NULL: default) and, as the value, its URI */
    struct _virXmlNode *parent, *children, *last, *prev, *next;
} virXmlNode;

virXmlNode *virXmlNodeNew(virXmlNodeKind kind, const char *name) G_GNUC_WARN_UNUSED_RESULT;
/** Takes it out of its tree first. */
void virXmlNodeFree(virXmlNode *node);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virXmlNode, virXmlNodeFree)
virXmlNode *virXmlNodeCopy(const virXmlNode *node) G_GNUC_WARN_UNUSED_RESULT;

/** @child, which is in no tree, becomes the last child of @parent; returns @child. */
virXmlNode *virXmlNodeAppend(virXmlNode *parent, virXmlNode *child);
/** @node, which is in no tree, comes right after @sibling. */
void virXmlNodeInsertAfter(virXmlNode *sibling, virXmlNode *node);
/** A new last element of @parent. */
virXmlNode *virXmlNodeAdd(virXmlNode *parent, const char *name);
/** Its content becomes this text alone. */
void virXmlNodeSetText(virXmlNode *node, const char *text);

/** An attribute without a namespace; NULL: it is not there. */
const char *virXmlNodeGet(const virXmlNode *node, const char *name);
void virXmlNodeSet(virXmlNode *node, const char *name, const char *value);

virXmlNode *virXmlNodeFirstElement(const virXmlNode *parent);
virXmlNode *virXmlNodeNextElement(const virXmlNode *node);
gboolean virXmlNodeIsBlank(const virXmlNode *node);

/** Whether it is UTF-8 without characters that XML cannot have. */
gboolean virXmlTextIsValid(const char *text);
/** The tree as indented XML, without an end of line. */
char *virXmlNodeFormat(const virXmlNode *root) G_GNUC_WARN_UNUSED_RESULT;

#endif
