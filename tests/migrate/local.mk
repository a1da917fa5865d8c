# SPDX-License-Identifier: LGPL-2.1-or-later

migrate_tests = \
	%D%/test-crash-migrate.py \
	%D%/test-migrate.py \
	%D%/test-migrate-bridges.py \
	%D%/test-migrate-domains.py \
	%D%/test-migrate-late.py \
	%D%/test-migrate-postcopy.py \
	%D%/test-migrate-steps.py \
	%D%/test-migrate-third.py \
	%D%/test-migrate-tls.py \
	$(NULL)
migrate_slow_tests = \
	%D%/test-crash-migrate-all.py \
	%D%/test-migrate-bridges-all.py \
	%D%/test-migrate-late-all.py \
	%D%/test-migrate-many.py \
	%D%/test-migrate-steps-all.py \
	$(NULL)
dist_check_SCRIPTS += $(migrate_tests) $(migrate_slow_tests)
TESTS += $(migrate_tests)
SLOW_TESTS += $(migrate_slow_tests)
