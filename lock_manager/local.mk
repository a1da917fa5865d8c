# SPDX-License-Identifier: LGPL-2.1-or-later

pkgconfig_DATA += \
	%D%/leasehold-lock-manager.pc \
	%D%/leasehold-lock-driver.pc \
	$(NULL)
