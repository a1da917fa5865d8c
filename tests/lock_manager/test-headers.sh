#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Each public header compiles alone, in C and in C++, with every warning.
. "${top_srcdir:-.}/tests/lib/functions.sh"
requires pkg-config

flags="-Wall -Wextra -Wpedantic -Wshadow -Werror -fsyntax-only -I$top_srcdir/include"
flags+=" $(pkg-config --cflags gio-2.0 gmodule-2.0)"

# alone COMPILER LANGUAGE HEADER
alone() {
    echo "#include <leasehold/$3>" >"$TEST_TMP/alone.$2"
    # shellcheck disable=SC2086  # a list of flags
    run ${1% *} ${1#* } $flags "$TEST_TMP/alone.$2"
    is "$status" 0 "$3 compiles alone: $1"
    [ "$status" = 0 ] || diag "$errors"
}

for header in lock_types.h lock_manager.h lock_driver.h domain_lock.h; do
    alone "${CC:-cc} -std=c11" c "$header"
    if has "${CXX:-c++}"; then
        alone "${CXX:-c++} -std=c++17" cc "$header"
    else
        skip "$header compiles alone in C++" "there is no C++ compiler"
    fi
done
done_testing
