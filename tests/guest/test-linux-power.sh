#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Power states of a real Linux guest: S3 and S4 by its agent, waking by hand and by duration, a
# duration that outlives nothing but is kept, and every refusal by its name.

TEST_DEADLINE=900
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/guests.sh"
requires qemu linux-guest direct-io python3

UUID=11111111-2222-4333-8444-555555555542
dir=$(direct_dir)
disk=$dir/disk
must truncate -s 16M "$disk"
lockfile_config
cleanup_fn destroy_all

start() {
    linux_xml lin "$UUID" "$disk" "${1:-}" >"$TEST_TMP/lin.xml"
    rm -f "$TEST_TMP/lin.said"
    must leasehold run -q "$TEST_TMP/lin.xml"
    linux_ready lin || bail_out "the guest does not come up"
}
state() { leasehold --json show lin | json_value state; }
is_state() { [ "$(state)" = "$1" ]; }
agent_is_up() { leasehold --json power lin | json_value why_not | grep -q "'suspend': None"; }
happened() { leasehold events lin | sed 's/^[^ ]* [^ ]*  lin  //' | tail -n "$1"; }

start write=same
ok "its agent is seen" wait_until 20 agent_is_up
run leasehold power lin
like "$output" "Power: +on
suspend: +yes
hibernate: +yes
hybrid: +yes
wakeup: +no: it does not sleep, it is running" "power tells state and ways"
exits 0 "suspend" leasehold power lin suspend
like "$output" "is suspended; its leases stay held" "says so"
is "$(state)" pmsuspended "it sleeps"
like "$(leasehold who "$disk")" "held by host" "its leases stay held"
exits 1 "a guest that sleeps cannot be asked to shut down" leasehold shutdown lin
like "$errors" "it is pmsuspended" "by name"
exits 1 "nor resumed" leasehold resume lin
exits 1 "nor put to sleep" leasehold power lin suspend
exits 0 "wakeup" leasehold power lin wakeup
is "$(state)" running "it runs"
like "$(happened 2)" "PMSUSPENDED.*
WAKEUP" "events of sleep and waking"
exits 1 "it is awake already" leasehold power lin wakeup
like "$errors" "it does not sleep, it is running" "by name"
wait_until 20 agent_is_up
exits 0 "suspend with a duration" leasehold power lin suspend --duration 5
like "$(leasehold show lin)" "Woken: +in [0-9] s" "which is shown"
ok "it is woken" wait_until 20 is_state running
is "$(leasehold --json show lin | json_value wakeup)" None "once"
wait_until 20 agent_is_up
exits 0 "asleep for a while" leasehold power lin suspend --duration 8
kill -KILL "$(leasehold --json show lin | json_value supervisor_pid)"
ok "its supervisor dies" wait_until 10 is_state unsupervised
exits 0 "another one takes it up" leasehold attach lin
is "$(state)" pmsuspended "it sleeps on"
ok "and is woken in time" wait_until 20 is_state running
wait_until 20 agent_is_up
exits 1 "hybrid: this guest's agent cannot" leasehold power lin hybrid --duration 900
like "$errors" "guest agent refuses" "by name"
is "$(leasehold --json show lin | json_value wakeup)" None "and nothing will wake it"
exits 1 "hibernate without swap" leasehold power lin hibernate
is "$(state)" running "it goes on"
exits 2 "a state that is none" leasehold power lin doze
exits 2 "a duration to wake up" leasehold power lin wakeup --duration 5
exits 2 "a duration of nothing" leasehold power lin suspend --duration 0
must leasehold destroy -q lin
run leasehold power lin
like "$output" "Power: +off" "a guest that is off is off"

start agent=no
exits 4 "no agent runs" leasehold power lin suspend
like "$errors" "no agent runs in the guest" "by name"
must leasehold destroy -q lin
linux_domain="<pm><suspend-to-mem enabled='no'/></pm>"
start
wait_until 20 eval 'leasehold --json power lin | json_value why_not | grep -q "hibernate.: None"'
exits 1 "the description forbids S3" leasehold power lin suspend
like "$errors" "<pm> has <suspend-to-mem> enabled='no'" "by name"
must leasehold destroy -q lin
linux_domain=

# --- hibernated -----------------------------------------------------------------------------
must truncate -s 256M "$dir/swap"
linux_devices="<disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/>
    <source file='$dir/swap'/><target dev='vdb' bus='virtio'/></disk>"
# to go on, Linux needs room for its image beside what it booted with
linux_memory=256
start "s4=yes"
must linux_tell lin 'marker=kept; echo guest: swap $(wc -l </proc/swaps)'
wait_until 20 agent_is_up
exits 0 "hibernate" leasehold power lin hibernate
ok "it ends" wait_until 60 is_state shut-off
is "$(leasehold --json show lin | json_value reason)" hibernated "and why is known"
run leasehold power lin
like "$output" "Power: +hibernated" "power says so"
like "$(happened 2)" "HIBERNATED guest
STOPPED hibernated" "and the history"
# what it is told while its firmware or its boot kernel runs is lost, so it is told again
remembers() {
    linux_tell lin "echo guest: $1 \$marker"
    _linux_said lin "guest: $1 kept" 1
}
must leasehold run -q "$TEST_TMP/lin.xml"
ok "started again it goes on where it was" wait_until 60 remembers restarted
wait_until 20 agent_is_up
exits 0 "hibernate with a duration" leasehold power lin hibernate --duration 15
is "$(state)" in-shutdown "its QEMU stays"
kill -KILL "$(leasehold --json show lin | json_value supervisor_pid)"
wait_until 10 is_state unsupervised
exits 0 "also when its supervisor is replaced" leasehold attach lin
is "$(state) $(leasehold --json show lin | json_value reason)" "in-shutdown hibernated" \
    "it is hibernated then, too"
like "$(leasehold who "$dir/swap")" "held by host" "and its leases"
ok "it is woken" wait_until 60 is_state running
ok "and goes on where it was" wait_until 60 remembers woken
done_testing
