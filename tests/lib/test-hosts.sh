#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The hosts of hosts.sh are hosts: two real daemons share a lockspace, the second is refused
# what the first holds, and nothing of a host that crashed is left. sanlock's own tools only,
# so that a fault of the harness is not taken for one of Leasehold.

. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/hosts.sh"
requires sanlock direct-io
STORE=$(direct_dir)/store

must truncate -s 8M "$STORE"
must sanlock direct init -s "test:0:$STORE:0" -o 1
must sanlock direct init -r "test:disk:$STORE:1048576"

holds() { host "$1" sanlock client status | grep -q '^r test:disk:'; }

# try NAME VARIANT: two hosts up, one holds, the other is refused, the first is gone.
try() {
    local a=$1 b=$2 what=$3
    shift 3
    host_up "$a" 1 "$@"
    host_up "$b" 2 "$@"
    ok "$what: the first host joins" \
        host "$a" sanlock client add_lockspace -s "test:1:$STORE:0" -o 1
    ok "$what: the second host joins" \
        host "$b" sanlock client add_lockspace -s "test:2:$STORE:0" -o 1
    host "$a" sanlock client command -r "test:disk:$STORE:1048576" -c /bin/sleep 50 \
        >"$TEST_TMP/holder.log" 2>&1 </dev/null &
    wait_until 10 holds "$a" || bail_out "the first host gets no lease"

    run host "$b" sanlock client command -r "test:disk:$STORE:1048576" -c /bin/true
    like "$output$errors" "acquire done -24[3-7]" "$what: the second host is refused"
    host_crash "$a"
    is "$(host_pids "$a")" "" "$what: no process of a crashed host is left"
    ok "$what: the other host lives" holds_nothing "$b"
    host_down "$b"
    is "$(host_pids "$b")" "" "$what: no process of a host that went down is left"
}

holds_nothing() { host "$1" sanlock client status >/dev/null && ! holds "$1"; }

try alpha beta "private daemons"
if has namespaces; then
    must sanlock direct init -s "test:0:$STORE:0" -o 1
    must sanlock direct init -r "test:disk:$STORE:1048576"
    try gamma delta "namespaces" --ns
else
    skip "namespaces" "unshare needs root and a kernel that permits it"
fi
done_testing
