#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A store of 4096-byte sectors: everything lies elsewhere, in units of 8 MiB.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/hosts.sh"
. "$top_srcdir/tests/sanlock/holders.sh"

requires sanlock
store_new --max-leases 12 --sector-size 4096
host_up alpha 1
host_up beta 2
hosts_join alpha beta
holder_start a alpha name=web
holder_start b beta name=web

told ok "leases are created and taken" a acquire guest-web disk-1 disk-2:sh
told ok "their uses are recorded" a advance guest-web disk-1
told $BUSY "the other host is refused" b acquire disk-1
like "$text" "held by host 'alpha' \(host id 1\) for guest 'web'" "and told by whom"
told ok "shared is shared" b acquire disk-2:sh
told ok "bridges are taken" b reserve guest-web disk-1
is "$text" "epoch 1 1" "with the epochs"
told ok "the source leaves" a release guest-web disk-1
told $BUSY "nobody gets past the bridges" a acquire disk-1
told ok "they are settled" b settle guest-web disk-1
told ok "and advanced" b advance guest-web disk-1
is "$text" "epoch 2 2" "further"
told ok "the history has both" a use disk-1
is "$text" "2:web@beta 1:web@alpha" "in order"
ok "the store is whole" host alpha leasehold store check
like "$output" "3 of 12 leases in use" "with three leases"

done_testing
