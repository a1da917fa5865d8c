# SPDX-License-Identifier: LGPL-2.1-or-later
#
# holders.sh: processes that hold leases (holder.c), commanded from shell tests. Source
# functions.sh and hosts.sh first.
#
#     holder_start a alpha name=web        # holder "a" on host alpha; its child is in $pid
#     tell a acquire disk-1 disk-2:sh      # leaves $reply, and of it $result: ok or the
#                                          # error's code, $msec and $text
#     holder_kill a

declare -A _holder_in=() _holder_out=() _holder_pid=()
HOLDER=$top_builddir/tests/sanlock/holder
# shellcheck disable=SC2034  # the codes of virLockErrorCode, for tests
BUSY=1 UNAVAILABLE=2 NOT_JOINED=3 CONFIG=4 STATE=6 STALE=7 LOST=8 TIMEOUT=9 CANCELLED=10 \
    INDETERMINATE=11

# holder_start NAME HOST [KEY=VALUE...]
holder_start() {
    local name=$1 host=$2 dir
    shift 2
    dir=$(host_dir "$host")
    mkfifo "$TEST_TMP/$name.in" "$TEST_TMP/$name.out"
    exec {_fd}<>"$TEST_TMP/$name.in"
    _holder_in[$name]=$_fd
    exec {_fd}<>"$TEST_TMP/$name.out"
    _holder_out[$name]=$_fd
    host "$host" "$HOLDER" "$LEASEHOLD_PLUGIN_DIR/sanlock.so" "store=$STORE" \
        "lockspace=$TEST_LOCKSPACE" "host_id=$(holder_host_id "$host")" "run_dir=$dir/sl" \
        watchdog=unsafe-none "state_dir=$dir/state" "host=$host" "$@" \
        <"$TEST_TMP/$name.in" >"$TEST_TMP/$name.out" 2>"$TEST_TMP/$name.err" &
    disown "$!"
    holder_read "$name"
    if ! [[ $reply =~ ^pid\ ([0-9]+)\ ([0-9]+)$ ]]; then
        diag "holder $name: $reply"
        return 1
    fi
    pid=${BASH_REMATCH[1]}
    _holder_pid[$name]=${BASH_REMATCH[2]}
    cleanup_fn holder_kill "$name"
}

holder_host_id() { sed -n 's/^host_id = //p' "$(host_dir "$1")/leasehold.conf"; }

# holder_read NAME: the next line it writes.
holder_read() {
    reply= result= msec= text=
    read -r -t "$TEST_TIMEOUT" -u "${_holder_out[$1]}" reply || reply="error -1 0 no answer"
    read -r result msec text <<<"$reply"
    [ "$result" != error ] || read -r result msec text <<<"$msec $text"
}

# say NAME COMMAND...: without waiting for the answer.
say() {
    local name=$1
    shift
    printf '%s\n' "$*" >&"${_holder_in[$name]}"
}

tell() {
    say "$@"
    holder_read "$1"
}

# told RESULT WHAT NAME COMMAND...: one fact: the command ends with this result.
told() {
    local want=$1 what=$2
    shift 2
    tell "$@"
    if [ "$result" = "$want" ]; then pass "$what"; else
        fail "$what"
        diag "${*:2}"
        diag "expected: $want, got: $reply"
    fi
}

# holder_kill NAME: holder and child (which dies with it) are gone.
holder_kill() {
    [ -z "${_holder_pid[$1]:-}" ] || kill_pid "${_holder_pid[$1]}"
    unset "_holder_pid[$1]"
}
