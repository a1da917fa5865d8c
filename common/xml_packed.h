/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xml_packed.h: a description in parsed form, on its way from one of our programs to another.
 *
 * Only plain trees have one: what is written out again can be read by any XML parser, and reads
 * as the same tree. That is seen to on both sides, so that no client can make a guest whose
 * description its next supervisor cannot read. Other XML, with names beyond ASCII, say, travels
 * as text.
 */
#ifndef LEASEHOLD_COMMON_XML_PACKED_H
#define LEASEHOLD_COMMON_XML_PACKED_H

#include "common/xml_node.h"

/** The tree with its line numbers; virXmlParse takes it, too. NULL: it is not plain. */
char *virXmlNodePack(const virXmlNode *root) G_GNUC_WARN_UNUSED_RESULT;
/** Whether @text claims to be the result of virXmlNodePack, which is no XML. */
gboolean virXmlNodeIsPacked(const char *text, gsize size);
/** NULL: it is damaged, not plain, or there is more of it than is permitted. */
virXmlNode *virXmlNodeUnpack(const char *text, gsize size) G_GNUC_WARN_UNUSED_RESULT;

#endif
