# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The boot payload is x86 code, assembled by the host's own binutils; elsewhere it is not
# built and what needs it is skipped by name ("this machine has no usable payload").

EXTRA_DIST += %D%/payload.S %D%/lock_tray.S
# The Linux guest is made when a test asks for it, of packages that may have to be fetched.
dist_check_SCRIPTS += %D%/linux/build
EXTRA_DIST += %D%/linux/init %D%/linux/power-button %D%/linux/shutdown
clean-local: clean-linux-guest
.PHONY: clean-linux-guest
clean-linux-guest:
	-rm -rf %D%/linux-guest

if PAYLOAD
# payload-check and payload.img are built for the harness, too (tests/harness)
noinst_PROGRAMS += %D%/payload-watch

check_DATA += %D%/lock_tray.img

tests_payload_payload_check_SOURCES = %D%/check.c %D%/record.c %D%/payload.h
tests_payload_payload_watch_SOURCES = %D%/watch.c %D%/record.c %D%/payload.h
endif

CLEANFILES += %D%/payload.o %D%/payload.bin %D%/payload.img %D%/lock_tray.o %D%/lock_tray.img

%D%/payload.o: %D%/payload.S %D%/payload.h
	$(AM_V_GEN)$(MKDIR_P) %D% && \
	$(CC) -m32 -c -I$(top_srcdir)/%D% -o $@ $(top_srcdir)/%D%/payload.S

%D%/payload.bin: %D%/payload.o
	$(AM_V_GEN)$(LD) -m elf_i386 -Ttext=0x7c00 --oformat=binary -o $@ %D%/payload.o

# 33 MiB, almost all of it a hole
%D%/payload.img: %D%/payload.bin
	$(AM_V_GEN)cp %D%/payload.bin $@.tmp && truncate -s $$(((2048 + 65536) * 512)) $@.tmp && \
	mv $@.tmp $@

%D%/lock_tray.o: %D%/lock_tray.S
	$(AM_V_GEN)$(MKDIR_P) %D% && $(CC) -m32 -c -o $@ $(top_srcdir)/%D%/lock_tray.S

%D%/lock_tray.img: %D%/lock_tray.o
	$(AM_V_GEN)$(LD) -m elf_i386 -Ttext=0x7c00 --oformat=binary -o $@.tmp %D%/lock_tray.o && \
	truncate -s 1M $@.tmp && mv $@.tmp $@

dist_check_SCRIPTS += %D%/test-payload-boots.sh %D%/test-payload-judges.sh \
	%D%/test-linux-guest.sh
TESTS += %D%/test-payload-boots.sh %D%/test-payload-judges.sh %D%/test-linux-guest.sh
