# SPDX-License-Identifier: LGPL-2.1-or-later

include tests/lib/local.mk
include tests/plugins/local.mk
include tests/payload/local.mk
include tests/quickstart/local.mk
include tests/common/local.mk
include tests/lock_manager/local.mk
include tests/contract/local.mk
include tests/sanlock/local.mk
include tests/domain/local.mk
include tests/supervisor/local.mk
include tests/domain_lock/local.mk
include tests/api/local.mk
include tests/dbus/local.mk
include tests/tools/local.mk
include tests/guest/local.mk
include tests/harness/local.mk
include tests/migrate/local.mk
include tests/machines/local.mk
