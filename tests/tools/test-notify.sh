#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What run --foreground tells a service manager (sd_notify), heard on a socket of our own:
# READY when the guest runs and not before, STOPPING when it was told to end, and all that from
# the process that the manager started.

. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/guests.sh"
requires qemu payload direct-io python3

disk=$(direct_dir)/web.img
must payload_image "$disk" 20
guest_xml web 11111111-2222-4333-8444-555555555555 "$disk" >"$TEST_TMP/web.xml"
guest_xml other 21111111-2222-4333-8444-555555555555 "$disk" >"$TEST_TMP/other.xml"
mkdir "$TEST_TMP/locks"
export LEASEHOLD_CONFIG=$TEST_TMP/leasehold.conf
printf '[host]\nname = alpha\nrun_dir = %s/run\nstate_dir = %s/state\nidentity = local\n[lockfile]\ndir = %s/locks\n' \
    "$TEST_TMP" "$TEST_TMP" "$TEST_TMP" >"$LEASEHOLD_CONFIG"
cleanup_fn destroy_all
destroy_all() { for name in $(leasehold list --name); do leasehold destroy -q "$name"; done; }

# listen SOCKET: what comes is in $heard
listen() {
    heard=$TEST_TMP/heard.$RANDOM
    spawn "$TEST_TMP/listener.log" python3 "$top_srcdir/tests/tools/notify-socket.py" "$1" "$heard"
    wait_until 5 grep -q bound "$heard" || bail_out "the socket $1 is not there"
}
# a pipe for what the command prints would be held by the guest's supervisor as well
foreground() {
    spawn "$TEST_TMP/run.log" env "NOTIFY_SOCKET=$1" leasehold run --foreground "$2"
    command=$spawned
}

for socket in "$TEST_TMP/notify" "@leasehold-test-$$"; do
    listen "$socket"
    foreground "$socket" "$TEST_TMP/web.xml"
    ok "READY comes ($socket)" wait_until 20 grep -q READY "$heard"
    is "$(sed -n 2p "$heard")" "$command READY=1|STATUS=guest 'web' runs under its leases" \
        "from the command itself, with a status"
    is "$(leasehold list --name)" web "and the guest runs then"
    # shellcheck disable=SC2046  # a list of paths
    is "$(grep -lsza NOTIFY_SOCKET $(leasehold list --json |
        sed -n 's,.*"\(pid\|supervisor_pid\)" : \([0-9]*\).*,/proc/\2/environ,p'))" "" \
        "QEMU and the supervisor do not know the socket"
    # before its kernel runs a guest does not hear the power button
    ok "it works" payload_writes "$disk"
    kill -TERM "$command"
    ok "STOPPING comes" wait_until 20 grep -q "^$command STOPPING=1|STATUS=guest 'web' was asked" "$heard"
    ok "the guest ends" wait_until 60 gone "$command"
    is "$(wc -l <"$heard")" 3 "nothing else was said"
done

# given a guest that has the disk, when another one is refused, then nobody hears READY
must leasehold run -q "$TEST_TMP/web.xml"
listen "$TEST_TMP/notify2"
exits 123 "a refused guest" env "NOTIFY_SOCKET=$TEST_TMP/notify2" leasehold run --foreground \
    "$TEST_TMP/other.xml"
is "$(<"$heard")" bound "is never READY"
must leasehold destroy web
run timeout 20 env "NOTIFY_SOCKET=vsock:2:1234" leasehold run --foreground --paused "$TEST_TMP/web.xml"
like "$errors" "cannot tell the service manager \(NOTIFY_SOCKET=vsock:2:1234\)" \
    "a socket of another kind is named"
done_testing
