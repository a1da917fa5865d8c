# SPDX-License-Identifier: LGPL-2.1-or-later

check_PROGRAMS += %D%/test-use-record
TESTS += %D%/test-use-record
%C%_test_use_record_SOURCES = %D%/test-use-record.c
%C%_test_use_record_LDADD = common/libcommon.la $(GLIB_LIBS) $(GIO_LIBS)
