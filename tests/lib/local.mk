# SPDX-License-Identifier: LGPL-2.1-or-later

EXTRA_DIST += \
	%D%/debian-packages \
	%D%/functions.sh \
	%D%/guests.sh \
	%D%/hosts.sh \
	%D%/bare.py \
	%D%/dbus_wire.py \
	%D%/machine.py \
	%D%/moving.py \
	%D%/packages.sh \
	%D%/qmp.py \
	%D%/stepped.py \
	%D%/unpack.sh \
	%D%/vir_test.h \
	$(NULL)

lib_tests = \
	%D%/test-debian-packages.sh \
	%D%/test-functions.sh \
	%D%/test-hosts.sh \
	$(NULL)
dist_check_SCRIPTS += $(lib_tests)
TESTS += $(lib_tests)
