#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# leasehold exec on one host (lockfile): what the command gets, what is returned, and that the
# leases live with the command and nothing that it started survives.

. "${top_srcdir:-.}/tests/lib/functions.sh"
requires python3

disk=$TEST_TMP/web.img
truncate -s 1M "$disk" "$TEST_TMP/base.img"
mkdir "$TEST_TMP/locks"
export LEASEHOLD_CONFIG=$TEST_TMP/leasehold.conf
printf '[host]\nname = alpha\nrun_dir = %s/run\nstate_dir = %s/state\nidentity = local\n[lockfile]\ndir = %s/locks\n' \
    "$TEST_TMP" "$TEST_TMP" "$TEST_TMP" >"$LEASEHOLD_CONFIG"
free() { leasehold who "$disk" | grep -qx free; }
held() { leasehold who "$disk" | grep -q '^held by'; }
# background COMMAND...: under the disk; returns when it runs. $exec and $child are the pids
background() {
    rm -f "$TEST_TMP/pid"
    spawn "$TEST_TMP/exec.log" leasehold exec --disk "$disk" -- bash -c \
        'echo $$ >"$0.new"; mv "$0.new" "$0"; '"$1" "$TEST_TMP/pid"
    exec=$spawned
    wait_until 10 test -f "$TEST_TMP/pid" || bail_out "the command does not run: $(<"$TEST_TMP/exec.log")"
    child=$(<"$TEST_TMP/pid")
    cleanup_fn kill_pid "$child"
}

# what it returns
exits 0 "success" leasehold exec --disk "$disk" -- true
is "$output$errors" "" "without a word"
exits 7 "the command's own status" leasehold exec --disk "$disk" -- sh -c 'exit 7'
exits 137 "128+N when a signal killed it" leasehold exec --disk "$disk" -- sh -c 'kill -9 $$'
exits 122 "a usage error is 120+2" leasehold exec --disk "$disk"
exits 122 "and so is a missing disk" leasehold exec -- true
exits 121 "no such program: 120+1" leasehold exec --disk "$disk" -- /nonexistent
like "$errors" "'/nonexistent'" "which is named"
echo no >"$TEST_TMP/script" && chmod +x "$TEST_TMP/script"
exits 121 "what cannot be executed: 120+1" leasehold exec --disk "$disk" -- "$TEST_TMP/script"
like "$errors" "cannot execute '$TEST_TMP/script': Exec format error" "with the reason"
ok "and the disk is free" free

# what it gets: its arguments, its standard files and no descriptor but the leases
run leasehold exec --disk "$disk" -- printf '<%s>' a '' 'b c'
is "$output" "<a><><b c>" "arguments stay what they are"
is "$(echo in | leasehold exec --disk "$disk" -- cat)" in "standard input is the command's"
run leasehold exec --disk "$disk" -- python3 -c 'import os
print(*sorted({os.path.dirname(p) for p in (os.readlink(f"/proc/self/fd/{n}")
    for n in os.listdir("/proc/self/fd") if int(n) > 2 and os.path.exists(f"/proc/self/fd/{n}"))
    if p.startswith(os.environ["HOME"])}))'
is "$output" "$TEST_TMP/locks" "of what we opened it has the leases only"
trap '' USR1
run leasehold exec --disk "$disk" -- sh -c 'kill -USR1 $$; exit 3'
trap - USR1
is "$status" 3 "a signal that was ignored stays ignored"

# held while it runs
background 'sleep 60'
run leasehold who "$disk"
like "$output" "held by host 'alpha' for guest 'exec bash', pid $child" "the holder is named"
exits 123 "another exec is refused" leasehold exec --disk "$disk" -- touch "$TEST_TMP/ran"
like "$errors" "held by host 'alpha' for guest 'exec bash'" "and the refusal names the holder"
exits 123 "a reader, too" leasehold exec --disk "$disk,readonly" -- touch "$TEST_TMP/ran"
is "$(test -e "$TEST_TMP/ran"; echo $?)" 1 "and nothing was executed"
spawn "$TEST_TMP/waiter.log" leasehold exec --disk "$disk" --timeout 30 -- touch "$TEST_TMP/ran"
waiter=$spawned
kill -TERM "$exec"
ok "SIGTERM is passed on" wait_until 10 gone "$child"
wait "$exec"
is "$?" 143 "and its status comes back"
ok "who waits with --timeout gets it then" wait_until 20 test -f "$TEST_TMP/ran"
wait_until 10 gone "$waiter"
must leasehold exec --disk "$disk,readonly" -- leasehold exec --disk "$disk,readonly" -- true
pass "readers do not exclude each other"

# the command decides what a signal means
background 'trap "exit 5" HUP; while :; do sleep 0.1; done'
kill -HUP "$exec"
wait "$exec"
is "$?" 5 "a command that handles a signal ends as it likes"

# the death of exec itself
background 'sleep 60'
kill -KILL "$exec"
wait "$exec" 2>/dev/null
ok "without exec the command goes on" alive "$child"
ok "under its lease" held
exits 123 "so others are refused" leasehold exec --disk "$disk" -- true
# shellcheck disable=SC2046  # a list of numbers
kill_pid "$child" $(pgrep -P "$child")
ok "and free when it is dead" wait_until 10 free

# nothing is left: a grandchild in a session of its own, whose parent is gone
background 'setsid sh -c "echo \$\$ >$0.rest; sleep 60 & sleep 60" & while [ ! -s "$0.rest" ]; do sleep 0.02; done'
ok "exec ends with its command" wait_until 10 gone "$exec"
ok "what it has left is ended" gone "$(<"$TEST_TMP/pid.rest")"
like "$(<"$TEST_TMP/exec.log")" "ended what 'bash' left running" "and told"
ok "so the disk is free" free

# Ctrl-C on a terminal: both get it, the command once
cat >"$TEST_TMP/terminal.py" <<'PY'
import os
import pty
import sys
import time

pid, fd = pty.fork()
if pid == 0:
    os.execvp("leasehold", ["leasehold", "exec", "--disk", sys.argv[1], "--", "bash", "-c",
        'trap "echo got" INT; [ -t 0 ] && stty size >/dev/null && echo ready; sleep 1; '
        'sleep 0.3; exit 9'])
seen = b""
while True:
    try:
        data = os.read(fd, 1000)
    except OSError:
        break
    if not data:
        break
    if b"ready" not in seen and b"ready" in seen + data:
        time.sleep(0.2)
        os.write(fd, b"\x03")
    seen += data
print(seen.count(b"got"), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY
is "$(timeout 20 python3 "$TEST_TMP/terminal.py" "$disk")" "1 9" \
    "on a terminal the command is in the foreground and gets Ctrl-C once"
done_testing
