#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# io.leasehold.Guest1 through clients that are not ours: gdbus (GLib), busctl (systemd) and
# Gio's proxy in Python, on a guest under real sanlock. The first two believe that every socket is
# that of a message bus.
#
# Seen failing: with org.freedesktop.DBus left unanswered (control_bus.c), gdbus and busctl end
# before their first call; with PropertiesChanged only for State and Deadline, "tells its leases".

. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/hosts.sh"
. "$top_srcdir/tests/lib/guests.sh"
requires sanlock qemu payload gdbus

store_new
host_up alpha 1
host_join alpha
uuid=c0ffee00-0000-4000-8000-0000000000d5
disk=$(direct_dir)/web.img
must payload_image "$disk"
guest_xml web "$uuid" "$disk" >"$TEST_TMP/web.xml"
must host alpha leasehold run "$TEST_TMP/web.xml"
socket=$(host_dir alpha)/run/guests/$uuid/control
where=(--address "unix:path=$socket" --dest io.leasehold.Guest --object-path /io/leasehold/Guest)
guest=io.leasehold.Guest1

# ---- gdbus --------------------------------------------------------------------------------

gcall() { run timeout 20 gdbus call "${where[@]}" --method "$@"; }

gcall org.freedesktop.DBus.Properties.Get "$guest" State
is "$output" "(<'running'>,)" "gdbus: Properties.Get"
gcall org.freedesktop.DBus.Properties.GetAll "$guest"
like "$output" "'Leases': <\[.*'disk'.*'exclusive'.*$disk" "gdbus: GetAll names the leased disk"
gcall org.freedesktop.DBus.Peer.Ping
is "$status $output" "0 ()" "gdbus: Peer.Ping"
gcall org.freedesktop.DBus.Properties.Set "$guest" State "<'paused'>"
is "$status" 1 "gdbus: no property can be set"
gcall "$guest.ShutdownAbort"
like "$errors" "io.leasehold.Error.State: .*not asked to shut down" "gdbus: errors have their names"
run timeout 20 gdbus introspect "${where[@]}" --xml
ok "gdbus: introspection is the installed interface" python3 - "$top_srcdir/data/$guest.xml" "$TEST_TMP/.out" <<'PY'
import sys, xml.etree.ElementTree as tree
def members(path):
    node = tree.parse(path).getroot()
    face = next(i for i in node.iter("interface") if i.get("name") == "io.leasehold.Guest1")
    return sorted((m.tag, m.get("name"), m.get("type"),
                   [(a.get("type"), a.get("direction", "out" if m.tag == "signal" else "in"))
                    for a in m.iter("arg")]) for m in face if m.tag != "annotation")
want, got = members(sys.argv[1]), members(sys.argv[2])
got = [(t, n, y, [(a, "out" if t == "signal" else d) for a, d in args]) for t, n, y, args in got]
sys.exit(0 if len(want) > 20 and want == got else "%s\n%s" % (want, got))
PY

spawn "$TEST_TMP/monitor" timeout 60 gdbus monitor "${where[@]}"
# the line comes when it has subscribed
ok "gdbus: monitor" wait_until 10 grep -q "is owned by" "$TEST_TMP/monitor"
gcall "$guest.Suspend"
is "$status $output" "0 ()" "gdbus: Suspend"
told() { wait_until 10 grep -Eq "$1" "$TEST_TMP/monitor"; }
ok "is told as a changed property" told "PropertiesChanged .*'State': <'paused'>"
ok "and as an event" told "$guest.Event .*'SUSPENDED', 'user'"
gcall "$guest.Resume"
ok "and so is resuming" told "'State': <'running'>"
truncate -s 1M "$TEST_TMP/plug.img"
gcall "$guest.GetPowerState"
like "$output" "'on', int64 0, .*'suspend': .its description has no channel .*guest_agent" "gdbus: GetPowerState"
gcall "$guest.SetPowerState" suspend 5 0
like "$errors" "io.leasehold.Error.Config: .*no channel" "gdbus: SetPowerState says why not"
gcall "$guest.SetPowerState" doze 0 0
like "$errors" "io.leasehold.Error.Config: .*there is no power state 'doze'" "by name"
gcall "$guest.SetPowerState" wakeup 0 0
like "$errors" "io.leasehold.Error.State: .*does not sleep" "gdbus: nothing to wake"
gcall "$guest.Reboot" 256
like "$errors" "io.leasehold.Error.Unsupported: .*0x100" "gdbus: unknown flags are refused"
gcall "$guest.Shutdown" 5 8
like "$errors" "io.leasehold.Error.Unsupported: .*JOIN" "gdbus: JOIN alone is refused"
gcall "$guest.Shutdown" 0 12
like "$errors" "io.leasehold.Error.State: .*not asked" "gdbus: nothing to join"
gcall "$guest.Reset"
is "$status $output" "0 ()" "gdbus: Reset"
ok "is told as an event" told "'REBOOTED', 'host'"
gcall "$guest.AttachDisk" "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source \
file='$TEST_TMP/plug.img'/><target dev='vdb' bus='virtio'/></disk>" 0
is "$status" 0 "gdbus: AttachDisk"
diag "$errors"
ok "tells its leases as a changed property" told "PropertiesChanged .*'Leases': <.*plug.img"
ok "and the disk as an event" told "'DISK_ATTACHED', 'vdb'"
gcall "$guest.DetachDisk" vdb 20 0
is "$status" 0 "gdbus: DetachDisk"
grep PropertiesChanged "$TEST_TMP/monitor" | tail -n 1 >"$TEST_TMP/last"
unlike "$(<"$TEST_TMP/last")" "'Name'|'LogPath'" "what has not changed is not told"
run leasehold --config "$(host_dir alpha)/leasehold.conf" show web --json
like "$output" '"state" : "running"' "the command agrees with what gdbus sees"

# ---- busctl -------------------------------------------------------------------------------

if has busctl; then
    bus=(timeout 20 busctl "--address=unix:path=$socket")
    at=(io.leasehold.Guest /io/leasehold/Guest)
    run "${bus[@]}" get-property "${at[@]}" "$guest" State
    is "$output" 's "running"' "busctl: get-property"
    run "${bus[@]}" introspect "${at[@]}" "$guest"
    like "$output" "\.Destroy +method +u " "busctl: introspect"
    exits 0 "busctl: Suspend" "${bus[@]}" call "${at[@]}" "$guest" Suspend
    run "${bus[@]}" get-property "${at[@]}" "$guest" State
    is "$output" 's "paused"' "busctl: and it is"
    exits 0 "busctl: Resume" "${bus[@]}" call "${at[@]}" "$guest" Resume
    run "${bus[@]}" call "${at[@]}" "$guest" Destroy s now
    like "$status $errors" "^1 .*(signature|[Tt]ype)" "busctl: wrong arguments are refused"
    run "${bus[@]}" tree io.leasehold.Guest
    like "$output" /io/leasehold/Guest "busctl: tree"
else
    skip "busctl" "this machine has none"
fi

# ---- Gio ----------------------------------------------------------------------------------

python=python3
python3 -c 'import gi' 2>/dev/null || python=/usr/bin/python3
run "$python" "$top_srcdir/tests/dbus/gio-client.py" "$socket"
if [ "$status" = 77 ]; then
    skip "Gio's proxy" "no PyGObject"
else
    is "$status $output" "0 Event SUSPENDED state paused
Event RESUMED state running
io.leasehold.Error.State" "Gio: a proxy calls, hears and follows the properties"
fi

# ---- the end ------------------------------------------------------------------------------

gcall "$guest.Shutdown" 20 4
is "$status $output" "0 ()" "gdbus: Shutdown with BLOCK answers when the guest is gone"
ok "of which the monitor was told" told "'STOPPED'"
run host alpha leasehold who "$disk"
like "$output" free "and its disk is free"
ok "one writer" payload_check "$disk"
done_testing
