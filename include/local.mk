# SPDX-License-Identifier: LGPL-2.1-or-later

leaseholdinclude_HEADERS += \
	%D%/leasehold/lock_types.h \
	%D%/leasehold/lock_manager.h \
	%D%/leasehold/lock_driver.h \
	%D%/leasehold/domain_lock.h \
	$(NULL)
