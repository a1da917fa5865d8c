# SPDX-License-Identifier: LGPL-2.1-or-later

EXTRA_DIST += %D%/layers.awk

dist_check_SCRIPTS += %D%/test-layers.sh
TESTS += %D%/test-layers.sh
