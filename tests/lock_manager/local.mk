# SPDX-License-Identifier: LGPL-2.1-or-later

lock_manager_TESTS = \
	%D%/test-config \
	%D%/test-lockfile \
	%D%/test-plugin \
	%D%/test-shutdown \
	%D%/test-state \
	%D%/test-supervised \
	%D%/test-threads \
	%D%/test-ticket \
	%D%/test-watch \
	$(NULL)
lock_manager_SHELL_TESTS = \
	%D%/test-exports.sh \
	%D%/test-headers.sh \
	$(NULL)
check_PROGRAMS += $(lock_manager_TESTS)
dist_check_SCRIPTS += $(lock_manager_SHELL_TESTS)
TESTS += $(lock_manager_TESTS) $(lock_manager_SHELL_TESTS)

lock_manager_TEST_LIBS = lock_manager/liblock_manager_core.la common/libcommon.la
lock_manager_FAKE = %D%/fake.c %D%/fake.h tests/lib/vir_test.h

%C%_test_config_SOURCES = %D%/test-config.c tests/lib/vir_test.h
%C%_test_config_LDADD = $(lock_manager_TEST_LIBS)
%C%_test_lockfile_SOURCES = \
	%D%/test-lockfile.c \
	plugins/lockfile/file.c \
	plugins/lockfile/lockfile.h \
	tests/lib/vir_test.h \
	$(NULL)
%C%_test_lockfile_CPPFLAGS = $(AM_CPPFLAGS)
%C%_test_lockfile_LDADD = $(lock_manager_TEST_LIBS)
%C%_test_plugin_SOURCES = %D%/test-plugin.c $(lock_manager_FAKE)
%C%_test_plugin_LDADD = $(lock_manager_TEST_LIBS)
%C%_test_shutdown_SOURCES = %D%/test-shutdown.c $(lock_manager_FAKE)
%C%_test_shutdown_LDADD = $(lock_manager_TEST_LIBS)
%C%_test_state_SOURCES = %D%/test-state.c $(lock_manager_FAKE)
%C%_test_state_LDADD = $(lock_manager_TEST_LIBS)
%C%_test_supervised_SOURCES = %D%/test-supervised.c tests/lib/vir_test.h
%C%_test_supervised_LDADD = $(lock_manager_TEST_LIBS)
%C%_test_threads_SOURCES = %D%/test-threads.c $(lock_manager_FAKE)
%C%_test_threads_LDADD = $(lock_manager_TEST_LIBS)
%C%_test_ticket_SOURCES = %D%/test-ticket.c tests/lib/vir_test.h
%C%_test_ticket_LDADD = $(lock_manager_TEST_LIBS)
%C%_test_watch_SOURCES = %D%/test-watch.c $(lock_manager_FAKE)
%C%_test_watch_LDADD = $(lock_manager_TEST_LIBS)
