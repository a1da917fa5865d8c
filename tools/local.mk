# SPDX-License-Identifier: LGPL-2.1-or-later

bin_PROGRAMS += leasehold
leasehold_SOURCES = %D%/main.c %D%/tool_main.h
leasehold_LDADD = domain_lock/libdomain_lock_core.la common/libcommon.la $(GLIB_LIBS)

# All that the program does, with the libraries that it takes (main.c).
helper_LTLIBRARIES += helpers/leasehold-commands.la
helpers_leasehold_commands_la_CFLAGS = $(AM_CFLAGS)
helpers_leasehold_commands_la_LDFLAGS = \
	$(AM_LDFLAGS) -module -avoid-version -shared -export-symbols-regex '^virToolMain$$'
helpers_leasehold_commands_la_SOURCES = \
	%D%/cmd_attach.c \
	%D%/cmd_block.c \
	%D%/cmd_complete.c \
	%D%/cmd_destroy.c \
	%D%/cmd_disk.c \
	%D%/cmd_doctor.c \
	%D%/cmd_events.c \
	%D%/cmd_exec.c \
	%D%/cmd_help.c \
	%D%/cmd_host.c \
	%D%/cmd_identify.c \
	%D%/cmd_job.c \
	%D%/cmd_lease.c \
	%D%/cmd_list.c \
	%D%/cmd_migrate.c \
	%D%/cmd_plugin.c \
	%D%/cmd_power.c \
	%D%/cmd_reboot.c \
	%D%/cmd_reset.c \
	%D%/cmd_resume.c \
	%D%/cmd_run.c \
	%D%/cmd_save.c \
	%D%/cmd_save_image.c \
	%D%/cmd_show.c \
	%D%/cmd_shutdown.c \
	%D%/cmd_snapshot.c \
	%D%/cmd_store.c \
	%D%/cmd_store_gc.c \
	%D%/cmd_suspend.c \
	%D%/cmd_who.c \
	%D%/commands.c \
	%D%/exec_child.c \
	%D%/exec_child.h \
	%D%/exec_disks.c \
	%D%/exec_disks.h \
	%D%/tool.h \
	%D%/tool_error.c \
	%D%/tool_guest.c \
	%D%/tool_json.c \
	%D%/tool_main.c \
	%D%/tool_main.h \
	%D%/tool_notify.c \
	%D%/tool_options.c \
	%D%/tool_report.c \
	%D%/tool_table.c \
	%D%/tool_text.c \
	%D%/tool_wait.c \
	$(NULL)

helpers_leasehold_commands_la_LIBADD = \
	domain_lock/libdomain_lock_core.la \
	lock_manager/liblock_manager_core.la \
	common/libcommon.la \
	$(GIO_LIBS) $(GLIB_LIBS) $(JSON_LIBS) \
	$(NULL)
