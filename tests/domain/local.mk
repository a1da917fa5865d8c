# SPDX-License-Identifier: LGPL-2.1-or-later

domain_TESTS = \
	%D%/test-identity \
	$(NULL)
check_PROGRAMS += $(domain_TESTS)
TESTS += $(domain_TESTS)

%C%_test_identity_SOURCES = %D%/test-identity.c tests/lib/vir_test.h
%C%_test_identity_LDADD = common/libcommon.la
