# SPDX-License-Identifier: LGPL-2.1-or-later

# Shared by the plugin, its helper and the tests.
noinst_LTLIBRARIES += plugins/sanlock/libsanlock_core.la
plugins_sanlock_libsanlock_core_la_SOURCES = \
	%D%/acquire.c \
	%D%/call.c \
	%D%/call.h \
	%D%/client.c \
	%D%/client.h \
	%D%/convert.c \
	%D%/create.c \
	%D%/daemon.c \
	%D%/daemon.h \
	%D%/errors.c \
	%D%/errors.h \
	%D%/format.c \
	%D%/format.h \
	%D%/helper_run.c \
	%D%/helper_run.h \
	%D%/host.c \
	%D%/host.h \
	%D%/host_list.c \
	%D%/hosts.c \
	%D%/hosts.h \
	%D%/lease.c \
	%D%/lease.h \
	%D%/libsanlock.h \
	%D%/marker.c \
	%D%/marker.h \
	%D%/object.c \
	%D%/object.h \
	%D%/owner.c \
	%D%/owner.h \
	%D%/parallel.c \
	%D%/parallel.h \
	%D%/reclaim.c \
	%D%/release.c \
	%D%/renewal.c \
	%D%/rings.c \
	%D%/rings.h \
	%D%/settings.c \
	%D%/settings.h \
	%D%/slots.c \
	%D%/slots.h \
	%D%/store.c \
	%D%/store.h \
	%D%/store_admin.h \
	%D%/store_check.c \
	%D%/store_create.c \
	%D%/take.c \
	%D%/take.h \
	%D%/use.c \
	$(NULL)
plugins_sanlock_libsanlock_core_la_LIBADD = \
	common/libcommon.la $(SANLOCK_LIBS) $(GLIB_LIBS) $(GIO_LIBS)

plugin_LTLIBRARIES += plugins/sanlock.la
plugins_sanlock_la_SOURCES = %D%/driver.c
plugins_sanlock_la_LIBADD = plugins/sanlock/libsanlock_core.la
plugins_sanlock_la_LDFLAGS = \
	$(AM_LDFLAGS) -module -avoid-version -shared -export-symbols-regex '^virLockDriverGet$$'

helper_PROGRAMS += helpers/leasehold-sanlock-helper
helpers_leasehold_sanlock_helper_SOURCES = %D%/helper/main.c
helpers_leasehold_sanlock_helper_LDADD = plugins/sanlock/libsanlock_core.la
