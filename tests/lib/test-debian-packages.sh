#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# debian-packages changes nothing of a machine but the packages that were missing: in a made-up
# root, with an apt-get that does what the package sanlock does (starts by policy, enables by
# links), no start is permitted, nothing stays enabled, and the administrator's own policy and
# choices are there afterwards, also when the installation fails or is interrupted.

. "${top_srcdir:-.}/tests/lib/functions.sh"
plan 26

ROOT=$TEST_TMP/root
BIN=$TEST_TMP/bin
PACKAGES=$top_srcdir/tests/lib/debian-packages
WANTS=$ROOT/etc/systemd/system/multi-user.target.wants
POLICY=$ROOT/usr/sbin/policy-rc.d

# fake NAME BODY: a program that comes first on the PATH.
fake() { printf '#!/bin/sh\n%s\n' "$2" >"$BIN/$1" && chmod +x "$BIN/$1"; }

fresh_root() {
    rm -rf "$ROOT" "$BIN"
    mkdir -p "$ROOT/usr/sbin" "$WANTS" "$ROOT/etc/rc2.d" "$BIN"
    ln -s /lib/systemd/system/cron.service "$WANTS/cron.service"
    ln -s ../init.d/cron "$ROOT/etc/rc2.d/S01cron"
    fake dpkg-query '[ "$4" = present ] && printf installed'
    # shellcheck disable=SC2016  # for the inner shell
    fake apt-get '
echo "$@" >>'"$TEST_TMP"'/apt
case "$*" in *update) exit 0 ;; esac
[ -e '"$TEST_TMP"'/apt-fails ] && exit 100
'"$POLICY"' sanlock start; echo $? >'"$TEST_TMP"'/policy
ln -s /lib/systemd/system/sanlock.service '"$WANTS"'/sanlock.service
ln -s ../init.d/sanlock '"$ROOT"'/etc/rc2.d/S01sanlock
[ ! -e '"$TEST_TMP"'/apt-hangs ] || exec sleep 60'
    fake apt-cache '[ ! -e '"$TEST_TMP"'/no-lists ]'
    fake id 'echo 0'
    fake sudo 'printf "%s " "$@" >'"$TEST_TMP"'/sudo; exec '"$TEST_TMP"'/as-root "$@"'
    rm -f "$TEST_TMP/apt" "$TEST_TMP/policy" "$TEST_TMP/sudo" "$TEST_TMP"/apt-*
}

install() { env "DEBIAN_PACKAGES_ROOT=$ROOT" "PATH=$BIN:$PATH" "$PACKAGES" "$@"; }

fresh_root
ok "nothing is done when nothing is missing" install present present
ok "apt-get is not even called" test ! -e "$TEST_TMP/apt"

ok "what is missing is installed" install present missing
like "$(<"$TEST_TMP/apt")" "install --no-install-recommends missing$" "and nothing else"
is "$(<"$TEST_TMP/policy")" 101 "starts are denied meanwhile"
ok "the policy is gone afterwards" test ! -e "$POLICY"
ok "no unit was enabled" test ! -L "$WANTS/sanlock.service"
is "$(cd "$ROOT/etc/rc2.d" && echo *)" "K01sanlock S01cron" "no init script was enabled"
ok "what was enabled before still is" test -L "$WANTS/cron.service"

fresh_root
printf '#!/bin/sh\nexit 101\n' >"$POLICY" && chmod 755 "$POLICY"
before=$(stat -c '%i %a %Y' "$POLICY")
ok "with a policy that denies anyway" install missing
is "$(stat -c '%i %a %Y' "$POLICY")" "$before" "it is left alone"

fresh_root
printf '#!/bin/sh\nexit 0\n' >"$POLICY" && chmod 750 "$POLICY"
before=$(stat -c '%i %a %Y' "$POLICY")
ok "with a policy that permits starts" install missing
is "$(<"$TEST_TMP/policy")" 101 "starts are denied all the same"
is "$(stat -c '%i %a %Y' "$POLICY")" "$before" "it is back afterwards, unchanged"

fresh_root
touch "$TEST_TMP/apt-fails"
exits 1 "a failed installation is a failure" install missing
ok "no policy is left behind by it" test ! -e "$POLICY"
like "$(<"$TEST_TMP/apt")" "install.*update.*install" "it had refreshed the lists in between"

fresh_root
touch "$TEST_TMP/no-lists"
ok "without lists" install missing
like "$(<"$TEST_TMP/apt")" "^[^ ].*update.*install" "they are fetched first"
rm "$TEST_TMP/no-lists"

fresh_root
printf '#!/bin/sh\nexit 0\n' >"$POLICY" && chmod 750 "$POLICY"
touch "$TEST_TMP/apt-hangs"
# in a session of its own: all of it gets the signal, as from a terminal
spawn "$TEST_TMP/log" env "DEBIAN_PACKAGES_ROOT=$ROOT" "PATH=$BIN:$PATH" setsid "$PACKAGES" missing
wait_until 10 test -e "$WANTS/sanlock.service" || diag "$(<"$TEST_TMP/log")"
kill -TERM -- "-$spawned"
restored() { [ "$(stat -c '%a' "$POLICY")" = 750 ] && [ ! -e "$POLICY.leasehold-saved" ]; }
ok "interrupted, it puts the policy back" wait_until 10 restored

# as an ordinary user
fresh_root
fake id 'echo 1000'
printf '#!/bin/sh\n[ "$1" != -n ] || shift\nexec "$@"\n' >"$TEST_TMP/as-root"
chmod +x "$TEST_TMP/as-root"
ok "an ordinary user needs sudo" install missing
like "$(<"$TEST_TMP/sudo")" "^-n .*debian-packages --as-root missing $" "which does not ask without a terminal"

# A PATH with nothing else on it: neither sudo, nor (then) a Debian.
bare() { /usr/bin/env "DEBIAN_PACKAGES_ROOT=$ROOT" "PATH=$BIN" /bin/bash "$PACKAGES" "$@"; }
rm "$BIN/sudo"
exits 1 "without sudo it gives up" bare missing
like "$errors" "run as root: apt-get install .* missing" "and says what to run"
rm "$BIN/apt-get"
ok "elsewhere than on Debian it goes on" bare missing
like "$errors" "not Debian: .* missing" "and says what is needed"
