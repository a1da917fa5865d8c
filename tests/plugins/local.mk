# SPDX-License-Identifier: LGPL-2.1-or-later

# Modules that only tests load. -rpath makes libtool build more than an archive.
TEST_MODULE_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath $(abs_builddir)/%D%
TEST_MODULE_LIBADD = $(GLIB_LIBS) $(GIO_LIBS)

check_LTLIBRARIES += \
	%D%/abi-v1.la \
	%D%/fault.la \
	%D%/missing-callback.la \
	%D%/no-symbol.la \
	%D%/other-abi.la \
	%D%/promise.la \
	$(NULL)

# The frozen headers come first and hide the present ones.
%C%_abi_v1_la_SOURCES = %D%/minimal.c
%C%_abi_v1_la_CPPFLAGS = -I$(top_srcdir)/tests/abi/v1 $(AM_CPPFLAGS)
%C%_abi_v1_la_LDFLAGS = $(TEST_MODULE_LDFLAGS)
%C%_abi_v1_la_LIBADD = $(TEST_MODULE_LIBADD)
EXTRA_DIST += tests/abi/v1/leasehold/lock_driver.h tests/abi/v1/leasehold/lock_types.h

%C%_missing_callback_la_SOURCES = %D%/minimal.c
%C%_missing_callback_la_CPPFLAGS = \
	$(AM_CPPFLAGS) -DWITHOUT_ACQUIRE -DPLUGIN_NAME=\"missing-callback\"
%C%_missing_callback_la_LDFLAGS = $(TEST_MODULE_LDFLAGS)
%C%_missing_callback_la_LIBADD = $(TEST_MODULE_LIBADD)

%C%_no_symbol_la_SOURCES = %D%/minimal.c
%C%_no_symbol_la_CPPFLAGS = $(AM_CPPFLAGS) -DWITHOUT_SYMBOL -DPLUGIN_NAME=\"no-symbol\"
%C%_no_symbol_la_LDFLAGS = $(TEST_MODULE_LDFLAGS)
%C%_no_symbol_la_LIBADD = $(TEST_MODULE_LIBADD)

%C%_other_abi_la_SOURCES = %D%/minimal.c
%C%_other_abi_la_CPPFLAGS = $(AM_CPPFLAGS) -DWITH_OTHER_ABI -DPLUGIN_NAME=\"other-abi\"
%C%_other_abi_la_LDFLAGS = $(TEST_MODULE_LDFLAGS)
%C%_other_abi_la_LIBADD = $(TEST_MODULE_LIBADD)

%C%_promise_la_SOURCES = %D%/minimal.c
%C%_promise_la_CPPFLAGS = $(AM_CPPFLAGS) -DWITH_PROMISE -DPLUGIN_NAME=\"promise\"
%C%_promise_la_LDFLAGS = $(TEST_MODULE_LDFLAGS)
%C%_promise_la_LIBADD = $(TEST_MODULE_LIBADD)

%C%_fault_la_SOURCES = %D%/fault.c
%C%_fault_la_LDFLAGS = $(TEST_MODULE_LDFLAGS)
%C%_fault_la_LIBADD = $(TEST_MODULE_LIBADD)
