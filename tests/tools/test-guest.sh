#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The commands that act on guests, with real guests under the lockfile plugin: what they print,
# what they return, and what is left behind (nothing).

. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/guests.sh"
requires qemu payload direct-io

WEB=11111111-2222-4333-8444-555555555555
OTHER=21111111-2222-4333-8444-555555555555
dir=$(direct_dir)
disk=$dir/web.img
must payload_image "$disk" 20
guest_xml web "$WEB" "$disk" >"$TEST_TMP/web.xml"
guest_xml other "$OTHER" "$disk" >"$TEST_TMP/other.xml"
mkdir "$TEST_TMP/locks"
export LEASEHOLD_CONFIG=$TEST_TMP/leasehold.conf
printf '[host]\nname = alpha\nrun_dir = %s/run\nstate_dir = %s/state\nidentity = local\n[lockfile]\ndir = %s/locks\n' \
    "$TEST_TMP" "$TEST_TMP" "$TEST_TMP" >"$LEASEHOLD_CONFIG"
qemu=(qemu-system-x86_64 -accel tcg -m 16 -nodefaults -display none
    -drive "file=$disk,format=raw,if=virtio,cache=none,file.locking=off")
cleanup_fn destroy_all
destroy_all() { for name in $(leasehold list --name); do leasehold destroy -q "$name"; done; }

# json QUERY COMMAND...: one value of a report
json() { "${@:2}" --json | python3 -c 'import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1].split("."):
    value = value[int(key)] if key.isdigit() else value[key]
print(value)' "$1"; }
ended() { [ "$(json state leasehold show "$1")" = shut-off ]; }

exits 0 "run starts a guest" leasehold run "$TEST_TMP/web.xml"
like "$output" "^guest 'web' runs: pid [0-9]+, 2 leases, plugin lockfile$" "and says so"
is "$errors" "" "with nothing on stderr"
ok "the guest writes to its disk" payload_writes "$disk"
is "$(leasehold list --name)" web "list --name"
is "$(leasehold list --uuid)" "$WEB" "list --uuid"
run leasehold list
like "$output" $'^NAME +STATE +PID +LEASES +SINCE\nweb +running +[0-9]+ +2 ' "list is a table"
like "$(leasehold show "$WEB")" "$disk" "show by uuid names the disk"
is "$(leasehold __complete show '')" web "completion knows the guest"

# busy: the same guest again, and another guest with the same disk
exits 3 "the same guest again is BUSY" leasehold run "$TEST_TMP/web.xml"
like "$errors" "guest 'web' is running" "and the message says why"
exits 3 "a disk that is in use is BUSY" leasehold run "$TEST_TMP/other.xml"
like "$errors" "$disk is held by host 'alpha' for guest 'web'" "and the message says by whom"
exits 123 "with --foreground 120 is added" leasehold run --foreground "$TEST_TMP/other.xml"
run leasehold --json run "$TEST_TMP/other.xml"
like "$errors" '^\{"error":\{"code":"BUSY","exit_status":3,' "with --json the error is JSON"
is "$(leasehold list --all --name)" web "a guest that was refused leaves nothing behind"
run leasehold who "$disk"
like "$output" "held by host 'alpha' for guest 'web', pid [0-9]+" "who names host and guest"
is "$(json owners.0.guest_uuid leasehold who "$WEB")" "$WEB" "who knows the guest's uuid"
is "$(json owners.0.guest_uuid leasehold who web)" "$WEB" "and its name"

exits 0 "suspend" leasehold suspend web
is "$(json state leasehold show web)" paused "the guest is paused"
exits 0 "resume" leasehold resume web
is "$(json state leasehold show web)" running "the guest runs"
exits 0 "reset" leasehold reset web
exits 1 "shutdown --abort without a deadline fails" leasehold shutdown web --abort
ok "after the reset the guest writes again" payload_writes "$disk"
exits 0 "shutdown --timeout --wait" leasehold shutdown web --timeout 30 --wait
like "$output" "^guest 'web' has shut down$" "says how it ended"
is "$(json reason leasehold show web)" shutdown "the guest shut itself down"
is "$(leasehold list --name)" "" "list does not show it"
like "$(leasehold list --all)" "web +shut-off \(shutdown\)" "list --all does"
run leasehold who "$disk"
like "$output" $'\nfree\nlast used for guest \'web\' by host \'alpha\'' "its disk is free"
run leasehold events web
like "$output" 'web  STARTED.*SUSPENDED user.*RESUMED.*SHUTDOWN_REQUESTED host.*STOPPED shutdown$' \
    "events tells the story"
is "$(leasehold --json events | grep -c "^{.*}$")" "$(leasehold events | wc -l)" \
    "events --json is one object a line"

# waiting for a busy disk
must leasehold run -q "$TEST_TMP/web.xml"
spawn "$TEST_TMP/other.log" leasehold run "$TEST_TMP/other.xml" --timeout 60
waiting=$spawned
ok "run --timeout waits and says for whom" \
    wait_until 20 grep -q "waiting for disk $disk, held by host 'alpha'.* for guest 'web'" \
    "$TEST_TMP/other.log"
exits 0 "destroy" leasehold destroy web
wait "$waiting"
is $? 0 "the one who waited gets the disk"
must leasehold destroy other
must leasehold run -q "$TEST_TMP/web.xml"
spawn "$TEST_TMP/other.log" leasehold run "$TEST_TMP/other.xml" --timeout 60
waiting=$spawned
must wait_until 20 grep -q waiting "$TEST_TMP/other.log"
kill -TERM "$waiting"
wait "$waiting"
is $? 1 "a signal ends the wait"
like "$(tail -n 1 "$TEST_TMP/other.log")" 'cancel' "which says that it was cancelled"
is "$(leasehold list --name)" web "and has started nothing"
must leasehold destroy web

# in the foreground: the program's own status
run leasehold run --foreground --name cmd --disk "$disk" -- "${qemu[@]}" -bogus
is "$status" 121 "--foreground: a program that fails at once is 120 + 1"
like "$errors" 'bogus' "with its own words"
spawn "$TEST_TMP/fg.log" leasehold run --foreground --name cmd --disk "$disk" -- "${qemu[@]}"
must wait_until 20 grep -q runs "$TEST_TMP/fg.log"
kill -KILL "$(json pid leasehold show cmd)"
wait "$spawned"
is $? 137 "--foreground: a program that is killed is 128 + signal"
is "$(json exit_signal leasehold show cmd)" 9 "and show knows the signal"
spawn "$TEST_TMP/fg.log" leasehold run --foreground "$TEST_TMP/web.xml"
must wait_until 20 grep -q runs "$TEST_TMP/fg.log"
must payload_writes "$disk"
kill -TERM "$spawned"
wait "$spawned"
is $? 0 "--foreground: a signal shuts the guest down"
is "$(json reason leasehold show web)" shutdown "in good order"

# following
must leasehold run -q "$TEST_TMP/web.xml"
before=$(leasehold events web | wc -l)
spawn "$TEST_TMP/events.log" leasehold events web --follow
following=$spawned
has_lines() { [ "$(wc -l <"$TEST_TMP/events.log")" = "$1" ]; }
must wait_until 10 has_lines "$before"
must leasehold suspend web
ok "events --follow shows what happens, once" wait_until 10 has_lines $((before + 1))
kill -TERM "$following"
wait "$following"
is $? 0 "and ends when it is told to"

# the supervisor dies
kill_pid "$(json supervisor_pid leasehold show web)"
# its first thread may be dead a moment before the others let go of the guest's folder
is_unsupervised() { [ "$(json state leasehold show web)" = unsupervised ]; }
ok "without its supervisor a guest is unsupervised" wait_until 10 is_unsupervised
exits 0 "what needs a supervisor starts one" leasehold resume web
kill_pid "$(json supervisor_pid leasehold show web)"
must wait_until 10 is_unsupervised
exits 0 "destroy ends it all the same" leasehold destroy web
run leasehold who "$disk"
like "$output" $'\nfree' "and its disk is free"
ok "no two writers ever met" payload_check "$disk"
done_testing
