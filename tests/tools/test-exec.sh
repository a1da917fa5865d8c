#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# leasehold exec on one host (lockfile): what the command gets, what is returned, and that the
# leases live with the command and nothing that it started survives.

. "${top_srcdir:-.}/tests/lib/functions.sh"
requires python3

disk=$TEST_TMP/web.img
truncate -s 1M "$disk" "$TEST_TMP/base.img" # base.img: below the images that are made later
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

# what is below an image
qcow2() { qemu-img create -q -f qcow2 -b "$2" -F "$3" "$TEST_TMP/$1"; }
if has qemu-img; then
    qcow2 mid.qcow2 base.img raw
    qcow2 top.qcow2 mid.qcow2 qcow2
    top=$TEST_TMP/top.qcow2
    exits 121 "an image with a backing file, without a word of that" leasehold exec --disk "$top" -- true
    like "$errors" "$top' looks like a qcow2 image that needs '$TEST_TMP/mid.qcow2'.*,format=qcow2.*format=raw" \
        "is refused; what is missing and the ways out are named"
    exits 121 "it is so at each depth" leasehold exec --disk "$top" --disk "$TEST_TMP/mid.qcow2,readonly" -- true
    like "$errors" "needs '$TEST_TMP/base.img'" "which is named"
    exits 0 "a chain of which each image is named" leasehold exec --disk "$top" \
        --disk "$TEST_TMP/mid.qcow2,readonly" --disk "$TEST_TMP/base.img,readonly" -- true
    modes='for f; do leasehold --json who "$f" | sed -n "/\"mode\"/ { s/.*: \"\([a-z]*\)\".*/\1/p; q }"; done'
    run leasehold exec --disk "$top,format=qcow2" -- bash -c "$modes" - \
        "$top" "$TEST_TMP/mid.qcow2" "$TEST_TMP/base.img"
    is "$output" $'exclusive\nshared\nshared' "format=qcow2: the leases of its chain, shared below the top"
    run leasehold exec --disk "$top,format=qcow2,readonly" -- bash -c "$modes" - "$top" "$TEST_TMP/base.img"
    is "$output" $'shared\nshared' "for reading all are shared"
    run leasehold exec --disk "$top,readonly,format=raw" -- bash -c "$modes" - "$top" "$TEST_TMP/mid.qcow2"
    is "$output" shared "format=raw: nothing is followed"
    leasehold exec --disk "$TEST_TMP/base.img" -- sleep 60 &
    base=$!
    wait_until 10 eval 'leasehold who "$TEST_TMP/base.img" | grep -q "^held by"'
    exits 123 "a backing file that another one writes" leasehold exec --disk "$top,format=qcow2" -- true
    like "$errors" "$TEST_TMP/base.img.* held by" "which is named"
    kill "$base"
    wait "$base"
    exits 121 "not what was said" leasehold exec --disk "$TEST_TMP/base.img,format=qcow2" -- true
    like "$errors" "$TEST_TMP/base.img.*qcow2" "is named"
    exits 121 "a format that nobody knows" leasehold exec --disk "$TEST_TMP/base.img,format=zip" -- true
    like "$errors" "'zip', which is not supported" "is named"
    qemu-img create -q -f qcow2 -u -b nbd://localhost/x -F raw "$TEST_TMP/net.qcow2" 1M
    exits 121 "a backing file in the network" leasehold exec --disk "$TEST_TMP/net.qcow2" -- true
    like "$errors" "nbd:.*|format=raw.*nbd" "is named"
    qemu-img create -q -f qcow2 -u -b gone.img -F raw "$TEST_TMP/lost.qcow2" 1M
    exits 121 "a backing file that is gone" leasehold exec --disk "$TEST_TMP/lost.qcow2,format=qcow2" -- true
    like "$errors" "gone.img': No such file" "is named"
    # it waits for the image; meanwhile that gets another backing file
    leasehold exec --disk "$TEST_TMP/top.qcow2,format=qcow2" -- sh -c "sleep 2; touch $TEST_TMP/other.img; \
        truncate -s 1M $TEST_TMP/other.img; qemu-img rebase -u -f qcow2 -F raw -b other.img $top" &
    changer=$!
    wait_until 10 eval 'leasehold who "$top" | grep -q "^held by"'
    exits 124 "a chain that changed while its leases were waited for" leasehold exec --timeout 30 \
        --disk "$top,format=qcow2" -- touch "$TEST_TMP/ran"
    like "$errors" "changed while" "is not used"
    is "$(test -e "$TEST_TMP/ran"; echo $?)" 1 "and nothing was executed"
    wait "$changer"
else
    skip "backing files" "no qemu-img"
fi
exits 122 "a format that is missing" leasehold exec --disk "$disk,format=" -- true

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
