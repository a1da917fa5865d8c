# SPDX-License-Identifier: LGPL-2.1-or-later

domain_lock_fakes = \
	%D%/fake.c \
	%D%/fake.h \
	%D%/fake_def.c \
	%D%/fake_guest.c \
	%D%/fake_locks.c \
	$(NULL)
domain_lock_test_ldadd = \
	domain_lock/libdomain_lock_core.la \
	common/libcommon.la \
	$(JSON_LIBS) $(GIO_LIBS) $(GLIB_LIBS) \
	$(NULL)

domain_lock_tests = \
	%D%/test-audit \
	%D%/test-client-message \
	%D%/test-runtime \
	%D%/test-save-file \
	%D%/test-sequences \
	%D%/test-transitions \
	$(NULL)
check_PROGRAMS += $(domain_lock_tests)
TESTS += $(domain_lock_tests)

%C%_test_audit_SOURCES = %D%/test-audit.c $(domain_lock_fakes)
%C%_test_audit_LDADD = $(domain_lock_test_ldadd)
%C%_test_client_message_SOURCES = %D%/test-client-message.c tests/lib/vir_test.h
%C%_test_client_message_LDADD = $(domain_lock_test_ldadd)
%C%_test_runtime_SOURCES = %D%/test-runtime.c $(domain_lock_fakes)
%C%_test_runtime_LDADD = $(domain_lock_test_ldadd)
%C%_test_save_file_SOURCES = %D%/test-save-file.c tests/lib/vir_test.h
%C%_test_save_file_LDADD = $(domain_LIBS)
%C%_test_sequences_SOURCES = %D%/test-sequences.c $(domain_lock_fakes)
%C%_test_sequences_LDADD = $(domain_lock_test_ldadd)
%C%_test_transitions_SOURCES = %D%/test-transitions.c
%C%_test_transitions_LDADD = $(domain_lock_test_ldadd)

domain_lock_scripts = \
	%D%/test-control.py \
	%D%/test-crash-steps.py \
	%D%/test-daemon-gone.sh \
	%D%/test-spare.sh \
	%D%/test-start-refused.sh \
	$(NULL)
TESTS += $(domain_lock_scripts)
dist_check_SCRIPTS += $(domain_lock_scripts)
EXTRA_DIST += %D%/lab.py
