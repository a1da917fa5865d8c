#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The Linux guest by itself, without Leasehold: it boots, writes, answers the power button and
# its agent, sleeps, wakes, reboots and panics. What tests of the product see in it is then
# the product's doing.

. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/guests.sh"
requires qemu linux-guest python3

# start [WORDS]: $spawned is its QEMU, lin.said what it says, qmp and agent its sockets.
start() {
    rm -f "$TEST_TMP"/lin.* "$TEST_TMP"/qmp "$TEST_TMP"/agent
    truncate -s 16M "$TEST_TMP/disk"
    spawn "$TEST_TMP/qemu.log" qemu-system-x86_64 -accel tcg -m 160 -nodefaults -no-user-config \
        -display none -no-shutdown -qmp "unix:$TEST_TMP/qmp,server=on,wait=off" \
        -kernel "$linux_dir/vmlinuz" -initrd "$linux_dir/initrd" \
        -append "console=ttyS0 quiet nokaslr mitigations=off tsc=reliable ${1:-}" \
        -serial "file:$TEST_TMP/lin.said" -serial "unix:$TEST_TMP/lin.tell,server=on,wait=off" \
        -device virtio-serial-pci -device virtserialport,chardev=a,name=org.qemu.guest_agent.0 \
        -chardev "socket,id=a,path=$TEST_TMP/agent,server=on,wait=off" -device pvpanic \
        -drive "file=$TEST_TMP/disk,format=raw,if=virtio"
    ok "it is up" linux_ready lin || diag "$(<"$TEST_TMP/qemu.log")"
    diag "after $elapsed_ms ms"
}
agent() {
    python3 - "$TEST_TMP/agent" "$1" <<'PY'
import socket, sys
with socket.socket(socket.AF_UNIX) as s:
    s.settimeout(20)
    s.connect(sys.argv[1])
    s.sendall(b'{"execute": "%s"}\n' % sys.argv[2].encode())
    print(s.makefile().readline())
PY
}
says() { qmp "$TEST_TMP/qmp" "$@"; }

start write=same
ok "it writes" wait_until 10 grep -aqE 'seq 0*[1-9]' "$TEST_TMP/disk"
like "$(agent guest-get-osinfo)" '"kernel-release"' "its agent answers"
ok "the power button ends it" says system_powerdown wait:SHUTDOWN:10
like "$(<"$TEST_TMP/lin.said")" "guest: power button" "and it says so"
end_pid "$spawned"

start button=no
must says system_powerdown
ok "told, it runs a command" linux_tell lin 'echo guest: heard'
ok "and says so" linux_says lin 10 "guest: heard"
unlike "$(<"$TEST_TMP/lin.said")" "power button" "deaf, it ignores the power button"
must linux_tell lin 'reboot -f'
ok "it reboots" linux_ready lin 2
must linux_tell lin 'echo mem >/sys/power/state; echo guest: awake'
ok "it sleeps" wait_until 10 eval 'says query-status | grep -q suspended'
ok "and is woken" says system_wakeup wait:WAKEUP:10
ok "to go on where it was" linux_says lin 10 "guest: awake"
must linux_tell lin 'echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger'
ok "its panic is heard" wait_until 10 eval 'says query-status | grep -q guest-panicked'
end_pid "$spawned"
done_testing
