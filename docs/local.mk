# SPDX-License-Identifier: LGPL-2.1-or-later

docs_pods = \
	%D%/man/leasehold.pod \
	%D%/man/leasehold.conf.pod \
	%D%/man/leasehold-harness.pod \
	%D%/man/leasehold-lockfailure.pod \
	%D%/man/leasehold-supervisor.pod \
	$(NULL)

EXTRA_DIST += $(docs_pods) %D%/lock-manager.txt %D%/store-format.txt
man_MANS += \
	%D%/man/leasehold.1 \
	%D%/man/leasehold.conf.5 \
	%D%/man/leasehold-harness.1 \
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
