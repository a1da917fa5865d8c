#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# leasehold doctor finds what is wrong, one fault at a time, and says so in its exit status.

. "${top_srcdir:-.}/tests/lib/functions.sh"
requires qemu

export LEASEHOLD_CONFIG=$TEST_TMP/leasehold.conf
configure() { # [RUN_DIR [PLUGIN]]
    printf '[host]\nrun_dir = %s\nstate_dir = %s/state\nidentity = local\n[lock]\nplugin = %s\n' \
        "${1:-$TEST_TMP/run}" "$TEST_TMP" "${2:-lockfile}" >"$LEASEHOLD_CONFIG"
    printf '[lockfile]\ndir = %s/locks\n' "$TEST_TMP" >>"$LEASEHOLD_CONFIG"
}
mkdir "$TEST_TMP/locks"
cp -r "$LEASEHOLD_HELPER_DIR" "$TEST_TMP/helpers"
chmod -R go-w "$TEST_TMP/helpers"
export LEASEHOLD_HELPER_DIR=$TEST_TMP/helpers

# finds REGEX WHAT: an error of that kind, status 1
finds() {
    run leasehold doctor
    if [ "$status" = 1 ] && [[ $output =~ error\ +$1 ]]; then pass "$2"; else
        fail "$2"
        _show_run
    fi
}

configure
exits 0 "nothing is wrong" leasehold doctor
unlike "$output" '(^|'$'\n'')error' "and no error is shown"
is "$(find "$TEST_TMP/run" "$TEST_TMP/state" 2>/dev/null)" "" "it has made nothing"

sed -i 's/^plugin/plugn/' "$LEASEHOLD_CONFIG"
finds "configuration: .*plugn" "an unknown key of the configuration"
configure
echo 'dri = /' >>"$LEASEHOLD_CONFIG"
finds "plugin: .*dri" "an unknown key of the plugin"
configure "$TEST_TMP/run" frobnicate
finds "plugin: .*frobnicate" "a plugin that does not exist"
configure
chmod o+w "$TEST_TMP/helpers/leasehold-lockfailure"
finds "leasehold-lockfailure: .*changed by others" "a helper that others can change"
chmod o-w,a-x "$TEST_TMP/helpers/leasehold-lockfailure"
finds "leasehold-lockfailure: .*cannot be executed" "a helper that cannot be executed"
rm "$TEST_TMP/helpers/leasehold-lockfailure"
finds "leasehold-lockfailure: .*No such file" "a helper that is missing"
cp "$top_builddir/helpers/leasehold-lockfailure" "$TEST_TMP/helpers"

touch "$TEST_TMP/file"
configure "$TEST_TMP/file/run"
finds "run_dir: .*is no directory" "a run_dir below a file"
mkdir "$TEST_TMP/open"
chmod 777 "$TEST_TMP/open"
configure "$TEST_TMP/open"
finds "run_dir: .*written by everybody" "a run_dir that everybody can write"
configure

mkdir "$TEST_TMP/bin"
ln -s "$(command -v bash)" "$(command -v timeout)" "$TEST_TMP/bin"
PATH=$top_builddir:$TEST_TMP/bin finds "qemu-system-x86_64: not found" "a QEMU that is missing"

exits 1 "the configuration named on the command line is the one" \
    leasehold doctor --config "$TEST_TMP/none.conf"
like "$output" "error +configuration: .*none.conf" "that is judged"
done_testing
