#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# leasehold-harness matrix over every step of a start, with every victim: the whole matrix, on
# hosts that revive, under lock files and under sanlock. And a step of a guest that runs already, in
# the supervisor that its start left behind.
#
# Seen failing: with a start that is not told of the steps, a migration passes none.

# shellcheck source=tests/lib/functions.sh
. "$top_srcdir/tests/lib/functions.sh"
# shellcheck source=tests/lib/hosts.sh
. "$top_srcdir/tests/lib/hosts.sh"

requires sanlock qemu-system-x86_64 payload python3
TEST_TIMEOUT=1200 # of one command
dir=$(direct_dir) || skip_all "no folder on a file system with O_DIRECT"
export LEASEHOLD_HARNESS_DIR=$top_srcdir/tests/harness:$top_srcdir/tests/lib
harness() { timeout --foreground 1200 "$top_builddir/tests/harness/leasehold-harness" "$@"; }
take_down() { for lab in "$dir"/lab-*; do [ ! -e "$lab/lab.json" ] || harness down "$lab"; done; }
cleanup_fn take_down

for plugin in lockfile sanlock; do
    lab=$dir/lab-$plugin
    must harness up "$lab" --plugin $plugin
    must harness disk "$lab" web.img
    ok "$plugin: a kill and a stop at every step of a start" harness matrix "$lab" alpha \
        --disk "$lab/web.img" --signals KILL,STOP
    ok "$plugin: down" harness down "$lab"
done

# given three hosts, when a guest moves between two of them and its supervisor is killed
lab=$dir/lab-moves
harness=$top_builddir/tests/harness/leasehold-harness
must harness up "$lab" --hosts 3
must harness disk "$lab" web.img
ok "a migration: a kill of the supervisor before and after the word" harness matrix "$lab" alpha \
    --judge gamma --disk "$lab/web.img" --steps migrate:3,migrate:5 --victims supervisor \
    --before 'run {guest}' -- migrate '{name}' beta --rsh "$harness rsh $lab"
exits 2 "a command without steps is refused" harness steps "$lab" alpha --disk "$lab/web.img" \
    --before 'run {guest}' -- suspend '{name}'
ok "down" harness down "$lab"

done_testing
