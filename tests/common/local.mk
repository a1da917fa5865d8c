# SPDX-License-Identifier: LGPL-2.1-or-later

check_PROGRAMS += %D%/test-use-record
TESTS += %D%/test-use-record
%C%_test_use_record_SOURCES = %D%/test-use-record.c
%C%_test_use_record_LDADD = common/libcommon.la $(GLIB_LIBS) $(GIO_LIBS)

check_PROGRAMS += %D%/test-fd %D%/test-spawn
TESTS += %D%/test-fd %D%/test-spawn
%C%_test_fd_SOURCES = %D%/test-fd.c
%C%_test_fd_LDADD = common/libcommon.la $(GLIB_LIBS) $(GIO_LIBS)
%C%_test_spawn_SOURCES = %D%/test-spawn.c
%C%_test_spawn_LDADD = common/libcommon.la $(GLIB_LIBS) $(GIO_LIBS)
