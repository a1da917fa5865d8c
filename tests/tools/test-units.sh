#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The systemd units: systemd itself has nothing to complain of, and nothing in them kills QEMU.

. "${top_srcdir:-.}/tests/lib/functions.sh"
requires systemd-analyze

# as they are installed, but with the programs and the configuration where they are now
mkdir "$TEST_TMP/units"
for unit in leasehold-host.service leasehold@.service; do
    sed "s,=[^ ]*/bin/leasehold ,=$top_builddir/leasehold ," "$top_builddir/data/$unit" \
        >"$TEST_TMP/units/$unit"
    exits 0 "$unit: systemd-analyze verify" systemd-analyze --man=no verify "$TEST_TMP/units/$unit"
    is "$output$errors" "" "$unit: not a word"
    unlike "$(<"$top_builddir/data/$unit")" "@[a-z]+dir@" "$unit: every path is filled in"
done

# the check can fail
sed '/^ExecStart=/s,=.*,=/nonexistent/leasehold run,; s,^KillMode=.*,KillMode=proces,' \
    "$TEST_TMP/units/leasehold@.service" >"$TEST_TMP/units/broken@.service"
run systemd-analyze --man=no verify "$TEST_TMP/units/broken@.service"
like "$errors" "/nonexistent/leasehold" "a program that is not there is found"
like "$errors" "proces" "and so is a word that is not known"

# value UNIT KEY: the last assignment
value() { sed -n "s/^$2=//p" "$top_builddir/data/$1" | tail -n 1; }
is "$(value leasehold@.service Type)" notify "the guest's unit is ready when the guest runs"
is "$(value leasehold@.service KillMode)" process "systemd ends the command only"
is "$(value leasehold@.service SendSIGKILL)" no "and nothing by SIGKILL"
like " $(value leasehold@.service RestartPreventExitStatus) " " 123 .* 137 " \
    "a guest that another host has, or that was destroyed, is not started again"
like "$(value leasehold@.service ExecStart)" " run --foreground --attach /" \
    "a command that is started again finds the guest that went on"
unlike " $(value leasehold@.service RestartPreventExitStatus) " " SIGKILL " \
    "so one that was killed is started again"
like "$(value leasehold-host.service After)" "sanlock.service remote-fs.target" \
    "the host joins after the daemon and the storage"
like "$(value leasehold@.service After)" "leasehold-host.service" "and guests start after that"
done_testing
