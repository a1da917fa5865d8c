#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What users get wrong and machines do to them, with the real command, sanlock and QEMU: each
# row is refused with its exit status and words that name the thing, and leaves nothing: no
# process, no runtime folder, no registration with sanlock, no lease that is held.
#
# Elsewhere: QEMU and the runtime folder under lockfile in tests/domain_lock/
# test-start-refused.sh, duplicate host ids and the daemon in tests/sanlock/test-sanlock-join.sh,
# every element of a description in tests/domain/test-domain-refuse.c.
#
# Seen failing: a copy of the store, whose leases nobody renews, was used for a guest, and so was a
# store that had replaced it; a name beyond ASCII ended the supervisor in the C locale; with what
# the note says ignored, a guest ran that no later daemon would have known of.

. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/hosts.sh"
. "$top_srcdir/tests/lib/guests.sh"
requires sanlock qemu payload qemu-img
UUID=$(cat /proc/sys/kernel/random/uuid)
faulty=$top_builddir/tests/guest/.libs/faulty_storage.so
# a program with sanitizers wants to come before what is preloaded
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0"

store_new --max-leases 6 --max-hosts 8
host_up alpha 1
host_up beta 2
dir=$(host_dir alpha)
conf=$dir/leasehold.conf
images=$(direct_dir)
web=$images/web.img
must payload_image "$web"
guest_xml web "$UUID" "$web" >"$TEST_TMP/web.xml"

nothing_left() {
    ! pgrep -f -- "$UUID" && ! host alpha sanlock client status | grep -q '^[pr] [0-9]' &&
        [ -z "$(ls "$dir/run/guests" 2>/dev/null)" ] && none_held
}
none_held() { [ "$(host alpha leasehold store list --held --json | tr -d ' \n')" = '{"leases":[]}' ]; }

# refused STATUS REGEX WHAT COMMAND...
refused() {
    local want=$1 regex=$2 what=$3
    shift 3
    run host alpha "$@"
    if [ "$status" = "$want" ] && [[ $output$errors =~ $regex ]] && wait_until 3 nothing_left; then
        pass "$what"
    else
        fail "$what"
        diag "expected status $want, '$regex' and nothing left"
        diag "left: $(pgrep -f -- "$UUID"; ls "$dir/run/guests" 2>&1)"
        _show_run
        host alpha leasehold destroy -q web >/dev/null 2>&1
    fi
}

# config STATUS REGEX WHAT SED [COMMAND...]: the same with another configuration
config() {
    local want=$1 regex=$2 what=$3
    sed "$4" "$conf" >"$TEST_TMP/changed.conf"
    shift 4
    [ $# -gt 0 ] || set -- run "$TEST_TMP/web.xml"
    refused "$want" "$regex" "$what" leasehold --config "$TEST_TMP/changed.conf" "$@"
}

# guest STATUS REGEX WHAT SED: the same with another description
guest() {
    sed "$4" "$TEST_TMP/web.xml" >"$TEST_TMP/changed.xml"
    refused "$1" "$2" "$3" leasehold run "$TEST_TMP/changed.xml"
}

# image STATUS REGEX WHAT IMG [FORMAT]: the same with another disk
image() {
    guest_xml web "$UUID" "$4" "${5:-raw}" >"$TEST_TMP/changed.xml"
    refused "$1" "$2" "$3" leasehold run "$TEST_TMP/changed.xml"
}

# ---- storage that does not answer: begun first, because it takes long -----------------------

# A host of its own, with the lockfile plugin.
host_up dead 0 --lockfile "$TEST_TMP/locks"
must payload_image "$images/hung.img"
guest_xml hung "$(cat /proc/sys/kernel/random/uuid)" "$images/hung.img" >"$TEST_TMP/hung.xml"
spawn "$TEST_TMP/hung.log" env "LEASEHOLD_CONFIG=$(host_dir dead)/leasehold.conf" \
    "LEASEHOLD_TEST_HOST=$(host_dir dead)" "LD_PRELOAD=$faulty" "LEASEHOLD_TEST_HANGS=$images/hung.img" \
    leasehold run "$TEST_TMP/hung.xml"
hung=$spawned
hung_state() { host dead leasehold list --json | grep -q '"hung"'; }
ok "a start whose disk does not answer is shown all the same" wait_until 10 hung_state
must wait_until 20 [ -e "$images/hung.img.hung" ]
must kill -TERM "$hung"

# ---- before the host has joined ----------------------------------------------------------

refused 4 "leasehold host join" "a host that has not joined" leasehold run "$TEST_TMP/web.xml"
hosts_join alpha beta

# ---- the store and the host --------------------------------------------------------------

config 1 "no store is configured" "no store" "/^store/d"
config 1 "$STORE-not" "a store that does not exist" "s,^store = .*,&-not,"
config 4 "not in lockspace 'other' as host id 1; run 'leasehold host join'" \
    "a store of another lockspace: run" "s,^lockspace = .*,lockspace = other,"
config 1 "lockspace 'test'.*'other'" "a store of another lockspace: join" \
    "s,^lockspace = .*,lockspace = other," host join
config 1 "host_id 9 is too large" "a host id that the store has no place for: join" \
    "s,^host_id = .*,host_id = 9," host join
config 4 "not in lockspace 'test' as host id 9" "a host id that the store has no place for: run" \
    "s,^host_id = .*,host_id = 9,"
config 1 "no host id is configured" "no host id" "/^host_id/d"
config 4 "not in lockspace 'test' as host id 3" "another host id than the one that joined" \
    "s,^host_id = .*,host_id = 3,"
config 1 "host_id = one: must be a number" "a host id that is no number" "s,^host_id = .*,host_id = one,"
config 1 "unknown key 'stroe'.*'store'" "a misspelt key" "s,^store = ,stroe = ,"
# A copy has the lockspace's name. sanlock would take leases there, which no other host sees.
cp --sparse=always "$STORE" "$STORE.copy"
config 1 "in lockspace 'test' of store $STORE, but store $STORE.copy is configured" \
    "a copy of the store: run" "s,^store = .*,&.copy,"
config 1 "store $STORE.copy is configured" "a copy of the store: join" "s,^store = .*,&.copy," host join -q
truncate -s 10M "$STORE.copy"
config 1 "is truncated" "a truncated store: run" "s,^store = .*,&.copy,"
config 1 "is truncated" "a truncated store: check" "s,^store = .*,&.copy," store check
truncate -s 100 "$STORE.copy"
config 1 "is not a leasehold store" "a store of 100 bytes" "s,^store = .*,&.copy,"
truncate -s 0 "$STORE.copy"
config 1 "is not a leasehold store" "an empty store" "s,^store = .*,&.copy," store list
rm "$STORE.copy"
config 1 "store $images: Is a directory" "a folder as the store" "s,^store = .*,store = $images,"
mkfifo "$images/fifo"
config 1 "fifo is neither a file nor a block device" "a FIFO as the store" \
    "s,^store = .*,store = $images/fifo," store info
must host alpha leasehold store create "$STORE.4k" --lockspace test --io-timeout 1 --max-leases 4 \
    --sector-size 4096
config 1 "$STORE.4k is configured" "a store of other sectors than the joined one" "s,^store = .*,&.4k,"
rm "$STORE.4k"
config 1 "store /proc/self/x.*: No such file" "a store where no file can be made" "" store create /proc/self/x
export LEASEHOLD_TEST_NODIRECT=$STORE
sed "s,^store = .*,&," "$conf" >"$TEST_TMP/changed.conf"
refused 1 "store $STORE: its file system cannot do direct I/O" "a store without O_DIRECT: run" \
    env "LD_PRELOAD=$faulty" leasehold run "$TEST_TMP/web.xml"
refused 1 "direct I/O" "a store without O_DIRECT: check" env "LD_PRELOAD=$faulty" leasehold store check
unset LEASEHOLD_TEST_NODIRECT
config 4 "sanlock daemon is not running" "no sanlock daemon" "s,^run_dir = .*/sl,run_dir = $TEST_TMP/nosl,"
config 1 "run_dir|characters" "a runtime folder with too long a path" \
    "s,^run_dir = .*/run,&/$(printf '%0100d' 0),"
: >"$TEST_TMP/file"
config 1 "Not a directory|not a directory" "a file as the runtime folder" "s,^run_dir = .*/run,run_dir = $TEST_TMP/file,"
mkdir "$TEST_TMP/state"
: >"$TEST_TMP/state/sanlock-guests"
config 1 "cannot note in .* that guest 'web' will hold leases" "no note of the guest for a later daemon" \
    "s,^state_dir = .*,state_dir = $TEST_TMP/state,"

# Another store at the same path: the daemon goes on renewing itself in the one that is gone.
mv "$STORE" "$STORE.joined"
must host alpha leasehold store create "$STORE" --lockspace test --io-timeout 1 --max-leases 6
refused 1 "is not the one that this host has joined" "a store that was made anew since: run" \
    leasehold run "$TEST_TMP/web.xml"
refused 1 "is not the one that this host has joined" "a store that was made anew since: join" \
    leasehold host join -q
mv "$STORE.joined" "$STORE"

# ---- images --------------------------------------------------------------------------------

image 1 "cannot open '$images/none.img': No such file" "an image that does not exist" "$images/none.img"
image 1 "neither a file nor a block device" "a FIFO as an image" "$images/fifo"
image 1 "neither a file nor a block device|directory" "a folder as an image" "$images"
image 1 "neither a file nor a block device" "a character device as an image" /dev/zero
image 1 "No such file" "an image behind a link to itself" "$images/none/../self"
ln -s self.img "$images/self.img"
image 1 "Too many levels of symbolic links" "a link to itself" "$images/self.img"
image 1 "not qcow2|qcow2" "an image that is not in its format" "$web" qcow2
(
    cd "$images" || exit
    qemu-img create -q -f qcow2 a.qcow2 1M
    qemu-img create -q -f qcow2 -b a.qcow2 -F qcow2 b.qcow2
    qemu-img rebase -q -u -b b.qcow2 -F qcow2 a.qcow2
    qemu-img create -q -f qcow2 -u -b gone.img -F raw lost.qcow2 1M
    qemu-img create -q -f qcow2 -u -b nbd://localhost/x -F raw net.qcow2 1M
    qemu-img create -q -f qcow2 -u -b fifo -F raw fifo.qcow2 1M
    head -c 60 a.qcow2 >short.qcow2
)
image 1 "loop: '$images/a.qcow2' is in it already.*b.qcow2" "a backing chain that loops" "$images/a.qcow2" qcow2
image 1 "gone.img': No such file.*lost.qcow2" "a backing file that is missing" "$images/lost.qcow2" qcow2
image 1 "nbd" "a backing file in the network" "$images/net.qcow2" qcow2
image 1 "fifo' is neither" "a FIFO as a backing file" "$images/fifo.qcow2" qcow2
image 1 "short.qcow2" "a qcow2 header that is cut off" "$images/short.qcow2" qcow2
export LEASEHOLD_TEST_NODIRECT=$web
refused 1 "'$web' is on a file system without O_DIRECT" "an image on a file system without O_DIRECT" \
    env "LD_PRELOAD=$faulty" leasehold run "$TEST_TMP/web.xml"
unset LEASEHOLD_TEST_NODIRECT

# ---- descriptions --------------------------------------------------------------------------

guest 1 "guest name" "a name that is a path" "s,<name>web,<name>../web,"
guest 1 "guest name" "a name with a line end" "s,<name>web,<name>web\&#10;x,"
guest 1 "guest name" "a name like an option" "s,<name>web,<name>--web,"
guest 1 "<name>.*is empty" "an empty name" "s,<name>web,<name>,"
guest 1 "guest name" "a name that is very long" "s,<name>web,<name>$(printf '%0300d' 0),"
printf 'secret' >"$TEST_TMP/secret"
doctype="<!DOCTYPE d [<!ENTITY x SYSTEM 'file://$TEST_TMP/secret'>]>"
sed "1s,^,$doctype,; s,<name>web,<name>\&x;," "$TEST_TMP/web.xml" >"$TEST_TMP/changed.xml"
refused 1 "DOCTYPE|entit" "an external entity" leasehold run "$TEST_TMP/changed.xml"
unlike "$errors" secret "  which is not read"
{
    printf '<!DOCTYPE d [<!ENTITY e0 "haha">'
    for i in {1..20}; do printf '<!ENTITY e%d "&e%d;&e%d;&e%d;&e%d;">' "$i" $((i - 1)) $((i - 1)) $((i - 1)) $((i - 1)); done
    printf ']><domain><name>&e20;</name></domain>'
} >"$TEST_TMP/changed.xml"
refused 1 "DOCTYPE|entit" "a bomb of entities" leasehold run "$TEST_TMP/changed.xml"
[ "$elapsed_ms" -lt 2000 ]
is $? 0 "  which does not go off ($elapsed_ms ms)"
{ printf '<domain>'; for ((i = 0; i < 3000; i++)); do printf '<a>'; done; } >"$TEST_TMP/changed.xml"
refused 1 "XML|deep|depth" "elements without end" leasehold run "$TEST_TMP/changed.xml"

# ---- QEMU ------------------------------------------------------------------------------------

guest 1 "/nowhere/qemu.*No such file" "a QEMU that is not there" \
    "s,<devices>,<devices><emulator>/nowhere/qemu</emulator>,"
guest 1 "Permission denied" "a QEMU that is no program" \
    "s,<devices>,<devices><emulator>$TEST_TMP/web.xml</emulator>,"
printf '#!/bin/sh\necho "out of order" >&2; exit 7\n' >"$TEST_TMP/deadqemu"
printf '#!/bin/sh\nkill -SEGV $$\n' >"$TEST_TMP/segvqemu"
chmod +x "$TEST_TMP"/*qemu
guest 1 "status 7.*out of order|out of order.*status 7" "a QEMU that exits at once" \
    "s,<devices>,<devices><emulator>$TEST_TMP/deadqemu</emulator>,"
guest 1 "signal 11" "a QEMU that crashes at once" \
    "s,<devices>,<devices><emulator>$TEST_TMP/segvqemu</emulator>,"

# ---- the store is full -----------------------------------------------------------------------

for i in 1 2 3 4 5 6; do truncate -s 1M "$images/$i.img"; done
disks=$(for i in 1 2 3 4 5 6; do echo "<disk type='file'><source file='$images/$i.img'/><target dev='sd$i' bus='scsi'/></disk>"; done | sed 's/sd1/sda/;s/sd2/sdb/;s/sd3/sdc/;s/sd4/sdd/;s/sd5/sde/;s/sd6/sdf/')
sed "s#</devices>#$(echo $disks)&#" "$TEST_TMP/web.xml" >"$TEST_TMP/changed.xml"
refused 1 "full|no free" "more leases than the store has" leasehold run "$TEST_TMP/changed.xml"
# ---- odd, but nothing to refuse ----------------------------------------------------------------

sed "s,^run_dir = .*/run,& with space," "$conf" >"$TEST_TMP/odd.conf"
sed "s,<name>web,<name>wéb 'x' \$(id) %s," "$TEST_TMP/web.xml" >"$TEST_TMP/odd.xml"
odd() { host alpha leasehold --config "$TEST_TMP/odd.conf" "$@"; }
ok "a runtime folder and a name with odd characters" odd run "$TEST_TMP/odd.xml"
is "$(odd list --name)" "wéb 'x' \$(id) %s" "  are kept as they are"
ok "the guest writes to its disk" payload_writes "$web"
run host beta leasehold run "$TEST_TMP/web.xml"
is "$status" 3 "another host is refused"
like "$errors" "cannot start guest 'web' with disk $web: .*host 'alpha'.*wéb 'x'" \
    "  and told the disk, the host and the guest"
like "$errors" "host 'alpha' .*alive.* s ago" "  and when it could be taken"
diag "$errors"
ok "the guest is destroyed" odd destroy "$UUID"
ok "nothing is left" wait_until 3 nothing_left

# ---- and what began first -------------------------------------------------------------------

wait "$hung"
is $? 1 "a cancelled start ends although its disk does not answer"
like "$(<"$TEST_TMP/hung.log")" "cancelled.*does not return.*storage.*does not answer" "and says why"
no_guest_left() { [ -z "$(ls "$(host_dir dead)/run/guests")" ]; }
ok "and leaves nothing" wait_until 5 no_guest_left
ok "the store is whole" host alpha leasehold store check
diag "$output"
done_testing
