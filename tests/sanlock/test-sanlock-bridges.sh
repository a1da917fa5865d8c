#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Bridges: what keeps third hosts off while a guest moves from one to another.
#
# Seen failing: without virSanlockTakeLookAtBridges, the tests "a stranger is refused"; without the
# read in virSanlockLeaseSetReadAhead, "in one that is taken in two parts"; without
# virSanlockStoreIsThere, "without the store no epoch advances".
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/hosts.sh"
. "$top_srcdir/tests/sanlock/holders.sh"

requires sanlock
store_new --max-leases 100
host_up alpha 1
host_up beta 2
host_up gamma 3
hosts_join alpha beta gamma
holder_start source alpha name=web
holder_start target beta name=web
holder_start stranger gamma name=db
long=disk-0123456789012345678901234567890123456789.1 # 47 characters: its bridge has a hash

set -- guest-web disk-1 "$long"
told ok "the source runs" source acquire "$@"
told ok "and has advanced its uses" source advance "$@"

# ---- reserve beside the source
told ok "the target reserves while the source holds" target reserve "$@"
is "$text" "epoch 1 1 1" "and is told the epochs"
tell target inquire
is "$text" "guest-web/ex/bridge disk-1/ex/bridge $long/ex/bridge" \
    "sanlock's own list names bridges by their leases"
told ok "who holds the lease" stranger owner disk-1
like "$text" "ex lease host=1/alpha.*ex bridge host=2/beta" "is both of them"
told $BUSY "a second target is refused" stranger reserve disk-1
like "$text" "reserved for a migration by host 'beta'" "and told by whom it is reserved"

# ---- cancelled
told ok "the target gives its bridges back" target unreserve "$@"
told $STATE "once" target unreserve "$@"
tell target inquire
is "$text" "" "and holds nothing"

# ---- carried out
told ok "the target reserves again" target reserve "$@"
told $BUSY "it cannot settle while the source holds" target settle "$@"
tell target inquire
is "$(grep -o /bridge <<<"$text" | wc -l)" 3 "and keeps its bridges"
told ok "behind its bridge it advances the run's epoch" target advance guest-web
is "$text" "epoch 2" "which the source sees has moved"
told ok "the source lets go" source release "$@"

# both orders of the race: the stranger takes the free lease, then looks at the bridge
told $BUSY "a stranger is refused the free lease of a reserved disk" stranger acquire disk-1
like "$text" "disk-1 is reserved for a migration by host 'beta'" "because of the bridge"
told $BUSY "a stranger who wants only to read, too" stranger acquire disk-1:sh
told $BUSY "also in a larger set" stranger acquire other-1 disk-1 other-2
others=$(printf 'other-%d ' {1..9})
told $BUSY "and in one that is taken in two parts" stranger acquire disk-1 $others
like "$text" "disk-1 is reserved for a migration by host 'beta'" "because of the first"
told $BUSY "where it may be" stranger acquire $others disk-1
like "$text" "disk-1 is reserved for a migration by host 'beta'" "because of the second"
tell stranger inquire
is "$text" "" "and has nothing left of it"
told ok "the target settles" target settle "$@"
tell target inquire
is "$(tr ' ' '\n' <<<"$text" | sort | xargs)" "$long/ex disk-1/ex guest-web/ex" \
    "and holds the leases themselves"
told ok "settling what is settled is no error" target settle "$@"
told $BUSY "a stranger is refused by the lease now" stranger acquire disk-1
like "$text" "held by host 'beta' \(host id 2\)" "which the target has"

# ---- settle waits for the source
told ok "another target reserves" source reserve disk-1
tell source busy 10000
say source settle disk-1
wait_until 5 grep -q "progress waiting" "$TEST_TMP/source.err"
told ok "the owner lets go" target release disk-1
holder_read source
is "$result" ok "and it settles"
told ok "it leaves" source release disk-1

# ---- partly settled
told ok "one leaves" target release guest-web
told ok "the target of the next migration reserves two" stranger reserve guest-web "$long"
told $BUSY "only one of which is free" stranger settle guest-web "$long"
tell stranger inquire
like "$text" "guest-web/ex( |$)" "that one is settled"
like "$text" "$long/ex/bridge" "the other one keeps its bridge"
told ok "the last one leaves" target release "$long"
told ok "and the rest settles" stranger settle guest-web "$long"
told ok "all leave" stranger release guest-web "$long"

# ---- a reader who wants to write looks at the bridge, too
told ok "a reader" source acquire image:sh
told ok "a bridge beside it" target reserve image
told $BUSY "keeps it from writing" source convert image ex
like "$text" "reserved for a migration by host 'beta'" "because of the bridge"
tell source inquire
is "$text" "image/sh" "and it is a reader still"
told ok "without the bridge" target unreserve image
told ok "it may" source convert image ex
told ok "and leaves" source release image

# ---- the holder of a bridge dies
told ok "a bridge" target reserve image
holder_kill target
told ok "is free when its holder is dead" source acquire image
told ok "and leaves" source release image

# ---- what was found when the bridge was taken is used once, and only while it is there
told ok "a bridge" stranger reserve image
mv "$STORE" "$STORE.away"
told $CONFIG "without the store no epoch advances" stranger advance image
mv "$STORE.away" "$STORE"
told ok "with it the epoch advances" stranger advance image
is "$text" "epoch 1" "by one"
told ok "and again" stranger advance image
is "$text" "epoch 2" "by one"

done_testing
