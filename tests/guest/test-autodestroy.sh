#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# run --autodestroy: the guest ends with the command that started it, however that ends, also when
# its supervisor had been replaced or was gone; one without it goes on.
#
# Not seen failing: without the owner in the supervisor (virSupervisorOwnerNew) the guest would go on.

. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/guests.sh"
requires qemu payload direct-io python3

UUID=11111111-2222-4333-8444-555555555543
disk=$(direct_dir)/disk
must payload_image "$disk"
lockfile_config
cleanup_fn destroy_all
guest_xml own "$UUID" "$disk" >"$TEST_TMP/own.xml"

state() { leasehold --json show own | json_value state; }
is_state() { [ "$(state)" = "$1" ]; }
pid_of() { leasehold --json show own | json_value "$1"; }
happened() { leasehold events own | sed 's/^[^ ]* [^ ]*  own  //' | tail -n "$1"; }
# start OPTION...: in the foreground, in the background
start() {
    spawn "$TEST_TMP/run.log" leasehold run "$TEST_TMP/own.xml" --foreground "$@"
    wait_until 30 is_state running || bail_out "the guest does not start: $(<"$TEST_TMP/run.log")"
    payload_writes "$disk" 30 || bail_out "the guest does not write"
}
free() { leasehold who "$disk" | grep -q free; }

start --autodestroy
run leasehold migrate own elsewhere --rsh true
like "$status $errors" "^1 .*belongs to a program of this host .pid $spawned" "it does not migrate"
kill -KILL "$spawned"
ok "the command is killed, and the guest ends" wait_until 20 is_state shut-off
is "$(leasehold --json show own | json_value reason)" destroyed "by the host"
like "$(happened 2)" "OWNER_GONE host  .*pid $spawned.* has ended
STOPPED destroyed" "and the history says why"
ok "its disk is free" free
ok "one writer" payload_check "$disk"

start
kill -KILL "$spawned"
wait "$spawned" 2>/dev/null
ok "without the option it goes on" payload_writes "$disk"
must leasehold destroy -q own

# nobody is there to see the end of the command; the next supervisor does
start --autodestroy
kill -STOP "$spawned"
kill -KILL "$(pid_of supervisor_pid)"
ok "its supervisor is gone" wait_until 10 is_state unsupervised
kill -KILL "$spawned"
wait "$spawned" 2>/dev/null
run leasehold attach own
ok "the next supervisor ends it" wait_until 20 is_state shut-off
ok "its disk is free then" free

# a supervisor that is replaced while the command lives changes nothing
start --autodestroy
supervisor=$(pid_of supervisor_pid)
kill -KILL "$supervisor"
replaced() { is_state running && [ "$(pid_of supervisor_pid)" != "$supervisor" ]; }
ok "the command has its supervisor replaced" wait_until 20 replaced
ok "and the guest goes on" payload_writes "$disk"
kill -KILL "$spawned"
ok "it ends with the command all the same" wait_until 20 is_state shut-off

# the other ways to end a guest
must leasehold run -q "$TEST_TMP/own.xml"
exits 0 "gracefully" leasehold destroy own --graceful
is "$(state) $(pid_of reason) $(pid_of exit_status)" "shut-off destroyed 0" "QEMU ended by itself"
must leasehold run -q "$TEST_TMP/own.xml"
qemu=$(pid_of pid)
kill -STOP "$qemu"
exits 4 "gracefully, QEMU hangs" leasehold destroy own --graceful
ok "it is not killed" kill -0 "$qemu"
unlike "$(leasehold who "$disk")" "free" "and its leases stay held"
exits 0 "at once" leasehold destroy own
is "$(pid_of exit_signal)" 9 "it is killed, and how is known"
ok "its disk is free" free

# --- the same by the C API --------------------------------------------------------------------
own=$top_builddir/tests/guest/own_guest
mkfifo "$TEST_TMP/input"
# begin: our program runs, with its guest; it ends when descriptor 7 is closed
begin() {
    "$own" "$TEST_TMP/own.xml" <"$TEST_TMP/input" >"$TEST_TMP/own.log" 2>&1 &
    spawned=$!
    cleanup_fn end_pid "$spawned"
    exec 7>"$TEST_TMP/input"
    wait_until 30 grep -q "^runs [0-9]" "$TEST_TMP/own.log" ||
        bail_out "no guest: $(<"$TEST_TMP/own.log")"
}
begin
ok "a program that asked for it: the guest runs" payload_writes "$disk"
kill -KILL "$spawned"
exec 7>&-
ok "the program is killed, and the guest ends" wait_until 20 is_state shut-off
like "$(happened 2)" "OWNER_GONE host  .*pid $spawned.* has ended
STOPPED destroyed" "and the history says why"
begin
exec 7>&-
wait "$spawned"
is "$?" 0 "the program ends by itself"
ok "and so does the guest" wait_until 20 is_state shut-off
ok "its disk is free" free
exits 1 "not of a guest that may run already" "$own" "$TEST_TMP/own.xml" attach
like "$errors" "mutually exclusive" "by name"

exits 2 "not without --foreground" leasehold run "$TEST_TMP/own.xml" --autodestroy
like "$errors" "--autodestroy needs --foreground" "by name"
exits 122 "not with --attach" leasehold run "$TEST_TMP/own.xml" --foreground --autodestroy --attach
like "$errors" "mutually exclusive" "by name"
done_testing
