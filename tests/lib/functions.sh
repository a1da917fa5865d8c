# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# functions.sh: what every shell test begins with. Source it first:
#
#     . "${top_srcdir:-.}/tests/lib/functions.sh"
#     requires sanlock qemu
#     plan 2
#     must  mkdir "$TEST_TMP/a"                            # given: a set-up step
#     run   host beta leasehold run guest.xml              # when: fills $status $output $errors
#     is    "$status" 3  "the second host is refused"      # then: one numbered line of TAP
#     like  "$errors" "host 'alpha'"  "the refusal names the host"
#
# Nothing here waits for ever: the script as a whole has TEST_DEADLINE seconds, each command
# of run, must, ok and exits has TEST_TIMEOUT, and waiting is done by
# wait_until only. Whatever the test started (spawn) or left to be undone (cleanup_fn) is
# ended, newest first, when the script exits for whatever reason, by process id.
#
# What the machine cannot give is a skip that names what is missing. LEASEHOLD_TEST_STRICT=1
# turns every skip into a failure: on a machine that has it all, a skip is a bug.

set -u

: "${top_srcdir:=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}"
: "${top_builddir:=$top_srcdir}"
: "${TEST_TIMEOUT:=120}" "${TEST_DEADLINE:=900}" "${LEASEHOLD_TEST_STRICT:=0}"
export top_srcdir top_builddir

# An ordinary user's PATH lacks sbin, where sanlock lives; ours come before an installed one.
PATH=$top_builddir:$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH
export LEASEHOLD_PLUGIN_DIR=${LEASEHOLD_PLUGIN_DIR-$top_builddir/plugins/.libs}
export LEASEHOLD_HELPER_DIR=${LEASEHOLD_HELPER_DIR-$top_builddir/helpers}
# Nothing of the person who runs the tests may be read or written.
unset LEASEHOLD_CONFIG XDG_CONFIG_HOME XDG_STATE_HOME XDG_RUNTIME_DIR NOTIFY_SOCKET
export LC_ALL=C

TEST_NAME=$(basename "$0" .sh)
# Short, because a socket's path has 107 characters at most.
TEST_TMP=$(mktemp -d /tmp/lh.XXXXXX) || exit 99
export HOME=$TEST_TMP
_count=0 _failed=0 _planned= _cleanup=()

# The deadline of the whole script: TERM makes it clean up and end. bash handles that when the
# command in the foreground has ended, which is bounded itself.
{
    trap 'kill "$_nap"; exit' TERM
    sleep "$TEST_DEADLINE" &
    _nap=$!
    wait "$_nap" && kill -TERM $$
} >/dev/null 2>&1 </dev/null &
_watchdog=$!
disown "$_watchdog"

# ---- TAP -------------------------------------------------------------------------------

plan() { _planned=$1; echo "1..$1"; }

# done_testing: the plan of a script that counts as it goes; without either the driver reports
# an error, so that a script that dies early can not look complete.
done_testing() { _planned=$_count; echo "1..$_count"; }

diag() { printf '%s\n' "$*" | sed 's/^/# /'; }

pass() { _count=$((_count + 1)); echo "ok $_count - $*"; }

fail() {
    _count=$((_count + 1)) _failed=$((_failed + 1))
    echo "not ok $_count - $*"
    diag "at $(_where)"
}

# The line of the test script itself, however deep the helper that failed.
_where() {
    local i
    for i in "${!BASH_SOURCE[@]}"; do
        [ "${BASH_SOURCE[$i]}" = "$0" ] && { echo "$0:${BASH_LINENO[$((i - 1))]}"; return; }
    done
    echo "$0"
}

bail_out() { echo "Bail out! $*"; exit 1; }

# skip WHAT REASON: one numbered fact that can not be tested here.
skip() {
    _count=$((_count + 1))
    if [ "$LEASEHOLD_TEST_STRICT" = 1 ]; then
        _failed=$((_failed + 1))
        echo "not ok $_count - $1: skipped although LEASEHOLD_TEST_STRICT=1: $2"
    else
        echo "ok $_count - $1 # SKIP $2"
    fi
}

# skip_all REASON: nothing of this script can be tested here.
skip_all() {
    if [ "$LEASEHOLD_TEST_STRICT" = 1 ]; then
        echo "1..1"
        echo "not ok 1 - skipped although LEASEHOLD_TEST_STRICT=1: $*"
        exit 1
    fi
    _planned=0
    echo "1..0 # SKIP $*"
    exit 0
}

# The namespaces of a host. In a chroot the root is no mount point, so its propagation can not
# be changed; only that of /proc, which unshare does by itself.
UNSHARE=(unshare --uts --net --mount --propagation unchanged --pid --fork --kill-child
    --mount-proc)

# ---- what the machine gives ---------------------------------------------------------------

# has THING: a program of that name, or one of the facts below.
has() {
    case $1 in
    root) [ "$(id -u)" = 0 ] ;;
    qemu) has qemu-system-x86_64 ;;
    payload) [ -f "$top_builddir/tests/payload/payload.img" ] ;;
    linux-guest) linux_guest ;;
    direct-io) direct_dir >/dev/null ;;
    namespaces) has root && timeout 10 "${UNSHARE[@]}" true 2>/dev/null ;;
    fuse) [ -r /dev/fuse ] && [ -w /dev/fuse ] ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

# requires THING...: or the whole script is skipped by name.
requires() {
    local thing
    for thing; do
        has "$thing" || skip_all "this machine has no usable $thing${linux_why:+ ($linux_why)}"
    done
}

# linux_guest: makes the Linux guest (tests/payload/linux) once for all tests; $linux_dir then
# has its kernel and initramfs. LEASEHOLD_TEST_LINUX names a folder to keep it in.
linux_guest() {
    linux_dir=${LEASEHOLD_TEST_LINUX:-$top_builddir/tests/payload/linux-guest}
    linux_why=$("$top_srcdir/tests/payload/linux/build" "$linux_dir" 2>&1)
}

# has_room FOLDER: one GiB. The memory of a container may have next to nothing.
has_room() { [ "$(df --output=avail "$1" 2>/dev/null | tail -n 1)" -ge $((1 << 20)) ] 2>/dev/null; }

# direct_dir: prints a fresh folder (removed at exit) on a file system with O_DIRECT, which
# sanlock and cache=none need and a tmpfs of kernels before 6.6 has not. Memory comes first: at
# io_timeout 1 a disk that is busy for a second is a dead one. TEST_DIRECT_DIR names another.
direct_dir() {
    local base dir
    for base in "${TEST_DIRECT_DIR:-/dev/shm}" "$TEST_TMP" "$top_builddir" /var/tmp; do
        has_room "$base" && dir=$(mktemp -d "$base/lhd.XXXXXX" 2>/dev/null) || continue
        if dd if=/dev/zero of="$dir/probe" bs=4096 count=1 oflag=direct 2>/dev/null; then
            rm -f "$dir/probe"
            echo "$dir" >>"$TEST_TMP/.dirs"
            echo "$dir"
            return 0
        fi
        rm -rf "$dir"
    done
    return 1
}

# ---- running things -----------------------------------------------------------------------

# bounded SEC COMMAND...: shell functions run as they are (what they call is bounded itself).
bounded() {
    local sec=$1
    shift
    if [ "$(type -t "$1")" = function ]; then
        "$@"
    else
        timeout --foreground --kill-after=5 "$sec" "$@"
    fi
}

# run COMMAND...: never fails; leaves $status, $output, $errors and $elapsed_ms.
run() {
    local begin=${EPOCHREALTIME/./}
    bounded "$TEST_TIMEOUT" "$@" >"$TEST_TMP/.out" 2>"$TEST_TMP/.err" </dev/null
    status=$?
    elapsed_ms=$(((${EPOCHREALTIME/./} - begin) / 1000))
    output=$(<"$TEST_TMP/.out") errors=$(<"$TEST_TMP/.err")
    last_command=$*
}

_show_run() {
    diag "command: $last_command"
    diag "exit status $status after $elapsed_ms ms"
    diag "stdout: $output"
    diag "stderr: $errors"
}

# must COMMAND...: a step of the set-up; if it fails nothing below means anything.
must() {
    run "$@"
    [ "$status" = 0 ] && return 0
    _show_run
    bail_out "set-up failed at $(_where): $*"
}

# ok WHAT COMMAND...: the command succeeds.
ok() {
    local what=$1
    shift
    run "$@"
    if [ "$status" = 0 ]; then pass "$what"; else fail "$what"; _show_run; return 1; fi
}

# exits STATUS WHAT COMMAND...: the command ends with exactly that status.
exits() {
    local want=$1 what=$2
    shift 2
    run "$@"
    if [ "$status" = "$want" ]; then pass "$what"; else
        fail "$what"
        diag "expected exit status $want"
        _show_run
        return 1
    fi
}

# is GOT WANT WHAT
is() {
    if [ "$1" = "$2" ]; then pass "$3"; else
        fail "$3"
        diag "got:      '$1'"
        diag "expected: '$2'"
        return 1
    fi
}

# like TEXT REGEX WHAT and unlike TEXT REGEX WHAT: extended regular expressions.
like() {
    if [[ $1 =~ $2 ]]; then pass "$3"; else
        fail "$3"
        diag "no match for '$2' in: $1"
        return 1
    fi
}

unlike() {
    if [[ ! $1 =~ $2 ]]; then pass "$3"; else
        fail "$3"
        diag "'$2' matches: $1"
        return 1
    fi
}

# wait_until SEC COMMAND...: polls until the command succeeds; 1 when the time is over. SEC is for
# a machine with nothing else to do: a busy one has three times as long.
wait_until() {
    local end=$((${EPOCHREALTIME/./} + 3 * $1 * 1000000)) pause=0.01
    shift
    until "$@" >/dev/null 2>&1; do
        [ "${EPOCHREALTIME/./}" -lt "$end" ] || return 1
        sleep "$pause"
        pause=0.05
    done
}

# ---- processes and clean-up ---------------------------------------------------------------

# spawn LOG COMMAND...: starts it in the background, ended at exit; its pid is in $spawned.
spawn() {
    local log=$1
    shift
    : >"$log" # here, not in the child: what the log of another program said is gone at once
    "$@" >>"$log" 2>&1 </dev/null &
    spawned=$!
    cleanup_fn end_pid "$spawned"
}

alive() {
    local state
    state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) || return 1
    [ "${state%% *}" != Z ]
}

gone() { ! alive "$1"; }

# end_pid PID...: TERM, then KILL after two seconds. Only for what this test has started.
end_pid() {
    local pid
    for pid; do kill -TERM "$pid" 2>/dev/null; done
    for pid; do
        if ! wait_until 2 gone "$pid"; then
            kill -KILL "$pid" 2>/dev/null
            wait_until 5 gone "$pid"
        fi
        wait "$pid" 2>/dev/null # reaps it, if it is ours
    done
    return 0
}

# kill_pid PID...: KILL, and wait until it is dead.
kill_pid() {
    local pid
    kill -KILL "$@" 2>/dev/null
    for pid; do
        wait_until 5 gone "$pid"
        wait "$pid" 2>/dev/null
    done
    return 0
}

# cleanup_fn COMMAND...: at exit, newest first. Arguments stay one word each.
cleanup_fn() { _cleanup+=("$(printf '%q ' "$@")"); }

_at_exit() {
    local status=$? i
    # bash runs this in a child, too, that is signalled between fork and exec
    [ "$BASHPID" = "$$" ] || exit "$status"
    trap '' TERM INT HUP
    kill "$_watchdog"
    for ((i = ${#_cleanup[@]} - 1; i >= 0; i--)); do eval "${_cleanup[$i]}"; done
    if [ "${LEASEHOLD_TEST_KEEP:-0}" = 1 ]; then
        diag "kept: $TEST_TMP $(cat "$TEST_TMP/.dirs" 2>/dev/null)"
    else
        [ -f "$TEST_TMP/.dirs" ] && xargs -r -d '\n' rm -rf <"$TEST_TMP/.dirs"
        rm -rf "$TEST_TMP"
    fi
    [ "$status" = 0 ] && [ "$_failed" -gt 0 ] && status=1
    exit "$status"
}
trap _at_exit EXIT
trap 'echo "Bail out! $TEST_NAME: ended by a signal or its deadline of $TEST_DEADLINE s"; exit 143' TERM INT HUP
