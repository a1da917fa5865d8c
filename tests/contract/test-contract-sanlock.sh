#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The contract of every plugin, kept by sanlock: two hosts, each with a real daemon, and one
# store.
. "${top_srcdir:-.}/tests/lib/functions.sh"
. "$top_srcdir/tests/lib/hosts.sh"

requires sanlock
store_new --max-leases 400
host_up alpha 1
host_up beta 2
hosts_join alpha beta
"$top_builddir/tests/contract/contract" \
    "$(host_dir alpha)/leasehold.conf" "$(host_dir beta)/leasehold.conf"
