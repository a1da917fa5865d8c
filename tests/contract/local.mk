# SPDX-License-Identifier: LGPL-2.1-or-later

check_PROGRAMS += %D%/contract
%C%_contract_SOURCES = \
	%D%/agent.c \
	%D%/agent.h \
	%D%/contract.c \
	%D%/contract.h \
	%D%/migrate.c \
	tests/lib/vir_test.h \
	$(NULL)
%C%_contract_LDADD = lock_manager/liblock_manager_core.la common/libcommon.la

dist_check_SCRIPTS += \
	%D%/test-contract-fault.sh \
	%D%/test-contract-lockfile.sh \
	%D%/test-contract-sanlock.sh \
	$(NULL)
TESTS += \
	%D%/test-contract-fault.sh \
	%D%/test-contract-lockfile.sh \
	%D%/test-contract-sanlock.sh \
	$(NULL)
