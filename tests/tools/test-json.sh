#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Every report with --json has exactly the keys that leasehold(1) lists: programs rely on them.
# Real hosts and guests, so that nothing is compared that nobody would see.

. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/hosts.sh"
. "$top_srcdir/tests/lib/guests.sh"
requires qemu payload direct-io sanlock

# keys ITEM PATH PARENT COMMAND...: the report's object at PATH has the keys of the manual's ITEM
keys() {
    local item=$1 path=$2 parent=$3 differ
    shift 3
    run "$@" --json
    printf '%s' "$output" >"$TEST_TMP/report.json"
    differ=$(python3 "$top_srcdir/tests/tools/json-keys.py" "$item" "$path" "$parent" \
        <"$TEST_TMP/report.json" 2>&1)
    is "$differ" "" "manual and report agree: ${*/$TEST_TMP/...} at '$path'"
}

# one host with the sanlock plugin: store, hosts, findings
dir=$(direct_dir)
STORE=$dir/store
host_up alpha 1
run host alpha leasehold --json store create "$STORE" --lockspace test --io-timeout 1 \
    --max-leases 20
is "$(tr -d ' \n' <<<"$output")" "{\"path\":\"$STORE\",\"created\":true}" "store create"
host_join alpha
keys 'store info' . '' host alpha leasehold store info
keys 'host' hosts.0 '' host alpha leasehold host list
keys 'host status' . '' host alpha leasehold host status
keys 'host' host '' host alpha leasehold host status
keys 'store check' . '' host alpha leasehold store check
keys 'store check' findings.0 findings host alpha leasehold store check
keys 'store gc' . '' host alpha leasehold store gc --unused-for 1
keys doctor . '' host alpha leasehold doctor
keys doctor timeline.0 timeline host alpha leasehold doctor

# a guest there: its leases are in the store
UUID=31111111-2222-4333-8444-555555555555
disk=$dir/web.img
must payload_image "$disk" 50
guest_xml web "$UUID" "$disk" >"$TEST_TMP/web.xml"
cleanup_fn host alpha leasehold destroy -q web
keys 'guest' . '' host alpha leasehold run "$TEST_TMP/web.xml"
keys 'guest' guests.0 '' host alpha leasehold list
keys 'guest' leases.1 leases host alpha leasehold show web
keys 'guest' . '' host alpha leasehold suspend web
keys power . '' host alpha leasehold power web
keys 'owner' leases.0 '' host alpha leasehold store list
keys who . '' host alpha leasehold who "$disk"
keys 'owner' owners.0 '' host alpha leasehold who "$disk"
keys 'use' uses.0 '' host alpha leasehold who "$disk"
keys 'identify' . '' host alpha leasehold identify "$disk"
keys 'event' . '' host alpha bash -c 'leasehold events "$0" | head -n 1'
keys 'version' . '' leasehold version
keys 'plugin list' plugins.0 '' host alpha leasehold plugin list
keys 'plugin show' . '' host alpha leasehold plugin show sanlock
keys 'plugin show' keys.0 keys host alpha leasehold plugin show sanlock

# errors are objects, too
run host alpha leasehold --json run "$TEST_TMP/web.xml"
like "$errors" '^\{"error":\{"code":"BUSY","exit_status":3,"message":".*"\}\}$' "a busy guest"
run host alpha leasehold --json show nobody
like "$errors" '^\{"error":\{"code":"CONFIG","exit_status":1,' "an unknown guest"
done_testing
