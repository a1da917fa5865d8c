# SPDX-License-Identifier: LGPL-2.1-or-later

# Each target is replayed over its corpus by "make check"; see replay.c.
check_PROGRAMS += %D%/fuzz-sanlock-format
TESTS += %D%/fuzz-sanlock-format
%C%_fuzz_sanlock_format_SOURCES = %D%/fuzz-sanlock-format.c %D%/replay.c
%C%_fuzz_sanlock_format_LDADD = plugins/sanlock/libsanlock_core.la
EXTRA_DIST += %D%/corpus/sanlock-format

check_PROGRAMS += %D%/fuzz-domain-xml %D%/fuzz-domain-command %D%/fuzz-qcow2 %D%/fuzz-snapshots
TESTS += %D%/fuzz-domain-xml %D%/fuzz-domain-command %D%/fuzz-qcow2 %D%/fuzz-snapshots
%C%_fuzz_domain_xml_SOURCES = %D%/fuzz-domain-xml.c %D%/replay.c
%C%_fuzz_domain_xml_LDADD = $(domain_LIBS)
%C%_fuzz_domain_command_SOURCES = %D%/fuzz-domain-command.c %D%/replay.c
%C%_fuzz_domain_command_LDADD = $(domain_LIBS)
%C%_fuzz_qcow2_SOURCES = %D%/fuzz-qcow2.c %D%/replay.c
%C%_fuzz_qcow2_LDADD = $(domain_LIBS)
%C%_fuzz_snapshots_SOURCES = %D%/fuzz-snapshots.c %D%/replay.c
%C%_fuzz_snapshots_LDADD = $(domain_LIBS)
EXTRA_DIST += %D%/corpus/domain-xml %D%/corpus/domain-command %D%/corpus/qcow2 %D%/corpus/snapshots

check_PROGRAMS += %D%/fuzz-control-auth
TESTS += %D%/fuzz-control-auth
%C%_fuzz_control_auth_SOURCES = %D%/fuzz-control-auth.c %D%/replay.c
%C%_fuzz_control_auth_LDADD = supervisor/libsupervisor.la $(GIO_LIBS) $(GLIB_LIBS)
EXTRA_DIST += %D%/corpus/control-auth

check_PROGRAMS += %D%/fuzz-save-image
TESTS += %D%/fuzz-save-image
%C%_fuzz_save_image_SOURCES = %D%/fuzz-save-image.c %D%/replay.c
%C%_fuzz_save_image_LDADD = $(domain_LIBS)
EXTRA_DIST += %D%/corpus/save-image
