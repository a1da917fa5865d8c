#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# leasehold exec on two hosts with real sanlock: refused on the other host while the command
# runs and free afterwards, also when exec itself is killed; and the command and its children
# are ended when the lock daemon dies.

. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/hosts.sh"
requires sanlock direct-io

store_new
host_up alpha 1
host_up beta 2
hosts_join alpha beta
disk=$(direct_dir)/web.img
must truncate -s 1M "$disk"
is_shared() { host alpha leasehold who "$disk" | grep -q "^held shared by host 'beta'"; }
free() { host beta leasehold who "$disk" | grep -qx free; }

# background COMMAND: on alpha, under the disk; $exec is the command's parent, $child the command
background() {
    rm -f "$TEST_TMP/pid"
    spawn "$TEST_TMP/exec.log" host alpha leasehold exec --disk "$disk" -- bash -c \
        'echo $$ >"$0.new"; mv "$0.new" "$0"; '"$1" "$TEST_TMP/pid"
    wait_until 20 test -f "$TEST_TMP/pid" ||
        bail_out "the command does not run: $(<"$TEST_TMP/exec.log")"
    child=$(<"$TEST_TMP/pid")
    exec=$(awk '/^PPid/ { print $2 }' "/proc/$child/status")
    cleanup_fn kill_pid "$child"
}

# held while it runs
background 'sleep 60'
is "$(SANLOCK_RUN_DIR=$(host_dir alpha)/sl sanlock client status | grep -c "^p $child ")" 1 \
    "the command itself is what sanlock knows"
exits 123 "the other host is refused" host beta leasehold exec --disk "$disk" -- \
    touch "$TEST_TMP/ran"
like "$errors" "held by host 'alpha' \(host id 1\) for guest 'exec bash'" "and told by whom"
is "$(test -e "$TEST_TMP/ran"; echo $?)" 1 "and executed nothing"
kill -TERM "$exec"
wait "$spawned"
is "$?" 143 "the status of the command comes back"
ok "then the disk is free" free
exits 4 "and the other host may" host beta leasehold exec --disk "$disk" -- sh -c 'exit 4'
run host beta leasehold store list
unlike "$output" "guest-" "no run lease is left in the store"
must host alpha leasehold exec --disk "$disk,readonly" -- \
    env "LEASEHOLD_CONFIG=$(host_dir beta)/leasehold.conf" "SANLOCK_RUN_DIR=$(host_dir beta)/sl" \
    leasehold exec --disk "$disk,readonly" -- true
pass "readers on both hosts do not exclude each other"

# an image whose backing file the other host writes
if has qemu-img; then
    top=$(dirname "$disk")/top.qcow2
    must qemu-img create -q -f qcow2 -b web.img -F raw "$top"
    background 'sleep 60'
    exits 123 "a chain with an image that is written elsewhere" host beta leasehold exec \
        --disk "$top,format=qcow2" -- touch "$TEST_TMP/ran"
    like "$errors" "$disk.* held by host 'alpha' \(host id 1\) for guest 'exec bash'" "names it and its owner"
    kill -TERM "$exec"
    wait "$spawned"
    spawn "$TEST_TMP/chain.log" host beta leasehold exec --disk "$top,format=qcow2" -- \
        sh -c "until [ -e $TEST_TMP/enough ]; do sleep 0.1; done"
    ok "held with its backing file" wait_until 20 is_shared
    exits 123 "which nobody may write then" host alpha leasehold exec --disk "$disk" -- true
    exits 0 "but read" host alpha leasehold exec --disk "$disk,readonly" -- true
    touch "$TEST_TMP/enough"
    ok "and it ends with the command" wait_until 20 free
else
    skip "backing files" "no qemu-img"
fi

# exec is killed
background 'sleep 60'
kill -KILL "$exec"
wait "$spawned" 2>/dev/null
ok "without exec the command goes on" alive "$child"
exits 123 "under its lease" host beta leasehold exec --disk "$disk" -- true
# shellcheck disable=SC2046  # a list of numbers
kill_pid $(pgrep -P "$child") "$child"
ok "and when all of it is dead the disk is free" wait_until 10 free

# the lock daemon is killed: a command and a child that ignore SIGTERM
background 'trap "" TERM; setsid sleep 60 & echo $! >"$0.rest"; while :; do sleep 0.1; done'
wait_until 5 test -s "$TEST_TMP/pid.rest"
rest=$(<"$TEST_TMP/pid.rest")
begin=${EPOCHREALTIME/./}
host_kill_daemon alpha
ok "without its daemon the command is killed" wait_until 10 gone "$child"
ok "and what it started, too" wait_until 2 gone "$rest"
# sanlock with an io_timeout of 1 s: another host may take over after 8 s and more
ok "before another host could have the lease" test $((${EPOCHREALTIME/./} - begin)) -lt 6000000
wait "$spawned"
is "$?" 137 "exec says by what"
like "$(<"$TEST_TMP/exec.log")" "its leases are not safe any more: the lock daemon is gone" \
    "and why"
done_testing
