# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Hosts that are virtual machines: some minutes, and a kernel that may have to be fetched.

dist_check_SCRIPTS += %D%/build %D%/test-machines.py
EXTRA_DIST += %D%/agent.py %D%/first %D%/init %D%/rsh.py
SLOW_TESTS += %D%/test-machines.py
clean-local: clean-machines
.PHONY: clean-machines
clean-machines:
	-rm -rf %D%/made
