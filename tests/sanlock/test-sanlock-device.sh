#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A block device as store and as a guest's disk: a loop device, which needs root. Devices with a
# WWN, of several hosts: tests/machines.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/hosts.sh"
. "$top_srcdir/tests/lib/guests.sh"

requires sanlock qemu payload losetup python3
[ "$(id -u)" = 0 ] || skip_all "a loop device needs root"

# device NAME SIZE: a blank one; its path goes to $device
device() {
    truncate -s "$2" "$TEST_TMP/$1"
    device=$(losetup --find --show "$TEST_TMP/$1" 2>&1) || skip_all "no loop device: $device"
    cleanup_fn losetup --detach "$device"
}
create() { run env LEASEHOLD_CONFIG="$TEST_TMP/create.conf" leasehold store create "$@"; }

printf '[lock]\nplugin = sanlock\n[sanlock]\nwatchdog = unsafe-none\n' >"$TEST_TMP/create.conf"
device store 40M
STORE=$device
create "$STORE" --lockspace test --io-timeout 1
is "$status" 0 "a blank device becomes a store"
create "$STORE" --lockspace test --io-timeout 1
is "$status" 1 "and not once more"
like "$errors" "is a store already" "  because it is one"

device used 8M
printf x | dd of="$device" bs=1 seek=8388607 conv=notrunc status=none
create "$device"
is "$status" 1 "a device with something at its end does not become one"
like "$errors" "is not blank .its first and last MiB. and is not a store .--force" "  and says so"
create "$device" --force --max-leases 1
is "$status" 0 "unless it is forced"

device mounted 8M
python3 -c 'import os, sys, time
os.open(sys.argv[1], os.O_RDONLY | os.O_EXCL)
print("held", flush=True); time.sleep(600)' "$device" >"$TEST_TMP/holder" &
holder=$!
cleanup_fn kill_pid "$holder"
wait_until 10 grep -q held "$TEST_TMP/holder"
create "$device" --force
is "$status" 1 "one that is mounted does not, even by force"
like "$errors" "this host uses the device" "  and says so"

host_up alpha 1
host_up beta 2
hosts_join alpha beta
device disk 40M
must payload_image "$TEST_TMP/payload.img"
must dd if="$TEST_TMP/payload.img" of="$device" bs=1M status=none conv=notrunc,fsync
guest_xml web 11111111-2222-4333-8444-555555555555 "$device" |
    sed "s/type='file'/type='block'/; s/source file=/source dev=/" >"$TEST_TMP/web.xml"
ok "a guest runs on a device" host alpha leasehold run "$TEST_TMP/web.xml"
run host beta leasehold run "$TEST_TMP/web.xml"
is "$status" 3 "another host is refused"
like "$errors" "held by host 'alpha'" "  and told by whom"
run host beta leasehold who web
like "$output" "^web .lease guest-11111111-.*held by host 'alpha'" \
    "and asks by the guest's name where it runs"
ok "the guest writes" payload_writes "$device"
ok "it ends" host alpha leasehold destroy web
ok "and runs on the other host" host beta leasehold run "$TEST_TMP/web.xml"
ok "until it ends there" host beta leasehold destroy web

done_testing
