#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Joining and leaving the lockspace, and every way in which it must not go.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/hosts.sh"
. "$top_srcdir/tests/sanlock/holders.sh"

requires sanlock
store_new --max-leases 20 --max-hosts 8
host_up alpha 1
host_up beta 2

# with NAME SED...: host alpha with its configuration changed
with() {
    sed "$1" "$(host_dir alpha)/leasehold.conf" >"$TEST_TMP/changed.conf"
    shift
    run host alpha env "LEASEHOLD_CONFIG=$TEST_TMP/changed.conf" "$@"
}
refuses() { # WHAT SED WORDS
    with "$2" leasehold host join -q
    is "$status" 1 "$1"
    like "$errors" "$3" "  and says so"
}

refuses "a store that does not exist" "s,^store = .*,&-not," "store .*-not does not exist; create it"
refuses "a store of another lockspace" "s,^lockspace = .*,lockspace = other," \
    "is of lockspace 'test', but 'other' is configured"
refuses "a host id that is too large" "s,^host_id = .*,host_id = 9," \
    "host_id 9 is too large: store .* was created for host ids 1 to 8"
refuses "no host id" "/^host_id/d" "no host id is configured"
refuses "a daemon without watchdog" "/^watchdog/d" "runs without watchdog.*watchdog = unsafe-none"
refuses "a host id that is no number" "s,^host_id = .*,host_id = one," "host_id = one: must be a number"
refuses "a path with a space" "s,^store = .*,store = /a b," "has a space"
truncate -s 4096 "$TEST_TMP/short"
refuses "a file that is no store" "s,^store = .*,store = $TEST_TMP/short," "is not a leasehold store"
cp --sparse=always "$STORE" "$STORE.cut" && truncate -s 30M "$STORE.cut"
refuses "a truncated store" "s,^store = .*,store = $STORE.cut," "is truncated: it has 31457280 bytes and needs"

# ---- it goes
begin=${EPOCHREALTIME/./}
ok "a host joins" host alpha leasehold host join
like "$errors$output" "." "and says what it does"
took=$(((${EPOCHREALTIME/./} - begin) / 1000))
[ $took -lt 6000 ]
is $? 0 "within some seconds ($took ms)"
ok "joining again is no error" host alpha leasehold host join -q

# ---- duplicate host ids
sed -i "s,^host_id = .*,host_id = 1," "$(host_dir beta)/leasehold.conf"
exits 1 "a second host with the same id is refused" host beta leasehold host join -q
like "$errors" "host id 1 is in use by host 'alpha', which is alive" "and told by whom it is used"
[ "$elapsed_ms" -lt 10000 ]
is $? 0 "soon ($elapsed_ms ms)"
holder_start a alpha name=web
told ok "the first host is not harmed" a acquire disk-1
sed -i "s,^host_id = .*,host_id = 2," "$(host_dir beta)/leasehold.conf"

# ---- leaving
exits 1 "a host with guests does not leave" host alpha leasehold host leave
like "$errors" "guests of this host hold leases in it" "and says why"
told ok "its guests still hold their leases" a inquire
is "$text" "disk-1/ex" "all of them"
tell a release disk-1
ok "without leases it leaves" host alpha leasehold host leave
exits 4 "leaving again is an error" host alpha leasehold host leave
told $NOT_JOINED "no lease without being joined" a acquire disk-1
like "$text" "leasehold host join" "and the way out is named"
told $NOT_JOINED "no renewal either" a renewal
ok "the id can be had by another host at once" with "" true
sed -i "s,^host_id = .*,host_id = 1," "$(host_dir beta)/leasehold.conf"
ok "as nobody has it" host beta leasehold host join -q

# ---- no daemon
host_kill_daemon alpha
# its helper process may hold the socket open for a moment longer
unanswered() { ! host alpha sanlock client status; }
wait_until 5 unanswered
exits 4 "no daemon" host alpha leasehold host join -q
like "$errors" "the sanlock daemon is not running .*start sanlock.service" "and what to do"

done_testing
