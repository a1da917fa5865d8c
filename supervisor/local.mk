# SPDX-License-Identifier: LGPL-2.1-or-later

# What the supervisor is made of but its main function, so that tests link the same code.
noinst_LTLIBRARIES += supervisor/libsupervisor.la
supervisor_libsupervisor_la_SOURCES = \
	%D%/cgroup.c \
	%D%/cgroup.h \
	%D%/control.c \
	%D%/control.h \
	%D%/control_auth.c \
	%D%/control_auth.h \
	%D%/control_bus.c \
	%D%/control_bus.h \
	%D%/control_client.c \
	%D%/control_client.h \
	%D%/control_blocks.c \
	%D%/control_disks.c \
	%D%/control_jobs.c \
	%D%/control_methods.c \
	%D%/control_migrate.c \
	%D%/control_save.c \
	%D%/control_snapshots.c \
	%D%/control_power.c \
	%D%/control_stream.c \
	%D%/control_stream.h \
	%D%/deadline.c \
	%D%/deadline.h \
	%D%/drain.c \
	%D%/drain.h \
	%D%/guest_end.c \
	%D%/guest_log.c \
	%D%/guest_log.h \
	%D%/guest_priv.h \
	%D%/guest_qemu.c \
	%D%/guest_qemu.h \
	%D%/hold.c \
	%D%/hold.h \
	%D%/json_framer.c \
	%D%/json_framer.h \
	%D%/jobs.c \
	%D%/jobs.h \
	%D%/lease_loss.c \
	%D%/lease_loss.h \
	%D%/owner.c \
	%D%/owner.h \
	%D%/leftovers.c \
	%D%/leftovers.h \
	%D%/log_limit.c \
	%D%/log_limit.h \
	%D%/migration.c \
	%D%/migration.h \
	%D%/park.c \
	%D%/park.h \
	%D%/qmp.c \
	%D%/qmp.h \
	%D%/qmp_connect.c \
	%D%/qmp_events.c \
	%D%/qmp_events.h \
	%D%/qmp_message.c \
	%D%/qmp_message.h \
	%D%/qmp_priv.h \
	%D%/watch.c \
	%D%/watch.h \
	%D%/restart.c \
	%D%/restart.h \
	%D%/starter.c \
	%D%/starter.h \
	%D%/supervisor.c \
	%D%/supervisor.h \
	%D%/supervisor_loss.c \
	%D%/supervisor_priv.h \
	%D%/supervisor_start.c \
	$(NULL)
nodist_supervisor_libsupervisor_la_SOURCES = \
	%D%/guest1_info.c \
	%D%/guest1_info.h \
	$(NULL)
supervisor_libsupervisor_la_LIBADD = $(JSON_LIBS) $(GIO_LIBS) $(GLIB_LIBS)

# The interface description as data: GDBus checks arguments and introspects with it.
BUILT_SOURCES += %D%/guest1_info.c %D%/guest1_info.h
CLEANFILES += %D%/guest1_info.c %D%/guest1_info.h
GUEST1_XML = $(srcdir)/data/io.leasehold.Guest1.xml
GUEST1_CODEGEN = $(AM_V_GEN)$(MKDIR_P) %D% && $(GDBUS_CODEGEN) --interface-prefix io.leasehold. \
	--c-namespace VirDomainLock
%D%/guest1_info.h: data/io.leasehold.Guest1.xml
	$(GUEST1_CODEGEN) --interface-info-header --output $@ $(GUEST1_XML)
%D%/guest1_info.c: data/io.leasehold.Guest1.xml
	$(GUEST1_CODEGEN) --interface-info-body --output $@ $(GUEST1_XML)

helper_PROGRAMS += helpers/leasehold-lockfailure
helpers_leasehold_lockfailure_SOURCES = %D%/lockfailure.c
helpers_leasehold_lockfailure_LDADD = supervisor/libsupervisor.la common/libcommon.la \
	$(JSON_LIBS) $(GIO_LIBS) $(GLIB_LIBS)

helper_PROGRAMS += helpers/leasehold-with-swtpm
helpers_leasehold_with_swtpm_SOURCES = %D%/with_swtpm.c
helpers_leasehold_with_swtpm_LDADD = common/libcommon.la $(GIO_LIBS) $(GLIB_LIBS)

helper_PROGRAMS += helpers/leasehold-supervisor
helpers_leasehold_supervisor_SOURCES = %D%/main.c
helpers_leasehold_supervisor_LDADD = \
	supervisor/libsupervisor.la \
	domain_lock/libdomain_lock_core.la \
	lock_manager/liblock_manager_core.la \
	common/libcommon.la \
	$(JSON_LIBS) $(GIO_LIBS) $(GLIB_LIBS) \
	$(NULL)
