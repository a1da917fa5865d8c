# SPDX-License-Identifier: LGPL-2.1-or-later

dbus_tests = \
	%D%/test-dbus-page.py \
	%D%/test-foreign-clients.sh \
	%D%/test-hostile-clients.py \
	$(NULL)
TESTS += $(dbus_tests)
dist_check_SCRIPTS += $(dbus_tests)
EXTRA_DIST += %D%/gio-client.py
