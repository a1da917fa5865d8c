#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# leasehold-harness, as its users use it: installed into a folder, a lab of three hosts is made,
# a guest runs under leases, a step is struck, a host is crashed and revived, all is taken down.
# And the report finds what is wrong: a matrix over hosts without a shared lock says FAIL.

# shellcheck source=tests/lib/functions.sh
. "$top_srcdir/tests/lib/functions.sh"
# shellcheck source=tests/lib/hosts.sh
. "$top_srcdir/tests/lib/hosts.sh"

requires sanlock qemu-system-x86_64 payload python3
dir=$(direct_dir) || skip_all "no folder on a file system with O_DIRECT"
lab=$dir/lab
harness=$TEST_TMP/bin/leasehold-harness

# as "make install" lays it out, with nothing of the tree's around it
mkdir -p "$TEST_TMP/bin" "$TEST_TMP/parts"
cp "$top_srcdir"/tests/harness/{matrix,standing}.py "$top_srcdir/tests/lib/lab.py" \
    "$top_builddir"/tests/payload/payload{.img,-check} "$TEST_TMP/parts"
sed "s|@harnessdir[@]|$TEST_TMP/parts|g" "$top_srcdir/tests/harness/leasehold-harness.in" >"$harness"
chmod +x "$harness"
unset top_builddir

# said WHAT REGEX: a line of what the last command printed
said() {
    if grep -Eq -- "$2" <<<"$output$errors"; then pass "$1"; else fail "$1"; _show_run; return 1; fi
}
harness() { timeout --foreground 300 "$harness" "$@"; }
take_down() { [ ! -e "$lab/lab.json" ] || harness down "$lab"; }
cleanup_fn take_down

exits 0 "up: a lab of three hosts" harness up "$lab" --hosts 3
exits 2 "up: a folder that is in use is refused" harness up "$lab"
said "up: and says what to do" "leasehold-harness down"
exits 2 "on: an unknown host is refused" harness on "$lab" nobody true
said "on: with the names that there are" "alpha, beta, gamma"
exits 0 "disk: a disk with the payload" harness disk "$lab" web.img
disk=$lab/web.img
run=$(harness guest "$lab" web "$disk")
# shellcheck disable=SC2086  # a list of words
exits 0 "on alpha: the guest runs" harness on "$lab" alpha leasehold $run
exits 0 "status lists it" harness status "$lab"
said "status: under its host" "alpha +1 +[0-9]+ +web \(running\)"
# shellcheck disable=SC2086
exits 3 "on beta: refused" harness on "$lab" beta leasehold $run
said "on beta: by the holder's name" "alpha"
exits 0 "rsh: a line for a shell" harness rsh "$lab" alpha leasehold list '|' grep -c web
exits 0 "on alpha: destroyed" harness on "$lab" alpha leasehold destroy web
exits 0 "check: no two writers" harness check "$disk"

exits 0 "steps: those of a suspend" harness steps "$lab" alpha --disk "$disk" --guest web
said "steps: a start has a first one" "^start:1$"
exits 0 "matrix: a supervisor killed before the lease is taken, and after" \
    harness matrix "$lab" alpha --judge gamma --guest web --disk "$disk" \
    --steps start:4,start:8 --victims supervisor
said "matrix: a report" "2 cells, 0 failed"
exits 0 "matrix: the lock daemon of the judge is stopped, and goes on" \
    harness matrix "$lab" alpha --judge gamma --guest web --disk "$disk" \
    --steps start:8 --victims daemon@gamma --signals STOP
exits 2 "matrix: an unknown host is refused" \
    harness matrix "$lab" alpha --disk "$disk" --victims child@nobody --steps start:8
exits 2 "matrix: an unknown victim is refused" \
    harness matrix "$lab" alpha --disk "$disk" --victims nobody
said "matrix: with those that there are" "supervisor,child,daemon,command,host"

exits 0 "crash: a host is gone" harness crash "$lab" beta
exits 0 "status after it" harness status "$lab"
said "status: its daemon is dead" "beta +2 +dead"
exits 0 "revive: it is back" harness revive "$lab" beta
exits 0 "status after that" harness status "$lab"
said "status: it has a daemon" "beta +2 +[0-9]+"
exits 0 "down" harness down "$lab"
ok "down: nothing is left" test ! -e "$lab"

# Two hosts whose leases lie in different folders are not protected from each other: the harness
# has to say so.
exits 0 "up: a lab on lock files" harness up "$lab" --plugin lockfile
mkdir "$lab/leases-of-beta"
sed -i "s|^dir = .*|dir = $lab/leases-of-beta|" "$lab/beta/leasehold.conf"
exits 0 "disk" harness disk "$lab" web.img
exits 1 "matrix: an unprotected disk is found" harness matrix "$lab" alpha --guest web \
    --disk "$lab/web.img" --steps start:10 --victims command
said "matrix: says who writes beside whom" "one writer: beta runs the guest, while"
exits 0 "down again" harness down "$lab"

done_testing
