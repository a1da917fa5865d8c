#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A guest whose leases are lost, with a real sanlock daemon: whatever the cause, it does not
# write when another host could own its disk.
#
# Seen failing: released before the daemon had given up itself, the leases could not be given
# up, and QEMU was killed instead of paused; without the watch nothing ends or pauses.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/hosts.sh"
. "$top_srcdir/tests/lib/guests.sh"

requires sanlock qemu
plan 17
UUID=6f1c8b3e-52d4-4c5e-9d44-00000000000
store_new
images=$(direct_dir)

start_guest() { # HOST NAME N
    must payload_image "$images/$2.img"
    guest_xml "$2" "$UUID$3" "$images/$2.img" >"$TEST_TMP/$2.xml"
    must host "$1" leasehold run "$TEST_TMP/$2.xml"
    pid=$(host "$1" leasehold show "$2" --json | sed -n 's/.*"pid" *: *\([0-9]*\).*/\1/p' | head -n 1)
}
state_is() { host "$1" leasehold show "$2" --json | tr -d ' \n' | grep -q "\"reason\":\"$3\""; }

host_up alpha 1
host_up beta 2
host_up gamma 3
hosts_join alpha beta gamma

# ---- the lock daemon hangs: begun first, because it takes longest
start_guest gamma app 3
hung=$pid
ok "a guest runs on a host whose daemon will hang" payload_writes "$images/app.img"
must kill -STOP "$(host_daemon_pid gamma)"
stopped=$SECONDS

# ---- the lock daemon dies: nobody is there to release to
start_guest alpha web 1
ok "the guest runs" payload_writes "$images/web.img"
host_kill_daemon alpha
ok "its QEMU ends within seconds of the daemon" wait_until 5 gone "$pid"
ok "and show says why" wait_until 5 state_is alpha web lease-lost
run host alpha leasehold events web
like "$output" "LEASE_LOST.*the lock daemon ended" "and so do its events"
is "$status" 0 "events works for a guest that ended"

# ---- the lease storage fails: sanlock runs the failure helper
start_guest beta db 2
ok "another guest runs" payload_writes "$images/db.img"
must cp --sparse=always "$STORE" "$TEST_TMP/saved"
must truncate -s 0 "$STORE"
ok "it is paused when the leases cannot be renewed" wait_until 30 state_is beta db lease-lost
not_ok_running() { ! payload_writes "$images/db.img" 1; }
ok "it writes no more" not_ok_running
ok "its QEMU is still there" kill -0 "$pid"
run host beta sanlock client status
unlike "$output" "^r " "sanlock has no lease of it any more"
run host beta leasehold resume db
ok "it cannot be resumed" [ "$status" -ne 0 ]
run host beta leasehold destroy db
is "$status" 0 "it can be destroyed"
ok "then its QEMU is gone" wait_until 5 gone "$pid"
ok "no two writers met on its disk" payload_check "$images/db.img"

# ---- back to the daemon that hangs: others may take over 68 s after its last renewal
ok "under a daemon that hangs QEMU ends by itself" wait_until 60 gone "$hung"
ok "long before another host could take over" [ $((SECONDS - stopped)) -lt 50 ]
