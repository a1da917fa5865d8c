#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The judges of the payload can fail: two guests on one disk (QEMU's image locks off, as they
# would be between two machines), and each single thing that a second writer leaves behind,
# made by hand. On a disk with writers one after the other they find nothing.

. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/guests.sh"
requires payload qemu python3 direct-io
DIR=$(direct_dir)
A=aaaaaaaa-0000-4000-8000-000000000001
B=bbbbbbbb-0000-4000-8000-000000000002
WATCH=$top_builddir/tests/payload/payload-watch

start() { # start NAME UUID: $spawned is its pid
    payload_qemu_args pc virtio-blk "$DIR/disk" "$2" "$TEST_TMP/$1.qmp"
    spawn "$TEST_TMP/$1.log" qemu-system-x86_64 "${qemu_args[@]}"
}

written() { [ "$(payload_seq "$DIR/disk")" -gt "$1" ]; }

watch() {
    spawn "$TEST_TMP/watch" "$WATCH" "$DIR/disk"
    watcher=$spawned
}

watched() { # $status and $output of the watcher
    kill -TERM "$watcher"
    wait "$watcher"
    status=$? output=$(<"$TEST_TMP/watch")
}

# Nothing to judge is not "OK".
must payload_image "$DIR/disk"
exits 2 "a fresh disk is not judged clean" payload_check "$DIR/disk"
is "$(payload_seq "$DIR/disk")" 0 "a fresh disk has sequence 0"
exits 2 "a missing image is an error" payload_check "$DIR/none"
must truncate -s 4096 "$DIR/short"
exits 2 "a truncated image is an error" payload_check "$DIR/short"
exits 2 "nothing seen is not OK" "$WATCH" "$DIR/disk" 0.3

# One after the other, the first killed in the middle of whatever it did.
watch
start a "$A"
must payload_writes "$DIR/disk" 20
kill_pid "$spawned"
start b "$B"
must wait_until 20 eval 'payload_check "$DIR/disk" | grep -q boot=2'
wait_until 20 written 100 || bail_out "the second guest writes too little"
kill_pid "$spawned"
ok "one writer after the other is clean" payload_check "$DIR/disk"
like "$output" "OK: .* 2 writers" "both writers are listed"
watched
is "$status" 0 "the watcher agrees"
like "$output" "uuid=aaaaaaaa.*uuid=bbbbbbbb.*writers=2 .*verdict=OK" "the watcher saw both"
must cp --sparse=always "$DIR/disk" "$DIR/clean"

# Another history of the same length, to be spliced in below.
must payload_image "$DIR/disk"
start b "$B"
wait_until 20 written 100 || bail_out "the third guest writes too little"
kill_pid "$spawned"
must cp --sparse=always "$DIR/disk" "$DIR/other"

# Both at once.
must payload_image "$DIR/disk"
watch
start a "$A"; a=$spawned
must payload_writes "$DIR/disk" 20
start b "$B"; b=$spawned
wait_until 20 grep -q ' conflict ' "$TEST_TMP/watch" || diag "no conflict while both run"
end_pid "$a" "$b"
exits 1 "two writers at once are a split brain" payload_check "$DIR/disk"
like "$output" "finding: a guest wrote seq .* and then read seq" "a guest found the other"
watched
is "$status" 1 "the watcher finds it too"
like "$output" "verdict=SPLIT-BRAIN" "the watcher says so"

# Single traces, on copies of the clean disk. patch LBA FROM-LBA [FROM]: copies a sector.
patch() {
    must dd if="${3:-$DIR/disk}" of="$DIR/disk" bs=512 count=1 conv=notrunc "seek=$1" "skip=$2"
}
fresh_copy() { must cp --sparse=always "$DIR/clean" "$DIR/disk"; }
head_seq=$(payload_seq "$DIR/clean")

trace() { # trace WHAT PATTERN
    exits 1 "$1" payload_check "$DIR/disk"
    like "$output" "$2" "$1: named"
}

fresh_copy
patch $((2048 + head_seq - 10)) $((2048 + head_seq - 20))
trace "an older record in the place of a newer one" "seq $((head_seq - 10)) was replaced"

fresh_copy
patch 8 $((2048 + head_seq - 5))
trace "a head that went back" "beyond the head"

fresh_copy
patch $((2048 + head_seq - 7)) 9
trace "a record that is missing" "seq $((head_seq - 7)) is missing"

fresh_copy
must dd if=/dev/urandom of="$DIR/disk" bs=1 count=8 conv=notrunc \
    seek=$(((2048 + head_seq - 7) * 512 + 100))
trace "a record with another content" "seq $((head_seq - 7)) is missing or torn"

fresh_copy
patch $((2048 + head_seq + 100)) 8
trace "a record beyond the head" "beyond the head .* was written"

fresh_copy
patch $((2048 + 50)) $((2048 + 50)) "$DIR/other"
trace "a whole record of another writer" "writer of seq 50 had not read this seq 49"

fresh_copy
patch 10 8
trace "evidence of a conflict" "a guest wrote seq $head_seq"
done_testing
