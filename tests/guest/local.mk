# SPDX-License-Identifier: LGPL-2.1-or-later

guest_tests = \
	%D%/test-autodestroy.sh \
	%D%/test-bad-input.sh \
	%D%/test-blockjobs.py \
	%D%/test-blockjobs-steps.py \
	%D%/test-crash-start.py \
	%D%/test-hotplug.py \
	%D%/test-hotplug-faults.py \
	%D%/test-hotplug-random.py \
	%D%/test-hotplug-steps.py \
	%D%/test-format-note.sh \
	%D%/test-linux-power.sh \
	%D%/test-linux-shutdown.sh \
	%D%/test-power-steps.py \
	%D%/test-reattach.py \
	%D%/test-reattach-life.py \
	%D%/test-reattach-lost.py \
	%D%/test-reattach-steps.py \
	%D%/test-media.py \
	%D%/test-save.py \
	%D%/test-snapshot.py \
	%D%/test-save-kinds.py \
	%D%/test-save-steps.py \
	%D%/test-start-ahead.py \
	%D%/test-snapshot-offline.py \
	%D%/test-snapshot-offline-steps.py \
	%D%/test-snapshot-steps.py \
	%D%/test-shutdown-steps.py \
	$(NULL)
guest_slow_tests = \
	%D%/test-crash-start-all.py \
	%D%/test-hotplug-random-all.py \
	%D%/test-power-steps-all.py \
	%D%/test-reattach-steps-all.py \
	%D%/test-save-steps-all.py \
	%D%/test-snapshot-offline-steps-all.py \
	%D%/test-snapshot-steps-all.py \
	%D%/test-shutdown-steps-all.py \
	$(NULL)
dist_check_SCRIPTS += $(guest_tests) $(guest_slow_tests)
TESTS += $(guest_tests)
SLOW_TESTS += $(guest_slow_tests)

check_PROGRAMS += %D%/own_guest
%C%_own_guest_SOURCES = %D%/own_guest.c
%C%_own_guest_LDADD = libdomain_lock.la liblock_manager.la $(GIO_LIBS) $(GLIB_LIBS)

# for LD_PRELOAD, into QEMU, too, so without sanitizers; -rpath makes libtool build more than an
# archive
check_LTLIBRARIES += %D%/faulty_storage.la
%C%_faulty_storage_la_SOURCES = %D%/faulty_storage.c
%C%_faulty_storage_la_CFLAGS = -std=gnu11 $(WARN_CFLAGS) -fvisibility=hidden
%C%_faulty_storage_la_LDFLAGS = \
	-module -avoid-version -shared -rpath $(abs_builddir)/%D%
