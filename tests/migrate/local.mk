# SPDX-License-Identifier: LGPL-2.1-or-later

migrate_tests = \
	%D%/test-crash-migrate.py \
	%D%/test-late-offsets.py \
	%D%/test-migrate.py \
	%D%/test-migrate-bridges.py \
	%D%/test-migrate-cancel.py \
	%D%/test-migrate-domains.py \
	%D%/test-migrate-faults.py \
	%D%/test-migrate-late.py \
	%D%/test-migrate-onward.py \
	%D%/test-migrate-postcopy.py \
	%D%/test-migrate-preflight.py \
	%D%/test-migrate-steps.py \
	%D%/test-migrate-suspend.py \
	%D%/test-migrate-third.py \
	%D%/test-migrate-tls.py \
	$(NULL)
migrate_slow_tests = \
	%D%/test-crash-migrate-all.py \
	%D%/test-late-offsets-all.py \
	%D%/test-migrate-bridges-all.py \
	%D%/test-migrate-cancel-all.py \
	%D%/test-migrate-faults-all.py \
	%D%/test-migrate-late-all.py \
	%D%/test-migrate-many.py \
	%D%/test-migrate-steps-all.py \
	$(NULL)
dist_check_SCRIPTS += $(migrate_tests) $(migrate_slow_tests)
TESTS += $(migrate_tests)
SLOW_TESTS += $(migrate_slow_tests)

# for LD_PRELOAD, into QEMU, so without sanitizers; -rpath makes libtool build more than an archive
check_LTLIBRARIES += %D%/late_offsets.la
%C%_late_offsets_la_SOURCES = %D%/late_offsets.c
%C%_late_offsets_la_CFLAGS = -std=gnu11 $(WARN_CFLAGS) -fvisibility=hidden
%C%_late_offsets_la_LDFLAGS = \
	-module -avoid-version -shared -rpath $(abs_builddir)/%D%
