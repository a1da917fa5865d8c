# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Hosts that are virtual machines: some minutes, and a kernel that may have to be fetched.

machines_slow_tests = %D%/test-machines.py %D%/test-machines-units.py
dist_check_SCRIPTS += %D%/build $(machines_slow_tests)
EXTRA_DIST += %D%/agent.py %D%/first %D%/init %D%/rsh.py
SLOW_TESTS += $(machines_slow_tests)
clean-local: clean-machines
.PHONY: clean-machines
clean-machines:
	-rm -rf %D%/made
