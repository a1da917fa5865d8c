# SPDX-License-Identifier: LGPL-2.1-or-later

# The domain description, the sequences and the client. The programs link the convenience
# library; the shared one is for others and exports only the public names.
noinst_LTLIBRARIES += domain_lock/libdomain_lock_core.la
domain_lock_libdomain_lock_core_la_SOURCES = \
	%D%/agent.c \
	%D%/agent.h \
	%D%/archive.c \
	%D%/archive.h \
	%D%/audit.c \
	%D%/audit.h \
	%D%/block.h \
	%D%/block_commit.c \
	%D%/block_copy.c \
	%D%/block_graph.c \
	%D%/block_image.c \
	%D%/block_job.c \
	%D%/block_run.c \
	%D%/block_settle.c \
	%D%/block_snapshot.c \
	%D%/client.c \
	%D%/client.h \
	%D%/client_attach.c \
	%D%/client_block.c \
	%D%/client_call.c \
	%D%/client_devices.c \
	%D%/client_events.c \
	%D%/client_job.c \
	%D%/client_migrate.c \
	%D%/client_save.c \
	%D%/client_save_define.c \
	%D%/client_snapshot.c \
	%D%/client_power.c \
	%D%/client_start.c \
	%D%/client_wait.c \
	%D%/codec.c \
	%D%/codec.h \
	%D%/describe.c \
	%D%/describe.h \
	%D%/domain_address.c \
	%D%/domain_argv.c \
	%D%/domain_argv.h \
	%D%/domain_argv_device.c \
	%D%/domain_argv_disk.c \
	%D%/domain_argv_machine.c \
	%D%/domain_argv_small.c \
	%D%/domain_chain.c \
	%D%/domain_check.c \
	%D%/domain_check_disk.c \
	%D%/domain_command.c \
	%D%/domain_def.c \
	%D%/domain_def.h \
	%D%/domain_firmware.c \
	%D%/domain_hotplug.c \
	%D%/domain_live.c \
	%D%/domain_media.c \
	%D%/domain_parse.c \
	%D%/domain_parse_device.c \
	%D%/domain_parse_disk.c \
	%D%/domain_parse_machine.c \
	%D%/domain_parse_small.c \
	%D%/domain_pci.c \
	%D%/domain_priv.h \
	%D%/domain_usb.c \
	%D%/domain_xml.c \
	%D%/domain_xml.h \
	%D%/end.c \
	%D%/file.c \
	%D%/file.h \
	%D%/guest.h \
	%D%/hotplug.c \
	%D%/image_chain.c \
	%D%/image_chain.h \
	%D%/image_files.c \
	%D%/image_info.c \
	%D%/image_qcow2.c \
	%D%/image_snapshots.c \
	%D%/image_snapshots.h \
	%D%/image_within.c \
	%D%/job.c \
	%D%/job.h \
	%D%/leases.c \
	%D%/media.c \
	%D%/media_recover.c \
	%D%/migrate.h \
	%D%/migrate_back.c \
	%D%/migrate_channel.c \
	%D%/migrate_channel.h \
	%D%/migrate_check.c \
	%D%/migrate_in.c \
	%D%/migrate_out.c \
	%D%/migrate_port.c \
	%D%/migrate_priv.h \
	%D%/migrate_stream.c \
	%D%/migrate_tls.c \
	%D%/migrate_tls.h \
	%D%/object.c \
	%D%/object.h \
	%D%/plug.c \
	%D%/plug.h \
	%D%/policy.c \
	%D%/policy.h \
	%D%/power.c \
	%D%/power_state.c \
	%D%/power_state.h \
	%D%/request.c \
	%D%/reattach.c \
	%D%/reattach.h \
	%D%/reattach_leases.c \
	%D%/recover.c \
	%D%/restore.c \
	%D%/resources.c \
	%D%/runtime.c \
	%D%/runtime.h \
	%D%/save.c \
	%D%/save.h \
	%D%/save_file.c \
	%D%/save_file.h \
	%D%/save_image.c \
	%D%/save_image.h \
	%D%/save_stream.c \
	%D%/save_within.c \
	%D%/sequence.h \
	%D%/snapshot.h \
	%D%/snapshot_book.c \
	%D%/snapshot_book.h \
	%D%/snapshot_compare.c \
	%D%/snapshot_create.c \
	%D%/snapshot_delete.c \
	%D%/snapshot_job.c \
	%D%/snapshot_look.c \
	%D%/snapshot_offline.c \
	%D%/snapshot_recover.c \
	%D%/snapshot_revert.c \
	%D%/spec.c \
	%D%/spec.h \
	%D%/start.c \
	%D%/start_steps.h \
	%D%/step.c \
	%D%/step.h \
	%D%/transitions.c \
	%D%/transitions.h \
	%D%/types.c \
	%D%/types.h \
	%D%/undo.c \
	%D%/undo.h \
	$(NULL)
domain_lock_libdomain_lock_core_la_LIBADD = $(XML_LIBS) $(JSON_LIBS) $(GIO_LIBS) $(GLIB_LIBS)

# For third parties: the same code, with nothing but the public calls visible.
lib_LTLIBRARIES += libdomain_lock.la
libdomain_lock_la_SOURCES =
EXTRA_libdomain_lock_la_DEPENDENCIES = %D%/libdomain_lock.map
libdomain_lock_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 -no-undefined \
	-Wl,--version-script=$(top_srcdir)/%D%/libdomain_lock.map
libdomain_lock_la_LIBADD = %D%/libdomain_lock_core.la liblock_manager.la common/libcommon.la
EXTRA_DIST += %D%/libdomain_lock.map

pkgconfig_DATA += \
	%D%/leasehold-domain-lock.pc \
	$(NULL)
