#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What `make install` leaves behind: a tree that works by itself. Everything is installed below
# a temporary DESTDIR; only the compiled-in directories have to be named to the programs then.

. "${top_srcdir:-.}/tests/lib/functions.sh"
TEST_TIMEOUT=180

root=$TEST_TMP/root
unset MAKEFLAGS MAKELEVEL LEASEHOLD_PLUGIN_DIR LEASEHOLD_HELPER_DIR
must make -s -C "$top_builddir" install DESTDIR="$root"

# installed PATTERN...: exactly one file of that name, printed
installed() { find "$root" -path "*/$1" ! -name '*.la' | grep .; }

for path in bin/leasehold libexec/leasehold/leasehold-supervisor \
    libexec/leasehold/leasehold-lockfailure libexec/leasehold/leasehold-xml.so \
    libexec/leasehold/leasehold-commands.so leasehold/plugins/nop.so \
    leasehold/plugins/lockfile.so leasehold/plugins/sanlock.so \
    include/leasehold/lock_manager.h include/leasehold/lock_driver.h \
    include/leasehold/lock_types.h include/leasehold/domain_lock.h \
    pkgconfig/leasehold-lock-manager.pc pkgconfig/leasehold-lock-driver.pc \
    pkgconfig/leasehold-domain-lock.pc man1/leasehold.1 man5/leasehold.conf.5 \
    man7/leasehold-dbus.7 doc/leasehold/guest-daemon.c \
    man8/leasehold-supervisor.8 man8/leasehold-lockfailure.8 completions/leasehold \
    system/leasehold-host.service system/leasehold@.service; do
    ok "installed: $path" installed "$path"
done
is "$(find "$root" -type f -perm /022)" "" "nothing can be written by others"

bin=$(dirname "$(installed bin/leasehold)")
libdir=$(dirname "$(installed leasehold/plugins/nop.so)")
libdir=${libdir%/leasehold/plugins}
export LEASEHOLD_PLUGIN_DIR=$libdir/leasehold/plugins
LEASEHOLD_HELPER_DIR=$(dirname "$(installed libexec/leasehold/leasehold-supervisor)")
export LEASEHOLD_HELPER_DIR

# exported LIBRARY: the symbols that others can bind to
exported() { nm -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }'; }

for plugin in "$LEASEHOLD_PLUGIN_DIR"/*.so; do
    is "$(exported "$plugin")" virLockDriverGet "$(basename "$plugin") exports one symbol"
done
for library in liblock_manager libdomain_lock; do
    is "$(exported "$libdir/$library.so" | grep -Ev '^vir(Lock|DomainLock)')" "" \
        "$library exports its public names only"
    is "$(nm -D --defined-only "$libdir/$library.so" | grep -c ' T .*[^1]$')" 0 \
        "and all of them with a version"
done

# declared HEADER: the functions that a header promises
declared() { grep -oE '\bvir[A-Za-z]+\(' "$top_srcdir/include/leasehold/$1" | tr -d '(' | sort -u; }
is "$(comm -23 <(declared lock_manager.h) <(exported "$libdir/liblock_manager.so" | sort))" "" \
    "every function of lock_manager.h is there"
is "$(comm -23 <(declared domain_lock.h) <(exported "$libdir/libdomain_lock.so" | sort))" "" \
    "every function of domain_lock.h is there"

export LEASEHOLD_CONFIG=$TEST_TMP/leasehold.conf
printf '[host]\nrun_dir = %s/run\nstate_dir = %s/state\nidentity = local\n[lockfile]\ndir = %s/locks\n' \
    "$TEST_TMP" "$TEST_TMP" "$TEST_TMP" >"$LEASEHOLD_CONFIG"
mkdir -p "$TEST_TMP/locks"
ok "the installed command runs" "$bin/leasehold" list
run "$bin/leasehold" plugin list --json
like "$output" "\"path\" : \"$LEASEHOLD_PLUGIN_DIR/lockfile.so\"" "with the installed plugins"
run "$bin/leasehold" doctor
is "$status" 0 "and has nothing to complain of"
diag "$output"

# a program of somebody else: headers, library and flags from the installed tree
export PKG_CONFIG_PATH=$libdir/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
awk '/^    / { print substr($0, 5); next } { print "" }' "$top_srcdir/docs/lock-manager.txt" \
    >"$TEST_TMP/example.c"
read -ra flags <<<"$(PKG_CONFIG_SYSROOT_DIR='' pkg-config --cflags --libs gio-unix-2.0) $(
    pkg-config --cflags-only-I --libs-only-L leasehold-domain-lock |
        tr ' ' '\n' | grep "$root" | tr '\n' ' ')"
ok "a program builds against it with pkg-config" "${CC:-cc}" ${SANITIZE_FLAGS:-} \
    -o "$TEST_TMP/example" "$TEST_TMP/example.c" "${flags[@]}" -ldomain_lock -llock_manager
truncate -s 1M "$TEST_TMP/web.img"
ok "and runs" env LD_LIBRARY_PATH="$libdir" "$TEST_TMP/example" "$TEST_TMP/web.img"

is "$(pkg-config --variable=plugindir leasehold-lock-driver)" "$LEASEHOLD_PLUGIN_DIR" \
    "pkg-config says where a plugin goes"
done_testing
