#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# store gc: leases that nobody uses are forgotten, others never, and what is forgotten is not
# mistaken for what comes after it.
#
# Seen failing: without taking the lease, "a lease that is held or reserved by now is left alone";
# without the epoch floor, "no epoch is told a second time"; without virSanlockSlotsAwait, "a place
# that is still being given up is left alone".
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/hosts.sh"
. "$top_srcdir/tests/sanlock/holders.sh"

requires sanlock
store_new --max-leases 12
host_up alpha 1
host_up beta 2
hosts_join alpha beta
holder_start a alpha name=web
holder_start b beta name=db

gc() { run host alpha leasehold store gc "$@"; }
used() { host alpha leasehold store info --json | sed -n 's/.*"used_leases" : \([0-9]*\).*/\1/p'; }

# ---- what is chosen
tell a acquire one two three
tell a advance one two three
tell a release one two three
tell a acquire read-only
tell a release read-only
tell b acquire held
tell b advance held
tell a acquire moved
tell a advance moved
tell b reserve moved
tell a release moved # as a migration whose source is gone
is "$(used)" 6 "there are six leases"
gc --dry-run --unused-for 1
is "$status:$output" "0:0 leases would be reclaimed" "none is unused for a day"
gc --dry-run --unused-for 0
like "$output" "3 leases would be reclaimed" "three are not held"
like "$output" "one +web +alpha +[0-9]" "they are shown with their last use"
unlike "$output" "held|moved|read-only" "and those in use are not"
is "$(used)" 6 "a dry run changes nothing"
gc --dry-run --unused-for 0 --never-used
like "$output" "4 leases.*|read-only.*never" "leases that were never used are wanted in so many words"
run host alpha leasehold store gc
is "$status" 2 "no time is the default"
run host beta leasehold store gc --unused-for -1
is "$status" 2 "a time in the future is none"

# ---- what is reclaimed
gc --unused-for 0 --json
is "$status" 0 "leases are reclaimed"
is "$(grep -c '"lease"' <<<"$output")" 3 "the three of them"
is "$(used)" 3 "the others stay"
ok "the store is whole" host alpha leasehold store check
told ok "a lease in use is still held" b inquire
like "$text" "held" "by its guest"
told $BUSY "and refused to others" a acquire held
told $BUSY "and so is the one that is reserved only" a acquire moved
gc --unused-for 0 --never-used
like "$output" "read-only.*1 lease reclaimed" "a lease that was never used is reclaimed when that is wanted"

# ---- what was chosen, and is used by the time that it is its turn
helper() { run host alpha "$LEASEHOLD_HELPER_DIR/leasehold-sanlock-helper" reclaim-slots "$STORE" test 5000 "$@"; }
helper held=1 moved=1
is "$status:$output" "0:" "a lease that is held or reserved by now is left alone"
tell a acquire used
tell a advance used
tell a release used
helper used=8
is "$status:$output" "0:" "so is one that was used since"
helper used=9 none=1
is "$status:$output" "0:used" "and one that was not is reclaimed"

# ---- an epoch is not told twice
# the floor is 8 from the first time on
for _ in 1 2 3 4 5 6 7 8 9 10; do tell a acquire old; tell a advance old; tell a release old; done
gc --unused-for 0
tell a acquire old
tell a use old
like "$text" "^19:[^ ]*null[^ ]*\$" "a lease that is made anew has the epoch that it had, and no user"
told ok "it can be used" a advance old
tell a use old
like "$text" "^20:web@alpha" "its epoch goes on from there"
unlike "$text" " " "with nobody before"
tell a release old
tell a acquire other
told ok "so does that of a lease that never was" a advance other
tell a use other
like "$text" "^20:web" "no epoch is told a second time"
tell a release other
tell b release held
tell b unreserve moved
gc --unused-for 0 --never-used
is "$(used)" 0 "a store without guests has room for all its leases again"
told ok "which can all be had" a acquire "$(printf 'fill-%d ' {1..12})"
told $CONFIG "and no more" b acquire too-much
tell a release "$(printf 'fill-%d ' {1..12})"

# ---- looked up before, taken after
daemon=$(host_daemon_pid alpha)
kill -STOP "$daemon"
tell a deadline 20000
say a acquire fill-7
sleep 0.5 # it has looked it up, and its acquire waits for the daemon
run host beta leasehold store gc --unused-for 0 --never-used
is "$status" 0 "its place is reclaimed meanwhile"
kill -CONT "$daemon"
holder_read a
is "$result" ok "the lease that is taken meanwhile is taken where it is now"
told $BUSY "and held" b acquire fill-7
ok "by the index, too" test "$(used)" = 1

# ---- a helper that died after it had changed the index
unit=1048576
dd if=/dev/zero of="$STORE" bs=1 seek=$((2 * unit + 512)) count=64 conv=notrunc status=none
tell b deadline 1500
tell b acquire next
# the caller's deadline, or the helper's last try just before it
like "$result" "^($TIMEOUT|$BUSY)\$" "a place that is still being given up is left alone"
tell a release fill-7
tell b deadline 20000
told ok "until it was" b acquire next
tell b release next

# ---- everything at once: two hosts take, two tidy up
for i in 1 2; do
    holder_start "r$i" alpha "uuid=r$i" "name=r$i"
    holder_start "s$i" beta "uuid=s$i" "name=s$i"
    tell "r$i" busy 20000
    tell "s$i" busy 20000
    tell "r$i" deadline 30000
    tell "s$i" deadline 30000
done
for host in alpha beta; do
    (for _ in {1..12}; do host "$host" leasehold store gc --unused-for 0 --never-used || echo "failed: $?"; done) \
        >"$TEST_TMP/gc.$host" 2>&1 &
    tidy+=("$!")
done
for name in r1 s1 r2 s2; do
    (for _ in {1..6}; do
        tell "$name" acquire race-1 race-2
        [ "$result" = ok ] && tell "$name" advance race-1 race-2
        [ "$result" = ok ] && tell "$name" release race-1 race-2
        [ "$result" = ok ] || echo "$reply"
    done) >"$TEST_TMP/race.$name" &
    races+=("$!")
done
wait "${races[@]}"
wait "${tidy[@]}"
is "$(cat "$TEST_TMP"/race.*)" "" "whoever takes a lease while others tidy up gets it, in turn"
is "$(grep -h failed "$TEST_TMP/gc.alpha" "$TEST_TMP/gc.beta")" "" "tidying up never fails"
diag "reclaimed while they were wanted: $(cat "$TEST_TMP"/gc.* | grep -c '^race-')"
ok "the store is whole after that" host alpha leasehold store check
tell r1 acquire race-1
tell r1 use race-1
epoch=${text%%:*}
[ "$epoch" -ge $((20 + 24)) ]
is $? 0 "no use was forgotten: the epoch is $epoch"
done_testing
