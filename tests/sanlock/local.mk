# SPDX-License-Identifier: LGPL-2.1-or-later

check_PROGRAMS += %D%/holder
%C%_holder_SOURCES = %D%/holder.c
%C%_holder_LDADD = $(GLIB_LIBS) $(GIO_LIBS)

check_PROGRAMS += %D%/test-sanlock-format
TESTS += %D%/test-sanlock-format
%C%_test_sanlock_format_SOURCES = %D%/test-sanlock-format.c
%C%_test_sanlock_format_LDADD = plugins/sanlock/libsanlock_core.la

check_PROGRAMS += %D%/test-sanlock-store
TESTS += %D%/test-sanlock-store
%C%_test_sanlock_store_SOURCES = %D%/test-sanlock-store.c
%C%_test_sanlock_store_LDADD = plugins/sanlock/libsanlock_core.la

dist_check_DATA += %D%/holders.sh
dist_check_SCRIPTS += \
	%D%/test-sanlock-bridges.sh \
	%D%/test-sanlock-create.sh \
	%D%/test-sanlock-faults.sh \
	%D%/test-sanlock-join.sh \
	%D%/test-sanlock-leases.sh \
	$(NULL)
TESTS += \
	%D%/test-sanlock-bridges.sh \
	%D%/test-sanlock-create.sh \
	%D%/test-sanlock-faults.sh \
	%D%/test-sanlock-join.sh \
	%D%/test-sanlock-leases.sh \
	$(NULL)
