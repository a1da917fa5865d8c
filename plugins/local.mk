# SPDX-License-Identifier: LGPL-2.1-or-later

include plugins/nop/local.mk
include plugins/lockfile/local.mk
include plugins/sanlock/local.mk
