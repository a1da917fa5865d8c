#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The payload boots on every machine and disk controller that guests of the tests use, writes,
# and ends by the power button; the disk is judged clean afterwards.

. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/guests.sh"
requires payload qemu python3 direct-io
DIR=$(direct_dir)
UUID=11111111-2222-4333-8444-555555555501

# start MACHINE DEVICE [QEMU ARGS...]: $qemu is its pid.
start() {
    must payload_image "$DIR/disk"
    payload_qemu_args "$1" "$2" "$DIR/disk" "$UUID" "$TEST_TMP/qmp"
    shift 2
    spawn "$TEST_TMP/qemu.log" qemu-system-x86_64 "${qemu_args[@]}" \
        -device isa-debugcon,iobase=0xe9,chardev=said -chardev "file,id=said,path=$TEST_TMP/said" \
        "$@"
    qemu=$spawned
}

boots() {
    start "$@"
    if ! ok "$1 $2: it writes" payload_writes "$DIR/disk" 20; then
        diag "$(<"$TEST_TMP/qemu.log")"
    fi
    must qmp "$TEST_TMP/qmp" system_powerdown
    ok "$1 $2: the power button ends it" wait_until 10 gone "$qemu"
    ok "$1 $2: one clean writer" payload_check "$DIR/disk"
    like "$output" "writer boot=1 .* uuid=11111111..5501 .*1 writers" "$1 $2: it is the writer"
    end_pid "$qemu"
}

for device in virtio-blk virtio-scsi ide sata; do
    boots pc "$device"
    [ "$device" = ide ] || boots q35 "$device"
done

# A second boot goes on where the first ended, and a reset is a new boot.
start pc virtio-blk -fw_cfg name=opt/leasehold/label,string=alpha
must payload_writes "$DIR/disk" 20
must qmp "$TEST_TMP/qmp" system_reset
ok "it boots again after a reset" wait_until 20 eval \
    'payload_check "$DIR/disk" | grep -q boot=2'
must qmp "$TEST_TMP/qmp" system_powerdown
wait_until 10 gone "$qemu"
run payload_check "$DIR/disk"
is "$status" 0 "two boots one after the other are clean"
like "$output" "label=alpha" "the label names the QEMU process"
end_pid "$qemu"

# Unplug: a second disk, added and taken away while it runs.
start pc virtio-blk
must truncate -s 1M "$TEST_TMP/second"
must payload_writes "$DIR/disk" 20
ok "it ejects a disk when asked to" qmp "$TEST_TMP/qmp" \
    '{"execute": "blockdev-add", "arguments":
      {"driver": "file", "filename": "'"$TEST_TMP"'/second", "node-name": "x"}}' \
    '{"execute": "device_add", "arguments":
      {"driver": "virtio-blk-pci", "drive": "x", "id": "dx"}}' \
    '{"execute": "device_del", "arguments": {"id": "dx"}}' wait:DEVICE_DELETED:10
must qmp "$TEST_TMP/qmp" '{"execute": "blockdev-del", "arguments": {"node-name": "x"}}'
is "$(<"$TEST_TMP/said")" BE "it boots, ejects once and sees no conflict"

# The two settings in its boot sector.
end_pid "$qemu"
must payload_image "$DIR/disk" 1000 deaf
payload_qemu_args pc virtio-blk "$DIR/disk" "$UUID" "$TEST_TMP/qmp"
spawn "$TEST_TMP/qemu.log" qemu-system-x86_64 "${qemu_args[@]}"
must payload_writes "$DIR/disk" 20
before=$(payload_seq "$DIR/disk")
must qmp "$TEST_TMP/qmp" system_powerdown
sleep 3
ok "deaf, it ignores the power button" alive "$spawned"
after=$(payload_seq "$DIR/disk")
ok "with a pause of a second it writes some records only ($((after - before)))" \
    test "$((after - before))" -le 20 -a "$((after - before))" -ge 1
done_testing
