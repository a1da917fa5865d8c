#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The storage goes away under a guest and comes back: the failure helper is run, leases are
# given up without storage, and taken again by the same process.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/hosts.sh"
. "$top_srcdir/tests/sanlock/holders.sh"

requires sanlock
store_new --max-leases 10
host_up alpha 1
hosts_join alpha
cat >"$TEST_TMP/helper" <<SH
#!/bin/sh
printf '<%s>' "\$@" >"$TEST_TMP/told.new" && mv "$TEST_TMP/told.new" "$TEST_TMP/told"
SH
chmod +x "$TEST_TMP/helper"
holder_start a alpha name=web "helper=$TEST_TMP/helper" 'helper_args=/run/a\ guest\\of web'
child=$pid
holder_start plain alpha name=plain uuid=plain
plain_child=$pid
told ok "a guest" a acquire guest-web disk-1
told ok "uses its disk" a advance guest-web disk-1
told ok "another one, without helper" plain acquire disk-2

# ---- the storage goes
cp --sparse=always "$STORE" "$STORE.kept"
truncate -s 0 "$STORE"
if wait_until 15 test -f "$TEST_TMP/told"; then pass "the helper is run"; else fail "the helper is run"; fi
is "$(<"$TEST_TMP/told")" '</run/a guest\of><web>'"<$child>" "with its arguments, spaces in them too, and the guest's pid"
alive "$child"
is $? 0 "and the guest still lives"
wait_until 5 gone "$plain_child"
is $? 0 "the one without helper is ended by sanlock"
told ok "how old the right to the leases is can still be asked" a renewal
like "$text" "^age=([89]|1[0-9]) " "and it is old"
told $CONFIG "nothing more can be taken" a acquire disk-3
told $CONFIG "and owners cannot be read" a owner disk-1
told ok "what is held can be listed" a inquire
is "$(wc -w <<<"$text")" 2 "all of it"
told ok "and given up, without storage" a release guest-web disk-1
tell a inquire
is "$text" "" "so that nothing is held"
alive "$child"
is $? 0 "by a guest that lives"

# ---- and comes back
cat "$STORE.kept" >"$STORE"
rejoined() { host alpha leasehold host join -q; }
wait_until 20 rejoined
is $? 0 "the host joins again, with the guest"
told ok "the guest takes its leases again" a acquire guest-web disk-1
is "$text" "epoch 1 1" "and sees that nobody used them"
told ok "a renewal is fresh" a renewal
like "$text" "^age=[0-7] .* expire=8 " "again"

done_testing
