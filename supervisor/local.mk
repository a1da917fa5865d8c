# SPDX-License-Identifier: LGPL-2.1-or-later

# What the supervisor is made of but its main function, so that tests link the same code.
noinst_LTLIBRARIES += supervisor/libsupervisor.la
supervisor_libsupervisor_la_SOURCES = \
	%D%/cgroup.c \
	%D%/cgroup.h \
	%D%/guest_log.c \
	%D%/guest_log.h \
	%D%/guest_qemu.c \
	%D%/guest_qemu.h \
	%D%/json_framer.c \
	%D%/json_framer.h \
	%D%/leftovers.c \
	%D%/leftovers.h \
	%D%/park.c \
	%D%/park.h \
	%D%/qmp.c \
	%D%/qmp.h \
	%D%/qmp_events.c \
	%D%/qmp_events.h \
	$(NULL)
supervisor_libsupervisor_la_LIBADD = $(JSON_LIBS) $(GIO_LIBS) $(GLIB_LIBS)
