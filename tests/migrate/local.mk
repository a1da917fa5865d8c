# SPDX-License-Identifier: LGPL-2.1-or-later

migrate_tests = \
	%D%/test-migrate.py \
	$(NULL)
dist_check_SCRIPTS += $(migrate_tests)
TESTS += $(migrate_tests)
