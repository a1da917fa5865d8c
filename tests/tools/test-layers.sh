#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The arrows of the house point one way (HACKING.md): common <- lock_manager <- domain_lock <-
# supervisor, tools; a plugin sees include/ and common/ only. Read from the #include lines.
# Each wrong arrow of the second half has been seen to be found, and must be. What the tests are
# made of is in the tarball.
#
# Seen failing: without tests/lib/moving.py in its local.mk.

. "${top_srcdir:-.}/tests/lib/functions.sh"

rules=$(realpath "$top_srcdir/tests/tools/layers.awk")

layers() {
    (cd "$1" && find common lock_manager domain_lock supervisor tools plugins include \
        -name '*.[ch]' -print0 2>/dev/null |
        xargs -0 awk -f "$rules")
}

is "$(layers "$top_srcdir")" "" "no #include of the sources points the wrong way"

# a list that was forgotten shows only where somebody builds from the tarball
unlisted() {
    (cd "$top_srcdir" && find tests fuzz bench -maxdepth 2 -type f \
        \( -name '*.py' -o -name '*.sh' -o -name '*.[ch]' \) |
        while read -r file; do
            grep -qrF --include=local.mk "/${file##*/}" tests fuzz bench || echo "$file"
        done)
}
is "$(unlisted)" "" "each file of the tests is in the local.mk of some folder"

# given a tree with one wrong #include, then it is found
wrong_arrow() {
    local file=$1 line=$2 tree=$TEST_TMP/tree
    rm -rf "$tree"
    mkdir -p "$tree"/{common,lock_manager,domain_lock,supervisor,tools,include/leasehold} \
        "$tree"/plugins/{nop,sanlock}
    printf '#include "config.h"\n#include <stdio.h>\n%s\n' "$line" >"$tree/$file"
    like "$(layers "$tree")" "$file:3:" "found: $file with $line"
}

wrong_arrow common/a.c '#include "lock_manager/b.h"'
wrong_arrow common/a.h '#include <leasehold/lock_manager.h>'
wrong_arrow lock_manager/a.c '#include "domain_lock/b.h"'
wrong_arrow lock_manager/a.c '#  include <leasehold/domain_lock.h>'
wrong_arrow domain_lock/a.h '#include "supervisor/b.h"'
wrong_arrow supervisor/a.c '#include "tools/tool.h"'
wrong_arrow tools/a.c '#include "domain_lock/b.h"'
wrong_arrow plugins/nop/a.c '#include "lock_manager/b.h"'
wrong_arrow plugins/nop/a.c '#include "plugins/sanlock/b.h"'
wrong_arrow plugins/nop/a.c '#include <leasehold/lock_manager.h>'
wrong_arrow supervisor/a.c '#include "../tools/tool.h"'
done_testing
