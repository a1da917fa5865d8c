#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# bash completion offers what the command line takes, from the tables that parse it.

. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/data/leasehold.bash"

export LEASEHOLD_CONFIG=$TEST_TMP/leasehold.conf
printf '[host]\nrun_dir = %s/run\nstate_dir = %s/state\nidentity = local\n[lock]\nplugin = nop\n' \
    "$TEST_TMP" "$TEST_TMP" >"$LEASEHOLD_CONFIG"

compopt() { :; } # only bash itself may call it, within a completion

# offers WANT WORD...: what the last WORD becomes, as bash would ask
offers() {
    local want=$1
    shift
    COMP_WORDS=(leasehold "$@") COMP_CWORD=$# COMPREPLY=()
    _leasehold leasehold
    is "${COMPREPLY[*]}" "$want" "completes: leasehold $*|"
}

offers "store" sto
offers "create list check gc info" store ""
offers "check" store ch
offers "--max-hosts --max-leases" store create --max
offers "--timeout" host join --ti
offers "--source --serial --shareable" attach-disk web --s
offers "--readonly" attach-disk web --r
offers "$LEASEHOLD_CONFIG" attach-disk web --source "$TEST_TMP/leaseh"
offers "$LEASEHOLD_CONFIG" attach-disk web "$TEST_TMP/leaseh"
offers "nop" plugin show n
offers "exec" exe
offers "--disk --timeout --config --json --quiet --help" exec --
offers "store" --json sto
offers "store" --config "$LEASEHOLD_CONFIG" sto
offers "$LEASEHOLD_CONFIG" --config "$TEST_TMP/leaseh"
offers "$LEASEHOLD_CONFIG" identify "$TEST_TMP/leaseh"
offers "" stroe ""
offers "--config --json --quiet --help" version --
offers "" version -- -
done_testing
