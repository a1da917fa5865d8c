# SPDX-License-Identifier: LGPL-2.1-or-later

# The domain description, the sequences and the client. The programs link the convenience
# library; the shared one is for others and exports only the public names.
noinst_LTLIBRARIES += domain_lock/libdomain_lock_core.la
domain_lock_libdomain_lock_core_la_SOURCES = \
	%D%/agent.c \
	%D%/agent.h \
	%D%/audit.c \
	%D%/audit.h \
	%D%/codec.c \
	%D%/codec.h \
	%D%/describe.c \
	%D%/describe.h \
	%D%/end.c \
	%D%/file.c \
	%D%/file.h \
	%D%/freed.c \
	%D%/freed.h \
	%D%/guest.h \
	%D%/job.c \
	%D%/job.h \
	%D%/leases.c \
	%D%/object.c \
	%D%/object.h \
	%D%/policy.c \
	%D%/policy.h \
	%D%/power.c \
	%D%/power_state.c \
	%D%/power_state.h \
	%D%/reattach.c \
	%D%/reattach.h \
	%D%/reattach_leases.c \
	%D%/recover.c \
	%D%/request.c \
	%D%/resources.c \
	%D%/runtime.c \
	%D%/runtime.h \
	%D%/sequence.h \
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
	%D%/block/block.h \
	%D%/block/block_commit.c \
	%D%/block/block_copy.c \
	%D%/block/block_graph.c \
	%D%/block/block_image.c \
	%D%/block/block_job.c \
	%D%/block/block_run.c \
	%D%/block/block_settle.c \
	%D%/block/block_snapshot.c \
	%D%/client/client.c \
	%D%/client/client.h \
	%D%/client/client_attach.c \
	%D%/client/client_block.c \
	%D%/client/client_call.c \
	%D%/client/client_devices.c \
	%D%/client/client_events.c \
	%D%/client/client_job.c \
	%D%/client/client_message.c \
	%D%/client/client_migrate.c \
	%D%/client/client_power.c \
	%D%/client/client_save.c \
	%D%/client/client_save_define.c \
	%D%/client/client_snapshot.c \
	%D%/client/client_spare.c \
	%D%/client/client_start.c \
	%D%/client/client_wait.c \
	%D%/device/hotplug.c \
	%D%/device/media.c \
	%D%/device/media_recover.c \
	%D%/device/plug.c \
	%D%/device/plug.h \
	%D%/domain/domain_address.c \
	%D%/domain/domain_argv.c \
	%D%/domain/domain_argv.h \
	%D%/domain/domain_argv_device.c \
	%D%/domain/domain_argv_disk.c \
	%D%/domain/domain_argv_machine.c \
	%D%/domain/domain_argv_small.c \
	%D%/domain/domain_chain.c \
	%D%/domain/domain_check.c \
	%D%/domain/domain_check_disk.c \
	%D%/domain/domain_command.c \
	%D%/domain/domain_def.c \
	%D%/domain/domain_def.h \
	%D%/domain/domain_firmware.c \
	%D%/domain/domain_hotplug.c \
	%D%/domain/domain_live.c \
	%D%/domain/domain_media.c \
	%D%/domain/domain_parse.c \
	%D%/domain/domain_parse_device.c \
	%D%/domain/domain_parse_disk.c \
	%D%/domain/domain_parse_machine.c \
	%D%/domain/domain_parse_small.c \
	%D%/domain/domain_pci.c \
	%D%/domain/domain_priv.h \
	%D%/domain/domain_usb.c \
	%D%/domain/domain_xml.c \
	%D%/domain/domain_xml.h \
	%D%/domain/xml_parser.h \
	%D%/image/image_chain.c \
	%D%/image/image_chain.h \
	%D%/image/image_files.c \
	%D%/image/image_info.c \
	%D%/image/image_qcow2.c \
	%D%/image/image_snapshots.c \
	%D%/image/image_snapshots.h \
	%D%/image/image_within.c \
	%D%/migrate/migrate.h \
	%D%/migrate/migrate_back.c \
	%D%/migrate/migrate_channel.c \
	%D%/migrate/migrate_channel.h \
	%D%/migrate/migrate_check.c \
	%D%/migrate/migrate_connect.c \
	%D%/migrate/migrate_go_on.c \
	%D%/migrate/migrate_in.c \
	%D%/migrate/migrate_out.c \
	%D%/migrate/migrate_port.c \
	%D%/migrate/migrate_priv.h \
	%D%/migrate/migrate_settle.c \
	%D%/migrate/migrate_storage.c \
	%D%/migrate/migrate_storage.h \
	%D%/migrate/migrate_stream.c \
	%D%/migrate/migrate_tls.c \
	%D%/migrate/migrate_tls.h \
	%D%/save/archive.c \
	%D%/save/archive.h \
	%D%/save/restore.c \
	%D%/save/save.c \
	%D%/save/save.h \
	%D%/save/save_file.c \
	%D%/save/save_file.h \
	%D%/save/save_image.c \
	%D%/save/save_image.h \
	%D%/save/save_stream.c \
	%D%/save/save_within.c \
	%D%/snapshot/snapshot.h \
	%D%/snapshot/snapshot_book.c \
	%D%/snapshot/snapshot_book.h \
	%D%/snapshot/snapshot_compare.c \
	%D%/snapshot/snapshot_create.c \
	%D%/snapshot/snapshot_delete.c \
	%D%/snapshot/snapshot_job.c \
	%D%/snapshot/snapshot_look.c \
	%D%/snapshot/snapshot_offline.c \
	%D%/snapshot/snapshot_recover.c \
	%D%/snapshot/snapshot_revert.c \
	%D%/snapshot/snapshot_write.c \
	$(NULL)
domain_lock_libdomain_lock_core_la_LIBADD = $(JSON_LIBS) $(GIO_LIBS) $(GLIB_LIBS)

# libxml2 and what that brings along, for those who have text to parse.
helper_LTLIBRARIES += helpers/leasehold-xml.la
helpers_leasehold_xml_la_SOURCES = \
	%D%/domain/xml_parser.c \
	%D%/domain/xml_parser.h \
	$(NULL)
helpers_leasehold_xml_la_CFLAGS = $(AM_CFLAGS) $(XML_CFLAGS)
helpers_leasehold_xml_la_LDFLAGS = \
	$(AM_LDFLAGS) -module -avoid-version -shared -export-symbols-regex '^virXmlParserRun$$'
helpers_leasehold_xml_la_LIBADD = common/libcommon.la $(XML_LIBS) $(GLIB_LIBS)

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
