# SPDX-License-Identifier: LGPL-2.1-or-later

bashcompletion_DATA = %D%/leasehold
EXTRA_DIST += %D%/leasehold.bash
CLEANFILES += %D%/leasehold

# bash-completion loads the file that is named like the command
%D%/leasehold: %D%/leasehold.bash
	$(AM_V_GEN)$(MKDIR_P) $(@D) && cp $< $@

dbusinterfacedir = $(datadir)/dbus-1/interfaces
dist_dbusinterface_DATA = %D%/io.leasehold.Guest1.xml
