# SPDX-License-Identifier: LGPL-2.1-or-later

docs_pods = \
	%D%/man/leasehold.pod \
	%D%/man/leasehold.conf.pod \
	%D%/man/leasehold-harness.pod \
	%D%/man/leasehold-lockfailure.pod \
	%D%/man/leasehold-supervisor.pod \
	$(NULL)

EXTRA_DIST += $(docs_pods) %D%/lock-manager.txt %D%/save-format.txt \
	%D%/store-format.txt
EXTRA_DIST += %D%/man/leasehold-dbus.pod %D%/man/dbus-reference.pl
docs_examples = %D%/examples/guest-daemon.c %D%/examples/lock-host.c
EXTRA_DIST += $(docs_examples)
dist_doc_DATA = $(docs_examples)
man_MANS += \
	%D%/man/leasehold.1 \
	%D%/man/leasehold.conf.5 \
	%D%/man/leasehold-harness.1 \
	%D%/man/leasehold-dbus.7 \
	%D%/man/leasehold-lockfailure.8 \
	%D%/man/leasehold-supervisor.8 \
	$(NULL)
CLEANFILES += $(man_MANS)

# The date is left out: the same sources make the same pages.
docs_pod2man = $(AM_V_GEN)$(MKDIR_P) $(@D) && $(POD2MAN) --utf8 --errors=die \
	--release='leasehold $(PACKAGE_VERSION)' --center='Leasehold' --date=' ' \
	--section=$(subst .,,$(suffix $@)) --name=$(basename $(@F)) $< $@.tmp && mv $@.tmp $@

%D%/man/leasehold.1: %D%/man/leasehold.pod
	$(docs_pod2man)
%D%/man/leasehold.conf.5: %D%/man/leasehold.conf.pod
	$(docs_pod2man)
%D%/man/leasehold-harness.1: %D%/man/leasehold-harness.pod
	$(docs_pod2man)
%D%/man/leasehold-lockfailure.8: %D%/man/leasehold-lockfailure.pod
	$(docs_pod2man)
%D%/man/leasehold-supervisor.8: %D%/man/leasehold-supervisor.pod
	$(docs_pod2man)

# Its reference is what the interface says of itself.
CLEANFILES += %D%/man/leasehold-dbus.full
%D%/man/leasehold-dbus.full: %D%/man/leasehold-dbus.pod %D%/man/dbus-reference.pl data/io.leasehold.Guest1.xml
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(PERL) $(top_srcdir)/%D%/man/dbus-reference.pl \
		$(top_srcdir)/%D%/man/leasehold-dbus.pod \
		$(top_srcdir)/data/io.leasehold.Guest1.xml >$@.tmp && mv $@.tmp $@
%D%/man/leasehold-dbus.7: %D%/man/leasehold-dbus.full
	$(docs_pod2man)
