# SPDX-License-Identifier: LGPL-2.1-or-later

check_PROGRAMS += %D%/holder
%C%_holder_SOURCES = %D%/holder.c
%C%_holder_LDADD = $(GLIB_LIBS) $(GIO_LIBS)
