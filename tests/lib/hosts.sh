# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# hosts.sh: several "hosts" on one machine. Source functions.sh first, then this.
#
#     store_new                       # a store for the lockspace "test"; its path is in $STORE
#     host_up alpha 1; host_up beta 2
#     hosts_join alpha beta
#     host alpha leasehold run guest.xml
#     host_crash alpha
#
# A host is a configuration of its own (LEASEHOLD_CONFIG: run_dir, state_dir, name, host id)
# and, unless it is a lockfile host, a private sanlock daemon without watchdog, privileges,
# real-time priority or locked memory, in a folder of its own. With --ns it is a set of
# namespaces too, so that killing its init is a power cut: every process at once.
#
# What differs from real hosts: one clock, one page cache, one kernel. QEMU's image locks work
# between the hosts and hide a missing lease, so a split-brain test sets locking=off.

declare -A _host_pid=() _host_init=()
# More environment for the daemons (VAR=VALUE), such as a clock of their own.
declare -a HOST_DAEMON_ENV=()
: "${TEST_LOCKSPACE:=test}"
STORE=

# host_dir NAME: run/, state/, sl/ (the daemon's folder), leasehold.conf, daemon.log
host_dir() { echo "$TEST_TMP/$1"; }

# store_new [ARGS of leasehold store create]: a small store, renewed every 2 s (io_timeout 1).
store_new() {
    local dir
    dir=$(direct_dir) || skip_all "no folder on a file system with O_DIRECT"
    STORE=$dir/store
    # no host yet, so a configuration of its own: the plugin, and that no watchdog is meant
    # to go with an io_timeout of 1
    printf '[lock]\nplugin = sanlock\n\n[sanlock]\nwatchdog = unsafe-none\n' \
        >"$TEST_TMP/store.conf"
    must env "LEASEHOLD_CONFIG=$TEST_TMP/store.conf" leasehold store create "$STORE" --lockspace "$TEST_LOCKSPACE" --io-timeout 1 \
        --max-leases 100 "$@"
}

# host_up NAME ID [--ns | --lockfile DIR]: returns when its daemon answers.
host_up() {
    local name=$1 id=$2 mode=${3:-} dir
    dir=$(host_dir "$name")
    mkdir -p "$dir/run" "$dir/state" "$dir/sl" || return 1
    chmod 700 "$dir/run" "$dir/sl"
    if [ "$mode" = --lockfile ]; then
        _host_conf "$name" lockfile "$4" >"$dir/leasehold.conf"
        cleanup_fn _host_kill "$name"
        return 0
    fi
    _host_conf "$name" sanlock "$id" >"$dir/leasehold.conf"
    cleanup_fn _host_kill "$name"
    host_start_daemon "$name" "$mode"
}

_host_conf() {
    local name=$1 plugin=$2 dir
    dir=$(host_dir "$name")
    printf '[host]\nname = %s\nrun_dir = %s\nstate_dir = %s\nidentity = local\n\n' \
        "$name" "$dir/run" "$dir/state"
    printf '[lock]\nplugin = %s\n\n' "$plugin"
    if [ "$plugin" = lockfile ]; then
        printf '[lockfile]\ndir = %s\n' "$3"
    else
        printf '[sanlock]\nstore = %s\nlockspace = %s\nhost_id = %s\nio_timeout = 1\n' \
            "$STORE" "$TEST_LOCKSPACE" "$3"
        printf 'run_dir = %s\nwatchdog = unsafe-none\n' "$dir/sl"
    fi
}

# host_start_daemon NAME [--ns]: also to start a host's daemon again after host_kill_daemon.
host_start_daemon() {
    local name=$1 mode=${2:-} dir
    local -a prefix=() daemon
    dir=$(host_dir "$name")
    rm -f "$dir/sl/sanlock.sock"
    daemon=(env "${HOST_DAEMON_ENV[@]}" "SANLOCK_RUN_DIR=$dir/sl" SANLOCK_PRIVILEGED=0
        "LEASEHOLD_TEST_HOST=$dir"
        sanlock daemon -D -w 0 -l 0 -h 0 -U "$(id -un)" -G "$(id -gn)" -e "$name")
    if [ "$mode" = --ns ]; then
        # the daemon is not init: a test may kill it alone
        prefix=("${UNSHARE[@]}"
            bash -c 'hostname "$0"; "$@" & echo up; while :; do wait -n; sleep 1; done' "$name")
    fi
    "${prefix[@]}" "${daemon[@]}" >>"$dir/daemon.log" 2>&1 </dev/null &
    _host_pid[$name]=$!
    disown "$!" # so that bash does not report its end
    # its socket has a name before it accepts
    if ! wait_until 10 _daemon_accepts "$dir"; then
        diag "$(tail -n 5 "$dir/daemon.log")"
        bail_out "sanlock daemon of host $name does not answer"
    fi
    [ "$mode" != --ns ] || _host_init[$name]=$(_first_child "${_host_pid[$name]}")
}

_daemon_accepts() { SANLOCK_RUN_DIR=$1/sl timeout 2 sanlock client status; }

_first_child() {
    local first _
    read -r first _ <"/proc/$1/task/$1/children"
    echo "$first"
}

# host_join NAME and hosts_join NAME...: the latter at the same time (a join takes seconds).
host_join() { hosts_join "$1"; }

hosts_join() {
    local name i=0
    local -a pids=()
    for name; do
        host "$name" leasehold host join -q >"$(host_dir "$name")/join.log" 2>&1 </dev/null &
        pids+=("$!")
    done
    for name; do
        wait "${pids[$i]}"
        status=$?
        if [ "$status" = 4 ]; then # try again later: the machine is busy, and io_timeout is 1
            diag "$name joins again: $(<"$(host_dir "$name")/join.log")"
            host "$name" leasehold host join -q >"$(host_dir "$name")/join.log" 2>&1 </dev/null
            status=$?
        fi
        if [ "$status" != 0 ]; then
            diag "$(<"$(host_dir "$name")/join.log")"
            bail_out "host $name can not join"
        fi
        i=$((i + 1))
    done
}

# host NAME COMMAND...: run COMMAND as that host. What it leaves running ends with the host.
host() {
    local name=$1 dir
    local -a prefix=()
    shift
    dir=$(host_dir "$name")
    # Inside its PID namespace: sanlock takes a client's pid from the socket, and that reads 0
    # for a process of another namespace.
    [ -z "${_host_init[$name]:-}" ] ||
        prefix=(nsenter -t "${_host_init[$name]}" -m -u -n -p -r) # -r: in a chroot too
    timeout --foreground --kill-after=5 "$TEST_TIMEOUT" "${prefix[@]}" \
        env "LEASEHOLD_CONFIG=$dir/leasehold.conf" "LEASEHOLD_TEST_HOST=$dir" \
        "SANLOCK_RUN_DIR=$dir/sl" SANLOCK_PRIVILEGED=0 "$@"
}

# host_daemon_pid NAME: of its sanlock daemon, as this machine numbers it.
host_daemon_pid() {
    if [ -n "${_host_init[$1]:-}" ]; then
        _first_child "${_host_init[$1]}"
    else
        echo "${_host_pid[$1]}"
    fi
}

# host_pids NAME: every process of the host. They inherited LEASEHOLD_TEST_HOST, or hold a
# lease of its daemon (a QEMU may have been given another environment).
host_pids() {
    local dir
    dir=$(host_dir "$1")
    # -s: a process of somebody else, or one that has just ended
    grep -lszxF "LEASEHOLD_TEST_HOST=$dir" /proc/[0-9]*/environ | sed 's,[^0-9],,g'
    [ -n "${_host_init[$1]:-}" ] && return
    [ -S "$dir/sl/sanlock.sock" ] &&
        SANLOCK_RUN_DIR=$dir/sl timeout 2 sanlock client status 2>/dev/null |
        sed -n 's/^p \([0-9][0-9]*\) .*/\1/p'
}

# host_kill_daemon NAME: the sanlock daemon dies, the rest of the host lives.
host_kill_daemon() { kill_pid "$(host_daemon_pid "$1")"; }

# host_crash NAME: the host is gone at once. Without namespaces its processes are stopped first
# and then killed, so that none can react to the end of another.
host_crash() {
    local name=$1 round pids
    if [ -n "${_host_init[$name]:-}" ]; then
        kill_pid "${_host_init[$name]}"
        unset "_host_init[$name]"
        return
    fi
    for round in 1 2 3; do # until no process was born in between
        pids=$(host_pids "$name")
        [ -n "$pids" ] || break
        # shellcheck disable=SC2086  # a list of numbers
        kill -STOP $pids 2>/dev/null
        sleep 0.02
        [ "$(host_pids "$name" 2>/dev/null)" = "$pids" ] && break
    done
    # shellcheck disable=SC2086
    [ -z "$pids" ] || kill_pid $pids
    unset "_host_pid[$name]"
}

# host_down NAME: an orderly end. Its guests are killed, it leaves the lockspace, so that
# other hosts see its host id free, and the daemon ends.
host_down() {
    local name=$1 guest daemon
    for guest in $(host "$name" leasehold list --json 2>/dev/null |
        sed -n 's/.*"uuid" *: *"\([0-9a-f-]*\)".*/\1/p'); do
        host "$name" leasehold destroy "$guest" >/dev/null 2>&1 </dev/null
    done
    daemon=$(host_daemon_pid "$name" 2>/dev/null)
    if [ -n "$daemon" ]; then
        host "$name" sanlock client shutdown -f 1 >/dev/null 2>&1 </dev/null
        wait_until 10 gone "$daemon"
    fi
    host_crash "$name"
}

_host_kill() {
    local init=${_host_init[$1]:-}
    [ -z "$init$(host_pids "$1" 2>/dev/null)" ] || host_crash "$1"
}
