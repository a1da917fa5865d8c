# SPDX-License-Identifier: LGPL-2.1-or-later

pkgconfig_DATA += \
	%D%/leasehold-lock-manager.pc \
	%D%/leasehold-lock-driver.pc \
	$(NULL)

noinst_LTLIBRARIES += %D%/liblock_manager_core.la
%C%_liblock_manager_core_la_SOURCES = \
	%D%/acquire.c \
	%D%/config.c \
	%D%/config.h \
	%D%/driver.c \
	%D%/manager.c \
	%D%/manager.h \
	%D%/migrate.c \
	%D%/plugin.c \
	%D%/plugin.h \
	%D%/query.c \
	%D%/resource.c \
	%D%/shutdown.c \
	%D%/state.c \
	%D%/supervisor.c \
	%D%/ticket.c \
	%D%/ticket.h \
	%D%/turn.c \
	%D%/turn.h \
	%D%/watch.c \
	$(NULL)
%C%_liblock_manager_core_la_LIBADD = $(GLIB_LIBS) $(GIO_LIBS) $(JSON_LIBS)

# For third parties: the same code, with nothing but the public calls visible.
lib_LTLIBRARIES += liblock_manager.la
liblock_manager_la_SOURCES =
EXTRA_liblock_manager_la_DEPENDENCIES = %D%/liblock_manager.map
liblock_manager_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 \
	-Wl,--version-script=$(top_srcdir)/%D%/liblock_manager.map
liblock_manager_la_LIBADD = %D%/liblock_manager_core.la common/libcommon.la
EXTRA_DIST += %D%/liblock_manager.map
