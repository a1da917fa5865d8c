# SPDX-License-Identifier: LGPL-2.1-or-later

plugin_LTLIBRARIES += plugins/nop.la
plugins_nop_la_SOURCES = %D%/nop.c
plugins_nop_la_LDFLAGS = $(AM_LDFLAGS) $(PLUGIN_LDFLAGS)
plugins_nop_la_LIBADD = $(GLIB_LIBS) $(GIO_LIBS)
