# SPDX-License-Identifier: LGPL-2.1-or-later

# A plugin is a module with one exported symbol.
PLUGIN_LDFLAGS = -module -avoid-version -shared -export-symbols-regex '^virLockDriverGet$$'

include plugins/nop/local.mk
include plugins/lockfile/local.mk
include plugins/sanlock/local.mk
