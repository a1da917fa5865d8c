#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Leases of guests on two hosts, each with a real daemon: who gets them, who is refused and
# with what words, all or nothing, what remains of a holder that dies.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/hosts.sh"
. "$top_srcdir/tests/sanlock/holders.sh"

requires sanlock
store_new --max-leases 200
host_up alpha 1
host_up beta 2
hosts_join alpha beta
holder_start a alpha name=web
a_child=$pid
holder_start b beta name=db

# ---- one lease, two hosts
told ok "a lease that nobody has is created and taken" a acquire guest-web disk-1
told ok "its use is recorded" a advance guest-web disk-1
told $BUSY "the other host is refused" b acquire disk-1
like "$text" "disk /vm/disk-1 is held by host 'alpha' \(host id 1\) for guest 'web' since" \
    "the refusal names host and guest"
like "$text" "last seen alive [0-9]+ s ago; if it is dead the lease can be taken in [0-9]+ s" \
    "and when it could be taken"
told ok "the owner can be asked for" b owner disk-1
like "$text" "disk-1 ex lease host=1/alpha .* guest=web" "the answer names it"
told ok "the history can be read" b use disk-1
is "$text" "1:web@alpha" "it has one use"

# ---- all or nothing
told $BUSY "a set with one busy lease is refused" b acquire x-1 x-2 x-3 x-4 x-5 x-6 x-7 x-8 x-9 disk-1
told ok "the guest can be asked for" b inquire
is "$text" "" "and holds nothing"
many=$(printf 'many-%d ' {1..40})
told ok "40 leases are taken" a acquire "$many"
told $BUSY "a set of 40 with one busy at the end is refused" b acquire "$(printf 'other-%d ' {1..39})" many-40
tell b inquire
is "$text" "" "and leaves nothing behind"
tell a inquire
is "$(wc -w <<<"$text")" 42 "sanlock names all 42 leases of the first guest"
told ok "40 leases are given up" a release "$many"

# ---- releasing
told $STATE "what is not held cannot be given up" a release disk-1 not-held
tell a inquire
is "$text" "guest-web/ex disk-1/ex" "and nothing else was given up with it"

# ---- shared
told ok "a shared lease" a acquire image:sh
told ok "is shared by the other host" b acquire image:sh
told $BUSY "but not converted while it is" b convert image ex
like "$text" "image is held shared by host 'alpha'" "the refusal names the other reader"
told ok "the first reader leaves" a release image
told ok "then the second may write" b convert image ex
told $BUSY "and the first may not read" a acquire image:sh
told ok "the second goes back to reading" b convert image sh
told ok "and the first reads again" a acquire image:sh
told ok "both leave" a release image
tell b release image

# ---- same host
holder_start a2 alpha name=second uuid=22222222-2222-3333-4444-555555555555
told $BUSY "another guest of the same host is refused" a2 acquire disk-1
like "$text" "held by host 'alpha' .* for guest 'web'" "with the name of the first"

# ---- crash of the holder
kill_pid "$a_child"
told ok "a killed holder's leases are free at once" a2 acquire disk-1 guest-web
is "$text" "epoch 1 1" "and their epochs were kept"
told $STATE "a dead guest can take nothing" a acquire disk-2
told ok "the second guest leaves" a2 release disk-1 guest-web

# ---- waiting for a busy lease
told ok "the other host takes it" b acquire disk-1
tell a2 busy 10000
say a2 acquire disk-1
wait_until 5 grep -q "progress waiting for" "$TEST_TMP/a2.err"
told ok "while somebody waits it is released" b release disk-1
holder_read a2
is "$result" ok "and the one who waits has it"
like "$(<"$TEST_TMP/a2.err")" "holder beta" "progress named the holder"

done_testing
