#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# leasehold-harness matrix over every step of a start, with every victim: the whole matrix, on
# hosts that revive, under lock files and under sanlock.

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

done_testing
