# SPDX-License-Identifier: LGPL-2.1-or-later

noinst_LTLIBRARIES += common/libcommon.la
common_libcommon_la_SOURCES = \
	%D%/bytes.c \
	%D%/bytes.h \
	%D%/checksum.c \
	%D%/checksum.h \
	%D%/helper.c \
	%D%/helper.h \
	%D%/identity.c \
	%D%/identity.h \
	%D%/identity_block.c \
	%D%/lock_types.c \
	%D%/text.c \
	%D%/text.h \
	%D%/xml_node.c \
	%D%/xml_node.h \
	%D%/xml_packed.c \
	%D%/xml_packed.h \
	%D%/fd.c \
	%D%/fd.h \
	%D%/spawn.c \
	%D%/spawn.h \
	%D%/use_record.c \
	%D%/use_record.h \
	$(NULL)
common_libcommon_la_LIBADD = $(GLIB_LIBS) $(GIO_LIBS) $(JSON_LIBS) $(BLKID_LIBS)
