# SPDX-License-Identifier: LGPL-2.1-or-later

supervisor_test_ldadd = supervisor/libsupervisor.la common/libcommon.la $(JSON_LIBS) $(GIO_LIBS) $(GLIB_LIBS)

check_PROGRAMS += %D%/test-guest-qemu
TESTS += %D%/test-guest-qemu
%C%_test_guest_qemu_SOURCES = %D%/test-guest-qemu.c %D%/guest_fixture.c %D%/guest_fixture.h
%C%_test_guest_qemu_LDADD = $(supervisor_test_ldadd)

check_PROGRAMS += %D%/test-hold
TESTS += %D%/test-hold
%C%_test_hold_SOURCES = %D%/test-hold.c %D%/guest_fixture.c %D%/guest_fixture.h
%C%_test_hold_LDADD = $(supervisor_test_ldadd)

check_PROGRAMS += %D%/test-lease-loss
TESTS += %D%/test-lease-loss
%C%_test_lease_loss_SOURCES = %D%/test-lease-loss.c
%C%_test_lease_loss_LDADD = $(supervisor_test_ldadd)

check_PROGRAMS += %D%/test-log-limit
TESTS += %D%/test-log-limit
%C%_test_log_limit_SOURCES = %D%/test-log-limit.c
%C%_test_log_limit_LDADD = $(supervisor_test_ldadd)

check_PROGRAMS += %D%/test-qmp
TESTS += %D%/test-qmp
%C%_test_qmp_SOURCES = %D%/test-qmp.c
%C%_test_qmp_LDADD = $(supervisor_test_ldadd)

check_PROGRAMS += %D%/test-jobs
TESTS += %D%/test-jobs
%C%_test_jobs_SOURCES = %D%/test-jobs.c
%C%_test_jobs_LDADD = supervisor/libsupervisor.la domain_lock/libdomain_lock_core.la \
	lock_manager/liblock_manager_core.la common/libcommon.la \
	$(JSON_LIBS) $(GIO_LIBS) $(GLIB_LIBS)

check_PROGRAMS += %D%/test-drain %D%/test-watch
TESTS += %D%/test-drain %D%/test-watch
%C%_test_drain_SOURCES = %D%/test-drain.c %D%/guest_fixture.c %D%/guest_fixture.h
%C%_test_drain_LDADD = $(supervisor_test_ldadd)
%C%_test_watch_SOURCES = %D%/test-watch.c
%C%_test_watch_LDADD = $(supervisor_test_ldadd)

TESTS += %D%/test-lost-leases.sh
dist_check_SCRIPTS += %D%/test-lost-leases.sh
