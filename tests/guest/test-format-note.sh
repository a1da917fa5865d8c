#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A qcow2 image whose description forgot to say so: it is used as raw all the same, because formats
# are never guessed, and run, attach-disk, change-media, show and the history say so. Nothing is
# said of images that are raw, nor of those whose format is said.

. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/guests.sh"
requires qemu direct-io python3

UUID=11111111-2222-4333-8444-555555555544
dir=$(direct_dir)
lockfile_config
cleanup_fn destroy_all
must qemu-img create -q -f qcow2 "$dir/vda" 1M
must qemu-img create -q -f qcow2 "$dir/vdb" 1M
must qemu-img create -q -f qcow2 "$dir/cd" 1M
# a file whose size is no multiple of what its storage writes at once is not opened as raw, and that is how most people see it
must cp "$dir/vda" "$dir/odd"
must truncate -s +100 "$dir/odd"
must truncate -s %4096 "$dir/vda" "$dir/vdb" "$dir/cd"
must truncate -s 1M "$dir/raw" "$dir/plain"
says() { echo "disk '$1': '$2' begins like a qcow2 image and is used as raw"; }
# xml FORMAT: vda, and a drive with a raw medium
xml() {
    guest_xml fmt "$UUID" "$dir/vda" "$1" | sed "s|</devices>|<disk type='file' device='cdrom'>\
<source file='$dir/plain'/><target dev='sda' bus='sata'/><readonly/></disk></devices>|"
}

xml raw | sed "s|$dir/vda|$dir/odd|" >"$TEST_TMP/fmt.xml"
exits 1 "one that QEMU does not open as raw" leasehold run --paused "$TEST_TMP/fmt.xml"
like "$errors" "$(says vda "$dir/odd")" "the failure says what it looks like"
xml raw >"$TEST_TMP/fmt.xml"
exits 0 "a description that says raw" leasehold run --paused "$TEST_TMP/fmt.xml"
like "$errors" "note: $(says vda "$dir/vda")" "run says what it looks like"
unlike "$errors" "sda" "and nothing of what is raw"
like "$(leasehold show fmt)" "Note: +$(says vda "$dir/vda")" "show does"
like "$(leasehold --json show fmt | json_value notes)" "^$(says vda "$dir/vda")" "also as JSON"
like "$(leasehold events fmt | grep DOUBTFUL)" "$(says vda "$dir/vda")" "and the history"
like "$(leasehold show fmt --xml)" "type=.raw." "it is raw all the same"

exits 0 "attached without a format" leasehold attach-disk fmt --source "$dir/vdb" --target vdb
like "$errors" "note: $(says vdb "$dir/vdb")" "attach-disk says so"
unlike "$errors" "vda" "and not what was said before"
exits 0 "a raw one" leasehold attach-disk fmt --source "$dir/raw" --target vdc
unlike "$errors" "note" "says nothing"
exits 0 "a medium without a format" leasehold change-media fmt sda "$dir/cd" --force
like "$errors" "note: $(says sda "$dir/cd")" "change-media says so"
is "$(leasehold show fmt | grep -c "^Note:")" 3 "show has all"
exits 0 "the drive is emptied" leasehold change-media fmt sda --eject --force
is "$(leasehold show fmt | grep -c "^Note:")" 2 "and forgets what is gone"
kill -KILL "$(leasehold --json show fmt | json_value supervisor_pid)"
wait_until 10 eval '[ "$(leasehold --json show fmt | json_value state)" = unsupervised ]'
must leasehold attach -q fmt
is "$(leasehold show fmt | grep -c "^Note:")" 2 "another supervisor knows"
must leasehold destroy -q fmt

xml qcow2 >"$TEST_TMP/fmt.xml"
exits 0 "a description that says qcow2" leasehold run --paused "$TEST_TMP/fmt.xml"
unlike "$errors" "note" "needs no note"
unlike "$(leasehold show fmt)" "Note:" "nor does show"
must leasehold destroy -q fmt

exits 0 "a command line without a format" leasehold run --name fmt2 --paused --disk "$dir/vda" -- \
    qemu-system-x86_64 -accel tcg -m 16 -display none -nodefaults \
    -drive "file=$dir/vda,if=virtio,cache=none,format=raw"
like "$errors" "note: an image: '$dir/vda' begins like a qcow2 image" "gets its note, too"
must leasehold destroy -q fmt2
done_testing
