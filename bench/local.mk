# SPDX-License-Identifier: LGPL-2.1-or-later

EXTRA_DIST += %D%/bench.py %D%/blackout.py
CLEANFILES += %D%/results.json

# Takes about a minute; on a quiet machine, and not of a sanitized build.
bench: all
	$(MKDIR_P) %D%
	top_srcdir='$(abs_top_srcdir)' top_builddir='$(abs_top_builddir)' \
	python3 $(top_srcdir)/%D%/bench.py --json %D%/results.json $(BENCH_FLAGS)
.PHONY: bench
