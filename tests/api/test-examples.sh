#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# docs/examples as their readers use them: compiled with what `make install` installs and
# nothing else, and run with real QEMU and real sanlock. What they say of leases is asked of the
# store, from another host.

TEST_DEADLINE=900
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/hosts.sh"
. "$top_srcdir/tests/lib/guests.sh"
TEST_TIMEOUT=180
requires sanlock qemu payload pkg-config

# ---- installed, compiled ------------------------------------------------------------------

root=$TEST_TMP/root
(
    unset MAKEFLAGS MAKELEVEL
    make -s -C "$top_builddir" install DESTDIR="$root"
) >"$TEST_TMP/install.log" 2>&1 || { diag "$(tail -n 5 "$TEST_TMP/install.log")"; bail_out "make install"; }
pc=$(dirname "$(find "$root" -name leasehold-domain-lock.pc)")
prefix=$(sed -n 's/^prefix=//p' "$pc/leasehold-domain-lock.pc")
mkdir "$TEST_TMP/pc"
for file in "$pc"/leasehold-*.pc; do
    sed "s,^prefix=.*,prefix=$root$prefix," "$file" >"$TEST_TMP/pc/$(basename "$file")"
done
export PKG_CONFIG_PATH=$TEST_TMP/pc

# build NAME MODULES...: an example with the flags that its head names
build() {
    local name=$1
    local -a flags
    shift
    grep -q "pkg-config --cflags --libs $*" "$top_srcdir/docs/examples/$name.c" || return 1
    read -ra flags <<<"$(pkg-config --cflags --libs "$@")"
    # shellcheck disable=SC2086
    "${CC:-cc}" ${SANITIZE_FLAGS:-} -Wall -Wextra -Werror -Wno-unused-parameter \
        -o "$TEST_TMP/$name" "$top_srcdir/docs/examples/$name.c" "${flags[@]}"
}
ok "guest-daemon compiles with the installed headers" build guest-daemon leasehold-domain-lock gio-unix-2.0
ok "lock-host compiles with the installed headers" build lock-host leasehold-lock-manager
[ "$_failed" = 0 ] || bail_out "there is nothing to run"

libdir=$(dirname "$(find "$root" -name libdomain_lock.so)")
export LD_LIBRARY_PATH=$libdir LEASEHOLD_PLUGIN_DIR=$libdir/leasehold/plugins
# an uninstalled command is looked for beside the folder of the helpers
mkdir "$TEST_TMP/tree"
ln -s "$(dirname "$(find "$root" -name leasehold-supervisor -type f)")" "$TEST_TMP/tree/helpers"
ln -s "$(find "$root" -path '*/bin/leasehold')" "$TEST_TMP/tree/leasehold"
export LEASEHOLD_HELPER_DIR=$TEST_TMP/tree/helpers PATH=$TEST_TMP/tree:$PATH

store_new
host_up alpha 1
host_up beta 2
hosts_join alpha beta
images=$(direct_dir)

# seen IMAGE REGEX: what the other host reads in the store
seen() { like "$(host beta leasehold who "$1" 2>&1 | tr '\n' ' ')" "$2" "$3"; }

# ---- the daemon ---------------------------------------------------------------------------

must payload_image "$images/web.img"
truncate -s 1M "$images/data.img"
guest_xml web c0ffee00-0000-4000-8000-0000000000e1 "$images/web.img" >"$TEST_TMP/web.xml"
cat >"$TEST_TMP/data.xml" <<XML
<disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/>
<source file='$images/data.img'/><target dev='vdb' bus='virtio'/></disk>
XML

# daemon_start LOG: commands go to descriptor 7, its pid is in $daemon
daemon_start() {
    log=$1
    rm -f "$TEST_TMP/commands"
    mkfifo "$TEST_TMP/commands"
    LEASEHOLD_CONFIG=$(host_dir alpha)/leasehold.conf LEASEHOLD_TEST_HOST=$(host_dir alpha) \
        SANLOCK_RUN_DIR=$(host_dir alpha)/sl SANLOCK_PRIVILEGED=0 setsid "$TEST_TMP/guest-daemon" \
        "$TEST_TMP/web.xml" <"$TEST_TMP/commands" >"$log" 2>&1 &
    daemon=$!
    disown "$daemon"
    cleanup_fn end_pid "$daemon"
    exec 7>"$TEST_TMP/commands"
}
says() { ok "the daemon: $2" wait_until "${3:-30}" grep -Eq "$1" "$log" || diag "$(<"$log")"; }

daemon_start "$TEST_TMP/first.log"
says "^done: start web" "starts the guest"
says "^event: web STARTED" "is told of it by an event"
ok "the guest writes" payload_writes "$images/web.img"
seen "$images/web.img" "alpha.*web" "and holds its disk"

echo "plug web $TEST_TMP/data.xml" >&7
says "^done: plug web" "plugs a disk"
says "^event: web DISK_ATTACHED vdb" "is told of that, too"
seen "$images/data.img" "alpha.*web" "which is leased"
echo "plug web $TEST_TMP/data.xml" >&7
says "^failed: plug web: .*vdb" "says why it can not be plugged twice"

kill_pid -- "-$daemon"
exec 7>&-
ok "the daemon is killed with all its process group, the guest writes on" payload_writes "$images/web.img"
daemon_start "$TEST_TMP/second.log"
says "^found: web running, QEMU [0-9]+, 3 leases" "the next one finds it again"
echo list >&7
says "^guest: web running" "and lists it"
is "$(grep -c "start web" "$log")" 0 "it starts nothing twice"

must host alpha leasehold suspend web
says "^event: web SUSPENDED user" "is told what others do"
must host alpha leasehold resume web
echo "unplug web vdb" >&7
says "^done: unplug web" "unplugs the disk"
seen "$images/data.img" free "which is free then"
echo "unplug web vdb" >&7
echo "list" >&7
says "^failed: unplug web: .*vdb" "says that there is none any more"

echo "shutdown web" >&7
says "^done: shutdown web" "shuts the guest down" 60
says "^ended: web shutdown" "and says how it ended"
seen "$images/web.img" free "all is free"
echo "quit" >&7
ok "the daemon: ends when told" wait_until 10 gone "$daemon"
exec 7>&-
ok "one writer, in order" payload_check "$images/web.img"

# ---- the low-level host -------------------------------------------------------------------

uuid=c0ffee00-0000-4000-8000-0000000000e2
for way in fork supervise; do
    disk=$images/$way.img
    must payload_image "$disk"
    qemu=(qemu-system-x86_64 -accel tcg -machine pc -m 16 -uuid "$uuid" -display none -nodefaults
        -blockdev "driver=file,filename=$disk,node-name=f0,cache.direct=on,locking=off"
        -blockdev driver=raw,file=f0,node-name=d0 -device virtio-blk-pci,drive=d0,bootindex=1)
    spawn "$TEST_TMP/$way.log" host alpha "$TEST_TMP/lock-host" "$way" low "$uuid" "$disk" -- "${qemu[@]}"
    host=$spawned
    held() { wait_until 20 grep -q "^held by [0-9]*: $disk" "$TEST_TMP/$way.log"; }
    ok "lock-host $way: takes the leases" held || diag "$(<"$TEST_TMP/$way.log")"
    pid=$(sed -n 's/^held by \([0-9]*\): .*/\1/p' "$TEST_TMP/$way.log" | head -n 1)
    is "$(basename "$(readlink "/proc/$pid/exe")")" qemu-system-x86_64 \
        "lock-host $way: QEMU itself holds them"
    ok "lock-host $way: the guest writes" payload_writes "$disk"
    seen "$disk" "alpha.*low" "lock-host $way: the store says so"
    exits 3 "lock-host $way: on another host it is refused" host beta "$TEST_TMP/lock-host" fork other \
        c0ffee00-0000-4000-8000-0000000000e3 "$disk" -- true
    like "$errors" "host 'alpha'" "lock-host $way: and told who has it"
    kill -TERM "$pid"
    ok "lock-host $way: ends with QEMU" wait_until 20 gone "$host"
    ok "lock-host $way: and has seen all free" grep -q "^ended: all is free" "$TEST_TMP/$way.log"
    seen "$disk" free "lock-host $way: which the store says, too"
    ok "lock-host $way: one writer" payload_check "$disk"
done

# The program is killed, its QEMU is taken up by the next one.
disk=$images/again.img
must payload_image "$disk"
qemu=("${qemu[@]//$images\/supervise.img/$disk}")
spawn "$TEST_TMP/again.log" host alpha "$TEST_TMP/lock-host" fork low "$uuid" "$disk" -- "${qemu[@]}"
ok "lock-host attach: there is a guest" wait_until 20 grep -q "^held by [0-9]*: $disk" "$TEST_TMP/again.log"
pid=$(sed -n 's/^held by \([0-9]*\): .*/\1/p' "$TEST_TMP/again.log" | head -n 1)
cleanup_fn kill_pid "$pid"
kill -KILL "$(awk '/^PPid/ { print $2 }' "/proc/$pid/status")"
wait_until 10 gone "$spawned"
ok "lock-host attach: which goes on without its program" payload_writes "$disk"
# somebody else's process
spawn "$TEST_TMP/sleep.log" sleep 600
exits 4 "lock-host attach: a process that holds nothing is refused" host alpha "$TEST_TMP/lock-host" \
    attach low "$uuid" "$disk" -- "$spawned"
like "$errors" "$disk" "lock-host attach: and the disk is named"
spawn "$TEST_TMP/attach.log" host alpha "$TEST_TMP/lock-host" attach low "$uuid" "$disk" -- "$pid"
host=$spawned
ok "lock-host attach: takes QEMU up" wait_until 20 grep -q "^held by $pid: $disk" "$TEST_TMP/attach.log" ||
    diag "$(<"$TEST_TMP/attach.log")"
seen "$disk" "alpha.*low" "lock-host attach: the store says what it says"
kill_pid "$pid"
ok "lock-host attach: ends with QEMU" wait_until 20 gone "$host"
ok "lock-host attach: and has seen all free" grep -q "^ended: all is free" "$TEST_TMP/attach.log"
seen "$disk" free "lock-host attach: which the store says, too"
ok "lock-host attach: one writer" payload_check "$disk"
done_testing
