#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# test-daemon-gone.sh: the lock daemon of a host dies under its guests. Nobody renews their
# leases, and a daemon that is started again would let another host in within seconds: so they
# are ended at once, and on_lockfailure=restart brings one back when the host has joined again.
#
# Seen failing: with the end of the daemon left unheard, the guests run on until their leases
# have not been renewed for too long, and that is the reason that they give.

. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/hosts.sh"
. "$top_srcdir/tests/lib/guests.sh"
requires sanlock qemu payload direct-io
plan 8

store_new
host_up alpha 1
hosts_join alpha
dir=$(direct_dir)

declare -A pid=()
for policy in poweroff restart; do
    name=$policy$$
    must payload_image "$dir/$policy.img"
    guest_xml "$name" "$(cat /proc/sys/kernel/random/uuid)" "$dir/$policy.img" |
        sed "s,<devices>,<on_lockfailure>$policy</on_lockfailure><devices>," \
            >"$TEST_TMP/$policy.xml"
    must host alpha leasehold run "$TEST_TMP/$policy.xml"
    must payload_writes "$dir/$policy.img"
    pid[$policy]=$(pgrep -f -- "qemu.* -name guest=$name,") || bail_out "no QEMU of $name"
done

state() { host alpha leasehold list --all | sed -n "s/^$1$$ *//p"; }
is_in_state() { state "$1" | grep -q "^$2"; }

host_kill_daemon alpha
ok "QEMU of the first guest is ended" wait_until 5 gone "${pid[poweroff]}"
ok "and of the second" wait_until 5 gone "${pid[restart]}"
ok "the state says why" wait_until 5 is_in_state poweroff 'shut-off (lease-lost)'
run host alpha leasehold events "poweroff$$"
like "$output" "LEASE_LOST.*the lock daemon ended" "and so do the events"

must host_start_daemon alpha ""
host_join alpha
ok "the second guest comes back" wait_until 30 is_in_state restart running
ok "and writes" payload_writes "$dir/restart.img"
ok "the first one does not" is_in_state poweroff 'shut-off (lease-lost)'
must host alpha leasehold destroy "restart$$"
ok "no two writers were on the disk" payload_check "$dir/restart.img"
