# SPDX-License-Identifier: LGPL-2.1-or-later

EXTRA_DIST += \
	%D%/debian-packages \
	%D%/functions.sh \
	%D%/guests.sh \
	%D%/hosts.sh \
	%D%/packages.sh \
	%D%/qmp.py \
	%D%/vir_test.h \
	$(NULL)

dist_check_SCRIPTS += %D%/test-functions.sh %D%/test-hosts.sh
TESTS += %D%/test-functions.sh %D%/test-hosts.sh
