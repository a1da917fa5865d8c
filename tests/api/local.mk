# SPDX-License-Identifier: LGPL-2.1-or-later

TESTS += %D%/test-examples.sh
dist_check_SCRIPTS += %D%/test-examples.sh
