#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# test-spare.sh: a command that starts a guest has its supervisor loaded before it knows which
# guest that is. A command that waits for the description on its standard input is one at that
# moment for as long as wanted: whatever happens to it or to its supervisor then leaves nothing,
# or a start as if nothing had been loaded ahead.
#
# Seen failing: with the end of the socket taken for nothing by a supervisor that waits, each
# "nothing is left"; with the configuration that was loaded ahead kept, the guest of --config;
# with a spare taken that is gone, the start after its death; without the name put into argv, ps.

. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/guests.sh"
requires qemu payload
UUID=$(cat /proc/sys/kernel/random/uuid)
must cp -r "$LEASEHOLD_HELPER_DIR" "$TEST_TMP/helpers"
export LEASEHOLD_HELPER_DIR=$TEST_TMP/helpers # so that its supervisors are known from others'
lockfile_config
cleanup_fn destroy_all
must payload_image "$TEST_TMP/web.img"
guest_xml web "$UUID" "$TEST_TMP/web.img" >"$TEST_TMP/web.xml"
must mkfifo "$TEST_TMP/stdin"
exec 7<>"$TEST_TMP/stdin"

supervisors() { pgrep -f -- "^$LEASEHOLD_HELPER_DIR/leasehold-supervisor "; }
nothing_left() {
    ! supervisors && [ ! -e "$TEST_TMP/run" ] && [ ! -e "$TEST_TMP/state" ] &&
        [ -z "$(ls "$TEST_TMP/locks")" ]
}

# command_waits ARGS...: for its description; $command and $spare are the processes
command_waits() {
    leasehold "$@" <"$TEST_TMP/stdin" >"$TEST_TMP/said" 2>&1 7>&- &
    command=$!
    wait_until 5 supervisors || bail_out "no supervisor was begun"
    spare=$(supervisors)
}
# command_ends STATUS WHAT: it is given the description, and ends
command_ends() {
    local want=$1 what=$2
    timeout 10 cat "${3:-$TEST_TMP/web.xml}" >"$TEST_TMP/stdin"
    exec 7>&- # the end of its input
    wait "$command"
    is "$?" "$want" "$what" || diag "$(cat "$TEST_TMP/said")"
    exec 7<>"$TEST_TMP/stdin"
}

terminated() {
    kill -TERM "$command" 2>/dev/null
    gone "$command"
}
# destroyed WHAT [ARGS...]: with its supervisor
destroyed() {
    local what=$1
    shift
    ok "$what" leasehold "$@" destroy web
    wait_until 5 eval '! supervisors'
}

# --- wrong, or killed -----------------------------------------------------------------------

exits 2 "a usage error" leasehold run --bogus
ok "a usage error: nothing is left" wait_until 5 nothing_left
exits 0 "help" leasehold run --help
ok "help: nothing is left" wait_until 5 nothing_left
exits 1 "a configuration that is not there" leasehold run --config "$TEST_TMP/nowhere.conf" "$TEST_TMP/web.xml"
ok "a configuration that is not there: nothing is left" wait_until 5 nothing_left
exits 1 "a description that is not there" leasehold run "$TEST_TMP/nowhere.xml"
ok "a description that is not there: nothing is left" wait_until 5 nothing_left

command_waits run -
kill_pid "$command"
wait "$command" 2>/dev/null
ok "a command that is killed: nothing is left" wait_until 5 nothing_left

command_waits run -
ok "the second signal ends a command" wait_until 5 terminated
wait "$command"
ok "a command that is ended: nothing is left" wait_until 5 nothing_left

mv "$LEASEHOLD_HELPER_DIR/leasehold-supervisor" "$TEST_TMP/away"
exits 1 "no supervisor in the installation: refused" leasehold run "$TEST_TMP/web.xml"
like "$errors" "cannot start the supervisor .*No such file" "and says so"
is "$(nothing_left; echo $?)" 0 "no supervisor in the installation: nothing is left"
mv "$TEST_TMP/away" "$LEASEHOLD_HELPER_DIR/leasehold-supervisor"

# --- it becomes the guest's -----------------------------------------------------------------

export NOTIFY_SOCKET=$TEST_TMP/notify
command_waits run -
unset NOTIFY_SOCKET
command_ends 0 "the guest starts when it is known"
is "$(supervisors)" "$spare" "with the supervisor that was there"
is "$(tr '\0' '\n' <"/proc/$spare/cmdline" | grep -x -- '--guest=web')" "--guest=web" "which is shown with its name"
like "$(ps -o args= -p "$spare")" "--guest=web *\$" "by ps, too"
is "$(grep -zc '^NOTIFY_SOCKET=' "/proc/$spare/environ")" 0 "and has nothing to say to a service manager"
destroyed "it is destroyed"

command_waits run -
kill_pid "$spare"
command_ends 0 "a supervisor that died while there was no guest: another one starts it"
ok "and is not the one that died" test "$(supervisors)" != "$spare"
destroyed "it is destroyed, too"

sed "s,$TEST_TMP/run,$TEST_TMP/other-run," "$LEASEHOLD_CONFIG" >"$TEST_TMP/other.conf"
command_waits run --config "$TEST_TMP/other.conf" -
command_ends 0 "a guest of another configuration than the one that was loaded ahead"
ok "is that one's" test -d "$TEST_TMP/other-run/guests/$UUID"
is "$(leasehold list --name)" "" "and not the first one's"
destroyed "the guest of another configuration is destroyed" --config "$TEST_TMP/other.conf"
ok "no supervisor is left" wait_until 5 eval '! supervisors'
done_testing
