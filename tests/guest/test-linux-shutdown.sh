#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Shutdown and reboot of a real Linux guest: by power button and by agent, with a deadline, aborted
# by somebody else, answered with a reboot; and what its description says about each of them.

TEST_DEADLINE=900
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/guests.sh"
requires qemu linux-guest direct-io python3

UUID=11111111-2222-4333-8444-555555555541
disk=$(direct_dir)/disk
must truncate -s 16M "$disk"
lockfile_config
cleanup_fn destroy_all

# start [WORDS]: a fresh guest 'lin' that is up
start() {
    linux_xml lin "$UUID" "$disk" "${1:-}" >"$TEST_TMP/lin.xml"
    rm -f "$TEST_TMP/lin.said"
    must leasehold run -q "$TEST_TMP/lin.xml"
    linux_ready lin || bail_out "the guest does not come up"
}
state() { leasehold --json show lin | json_value state; }
reason() { leasehold --json show lin | json_value reason; }
is_state() { [ "$(state)" = "$1" ]; }
is_reason() { [ "$(reason)" = "$1" ]; }
ended_as() {
    ok "$2" wait_until 30 is_state shut-off
    is "$(reason)" "$1" "$2: reason"
}
happened() { leasehold events lin | sed 's/^[^ ]* [^ ]*  lin  //' | tail -n "$1"; }

agent_is_up() { leasehold --json power lin | json_value why_not | grep -q "'suspend': None"; }

# --- power button and agent ----------------------------------------------------------------
start
wait_until 20 agent_is_up
# QEMU tells of one port at most once a second: that it closes would come after the end
opened=${EPOCHREALTIME/./}
wait_until 5 eval '[ "${EPOCHREALTIME/./}" -gt $((opened + 1100000)) ]'
exits 0 "by the power button" leasehold shutdown lin --timeout 60 --wait
like "$(<"$TEST_TMP/lin.said")" "guest: power button" "it heard the button"
like "$(happened 4)" "SHUTDOWN_REQUESTED host
SHUTDOWN_STARTED guest
SHUTDOWN_FINISHED guest
STOPPED shutdown" "events in order"
is "$(reason)" shutdown "it shut itself down"
run leasehold show lin
like "$output" "QEMU: +exit status 0" "how QEMU ended is shown"
like "$output" "Used: +[0-9.]+ s processor time .*MiB memory" "and what it used"
[ "$(leasehold --json show lin | json_value max_rss)" -gt 100000000 ]
is "$?" 0 "also as JSON"

start
exits 0 "by its agent" leasehold shutdown lin --mode agent --wait
like "$(<"$TEST_TMP/lin.said")" "guest: agent asks -h" "the agent was asked"
start "agent=no"
exits 4 "no agent runs: refused" leasehold shutdown lin --mode agent
like "$errors" "no guest agent answers" "by name"
is "$(reason)" None "and nothing is asked of it"
like "$(happened 1)" "SHUTDOWN_FAILED host" "the failure is in the history"
exits 0 "agent, else the button" leasehold shutdown lin --mode agent,acpi --wait

# --- deadlines -----------------------------------------------------------------------------
start "button=no"
exits 0 "only asked" leasehold shutdown lin
is "$(reason)" shutdown-requested "the state says what is asked of it"
exits 0 "asked again, with a deadline" leasehold shutdown lin --timeout 900
exits 0 "and again, without" leasehold shutdown lin
like "$(leasehold show lin)" "forced off in 1[0-9] min" "which leaves the deadline"
exits 1 "it does not migrate meanwhile" leasehold migrate lin elsewhere --rsh true
like "$errors" "it was asked to shut down; .*--abort" "by name"
spawn "$TEST_TMP/wait.log" leasehold shutdown lin --timeout 900 --wait
ok "somebody waits" wait_until 20 eval '[ "$(leasehold events lin | grep -c REQUESTED)" -ge 8 ]'
exits 0 "it is aborted, from another process" leasehold shutdown lin --abort
wait "$spawned"
is "$?" 1 "who waited is told"
like "$(<"$TEST_TMP/wait.log")" "goes on: its shutdown was withdrawn" "and why"
is "$(reason)" None "nothing is asked of it any more"
exits 1 "nothing is left to abort" leasehold shutdown lin --abort
exits 0 "deaf, it is forced off" leasehold shutdown lin --timeout 2 --wait
like "$output" "was forced off" "which is said"
is "$(reason)" destroyed "and is its reason"
like "$(happened 3)" "SHUTDOWN_TIMEOUT host.*
SHUTDOWN_FINISHED host
STOPPED destroyed" "events of a forced stop"

# --- a reboot instead ----------------------------------------------------------------------
start "button=no"
spawn "$TEST_TMP/wait.log" leasehold shutdown lin --wait
ok "it is asked" wait_until 20 is_reason shutdown-requested
must linux_tell lin 'reboot -f'
wait "$spawned"
is "$?" 1 "a reboot instead of a shutdown ends the wait"
like "$(<"$TEST_TMP/wait.log")" "it rebooted instead of shutting down" "and is told apart"
linux_ready lin 2
must leasehold shutdown lin --timeout 900
must linux_tell lin 'reboot -f'
linux_ready lin 3
is "$(reason)" shutdown-requested "with a deadline the request stands"
must leasehold shutdown lin --abort

kill -KILL "$(leasehold --json show lin | json_value supervisor_pid)"
wait_until 10 is_state unsupervised
must leasehold attach -q lin

# --- reboot --------------------------------------------------------------------------------
pid=$(leasehold --json show lin | json_value pid)
exits 0 "reboot by its agent" leasehold reboot lin --mode agent
ok "it comes up again" linux_ready lin 4
is "$(leasehold --json show lin | json_value pid)" "$pid" "in the same QEMU"
like "$(happened 3)" "REBOOTED guest  as it was asked to" "and says so"
must leasehold destroy -q lin
start
exits 0 "reboot by the power button" leasehold reboot lin
ok "it comes up again" linux_ready lin 2
is "$(state)" running "it runs"
is "$(reason)" None "nothing is asked of it any more"
must leasehold shutdown lin
exits 1 "while it is asked to shut down a reboot is refused" leasehold reboot lin
ended_as shutdown "it shuts down"
exits 1 "reboot of a guest that is off" leasehold reboot lin
exits 2 "a mode that is none" leasehold reboot lin --mode magic

# --- what the description says -------------------------------------------------------------
linux_domain='<on_poweroff>restart</on_poweroff><on_reboot>destroy</on_reboot>'
start
exits 1 "on_poweroff=restart" leasehold shutdown lin --wait --timeout 900
like "$errors" "started again, as its description says" "the shutdown came to nothing, by name"
ok "it is up again" linux_ready lin 2
like "$(leasehold show lin)" "State: +running
" "with nothing asked of it, and no deadline"
exits 0 "reset by the host is no reboot by the guest" leasehold reset lin
ok "on_reboot=destroy does not end it" linux_ready lin 3
must linux_tell lin 'reboot -f'
ended_as shutdown "on_reboot=destroy ends it when the guest reboots"

linux_domain='<on_poweroff>preserve</on_poweroff><on_crash>preserve</on_crash>'
linux_devices="<panic model='isa'/>"
start
must linux_tell lin 'poweroff -f'
ok "on_poweroff=preserve keeps it" wait_until 20 is_state in-shutdown
kill -KILL "$(leasehold --json show lin | json_value supervisor_pid)"
wait_until 10 is_state unsupervised
must leasehold attach -q lin
is "$(state)" in-shutdown "and so does another supervisor"
like "$(leasehold who "$disk")" "held by host" "its leases are held"
must leasehold destroy -q lin
start
must linux_tell lin 'echo c >/proc/sysrq-trigger'
ok "on_crash=preserve stops it" wait_until 20 is_state paused
is "$(reason)" crashed "for a look"
must leasehold destroy -q lin
linux_domain='<on_crash>restart</on_crash>'
start
must linux_tell lin 'echo c >/proc/sysrq-trigger'
ok "on_crash=restart starts it again" linux_ready lin 2
must leasehold destroy -q lin
linux_domain='<on_crash>destroy</on_crash>'
start
must linux_tell lin 'echo c >/proc/sysrq-trigger'
ended_as crashed "on_crash=destroy ends it"
for action in coredump-destroy coredump-restart rename-restart; do
    linux_domain="<on_crash>$action</on_crash>"
    linux_xml lin "$UUID" "$disk" >"$TEST_TMP/lin.xml"
    exits 1 "on_crash=$action is refused" leasehold run "$TEST_TMP/lin.xml"
    like "$errors" "$action" "by name"
done
done_testing
