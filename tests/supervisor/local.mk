# SPDX-License-Identifier: LGPL-2.1-or-later

supervisor_test_ldadd = supervisor/libsupervisor.la common/libcommon.la $(JSON_LIBS) $(GIO_LIBS) $(GLIB_LIBS)

check_PROGRAMS += %D%/test-guest-qemu
TESTS += %D%/test-guest-qemu
%C%_test_guest_qemu_SOURCES = %D%/test-guest-qemu.c %D%/guest_fixture.c %D%/guest_fixture.h
%C%_test_guest_qemu_LDADD = $(supervisor_test_ldadd)
