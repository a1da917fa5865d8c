#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The contract of every plugin, kept by lockfile: two hosts that share one lock directory.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/hosts.sh"

host_up alpha 1 --lockfile "$TEST_TMP/locks"
host_up beta 2 --lockfile "$TEST_TMP/locks"
"$top_builddir/tests/contract/contract" \
    "$(host_dir alpha)/leasehold.conf" "$(host_dir beta)/leasehold.conf"
