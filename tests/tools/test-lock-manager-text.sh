#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# docs/lock-manager.txt: its C pieces are one program, which compiles without a warning and does
# with the lockfile plugin what the text says.

. "${top_srcdir:-.}/tests/lib/functions.sh"

# Four columns of indentation are C; blank lines keep the line numbers those of the text.
awk '/^    / { print substr($0, 5); next } { print "" }' "$top_srcdir/docs/lock-manager.txt" \
    >"$TEST_TMP/example.c"
read -ra flags <<<"$(pkg-config --cflags --libs gio-unix-2.0 json-glib-1.0)"
ok "the pieces compile" "${CC:-cc}" ${SANITIZE_FLAGS:-} -Wall -Wextra -Werror \
    -Wno-unused-parameter -Wno-unused-function -Wno-missing-field-initializers \
    -o "$TEST_TMP/example" \
    "$TEST_TMP/example.c" -I"$top_srcdir/include" -L"$top_builddir/.libs" -ldomain_lock -llock_manager \
    -Wl,-rpath,"$(realpath "$top_builddir")/.libs" "${flags[@]}"

export LEASEHOLD_CONFIG=$TEST_TMP/leasehold.conf
printf '[host]\nrun_dir = %s/run\nstate_dir = %s/state\nidentity = local\n[lockfile]\ndir = %s/locks\n' \
    "$TEST_TMP" "$TEST_TMP" "$TEST_TMP" >"$LEASEHOLD_CONFIG"
mkdir -p "$TEST_TMP/locks"
truncate -s 1M "$TEST_TMP/web.img"
ok "the program takes, shows and gives back a lease" "$TEST_TMP/example" "$TEST_TMP/web.img"
# as the end of the text shows it, but for the path and the pid
shown=$(sed -n '/^  \$ /,$ { /^  \$ /d; s/^  //p }' "$top_srcdir/docs/lock-manager.txt")
is "$(sed "s,$TEST_TMP/,/vm/,; s/^process [0-9]* /process 4711 /" <<<"$output")" "$shown" \
    "and prints what the text shows"
run leasehold who "$TEST_TMP/web.img"
like "$output" $'\n''free' "afterwards the disk is free"
done_testing
