#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# test-start-refused.sh: starts that cannot work, with a real QEMU and the lockfile plugin:
# each ends with a reason and a status, and leaves no process, folder, lease or log.
#
# Seen failing: without the audit the undeclared disk and the readonly image get a running guest;
# without the undo of the folder, each "nothing is left".

. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/hosts.sh"
. "$top_srcdir/tests/lib/guests.sh"
requires qemu payload
UUID=$(cat /proc/sys/kernel/random/uuid)
guest=refused$$ # its processes are looked for on the whole machine

host_up alpha 1 --lockfile "$TEST_TMP/locks"
dir=$(host_dir alpha)
disk=$TEST_TMP/web.img
must payload_image "$disk"
guest_xml "$guest" "$UUID" "$disk" >"$TEST_TMP/web.xml"

nothing_left() {
    ! pgrep -f -- "--guest=$guest" && ! pgrep -f -- "-uuid $UUID" &&
        [ -z "$(ls "$dir/run/guests" 2>/dev/null)" ] && leases_free
}
leases_free() { host alpha leasehold who "$disk" | grep -qx free; }

# refused STATUS REGEX WHAT COMMAND...
refused() {
    local want=$1 regex=$2 what=$3
    shift 3
    exits "$want" "$what: refused" "$@"
    like "$errors" "$regex" "$what: and says why"
    ok "$what: nothing is left" wait_until 5 nothing_left
}

# --- QEMU ---------------------------------------------------------------------------------

sed "s,<devices>,<devices><emulator>/nowhere/qemu</emulator>," "$TEST_TMP/web.xml" \
    >"$TEST_TMP/noqemu.xml"
refused 1 "/nowhere/qemu.*No such file" "a QEMU that is not there" \
    host alpha leasehold run "$TEST_TMP/noqemu.xml"

printf '#!/nowhere/interpreter\n' >"$TEST_TMP/badqemu"
chmod +x "$TEST_TMP/badqemu"
sed "s,<devices>,<devices><emulator>$TEST_TMP/badqemu</emulator>," "$TEST_TMP/web.xml" \
    >"$TEST_TMP/badqemu.xml"
refused 1 "badqemu" "a QEMU that cannot be executed" \
    host alpha leasehold run "$TEST_TMP/badqemu.xml"

printf '#!/bin/sh\necho "out of order" >&2; exit 7\n' >"$TEST_TMP/deadqemu"
chmod +x "$TEST_TMP/deadqemu"
sed "s,<devices>,<devices><emulator>$TEST_TMP/deadqemu</emulator>," "$TEST_TMP/web.xml" \
    >"$TEST_TMP/deadqemu.xml"
refused 1 "status 7.*out of order|out of order.*status 7" "a QEMU that exits at once" \
    host alpha leasehold run "$TEST_TMP/deadqemu.xml"

# --- images -------------------------------------------------------------------------------

sed "s,$disk,$TEST_TMP/nowhere.img," "$TEST_TMP/web.xml" >"$TEST_TMP/noimage.xml"
refused 1 "nowhere.img" "an image that is not there" \
    host alpha leasehold run "$TEST_TMP/noimage.xml"

cp "$disk" "$TEST_TMP/undeclared.img"
refused 1 "undeclared.img.*no lease" "an image that was not declared" \
    host alpha leasehold run --name "$guest" --uuid "$UUID" --disk "$disk" -- \
    qemu-system-x86_64 -accel tcg -m 16 -display none -uuid "$UUID" \
    -drive "file=$disk,format=raw,if=virtio" \
    -drive "file=$TEST_TMP/undeclared.img,format=raw,if=virtio"

refused 1 "only a lease for reading" "a readonly image that QEMU opens for writing" \
    host alpha leasehold run --name "$guest" --uuid "$UUID" --disk "$disk,readonly" -- \
    qemu-system-x86_64 -accel tcg -m 16 -display none -uuid "$UUID" \
    -drive "file=$disk,format=raw,if=virtio"

# --- the host -----------------------------------------------------------------------------

printf 'not a guest' >"$TEST_TMP/text.xml"
refused 1 "text|XML|document" "a description that is none" \
    host alpha leasehold run "$TEST_TMP/text.xml"

chmod 0777 "$dir/run"
refused 1 "can be changed by other users" "a runtime folder that others can write" \
    host alpha leasehold run "$TEST_TMP/web.xml"
chmod 0700 "$dir/run"

# in a chroot the root is no mount, whose propagation could be changed
if has namespaces && unshare --mount --propagation private true 2>/dev/null; then
    # a file system without a free byte, in a mount namespace of the command's own
    full() {
        unshare --mount --propagation private bash -c '
            mount -t tmpfs -o size=64k,mode=0755 none "$0" && dd if=/dev/zero of="$0/fill" bs=4096 status=none
            shift 0; "$@"; s=$?; ls -A "$0" | grep -v -e fill -e guests; ls -A "$0/guests"; exit $s
            ' "$dir/run" "$@" 2>&1 | sed '/No space left on device$/{/^dd:/d}'
        return "${PIPESTATUS[0]}"
    }
    run host alpha bash -c "$(declare -f full); dir=$dir; full leasehold run $TEST_TMP/web.xml"
    is "$status" 4 "a full disk for the runtime folder: refused, to be tried again"
    like "$output" "run.*No space left on device" "a full disk: and says so"
    unlike "$output" "$UUID\$" "a full disk: no folder is left"
else
    skip "a full disk for the runtime folder" "mounting needs private mount namespaces"
fi

# --- and then it works --------------------------------------------------------------------

ok "after all that the guest starts" host alpha leasehold run "$TEST_TMP/web.xml"
exits 3 "a second start of the same guest is refused" host alpha leasehold run "$TEST_TMP/web.xml"
like "$errors" "running on this host since .*supervisor pid [0-9]+, QEMU pid [0-9]+" \
    "and says by whom and since when"
guest_xml other 5d0d8f1c-3f0e-4c8e-9d43-3b1f3c3e5a02 "$disk" >"$TEST_TMP/other.xml"
exits 3 "another guest with its disk is refused" host alpha leasehold run "$TEST_TMP/other.xml"
like "$errors" "web.img is held" "and names the disk"
ok "it is destroyed" host alpha leasehold destroy "$guest"
ok "nothing is left" wait_until 5 nothing_left
done_testing
