/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xml_parser.h: what leasehold-xml.so exports, the module in which libxml2 is.
 *
 * It is loaded when the first text is to be parsed and stays then (domain_xml.c).
 */
#ifndef LEASEHOLD_DOMAIN_LOCK_XML_PARSER_H
#define LEASEHOLD_DOMAIN_LOCK_XML_PARSER_H

#include "common/xml_node.h"

#define VIR_XML_PARSER_MODULE "leasehold-xml.so"
#define VIR_XML_PARSER_SYMBOL "virXmlParserRun"

/**
 * virXmlParserRun:
 * @message: what is wrong, for people; to be freed
 *
 * The root element of @text, which is UTF-8; or NULL with the line of what is wrong. No
 * network, no DTD, no entities but the five of XML; bounded in number and depth of elements.
 */
typedef virXmlNode *(*virXmlParserFunc)(const char *text, gsize size, guint *line,
                                        char **message);

virXmlNode *virXmlParserRun(const char *text, gsize size, guint *line, char **message)
    __attribute__((visibility("default")));

#endif
