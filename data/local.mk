# SPDX-License-Identifier: LGPL-2.1-or-later

bashcompletion_DATA = %D%/leasehold
EXTRA_DIST += %D%/leasehold.bash
CLEANFILES += %D%/leasehold

# bash-completion loads the file that is named like the command
%D%/leasehold: %D%/leasehold.bash
	$(AM_V_GEN)$(MKDIR_P) $(@D) && cp $< $@

dbusinterfacedir = $(datadir)/dbus-1/interfaces
dist_dbusinterface_DATA = %D%/io.leasehold.Guest1.xml

# Units name the programs by their full path, which only make knows.
data_units = %D%/leasehold-host.service %D%/leasehold@.service
systemdsystemunit_DATA = $(data_units)
EXTRA_DIST += %D%/leasehold-host.service.in %D%/leasehold@.service.in
CLEANFILES += $(data_units)
data_unit = $(AM_V_GEN)$(MKDIR_P) $(@D) && \
	sed -e 's,[@]bindir@,$(bindir),g' -e 's,[@]sysconfdir@,$(sysconfdir),g' $< >$@.tmp && mv $@.tmp $@

%D%/leasehold-host.service: %D%/leasehold-host.service.in
	$(data_unit)
%D%/leasehold@.service: %D%/leasehold@.service.in
	$(data_unit)
