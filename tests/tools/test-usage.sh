#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The command line itself: what is wrong is exit status 2 with a message that says what would
# be right, before anything is looked at. The plugin nop keeps all of it off the machine.

. "${top_srcdir:-.}/tests/lib/functions.sh"

config=$TEST_TMP/leasehold.conf
printf '[host]\nrun_dir = %s/run\nstate_dir = %s/state\nidentity = local\n[lock]\nplugin = nop\n' \
    "$TEST_TMP" "$TEST_TMP" >"$config"
export LEASEHOLD_CONFIG=$config

# usage REGEX ARGUMENT...: status 2, and stderr says so
usage() {
    local regex=$1
    shift
    run leasehold "$@"
    if [ "$status" = 2 ] && [ -z "$output" ] && [[ $errors =~ $regex ]]; then
        pass "usage error: leasehold $*"
    else
        fail "usage error: leasehold $*"
        diag "expected status 2 and '$regex'"
        _show_run
    fi
}

usage 'a command is needed'
usage "no command 'stroe'; did you mean 'store" stroe list
usage "did you mean 'store create'" store creat /x
usage "'store' needs one of: create, list, check, gc, info" store
usage "needs --unused-for DAYS" store gc
usage "no command 'frobnicate'"$'\n' frobnicate
usage "no command '.x0a'" $'\n'
usage 'Unknown option --bogus' --bogus store list
usage 'Unknown option --bogus' store list --bogus
usage "'identify' needs PATH" identify
usage "'identify' does not take 'b'" identify a b
usage "'store list' does not take 'x'" store list x
usage "sector-size is 512 or 4096, not 1024" store create /x --sector-size 1024
usage 'positive' store create /x --max-hosts=-1
usage 'positive' store create /x --io-timeout 0
usage 'Integer value|parse integer' store create /x --max-hosts many
usage 'positive' host join --timeout 0
usage "try 'leasehold host join --help'" host join --timeout x
usage "'show' needs GUEST" show
usage "'shutdown' needs GUEST" shutdown
usage 'mutually exclusive' shutdown web --abort --timeout 3
usage 'mutually exclusive' shutdown web --abort --wait
usage "acpi and agent, not 'apm'" shutdown web --mode acpi,apm
usage 'acpi, agent or acpi,agent' shutdown web --mode ''
usage 'positive number' shutdown web --timeout 0
usage 'mutually exclusive' list --name --uuid
usage 'mutually exclusive' list --name --json
usage 'DOMAIN.xml is needed' run
usage 'mutually exclusive' run web.xml --name web
usage 'mutually exclusive' run web.xml -- qemu-system-x86_64
usage 'command line of the guest is missing' run --name web
usage 'needs --name' run -- qemu-system-x86_64
usage 'no program after' run --name web --
usage "'foo' is not 'readonly' or 'shared'" run --name web --disk /none,foo -- qemu
usage '--timeout' run web.xml --timeout=-1
usage "'run' does not take 'b.xml'" run a.xml b.xml

# before the guest's program runs 120 is added, so that its own statuses can be told apart
exits 122 "run --foreground: a usage error" leasehold run --foreground
exits 122 "run --foreground: an unknown option" leasehold run --bogus --foreground
exits 121 "run --foreground: no such file" leasehold run "$TEST_TMP/none.xml" --foreground
exits 2 "--foreground after -- is the program's" leasehold run --name web --bogus -- x --foreground

exits 1 "a description that is endless" leasehold run /dev/zero
like "$errors" 'no domain XML: it has more than 4 MiB' "is refused"
exits 1 "a description with zero bytes" leasehold run <(printf '<domain>\0</domain>')
like "$errors" 'zero bytes' "is refused"
exits 1 "a directory" leasehold run "$TEST_TMP"
like "$errors" 'Is a directory' "is no description"
exits 1 "a guest that does not exist" leasehold show web
like "$errors" "no guest 'web'" "is named"
is "$(leasehold list --json | tr -d ' \n')" '{"guests":[]}' "no guests are an empty list"

exits 0 "--help is no error" leasehold --help
like "$output" '^Usage: leasehold' "and goes to stdout"
exits 0 "a command's --help needs no arguments" leasehold store create --help
like "$output" '--max-hosts=N' "and lists its options"
run leasehold help store create
like "$output" '--max-hosts=N' "'help COMMAND' is the same"
exits 0 "--version" leasehold --version
like "$output" '^leasehold [0-9.]+$' "says the version"

exits 0 "global options before the command" leasehold --json -q version
like "$output" '"version"' "are obeyed"
exits 0 "global options after the command" leasehold version -q --json
like "$output" '"version"' "are obeyed, too"

# errors as JSON, also those of an unparsable command line
run leasehold --json store list --bogus
is "$errors" '{"error":{"code":"USAGE","exit_status":2,"message":"Unknown option --bogus"}}' \
    "with --json a usage error is one JSON object"
run leasehold stroe --json
like "$errors" '^\{"error":\{"code":"USAGE".*\}$' "wherever --json stands"

exits 1 "a configuration that does not exist" leasehold --config "$TEST_TMP/none" store list
like "$errors" "$TEST_TMP/none" "is named"
exits 1 "what the plugin does not promise" leasehold store list
like "$errors" "nop" "names the plugin"
printf '[host]\nrun_dir = %s/run\n' "$TEST_TMP" >"$TEST_TMP/unset.conf"
exits 1 "store without a configured plugin" leasehold --config "$TEST_TMP/unset.conf" store list
like "$errors" "no store is configured: set .sanlock. store" "asks the plugin that has stores"
run leasehold --json store list
like "$errors" '"code":"UNSUPPORTED"' "with its code"

exits 0 "what follows -- is no option" leasehold identify -- "$config"
cd "$TEST_TMP" && touch -- --odd && run leasehold identify -- --odd
is "$status" 0 "a path that begins with a dash follows --"

run bash -c 'leasehold --help >/dev/full'
is "$status" 1 "a report that cannot be written is a failure"
like "$errors" 'cannot write the output' "that says so"
# --- the installation ---------------------------------------------------------------------

exits 1 "a program without its commands ends" \
    env "LEASEHOLD_HELPER_DIR=$TEST_TMP/nowhere" leasehold run "$TEST_TMP/guest.xml"
like "$errors" "commands of this installation cannot be loaded: .*leasehold-commands.so" \
    "and says what is missing"
done_testing
