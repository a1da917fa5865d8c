# SPDX-License-Identifier: LGPL-2.1-or-later

plugin_LTLIBRARIES += plugins/lockfile.la
plugins_lockfile_la_SOURCES = \
	%D%/file.c \
	%D%/lock.c \
	%D%/lockfile.c \
	%D%/lockfile.h \
	%D%/owner.c \
	%D%/process.c \
	%D%/record.c \
	$(NULL)
plugins_lockfile_la_LDFLAGS = $(AM_LDFLAGS) $(PLUGIN_LDFLAGS)
plugins_lockfile_la_LIBADD = common/libcommon.la $(GLIB_LIBS) $(GIO_LIBS)
