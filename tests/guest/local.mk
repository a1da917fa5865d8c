# SPDX-License-Identifier: LGPL-2.1-or-later

dist_check_SCRIPTS += %D%/test-crash-start.py %D%/test-crash-start-all.py
TESTS += %D%/test-crash-start.py
SLOW_TESTS += %D%/test-crash-start-all.py
dist_check_SCRIPTS += %D%/test-hotplug.py
TESTS += %D%/test-hotplug.py
dist_check_SCRIPTS += %D%/test-hotplug-steps.py
TESTS += %D%/test-hotplug-steps.py
