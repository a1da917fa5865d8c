# SPDX-License-Identifier: LGPL-2.1-or-later

domain_TESTS = \
	%D%/test-domain-argv \
	%D%/test-domain-command \
	%D%/test-domain-refuse \
	%D%/test-identity \
	%D%/test-image-chain \
	%D%/test-image-snapshots \
	%D%/test-xml-node \
	$(NULL)
check_PROGRAMS += $(domain_TESTS)
TESTS += $(domain_TESTS)

%C%_test_identity_SOURCES = %D%/test-identity.c tests/lib/vir_test.h
%C%_test_identity_LDADD = common/libcommon.la

# The convenience library holds the sequences too, which need the lock manager.
domain_LIBS = \
	domain_lock/libdomain_lock_core.la lock_manager/liblock_manager_core.la common/libcommon.la \
	$(JSON_LIBS) $(GIO_LIBS) $(GLIB_LIBS)
%C%_test_domain_argv_SOURCES = %D%/test-domain-argv.c tests/lib/vir_test.h
%C%_test_domain_argv_LDADD = $(domain_LIBS)
%C%_test_domain_refuse_SOURCES = %D%/test-domain-refuse.c tests/lib/vir_test.h
%C%_test_domain_refuse_LDADD = $(domain_LIBS)
%C%_test_image_chain_SOURCES = %D%/test-image-chain.c tests/lib/vir_test.h
%C%_test_image_chain_LDADD = $(domain_LIBS)
%C%_test_image_snapshots_SOURCES = %D%/test-image-snapshots.c tests/lib/vir_test.h
%C%_test_image_snapshots_LDADD = $(domain_LIBS)
%C%_test_domain_command_SOURCES = %D%/test-domain-command.c tests/lib/vir_test.h
%C%_test_domain_command_LDADD = $(domain_LIBS)
%C%_test_xml_node_SOURCES = %D%/test-xml-node.c tests/lib/vir_test.h
%C%_test_xml_node_LDADD = $(domain_LIBS)

dist_check_DATA += \
	$(wildcard $(srcdir)/%D%/xml/*.xml) \
	$(wildcard $(srcdir)/%D%/xml/*.args) \
	$(NULL)
