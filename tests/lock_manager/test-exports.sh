#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What the libraries and plugins export: exactly the public API under its version node, so that
# nothing of ours can be mistaken for libvirt's function of the same name, nor the reverse.
. "${top_srcdir:-.}/tests/lib/functions.sh"
requires nm

# declared HEADER...: functions that the public headers declare
declared() {
    ${CC:-cc} -E -P -I"$top_srcdir/include" $(pkg-config --cflags gio-2.0 gmodule-2.0) \
        -DVIR_TEST_ONLY "$@" | tr '\n' ' ' | tr ';{}' '\n\n\n' |
        grep -oE '\bvir(Lock|DomainLock)[A-Z][A-Za-z]* *\(' | grep -vE 'virLockDriverGet' |
        tr -d ' (' | sort -u
}

# exported LIBRARY: names with their version
exported() {
    nm -D --defined-only "$1" | awk '$2 != "A" { print $3 }' | sort -u
}

lib=$top_builddir/.libs/liblock_manager.so
exported "$lib" >"$TEST_TMP/all"
sed 's/@@LEASEHOLD_1$//' "$TEST_TMP/all" >"$TEST_TMP/exported"
declared "$top_srcdir/include/leasehold/lock_manager.h" >"$TEST_TMP/declared"

plan 7
is "$(grep -vc '@@LEASEHOLD_1$' "$TEST_TMP/all")" 0 "every export has the version LEASEHOLD_1"
is "$(comm -13 "$TEST_TMP/declared" "$TEST_TMP/exported")" "" "only what the headers declare is exported"
is "$(comm -23 "$TEST_TMP/declared" "$TEST_TMP/exported")" "" "all that they declare is exported"
others=
for plugin in "$top_builddir"/plugins/.libs/*.so; do
    others+=$(exported "$plugin" | grep -vx virLockDriverGet)
done
is "$others" "" "a plugin exports virLockDriverGet only"
ok "the headers were read" test "$(wc -l <"$TEST_TMP/declared")" -gt 50

exported "$top_builddir/.libs/libdomain_lock.so" >"$TEST_TMP/all"
declared "$top_srcdir/include/leasehold/domain_lock.h" | grep '^virDomainLock' >"$TEST_TMP/declared"
sed 's/@@LEASEHOLD_1$//' "$TEST_TMP/all" | grep '^virDomainLock' >"$TEST_TMP/exported"
is "$(grep -vc '@@LEASEHOLD_1$' "$TEST_TMP/all")" 0 "libdomain_lock: every export has the version"
is "$(comm -3 "$TEST_TMP/declared" "$TEST_TMP/exported")" "" "libdomain_lock: exactly what its header declares"
