#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# leasehold exec beside a lock daemon that hangs (SIGSTOP): nobody renews the leases and nobody
# kills for them, so the command and what it started are ended by exec's own clock, politely
# first, and are dead while the other host is still refused (I1).
#
# Seen failing: with the event STALE ignored (virToolExecOnLoss), both commands live on.

TEST_DEADLINE=900
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/hosts.sh"
requires sanlock direct-io

store_new
host_up alpha 1
host_up beta 2
hosts_join alpha beta
dir=$(direct_dir)

# background NAME COMMAND: on alpha, under a disk of its own
declare -A child=() run=()
background() {
    local name=$1
    must truncate -s 1M "$dir/$name.img"
    spawn "$TEST_TMP/$name.log" host alpha leasehold exec --disk "$dir/$name.img" -- bash -c \
        'echo $$ >"$0.new"; mv "$0.new" "$0"; '"$2" "$TEST_TMP/$name.pid"
    run[$name]=$spawned
    wait_until 20 test -f "$TEST_TMP/$name.pid" ||
        bail_out "the command does not run: $(<"$TEST_TMP/$name.log")"
    child[$name]=$(<"$TEST_TMP/$name.pid")
    cleanup_fn kill_pid "${child[$name]}"
}
background polite 'trap "echo asked >>\"$0.term\"; exit 0" TERM; while :; do sleep 0.1; done'
background stubborn 'trap "" TERM; setsid sleep 300 & echo $! >"$0.rest"; while :; do sleep 0.1; done'
wait_until 5 test -s "$TEST_TMP/stubborn.pid.rest"
rest=$(<"$TEST_TMP/stubborn.pid.rest")
cleanup_fn kill_pid "$rest"

daemon=$(host_daemon_pid alpha)
began=$SECONDS
kill -STOP "$daemon"
refused() { host beta leasehold exec --disk "$dir/$1.img" -- touch "$TEST_TMP/beta.ran"; }

# io_timeout is 1 s: the leases are not safe any more 8 s after their last renewal, and another
# host may own them 60 s later; in the middle of that SIGKILL follows
ok "the polite command is ended" wait_until 20 gone "${child[polite]}"
ok "by SIGTERM" test -s "$TEST_TMP/polite.pid.term"
wait "${run[polite]}"
is "$?" 121 "and exec does not report its 'exit 0' as a success"
like "$(<"$TEST_TMP/polite.log")" "its leases are not safe any more: the lock daemon did not renew them in time" \
    "but says why"
exits 123 "the other host is still refused its disk" refused polite

ok "the stubborn command was asked, too" grep -q "ending 'bash'" "$TEST_TMP/stubborn.log"
ok "it is killed" wait_until 60 gone "${child[stubborn]}"
diag "after $((SECONDS - began)) s"
ok "and what it started" wait_until 2 gone "$rest"
exits 123 "while the other host is still refused its disk" refused stubborn
is "$(test -e "$TEST_TMP/beta.ran"; echo $?)" 1 "and has executed nothing"
wait "${run[stubborn]}"
is "$?" 137 "exec says by what"
kill -CONT "$daemon"
done_testing
