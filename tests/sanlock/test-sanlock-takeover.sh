#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A host dies: its leases and bridges can be taken after 8 io_timeouts and 60 s, not sooner.
# The daemons' clocks run ten times as fast, so that 76 s (io_timeout 2) take 7.6.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/hosts.sh"
. "$top_srcdir/tests/sanlock/holders.sh"

requires sanlock
faketime=$(find /usr/lib -name libfaketime.so.1 2>/dev/null | head -n 1)
[ -n "$faketime" ] || skip_all "libfaketime is not installed"
HOST_DAEMON_ENV=("LD_PRELOAD=$faketime" "FAKETIME=+0 x10" FAKETIME_DONT_RESET=1
    FAKETIME_DISABLE_SHM=1)
store_new --max-leases 20 --io-timeout 2
host_up alpha 1
host_up beta 2
hosts_join alpha beta
holder_start a alpha name=web
holder_start b beta name=db

told ok "a guest" a acquire guest-web disk-1
told ok "uses its disk" a advance guest-web disk-1
told ok "and is about to receive another" a reserve image
# long enough for beta to have seen alpha renew
lively() {
    tell b owner disk-1
    [[ $text == *state=2* ]]
}
wait_until 10 lively

# ---- the power goes
crashed=${EPOCHREALTIME/./} # host_crash stops the host first, and then kills it at leisure
host_crash alpha
told $BUSY "its lease is not free at once" b acquire disk-1
told $BUSY "nor what is behind its bridge" b acquire image
tell b deadline 30000
tell b busy 30000
told ok "a host that waits gets the lease" b acquire disk-1
took=$(((${EPOCHREALTIME/./} - crashed) / 1000))
is "$text" "epoch 1" "with the epoch of its last use"
# the last renewal was up to 2 io_timeouts (0.4 s) before the crash
[ $took -ge 7100 ]
is $? 0 "not before the dead host's watchdog would have fired ($took ms, at least 7100)"
[ $took -le 12000 ]
is $? 0 "and not long after ($took ms)"
told ok "the bridge of a dead host keeps nobody off" b acquire image guest-web
like "$(<"$TEST_TMP/b.err")" "progress waiting for .* [1-9][0-9]* holder alpha" \
    "while it waited it said for whom and how long"

done_testing
