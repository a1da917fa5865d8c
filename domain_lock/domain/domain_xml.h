/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_xml.h: reading XML by tables, so that nothing in a description is passed over.
 *
 * For each element there is a table of what it may contain. virXmlRead walks the element and
 * stores what it finds by the table; an attribute, a child or a text that the table does not
 * name is an error that names it and its line. What is harmless to leave out is in the
 * tables too, as IGNORE; what would change which data a guest touches is there as REFUSE,
 * with the reason.
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_DOMAIN_XML_H
#define LEASEHOLD_DOMAIN_LOCK_DOMAIN_XML_H

#include "common/xml_node.h"

#include <gio/gio.h>

/** yes/no and on/off attributes. */
typedef enum {
    VIR_XML_ABSENT = 0,
    VIR_XML_YES,
    VIR_XML_NO,
} virXmlBool;

typedef gboolean (*virXmlFunc)(virXmlNode *node, gpointer target, GError **error);

typedef enum {
    VIR_XML_STRING = 0, /* char *: a copy, not empty */
    VIR_XML_TEXT,       /* char *: a copy, may be empty */
    VIR_XML_CHOICE,     /* char *: a copy of one of .choices */
    VIR_XML_BOOL,       /* virXmlBool */
    VIR_XML_UINT,       /* guint64, at most .max (0: no limit); decimal or 0x */
    VIR_XML_FLAG,       /* gboolean: TRUE if the (empty) element is there */
    VIR_XML_SUB,        /* a child read by .rules into the same target */
    VIR_XML_FUNC,       /* a child read by .func with the same target */
    VIR_XML_IGNORE,     /* harmless: not looked at, with all that is in it */
    VIR_XML_REFUSE,     /* an error with the reason .why */
} virXmlKind;

typedef enum {
    VIR_XML_MANY = 1 << 0, /* the element may be repeated */
    VIR_XML_REQUIRED = 1 << 1,
} virXmlRuleFlags;

typedef struct _virXmlRule {
    const char
        *name; /* "@x": attribute x; "": the text; "x": child x; "qemu:x": child x of
                       * libvirt's QEMU namespace */
    virXmlKind kind;
    gsize offset;
    guint flags;
    /* by the kind; there are hundreds of rules, and their pages are each supervisor's own */
    union {
        guint64 max;                     /* UINT */
        const char *const *choices;      /* CHOICE */
        virXmlFunc func;                 /* FUNC */
        const struct _virXmlRule *rules; /* SUB */
        const char *why;                 /* REFUSE */
    };
} virXmlRule;

/**
 * virXmlParse: the root element of @text, which is XML or what virXmlNodePack made of it; or
 * CONFIG with the line. No network, no DTD, no entities but the five of XML; bounded in size,
 * number and depth of elements.
 */
virXmlNode *virXmlParse(const char *text, gssize len,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

gboolean virXmlRead(virXmlNode *node, const virXmlRule *rules, gpointer target,
                    GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** Sets CONFIG: "domain XML line 12: <disk>: ...". Returns FALSE. */
gboolean virXmlError(const virXmlNode *node, GError **error, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/** The number in @text (decimal or 0x, not above @max unless that is 0). */
gboolean virXmlParseNumber(const char *text, guint64 max,
                           guint64 *value) G_GNUC_WARN_UNUSED_RESULT;

#endif
