#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The helpers of functions.sh can fail: each is fed what it must refuse, in a script of its own.

. "${top_srcdir:-.}/tests/lib/functions.sh"
plan 14

# script BODY: runs a small test script; $output and $status are its own.
script() {
    printf '. "$top_srcdir/tests/lib/functions.sh"\n%s\n' "$1" >"$TEST_TMP/inner.sh"
    run env "LEASEHOLD_TEST_STRICT=${2:-0}" "TEST_DEADLINE=${3:-60}" bash "$TEST_TMP/inner.sh"
}

script 'plan 2; is a b "differs"; is a a "same"'
like "$output" "not ok 1 - differs" "is reports a difference"
is "$status" 1 "a failed line makes the exit status 1"

script 'ok "false fails" false; exits 3 "exactly 3" sh -c "exit 4"; done_testing'
like "$output" "not ok 1 .*not ok 2 .*1\.\.2" "ok and exits look at the exit status"

script 'like abc "^b" "anchored"; unlike abc b "contained"; done_testing'
like "$output" "not ok 1 .*not ok 2 " "like and unlike match"

script 'must false; pass "never reached"; done_testing'
like "$output" "Bail out" "a failed set-up ends the script"
unlike "$output" "never reached" "nothing runs after a failed set-up"

script 'requires no-such-program; pass "never reached"'
like "$output" "^1\.\.0 # SKIP .*no-such-program" "a missing thing is a skip that names it"

script 'requires no-such-program; pass "never reached"' 1
like "$output" "not ok 1 .*no-such-program" "a skip of all is a failure when strict"

script 'skip "one" "no such device"; done_testing' 1
like "$output" "not ok 1 .*no such device" "a skip of one is a failure when strict"

script 'wait_until 1 false && pass "true" || fail "over"; done_testing'
like "$output" "not ok 1 - over" "wait_until ends at its deadline"

script 'TEST_TIMEOUT=1; exits 124 "bounded" tail -f /dev/null; done_testing'
like "$output" "ok 1 - bounded" "a command that hangs is ended"

script 'wait_until 30 false; done_testing' 0 1
like "$output" "Bail out.*deadline" "a script that hangs is ended"

script 'spawn "$TEST_TMP/log" tail -f /dev/null; echo "pid $spawned dir $TEST_TMP"; done_testing'
[[ $output =~ pid\ ([0-9]+)\ dir\ (/tmp/[^[:space:]]+) ]] || bail_out "no pid in: $output"
ok "what a script spawned ends with it" gone "${BASH_REMATCH[1]}"
ok "its folder is removed" test ! -e "${BASH_REMATCH[2]}"
