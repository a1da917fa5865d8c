#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# quickstart tells its story to the end in less than a minute, the refusal in it names what a
# reader wants to know, and it leaves nothing behind, also when it is interrupted.

. "${top_srcdir:-.}/tests/lib/functions.sh"
requires payload qemu sanlock direct-io
plan 11

MARK=LEASEHOLD_TEST_HOST=$TEST_TMP # inherited by all that it starts
left_behind() { grep -lszxF "$MARK" /proc/[0-9]*/environ | sed 's,[^0-9],,g'; }
nothing_left() { [ -z "$(left_behind)" ]; }
export QUICKSTART_TREE=$top_builddir TEST_TIMEOUT=120
shared_before=$(ls -d "$top_builddir"/shared.* 2>/dev/null)

run env "$MARK" "$top_srcdir/quickstart"
story=$output errors_told=$errors took_ms=$elapsed_ms
is "$status" 0 "the story ends well" || _show_run
ok "within a minute ($took_ms ms)" test "$took_ms" -lt 60000
for guest in web shop; do
    refusal=$(grep "cannot start guest '$guest'" <<<"$errors_told")
    like "$refusal" "held by host 'alpha' .* for guest 'web'" "guest $guest: refused by name"
done
like "$refusal" "disk [^ ]*/web\.img" "the refusal names the disk"
like "$errors_told" "taken in [0-9]+ s" "and when the disk could be taken"
unlike "$errors_told" "could not undo" "a refusal leaves nothing to undo"
like "$story" "OK: [0-9]+ records .* 2 writers one after the other" "two writers used the disk"
ok "no process is left" wait_until 5 nothing_left

# Ctrl-C in the middle: everything in the session gets SIGINT.
env --default-signal=INT "$MARK" setsid "$top_srcdir/quickstart" >"$TEST_TMP/log" 2>&1 </dev/null &
pid=$!
cleanup_fn kill_pid "$pid"
wait_until 60 grep -q "is writing" "$TEST_TMP/log" || diag "$(<"$TEST_TMP/log")"
kill -INT -- "-$pid"
wait "$pid"
is "$?" 130 "interrupted, it says so"
wait_until 5 nothing_left
is "$(left_behind)$(ls -d "$top_builddir"/shared.* 2>/dev/null)" "$shared_before" \
    "and leaves neither processes nor files"
