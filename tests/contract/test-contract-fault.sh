#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The fault plugin without rules is as good as the plugin behind it; with rules it fails,
# delays and hangs where they say.
. "${top_srcdir:-.}/tests/lib/functions.sh"

module=$(realpath "$top_builddir/tests/plugins/.libs/fault.so")

# conf NAME: a host whose plugin is lockfile behind faults
conf() {
    printf '[host]\nname = %s\nrun_dir = %s\nstate_dir = %s\n[lock]\nplugin = %s\n' \
        "$1" "$TEST_TMP" "$TEST_TMP" "$module"
    printf '[fault]\nplugin = %s\nrules = %s\ndir = %s\n' \
        "$LEASEHOLD_PLUGIN_DIR/lockfile.so" "$TEST_TMP/rules" "$TEST_TMP/locks"
}
conf alpha >"$TEST_TMP/alpha.conf"
conf beta >"$TEST_TMP/beta.conf"

# contract_conflict: one test of the contract; the rules decide how it ends
contract_conflict() {
    run "$top_builddir/tests/contract/contract" "$TEST_TMP/alpha.conf" "$TEST_TMP/beta.conf" \
        -p /contract/conflict
}

plan 7
run "$top_builddir/tests/contract/contract" "$TEST_TMP/alpha.conf" "$TEST_TMP/beta.conf"
is "$status" 0 "without rules it keeps the contract"
[ "$status" = 0 ] || diag "$output"

echo 'acquire 1 fail UNAVAILABLE' >"$TEST_TMP/rules"
contract_conflict
unlike "$status" '^0$' "a call fails"
like "$output$errors" 'UNAVAILABLE injected: acquire fails' "with the code that was asked for"

echo 'useAdvance 1 after INDETERMINATE' >"$TEST_TMP/rules"
contract_conflict
like "$output$errors" 'INDETERMINATE injected: useAdvance fails' "a call fails after it was done"

echo 'acquire 1 delay 1200' >"$TEST_TMP/rules"
start=$(date +%s%N)
contract_conflict
is "$status" 0 "a call that is delayed succeeds"
ok "after the delay" test $((($(date +%s%N) - start) / 1000000)) -ge 1200

echo 'queryOwner 0 fail BUSY' >"$TEST_TMP/rules"
contract_conflict
like "$output$errors" 'BUSY injected: queryOwner fails' "every call fails with 0"
