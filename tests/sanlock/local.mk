# SPDX-License-Identifier: LGPL-2.1-or-later

check_PROGRAMS += %D%/holder
%C%_holder_SOURCES = %D%/holder.c
%C%_holder_LDADD = $(GLIB_LIBS) $(GIO_LIBS)

check_PROGRAMS += %D%/test-sanlock-format
TESTS += %D%/test-sanlock-format
%C%_test_sanlock_format_SOURCES = %D%/test-sanlock-format.c
%C%_test_sanlock_format_LDADD = plugins/sanlock/libsanlock_core.la

check_PROGRAMS += %D%/test-sanlock-parallel
TESTS += %D%/test-sanlock-parallel
%C%_test_sanlock_parallel_SOURCES = %D%/test-sanlock-parallel.c
%C%_test_sanlock_parallel_LDADD = plugins/sanlock/libsanlock_core.la

check_PROGRAMS += %D%/test-sanlock-store
TESTS += %D%/test-sanlock-store
%C%_test_sanlock_store_SOURCES = %D%/test-sanlock-store.c
%C%_test_sanlock_store_LDADD = plugins/sanlock/libsanlock_core.la

sanlock_tests = \
	%D%/test-sanlock-4k.sh \
	%D%/test-sanlock-bridges.sh \
	%D%/test-sanlock-create.sh \
	%D%/test-sanlock-device.sh \
	%D%/test-sanlock-exec.sh \
	%D%/test-sanlock-faults.sh \
	%D%/test-sanlock-gc.sh \
	%D%/test-sanlock-join.sh \
	%D%/test-sanlock-leases.sh \
	%D%/test-sanlock-renewal.sh \
	%D%/test-sanlock-loss.sh \
	$(NULL)
sanlock_slow_tests = \
	%D%/test-sanlock-exec-hung.sh \
	%D%/test-sanlock-takeover.sh \
	$(NULL)

dist_check_DATA += %D%/holders.sh
dist_check_SCRIPTS += $(sanlock_tests) $(sanlock_slow_tests)
TESTS += $(sanlock_tests)
SLOW_TESTS += $(sanlock_slow_tests)
