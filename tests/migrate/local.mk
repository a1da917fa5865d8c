# SPDX-License-Identifier: LGPL-2.1-or-later

migrate_tests = \
	%D%/test-migrate.py \
	%D%/test-migrate-bridges.py \
	%D%/test-migrate-domains.py \
	%D%/test-migrate-postcopy.py \
	%D%/test-migrate-steps.py \
	%D%/test-migrate-tls.py \
	$(NULL)
dist_check_SCRIPTS += $(migrate_tests) %D%/test-migrate-bridges-all.py %D%/test-migrate-steps-all.py
TESTS += $(migrate_tests)
SLOW_TESTS += %D%/test-migrate-bridges-all.py %D%/test-migrate-steps-all.py
