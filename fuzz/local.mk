# SPDX-License-Identifier: LGPL-2.1-or-later

# Each target is replayed over its corpus by "make check"; see replay.c.
check_PROGRAMS += %D%/fuzz-sanlock-format
TESTS += %D%/fuzz-sanlock-format
%C%_fuzz_sanlock_format_SOURCES = %D%/fuzz-sanlock-format.c %D%/replay.c
%C%_fuzz_sanlock_format_LDADD = plugins/sanlock/libsanlock_core.la
EXTRA_DIST += %D%/corpus/sanlock-format
