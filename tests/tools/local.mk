# SPDX-License-Identifier: LGPL-2.1-or-later

EXTRA_DIST += %D%/json-keys.py %D%/notify-socket.py %D%/layers.awk

tools_test_scripts = \
	%D%/test-completion.sh \
	%D%/test-doctor.sh \
	%D%/test-exec.sh \
	%D%/test-guest.sh \
	%D%/test-installed.sh \
	%D%/test-json.sh \
	%D%/test-layers.sh \
	%D%/test-lock-manager-text.sh \
	%D%/test-man-pages.py \
	%D%/test-notify.sh \
	%D%/test-units.sh \
	%D%/test-usage.sh \
	$(NULL)
dist_check_SCRIPTS += $(tools_test_scripts)
TESTS += $(tools_test_scripts)

check_PROGRAMS += %D%/test-text %D%/test-wait
TESTS += %D%/test-text %D%/test-wait
tools_test_sources = \
	tools/tool_json.c \
	tools/tool_report.c \
	tools/tool_table.c \
	tools/tool_text.c \
	tools/tool_wait.c \
	$(NULL)
tools_test_libs = \
	lock_manager/liblock_manager_core.la \
	common/libcommon.la \
	$(GIO_LIBS) $(GLIB_LIBS) $(JSON_LIBS) \
	$(NULL)
%C%_test_text_SOURCES = %D%/test-text.c $(tools_test_sources)
%C%_test_text_LDADD = $(tools_test_libs)
%C%_test_wait_SOURCES = %D%/test-wait.c $(tools_test_sources)
%C%_test_wait_LDADD = $(tools_test_libs)
