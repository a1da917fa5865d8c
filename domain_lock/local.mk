# SPDX-License-Identifier: LGPL-2.1-or-later

# The domain description, the sequences and the client. The programs link the convenience
# library; the shared one is for others and exports only the public names.
noinst_LTLIBRARIES += domain_lock/libdomain_lock_core.la
domain_lock_libdomain_lock_core_la_SOURCES = \
	%D%/archive.c \
	%D%/archive.h \
	%D%/audit.c \
	%D%/audit.h \
	%D%/client.c \
	%D%/client.h \
	%D%/client_call.c \
	%D%/client_events.c \
	%D%/client_start.c \
	%D%/client_wait.c \
	%D%/codec.c \
	%D%/codec.h \
	%D%/domain_def.h \
	%D%/end.c \
	%D%/file.c \
	%D%/file.h \
	%D%/guest.h \
	%D%/object.c \
	%D%/object.h \
	%D%/power.c \
	%D%/runtime.c \
	%D%/runtime.h \
	%D%/sequence.h \
	%D%/spec.c \
	%D%/spec.h \
	%D%/start.c \
	%D%/step.c \
	%D%/step.h \
	%D%/transitions.c \
	%D%/transitions.h \
	%D%/types.c \
	%D%/types.h \
	%D%/undo.c \
	%D%/undo.h \
	$(NULL)
domain_lock_libdomain_lock_core_la_LIBADD = $(JSON_LIBS) $(GIO_LIBS) $(GLIB_LIBS)

pkgconfig_DATA += \
	%D%/leasehold-domain-lock.pc \
	$(NULL)
