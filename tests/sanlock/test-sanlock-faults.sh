#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A daemon that hangs or dies, cancelling, deadlines: every call comes back in time, and says
# honestly what is known.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/hosts.sh"
. "$top_srcdir/tests/sanlock/holders.sh"

requires sanlock
store_new --max-leases 50
host_up alpha 1
host_up beta 2
hosts_join alpha beta
holder_start a alpha name=web
a_child=$pid
holder_start b beta name=db uuid=bbbbbbbb-2222-3333-4444-555555555555
daemon=$(host_daemon_pid alpha)
tell a acquire disk-1 disk-2
tell a release disk-2
tell b acquire disk-9

# ---- renewal
told ok "the age of the renewal" a renewal
like "$text" "^age=[0-7] interval=2 expire=8 takeover=68$" \
    "and the times that follow from io_timeout"

# ---- cancel
tell a cancel 300
tell a busy 15000
told $CANCELLED "waiting for a busy lease can be cancelled" a acquire disk-9
[ "$msec" -ge 250 ] && [ "$msec" -lt 1500 ]
is $? 0 "soon after ($msec ms)"
tell a cancel 0
tell a busy 0

# ---- a daemon that hangs
kill -STOP "$daemon"
tell a deadline 700 # sanlock kills its clients when it missed its renewals for 8 s
told $INDETERMINATE "taking a lease from a daemon that hangs" a acquire disk-2
[ "$msec" -lt 800 ]
is $? 0 "comes back in time ($msec ms)"
told $TIMEOUT "so does asking it" a inquire
[ "$msec" -lt 800 ]
is $? 0 "in time ($msec ms)"
told $TIMEOUT "and for the renewal" a renewal
told $TIMEOUT "giving up is not even begun" a release disk-1
tell b owner disk-1
like "$text" "host=1/alpha" "the store tells its leases all the same"
kill -CONT "$daemon"
# what the daemon was asked while it hung it does when it goes on: so "unknown" was honest
tell a deadline 20000
both() {
    tell a inquire
    [ "$text" = "disk-1/ex disk-2/ex" ]
}
wait_until 5 both
is "$text" "disk-1/ex disk-2/ex" "when it goes on it takes the lease after all"

# ---- a deadline that is over
tell a deadline 0
told $TIMEOUT "nothing is begun after the deadline" a acquire disk-5
tell a deadline 20000
tell a inquire
unlike "$text" "disk-5" "nor taken"

# ---- the daemon dies
say a watch
holder_read a
is "$reply" watching "the daemon is watched"
host_kill_daemon alpha
holder_read a
is "$result $text" "ok 1" "its end is seen"
[ "$msec" -lt 19000 ]
is $? 0 "before any deadline"
told $UNAVAILABLE "a dead daemon is an error" a acquire disk-3
like "$text" "the sanlock daemon is not running" "that says so"
told $UNAVAILABLE "also for the renewal" a renewal
tell b owner disk-1
told ok "owners can be read without a daemon" a owner disk-9
like "$text" "host=2/beta .* state=0" "but not how their host is"

# ---- and is started again
host_start_daemon alpha
told ok "a child of the old daemon can be asked for" a inquire
is "$text" "" "and holds nothing of the new one"
told $STATE "nor can it take anything" a acquire disk-1
exits 1 "this host does not join while it lives" host alpha leasehold host join
like "$errors" "guests of an earlier sanlock daemon still run on this host: 'web' \(pid $a_child\)" \
    "and names it"
kill_pid "$a_child"
ok "when it is dead it joins" host alpha leasehold host join -q

done_testing
