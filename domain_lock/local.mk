# SPDX-License-Identifier: LGPL-2.1-or-later

pkgconfig_DATA += \
	%D%/leasehold-domain-lock.pc \
	$(NULL)
