# SPDX-License-Identifier: LGPL-2.1-or-later
#
# leasehold-harness: what the tests stand on, for the tests of others. Installed, its modules,
# the payload and the checker lie together in one folder.

harnessdir = $(helperdir)/harness
harness_modules = %D%/matrix.py %D%/standing.py tests/lib/lab.py
dist_harness_DATA = $(harness_modules)
bin_SCRIPTS = %D%/leasehold-harness
EXTRA_DIST += %D%/leasehold-harness.in
CLEANFILES += %D%/leasehold-harness

if PAYLOAD
nodist_harness_DATA = tests/payload/payload.img
harness_PROGRAMS = tests/payload/payload-check
endif

%D%/leasehold-harness: %D%/leasehold-harness.in Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && \
	sed 's|@harnessdir[@]|$(harnessdir)|g' $(top_srcdir)/%D%/leasehold-harness.in >$@.tmp && \
	chmod +x $@.tmp && mv $@.tmp $@

dist_check_SCRIPTS += %D%/test-harness.sh
TESTS += %D%/test-harness.sh
SLOW_TESTS += %D%/test-harness-matrix.sh
dist_check_SCRIPTS += %D%/test-harness-matrix.sh
