# SPDX-License-Identifier: LGPL-2.1-or-later

dist_check_SCRIPTS += %D%/test-quickstart.sh
TESTS += %D%/test-quickstart.sh
